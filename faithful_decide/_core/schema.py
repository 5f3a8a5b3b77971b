"""The schemas of the contract: how a reply is asked for.

The keys are in alphabetical order, on purpose: several servers sort the keys of a schema, and here
sorting changes nothing. Whatever is added has to keep that property. The audit adds `relies_on`
(which observations carry the verdict) and `reservation` (room to object).

There are no length keywords: some grammar engines then forbid quotes inside the text. What an
engine in this process can promise besides is added by `filled`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faithful_decide._core.json_schema import object_schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import BaseModel

__all__ = [
    "AUDITED_KEYS",
    "FORCED_KEYS",
    "KEYS",
    "MIN_REASONING",
    "SAYS_SOMETHING",
    "explanation_schema",
    "filled",
    "observations_schema",
    "reasons_schema",
    "schema",
    "verdict_schema",
]

KEYS = ("observations", "reasoning", "verdict")
AUDITED_KEYS = ("observations", "reasoning", "relies_on", "reservation", "verdict")
FORCED_KEYS = (AUDITED_KEYS[-1], *AUDITED_KEYS[:-1])

MIN_REASONING = 5
"""Visible characters; less is not a reason, only a way to fill the field."""

SAYS_SOMETHING = "saysSomething"
"""A keyword of our own, for our own grammar: the text has a letter or a digit."""


def schema(
    labels: Sequence[str], *, audited: bool = False, findings: type[BaseModel] | None = None
) -> dict[str, Any]:
    """Write the contract as a JSON schema, its keys in order.

    The verdict is always an open `enum`, because a constant tells the model what to conclude. An
    audited reply also says what it relies on and what it objects to; findings come first.
    """
    text = {"type": "string"}
    properties: dict[str, Any] = {
        "observations": {"type": "array", "items": object_schema({"about": text, "seen": text})},
        "reasoning": text,
        "relies_on": {"type": "array", "items": {"type": "integer"}},
        "reservation": text,
        "verdict": {"type": "string", "enum": list(labels)},
    }
    ordered = {key: properties[key] for key in (AUDITED_KEYS if audited else KEYS)}
    if findings is not None:
        from faithful_decide._core.findings import findings_schema  # noqa: PLC0415 - for some only

        ordered = {"findings": findings_schema(findings), **ordered}
    return object_schema(ordered)


def reasons_schema(findings: type[BaseModel] | None = None) -> dict[str, Any]:
    """Write the first half of the contract: observations and reasoning, no verdict."""
    properties = schema((), findings=findings)["properties"]
    return object_schema({key: part for key, part in properties.items() if key != KEYS[-1]})


def verdict_schema(labels: Sequence[str]) -> dict[str, Any]:
    """Write the second half of the contract: the verdict alone."""
    return object_schema({"verdict": schema(labels)["properties"]["verdict"]})


def observations_schema() -> dict[str, Any]:
    """Write the contract of a reading: observations and nothing else, since nothing is decided."""
    return object_schema({"observations": schema(())["properties"]["observations"]})


def explanation_schema(labels: Sequence[str]) -> dict[str, Any]:
    """Write the contract of an experiment that puts the verdict first, and explanations after it.

    No decision is ever made of such a reply. It is only asked for where the backend writes the
    verdict that it is forced to, in exactly this order; a server that sorted it would be no harm.
    """
    properties = schema(labels, audited=True)["properties"]
    return object_schema({key: properties[key] for key in FORCED_KEYS})


def filled(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Add to a schema what our own grammar can promise as well: that nothing is empty.

    There is an observation, and what it is about, what was seen and the reasoning say something.
    """
    properties = dict(schema.get("properties", {}))
    some = {"type": "string", "minLength": 1, SAYS_SOMETHING: True}
    bounds: dict[str, dict[str, Any]] = {
        "observations": {"minItems": 1, "items": object_schema({"about": some, "seen": some})},
        "reasoning": {"minLength": MIN_REASONING, SAYS_SOMETHING: True},
    }
    for key in bounds.keys() & properties.keys():
        properties[key] = {**properties[key], **bounds[key]}
    return {**schema, "properties": properties}
