"""Decodes: from encoded bytes to RGB pixels, with none of Pillow's many exceptions.

Pillow is loaded inside functions, because importing the library must stay cheap, and its global
settings (pixel limit, truncated files, warnings) are never touched, because they belong to the
program around us. Pillow reports a bad file with whatever its decoder happened to trip over:
OSError, ValueError, SyntaxError, struct.error, MemoryError and more. None of them gets out of here;
`pillow` turns each into an `ImageError` with a hint.
"""

from __future__ import annotations

import io
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, NoReturn

from faithful_decide._images.quiet import quiet, quiet_libtiff
from faithful_decide._images.source import reason
from faithful_decide.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from PIL import Image

    from faithful_decide._images.containers import Picture

MAX_PIXELS = 64_000_000
"""The most pixels of a JPEG, which decodes at a fraction, and of what is decoded already."""

MAX_PIXELS_IN_FULL = 25_000_000
"""The most pixels of a picture in a format that has to be decoded in full."""

MAX_SIDE = 100_000
"""The longest side in pixels; a row costs memory even if it is one pixel wide."""

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
_RESAVE = "open it in an image program and save it again as an ordinary PNG or JPEG"
_EXIF_ORIENTATION = 0x0112
_MAX_EXIF = 2**20  # bytes
FIRST_SIDEWAYS = 5
"""EXIF orientations from here on swap width and height."""

_SIXTEEN_BIT = 65_535
_GREY, _COLOUR = 2, 3  # dimensions of an array
_CHANNELS = {1: "L", 3: "RGB", 4: "RGBA"}
_DEEP_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")
_DIM = 31  # of 255: 13 bits stored in 16
_STRIP = 2**20
"""Pixels that are converted at a time."""


@contextmanager
def pillow(what: str = "the image cannot be decoded") -> Iterator[None]:
    """Turn whatever Pillow raises inside into an `ImageError`, and keep its warnings in."""
    try:
        with quiet():
            yield
    except ImageError:
        raise
    except MemoryError as error:
        msg = f"{what}: not enough memory"
        raise ImageError(msg, hint="pass a smaller copy of the image") from error
    except Exception as error:
        why = reason(error)
        cut = "truncated" in why.lower() or "eof" in why.lower()
        msg = f"{what}: {why}"
        hint = "the file is cut short: copy or download it again" if cut else _RESAVE
        raise ImageError(msg, hint=hint) from error


def open_image(data: bytes) -> tuple[Image.Image, Picture]:
    """Open encoded bytes and check the header; nothing is decoded yet.

    Also says what Pillow cannot know, because it never gets to see it.
    """
    from faithful_decide._images.containers import picture_in  # noqa: PLC0415 - only for files

    picture = picture_in(data)
    most = MAX_PIXELS if data.startswith(b"\xff\xd8") else MAX_PIXELS_IN_FULL
    with pillow("the header of the image cannot be read"):
        from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - Pillow is loaded on use

        try:
            image = Image.open(io.BytesIO(picture.data), formats=_FORMATS)
        except UnidentifiedImageError:
            from faithful_decide._images.lookalikes import not_a_picture  # noqa: PLC0415 - rare

            raise not_a_picture(data, ", ".join(_FORMATS)) from None
        except Image.DecompressionBombError:
            if (pillows_own := 2 * (Image.MAX_IMAGE_PIXELS or most)) < most:
                msg = f"the image has more than {pillows_own} pixels, which is Pillow's limit here"
                hint = "raise PIL.Image.MAX_IMAGE_PIXELS, or scale the image down"
                raise ImageError(msg, hint=hint) from None
            _refuse_size("the image", most)
    check_size(image.size, most)
    return image, picture


def load(image: Image.Image) -> None:
    """Decode what was opened, if it is not decoded yet."""
    with pillow(), quiet_libtiff() if image.format == "TIFF" else nullcontext():
        image.load()


def is_verified(data: bytes) -> bool:
    """Whether a PNG opens with all its metadata, and every checksum in it is right."""
    with suppress(ImageError), pillow():
        from PIL import Image  # noqa: PLC0415 - Pillow is loaded on use

        Image.open(io.BytesIO(data), formats=("PNG",)).verify()
        return True
    return False


def starts_well(data: bytes) -> bool:
    """Whether a JPEG is laid out as encoders do it, and its first rows can be decoded.

    Then all of it can: what a decoder stumbles over is in the tables and at the start of a scan.
    """
    from PIL import Image  # noqa: PLC0415 - Pillow is loaded on use

    from faithful_decide._images.containers.jpeg import first_rows  # noqa: PLC0415 - only for JPEG

    rows = first_rows(data)
    with suppress(ImageError), pillow():
        if rows is not None:
            Image.open(io.BytesIO(rows), formats=("JPEG",)).load()
            return True
    return False


def check_size(size: tuple[int, int], most: int = MAX_PIXELS) -> None:
    """Refuse a picture with too many pixels, or none, before anything is decoded."""
    width, height = size
    if width < 1 or height < 1:
        msg = f"the image has no pixels ({width}x{height})"
        raise ImageError(msg, hint="check how the image was made; it needs at least one pixel")
    if width * height > most:
        _refuse_size(f"the image ({width}x{height})", most)
    if max(size) > MAX_SIDE:
        msg = f"the image ({width}x{height}) has a side of more than {MAX_SIDE} pixels"
        raise ImageError(msg, hint="crop the part the question is about")


def _refuse_size(what: str, most: int) -> NoReturn:
    msg = f"{what} has more than {most // 10**6} megapixels"
    raise ImageError(msg, hint="scale it down, or crop the part the question is about")


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none or it makes no sense."""
    if len(image.info.get("exif") or b"") > _MAX_EXIF:
        return 1
    from PIL import Image  # noqa: PLC0415 - Pillow is loaded on use

    try:
        # Not the method of a PNG, which decodes all of it to look for EXIF behind the pixels; that
        # was moved in front of them.
        with quiet():
            value = Image.Image.getexif(image).get(_EXIF_ORIENTATION, 1)
    except Exception:  # noqa: BLE001  # broken metadata is no reason to refuse a good picture
        return 1
    return value if value in range(1, 9) else 1


def is_animated(image: Image.Image) -> bool:
    """Whether the image holds more than one frame or page."""
    try:
        with quiet():
            return bool(getattr(image, "is_animated", False))
    except Exception:  # noqa: BLE001  # a damaged second frame; the first can still be good
        return True


def strips(size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Cut a picture across its longer side, into boxes that take little memory each."""
    width, height = size
    if width > height:
        step = max(1, _STRIP // height)
        for left in range(0, width, step):
            yield left, 0, min(width, left + step), height
    else:
        step = max(1, _STRIP // width)
        for top in range(0, height, step):
            yield 0, top, width, min(height, top + step)


def flatten(image: Image.Image) -> Image.Image:
    """Return the picture as RGB: transparency on white, 16 bits scaled to 8.

    The image is not changed; one that is RGB already is returned itself.
    """
    from PIL import Image  # noqa: PLC0415 - Pillow is loaded on use

    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    with pillow(f"a picture in mode {image.mode} cannot be converted to RGB"):
        if image.width * image.height <= _STRIP:
            return _flattened(image)
        flat = Image.new("RGB", image.size)
        for box in strips(image.size):
            flat.paste(_flattened(image.crop(box)), box)
        return flat


def _flattened(image: Image.Image) -> Image.Image:
    from PIL import Image  # noqa: PLC0415 - Pillow is loaded on use

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
        raise ImageError(msg, hint="scale the values to 0..255 and pass an 8-bit image")
    # Conversion to L cuts off the fraction, so half is added to round.
    return image.convert("F").point(lambda value: value * (1 / 257) + 0.5).convert("L")


def dimness(mode: str, picture: Image.Image) -> tuple[str, ...]:
    """Say of a picture of more than 8 bits that it hardly uses them, as 12 bits stored in 16 do."""
    extremes: Any = picture.getchannel("R").getextrema()  # grey, so that one channel tells all
    brightest = extremes[1]
    if mode not in _DEEP_MODES or not 0 < brightest <= _DIM:
        return ()
    return (f"nearly black: its brightest value is {brightest} of 255",)


def from_array(array: np.ndarray[Any, np.dtype[Any]]) -> Image.Image:
    """Turn a numpy array into a Pillow image, refusing what could be meant in two ways."""
    from PIL import Image  # noqa: PLC0415 - Pillow is loaded on use

    shape, dtype = tuple(array.shape), str(array.dtype)
    if dtype != "uint8":
        how = "(255 * array).round()" if dtype.startswith("float") else "the array"
        msg = f"an array of dtype {dtype} does not say which value is white"
        raise ImageError(
            msg,
            hint=f"scale the values to 0..255 and pass uint8: {how} with .astype('uint8')",
        )
    mode = "L" if array.ndim == _GREY else _CHANNELS.get(shape[-1]) if shape else None
    if mode is None or array.ndim not in {_GREY, _COLOUR}:
        hint = "pass shape (height, width) or (height, width, channels) with 1, 3 or 4 channels"
        if array.ndim == _COLOUR and shape[0] in _CHANNELS:
            hint = "channels come last: pass array.transpose(1, 2, 0)"
        elif array.ndim > _COLOUR:
            hint = "pass one image at a time, such as array[0]"
        msg = f"an array of shape {shape} is not an image"
        raise ImageError(msg, hint=hint)
    size = (shape[1], shape[0])
    check_size(size)
    with pillow("the array cannot be read"):
        return Image.frombytes(mode, size, array.tobytes())
