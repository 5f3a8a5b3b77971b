"""Prepares an image for one backend: the bytes that are sent, within its limits.

One image serves many calls, so it is prepared once and shared by every question about it. An image
that already fits is **passed through byte for byte**: what the model sees is the file itself, and
the same file always gives the same request. It fits if its format is allowed, its sides and bytes
are within the limits, and every decoder would show the same picture: no EXIF rotation, one frame,
no transparency, grey, palette or RGB. Bytes passed through keep their metadata (EXIF, which may
name a place; a colour profile); re-encoded ones lose it, and the profile is ignored, not applied.

The letterbox here is part of the embedded model: it was trained on exactly these pixels, so a
change of the filter or of the rounding is a change of the model.
"""

from __future__ import annotations

import hashlib
import io
import zlib
from base64 import b64encode
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from faithful_decide._images import decode
from faithful_decide._images.decode import (
    FIRST_SIDEWAYS,
    flatten,
    open_image,
    pillow_errors,
    turned,
)
from faithful_decide._images.load import from_rgb
from faithful_decide.errors import ImageError, UsageError

if TYPE_CHECKING:
    from PIL import Image

    from faithful_decide._images.load import SourceImage

__all__ = ["ImageLimits", "PreparedImage", "grey", "letterbox", "prepare"]

_GREY = (127, 127, 127)
# Below this many pixels PNG is small enough to send, and a decode cheap enough to check everything.
_SMALL = 512 * 512
MAX_JPEG_SIDE = 65_500
"""The longest side that the JPEG encoder takes."""

PAD_COLOUR = (122, 116, 104)
"""The colour beside a letterboxed image: the mean of natural photographs."""

# Scaling down starts with a cheap step (decode at a fraction, average blocks) that leaves at least
# this many source pixels per pixel, each way, for the exact step: nothing visible is lost at 3, and
# on photographs little at 1.5, for half the time.
_FINE_GAP = 3.0
_COARSE_GAP = 1.5


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What a backend accepts.

    Args:
        media_types: What it decodes; at least one of image/png and image/jpeg, which we write.
        max_side: The longest side in pixels, or None for no limit.
        max_bytes: The most encoded bytes (base64 adds a third to them), or None for no limit.
        square: If set, the image is letterboxed to this size instead, as PNG, and `max_side` is
            ignored.

    Raises:
        UsageError: The limits leave nothing that could be sent.
    """

    media_types: frozenset[str] = frozenset({"image/jpeg", "image/png", "image/webp"})
    max_side: int | None = 1024
    max_bytes: int | None = 4 * 2**20
    square: int | None = None

    def __post_init__(self) -> None:
        """Refuse limits that no image can meet."""
        written = {"image/png"} if self.square is not None else {"image/png", "image/jpeg"}
        if not written & self.media_types:
            msg = f"image limits without {' or '.join(sorted(written))} cannot be met"
            raise UsageError(
                msg,
                hint="Add one of them to media_types.",
            )
        for name in ("max_side", "max_bytes", "square"):
            value = getattr(self, name)
            if value is not None and value < 1:
                msg = f"image limit {name}={value} cannot be met"
                raise UsageError(msg, hint="Give at least 1, or None.")


@dataclass(frozen=True, slots=True, repr=False)
class PreparedImage:
    """An image as it is sent: encoded, within the limits of one backend, and never changed again.

    Args:
        data: The encoded bytes.
        media_type: What they are, such as "image/png".
        width: Width of the encoded image in pixels.
        height: Height of the encoded image in pixels.
        source_sha256: Identity of what the caller passed: the hash of its bytes or RGB pixels.
        notes: What was done to the picture on the way, in words.
    """

    data: bytes
    media_type: str
    width: int
    height: int
    source_sha256: str
    notes: tuple[str, ...] = ()
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        """Hash the data, so that the hash cannot disagree with it."""
        object.__setattr__(self, "sha256", hashlib.sha256(self.data).hexdigest())

    def __repr__(self) -> str:
        """Describe the image without its bytes."""
        return (
            f"PreparedImage({self.media_type}, {self.width}x{self.height}, {len(self.data)} bytes, "
            f"sha256={self.sha256[:12]}...)"
        )

    def data_uri(self) -> str:
        """Return the image as a data URI, the form in which most servers take it."""
        return f"data:{self.media_type};base64,{b64encode(self.data).decode('ascii')}"


def prepare(image: SourceImage, limits: ImageLimits | None = None) -> PreparedImage:
    """Make an image fit a backend, once.

    Args:
        image: What `load_image` returned.
        limits: What the backend accepts; the defaults of `ImageLimits` if left out.

    Returns:
        The bytes to send. They are the caller's own bytes if those fit already (see the top of this
        module); otherwise the picture is resized at most once and encoded as JPEG if it was a JPEG
        or is large, as PNG if not.

    Raises:
        ImageError: The image is damaged behind its header, or cannot be made to fit.
    """
    limits = limits or ImageLimits()
    content = image.content
    if isinstance(content, bytes) and _fits(image, len(content), limits):
        _check_intact(image.kind, content, image.width * image.height)
        media_type = decode.MEDIA_TYPES[image.kind]
        return PreparedImage(content, media_type, image.width, image.height, image.sha256)
    displayed = size = (image.width, image.height)
    side = limits.square or limits.max_side
    if side is not None and (limits.square or max(size) > side):
        size = scaled_size(size, side)
    picture = render(content, image.orientation, size, fine=limits.square is not None)
    if limits.square is not None:
        picture = pad(picture, limits.square)
    data, media_type, final = _encode(picture, limits, was_jpeg=image.kind == "JPEG")
    if final != picture.size:  # smaller still, to fit into max_bytes
        size = final
    notes = image.notes
    if size != displayed:
        notes += (f"resized from {image.width}x{image.height} to {size[0]}x{size[1]}",)
    return PreparedImage(data, media_type, *final, image.sha256, notes)


def grey(like: PreparedImage, limits: ImageLimits | None = None) -> PreparedImage:
    """Make a picture that shows nothing, of the size of another.

    Args:
        like: The other picture.
        limits: What the backend accepts.

    Returns:
        A plain grey picture, as it is sent.
    """
    return _plain(like.width, like.height, limits)


@lru_cache(maxsize=8)
def _plain(width: int, height: int, limits: ImageLimits | None) -> PreparedImage:
    # Kept, because pictures of a data set are often of one size, and this is encoded anew for each.
    from PIL import Image  # noqa: PLC0415 - heavy

    return prepare(from_rgb(Image.new("RGB", (width, height), _GREY), ()), limits)


def _fits(image: SourceImage, size: int, limits: ImageLimits) -> bool:
    """Whether the caller's own bytes can be sent: nothing to note means nothing to do."""
    if image.notes or (limits.max_bytes is not None and size > limits.max_bytes):
        return False
    if limits.square is not None:
        return image.kind == "PNG" and image.width == image.height == limits.square
    longest = max(image.width, image.height)
    return decode.MEDIA_TYPES[image.kind] in limits.media_types and (
        limits.max_side is None or longest <= limits.max_side
    )


def _check_intact(kind: str, data: bytes, pixels: int) -> None:
    """Raise if the data to be passed through is cut short or cannot be decoded.

    Decoding a photograph only to look whether it can be decoded would cost more than all the rest,
    so a large one is decoded only if it does not visibly run to its proper end.
    """
    if pixels <= _SMALL or not _runs_to_its_end(kind, data):
        with pillow_errors():
            open_image(data).load()


def _runs_to_its_end(kind: str, data: bytes) -> bool:
    if kind == "JPEG":
        return b"\xff\xd9" in data[-64:]
    if kind == "WEBP":
        return int.from_bytes(data[4:8], "little") + 8 <= len(data)
    if kind != "PNG":
        return False
    at = 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        body = memoryview(data)[at + 4 : end]  # the kind of the chunk, and what is in it
        if zlib.crc32(body) != int.from_bytes(data[end : end + 4], "big"):
            return False
        if data[at + 4 : at + 8] == b"IEND":
            return True
        at = end + 4
    return False


def _encode(
    picture: Image.Image, limits: ImageLimits, *, was_jpeg: bool
) -> tuple[bytes, str, tuple[int, int]]:
    """Encode within `max_bytes`: first the best form, then coarser, then smaller ones."""
    while True:
        for media_type, quality in _ways(picture.size, limits, was_jpeg=was_jpeg):
            data = encode(picture, media_type, quality)
            if limits.max_bytes is None or len(data) <= limits.max_bytes:
                return data, media_type, picture.size
        if limits.square is not None or max(picture.size) == 1:
            msg = f"the image cannot be encoded in {limits.max_bytes} bytes"
            raise ImageError(msg, hint="Raise max_bytes in the limits of the backend.")
        picture = picture.reduce(2)


def _ways(size: tuple[int, int], limits: ImageLimits, *, was_jpeg: bool) -> list[tuple[str, int]]:
    """How a picture may be encoded, as media types and qualities, the best first."""
    jpeg = limits.square is None and "image/jpeg" in limits.media_types
    jpeg = jpeg and max(size) <= MAX_JPEG_SIDE
    small = size[0] * size[1] <= _SMALL
    ways: list[tuple[str, int]] = []
    if "image/png" in limits.media_types and (not jpeg or (small and not was_jpeg)):
        ways.append(("image/png", 0))
    if jpeg:
        ways += [("image/jpeg", quality) for quality in (90, 75, 50)]
    return ways


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
        return turned(image, orientation)


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
