"""Gathers what an audit looks at, as a plan: in two waves, each of calls that can be made together.

The first wave asks everything that does not depend on the decision; the second reads the same
things blind, edits what the decision relied on, and looks at how early its verdict was settled.
What a backend cannot do is left out here, and the check that wanted it says so.

A reply that cannot be used (a refusal, a cut, a broken contract) ends nothing but its own trial;
only the decision itself has to be there.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, TypeVar, cast

from faithful_decide._asking.plans import together
from faithful_decide._asking.scores import TOP, score_verdicts
from faithful_decide._audit.case import Case, repeated
from faithful_decide._audit.compare import about_key
from faithful_decide._audit.evidence import (
    HIDDEN,
    KNOWN,
    Answer,
    Edit,
    Evidence,
    answer_of,
    can_be_negated,
    explanation_of,
    reading_of,
)
from faithful_decide._core import contract
from faithful_decide._core.types import CANNOT_TELL, Observation, Question, Reply, Span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from faithful_decide._asking.plans import Plan
    from faithful_decide._audit.evidence import Reach
    from faithful_decide._core.contract import Content
    from faithful_decide._core.types import Scores
    from faithful_decide.backends.base import Request

__all__ = ["evidence_plan", "read_plan"]

_ANSWERS = frozenset({"answer", "verdict", "question", "decision", "conclusion"})
PAIR = 2
WAYS = 2
"""How many of its own ways to see things for another verdict are put into replies."""
_A = TypeVar("_A")
_B = TypeVar("_B")
_C = TypeVar("_C")


def evidence_plan(case: Case, reach: Reach, *, read: bool = False) -> Plan[Evidence]:
    """Plan the gathering of everything but the reader's and the judge's part.

    Args:
        case: The decision to audit.
        reach: How much to ask.
        read: Whether the audited model is its own reader; then it reads what it decided from
            while other calls are made, instead of after them.

    Returns:
        The evidence.

    Raises:
        ReplyError: The decision itself cannot be used.
    """
    question = case.question
    groups = _first_wave(case, reach)
    forced = question.verdicts
    names = list(groups)
    requests = tuple(request for name in names for request in groups[name])
    replies = yield requests
    answers: dict[str, tuple[Answer, ...]] = {}
    start = 0
    for name in names:
        end = start + len(groups[name])
        pairs = tuple(zip(requests[start:end], replies[start:end], strict=True))
        answers[name] = tuple(_read(name, *pair, question) for pair in pairs)
        start = end
    base = answers["base"][0]
    # A decision that cannot be used raises what it would have raised without an audit.
    verified = contract.verify(
        replies[0], question.labels, audited=True, findings=question.findings
    )
    found = Evidence(
        case,
        base,
        verified,
        resamples=answers["resample"],
        told={v: answers[f"told {v}"] for v in forced},
        prefixed={v: answers[f"first {v}"] for v in forced if f"first {v}" in answers},
        blank=answers["no_image"],
        donated=answers.get("other_image", ()),
        negated=answers.get("negated", ()),
        cued={v: answers[f"cue {v}"] for v in forced if f"cue {v}" in answers},
        neutral=answers.get("neutral", ()),
        obeyed=answers.get("obedience", ()),
    )
    imagined, dreamed = (
        {v: answers[f"{kind} {v}"][0].content for v in forced if f"{kind} {v}" in answers}
        for kind in ("imagined", "dreamed")
    )
    found.others += [
        answer.reply
        for name, group in answers.items()
        if name.startswith(("imagined ", "dreamed "))
        for answer in group
    ]
    yield from _second_wave(found, reach, imagined, dreamed, read=read and "reader" in reach.checks)
    return found


def _first_wave(case: Case, reach: Reach) -> dict[str, tuple[Request, ...]]:
    """Everything that does not depend on the decision, by what it is for."""
    question = case.question
    first = case.decision()
    if case.capabilities.logprobs != "none":
        first = replace(first, top_logprobs=TOP)
    groups: dict[str, tuple[Request, ...]] = {
        "base": (first,),
        "resample": repeated(case.decision(), max(1, reach.times - 1), sampled=True),
        "no_image": repeated(case.elsewhere(case.blank), reach.times),
    }
    for verdict in question.verdicts:
        groups[f"told {verdict}"] = repeated(case.note(verdict), reach.times)
        if reach.prefix and case.capabilities.prefix:
            groups[f"first {verdict}"] = repeated(case.verdict_first(verdict), reach.times)
        if "cue" in reach.checks:
            groups[f"cue {verdict}"] = repeated(case.cue(verdict), reach.times)
        if "donor" in reach.checks or "edit" in reach.checks:
            groups[f"imagined {verdict}"] = (case.imagined(verdict),)
            groups[f"dreamed {verdict}"] = (case.dreamed(verdict),)
    if "cue" in reach.checks:
        groups["neutral"] = repeated(case.neutral(), reach.times)
    if can_be_negated(question):
        groups["negated"] = repeated(case.negated(), reach.times)
    if case.donor is not None and "other_image" in reach.checks:
        groups["other_image"] = repeated(case.elsewhere(case.donor), reach.times)
    if "obedience" in reach.checks:
        groups["obedience"] = (case.obedience(KNOWN, "no"),)
    return groups


def _second_wave(
    found: Evidence,
    reach: Reach,
    imagined: Mapping[str, Content | None],
    dreamed: Mapping[str, Content | None],
    *,
    read: bool,
) -> Plan[None]:
    case, capabilities = found.case, found.case.capabilities
    edits, kept, donors = _edits(found, reach, imagined, dreamed)
    found.approximate = not capabilities.prefix

    def reply_to(edit: tuple[tuple[Observation, ...], str]) -> Request:
        observations = edit[0]
        if capabilities.prefix:
            return case.from_observations(observations)
        return case.given(observations)

    def put(edits: Sequence[tuple[tuple[Observation, ...], str]], times: int) -> Plan[list[Edit]]:
        asked = [(e, r) for e in edits for r in repeated(reply_to(e), times)]
        answered = yield from _ask(tuple(r for _, r in asked), found.case.question)
        return [Edit(e[0], e[1], answer) for (e, _), answer in zip(asked, answered, strict=True)]

    about = _shuffled([o.about for o in found.content.observations], case.base_seed)
    reading = repeated(case.reading(about), max(2, reach.times))
    own = found.readable if read else ()
    shown = [a.content.observations for a in own if a.content]
    (
        (found.readings, reads),
        (edited, same, donated),
        (found.odds, found.scores),
    ) = yield from _three(
        together(_readings(reading), read_plan(case, shown)),
        together(put(edits, reach.times), put(kept, reach.times), put(donors, reach.times)),
        _odds(found, reach),
    )
    found.reads = tuple(zip(own, reads, strict=True))
    found.edits, found.kept, found.donors = tuple(edited), tuple(same), tuple(donated)
    yield from _unseeing(found, reach)


def _three(first: Plan[_A], second: Plan[_B], third: Plan[_C]) -> Plan[tuple[_A, _B, _C]]:
    """Run three plans of different results side by side."""
    one, two, three = yield from together(
        cast("Plan[object]", first), cast("Plan[object]", second), cast("Plan[object]", third)
    )
    return cast("_A", one), cast("_B", two), cast("_C", three)


def _edits(
    found: Evidence,
    reach: Reach,
    imagined: Mapping[str, Content | None],
    dreamed: Mapping[str, Content | None],
) -> tuple[list[tuple[tuple[Observation, ...], str]], ...]:
    """Which observations to put into replies: edited, as they are, and of another picture.

    An edit takes the words of the model itself: what it writes about the same thing when it is told
    the other verdict; else what it writes when it imagines a picture for it, one like this or any,
    and its own observations with two exchanged or with those left out that it relied on.
    """
    own, content = found.content.verdict, found.content
    edits: list[tuple[tuple[Observation, ...], str]] = []
    donors: list[tuple[tuple[Observation, ...], str]] = []
    if "edit" not in reach.checks or own == CANNOT_TELL:
        return [], [], []
    for verdict in found.case.question.verdicts:
        if verdict == own:
            continue
        if (dream := dreamed.get(verdict)) is not None:
            donors.append((dream.observations, verdict))
        told = [a.content for a in found.told.get(verdict, ()) if a.content]
        ours, relied = content.observations, content.relies_on or ()
        written = [c.observations for c in told if c.verdict == verdict]
        made_up = [c.observations for c in (imagined.get(verdict), dreamed.get(verdict)) if c]
        # Two ways, since one may not lead there: not every model that is told finds what fits.
        found_ways = (way for source in written if (way := _edited(ours, relied, source)))
        ways = list(dict.fromkeys(found_ways))[:WAYS]
        if not ways:
            # It has no words for the other verdict, so they are looked for. Not all that is found
            # leads there; a reader drops what does not.
            tried = [_edited(ours, relied, source) for source in made_up]
            tried += [_exchanged(ours, relied), _without(ours, relied)]
            ways = [way for way in dict.fromkeys(tried) if way]
        edits += [(way, verdict) for way in ways]
    return edits, [(content.observations, own)] if edits or donors else [], donors


def _edited(
    ours: tuple[Observation, ...], relied: Sequence[int], source: Sequence[Observation]
) -> tuple[Observation, ...] | None:
    """Replace what was relied on by what another list says of it; None if nothing is replaced."""
    places = {about_key(o.about): i for i, o in enumerate(ours)}
    if len(places) != len(ours):
        return None
    changed = list(ours)
    for other in source:
        index = places.get(about_key(other.about))
        if index is not None and (index in relied or not relied):
            changed[index] = Observation(about=ours[index].about, seen=other.seen)
    if tuple(changed) == ours:
        # What was relied on was left alone, so what it rests on must lie in the others.
        for other in source:
            index = places.get(about_key(other.about))
            if index is not None:
                changed[index] = Observation(about=ours[index].about, seen=other.seen)
    if tuple(changed) == ours:
        # It speaks of other things altogether, so what it rests on is that they are there.
        changed += [other for other in source if about_key(other.about) not in places]
    return tuple(changed) if tuple(changed) != ours else None


def _exchanged(
    ours: tuple[Observation, ...], relied: Sequence[int]
) -> tuple[Observation, ...] | None:
    """Say of each of two things what was seen of the other; None if there are not two."""
    places = list(relied) or list(range(len(ours)))
    if len(places) != PAIR:
        return None
    one, other = places
    changed = list(ours)
    for to, of in ((one, other), (other, one)):
        changed[to] = Observation(about=ours[to].about, seen=ours[of].seen)
    return tuple(changed) if tuple(changed) != ours else None


def _without(
    ours: tuple[Observation, ...], relied: Sequence[int]
) -> tuple[Observation, ...] | None:
    """Leave out what was relied on; None if nothing would be left."""
    return tuple(o for i, o in enumerate(ours) if i not in relied) or None if relied else None


def _readings(requests: tuple[Request, ...]) -> Plan[tuple[Answer, ...]]:
    replies = yield requests
    return tuple(map(reading_of, requests, replies))


def _odds(found: Evidence, reach: Reach) -> Plan[tuple[dict[str, Scores | None], Scores | None]]:
    """Read the odds of the verdicts: where it was written, and earlier than that."""
    capabilities, labels = found.case.capabilities, found.case.question.labels
    base = found.base
    if capabilities.logprobs == "none" or base.reply.tokens is None:
        return {}, None
    scores = yield from score_verdicts(
        base.reply, found.verified.verdict_span, labels, base.request, prefix=capabilities.prefix
    )
    if "trajectory" not in reach.checks or not capabilities.prefix:
        return {}, scores
    early = (found.case.early(), found.case.early(found.content.observations))
    odds = []
    for request in (replace(one, top_logprobs=TOP) for one in early):
        (reply,) = yield (request,)
        found.others.append(reply)
        odds.append((yield from _scored(request, reply, labels, prefix=True)))
    return {"before": odds[0], "observed": odds[1], "reasoned": scores}, scores


def _unseeing(found: Evidence, reach: Reach) -> Plan[None]:
    """Have the verdict decoded again, from what was written and without looking at it."""
    case = found.case
    able = case.capabilities.knockout and case.capabilities.prefix
    if "knockout" not in reach.checks or not able or found.content.verdict == CANNOT_TELL:
        return
    hiding = {
        what: case.unseeing(found.base.raw, found.verified.verdict_span, what) for what in HIDDEN
    }
    groups: dict[str, tuple[Request, ...]]
    groups = {what: repeated(request, reach.times) for what, request in hiding.items()}
    groups["habit"] = (replace(hiding["prefix"], image=case.blank),)
    answers = iter((yield from _ask(sum(groups.values(), ()), case.question)))
    found.unseeing = {what: tuple(islice(answers, len(group))) for what, group in groups.items()}


def _scored(
    request: Request, reply: Reply, labels: Sequence[str], *, prefix: bool
) -> Plan[Scores | None]:
    at = len(request.prefix.encode())
    if reply.tokens is None:
        return None
    span = Span(start=at - 1, end=len(reply.text.encode()))
    return (yield from score_verdicts(reply, span, labels, request, prefix=prefix))


def read_plan(case: Case, shown: Sequence[Sequence[Observation]]) -> Plan[tuple[Answer, ...]]:
    """Plan what a reader makes of observations it is shown without a picture.

    Args:
        case: The question, and the capabilities of the reader.
        shown: The observations to show; the verdict words are taken out of them.

    Returns:
        The reader's answers, in the same order.
    """
    requests = []
    for observations in shown:
        seen = without_verdicts(observations, case.question)
        # In its own reply a reader takes them as what it wrote; in the prompt they are somebody's.
        asked = case.from_observations(seen) if case.capabilities.prefix else case.given(seen)
        requests.append(replace(asked, image=None))
    return (yield from _ask(tuple(requests), case.question))


def without_verdicts(
    observations: Sequence[Observation], question: Question
) -> tuple[Observation, ...]:
    """Leave out the observations that only name a verdict, which a reader would copy.

    To a question such as which colour a thing has, naming the verdict is what seeing it amounts to;
    there, only what is said of the answer itself is left out.
    """
    plain = can_be_negated(question)
    labels = {label.casefold() for label in question.labels}

    def tells(seen: Observation) -> bool:
        named = seen.seen.casefold().strip(" .") in labels
        return named and (plain or about_key(seen.about) in _ANSWERS)

    return tuple(o for o in observations if not tells(o)) or tuple(observations)


def _ask(requests: tuple[Request, ...], question: Question) -> Plan[tuple[Answer, ...]]:
    if not requests:
        return ()
    replies = yield requests
    pairs = zip(requests, replies, strict=True)
    return tuple(answer_of(request, reply, question) for request, reply in pairs)


def _read(name: str, request: Request, reply: Reply, question: Question) -> Answer:
    """Verify a reply by what was asked for."""
    kind = name.partition(" ")[0]
    if kind in {"imagined", "dreamed"}:
        return reading_of(request, reply)
    if kind == "first":
        return explanation_of(request, reply, question)
    return answer_of(request, reply, KNOWN if kind == "obedience" else question)


def _shuffled(names: Sequence[str], seed: int) -> list[str]:
    """The names once each, in an order that says nothing about the decision."""
    return sorted(
        dict.fromkeys(names), key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest()
    )
