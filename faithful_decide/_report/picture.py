"""Pictures that may stand in a page: a data URI that holds a picture, small enough.

Whatever else is offered as a picture (an address, a drawing that can carry scripts, a text that
ends the attribute it stands in) is left out, and the page says so.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING

from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import ImageLimits, prepare
from faithful_decide.errors import FaithfulDecideError

if TYPE_CHECKING:
    from faithful_decide._images.load import ImageSource, SourceImage

__all__ = ["embeddable", "thumbnail"]

_URI = re.compile(r"data:image/(avif|bmp|gif|jpeg|png|webp);base64,([A-Za-z0-9+/]+={0,2})")
_BEGINS = {
    "avif": re.compile(rb".{4}ftypavi[fs]", re.DOTALL),
    "bmp": re.compile(rb"BM"),
    "gif": re.compile(rb"GIF8[79]a"),
    "jpeg": re.compile(rb"\xff\xd8\xff"),
    "png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "webp": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
}
_MOST = 3000
"""Bytes of a thumbnail: five hundred of them, in base64, are two megabytes."""


def embeddable(uri: str, *, side: int, most: int) -> str:
    """Let a picture into the page, or not.

    Args:
        uri: What is offered.
        side: To what long side to scale it down if it is too long a text.
        most: The longest data URI to let in as it is.

    Returns:
        A data URI of a raster picture, or nothing.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        return ""
    try:
        begins = base64.b64decode(match[2][:64], validate=True)
    except binascii.Error:
        return ""
    if not _BEGINS[match[1]].match(begins):
        return ""
    if len(uri) <= most:
        return uri
    try:
        # Base64 takes four letters for three bytes.
        return thumbnail(uri, side=side, most=most // 4 * 3 - 64)
    except FaithfulDecideError:
        return ""


def thumbnail(source: ImageSource | SourceImage, *, side: int = 112, most: int = _MOST) -> str:
    """Make a small picture for a page.

    Args:
        source: An image, as `load_image` takes it.
        side: Its longest side in pixels.
        most: The most bytes that it may have before they are written in base64.

    Returns:
        A data URI of a JPEG.

    Raises:
        ImageError: The image cannot be read.
    """
    limits = ImageLimits(media_types=frozenset({"image/jpeg"}), max_side=side, max_bytes=most)
    return prepare(load_image(source), limits).data_uri()
