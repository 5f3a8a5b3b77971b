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
from base64 import b64encode
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from faithful_decide._images import decode
from faithful_decide._images.decode import FIRST_SIDEWAYS, flatten, pillow, turned
from faithful_decide._images.load import from_rgb
from faithful_decide._images.turns import PIXELS
from faithful_decide._nearest import hinting
from faithful_decide.errors import ImageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from PIL import Image

    from faithful_decide._images.load import SourceImage

__all__ = [
    "ImageLimits",
    "PreparedImage",
    "grey",
    "greyed",
    "letterbox",
    "padding",
    "prepare",
    "prepare_all",
    "scaled_size",
]

_GREY = (127, 127, 127)
# Below this many pixels PNG is small enough to send, and a decode cheap enough to check one with.
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


@hinting
@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What a backend accepts.

    Args:
        media_types: What it decodes; at least one of image/png and image/jpeg, which we write.
        max_side: The longest side in pixels, or None for no limit.
        min_side: The shortest side in pixels, for servers that fail below it, or None. A smaller
            picture is scaled up; one that would be too long then is padded.
        max_bytes: The most encoded bytes (base64 adds a third to them), or None for no limit.
        square: If set, the image is letterboxed to this size instead, as PNG, and `max_side` is
            ignored like `min_side`.

    Raises:
        UsageError: The limits leave nothing that could be sent.
    """

    media_types: frozenset[str] = frozenset({"image/jpeg", "image/png", "image/webp"})
    max_side: int | None = 1024
    max_bytes: int | None = 4 * 2**20
    square: int | None = None
    min_side: int | None = None

    def __post_init__(self) -> None:
        """Refuse limits that no image can meet."""
        written = {"image/png"} if self.square is not None else {"image/png", "image/jpeg"}
        if not written & self.media_types:
            msg = f"image limits without {' or '.join(sorted(written))} cannot be met"
            raise UsageError(msg, hint="add one of them to media_types")
        for name in ("max_side", "min_side", "max_bytes", "square"):
            value = getattr(self, name)
            if value is not None and value < 1:
                msg = f"image limit {name}={value} cannot be met"
                raise UsageError(msg, hint="give at least 1, or None")
        if self.max_side is not None and (self.min_side or 1) > self.max_side:
            msg = f"image limits min_side={self.min_side} and max_side={self.max_side} exclude all"
            raise UsageError(msg, hint="give a min_side of at most max_side, or None")


@hinting
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

    What comes back is the caller's own bytes if those fit already (see the top of this module);
    otherwise the picture is resized at most once and encoded as JPEG if it was a JPEG or is large,
    as PNG if not.
    """
    with PIXELS.taking(image.width * image.height):
        return _prepared(image, limits or ImageLimits())


def prepare_all(
    images: Iterable[SourceImage], limits: ImageLimits | None = None
) -> tuple[PreparedImage, ...]:
    """Make the images of one request fit a backend; one that comes twice is prepared once."""
    prepared: dict[str, PreparedImage] = {}
    for image in (images := tuple(images)):
        if image.sha256 not in prepared:
            prepared[image.sha256] = prepare(image, limits)
    return tuple(prepared[image.sha256] for image in images)


def _prepared(image: SourceImage, limits: ImageLimits) -> PreparedImage:
    content = image.content
    if isinstance(content, bytes) and _fits(image, limits) and _is_intact(image, content):
        media_type = decode.MEDIA_TYPES[image.kind]
        return PreparedImage(content, media_type, image.width, image.height, image.sha256)
    displayed = (image.width, image.height)
    size = fitted_size(displayed, limits)
    fine = limits.square is not None
    if isinstance(content, bytes):  # opened in the call, so that its memory is free again after it
        picture = render(image.open(), image.orientation, size, fine=fine, draft=True)
    else:
        picture = render(content, image.orientation, size, fine=fine)
    notes = image.notes + decode.dimness(image.mode, picture)
    least = limits.square or limits.min_side or 0
    padded = (max(picture.width, least), max(picture.height, least))
    if padded != picture.size:
        picture = pad(picture, padded)
        notes += (f"padded to {picture.width}x{picture.height}",)
    data, media_type, final = _encode(
        picture.copy() if picture is content else picture, limits, was_jpeg=image.kind == "JPEG"
    )
    if final != picture.size:  # smaller still, to fit into max_bytes
        size = final
    if size != displayed:
        notes += (f"resized from {image.width}x{image.height} to {size[0]}x{size[1]}",)
    return PreparedImage(data, media_type, *final, image.sha256, notes)


def grey(like: PreparedImage, limits: ImageLimits | None = None) -> PreparedImage:
    """Make a picture that shows nothing but grey, of the size of another, as it is sent."""
    return _plain(like.width, like.height, limits)


@lru_cache(maxsize=8)
def _plain(width: int, height: int, limits: ImageLimits | None) -> PreparedImage:
    # Kept, because pictures of a data set are often of one size, and this is encoded anew for each.
    from PIL import Image  # noqa: PLC0415 - heavy

    return prepare(from_rgb(Image.new("RGB", (width, height), _GREY), ()), limits)


def _fits(image: SourceImage, limits: ImageLimits) -> bool:
    """Whether the caller's own bytes can be sent: nothing to note means nothing to do."""
    size = len(image.content) if isinstance(image.content, bytes) else 0
    if image.notes or (limits.max_bytes is not None and size > limits.max_bytes):
        return False
    if limits.square is not None:
        return image.kind == "PNG" and image.width == image.height == limits.square
    shortest, longest = sorted((image.width, image.height))
    return (
        decode.MEDIA_TYPES[image.kind] in limits.media_types
        and shortest >= (limits.min_side or 1)
        and (limits.max_side is None or longest <= limits.max_side)
    )


def _is_intact(image: SourceImage, data: bytes) -> bool:
    """Whether bytes can be passed through; they raise if nobody could decode them.

    A picture is decoded, unless it is large and something cheaper tells as much: the checksums of
    a PNG; of a JPEG, which has none, its layout and its first rows, because a decoder passes over
    damage among the pixels. A JPEG in which these show anything unusual is decoded at an eighth,
    each way, which reads every byte.

    Where only checksums are wrong, or metadata is, the picture can be decoded, but a stricter
    decoder than ours might refuse it, so that it is encoded again.
    """
    large = image.width * image.height > _SMALL
    if image.kind == "PNG" and not decode.is_verified(data):
        return False
    if large and (image.kind == "PNG" or (image.kind == "JPEG" and decode.starts_well(data))):
        return True
    opened = image.open()
    if large:
        with pillow():
            opened.draft(None, (max(1, image.width // 8), max(1, image.height // 8)))
    decode.load(opened)
    return True


def _encode(
    picture: Image.Image, limits: ImageLimits, *, was_jpeg: bool
) -> tuple[bytes, str, tuple[int, int]]:
    """Encode within `max_bytes`: first the best form, then coarser, then smaller ones."""
    while True:
        for media_type, quality in _ways(picture.size, limits, was_jpeg=was_jpeg):
            data = encode(picture, media_type, quality)
            if limits.max_bytes is None or len(data) <= limits.max_bytes:
                return data, media_type, picture.size
        too_small = min(picture.size) < 2 * (limits.min_side or 0) or max(picture.size) == 1
        if limits.square is not None or too_small:
            msg = f"the image cannot be encoded in {limits.max_bytes} bytes"
            raise ImageError(msg, hint="raise max_bytes in the limits of the backend")
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


def fitted_size(size: tuple[int, int], limits: ImageLimits) -> tuple[int, int]:
    """Return the size at which a picture is sent, before any padding."""
    if limits.square is not None:
        return scaled_size(size, limits.square)
    if limits.max_side is not None and max(size) > limits.max_side:
        size = scaled_size(size, limits.max_side)
    if limits.min_side is not None and min(size) < limits.min_side:
        longest = round(max(size) * limits.min_side / min(size))
        if longest <= (limits.max_side or decode.MAX_SIDE):
            return scaled_size(size, longest)
    return size


def padding(size: tuple[int, int], ground: tuple[int, int]) -> tuple[int, int]:
    """How much of the ground stands to the left of a picture of this size, and above it."""
    return (ground[0] - size[0]) // 2, (ground[1] - size[1]) // 2


def scaled_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return `size` scaled so that its long side is `side`, at least 1 pixel each way."""
    width, height = size
    longest = max(width, height)
    return max(1, round(width * side / longest)), max(1, round(height * side / longest))


def render(
    image: Image.Image, orientation: int, size: tuple[int, int], *, fine: bool, draft: bool = False
) -> Image.Image:
    """Decode, flatten, scale and turn to RGB of exactly `size`, at the least cost that shows not.

    `fine` leaves more to the exact last step, as `letterbox` does. `draft` allows to decode at a
    fraction, which changes the image that is passed.
    """
    from PIL import Image  # noqa: PLC0415 - Pillow is loaded on use

    gap = _FINE_GAP if fine else _COARSE_GAP
    width, height = size if orientation < FIRST_SIDEWAYS else size[::-1]
    box = None
    if draft:
        with pillow():
            # A JPEG can be decoded at 1/2, 1/4 or 1/8 of its size, which is where most time goes.
            drafted = image.draft(None, (int(width * gap), int(height * gap)))
            box = drafted[1] if drafted else None
        decode.load(image)
    flat = flatten(image)
    del image
    with pillow("the image cannot be scaled"):
        if flat.size != (width, height):
            flat = flat.resize((width, height), Image.Resampling.BICUBIC, box=box, reducing_gap=gap)
        return turned(flat, orientation)


def pad(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Centre an RGB image on a ground of `PAD_COLOUR`; one of that size is returned as it is."""
    from PIL import Image  # noqa: PLC0415 - Pillow is loaded on use

    if image.size == size:
        return image
    ground = Image.new("RGB", size, PAD_COLOUR)
    ground.paste(image, padding(image.size, size))
    return ground


def letterbox(image: Image.Image, size: int) -> Image.Image:
    """Fit an image into a square without distorting it, exactly as the embedded model sees it.

    The long side becomes `size`; the short side keeps the aspect, rounded, at least one pixel. The
    picture is centred (an odd pixel goes right or below) and the rest filled with `PAD_COLOUR`. An
    RGB image of exactly that size comes back with the pixels it had. An image of any mode is shown
    as it is: an EXIF orientation is not applied.
    """
    return pad(render(image, 1, scaled_size(image.size, size), fine=True), (size, size))


def encode(image: Image.Image, media_type: str, quality: int = 90) -> bytes:
    """Encode an RGB image that nobody else works on as PNG or JPEG, without metadata.

    The quality is that of a JPEG. Colour is kept at full resolution, or small text would smear.
    """
    buffer = io.BytesIO()
    with pillow("the image cannot be encoded"):
        image.info = {}  # from which Pillow would write the old profile and comments
        if media_type == "image/png":
            image.save(buffer, "PNG", compress_level=1)
        else:
            image.save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def greyed(
    image: PreparedImage,
    places: Sequence[tuple[int, int, int, int]],
    limits: ImageLimits | None = None,
) -> PreparedImage:
    """A picture with places greyed, each as left, top, right and bottom in percent."""
    from PIL import Image  # noqa: PLC0415 - heavy

    with Image.open(io.BytesIO(image.data)) as opened:
        picture = opened.convert("RGB")
    for left, top, right, bottom in places:
        across, down = picture.width / 100, picture.height / 100
        box = (round(left * across), round(top * down), round(right * across), round(bottom * down))
        picture.paste(_GREY, box)
    return prepare(from_rgb(picture, ()), limits)
