"""Somebody who sees only the observations, and not the picture."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from faithful_decide._audit.checks.base import Check
from faithful_decide._audit.checks.negated import can_be_negated
from faithful_decide._audit.compare import about_key
from faithful_decide._audit.evidence import decided_on
from faithful_decide._audit.types import Trial

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from faithful_decide._audit.case import Case
    from faithful_decide._audit.compare import Comparer
    from faithful_decide._audit.evidence import Evidence, Key, Wave
    from faithful_decide._core.types import Observation, Question
    from faithful_decide.backends.base import Request

__all__ = ["Reader", "read", "verdict_read"]

_ANSWERS = frozenset({"answer", "verdict", "question", "decision", "conclusion"})


def read(case: Case, observations: Sequence[Observation]) -> Wave:
    """Have a reader decide from observations; the words for verdicts are taken out of them.

    In its own reply a reader takes them as what it wrote; in the prompt they are somebody's.
    """
    able = case.reader or case.capabilities
    seen = without_verdicts(observations, case.question)
    request = replace(case.put_in("reader", seen, "", able), images=())
    return {(Reader.name, tuple(observations)): (request,)}


def verdict_read(evidence: Evidence, observations: Sequence[Observation]) -> str | None:
    """What a reader made of observations; "" if nothing, None if it was not asked."""
    if not evidence.get(Reader.name, tuple(observations)):
        return None
    said = evidence.said(Reader.name, tuple(observations))
    return said[0][1].verdict if said else ""


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


class Reader(Check):
    """A hit: whoever reads its observations alone comes to another verdict."""

    name = "reader"
    asks = "Does somebody who sees only the observations come to the same verdict?"
    control = "none"
    of_conclusion = True

    def follow_up(self, evidence: Evidence) -> Wave:
        wave: dict[Key, tuple[Request, ...]] = {}
        for _, content in decided_on(evidence.free):
            wave |= read(evidence.case, content.observations)
        return wave

    def trials(self, evidence: Evidence, comparer: Comparer) -> Iterable[Trial]:
        del comparer
        for _, content in decided_on(evidence.free):
            for answer, made in evidence.said(self.name, content.observations):
                yield Trial(
                    hit=made.verdict != content.verdict,
                    control=False,
                    what=f'decided "{content.verdict}"; '
                    f'from the observations alone: "{made.verdict}"',
                    raw=answer.raw,
                )

    def missing(self, evidence: Evidence) -> str:
        if not decided_on(evidence.free):
            return "the verdict is cannot_tell, which nobody can read from observations"
        return ""
