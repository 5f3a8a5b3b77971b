"""What an audit has to go by: every answer, by the check that asked for it and the variant of it.

The same answer may serve several checks; it is kept, asked and counted once. A reply that cannot be
used (a refusal, a cut, a broken contract), or that never came, ends nothing but its own trial: it
is kept as an answer without content, with what went wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from faithful_decide._asking.decision import decision_of
from faithful_decide._asking.scores import score_verdicts
from faithful_decide._core import contract
from faithful_decide._core.contract import Claim, Content
from faithful_decide._core.schema import shape_of
from faithful_decide._core.types import CANNOT_TELL, Reply, Span
from faithful_decide.errors import BackendError, FaithfulDecideError, ReplyError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from faithful_decide._audit.case import Case
    from faithful_decide._audit.types import Forced, Judgement
    from faithful_decide._core.types import Decision, Scores
    from faithful_decide.backends.base import Backend, Request

__all__ = [
    "DECISION", "Answer", "Evidence", "Key", "Pair", "Wave", "answer_in_two_steps", "answer_of",
    "objected",
]  # fmt: skip

Key: TypeAlias = "tuple[str, Hashable]"
"""A check, and which of its variants."""
Wave: TypeAlias = "Mapping[Key, tuple[Request, ...]]"
"""Requests that do not depend on each other."""
Pair: TypeAlias = "tuple[Answer, Content]"
DECISION: Key = ("decision", "")
_SCORES = "scores"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request; without content or claims, `problem` says why there is none.

    `reply` is None where none came. Where the verdict was asked for in a second step, `second` is
    that step, and `reply` the first one.
    """

    request: Request
    reply: Reply | None
    content: Content | None
    problem: FaithfulDecideError | None = None
    claims: tuple[Claim, ...] = ()
    second: tuple[Request, Reply] | None = None

    @property
    def raw(self) -> str:
        """The reply as it came."""
        if self.reply is None:
            return ""
        return (
            contract.joined(self.reply.text, self.second[1].text)
            if self.second
            else self.reply.text
        )

    @property
    def replies(self) -> tuple[Reply, ...]:
        """What came, a second step included."""
        parts = (self.reply, self.second[1] if self.second else None)
        return tuple(part for part in parts if part is not None)


@dataclass(slots=True)
class Evidence:
    """Everything that was asked about one decision, by check and variant.

    `given` is the decision where it was made before; then it is not asked for again.
    """

    case: Case
    answers: dict[Key, tuple[Answer, ...]]
    judgements: tuple[Judgement, ...] = ()
    judge_answers: tuple[Answer, ...] = ()
    judge_errors: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    given: Decision | None = None
    verified: contract.Verified = field(init=False)
    memo: dict[Hashable, Any] = field(default_factory=dict)
    """What was worked out from the answers so far, which is asked for again and again."""

    def __post_init__(self) -> None:
        """Raise what the decision itself would have raised without an audit."""
        decided, question = self.decided, self.case.question
        if decided.reply is None:
            raise decided.problem or BackendError("no reply")
        shape = shape_of(question)
        if decided.second is None:
            if not self.case.one_reply and decided.problem is not None:
                raise decided.problem
            self.verified = contract.verify(decided.reply, question.labels, **shape)
            return
        reasons = contract.verify_reasons(decided.reply, **shape)
        verdict, span = contract.verify_verdict(decided.second[1], question.labels)
        at = len(decided.raw.encode()) - len(decided.second[1].text.encode())
        self.verified = contract.concluded(reasons, verdict, span, at)

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

    def was_asked(self, check: str, variant: Hashable = "") -> bool:
        """Whether one variant of a check was asked."""
        return (check, variant) in self.answers

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
    def replies(self) -> list[Answer]:
        """Everything that was asked; a decision that was given is not among it."""
        asked = [
            answer
            for key, group in self.answers.items()
            if key != DECISION or self.given is None
            for answer in group
        ]
        return [*asked, *self.judge_answers]

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
            # The same may be asked of another picture.
            keys = [(_SCORES, (p.prefix, *(i.sha256 for i in p.images))) for p in probes]
            if any(key not in self.answers for key in keys):
                return None, {key: (p,) for key, p in zip(keys, probes, strict=True)}
            known = [self.answers[key][0].reply for key in keys]
            replies = tuple(reply for reply in known if reply is not None)
            if len(replies) < len(known):
                return None, {}

    def decision(self, backend: Backend) -> Decision:
        """The audited decision, as `decide` would have returned it."""
        if self.given is not None:
            return self.given
        decided = self.decided
        scores = None
        if decided.second is None:
            scores, _ = self.scores_of(decided, self.verified.verdict_span)
        requests = (decided.request, *((decided.second[0],) if decided.second else ()))
        return decision_of(
            requests, decided.replies, self.verified, self.case.question, scores, backend
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


def relied_on(content: Content | Forced) -> Sequence[int]:
    """Where the observations stand that carry the verdict; all of them where it names none."""
    return [n - 1 for n in content.relies_on] or range(len(content.observations))


def answer_of(request: Request, reply: Reply | BackendError) -> Answer:
    """Read a reply by what was asked for."""
    if isinstance(reply, BackendError):
        return Answer(request, None, None, reply)
    try:
        content = _read(request, reply)
    except ReplyError as error:
        return Answer(request, reply, None, error)
    if isinstance(content, tuple):
        return Answer(request, reply, None, claims=content)
    return Answer(request, reply, content)


def answer_in_two_steps(
    request: Request, first: Request, reply: Reply, second: tuple[Request, Reply | BackendError]
) -> Answer:
    """Read the reasons in one reply and the verdict in another as what one would have said."""
    verdict = second[1]
    if isinstance(verdict, BackendError):
        return Answer(first, reply, None, verdict)
    second = (second[0], verdict)
    whole = f"{reply.text.rstrip()[:-1]}, {verdict.text.lstrip()[1:]}"
    finish = reply.finish if reply.finish != "stop" else verdict.finish
    try:
        content = _read(request, Reply(whole, finish))
    except ReplyError as error:
        return Answer(first, reply, None, error, second=second)
    assert not isinstance(content, tuple)  # noqa: S101 - it has a verdict
    return Answer(first, reply, content, second=second)


def _read(request: Request, reply: Reply) -> Content | tuple[Claim, ...] | None:
    """What a reply says, by the keys that were asked for."""
    purpose = request.purpose
    if purpose is None or purpose.kind in {"early", "judge", "probe"}:
        return None
    question = purpose.question
    keys: Mapping[str, Any] = (request.schema or {}).get("properties", {})
    if "claims" in keys:
        return contract.verify_claims(reply, len(purpose.claims))
    if list(keys) == ["observations"]:
        placed = "at" in keys["observations"]["items"]["properties"]
        return Content(contract.verify_observations(reply, regions=placed), "", "")
    if next(iter(keys)) == "verdict":
        return contract.verify_explanation(reply, question.labels, regions=question.regions)
    room, shape = "reservation" in keys, shape_of(question)
    return contract.verify(reply, question.labels, reservation=room, **shape).content
