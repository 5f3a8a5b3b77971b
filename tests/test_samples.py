"""Pictures of the embedded model's world: their truth, how they are drawn, and folders of them."""

import csv
from collections import Counter
from dataclasses import replace

import pytest
from PIL import Image, ImageChops

from faithful_decide import StorageError, UsageError
from faithful_decide._batch.sources import Source
from faithful_decide.embedded.samples import QUESTION, write_samples
from faithful_decide.embedded.scenes import ANIMALS, MOODS, SHAPES, draw, make_scene

SCENES = [make_scene(seed) for seed in range(120)]


def table(folder):
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def area(box):
    return (box[2] - box[0]) * (box[3] - box[1])


def test_the_same_seed_is_the_same_picture():
    """To the pixel, and another seed another one."""
    one, two = draw(make_scene(3)), draw(make_scene(3))
    assert one.tobytes() == two.tobytes()
    assert make_scene(3) != make_scene(4)


@pytest.mark.parametrize("funny", [True, False])
def test_a_scene_is_as_funny_as_is_wanted(funny):
    """By what is in it."""
    for seed in range(40):
        scene = make_scene(seed, funny=funny)
        gags = [t for t in scene.things if t.wears or t.rides or t.upside_down]
        assert scene.funny is funny
        assert not gags or funny


def test_every_way_to_be_funny_comes_up():
    """Worn, ridden, upside down, and an animal that is too large."""
    ways = Counter()
    for scene in SCENES:
        for thing in scene.things:
            ways.update(way for way in ("wears", "rides", "upside_down") if getattr(thing, way))
        ways["giant"] += scene.funny and not any(
            t.wears or t.rides or t.upside_down for t in scene.things
        )
    assert min(ways[way] for way in ("wears", "rides", "upside_down", "giant")) > 3


def test_things_are_in_the_picture_and_apart():
    """Large enough to be seen; only a rider and what it rides touch."""
    for scene in SCENES:
        side = max(scene.size)
        assert 1 <= len(scene.things) <= 6
        for i, one in enumerate(scene.things):
            left, top, right, bottom = one.whole
            assert left >= 0 <= top
            assert right <= scene.size[0]
            assert bottom <= scene.size[1]
            assert 0.15 * side < one.size < 0.46 * side
            for other in scene.things[i + 1 :]:
                a, b = one.whole, other.whole
                gap = max(a[0] - b[2], b[0] - a[2], a[1] - b[3], b[1] - a[3])
                pair = {one.kind, other.kind}
                assert gap > 0.02 * side or {one.rides, other.rides} & pair, scene.seed


def test_what_does_not_apply_is_empty():
    """Colours are of shapes, moods of cats, and who wears or rides is an animal."""
    for scene in SCENES:
        for thing in scene.things:
            assert bool(thing.colour) == (thing.kind in SHAPES)
            assert (thing.mood in MOODS) == (thing.kind == "cat")
            assert thing.kind in ANIMALS or not (thing.wears or thing.rides)
            assert not thing.rides or thing.rides in {t.kind for t in scene.things}


def test_a_thing_is_where_its_box_says():
    """Without it, the picture differs there, up to a shadow and an outline, and nowhere else."""
    for scene in [one for one in SCENES[:20] if not any(t.rides for t in one.things)]:
        picture = draw(scene)
        for i, thing in enumerate(scene.things):
            # It stays in the list, because the ground is chosen for the colours of the shapes.
            away = replace(thing, whole=(-99, -99, -98, -98))
            things = (*scene.things[:i], away, *scene.things[i + 1 :])
            bands = ImageChops.difference(picture, draw(replace(scene, things=things))).split()
            most = ImageChops.lighter(ImageChops.lighter(bands[0], bands[1]), bands[2])
            box = most.point([0] * 40 + [255] * 216).getbbox()
            assert box is not None
            assert all(new - old >= -9 for new, old in zip(box[:2], thing.whole[:2], strict=True))
            assert all(new - old <= 9 for new, old in zip(box[2:], thing.whole[2:], strict=True))
            # Whiskers may be as grey as the ground.
            assert area(box) > 0.7 * area(thing.whole), (scene.seed, thing.kind)


def test_a_folder_of_samples_is_a_source_with_labels(tmp_path):
    """As it is: half of each verdict, and every picture is listed and can be opened."""
    folder = tmp_path / "new" / "samples"
    assert write_samples(folder, n=10, seed=1) == folder / "metadata.csv"
    rows = table(folder)
    assert Counter(row["label"] for row in rows) == {"yes": 5, "no": 5}
    assert {row["question"] for row in rows} == {QUESTION}
    for source in (Source(folder), Source(folder / "metadata.csv")):
        items = list(source)
        assert [item.columns["label"] for item in items] == [row["label"] for row in rows]
        assert not source.left_out
    for item in items:
        with Image.open(item.image) as picture:
            assert (picture.format, picture.mode) == ("PNG", "RGB")


def test_the_same_seed_writes_the_same_folder(tmp_path):
    """Byte for byte; another seed writes other pictures."""
    folders = [tmp_path / name for name in "abc"]
    for folder, seed in zip(folders, (7, 7, 8), strict=True):
        write_samples(folder, n=3, seed=seed)
    one, same, other = (
        [path.read_bytes() for path in sorted(folder.iterdir())] for folder in folders
    )
    assert one == same != other


def test_earlier_samples_are_replaced(tmp_path):
    """So that no picture is left which the table does not know."""
    write_samples(tmp_path, n=4)
    write_samples(tmp_path, n=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "metadata.csv", "scene-0001.png", "scene-0002.png",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["metadata.csv", "scene-0001.png", "holiday.jpg"])
def test_what_somebody_else_wrote_is_kept(tmp_path, name):
    """A folder is refused that holds other things, even under our names."""
    (tmp_path / name).write_text("precious")
    with pytest.raises(UsageError) as refused:
        write_samples(tmp_path, n=1)
    assert "force=True" in refused.value.hint
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]


def test_with_force_the_rest_stays(tmp_path):
    """Samples are written beside it."""
    (tmp_path / "holiday.jpg").write_text("precious")
    write_samples(tmp_path, n=1, force=True)
    assert (tmp_path / "holiday.jpg").read_text() == "precious"
    assert len(table(tmp_path)) == 1


def test_a_place_that_cannot_be_written_to(tmp_path):
    """A file, and a folder below a file, are told apart by nobody's traceback."""
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UsageError, match="is a file"):
        write_samples(file, n=1)
    with pytest.raises(StorageError, match="cannot be written"):
        write_samples(file / "below", n=1)
