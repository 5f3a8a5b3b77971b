"""The page about a batch: what was counted, and the pictures that are worth a look."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from faithful_decide._core.types import Usage
from faithful_decide._report import BatchSummary, Pictured, thumbnail
from faithful_decide._version import __version__
from faithful_decide.errors import FaithfulDecideError, ImageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from faithful_decide._audit.types import CheckReport
    from faithful_decide._batch.journaled import Kept
    from faithful_decide._batch.row import Item
    from faithful_decide._batch.summary import Certain, QuestionSummary, Summary

__all__ = ["page_of"]


def page_of(
    summary: Summary,
    backend: Kept,
    items: Iterable[Item],
    *,
    checks: Mapping[str, CheckReport],
    seconds: float,
) -> BatchSummary:
    """Make the page of a batch that was asked one question.

    Args:
        summary: Its rows, counted.
        backend: Who was asked; calls and cost are those of this run.
        items: The items once more, for the pictures. They are read no further than needed.
        checks: What an audit that ran along has found.
        seconds: What the run took.

    Returns:
        What `write_html` writes.
    """
    (one,) = summary.questions
    shown = _pictures({row.id for row in (*one.most_certain, *one.least_certain)}, items)
    return BatchSummary(
        version=__version__,
        question=one.question,
        model=backend.name,
        samples=one.rows,
        verdicts=one.verdicts,
        errors=one.errors,
        confusion=one.confusion,
        calibration=one.calibration,
        most_certain=_pictured(one.most_certain, shown),
        least_certain=_pictured(one.least_certain, shown),
        checks=checks,
        notes=_notes(one, checks),
        calls=backend.paid + backend.recalled,
        from_journal=backend.recalled,
        usage=Usage(summary.prompt_tokens, None, summary.completion_tokens),
        cost_usd=None if backend.cost_usd is None else float(backend.cost_usd),
        seconds=seconds,
    )


def _pictures(wanted: set[str], items: Iterable[Item]) -> dict[str, str]:
    """Thumbnails by the name of the item; the first, if two have one name."""
    found: dict[str, str] = {}
    if not wanted:
        return found
    for item in items:
        if item.id not in wanted or item.id in found:
            continue
        found[item.id] = ""
        if not isinstance(item.image, FaithfulDecideError):
            # It may be gone by now; then the page says that there is no picture.
            with suppress(ImageError):
                found[item.id] = thumbnail(item.image)
        if len(found) == len(wanted):
            break
    return found


def _pictured(rows: Iterable[Certain], pictures: Mapping[str, str]) -> tuple[Pictured, ...]:
    return tuple(
        Pictured(
            sample=row.id,
            verdict=row.verdict,
            probability=row.probability,
            label=row.label or "",
            reasoning=row.reasoning,
            image=pictures.get(row.id, ""),
        )
        for row in rows
    )


def _notes(one: QuestionSummary, checks: Mapping[str, CheckReport]) -> tuple[str, ...]:
    notes = ["Tokens are those of the decisions in the rows."]
    if checks:
        notes.append("The checks rest on one call more for each decision.")
    if one.scores_source == "mixed":
        notes.append("Probabilities come from more than one source.")
    return tuple(notes)
