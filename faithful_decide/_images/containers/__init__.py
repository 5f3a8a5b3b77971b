"""Walks through the container of a picture before Pillow does.

What a picture costs is not bounded by its pixels. A JPEG of a few hundred kilobytes can hold a
thousand scans, each of which goes over all pixels; a PNG can hold millions of empty chunks, or a
text that grows a thousandfold when it is unpacked; Pillow reads all that piece by piece in Python.
So the pieces are counted here, by their headers alone, and what no picture needs many of is
refused. Of a JPEG, a PNG and a GIF, Pillow then gets to see only what the first picture is made of:
comments, profiles, previews and later frames cost nothing, because they are never read.
"""

from __future__ import annotations

import struct

from faithful_decide._images.containers.bmp import walk_bmp
from faithful_decide._images.containers.gif import walk_gif
from faithful_decide._images.containers.jpeg import walk_jpeg
from faithful_decide._images.containers.parts import Picture
from faithful_decide._images.containers.png import walk_png
from faithful_decide._images.containers.tiff import walk_tiff

__all__ = ["Picture", "picture_in"]

_WALKS = (
    (b"\xff\xd8\xff", walk_jpeg),
    (b"\x89PNG\r\n\x1a\n", walk_png),
    (b"GIF8", walk_gif),
    (b"BM", walk_bmp),
    (b"II", walk_tiff),
    (b"MM", walk_tiff),
)


def picture_in(data: bytes) -> Picture:
    """Find the first picture of a file, and refuse what would take out of all proportion long.

    Of a damaged file as much is left as Pillow needs to find the damage; what is in none of these
    formats is left as it is.
    """
    for start, walk in _WALKS:
        if data.startswith(start):
            try:
                return walk(data)
            except (struct.error, OverflowError):
                break  # cut short, or pointing nowhere; Pillow says where
    return Picture(data)
