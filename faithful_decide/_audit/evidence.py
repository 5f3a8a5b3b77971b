"""What an audit has to go by: how much it asks, and every answer by the check that wanted it.

A reply that cannot be used (a refusal, a cut, a broken contract) ends nothing but its own trial: it
is kept as an answer without content, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from faithful_decide._asking.decision import decision_of
from faithful_decide._core import contract
from faithful_decide._core.contract import Content
from faithful_decide._core.types import CANNOT_TELL, Observation, Question, Reply
from faithful_decide.errors import ReplyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from faithful_decide._audit.case import Case
    from faithful_decide._audit.types import Tier
    from faithful_decide._core.contract import Verified
    from faithful_decide._core.types import Decision, Scores
    from faithful_decide.backends.base import Backend, Request

__all__ = [
    "HIDDEN",
    "KNOWN",
    "Answer",
    "Edit",
    "Evidence",
    "Reach",
    "answer_of",
    "can_be_negated",
    "explanation_of",
    "reading_of",
    "usable",
]

KNOWN = Question("Is this an image?")
"""A question whose answer anybody knows; a note against it tests nothing but obedience."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How much is asked: repetitions, and which checks that not every tier has."""

    times: int
    prefix: bool
    """Whether replies are forced to begin with something, where the backend can."""
    checks: frozenset[str]

    @classmethod
    def of(cls, tier: Tier, *, ruled: bool = False) -> Reach:
        """What a tier asks; of a question with a rule, only what concerns its findings."""
        full = tier == "full"
        checks = _STANDARD | _FULL if full else _STANDARD
        return cls(4 if full else 1, full and not ruled, checks - _OF_VERDICTS if ruled else checks)

    def calls(self, verdicts: int) -> int:
        """How many calls an audit makes at the most.

        Args:
            verdicts: How many verdicts the question has.

        Returns:
            The number of calls.
        """
        times, others = self.times, verdicts - 1
        first = 1 + max(1, times - 1) + times + verdicts * times + times
        if self.prefix:
            first += verdicts * times
        if "cue" in self.checks:
            first += verdicts * times + times
        second = max(2, times) + times
        if "edit" in self.checks:
            first += 2 * verdicts + 1
            second += others * 5 * (times + 1) + times  # four edits and a donor for each
        if "knockout" in self.checks:
            second += len(HIDDEN) * times + 1
        return first + second


_STANDARD = frozenset({"resample", "forced", "blind", "no_image", "negated", "reader"})
_OF_VERDICTS = frozenset({"reader", "edit", "donor", "trajectory", "knockout"})
"""Checks about the way from observations to the verdict, which a rule leaves no doubt of."""
_FULL = frozenset({"cue", "edit", "donor", "trajectory", "knockout", "other_image", "obedience"})
HIDDEN: tuple[Literal["prefix", "text", "image"], ...] = ("prefix", "text", "image")
"""What the verdict is decoded without: what was written, as much of the prompt, the image."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply and what it says; without content, `problem` says why there is none."""

    request: Request
    reply: Reply
    content: Content | None
    problem: str = ""

    @property
    def raw(self) -> str:
        """The reply as it came."""
        return self.reply.text


@dataclass(frozen=True, slots=True)
class Edit:
    """Observations that were put into a reply, the verdict they point to, and what came of it."""

    observations: tuple[Observation, ...]
    points_to: str
    answer: Answer


@dataclass(slots=True)
class Evidence:
    """Everything that was asked, by check."""

    case: Case
    base: Answer
    verified: Verified
    scores: Scores | None = None
    resamples: tuple[Answer, ...] = ()
    told: Mapping[str, tuple[Answer, ...]] = field(default_factory=dict)
    prefixed: Mapping[str, tuple[Answer, ...]] = field(default_factory=dict)
    readings: tuple[Answer, ...] = ()
    blank: tuple[Answer, ...] = ()
    donated: tuple[Answer, ...] = ()
    negated: tuple[Answer, ...] = ()
    cued: Mapping[str, tuple[Answer, ...]] = field(default_factory=dict)
    neutral: tuple[Answer, ...] = ()
    obeyed: tuple[Answer, ...] = ()
    edits: tuple[Edit, ...] = ()
    kept: tuple[Edit, ...] = ()
    donors: tuple[Edit, ...] = ()
    approximate: bool = False
    odds: Mapping[str, Scores | None] = field(default_factory=dict)
    unseeing: Mapping[str, tuple[Answer, ...]] = field(default_factory=dict)
    """Its own reply, the verdict decoded without looking at a part, by which part; and once, as
    `habit`, without looking at what was written, of a picture that shows nothing."""
    reads: tuple[tuple[Answer, Answer], ...] = ()
    """Pairs of an answer whose observations were read, and what the reader made of them."""
    confirmed: Mapping[tuple[Observation, ...], str] = field(default_factory=dict)
    """What the reader made of observations that were put in."""
    others: list[Reply] = field(default_factory=list)
    """Replies that no check compares: what was imagined, the odds, what a reader made of edits."""

    @property
    def content(self) -> Content:
        """What the decision says."""
        return self.verified.content

    def decision(self, backend: Backend) -> Decision:
        """The audited decision, as `decide` would have returned it."""
        base = self.base
        return decision_of(
            base.request, base.reply, self.verified, self.case.question, self.scores, backend
        )

    @property
    def readable(self) -> tuple[Answer, ...]:
        """Those of the free that a reader can be asked about: they have decided."""
        return tuple(a for a in self.free if a.content and a.content.verdict != CANNOT_TELL)

    @property
    def free(self) -> tuple[Answer, ...]:
        """The decision and its repetitions, those that can be used."""
        return usable((self.base, *self.resamples))

    @property
    def unforced(self) -> tuple[Answer, ...]:
        """The free, and those to the opposite question or beside a note that suggests nothing."""
        return (*self.free, *usable((*self.negated, *self.neutral)))


def usable(answers: Sequence[Answer]) -> tuple[Answer, ...]:
    """The answers that say something."""
    return tuple(answer for answer in answers if answer.content is not None)


def can_be_negated(question: Question) -> bool:
    """Whether the opposite of a question can be asked: its verdicts are yes and no."""
    return {verdict.casefold() for verdict in question.verdicts} == {"yes", "no"}


def reading_of(request: Request, reply: Reply) -> Answer:
    """Verify a reply that has observations and nothing else."""
    return _answer(request, reply, lambda r: Content(contract.verify_observations(r), "", ""))


def explanation_of(request: Request, reply: Reply, question: Question) -> Answer:
    """Verify a reply whose verdict was forced to stand first."""
    return _answer(request, reply, lambda r: contract.verify_explanation(r, question.labels))


def answer_of(request: Request, reply: Reply, question: Question) -> Answer:
    """Verify a reply that has the shape of a decision under audit."""

    def read(reply: Reply) -> Content:
        labels, findings = question.labels, question.findings
        return contract.verify(reply, labels, audited=True, findings=findings).content

    return _answer(request, reply, read)


def _answer(request: Request, reply: Reply, check: Callable[[Reply], Content]) -> Answer:
    try:
        return Answer(request, reply, check(reply))
    except ReplyError as error:
        return Answer(request, reply, None, str(error))
