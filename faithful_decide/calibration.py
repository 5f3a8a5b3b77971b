"""Whether probabilities mean what they say: a table and a picture.

Of the verdicts that were given a probability of 0.8, about 80 % should be right. `reliability` puts
verdicts with similar probabilities into one bin and counts how many were right, with an interval,
because a bin of five verdicts proves little. `calibration_svg` draws that: points on the diagonal
are calibrated, points below it were too sure.

`certify` turns labels into a promise: a threshold such that, of the decisions whose probability
reaches it, no more than a given share is wrong. The others are handed to a person. The promise
holds with a given confidence whatever the probabilities are worth, because it rests on counts: for
each of some thresholds that were fixed beforehand, the exact binomial test of whether too many are
wrong (Clopper and Pearson, 1934), in sequences that share the risk of being wrong even once
(Angelopoulos et al., "Learn then Test", 2021). It is a promise about decisions like those that were
labelled: drawn from the same pictures, by the same model and the same question.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from numbers import Real
from typing import TYPE_CHECKING, Any

from faithful_decide._core.types import CANNOT_TELL, Decision
from faithful_decide._nearest import hinting
from faithful_decide.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faithful_decide._batch.row import Row

__all__ = [
    "Bin",
    "Certificate",
    "Pairs",
    "Reliability",
    "calibration_svg",
    "certify",
    "drawn",
    "is_for_review",
    "reliability",
    "wilson",
]

Z_95 = 1.959963984540054
"""Normal quantile of a 95 % interval."""


@hinting
@dataclass(frozen=True, slots=True)
class Bin:
    """Verdicts with similar probabilities.

    Args:
        low: The least probability that belongs here.
        high: The probability from which the next bin begins; the last bin includes it.
        n: How many verdicts there are.
        right: How many of them were right.
        mean: Their mean probability.
        interval: The 95 % interval of the share that is right (Wilson).
    """

    low: float
    high: float
    n: int
    right: int
    mean: float
    interval: tuple[float, float]

    @property
    def share(self) -> float:
        """The share that was right."""
        return self.right / self.n


@hinting
@dataclass(frozen=True, slots=True)
class Reliability:
    """How probabilities and what was right go together.

    Args:
        n: How many verdicts there are.
        right: How many of them were right.
        bins: Those bins that are not empty.
        ece: Expected calibration error: the mean distance of a bin from the diagonal, weighted by
            its verdicts. It is above 0 by chance alone, the more so the fewer verdicts there are.
        brier: The mean squared distance of a probability from what happened; lower is better.
    """

    n: int
    right: int
    bins: tuple[Bin, ...]
    ece: float
    brier: float


@hinting
@dataclass(slots=True)
class Pairs:
    """Probabilities and whether their verdicts were right, counted one by one.

    A million take no more room than ten.
    """

    bins: int = 10
    _sums: dict[int, tuple[int, int, float]] = field(default_factory=dict)
    _squares: float = 0.0

    def add(self, probability: float, *, right: bool) -> None:
        """Count one.

        Args:
            probability: The probability that the verdict was given, from 0 to 1.
            right: Whether it was right.
        """
        index = min(int(probability * self.bins), self.bins - 1)
        n, hits, total = self._sums.get(index, (0, 0, 0.0))
        self._sums[index] = (n + 1, hits + right, total + probability)
        self._squares += (probability - right) ** 2

    def table(self) -> Reliability | None:
        """What was counted.

        Returns:
            The table; None if there was nothing to count.
        """
        table = tuple(
            Bin(index / self.bins, (index + 1) / self.bins, n, hits, total / n, wilson(hits, n))
            for index, (n, hits, total) in sorted(self._sums.items())
        )
        if not table:
            return None
        n = sum(one.n for one in table)
        return Reliability(
            n=n,
            right=sum(one.right for one in table),
            bins=table,
            ece=sum(one.n * abs(one.mean - one.share) for one in table) / n,
            brier=self._squares / n,
        )


@hinting
def reliability(
    probabilities: Iterable[float], correct: Iterable[bool], *, bins: int = 10
) -> Reliability:
    """Count how often verdicts were right, by their probability.

    Args:
        probabilities: The probability that each verdict was given.
        correct: Whether it was right.
        bins: Into how many equal parts to cut the range from 0 to 1.

    Returns:
        The table.

    Raises:
        UsageError: There are none, they are not in pairs, or one is no probability.
    """
    if bins < 1:
        msg = f"bins must be at least 1, not {bins}"
        raise UsageError(msg)
    pairs = Pairs(bins)
    try:
        for probability, right in zip(probabilities, correct, strict=True):
            if not 0 <= probability <= 1:  # refuses nan too
                msg = f"{probability} is not a probability"
                raise UsageError(msg)
            pairs.add(float(probability), right=bool(right))
    except ValueError:
        msg = "there are not as many probabilities as verdicts"
        raise UsageError(msg, hint="pass one probability and one true or false each") from None
    if (table := pairs.table()) is None:
        msg = "there are no verdicts to count"
        raise UsageError(msg, hint="label some of them")
    return table


THRESHOLDS = (
    *(0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.92, 0.9, 0.88, 0.85, 0.825, 0.8),
    *(0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.0),
)
"""Fixed before any data was seen: a threshold chosen by its own labels promises nothing."""
STARTS = (0.99, 0.9, 0.0)
"""Where sequences begin. Each has its share of the risk, goes down as long as its tests hold, and
leaves its share to the next if they hold that far (the fallback procedure of Wiens, 2003)."""
_NUMBER: Any = Real
_ROOM = 1e-9
"""Shares of votes are sums of floats, so all of five may be a little less than 1."""


@hinting
@dataclass(frozen=True, slots=True)
class Certificate:
    """What labels have shown about decisions that are sure enough.

    Args:
        threshold: The least probability of a decision that may stand by itself; None where nothing
            could be certified, and every decision is for a person.
        error: The share of wrong verdicts, among those that reach the threshold, that is certified.
        confidence: How sure that is.
        n: How many labelled decisions there were.
        accepted: How many of them reach the threshold.
        wrong: How many of these were wrong.
        bound: The most that their share of wrong verdicts can be, at this confidence.
        why: Why there is no threshold, where there is none.
    """

    threshold: float | None
    error: float
    confidence: float
    n: int
    accepted: int = 0
    wrong: int = 0
    bound: float = 1.0
    why: str = ""

    @property
    def share(self) -> float:
        """The share of the labelled decisions that would stand by themselves."""
        return self.accepted / self.n if self.n else 0.0

    @property
    def limit(self) -> float:
        """The threshold; where there is none, a number that no probability reaches."""
        return 2.0 if self.threshold is None else self.threshold

    def hands_over(self, probability: float | None) -> bool:
        """Whether a decision of this probability is for a person."""
        return is_for_review(probability, self.limit)


@hinting
def is_for_review(probability: float | None, threshold: float) -> bool:
    """Whether a decision is for a person: below the threshold, or of a probability nobody knows."""
    return probability is None or probability < threshold - _ROOM


@hinting
def certify(
    rows: Iterable[Row | tuple[object, object]],
    error: float = 0.05,
    confidence: float = 0.95,
    *,
    label: str = "label",
) -> Certificate:
    """Find the probability below which a decision is handed to a person.

    Args:
        rows: Rows of a batch whose items have the right verdict in the column `label`; or pairs of
            a decision and the right verdict, or of a probability and whether the verdict was right.
            What has no label, no probability or the verdict `cannot_tell` counts for nothing: such
            a decision is for a person anyway. None may have been used to tune the question.
        error: The share of wrong verdicts to allow among the decisions that stand by themselves.
        confidence: How sure to be that it is not more.
        label: The column of the right verdict.

    Returns:
        The certificate. Without a threshold it says whether there are too few labels.

    Raises:
        UsageError: The error or the confidence is not between 0 and 1, or a row cannot be used.
    """
    error, confidence = _share("error", error), _share("confidence", confidence)
    if not isinstance(rows, Iterable):
        raise _no_row(rows)
    pairs = sorted((pair for row in rows if (pair := _judged(row, label))), reverse=True)
    n, risk = len(pairs), (1 - confidence) / len(STARTS)
    reached: tuple[float, int, int, float] | None = None
    budget, accepted, wrong = 0.0, 0, 0
    for threshold in THRESHOLDS:
        while accepted < n and not is_for_review(pairs[accepted][0], threshold):
            wrong += not pairs[accepted][1]
            accepted += 1
        budget += risk * (threshold in STARTS)
        if budget and _cdf(accepted, wrong, error) <= budget:
            reached = threshold, accepted, wrong, budget
        else:
            budget = 0.0
    if reached is not None:
        threshold, accepted, wrong, budget = reached
        bound = _most(accepted, wrong, budget)
        return Certificate(threshold, error, confidence, n, accepted, wrong, bound)
    least = math.ceil(min(math.log(risk) / math.log1p(-error), 2.0**53))
    why = f"at no threshold are few enough of the {n} labelled decisions wrong"
    if n < least:
        why = f"there are {n} labelled decisions, and {least} are the least, even if all are right"
    return Certificate(None, error, confidence, n, why=why)


def _share(name: str, value: object) -> float:
    """A share between none and all, as a number of Python."""
    share = float(value) if isinstance(value, _NUMBER) else 0.0
    if not 0 < share < 1:  # refuses nan too
        msg = f"{name} must be between 0 and 1, not {value!r}"
        raise UsageError(msg, hint="pass error=0.05 and confidence=0.95, or leave them out")
    return share


def _judged(row: object, label: str) -> tuple[float, bool] | None:
    """The probability of a verdict, and whether it is right; None for what is not counted."""
    pair: Any = row
    if not isinstance(row, tuple):
        columns = getattr(row, "columns", None)
        if not hasattr(row, "decision") or not isinstance(columns, Mapping):
            raise _no_row(row)
        pair = row.decision, columns.get(label)
    if len(pair) != 2:  # noqa: PLR2004 - a pair
        raise _no_row(row)
    said, truth = pair
    if isinstance(said, Decision) and not isinstance(truth, str) and not _is_missing(truth):
        msg = f"the label {truth!r} is no verdict"
        raise UsageError(msg, hint="pass the right verdict as a text, such as 'yes'")
    if uncounted(said, truth):
        return None
    if isinstance(said, Decision):
        return said.probability or 0.0, said.verdict == truth  # without one it is not counted
    if isinstance(said, bool) or not isinstance(said, _NUMBER) or not 0 <= said <= 1:
        msg = f"{said!r} is not a probability"
        raise UsageError(msg, hint="pass rows of a batch, or pairs of a decision and its label")
    if isinstance(truth, str) or truth not in {True, False}:
        msg = f"{truth!r} does not say whether a verdict was right"
        raise UsageError(msg, hint="pass true or false beside a probability")
    return float(said), bool(truth)


UNLABELLED = "without a label"


def uncounted(said: object, truth: object) -> str:
    """Why a certificate does not count what was said of an item; empty if it does."""
    if said is None or isinstance(said, Exception):
        return "failed"
    if _is_missing(truth):
        return UNLABELLED
    if isinstance(said, Decision) and said.verdict == CANNOT_TELL:
        return CANNOT_TELL
    if isinstance(said, Decision) and said.probability is None:
        return "without a probability"
    return ""


def _is_missing(label: Any) -> bool:  # noqa: ANN401 - a cell of any table
    """Whether there is no label: none, an empty one, or what tables write for it."""
    try:
        return label is None or bool(label == "") or bool(label != label)  # noqa: PLR0124 - nan
    except (TypeError, ValueError):  # pandas.NA is neither
        return True


def _no_row(row: object) -> UsageError:
    msg = f"{row!r:.60} is neither a row of a batch nor a pair"
    return UsageError(msg, hint="pass rows of a batch, or pairs of a decision and its label")


def _cdf(n: int, hits: int, share: float) -> float:
    """How probable so few hits are, or fewer, in n trials with this share."""
    if hits >= n:
        return 1.0
    log, rest = math.log(share), math.log1p(-share)
    whole = math.lgamma(n + 1)
    terms = (
        whole - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * log + (n - k) * rest
        for k in range(hits + 1)
    )
    return math.fsum(map(math.exp, terms))


def _most(n: int, hits: int, risk: float) -> float:
    """The share above which so few hits would be less probable than the risk."""
    low, high = hits / n, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if _cdf(n, hits, middle) <= risk else (middle, high)
    return high


@hinting
def wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share; everything from 0 to 1 where there are no trials."""
    if not n:
        return 0.0, 1.0
    share = hits / n
    middle = (share + Z_95 * Z_95 / (2 * n)) / (1 + Z_95 * Z_95 / n)
    spread = math.sqrt(share * (1 - share) / n + Z_95 * Z_95 / (4 * n * n))
    half = Z_95 / (1 + Z_95 * Z_95 / n) * spread
    return max(0.0, middle - half), min(1.0, middle + half)


# The picture, in its own units: a square for the diagonal, a strip below it for the counts.
_LEFT, _TOP, _SIDE, _STRIP, _GAP = 46, 42, 260, 44, 10
_WIDTH, _HEIGHT = _LEFT + _SIDE + 14, _TOP + _SIDE + _GAP + _STRIP + 40
_FLOOR = _TOP + _SIDE + _GAP + _STRIP


@hinting
def calibration_svg(
    probabilities: Iterable[float],
    correct: Iterable[bool],
    *,
    bins: int = 10,
    title: str = "Calibration",
) -> str:
    """Draw how often verdicts were right, by their probability.

    The picture is text and shapes, without scripts and without anything from elsewhere. It takes
    the colour of the text around it, so it can stand in a light page and in a dark one.

    Args:
        probabilities: How probable each verdict was, from 0 to 1.
        correct: Whether it was right.
        bins: How many bins to make.
        title: What to write above it.

    Returns:
        An SVG element; also a whole file.

    Raises:
        UsageError: There is nothing to draw, or it makes no sense.
    """
    return drawn(reliability(probabilities, correct, bins=bins), title=title)


@hinting
def drawn(table: Reliability, *, title: str = "Calibration") -> str:
    """Draw a table, as `calibration_svg` does.

    Args:
        table: The table.
        title: What to write above it.

    Returns:
        An SVG element; also a whole file.
    """
    label = (
        f"{table.right} of {table.n} verdicts were right; expected calibration error "
        f"{table.ece:.3f}, Brier score {table.brier:.3f}"
    )
    shapes = "\n".join([*_frame(), *_counts(table), *_points(table)])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}"'
        f' height="{_HEIGHT}" role="img" font-family="sans-serif" font-size="10"'
        f' fill="currentColor" stroke="none">\n'
        f"<title>{escape(title)}</title>\n<desc>{label}</desc>\n"
        f'<text x="{_LEFT}" y="14" font-size="13">{escape(title)}</text>\n'
        f'<text x="{_LEFT}" y="{_TOP - 11}">n={table.n}, ECE {table.ece:.3f}, Brier'
        f" {table.brier:.3f}; lines: 95 % intervals</text>\n"
        f"{shapes}\n</svg>\n"
    )


def _x(probability: float) -> float:
    return _LEFT + probability * _SIDE


def _y(share: float) -> float:
    return _TOP + (1 - share) * _SIDE


def _line(x1: float, y1: float, x2: float, y2: float, more: str = "") -> str:
    place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {place} stroke="currentColor"{more}/>'


def _frame() -> Iterator[str]:
    yield (
        f'<rect x="{_LEFT}" y="{_TOP}" width="{_SIDE}" height="{_SIDE}" fill="none"'
        ' stroke="currentColor" stroke-opacity="0.4"/>'
    )
    yield _line(_x(0), _y(0), _x(1), _y(1), ' stroke-dasharray="4 4" stroke-opacity="0.6"')
    for tick in (0.0, 0.5, 1.0):
        yield f'<text x="{_LEFT - 6}" y="{_y(tick) + 3:.1f}" text-anchor="end">{tick:g}</text>'
        yield f'<text x="{_x(tick):.1f}" y="{_FLOOR + 13}" text-anchor="middle">{tick:g}</text>'
    middle = _TOP + _SIDE / 2
    yield (
        f'<text x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})">'
        "share that was right</text>"
    )
    yield (
        f'<text x="{_x(0.5)}" y="{_FLOOR + 28}" text-anchor="middle">probability of the verdict;'
        " blocks: how many had it</text>"
    )


def _counts(table: Reliability) -> Iterator[str]:
    most = max(one.n for one in table.bins)
    for one in table.bins:
        height = max(1.0, one.n / most * _STRIP)
        yield (
            f'<rect x="{_x(one.low) + 1:.1f}" y="{_FLOOR - height:.1f}"'
            f' width="{(one.high - one.low) * _SIDE - 2:.1f}" height="{height:.1f}"'
            f' fill-opacity="0.35"><title>{one.n}</title></rect>'
        )


def _points(table: Reliability) -> Iterator[str]:
    for before, after in pairwise(table.bins):
        yield _line(_x(before.mean), _y(before.share), _x(after.mean), _y(after.share))
    for one in table.bins:
        low, high = one.interval
        yield _line(_x(one.mean), _y(low), _x(one.mean), _y(high), ' stroke-opacity="0.5"')
        said = f"{one.right} of {one.n} right at a mean probability of {one.mean:.3f}"
        place = f'cx="{_x(one.mean):.1f}" cy="{_y(one.share):.1f}"'
        yield f'<circle {place} r="3.5"><title>{said}</title></circle>'
