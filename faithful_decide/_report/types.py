"""What the page about a batch is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from faithful_decide._audit.types import CheckReport
from faithful_decide._batch.summary import QuestionSummary
from faithful_decide._core.types import Frozen, Usage

__all__ = ["BatchSummary"]

Count = Annotated[int, Field(ge=0)]


class BatchSummary(Frozen):
    """What became of a batch that was asked one question.

    `question` is what was counted of its rows. `checks` are those of an audit that ran along.
    Calls, cost and time are those of the run that wrote the page.
    """

    kind: Literal["batch_summary"] = "batch_summary"
    version: str
    model: str
    question: QuestionSummary
    checks: Mapping[str, CheckReport] = {}
    left_out: Mapping[str, Count] = {}
    """What the sources hold that is in no row, such as hidden files."""
    notes: tuple[str, ...] = ()
    calls: Count = 0
    from_journal: Count = 0
    """Replies that were there already and cost nothing."""
    usage: Usage = Usage()
    cost_usd: Annotated[float, Field(ge=0)] | None = None
    """By list prices; None where one is not known, or nobody bills."""
    billed: bool = True
    """Whether somebody bills the replies; a model in this process costs nothing."""
    seconds: Annotated[float, Field(ge=0)] = 0.0
