"""Reads the directory of a TIFF: what it announces, and whether its first picture is a thumbnail.

Cameras' raw files are laid out as TIFF, with a small preview in front, which a decoder that knows
nothing of raw pixels takes for the picture.
"""

from __future__ import annotations

import struct
from typing import NamedTuple, NoReturn

from faithful_decide._images.containers import Picture, refuse_excess
from faithful_decide.errors import ImageError

_KIND, _OLD_KIND = 254, 255
_WIDTH, _HEIGHT, _SAMPLES, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 277, 322, 323
_SUB_DIRECTORIES, _DNG_VERSION = 330, 50706
_READ = frozenset(
    {_KIND, _OLD_KIND, _WIDTH, _HEIGHT, _SAMPLES, _TILE_WIDTH, _TILE_HEIGHT, _SUB_DIRECTORIES}
)
_REDUCED, _OLD_REDUCED = 1, 2

_MAX_TAGS = 1000
_MAX_NUMBERS = 300_000  # an ordinary picture has two for each of its strips
_MAX_SAMPLES = 6
_MAX_TILE = 25_000_000
_MAX_READ = 16  # values of a tag

_WORDS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_SIZES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


class _Directory(NamedTuple):
    numbers: dict[int, tuple[int, ...]]
    following: int

    def first(self, tag: int, default: int = 0) -> int:
        """Return the first value of a tag."""
        return self.numbers.get(tag, (default,))[0]

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height."""
        return self.first(_WIDTH), self.first(_HEIGHT)


def walk_tiff(data: bytes) -> Picture:
    """Refuse what announces too much, and a picture that is the thumbnail of another one."""
    order = "<" if data.startswith(b"II") else ">"
    big = data[2:3] == b"+"  # the version with offsets of 64 bits, as Pillow tells it
    (at,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    top = _directory(data, at, order, big=big)
    if top.first(_SAMPLES) > _MAX_SAMPLES:
        refuse_excess(f"holds {top.first(_SAMPLES)} values for each pixel")
    if top.first(_TILE_WIDTH) * top.first(_TILE_HEIGHT) > _MAX_TILE:
        refuse_excess("is made of tiles larger than a picture may be")
    if _DNG_VERSION in top.numbers:
        _refuse_thumbnail("this is a raw photograph (DNG) with a thumbnail in front")
    width, height = top.size
    inner = top.numbers.get(_SUB_DIRECTORIES, ())
    for offset in inner:
        size = _directory(data, offset, order, big=big).size
        if size[0] * size[1] > width * height:
            _refuse_thumbnail(
                f"the first picture of this TIFF ({width}x{height}) is the thumbnail of a larger "
                f"one ({size[0]}x{size[1]})"
            )
    marked = top.first(_KIND) & _REDUCED or top.first(_OLD_KIND) == _OLD_REDUCED
    if marked and (inner or top.following):
        _refuse_thumbnail(
            f"the first picture of this TIFF ({width}x{height}) is marked as the thumbnail of "
            "another one"
        )
    return Picture(data)


def _refuse_thumbnail(what: str) -> NoReturn:
    msg = f"{what}, and only that thumbnail could be decoded here"
    hint = "develop it in the camera's program or in an image program, and save it as PNG or JPEG"
    raise ImageError(msg, hint=hint)


def _directory(data: bytes, at: int, order: str, *, big: bool) -> _Directory:
    """Read the tags of a directory, and refuse it if Pillow would be busy with it for long."""
    count, entry, offset = ("Q", "HHQ8s", "Q") if big else ("H", "HHI4s", "I")
    (tags,) = struct.unpack_from(order + count, data, at)
    if tags > _MAX_TAGS:
        refuse_excess(f"holds more than {_MAX_TAGS} tags")
    at += struct.calcsize(order + count)
    end = at + tags * struct.calcsize(order + entry)
    found: dict[int, tuple[int, ...]] = {}
    numbers = stored = 0
    for tag, kind, amount, field in struct.iter_unpack(order + entry, data[at:end]):
        size = amount * _SIZES.get(kind, 1)
        if size > len(data):
            continue  # as Pillow does
        stored += size
        numbers += amount if kind in _SIZES else 0
        if tag == _DNG_VERSION:
            found[tag] = (amount,)
        elif tag in _READ and kind in _WORDS and amount:
            where, start = field, 0
            if size > len(field):
                where, (start,) = data, struct.unpack(order + offset, field)
            word = f"{order}{min(amount, _MAX_READ)}{_WORDS[kind]}"
            found.setdefault(tag, struct.unpack_from(word, where, start))
    if numbers > _MAX_NUMBERS or stored > 4 * len(data) + 2**20:
        refuse_excess("holds tags that are larger than a picture's")
    (following,) = struct.unpack_from(order + offset, data, end)
    return _Directory(found, following)
