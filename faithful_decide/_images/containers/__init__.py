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
from contextlib import suppress
from importlib import import_module

from faithful_decide._images.containers.parts import Picture

__all__ = ["Picture", "picture_in"]

_WALKS = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"II", "tiff"),
    (b"MM", "tiff"),
)
"""How a format begins, and the module that walks through it, which is loaded when one is met."""


def picture_in(data: bytes) -> Picture:
    """Find the first picture of a file, and refuse what would take out of all proportion long.

    Of a damaged file as much is left as Pillow needs to find the damage; what is in none of these
    formats is left as it is.
    """
    for start, kind in _WALKS:
        if data.startswith(start):
            walk = getattr(import_module(f"{__name__}.{kind}"), f"walk_{kind}")
            with suppress(struct.error, OverflowError):
                picture: Picture = walk(data)
                return picture
            break  # cut short, or pointing nowhere; Pillow says where
    return Picture(data)
