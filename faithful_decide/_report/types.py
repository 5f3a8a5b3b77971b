"""What the page about a batch is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from faithful_decide._audit.types import CheckReport, DatasetFlag
from faithful_decide._core.types import Frozen, Usage
from faithful_decide.calibration import Reliability

__all__ = ["BatchSummary", "Pictured"]

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Pictured(Frozen):
    """One sample that the page shows, with its picture as a data URI, or without one."""

    sample: str
    verdict: str
    probability: Share | None = None
    label: str = ""
    reasoning: str = ""
    image: str = ""


class BatchSummary(Frozen):
    """What became of a batch that was asked one question.

    `verdicts` counts decisions, `cannot_tell` among them, and `errors` counts by type what was not
    decided; together they are `samples`. Where samples have labels, `confusion` counts verdicts by
    label and `calibration` holds probabilities against what was right. `checks` and `flags` are
    those of an audit that ran along.
    """

    kind: Literal["batch_summary"] = "batch_summary"
    version: str
    question: str
    model: str
    samples: Count
    verdicts: Mapping[str, Count]
    errors: Mapping[str, Count] = {}
    confusion: Mapping[str, Mapping[str, Count]] = {}
    calibration: Reliability | None = None
    most_certain: tuple[Pictured, ...] = ()
    least_certain: tuple[Pictured, ...] = ()
    checks: Mapping[str, CheckReport] = {}
    flags: tuple[DatasetFlag, ...] = ()
    notes: tuple[str, ...] = ()
    calls: Count = 0
    from_journal: Count = 0
    """Replies that were there already and cost nothing."""
    usage: Usage = Usage()
    cost_usd: Annotated[float, Field(ge=0)] | None = None
    seconds: Annotated[float, Field(ge=0)] = 0.0
