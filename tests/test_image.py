"""What is passed as an image ends as bytes that show the same picture, or as an `ImageError`."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import pathlib
import pickle
import random
import socket
import struct
import subprocess
import sys
import threading
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps

from faithful_decide._images import decode
from faithful_decide._images.load import SourceImage, load_image
from faithful_decide._images.prepare import ImageLimits, PreparedImage, letterbox, prepare
from faithful_decide.errors import FaithfulDecideError, ImageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
SQUARE = ImageLimits(square=128)
ANYTHING = ImageLimits(
    media_types=frozenset(decode.MEDIA_TYPES.values()), max_side=None, max_bytes=None
)
PNG_ONLY = ImageLimits(media_types=frozenset({"image/png"}), max_side=None, max_bytes=None)


@contextmanager
def case(*what: object) -> Iterator[None]:
    """Let a failure in a loop name its case."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"in the case {what!r}"[:300])
        raise


def scene(width: int = 60, height: int = 40, mode: str = "RGB") -> Image.Image:
    """A picture without symmetry: a gradient with one red corner, top left."""
    across = Image.linear_gradient("L").rotate(90).resize((width, height))
    down = Image.linear_gradient("L").resize((width, height))
    image = Image.merge("RGB", (across, down, Image.new("L", (width, height), 90)))
    image.paste((255, 0, 0), (0, 0, max(1, width // 3), max(1, height // 4)))
    return image.convert(mode)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """The image in a format."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(prepared: PreparedImage) -> Image.Image:
    """What a backend would see, after checking that the parts of the result agree."""
    image = Image.open(io.BytesIO(prepared.data))
    assert image.size == (prepared.width, prepared.height)
    assert Image.MIME[image.format or ""] == prepared.media_type
    return image.convert("RGB")


def shown(source: object, limits: ImageLimits = PNG_ONLY) -> Image.Image:
    """What a backend would see of a source."""
    return decoded(prepare(load_image(source), limits))


def distance(one: Image.Image, other: Image.Image) -> float:
    """The mean difference of two pictures, in levels."""
    assert one.size == other.size
    a, b = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    return float(np.abs(a - b).mean())


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises a size and has next to no data."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


# --- sources ------------------------------------------------------------------------------------


def test_every_format_on_the_list_is_read() -> None:
    """Each supported format shows the picture that was written."""
    for kind in FORMATS:
        with case(kind):
            source = load_image(encoded(scene(), kind))
            assert (source.width, source.height, source.kind) == (60, 40, kind)
            assert source.notes == ()
            assert distance(shown(source), scene()) < 12


def test_no_other_format_is_read() -> None:
    """A format that is not on the list is refused, although Pillow could decode it."""
    for kind in ["PPM", "ICO", "PCX", "TGA", "SGI", "JPEG2000", "ICNS", "DDS"]:
        with case(kind):
            with pytest.raises(ImageError) as caught:
                load_image(encoded(scene(64, 64), kind))
            assert caught.value.hint


def test_all_ways_of_passing_the_same_file_agree(tmp_path: pathlib.Path) -> None:
    """Path, Path, bytes, bytearray, memoryview, file object and data URI are one image."""
    data = encoded(scene())
    path = tmp_path / "a picture ü.png"
    path.write_bytes(data)
    uri = "data:image/png;base64," + base64.b64encode(data).decode()
    sources: list[object] = [str(path), path, data, bytearray(data), memoryview(data)]
    sources += [io.BytesIO(data), uri, memoryview(data + b"x")[:-1]]
    with path.open("rb") as file:
        results = [load_image(source) for source in [*sources, file]]
        assert not file.closed
    assert len({result.sha256 for result in results}) == 1
    assert {prepare(result).data for result in results} == {data}


def test_relative_path_and_lookalikes_of_urls(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path works, and a file may be called like the start of a URL."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "http").write_bytes(encoded(scene()))
    assert load_image("http").kind == "PNG"


def test_file_object_is_read_from_its_position_and_put_back() -> None:
    """Reading starts at the current position, and the position is the same afterwards."""
    file = io.BytesIO(b"head" + encoded(scene()))
    file.seek(4)
    assert load_image(file).sha256 == load_image(file).sha256 == load_image(encoded(scene())).sha256
    assert file.tell() == 4


def test_stream_that_cannot_seek_is_read_once() -> None:
    """A pipe as an open file works, in however many pieces it delivers."""
    reader, writer = os.pipe()
    data = encoded(scene())

    def write_slowly() -> None:
        with os.fdopen(writer, "wb", buffering=0) as out:
            for start in range(0, len(data), 40):
                out.write(data[start : start + 40])

    thread = threading.Thread(target=write_slowly)
    thread.start()
    with os.fdopen(reader, "rb", buffering=0) as file:
        assert load_image(file).kind == "PNG"
    thread.join()


def test_data_uris() -> None:
    """The forms of data URIs that occur are understood."""
    for uri in [
        "data:,{raw}",
        "data:image/png,{raw}",
        "DATA:image/png;base64,{b64}",
        "data:;base64,{b64}",
        "data:image/jpeg;name=x.png;BASE64,{b64}",
        "data:image/png;base64, {b64}\n",
        "data:image/png;base64,{unpadded}",
        "data:image/png;base64,{escaped}",
    ]:
        with case(uri):
            data = encoded(scene(33, 20)) + b"\0\0"
            b64 = base64.b64encode(data).decode()
            raw = "".join(f"%{byte:02X}" for byte in data)
            escaped = b64.replace("+", "%2B").replace("=", "%3D")
            text = uri.format(raw=raw, b64=b64, unpadded=b64.rstrip("="), escaped=escaped)
            assert load_image(text).sha256 == load_image(data).sha256


def test_bad_data_uris() -> None:
    """A data URI without data, or with something else, is refused with a hint."""
    for uri in [
        "data:",
        "data:image/png;base64",
        "data:image/png;base64,",
        "data:;base64,@@@",
        "data:,é",
    ]:
        with case(uri):
            with pytest.raises(ImageError) as caught:
                load_image(uri)
            assert caught.value.hint


def test_base64_is_not_guessed_at() -> None:
    """A stray character is an error, where a lenient decoder would drop it."""
    text = base64.b64encode(encoded(scene())).decode()
    with pytest.raises(ImageError, match="valid base64"):
        load_image(f"data:image/png;base64,{text[:8]}*{text[8:]}")


def test_pil_image_and_its_copy(tmp_path: pathlib.Path) -> None:
    """A PIL image is copied: drawing on it afterwards changes nothing; a lazy one is loaded."""
    image = scene()
    source = load_image(image)
    image.paste((0, 0, 0), (0, 0, 60, 40))
    assert distance(shown(source), scene()) == 0
    path = tmp_path / "a.png"
    path.write_bytes(encoded(scene()))
    with Image.open(path) as lazy:
        assert distance(shown(lazy), scene()) == 0
    assert load_image(scene()).sha256 == source.sha256 != load_image(scene(61, 40)).sha256


def test_pil_image_is_shown_as_it_is() -> None:
    """Its EXIF survives when its owner turns it, so that only its pixels say which way is up."""
    exif = Image.Exif()
    exif[0x0112] = 6
    opened = Image.open(io.BytesIO(encoded(scene(), "PNG", exif=exif)))
    by_its_owner = opened.transpose(Image.Transpose.ROTATE_270)
    for image in (opened, by_its_owner, by_its_owner.rotate(90, expand=True), opened.copy()):
        source = load_image(image)
        assert (source.width, source.height) == image.size
        assert source.notes == ("a PIL image is shown as it is: EXIF orientation 6 not applied",)
        assert distance(shown(image), Image.Image.convert(image, "RGB")) == 0
    upright = ImageOps.exif_transpose(opened)
    assert load_image(upright).notes == ()
    assert distance(shown(upright), shown(by_its_owner)) == 0


def test_current_frame_of_a_pil_image() -> None:
    """The frame that its owner has chosen is the one used."""
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    film = Image.open(
        io.BytesIO(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    )
    film.seek(1)
    source = load_image(film)
    assert "frames" in source.notes[0]
    assert shown(source).getpixel((0, 0)) == (0, 0, 255)


def test_broken_pil_images() -> None:
    """A closed, truncated or unusable PIL image is an ImageError."""
    closed = Image.open(io.BytesIO(encoded(scene())))
    closed.close()
    cut = Image.open(io.BytesIO(encoded(scene(), "BMP")[:200]))
    for image in (closed, cut, Image.new("RGB", (0, 5)), Image.new("F", (4, 4))):
        with pytest.raises(ImageError) as caught:
            load_image(image)
        assert caught.value.hint


def test_arrays_show_what_the_picture_shows() -> None:
    """Grey, RGB, RGBA and strided arrays of uint8 are the picture."""
    rgb = np.asarray(scene())
    grey = np.asarray(scene(mode="L"))
    assert distance(shown(rgb), scene()) == 0
    assert distance(shown(rgb[:, ::-1][:, ::-1]), scene()) == 0
    assert distance(shown(np.asfortranarray(rgb)), scene()) == 0
    assert distance(shown(grey), scene(mode="L").convert("RGB")) == 0
    assert distance(shown(grey[..., None]), scene(mode="L").convert("RGB")) == 0
    clear = np.dstack([rgb, np.zeros(rgb.shape[:2], np.uint8)])
    assert shown(clear).getextrema() == ((255, 255),) * 3
    assert load_image(rgb).sha256 == load_image(scene()).sha256


def test_arrays_that_could_mean_two_things() -> None:
    """Other dtypes and shapes are refused, and the hint names the way out."""
    for array, word in [
        (np.zeros((4, 4, 3)), "255"),
        (np.zeros((4, 4, 3), np.float32), "255"),
        (np.zeros((4, 4, 3), np.uint16), "uint8"),
        (np.zeros((4, 4, 3), np.int64), "uint8"),
        (np.zeros((4, 4), bool), "uint8"),
        (np.zeros((4, 4), object), "uint8"),
        (np.zeros((3, 40, 50), np.uint8), "transpose"),
        (np.zeros((40, 50, 2), np.uint8), "channels"),
        (np.zeros((40, 50, 5), np.uint8), "channels"),
        (np.zeros((1, 40, 50, 3), np.uint8), "array[0]"),
        (np.zeros(50, np.uint8), "shape"),
        (np.zeros((), np.uint8), "shape"),
        (np.zeros((0, 50, 3), np.uint8), "pixel"),
        (np.zeros((40, 0), np.uint8), "pixel"),
        (np.broadcast_to(np.uint8(0), (9000, 9000)), "scale"),
    ]:
        with case(array, word):
            with pytest.raises(ImageError) as caught:
                load_image(array)
            assert word in caught.value.hint


def test_other_objects() -> None:
    """An object that is no image is refused by an ImageError, not a TypeError."""
    for source in [None, 7, 1.5, [1, 2], {"url": "x"}, object(), scene, io.StringIO("text"), Image]:
        with case(source):
            with pytest.raises(ImageError) as caught:
                load_image(source)
            assert caught.value.hint


class _Misbehaving:
    """A file object whose methods fail as asked."""

    def __init__(self, outcome: object) -> None:
        self.outcome = outcome

    def read(self, size: int = -1) -> object:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def test_short_reads_are_put_together() -> None:
    """A file object may give fewer bytes than asked for; only an empty piece is the end."""
    data = encoded(scene())
    dribble = _Misbehaving(None)
    pieces = iter([bytes([byte]) for byte in data] + [b""])
    dribble.read = lambda _: next(pieces)
    assert load_image(dribble).content == data


def test_misbehaving_file_objects() -> None:
    """Whatever a file object does, the error is ours."""
    for outcome in [OSError("gone"), RuntimeError("odd"), None, "text", 3, b""]:
        with case(outcome):
            with pytest.raises(ImageError) as caught:
                load_image(_Misbehaving(outcome))
            assert caught.value.hint


def test_endless_stream_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream without end stops at the size limit."""
    monkeypatch.setattr("faithful_decide._images.source.MAX_SOURCE_BYTES", 3 * 2**20)
    with pytest.raises(ImageError, match="larger than 3 MiB"):
        load_image(_Misbehaving(b"\0" * 2**20))


# --- files that are no images ---------------------------------------------------------------------


def _make_fifo(path: pathlib.Path) -> None:
    os.mkfifo(path)


def _make_socket(path: pathlib.Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


def _make_loop(path: pathlib.Path) -> None:
    path.symlink_to(path)


BAD_FILES: dict[str, Callable[[pathlib.Path], object]] = {
    "missing": lambda path: None,
    "empty": lambda path: path.write_bytes(b""),
    "directory": lambda path: path.mkdir(),
    "text": lambda path: path.write_text("not an image"),
    "svg": lambda path: path.write_text("<svg xmlns='x'/>"),
    "web page": lambda path: path.write_text("<!DOCTYPE html><p>no"),
    "pdf": lambda path: path.write_bytes(b"%PDF-1.7 ..."),
    "heic": lambda path: path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(60)),
    "eps": lambda path: path.write_bytes(encoded(scene(), "EPS")),
    "magic only": lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n"),
    "fifo": _make_fifo,
    "socket": _make_socket,
    "loop": _make_loop,
    "dangling": lambda path: path.symlink_to(path.with_suffix(".gone")),
    "device": lambda path: path.symlink_to("/dev/zero"),
}


WORDS = {
    "missing": "there is no file",
    "empty": "zero bytes",
    "directory": "is a directory",
    "web page": "web page",
    "pdf": "PDF",
    "heic": "HEIC",
    "svg": "SVG",
    "fifo": "named pipe",
    "socket": "is a socket",
    "device": "is a device",
}


def test_files_that_are_no_images(tmp_path: pathlib.Path) -> None:
    """Each gives an ImageError with a hint at once; none hangs."""
    for name, make in BAD_FILES.items():
        with case(name):
            path = tmp_path / f"{name}.png"
            make(path)
            started = time.monotonic()
            with pytest.raises(ImageError, match=WORDS.get(name)) as caught:
                prepare(load_image(path))
            assert caught.value.hint
            assert time.monotonic() - started < 5


def test_fifo_swapped_in_after_the_look_does_not_hang(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe that takes the place of a file between the look and the opening is noticed."""
    path, fifo = tmp_path / "image.png", tmp_path / "fifo"
    path.write_bytes(encoded(scene()))
    os.mkfifo(fifo)
    really_open = os.open

    def swapping_open(name: os.PathLike[str], flags: int) -> int:
        fifo.replace(path)
        return really_open(name, flags)

    monkeypatch.setattr(os, "open", swapping_open)
    with pytest.raises(ImageError, match="named pipe"):
        load_image(path)


def test_file_without_permission(tmp_path: pathlib.Path) -> None:
    """A file that may not be read is said to be that (as another user, since root may read all)."""
    path = tmp_path / "image.png"
    path.write_bytes(encoded(scene()))
    path.chmod(0)
    code = (
        "import os, sys\n"
        "import faithful_decide._images.lookalikes  # this package may be out of nobody's reach\n"
        "from faithful_decide._images.load import load_image\n"
        "from faithful_decide.errors import ImageError\n"
        "if os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: load_image(sys.argv[1])\n"
        "except ImageError as error: print(error, error.hint)"
    )
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(parent.stat().st_mode | 0o011)
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[1])},
    )
    assert "may not be read" in done.stdout, done.stderr
    assert "permission" in done.stdout


def test_paths_that_cannot_be() -> None:
    """A text that cannot be a path is an ImageError of bounded length."""
    for path in ["", "a\0b.png", "x" * 5000, "\udc80.png", "iVBORw0KGgo=" * 300]:
        with case(path):
            with pytest.raises(ImageError) as caught:
                load_image(path)
            assert caught.value.hint
            assert len(str(caught.value)) < 300
            assert str(caught.value).isprintable()


def test_other_schemes_are_refused() -> None:
    """Only http and https are ever fetched."""
    for url in ["file:///etc/passwd", "ftp://h/x.png", "gopher://h", "s3://b/k"]:
        for allow in [False, True]:
            with case(url, allow), pytest.raises(ImageError, match="not supported"):
                load_image(url, allow_urls=allow)


def test_urls_are_refused_unless_allowed() -> None:
    """A URL is not fetched by default, and the hint says how to allow it."""
    for url in ["http://example.org/a.png", "HTTPS://example.org/a.png"]:
        with case(url):
            with pytest.raises(ImageError, match="refused by default") as caught:
                load_image(url)
            assert "allow_urls=True" in caught.value.hint


def test_name_of_the_file_does_not_count(tmp_path: pathlib.Path) -> None:
    """A JPEG called .png is a JPEG."""
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(scene(), "JPEG"))
    prepared = prepare(load_image(path))
    assert prepared.media_type == "image/jpeg"
    assert prepared.data == path.read_bytes()


# --- sizes ----------------------------------------------------------------------------------------


def test_extreme_shapes() -> None:
    """The smallest and the longest images are prepared, never below one pixel."""
    for size in [(1, 1), (1, 20000), (20000, 1), (2, 3), (128, 128), (129, 127)]:
        for limits in [ImageLimits(), SQUARE, PNG_ONLY]:
            with case(size, limits):
                prepared = prepare(load_image(scene(*size)), limits)
                image = decoded(prepared)
                assert min(image.size) >= 1
                if limits.square:
                    assert image.size == (128, 128)
                elif limits.max_side:
                    assert max(image.size) == min(max(size), limits.max_side)


def test_longer_than_any_jpeg() -> None:
    """A side that JPEG cannot hold makes it a PNG, or a smaller JPEG where PNG is not taken."""
    source = load_image(scene(70_000, 9))
    limits = ImageLimits(max_side=None)
    assert prepare(source, limits).media_type == "image/png"
    jpeg = ImageLimits(media_types=frozenset({"image/jpeg"}), max_side=None)
    assert (prepare(source, jpeg).width, prepare(source, jpeg).media_type) == (35_000, "image/jpeg")


def test_huge_images_are_refused_by_their_header() -> None:
    """25 megapixels, or 64 of a JPEG, are taken, more are refused; neither needs the memory."""
    for size in ((65_000, 1000), (30_000, 30_000), (2**31 - 1, 2**31 - 1), (100_000, 251)):
        with case(size), pytest.raises(ImageError, match="25 megapixels") as caught:
            load_image(png_header(*size))
        assert "scale it down" in caught.value.hint
    assert load_image(png_header(50_000, 500)).width == 50_000
    with pytest.raises(ImageError, match="side of more than 100000 pixels"):
        load_image(png_header(100_001, 1))
    jpeg = encoded(scene(16, 16), "JPEG")
    at = jpeg.index(b"\xff\xc0") + 5
    for height, width, good in ((8000, 8000, True), (8001, 8000, False), (65_500, 65_500, False)):
        data = jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]
        with case(height, width):
            outcome = attempt_loading(data)
            assert (outcome is None) == good
            assert good or "64 megapixels" in str(outcome)


def attempt_loading(data: bytes) -> ImageError | None:
    """What is wrong with a header, if anything."""
    try:
        load_image(data)
    except ImageError as error:
        return error
    return None


def test_bomb_warning_as_an_error_stays_ours() -> None:
    """A program that turns warnings into errors still gets an ImageError."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError):
            load_image(png_header(10_000, 10_000))


def test_no_pixels_are_decoded_by_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading reads the header only."""

    def decode(self: ImageFile.ImageFile) -> None:
        pytest.fail("the image was decoded")

    data = encoded(scene(), "JPEG")
    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    assert load_image(data).width == 60


# --- what a viewer would do -----------------------------------------------------------------------


def test_exif_orientation_is_applied() -> None:
    """All eight orientations come out upright, in every format that has them."""
    for orientation in range(1, 9):
        for kind in ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"]:
            with case(orientation, kind):
                undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}.get(orientation)
                stored = scene() if undo is None else scene().transpose(Image.Transpose(undo))
                exif = Image.Exif()
                exif[0x0112] = orientation
                source = load_image(encoded(stored, kind, exif=exif))
                assert (source.width, source.height) == (60, 40)
                assert distance(shown(source), scene()) < 14
                assert distance(shown(source, SQUARE), letterbox(scene(), 128)) < 14
                assert bool(source.notes) == (orientation != 1)


def test_orientation_behind_the_pixels_of_a_png() -> None:
    """A PNG may carry its EXIF after its pixels; the orientation counts there too."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(scene(), "PNG", exif=exif)
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    late = data[:start] + data[end:-12] + data[start:end] + data[-12:]
    assert late.index(b"IDAT") < late.index(b"eXIf")
    assert (load_image(late).width, load_image(late).height) == (40, 60)


def test_nonsense_orientation_is_ignored() -> None:
    """An orientation that does not exist changes nothing."""
    for value in [0, 9, 77]:
        with case(value):
            exif = Image.Exif()
            exif[0x0112] = value
            assert load_image(encoded(scene(), "JPEG", exif=exif)).notes == ()


def test_broken_exif_does_not_cost_the_picture() -> None:
    """Metadata that cannot be read is ignored, whether Pillow warns or raises."""
    for exif in [b"MM\0*\xff\xff\xff\xff broken", b"nothing like it"]:
        for kind in ["JPEG", "PNG", "WEBP"]:
            with case(exif, kind):
                assert load_image(encoded(scene(), kind, exif=b"Exif\0\0" + exif)).notes == ()


def test_animated_files_use_the_first_frame_and_say_so() -> None:
    """The first frame is shown, a note says so, and the film itself is never passed through."""
    for kind in ["GIF", "PNG", "WEBP", "TIFF", "AVIF"]:
        with case(kind):
            frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "green")]
            data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
            source = load_image(data)
            assert "only the first is used" in source.notes[0]
            prepared = prepare(source, ANYTHING)
            assert prepared.data != data
            assert prepared.notes == source.notes
            assert distance(decoded(prepared), frames[0]) < 3


def test_second_picture_of_a_phone_is_not_a_frame() -> None:
    """A multi-picture JPEG is the JPEG that it starts with."""
    data = encoded(scene(), "MPO", save_all=True, append_images=[scene().rotate(180)])
    source = load_image(data)
    assert (source.kind, source.notes) == ("JPEG", ())
    assert distance(shown(source), scene()) < 12


def test_alpha_is_shown_on_white() -> None:
    """Transparent is white, opaque keeps its colour, half is half way."""
    image = Image.new("RGBA", (3, 1))
    for x, alpha in enumerate((0, 128, 255)):
        image.putpixel((x, 0), (200, 0, 0, alpha))
    source = load_image(encoded(image))
    assert source.notes == ("transparency shown on white",)
    pixels = [shown(source).getpixel((x, 0)) for x in range(3)]
    assert pixels == [(255, 255, 255), (227, 127, 127), (200, 0, 0)]


def test_every_kind_of_transparency() -> None:
    """A fully transparent picture is white, however it says so."""
    for mode in ["LA", "PA", "RGBa", "La", "RGBA", "P", "L", "1", "RGB"]:
        with case(mode):
            if mode in {"P", "L", "1", "RGB"}:
                image = Image.new(mode, (4, 4), 0)
                image.info["transparency"] = (0, 0, 0) if mode == "RGB" else 0
            else:
                image = Image.new(mode, (4, 4))
            assert shown(image).getextrema() == ((255, 255),) * 3


def test_palette_with_transparency_as_a_file() -> None:
    """A GIF and a PNG whose palette has a transparent entry show white there."""
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 200, 30] + [0] * 762)
    image.putpixel((0, 0), 0)
    for kind in ("PNG", "GIF"):
        picture = shown(encoded(image, kind, transparency=0))
        assert picture.getpixel((0, 0)) == (255, 255, 255)
        assert picture.getpixel((2, 2)) == (10, 200, 30)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    """0, a quarter, a half and all of 16 bits become the same shares of 8 bits."""
    for kind in ["PNG", "TIFF"]:
        with case(kind):
            image = Image.new("I;16", (5, 1))
            for x, value in enumerate((0, 128, 16_384, 32_896, 65_535)):
                image.putpixel((x, 0), value)
            source = load_image(encoded(image, kind))
            assert [shown(source).getpixel((x, 0))[0] for x in range(5)] == [0, 0, 64, 128, 255]
            assert "I;16" in source.notes[0]


def test_deep_modes() -> None:
    """32-bit integers count as 16 bits if they fit; other ranges and floats are refused."""
    image = Image.new("I", (2, 1))
    image.putpixel((1, 0), 65_535)
    assert shown(image).getpixel((1, 0)) == (255, 255, 255)
    for value in (-1, 65_536):
        image.putpixel((0, 0), value)
        with pytest.raises(ImageError, match="white"):
            load_image(image)
    with pytest.raises(ImageError, match="white") as caught:
        prepare(load_image(encoded(Image.new("F", (4, 4), 0.5), "TIFF")))
    assert "8-bit" in caught.value.hint


def test_cmyk_and_other_colour_spaces() -> None:
    """Colours survive CMYK, YCbCr, HSV, 1-bit and grey."""
    for mode, kind in (("CMYK", "JPEG"), ("CMYK", "TIFF"), ("YCbCr", "JPEG"), ("L", "JPEG")):
        expected = scene(mode="L").convert("RGB") if mode == "L" else scene()
        assert distance(shown(encoded(scene(mode=mode), kind)), expected) < 12
    assert distance(shown(scene(mode="HSV")), scene()) < 6
    assert distance(shown(encoded(scene(mode="1"))), scene(mode="1").convert("RGB")) == 0


def test_metadata_is_left_behind_when_encoding() -> None:
    """What is encoded again carries no EXIF, profile or comment."""
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    data = encoded(scene(), "JPEG", exif=exif, icc_profile=b"profile" * 40, comment=b"secret")
    for limits in (ImageLimits(max_side=32), SQUARE):
        out = Image.open(io.BytesIO(prepare(load_image(data), limits).data))
        assert not set(out.info) & {"exif", "icc_profile", "comment"}


# --- preparing ------------------------------------------------------------------------------------


def test_what_fits_is_passed_through() -> None:
    """An ordinary image within the limits leaves byte for byte."""
    for kind in ["JPEG", "PNG", "WEBP"]:
        for size in [(60, 40), (900, 700)]:
            with case(kind, size):
                data = encoded(scene(*size), kind)
                prepared = prepare(load_image(data))
                assert prepared.data == data
                assert prepared.notes == ()
                assert prepared.sha256 == prepared.source_sha256


def test_what_does_not_fit_is_encoded_again() -> None:
    """Format, side, bytes, alpha, colour space and shape each rule out passing through."""
    for data, limits in [
        (encoded(scene(), "BMP"), ImageLimits()),
        (encoded(scene(), "JPEG"), PNG_ONLY),
        (encoded(scene(1025, 20), "JPEG"), ImageLimits()),
        (encoded(scene(), "PNG"), ImageLimits(max_bytes=150)),
        (encoded(scene(mode="RGBA"), "PNG"), ImageLimits()),
        (encoded(scene(mode="LA"), "PNG"), ImageLimits()),
        (encoded(scene(mode="CMYK"), "JPEG"), ImageLimits()),
        (encoded(scene(128, 127), "PNG"), SQUARE),
        (encoded(scene(128, 128), "JPEG"), SQUARE),
    ]:
        with case(data, limits):
            prepared = prepare(load_image(data), limits)
            assert prepared.data != data
            decoded(prepared)
            if limits.max_bytes:
                assert len(prepared.data) <= limits.max_bytes


def test_format_that_is_written() -> None:
    """A JPEG stays JPEG; other pictures become PNG if small, JPEG if large and if it is taken."""
    large = ImageLimits(max_side=None, max_bytes=None)
    assert prepare(
        load_image(encoded(scene(90, 60), "JPEG")), ImageLimits(max_side=50)
    ).media_type == ("image/jpeg")
    assert prepare(load_image(scene())).media_type == "image/png"
    assert prepare(load_image(scene(900, 700)), large).media_type == "image/jpeg"
    assert prepare(load_image(scene(900, 700)), PNG_ONLY).media_type == "image/png"
    jpeg = ImageLimits(media_types=frozenset({"image/jpeg"}))
    assert prepare(load_image(scene()), jpeg).media_type == "image/jpeg"


def test_resizing_says_so_and_keeps_the_aspect() -> None:
    """The long side becomes the limit and a note gives both sizes."""
    prepared = prepare(load_image(encoded(scene(3000, 1500), "JPEG")))
    assert (prepared.width, prepared.height) == (1024, 512)
    assert prepared.notes == ("resized from 3000x1500 to 1024x512",)


def test_quick_scaling_shows_what_slow_scaling_shows() -> None:
    """Decoding at a fraction of the size moves nothing and changes little."""
    for kind in ["JPEG", "PNG"]:
        for size in [(2000, 1333), (1111, 1500), (4000, 30), (1037, 1031)]:
            with case(kind, size):
                prepared = prepare(load_image(encoded(scene(*size), kind)))
                slow = scene(*size).resize(
                    (prepared.width, prepared.height), Image.Resampling.LANCZOS
                )
                assert distance(decoded(prepared), slow) < 2.5


def test_fraction_that_does_not_divide_the_size_moves_nothing() -> None:
    """105 pixels decoded at 1/8 are 13.1, not 14; the picture must not shrink by the difference."""
    image = scene(105, 97)
    limits = ImageLimits(media_types=frozenset({"image/png"}), max_side=8)
    prepared = prepare(load_image(encoded(image, "JPEG", quality=98)), limits)
    slow = image.resize((prepared.width, prepared.height), Image.Resampling.BICUBIC)
    difference = np.asarray(decoded(prepared), dtype=float) - np.asarray(slow, dtype=float)
    assert np.abs(difference[2:, 4:, :2]).mean() < 2


def test_bytes_limit_is_met_or_refused() -> None:
    """Noise, which hardly compresses, is made coarser, then smaller; at the end it is an error."""
    noise = Image.frombytes("RGB", (300, 200), random.Random(1).randbytes(180_000))
    for limit in (100_000, 20_000, 3_000, 800):
        prepared = prepare(load_image(noise), ImageLimits(max_bytes=limit))
        assert len(prepared.data) <= limit
        decoded(prepared)
    assert "resized" in prepared.notes[0]
    for limits in (ImageLimits(max_bytes=20), ImageLimits(max_bytes=2000, square=128)):
        with pytest.raises(ImageError, match="cannot be encoded in") as caught:
            prepare(load_image(noise), limits)
        assert "max_bytes" in caught.value.hint


def test_limits_that_nothing_can_meet() -> None:
    """Limits that leave nothing to send are refused when they are written."""
    for options in [
        {"media_types": frozenset()},
        {"media_types": frozenset({"image/gif"})},
        {"media_types": frozenset({"image/jpeg"}), "square": 128},
        {"max_side": 0},
        {"max_bytes": -1},
        {"square": 0},
    ]:
        with case(options):
            with pytest.raises(UsageError) as caught:
                ImageLimits(**options)
            assert caught.value.hint


def test_letterbox_follows_the_rule_to_the_pixel() -> None:
    """Sizes, rounding, centring and the colour beside the picture are those of the model."""
    for width, height in (
        (128, 128),
        (200, 100),
        (100, 200),
        (77, 128),
        (5000, 7),
        (3, 1),
        (301, 299),
        (177, 300),
        (300, 177),
    ):
        image = scene(width, height)
        new = tuple(max(1, round(n * 128 / max(width, height))) for n in (width, height))
        left, top = (128 - new[0]) // 2, (128 - new[1]) // 2
        expected = Image.new("RGB", (128, 128), (122, 116, 104))
        small = image.resize(new, Image.Resampling.BICUBIC, reducing_gap=3.0)
        expected.paste(small, (left, top))
        assert distance(letterbox(image, 128), expected) == 0
        assert distance(shown(image, SQUARE), expected) == 0
        assert distance(shown(encoded(image), SQUARE), expected) == 0


# What the embedded model was trained on, as it was always drawn. There is no tall picture among
# them: Pillow rounds those differently since it scales the two directions in another order.
LETTERBOXED = {
    "1": "25715c7f160dd3de",
    "L": "731ce4a282fd7ebc",
    "LA": "2d90475a83528b5a",
    "P": "731ce4a282fd7ebc",
    "PA": "731ce4a282fd7ebc",
    "RGB": "036cfafc124d172e",
    "RGBA": "be2914e3fc181a62",
    "La": "c0adf833396572cd",
    "CMYK": "036cfafc124d172e",
    "YCbCr": "cd6e5d2c5f190c06",
    "HSV": "7642af616e7cda93",
    "I;16": "731ce4a282fd7ebc",
    "I": "731ce4a282fd7ebc",
}
SHAPES = ((60, 40), (128, 128), (301, 97), (1500, 1100))


def in_mode(mode: str, size: tuple[int, int]) -> Image.Image:
    """A picture of noise, which no two filters and no two roundings show alike."""
    width, height = size
    noise = random.Random(width * height).randbytes(4 * width * height)
    image = Image.frombytes("RGBA", size, noise)
    if mode in {"I", "I;16"}:
        deep = image.convert("L").convert("I").point(lambda value: value * 257)
        return deep if mode == "I" else deep.convert("I;16")
    if mode == "P":
        return image.convert("L").convert("P")
    if mode == "PA":
        return image.convert("L").convert("P").convert("PA")
    if mode == "La":
        return image.convert("LA").convert("La")
    return image.convert("RGB" if mode in {"CMYK", "YCbCr", "HSV"} else mode).convert(mode)


def test_letterboxed_pixels_are_those_of_the_training() -> None:
    """Every mode, transparency and shape gives the pixels that it always gave."""
    for mode, expected in LETTERBOXED.items():
        with case(mode):
            digest = hashlib.sha256()
            for size in SHAPES:
                digest.update(letterbox(in_mode(mode, size), 128).tobytes())
            assert digest.hexdigest()[:16] == expected


def test_letterbox_of_the_exact_size_changes_no_pixel() -> None:
    """A 128x128 RGB picture is not resampled, and as a PNG it is passed through."""
    assert distance(letterbox(scene(128, 128), 128), scene(128, 128)) == 0
    data = encoded(scene(128, 128))
    assert prepare(load_image(data), SQUARE).data == data


def test_letterbox_of_a_photograph_decoded_at_a_fraction() -> None:
    """A large JPEG decoded at 1/8 looks as if it had been decoded in full."""
    image = scene(3001, 2003)
    assert distance(shown(encoded(image, "JPEG", quality=95), SQUARE), letterbox(image, 128)) < 1


def test_prepared_image_is_a_value() -> None:
    """It is frozen, compares by content, pickles, and its hash is that of its data."""
    prepared = prepare(load_image(encoded(scene())))
    assert prepared == pickle.loads(pickle.dumps(prepared))
    assert len({prepared, prepare(load_image(encoded(scene())))}) == 1
    with pytest.raises(AttributeError):
        prepared.width = 3  # type: ignore[misc]
    head, body = prepared.data_uri().split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(body) == prepared.data
    assert load_image(prepared.data_uri()).sha256 == prepared.sha256


def test_repr_never_holds_the_bytes() -> None:
    """The text of both objects is short and has no data in it."""
    source = load_image(encoded(scene(900, 700), "JPEG"))
    for text in (repr(source), repr(prepare(source)), repr(load_image(scene()))):
        assert len(text) < 120
        assert "\\x" not in text
    assert load_image(source) is source


# --- damage ---------------------------------------------------------------------------------------


def test_truncated_files_are_refused() -> None:
    """A file cut short is refused even where its bytes would have been passed through."""
    for kind in FORMATS:
        for size in [(60, 40), (900, 700)]:
            with case(kind, size):
                noise = Image.effect_noise(size, 80).convert("RGB")
                data = encoded(noise, kind)
                for share in (0.02, 0.3, 0.6, 0.9):
                    with pytest.raises(ImageError) as caught:
                        prepare(load_image(data[: int(len(data) * share)]), ANYTHING)
                    assert caught.value.hint


def test_damaged_checksum_of_a_large_png_is_noticed() -> None:
    """A large PNG is not decoded before it is passed through, but its checksums are compared."""
    data = bytearray(encoded(Image.effect_noise((900, 700), 80)))
    data[len(data) // 2] ^= 1
    with pytest.raises(ImageError):
        prepare(load_image(data), ANYTHING)


def samples() -> list[bytes]:
    """Small files of every format and of several forms."""
    exif = Image.Exif()
    exif[0x0112] = 6
    result = [encoded(scene(24, 18), kind) for kind in FORMATS]
    result += [encoded(scene(24, 18), kind, exif=exif) for kind in ("JPEG", "PNG", "TIFF", "WEBP")]
    result += [encoded(scene(24, 18, "P"), kind, transparency=3) for kind in ("PNG", "GIF")]
    result += [
        encoded(scene(24, 18), "JPEG", progressive=True),
        encoded(scene(mode="CMYK"), "JPEG"),
    ]
    result += [
        encoded(scene(9, 9), "TIFF", compression=c) for c in ("tiff_lzw", "jpeg", "packbits")
    ]
    frames = [scene(9, 9), scene(9, 9).rotate(90)]
    result += [
        encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        for kind in ("GIF", "PNG", "WEBP", "TIFF")
    ]
    return result


def attempt(data: bytes, limits: ImageLimits) -> PreparedImage | ImageError:
    """The outcome, good or bad; any other exception is let through and fails the test."""
    try:
        return prepare(load_image(data), limits)
    except ImageError as error:
        return error


def test_damaged_files_give_an_image_or_an_image_error() -> None:
    """Thousands of cut and flipped files: nothing but ImageError gets out, each within a second."""
    draw = random.Random(20240)
    files = samples()
    refused = 0
    for turn in range(3000):
        data = bytearray(files[turn % len(files)])
        if draw.random() < 0.3:
            del data[draw.randrange(len(data)) :]
        for _ in range(draw.choice((0, 1, 1, 2, 8, 40))):
            if data:
                # Headers are where the decisions are, so half of the damage goes there.
                end = len(data) if draw.random() < 0.5 else min(len(data), 64)
                data[draw.randrange(end)] = draw.choice((0, 255, 127, draw.randrange(256)))
        started = time.monotonic()
        outcome = attempt(bytes(data), draw.choice((ANYTHING, SQUARE)))
        refused += isinstance(outcome, ImageError)
        assert outcome.hint if isinstance(outcome, ImageError) else outcome.data
        assert time.monotonic() - started < 5
    assert 500 < refused < 2900


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(samples()))
def test_bytes_behind_a_good_start(tail: bytes, sample: bytes) -> None:
    """Arbitrary bytes, alone or behind the first half of a file, never raise anything else."""
    for data in (tail, sample[: len(sample) // 2] + tail, sample[:12] + tail):
        outcome = attempt(data, SQUARE)
        assert outcome.hint if isinstance(outcome, ImageError) else outcome.data


# --- being a good guest ---------------------------------------------------------------------------


def test_nothing_global_is_changed_in_pillow() -> None:
    """Limits, the handling of truncated files and warning filters stay as the program set them."""
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    for data in (*samples(), b"x", png_header(40_000, 40_000)):
        attempt(data, SQUARE)
    after = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    assert after == before


def test_importing_loads_neither_pillow_nor_numpy() -> None:
    """The module is free until it is used."""
    code = (
        "import sys; import faithful_decide._images.prepare\n"
        "print([name for name in ('PIL', 'numpy', 'ssl', 'http.client') if name in sys.modules])"
    )
    root = pathlib.Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert done.stdout.strip() == "[]"


def test_threads_share_images() -> None:
    """Many threads preparing the same images, with different limits, get what one thread gets."""
    sources: list[SourceImage] = [load_image(data) for data in samples()[:8]]
    sources += [load_image(scene(600, 500)), load_image(scene(60, 40))]
    limits = (SQUARE, PNG_ONLY, ANYTHING, ImageLimits(max_side=50), ImageLimits(max_bytes=2000))
    jobs = [(source, limit) for source in sources for limit in limits] * 4
    jobs += [(sources[-1], limit) for limit in limits] * 100
    expected = [prepare(*job).sha256 for job in jobs]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that threads really meet
    try:
        with ThreadPoolExecutor(16) as pool:
            assert list(pool.map(lambda job: prepare(*job).sha256, jobs)) == expected
    finally:
        sys.setswitchinterval(interval)


def test_errors_are_usage_errors() -> None:
    """A bad image can be caught with every other mistake that is found before a model is called."""
    with pytest.raises(UsageError):
        load_image(b"nothing")
    assert issubclass(ImageError, FaithfulDecideError)


@pytest.mark.parametrize("library", ["PIL.Image", "numpy"])
def test_a_library_that_another_thread_is_loading(library: str, monkeypatch) -> None:
    """Its module is there before its classes are; an image of another kind is none of them."""
    monkeypatch.setitem(sys.modules, library, type(sys)(library))
    assert load_image(encoded(scene())).kind == "PNG"
