"""The page about a batch: what was counted, and the pictures that are worth a look."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from faithful_decide._batch.price import is_billed
from faithful_decide._images.load import load_images
from faithful_decide._report.picture import thumbnail
from faithful_decide._report.types import BatchSummary
from faithful_decide._version import __version__
from faithful_decide.errors import FaithfulDecideError, ImageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from faithful_decide._audit.types import CheckReport
    from faithful_decide._batch.journaled import Journaled
    from faithful_decide._batch.row import Item
    from faithful_decide._batch.summary import QuestionSummary, Shown, Summary

__all__ = ["page_of"]


def page_of(
    summary: Summary,
    backend: Journaled,
    items: Iterable[Item],
    *,
    checks: Mapping[str, CheckReport],
    left_out: Mapping[str, int],
    seconds: float,
) -> BatchSummary:
    """Make the page of a batch that was asked one question.

    The items are read once more, for the pictures, and no further than needed.
    """
    (question,) = summary.questions
    rows = (*question.wrong, *question.most_certain, *question.least_certain)
    pictures = _pictures({row.id for row in rows}, items)
    return BatchSummary(
        version=__version__,
        model=backend.name,
        question=question.model_copy(
            update={
                "wrong": _pictured(question.wrong, pictures),
                "most_certain": _pictured(question.most_certain, pictures),
                "least_certain": _pictured(question.least_certain, pictures),
            }
        ),
        checks=checks,
        left_out=left_out,
        notes=_notes(question, checks),
        calls=backend.paid + backend.recalled,
        from_journal=backend.recalled,
        usage=summary.usage,
        cost_usd=None if backend.cost_usd is None else float(backend.cost_usd),
        billed=is_billed(backend.name),
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
                found[item.id] = thumbnail(load_images(item.image)[0])
        if len(found) == len(wanted):
            break
    return found


def _pictured(rows: Iterable[Shown], pictures: Mapping[str, str]) -> tuple[Shown, ...]:
    return tuple(row.model_copy(update={"image": pictures.get(row.id, "")}) for row in rows)


def _notes(question: QuestionSummary, checks: Mapping[str, CheckReport]) -> tuple[str, ...]:
    notes = []
    if question.undecided:
        notes.append(f"{question.undecided[0].upper()}{question.undecided[1:]}.")
    notes.append("Tokens are those of the decisions in the rows.")
    if checks:
        notes.append("The checks rest on one call more for each decision.")
    if question.scores_source == "mixed":
        notes.append("Probabilities come from more than one source.")
    return tuple(notes)
