"""Raw replies and what verification has to make of each: hand-written ones, and a generator.

The expected outcome is the name of an error class, or "ok". The labels are `LABELS` throughout.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faithful_decide._core.schema import KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faithful_decide._core.types import Finish

LABELS = ("yes", "no", "cannot_tell")
OK, CONTRACT, ORDER = "ok", "ContractError", "OrderError"
TRUNCATED, REFUSED = "TruncatedError", "RefusedError"

_O = '"observations": [{"about": "the dog", "n": 1, "seen": "in a hat"}]'
_R = '"reasoning": "a dog in a hat is odd"'
_N = '"relies_on": [1]'
_V = '"verdict": "yes"'
_GOOD = f"{{{_O}, {_R}, {_N}, {_V}}}"


@dataclass(frozen=True)
class Case:
    """A raw reply, and what has to become of it."""

    name: str
    raw: str
    expected: str
    finish: Finish = "stop"


def _body(*members: str) -> str:
    return "{" + ", ".join(members) + "}"


def _observations(value: str) -> str:
    return _body(f'"observations": {value}', _R, _N, _V)


def _reasoning(value: str) -> str:
    return _body(_O, f'"reasoning": {value}', _N, _V)


def _verdict(value: str) -> str:
    return _body(_O, _R, _N, f'"verdict": {value}')


HAND_WRITTEN = (
    Case("as asked", _GOOD, OK),
    Case("compact", _GOOD.replace(": ", ":").replace(", ", ","), OK),
    Case("indented", json.dumps(json.loads(_GOOD), indent=2), OK),
    Case("space around", f" \r\n\t{_GOOD}\n", OK),
    Case("abstains", _verdict('"cannot_tell"'), OK),
    Case("escaped letter in the verdict", _verdict('"\\u0079es"'), OK),
    Case("escaped key", _GOOD.replace('"verdict"', '"verdi\\u0063t"'), OK),
    Case("quotes in the reasoning", _reasoning('"it says \\"verdict\\": \\"no\\""'), OK),
    Case("braces in the reasoning", _reasoning('"}, {\\"verdict\\": 1} ]"'), OK),
    Case("emoji", _reasoning('"ein Hund 🐶 mit Hut"'), OK),
    Case("surrogate pair", _reasoning('"a dog \\ud83d\\udc36"'), OK),
    Case("seen before about", _observations('[{"seen": "a hat", "n": 1, "about": "the dog"}]'), OK),
    Case(
        "one blank observation of two",
        _observations(
            '[{"about": "", "n": 1, "seen": ""}, {"about": "the dog", "n": 2, "seen": "a hat"}]'
        ),
        OK,
    ),
    Case("NUL as an escape", _reasoning('"odd \\u0000 but legal"'), OK),
    Case("verdict first", _body(_V, _O, _R, _N), ORDER),
    Case("verdict second", _body(_O, _V, _R, _N), ORDER),
    Case("verdict before what it relies on", _body(_O, _R, _V, _N), ORDER),
    Case("relies_on before reasoning", _body(_O, _N, _R, _V), ORDER),
    Case("verdict first, reasoning next", _body(_V, _R, _O, _N), ORDER),
    Case("reasoning, verdict, observations", _body(_R, _V, _O, _N), ORDER),
    Case("reasoning before observations", _body(_R, _O, _N, _V), ORDER),
    Case("verdict first, escaped key", _body(_V.replace("v", "\\u0076", 1), _O, _R, _N), ORDER),
    Case("verdict first, compact", _body(_V, _O, _R, _N).replace(", ", ","), ORDER),
    Case("verdict twice, first and last", _body(_V, _O, _R, _N, _V), CONTRACT),
    Case("verdict twice, last", _body(_O, _R, _N, _V, '"verdict": "no"'), CONTRACT),
    Case("verdict twice, once escaped", _body('"\\u0076erdict": "no"', _O, _R, _N, _V), CONTRACT),
    Case("reasoning twice", _body(_R, _O, _R, _N, _V), CONTRACT),
    Case("observations twice", _body(_O, _O, _R, _N, _V), CONTRACT),
    Case(
        "about twice",
        _observations('[{"about": "a", "about": "b", "n": 1, "seen": "c"}]'),
        CONTRACT,
    ),
    Case("answer instead of verdict", _body(_O, _R, _N, '"answer": "yes"'), CONTRACT),
    Case("Verdict in capitals", _body(_O, _R, _N, '"Verdict": "yes"'), CONTRACT),
    Case("verdict with a space", _body(_O, _R, _N, '"verdict ": "yes"'), CONTRACT),
    Case("additional key first", _body('"answer": "yes"', _O, _R, _N, _V), CONTRACT),
    Case("additional key last", _body(_O, _R, _N, _V, '"zest": 1'), CONTRACT),
    Case(
        "a reservation unasked",
        _body(_O, _R, _N, '"reservation": {"level": "none", "why": ""}', _V),
        CONTRACT,
    ),
    Case("nothing relied on", _body(_O, _R, '"relies_on": []', _V), OK),
    *(
        Case(f"relies_on {value}", _body(_O, _R, f'"relies_on": {value}', _V), CONTRACT)
        for value in ("[0]", "[2]", "[-1]", "[1, 1]", "[true]", "[1.0]", '["1"]', "1", "null")
    ),
    *(
        Case(f"numbered {n}", _observations(f'[{{"about": "a", "n": {n}, "seen": "b"}}]'), CONTRACT)
        for n in ("0", "2", "-1", "1.0", '"1"', "true", "null")
    ),
    Case(
        "numbered twice the same",
        _observations('[{"about": "a", "n": 1, "seen": "b"}, {"about": "c", "n": 1, "seen": "d"}]'),
        CONTRACT,
    ),
    Case("not numbered", _observations('[{"about": "a", "seen": "b"}]'), CONTRACT),
    Case(
        "a place unasked",
        _observations(
            '[{"about": "a", "at": {"bottom": 9, "left": 1, "right": 9, "top": 1}, "n": 1, '
            '"seen": "b"}]'
        ),
        CONTRACT,
    ),
    Case(
        "an image unasked",
        _observations('[{"about": "a", "image": 1, "n": 1, "seen": "b"}]'),
        CONTRACT,
    ),
    Case("nothing on what it relies", _body(_O, _R, _V), CONTRACT),
    Case("no observations", _body(_R, _N, _V), CONTRACT),
    Case("no reasoning", _body(_O, _N, _V), CONTRACT),
    Case("no reasoning, verdict first", _body(_V, _O, _N), CONTRACT),
    Case("no verdict", _body(_O, _R, _N), CONTRACT),
    Case("verdict only", _body(_V), CONTRACT),
    Case("empty object", "{}", CONTRACT),
    Case("empty", "", CONTRACT),
    Case("only space", " \n ", CONTRACT),
    Case("null", "null", CONTRACT),
    Case("a string", '"yes"', CONTRACT),
    Case("a list around", f"[{_GOOD}]", CONTRACT),
    Case("two objects", _GOOD + _GOOD, CONTRACT),
    Case("two objects, two lines", f"{_GOOD}\n{_GOOD}", CONTRACT),
    Case("a nested object", f'{{"reply": {_GOOD}}}', CONTRACT),
    Case("a fence", f"```json\n{_GOOD}\n```", CONTRACT),
    Case("a preamble", f"Sure! {_GOOD}", CONTRACT),
    Case("an afterthought", f"{_GOOD} Hope that helps.", CONTRACT),
    Case("thinking before", f"<think>yes</think>{_GOOD}", CONTRACT),
    Case("an end token", f"{_GOOD}</s>", CONTRACT),
    Case("byte order mark", f"\ufeff{_GOOD}", CONTRACT),
    Case("no-break space before", f"\u00a0{_GOOD}", CONTRACT),
    Case("NUL after", f"{_GOOD}\x00", CONTRACT),
    Case("lone surrogate in the raw text", _GOOD.replace("odd", "\ud800"), CONTRACT),
    Case("lone surrogate as an escape", _reasoning('"a dog \\ud800 in a hat"'), CONTRACT),
    Case(
        "lone surrogate in an observation",
        _observations('[{"about": "the dog", "n": 1, "seen": "\\udc00"}]'),
        CONTRACT,
    ),
    Case("plain refusal", "I'm sorry, I can't help with that.", CONTRACT),
    Case("single quotes", _GOOD.replace('"', "'"), CONTRACT),
    Case("trailing comma", _body(_O, _R, _N, _V + ","), CONTRACT),
    Case("missing comma", _body(f"{_O} {_R}", _N, _V), CONTRACT),
    Case("missing colon", _GOOD.replace('"verdict":', '"verdict"'), CONTRACT),
    Case("comment", _body(f"{_O} /* looks */", _R, _N, _V), CONTRACT),
    Case("unquoted key", _GOOD.replace('"verdict"', "verdict"), CONTRACT),
    Case("raw line break in a string", _reasoning('"a dog\nin a hat"'), CONTRACT),
    Case("bad escape", _reasoning('"a dog \\x in a hat"'), CONTRACT),
    Case("verdict not listed", _verdict('"maybe"'), CONTRACT),
    Case("verdict in capitals", _verdict('"YES"'), CONTRACT),
    Case("verdict with a full stop", _verdict('"yes."'), CONTRACT),
    Case("verdict with a space", _verdict('" yes"'), CONTRACT),
    Case("verdict empty", _verdict('""'), CONTRACT),
    Case("verdict null", _verdict("null"), CONTRACT),
    Case("verdict true", _verdict("true"), CONTRACT),
    Case("verdict NaN", _verdict("NaN"), CONTRACT),
    Case("verdict a list", _verdict('["yes"]'), CONTRACT),
    Case("verdict an object", _verdict('{"verdict": "yes"}'), CONTRACT),
    Case("observations empty", _observations("[]"), CONTRACT),
    Case(
        "observations blank", _observations('[{"about": " ", "n": 1, "seen": "\\u200b"}]'), CONTRACT
    ),
    Case("observations a string", _observations('"a dog in a hat"'), CONTRACT),
    Case("observations an object", _observations('{"about": "a", "n": 1, "seen": "b"}'), CONTRACT),
    Case("observations of strings", _observations('["a dog"]'), CONTRACT),
    Case("observation without seen", _observations('[{"about": "a", "n": 1}]'), CONTRACT),
    Case(
        "observation with more",
        _observations('[{"about": "a", "n": 1, "seen": "b", "verdict": "yes"}]'),
        CONTRACT,
    ),
    Case(
        "observation with a number", _observations('[{"about": "a", "n": 1, "seen": 1}]'), CONTRACT
    ),
    Case("observations NaN", _observations("NaN"), CONTRACT),
    Case("observations Infinity", _observations("-Infinity"), CONTRACT),
    Case("observations thousands of digits", _observations("9" * 5000), CONTRACT),
    Case("observations nested deeply", _observations("[" * 99_999), CONTRACT),
    Case("only brackets", "[" * 99_999, CONTRACT),
    Case("reasoning blank", _reasoning('"   "'), CONTRACT),
    Case("reasoning empty", _reasoning('""'), CONTRACT),
    Case(
        "reasoning invisible", _reasoning('"\\u200b\\u200b\\u200b\\u200b\\u200b\\u200b"'), CONTRACT
    ),
    Case("reasoning too short", _reasoning('"ok"'), CONTRACT),
    Case("reasoning null", _reasoning("null"), CONTRACT),
    Case("reasoning a list", _reasoning('["a dog in a hat"]'), CONTRACT),
    Case("ends in the reasoning", _GOOD[:80], CONTRACT),
    Case("ends before the brace", _GOOD[:-1], CONTRACT),
    Case("cut in the reasoning", _GOOD[:80], TRUNCATED, "length"),
    Case("cut before the brace", _GOOD[:-1], TRUNCATED, "length"),
    Case("cut at once", "", TRUNCATED, "length"),
    Case("cut after a verdict first", _body(_V, _O)[:-1], TRUNCATED, "length"),
    Case("whole, but at the limit", _GOOD, TRUNCATED, "length"),
    Case("cut, reason unknown", _GOOD[:80], TRUNCATED, "unknown"),
    Case("nothing, reason unknown", "", TRUNCATED, "unknown"),
    Case("whole, reason unknown", _GOOD, CONTRACT, "unknown"),
    Case("verdict first, reason unknown", _body(_V, _O, _R, _N), ORDER, "unknown"),
    Case("refused", "I can't help with that.", REFUSED, "refusal"),
    Case("refused with an object", _GOOD, REFUSED, "refusal"),
    Case("filtered", "", REFUSED, "content_filter"),
    Case("filtered halfway", _GOOD[:80], REFUSED, "content_filter"),
    Case("tool call", "", CONTRACT, "tool_call"),
    Case("tool call with an object", _GOOD, CONTRACT, "tool_call"),
)

_ALPHABET = 'abc ,.:{}[]"\\/\n\té🐶漢\u200d'


def generate(seed: int, count: int) -> Iterator[Case]:
    """Make replies at random, each broken in one way or not at all.

    Args:
        seed: Other seeds make other replies.
        count: How many.

    Yields:
        Replies and what has to become of them.
    """
    rng = random.Random(seed)
    for index in range(count):
        yield _BREAKERS[index % len(_BREAKERS)](rng, _members(rng))


def _text(rng: random.Random) -> str:
    return "so it is " + "".join(rng.choices(_ALPHABET, k=rng.randrange(60)))


def _members(rng: random.Random) -> dict[str, object]:
    count = rng.randint(1, 4)
    observations = [{"about": _text(rng), "n": n, "seen": _text(rng)} for n in range(1, count + 1)]
    relies_on = rng.sample(range(1, count + 1), rng.randint(1, count))
    values = (observations, _text(rng), relies_on, rng.choice(LABELS))
    return dict(zip(KEYS, values, strict=True))


def _written(rng: random.Random, members: list[tuple[str, object]]) -> str:
    """Write members in their order, in one of the ways in which JSON can be written."""
    colon, ascii_only = rng.choice((": ", ":", " :\n")), rng.random() < 0.5
    comma = rng.choice((", ", ",", ",\n  ", " ,\t"))
    parts = (
        json.dumps(key) + colon + json.dumps(value, ensure_ascii=ascii_only)
        for key, value in members
    )
    return "{" + comma.join(parts) + "}"


def _whole(rng: random.Random, members: dict[str, object]) -> Case:
    return Case("whole", _written(rng, list(members.items())), OK)


def _reordered(rng: random.Random, members: dict[str, object]) -> Case:
    items = list(members.items())
    while tuple(key for key, _ in items) == KEYS:
        rng.shuffle(items)
    return Case("reordered", _written(rng, items), ORDER)


def _doubled(rng: random.Random, members: dict[str, object]) -> Case:
    items = list(members.items())
    items.insert(rng.randint(0, len(items)), rng.choice(items))
    return Case("doubled", _written(rng, items), CONTRACT)


def _dropped(rng: random.Random, members: dict[str, object]) -> Case:
    del members[rng.choice(KEYS)]
    return Case("dropped", _written(rng, list(members.items())), CONTRACT)


def _added(rng: random.Random, members: dict[str, object]) -> Case:
    items = list(members.items())
    items.insert(rng.randint(0, len(items)), (rng.choice(("answer", "zest", "")), _text(rng)))
    return Case("added", _written(rng, items), CONTRACT)


def _retyped(rng: random.Random, members: dict[str, object]) -> Case:
    key = rng.choice(KEYS)
    others = (None, True, 1, 1.5, {}, "", [[]], float("nan"))
    # What it relies on may be nothing.
    members[key] = rng.choice(others if key == "relies_on" else (*others, []))
    return Case("retyped", _written(rng, list(members.items())), CONTRACT)


def _relabelled(rng: random.Random, members: dict[str, object]) -> Case:
    members["verdict"] = rng.choice(("Yes", "no ", "maybe", "yes.", "yesno", "cannot tell"))
    return Case("relabelled", _written(rng, list(members.items())), CONTRACT)


def _cut(rng: random.Random, members: dict[str, object]) -> Case:
    items = list(members.items())
    rng.shuffle(items)
    raw = _written(rng, items)
    finish: Finish = rng.choice(("stop", "length", "unknown"))
    expected = CONTRACT if finish == "stop" else TRUNCATED
    return Case("cut", raw[: rng.randrange(len(raw))], expected, finish)


def _surrounded(rng: random.Random, members: dict[str, object]) -> Case:
    raw = _written(rng, list(members.items()))
    extra = rng.choice(("x", "{}", raw, "```", "\ufeff", "\x00", "</s>", ",", "}"))
    return Case("surrounded", rng.choice((raw + extra, extra + raw)), CONTRACT)


def _declined(rng: random.Random, members: dict[str, object]) -> Case:
    raw = _written(rng, list(members.items()))
    finish: Finish = rng.choice(("refusal", "content_filter"))
    return Case("declined", raw[: rng.randint(0, len(raw))], REFUSED, finish)


_BREAKERS = (
    _whole,
    _reordered,
    _doubled,
    _dropped,
    _added,
    _retyped,
    _relabelled,
    _cut,
    _surrounded,
    _declined,
)
