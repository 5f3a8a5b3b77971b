"""Loads an image: from whatever the caller holds to what it shows, before any backend is known.

`load_image` reads the bytes, looks at the header (format on the list, not too many pixels) and
remembers what a viewer would do with it: turn it by its EXIF tag, take the first frame, put it on
white. `notes` lists it. The pixels of a file are decoded later, by `prepare`, at the size a backend
takes. A PIL image is shown as it is: whether its EXIF tag still applies, only its owner knows.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, cast

from faithful_decide._images import decode
from faithful_decide._images.source import read_source
from faithful_decide._images.turns import PIXELS
from faithful_decide.errors import ImageError

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
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
        | Mapping[str, Any]
    )
    ImageSources: TypeAlias = "ImageSource | SourceImage | Sequence[ImageSource | SourceImage]"

__all__ = ["ImageSource", "ImageSources", "SourceImage", "load_image", "load_images", "one_image"]

MOST_IMAGES = 100
"""Of one question: more than any model takes, and no more than can be held in memory."""
_PLAIN_MODES = frozenset({"1", "L", "P", "RGB"})


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class SourceImage:
    """An image as the caller meant it: read and checked by its header, not yet fitted to a backend.

    Width and height are those displayed, after any EXIF rotation. The kind is the format of the
    bytes, such as "JPEG", or "pixels" for PIL images and arrays; the hash is that of the bytes or
    of the RGB pixels, and the content is one of these. `notes` say what a viewer does with it, and
    so do we. `mode` is that of the pixels before they are RGB. `opened` holds what was opened to
    read the header, for whoever decodes it first.
    """

    width: int
    height: int
    kind: str
    sha256: str
    notes: tuple[str, ...]
    content: bytes | Image.Image
    orientation: int = 1
    mode: str = "RGB"
    opened: list[Image.Image] = field(default_factory=list)

    def __repr__(self) -> str:
        """Describe the image without its bytes."""
        return f"SourceImage({self.kind}, {self.width}x{self.height}, sha256={self.sha256[:12]}...)"

    def open(self) -> Image.Image:
        """Open the encoded bytes, or return what was opened for the header if it is still there."""
        assert isinstance(self.content, bytes)  # noqa: S101 - for the reader
        try:
            return self.opened.pop()
        except IndexError:
            return decode.open_image(self.content)[0]


def load_image(source: ImageSource | SourceImage, *, allow_urls: bool = False) -> SourceImage:
    """Read an image and check its header.

    A file object is read from its current position, which is restored if it can seek; it is never
    closed. A PIL image is taken as it is, in its current frame. An array is of uint8 and has the
    shape (height, width) or (height, width, 1, 3 or 4). A mapping may hold the bytes or the path,
    as data sets of Hugging Face do. URLs are fetched only if allowed, from public addresses, within
    limits of size and time. Pixels are copied, so that later changes to what was passed have no
    effect.
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


def load_images(source: ImageSources, *, allow_urls: bool = False) -> tuple[SourceImage, ...]:
    """Read one image, or a list or tuple of them, in their order."""
    if isinstance(source, list | tuple):
        if not source:
            msg = "the list of images is empty"
            raise ImageError(msg, hint="pass an image, or a list of one or more")
        if len(source) > MOST_IMAGES:
            msg = f"there are {len(source):,} images in the list, and {MOST_IMAGES} are the most"
            raise ImageError(msg, hint="ask about each image apart, with decide_many")
        return tuple(load_image(image, allow_urls=allow_urls) for image in source)
    return (load_image(cast("ImageSource", source), allow_urls=allow_urls),)


def one_image(source: ImageSources, *, allow_urls: bool = False) -> SourceImage:
    """Read the one image that an audit is about; several are refused."""
    images = load_images(source, allow_urls=allow_urls)
    if len(images) > 1:
        msg = f"an audit is about one image, and there are {len(images)}"
        raise ImageError(msg, hint="audit a decision about one of them")
    return images[0]


def _load_bytes(data: bytes) -> SourceImage:
    image, picture = decode.open_image(data)
    kind = str(image.format)
    orientation = decode.orientation_of(image)
    notes = []
    if picture.several or decode.is_animated(image):
        notes.append("holds several frames: only the first is used")
    if orientation != 1:
        notes.append(f"turned upright by its EXIF orientation ({orientation})")
    notes += [*_notes(image), *picture.notes]
    if kind == "TIFF":
        orientation = 1  # Pillow turns this one format by itself, and gives its turned size.
    width, height = _turned(image.size, orientation)
    sha256 = hashlib.sha256(data).hexdigest()
    return SourceImage(
        width, height, kind, sha256, tuple(notes), data, orientation, image.mode, [image]
    )


def _load_pixels(image: Image.Image) -> SourceImage:
    in_full = image.format not in {None, "JPEG", "MPO"}  # perhaps not decoded yet
    decode.check_size(image.size, decode.MAX_PIXELS_IN_FULL if in_full else decode.MAX_PIXELS)
    notes = []
    if decode.is_animated(image):
        notes.append("holds several frames: only the current one is used")
    orientation = decode.orientation_of(image)
    if orientation != 1:
        # Pillow keeps the tag when its owner turns the image, so nobody can tell whether it still
        # applies; what the owner sees is what counts.
        notes.append(f"a PIL image is shown as it is: EXIF orientation {orientation} not applied")
    with PIXELS.taking(image.width * image.height), decode.pillow():
        decode.load(image)
        flat = decode.flatten(image)
        # A copy, because the caller may go on drawing on theirs.
        notes += [*_notes(image), *decode.dimness(image.mode, flat)]
        return from_rgb(flat.copy() if flat is image else flat, tuple(notes))


def _load_array(array: np.ndarray[Any, np.dtype[Any]]) -> SourceImage:
    with PIXELS.taking(array.size):
        image = decode.from_array(array)
        return from_rgb(decode.flatten(image), _notes(image))


def from_rgb(pixels: Image.Image, notes: tuple[str, ...]) -> SourceImage:
    """Take upright RGB pixels as an image; they are not copied."""
    width, height = pixels.size
    digest = hashlib.sha256(b"RGB %dx%d " % pixels.size)
    rows = max(1, 2**20 // width)
    for top in range(0, height, rows):
        digest.update(pixels.crop((0, top, width, min(height, top + rows))).tobytes())
    return SourceImage(width, height, "pixels", digest.hexdigest(), notes, pixels)


def _turned(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    return size if orientation < decode.FIRST_SIDEWAYS else size[::-1]


def _notes(image: Image.Image) -> tuple[str, ...]:
    """Say how the colours are shown."""
    with decode.pillow():
        transparent = image.has_transparency_data
    if transparent:
        return ("transparency shown on white",)
    if image.mode not in _PLAIN_MODES:
        return (f"converted from mode {image.mode} to 8-bit RGB",)
    return ()
