"""What an audit has to go by: every answer, by the check that asked for it and the variant of it.

The same answer may serve several checks; it is kept, asked and counted once. A reply that cannot be
used (a refusal, a cut, a broken contract), or that never came, ends nothing but its own trial: it
is kept as an answer without content, with what went wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from faithful_decide._asking.decision import decision_of
from faithful_decide._asking.scores import score_verdicts
from faithful_decide._audit.case import OBJECTING
from faithful_decide._core import contract
from faithful_decide._core.contract import Content
from faithful_decide._core.schema import shape_of
from faithful_decide._core.types import CANNOT_TELL, Reply
from faithful_decide.errors import BackendError, FaithfulDecideError, ReplyError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from faithful_decide._audit.case import Case
    from faithful_decide._audit.types import Judgement
    from faithful_decide._core.types import Decision, Scores, Span
    from faithful_decide.backends.base import Backend, Purpose, Request

__all__ = ["DECISION", "Answer", "Evidence", "Key", "Pair", "Wave", "answer_of", "objected"]

Key: TypeAlias = "tuple[str, Hashable]"
"""A check, and which of its variants."""
Wave: TypeAlias = "Mapping[Key, tuple[Request, ...]]"
"""Requests that do not depend on each other."""
Pair: TypeAlias = "tuple[Answer, Content]"
DECISION: Key = ("decision", "")
_SCORES = "scores"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request; without content, `problem` says why there is none.

    `reply` is None where none came.
    """

    request: Request
    reply: Reply | None
    content: Content | None
    problem: FaithfulDecideError | None = None

    @property
    def raw(self) -> str:
        """The reply as it came."""
        return self.reply.text if self.reply else ""


@dataclass(slots=True)
class Evidence:
    """Everything that was asked about one decision, by check and variant."""

    case: Case
    answers: dict[Key, tuple[Answer, ...]]
    judgements: tuple[Judgement, ...] = ()
    judge_answers: tuple[Answer, ...] = ()
    verified: contract.Verified = field(init=False)

    def __post_init__(self) -> None:
        """Raise what the decision itself would have raised without an audit."""
        if self.decided.reply is None:
            raise self.decided.problem or BackendError("no reply")
        question = self.case.question
        shape = shape_of(question)
        self.verified = contract.verify(self.decided.reply, question.labels, **shape)

    @property
    def decided(self) -> Answer:
        """The decision under audit."""
        return self.answers[DECISION][0]

    @property
    def content(self) -> Content:
        """What the decision says."""
        return self.verified.content

    @property
    def own(self) -> str:
        """The verdict that the model reaches by itself."""
        return self.verified.content.verdict

    def get(self, check: str, variant: Hashable = "") -> tuple[Answer, ...]:
        """The answers to one variant of a check; none where it was not asked."""
        return self.answers.get((check, variant), ())

    def of(self, check: str) -> tuple[Answer, ...]:
        """All answers that a check asked for itself."""
        return tuple(a for (name, _), group in self.answers.items() if name == check for a in group)

    def said(self, check: str, variant: Hashable = "") -> list[Pair]:
        """The usable answers to one variant of a check, with what they say."""
        return usable(self.get(check, variant))

    @property
    def free(self) -> list[Pair]:
        """The decision and its repetitions."""
        return usable((self.decided, *self.get("resample")))

    @property
    def unforced(self) -> list[Pair]:
        """The free, and those to the opposite question or beside a note that suggests nothing."""
        return [*self.free, *self.said("negated"), *self.said("cue", "neutral")]

    @property
    def replies(self) -> list[Answer]:
        """Everything that was asked."""
        return [*(a for group in self.answers.values() for a in group), *self.judge_answers]

    def scores_of(self, answer: Answer, verdict: Span) -> tuple[Scores | None, Wave]:
        """The probabilities of the verdicts in a reply, or what has to be asked for them first."""
        if answer.reply is None or answer.reply.tokens is None:
            return None, {}
        labels, prefix = self.case.question.labels, self.case.capabilities.prefix
        reading = score_verdicts(answer.reply, verdict, labels, answer.request, prefix=prefix)
        replies: tuple[Reply, ...] | None = None
        while True:
            try:
                probes = next(reading) if replies is None else reading.send(replies)
            except StopIteration as end:
                return end.value, {}
            keys = [(_SCORES, probe.prefix) for probe in probes]
            if any(key not in self.answers for key in keys):
                return None, {key: (p,) for key, p in zip(keys, probes, strict=True)}
            known = [self.answers[key][0].reply for key in keys]
            replies = tuple(reply for reply in known if reply is not None)
            if len(replies) < len(known):
                return None, {}

    def decision(self, backend: Backend) -> Decision:
        """The audited decision, as `decide` would have returned it."""
        decided = self.decided
        scores, _ = self.scores_of(decided, self.verified.verdict_span)
        reply = decided.reply or Reply("", "unknown")
        return decision_of(
            decided.request, reply, self.verified, self.case.question, scores, backend
        )


def usable(answers: Iterable[Answer]) -> list[Pair]:
    """The answers that say something, with what they say."""
    return [(answer, answer.content) for answer in answers if answer.content is not None]


def objected(content: Content) -> bool:
    """Whether a reply uses the room that it has to object."""
    return bool(content.reservation)


def decided_on(pairs: Iterable[Pair]) -> list[Pair]:
    """Those that came to a verdict."""
    return [(answer, content) for answer, content in pairs if content.verdict != CANNOT_TELL]


def relied_on(content: Content) -> Sequence[int]:
    """Where the observations stand that carry the verdict; all of them where it names none."""
    return [n - 1 for n in content.relies_on] or range(len(content.observations))


def once(content: Content) -> list[int]:
    """What was relied on, without things whose name could mean several."""
    names = [o.about for o in content.observations]
    return [i for i in relied_on(content) if names.count(names[i]) == 1]


def answer_of(request: Request, reply: Reply | BackendError) -> Answer:
    """Read a reply by what was asked for."""
    if isinstance(reply, BackendError):
        return Answer(request, None, None, reply)
    try:
        return Answer(request, reply, _read(request.purpose, reply))
    except ReplyError as error:
        return Answer(request, reply, None, error)


def _read(purpose: Purpose | None, reply: Reply) -> Content | None:
    if purpose is None or purpose.kind in {"early", "judge", "claims"}:
        return None
    question, kind = purpose.question, purpose.kind
    labels, regions = question.labels, question.regions
    if kind == "read":
        return Content(contract.verify_observations(reply), "", "")
    if kind == "imagine":
        return Content(contract.verify_observations(reply, regions=regions), "", "")
    if kind == "forced_first":
        return contract.verify_explanation(reply, labels, regions=regions)
    objecting, shape = kind in OBJECTING, shape_of(question)
    return contract.verify(reply, labels, reservation=objecting, **shape).content
