"""What a picture may cost, whatever it holds; what is kept in; and what its neighbours notice."""

from __future__ import annotations

import base64
import gzip
import io
import logging
import os
import random
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from faithful_decide._images import decode, source
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import ImageLimits, prepare
from faithful_decide._images.turns import PIXELS, Turns
from faithful_decide.errors import ImageError
from tests.test_image import PNG_ONLY, SQUARE, case, decoded, distance, encoded, scene, shown

if TYPE_CHECKING:
    from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n"
ANY_SIDE = ImageLimits(max_side=None)


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_with(*chunks: bytes, behind: bool = False, size: tuple[int, int] = (60, 40)) -> bytes:
    """A good PNG with more chunks in it, before or behind its pixels."""
    data = encoded(scene(*size))
    at = len(data) - 12 if behind else 33
    return data[:at] + b"".join(chunks) + data[at:]


def jpeg_with(piece: bytes, size: tuple[int, int] = (60, 40), **options: object) -> bytes:
    """A good JPEG with something behind its start."""
    data = encoded(scene(*size), "JPEG", **options)
    return data[:2] + piece + data[2:]


def gif_with(piece: bytes, after: bytes = b"") -> bytes:
    """A good GIF with something in front of its picture, or behind it."""
    data = encoded(scene(), "GIF")
    at = data.index(b",\0\0\0\0")
    return data[:at] + piece + data[at:-1] + after + b";"


def tiff(*directories: list[tuple[int, int, int, int]], chained: bool = False) -> bytes:
    """A grey TIFF of 4x4 pixels by its directories, the first of which points to what it likes."""
    at = 8
    parts = []
    for number, entries in enumerate(directories):
        size = 2 + 12 * len(entries) + 4
        following = at + size if chained and number + 1 < len(directories) else 0
        body = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
        parts.append(struct.pack("<H", len(entries)) + body + struct.pack("<I", following))
        at += size
    return b"II*\0" + struct.pack("<I", 8) + b"".join(parts) + bytes(64)


def directory(side: int = 4, *more: tuple[int, int, int, int]) -> list[tuple[int, int, int, int]]:
    """The tags of a grey picture."""
    size = [(256, 4, 1, side), (257, 4, 1, side), (278, 4, 1, side), (279, 4, 1, side * side)]
    grey = [(258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8), (277, 3, 1, 1)]
    return sorted([*size, *grey, *more])


def refused(data: object, words: str) -> None:
    """A picture is refused in one line, with a hint, before its pixels are looked at."""
    with pytest.raises(ImageError, match=words) as caught:
        load_image(data)
    assert caught.value.hint
    assert caught.value.hint[0].islower() or caught.value.hint.startswith(("URLs", "JSON"))
    assert not caught.value.hint.endswith(".")


# --- costs ----------------------------------------------------------------------------------------


def scans(count: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    data = encoded(scene(16, 16), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * count + b"\xff\xd9"


def test_more_than_a_picture_is_made_of_is_refused() -> None:
    """Scans, segments, chunks, blocks, tags, run lengths are counted before Pillow reads them."""
    wide = bytearray(scans(30))
    at = wide.index(b"\xff\xc2") + 5
    wide[at : at + 4] = struct.pack(">HH", 8000, 8000)
    memory = bytearray(encoded(scene(16, 16), "JPEG", progressive=True, subsampling=0))
    at = memory.index(b"\xff\xc2") + 5
    memory[at : at + 4] = struct.pack(">HH", 8000, 8000)
    run_length = struct.pack("<IHHIIiiHHI20x", 0, 0, 0, 54, 40, 3000, 3000, 1, 8, 1)
    bombs: dict[str, tuple[bytes, str]] = {
        "scans": (scans(101), "101 scans"),
        "scans of many pixels": (bytes(wide), "scans"),
        "memory of all scans": (bytes(memory), "memory"),
        "fill bytes": (encoded(scene(), "JPEG")[:-2] + b"\xff" * 70_000 + b"\xff\xd9", "fill"),
        "segments": (jpeg_with(b"\xff\xfe\0\2" * 10_000), "segments"),
        "tables": (jpeg_with((b"\xff\xdb\0\x43" + bytes(range(65))) * 1100), "tables"),
        "chunks": (png_with(chunk(b"tEXt") * 110_000), "chunks"),
        "chunks behind": (png_with(chunk(b"abCd") * 110_000, behind=True), "chunks"),
        "empty pixels": (png_with(chunk(b"IDAT") * 110_000), "chunks"),
        "comments": (gif_with(b"!\xfe\1c\0" * 300_000), "blocks"),
        "tiny blocks": (gif_with(b"!\xfe" + b"\1c" * 500_000 + b"\0"), "blocks"),
        "tags": (tiff(directory() + [(700 + n, 4, 1, 1) for n in range(1000)]), "1000 tags"),
        "values": (tiff(directory(4, (40_000, 3, 400_000, 8))) + bytes(800_000), "tags"),
        "channels": (tiff([(277, 3, 1, 65_535)]), "65535 values"),
        "tiles": (tiff(directory(4, (322, 4, 1, 9000), (323, 4, 1, 9000))), "tiles"),
        "run lengths": (b"BM" + run_length + bytes(100), "run lengths"),
    }
    for name, (data, words) in bombs.items():
        with case(name):
            refused(data, words)


def test_what_a_picture_is_not_made_of_costs_nothing() -> None:
    """Fill bytes, junk, comments, previews, profiles, texts and frames are never read."""
    packed = zlib.compress(bytes(50 * 2**20), 9)
    profile = b"\xff\xe2\xff\xffICC_PROFILE\0\1\xff" + bytes(65_533 - 14)
    plain = {kind: shown(encoded(scene(), kind)) for kind in ("JPEG", "PNG", "GIF")}
    frame = b",\0\0\0\0\4\0\4\0\0\2\2\x84\x51\0"
    files = {
        "fill": ("JPEG", jpeg_with(b"\xff" * 3_000_000)),
        "junk": ("JPEG", jpeg_with(b"\xff\xfe\0\2" + bytes(3_000_000))),
        "comments": ("JPEG", jpeg_with((b"\xff\xfe\xff\xff" + bytes(65_533)) * 100)),
        "profile": ("JPEG", jpeg_with(profile * 200)),
        "behind the end": ("JPEG", encoded(scene(), "JPEG") + b"\xff\xda\0\2" * 200_000),
        "text": ("PNG", png_with(chunk(b"zTXt", b"k\0\0" + packed))),
        "international text": ("PNG", png_with(chunk(b"iTXt", b"k\0\1\0\0\0" + packed))),
        "icc": ("PNG", png_with(chunk(b"iCCP", b"k\0\0" + packed))),
        "many texts": (
            "PNG",
            png_with(chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2**20))) * 90),
        ),
        "texts behind": ("PNG", png_with(chunk(b"zTXt", b"k\0\0" + packed), behind=True)),
        "xmp": ("PNG", png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + packed))),
        "broken text": ("PNG", png_with(chunk(b"zTXt", b"k\0\0nothing packed"))),
        "comment": ("GIF", gif_with(b"!\xfe" + b"\xffccc".ljust(256, b"c") * 9000 + b"\0")),
        "frames": ("GIF", gif_with(b"", frame * 100_000)),
        "other letters": ("GIF", gif_with(bytes(2_000_000))),
    }
    for name, (kind, data) in files.items():
        with case(name):
            assert distance(shown(data), plain[kind]) == 0


def test_metadata_that_others_would_refuse_is_left_out_and_noted() -> None:
    """A text of more than a megabyte is not passed on; a smaller one is, byte for byte."""
    large = png_with(chunk(b"zTXt", b"workflow\0\0" + zlib.compress(bytes(2**20 + 1))))
    prepared = prepare(load_image(large))
    assert prepared.notes == ("metadata that unpacks to more than 1 MiB is left out",)
    assert len(prepared.data) < len(large)
    small = png_with(chunk(b"zTXt", b"workflow\0\0" + zlib.compress(bytes(2**20))))
    assert prepare(load_image(small)).data == small


def test_orientation_is_found_where_it_may_stand() -> None:
    """In EXIF, in XMP, and in what ImageMagick writes; XMP and profiles are otherwise dropped."""
    exif = Image.Exif()
    exif[0x0112] = 6
    body = exif.tobytes()
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="6"/></x:xmpmeta>'
    raw = b"Raw profile type exif\0\0" + zlib.compress(
        b"\nexif\n%8d\n" % len(body) + body.hex().encode()
    )
    segment = b"http://ns.adobe.com/xap/1.0/\0" + xmp
    app1 = b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment
    for name, data in {
        "EXIF of a JPEG": encoded(scene(), "JPEG", exif=exif),
        "XMP of a JPEG": jpeg_with(app1),
        "XMP of a PNG": png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)),
        "profile": png_with(chunk(b"zTXt", raw)),
    }.items():
        with case(name):
            assert (load_image(data).width, load_image(data).height) == (40, 60)


def test_a_picture_is_opened_and_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was opened to read the header is what is decoded; a second preparation opens anew."""
    opened = []
    really_open = Image.open

    def counting_open(*args: Any, **options: Any) -> Image.Image:
        opened.append(1)
        return really_open(*args, **options)

    monkeypatch.setattr(Image, "open", counting_open)
    for kind in ("JPEG", "WEBP", "GIF", "TIFF"):
        with case(kind):
            opened.clear()
            image = load_image(encoded(scene(700, 500), kind))
            first = prepare(image, SQUARE)
            assert len(opened) == 1
            assert prepare(image, SQUARE) == first
            assert len(opened) == 2


def test_large_pictures_are_converted_in_strips() -> None:
    """Strip by strip, along or across, the pixels are those of the whole."""
    for mode, size in (("RGBA", (1500, 1100)), ("RGBA", (3, 600_000)), ("LA", (600_000, 3))):
        image = Image.effect_noise(size, 90).convert("RGB").convert(mode)
        image.putalpha(Image.effect_noise(size, 90))
        with case(mode, size):
            assert len(list(decode.strips(size))) > 1
            white = Image.new("RGBA", size, "white")
            white.alpha_composite(image.convert("RGBA"))
            assert decode.flatten(image).tobytes() == white.convert("RGB").tobytes()
    deep = Image.new("I", (1500, 1100), 7)
    deep.putpixel((1499, 1099), 70_000)
    with pytest.raises(ImageError, match="white"):
        decode.flatten(deep)


def test_encoded_bytes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever they come from, 32 MiB are the most, and a file of more is not even read."""
    most = source.MAX_SOURCE_BYTES
    assert most == 32 * 2**20
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(most + 1)
    monkeypatch.setattr(source, "_in_chunks", lambda _: pytest.fail("was read"))
    uri = "data:image/png;base64," + "A" * (2 * most + 1)
    for large in (path, bytes(most + 1), bytearray(most + 1), memoryview(bytes(most + 1)), uri):
        refused(large, "larger than 32 MiB")


def test_no_memory_is_asked_for_before_there_are_bytes() -> None:
    """A file object is read in pieces of a megabyte, whatever its size will be."""
    asked = []

    class File(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            asked.append(size)
            return super().read(size)

    load_image(File(encoded(scene())))
    assert max(asked) <= 2**20


def test_too_little_memory_is_an_image_error(tmp_path: Path) -> None:
    """Under a limit of memory, a picture that does not fit into it is refused in words."""
    path = tmp_path / "large.png"
    path.write_bytes(encoded(Image.new("RGBA", (5000, 5000)), compress_level=1))
    code = (
        "import resource, sys\n"
        "from faithful_decide._images.load import load_image\n"
        "from faithful_decide._images.prepare import prepare\n"
        "from faithful_decide.errors import ImageError\n"
        "import PIL.Image, PIL.PngImagePlugin\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 60 * 2**20,) * 2)\n"
        "try: prepare(load_image(sys.argv[1]))\n"
        "except ImageError as error: print(error)"
    )
    if not sys.platform.startswith("linux"):
        pytest.skip("needs /proc")
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert "not enough memory" in done.stdout, done.stderr


# --- what is kept in ------------------------------------------------------------------------------


def strange_files() -> dict[str, bytes]:
    """Pictures of which Pillow or libtiff has something to say."""
    exif = b"Exif\0\0MM\0*\xff\xff\xff\xff broken"
    fax = encoded(Image.effect_noise((300, 200), 90).convert("1"), "TIFF", compression="group4")
    return {
        "EXIF of a JPEG": encoded(scene(), "JPEG", exif=exif),
        "EXIF of a WEBP": encoded(scene(), "WEBP", exif=exif),
        "tag of a TIFF": tiff(directory(4, (700, 2, 0x7FFF_FFFF, 10))),
        "frames of a PNG": png_with(chunk(b"acTL", bytes(8))),
        "cut TIFF": encoded(scene(), "TIFF", compression="tiff_lzw")[:-40],
        "damaged fax": bytes([*fax[:40], *(byte ^ 0x55 for byte in fax[40:200]), *fax[200:]]),
        "channels": tiff([(277, 9, 1, 300) if tag[0] == 277 else tag for tag in directory()]),
    }


def test_warnings_logs_and_errors_of_pillow_are_kept_in(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Warnings as errors change no outcome, and nothing is written anywhere."""
    for name, data in strange_files().items():
        with case(name):
            outcomes = []
            for action in ("ignore", "error"):
                with warnings.catch_warnings():
                    warnings.simplefilter(action)  # type: ignore[arg-type]
                    try:
                        outcomes.append(str(prepare(load_image(data), SQUARE).notes))
                    except ImageError as error:
                        outcomes.append(str(error))
            assert outcomes[0] == outcomes[1]
            assert capfd.readouterr() == ("", "")
            assert caplog.records == []


def test_neighbours_keep_their_warnings() -> None:
    """What another thread warns of while pictures are opened still arrives, and so does its log."""
    data = encoded(scene(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff broken")
    logger = logging.getLogger("PIL.TiffImagePlugin")
    before = (list(warnings.filters), list(logger.filters))
    stop = threading.Event()

    def open_again_and_again() -> None:
        while not stop.is_set():
            prepare(load_image(data))

    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(open_again_and_again) for _ in range(3)]
        try:
            for number in range(300):
                with pytest.raises(UserWarning, match=f"number {number}"):
                    warnings.warn(f"number {number}", stacklevel=1)
        finally:
            stop.set()
        for job in jobs:
            job.result()
    assert (list(warnings.filters), list(logger.filters)) == before


# --- taking turns ---------------------------------------------------------------------------------


def test_pixels_in_work_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many threads never work on more pixels than one picture may have, and none waits for ever."""
    turns = Turns(1000)
    lock = threading.Lock()
    now = most = 0

    def work(size: int) -> None:
        nonlocal now, most
        with turns.taking(size):
            with lock:
                now += min(size, 1000)
                most = max(most, now)
            stop.wait(0.001)
            with lock:
                now -= min(size, 1000)

    stop = threading.Event()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, random.Random(1).choices((1, 300, 600, 5000), k=120)))
    assert 600 <= most <= 1000
    taken = []
    monkeypatch.setattr(PIXELS, "taking", lambda size: taken.append(size) or turns.taking(1))
    prepare(load_image(encoded(scene(50, 30))))
    assert taken == [1500]


def test_a_forked_child_waits_for_nobody() -> None:
    """What other threads were working on at the fork is not held against the child."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    with PIXELS.taking(10**9), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads
        child = os.fork()
        if child == 0:
            try:
                with PIXELS.taking(10**9):
                    os._exit(7)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


# --- thumbnails -----------------------------------------------------------------------------------


def test_thumbnails_of_raw_photographs_are_refused() -> None:
    """A preview in front of the picture is not taken for it; an overview behind the picture is."""
    marked = (254, 4, 1, 1)
    inner = 8 + 2 + 12 * 10 + 4
    refused(tiff(directory(4, (330, 4, 1, inner)), directory(90)), r"4x4.* thumbnail .*90x90")
    refused(tiff(directory(4, marked), directory(90), chained=True), "marked as the thumbnail")
    refused(tiff(directory(4, (255, 3, 1, 2)), directory(90), chained=True), "thumbnail")
    refused(tiff(directory(4, (50706, 1, 4, 1))), "DNG")
    for good in (
        tiff(directory(4, marked)),
        tiff(directory(8, (330, 4, 1, inner)), directory(4)),
        tiff(directory(4), directory(90), chained=True),
    ):
        assert load_image(good).kind == "TIFF"


# --- limits of servers ----------------------------------------------------------------------------


def test_shortest_side_is_scaled_up_to() -> None:
    """A picture that a server would fail on is enlarged, or padded where it would be too long."""
    limits = ImageLimits(min_side=28, max_side=100)
    for size, expected, note in (
        ((60, 40), (60, 40), ()),
        ((28, 28), (28, 28), ()),
        ((10, 20), (28, 56), ("resized from 10x20 to 28x56",)),
        ((1, 1), (28, 28), ("resized from 1x1 to 28x28",)),
        ((300, 60), (100, 28), ("padded to 100x28", "resized from 300x60 to 100x20")),
        ((2, 90), (28, 90), ("padded to 28x90",)),
    ):
        for kind in ("PNG", "JPEG"):
            with case(size, kind):
                data = encoded(scene(*size), kind)
                prepared = prepare(load_image(data), limits)
                assert (prepared.width, prepared.height) == expected
                assert prepared.notes == note
                assert (prepared.data == data) == (not note)
                decoded(prepared)
    endless = prepare(load_image(scene(20_000, 1)), ImageLimits(min_side=28, max_side=None))
    assert min(endless.width, endless.height) == 28
    with pytest.raises(ImageError, match="cannot be encoded in 200 bytes"):
        prepare(load_image(scene(60, 60)), ImageLimits(min_side=50, max_bytes=200))


def test_twelve_bits_stored_in_sixteen_are_noted() -> None:
    """The picture is shown as it is, nearly black, and a note says so."""
    dark = Image.fromarray(np.arange(4096, dtype=np.uint16).reshape(64, 64))
    bright = Image.fromarray(np.arange(4096, dtype=np.uint16).reshape(64, 64) * 16)
    note = "nearly black: its brightest value is 16 of 255"
    for name, image, has_note in (("dark", dark, True), ("bright", bright, False)):
        for what in (image, encoded(image), encoded(image, "TIFF")):
            with case(name, type(what)):
                assert (note in prepare(load_image(what)).notes) == has_note


# --- damage ---------------------------------------------------------------------------------------


def test_damage_behind_a_good_end_is_noticed() -> None:
    """A large picture is not passed through because its last bytes are good."""
    noise = Image.frombytes("RGB", (900, 700), random.Random(3).randbytes(1_890_000))
    for kind, options in (("WEBP", {"lossless": True}), ("PNG", {}), ("JPEG", {})):
        data = bytearray(encoded(noise, kind, **options))
        start = len(data) // 3
        if kind == "WEBP":  # cut short, and its length made to agree
            del data[start:]
            data[4:8] = struct.pack("<I", len(data) - 8)
        elif kind == "JPEG":
            data[start : start + 4] = b"\xff\xc8\0\2"  # a marker that no decoder knows
        else:
            data[start : start + 5000] = bytes(5000)
        with case(kind), pytest.raises(ImageError):
            prepare(load_image(data), ANY_SIDE)


def test_a_large_jpeg_is_checked_without_decoding_it() -> None:
    """Its layout and its first rows tell what decoding it would; what they show is not missed."""
    noise = Image.frombytes("RGB", (900, 700), random.Random(3).randbytes(1_890_000))
    for options in ({}, {"progressive": True}, {"restart_marker_rows": 1}):
        data = encoded(noise, "JPEG", **options)
        with case(options):
            assert decode.starts_well(data)
            assert prepare(load_image(data), ANY_SIDE).data == data
        quantisation, huffman, scan = (
            data.index(mark) for mark in (b"\xff\xdb", b"\xff\xc4", b"\xff\xda")
        )
        end = quantisation + 2 + int.from_bytes(data[quantisation + 2 : quantisation + 4], "big")
        for what, damaged in {
            "without a table": data[:quantisation] + data[end:],
            "with a table of nonsense": data[: huffman + 5] + b"\xff" + data[huffman + 6 :],
            "with a scan of no colours": data[: scan + 4] + b"\0" + data[scan + 5 :],
            "cut short": data[: len(data) // 2],
            "without its end mark": data[:-2],
        }.items():
            with case(options, what), pytest.raises(ImageError):
                prepare(load_image(damaged), ANY_SIDE)


def test_a_wrong_checksum_alone_is_encoded_again() -> None:
    """The pixels are good, but a stricter decoder would refuse the file as it is."""
    for size in ((60, 40), (900, 700)):
        for kind in (b"tEXt", b"IDAT"):
            data = bytearray(png_with(chunk(b"tEXt", b"k\0text"), size=size))
            start = data.index(kind) - 4
            data[start + 8 + int.from_bytes(data[start : start + 4], "big")] ^= 1
            with case(size, kind):
                prepared = prepare(load_image(data), PNG_ONLY)
                assert prepared.data != data
                assert distance(decoded(prepared), scene(*size)) == 0


# --- what else is passed --------------------------------------------------------------------------


def test_rows_of_data_sets(tmp_path: Path) -> None:
    """{"bytes": ..., "path": ...} is the picture that it holds."""
    data = encoded(scene())
    path = tmp_path / "a.png"
    path.write_bytes(data)
    for row in (
        {"bytes": data, "path": None},
        {"bytes": data, "path": "gone.png"},
        {"bytes": None, "path": str(path)},
        {"path": path},
    ):
        with case(row):
            assert load_image(row).content == data
    for row in ({}, {"bytes": None, "path": None}, {"url": "x"}):
        refused(row, "mapping without bytes or a path")
    refused({"path": "https://example.org/a.png"}, "refused by default")
    refused({"bytes": b"", "path": str(path)}, "zero bytes")


def test_tensors_are_told_from_arrays() -> None:
    """The hint says how one becomes the other."""
    tensor = type("Tensor", (), {"__module__": "torch", "shape": (3, 4, 4), "dtype": ""})
    with pytest.raises(ImageError, match=r"type torch\.Tensor") as caught:
        load_image(tensor())
    assert "permute(1, 2, 0)" in caught.value.hint


def test_what_is_no_picture_of_ours_is_named() -> None:
    """By its first bytes, so that nobody has to guess why it is refused."""
    jpeg = encoded(scene(), "JPEG")
    box = b"\0\0\0\x18ftyp"
    brands = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"mif2")
    things: dict[str, list[bytes]] = {
        "HEIC or HEIF": [box + brand + bytes(60) for brand in brands],
        "JPEG XL": [b"\xff\x0a" + bytes(60), b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(60)],
        "JPEG 2000": [b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(9), b"\xffO\xffQ" + bytes(60)],
        "gzip": [gzip.compress(jpeg)],
        "zip": [b"PK\3\4" + bytes(60)],
        "archive": [b"BZh9" + bytes(60), b"7z\xbc\xaf\x27\x1c", bytes(257) + b"ustar"],
        "base64": [base64.b64encode(encoded(scene(), kind)) for kind in ("JPEG", "PNG", "GIF")],
        "raw photograph": [box + b"crx " + bytes(60), b"FUJIFILMCCD-RAW " + bytes(60)],
        "video": [box + b"isom" + bytes(60), b"\x1aE\xdf\xa3" + bytes(60)],
        "PDF": [b"%PDF-1.7", b"\n%pdf"],
        "web page": [b" <!DOCTYPE html>", b"<html>"],
        "address": [b"https://example.org/a.png"],
        "NumPy": [b"\x93NUMPY\1\0"],
        "header is damaged": [b"MM", b"II*\0", b"BM", b"GIF8", b"GIF89a", b"\xff\xd8\xff", PNG],
    }
    for what, files in things.items():
        for data in files:
            with case(what, data[:20]):
                refused(data, f"{what}|header of the image cannot be read")
    refused(base64.b64encode(jpeg).decode(), "image in base64, not a path")


def test_pixels_of_a_broken_lazy_image() -> None:
    """A PIL image whose file is damaged is refused when its pixels are needed."""
    large = Image.open(io.BytesIO(encoded(Image.new("L", (5001, 5001)), "WEBP")))
    refused(large, "25 megapixels")
    for data in (encoded(scene(), "BMP")[:200], encoded(scene())[:80]):
        lazy = Image.open(io.BytesIO(data))
        assert isinstance(lazy, ImageFile.ImageFile)
        refused(lazy, "cannot be decoded")
