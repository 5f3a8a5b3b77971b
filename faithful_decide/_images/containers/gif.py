"""Walks through a GIF: keeps its first picture, drops comments and later frames."""

from __future__ import annotations

import re

from faithful_decide._images.containers import MAX_PIECES, Picture, refuse_excess

_BLOCK = re.compile(rb"[!,;]")
_CONTROL = b"!\xf9"  # the extension that names the transparent colour
_MAX_BLOCKS = 4 * MAX_PIECES  # of at most 255 bytes each, so that a large picture has many


def walk_gif(data: bytes) -> Picture:
    """Keep the colours, the first picture and what controls it; look whether another follows."""
    at = 13 + _table(data[10:11])
    parts = [data[:at]]
    pictured = False
    blocks = 0
    while (mark := _BLOCK.search(data, at)) is not None:
        start, kind = mark.start(), mark[0]
        if kind == b";" or (kind == b"," and pictured):
            return Picture(b"".join((*parts, b";")), several=kind == b",")
        is_picture = kind == b","
        blocks += 1
        at = start + (11 + _table(data[start + 9 : start + 10]) if is_picture else 2)
        while at < len(data) and data[at] and blocks <= _MAX_BLOCKS:
            at += 1 + data[at]
            blocks += 1
        if blocks > _MAX_BLOCKS:
            refuse_excess(f"holds more than {_MAX_BLOCKS} blocks")
        at += 1
        if is_picture or (not pictured and data.startswith(_CONTROL, start)):
            parts.append(data[start:at])
        pictured = pictured or is_picture
    return Picture(b"".join(parts))


def _table(flags: bytes) -> int:
    """Return the bytes of the table of colours that the flags announce."""
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 0x80 else 0
