"""Looks at the header of a BMP: Pillow unpacks run lengths pixel by pixel in Python."""

from __future__ import annotations

import struct

from faithful_decide._images.containers import Picture, refuse_excess

_RUN_LENGTHS = frozenset({1, 2})
_MAX_BYTES = 2 * 2**20
_MAX_PIXELS = 8_000_000


def walk_bmp(data: bytes) -> Picture:
    """Refuse a large picture that is stored as run lengths."""
    size, width, height, _, _, compression = struct.unpack_from("<IiiHHI", data, 14)
    large = len(data) > _MAX_BYTES or abs(width * height) > _MAX_PIXELS
    if size >= 40 and compression in _RUN_LENGTHS and large:  # noqa: PLR2004 - has the field
        refuse_excess("is a large BMP of run lengths")
    return Picture(data)
