"""What a data set of rows says, counted in one pass: the numbers behind a report.

Where items bring a label, verdicts are held against it. An abstention is neither right nor wrong
and an error is no verdict, so both are counted apart and never in an accuracy. Probabilities are
held against what came true in ten bins of equal width (a calibration curve).
"""

from __future__ import annotations

import heapq
from collections import Counter
from typing import TYPE_CHECKING

from faithful_decide._batch.price import price_of
from faithful_decide._core.types import CANNOT_TELL, Frozen, Usage
from faithful_decide.calibration import Pairs, Reliability
from faithful_decide.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from faithful_decide._batch.row import Row
    from faithful_decide._core.types import Decision

__all__ = ["QuestionSummary", "Shown", "Summary", "summarise"]

SHOWN = 12
"""Rows that are named as the most and the least certain."""
NOTED = 1000
"""Observations of undecided rows that are told apart and counted."""
SMALL_WORLD = (
    "the embedded model knows drawn scenes of a small world and plain questions about them, and no "
    "photographs; see `faithful-decide samples`, or name another model"
)
ANY_MODEL = (
    "read the reasoning of some, and see whether the images show what is asked, and whether the "
    "question says what counts"
)


class Shown(Frozen):
    """A row that is worth a look."""

    id: str
    verdict: str
    probability: float | None
    label: str | None = None
    reasoning: str = ""
    image: str = ""
    """The picture as a data URI, where a page shows it."""


class QuestionSummary(Frozen):
    """The rows of one question."""

    question: str
    rows: int
    decided: int
    abstained: int
    verdicts: dict[str, int]
    errors: dict[str, int]
    labelled: int
    """Decided rows, without abstentions, whose item has a label."""
    right: int
    confusion: dict[str, dict[str, int]]
    """From label to verdict, abstentions included, to the number of rows."""
    calibration: Reliability | None
    """None where no verdict has both a probability and a label."""
    scores_source: str | None
    """What probabilities are; None if there are none, "mixed" if they are not all the same."""
    wrong: tuple[Shown, ...] = ()
    """Rows whose verdict is not the label, those with the most probable verdicts first."""
    most_certain: tuple[Shown, ...] = ()
    least_certain: tuple[Shown, ...] = ()
    undecided: str = ""
    """Why most verdicts are `cannot_tell`, as far as rows can show it; empty where most are not."""


class Summary(Frozen):
    """All rows.

    `cost_usd` is what their decisions cost by list prices: of the replies in the receipts, so
    without discarded attempts and the other samples of a vote. It is None where a price is missing.
    """

    rows: int
    items: int
    usage: Usage
    cost_usd: float | None
    models: dict[str, int]
    questions: tuple[QuestionSummary, ...]


def summarise(rows: Iterable[Row], *, label: str = "label") -> Summary:
    """Count rows, of a run or from a file (`read_rows`); each is looked at once.

    The right verdict is in the column `label` of an item, where it has one.
    """
    counts: dict[str, _Counts] = {}
    models = Counter[str]()
    count, usage = 0, Usage(0, 0, 0)
    cost: float | None = 0.0
    for row in rows:
        count += 1
        counts.setdefault(row.question, _Counts(label)).add(row)
        if row.decision is None:
            continue
        receipt = row.decision.receipt
        models[receipt.model] += 1
        usage = Usage.of((usage, receipt.usage))
        price = _price(row)
        cost = None if cost is None or price is None else cost + price
    return Summary(
        rows=count,
        # Every item has one row for each question.
        items=max((one.rows for one in counts.values()), default=0),
        usage=usage,
        cost_usd=cost if count else None,
        models=dict(models),
        questions=tuple(one.done(name) for name, one in counts.items()),
    )


def _price(row: Row) -> float | None:
    assert row.decision is not None  # noqa: S101 - for the type checker
    receipt = row.decision.receipt
    try:
        price = price_of(receipt.backend, receipt.model, receipt.usage)
    except MissingExtraError:
        return None
    return None if price is None else float(price)


class _Counts:
    """The rows of one question, as they are counted."""

    def __init__(self, label: str) -> None:
        self._label = label
        self.rows = self._decided = self._labelled = self._right = 0
        self._verdicts, self._errors = Counter[str](), Counter[str]()
        self._confusion: dict[str, Counter[str]] = {}
        self._pairs = Pairs()
        self._sources: set[str] = set()
        self._backends, self._noted = set[str](), Counter[str]()
        self._wrong: list[tuple[float, int, Shown]] = []
        self._most: list[tuple[float, int, Shown]] = []
        self._least: list[tuple[float, int, Shown]] = []

    def add(self, row: Row) -> None:
        self.rows += 1
        if row.decision is None:
            self._errors[row.error_type or "FaithfulDecideError"] += 1
            return
        self._decided += 1
        # An empty cell is no label.
        verdict, label = row.decision.verdict, row.columns.get(self._label) or None
        self._verdicts[verdict] += 1
        self._backends.add(row.decision.receipt.backend)
        if verdict == CANNOT_TELL:
            self._note(row.decision)
        right = None if label is None or verdict == CANNOT_TELL else verdict == label
        if label is not None:
            self._confusion.setdefault(label, Counter())[verdict] += 1
        if right is not None:
            self._labelled += 1
            self._right += right
        shown = Shown(
            id=row.id,
            verdict=verdict,
            probability=row.probability,
            label=label,
            reasoning=row.decision.reasoning,
        )
        if right is False:
            self._keep(self._wrong, row.probability or 0.0, shown)
        if row.probability is not None and row.decision.scores is not None:
            self._sources.add(row.decision.scores.source)
            if right is not None:
                self._pairs.add(row.probability, right=right)
            self._keep(self._most, row.probability, shown)
            self._keep(self._least, -row.probability, shown)

    def _note(self, decision: Decision) -> None:
        notes = {f"{note.about}: {note.seen}" for note in decision.observations}
        room = NOTED - len(self._noted)
        self._noted.update(note for note in sorted(notes) if note in self._noted or room > 0)

    def _undecided(self) -> str:
        abstained = self._verdicts[CANNOT_TELL]
        if 2 * abstained <= self._decided:
            return ""
        told = f"most verdicts are cannot_tell: {abstained} of {self._decided}"
        ((note, count),) = self._noted.most_common(1) or [("", 0)]
        if 2 * count > abstained:
            share = "all" if count == abstained else count
            told += f", {share} of them with the observation {_clipped(note)!r}"
        if self._backends == {"embedded"}:
            return f"{told}; {SMALL_WORLD}"
        return f"{told}; {ANY_MODEL}"

    def _keep(self, heap: list[tuple[float, int, Shown]], value: float, row: Shown) -> None:
        # The number settles ties, in favour of the row that came first.
        heapq.heappush(heap, (value, -self.rows, row))
        if len(heap) > SHOWN:
            heapq.heappop(heap)

    def done(self, name: str) -> QuestionSummary:
        sources = sorted(self._sources)
        return QuestionSummary(
            question=name,
            rows=self.rows,
            decided=self._decided,
            abstained=self._verdicts[CANNOT_TELL],
            verdicts=dict(self._verdicts),
            errors=dict(self._errors),
            labelled=self._labelled,
            right=self._right,
            confusion={label: dict(found) for label, found in self._confusion.items()},
            calibration=self._pairs.table(),
            scores_source=(sources[0] if len(sources) == 1 else "mixed") if sources else None,
            wrong=_best_first(self._wrong),
            most_certain=_best_first(self._most),
            least_certain=_best_first(self._least),
            undecided=self._undecided(),
        )


def _clipped(text: str) -> str:
    return " ".join(text.split())[:100]


def _best_first(heap: list[tuple[float, int, Shown]]) -> tuple[Shown, ...]:
    return tuple(row for _, _, row in sorted(heap, reverse=True, key=lambda one: one[:2]))
