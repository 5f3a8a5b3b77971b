"""Reads one JSON object from raw text and says where its members stand.

A JSON library hands back a dictionary: the order is lost to most readers, duplicate keys collapse
into the last one, and nothing says which bytes a value came from. Here the outermost object is
walked by hand (the library still decodes the values), because these three are what a proof of
order is made of.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, NoReturn

from faithful_decide._core.types import Span

__all__ = ["Broken", "Member", "broken", "read_members", "shown"]

_BOM = "\ufeff"
_JSON_SPACE = " \t\n\r"
_MAX_DIGITS = 300
_ESCAPE = len(r"\u0000")
_SHOWN = 60
_EXPECTED = {
    "Expecting value": "a value",
    "Expecting property name": "a key in double quotes",
    "Expecting ':'": "':'",
    "Expecting ','": "a comma or a closing bracket",
    "Illegal trailing comma": "another value",
}
"""How the faults of the library begin that are about a place, and what is expected there."""


class Broken(Exception):  # noqa: N818 - caught by the contract, never seen by a caller
    """A way in which a text is not what was asked for."""

    def __init__(self, what: str, *, incomplete: bool = False, hint: str = "") -> None:
        """Say what is wrong, whether more text could have mended it, and what to do."""
        super().__init__(what)
        self.incomplete, self.hint = incomplete, hint


def broken(what: str, *, incomplete: bool = False, hint: str = "") -> NoReturn:
    """Raise `Broken`; a call reads better than a raise in the middle of a condition."""
    raise Broken(what, incomplete=incomplete, hint=hint)


def shown(value: object) -> str:
    """Quote a value for a message, cut to a bearable length."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


@dataclass(frozen=True, slots=True)
class Member:
    """A value and the bytes it was read from."""

    value: Any
    span: Span


def read_members(text: str) -> dict[str, Member]:
    """Read a text that is one JSON object with nothing around it, its members in their order.

    What it is instead, or that it has a key twice at any depth, is said by `Broken`.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        broken("it contains a lone surrogate")
    if text.startswith(_BOM):
        broken("it starts with a byte order mark")
    members: dict[str, Member] = {}
    if not text.strip(_JSON_SPACE):
        broken("it is empty, and a JSON object is expected", incomplete=True)
    at = _expect(text, _skip(text, 0), "{", "a JSON object")
    while True:
        at = _skip(text, at)
        if text[at : at + 1] == "}" and not members:
            break
        if text[at : at + 1] != '"':
            _misplaced(text, at, "a key in double quotes")
        key, at = _value(text, at)
        if key in members:
            broken(f"it has the key {shown(key)} twice")
        start = _skip(text, _expect(text, _skip(text, at), ":"))
        value, at = _value(text, start)
        members[key] = Member(value, _span(text, start, at))
        at = _skip(text, at)
        if text[at : at + 1] != ",":
            break
        at += 1
    end = _skip(text, _expect(text, at, "}", "a comma or the closing brace"))
    if end != len(text):
        broken(f"something follows the object: {shown(text[end:])}")
    return members


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _JSON_SPACE:
        at += 1
    return at


def _expect(text: str, at: int, character: str, what: str = "") -> int:
    if text[at : at + 1] != character:
        _misplaced(text, at, what or repr(character))
    return at + 1


def _misplaced(text: str, at: int, what: str) -> NoReturn:
    """Say what is expected at a place, and what stands there."""
    if at >= len(text):
        broken(f"it ends at character {at}, where {what} is expected", incomplete=True)
    broken(f"it has {shown(text[at:])} at character {at + 1}, where {what} is expected")


def _span(text: str, start: int, end: int) -> Span:
    first = len(text[:start].encode())
    return Span(start=first, end=first + len(text[start:end].encode()))


def _value(text: str, at: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        if what := next(
            (say for begin, say in _EXPECTED.items() if error.msg.startswith(begin)), ""
        ):
            _misplaced(text, error.pos, what)
        rest = text[error.pos :]
        cut = error.msg.startswith("Unterminated")
        # An escape such as \u00e9 that ends with the text was cut, not misspelt.
        incomplete = cut or (error.msg.startswith("Invalid \\u") and len(rest) < _ESCAPE)
        fault = (
            "a text that never ends" if cut else "a character that JSON does not allow in a text"
        )
        broken(f"it has {fault} at character {error.pos + 1}: {shown(rest)}", incomplete=incomplete)
    except RecursionError:
        broken("it is nested too deeply")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(members := dict(pairs)) != len(pairs):
        broken("an object has the same key twice")
    return members


def _integer(digits: str) -> int:
    # Python refuses to convert thousands of digits, or fewer if it was told to, with an error that
    # is not about JSON.
    if len(digits) > _MAX_DIGITS:
        broken(f"the number {shown(digits)} is out of range")
    return int(digits)


def _finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        broken(f"the number {shown(digits)} is out of range")
    return number


def _no_constant(name: str) -> NoReturn:
    broken(f"{name} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs,
    parse_int=_integer,
    parse_float=_finite,
    parse_constant=_no_constant,
)
