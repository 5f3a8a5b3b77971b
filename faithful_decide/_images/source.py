"""Encoded bytes out of whatever the caller holds: a path, bytes, a file, a data URI, a URL.

Nothing here looks inside an image. This module answers one question only, "which bytes did you
mean?", and it answers it under two rules: no source may make the program hang (a named pipe, a
device, an endless stream), and every way of failing is an `ImageError` that says what to do next.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote, unquote_to_bytes

from faithful_decide.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_SOURCE_BYTES = 32 * 2**20
"""The largest encoded image that is read at all, wherever it comes from."""

_CHUNK = 2**20
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_SHAPE = "a uint8 numpy array of shape (height, width, channels)"


def read_source(source: object, *, allow_urls: bool = False) -> bytes:
    """Return the encoded bytes that a source stands for: never empty, never more than the most."""
    if isinstance(source, Mapping):
        source = _from_mapping(source)
    try:
        data = _read(source, allow_urls=allow_urls)
    except MemoryError as error:
        msg = "there is not enough memory to read the image"
        raise ImageError(msg, hint="pass a smaller copy of the image") from error
    if not data:
        msg = "the image has zero bytes"
        hint = "check that the file was written completely; rewind a file object with seek(0)"
        raise ImageError(msg, hint=hint)
    if len(data) > MAX_SOURCE_BYTES:
        raise _too_long()
    return data


def _read(source: object, *, allow_urls: bool) -> bytes:
    if isinstance(source, str):
        return _from_text(source, allow_urls=allow_urls)
    if isinstance(source, (bytes, bytearray, memoryview)):
        size = source.nbytes if isinstance(source, memoryview) else len(source)
        if size > MAX_SOURCE_BYTES:
            raise _too_long()
        return bytes(source)
    if isinstance(source, os.PathLike):
        return _from_path(source)
    if callable(getattr(source, "read", None)):
        return _from_file(source)  # type: ignore[arg-type]  # it has a read method; the rest is checked there
    kind = type(source)
    msg = f"an object of type {kind.__module__}.{kind.__qualname__} is not an image"
    if hasattr(source, "shape") and hasattr(source, "dtype"):
        hint = f"pass {_SHAPE}; of a torch tensor that is tensor.permute(1, 2, 0).cpu().numpy()"
        raise ImageError(msg, hint=f"{hint} where its channels come first")
    msg = msg.replace(" builtins.", " ")
    hint = f"pass a path, bytes, a binary file object, a PIL image, {_SHAPE}, or a data URI"
    raise ImageError(msg, hint=hint)


def _from_mapping(source: Mapping[Any, Any]) -> object:
    """Take the image out of {"bytes": ..., "path": ...}, as data sets of Hugging Face hold it."""
    for key in ("bytes", "path"):
        if source.get(key) is not None:
            return source[key]
    msg = "a mapping without bytes or a path is not an image"
    raise ImageError(msg, hint='pass {"bytes": ...} or {"path": ...}, or the image itself')


def _too_long() -> ImageError:
    return ImageError(
        f"the image is larger than {MAX_SOURCE_BYTES // 2**20} MiB",
        hint="save a smaller or more strongly compressed copy and pass that",
    )


def _from_text(text: str, *, allow_urls: bool) -> bytes:
    if text[:5].lower() == "data:":
        return _from_data_uri(text)
    scheme = _SCHEME.match(text)
    if scheme is None:
        try:
            return _from_path(text)
        except ImageError:
            from faithful_decide._images.lookalikes import format_in_base64  # noqa: PLC0415 - rare

            if not format_in_base64(text[:32].encode("ascii", "replace")):
                raise
        msg = "the text is an image in base64, not a path"
        raise ImageError(msg, hint="write data:image/png;base64, before it, or pass its bytes")
    if scheme[1].lower() not in {"http", "https"}:
        msg = f"URLs of the kind {scheme[1].lower()}:// are not supported"
        hint = "read it yourself and pass its bytes; for a local file pass its path alone"
        raise ImageError(msg, hint=hint)
    if not allow_urls:
        msg = "the image is a URL, and URLs are refused by default"
        hint = (
            "download the image and pass its bytes, or pass allow_urls=True to have it fetched "
            "from here (public addresses only)"
        )
        raise ImageError(msg, hint=hint)
    from faithful_decide._images.fetch import fetch  # noqa: PLC0415 - brings ssl and http

    return fetch(text)


def _from_path(path: str | os.PathLike[Any]) -> bytes:
    shown = "the path"
    try:
        text = os.fsdecode(path)
        if not text:
            msg = "the path of the image is empty"
            raise ImageError(msg, hint="pass the path of an image file")
        file_path = Path(text)
        shown = _shorten(str(file_path))
        # Looked at before it is opened, because opening a device can already do something ...
        _refuse_special(file_path.stat(), shown)
        # ... and opened without blocking, so that a pipe put in its place cannot hang us either.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(file_path, flags), "rb") as file:
            _refuse_special(os.fstat(file.fileno()), shown)
            return _in_chunks(file)
    except FileNotFoundError as error:
        msg = f"there is no file {shown}"
        hint = "check the path; a relative one starts at the current directory"
        raise ImageError(msg, hint=hint) from error
    except PermissionError as error:
        msg = f"the file {shown} may not be read"
        hint = "give this user permission to read the file, or pass its bytes"
        raise ImageError(msg, hint=hint) from error
    except (OSError, ValueError, TypeError) as error:
        # ValueError: a NUL in the name. TypeError: a __fspath__ that returns nonsense.
        msg = f"{shown} cannot be opened: {reason(error)}"
        hint = (
            "pass the path of an image file; base64 text needs the form data:image/png;base64,..."
        )
        raise ImageError(msg, hint=hint) from error


def _refuse_special(status: os.stat_result, shown: str) -> None:
    if stat.S_ISREG(status.st_mode):
        if status.st_size > MAX_SOURCE_BYTES:
            raise _too_long()
        return
    kind = next((word for test, word in _KINDS if test(status.st_mode)), "not a regular file")
    msg = f"{shown} is {kind}, not an image file"
    hint = (
        "pass the path of one image file; what comes from a pipe can be passed as bytes or as an "
        "open binary file"
    )
    raise ImageError(msg, hint=hint)


def _from_file(file: IO[bytes]) -> bytes:
    """Read from the current position to the end, then put a seekable file back where it was.

    So the same object can be passed twice; a stream that cannot seek stays at its end.
    """
    try:
        start = file.tell() if file.seekable() else None
    except Exception:  # noqa: BLE001  # a foreign object may raise anything; it then counts as a plain stream
        start = None
    try:
        return _in_chunks(file)
    except MemoryError:
        raise
    except Exception as error:
        msg = f"the file object cannot be read: {reason(error)}"
        hint = "pass a readable file opened in binary mode, for example open(path, 'rb')"
        raise ImageError(msg, hint=hint) from error
    finally:
        if start is not None:
            with contextlib.suppress(Exception):
                file.seek(start)


def _in_chunks(file: IO[bytes]) -> bytes:
    """Read piece by piece, so that no memory is asked for before there are bytes to fill it."""
    parts: list[bytes] = []
    size = 0
    while size <= MAX_SOURCE_BYTES:
        part: object = file.read(_CHUNK)
        if not isinstance(part, (bytes, bytearray, memoryview)):
            kind = "text" if isinstance(part, str) else f"{type(part).__name__} objects"
            msg = f"it gives {kind}, not bytes"
            raise TypeError(msg)
        if not part:
            break
        parts.append(bytes(part))
        size += len(parts[-1])
    return b"".join(parts)


def _from_data_uri(uri: str) -> bytes:
    header, comma, payload = uri.partition(",")
    if not comma:
        msg = "the data URI has no comma, so no data"
        raise ImageError(msg, hint="write it as data:image/png;base64,... or pass the bytes")
    in_base64 = header.lower().endswith(";base64")
    # Three letters stand for a byte where it is escaped; base64 with its line breaks takes fewer.
    if len(payload) > (2 if in_base64 else 3) * MAX_SOURCE_BYTES:
        raise _too_long()
    try:
        if not in_base64:
            return unquote_to_bytes(payload)
        compact = "".join(unquote(payload).split())
        # Padding is optional in practice, and its absence is not ambiguous.
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        msg = f"the data URI does not hold valid base64: {reason(error)}"
        hint = "encode the file with base64.b64encode, or pass the bytes themselves"
        raise ImageError(msg, hint=hint) from error


def reason(error: BaseException) -> str:
    """Say in a few printable words why something failed."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return _shorten(str(text), quote=False)


def _shorten(text: str, *, quote: bool = True, limit: int = 120) -> str:
    """Make text from outside safe to print: one line, printable, of bounded length."""
    if len(text) > limit:
        text = text[: limit - 3] + "..."
    return ascii(text) if not text.isprintable() else f"'{text}'" if quote else text
