"""Pictures made to hurt: files that cost more than they seem to, and thousands of damaged ones."""

from __future__ import annotations

import io
import random
import struct
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
SIZES = (0, 1, 2, 255, 256, 8000, 16_383, 32_767, 32_768, 65_535, 2**31 - 1, 2**32 - 1)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """An image in a format."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def plain(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """A picture of one colour."""
    return Image.new(mode, (width, height))


# --- PNG ------------------------------------------------------------------------------------------


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int, height: int, bits: int, colours: int, *extra: bytes, woven: bool = False
) -> bytes:
    """A black PNG of any kind, however large, in few bytes."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colours]
    row = bytes(1 + (width * bits * channels + 7) // 8)
    packer = zlib.compressobj(9)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, woven))
    if colours == 3:  # noqa: PLR2004 - a palette
        header += chunk(b"PLTE", bytes(3))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + chunk(b"IDAT", pixels) + chunk(b"IEND")


def pngs() -> Iterator[tuple[str, bytes]]:
    """Large in pixels, in rows, in chunks, in texts."""
    kinds = {"RGBA": (8, 6), "RGBA 16": (16, 6), "LA": (8, 4), "grey 16": (16, 0), "1 bit": (1, 0)}
    for name, (bits, colours) in kinds.items():
        for side in (5000, 8000):
            yield f"png {side}x{side} {name}", png(side, side, bits, colours)
    yield "png palette alpha", png(5000, 5000, 8, 3, chunk(b"tRNS", b"\x80"))
    yield "png key colour", png(5000, 5000, 8, 2, chunk(b"tRNS", bytes(6)))
    yield "png woven", png(5000, 5000, 8, 6, woven=True)
    yield "png tall", png(1, 25_000_000, 1, 0)
    yield "png less tall", png(1, 99_999, 8, 6)
    yield "png wide", png(25_000_000, 1, 8, 6)
    yield "png less wide", png(99_999, 250, 8, 6)
    bomb = zlib.compress(bytes(200 * 2**20), 9)
    megabyte = zlib.compress(bytes(2**20 - 1), 9)
    yield "png text", png(9, 9, 8, 2, chunk(b"zTXt", b"k\0\0" + bomb))
    yield "png itext", png(9, 9, 8, 2, chunk(b"iTXt", b"k\0\1\0\0\0" + bomb))
    yield "png profile", png(9, 9, 8, 2, chunk(b"iCCP", b"k\0\0" + bomb))
    yield "png raw exif", png(9, 9, 8, 2, chunk(b"zTXt", b"Raw profile type exif\0\0" + bomb))
    yield "png texts", png(9, 9, 8, 2, chunk(b"zTXt", b"k\0\0" + megabyte) * 300)
    for kind in (b"tEXt", b"abCd", b"IDAT", b"eXIf", b"PLTE", b"fcTL"):
        yield f"png million {kind.decode()}", png(9, 9, 8, 2, chunk(kind) * 1_000_000)
    control = struct.pack(">IIIIIHHBB", 0, 9, 9, 0, 0, 1, 10, 0, 0)
    frames = chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)) + chunk(b"fcTL", control)
    yield "png frames", png(9, 9, 8, 2, frames) + chunk(b"fdAT", bytes(30)) * 200_000


# --- JPEG -----------------------------------------------------------------------------------------


def resized(jpeg: bytes, width: int, height: int) -> bytes:
    """A JPEG that claims another size."""
    at = next(jpeg.index(mark) for mark in (b"\xff\xc0", b"\xff\xc2") if mark in jpeg) + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def jpegs() -> Iterator[tuple[str, bytes]]:
    """Many scans, segments, tables; much between them."""
    small = encoded(plain(16, 16), "JPEG")
    large = encoded(plain(8000, 8000), "JPEG", progressive=True, quality=1)
    full = encoded(plain(8000, 8000), "JPEG", progressive=True, quality=1, subsampling=0)
    for name, jpeg in (("", large), (" full colour", full)):
        scan = jpeg[jpeg.rindex(b"\xff\xda") : -2]
        for count in (0, 5, 200, 2000):
            yield f"jpeg {count} scans{name}", jpeg[:-2] + scan * count + b"\xff\xd9"
    yield "jpeg 64 MP", encoded(plain(8000, 8000), "JPEG")
    yield "jpeg CMYK", encoded(plain(8000, 8000, "CMYK"), "JPEG")
    yield "jpeg claims 65535", resized(small, 65_535, 65_535)
    yield "jpeg claims 64 MP", resized(small, 8000, 8000)
    profile = b"\xff\xe2\xff\xffICC_PROFILE\0\1\xff" + bytes(65_533 - 14)
    exif = b"\xff\xe1\xff\xffExif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 5400)
    tag = struct.pack("<HHII", 700, 7, 60_000, 0)
    exif += b"".join(struct.pack("<H", n) + tag[2:] for n in range(5400))
    exif = exif[: 2 + 65_535].ljust(2 + 65_535, b"\0")
    pieces = {
        "comments": b"\xff\xfe\0\2" * 2_000_000,
        "APP1": b"\xff\xe1\0\2" * 2_000_000,
        "fill": b"\xff" * 20_000_000,
        "junk": b"\xff\xfe\0\2" + bytes(20_000_000),
        "escapes": b"\xff\xfe\0\2" + b"\xff\0" * 10_000_000,
        "restarts": b"\xff\xd0" * 10_000_000,
        "unknown": b"\xff\xf0" * 10_000_000,
        "tables": (b"\xff\xdb\0\x43" + bytes(range(65))) * 400_000,
        "frames": (b"\xff\xc0\0\x11\x08\0\x10\0\x10\3" + bytes(9)) * 1_000_000,
        "profile": profile * 255,
        "exif": exif * 400,
    }
    for name, piece in pieces.items():
        yield f"jpeg {name}", small[:2] + piece + small[2:]
        scan = small.index(b"\xff\xda")
        yield f"jpeg {name} behind", small[:scan] + small[scan:-2] + piece + b"\xff\xd9"


# --- the others -----------------------------------------------------------------------------------


def gifs() -> Iterator[tuple[str, bytes]]:
    """Many frames, comments, blocks."""
    start, frame = encoded(plain(4, 4, "L"), "GIF")[:13], b",\0\0\0\0\4\0\4\0\0\2\2\x84\x51\0"
    start = start[:10] + b"\0\0\0"
    yield "gif frames", start + frame * 300_000 + b";"
    yield "gif comments", start + b"!\xfe\1c\0" * 1_000_000 + frame + b";"
    yield "gif comment", start + b"!\xfe" + b"\xff".ljust(256, b"c") * 40_000 + b"\0" + frame + b";"
    yield "gif tiny blocks", start + b"!\xfe" + b"\1c" * 5_000_000 + b"\0" + frame + b";"
    yield "gif extensions", start + b"!\x55\0" * 2_000_000 + frame + b";"
    yield "gif controls", start + b"!\xf9\4\0\0\0\0\0" * 1_000_000 + frame + b";"
    yield "gif junk", start + bytes(10_000_000) + frame + b";"
    yield "gif cut", start + b"!\xfe\1c\0" * 1_000_000
    yield "gif claims 65535", start[:6] + b"\xff\xff\xff\xff" + start[10:] + frame + b";"
    yield "gif 25 MP", encoded(plain(5000, 5000, "P"), "GIF")


def bmp(width: int, height: int, compression: int, body: bytes) -> bytes:
    """A BMP with a palette."""
    bits = 4 if compression == 2 else 8  # noqa: PLR2004
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 54 + 1024) + head + bytes(1024) + body


def bmps() -> Iterator[tuple[str, bytes]]:
    """Run lengths that say little in many bytes, or much in few."""
    bodies = {
        "pixels": b"\1\0" * 8_000_000,
        "lines": b"\0\0" * 8_000_000,
        "jumps": b"\0\2\0\xff" * 4_000_000,
    }
    for name, body in bodies.items():
        for compression in (1, 2):
            yield f"bmp {name} {compression}", bmp(5000, 5000, compression, body)
            yield f"bmp less {name} {compression}", bmp(2800, 2800, compression, body[:2_000_000])
    yield "bmp runs", bmp(2800, 2800, 2, (b"\xff\0" * 11 + b"\0\0") * 2800)
    yield "bmp claims", bmp(65_535, 65_535, 0, b"")
    yield "bmp 25 MP", encoded(plain(5000, 5000), "BMP")[: 2**25]


def tiff(tags: list[tuple[int, int, int, int]], body: bytes = b"", following: int = 0) -> bytes:
    """A TIFF of one directory."""
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    return head + entries + struct.pack("<I", following) + body


def grey_tags(side: int, *more: tuple[int, int, int, int]) -> list[tuple[int, int, int, int]]:
    """The tags of a grey picture whose pixels are the file."""
    size = [(256, 4, 1, side), (257, 4, 1, side), (278, 4, 1, side), (279, 4, 1, side)]
    return sorted([*size, (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8), *more])


def tiffs() -> Iterator[tuple[str, bytes]]:
    """Many tags, pages, values; circles."""
    yield "tiff tags", tiff([*grey_tags(4), *((700 + n, 4, 1, 1) for n in range(60_000))])
    shared = [(700 + n, 7, 8_000_000, 8) for n in range(900)]
    yield "tiff shared data", tiff(grey_tags(4, *shared), bytes(8_000_000))
    yield "tiff numbers", tiff(grey_tags(4, (700, 5, 1_000_000, 8)), bytes(8_000_000))
    yield "tiff count", tiff(grey_tags(4, (700, 2, 2**31 - 1, 10)))
    yield "tiff circle", tiff(grey_tags(4), bytes(64), following=8)
    pages = b"".join(struct.pack("<HI", 0, 126 + 6 * n) for n in range(1_000_000))
    yield "tiff pages", tiff(grey_tags(4), pages, following=122)
    yield "tiff tiles", tiff(grey_tags(4, (322, 4, 1, 60_000), (323, 4, 1, 60_000)))
    yield "tiff channels", tiff(grey_tags(4, (277, 3, 1, 65_535)))
    yield "tiff sub directories", tiff(grey_tags(4, (330, 4, 16, 8)), bytes(64))
    yield "tiff claims 65535", tiff(grey_tags(65_535))
    for mode in ("F", "I", "CMYK", "RGBA", "I;16"):
        yield f"tiff 25 MP {mode}", encoded(plain(5000, 5000, mode), "TIFF", compression="tiff_lzw")
    yield "tiff 25 MP fax", encoded(plain(5000, 5000, "1"), "TIFF", compression="group4")


def modern() -> Iterator[tuple[str, bytes]]:
    """Large canvases in few bytes, metadata by the megabyte."""
    yield "webp 64 MP", encoded(plain(16_383, 3906, "RGBA"), "WEBP", lossless=True)
    yield "webp 25 MP", encoded(plain(5000, 5000, "RGBA"), "WEBP", lossless=True)
    yield "webp exif", encoded(plain(9, 9), "WEBP", exif=b"Exif\0\0" + bytes(20 * 2**20))
    yield "avif 25 MP", encoded(plain(5000, 5000, "RGBA"), "AVIF", speed=10)
    canvas = encoded(plain(16_000, 4000), "AVIF", speed=10)
    yield "avif 64 MP", canvas
    honest = struct.pack(">II", 16_000, 4000)
    yield "avif that claims less", canvas.replace(honest, struct.pack(">II", 16, 16))


def bombs() -> Iterator[tuple[str, bytes]]:
    """Every file that costs more than it seems to."""
    for family in (pngs, jpegs, gifs, bmps, tiffs, modern):
        yield from family()


# --- damage ---------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def originals() -> dict[str, list[bytes]]:
    """Good files of every format, in many forms, by format."""
    across = np.linspace(0, 255, 97, dtype=np.uint8)[None, :].repeat(61, axis=0)
    image = Image.fromarray(np.dstack([across, across[:, ::-1], across // 2]))
    image.paste((255, 0, 0), (5, 5, 50, 20))
    clear = image.convert("RGBA")
    clear.putalpha(image.convert("L"))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    film = {"save_all": True, "append_images": [image.rotate(30), image.rotate(60)]}
    forms: dict[str, list[tuple[Image.Image, dict[str, object]]]] = {kind: [] for kind in FORMATS}
    for kind, files in forms.items():
        files.append((image, {}))
        if kind not in {"JPEG", "BMP"}:
            files.append((image, film))
        if kind not in {"GIF", "BMP"}:
            files.append((image, {"exif": exif}))
        if kind != "JPEG":
            files.append((clear, {}))
    forms["JPEG"] += [
        (image, {"progressive": True}), (image.convert("CMYK"), {}), (image.convert("L"), {}),
        (image, {"icc_profile": bytes(2000)}), (image, {"subsampling": 0}),
    ]  # fmt: skip
    forms["PNG"] += [(image.convert(mode), {}) for mode in ("P", "L", "1", "I;16")]
    forms["BMP"] += [(image.convert(mode), {}) for mode in ("P", "L", "1")]
    forms["WEBP"].append((clear, {"lossless": True}))
    forms["TIFF"] += [
        (image, {"compression": name})
        for name in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg", "lzma", "zstd")
    ]
    forms["TIFF"] += [(image.convert(mode), {}) for mode in ("CMYK", "F", "I", "LAB", "1")]
    forms["TIFF"].append((image.convert("1"), {"compression": "group4"}))
    return {
        kind: [encoded(picture, kind, **options) for picture, options in files]
        for kind, files in forms.items()
    }


def mutant(number: int, seed: int) -> bytes:
    """One damaged file."""
    draw = random.Random(f"{seed} {number}")
    kind = FORMATS[number % len(FORMATS)]
    data = bytearray(draw.choice(originals()[kind]))
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        damage(data, draw)
    return bytes(data)


def damage(data: bytearray, draw: random.Random) -> None:
    """Change, cut, repeat or move something, near the start more often than not."""
    at = draw.randrange(max(1, min(len(data), draw.choice((len(data), 64, 300)))))
    part = slice(at, at + draw.choice((1, 4, 40, 400)))
    match draw.choice(("bits", "byte", "number", "cut", "gap", "more", "again", "zero", "other")):
        case "bits" | "byte" as what:
            for _ in range(draw.choice((1, 8, 40)) if data else 0):
                place = draw.randrange(len(data))
                bit = 1 << draw.randrange(8)
                data[place] = data[place] ^ bit if what == "bits" else draw.randrange(256)
        case "number":
            width = draw.choice((2, 4))
            value = draw.choice((*SIZES, len(data), at)) % 256**width
            data[at : at + width] = value.to_bytes(width, draw.choice(("little", "big")))
        case "cut":
            del data[at:]
        case "gap":
            del data[part]
        case "more":
            data[at:at] = draw.randbytes(part.stop - at)
        case "again":
            data[at:at] = data[part] * 9
        case "zero":
            data[part] = bytes(part.stop - at)
        case _:
            other = draw.choice(originals()[draw.choice(FORMATS)])
            data[at:] = other[draw.randrange(len(other)) :]
