"""Samples come out of everything that holds images, one row for one line, as they are needed."""

import csv
import datetime as dt
import io
import itertools
import json
import os
import random
import subprocess
import sys
import tarfile
import tracemalloc
from decimal import Decimal
from pathlib import Path

import pytest

from faithful_decide import ImageError, StorageError, UsageError
from faithful_decide._batch.sources import Source


@pytest.fixture
def folder(tmp_path, png):
    """Three images in two folders, and a file that is none."""
    for name in ("b.png", "a.png", "inner/c.PNG"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).write_bytes(png)
    (tmp_path / "images" / "notes.txt").write_text("no image")
    return tmp_path / "images"


def listed(*sources, **options):
    return [(s.id, s.image, dict(s.columns)) for s in Source(*sources, **options)]


def test_a_folder(folder):
    """In the order of the names, called relative to it."""
    assert [s.id for s in Source(folder)] == ["a.png", "b.png", "inner/c.PNG"]
    assert all(Path(s.image).read_bytes()[:4] == b"\x89PNG" for s in Source(folder))


def test_a_pattern_and_a_file(folder):
    """A pattern that matches nothing is an error, not an empty run."""
    assert [s.id for s in Source(f"{folder}/*.png")] == [
        f"{folder}/a.png",
        f"{folder}/b.png",
    ]
    assert len(listed(f"{folder}/**/*.*")) == 4
    assert listed(folder / "a.png") == [(f"{folder}/a.png", f"{folder}/a.png", {})]
    for missing in (f"{folder}/*.gif", f"{folder}/none.png"):
        with pytest.raises(UsageError):
            listed(missing)


def test_a_pattern_shows_no_file_twice(folder, caplog):
    """A linked folder shows its files again, and a link to the folder above has no end."""
    (folder / "again").symlink_to(folder)
    paths = [Path(item.id).resolve() for item in Source(f"{folder}/**/*.png")]
    assert len(set(paths)) == len(paths) > 1
    assert "linked folder" in caplog.text


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_a_folder_with_metadata(folder, name):
    """What the metadata lists, with its columns; other images in the folder are left out."""
    text = 'file_name,label\nb.png,"yes, really"\n'
    if name.endswith("jsonl"):
        text = json.dumps({"file_name": "b.png", "label": "yes, really"}) + "\n\n"
    (folder / name).write_text(text)
    assert listed(folder) == [("b.png", str(folder / "b.png"), {"label": "yes, really"})]


def test_a_table_with_bad_lines(tmp_path):
    """Each is a sample with an error, so that as many rows come out as there were lines."""
    (tmp_path / "t.csv").write_text(
        "\ufeffid,image,label\n7,a.png,yes\n8,,no\n9,b.png\n,c.png,x,y\n"
    )
    seven, eight, nine, named = listed(tmp_path / "t.csv")
    assert seven == ("7", str(tmp_path / "a.png"), {"label": "yes"})
    assert isinstance(eight[1], ImageError)
    assert nine == ("9", str(tmp_path / "b.png"), {})
    assert named[1:] == (str(tmp_path / "c.png"), {"label": "x"})
    lines = ['{"image": "/x/a.png", "n": 3, "none": null}', "{", "[1]", '{"other": 1}', ""]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    good, *bad = listed(tmp_path / "t.jsonl")
    assert good == ("/x/a.png", "/x/a.png", {"n": "3"})
    assert [type(image) for _, image, _ in bad] == [ImageError] * 3
    assert [name for name, _, _ in bad] == ["t.jsonl:2", "t.jsonl:3", "t.jsonl:4"]


def test_the_column_of_the_image(tmp_path):
    """It can be named; a table without one is refused as a whole, with what there is."""
    (tmp_path / "t.csv").write_text("picture,label\na.png,yes\n")
    assert listed(tmp_path / "t.csv", image_column="picture")[0][0] == "a.png"
    for column in (None, "photo"):
        with pytest.raises(UsageError) as caught:
            listed(tmp_path / "t.csv", image_column=column)
        assert "picture, label" in caught.value.hint


def test_a_data_uri_is_not_a_path(tmp_path):
    """It stays as it is, and is not what the sample is called."""
    (tmp_path / "t.jsonl").write_text('{"image": "data:image/png;base64,AAAA"}\n')
    assert listed(tmp_path / "t.jsonl") == [("t.jsonl:1", "data:image/png;base64,AAAA", {})]


def test_parquet(tmp_path, png):
    """Paths, bytes, and the struct that Hugging Face writes."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    struct = [{"bytes": png, "path": "a.png"}, {"bytes": None, "path": "b.png"}, None]
    pq.write_table(pa.table({"image": struct, "label": [1, 0, 1]}), tmp_path / "s.parquet")
    first, second, third = listed(tmp_path / "s.parquet")
    assert first == ("a.png", png, {"label": "1"})
    assert second == ("b.png", str(tmp_path / "b.png"), {"label": "0"})
    assert isinstance(third[1], ImageError)
    pq.write_table(pa.table({"image": [png, b""], "id": [5, 6]}), tmp_path / "b.parquet")
    assert listed(tmp_path / "b.parquet")[0] == ("5", png, {})
    pq.write_table(pa.table({"path": ["/x.png"]}), tmp_path / "p.parquet")
    assert listed(tmp_path / "p.parquet") == [("/x.png", "/x.png", {})]


@pytest.mark.parametrize("name", ["shard.tar", "shard.tar.gz"])
def test_a_webdataset_archive(tmp_path, png, name):
    """Files with one name are one sample; nothing is unpacked, wherever a name may point."""
    files = {
        "x/1.jpg": png,
        "x/1.json": b'{"label": "yes", "n": 2, "no": null}',
        "x/2.cls": b"3\n",
        "x/2.left.png": png,
        "../3.txt": b"only words",
    }
    with tarfile.open(tmp_path / name, "w:gz" if name.endswith("gz") else "w") as archive:
        for file, content in files.items():
            info = tarfile.TarInfo(file)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    one, two, three = listed(tmp_path / name)
    assert one == ("x/1", png, {"label": "yes", "n": "2"})
    assert two == ("x/2", png, {"label": "3"})
    assert three[0] == "../3"
    assert isinstance(three[1], ImageError)
    assert three[2] == {"txt": "only words"}


def test_standard_input(monkeypatch):
    """Paths, or objects, one per line."""
    lines = io.StringIO('a.png\n\n{"id": "b", "image": "x/b.png"}\n')
    monkeypatch.setattr(sys, "stdin", lines)
    assert listed("-") == [("a.png", "a.png", {}), ("b", "./x/b.png", {})]


def test_a_source_is_read_as_it_is_needed(monkeypatch):
    """The first sample is there before the second line is."""
    endless = (f"{n}.png\n" for n in itertools.count())
    monkeypatch.setattr(sys, "stdin", endless)
    assert [s.id for s in itertools.islice(Source("-"), 3)] == ["0.png", "1.png", "2.png"]
    assert next(endless) == "3.png\n"


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet", "t.tar"])
def test_what_cannot_be_read_is_a_typed_error(tmp_path, name):
    """Damaged tables and archives."""
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(b"image\n" + bytes(range(128, 256)) * 20)
    with pytest.raises((StorageError, UsageError)) as caught:
        listed(tmp_path / name)
    assert caught.value.hint


def test_a_member_too_large_to_be_an_image_is_not_read(tmp_path, png, monkeypatch):
    """It is an error of its row."""
    monkeypatch.setattr("faithful_decide._batch.sources._MOST_BYTES", 20)
    with tarfile.open(tmp_path / "t.tar", "w") as archive:
        info = tarfile.TarInfo("1.png")
        info.size = len(png)
        archive.addfile(info, io.BytesIO(png))
    ((_, image, _),) = listed(tmp_path / "t.tar")
    assert isinstance(image, ImageError)
    assert str(len(png)) in str(image)


def test_a_long_archive_is_not_held_in_memory(tmp_path):
    """Of what was read before, nothing is kept: 3000 members grow by less than one byte each."""
    with tarfile.open(tmp_path / "t.tar", "w") as archive:
        for number in range(4000):
            info = tarfile.TarInfo(f"{number}.png")
            info.size = 1
            archive.addfile(info, io.BytesIO(b"x"))
    samples = Source(tmp_path / "t.tar")
    tracemalloc.start()
    try:
        for _ in itertools.islice(samples, 1000):
            pass
        before, _ = tracemalloc.get_traced_memory()
        for _ in itertools.islice(samples, 2900):
            pass
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 2900


def tar(path, *members, mode="w"):
    """Writes an archive of names with contents."""
    with tarfile.open(path, mode) as archive:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def ids(*sources, **options):
    """The ids of the items that are sound, and the errors of the others."""
    items = list(Source(*sources, **options))
    failed = [item.image for item in items if isinstance(item.image, Exception)]
    return [item.id for item in items if not isinstance(item.image, Exception)], failed


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz", "a.tgz"])
def test_archives_may_be_compressed(tmp_path, png, name):
    """By their ending as by their first bytes."""
    kind = {"tar": "", "bz2": "bz2", ".xz": "xz"}.get(name[-3:], "gz")
    tar(tmp_path / name, ("1.png", png), ("2.png", png), mode=f"w:{kind}")
    assert ids(tmp_path / name) == (["1", "2"], [])


@pytest.mark.parametrize("spoilt", range(5))
def test_a_damaged_header_costs_one_member(tmp_path, png, spoilt):
    """Wherever it is; what is behind it is found again."""
    path = tar(tmp_path / "a.tar", *((f"{n}.png", png) for n in range(5)))
    data = bytearray(path.read_bytes())
    data[spoilt * 1024 : spoilt * 1024 + 200] = b"\xa5" * 200
    path.write_bytes(data)
    sound, failed = ids(path)
    assert sound == [str(n) for n in range(5) if n != spoilt]
    assert [type(error) for error in failed] == [StorageError]
    assert "header" in str(failed[0])


@pytest.mark.parametrize("cut", range(512, 3 * 1024 + 512, 256))
def test_a_cut_archive_says_so(tmp_path, png, cut):
    """In a header, in a member, between two; nothing but the lost end is lost."""
    path = tar(tmp_path / "a.tar", *((f"{n}.png", png) for n in range(3)))
    path.write_bytes(path.read_bytes()[:cut])
    whole = [str(n) for n in range(3) if n * 1024 + 1024 <= cut]
    if not whole:
        with pytest.raises(StorageError):
            ids(path)
        return
    sound, failed = ids(path)
    assert sound == whole
    assert len(failed) == 1
    assert "cut off" in str(failed[0])


def test_archives_one_behind_the_other(tmp_path, png):
    """Shards are joined by `cat`; the end mark of the first is not the end."""
    one = tar(tmp_path / "1.tar", ("1.png", png)).read_bytes()
    two = tar(tmp_path / "2.tar", ("2.png", png)).read_bytes()
    (tmp_path / "a.tar").write_bytes(one + two)
    assert ids(tmp_path / "a.tar") == (["1", "2"], [])


def test_a_cut_archive_that_is_compressed(tmp_path, png):
    """What could be unpacked before is there."""
    noise = bytes(random.Random(1).randbytes(40_000))
    members = [(f"{n}.png", noise) for n in range(3)]
    path = tar(tmp_path / "a.tar.gz", *members, mode="w:gz")
    path.write_bytes(path.read_bytes()[:90_000])
    sound, failed = ids(path)
    assert sound == ["0", "1"]
    assert len(failed) == 1


def test_several_images_in_a_group(tmp_path, png):
    """Each is an item, with what belongs to it and what belongs to all."""
    path = tar(
        tmp_path / "a.tar",
        ("x/a.left.jpg", png),
        ("x/a.left.json", b'{"side": "l"}'),
        ("x/a.right.jpg", png),
        ("x/a.cls", b"1"),
        ("2024.05.01 beach.png", png),
        ("2024.05.01 beach.txt", b"sand"),
        ("2024.05.02 dog.png", png),
        ("b.png", png),
    )
    assert [(item.id, item.columns) for item in Source(path)] == [
        ("x/a.left.jpg", {"side": "l", "label": "1"}),
        ("x/a.right.jpg", {"label": "1"}),
        ("2024.05.01 beach.png", {"txt": "sand"}),
        ("2024.05.02 dog.png", {}),
        ("b", {}),
    ]


@pytest.mark.parametrize("count", [15, 16, 17, 33, 100])
def test_names_that_all_begin_alike(tmp_path, png, count):
    """One group of any length is given out as it is read, and no part gets lost on the way."""
    members = []
    for n in range(count):
        members += [(f"v1.{n:03}.txt", f"{n}".encode()), (f"v1.{n:03}.png", png)]
    items = list(Source(tar(tmp_path / "a.tar", *members)))
    assert [item.id for item in items] == [f"v1.{n:03}.png" for n in range(count)]
    assert [item.columns for item in items] == [{"txt": str(n)} for n in range(count)]


def test_what_an_archive_leaves_out_is_counted(tmp_path, png, caplog):
    """Hidden members, links, devices, parts that are no text; nothing is unpacked anywhere."""

    def link(name, kind):
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        return info, b""

    path = tar(
        tmp_path / "a.tar",
        ("._a.jpg", b"mac"),
        ("a.jpg", png),
        ("a.npy", b"\0\1"),
        ("a.bin", b"x" * (2**20 + 1)),
        ("__MACOSX/d/b.jpg", b"mac"),
        ("PaxHeaders.7/c.jpg", b"30 path=c.jpg"),
        ("d/.png", png),
        link("l.png", tarfile.SYMTYPE),
        link("h.png", tarfile.LNKTYPE),
        link("n.png", tarfile.CHRTYPE),
        ("../../up.png", png),
        ("abs.png", png),
    )
    source = Source(path)
    assert [item.id for item in source] == ["a", "../../up", "abs"]
    assert source.left_out == {
        "hidden members": 4,
        "links and devices": 3,
        "parts that are no text": 1,
        "parts that are too long for a column": 1,
    }
    assert "4 hidden members" in caplog.text


def test_names_of_members(tmp_path, png):
    """Long ones, foreign ones, ones that are not UTF-8; in both formats."""
    names = ["d" * 300 + ".png", "caf\u00e9.png", "b" * 120 + "/" + "c" * 150 + ".png"]
    for number, format_ in enumerate((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)):
        path = tmp_path / f"{number}.tar"
        with tarfile.open(path, "w", format=format_) as archive:
            for name in names:
                info = tarfile.TarInfo(name)
                info.size = len(png)
                archive.addfile(info, io.BytesIO(png))
        assert ids(path)[0] == [name[:-4] for name in names]
    path = tar(tmp_path / "l.tar", ("caf?.png", png))
    data = path.read_bytes().replace(b"caf?.png", b"caf\xe9.png")
    block = bytearray(data[:512])
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    path.write_bytes(bytes(block) + data[512:])
    assert ids(path)[0] == [r"caf\udce9"]


@pytest.mark.parametrize(
    "size", [b"\x80" + b"\xff" * 11, b"\x80\0\0\0" + b"\xff" * 8, b"\xff" * 12]
)
def test_a_size_that_cannot_be(tmp_path, png, size):
    """Negative or without end, it is not waited for."""
    path = tar(tmp_path / "a.tar", *((f"{n}.png", png) for n in range(3)))
    data = bytearray(path.read_bytes())
    data[1024 + 124 : 1024 + 136] = size
    data[1024 + 148 : 1024 + 156] = b" " * 8
    data[1024 + 148 : 1024 + 156] = b"%06o\0 " % sum(data[1024:1536])
    path.write_bytes(data)
    sound, failed = ids(path)
    assert sound == ["0", "2"]
    assert len(failed) == 1


def test_an_archive_does_not_fill_the_memory(tmp_path):
    """12 parts of 50 MiB of nothing, and an extended header of the same, take a few."""
    path = tmp_path / "a.tar.gz"
    nothing = bytes(50 * 2**20)
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for number in range(6):
            for name in (f"a.p{number}", f"a.{number}.txt"):
                info = tarfile.TarInfo(name)
                info.size = len(nothing)
                archive.addfile(info, io.BytesIO(nothing))
        info = tarfile.TarInfo("PaxHeader")
        info.type, info.size = tarfile.XHDTYPE, len(nothing)
        archive.addfile(info, io.BytesIO(nothing))
    code = """
import resource, sys
from faithful_decide._batch.sources import Source
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
list(Source(sys.argv[1]))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 40


def test_a_folder_leaves_nothing_out_silently(tmp_path, png, caplog):
    """Every image is an item, also one that cannot be decoded; the rest is counted."""
    names = ["a.HEIC", "b.heif", "c.jfif", "d.jpe", "e.jpg", "f.jxl", "g.mpo", "h.tif", "i.avif"]
    names += ["j.bmp", "k.jp2", "l.apng"]
    for name in [*names, "._e.jpg", ".hidden.png", "notes.txt", "film.mp4", "x.\x1b[31m", "none"]:
        (tmp_path / name).write_bytes(png)
    for folder in (".git", "__MACOSX", "real"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "z.png").write_bytes(png)
    (tmp_path / "linked").symlink_to(tmp_path)
    source = Source(tmp_path)
    assert [item.id for item in source] == [*names, "real/z.png"]
    assert source.left_out == {
        "hidden files": 2,
        "hidden folders": 2,
        "linked folders": 1,
        ".txt files": 1,
        ".mp4 files": 1,
        "files of another kind": 2,
    }
    assert caplog.messages == [f"{str(tmp_path)!a}: " + caplog.messages[0].partition(": ")[2]]
    caplog.clear()
    list(Source(tmp_path, quiet=True))
    assert not caplog.messages


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_is_an_item(tmp_path, png):
    """The others are read."""
    (tmp_path / "a.png").write_bytes(png)
    (tmp_path / "b").mkdir(mode=0)
    sound, failed = ids(tmp_path)
    assert sound == ["a.png"]
    assert [type(error) for error in failed] == [StorageError]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_metadata_at_any_depth(tmp_path, png, kind, caplog):
    """As Hugging Face lays it out; images that no table lists are counted."""
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / "train").mkdir(exist_ok=True)
        (tmp_path / "train" / name).write_bytes(png)
    (tmp_path / "top.png").write_bytes(png)
    table = tmp_path / "train" / f"metadata.{kind}"
    rows = [{"file_name": "a.png", "label": "x"}, {"file_name": "b.png", "label": "y"}]
    if kind == "parquet":
        pa = pytest.importorskip("pyarrow")
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), table)
    elif kind == "jsonl":
        table.write_text("\n".join(map(json.dumps, rows)))
    else:
        table.write_text("file_name,label\na.png,x\nb.png,y\n")
    source = Source(tmp_path)
    assert [(item.id, item.columns) for item in source] == [
        ("top.png", {}),
        ("train/a.png", {"label": "x"}),
        ("train/b.png", {"label": "y"}),
    ]
    assert source.left_out == {f"images that metadata.{kind} does not list": 1}
    assert "does not list" in caplog.text


@pytest.mark.parametrize(
    "name", ["a.zip", "a.csv.gz", "a.jsonl.bz2", "b.xz", "c.zst", "d.json", "e.xlsx", "f.tar.zst"]
)
def test_what_is_not_read_is_refused_by_name(tmp_path, name):
    """It is not taken for one picture."""
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UsageError, match=r"files of the kind \.\w+ are not supported") as caught:
        ids(tmp_path / name)
    assert caught.value.hint


def test_all_sources_are_there_before_anything_is_read(tmp_path, png):
    """A name that is wrong is said at once; what is found later is an item."""
    (tmp_path / "a.png").write_bytes(png)
    (tmp_path / "t.csv").write_text("picture\na.png\n")
    for wrong in (tmp_path / "nowhere", tmp_path / "*.gif"):
        with pytest.raises(UsageError):
            next(iter(Source(tmp_path / "a.png", wrong)))
    with pytest.raises(UsageError):
        ids(tmp_path / "t.csv", tmp_path / "a.png")
    sound, failed = ids(tmp_path / "a.png", tmp_path / "t.csv", tmp_path / "a.png")
    assert len(sound) == 2
    assert [type(error) for error in failed] == [UsageError]


def test_a_table_of_tabs_and_a_list_of_paths(tmp_path):
    """`.tsv` and `.txt`."""
    (tmp_path / "t.tsv").write_text("image\tlabel\na, b.png\tyes\n")
    assert listed(tmp_path / "t.tsv") == [
        ("a, b.png", str(tmp_path / "a, b.png"), {"label": "yes"})
    ]
    (tmp_path / "t.txt").write_bytes(b'a.png\n\ncaf\xe9.png\n{"image": "b.png", "id": 1}\n')
    first, second, third = listed(tmp_path / "t.txt")
    assert first == ("a.png", str(tmp_path / "a.png"), {})
    assert second == (r"caf\udce9.png", str(tmp_path / "caf\udce9.png"), {})
    assert third == ("1", str(tmp_path / "b.png"), {})


@pytest.mark.parametrize(
    ("text", "images"),
    [
        ("shot 10:30.png", "shot 10:30.png"),
        ("a:b/c.png", "a:b/c.png"),
        ("https://x.org/a.png", None),
        ("s3://bucket/a.png", None),
        ("data:image/png;base64,AA", None),
    ],
)
def test_what_is_a_path(tmp_path, text, images):
    """A colon makes no address."""
    (tmp_path / "t.csv").write_text(f'image\n"{text}"\n')
    ((_, image, _),) = listed(tmp_path / "t.csv")
    assert image == (text if images is None else str(tmp_path / images))


def test_cells_of_any_length(tmp_path):
    """A data URI is longer than `csv` allows; the limit of the process stays what it was."""
    uri = "data:image/png;base64," + "A" * 400_000
    (tmp_path / "t.csv").write_text(f'image,label\n"{uri}",yes\na.png,no\n')
    before = csv.field_size_limit()
    first, second = listed(tmp_path / "t.csv")
    assert (first[1], second[0]) == (uri, "a.png")
    assert csv.field_size_limit() == before


SPOILT_LINES = [
    b'a.png,"never closed\n',
    b"caf\xe9.png,latin\n",
    b'"b"c.png,x\n',
    b"\xff\xfe\xfd\n",
]


@pytest.mark.parametrize("line", SPOILT_LINES)
@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_spoilt_line_of_csv_costs_itself(tmp_path, line, place):
    """Not the rest of the file, and not the line behind it."""
    lines = [b'"%d.png","a label, ""%d"""\n' % (n, n) for n in range(4)]
    lines.insert(place, line)
    (tmp_path / "t.csv").write_bytes(b"image,label\n" + b"".join(lines))
    items = listed(tmp_path / "t.csv")
    assert [name for name, image, _ in items if isinstance(image, str)] == [
        f"{n}.png" for n in range(4)
    ]
    ((name, _, _),) = [item for item in items if isinstance(item[1], ImageError)]
    assert name == f"t.csv:{place + 2}"


@pytest.mark.parametrize(
    "line", [b"\xff\xfe", b"{", b'"text"', b'{"image": "a", "image": "b"}', b'{"x": ' + b"9" * 5000]
)
def test_a_spoilt_line_of_json_costs_itself(tmp_path, line):
    """Also one byte that is not UTF-8."""
    (tmp_path / "t.jsonl").write_bytes(
        b'{"image": "a.png"}\n' + line + b"\n" + b'{"image": "b.png"}\n'
    )
    sound, failed = ids(tmp_path / "t.jsonl")
    assert (sound, len(failed)) == (["a.png", "b.png"], 1)


def test_ids(tmp_path, caplog):
    """An empty one is made; one that comes again is told of."""
    (tmp_path / "t.csv").write_text("id,image\n,a.png\n  ,data:image/png;x\nx,b.png\nx,c.png\n")
    assert [name for name, _, _ in listed(tmp_path / "t.csv")] == ["a.png", "t.csv:3", "x", "x"]
    assert "1 with the id of an earlier item" in caplog.text
    (tmp_path / "t.jsonl").write_text(
        '{"id": "", "image": "a"}\n{"id": null, "image": "b"}\n{"id": NaN, "image": "c"}\n'
        '{"id": [1], "image": "d"}\n{"id": "\\ud83d", "image": "e"}\n'
    )
    assert [name for name, _, _ in listed(tmp_path / "t.jsonl")] == [
        "a",
        "b",
        "c",
        "[1]",
        r"\ud83d",
    ]


def test_columns(tmp_path, caplog):
    """Each has a name of its own; two for the image are refused; cells without one are told of."""
    (tmp_path / "t.csv").write_text("image,label,label,\na.png,x,y,z,1,2\n")
    assert listed(tmp_path / "t.csv")[0][2] == {"label": "x", "label (3)": "y", "column 4": "z"}
    assert "2 cells without a column" in caplog.text
    (tmp_path / "u.csv").write_text("image,image\na.png,b.png\n")
    with pytest.raises(UsageError, match="two columns image"):
        listed(tmp_path / "u.csv")
    (tmp_path / "v.csv").write_text("image,label\na.png,\nb.png,yes\n")
    assert [columns for _, _, columns in listed(tmp_path / "v.csv")] == [{}, {"label": "yes"}]
    (tmp_path / "w.csv").write_bytes("image\na.png\n".encode("utf-16"))
    with pytest.raises(StorageError, match="UTF-16"):
        listed(tmp_path / "w.csv")


def test_values_of_parquet_are_texts(tmp_path):
    """A date, a number with places, a moment finer than Python's; an odd cell costs its row."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "image": ["a.png", "b.png"],
            "day": [dt.date(2024, 1, 2), None],
            "at": [dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.UTC), None],
            "price": pa.array([Decimal("12.50"), None]),
            "ns": pa.array([1, None], pa.timestamp("ns")),
            "far": pa.array([2**50, 1], pa.timestamp("ms")),
            "label": [1.0, float("nan")],
            "tags": [["x", "y"], []],
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    first, second = listed(tmp_path / "t.parquet")
    far = first[2].pop("far")
    assert str(2**50) in far
    assert first[2].pop("ns").startswith("1970-01-01")
    assert first[2] == {
        "day": "2024-01-02",
        "at": "2024-01-02T03:04:05+00:00",
        "price": "12.50",
        "label": "1.0",
        "tags": '["x", "y"]',
    }
    assert "label" not in second[2]
    odd = pa.StringArray.from_buffers(
        3, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xffc")
    )
    pq.write_table(pa.table({"image": ["a", "b", "c"], "label": odd}), tmp_path / "o.parquet")
    sound, failed = ids(tmp_path / "o.parquet")
    assert (sound, len(failed)) == (["a", "c"], 1)


def test_a_damaged_part_of_parquet_costs_its_rows(tmp_path):
    """As many are told as there were."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    names = [f"{n:03}{'x' * 50}.png" for n in range(30)]
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"image": names}), path, row_group_size=10, compression="zstd")
    chunk = pq.read_metadata(path).row_group(1).column(0)
    data = bytearray(path.read_bytes())
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    data[start : start + chunk.total_compressed_size] = b"\xa5" * chunk.total_compressed_size
    path.write_bytes(data)
    sound, failed = ids(path)
    assert sound == [*names[:10], *names[20:]]
    assert len(failed) == 10
