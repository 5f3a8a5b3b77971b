"""Decisions for a person: which they are, and a queue of them that is bound to their receipts.

A row is for a person if its verdict is less probable than a threshold, if nobody knows how probable
it is, if it is `cannot_tell`, or if there is none. The column `review` says so. The queue is a file
of JSON lines with what a person needs, and with the hashes that tie an answer to what was asked:
those of the images as they were passed, of the request, and of the decision as it is stored.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from faithful_decide._batch.row import encodable
from faithful_decide._core.files import written_whole
from faithful_decide._core.types import CANNOT_TELL, Decision
from faithful_decide.calibration import is_for_review
from faithful_decide.errors import StorageError, UsageError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from faithful_decide._batch.row import Row
    from faithful_decide.errors import FaithfulDecideError

__all__ = ["COLUMN", "check_threshold", "is_for_person", "queueing", "reviewed"]

COLUMN = "review"


def check_threshold(review: object) -> None:
    """Refuse what is no probability; without one, nothing is handed to a person."""
    number = isinstance(review, int | float) and not isinstance(review, bool)
    if review is not None and not (number and 0 <= review <= 1):  # type: ignore[operator] # a number
        msg = f"review is the least probability of a verdict that stands, not {review!r}"
        raise UsageError(msg, hint="pass the threshold that calibration.certify has found")


def is_for_person(outcome: Decision | FaithfulDecideError, threshold: float | None) -> bool:
    """Whether what became of an image is for a person; without a threshold, if it abstained."""
    if not isinstance(outcome, Decision) or outcome.verdict == CANNOT_TELL:
        return True
    return threshold is not None and is_for_review(outcome.probability, threshold)


def reviewed(row: Row, threshold: float) -> Row:
    """The row, with a column that says whether it is for a person."""
    return replace(row, extra={**row.extra, COLUMN: bool(_why(row, threshold))})


def _why(row: Row, threshold: float) -> str:
    """Why a row is for a person; nothing if it is not."""
    if row.decision is None:
        return "there is no verdict" if row.error is None else str(row.error)
    if row.verdict == CANNOT_TELL:
        return "the model cannot tell"
    if row.probability is None:
        return "it is not known how probable the verdict is"
    sure = not is_for_review(row.probability, threshold)
    return "" if sure else f"its probability {row.probability:.3f} is below {threshold:g}"


@contextmanager
def queueing(path: str | os.PathLike[str], threshold: float) -> Iterator[Callable[[Row], None]]:
    """Write the rows that are for a person to a file; it is there, whole, when this ends well."""
    try:
        with written_whole(path) as file:

            def add(row: Row) -> None:
                if why := _why(row, threshold):
                    file.write(json.dumps(_entry(row, why)).encode() + b"\n")

            yield add
    except OSError as error:
        msg = f"the queue cannot be written to {path}: {error.strerror}"
        raise StorageError(msg, hint="make room, or name another file") from None


def _entry(row: Row, why: str) -> dict[str, Any]:
    """What a person needs, and what ties the answer to the decision."""
    entry: dict[str, Any] = {
        "id": row.id,
        "question": encodable(row.question),
        "why": encodable(why),
        "verdict": row.verdict,
        "probability": row.probability,
    }
    decision = row.decision
    if decision is not None:
        receipt = decision.receipt
        entry |= {
            "evidence": [o.model_dump(exclude_none=True) for o in decision.evidence],
            "reasoning": decision.reasoning,
            "image_sha256": [image.source_sha256 for image in receipt.images],
            "request_sha256": receipt.request_sha256,
            "decision_sha256": hashlib.sha256(decision.model_dump_json().encode()).hexdigest(),
        }
    return entry | {"human_verdict": None}
