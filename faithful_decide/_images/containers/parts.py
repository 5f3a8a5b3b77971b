"""What the walks through the containers share: their result, and how they refuse."""

from __future__ import annotations

from typing import NamedTuple, NoReturn

from faithful_decide.errors import ImageError

MAX_PIECES = 100_000
"""The most chunks or blocks that a file may be made of."""


class Picture(NamedTuple):
    """What Pillow gets to see of a file, and what it cannot see any more."""

    data: bytes
    several: bool = False
    notes: tuple[str, ...] = ()


def refuse_excess(what: str) -> NoReturn:
    """Refuse a picture that is out of all proportion."""
    msg = f"the image {what}, as no ordinary one does"
    raise ImageError(
        msg, hint="open it in an image program and save it again as an ordinary PNG or JPEG"
    )
