"""Images: from whatever the caller holds to the bytes a model is sent.

Two steps, because one image serves many calls. `load_image` finds out what the image is: it reads
the bytes, looks at the header (format on the list, at most 64 megapixels) and remembers what a
viewer would do with it (turn it by its EXIF tag, take the first frame, put it on white). `prepare`
then makes it fit one backend, once; the result is shared by every question about that image.

An image that already fits is **passed through byte for byte**: what the model sees is the file
itself, and the same file always gives the same request. It fits if its format is allowed, its sides
and bytes are within the limits, and every decoder would show the same picture: no EXIF rotation,
one frame, no transparency, grey, palette or RGB. Bytes passed through keep their metadata (EXIF,
which may name a place; a colour profile); re-encoded ones lose it, and the profile is ignored, not
applied. Whatever was done to the picture is listed in `notes`.

Pillow does the work, in `_pixels` and `_resize` and nowhere else. None of its many exceptions gets
out: a bad image is always an `ImageError`.
"""

from __future__ import annotations

import hashlib
import sys
import zlib
from base64 import b64encode
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from faithful_decide import _pixels, _resize
from faithful_decide._resize import letterbox
from faithful_decide._source import read_source
from faithful_decide.errors import ImageError, UsageError

if TYPE_CHECKING:
    import os
    from typing import IO, Any

    import numpy as np
    from PIL import Image

    ImageSource: TypeAlias = (
        str
        | os.PathLike[str]
        | bytes
        | bytearray
        | memoryview
        | IO[bytes]
        | Image.Image
        | np.ndarray[Any, np.dtype[np.uint8]]
    )

__all__ = [
    "ImageLimits",
    "PreparedImage",
    "SourceImage",
    "letterbox",
    "load_image",
    "prepare",
]

# Below this many pixels PNG is small enough to send, and a decode cheap enough to check everything.
_GREY = (127, 127, 127)
_SMALL = 512 * 512
_PLAIN_MODES = frozenset({"1", "L", "P", "RGB"})


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


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class SourceImage:
    """An image as the caller meant it: read and checked by its header, not yet fitted to a backend.

    Args:
        width: Width as displayed, after any EXIF rotation.
        height: Height as displayed.
        kind: The format of the bytes, such as "JPEG", or "pixels" for PIL images and arrays.
        sha256: The hash of the bytes, or of the RGB pixels.
        notes: What a viewer does with it, and so do we.
        content: The encoded bytes, or the upright RGB pixels.
        orientation: The EXIF orientation still to be applied, 1 for none.
    """

    width: int
    height: int
    kind: str
    sha256: str
    notes: tuple[str, ...]
    content: bytes | Image.Image
    orientation: int = 1

    def __repr__(self) -> str:
        """Describe the image without its bytes."""
        return f"SourceImage({self.kind}, {self.width}x{self.height}, sha256={self.sha256[:12]}...)"


def load_image(source: ImageSource | SourceImage, *, allow_urls: bool = False) -> SourceImage:
    """Read an image and check its header.

    Args:
        source: A path, bytes, a binary file object (read from its current position, which is
            restored if it can seek; never closed), a data URI, a PIL image (its current frame), or
            a uint8 numpy array of shape (height, width) or (height, width, 1, 3 or 4). A
            `SourceImage` is returned as it is.
        allow_urls: Whether an http(s) URL may be fetched; only from public addresses, within limits
            of size and time.

    Returns:
        The image with its displayed size. Pixels are copied, so that later changes to what was
        passed have no effect.

    Raises:
        ImageError: The image is missing, unreadable, empty, of another format, or too large.
    """
    if isinstance(source, SourceImage):
        return source
    # An object of these classes can exist only if its library is loaded, so none is loaded here.
    # Another thread may be half-way through loading it; then the class is not there yet either.
    picture = getattr(sys.modules.get("PIL.Image"), "Image", None)
    array = getattr(sys.modules.get("numpy"), "ndarray", None)
    if array is not None and isinstance(source, array):
        return _load_array(source)
    if picture is not None and isinstance(source, picture):
        return _load_pixels(source)
    return _load_bytes(read_source(source, allow_urls=allow_urls))


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
        media_type = _pixels.MEDIA_TYPES[image.kind]
        return PreparedImage(content, media_type, image.width, image.height, image.sha256)
    displayed = size = (image.width, image.height)
    side = limits.square or limits.max_side
    if side is not None and (limits.square or max(size) > side):
        size = _resize.scaled_size(size, side)
    picture = _resize.render(content, image.orientation, size, fine=limits.square is not None)
    if limits.square is not None:
        picture = _resize.pad(picture, limits.square)
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

    return prepare(_from_rgb(Image.new("RGB", (width, height), _GREY), ()), limits)


def _load_bytes(data: bytes) -> SourceImage:
    image = _pixels.open_image(data)
    # A phone's multi-picture file is a JPEG with more pictures behind it.
    kind = "JPEG" if image.format == "MPO" else str(image.format)
    orientation = _pixels.orientation_of(image, data)
    notes = _notes(image, orientation, "only the first is used")
    if kind == "TIFF":
        orientation = 1  # Pillow turns this one format by itself, and gives its turned size.
    width, height = _turned(image.size, orientation)
    sha256 = hashlib.sha256(data).hexdigest()
    return SourceImage(width, height, kind, sha256, notes, data, orientation=orientation)


def _load_pixels(image: Image.Image) -> SourceImage:
    _pixels.check_size(image.size)
    with _pixels.pillow_errors():
        # A copy, because the caller may go on drawing on theirs.
        mine = image.copy()
    orientation = _pixels.orientation_of(image)
    notes = _notes(image, orientation, "only the current one is used")
    size = _turned(image.size, orientation)
    return _from_rgb(_resize.render(mine, orientation, size, fine=False), notes)


def _load_array(array: np.ndarray[Any, np.dtype[Any]]) -> SourceImage:
    image = _pixels.from_array(array)
    return _from_rgb(_pixels.flatten(image), _notes(image, 1, ""))


def _from_rgb(pixels: Image.Image, notes: tuple[str, ...]) -> SourceImage:
    digest = hashlib.sha256(b"RGB %dx%d " % pixels.size)
    digest.update(pixels.tobytes())
    return SourceImage(*pixels.size, "pixels", digest.hexdigest(), notes, pixels)


def _turned(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    return size if orientation < _pixels.FIRST_SIDEWAYS else size[::-1]


def _notes(image: Image.Image, orientation: int, which_frame: str) -> tuple[str, ...]:
    notes = []
    if _pixels.is_animated(image):
        notes.append(f"holds several frames: {which_frame}")
    if orientation != 1:
        notes.append(f"turned upright by its EXIF orientation ({orientation})")
    with _pixels.pillow_errors():
        transparent = image.has_transparency_data
    if transparent:
        notes.append("transparency shown on white")
    elif image.mode not in _PLAIN_MODES:
        notes.append(f"converted from mode {image.mode} to 8-bit RGB")
    return tuple(notes)


def _fits(image: SourceImage, size: int, limits: ImageLimits) -> bool:
    """Whether the caller's own bytes can be sent: nothing to note means nothing to do."""
    if image.notes or (limits.max_bytes is not None and size > limits.max_bytes):
        return False
    if limits.square is not None:
        return image.kind == "PNG" and image.width == image.height == limits.square
    longest = max(image.width, image.height)
    return _pixels.MEDIA_TYPES[image.kind] in limits.media_types and (
        limits.max_side is None or longest <= limits.max_side
    )


def _check_intact(kind: str, data: bytes, pixels: int) -> None:
    """Raise if the data to be passed through is cut short or cannot be decoded.

    Decoding a photograph only to look whether it can be decoded would cost more than all the rest,
    so a large one is decoded only if it does not visibly run to its proper end.
    """
    if pixels <= _SMALL or not _runs_to_its_end(kind, data):
        with _pixels.pillow_errors():
            _pixels.open_image(data).load()


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
            data = _resize.encode(picture, media_type, quality)
            if limits.max_bytes is None or len(data) <= limits.max_bytes:
                return data, media_type, picture.size
        if limits.square is not None or max(picture.size) == 1:
            msg = f"the image cannot be encoded in {limits.max_bytes} bytes"
            raise ImageError(msg, hint="Raise max_bytes in the limits of the backend.")
        picture = picture.reduce(2)


def _ways(size: tuple[int, int], limits: ImageLimits, *, was_jpeg: bool) -> list[tuple[str, int]]:
    """How a picture may be encoded, as media types and qualities, the best first."""
    jpeg = limits.square is None and "image/jpeg" in limits.media_types
    jpeg = jpeg and max(size) <= _resize.MAX_JPEG_SIDE
    small = size[0] * size[1] <= _SMALL
    ways: list[tuple[str, int]] = []
    if "image/png" in limits.media_types and (not jpeg or (small and not was_jpeg)):
        ways.append(("image/png", 0))
    if jpeg:
        ways += [("image/jpeg", quality) for quality in (90, 75, 50)]
    return ways
