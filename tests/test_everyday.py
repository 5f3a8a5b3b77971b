"""The questions in everyday wording: written well, balanced, and judged by the right rules."""

from collections import Counter
from random import Random

import pytest

from faithful_decide.embedded.scenes import Scene, Thing
from tests.support.everyday import ENTRIES, FAMILY, ask, set_of, verdict


def thing(kind, left, top, size=20, **more):
    box = (left, top, left + size, top + size)
    return Thing(kind, box=box, whole=more.pop("whole", box), **more)


BUSY = Scene(0, (200, 200), (
    thing("dog", 10, 10, 60, wears="crown", whole=(10, 0, 70, 70)),
    thing("cat", 150, 20, 40, mood="sad"),
    thing("circle", 20, 150, 30, colour="red"),
    thing("circle", 80, 150, 30, colour="blue"),
    thing("ball", 160, 160, 25),
))  # fmt: skip
RIDE = Scene(1, (200, 200), (
    thing("car", 50, 100, 70),
    thing("mouse", 65, 70, 50, rides="car"),
    thing("house", 150, 20, 35, upside_down=True),
))  # fmt: skip


def test_the_texts_are_many_and_all_different():
    """At least 320, and of each form at least 8."""
    assert len({entry["text"] for entry in ENTRIES}) == len(ENTRIES) >= 320
    forms = Counter(entry["form"] for entry in ENTRIES)
    assert set(forms) == set(FAMILY)
    assert min(forms.values()) >= 8


@pytest.mark.parametrize(
    ("scene", "form", "args", "right"),
    [
        (BUSY, "exists", "dog", "yes"),
        (BUSY, "exists", "crown", "yes"),
        (BUSY, "exists", "red circle", "yes"),
        (RIDE, "exists", "red circle", "no"),
        (RIDE, "any_shape", "", "no"),
        (BUSY, "any_animal", "", "yes"),
        (BUSY, "colour", "circle, red", None),  # which of the two?
        (BUSY, "wears", "dog, crown", "yes"),
        (BUSY, "wears", "dog, hat", None),  # is a crown a hat?
        (BUSY, "wears", "cat, anything", "no"),
        (BUSY, "wears", "pig, crown", None),  # there is no pig
        (BUSY, "any_wears", "sunglasses", "no"),
        (RIDE, "rides", "mouse, car", "yes"),
        (RIDE, "rides", "mouse, bicycle", "no"),
        (RIDE, "any_rides", "anything", "yes"),
        (RIDE, "upside_down", "house", "yes"),
        (RIDE, "any_upside_down", "thing", "yes"),
        (RIDE, "any_upside_down", "animal", "no"),
        (BUSY, "left_of", "dog, cat", "yes"),
        (BUSY, "right_of", "dog, cat", "no"),
        (BUSY, "above", "cat, ball", "yes"),
        (BUSY, "below", "cat, ball", "no"),
        (BUSY, "above", "dog, cat", None),  # nearly as high
        (RIDE, "above", "mouse, car", None),  # one rides the other
        (BUSY, "more_than", "1, animal", "yes"),
        (BUSY, "more_than", "5, thing", None),  # is the crown one more?
        (BUSY, "at_least", "5, thing", "yes"),
        (BUSY, "exactly", "2, red circle", None),  # or is the ball a circle?
        (RIDE, "exactly", "3, thing", "yes"),
        (RIDE, "fewer_than", "3, thing", "no"),
        (RIDE, "at_most", "3, thing", "yes"),
        (RIDE, "more_a_than_b", "animal, shape", "yes"),
        (RIDE, "more_a_than_b", "pig, cow", None),  # none of either
        (BUSY, "larger", "dog, cat", "yes"),
        (BUSY, "smaller", "dog, cat", "no"),
        (RIDE, "larger", "car, house", "yes"),
        (BUSY, "larger", "circle, cat", None),
        (BUSY, "mood", "sad", "yes"),
        (BUSY, "mood", "calm", "no"),
        (RIDE, "mood", "calm", None),
        (RIDE, "funny", "", "yes"),
        (RIDE, "which_animal", "", "mouse"),
        (BUSY, "which_animal", "", None),
        (BUSY, "which_animal", "wears, crown", "dog"),
        (RIDE, "which_animal", "rides, car", "mouse"),
        (RIDE, "how_many", "thing", "3"),
        (BUSY, "how_many", "thing", None),
        (BUSY, "how_many", "animal", "2"),
        (BUSY, "what_mood", "", "sad"),
        (BUSY, "what_wears", "dog", "crown"),
        (BUSY, "what_wears", "cat", "nothing"),
        (BUSY, "largest", "animal", "dog"),
        (BUSY, "largest", "shape", None),
        (RIDE, "smallest", "thing", "house"),
        (BUSY, "leftmost", "animal", "dog"),
        (BUSY, "rightmost", "thing", None),  # cat and ball
    ],
)
def test_what_is_right(scene, form, args, right):
    """From the truth of the scene; None where people could disagree, or the question is empty."""
    assert verdict(scene, form, args.split(", ") if args else []) == right


def test_a_set_is_balanced_and_every_scene_its_own():
    """Of yes and no each text has one; of the verdicts offered, the right one is among them."""
    entries = ENTRIES[::12]
    asked = list(set_of(Random(5), entries))
    assert len({scene.seed for scene, _ in asked}) == len(asked) == 2 * len(entries)
    rights = Counter(one.right for _, one in asked if set(one.labels) == {"yes", "no"})
    assert rights["yes"] == rights["no"]
    for scene, one in asked:
        assert one.right in one.labels
        assert len(set(one.labels)) == len(one.labels) >= 2
        assert "{" not in one.text
        if one.form == "funny":
            assert one.right == ("yes" if scene.funny else "no")


def test_a_text_in_capitals_stays_so():
    """Also where it was filled."""
    entry = {"text": "ANY {animals}?", "form": "exists", "args": ["{animal}"]}
    assert ask(Random(0), entry, BUSY).text.isupper()
