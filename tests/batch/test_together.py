"""Items of several images, from tables, folders and archives."""

import io
import json
import tarfile

import pytest
from PIL import Image

from faithful_decide._batch.sources import Source
from faithful_decide.errors import ImageError, UsageError


@pytest.fixture
def shots(tmp_path):
    """Pairs of pictures, one of which lacks its other, and one that belongs to none."""
    for name in ("b_old", "a_new", "a_old", "b_new", "c_old", "d"):
        Image.new("RGB", (4, 4)).save(tmp_path / f"{name}.png")
    return tmp_path


def test_a_folder_is_put_together_by_patterns(shots):
    """In the order of the patterns; what is left alone becomes an error, or is counted."""
    source = Source(shots, together=("*_old.png", "*_new.png"))
    items = {item.id: item.image for item in source}
    assert list(items) == ["a", "b", "c"]
    assert items["a"] == [str(shots / "a_old.png"), str(shots / "a_new.png")]
    assert isinstance(items["c"], ImageError)
    assert "c lacks c_new.png" in str(items["c"])
    assert source.left_out == {"images that belong to no others": 1}


def test_a_limit_counts_items(shots):
    assert [i.id for i in Source(shots, together=("*_old.png", "*_new.png"), limit=1)] == ["a"]


@pytest.mark.parametrize("wrong", [("*",), ("a", "*b"), ("*a*", "*b"), ("*a", "*a")])
def test_patterns_that_say_nothing_are_refused(shots, wrong):
    with pytest.raises(UsageError):
        Source(shots, together=wrong)


def test_an_archive_is_put_together_with_what_it_says(tmp_path, png):
    """The label of a group is that of its item."""
    path = tmp_path / "shots.tar"
    with tarfile.open(path, "w") as archive:
        for name, data in (
            ("x/1.left.png", png), ("x/1.right.png", png), ("x/1.cls", b"yes"),
            ("x/2.left.png", png), ("x/2.cls", b"no"),
        ):  # fmt: skip
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    whole, broken = Source(path, together=("*.left.png", "*.right.png"))
    assert (whole.id, whole.image, whole.columns) == ("x/1", [png, png], {"label": "yes"})
    assert isinstance(broken.image, ImageError)


LISTS = ["a_old.png", "a_new.png"]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_table_has_a_column_of_lists(shots, kind):
    """Paths are beside the table; what is no list is the error of its row."""
    rows = [
        {"id": "a", "images": LISTS},
        {"id": "b", "images": []},
        {"id": "c", "images": ["x", ""]},
    ]
    path = shots / f"t.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif kind == "csv":
        import csv

        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "images"])
            writer.writerows([row["id"], json.dumps(row["images"])] for row in rows)
    else:
        arrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(arrow.Table.from_pylist(rows), path)
    whole, empty, lacking = Source(path)
    assert (whole.id, whole.image) == ("a", [str(shots / name) for name in LISTS])
    assert isinstance(empty.image, ImageError)
    assert isinstance(lacking.image, ImageError)


def test_the_pattern_that_says_most_of_a_name_is_meant(tmp_path):
    """A mask also matches the pattern of its picture."""
    for name in ("a", "a_mask", "b", "b_mask", "c_mask"):
        Image.new("RGB", (4, 4)).save(tmp_path / f"{name}.png")
    a, b, c = Source(tmp_path, together=("*.png", "*_mask.png"))
    assert a.image == [str(tmp_path / "a.png"), str(tmp_path / "a_mask.png")]
    assert b.image == [str(tmp_path / "b.png"), str(tmp_path / "b_mask.png")]
    assert (c.id, str(c.image)) == ("c", "c lacks c.png")


def test_an_image_that_comes_again_is_not_lost(tmp_path, png):
    """An archive may have two members of one name."""
    path = tmp_path / "shots.tar"
    with tarfile.open(path, "w") as archive:
        for name in ("x_a.png", "x_a.png", "x_b.png", "y_a.png", "y_b.png"):
            info = tarfile.TarInfo(name)
            info.size = len(png)
            archive.addfile(info, io.BytesIO(png))
    again, x, y = Source(path, together=("*_a.png", "*_b.png"))
    assert "x_a.png comes a second time" in str(again.image)
    assert (x.image, y.image) == ([png, png], [png, png])


def test_a_list_without_an_end_costs_its_line(tmp_path):
    path = tmp_path / "shots.csv"
    path.write_text(f'images\n"[""a.png""]"\n{"[" * 100_000}\n"[""b.png""]"\n')
    first, spoilt, last = Source(path)
    assert isinstance(spoilt.image, ImageError)
    assert (len(first.image), len(last.image)) == (1, 1)
