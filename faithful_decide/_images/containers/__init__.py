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
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from faithful_decide.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_PIECES", "Picture", "picture_in", "refuse_excess"]

MAX_PIECES = 100_000
"""The most chunks or blocks that a file may be made of."""

_KINDS = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"II", "tiff"),
    (b"MM", "tiff"),
)
"""How a format begins, and the module that walks through it, which is loaded when one is met."""


class Picture(NamedTuple):
    """What Pillow gets to see of a file, and what it cannot see any more."""

    data: bytes
    several: bool = False
    notes: tuple[str, ...] = ()


def picture_in(data: bytes) -> Picture:
    """Find the first picture of a file, and refuse what would take out of all proportion long.

    Of a damaged file as much is left as Pillow needs to find the damage; what is in none of these
    formats is left as it is.
    """
    for start, kind in _KINDS:
        if data.startswith(start):
            # Cut short, or pointing nowhere; Pillow says where.
            with suppress(struct.error, OverflowError):
                return _walk(kind)(data)
            break
    return Picture(data)


def refuse_excess(what: str) -> NoReturn:
    """Refuse a picture that is out of all proportion."""
    msg = f"the image {what}, as no ordinary one does"
    raise ImageError(
        msg, hint="open it in an image program and save it again as an ordinary PNG or JPEG"
    )


@lru_cache
def _walk(kind: str) -> Callable[[bytes], Picture]:
    walk: Callable[[bytes], Picture] = getattr(import_module(f"{__name__}.{kind}"), f"walk_{kind}")
    return walk
