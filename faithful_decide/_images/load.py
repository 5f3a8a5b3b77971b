"""Loads an image: from whatever the caller holds to what it shows, before any backend is known.

`load_image` reads the bytes, looks at the header (format on the list, at most 64 megapixels) and
remembers what a viewer would do with it: turn it by its EXIF tag, take the first frame, put it on
white. `notes` lists it. The pixels of a file are decoded later, by `prepare`, at the size a backend
takes.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from faithful_decide._images import decode
from faithful_decide._images.source import read_source

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

__all__ = ["ImageSource", "SourceImage", "load_image"]

_PLAIN_MODES = frozenset({"1", "L", "P", "RGB"})


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


def _load_bytes(data: bytes) -> SourceImage:
    image = decode.open_image(data)
    # A phone's multi-picture file is a JPEG with more pictures behind it.
    kind = "JPEG" if image.format == "MPO" else str(image.format)
    orientation = decode.orientation_of(image, data)
    notes = _notes(image, orientation, "only the first is used")
    if kind == "TIFF":
        orientation = 1  # Pillow turns this one format by itself, and gives its turned size.
    width, height = _turned(image.size, orientation)
    sha256 = hashlib.sha256(data).hexdigest()
    return SourceImage(width, height, kind, sha256, notes, data, orientation=orientation)


def _load_pixels(image: Image.Image) -> SourceImage:
    decode.check_size(image.size)
    with decode.pillow_errors():
        # A copy, because the caller may go on drawing on theirs.
        mine = image.copy()
    orientation = decode.orientation_of(image)
    notes = _notes(image, orientation, "only the current one is used")
    with decode.pillow_errors():
        upright = decode.turned(decode.flatten(mine), orientation)
    return from_rgb(upright, notes)


def _load_array(array: np.ndarray[Any, np.dtype[Any]]) -> SourceImage:
    image = decode.from_array(array)
    return from_rgb(decode.flatten(image), _notes(image, 1, ""))


def from_rgb(pixels: Image.Image, notes: tuple[str, ...]) -> SourceImage:
    """Take upright RGB pixels as an image; they are not copied."""
    digest = hashlib.sha256(b"RGB %dx%d " % pixels.size)
    digest.update(pixels.tobytes())
    return SourceImage(*pixels.size, "pixels", digest.hexdigest(), notes, pixels)


def _turned(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    return size if orientation < decode.FIRST_SIDEWAYS else size[::-1]


def _notes(image: Image.Image, orientation: int, which_frame: str) -> tuple[str, ...]:
    notes = []
    if decode.is_animated(image):
        notes.append(f"holds several frames: {which_frame}")
    if orientation != 1:
        notes.append(f"turned upright by its EXIF orientation ({orientation})")
    with decode.pillow_errors():
        transparent = image.has_transparency_data
    if transparent:
        notes.append("transparency shown on white")
    elif image.mode not in _PLAIN_MODES:
        notes.append(f"converted from mode {image.mode} to 8-bit RGB")
    return tuple(notes)
