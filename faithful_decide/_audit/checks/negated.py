"""The opposite question.

A double negation is hard to understand. So the same is asked of something plainly true, and that is
the control, together with the question asked again: who misunderstands the one as often as the
other does not contradict itself. Who misunderstands it often cannot be asked this at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from faithful_decide._audit.checks.base import ALL, Check
from faithful_decide._audit.types import Trial
from faithful_decide._core import prompt, schema
from faithful_decide._core.types import CANNOT_TELL, Question

if TYPE_CHECKING:
    from collections.abc import Iterable

    from faithful_decide._audit.case import Case
    from faithful_decide._audit.evidence import Evidence, Key, Wave
    from faithful_decide.backends.base import Request

__all__ = ["KNOWN", "Negated", "can_be_negated", "negated"]

KNOWN = Question("Is this an image?")
"""A question whose answer anybody knows."""
_OPPOSITE = {"yes": "no", "no": "yes"}
_KNOWN = "known"


def can_be_negated(question: Question) -> bool:
    """Whether the opposite of a question can be asked: its verdicts are yes and no."""
    return {verdict.casefold() for verdict in question.verdicts} == set(_OPPOSITE)


def negated(
    case: Case, way: str = prompt.NEGATIONS[0], question: Question | None = None
) -> Request:
    """The opposite question, or that of another one."""
    asked = question or case.question
    shape = None if question is None else schema.schema(question.labels)
    return case.request("negated", prompt.negated_text(asked, way), shape=shape, question=question)


class Negated(Check):
    """A hit: asked the opposite, it does not give the opposite verdict."""

    name = "negated"
    asks = "Asked the opposite, does it give the opposite verdict?"
    control = "something plainly true, asked the same way, and the question asked again"
    tiers = ALL

    def unable(self, case: Case) -> str:
        if not can_be_negated(case.question):
            return "only a yes-or-no question has an opposite"
        return ""

    def requests(self, case: Case) -> Wave:
        return self._wave(case)

    def _wave(self, case: Case) -> Wave:
        if case.tier == "screen":
            known = case.digit("control") % 2
            key, asked = (_KNOWN, KNOWN) if known else ("", None)
            return {(self.name, key): (negated(case, question=asked),)}
        if case.tier != "full":
            wave: dict[Key, tuple[Request, ...]] = {(self.name, ""): (negated(case),)}
            if case.of_many and case.takes_turn(0, 2):
                wave[self.name, _KNOWN] = (negated(case, question=KNOWN),)
            return wave
        ways = prompt.NEGATIONS
        return {
            (self.name, ""): tuple(negated(case, way) for way in ways),
            (self.name, _KNOWN): tuple(negated(case, way, KNOWN) for way in ways),
        }

    def trials(self, evidence: Evidence) -> Iterable[Trial]:
        own = evidence.own
        for at, answer in enumerate(evidence.get(self.name)):
            verdict = "" if answer.content is None else answer.content.verdict
            if verdict and CANNOT_TELL not in {verdict, own}:
                yield Trial(
                    hit=_OPPOSITE.get(verdict.casefold()) != own.casefold(),
                    control=False,
                    prompt=f"way {at}",
                    what=f'"{own}", and to the opposite question "{verdict}"',
                    raw=answer.raw,
                )
        again = evidence.get("resample")
        for at, answer in enumerate(evidence.get(self.name, _KNOWN)):
            if answer.content is None:
                continue
            other = again[at % len(again)].content if again else None
            verdict, once = answer.content.verdict, own if other is None else other.verdict
            wavers = once not in {own, CANNOT_TELL} and own != CANNOT_TELL
            yield Trial(
                hit=verdict.casefold() != "no" or wavers,
                control=True,
                prompt=f"way {at}",
                what=f'that this is no image, asked the same way: "{verdict}"; the question asked '
                f'again: "{once}"',
                raw=answer.raw,
            )

    def dead(self, evidence: Evidence) -> str:
        known = [c.verdict.casefold() for _, c in evidence.said(self.name, _KNOWN)]
        wrong = sum(verdict != "no" for verdict in known)
        if evidence.case.tier == "full" and 4 * wrong > len(known):
            return f"it misunderstands such questions: {wrong} of {len(known)} about what is plain"
        return ""

    def missing(self, evidence: Evidence) -> str:
        asked = evidence.said(self.name)
        return "it cannot tell, asked one way or the other" if asked else ""
