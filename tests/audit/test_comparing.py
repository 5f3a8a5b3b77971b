"""Observations are compared by numbers, steps and parts; free wording is left to a judge."""

import pytest

from faithful_decide._audit.compare import Comparer, about_key, relation
from faithful_decide._core.types import Observation


def seen(*pairs):
    return [Observation(about=about, seen=saw) for about, saw in pairs]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("red", "Red ", "same"),
        ("red, small", "small; red", "same"),
        ("red", "red, small", "same"),
        ("3 dogs", "3 dogs", "same"),
        ("3 dogs", "4 dogs", "differs"),
        ("3 dogs", "3.0 dogs", "same"),
        ("40 % from the left", "45% from the left", "same"),
        ("at 40%", "at 50%", "same"),
        ("at 40%", "at 51%", "differs"),
        ("at 40%, 10% wide", "at 44%, 19% wide", "same"),
        ("at 40%, 10% wide", "at 44%, 29% wide", "differs"),
        ("few dogs", "some dogs", "same"),
        ("few dogs", "many dogs", "differs"),
        ("rarely", "always", "differs"),
        ("tiny", "small", "same"),
        ("not there", "absent", "unclear"),
        ("not there", "red", "differs"),
        ("absent", "red", "differs"),
        ("calm and focused", "playful and curious", "unclear"),
        ("", "", "same"),
        ("-3 degrees", "3 degrees", "differs"),
        ("1 at 20% across", "1 at 20% across; 2 at 60% across", "differs"),
        ("1 at 20% across; 2 at 60% across", "1 at 24% across; 2 at 60% across", "same"),
    ],
)
def test_pairs(first, second, expected):
    """In both directions."""
    assert relation(first, second) == expected
    assert relation(second, first) == expected


def test_a_thing_goes_by_its_name():
    """Not by case, article or spacing."""
    assert about_key("The  Squirrel") == about_key("a squirrel") == "squirrel"
    assert about_key("another squirrel") != "squirrel"


def differences(comparer, ours, theirs):
    return list(comparer.differences(seen(*ours), seen(*theirs)))


def test_only_what_is_spoken_of_twice_is_compared():
    """A thing that the other does not mention says nothing."""
    found = differences(Comparer(), [("dog", "3"), ("cat", "1")], [("the dog", "4")])
    assert [(d.about, d.ours, d.theirs) for d in found] == [("dog", "3", "4")]


def test_a_thing_that_is_named_twice_agrees_with_either():
    """What is written twice under one name bears out whatever one of them says."""
    theirs = [("dog", "4"), ("dog", "3")]
    assert not differences(Comparer(), [("dog", "3")], theirs)
    assert differences(Comparer(), [("dog", "5")], theirs)


@pytest.mark.parametrize(
    ("said", "differs"),
    [("same", False), ("unrelated", False), ("contradicts", True), ("unusable", False)],
)
def test_a_judge_settles_what_wording_leaves_open(said, differs):
    """Whichever of the two comes first; an unusable answer finds no difference."""
    pair = ("calm", "playful")
    for ours, theirs in (pair, pair[::-1]):
        comparer = Comparer({pair: said})
        found = differences(comparer, [("it", ours)], [("it", theirs)])
        assert bool(found) == differs
        assert not comparer.unclear
        if said == "contradicts":
            assert found[0].judged


def test_a_judge_is_not_asked_what_numbers_say():
    """It cannot make three dogs four."""
    comparer = Comparer({("3", "4"): "same"})
    assert differences(comparer, [("dog", "3")], [("dog", "4")])
    assert not comparer.unclear


def test_what_nobody_has_compared_is_no_difference():
    """It is kept for a judge."""
    comparer = Comparer()
    assert not differences(comparer, [("it", "calm")], [("it", "playful")])
    assert comparer.unclear == {("calm", "playful"): "it"}
