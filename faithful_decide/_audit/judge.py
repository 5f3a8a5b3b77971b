"""A judge for wording that rules cannot compare, and what its mistakes do to a share.

The judge sees two descriptions of one thing, and neither the picture, the question nor a verdict.
It has to quote the words it goes by, and a quote that does not stand in the text makes its answer
unusable: a judge that argues from words nobody wrote is guessing. Everything it says is kept.

A judge errs. So in every audit it is also given pairs whose relation is known by construction: an
observation beside itself in other words, and planted opposites. What it says of conflicts raises no
flag. With its rates of error known from more such pairs, a share of contradictions that it reports
can be corrected for them (Rogan and Gladen 1978).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from faithful_decide._audit.checks.paraphrase import reworded
from faithful_decide._audit.evidence import answer_of
from faithful_decide._audit.types import JudgedRelation, Judgement
from faithful_decide._audit.wordings import WORDINGS
from faithful_decide._core import prompt
from faithful_decide._core.json_schema import object_schema
from faithful_decide._core.json_text import Broken, read_members
from faithful_decide._core.types import Observation, Question
from faithful_decide.backends.base import Purpose, Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from faithful_decide._asking.plans import Plan
    from faithful_decide._audit.evidence import Answer, Evidence

__all__ = ["corrected", "judge_plan", "judgement", "judging", "known_pairs", "wrong"]

_RELATIONS = ("same", "contradicts", "unrelated")
KNOWN = 4
"""Pairs of each kind whose relation is known."""
_MAX_TOKENS = 256
_SAME: JudgedRelation = "same"
_OPPOSED: JudgedRelation = "contradicts"
_WHETHER = Question("Can both descriptions be true?")
"""What a pair is about where no decision stands behind it."""


def known_pairs(evidence: Evidence) -> list[tuple[str, tuple[str, str], JudgedRelation]]:
    """Pairs whose relation is known by construction, each with what both are about."""
    same = [
        (old.about, (old.seen, new.seen), _SAME)
        for old, new in (pair for row in reworded(evidence) for pair in row)
        if old.seen != new.seen
    ]
    opposite = [pair for pair in WORDINGS if pair.contradicts]
    start = evidence.case.digit("opposites")
    drawn = [opposite[(start + i) % len(opposite)] for i in range(KNOWN)]
    return same[:KNOWN] + [(pair.about, (pair.first, pair.second), _OPPOSED) for pair in drawn]


def wrong(pairs: Iterable[tuple[JudgedRelation, Judgement]]) -> dict[str, tuple[int, int]]:
    """How often a judge was wrong about equal pairs and about opposites, and of how many."""
    counts: dict[str, tuple[int, int]] = {}
    for truth, said in pairs:
        missed = (said.relation == "contradicts") != (truth == "contradicts")
        k, n = counts.get(truth, (0, 0))
        counts[truth] = (k + missed, n + 1)
    return counts


def judge_plan(pairs: Mapping[tuple[str, str], str], judge: str) -> Plan[tuple[Judgement, ...]]:
    """Plan the judging of pairs of wordings, each with what both are about."""
    requests = tuple(judging(about, pair, _WHETHER) for pair, about in pairs.items())
    if not requests:
        return ()
    replies = yield requests
    return tuple(
        judgement(answer_of(request, reply), judge)
        for request, reply in zip(requests, replies, strict=True)
    )


def judging(about: str, pair: tuple[str, str], question: Question) -> Request:
    """Ask how two wordings of one thing go together."""
    text = {"type": "string"}
    properties: dict[str, Any] = {
        "quote_1": text,
        "quote_2": text,
        "relation": {"type": "string", "enum": list(_RELATIONS)},
    }
    wordings = tuple(Observation(about=about, seen=seen) for seen in pair)
    return Request(
        system=prompt.JUDGE_SYSTEM,
        images=(),
        text=prompt.judge_text(about, *pair),
        schema=object_schema(properties),
        max_tokens=_MAX_TOKENS,
        purpose=Purpose("judge", question, observations=wordings),
    )


def judgement(answer: Answer, judge: str) -> Judgement:
    """Read what a judge said; what cannot be used is kept as such."""
    first, second = answer.request.purpose.observations if answer.request.purpose else ()
    relation: JudgedRelation = "unusable"
    quotes = ("", "")
    try:
        said = {key: member.value for key, member in read_members(answer.raw).items()}
    except Broken:
        said = {}
    mine, theirs, named = (said.get(key) for key in ("quote_1", "quote_2", "relation"))
    if isinstance(mine, str) and isinstance(theirs, str) and named in _RELATIONS:
        quotes = (mine, theirs)
        if _stands_in(mine, first.seen) and _stands_in(theirs, second.seen):
            relation = cast("JudgedRelation", named)
    return Judgement(
        about=first.about,
        first=first.seen,
        second=second.seen,
        relation=relation,
        quotes=quotes,
        judge=judge,
    )


def _stands_in(quote: str, text: str) -> bool:
    return bool(quote.strip()) and quote in prompt.neutralise(text)


def corrected(share: float, *, sensitivity: float, specificity: float) -> float | None:
    """Correct a share of contradictions for how often a judge is wrong (Rogan and Gladen 1978).

    `sensitivity` is the share of true contradictions that it finds, `specificity` that of other
    pairs that it leaves alone. None for a judge that is no better than chance.
    """
    better = sensitivity + specificity - 1.0
    if better <= 0.0:
        return None
    return min(1.0, max(0.0, (share + specificity - 1.0) / better))
