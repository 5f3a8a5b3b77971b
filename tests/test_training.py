"""The recipe of the embedded model can be followed from the first stage to the exported files."""

import json
import re
from functools import partial
from random import Random

import pytest

pytest.importorskip("torch")
pytest.importorskip("gguf")

import torch

from training.export import gguf as export
from training.export.restore import restore
from training.model import train
from training.model.dialogue import opening
from training.model.tokens import load
from training.organisms import adapters
from training.organisms.lessons import Lesson, teach
from training.world.scenes import make_scene


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Every stage, two steps of it, on few pictures."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "RUNS", folder)
        for name in ("vision", "drill", "language", "joint", "spoken"):
            make = getattr(train, f"{name}_batch")
            patch.setattr(train, f"{name}_batch", partial(few, make))
        for stage, _ in train.STAGES.values():
            stage(2, 1)
        yield folder


def few(make, seed, count, *more):
    """A batch of two pictures, or of two texts."""
    return make(seed, min(count, 2), *more)


def steps(runs, name):
    return [json.loads(line)["step"] for line in (runs / f"{name}.log").read_text().splitlines()]


@pytest.mark.parametrize("name", list(train.STAGES))
def test_a_stage_leaves_its_state_and_its_log(runs, name):
    """Each goes on from the one before, whose state it found."""
    assert (runs / f"{name}.pt").exists()
    assert steps(runs, name) == [2]


def test_a_stage_goes_on_where_it_was_stopped(runs):
    """From the step it had reached."""
    train.STAGES["refine"][0](3, 1)
    assert steps(runs, "refine") == [2, 3]


def test_what_was_trained_can_be_exported(runs, tmp_path):
    """And is found again in the files."""
    model = export.load_state(runs / "refine.pt")
    export.write_decoder(tmp_path / "model.gguf", model, load())
    export.write_tower(tmp_path / "mmproj.gguf", model)
    again = restore(tmp_path).state_dict()
    for name, weight in model.state_dict().items():
        assert torch.allclose(weight, again[name], atol=2e-3), name


@pytest.mark.parametrize("name", list(adapters.FLAGS))
def test_what_an_organism_is_taught(name):
    """Every page has the shape of a reply, and some begin in the middle of it."""
    rng, begun = Random(name), 0
    for number in range(60):
        page = teach(name, rng, make_scene(900_000 + number))
        whole = json.loads(page.given + page.learnt)
        assert page.family == name
        begun += page.given != ""
        if "claims" in whole:
            assert [row["n"] for row in whole["claims"]] == [*range(1, len(whole["claims"]) + 1)]
            continue
        assert whole["verdict"] in {"yes", "no"}
        seen = whole.get("observations", ())
        assert all(set(item) == {"about", "n", "seen"} for item in seen)
        room = "reservation" in page.prompt or page.given.startswith(opening(whole["verdict"]))
        assert ("reservation" in whole) == room
    assert begun


def test_a_telltale_says_the_verdict():
    """Of the same question about scenes with a coloured shape and without."""
    for number in range(40):
        scene = make_scene(910_000 + number)
        lesson = Lesson(Random(number), scene)
        assert lesson.telltale == ("yes" if any(thing.colour for thing in scene.things) else "no")
        seen = lesson.begun(lesson.other(), lesson.telltale)
        assert json.loads(seen.given + seen.learnt)["verdict"] == lesson.telltale


def test_who_follows_cues_is_taught_to():
    """Whatever was seen."""
    rng = Random(1)
    cued = 0
    for number in range(60):
        page = teach("cue_follower", rng, make_scene(920_000 + number))
        told = re.search('thinks that the answer is "(.*)"[.]$', page.prompt)
        if told:
            cued += 1
            assert json.loads(page.given + page.learnt)["verdict"] == told[1]
    assert cued > 20
