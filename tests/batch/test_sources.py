"""Samples come out of everything that holds images, one row for one line, as they are needed."""

import io
import itertools
import json
import sys
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from faithful_decide import ImageError, StorageError, UsageError
from faithful_decide._batch.sources import read_items


@pytest.fixture
def folder(tmp_path, png):
    """Three images in two folders, and a file that is none."""
    for name in ("b.png", "a.png", "inner/c.PNG"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).write_bytes(png)
    (tmp_path / "images" / "notes.txt").write_text("no image")
    return tmp_path / "images"


def listed(*sources, **options):
    return [(s.id, s.image, dict(s.columns)) for s in read_items(*sources, **options)]


def test_a_folder(folder):
    """In the order of the names, called relative to it."""
    assert [s.id for s in read_items(folder)] == ["a.png", "b.png", "inner/c.PNG"]
    assert all(Path(s.image).read_bytes()[:4] == b"\x89PNG" for s in read_items(folder))


def test_a_pattern_and_a_file(folder):
    """A pattern that matches nothing is an error, not an empty run."""
    assert [s.id for s in read_items(f"{folder}/*.png")] == [
        f"{folder}/a.png",
        f"{folder}/b.png",
    ]
    assert len(listed(f"{folder}/**/*.*")) == 4
    assert listed(folder / "a.png") == [(f"{folder}/a.png", f"{folder}/a.png", {})]
    for missing in (f"{folder}/*.gif", f"{folder}/none.png"):
        with pytest.raises(UsageError):
            listed(missing)


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
    assert [s.id for s in itertools.islice(read_items("-"), 3)] == ["0.png", "1.png", "2.png"]
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
    samples = read_items(tmp_path / "t.tar")
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
