"""Walks through a JPEG: keeps its tables and scans, drops what stands between them."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, NamedTuple

from faithful_decide._images.containers import Picture, refuse_excess

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # no escaped byte, no fill byte, no restart
_ALONE = frozenset({0x01, 0xD8, 0xD9})  # without a length
_END, _SCAN = 0xD9, 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BETWEEN = frozenset({_SCAN, 0xC4, 0xDB, 0xDD})  # what encoders write between scans
_SEQUENTIAL = frozenset({0xC0, 0xC1})
_TABLES = frozenset(range(0xC0, 0xE0)) - {0xC8}
_METADATA = frozenset({*range(0xE0, 0xF0), 0xFE})
# Of the metadata one each is kept: what decides about colours, and what says which way is up.
_KEPT = (b"JFIF\0", b"Adobe", b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0")
_FRAME = struct.Struct(">BHH")  # bits, height and width, in front of the colours

_ROW = 8  # pixels, of which a decoder makes a row of blocks
_ROW_BYTES = 2**14  # of each scan; a row that is longer is decoded as far as it goes

_MAX_SEGMENTS = 5000  # a profile of sixteen megabytes has 255
_MAX_TABLES = 64 * 2**10  # bytes; an ordinary file has less than one thousand
_MAX_SCANS = 100  # an ordinary progressive file has ten
_MAX_SCANNED = 2**30  # pixels, counted once for each scan
_FILL = b"\xff" * 2**12  # over which libjpeg starts again with every piece that Pillow feeds it
_MAX_MEMORY = 500 * 2**20  # bytes for all coefficients and pixels at once


class _Segment(NamedTuple):
    kind: int
    start: int
    body: int
    end: int


def walk_jpeg(data: bytes) -> Picture:
    """Keep what decodes up to the end mark, and count the segments and the scans."""
    parts: list[bytes | memoryview] = [data[:2]]
    wanted = list(_KEPT)
    frame = b""
    tables = 0
    segments = _segments(data)
    for kind, start, body, end in segments:
        if kind == _SCAN:
            parts.append(_scans(data, start, frame, segments))
            break
        if kind in _METADATA:
            prefix = next((kept for kept in wanted if data.startswith(kept, body)), None)
            if prefix is None:
                continue
            wanted.remove(prefix)
        elif kind in _TABLES - _ALONE:
            tables += end - start
            if tables > _MAX_TABLES:
                refuse_excess(f"holds more than {_MAX_TABLES // 2**10} KiB of tables")
            if kind in _FRAMES and end - body >= _FRAME.size:
                frame = data[body - 3 : end]
        parts.append(data[start:end])
    return Picture(b"".join(parts))


def first_rows(data: bytes) -> bytes | None:
    """The first row of blocks of the same picture, with all tables that it has.

    None if it does not run to its end mark as encoders write it: only a decoder can say what that
    means.
    """
    parts = [data[:2]]
    at, scanned = 2, False
    for kind, start, body, end in _segments(data):
        if scanned:
            parts.append(data[at : min(start, at + _ROW_BYTES)])
        at = end
        if kind in _FRAMES:
            height = int.from_bytes(data[body + 1 : body + 3], "big")
            lower = min(_ROW, height).to_bytes(2, "big")
            parts += data[start : body + 1], lower, data[body + 3 : end]
        elif kind not in _METADATA:
            parts.append(data[start:end])
        if kind == _END:
            return b"".join(parts) if scanned else None
        if scanned and kind not in _BETWEEN:
            return None
        scanned = scanned or kind == _SCAN
    return None


def _segments(data: bytes) -> Iterator[_Segment]:
    """Yield what starts with a marker, up to where the file ends or is damaged."""
    at = 2
    for number in range(_MAX_SEGMENTS + 1):
        mark = _MARKER.search(data, at)
        if mark is None:
            return
        if number == _MAX_SEGMENTS:
            refuse_excess(f"holds more than {_MAX_SEGMENTS} segments")
        kind, body, at = data[mark.end() - 1], mark.end() + 2, mark.end()
        if kind not in _ALONE:
            at += int.from_bytes(data[mark.end() : body], "big")
            if not body <= at <= len(data) or kind not in _TABLES | _METADATA:
                return
        yield _Segment(kind, mark.start(), body, at)


def _scans(data: bytes, start: int, frame: bytes, segments: Iterator[_Segment]) -> memoryview:
    """Return everything from the first scan to the end mark, and count the scans."""
    pixels, memory = _costs(frame)
    scans, stop = 1, len(data)
    for segment in segments:
        if segment.kind == _END:
            stop = segment.end
            break
        scans += segment.kind == _SCAN
        if scans > _MAX_SCANS or scans * pixels > _MAX_SCANNED:
            refuse_excess(f"holds {scans} scans or more")
    if memory > _MAX_MEMORY and (scans > 1 or frame[0] not in _SEQUENTIAL):
        refuse_excess("needs more memory than one that is not stored scan by scan")
    if data.find(_FILL, start, stop) >= 0:
        refuse_excess("holds kilobytes of fill bytes among its pixels")
    return memoryview(data)[start:stop]


def _costs(frame: bytes) -> tuple[int, int]:
    """Return the pixels, and the bytes of pixels and coefficients that are there at once."""
    if not frame:
        return 0, 0
    _, height, width = _FRAME.unpack_from(frame, 3)
    sampling = [divmod(byte, 16) for byte in frame[10::3]]
    across = max((h for h, _ in sampling), default=0) or 1
    down = max((v for _, v in sampling), default=0) or 1
    share = sum(h * v for h, v in sampling) / (across * down)
    return width * height, int(width * height * (4 + 2 * share))
