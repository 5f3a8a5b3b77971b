"""Whether a text could have been written under the constraint that its request carried.

A reply that the grammar or the schema cannot produce is proof that it was not in force, whatever
was sent; so a receipt says that an order was enforced only after this has been looked at.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
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

    Under a schema the layout is free, but every key stands in its place, at any depth.
    """
    if schema is None or constraint == "none":
        return False
    if constraint == "grammar":
        return _grammar(json.dumps(schema)).fullmatch(text) is not None
    try:
        members = read_members(text)
    except Broken:
        return False
    return fits({key: member.value for key, member in members.items()}, schema)


@lru_cache(maxsize=32)
def _grammar(schema: str) -> re.Pattern[str]:
    """The grammar of a schema as an expression for whole replies; many replies share one."""
    return re.compile(regex_of_rest(filled(json.loads(schema))))


def can_start(schema: Mapping[str, Any] | None, start: str) -> bool:
    """Whether a reply under our grammar can be forced to begin with a text."""
    try:
        return schema is None or bool(regex_of_rest(filled(schema), start))
    except UsageError:  # also of a schema that the grammar cannot express
        return False
