"""The pipeline: one image, one question, one verified decision.

Ask, verify, keep the proof. Nothing is repaired on the way: a reply that breaks the contract is
raised, or (with `retries`) thrown away and asked for again with the identical request. The model
is never shown what it wrote before, because reasoning written after a verdict is in view would be
written to fit it.

With `samples=n` the model reasons n times on its own and each reply has one vote. The verdict is
the one most samples reached; in a tie, the one that was reached first. The reasoning and the
receipt are those of the first sample that reached it.

Where one reply proves nothing about the order (a decoder that does not write from left to right, or
a server that was seen to break it), there are two steps: the model is asked for observations and
reasoning, and then, in a second call that shows them to it, for the verdict.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from faithful_decide._asking.scores import TOP, score_verdicts
from faithful_decide._core import contract, schema
from faithful_decide._core.findings import conclude
from faithful_decide._core.prompt import SYSTEM, reasons_text, user_text, verdict_text
from faithful_decide._core.types import (
    Decision,
    Derived,
    Question,
    Receipt,
    Reply,
    Scores,
    Span,
    Usage,
)
from faithful_decide.backends.base import Backend, Purpose, Request
from faithful_decide.errors import ContractError, OrderError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from faithful_decide._asking.options import Options
    from faithful_decide._asking.plans import Plan
    from faithful_decide._core.contract import Verified
    from faithful_decide._images.prepare import PreparedImage
    from faithful_decide.backends.base import Capabilities

__all__ = ["decision_of", "decision_plan", "request_sha256"]

SAMPLE_TEMPERATURE = 1.0
"""Samples are drawn from the model's own distribution, so that their shares estimate it."""
_SEEDS = 2**31


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
    """One reasoning with its verdict, from one reply or from two."""

    request: Request
    replies: tuple[Reply, ...]
    verified: Verified
    attempts: int
    scored: tuple[Request, Span]
    """The request that the verdict answers, and where it stands in the last reply."""

    @property
    def raw(self) -> str:
        """All that was replied."""
        return contract.joined(*(reply.text for reply in self.replies))

    @property
    def second_at(self) -> int | None:
        """Where the reply of the second step begins in it, in bytes."""
        if len(self.replies) == 1:
            return None
        return len(self.raw.encode()) - len(self.replies[-1].text.encode())


def decision_plan(
    image: PreparedImage | None, question: Question, options: Options, backend: Backend
) -> Plan[Decision]:
    """Plan a decision: what to ask, and what to make of the replies.

    Args:
        image: The image as it is sent.
        question: The question.
        options: How to ask.
        backend: Whose name and capabilities to plan for; it is not called here.

    Returns:
        The decision.
    """
    capabilities = backend.capabilities
    two = capabilities.two_steps or capabilities.decoder != "autoregressive"
    answered = _in_two_steps if two else _in_one_reply
    request = Request(
        system=SYSTEM,
        image=image,
        text=user_text(question),
        schema=schema.schema(question.labels, audited=options.audited, findings=question.findings),
        max_tokens=options.max_tokens,
        seed=options.seed,
        purpose=Purpose("decide", question),
    )
    if options.samples > 1:
        answers = yield from answered(_sampled(request, options), question, options)
        best, scores = _vote(answers, question)
        return _decision(best, question, scores, backend)
    if capabilities.logprobs != "none":
        request = replace(request, top_logprobs=TOP)
    (answer,) = yield from answered((request,), question, options)
    single: Scores | None = None
    if answer.replies[-1].tokens is not None:
        asked, span = answer.scored
        single = yield from score_verdicts(
            answer.replies[-1], span, question.labels, asked, prefix=capabilities.prefix
        )
    return _decision(answer, question, single, backend)


def _in_one_reply(
    requests: tuple[Request, ...], question: Question, options: Options
) -> Plan[tuple[_Answer, ...]]:
    labels, findings, audited = question.labels, question.findings, options.audited
    checked = yield from _answers(
        requests,
        lambda r: contract.verify(r, labels, audited=audited, findings=findings),
        options.retries,
    )
    return tuple(
        _Answer(
            one.request,
            (one.reply,),
            one.verified,
            one.attempts,
            (one.request, one.verified.verdict_span),
        )
        for one in checked
    )


def _in_two_steps(
    requests: tuple[Request, ...], question: Question, options: Options
) -> Plan[tuple[_Answer, ...]]:
    labels, text, retries = question.labels, reasons_text(question), options.retries
    shape = schema.reasons_schema(question.findings)
    asked = tuple(replace(r, text=text, schema=shape, top_logprobs=0) for r in requests)
    firsts = yield from _answers(
        asked, lambda r: contract.verify_reasons(r, question.findings), retries
    )
    asked = tuple(
        replace(
            request,
            text=verdict_text(question, first.reply.text),
            schema=schema.verdict_schema(labels),
        )
        for request, first in zip(requests, firsts, strict=True)
    )
    seconds = yield from _answers(asked, lambda r: contract.verify_verdict(r, labels), retries)
    return tuple(map(_joined, firsts, seconds))


def _joined(first: _Checked[Verified], second: _Checked[tuple[str, Span]]) -> _Answer:
    """Make one answer of the reasoning in one reply and the verdict in another."""
    verdict, span = second.verified
    answer = _Answer(
        first.request,
        (first.reply, second.reply),
        first.verified,
        max(first.attempts, second.attempts),
        (second.request, span),
    )
    verified = contract.concluded(first.verified, verdict, span, answer.second_at or 0)
    return replace(answer, verified=verified)


def _sampled(request: Request, options: Options) -> tuple[Request, ...]:
    base = secrets.randbelow(_SEEDS) if options.seed is None else options.seed
    return tuple(
        replace(request, temperature=SAMPLE_TEMPERATURE, seed=_derived(base, index))
        for index in range(options.samples)
    )


def _derived(seed: int, index: int) -> int:
    """A seed of its own for each sample; neighbouring seeds must not share samples."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{index}".encode()).digest()[:8]) % _SEEDS


def _answers(
    requests: tuple[Request, ...], check: Callable[[Reply], _V], retries: int
) -> Plan[tuple[_Checked[_V], ...]]:
    """Ask until every request has a verified reply or one of them has used up its attempts."""
    answers: dict[int, _Checked[_V]] = {}
    attempts = 0
    while pending := [index for index in range(len(requests)) if index not in answers]:
        attempts += 1
        replies = yield tuple(requests[index] for index in pending)
        for index, reply in zip(pending, replies, strict=True):
            try:
                verified = check(reply)
            except (ContractError, OrderError):
                # Not for a refusal or a cut: asking again until it suits would select verdicts.
                if attempts > retries:
                    raise
            else:
                answers[index] = _Checked(requests[index], reply, verified, attempts)
    return tuple(answers[index] for index in range(len(requests)))


def _vote(answers: tuple[_Answer, ...], question: Question) -> tuple[_Answer, Scores]:
    votes = Counter(answer.verified.content.verdict for answer in answers)
    # A Counter lists equal counts in the order in which they were first met.
    (verdict, _), *_ = votes.most_common(1)
    shares = {label: votes[label] / len(answers) for label in question.labels}
    best = next(answer for answer in answers if answer.verified.content.verdict == verdict)
    return best, Scores(source="samples", probabilities=shares, n=len(answers))


def decision_of(  # noqa: PLR0917 - each is something else
    request: Request,
    reply: Reply,
    verified: Verified,
    question: Question,
    scores: Scores | None,
    backend: Backend,
) -> Decision:
    """Make a decision of one verified reply that was asked for elsewhere.

    Args:
        request: What was asked.
        reply: What came back.
        verified: What it says.
        question: The question.
        scores: The odds of its verdicts, if they were read.
        backend: Whom it was asked.

    Returns:
        The decision.
    """
    answer = _Answer(request, (reply,), verified, 1, (request, verified.verdict_span))
    return _decision(answer, question, scores, backend)


def _decision(
    answer: _Answer, question: Question, scores: Scores | None, backend: Backend
) -> Decision:
    content, replies, image = answer.verified.content, answer.replies, answer.request.image
    reply = replies[-1]
    derived = _derived_verdict(answer, question)
    return Decision(
        question=question,
        verdict=derived.verdict if derived else content.verdict,
        derived=derived,
        observations=content.observations,
        reasoning=content.reasoning,
        scores=scores,
        receipt=Receipt(
            order=_order(backend.capabilities) if answer.second_at is None else "two_steps",
            enforcement=backend.capabilities.enforcement,
            raw=answer.raw,
            reasoning_span=answer.verified.reasoning_span,
            verdict_span=answer.verified.verdict_span,
            finish=reply.finish,
            backend=backend.name,
            model=reply.model,
            fingerprint=reply.fingerprint,
            request_sha256=request_sha256(answer.request),
            hidden_thinking_tokens=_sum(r.hidden_thinking_tokens for r in replies),
            usage=Usage(
                _sum(r.usage.prompt_tokens for r in replies),
                _sum(r.usage.cached_tokens for r in replies),
                _sum(r.usage.completion_tokens for r in replies),
            ),
            latency_s=sum(r.latency_s for r in replies),
            seed=answer.request.seed,
            attempts=answer.attempts,
            second_at=answer.second_at,
            image_notes=image.notes if image else (),
        ),
    )


def _derived_verdict(answer: _Answer, question: Question) -> Derived | None:
    """What the caller's rule makes of the findings, where there is one."""
    content = answer.verified.content
    if content.findings is None:
        return None
    return Derived(
        findings=content.findings.model_dump(mode="json"),
        verdict=conclude(question, content.findings),
        model_verdict=content.verdict,
    )


def _sum(counts: Iterable[int | None]) -> int | None:
    """A sum of what was counted; unknown if one part is."""
    known = list(counts)
    return None if None in known else sum(count or 0 for count in known)


def _order(capabilities: Capabilities) -> Literal["enforced", "verified"]:
    fixed = capabilities.order and capabilities.enforcement in {"grammar", "strict"}
    return "enforced" if fixed else "verified"


def request_sha256(request: Request) -> str:
    """Identify a request: equal hashes mean that the same was asked.

    Whom it was sent to, and with which options of a backend, is not part of it; the receipt names
    the backend beside it.

    Args:
        request: The request.

    Returns:
        The SHA-256 of its fields as JSON, the image by its own SHA-256.
    """
    fields: dict[str, Any] = {
        "system": request.system,
        "image": request.image.sha256 if request.image else None,
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
