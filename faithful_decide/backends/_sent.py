"""What a request held the model to, read from what was really sent.

A table of servers says what ought to be in a request; an option of a caller may have replaced it.
So a receipt goes by the body itself: the schema or the grammar stands in it, or it does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faithful_decide._core.json_schema import standard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from faithful_decide.backends.base import Constraint, Request

__all__ = ["constraint_of"]

_GRAMMARS = (("grammar",), ("regex",), ("structured_outputs", "regex"))
_SCHEMAS = (
    ("response_format", "json_schema", "schema"),
    ("text", "format", "schema"),
    ("format",),
    ("output_config", "format", "schema"),
    ("generationConfig", "responseJsonSchema"),
)


def constraint_of(body: Mapping[str, Any], request: Request) -> Constraint:
    """What the body of a request, as it is sent, holds the reply to."""
    if request.schema is None:
        return "none"
    if any(_at(body, place) for place in _GRAMMARS):
        return "grammar"
    schemas = (request.schema, standard(request.schema))
    return "schema" if any(_at(body, place) in schemas for place in _SCHEMAS) else "none"


def _at(body: Mapping[str, Any], place: tuple[str, ...]) -> object:
    value: object = body
    for key in place:
        value = value.get(key) if isinstance(value, dict) else None
    return value
