"""Two arms over the same items: two models, two questions, or the two orders.

Every item is asked in both arms, so the difference is measured within items and not between
them. McNemar's test looks only at the items on which the arms differ; it is exact, so it may be
used with few. Where items have labels, what is compared is being right (an abstention is not);
otherwise it is giving the first of the verdicts. An item with an error in either arm is in no
pair, and is counted.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from dataclasses import dataclass
from itertools import tee
from typing import TYPE_CHECKING, Any, Literal

from faithful_decide._asking.verdict_first import CONCLUDED
from faithful_decide._batch.runner import stream
from faithful_decide._core.types import CANNOT_TELL, Frozen
from faithful_decide.errors import MissingExtraError, QuestionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from faithful_decide._batch.row import Item, Row
    from faithful_decide._batch.runner import Asked, Job
    from faithful_decide._core.types import Question

__all__ = ["Arm", "Comparison", "Estimated", "compare"]

_Z = 1.959964
"""Of a 95 % interval."""


class Estimated(Frozen):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


class Comparison(Frozen):
    """What two arms made of the same items.

    `rates` are the shares of pairs in which each arm was right, or gave the first verdict (see
    `what`); `difference` is the second minus the first. `only_first` and `only_second` are the
    pairs in which one arm did and the other did not: all that `p_value` rests on.
    """

    arms: tuple[str, str]
    what: Literal["right", "first verdict"]
    items: int
    pairs: int
    errors: tuple[dict[str, int], dict[str, int]]
    abstained: tuple[int, int]
    agreed: int
    verdicts: dict[str, dict[str, int]]
    """From the verdict of the first arm to that of the second to the number of pairs."""
    only_first: int
    only_second: int
    rates: tuple[Estimated, Estimated] | None
    difference: Estimated | None
    p_value: float | None
    """Exact, two-sided; None without pairs."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to ask.

    Args:
        name: What to call it.
        job: How it is run; in order.
        question: What is asked.
    """

    name: str
    job: Job
    question: Question


def compare(first: Arm, second: Arm, items: Iterable[Item], *, label: str = "label") -> Comparison:
    """Ask both arms about the same items.

    Args:
        first: One way.
        second: The other.
        items: The items.
        label: The column that holds the right verdict. If the first item has none, what is
            compared is how often the first verdict is given.

    Returns:
        The comparison.

    Raises:
        QuestionError: The arms have different verdicts, and there are no labels.
        MissingExtraError: SciPy is not installed.
    """
    test = _binomtest()
    counts = _Counts((first.question.verdicts, second.question.verdicts), label)
    sides = _shared(items)
    streams = [
        stream(arm.job, _asked(side, arm.question))
        for arm, side in zip((first, second), sides, strict=True)
    ]
    try:
        for pair in zip(*streams, strict=True):
            counts.add(*pair)
    finally:
        for one in streams:
            one.close()
    n, only = counts.pairs, counts.only
    return Comparison(
        arms=(first.name, second.name),
        what="right" if counts.labelled else "first verdict",
        items=counts.items,
        pairs=n,
        errors=(dict(counts.errors[0]), dict(counts.errors[1])),
        abstained=counts.abstained,
        agreed=sum(found[verdict] for verdict, found in counts.verdicts.items()),
        verdicts={verdict: dict(found) for verdict, found in counts.verdicts.items()},
        only_first=only[0],
        only_second=only[1],
        rates=(_rate(test, counts.hits[0], n), _rate(test, counts.hits[1], n)) if n else None,
        difference=_difference(*only, n) if n else None,
        p_value=float(test(only[0], sum(only)).pvalue) if sum(only) else (1.0 if n else None),
    )


class _Counts:
    def __init__(self, verdicts: tuple[tuple[str, ...], tuple[str, ...]], label: str) -> None:
        self._firsts, self._same, self._label = verdicts[0][:1], verdicts[0] == verdicts[1], label
        self.labelled: bool | None = None
        self.items = self.pairs = 0
        self.errors: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self.abstained, self.hits, self.only = (0, 0), (0, 0), (0, 0)
        self.verdicts: dict[str, Counter[str]] = {}

    def add(self, first: Row, second: Row) -> None:
        self.items += 1
        rows = (first, second)
        label = first.columns.get(self._label)
        if self.labelled is None:
            self.labelled = label is not None
            if not self.labelled and not self._same:
                msg = "the arms have different verdicts, and the items have no labels"
                raise QuestionError(msg, hint="name the column of the label, or use one set")
        for row, errors in zip(rows, self.errors, strict=True):
            if row.error_type is not None:
                errors[row.error_type] += 1
        found = tuple(map(_verdict, rows))
        # Without its label an item says nothing about being right.
        if None in found or (self.labelled and label is None):
            return
        wanted = (label,) if self.labelled else self._firsts
        hits = (found[0] in wanted, found[1] in wanted)
        self.pairs += 1
        self.verdicts.setdefault(str(found[0]), Counter())[str(found[1])] += 1
        self.abstained = _plus(self.abstained, *(verdict == CANNOT_TELL for verdict in found))
        self.hits = _plus(self.hits, *hits)
        self.only = _plus(self.only, hits[0] > hits[1], hits[1] > hits[0])


def _plus(pair: tuple[int, int], *more: bool) -> tuple[int, int]:
    return pair[0] + more[0], pair[1] + more[1]


def _verdict(row: Row) -> str | None:
    concluded: str | None = row.extra.get(CONCLUDED)
    return concluded or row.verdict


def _asked(items: Iterator[Item], question: Question) -> Iterator[Asked]:
    return ((item, {"": question}) for item in items)


def _shared(items: Iterable[Item]) -> tuple[Iterator[Item], Iterator[Item]]:
    """Two iterators over the same items, which may be read from two threads."""
    lock = threading.Lock()

    def locked(side: Iterator[Item]) -> Iterator[Item]:
        while True:
            with lock:
                item = next(side, None)
            if item is None:
                return
            yield item

    one, other = tee(items)
    return locked(one), locked(other)


def _rate(test: Any, hits: int, n: int) -> Estimated:  # noqa: ANN401 - SciPy has no types
    interval = test(hits, n).proportion_ci(method="wilson")
    return Estimated(value=hits / n, low=float(interval.low), high=float(interval.high))


def _difference(only_first: int, only_second: int, n: int) -> Estimated:
    """The difference of two paired proportions, with the interval of Agresti and Min (2005).

    It adds half an observation to each cell, which keeps its promise with few pairs, too.
    """
    b, c, m = only_first + 0.5, only_second + 0.5, n + 2
    middle = (c - b) / m
    half = _Z * math.sqrt((b + c) - (c - b) ** 2 / m) / m
    value = (only_second - only_first) / n
    return Estimated(value=value, low=max(-1.0, middle - half), high=min(1.0, middle + half))


def _binomtest() -> Any:  # noqa: ANN401 - SciPy has no types
    try:
        from scipy.stats import binomtest  # noqa: PLC0415 - optional, and slow to load
    except ImportError:
        extra = "stats"
        raise MissingExtraError(extra, needed_for="Comparing two arms") from None
    return binomtest
