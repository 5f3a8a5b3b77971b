"""Intervals and corrections against SciPy and against published examples."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from faithful_decide._audit.judge import corrected
from faithful_decide._audit.stats import holm, net, pooled, smallest
from faithful_decide._audit.types import Tally
from faithful_decide.calibration import wilson


def tally(hits, n):
    return Tally(hits=hits, n=n)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_that_of_scipy(counts):
    """For any count."""
    expected = binomtest(*counts).proportion_ci(method="wilson")
    low, high = wilson(*counts)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17, 857-872, table I, method 3.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_is_that_of_the_paper(hits, n, low, high):
    """To four places."""
    assert wilson(hits, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17, 873-890, table II, method 10.
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_the_difference_is_newcombes(one, other, low, high):
    """Scaled by the room that the control leaves, and never below nothing."""
    room = 1 - other[0] / other[1]
    score, interval = net(tally(*one), tally(*other))
    gain = one[0] / one[1] - other[0] / other[1]
    assert score == pytest.approx(max(0.0, gain / room))
    expected = [min(1.0, max(0.0, bound / room)) for bound in (low, high)]
    assert interval == pytest.approx(expected, abs=1e-4 / room)


def test_without_a_control_the_share_itself_counts():
    """With its own interval."""
    assert net(tally(3, 5), tally(0, 0)) == (0.6, wilson(3, 5))


def test_a_control_that_is_always_hit_leaves_nothing_to_say():
    """The score is nothing, and could be anything."""
    assert net(tally(5, 5), tally(5, 5)) == (0.0, (0.0, 1.0))


def test_a_control_takes_its_share_off():
    """As much as the treatment: nothing is left."""
    assert net(tally(5, 10), tally(5, 10))[0] == 0.0
    assert net(tally(2, 10), tally(5, 10))[0] == 0.0
    assert net(tally(8, 10), tally(6, 10))[0] == pytest.approx(0.5)


def test_no_trials_could_be_anything():
    """An interval from 0 to 1."""
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("trials", "control", "expected"),
    [(1, (0, 0), 1.0), (4, (0, 0), 0.25), (4, (0, 4), 0.75), (1, (0, 1), None), (4, (4, 4), None)],
)
def test_the_smallest_score_that_could_have_been_seen(trials, control, expected):
    """None where even hits all over would prove nothing."""
    assert smallest(trials, tally(*control)) == expected


def test_the_smallest_score_is_the_first_whose_interval_leaves_nothing_out():
    """One hit fewer reaches down to nothing."""
    for n in range(4, 40):
        least = smallest(n, tally(1, n))
        hits = round((least * (1 - 1 / n) + 1 / n) * n)
        assert net(tally(hits, n), tally(1, n))[1][0] > 0
        assert net(tally(hits - 1, n), tally(1, n))[1][0] == 0


def test_trials_are_pooled():
    """All together."""
    assert pooled([tally(1, 2), tally(3, 4), tally(0, 0)]) == tally(4, 6)


def test_holm_is_that_of_the_paper():
    """Holm 1979: the smallest by n, the next by n-1, and never falling."""
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06}
    )
    assert holm({"a": 0.9, "b": 0.8}) == {"b": 1.0, "a": 1.0}
    assert holm({}) == {}


def test_the_share_of_a_judge_is_corrected_for_its_errors():
    """Rogan and Gladen: a true 5 % looks like 9 % to a judge of .85 and .95."""
    seen = 0.05 * 0.85 + 0.95 * 0.05
    assert seen == pytest.approx(0.09)
    assert corrected(seen, sensitivity=0.85, specificity=0.95) == pytest.approx(0.05)
    assert corrected(0.01, sensitivity=0.85, specificity=0.95) == 0.0
    assert corrected(0.99, sensitivity=0.85, specificity=0.95) == 1.0
    assert corrected(0.5, sensitivity=0.5, specificity=0.5) is None
    assert not math.isnan(corrected(1.0, sensitivity=1.0, specificity=1.0))
