"""The schemas of the contract: how a reply is asked for.

The keys are in alphabetical order, on purpose: several servers sort the keys of a schema, and here
sorting changes nothing, at any depth. Whatever is added has to keep that property. What a question
asks for adds keys: its findings, places with `regions`, numbers of images where there are several;
and a request that tells the model its verdict leaves room to object (`reservation`).

No text has bounds for servers: some grammar engines then forbid quotes inside it. What our own
grammar can promise besides is added by `filled`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from faithful_decide._core.json_schema import object_schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from pydantic import BaseModel

    from faithful_decide._core.types import Question

__all__ = [
    "EDGES",
    "FORCED_KEYS",
    "KEYS",
    "LEVELS",
    "MIN_REASONING",
    "NUMBERED",
    "REFERS",
    "SAYS_SOMETHING",
    "VALUES",
    "Shape",
    "claims_schema",
    "early_schema",
    "explanation_schema",
    "filled",
    "observations_schema",
    "reasons_schema",
    "schema",
    "shape_of",
    "verdict_schema",
]

KEYS = ("observations", "reasoning", "relies_on", "verdict")
FORCED_KEYS = ("verdict", "observations", "reasoning", "relies_on", "reservation")
LEVELS = ("none", "some", "rejects")
"""How much a model objects to a verdict that it was told."""
VALUES = ("true", "false", "cannot_tell")
"""What can be said of a claim."""
EDGES = ("bottom", "left", "right", "top")

MIN_REASONING = 5
"""Visible characters; less is not a reason, only a way to fill the field."""

SAYS_SOMETHING = "saysSomething"
"""A keyword of our own, for our own grammar: the text has a letter or a digit."""

_TEXT = {"type": "string"}
_NUMBER = {"type": "integer"}
NUMBERED = "numbered"
"""Another keyword of our own: the items are numbered by this key, 1, 2, 3, from `minItems` to
`maxItems` of them."""
REFERS = "refersTo"
"""And one more: the numbers are those of items in the numbered list under this key."""
_MOST = 24
"""Of observations, and claims, where our own grammar writes their numbers."""
_WHOLE = 100


class Shape(TypedDict, total=False):
    """What of the contract a request asks for besides the verdicts, as keyword arguments."""

    regions: bool
    images: int
    findings: type[BaseModel] | None


def _observations(*, regions: bool, images: int) -> dict[str, Any]:
    """A list of observations: each with its number, and its place and image where asked for."""
    properties: dict[str, Any] = {"about": _TEXT}
    if regions:
        properties["at"] = object_schema(dict.fromkeys(EDGES, _NUMBER))
    if images > 1:
        properties["image"] = _NUMBER
    return {"type": "array", "items": object_schema(properties | {"n": _NUMBER, "seen": _TEXT})}


def schema(
    labels: Sequence[str],
    *,
    regions: bool = False,
    images: int = 1,
    reservation: bool = False,
    findings: type[BaseModel] | None = None,
) -> dict[str, Any]:
    """Write the contract as a JSON schema, its keys in order.

    The verdict is always an open `enum`, because a constant tells the model what to conclude. With
    a `reservation` the reply has room to object to a verdict that the model was told; `findings`
    come first where the question asks for them.
    """
    properties: dict[str, Any] = {}
    if findings is not None:
        from faithful_decide._core.findings import findings_schema  # noqa: PLC0415 - for some only

        properties["findings"] = findings_schema(findings)
    properties["observations"] = _observations(regions=regions, images=images)
    properties["reasoning"] = _TEXT
    properties["relies_on"] = {"type": "array", "items": _NUMBER}
    if reservation:
        level = {"type": "string", "enum": list(LEVELS)}
        properties["reservation"] = object_schema({"level": level, "why": _TEXT})
    properties["verdict"] = {"type": "string", "enum": list(labels)}
    return object_schema(properties)


def reasons_schema(**shape: Unpack[Shape]) -> dict[str, Any]:
    """Write the first half of the contract: everything but the verdict."""
    whole = schema((), **shape)
    return _only(whole, *(key for key in whole["properties"] if key != "verdict"))


def verdict_schema(labels: Sequence[str]) -> dict[str, Any]:
    """Write the second half of the contract: the verdict alone."""
    return _only(schema(labels), "verdict")


def observations_schema(*, regions: bool = False, images: int = 1) -> dict[str, Any]:
    """Write the contract of a reading: observations and nothing else, since nothing is decided."""
    return _only(schema((), regions=regions, images=images), "observations")


def early_schema(
    labels: Sequence[str], *, regions: bool = False, images: int = 1
) -> dict[str, Any]:
    """Write the contract of an experiment that leaves the reasoning out."""
    return _only(schema(labels, regions=regions, images=images), "observations", "verdict")


def explanation_schema(
    labels: Sequence[str], *, regions: bool = False, images: int = 1
) -> dict[str, Any]:
    """Write the contract of an experiment that puts the verdict first, and explanations after it.

    No decision is ever made of such a reply. It is only asked for where the backend writes the
    verdict that it is forced to, in exactly this order; a server that sorted it would be no harm.
    """
    return _only(schema(labels, regions=regions, images=images, reservation=True), *FORCED_KEYS)


def claims_schema(count: int) -> dict[str, Any]:
    """Write the contract of a check of claims: what is seen of each, then whether it is true.

    One answer for each of so many claims, where what enforces it can count.
    """
    value = {"type": "string", "enum": list(VALUES)}
    claim = object_schema({"n": _NUMBER, "seen": _TEXT, "value": value})
    bounds = {"minItems": count, "maxItems": count}
    return object_schema({"claims": {"type": "array", "items": claim, **bounds}})


def shape_of(question: Question, images: int = 1) -> Shape:
    """What a question asks for, about so many images."""
    return {"regions": question.regions, "images": images, "findings": question.findings}


def _only(whole: dict[str, Any], *keys: str) -> dict[str, Any]:
    """A schema of some of its keys, in this order."""
    return object_schema({key: whole["properties"][key] for key in keys})


def filled(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Add to a schema what our own grammar can promise as well: nothing is empty or endless.

    There is an observation, and they are numbered 1, 2, 3; what they are about, what was seen and
    the reasoning say something; what it relies on is there; and numbers have no more digits than
    they can need.
    """
    return {**schema, "properties": {k: _bounded(k, v) for k, v in schema["properties"].items()}}


_SOMETHING = {"minLength": 1, SAYS_SOMETHING: True}
_COUNTED = {"minimum": 1, "maximum": _MOST}
_BOUNDS: Mapping[str, Mapping[str, Any]] = {
    "about": _SOMETHING,
    "seen": _SOMETHING,
    "n": _COUNTED,
    "image": _COUNTED,
    **{edge: {"minimum": 0, "maximum": _WHOLE} for edge in EDGES},
}


def _bounded(key: str, part: dict[str, Any]) -> dict[str, Any]:
    match key:
        case "observations" | "claims":
            bounds = {"minItems": 1, "maxItems": _MOST}
            return {**bounds, **part, NUMBERED: "n", "items": _within(part["items"])}
        case "reasoning":
            return {**part, "minLength": MIN_REASONING, SAYS_SOMETHING: True}
        case "relies_on":
            return {**part, "items": {**part["items"], **_COUNTED}, REFERS: "observations"}
    return part


def _within(part: dict[str, Any]) -> dict[str, Any]:
    """Bound what stands in an observation, at any depth."""
    inner = {
        key: _within(value) if "properties" in value else {**value, **_BOUNDS.get(key, {})}
        for key, value in part["properties"].items()
    }
    return {**part, "properties": inner}
