"""Pictures that may stand in a page: a data URI that holds a picture, small enough.

Whatever else is offered as a picture (an address, a drawing that can carry scripts, a text that
ends the attribute it stands in) is left out, and the page says so.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import ImageLimits, prepare
from faithful_decide.errors import FaithfulDecideError

if TYPE_CHECKING:
    from faithful_decide._images.load import ImageSource, SourceImage

__all__ = ["embeddable", "thumbnail"]

_URI = re.compile(r"data:image/(avif|bmp|gif|jpeg|png|webp);base64,[A-Za-z0-9+/]+={0,2}")
_MOST = 3000
"""Bytes of a thumbnail: five hundred of them, in base64, are two megabytes."""


def embeddable(uri: str, *, side: int, most: int) -> str:
    """Let a picture into the page as a data URI, scaled down to `side` if it is longer than `most`.

    Nothing comes back where the text is no data URI of the raster picture that it says it is.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        return ""
    try:
        image = load_image(uri)
        if image.kind.lower() != match[1]:
            return ""
        # Base64 takes four letters for three bytes.
        return uri if len(uri) <= most else thumbnail(image, side=side, most=most // 4 * 3 - 64)
    except FaithfulDecideError:
        return ""


def thumbnail(source: ImageSource | SourceImage, *, side: int = 112, most: int = _MOST) -> str:
    """Make a small picture for a page: a JPEG as a data URI, of at most so many bytes before."""
    limits = ImageLimits(media_types=frozenset({"image/jpeg"}), max_side=side, max_bytes=most)
    return prepare(load_image(source), limits).data_uri()
