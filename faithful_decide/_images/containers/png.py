"""Walks through a PNG: keeps its pixels and what they need, drops texts and profiles."""

from __future__ import annotations

import re
import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

from faithful_decide._images.containers import MAX_PIECES, Picture, refuse_excess

if TYPE_CHECKING:
    from collections.abc import Iterator

_KIND = re.compile(rb"\w{4}")
_NEEDED = frozenset({b"IHDR", b"PLTE", b"tRNS", b"acTL", b"fcTL"})
_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_ORIENTATION = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0")  # texts that may say it

# Bytes of one text or profile when it is unpacked, and of all: Pillow refuses more of one, and so
# does every server that reads its pictures with Pillow.
_UNPACKED = 2**20
_UNPACKED_ALL = 2**24
LEFT_OUT = "metadata that unpacks to more than 1 MiB is left out"


class _Chunk(NamedTuple):
    kind: bytes
    start: int
    end: int
    body: bytes | memoryview


def walk_png(data: bytes) -> Picture:
    """Keep what decodes, and count the chunks; EXIF that comes behind the pixels moves in front."""
    parts = [data[:8]]
    exif = end = b""
    first = stop = 0  # of the pixels
    unpacked = 0
    for kind, start, following, body in _chunks(data):
        whole = slice(start, following)
        if kind == b"IDAT":
            first = first or start
            stop = following if start in {first, stop} else stop
        elif kind == b"eXIf":
            exif = exif or (data[whole] if len(body) <= _UNPACKED else b"")
        elif kind == b"iCCP" or kind in _TEXTS:
            length = _unpacked(kind, bytes(body)) if unpacked <= _UNPACKED_ALL else 0
            unpacked += length if length <= _UNPACKED else 2 * _UNPACKED_ALL
            orients = kind in _TEXTS and data.startswith(_ORIENTATION, start + 8)
            if orients and not first and max(len(body), length) <= _UNPACKED:
                parts.append(data[whole])
        elif kind in _NEEDED and not first:
            parts.append(data[whole])
        elif kind == b"IEND" or not _KIND.fullmatch(kind):
            end = data[whole][:12]  # or the damage that Pillow is to stumble over
            break
    notes = (LEFT_OUT,) if unpacked > _UNPACKED_ALL else ()
    return Picture(b"".join((*parts, exif, data[first:stop], end)), notes=notes)


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """Yield all chunks, the last one perhaps cut short."""
    view = memoryview(data)
    at = 8
    for _ in range(MAX_PIECES):
        if at + 8 > len(data):
            return
        size, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + size
        yield _Chunk(kind, at, end, view[at + 8 : end - 4])
        at = end
    refuse_excess(f"holds more than {MAX_PIECES} chunks")


def _unpacked(kind: bytes, body: bytes) -> int:
    """Return how long a compressed text or profile is, or that it is longer than allowed."""
    _, _, rest = body.partition(b"\0")
    packed = rest[1:]  # behind the method
    if kind == b"iTXt":
        packed = rest[2:].split(b"\0", 2)[-1] if rest[:1] == b"\1" else b""
    if kind == b"tEXt" or not packed:
        return 0
    try:
        return len(zlib.decompressobj().decompress(packed, _UNPACKED + 1))
    except zlib.error:
        return 0
