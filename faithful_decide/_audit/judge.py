"""A judge for wording that rules cannot compare, and what its mistakes do to a share.

The judge sees two descriptions of one thing, and neither the picture, the question nor a verdict.
It has to quote the words it goes by, and a quote that does not stand in the text makes its answer
unusable: a judge that argues from words nobody wrote is guessing. Everything it says is kept.

A judge errs. With its rates of error known from pairs whose truth is known, the share of
contradictions it reports is corrected for them (Rogan and Gladen 1978).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from faithful_decide._audit.types import JudgedRelation, Judgement
from faithful_decide._core import prompt
from faithful_decide._core.json_schema import object_schema
from faithful_decide._core.json_text import Broken, read_members
from faithful_decide.backends.base import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from faithful_decide._asking.plans import Plan
    from faithful_decide.backends.base import Reply

__all__ = ["corrected", "judge_plan"]

_RELATIONS = ("same", "contradicts", "unrelated")
_MAX_TOKENS = 256


def judge_plan(pairs: Mapping[tuple[str, str], str], judge: str) -> Plan[tuple[Judgement, ...]]:
    """Plan the judging of pairs of wordings.

    Args:
        pairs: Two wordings, and what both are about.
        judge: The name of the judge, for the record.

    Returns:
        A judgement for each pair.
    """
    asked = list(pairs.items())
    if not asked:
        return ()
    replies = yield tuple(_request(about, *pair) for pair, about in asked)
    return tuple(
        _judgement(about, pair, reply, judge)
        for (pair, about), reply in zip(asked, replies, strict=True)
    )


def _request(about: str, first: str, second: str) -> Request:
    text = {"type": "string"}
    properties: dict[str, Any] = {
        "quote_1": text,
        "quote_2": text,
        "relation": {"type": "string", "enum": list(_RELATIONS)},
    }
    return Request(
        system=prompt.JUDGE_SYSTEM,
        image=None,
        text=prompt.judge_text(about, first, second),
        schema=object_schema(properties),
        max_tokens=_MAX_TOKENS,
    )


def _judgement(about: str, pair: tuple[str, str], reply: Reply, judge: str) -> Judgement:
    first, second = pair
    relation: JudgedRelation = "unusable"
    quotes = ("", "")
    try:
        said = {key: member.value for key, member in read_members(reply.text).items()}
    except Broken:
        said = {}
    mine, theirs, found = (said.get(key) for key in ("quote_1", "quote_2", "relation"))
    if isinstance(mine, str) and isinstance(theirs, str) and found in _RELATIONS:
        quotes = (mine, theirs)
        if _stands_in(mine, first) and _stands_in(theirs, second):
            relation = cast("JudgedRelation", found)
    return Judgement(
        about=about, first=first, second=second, relation=relation, quotes=quotes, judge=judge
    )


def _stands_in(quote: str, text: str) -> bool:
    return bool(quote.strip()) and quote in prompt.neutralise(text)


def corrected(share: float, *, sensitivity: float, specificity: float) -> float | None:
    """Correct a share that a judge reported for how often it is wrong.

    Args:
        share: The share of pairs that it called contradictions.
        sensitivity: The share of true contradictions that it finds.
        specificity: The share of other pairs that it leaves alone.

    Returns:
        The corrected share, from 0 to 1; None for a judge that is no better than chance.
    """
    better = sensitivity + specificity - 1.0
    if better <= 0.0:
        return None
    return min(1.0, max(0.0, (share + specificity - 1.0) / better))
