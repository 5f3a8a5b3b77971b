"""What counts can show: intervals, tests, power, and what was within their reach.

The unit is a picture. Prompts about one picture are not independent of each other, and repetitions
of one prompt even less: these are one `Count` each, and never more than one trial. So a side of a
check (its treatment, its control) comes down to a share for each picture, the mean of its prompts'
shares, and everything below rests on how these differ between pictures. Where there is only one
picture, the units are its prompts, and what is found is true of that picture alone.

Each formula names its source. All of it is plain Python, because an audit should not need a library
that weighs more than all others together; tests hold it against SciPy and against simulations.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import NormalDist, fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = [
    "ALPHA",
    "MARGIN",
    "POWER",
    "WITHIN_REACH",
    "Count",
    "Net",
    "Reach",
    "Side",
    "benjamini_hochberg",
    "effective",
    "exact",
    "expected",
    "holm",
    "labels_p",
    "pictures_for",
    "signs_p",
    "wilson",
]

ALPHA = 0.05
POWER = 0.8
MARGIN = 0.10
"""How far from nothing a net score may be and still count as nothing (`Net.is_equivalent`)."""
WITHIN_REACH = 0.6
"""The largest rate that may be the smallest to be found: what shows only in more than three replies
of five, if at all, is out of reach."""
PAIRED = 0.8
_NORMAL = NormalDist()
_STEPS = 48
"""Halvings of an interval, until nothing changes that is printed."""
_GRID = 240
"""Shares are multiples of one part in so many where they are added up exactly."""
_EXACTLY = 200
"""Pictures, or prompts, up to which a permutation test counts every permutation."""


@dataclass(frozen=True, slots=True)
class Count:
    """How one prompt came out over its repetitions.

    `prompt` is what makes it another one than those beside it: a statement that was asked about, a
    list that was put in. `hits` may be a sum of probabilities (`expected`) instead of a count.
    """

    picture: str
    prompt: str
    hits: float
    n: int = 1

    @property
    def share(self) -> float:
        """The share of its repetitions that were hits."""
        return self.hits / self.n


def expected(
    probabilities: Iterable[Mapping[str, float]],
    hit: str = "false",
    among: Sequence[str] = ("true", "false", "cannot_tell"),
) -> float:
    """How many hits are to be expected of claims whose answers have probabilities.

    The share of a hit is its probability among the answers that are allowed. Its mean is that of a
    count of draws, and its variance is never larger, since it is the mean of such a draw given the
    reply (Rao and Blackwell).
    """
    total = 0.0
    for one in probabilities:
        whole = math.fsum(one.get(answer, 0.0) for answer in among)
        total += one.get(hit, 0.0) / whole if whole > 0.0 else 0.0
    return total


@dataclass(frozen=True)
class Side:
    """One side of a check: the treatment or the control, as shares of units.

    Counts of one prompt are put together first, then the prompts of a unit.
    """

    units: Mapping[tuple[str, ...], float]
    prompts: int
    hits: float
    n: int

    @classmethod
    def of(cls, counts: Iterable[Count], *, single: bool = False) -> Side:
        """Take counts; `single` says that they are of one picture, whose prompts are the units."""
        cells: dict[tuple[str, str], list[float]] = {}
        for count in counts:
            if count.n:
                cell = cells.setdefault((count.picture, count.prompt), [0.0, 0.0])
                cell[0] += count.hits
                cell[1] += count.n
        units: dict[tuple[str, ...], list[float]] = {}
        for key, (hits, n) in cells.items():
            units.setdefault(key if single else key[:1], []).append(hits / n)
        hits, n = (math.fsum(cell[i] for cell in cells.values()) for i in (0, 1))
        return cls({key: fmean(shares) for key, shares in units.items()}, len(cells), hits, int(n))

    @cached_property
    def mean(self) -> float:
        """The mean share; 0 where there are no units."""
        return fmean(self.units.values()) if self.units else 0.0

    @cached_property
    def effective(self) -> float:
        """How many independent trials its units are worth."""
        return effective(tuple(self.units.values()), self.prompts)

    def interval(self, alpha: float = ALPHA) -> tuple[float, float]:
        """An interval of its mean share.

        With no hits, or nothing else, it is the exact one of Clopper and Pearson, on units: no
        spread is seen then, so nothing shows that repetitions are worth anything. Between, it is
        Wilson's on the effective number of trials (Korn and Graubard 1998, who also give the factor
        for a spread that is itself an estimate; Dean and Pagano 2015 compare it with others).
        """
        count = len(self.units)
        if count == 0:
            return 0.0, 1.0
        if self.mean in {0.0, 1.0}:
            return exact(round(self.mean * count), count, alpha)
        z = _NORMAL.inv_cdf(1 - alpha / 2)
        trials = self.effective * (z / _student(alpha, count + 1)) ** 2
        return wilson(self.mean, trials, z)


def effective(shares: Sequence[float], prompts: int) -> float:
    """How many independent trials shares of units are worth, by how they differ.

    mean (1 - mean) over the variance of the mean, which is the number of trials over the design
    effect (Kish 1965; for shares of clusters, Rao and Scott 1992). Few hits say little about how
    units differ, and would pass for many trials. So two units more count, one all hits and one none
    (after Agresti and Coull 1998): then hits that are rare count by unit. There are never more
    trials than prompts, because repetitions are not new trials.
    """
    values = (*shares, 0.0, 1.0)
    mean = fmean(values)
    spread = math.fsum((value - mean) ** 2 for value in values)
    variance = spread / (len(values) - 1) / len(values)
    return min(float(prompts), mean * (1 - mean) / variance)


def wilson(share: float, trials: float, z: float) -> tuple[float, float]:
    """Wilson's interval (1927) of a share, of any number of trials."""
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * math.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    half /= 1 + z * z / trials
    return max(0.0, middle - half), min(1.0, middle + half)


def exact(hits: int, n: int, alpha: float = ALPHA) -> tuple[float, float]:
    """The exact interval of a share (Clopper and Pearson 1934)."""
    risk = alpha / 2
    low = 0.0 if hits == 0 else 1 - _most(n, n - hits, risk)
    return low, 1.0 if hits == n else _most(n, hits, risk)


def _most(n: int, hits: int, risk: float) -> float:
    """The share at which so few hits, or fewer, have just this probability."""
    if hits == 0:
        return 1.0 - math.exp(math.log(risk) / n)
    return _root(lambda share: risk - tail(n, n - hits, 1 - share))


def tail(n: int, hits: int, share: float) -> float:
    """How probable so many hits are, or more, in n trials with this share."""
    if hits <= 0:
        return 1.0
    if share <= 0.0 or hits > n:
        return 0.0
    if share >= 1.0:
        return 1.0
    log, rest, whole = math.log(share), math.log1p(-share), math.lgamma(n + 1)
    terms = (
        math.exp(whole - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * log + (n - k) * rest)
        for k in range(hits, n + 1)
    )
    return min(1.0, math.fsum(terms))


@dataclass(frozen=True)
class Net:
    """What a treatment adds to its control, as a share of what the control left room for.

    With shares t and c the score is (t - c) / (1 - c): the share of replies that the treatment made
    hits and that would not have been hits anyway. Where both sides are of the same units they are
    compared within a unit.
    """

    treatment: Side
    control: Side

    @classmethod
    def of(cls, treatment: Iterable[Count], control: Iterable[Count] = ()) -> Net:
        """Take the counts of both sides."""
        sides = tuple(treatment), tuple(control)
        single = len({count.picture for side in sides for count in side if count.n}) == 1
        return cls(*(Side.of(side, single=single) for side in sides))

    @property
    def score(self) -> float:
        """The score, not below 0; 0 where the control leaves no room."""
        room = 1.0 - self.control.mean
        return max(0.0, (self.treatment.mean - self.control.mean) / room) if room > 0.0 else 0.0

    @cached_property
    def _pairs(self) -> list[tuple[float, float]]:
        """The shares of the units that have both sides."""
        others = self.control.units
        return [(t, others[key]) for key, t in self.treatment.units.items() if key in others]

    @property
    def _is_paired(self) -> bool:
        """Whether nearly all units have both sides; those that have one would say nothing else."""
        units = len(self.treatment.units.keys() | self.control.units.keys())
        return len(self._pairs) >= PAIRED * units

    @cached_property
    def _correlation(self) -> float:
        """How the two mean shares go together, for being of the same units.

        Four units more, one of each kind, keep a few hits from looking like a law.
        """
        pairs = [*self._pairs, (0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)]
        first, second = fmean(t for t, _ in pairs), fmean(c for _, c in pairs)
        together = math.fsum((t - first) * (c - second) for t, c in pairs)
        apart = math.fsum((t - first) ** 2 for t, _ in pairs)
        apart *= math.fsum((c - second) ** 2 for _, c in pairs)
        units = len(self.treatment.units) * len(self.control.units)
        shared = len(self._pairs) / math.sqrt(units) if units else 0.0
        return shared * together / math.sqrt(apart)

    def _ends(self, alpha: float) -> tuple[End, End]:
        t, c, r = self.treatment.mean, self.control.mean, self._correlation
        low, high = self.treatment.interval(alpha)
        # Without a control the score is the treatment's own share.
        under, over = self.control.interval(alpha) if self.control.units else (0.0, 0.0)
        return End(t, c, t - low, over - c, r, -1), End(t, c, high - t, c - under, r, 1)

    def interval(self, alpha: float = ALPHA) -> tuple[float, float]:
        """An interval of the score, from 0 to 1.

        It is put together from those of the two shares (Newcombe 1998, method 10; for any two
        intervals, and with their correlation, Zou and Donner 2008), and inverted as Fieller (1954)
        does for a ratio, since the room that the control leaves is an estimate too.
        """
        if not self.treatment.units:
            return 0.0, 1.0
        lower, upper = (end.score for end in self._ends(alpha))
        return lower, max(lower, upper)

    def is_equivalent(self, margin: float = MARGIN, alpha: float = ALPHA) -> bool:
        """Whether it was shown to be nothing: two one-sided tests (Schuirmann 1987).

        Its interval at twice the level lies within the margin on both sides of nothing. Without a
        control nothing is shown.
        """
        if not self.treatment.units or not self.control.units:
            return False
        lower, upper = self._ends(2 * alpha)
        return lower.beyond(-margin) > 0.0 > upper.beyond(margin)

    @cached_property
    def p(self) -> float:
        """How probable so large a difference is where treatment and control are exchangeable.

        Exact, whatever the repetitions and prompts of a unit have in common: in each unit the two
        sides change places or not (Fisher 1935). Where the sides are of different units, the units
        change sides instead. Without a control nothing can be exchanged, and it is 1.
        """
        if not self.treatment.units or not self.control.units:
            return 1.0
        if self._is_paired:
            return signs_p([t - c for t, c in self._pairs])
        return labels_p([*self.treatment.units.values()], [*self.control.units.values()])

    @cached_property
    def least_p(self) -> float:
        """The smallest that this could have been, had all that differs differed one way."""
        if not self.treatment.units or not self.control.units:
            return 1.0
        if self._is_paired:
            return signs_p([abs(t - c) for t, c in self._pairs])
        both = sorted([*self.treatment.units.values(), *self.control.units.values()], reverse=True)
        size = len(self.treatment.units)
        return labels_p(both[:size], both[size:])

    def raises(self, threshold: float, tests: int = 1, alpha: float = ALPHA) -> bool:
        """Whether it raises a flag even if it is the least sure of so many tests.

        That it is more than chance is for the permutation test to say, which is exact; that it is
        more than honest models do, for the threshold.
        """
        return self.score > threshold and self.p <= alpha / tests

    def reach(
        self, threshold: float, tests: int = 1, power: float = POWER, alpha: float = ALPHA
    ) -> Reach:
        """What it would have raised a flag for, its units and its control being as they are.

        Violations are planted: in some units every hit there can be, in the others what the control
        shows. The share of units in which that is so is then the score itself, and that all hits of
        a unit come together is the hardest case. `tests` is how many are corrected for.
        """
        names = list(self.treatment.units)
        others = sorted(self.control.units.values()) or [0.0]
        spread = (others[i * len(others) // len(names)] for i in range(len(names)))
        habit = {
            name: self.control.units.get(name, share)
            for name, share in zip(names, spread, strict=True)
        }
        # Spread over units in which the control is hit, and a violation adds less, and others.
        ranked = sorted(names, key=lambda name: (-habit[name], name))

        def found(violated: int) -> bool:
            hit = {ranked[i * len(ranked) // violated]: 1.0 for i in range(violated)}
            planted = replace(self.treatment, units=habit | hit)
            return Net(planted, self.control).raises(threshold, tests, alpha)

        needed = bisect_left(range(len(names) + 1), True, key=found)  # noqa: FBT003 - looked for
        return Reach(len(names), needed if needed <= len(names) else None, power)


@dataclass(frozen=True, slots=True)
class End:
    """One end of the interval of a score; `sign` is -1 for the lower one, 1 for the upper.

    The errors are those of the two shares towards this end, `r` is their correlation.
    """

    t: float
    c: float
    error: float
    other: float
    r: float
    sign: int

    def beyond(self, score: float) -> float:
        """How far this end is beyond a score; below 0 where it does not come so far."""
        error, other = self.error, (1 - score) * self.other
        far = math.sqrt(max(0.0, error**2 - 2 * self.r * error * other + other**2))
        return self.t - self.c - score * (1 - self.c) + self.sign * far

    @property
    def score(self) -> float:
        """The score at which it lies, from 0 to 1."""
        if self.beyond(0.0) <= 0.0:
            return 0.0
        return 1.0 if self.beyond(1.0) >= 0.0 else _root(lambda score: -self.beyond(score))


@dataclass(frozen=True, slots=True)
class Reach:
    """What could have been found: how many violations, of so many units, raise a flag.

    `needed` is None where not even a violation in every unit does. `rate` is the smallest true
    score that is found with the probability `power`, None where there is none.
    """

    units: int
    needed: int | None
    power: float = POWER

    def chance(self, score: float) -> float:
        """How probable it is that a flag is raised at a true score."""
        return 0.0 if self.needed is None else tail(self.units, self.needed, score)

    @property
    def rate(self) -> float | None:
        """The smallest true score that is found with the wanted probability."""
        if self.needed is None:
            return None
        return _root(lambda score: self.chance(score) - self.power)

    def __bool__(self) -> bool:
        """Whether a flag was within reach."""
        return self.rate is not None and self.rate <= WITHIN_REACH


def pictures_for(
    rate: float, *, control: float = 0.0, threshold: float = 0.0, tests: int = 1, most: int = 1000
) -> int | None:
    """How many pictures a data set needs for a true score to be within reach; None above `most`.

    `control` is the share of hits that its control has shown, or is expected to.
    """

    def enough(pictures: int) -> bool:
        hits = round(control * pictures)
        counts = [Count(f"{i}", "", float(i < hits)) for i in range(pictures)]
        reach = Net.of(counts, counts).reach(threshold, tests).rate
        return reach is not None and reach <= rate

    # Not quite monotone, since hits are whole; from there on it is.
    least = bisect_left(range(1, most + 1), True, key=enough) + 1  # noqa: FBT003 - looked for
    return least if least <= most else None


# ------------------------------------------------------------ permutation tests


def signs_p(differences: Sequence[float]) -> float:
    """The share of ways to exchange the two sides of pairs that add up to as much, or more."""
    steps = [round(difference * _GRID) for difference in differences]
    moved = [step for step in steps if step]
    if not moved or sum(moved) <= 0:
        return 1.0
    if len(moved) > _EXACTLY:
        far = sum(moved) / math.sqrt(math.fsum(step * step for step in moved))
        return 1 - _NORMAL.cdf(far)
    unit = math.gcd(*moved)
    # The number of ways to each sum are the coefficients of a product of polynomials, each of them
    # in its own bits of one long number; all sums are moved up so that none is below 0.
    width = len(moved) + 1
    ways, least = 1, 0
    for step in moved:
        size = abs(step) // unit
        ways += ways << (width * size)
        least += size
    # Of a pair the sides are exchanged (0) or not (size): its sum is 2 * size - size.
    target = (sum(moved) // unit + least) // 2
    as_much = (ways >> (width * target)) % ((1 << width) - 1)
    return as_much / (1 << len(moved))


def labels_p(first: Sequence[float], second: Sequence[float]) -> float:
    """The share of ways to divide units into two groups whose first adds up to as much, or more."""
    steps = Counter(round(share * _GRID) for share in (*first, *second))
    size, whole = len(first), len(first) + len(second)
    observed = sum(round(share * _GRID) for share in first)
    if whole * len(steps) > _EXACTLY:
        mean = sum(step * n for step, n in steps.items()) / whole
        spread = sum((step - mean) ** 2 * n for step, n in steps.items()) / (whole - 1)
        error = math.sqrt(spread * size * (whole - size) / whole)
        return 1 - _NORMAL.cdf((observed - size * mean) / error) if error else 1.0
    ways: Counter[tuple[int, int]] = Counter({(0, 0): 1})
    for step, n in steps.items():
        more: Counter[tuple[int, int]] = Counter()
        for (taken, total), count in ways.items():
            for k in range(min(n, size - taken) + 1):
                more[taken + k, total + k * step] += count * math.comb(n, k)
        ways = more
    as_much = sum(count for (taken, total), count in ways.items()
                  if taken == size and total >= observed)  # fmt: skip
    return as_much / math.comb(whole, size)


# ------------------------------------------------------------ several tests


def holm(
    p_values: Mapping[str, float], least: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Correct the p values of flags for having looked at several (Holm 1979).

    `least` are the smallest that each could have had: one that could not have been so small is
    none of those that this one is corrected for (Tarone 1990). Whoever raises those up to .05
    raises a false one in at most 5 % of data sets.
    """
    corrected: dict[str, float] = {}
    worst = 0.0
    ranked = sorted(p_values.items(), key=lambda item: item[1])
    for rank, (name, p) in enumerate(ranked):
        rivals = sum((least or {}).get(other, 0.0) <= p for other, _ in ranked[rank:])
        worst = max(worst, min(1.0, p * rivals))
        corrected[name] = worst
    return corrected


def benjamini_hochberg(p_values: Mapping[str, float]) -> dict[str, float]:
    """Correct the p values of samples for being many (Benjamini and Hochberg 1995).

    Of those that are up to .05, at most 5 % are false in the mean.
    """
    corrected: dict[str, float] = {}
    least = 1.0
    ranked = sorted(p_values.items(), key=lambda item: item[1])
    for rank, (name, p) in reversed(list(enumerate(ranked, 1))):
        least = min(least, p * len(ranked) / rank)
        corrected[name] = least
    return {name: corrected[name] for name in p_values}


# ------------------------------------------------------------ numbers


def _student(alpha: float, degrees: int) -> float:
    """A two-sided quantile of Student's distribution (Abramowitz and Stegun 1964, 26.7.5)."""
    z = _NORMAL.inv_cdf(1 - alpha / 2)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / degrees**3


def _root(rising: Callable[[float], float]) -> float:
    """Where a function of 0 to 1 comes up to 0."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0.0 else (low, middle)
    return high
