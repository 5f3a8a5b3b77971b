"""The opposite question."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faithful_decide._audit.case import repeated
from faithful_decide._audit.checks.base import ALL, Check
from faithful_decide._audit.types import Trial
from faithful_decide._core import prompt
from faithful_decide._core.types import CANNOT_TELL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from faithful_decide._audit.case import Case
    from faithful_decide._audit.compare import Comparer
    from faithful_decide._audit.evidence import Evidence, Wave
    from faithful_decide._core.types import Question
    from faithful_decide.backends.base import Request

__all__ = ["Negated", "can_be_negated", "negated"]

_OPPOSITE = {"yes": "no", "no": "yes"}


def can_be_negated(question: Question) -> bool:
    """Whether the opposite of a question can be asked: its verdicts are yes and no."""
    return {verdict.casefold() for verdict in question.verdicts} == set(_OPPOSITE)


def negated(case: Case) -> Request:
    """The opposite question."""
    return case.request("negated", prompt.negated_text(case.question))


class Negated(Check):
    """A hit: asked the opposite, it does not give the opposite verdict."""

    name = "negated"
    asks = "Asked the opposite, does it give the opposite verdict?"
    control = "the same question again"
    tiers = ALL

    def unable(self, case: Case) -> str:
        able = can_be_negated(case.question)
        return "" if able else "only a yes-or-no question has an opposite"

    def requests(self, case: Case) -> Wave:
        return {(self.name, ""): repeated(negated(case), case.times)}

    def trials(self, evidence: Evidence, comparer: Comparer) -> Iterable[Trial]:
        del comparer
        free, own = evidence.free, evidence.own
        for index, (answer, content) in enumerate(evidence.said(self.name)):
            verdict = free[index % len(free)][1].verdict
            if CANNOT_TELL in {verdict, content.verdict}:
                continue
            yield Trial(
                hit=_OPPOSITE.get(content.verdict.casefold()) != verdict.casefold(),
                control=False,
                what=f'"{verdict}", and to the opposite question "{content.verdict}"',
                raw=answer.raw,
            )
        for answer, content in evidence.said("resample"):
            declined = CANNOT_TELL in {content.verdict, own}
            yield Trial(
                hit=not declined and content.verdict != own,
                control=True,
                what=f"asked the same again: {content.verdict}",
                raw=answer.raw,
            )

    def missing(self, evidence: Evidence) -> str:
        asked = evidence.said(self.name)
        return "it cannot tell, asked one way or the other" if asked else ""
