"""Whether a text could have been written under the constraint that its request carried.

A reply that the grammar or the schema cannot produce is proof that it was not in force, whatever
was sent; so a receipt says that an order was enforced only after this has been looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faithful_decide._core.json_schema import fits
from faithful_decide._core.json_text import Broken, read_members
from faithful_decide._core.schema import filled
from faithful_decide.backends._grammar import regex_of_rest
from faithful_decide.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from faithful_decide.backends.base import Constraint

__all__ = ["allows", "can_start"]


def allows(constraint: Constraint, schema: Mapping[str, Any] | None, text: str) -> bool:
    """Whether a whole reply is one that its constraint allows; under none, nothing is vouched for.

    Of our grammar nothing may be left when the text is taken off it. Under a schema the layout is
    free, but every key stands in its place, at any depth.
    """
    if schema is None or constraint == "none":
        return False
    if constraint == "grammar":
        return _rest(schema, text) == ""
    try:
        members = read_members(text)
    except Broken:
        return False
    return fits({key: member.value for key, member in members.items()}, schema)


def can_start(schema: Mapping[str, Any] | None, start: str) -> bool:
    """Whether a reply under our grammar can be forced to begin with a text."""
    return schema is None or _rest(schema, start) is not None


def _rest(schema: Mapping[str, Any], text: str) -> str | None:
    """What may follow a text; None if nothing that fits begins with it."""
    try:
        return regex_of_rest(filled(schema), text)
    except UsageError:  # also of a schema that the grammar cannot express
        return None
