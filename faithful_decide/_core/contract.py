"""The reply contract: what a model is asked to write, and the proof that it did.

    {"observations": [{"about": "...", "n": 1, "seen": "..."}],
     "reasoning": "...", "relies_on": [1], "verdict": "yes"}

Each observation has its number, written by the model, so that `relies_on` refers to what stands
there and nobody counts from 0; where a question asks for it, also its place `at` in the image, and
the number of the `image` among several.

A decoder writes left to right and never revises, so only what stands before the verdict can have
influenced it. The order of the keys is therefore part of the meaning, and JSON libraries throw it
away. A schema (`schema`) asks for the order; `verify` reads it back from the raw text, byte by
byte, and takes nothing else: one object with nothing around it, every key once, in order.

`render` is the inverse of `verify`. Nothing is guessed: a number that names no observation or no
image, or a place outside the picture, breaks the contract.

Where one reply cannot prove its order (a decoder that does not write from left to right, a server
that shuffles keys), the contract is kept in two replies: observations and reasoning first, and the
verdict in a second call on top of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from faithful_decide._core.json_text import Broken, Member, broken, read_members, shown
from faithful_decide._core.schema import (
    EDGES,
    FORCED_KEYS,
    KEYS,
    LEVELS,
    MIN_REASONING,
    VALUES,
)
from faithful_decide._core.types import Observation, Region, Reply, Reservation, Span
from faithful_decide._core.visible import has_content, is_visible
from faithful_decide.errors import ContractError, OrderError, RefusedError, TruncatedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Unpack

    from pydantic import BaseModel

    from faithful_decide._core.schema import Shape

__all__ = [
    "Claim",
    "Content",
    "Verified",
    "concluded",
    "joined",
    "numbered",
    "parted",
    "render",
    "verify",
    "verify_claims",
    "verify_explanation",
    "verify_observations",
    "verify_reasons",
    "verify_verdict",
    "written",
]


@dataclass(frozen=True, slots=True)
class Content:
    """What a reply says, without how it was written.

    `relies_on` are numbers of observations. A `reservation` is there only if it was asked for.
    """

    observations: tuple[Observation, ...]
    reasoning: str
    verdict: str
    relies_on: tuple[int, ...] = ()
    reservation: Reservation | None = None
    findings: BaseModel | None = None

    @property
    def evidence(self) -> tuple[Observation, ...]:
        """The observations that the reasoning says it rests on."""
        return tuple(self.observations[n - 1] for n in self.relies_on)


@dataclass(frozen=True, slots=True)
class Verified:
    """A reply that kept the contract, and where its parts stand in the raw text.

    What a reply of this kind does not have stands nowhere: its span is empty, at the end.
    """

    content: Content
    reasoning_span: Span
    verdict_span: Span
    findings: Mapping[str, Any] | None = None
    """The findings as they were written, where findings were asked for."""


def render(content: Content, images: int = 1) -> str:
    """Write the reply that says this content: JSON in one line, its keys in order."""
    body: dict[str, Any] = {}
    if content.findings is not None:
        from faithful_decide._core.findings import written_findings  # noqa: PLC0415 - for some only

        body["findings"] = written_findings(content.findings)
    body["observations"] = written(content.observations, images)
    body["reasoning"] = content.reasoning
    body["relies_on"] = list(content.relies_on)
    if content.reservation is not None:
        body["reservation"] = content.reservation.model_dump()
    body["verdict"] = content.verdict
    return json.dumps(body, ensure_ascii=False)


def written(observations: Iterable[Observation], images: int = 1) -> list[dict[str, Any]]:
    """Observations as a reply has them: their keys in order, and none that was not asked for."""
    return [
        {"about": o.about}
        | ({} if o.at is None else {"at": {edge: getattr(o.at, edge) for edge in EDGES}})
        | ({"image": o.image} if images > 1 else {})
        | {"n": o.n, "seen": o.seen}
        for o in observations
    ]


def numbered(observations: Iterable[Observation]) -> tuple[Observation, ...]:
    """The observations with numbers from 1, where some were left out or put in."""
    return tuple(o.model_copy(update={"n": n}) for n, o in enumerate(observations, 1))


def verify(
    reply: Reply,
    labels: Sequence[str],
    *,
    reservation: bool = False,
    **shape: Unpack[Shape],
) -> Verified:
    """Check a reply against the contract, from its raw text alone.

    What does not keep it is raised as the `ReplyError` that says how: refused, cut, something else
    than the one object that was asked for, or its keys in another order.
    """
    keys = (*KEYS[:-1], "reservation", KEYS[-1]) if reservation else KEYS
    return _verified(reply, keys, labels, **shape)


def verify_reasons(reply: Reply, **shape: Unpack[Shape]) -> Verified:
    """Check the reply of a first step: everything but the verdict."""
    return _verified(reply, KEYS[:-1], ("",), **shape)


def verify_observations(
    reply: Reply, *, regions: bool = False, images: int = 1
) -> tuple[Observation, ...]:
    """Check the reply of a reading: observations and nothing else."""
    keys = KEYS[:1]
    return _verified(reply, keys, ("",), regions=regions, images=images).content.observations


def verify_explanation(
    reply: Reply, labels: Sequence[str], *, regions: bool = False, images: int = 1
) -> Content:
    """Check a reply whose verdict was forced to stand first."""
    return _verified(reply, FORCED_KEYS, labels, regions=regions, images=images).content


class Claim(NamedTuple):
    """What is said of a statement: what the picture shows of it, and whether it is true."""

    seen: str
    value: str


def verify_claims(reply: Reply, count: int) -> tuple[Claim, ...]:
    """Check the reply to so many statements: what is said of each, in their order."""
    members = _members(reply, ("claims",))
    try:
        return _claims(members["claims"].value, count)
    except Broken as error:
        raise _unkept(error, reply) from None


def verify_verdict(reply: Reply, labels: Sequence[str]) -> tuple[str, Span]:
    """Check the reply of a second step: a verdict and nothing else, and say where it stands."""
    verified = _verified(reply, KEYS[-1:], labels)
    return verified.content.verdict, verified.verdict_span


JOINT = "\n"
"""Stands between the two replies of a decision that took two steps."""


def joined(reasons: str, verdict: str) -> str:
    """Put the two replies of a decision into one raw text."""
    return f"{reasons}{JOINT}{verdict}"


def parted(raw: str, second_at: int) -> tuple[str, str] | None:
    """Take a raw text of two replies apart; None if it is not joined at that byte."""
    data = raw.encode()
    first, joint, second = data[: second_at - 1], data[second_at - 1 : second_at], data[second_at:]
    return (first.decode(), second.decode()) if joint == JOINT.encode() else None


def concluded(reasons: Verified, verdict: str, span: Span, at: int) -> Verified:
    """Add the verdict of a second step, whose reply begins at byte `at`, to verified reasons."""
    return replace(
        reasons,
        content=replace(reasons.content, verdict=verdict),
        verdict_span=Span(start=at + span.start, end=at + span.end),
    )


def _verified(
    reply: Reply, keys: tuple[str, ...], labels: Sequence[str], **shape: Unpack[Shape]
) -> Verified:
    findings = shape.get("findings")
    keys = keys if findings is None else ("findings", *keys)
    members = _members(reply, keys)
    values = {key: member.value for key, member in members.items()}
    try:
        content = _content(values, labels, shape)
        if findings is not None:
            from faithful_decide._core.findings import read_findings  # noqa: PLC0415 - for some only

            content = replace(content, findings=read_findings(findings, values["findings"]))
    except Broken as error:
        raise _unkept(error, reply) from None
    end = len(reply.text.encode())
    nowhere = Span(start=end, end=end)
    reasoning, verdict = (
        members[key].span if key in members else nowhere for key in ("reasoning", "verdict")
    )
    return Verified(content, reasoning, verdict, values.get("findings"))


def _members(reply: Reply, keys: tuple[str, ...]) -> dict[str, Member]:
    """The members of a reply that came to its end and has these keys in this order."""
    _check_finish(reply)
    try:
        members = read_members(reply.text)
        _check_keys(tuple(members), keys, reply)
    except Broken as error:
        if error.incomplete and reply.finish == "unknown":
            msg = f"the reply is incomplete: {error}{_remark(reply)}"
            raise TruncatedError(msg, reply=reply) from None
        raise _unkept(error, reply) from None
    if reply.finish == "unknown":
        msg = f"it is not known why the reply ended, so it may be cut off{_remark(reply)}"
        hint = "use a server that reports a usual finish reason, such as stop or length"
        raise ContractError(msg, reply=reply, hint=hint)
    return members


def _unkept(error: Broken, reply: Reply) -> ContractError:
    msg = f"the reply breaks the contract: {error}{_remark(reply)}"
    hint = "the note in brackets says where to look" if reply.remark else error.hint
    return ContractError(msg, reply=reply, hint=hint)


def _check_finish(reply: Reply) -> None:
    match reply.finish:
        case "length":
            msg = f"the reply was cut off at the token limit{_remark(reply)}"
            raise TruncatedError(msg, reply=reply)
        case "refusal" | "content_filter":
            what = "the model" if reply.finish == "refusal" else "a content filter"
            msg = f"{what} declined to reply{_remark(reply)}"
            raise RefusedError(msg, reply=reply)
        case "tool_call":
            msg = f"the model called a tool instead of replying{_remark(reply)}"
            raise ContractError(msg, reply=reply)
        case "stop" | "unknown":
            return


def _remark(reply: Reply) -> str:
    """What the backend has to say about it, where it has."""
    return f" ({reply.remark})" if reply.remark else ""


def _check_keys(keys: tuple[str, ...], expected: tuple[str, ...], reply: Reply) -> None:
    if keys == expected:
        return
    if sorted(keys) == sorted(expected):
        msg = f"the keys were written in the order {', '.join(keys)}"
        raise OrderError(msg, reply=reply)
    if missing := [key for key in expected if key not in keys]:
        broken(f"it lacks {', '.join(map(repr, missing))}")
    broken(f"it adds {', '.join(shown(key) for key in keys if key not in expected)}")


def _content(values: dict[str, Any], labels: Sequence[str], shape: Shape) -> Content:
    """Check the values that there are; the keys were checked before."""
    observations: tuple[Observation, ...] = ()
    if "observations" in values:
        observations = _observations(values["observations"], shape)
    reasoning = _reasoning(values["reasoning"]) if "reasoning" in values else ""
    verdict = _string(values["verdict"], "the verdict") if "verdict" in values else ""
    if verdict not in labels:
        broken(f"{shown(verdict)} is not one of the verdicts")
    relies_on: tuple[int, ...] = ()
    if "relies_on" in values:
        relies_on = _numbers(values["relies_on"], len(observations))
    reservation = _reservation(values["reservation"]) if "reservation" in values else None
    return Content(observations, reasoning, verdict, relies_on, reservation)


def _reasoning(value: object) -> str:
    reasoning = _string(value, "the reasoning")
    visible = sum(1 for _ in islice(filter(is_visible, reasoning), MIN_REASONING))
    if visible < MIN_REASONING or not has_content(reasoning):
        broken(f"the reasoning is blank or too short: {shown(reasoning)}")
    return reasoning


def _observations(value: object, shape: Shape) -> tuple[Observation, ...]:
    if not isinstance(value, list):
        broken("the observations are not a list")
    observations = tuple(_observation(n, item, shape) for n, item in enumerate(value, 1))
    if not any(has_content(o.about) and has_content(o.seen) for o in observations):
        broken("there is no observation")
    return observations


def _observation(n: int, item: object, shape: Shape) -> Observation:
    # Inside an observation the order proves nothing, so only the set of keys is checked.
    regions, images = shape.get("regions", False), shape.get("images", 1)
    asked = {"about", "n", "seen"} | ({"at"} if regions else set())
    asked |= {"image"} if images > 1 else set()
    if not isinstance(item, dict) or item.keys() != asked:
        keys = ", ".join(f'"{key}"' for key in sorted(asked))
        broken(f"an observation has {keys}, not {shown(item)}")
    about, seen = (_string(item[key], f"an observation's {key!r}") for key in ("about", "seen"))
    if type(item["n"]) is not int or item["n"] != n:
        broken(f"observation {n} has the number {shown(item['n'])}")
    image = item.get("image", 1)
    if type(image) is not int or not 1 <= image <= images:
        broken(f"observation {n} is about image {shown(image)}, and there are {images}")
    at = _region(item["at"], n) if regions else None
    return Observation(about=about, at=at, image=image, n=n, seen=seen)


_NO_GRAMMAR = "no grammar keeps a model from this; ask again with retries=, or a larger model"


def _region(value: object, n: int) -> Region:
    if not isinstance(value, dict) or value.keys() != set(EDGES):
        broken(f"observation {n} has no place with four edges, but {shown(value)}")
    if not all(type(edge) is int and 0 <= edge <= 100 for edge in value.values()):  # noqa: PLR2004 - percent
        broken(f"observation {n} is not in the picture: {shown(value)}")
    if value["left"] >= value["right"] or value["top"] >= value["bottom"]:
        what = f"observation {n} has a place whose edges are the wrong way round: {shown(value)}"
        broken(what, hint=_NO_GRAMMAR)
    return Region(**value)


def _numbers(value: object, count: int) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(number) is int for number in value):
        broken("relies_on is not a list of integers")
    if len(set(value)) != len(value) or not all(1 <= number <= count for number in value):
        what = f"relies_on names observations that do not exist, or one twice: {shown(value)}"
        broken(what, hint=_NO_GRAMMAR)
    return tuple(value)


def _reservation(value: object) -> Reservation:
    if not isinstance(value, dict) or value.keys() != {"level", "why"}:
        broken(f'a reservation has "level" and "why", not {shown(value)}')
    if value["level"] not in LEVELS:
        broken(f"the level of the reservation is {shown(value['level'])}")
    return Reservation(level=value["level"], why=_string(value["why"], "the reservation"))


def _claims(value: object, count: int) -> tuple[Claim, ...]:
    if not isinstance(value, list) or len(value) != count:
        broken(f"it does not have {count} claims")
    for n, item in enumerate(value, 1):
        if not isinstance(item, dict) or item.keys() != {"n", "seen", "value"}:
            broken(f'a claim has "n", "seen" and "value", not {shown(item)}')
        if type(item["n"]) is not int or item["n"] != n:
            broken(f"claim {n} has the number {shown(item['n'])}")
        if not isinstance(item["value"], str) or item["value"] not in VALUES:
            broken(f"claim {n} is said to be {shown(item['value'])}")
    what = "what is seen of a claim"
    return tuple(Claim(_string(item["seen"], what), item["value"]) for item in value)


def _string(value: object, what: str) -> str:
    if not isinstance(value, str):
        broken(f"{what} is not a string")
    try:
        value.encode()
    except UnicodeEncodeError:
        broken(f"{what} contains a lone surrogate")
    return value
