"""An item and a question, and what became of them: a decision, or an error that has a type.

A row never has a verdict that no decision stands behind. `flat` is the shape in which a row leaves
this package (a line of JSON, a line of CSV, a row of Parquet); `from_flat` reads it back.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from faithful_decide import errors
from faithful_decide._core.escaped import visible
from faithful_decide._core.types import Decision
from faithful_decide._nearest import hinting
from faithful_decide._public import public
from faithful_decide.errors import BackendError, FaithfulDecideError, ImageError, ReplyError

if TYPE_CHECKING:
    from faithful_decide._images.load import ImageSources

__all__ = [
    "MORE",
    "OBJECTS",
    "OF_A_ROW",
    "OWN_COLUMNS",
    "Item",
    "Row",
    "flat",
    "from_flat",
    "numbered",
]

OF_A_ROW = (ReplyError, BackendError, ImageError)
"""What can be wrong with one row. Anything else (a refused key, a full disk) is wrong with all."""

_KINDS: Mapping[str, type[FaithfulDecideError]] = {
    name: getattr(errors, name) for name in errors.__all__ if name != "MissingExtraError"
}

OWN_COLUMNS: Mapping[str, type] = {
    "id": str,
    "question": str,
    "status": str,
    "verdict": str,
    "probability": float,
    "probabilities": str,
    "scores_source": str,
    "reasoning": str,
    "observations": str,
    "relies_on": str,
    "error": str,
    "message": str,
    "hint": str,
    "backend": str,
    "model": str,
    "order": str,
    "prompt_tokens": int,
    "completion_tokens": int,
    "latency_s": float,
    "decision": str,
}
"""The columns that every row has, and what is in them. The item's own columns follow."""

OBJECTS = ("probabilities", "observations", "relies_on", "decision")
"""Those with JSON in them."""

MORE = "more"
"""The column of a table for what has no column of its own."""


@public
@hinting
@dataclass(frozen=True, slots=True)
class Item:
    """One image to ask about, or several that belong together.

    Args:
        id: What to call it.
        image: Where it is, or what it is; of several, a list. An error stands for an image that its
            source could not give.
        columns: What else its source says of it, a label perhaps.
    """

    id: str
    image: ImageSources | FaithfulDecideError
    columns: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Write what UTF-8 cannot hold, such as a file name in another encoding, as escapes."""
        object.__setattr__(self, "id", encodable(str(self.id)))


@public
@hinting
@dataclass(frozen=True, slots=True)
class Row:
    """What became of an item and a question: either `decision` or `error` is set.

    Args:
        id: The item.
        question: The name of the question.
        decision: The decision.
        error: Why there is none.
        columns: The columns of the item.
        extra: What was found out beyond the decision, such as the columns of an audit.
    """

    id: str
    question: str
    decision: Decision | None = None
    error: FaithfulDecideError | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """One line: the item, and what became of it."""
        became = f"{self.error_type}: {self.error}" if self.error else self.verdict
        return visible(f"{self.id}: {became}", keep="")

    @property
    def verdict(self) -> str | None:
        """The verdict, if there is one."""
        return None if self.decision is None else self.decision.verdict

    @property
    def error_type(self) -> str | None:
        """The name of the error, if there is one: one of `faithful_decide.errors`."""
        kinds = (kind.__name__ for kind in type(self.error).__mro__)
        return next((kind for kind in kinds if kind in errors.__all__), None)

    @property
    def probability(self) -> float | None:
        """How probable the verdict is, where that is known."""
        return None if self.decision is None else self.decision.probability

    def to_dict(self) -> dict[str, Any]:
        """The row as plain values, for a table: `pandas.DataFrame(row.to_dict() for row in rows)`.

        Returns:
            The columns that a file of results has, in the same order. Probabilities, observations
            and the decision are lists and mappings; what is not known is None.
        """
        values = flat(self)
        for name in OBJECTS:
            if values[name] is not None:
                values[name] = json.loads(values[name])
        return values


def numbered(number: int, image: ImageSources) -> Item:
    """An item called by its path or URL; one that has neither is called by its number."""
    if isinstance(image, str | os.PathLike) and not str(image).startswith("data:"):
        return Item(os.fspath(image), image)
    return Item(str(number), image)


def encodable(text: str) -> str:
    """A text as UTF-8 can hold it: a lone surrogate becomes the escape that JSON has for it."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def flat(row: Row) -> dict[str, Any]:
    """Write a row as plain values, every text such that UTF-8 can hold it.

    First are the columns of `OWN_COLUMNS`, then those of the item and of an audit, one under the
    name of an earlier one with a `_` behind it. What is not known is None.
    """
    values: dict[str, Any] = dict.fromkeys(OWN_COLUMNS)
    values |= {"id": row.id, "question": row.question}
    values["status"] = "failed" if row.decision is None else "decided"
    if row.error is not None:
        values |= {
            "error": row.error_type,
            "message": str(row.error),
            "hint": row.error.hint or None,
        }
    if row.decision is not None:
        values |= _of_decision(row.decision)
        values["probability"] = row.probability
    values = {name: _encodable_all(value) for name, value in values.items()}
    for name, value in {**row.columns, **row.extra}.items():
        unique = encodable(str(name))
        while unique in values or unique == MORE:
            unique += "_"
        values[unique] = _encodable_all(value)
    return values


def _encodable_all(value: Any) -> Any:  # noqa: ANN401 - JSON
    """The same value with all texts in it encodable."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, Mapping):
        return {encodable(str(name)): _encodable_all(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_encodable_all(inner) for inner in value]
    return value


def _of_decision(decision: Decision) -> dict[str, Any]:
    receipt, scores = decision.receipt, decision.scores
    return {
        "verdict": decision.verdict,
        "probabilities": scores and json.dumps(dict(scores.probabilities), ensure_ascii=False),
        "scores_source": scores and scores.source,
        "reasoning": decision.reasoning,
        "observations": json.dumps(
            [o.model_dump(exclude_none=True) for o in decision.observations], ensure_ascii=False
        ),
        "relies_on": json.dumps(list(decision.relies_on)),
        "backend": receipt.backend,
        "model": receipt.model,
        "order": receipt.order,
        "prompt_tokens": receipt.usage.prompt_tokens,
        "completion_tokens": receipt.usage.completion_tokens,
        "latency_s": receipt.latency_s,
        "decision": decision.model_dump_json(),
    }


def from_flat(values: Mapping[str, Any]) -> Row:
    """Read a row back that `flat` wrote; what an audit has added is among its columns.

    What is no such row is a ValueError.
    """
    status = values.get("status")
    if "id" not in values or "question" not in values or status not in {"decided", "failed"}:
        msg = "this is not a row of results"
        raise ValueError(msg)
    rest = {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in values.items()
        if name not in OWN_COLUMNS and value is not None and value != ""
    }
    row_id, question = str(values["id"] or ""), str(values["question"] or "")
    if status == "decided":
        decision = Decision.model_validate_json(values.get("decision") or "")
        return Row(row_id, question, decision=decision, columns=rest)
    kind = _KINDS.get(str(values.get("error")), FaithfulDecideError)
    error = kind(values.get("message") or "", hint=values.get("hint") or "")
    return Row(row_id, question, error=error, columns=rest)
