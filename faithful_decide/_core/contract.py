"""The reply contract: what a model is asked to write, and the proof that it did.

    {"observations": [{"about": "...", "seen": "..."}], "reasoning": "...", "verdict": "yes"}

A decoder writes left to right and never revises, so only what stands before the verdict can have
influenced it. The order of the keys is therefore part of the meaning, and JSON libraries throw it
away. A schema (`schema`) asks for the order; `verify` reads it back from the raw text, byte by
byte, and takes nothing else: one object with nothing around it, every key once, in order.

`render` is the inverse of `verify`.

Where one reply cannot prove its order (a decoder that does not write from left to right, a server
that shuffles keys), the contract is kept in two replies: observations and reasoning first, and the
verdict in a second call on top of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from faithful_decide._core.json_text import Broken, broken, read_members, shown
from faithful_decide._core.schema import AUDITED_KEYS, FORCED_KEYS, KEYS, MIN_REASONING
from faithful_decide._core.types import Observation, Reply, Span
from faithful_decide._core.visible import has_content, is_visible
from faithful_decide.errors import ContractError, OrderError, RefusedError, TruncatedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import BaseModel

__all__ = [
    "Content",
    "Verified",
    "concluded",
    "joined",
    "parted",
    "render",
    "verify",
    "verify_explanation",
    "verify_observations",
    "verify_reasons",
    "verify_verdict",
]


@dataclass(frozen=True, slots=True)
class Content:
    """What a reply says, without how it was written. The last two fields only in an audit."""

    observations: tuple[Observation, ...]
    reasoning: str
    verdict: str
    relies_on: tuple[int, ...] | None = None
    reservation: str | None = None
    findings: BaseModel | None = None


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


def render(content: Content) -> str:
    """Write the reply that says this content: JSON in one line, its keys in order."""
    body: dict[str, Any] = {
        "observations": [{"about": o.about, "seen": o.seen} for o in content.observations],
        "reasoning": content.reasoning,
    }
    if content.relies_on is not None:
        body["relies_on"] = list(content.relies_on)
        body["reservation"] = content.reservation or ""
    body["verdict"] = content.verdict
    return json.dumps(body, ensure_ascii=False)


def verify(
    reply: Reply,
    labels: Sequence[str],
    *,
    audited: bool = False,
    findings: type[BaseModel] | None = None,
) -> Verified:
    """Check a reply against the contract, from its raw text alone.

    What does not keep it is raised as the `ReplyError` that says how: refused, cut, something else
    than the one object that was asked for, or its keys in another order.
    """
    return _verified(reply, AUDITED_KEYS if audited else KEYS, labels, findings)


def verify_reasons(reply: Reply, findings: type[BaseModel] | None = None) -> Verified:
    """Check the reply of a first step: observations, then reasoning, and no verdict yet."""
    return _verified(reply, KEYS[:-1], ("",), findings)


def verify_observations(reply: Reply) -> tuple[Observation, ...]:
    """Check the reply of a reading: observations and nothing else."""
    return _verified(reply, KEYS[:1], ("",)).content.observations


def verify_explanation(reply: Reply, labels: Sequence[str]) -> Content:
    """Check a reply whose verdict was forced to stand first."""
    return _verified(reply, FORCED_KEYS, labels).content


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
    reply: Reply,
    keys: tuple[str, ...],
    labels: Sequence[str],
    findings: type[BaseModel] | None = None,
) -> Verified:
    _check_finish(reply)
    keys = keys if findings is None else ("findings", *keys)
    try:
        members = read_members(reply.text)
        _check_keys(tuple(members), keys, reply)
        values = {key: member.value for key, member in members.items()}
        content = _content(values, labels)
        if findings is not None:
            from faithful_decide._core.findings import read_findings  # noqa: PLC0415 - for some only

            content = replace(content, findings=read_findings(findings, values["findings"]))
    except Broken as error:
        if error.incomplete and reply.finish == "unknown":
            msg = f"the reply is incomplete: {error}{_remark(reply)}"
            raise TruncatedError(msg, reply=reply) from None
        msg = f"the reply breaks the contract: {error}{_remark(reply)}"
        hint = "what stands in brackets says where to look" if reply.remark else ""
        raise ContractError(msg, reply=reply, hint=hint) from None
    if reply.finish == "unknown":
        msg = f"it is not known why the reply ended, so it may be cut off{_remark(reply)}"
        hint = "use a server that reports a finish reason of those that are common"
        raise ContractError(msg, reply=reply, hint=hint)
    end = len(reply.text.encode())
    nowhere = Span(start=end, end=end)
    reasoning, verdict = (
        members[key].span if key in members else nowhere for key in ("reasoning", "verdict")
    )
    return Verified(content, reasoning, verdict, values.get("findings"))


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


def _content(values: dict[str, Any], labels: Sequence[str]) -> Content:
    """Check the values that there are; the keys were checked before."""
    observations = _observations(values["observations"]) if "observations" in values else ()
    reasoning = _reasoning(values["reasoning"]) if "reasoning" in values else ""
    verdict = _string(values["verdict"], "the verdict") if "verdict" in values else ""
    if verdict not in labels:
        broken(f"{shown(verdict)} is not one of the verdicts")
    if "relies_on" not in values:
        return Content(observations, reasoning, verdict)
    return Content(
        observations,
        reasoning,
        verdict,
        _indices(values["relies_on"], len(observations)),
        _string(values["reservation"], "the reservation"),
    )


def _reasoning(value: object) -> str:
    reasoning = _string(value, "the reasoning")
    visible = sum(1 for _ in islice(filter(is_visible, reasoning), MIN_REASONING))
    if visible < MIN_REASONING or not has_content(reasoning):
        broken(f"the reasoning is blank or too short: {shown(reasoning)}")
    return reasoning


def _observations(value: object) -> tuple[Observation, ...]:
    if not isinstance(value, list):
        broken("the observations are not a list")
    observations = tuple(_observation(item) for item in value)
    if not any(has_content(o.about) and has_content(o.seen) for o in observations):
        broken("there is no observation")
    return observations


def _observation(item: object) -> Observation:
    # Inside an observation the order proves nothing, so only the set of keys is checked.
    if not isinstance(item, dict) or item.keys() != {"about", "seen"}:
        broken(f'an observation has "about" and "seen", not {shown(item)}')
    about, seen = (_string(item[key], f"an observation's {key!r}") for key in ("about", "seen"))
    return Observation(about=about, seen=seen)


def _indices(value: object, count: int) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(index) is int for index in value):
        broken("relies_on is not a list of integers")
    if len(set(value)) != len(value) or not all(0 <= index < count for index in value):
        broken(f"relies_on names observations that do not exist, or one twice: {shown(value)}")
    return tuple(value)


def _string(value: object, what: str) -> str:
    if not isinstance(value, str):
        broken(f"{what} is not a string")
    try:
        value.encode()
    except UnicodeEncodeError:
        broken(f"{what} contains a lone surrogate")
    return value
