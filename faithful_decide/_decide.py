"""The pipeline: one image, one question, one verified decision.

Ask, verify, keep the proof. Nothing is repaired on the way: a reply that breaks the contract is
raised, or (with `retries`) thrown away and asked for again with the identical request. The model
is never shown what it wrote before, because reasoning written after a verdict is in view would be
written to fit it.

With `samples=n` the model reasons n times on its own and each reply has one vote. The verdict is
the one most samples reached; in a tie, the one that was reached first. The reasoning and the
receipt are those of the first sample that reached it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from faithful_decide import _contract
from faithful_decide._backend import Backend, Request
from faithful_decide._drive import TIMEOUT_S
from faithful_decide._prompt import SYSTEM, user_text
from faithful_decide._score import TOP, score_verdicts
from faithful_decide._types import Decision, Question, Receipt, Reply, Scores
from faithful_decide.errors import ContractError, OrderError, UnsupportedError, UsageError

if TYPE_CHECKING:
    from faithful_decide._backend import Capabilities
    from faithful_decide._contract import Verified
    from faithful_decide._drive import Plan
    from faithful_decide._image import PreparedImage

__all__ = ["Settings", "decision_plan", "request_sha256"]

SAMPLE_TEMPERATURE = 1.0
"""Samples are drawn from the model's own distribution, so that their shares estimate it."""
_SEEDS = 2**31


@dataclass(frozen=True, slots=True)
class Settings:
    """How to ask, apart from what."""

    samples: int = 1
    seed: int | None = None
    max_tokens: int = 512
    retries: int = 0
    timeout_s: float = TIMEOUT_S

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense, before anything is loaded."""
        for name, least in (("samples", 1), ("max_tokens", 1), ("retries", 0), ("seed", 0)):
            value = getattr(self, name)
            if name == "seed" and value is None:
                continue
            if type(value) is not int or value < least:
                msg = f"{name} must be an integer of at least {least}, not {value!r}"
                raise UsageError(msg)
        # Not "<= 0", so that it refuses nan too.
        if isinstance(self.timeout_s, bool) or not self.timeout_s > 0:
            msg = f"timeout must be a number of seconds above 0, not {self.timeout_s!r}"
            raise UsageError(msg)


@dataclass(frozen=True, slots=True)
class _Answer:
    """A reply that was verified, and how it came about."""

    request: Request
    reply: Reply
    verified: Verified
    attempts: int


def decision_plan(
    image: PreparedImage, question: Question, settings: Settings, backend: Backend
) -> Plan[Decision]:
    """Plan a decision: what to ask, and what to make of the replies.

    Args:
        image: The image as it is sent.
        question: The question.
        settings: How to ask.
        backend: Whose name and capabilities to plan for; it is not called here.

    Returns:
        The decision.
    """
    capabilities = backend.capabilities
    _check_decoder(capabilities, backend.name)
    request = Request(
        system=SYSTEM,
        image=image,
        text=user_text(question),
        schema=_contract.schema(question.labels),
        max_tokens=settings.max_tokens,
        seed=settings.seed,
    )
    if settings.samples > 1:
        answers = yield from _answers(_sampled(request, settings), question, settings.retries)
        best, scores = _vote(answers, question)
        return _decision(best, question, scores, backend)
    if capabilities.logprobs != "none":
        request = replace(request, top_logprobs=TOP)
    (answer,) = yield from _answers((request,), question, settings.retries)
    single: Scores | None = None
    if answer.reply.tokens is not None:
        single = yield from score_verdicts(
            answer.reply,
            answer.verified.verdict_span,
            question.labels,
            request,
            prefix=capabilities.prefix,
        )
    return _decision(answer, question, single, backend)


def _check_decoder(capabilities: Capabilities, name: str) -> None:
    if capabilities.decoder != "autoregressive":
        msg = f"{name} is not known to write left to right, so the order of a reply proves nothing"
        raise UnsupportedError(msg, hint="use a model whose decoder is autoregressive")


def _sampled(request: Request, settings: Settings) -> tuple[Request, ...]:
    base = secrets.randbelow(_SEEDS) if settings.seed is None else settings.seed
    return tuple(
        replace(request, temperature=SAMPLE_TEMPERATURE, seed=_derived(base, index))
        for index in range(settings.samples)
    )


def _derived(seed: int, index: int) -> int:
    """A seed of its own for each sample; neighbouring seeds must not share samples."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{index}".encode()).digest()[:8]) % _SEEDS


def _answers(
    requests: tuple[Request, ...], question: Question, retries: int
) -> Plan[tuple[_Answer, ...]]:
    """Ask until every request has a verified reply or one of them has used up its attempts."""
    answers: dict[int, _Answer] = {}
    attempts = 0
    while pending := [index for index in range(len(requests)) if index not in answers]:
        attempts += 1
        replies = yield tuple(requests[index] for index in pending)
        for index, reply in zip(pending, replies, strict=True):
            try:
                verified = _contract.verify(reply, question.labels)
            except (ContractError, OrderError):
                # Not for a refusal or a cut: asking again until it suits would select verdicts.
                if attempts > retries:
                    raise
            else:
                answers[index] = _Answer(requests[index], reply, verified, attempts)
    return tuple(answers[index] for index in range(len(requests)))


def _vote(answers: tuple[_Answer, ...], question: Question) -> tuple[_Answer, Scores]:
    votes = Counter(answer.verified.content.verdict for answer in answers)
    # A Counter lists equal counts in the order in which they were first met.
    (verdict, _), *_ = votes.most_common(1)
    shares = {label: votes[label] / len(answers) for label in question.labels}
    best = next(answer for answer in answers if answer.verified.content.verdict == verdict)
    return best, Scores(source="samples", probabilities=shares, n=len(answers))


def _decision(
    answer: _Answer, question: Question, scores: Scores | None, backend: Backend
) -> Decision:
    content, reply = answer.verified.content, answer.reply
    return Decision(
        question=question,
        verdict=content.verdict,
        observations=content.observations,
        reasoning=content.reasoning,
        scores=scores,
        receipt=Receipt(
            order=_order(backend.capabilities),
            enforcement=backend.capabilities.enforcement,
            raw=reply.text,
            reasoning_span=answer.verified.reasoning_span,
            verdict_span=answer.verified.verdict_span,
            finish=reply.finish,
            backend=backend.name,
            model=reply.model,
            fingerprint=reply.fingerprint,
            request_sha256=request_sha256(answer.request),
            hidden_thinking_tokens=reply.hidden_thinking_tokens,
            usage=reply.usage,
            latency_s=reply.latency_s,
            seed=answer.request.seed,
            attempts=answer.attempts,
        ),
    )


def _order(capabilities: Capabilities) -> Literal["enforced", "verified"]:
    fixed = capabilities.order and capabilities.enforcement in {"grammar", "strict"}
    return "enforced" if fixed else "verified"


def request_sha256(request: Request) -> str:
    """Identify a request: equal hashes mean that the model was sent the same thing.

    Args:
        request: The request.

    Returns:
        The SHA-256 of its fields as JSON, the image by its own SHA-256.
    """
    fields = {
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
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
