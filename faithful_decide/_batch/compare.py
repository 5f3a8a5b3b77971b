"""Two sides over the same items: two models, two questions, or the two orders.

Every item is asked on both sides, so the difference is measured within items and not between them.
McNemar's test looks only at the items on which the sides differ; it is exact, so it may be used
with few. Where items have labels, what is compared is being right (an abstention is not); otherwise
it is giving the first of the verdicts. An item with an error on either side is in no pair, and is
counted.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from dataclasses import dataclass
from itertools import tee
from typing import TYPE_CHECKING, Literal

from faithful_decide._asking.verdict_first import CONCLUDED
from faithful_decide._batch.runner import stream
from faithful_decide._core.types import CANNOT_TELL, Frozen
from faithful_decide.calibration import Z_95, wilson
from faithful_decide.errors import QuestionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from faithful_decide._batch.row import Item, Row
    from faithful_decide._batch.runner import Asked, Job
    from faithful_decide._core.types import Question

__all__ = ["Comparison", "Estimated", "Side", "compare", "mcnemar"]


class Estimated(Frozen):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


class Comparison(Frozen):
    """What two sides made of the same items.

    `rates` are the shares of pairs in which each side was right, or gave the first verdict (see
    `what`); `difference` is the second minus the first. `only_first` and `only_second` are the
    pairs in which one side did and the other did not: all that `p_value` rests on.
    """

    sides: tuple[str, str]
    what: Literal["right", "first verdict"]
    items: int
    pairs: int
    errors: tuple[dict[str, int], dict[str, int]]
    abstained: tuple[int, int]
    agreed: int
    verdicts: dict[str, dict[str, int]]
    """From the verdict of the first side to that of the second to the number of pairs."""
    only_first: int
    only_second: int
    rates: tuple[Estimated, Estimated] | None
    difference: Estimated | None
    p_value: float | None
    """Exact, two-sided; None without pairs."""


@dataclass(frozen=True, slots=True)
class Side:
    """One way to ask: what it is called, how it is run (in order), and what is asked."""

    name: str
    job: Job
    question: Question


def compare(
    first: Side, second: Side, items: Iterable[Item], *, label: str = "label"
) -> Comparison:
    """Ask about the same items on both sides.

    The right verdict is in the column `label`. If the first item has none, what is compared is how
    often the first verdict is given; sides with different verdicts are a QuestionError then.
    """
    counts = _Counts((first.question.verdicts, second.question.verdicts), label)
    shares = _shared(items)
    streams = [
        stream(side.job, _asked(share, side.question))
        for side, share in zip((first, second), shares, strict=True)
    ]
    try:
        for pair in zip(*streams, strict=True):
            counts.add(*pair)
    finally:
        for rows in streams:
            rows.close()
    n, only = counts.pairs, counts.only
    return Comparison(
        sides=(first.name, second.name),
        what="right" if counts.labelled else "first verdict",
        items=counts.items,
        pairs=n,
        errors=(dict(counts.errors[0]), dict(counts.errors[1])),
        abstained=counts.abstained,
        agreed=sum(seconds[verdict] for verdict, seconds in counts.verdicts.items()),
        verdicts={verdict: dict(seconds) for verdict, seconds in counts.verdicts.items()},
        only_first=only[0],
        only_second=only[1],
        rates=(_rate(counts.hits[0], n), _rate(counts.hits[1], n)) if n else None,
        difference=_difference(*only, n) if n else None,
        p_value=mcnemar(*only) if n else None,
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
        label = first.columns.get(self._label) or None  # an empty cell is no label
        if self.labelled is None:
            self.labelled = label is not None
            if not self.labelled and not self._same:
                msg = "the sides have different verdicts, and the items have no labels"
                raise QuestionError(
                    msg,
                    hint="name the column of the right verdicts, or use the same verdicts for both",
                )
        for row, errors in zip(rows, self.errors, strict=True):
            if row.error_type is not None:
                errors[row.error_type] += 1
        verdicts = tuple(map(_verdict, rows))
        # Without its label an item says nothing about being right.
        if None in verdicts or (self.labelled and label is None):
            return
        wanted = (label,) if self.labelled else self._firsts
        hits = (verdicts[0] in wanted, verdicts[1] in wanted)
        self.pairs += 1
        self.verdicts.setdefault(str(verdicts[0]), Counter())[str(verdicts[1])] += 1
        self.abstained = _plus(self.abstained, *(verdict == CANNOT_TELL for verdict in verdicts))
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

    first, second = tee(items)
    return locked(first), locked(second)


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact two-sided p of McNemar's test: a fair coin for each pair on which sides differ."""
    n = only_first + only_second
    ways = tail = 1
    for hits in range(min(only_first, only_second)):
        ways = ways * (n - hits) // (hits + 1)
        tail += ways
    # Integers of any length, divided once.
    return min(1.0, 2 * tail / (1 << n))


def _rate(hits: int, n: int) -> Estimated:
    low, high = wilson(hits, n)
    return Estimated(value=hits / n, low=low, high=high)


def _difference(only_first: int, only_second: int, n: int) -> Estimated:
    """The difference of two paired proportions, with the interval of Agresti and Min (2005).

    It adds half an observation to each cell, which keeps its promise with few pairs, too.
    """
    b, c, m = only_first + 0.5, only_second + 0.5, n + 2
    middle = (c - b) / m
    half = Z_95 * math.sqrt((b + c) - (c - b) ** 2 / m) / m
    value = (only_second - only_first) / n
    return Estimated(value=value, low=max(-1.0, middle - half), high=min(1.0, middle + half))
