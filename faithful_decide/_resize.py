"""From RGB pixels to what is sent: scale, turn, pad, encode.

The letterbox here is part of the embedded model: it was trained on exactly these pixels, so a
change of the filter or of the rounding is a change of the model.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from faithful_decide._pixels import FIRST_SIDEWAYS, flatten, open_image, pillow_errors

if TYPE_CHECKING:
    from PIL import Image

MAX_JPEG_SIDE = 65_500
"""The longest side that the JPEG encoder takes."""

PAD_COLOUR = (122, 116, 104)
"""The colour beside a letterboxed image: the mean of natural photographs."""

# Scaling down starts with a cheap step (decode at a fraction, average blocks) that leaves at least
# this many source pixels per pixel, each way, for the exact step: nothing visible is lost at 3, and
# on photographs little at 1.5, for half the time.
_FINE_GAP = 3.0
_COARSE_GAP = 1.5


def scaled_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return `size` scaled so that its long side is `side`, at least 1 pixel each way."""
    width, height = size
    longest = max(width, height)
    return max(1, round(width * side / longest)), max(1, round(height * side / longest))


def render(
    source: bytes | Image.Image, orientation: int, size: tuple[int, int], *, fine: bool
) -> Image.Image:
    """Decode, flatten, scale and turn, at the least cost that does not show.

    Args:
        source: Encoded bytes, or an image.
        orientation: The EXIF orientation to apply, 1 for none.
        size: Width and height wanted, as displayed.
        fine: Leave more to the exact last step, as `letterbox` does.

    Returns:
        An RGB image of exactly `size`.

    Raises:
        ImageError: The image cannot be decoded or converted.
    """
    from PIL import Image  # noqa: PLC0415 - Pillow is loaded on use

    gap = _FINE_GAP if fine else _COARSE_GAP
    width, height = size if orientation < FIRST_SIDEWAYS else size[::-1]
    box = None
    if isinstance(source, bytes):
        image = open_image(source)
        with pillow_errors():
            # A JPEG can be decoded at 1/2, 1/4 or 1/8 of its size, which is where most time goes.
            drafted = image.draft(None, (int(width * gap), int(height * gap)))
            box = drafted[1] if drafted else None
            image.load()
    else:
        image = source
    image = flatten(image)
    with pillow_errors("the image cannot be scaled"):
        if image.size != (width, height):
            image = image.resize(
                (width, height), Image.Resampling.BICUBIC, box=box, reducing_gap=gap
            )
        turn = {
            2: Image.Transpose.FLIP_LEFT_RIGHT,
            3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM,
            5: Image.Transpose.TRANSPOSE,
            6: Image.Transpose.ROTATE_270,
            7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_90,
        }.get(orientation)
        return image if turn is None else image.transpose(turn)


def pad(image: Image.Image, size: int) -> Image.Image:
    """Centre an RGB image on a square of `PAD_COLOUR`; a square image is returned as it is."""
    from PIL import Image  # noqa: PLC0415 - Pillow is loaded on use

    if image.size == (size, size):
        return image
    square = Image.new("RGB", (size, size), PAD_COLOUR)
    square.paste(image, ((size - image.width) // 2, (size - image.height) // 2))
    return square


def letterbox(image: Image.Image, size: int) -> Image.Image:
    """Fit an image into a square without distorting it, exactly as the embedded model sees it.

    The long side becomes `size`; the short side keeps the aspect, rounded, at least one pixel. The
    picture is centred (an odd pixel goes right or below) and the rest filled with `PAD_COLOUR`. An
    RGB image of exactly that size comes back with the pixels it had.

    Args:
        image: A Pillow image of any mode, shown as it is: an EXIF orientation is not applied.
        size: The side of the square in pixels.

    Returns:
        An RGB image of `size` x `size` pixels.

    Raises:
        ImageError: The image cannot be decoded or converted.
    """
    return pad(render(image, 1, scaled_size(image.size, size), fine=True), size)


def encode(image: Image.Image, media_type: str, quality: int = 90) -> bytes:
    """Encode an RGB image as PNG or JPEG.

    Args:
        image: The image.
        media_type: "image/png" or "image/jpeg".
        quality: For JPEG only. Colour is kept at full resolution, or small text would smear.

    Returns:
        The encoded bytes, without metadata.

    Raises:
        ImageError: The encoder failed.
    """
    buffer = io.BytesIO()
    with pillow_errors("the image cannot be encoded"):
        # A copy, because Pillow keeps the state of its encoder on the image, where threads would
        # meet; without info, from which it would write the old profile and comments.
        image = image.copy()
        image.info = {}
        if media_type == "image/png":
            image.save(buffer, "PNG", compress_level=1)
        else:
            image.save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()
