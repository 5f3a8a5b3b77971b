"""What a hosted service takes in a schema, looked at before a picture is sent there.

The figures are those of OpenAI's documentation of structured outputs; Azure documents fewer
properties and levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from faithful_decide.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_schema"]


@dataclass(frozen=True, slots=True)
class _Limits:
    levels: int
    properties: int
    values: int = 1_000
    characters: int = 120_000
    long_list: int = 250
    """From this many values on, a list of them may have `list_characters` in all."""
    list_characters: int = 15_000


_LIMITS = {"openai": _Limits(10, 5_000), "azure": _Limits(5, 100)}


def check_schema(kind: str, schema: Mapping[str, Any], name: str) -> None:
    """Refuse a schema that this service is known to refuse."""
    limits = _LIMITS.get(kind)
    if limits is None:
        return
    size = _Size()
    size.add(schema, 0)
    for count, most, what in (
        (size.values, limits.values, "values to choose from"),
        (size.levels, limits.levels, "levels of nesting"),
        (size.properties, limits.properties, "properties"),
        (size.characters, limits.characters, "characters in names and values"),
    ):
        if count > most:
            msg = f"{name} takes {most:,} {what} in a schema, and this question has {count:,}"
            raise UnsupportedError(msg, hint=_HINT)
    if size.longest[0] > limits.long_list and size.longest[1] > limits.list_characters:
        msg = (
            f"{name} takes {limits.list_characters:,} characters in a list of more than "
            f"{limits.long_list} values, and this question has one of {size.longest[1]:,}"
        )
        raise UnsupportedError(msg, hint=_HINT)


_HINT = "ask with fewer or shorter verdicts or findings, or a model that is not hosted there"


@dataclass(slots=True)
class _Size:
    """What of a schema is counted."""

    values: int = 0
    levels: int = 0
    properties: int = 0
    characters: int = 0
    longest: tuple[int, int] = (0, 0)

    def add(self, schema: object, level: int) -> None:
        """Count a part of a schema that stands at some level."""
        if not isinstance(schema, dict):
            return
        words = [str(word) for word in schema.get("enum", [])]
        self.values += len(words)
        self.longest = max(self.longest, (len(words), sum(map(len, words))))
        self.characters += sum(map(len, words)) + len(str(schema.get("const", "")))
        properties = schema.get("properties")
        if isinstance(properties, dict):
            level += 1
            self.levels = max(self.levels, level)
            self.properties += len(properties)
            self.characters += sum(map(len, properties))
            for inner in properties.values():
                self.add(inner, level)
        self.add(schema.get("items"), level)
        for several in ("anyOf", "prefixItems"):
            for inner in schema.get(several, []):
                self.add(inner, level)
        definitions = schema.get("$defs")
        for inner in definitions.values() if isinstance(definitions, dict) else ():
            self.add(inner, level)
