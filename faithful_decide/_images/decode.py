"""Decodes: from encoded bytes to RGB pixels, with none of Pillow's many exceptions.

Pillow is loaded inside functions, because importing the library must stay cheap, and its global
settings (pixel limit, truncated files, warnings) are never touched, because they belong to the
program around us. Pillow reports a bad file with whatever its decoder happened to trip over:
OSError, ValueError, SyntaxError, struct.error, MemoryError and more. None of them gets out of here;
`pillow_errors` turns each into an `ImageError` with a hint.
"""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from faithful_decide._images.source import reason
from faithful_decide.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from PIL import Image

MAX_PIXELS = 64_000_000
"""The most pixels an image may have by its header; beyond it nothing is decoded."""

MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "AVIF": "image/avif",
}
"""The formats that are decoded at all."""

_FORMATS = tuple(MEDIA_TYPES)
_RESAVE = "Open it in an image program and save it again as an ordinary PNG or JPEG."
_EXIF_ORIENTATION = 0x0112
FIRST_SIDEWAYS = 5
"""EXIF orientations from here on swap width and height."""

_SIXTEEN_BIT = 65_535
_GREY, _COLOUR = 2, 3  # dimensions of an array
_CHANNELS = {1: "L", 3: "RGB", 4: "RGBA"}
_DEEP_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")

# What a file is when it is none of the above, by its first bytes: the usual confusions.
_LOOKALIKES = (
    (b"%PDF", "a PDF document", "Export the page you mean as PNG."),
    (b"<svg", "an SVG drawing", "Export it as PNG."),
    (b"<?xml", "an XML document, perhaps an SVG drawing", "Export it as PNG."),
    (b"<!doctype", "a web page", "Pass the image itself, not the page that shows it."),
    (b"<html", "a web page", "Pass the image itself, not the page that shows it."),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image", "Save it as PNG or JPEG."),
    (b"8BPS", "a Photoshop document", "Export it as PNG."),
    (b"version https://git-lfs", "a Git LFS pointer", "Fetch the real file with: git lfs pull"),
)


@contextmanager
def pillow_errors(what: str = "the image cannot be decoded") -> Iterator[None]:
    """Turn whatever Pillow raises inside into an `ImageError`.

    Args:
        what: The first half of the message.

    Yields:
        Nothing.

    Raises:
        ImageError: Something was raised inside.
    """
    try:
        yield
    except ImageError:
        raise
    except MemoryError as error:
        msg = f"{what}: not enough memory"
        raise ImageError(msg, hint="Pass a smaller copy of the image.") from error
    except Exception as error:
        why = reason(error)
        cut = "truncated" in why.lower() or "eof" in why.lower()
        msg = f"{what}: {why}"
        hint = "The file is cut short: copy or download it again." if cut else _RESAVE
        raise ImageError(msg, hint=hint) from error


def open_image(data: bytes) -> Image.Image:
    """Open encoded bytes and check the header; nothing is decoded yet.

    Args:
        data: The encoded image.

    Returns:
        A lazy Pillow image.

    Raises:
        ImageError: Not one of the supported formats, a damaged header, or too many pixels.
    """
    with pillow_errors("the header of the image cannot be read"):
        from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - Pillow is loaded on use

        try:
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
        except UnidentifiedImageError:
            raise _unrecognised(data) from None
        except Image.DecompressionBombError:
            msg = "the image"
            raise _too_large(msg) from None
    check_size(image.size)
    return image


def check_size(size: tuple[int, int]) -> None:
    """Refuse a picture with too many pixels, or none, before anything is decoded.

    Args:
        size: Width and height by the header.

    Raises:
        ImageError: The size is out of bounds.
    """
    width, height = size
    if width < 1 or height < 1:
        msg = f"the image has no pixels ({width}x{height})"
        raise ImageError(msg, hint="Check how the image was made; it needs at least one pixel.")
    if width * height > MAX_PIXELS:
        msg_0 = f"the image ({width}x{height})"
        raise _too_large(msg_0)


def _too_large(what: str) -> ImageError:
    return ImageError(
        f"{what} has more than {MAX_PIXELS // 10**6} megapixels",
        hint="Scale it down, or crop the part the question is about.",
    )


def _unrecognised(data: bytes) -> ImageError:
    start = data[:256].lstrip().lower()
    for magic, what, hint in _LOOKALIKES:
        if start.startswith(magic.lower()) or data.startswith(magic):
            return ImageError(f"this is {what}, not an image in a supported format", hint=hint)
    if data[4:8] == b"ftyp" and data[8:11] in {b"hei", b"hev", b"mif"}:
        return ImageError("this is a HEIC image", hint="Save it as JPEG; HEIC is not decoded here.")
    return ImageError(
        "the data is not an image in a supported format, or its header is damaged",
        hint=f"Supported are {', '.join(_FORMATS)}; the content counts, not the file name.",
    )


def orientation_of(image: Image.Image, data: bytes = b"") -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none or it makes no sense.

    Args:
        image: The image.
        data: Its encoded bytes, if it was just opened from some.

    Returns:
        The orientation still to be applied.
    """
    from PIL import Image  # noqa: PLC0415 - Pillow is loaded on use

    # A PNG may carry EXIF after its pixels, so Pillow decodes all of it to look. Only do that
    # where the chunk exists.
    lazily = image.format == "PNG" and b"eXIf" not in data
    try:
        exif = Image.Image.getexif(image) if lazily else image.getexif()
        value = exif.get(_EXIF_ORIENTATION, 1)
    except Exception:  # noqa: BLE001  # broken metadata is no reason to refuse a good picture
        return 1
    return value if value in range(1, 9) else 1


def is_animated(image: Image.Image) -> bool:
    """Whether the image holds more than one frame or page.

    The second picture of a phone's multi-picture JPEG is not a frame: other decoders ignore it too.
    """
    if image.format == "MPO":
        return False
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # noqa: BLE001  # a damaged second frame; the first can still be good
        return True


def flatten(image: Image.Image) -> Image.Image:
    """Return the picture as RGB: transparency on white, 16 bits scaled to 8.

    Args:
        image: An image of any mode; not changed.

    Returns:
        An RGB image, the same object if it is RGB already.

    Raises:
        ImageError: The mode does not say which value is white, or cannot be converted.
    """
    from PIL import Image  # noqa: PLC0415 - Pillow is loaded on use

    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    with pillow_errors(f"a picture in mode {image.mode} cannot be converted to RGB"):
        if image.mode in _DEEP_MODES or image.mode == "F":
            return _eight_bit(image).convert("RGB")
        if image.mode == "La":
            image = image.convert("LA")
        if not image.has_transparency_data:
            return image.convert("RGB")
        layers = Image.new("RGBA", image.size, "white")
        layers.alpha_composite(image.convert("RGBA"))
        return layers.convert("RGB")


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """Turn a picture upright by its EXIF orientation, 1 to 8."""
    from PIL import Image  # noqa: PLC0415 - Pillow is loaded on use

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


def _eight_bit(image: Image.Image) -> Image.Image:
    """Scale 0..65535 to 0..255; plain conversion would clip everything above 255 to white."""
    if image.mode == "F":
        low, high = -1.0, -1.0
    else:
        image = image.convert("I")
        low, high = image.getextrema()  # type: ignore[assignment]  # one band, so one pair
    if low < 0 or high > _SIXTEEN_BIT:
        msg = f"mode {image.mode} does not say which of its values is white"
        raise ImageError(msg, hint="Scale the values to 0..255 and pass an 8-bit image.")
    # Conversion to L cuts off the fraction, so half is added to round.
    return image.convert("F").point(lambda value: value * (1 / 257) + 0.5).convert("L")


def from_array(array: np.ndarray[Any, np.dtype[Any]]) -> Image.Image:
    """Turn a numpy array into a Pillow image, refusing what could be meant in two ways.

    Args:
        array: A `numpy.ndarray`.

    Returns:
        An image in mode L, RGB or RGBA.

    Raises:
        ImageError: Another dtype than uint8, or another shape than (height, width[, 1, 3 or 4]).
    """
    from PIL import Image  # noqa: PLC0415 - Pillow is loaded on use

    shape, dtype = tuple(array.shape), str(array.dtype)
    if dtype != "uint8":
        how = "(255 * array).round()" if dtype.startswith("float") else "the array"
        msg = f"an array of dtype {dtype} does not say which value is white"
        raise ImageError(
            msg,
            hint=f"Scale the values to 0..255 and pass uint8: {how} with .astype('uint8').",
        )
    mode = "L" if array.ndim == _GREY else _CHANNELS.get(shape[-1]) if shape else None
    if mode is None or array.ndim not in {_GREY, _COLOUR}:
        hint = "Pass shape (height, width) or (height, width, channels) with 1, 3 or 4 channels."
        if array.ndim == _COLOUR and shape[0] in _CHANNELS:
            hint = "Channels come last: pass array.transpose(1, 2, 0)."
        elif array.ndim > _COLOUR:
            hint = "Pass one image at a time, such as array[0]."
        msg = f"an array of shape {shape} is not an image"
        raise ImageError(msg, hint=hint)
    size = (shape[1], shape[0])
    check_size(size)
    with pillow_errors("the array cannot be read"):
        return Image.frombytes(mode, size, array.tobytes())
