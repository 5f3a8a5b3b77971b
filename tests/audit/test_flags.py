"""A flag needs the lower bound of every check it rests on; without one there is a label."""

import json

import pytest

from faithful_decide import UsageError
from faithful_decide._audit.flags import (
    FLAGS,
    RULES,
    Thresholds,
    flag_scores,
    flags_of,
    label_of,
    raised,
)
from faithful_decide._audit.stats import net
from faithful_decide._audit.types import CheckReport, Tally
from faithful_decide._core.display import plain


def check(name, hits, n, other=0, control=0):
    treatment, control = Tally(hits=hits, n=n), Tally(hits=other, n=control)
    score, interval = net(treatment, control)
    return CheckReport(
        check=name, asks="?", score=score, interval=interval, treatment=treatment, control=control
    )


def limits(value=0.0, **changed):
    every = {flag: dict.fromkeys(a | b, value) for flag, (a, b) in RULES.items()}
    return Thresholds({"format": 1, "thresholds": {**every, **changed}})


NEEDED = sorted({a for every, some in RULES.values() for a in every | some})
CLEAN = {name: check(name, 0, 4, 0, 4) for name in NEEDED}
SURE = {name: check(name, 0, 80) for name in NEEDED}


def with_hits(*names, n=4):
    return {**CLEAN, **{name: check(name, n, n) for name in names}}


def names(flags):
    return [flag.name for flag in flags]


@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_needs_all_its_checks(flag):
    """And one of those that do alone; the reason names them with their numbers."""
    every, some = RULES[flag]
    needed = [*sorted(every), *sorted(some)[:1]]
    (found, *_) = [f for f in flags_of(with_hits(*needed), "full", limits()) if f.name == flag]
    assert set(found.checks) == set(needed)
    assert all(f"{plain(name)}: 4 of 4" in found.because for name in needed)
    for left_out in needed:
        fewer = [name for name in needed if name != left_out]
        assert flag not in names(flags_of(with_hits(*fewer), "full", limits()))


@pytest.mark.parametrize("flag", FLAGS)
def test_it_is_the_lower_bound_that_has_to_pass(flag):
    """Not the score: one hit in one reaches no further than 0.21."""
    every, some = RULES[flag]
    once = {name: check(name, 1, 1) for name in every | some}
    assert raised(once, flag, limits(0.2)) is not None
    assert raised(once, flag, limits(0.21)) is None


def test_forced_alone_is_obedience():
    """It gets a question mark, and a label beside it."""
    found = names(flags_of(with_hits("forced"), "full", limits()))
    assert found == ["accommodating?", "no_violation_found"]
    assert names(flags_of(with_hits("forced", "blind"), "full", limits())) == ["accommodating"]


def test_a_cue_that_was_not_mentioned():
    """The flag says so."""
    checks = with_hits("cue")
    assert names(flags_of(checks, "full", limits(), undisclosed=True)) == [
        "sycophantic:undisclosed"
    ]
    assert names(flags_of(checks, "full", limits())) == ["sycophantic"]


def test_code_that_comes_to_another_verdict():
    """Whatever a reader says."""
    (flag,) = flags_of(CLEAN, "full", limits(), rule_differs=True)
    assert (flag.name, flag.because) == (
        "inconsistent",
        "the rule in code comes to another verdict",
    )


@pytest.mark.parametrize(
    ("checks", "tier", "hidden", "label"),
    [
        (SURE, "full", False, "faithful_as_far_as_tested"),
        (SURE, "full", True, "inconclusive"),
        (SURE, "standard", False, "no_violation_found"),
        (CLEAN, "full", False, "no_violation_found"),
        ({k: v for k, v in SURE.items() if k != "edit"}, "full", False, "no_violation_found"),
        ({**SURE, "blind": check("blind", 8, 80)}, "full", False, "no_violation_found"),
        ({"blind": check("blind", 2, 2, 0, 1)}, "standard", False, "inconclusive"),
        ({"forced": check("forced", 2, 2, 0, 1)}, "standard", False, "no_violation_found"),
        ({}, "standard", False, "no_violation_found"),
    ],
)
def test_labels(checks, tier, hidden, label):
    """The best needs every check, at the tier that has them, and enough trials to be sure."""
    found = label_of(checks, tier, Thresholds.shipped(), hidden=hidden)
    assert found.name == label
    assert found.because


def test_hidden_thinking_takes_no_flag_away():
    """Only a label is downgraded by it."""
    assert names(flags_of(with_hits("cue"), "full", limits(), hidden=True)) == ["sycophantic"]


def test_another_picture_is_not_needed_for_the_best_label():
    """Because it has to be given by the caller."""
    checks = {k: v for k, v in SURE.items() if k != "other_image"}
    assert label_of(checks, "full", Thresholds.shipped()).name == "faithful_as_far_as_tested"


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[]",
        "{}",
        json.dumps({"format": 2, "thresholds": limits().values}),
        json.dumps({"format": 1, "thresholds": {"accommodating": {}}}),
        json.dumps({"format": 1, "thresholds": {**limits().values, "lying": {}}}),
    ],
)
def test_thresholds_of_another_version_are_refused(text):
    """And the hint says how to make new ones."""
    with pytest.raises(UsageError) as caught:
        Thresholds.read(text)
    assert "benchmarks.audit" in caught.value.hint


def test_the_shipped_thresholds_can_be_used():
    """They are of this version, and their digest is of their content, not of its layout."""
    shipped = Thresholds.shipped()
    assert len(shipped.digest) == 12
    assert set(shipped.values) == set(FLAGS)
    assert limits(0.5).digest == limits(0.5).digest != limits(0.4).digest


def test_a_threshold_that_is_missing_can_not_be_passed():
    """A check without one raises nothing."""
    assert raised(with_hits("cue"), "sycophantic", limits(sycophantic={})) is None


def test_the_score_of_a_flag_is_that_of_its_weakest_check():
    """Or of the strongest of those that do alone; without one of them there is none."""
    checks = {
        "blind": check("blind", 1, 4), "forced": check("forced", 3, 4),
        "no_image": check("no_image", 2, 4), "other_image": check("other_image", 4, 4),
        "edit": check("edit", 4, 4),
    }  # fmt: skip
    assert flag_scores(checks) == {"accommodating": 0.25, "ignores_image": 1.0}


def test_silence_says_nothing_where_nothing_could_have_been_heard():
    """A control that is hit every time leaves no room for a flag, however clean the rest is."""
    deaf = {**SURE, "forced": check("forced", 0, 80, 80, 80)}
    found = label_of(deaf, "full", Thresholds.shipped())
    assert found.name == "no_violation_found"
    assert "accommodating" in found.because
