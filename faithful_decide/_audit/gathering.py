"""Asks everything an audit wants to know, as one plan for the model, the reader and the judge.

It goes in waves, each of calls that can be made together: first the decision and whatever does not
depend on it, then what the checks want to know next, until none wants more, and in the end what
only a judge can compare. What the plan leaves out is not asked, and the check says so.

A call that fails, or whose reply cannot be used, ends nothing but its own trial; only the decision
itself has to be there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from faithful_decide._asking.scores import TOP
from faithful_decide._audit.checks import planned, run_checks
from faithful_decide._audit.checks.blind import neutral_reading
from faithful_decide._audit.checks.forced import conflicts, explanations
from faithful_decide._audit.compare import Comparer
from faithful_decide._audit.evidence import DECISION, Answer, Evidence, answer_of
from faithful_decide._audit.judge import judgement, judging

if TYPE_CHECKING:
    from collections.abc import Iterable

    from faithful_decide._asking.plans import Plan
    from faithful_decide._audit.case import Case
    from faithful_decide._audit.evidence import Key, Wave
    from faithful_decide._audit.types import Judgement
    from faithful_decide.backends.base import Request

__all__ = ["audit_plan", "comparer_of", "follow_up_plan"]


def audit_plan(case: Case, judge: str = "") -> Plan[Evidence]:
    """Plan an audit; `judge` is the name of who compares wording, if anybody does.

    A decision that cannot be used raises what it would have raised without an audit.
    """
    decision = case.decision()
    first: dict[Key, tuple[Request, ...]] = {DECISION: (decision,)}
    if case.tier != "screen":
        if case.capabilities.logprobs != "none":
            first[DECISION] = (replace(decision, top_logprobs=TOP),)
        for check in planned(case):
            first |= check.requests(case)
    evidence = Evidence(case, (yield from _asked(first)))
    yield from follow_up_plan(evidence)
    if judge:
        yield from _judged(evidence, judge)
    return evidence


def follow_up_plan(evidence: Evidence) -> Plan[None]:
    """Ask what can be asked once there is a decision."""
    case = evidence.case
    while True:
        wave: dict[Key, tuple[Request, ...]] = {}
        if case.tier != "screen":
            wave |= evidence.scores_of(evidence.decided, evidence.verified.verdict_span)[1]
        for check in planned(case):
            wave |= check.requests(case)
            wave |= check.follow_up(evidence)
        new = {key: requests for key, requests in wave.items() if key not in evidence.answers}
        if not new:
            return
        evidence.answers |= yield from _asked(new)


def _asked(wave: Wave) -> Plan[dict[Key, tuple[Answer, ...]]]:
    requests = [(key, request) for key, group in wave.items() for request in group]
    replies = yield tuple(request for _, request in requests)
    answers: dict[Key, tuple[Answer, ...]] = dict.fromkeys(wave, ())
    for (key, request), reply in zip(requests, replies, strict=True):
        answers[key] += (answer_of(request, reply),)
    return answers


def _judged(evidence: Evidence, judge: str) -> Plan[None]:
    pairs = _unclear_pairs(evidence)
    requests = tuple(judging(about, pair, evidence.case.question) for pair, about in pairs.items())
    if not requests:
        return
    replies = yield requests
    answers = tuple(map(answer_of, requests, replies))
    evidence.judge_answers = answers
    evidence.judgements = tuple(judgement(answer, judge) for answer in answers)


def comparer_of(judgements: Iterable[Judgement]) -> Comparer:
    """A comparer that knows what a judge has said."""
    return Comparer({(j.first, j.second): j.relation for j in judgements})


def _unclear_pairs(evidence: Evidence) -> dict[tuple[str, str], str]:
    """The wordings that only a judge can compare, each with what both are about."""
    comparer = comparer_of(())
    run_checks(evidence, comparer)
    list(explanations(evidence, comparer))
    list(conflicts(evidence, neutral_reading(evidence), comparer))
    return comparer.unclear
