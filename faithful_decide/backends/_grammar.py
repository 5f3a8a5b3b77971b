"""From a JSON schema and the start of a reply to a grammar for the rest of it.

A schema without recursion describes a *regular* language once the white space is fixed, and a
regular language has an exact "what may follow": its derivative. The derivative of an expression by
a character is the expression for everything that may come after that character (Brzozowski, 1964).
So a reply that is forced to start with some text, cut anywhere, is not a special case: derive the
expression by the text, and what is left is the grammar for the rest. With no prefix it is the
grammar of the whole.

The layout is that of `json.dumps(..., ensure_ascii=False)`: one space after each comma and colon,
none elsewhere, so there is one way to write each reply and no room for a model to stall in blanks.
The keys come in the order of `properties`. Strings may hold anything JSON allows, except that
surrogate escapes are left out: a lone one is no character, and a pair can be written as itself.

What refers to a numbered list depends on how many items it has got, so everything after the list is
there once for each number of them. In llama.cpp's notation what they share is a rule of its own. An
expression would have to repeat it, a thousand verdicts and all, and lets the numbers be any.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from faithful_decide._core.json_schema import without
from faithful_decide._core.schema import NUMBERED, REFERS, SAYS_SOMETHING
from faithful_decide.errors import UnsupportedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["gbnf_of_rest", "regex_of_rest"]


@dataclass(frozen=True, slots=True)
class _Text:
    """Exactly this text, which is not empty."""

    text: str


@dataclass(frozen=True, slots=True)
class _Words:
    """One of these texts, of which there may be a thousand; none has a control character."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Class:
    """One character of a class, in the notation that Python, llguidance and llama.cpp share."""

    pattern: str


@dataclass(frozen=True, slots=True)
class _Sequence:
    """One after the other; without parts, the empty text."""

    parts: tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class _Choice:
    """One of several; without options, nothing at all."""

    options: tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class _Many:
    """Any number of times, but at least so often."""

    node: _Node
    least: int = 0


@dataclass(frozen=True, slots=True)
class _Shared:
    """What stands in many places, and is written as a rule of this name."""

    name: str
    node: _Node = field(compare=False)


_Node: TypeAlias = _Text | _Words | _Class | _Sequence | _Choice | _Many | _Shared

_EMPTY = _Sequence(())
_NOTHING = _Choice(())


def _is_nothing(node: _Node) -> bool:
    return isinstance(node, _Choice) and not node.options


def _sequence(*parts: _Node) -> _Node:
    flat: list[_Node] = []
    for part in parts:
        if _is_nothing(part):
            return _NOTHING
        flat += part.parts if isinstance(part, _Sequence) else (part,)
    return flat[0] if len(flat) == 1 else _Sequence(tuple(flat))


def _choice(*options: _Node) -> _Node:
    # Nearly always one way is left, and to compare nodes takes long.
    possible = [option for option in options if not _is_nothing(option)]
    if len(possible) == 1:
        return possible[0]
    flat: dict[_Node, None] = {}
    for option in possible:
        inner = option.options if isinstance(option, _Choice) else (option,)
        flat.update(dict.fromkeys(inner))
    return next(iter(flat)) if len(flat) == 1 else _Choice(tuple(flat))


def _some(words: tuple[str, ...]) -> _Node:
    """One of some texts."""
    if len(words) > 1:
        return _Words(words)
    if not words:
        return _NOTHING
    return _Text(words[0]) if words[0] else _EMPTY


_HEX = _Class("[0-9a-fA-F]")
_ORDINARY = _Class(r'[^"\\\x00-\x1f]')
_CODE_UNIT = _choice(
    _sequence(_Class("[0-9abcefABCEF]"), _HEX, _HEX, _HEX),
    _sequence(_Class("[dD]"), _Class("[0-7]"), _HEX, _HEX),
)
_ESCAPE = _sequence(_Text("\\"), _choice(_Class(r'["\\/bfnrt]'), _sequence(_Text("u"), _CODE_UNIT)))
_CHARACTER = _Choice((_ORDINARY, _ESCAPE))
# Letters and digits, and everything beyond ASCII; and what may stand before the first of them.
_LETTER = _Class(r"[^\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]")
_BEFORE = _Choice((_Class(r"[\x20\x21\x23-\x2f\x3a-\x40\x5b\x5d-\x60\x7b-\x7f]"), _ESCAPE))
_DIGITS = _Many(_Class("[0-9]"))
_INTEGER = _sequence(
    _choice(_Text("-"), _EMPTY), _choice(_Text("0"), _sequence(_Class("[1-9]"), _DIGITS))
)
_PLAIN = re.compile(f"{_ORDINARY.pattern}+")
_LINE = "\n"
_MANY = 32
_SPECIAL = "\\.+*?()|[]{}^$"

# Keywords that say nothing about which texts are valid, or repeat what the layout fixes anyway.
_SILENT = {"title", "description", "propertyOrdering", "$schema", "additionalProperties"}


def regex_of_rest(schema: Mapping[str, Any], prefix: str = "") -> str:
    """Write what may follow a prefix, up to the end of the reply, as a regular expression.

    The schema is one of objects with all keys required, arrays, strings, integers, booleans and
    enumerations; `minItems` and `minLength` are kept, a `maximum` of integers from 0 or 1, and the
    numbers of a `numbered` list; what cannot be expressed is refused. The prefix may be cut
    anywhere. The expression is "" where nothing may follow.
    """
    return _pattern(_rest(without(REFERS, schema), prefix))


def gbnf_of_rest(schema: Mapping[str, Any], prefix: str = "") -> str:
    """Write the same in llama.cpp's own notation."""
    return _gbnf(json.dumps(schema), prefix)


@lru_cache(maxsize=32)
def _gbnf(schema: str, prefix: str) -> str:
    """The grammar, kept by all that it depends on: nearly every request has the last one's."""
    root = _rest(json.loads(schema), prefix)
    shared: dict[str, _Node] = {}
    _gather(root, shared)
    rules = "".join(f"{name} ::= {_rule(node)}\n" for name, node in shared.items())
    return f"root ::= {_rule(root)}\n{rules}{_CHARACTER_RULE}"


def _gather(node: _Node, shared: dict[str, _Node]) -> None:
    """Find what is shared in an expression, by its names."""
    match node:
        case _Shared(name, inner) if name not in shared:
            shared[name] = inner
            _gather(inner, shared)
        case _Sequence(parts) | _Choice(parts):
            for part in parts:
                _gather(part, shared)


def _rest(schema: Mapping[str, Any], prefix: str) -> _Node:
    node = _after(_compile(schema, "the schema"), prefix)
    if _is_nothing(node):
        # What is put into a model's mouth need not say as much as what it may write itself.
        node = _after(_compile(without(SAYS_SOMETHING, schema), "the schema"), prefix)
    if _is_nothing(node):
        msg = f"no reply that fits the schema starts with the prefix {prefix!r}"
        raise UsageError(msg, hint="write the prefix as json.dumps(..., ensure_ascii=False) would")
    return node


def _compile(schema: Mapping[str, Any], where: str) -> _Node:  # noqa: PLR0911 - one per kind
    """Translate one schema; what cannot be kept exactly is refused rather than ignored."""
    rest = {key: value for key, value in schema.items() if key not in _SILENT}
    kind = rest.pop("type", None)
    if "enum" in rest:
        values = rest.pop("enum")
        _check_nothing_left(rest, where)
        return _one_of(values)
    if kind == "object":
        return _compile_object(rest, where)
    if kind == "array" and NUMBERED in rest:
        return _compile_numbered(rest, where)
    if kind == "array":
        items = _compile(rest.pop("items", {}), f"the items of {where}")
        return _compile_array(items, rest, where)
    content = _content(rest) if kind == "string" else _EMPTY
    number = _integer(rest) if kind == "integer" else _EMPTY
    _check_nothing_left(rest, where)
    match kind:
        case "string":
            return _sequence(_Text('"'), content, _Text('"'))
        case "integer":
            return number
        case "boolean":
            return _choice(_Text("true"), _Text("false"))
    msg = f"{where} has the type {kind!r}, which cannot be enforced here"
    raise UnsupportedError(msg)


def _content(rest: dict[str, Any]) -> _Node:
    """What stands between the quotes of a string."""
    least = rest.pop("minLength", 0)
    if rest.pop(SAYS_SOMETHING, False):
        return _sequence(_Many(_BEFORE), _LETTER, _Many(_CHARACTER, max(0, least - 1)))
    return _Many(_CHARACTER, least)


def _integer(rest: dict[str, Any]) -> _Node:
    """An integer; one with a least and a most value is written digit by digit."""
    if "maximum" not in rest:
        return _INTEGER
    least, most = rest.pop("minimum", None), str(rest.pop("maximum"))
    if least not in {0, 1}:
        msg = f"an integer from {least} to {most} cannot be enforced here"
        raise UnsupportedError(msg, hint="let it begin at 0 or 1")
    shorter = [_sequence(_digit(1, 9), *[_digit(0, 9)] * n) for n in range(len(most) - 1)]
    return _choice(*[_Text("0")] * (least == 0), *shorter, _at_most(most, first=1))


def _at_most(digits: str, first: int = 0) -> _Node:
    """As many digits, of a number that is not above; the first of them is not below `first`."""
    if not digits:
        return _EMPTY
    head, rest = int(digits[0]), digits[1:]
    below = _sequence(_digit(first, head - 1), *[_digit(0, 9)] * len(rest))
    return _choice(below, _sequence(_Text(digits[0]), _at_most(rest)))


def _digit(least: int, most: int) -> _Node:
    return _Class(f"[{least}-{most}]") if least <= most else _NOTHING


def _one_of(values: list[Any]) -> _Node:
    if all(isinstance(value, str) for value in values) and values:
        # All at once, line by line: inside a string, JSON writes a line break as two characters.
        lines = json.dumps(values, ensure_ascii=False, separators=('"\n"', ":"))
        return _sequence(_Text('"'), _some(tuple(lines[2:-2].split('""\n""'))), _Text('"'))
    return _choice(*(_Text(json.dumps(value, ensure_ascii=False)) for value in values))


def _compile_object(rest: dict[str, Any], where: str) -> _Node:
    properties = rest.pop("properties", {})
    required = rest.pop("required", [])
    _check_nothing_left(rest, where)
    if set(required) != set(properties):
        msg = f"{where} has keys that may be left out, which cannot be enforced here"
        raise UnsupportedError(msg, hint="list all properties as required")
    if not properties:
        return _Text("{}")
    heads = [f", {json.dumps(key, ensure_ascii=False)}: " for key in properties]
    heads[0] = "{" + heads[0].removeprefix(", ")
    members = list(zip(map(_Text, heads), properties.items(), strict=True))
    referring = next((n for n, (_, (_, value)) in enumerate(members) if REFERS in value), None)
    if referring is None:
        return _sequence(*_members(members), _Text("}"))
    head, (_, value) = members[referring]
    listed = list(properties).index(value[REFERS])
    between = _Shared("between", _sequence(*_members(members[listed + 1 : referring]), head))
    last = _Shared("last", _sequence(*_members(members[referring + 1 :]), _Text("}")))

    def after(count: int) -> _Node:
        return _sequence(between, _ascending(count), last)

    head, (key_of_list, items) = members[listed]
    whole = _compile_numbered({**items}, f"{key_of_list!r}", after)
    return _sequence(*_members(members[:listed]), head, whole)


def _members(members: list[tuple[_Text, tuple[str, Any]]]) -> Iterator[_Node]:
    """Members of an object, each behind its key."""
    for head, (key, value) in members:
        yield from (head, _compile(value, f"{key!r}"))


def _compile_array(items: _Node, rest: dict[str, Any], where: str) -> _Node:
    least = rest.pop("minItems", 0)
    _check_nothing_left(rest, where)
    more = _sequence(_Text(", "), items)
    filled = _sequence(items, _Many(more, max(0, least - 1)))
    return _sequence(_Text("["), filled if least else _choice(filled, _EMPTY), _Text("]"))


def _compile_numbered(
    rest: dict[str, Any], where: str, after: Callable[[int], _Node] = lambda _: _EMPTY
) -> _Node:
    """A list of some items, each with its number in it, and what comes after so many."""
    key, items = rest.pop(NUMBERED), rest.pop("items")
    least, most = rest.pop("minItems"), rest.pop("maxItems")
    rest.pop("type", None)
    _check_nothing_left(rest, where)
    more: _Node = _NOTHING
    for number in range(most, 0, -1):
        properties = {**items["properties"], key: {"enum": [number]}}
        item = _compile({**items, "properties": properties}, f"the items of {where}")
        end = _sequence(_Text("]"), after(number)) if number >= least else _NOTHING
        more = _sequence(item, _choice(_sequence(_Text(", "), more), end))
    return _sequence(_Text("["), more)


def _ascending(most: int) -> _Node:
    """A list of some of the numbers from 1, in their order, so that none comes twice."""
    first: list[_Node] = [_EMPTY]
    more: _Node = _EMPTY
    for number in range(most, 0, -1):
        first.append(_sequence(_Text(str(number)), more))
        also = _sequence(_choice(_Text(f", {number}"), _EMPTY), more)
        more = _Shared(f"from-{number}-to-{most}", also)
    return _sequence(_Text("["), _choice(*first), _Text("]"))


def _check_nothing_left(rest: Mapping[str, Any], where: str) -> None:
    if rest:
        msg = f"{where} uses {', '.join(map(repr, rest))}, which cannot be enforced here"
        raise UnsupportedError(msg)


def _after(node: _Node, text: str) -> _Node:
    """What is left of an expression when it has started with a text."""
    at = 0
    while at < len(text) and not _is_nothing(node):
        head, *rest = node.parts if isinstance(node, _Sequence) and node.parts else (node,)
        # Two kinds of steps are taken at once: over what has to be written letter by letter, and
        # inside a string over plain characters, which only bring nearer its least length.
        match head:
            case _Text(written) if text.startswith(written, at):
                node = _sequence(*rest)
                at += len(written)
            case _Many(inner, least) if inner is _CHARACTER and (run := _PLAIN.match(text, at)):
                node = _sequence(_Many(inner, max(0, least - len(run[0]))), *rest)
                at = run.end()
            case _:
                node = _derive(node, text[at])
                at += 1
    return node


def _derive(node: _Node, character: str) -> _Node:  # noqa: PLR0911 - one per kind of node
    """What may follow a character: the derivative."""
    match node:
        case _Text(text):
            if text[0] != character:
                return _NOTHING
            return _Text(text[1:]) if len(text) > 1 else _EMPTY
        case _Words(words):
            return _some(tuple(word[1:] for word in words if word[:1] == character))
        case _Shared(_, inner):
            return _derive(inner, character)
        case _Class(pattern):
            return _EMPTY if re.fullmatch(pattern, character) else _NOTHING
        case _Choice(options):
            return _choice(*(_derive(option, character) for option in options))
        case _Many(inner, least):
            return _sequence(_derive(inner, character), _Many(inner, max(0, least - 1)))
        case _Sequence(parts):
            if not parts:
                return _NOTHING
            rest = _sequence(*parts[1:])
            through = _sequence(_derive(parts[0], character), rest)
            return _choice(through, _derive(rest, character)) if _skippable(parts[0]) else through


def _skippable(node: _Node) -> bool:
    """Whether the empty text fits."""
    match node:
        case _Many(inner, least):
            return not least or _skippable(inner)
        case _Shared(_, inner):
            return _skippable(inner)
        case _Words(words):
            return "" in words
        case _Choice(options):
            return any(map(_skippable, options))
        case _Sequence(parts):
            return all(map(_skippable, parts))
    return False


def _pattern(node: _Node) -> str:  # noqa: PLR0911 - one per kind of node
    """Write an expression as a regular expression."""
    match node:
        case _Text(text):
            return _escaped(text)
        case _Words(words):
            return _alternatives(words)
        case _Shared(_, inner):
            return _pattern(inner)
        case _Class(pattern):
            return pattern
        case _Choice(options):
            return f"({'|'.join(map(_pattern, options))})"
        case _Many(inner, least):
            return f"({_pattern(inner)}){_times(least)}"
        case _Sequence(parts):
            return "".join(map(_pattern, parts))


def _escaped(text: str) -> str:
    # Not one character after the other: a thousand labels have many.
    for special in _SPECIAL:
        text = text.replace(special, "\\" + special)
    return text


def _alternatives(words: tuple[str, ...]) -> str:
    """One of some words; of many, by their first letters, which is less to read and to compile."""
    if len(words) < _MANY:
        return f"({_escaped(_LINE.join(words)).replace(_LINE, '|')})"
    groups: dict[str, list[str]] = {}
    for word in words:
        groups.setdefault(word[:1], []).append(word[1:])
    # Marked by characters that no word has, and escaped all at once.
    marked = _LINE.join(f"{first}\0{_LINE.join(rest)}\1" for first, rest in groups.items())
    pattern = _escaped(marked).replace(_LINE, "|").replace("\0", "(").replace("\1", ")")
    return f"({pattern})"


def _times(least: int) -> str:
    """How both notations say "at least so often"."""
    return {0: "*", 1: "+"}.get(least, f"{{{least},}}")


def _rule(node: _Node) -> str:  # noqa: PLR0911 - one per kind of node
    """Write an expression as the right side of a rule of GBNF."""
    if node is _CHARACTER:
        return "character"
    match node:
        case _Text(text):
            return json.dumps(text, ensure_ascii=False)
        case _Words(words):
            return f"({' | '.join(json.dumps(word, ensure_ascii=False) for word in words)})"
        case _Shared(name, _):
            return name
        case _Class(pattern):
            return pattern
        case _Choice(options):
            return f"({' | '.join(map(_rule, options))})"
        case _Many(inner, least):
            return f"({_rule(inner)}){_times(least)}"
        case _Sequence(parts):
            return " ".join(map(_rule, parts)) if parts else '""'


_CHARACTER_RULE = f"character ::= {' | '.join(map(_rule, _CHARACTER.options))}\n"
