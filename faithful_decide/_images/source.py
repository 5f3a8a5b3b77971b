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
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote, unquote_to_bytes

from faithful_decide.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_SOURCE_BYTES = 256 * 2**20
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


def read_source(source: object, *, allow_urls: bool = False) -> bytes:
    """Return the encoded bytes that `source` stands for.

    Args:
        source: A path, bytes, a binary file object, a data URI, or (if allowed) an http(s) URL.
        allow_urls: Whether an http(s) URL may be fetched.

    Returns:
        The bytes, never empty and never more than `MAX_SOURCE_BYTES`.

    Raises:
        ImageError: The source is of an unknown kind, cannot be read, is empty, or is too large.
    """
    if isinstance(source, str):
        data = _from_text(source, allow_urls=allow_urls)
    elif isinstance(source, bytes):
        data = source
    elif isinstance(source, (bytearray, memoryview)):
        data = bytes(source)
    elif isinstance(source, os.PathLike):
        data = _from_path(source)
    elif callable(getattr(source, "read", None)):
        data = _from_file(source)  # type: ignore[arg-type]  # it has a read method; the rest is checked there
    else:
        msg = f"an object of type {type(source).__name__} is not an image"
        raise ImageError(
            msg,
            hint="Pass a path, bytes, a binary file object, a PIL image, a uint8 numpy array of "
            "shape (height, width, channels), or a data URI.",
        )
    if not data:
        msg = "the image has zero bytes"
        raise ImageError(
            msg,
            hint="Check that the file was written completely; rewind a file object with seek(0).",
        )
    return _within_limit(data)


def _within_limit(data: bytes) -> bytes:
    if len(data) > MAX_SOURCE_BYTES:
        msg = f"the image is larger than {MAX_SOURCE_BYTES // 2**20} MiB"
        raise ImageError(
            msg,
            hint="Save a smaller or more strongly compressed copy and pass that.",
        )
    return data


def _from_text(text: str, *, allow_urls: bool) -> bytes:
    if text[:5].lower() == "data:":
        return _from_data_uri(text)
    scheme = _SCHEME.match(text)
    if scheme is None:
        return _from_path(text)
    if scheme[1].lower() not in {"http", "https"}:
        msg = f"URLs of the kind {scheme[1].lower()}:// are not supported"
        raise ImageError(
            msg,
            hint="Read it yourself and pass its bytes; for a local file pass its path alone.",
        )
    if not allow_urls:
        msg = "the image is a URL, and URLs are refused by default"
        raise ImageError(
            msg,
            hint="Download the image and pass its bytes, or pass allow_urls=True to have it "
            "fetched from here (public addresses only).",
        )
    from faithful_decide._images.fetch import fetch  # noqa: PLC0415 - brings ssl and http

    return fetch(text)


def _from_path(path: str | os.PathLike[Any]) -> bytes:
    shown = "the path"
    try:
        file_path = Path(os.fsdecode(path))
        shown = _shorten(str(file_path))
        # Looked at before it is opened, because opening a device can already do something ...
        _refuse_special(file_path.stat().st_mode, shown)
        # ... and opened without blocking, so that a pipe put in its place cannot hang us either.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(file_path, flags), "rb") as file:
            _refuse_special(os.fstat(file.fileno()).st_mode, shown)
            return file.read(MAX_SOURCE_BYTES + 1)
    except FileNotFoundError as error:
        msg = f"there is no file {shown}"
        hint = "Check the path; a relative one starts at the current directory."
        raise ImageError(msg, hint=hint) from error
    except PermissionError as error:
        msg = f"the file {shown} may not be read"
        hint = "Give this user permission to read the file, or pass its bytes."
        raise ImageError(msg, hint=hint) from error
    except (OSError, ValueError, TypeError) as error:
        # ValueError: a NUL in the name. TypeError: a __fspath__ that returns nonsense.
        msg = f"{shown} cannot be opened: {reason(error)}"
        hint = (
            "Pass the path of an image file; base64 text needs the form data:image/png;base64,..."
        )
        raise ImageError(msg, hint=hint) from error


def _refuse_special(mode: int, shown: str) -> None:
    if stat.S_ISREG(mode):
        return
    kind = next((word for test, word in _KINDS if test(mode)), "not a regular file")
    msg = f"{shown} is {kind}, not an image file"
    raise ImageError(
        msg,
        hint="Pass the path of one image file; what comes from a pipe can be passed as bytes or as "
        "an open binary file.",
    )


def _from_file(file: IO[bytes]) -> bytes:
    """Read from the current position to the end, then put a seekable file back where it was.

    So the same object can be passed twice; a stream that cannot seek stays at its end.
    """
    hint = "Pass a readable file opened in binary mode, for example open(path, 'rb')."
    try:
        start = file.tell() if file.seekable() else None
    except Exception:  # noqa: BLE001  # a foreign object may raise anything; it then counts as a plain stream
        start = None
    parts: list[bytes] = []
    size = 0
    try:
        while size <= MAX_SOURCE_BYTES:
            part: object = file.read(_CHUNK)
            if not isinstance(part, (bytes, bytearray, memoryview)):
                kind = "text" if isinstance(part, str) else f"{type(part).__name__} objects"
                msg = f"it gives {kind}, not bytes"
                raise TypeError(msg)  # noqa: TRY301  # joins the errors that the object itself raises
            if not part:
                break
            parts.append(bytes(part))
            size += len(parts[-1])
    except Exception as error:
        msg = f"the file object cannot be read: {reason(error)}"
        raise ImageError(msg, hint=hint) from error
    finally:
        if start is not None:
            with contextlib.suppress(Exception):
                file.seek(start)
    return b"".join(parts)


def _from_data_uri(uri: str) -> bytes:
    header, comma, payload = uri.partition(",")
    if not comma:
        msg = "the data URI has no comma, so no data"
        raise ImageError(
            msg,
            hint="Write it as data:image/png;base64,... or pass the bytes.",
        )
    if len(payload) > 2 * MAX_SOURCE_BYTES:
        return _within_limit(payload.encode("ascii", "replace"))
    try:
        if not header.lower().endswith(";base64"):
            return unquote_to_bytes(payload)
        compact = "".join(unquote(payload).split())
        # Padding is optional in practice, and its absence is not ambiguous.
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        msg = f"the data URI does not hold valid base64: {reason(error)}"
        raise ImageError(
            msg,
            hint="Encode the file with base64.b64encode, or pass the bytes themselves.",
        ) from error


def reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return _shorten(str(text), quote=False)


def _shorten(text: str, *, quote: bool = True, limit: int = 120) -> str:
    """Make text from outside safe to print: one line, printable, of bounded length."""
    if len(text) > limit:
        text = text[: limit - 3] + "..."
    return ascii(text) if not text.isprintable() else f"'{text}'" if quote else text
