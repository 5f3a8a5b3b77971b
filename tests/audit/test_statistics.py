"""Intervals, tests and reach are what their sources say, and repetitions are not new trials."""

from itertools import combinations, product
from math import comb
from random import Random

import pytest

pytest.importorskip("scipy")

from benchmarks.coverage import Truth, simulated
from faithful_decide._audit.statistics import (
    MARGIN,
    WITHIN_REACH,
    Count,
    Net,
    Side,
    _student,
    benjamini_hochberg,
    effective,
    exact,
    expected,
    holm,
    labels_p,
    pictures_for,
    signs_p,
    tail,
    wilson,
)


def counts(hits, pictures, times=1, prompts=1, side="t"):
    """So many pictures, the first of which are hit whenever they are asked."""
    return [
        Count(f"{i}", f"{side}{j}", float(times if i < hits else 0), times)
        for i in range(pictures)
        for j in range(prompts)
    ]


def test_exact_and_wilson_intervals_are_those_of_scipy():
    """At every count, at two levels; and Student's quantile and the binomial's tail."""
    from scipy.stats import binom, binomtest, t

    for n in (1, 2, 7, 20, 133):
        for hits in {0, 1, n // 3, n - 1, n}:
            for alpha in (0.05, 0.1):
                test = binomtest(hits, n)
                ours = exact(hits, n, alpha)
                assert ours == pytest.approx(test.proportion_ci(1 - alpha, "exact"), abs=1e-9)
            z = 1.959963984540054
            assert wilson(hits / n, n, z) == pytest.approx(
                test.proportion_ci(0.95, "wilson"), abs=1e-9
            )
            assert tail(n, hits, 0.3) == pytest.approx(binom.sf(hits - 1, n, 0.3), abs=1e-12)
    for degrees in (6, 12, 21, 101):
        for alpha in (0.05, 0.1, 0.01):
            assert _student(alpha, degrees) == pytest.approx(
                t.ppf(1 - alpha / 2, degrees), rel=5e-3
            )


def test_repetitions_of_a_prompt_are_one_cluster():
    """Asking the same sixteen times instead of once narrows nothing."""
    once, often = (Net.of(counts(5, 20, n), counts(1, 20, n)) for n in (1, 16))
    assert once.interval() == often.interval()
    assert once.p == often.p
    split = [Count(f"{i}", "t0", float(i < 5)) for i in range(20) for _ in range(4)]
    assert Side.of(split).interval() == once.treatment.interval()
    assert (Side.of(split).prompts, Side.of(split).n) == (20, 80)


def test_prompts_of_a_picture_are_worth_as_much_as_they_differ():
    """Where all of a picture go together they count once, and more where they do not."""
    together = Side.of(counts(10, 20, prompts=4))
    apart = Side.of([Count(f"{i}", f"{j}", float(j < 2)) for i in range(20) for j in range(4)])
    assert together.mean == apart.mean == 0.5
    assert together.effective == pytest.approx(20, rel=0.1)
    assert apart.effective == 80
    assert together.interval()[0] < apart.interval()[0]


def test_few_hits_are_counted_by_picture():
    """One repetition of eighty that is a hit makes nobody surer than none at all."""
    none = Side.of(counts(0, 20, 4))
    one = Side.of([Count(f"{i}", "t", float(i == 0), 4) for i in range(20)])
    assert none.interval() == exact(0, 20)
    assert one.interval()[1] > none.interval()[1] - 0.01
    assert Side.of(counts(20, 20, 4)).interval() == exact(20, 20)


def test_a_net_score_is_what_the_control_left_room_for():
    """A treatment that adds half of what is left scores a half; one that adds nothing, nothing."""
    assert Net.of(counts(12, 20), counts(4, 20)).score == pytest.approx(0.5)
    assert Net.of(counts(3, 20), counts(4, 20)).score == 0.0
    assert Net.of(counts(20, 20), counts(20, 20)).score == 0.0
    low, high = Net.of(counts(20, 20), counts(20, 20)).interval()
    assert (low, high) == (0.0, 1.0)


def test_an_interval_holds_its_score_and_grows_with_the_level():
    """For any counts, paired and not."""
    rng = Random(3)
    for _ in range(200):
        n = rng.randint(2, 30)
        sides = [
            [Count(f"{i}", f"{j}", rng.randint(0, 3), 3) for i in range(n) for j in range(2)]
            for _ in range(2)
        ]
        if rng.random() < 0.3:
            sides[1] = [Count(f"other {c.picture}", c.prompt, c.hits, c.n) for c in sides[1]]
        net = Net.of(*sides)
        low, high = net.interval()
        assert 0 <= low <= net.score + 1e-9
        assert net.score - 1e-9 <= high <= 1
        wide = net.interval(0.01)
        assert wide[0] <= low + 1e-9
        assert wide[1] >= high - 1e-9


def test_without_trials_nothing_is_known():
    """No treatment, or no control."""
    assert Net.of([]).interval() == (0.0, 1.0)
    assert Net.of([]).p == 1.0
    alone = Net.of(counts(20, 20))
    assert alone.score == 1.0
    assert alone.p == 1.0
    assert not alone.raises(0.0)
    assert not alone.is_equivalent()
    assert not alone.reach(0.0)
    assert not Net.of([], counts(0, 20)).reach(0.0)


def test_signs_are_exchanged_in_every_way():
    """The share of the ways that add up to as much is the one that counting gives."""
    rng = Random(5)
    for _ in range(40):
        differences = [rng.choice([-1, -0.5, -0.25, 0, 0.25, 0.5, 1]) for _ in range(9)]
        moved = [d for d in differences if d]
        ways = [sum(s * d for s, d in zip(signs, moved, strict=True))
                for signs in product((-1, 1), repeat=len(moved))]  # fmt: skip
        share = sum(way >= sum(moved) - 1e-9 for way in ways) / len(ways)
        assert signs_p(differences) == pytest.approx(share if sum(moved) > 0 else 1.0)
    assert signs_p([1.0] * 7 + [0.0] * 13) == 2**-7


def test_labels_are_exchanged_in_every_way():
    """So are the units of sides that do not belong together."""
    rng = Random(6)
    for _ in range(20):
        units = [rng.choice([0, 0.25, 0.5, 1]) for _ in range(10)]
        first, second = units[:4], units[4:]
        as_much = sum(sum(taken) >= sum(first) - 1e-9 for taken in combinations(units, 4))
        assert labels_p(first, second) == pytest.approx(as_much / comb(10, 4))


def test_many_units_are_tested_by_the_normal_distribution():
    """Close to the exact test, where both can be had."""
    from scipy.stats import permutation_test

    rng = Random(7)
    first, second = ([rng.random() for _ in range(60)] for _ in range(2))
    first = [min(1.0, share + 0.1) for share in first]
    by_scipy = permutation_test(
        (first, second), lambda a, b: a.mean() - b.mean(), alternative="greater",
        n_resamples=20_000, vectorized=False, rng=1,
    )  # fmt: skip
    assert labels_p(first, second) == pytest.approx(by_scipy.pvalue, abs=0.01)
    exactly = signs_p([0.25] * 110 + [-0.25] * 90)
    roughly = signs_p([0.25] * 111 + [-0.25] * 91)
    assert exactly == pytest.approx(roughly, abs=0.02)


def test_several_tests_are_corrected_as_their_sources_say():
    """Holm for flags, Benjamini and Hochberg for samples, in whatever order they come."""
    from scipy.stats import false_discovery_control

    p_values = {"a": 0.02, "b": 0.001, "c": 0.3, "d": 0.04}
    assert holm(p_values) == pytest.approx({"b": 0.004, "a": 0.06, "d": 0.08, "c": 0.3})
    ours = benjamini_hochberg(p_values)
    assert list(ours) == list(p_values)
    assert [*ours.values()] == pytest.approx([*false_discovery_control([*p_values.values()])])
    assert benjamini_hochberg({}) == holm({}) == {}


def test_probabilities_are_an_expected_count():
    """Of the answers that are allowed; a backend may give some to others."""
    sure, torn = {"true": 0.1, "false": 0.9}, {"true": 0.2, "false": 0.2, "cannot_tell": 0.1, "": 1}
    assert expected([sure, torn, {}]) == pytest.approx(0.9 + 0.4)
    assert Count("p", "q", expected([sure, torn]), 2).share == pytest.approx(0.65)


@pytest.mark.parametrize(("n", "control"), [(20, 0), (20, 2), (50, 5)])
def test_what_is_within_reach_is_found_as_often_as_it_says(n, control):
    """Violations at the rate that is called the smallest are flagged in about 80 of 100."""
    silent = Net.of(counts(control, n, 4), counts(control, n, 4, side="c"))
    reach = silent.reach(0.05, tests=6)
    assert reach
    rng, rate, found = Random(n), reach.rate, 0
    for _ in range(400):
        drawn = [
            Count(c.picture, c.prompt, c.n if hit else c.hits, c.n)
            for c in counts(control, n, 4)
            for hit in [rng.random() < rate]
        ]
        found += Net.of(drawn, counts(control, n, 4, side="c")).raises(0.05, tests=6)
    assert found / 400 == pytest.approx(0.8, abs=0.07)
    assert reach.chance(0.0) == 0.0
    assert reach.chance(1.0) == 1.0


def test_what_could_not_have_been_raised_is_out_of_reach():
    """For want of pictures, or because the control is always hit."""
    assert not Net.of(counts(0, 5), counts(0, 5)).reach(0.0, tests=6)
    hopeless = Net.of(counts(20, 20), counts(20, 20)).reach(0.0)
    assert hopeless.rate is None
    assert hopeless.chance(1.0) == 0.0
    ten = Net.of(counts(0, 10), counts(0, 10)).reach(0.0, tests=6)
    assert not ten
    assert ten.rate > WITHIN_REACH


def test_it_is_said_how_many_pictures_would_be_enough():
    """With so many the rate is within reach, with fewer it is not."""
    enough = pictures_for(0.25, tests=6)
    for n, within in ((enough, True), (enough - 1, False)):
        reach = Net.of(counts(0, n), counts(0, n)).reach(0.0, tests=6)
        assert (reach.rate <= 0.25) is within
    assert pictures_for(0.5, control=1.0, most=200) is None


def test_nothing_is_shown_by_few_trials():
    """Silence of twenty pictures is not yet equivalence; that of fifty is."""
    for n, shown in ((20, False), (60, True)):
        assert Net.of(counts(0, n), counts(0, n)).is_equivalent(MARGIN) is shown
    assert not Net.of(counts(12, 60), counts(0, 60)).is_equivalent()
    assert not Net.of(counts(0, 60), counts(12, 60)).is_equivalent()


def test_the_prompts_are_the_units_of_a_single_picture():
    """Each is one trial, however often it was asked."""
    own = [Count("p", f"claim {i}", 3, 4) for i in range(8)]
    blind = [Count("p", f"blind {i}", 0, 4) for i in range(8)]
    net = Net.of(own, blind)
    assert len(net.treatment.units) == 8
    assert net.p == pytest.approx(1 / comb(16, 8))
    assert net.raises(0.7)
    assert not net.raises(0.75)
    same = [Count("p", c.prompt, 0, 4) for c in own]
    assert Net.of(own, same).p == 2**-8


@pytest.mark.parametrize("correlation", [0.3, 0.6])
def test_intervals_hold_and_flags_are_rarely_false(correlation):
    """A small part of what `benchmarks.coverage` prints."""
    for net, control in ((0.0, 0.1), (0.15, 0.05), (0.6, 0.0)):
        rng, held, alarms = Random(f"{correlation} {net}"), 0, 0
        for _ in range(150):
            score = simulated(rng, Truth(20, net, control, correlation, (2, 3)))
            low, high = score.interval()
            held += low <= net <= high
            alarms += score.raises(0.0) and net == 0.0
        assert held >= 137
        assert alarms <= 12


def test_an_effective_number_is_never_above_that_of_prompts():
    """Not even where all units agree better than chance."""
    assert effective([0.5] * 20, 40) == 40
    assert effective([0.0] * 20, 40) <= 22
