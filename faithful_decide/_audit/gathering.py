"""Asks everything an audit wants to know, as one plan for the model, reader, judge and witness.

It goes in waves, each of calls that can be made together: first the decision and whatever does not
depend on it, then what the checks want to know next, until none wants more, and in the end what
only a judge can compare. What the plan leaves out is not asked, and the check says so.

A call that fails, or whose reply cannot be used, ends nothing but its own trial; only the decision
itself has to be there. A model that one reply proves nothing of is asked for every verdict in a
second step, as it is for a decision.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from faithful_decide._asking.scores import TOP
from faithful_decide._audit.checks import planned
from faithful_decide._audit.conflicts import unclear_pairs
from faithful_decide._audit.evidence import (
    DECISION,
    Answer,
    Evidence,
    answer_in_two_steps,
    answer_of,
)
from faithful_decide._audit.judge import judgement, judging, known_pairs, wrong
from faithful_decide._core import prompt, schema
from faithful_decide._core.json_schema import object_schema
from faithful_decide._core.types import Reply

if TYPE_CHECKING:
    from faithful_decide._asking.plans import Plan
    from faithful_decide._audit.case import Case
    from faithful_decide._audit.evidence import Key, Wave
    from faithful_decide._core.types import Decision
    from faithful_decide.backends.base import Request
    from faithful_decide.errors import BackendError

__all__ = ["audit_plan", "decided_before", "follow_up_plan", "rest_plan"]


def audit_plan(case: Case, given: Decision | None = None) -> Plan[Evidence]:
    """Plan the beginning of an audit: the decision, and what does not depend on it.

    A decision that cannot be used raises what it would have raised without an audit. One that was
    `given` is not asked for.
    """
    decision = case.decision()
    if case.tier != "screen" and case.capabilities.logprobs != "none":
        decision = replace(decision, top_logprobs=TOP)
    first: dict[Key, tuple[Request, ...]] = {}
    known: dict[Key, tuple[Answer, ...]] = {}
    if given is None:
        first[DECISION] = (decision,)
    else:
        known[DECISION] = (decided_before(decision, given),)
    if case.tier != "screen":
        for check in planned(case):
            first |= check.requests(case)
    return Evidence(case, known | (yield from _asked(first, case)), given=given)


def rest_plan(evidence: Evidence, judge: str = "") -> Plan[None]:
    """Plan the rest; `judge` is the name of who compares wording, if anybody does."""
    yield from follow_up_plan(evidence)
    yield from _judged_plan(evidence, judge)


def decided_before(request: Request, decision: Decision) -> Answer:
    """A decision that was made before, as the answer that it came from."""
    from faithful_decide._core.contract import parted  # noqa: PLC0415 - for some only

    receipt = decision.receipt
    reply = Reply(receipt.raw, receipt.finish, model=receipt.model)
    if receipt.second_at is None:
        return answer_of(request, reply)
    texts = parted(receipt.raw, receipt.second_at)
    if texts is None:
        return answer_of(request, reply)
    first, second = (replace(reply, text=text) for text in texts)
    return answer_in_two_steps(request, request, first, (request, second))


def follow_up_plan(evidence: Evidence) -> Plan[None]:
    """Ask what can be asked once there is a decision."""
    while True:
        case = evidence.case
        wave: dict[Key, tuple[Request, ...]] = {}
        if case.tier != "screen" and evidence.given is None and evidence.decided.second is None:
            wave |= evidence.scores_of(evidence.decided, evidence.verified.verdict_span)[1]
        for check in planned(case):
            wave |= {**check.requests(case), **check.follow_up(evidence)}
        new = {key: requests for key, requests in wave.items() if key not in evidence.answers}
        if not new:
            return
        evidence.answers |= yield from _asked(new, case)


def _asked(wave: Wave, case: Case) -> Plan[dict[Key, tuple[Answer, ...]]]:
    requests = [(key, request) for key, group in wave.items() for request in group]
    first = [_without_verdict(r) if _in_two_steps(r, case) else r for _, r in requests]
    replies = (yield tuple(first)) if first else ()
    made: list[Answer | None] = []
    second: dict[int, Request] = {}
    for at, ((_, request), asked, reply) in enumerate(zip(requests, first, replies, strict=True)):
        if asked is request or not _goes_on(reply):
            made.append(answer_of(request, reply))
            continue
        made.append(None)
        second[at] = _verdict_of(request, reply)
    if second:
        verdicts = dict(zip(second, (yield tuple(second.values())), strict=True))
        for at, verdict in verdicts.items():
            request, reply = requests[at][1], replies[at]
            made[at] = answer_in_two_steps(request, first[at], reply, (second[at], verdict))
    answers: dict[Key, tuple[Answer, ...]] = dict.fromkeys(wave, ())
    for (key, _), answer in zip(requests, made, strict=True):
        if answer is not None:
            answers[key] += (answer,)
    return answers


def _goes_on(reply: Reply | BackendError) -> bool:
    """Whether a first step came to its end, so that there is a second."""
    return isinstance(reply, Reply) and reply.finish in {"stop", "unknown"}


def _in_two_steps(request: Request, case: Case) -> bool:
    """Whether the verdict of a request is asked for in a second step."""
    able = case.capabilities
    if request.purpose is not None and request.purpose.role == "reader":
        able = case.reader if case.reader is not None else able
    keys = (request.schema or {}).get("properties", {})
    whole = "reasoning" in keys and next(reversed(keys)) == "verdict" and not request.prefix
    return whole and not able.one_reply_proves_order


def _without_verdict(request: Request) -> Request:
    keys = dict((request.schema or {})["properties"])
    del keys["verdict"]
    last = next(reversed(keys))
    until = f'Stop after "{last}": write no verdict yet.'
    text = f"{request.text}\n{until}"
    return replace(request, text=text, schema=object_schema(keys), top_logprobs=0)


def _verdict_of(request: Request, reply: Reply) -> Request:
    labels = (request.schema or {})["properties"]["verdict"]["enum"]
    said = prompt.neutralise(prompt.defused(reply.text))
    text = (
        f"{request.text}\nYour observations and your reasoning: {said}\n"
        "Write the verdict that follows from them, and nothing else."
    )
    return replace(request, text=text, schema=schema.verdict_schema(labels))


def _judged_plan(evidence: Evidence, judge: str) -> Plan[None]:
    """Have a judge compare what only a reader of words can, and see how often it is wrong."""
    pairs = unclear_pairs(evidence) if judge else {}
    if not pairs:
        return
    question = evidence.case.question
    known = known_pairs(evidence)
    asked = [(about, pair) for pair, about in pairs.items()]
    asked += [(about, pair) for about, pair, _ in known]
    requests = tuple(judging(about, pair, question) for about, pair in asked)
    replies = yield requests
    answers = tuple(map(answer_of, requests, replies))
    evidence.judge_answers = answers
    said = [judgement(answer, judge) for answer in answers]
    evidence.judgements = tuple(said[: len(pairs)])
    evidence.judge_errors = wrong(
        zip((truth for *_, truth in known), said[len(pairs) :], strict=True)
    )
