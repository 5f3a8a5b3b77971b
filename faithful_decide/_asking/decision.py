"""The pipeline: one image or several, one question, one verified decision.

Ask, verify, keep the proof. Nothing is repaired on the way: a reply that breaks the contract is
raised, or (with `retries`) thrown away and asked for again with the identical request. The model
is never shown what it wrote before, because reasoning written after a verdict is in view would be
written to fit it.

With `samples=n` the model reasons n times on its own and each reply has one vote. The verdict is
the one most samples reached; in a tie, the one that was reached first. The reasoning and the
receipt are those of the first sample that reached it. A sample that cannot be used (refused, cut,
broken) has no vote and costs the others nothing; the scores say how many there were. Where they are
more than half, there is no decision.

Where one reply proves nothing about the order (a decoder that does not write from left to right, or
a server that was seen to break it), there are two steps: the model is asked for observations and
reasoning, and then, in a second call that shows them to it, for the verdict.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections import Counter
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from faithful_decide._asking.constraint import allows
from faithful_decide._core import contract, schema
from faithful_decide._core.prompt import SYSTEM, reasons_text, user_text, verdict_text
from faithful_decide._core.types import (
    Decision,
    Derived,
    Question,
    Receipt,
    Reply,
    Scores,
    SentImage,
    Span,
    Usage,
    total,
)
from faithful_decide._images.prepare import ImageLimits
from faithful_decide._version import __version__
from faithful_decide.backends.base import Backend, Purpose, Request
from faithful_decide.errors import (
    ContractError,
    OrderError,
    ReplyError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faithful_decide._asking.options import Options
    from faithful_decide._asking.plans import Plan
    from faithful_decide._asking.scores import Probes
    from faithful_decide._core.contract import Verified
    from faithful_decide._core.types import Enforcement
    from faithful_decide._images.prepare import PreparedImage
    from faithful_decide.backends.base import Capabilities

__all__ = [
    "SAMPLE_TEMPERATURE",
    "check_askable",
    "check_shown",
    "decision_of",
    "decision_plan",
    "decision_request",
    "reasons_request",
    "request_sha256",
]

SAMPLE_TEMPERATURE = 1.0
"""Samples are drawn from the model's own distribution, so that their shares estimate it."""
_SEEDS = 2**31
_LIMITS = tuple(limit.name for limit in fields(ImageLimits))


_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class _Checked(Generic[_V]):
    """A reply that was verified, and how it came about."""

    request: Request
    reply: Reply
    verified: _V
    attempts: int


@dataclass(frozen=True, slots=True)
class _Answer:
    """One reasoning with its verdict, from one reply or from two; spans are in the raw text."""

    requests: tuple[Request, ...]
    replies: tuple[Reply, ...]
    verified: Verified
    attempts: int = 1

    @property
    def raw(self) -> str:
        """All that was replied."""
        texts = [reply.text for reply in self.replies]
        return texts[0] if len(texts) == 1 else contract.joined(*texts)

    @property
    def second_at(self) -> int | None:
        """Where the reply of the second step begins in it, in bytes."""
        if len(self.replies) == 1:
            return None
        return len(self.raw.encode()) - len(self.replies[-1].text.encode())

    @property
    def verdict_in_its_reply(self) -> Span:
        """Where the verdict stands in the last reply."""
        span, start = self.verified.verdict_span, self.second_at or 0
        return Span(start=span.start - start, end=span.end - start)


def decision_plan(
    images: tuple[PreparedImage, ...], question: Question, options: Options, backend: Backend
) -> Plan[Decision]:
    """Plan a decision: what to ask, and what to make of the replies.

    The backend says what it is called and what it can do; it is not called here.
    """
    capabilities = backend.capabilities
    check_askable(question, len(images), backend)
    answered = _in_one_reply if capabilities.one_reply_proves_order else _in_two_steps
    request = decision_request(images, question, max_tokens=options.max_tokens, seed=options.seed)
    if options.samples > 1:
        outcomes = yield from answered(_sampled(request, options), question, options)
        answer, scores = _vote(outcomes, question)
        return _decision(answer, question, scores, backend)
    if capabilities.logprobs != "none":
        from faithful_decide._asking.scores import TOP  # noqa: PLC0415 - only where there are odds

        request = replace(request, top_logprobs=TOP)
    (outcome,) = yield from answered((request,), question, options)
    if isinstance(outcome, ReplyError):
        raise outcome
    single: Scores | None = None
    probes: Probes | None = None
    if outcome.replies[-1].tokens is not None:
        from faithful_decide._asking.scores import Probes, score_verdicts  # noqa: PLC0415 - the same

        probes = Probes()
        single = yield from score_verdicts(
            outcome.replies[-1],
            outcome.verdict_in_its_reply,
            question.labels,
            outcome.requests[-1],
            prefix=capabilities.prefix,
            probes=probes,
        )
    return _decision(outcome, question, single, backend, probes)


def check_askable(question: Question, images: int, backend: Backend) -> None:
    """Refuse a question that this model was not made for, before it is asked."""
    able = backend.capabilities
    if question.findings is not None and not able.findings:
        msg = f"{backend.name} cannot report typed findings: it was not trained for them"
        raise UnsupportedError(msg, hint=f"{_LARGER}, or leave out findings and rule")
    if (question.definitions or question.context) and not able.instructions:
        what = "definitions of verdicts" if question.definitions else "a context"
        msg = f"{backend.name} cannot follow {what}: it was not trained to"
        raise UnsupportedError(msg, hint=f"{_LARGER}, or ask with bare verdicts and no context")
    if question.regions and not able.regions:
        msg = f"{backend.name} cannot say where things are: it was not trained to"
        raise UnsupportedError(msg, hint=f"{_LARGER}, or ask without regions")
    check_shown(images, backend)


def check_shown(images: int, backend: Backend) -> None:
    """Refuse more images than this model takes."""
    able = backend.capabilities
    if images > able.images:
        most = "one image" if able.images == 1 else f"{able.images} images"
        msg = f"{backend.name} takes {most} at a time, and there are {images}"
        raise UnsupportedError(msg, hint=f"{_LARGER}, or ask about fewer")


_LARGER = "ask a larger model, such as vllm/NAME"


def decision_request(
    images: tuple[PreparedImage, ...],
    question: Question,
    *,
    max_tokens: int,
    seed: int | None,
    count: int = 0,
) -> Request:
    """How a question is asked, where one reply holds the whole decision.

    Where the images themselves are not at hand, `count` says how many there were.
    """
    count = len(images) or count
    return Request(
        system=SYSTEM,
        images=images,
        text=user_text(question, count),
        schema=schema.schema(question.labels, **schema.shape_of(question, count)),
        max_tokens=max_tokens,
        seed=seed,
        purpose=Purpose("decide", question),
    )


def reasons_request(request: Request, question: Question, count: int = 0) -> Request:
    """The same as the first of two steps: everything but the verdict."""
    count = len(request.images) or count
    shape = schema.reasons_schema(**schema.shape_of(question, count))
    return replace(request, text=reasons_text(question, count), schema=shape, top_logprobs=0)


def _verdict_request(request: Request, question: Question, first: _Checked[Verified]) -> Request:
    """The same as the second step: the verdict, on top of the reasons that came back."""
    return replace(
        request,
        text=verdict_text(question, first.reply.text, len(request.images)),
        schema=schema.verdict_schema(question.labels),
        purpose=Purpose("second_step", question, observations=first.verified.content.observations),
    )


def _in_one_reply(
    requests: tuple[Request, ...], question: Question, options: Options
) -> Plan[tuple[_Answer | ReplyError, ...]]:
    shape = schema.shape_of(question, len(requests[0].images))

    def check(reply: Reply) -> Verified:
        return contract.verify(reply, question.labels, **shape)

    outcomes = yield from _verified(requests, check, options.retries)
    return tuple(
        outcome
        if isinstance(outcome, ReplyError)
        else _Answer((outcome.request,), (outcome.reply,), outcome.verified, outcome.attempts)
        for outcome in outcomes
    )


def _in_two_steps(
    requests: tuple[Request, ...], question: Question, options: Options
) -> Plan[tuple[_Answer | ReplyError, ...]]:
    shape = schema.shape_of(question, len(requests[0].images))
    firsts = yield from _verified(
        tuple(reasons_request(request, question) for request in requests),
        lambda reply: contract.verify_reasons(reply, **shape),
        options.retries,
    )
    reasoned = {i: first for i, first in enumerate(firsts) if not isinstance(first, ReplyError)}
    if not reasoned:
        return tuple(first for first in firsts if isinstance(first, ReplyError))
    seconds = yield from _verified(
        tuple(_verdict_request(requests[i], question, first) for i, first in reasoned.items()),
        lambda reply: contract.verify_verdict(reply, question.labels),
        options.retries,
    )
    whole = dict(zip(reasoned, seconds, strict=True))
    return tuple(
        first if isinstance(first, ReplyError) else _concluded(first, whole[i])
        for i, first in enumerate(firsts)
    )


def _concluded(
    first: _Checked[Verified], second: _Checked[tuple[str, Span]] | ReplyError
) -> _Answer | ReplyError:
    """Make one answer of the reasoning in one reply and the verdict in another."""
    if isinstance(second, ReplyError):
        return second
    answer = _Answer(
        (first.request, second.request),
        (first.reply, second.reply),
        first.verified,
        max(first.attempts, second.attempts),
    )
    whole = contract.concluded(first.verified, *second.verified, answer.second_at or 0)
    return replace(answer, verified=whole)


def _sampled(request: Request, options: Options) -> tuple[Request, ...]:
    base = secrets.randbelow(_SEEDS) if options.seed is None else options.seed
    return tuple(
        replace(request, temperature=SAMPLE_TEMPERATURE, seed=_derived(base, index))
        for index in range(options.samples)
    )


def _derived(seed: int, index: int) -> int:
    """A seed of its own for each sample; neighbouring seeds must not share samples."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{index}".encode()).digest()[:8]) % _SEEDS


def _verified(
    requests: tuple[Request, ...], check: Callable[[Reply], _V], retries: int
) -> Plan[tuple[_Checked[_V] | ReplyError, ...]]:
    """Ask until every request has a verified reply or has used up its attempts."""
    outcomes: dict[int, _Checked[_V] | ReplyError] = {}
    pending = list(range(len(requests)))
    for attempt in range(1, retries + 2):
        replies = yield tuple(requests[index] for index in pending)
        for index, reply in zip(pending, replies, strict=True):
            try:
                outcomes[index] = _Checked(requests[index], reply, check(reply), attempt)
            except ReplyError as error:
                outcomes[index] = error
        # Not for a refusal or a cut: asking again until it suits would select verdicts.
        pending = [i for i in pending if isinstance(outcomes[i], ContractError | OrderError)]
        if not pending:
            break
    return tuple(outcomes[index] for index in range(len(requests)))


def _vote(outcomes: tuple[_Answer | ReplyError, ...], question: Question) -> tuple[_Answer, Scores]:
    answers = [outcome for outcome in outcomes if isinstance(outcome, _Answer)]
    errors = [outcome for outcome in outcomes if isinstance(outcome, ReplyError)]
    if 2 * len(answers) < len(outcomes):
        errors[0].add_note(f"{len(errors)} of {len(outcomes)} samples could not be used")
        raise errors[0]
    votes = Counter(answer.verified.content.verdict for answer in answers)
    # A Counter lists equal counts in the order in which they were first met.
    (verdict, _), *_ = votes.most_common(1)
    winner = next(answer for answer in answers if answer.verified.content.verdict == verdict)
    return winner, Scores(
        source="samples",
        probabilities={label: votes[label] / len(answers) for label in question.labels},
        n=len(answers),
        lost=Counter(type(error).__name__ for error in errors),
    )


def decision_of(  # noqa: PLR0917 - each is something else
    requests: tuple[Request, ...],
    replies: tuple[Reply, ...],
    verified: Verified,
    question: Question,
    scores: Scores | None,
    backend: Backend,
) -> Decision:
    """Make a decision of one verified reply, or of two steps, that were asked for elsewhere."""
    return _decision(_Answer(requests, replies, verified), question, scores, backend)


def _decision(
    answer: _Answer,
    question: Question,
    scores: Scores | None,
    backend: Backend,
    probes: Probes | None = None,
) -> Decision:
    content = answer.verified.content
    derived = _derived_verdict(answer, question)
    return Decision(
        question=question,
        verdict=derived.verdict if derived else content.verdict,
        derived=derived,
        observations=content.observations,
        reasoning=content.reasoning,
        relies_on=content.relies_on,
        scores=scores,
        receipt=_receipt(answer, backend, probes),
    )


def _derived_verdict(answer: _Answer, question: Question) -> Derived | None:
    """What the caller's rule makes of the findings, where there is one."""
    content = answer.verified.content
    if content.findings is None:
        return None
    from faithful_decide._core.findings import conclude  # noqa: PLC0415 - for some only

    return Derived(
        findings=answer.verified.findings or {},
        verdict=conclude(question, content.findings),
        model_verdict=content.verdict,
    )


def _receipt(answer: _Answer, backend: Backend, probes: Probes | None) -> Receipt:
    request, reply, replies = answer.requests[0], answer.replies[-1], answer.replies
    capabilities, images = backend.capabilities, request.images
    constraint = reply.constraint if len({r.constraint for r in replies}) == 1 else "none"
    enforcement = _enforcement(answer, capabilities)
    fixed = capabilities.order and enforcement in {"grammar", "strict"}
    asked = (*replies, *(probes.replies if probes else ()))
    notes = list(dict.fromkeys(note for r in replies for note in r.notes))
    if probes and probes.failed:
        notes.append(f"there are no scores of tokens: {probes.failed}")
    held: Literal["enforced", "requested"] = "enforced" if capabilities.proven else "requested"
    return Receipt(
        order="two_steps" if len(replies) > 1 else held if fixed else "verified",
        enforcement=enforcement,
        constraint=constraint,
        raw=answer.raw,
        reasoning_span=answer.verified.reasoning_span,
        verdict_span=answer.verified.verdict_span,
        finish=reply.finish,
        backend=_storable(backend.name),
        model=_storable(reply.model),
        fingerprint=None if reply.fingerprint is None else _storable(reply.fingerprint),
        request_sha256=request_sha256(request),
        images=tuple(_sent_image(image, capabilities) for image in images),
        image_notes=_notes(images),
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        seed=request.seed,
        top_logprobs=request.top_logprobs,
        hidden_thinking_tokens=total(r.hidden_thinking_tokens for r in replies),
        usage=Usage.of(r.usage for r in asked),
        latency_s=sum(r.latency_s for r in asked),
        attempts=answer.attempts,
        second_at=answer.second_at,
        notes=tuple(map(_storable, notes)),
        version=__version__,
    )


def _enforcement(answer: _Answer, capabilities: Capabilities) -> Enforcement:
    """What held the model to its shape: no more than was sent, and nothing that was disproved."""
    pairs = list(zip(answer.requests, answer.replies, strict=True))
    if capabilities.enforcement in {"grammar", "strict"}:
        kept = all(allows(r.constraint, q.schema, r.text) for q, r in pairs)
    else:
        kept = all(reply.constraint != "none" for reply in answer.replies)
    return capabilities.enforcement if kept else "prompt"


def _notes(images: tuple[PreparedImage, ...]) -> tuple[str, ...]:
    """What was done to the pictures; of several, with the number of the picture."""
    if len(images) == 1:
        return images[0].notes
    return tuple(f"image {n}: {note}" for n, i in enumerate(images, 1) for note in i.notes)


def _sent_image(image: PreparedImage, capabilities: Capabilities) -> SentImage:
    limits = capabilities.image_limits or ImageLimits()
    values = {name: getattr(limits, name) for name in _LIMITS}
    return SentImage(
        source_sha256=image.source_sha256,
        sent_sha256=image.sha256,
        limits={k: sorted(v) if isinstance(v, frozenset) else v for k, v in values.items()},
    )


def _storable(text: str) -> str:
    """A name as it can be stored: a server may send half a character."""
    return text.encode(errors="replace").decode()


def request_sha256(request: Request, *, images: Sequence[str] = ()) -> str:
    """Identify a request: equal hashes mean that the same was asked.

    Whom it was sent to, and with which options of a backend, is not part of it; the receipt names
    the backend beside it. Images count by their own hashes, which can be given instead of them.
    """
    fields: dict[str, Any] = {
        "system": request.system,
        "images": [image.sha256 for image in request.images] or list(images),
        "text": request.text,
        # Not sorted: the order of the keys is what the schema is for.
        "schema": request.schema,
        "prefix": request.prefix,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "seed": request.seed,
        "top_logprobs": request.top_logprobs,
    }
    if request.hidden is not None:
        # Only then, so that every other request has the hash that it had before this was possible.
        fields["hidden"] = asdict(request.hidden)
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
