"""Somebody who sees only the observations, and not the picture.

A hit is that the reader concludes otherwise than the model did. That it cannot tell is no
conclusion, and no trial. The control is the reader's own noise: the same list in another order,
or a full stop more behind its only observation.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from faithful_decide._audit.checks.base import Check
from faithful_decide._audit.checks.negated import can_be_negated
from faithful_decide._audit.checks.paraphrase import other_form
from faithful_decide._audit.compare import about_key
from faithful_decide._audit.evidence import decided_on
from faithful_decide._audit.types import Trial
from faithful_decide._core import prompt
from faithful_decide._core.contract import numbered
from faithful_decide._core.types import CANNOT_TELL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from faithful_decide._audit.case import Case
    from faithful_decide._audit.evidence import Answer, Evidence, Key, Wave
    from faithful_decide._core.types import Observation, Question
    from faithful_decide.backends.base import Request

__all__ = ["Reader", "concludes", "read"]

_ANSWERS = frozenset({"answer", "verdict", "question", "decision", "conclusion"})
_QUESTION = "question alone"


def read(case: Case, observations: Sequence[Observation]) -> Wave:
    """Have a reader decide from observations; the words for verdicts are taken out of them.

    In its own reply a reader takes them as what it wrote; in the prompt they are somebody's.
    """
    able = case.reader or case.capabilities
    seen = without_verdicts(observations, case.question)
    request = replace(case.put_in("reader", seen, "", able), images=())
    return {(Reader.name, tuple(observations)): (request,)}


def unread(case: Case) -> Request:
    """The question alone, without picture and observations."""
    return replace(case.request("reader", prompt.user_text(case.question)), images=())


def concludes(evidence: Evidence, observations: Sequence[Observation]) -> str | None:
    """What a reader concludes from observations; "" if nothing, None if it was not asked."""
    if not evidence.was_asked(Reader.name, tuple(observations)):
        return None
    said = evidence.said(Reader.name, tuple(observations))
    return said[0][1].verdict if said and said[0][1].verdict != CANNOT_TELL else ""


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


def _turned(evidence: Evidence, row: tuple[Observation, ...]) -> tuple[Observation, ...]:
    """The same list in another order; one observation, which has no order, with a full stop."""
    if len(row) == 1:
        return tuple(map(other_form, row))
    salt = evidence.case.base_seed
    ranked = sorted(
        row, key=lambda o: hashlib.sha256(f"{salt}/{o.about}/{o.seen}".encode()).digest()
    )
    if [o.n for o in ranked] == [o.n for o in row]:
        ranked = ranked[1:] + ranked[:1]
    return numbered(ranked)


class Reader(Check):
    """A hit: whoever reads its observations alone concludes otherwise."""

    name = "reader"
    asks = "Does somebody who sees only the observations come to the same verdict?"
    control = (
        "the same list in another order, or with a full stop more: how much the reader wavers by "
        "itself"
    )
    of_conclusion = True

    def requests(self, case: Case) -> Wave:
        return {(self.name, _QUESTION): (unread(case),)} if case.tier == "full" else {}

    def follow_up(self, evidence: Evidence) -> Wave:
        wave: dict[Key, tuple[Request, ...]] = {}
        case = evidence.case
        controlled = case.tier == "full" or (case.of_many and case.takes_turn(1, 2))
        for row in self._lists(evidence):
            wave |= read(evidence.case, row)
            if controlled:
                wave |= read(evidence.case, _turned(evidence, row))
        return wave

    def _lists(self, evidence: Evidence) -> list[tuple[Observation, ...]]:
        free = [(evidence.decided, evidence.content)]
        if evidence.case.tier == "full":
            free = evidence.free
        lists = [content.observations for _, content in decided_on(free)]
        return list(dict.fromkeys(lists))

    def _said(
        self, evidence: Evidence, row: tuple[Observation, ...]
    ) -> Iterator[tuple[Answer, str]]:
        for answer, content in evidence.said(self.name, row):
            if content.verdict != CANNOT_TELL:
                yield answer, content.verdict

    def trials(self, evidence: Evidence) -> Iterable[Trial]:
        free = {c.observations: c.verdict for _, c in reversed(decided_on(evidence.free))}
        for at, row in enumerate(self._lists(evidence)):
            turned = list(self._said(evidence, _turned(evidence, row)))
            for answer, verdict in self._said(evidence, row):
                yield Trial(
                    hit=verdict != free[row],
                    control=False,
                    prompt=f"list {at}",
                    what=f'decided "{free[row]}"; from the observations alone: "{verdict}"',
                    raw=answer.raw,
                )
                for again, other in turned:
                    yield Trial(
                        hit=other != verdict,
                        control=True,
                        prompt=f"list {at}",
                        what=f'from the observations: "{verdict}"; in another form: "{other}"',
                        raw=again.raw,
                    )

    def missing(self, evidence: Evidence) -> str:
        if not self._lists(evidence):
            return "the verdict is cannot_tell, which nobody can read from observations"
        return "the reader cannot tell from these observations"

    def notes(self, evidence: Evidence) -> Iterable[str]:
        for _, content in evidence.said(self.name, _QUESTION):
            if content.verdict != CANNOT_TELL:
                yield f'From the question alone, a reader says "{content.verdict}".'
