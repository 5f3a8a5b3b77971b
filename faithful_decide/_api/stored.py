"""Checks a stored decision again, offline.

Nothing in the file is believed except the raw reply: it is verified again, and the verdict, the
observations, the reasoning and the byte spans are compared with what it says. Without the image
and the model the hash of the request can only be checked for its form.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace

from pydantic import BaseModel, ConfigDict, ValidationError

from faithful_decide._core.contract import (
    Verified,
    concluded,
    verify,
    verify_reasons,
    verify_verdict,
)
from faithful_decide._core.types import Decision, Reply
from faithful_decide._public import public
from faithful_decide.errors import ContractError, ReplyError, UsageError

__all__ = ["verify_stored"]

_CHANGED = "the file was changed after it was written; decide again"


@public
def verify_stored(data: str | bytes) -> Decision:
    """Read a stored decision and verify it again.

    Args:
        data: What `Decision.model_dump_json` wrote.

    Returns:
        The decision, verified.

    Raises:
        ContractError: It is not a decision, or it says something else than its raw reply.
        OrderError: Its raw reply has the verdict before the reasons.
        TruncatedError: Its raw reply was cut off.
        RefusedError: Its raw reply is a refusal.
    """
    try:
        decision = Decision.model_validate_json(data)
    except (ValidationError, UsageError) as error:
        msg = "this is not a stored decision"
        raise ContractError(msg, hint=f"store decisions with model_dump_json(): {error}") from error
    receipt = decision.receipt
    reply = Reply(receipt.raw, receipt.finish, model=receipt.model)
    verified = _verified(reply, decision)
    content = verified.content
    said = {
        "verdict": _written(decision) == content.verdict,
        "observations": decision.observations == content.observations,
        "reasoning": decision.reasoning == content.reasoning,
        "receipt.reasoning_span": receipt.reasoning_span == verified.reasoning_span,
        "receipt.verdict_span": receipt.verdict_span == verified.verdict_span,
        "derived": _derived(decision) == (content.findings and content.findings.model_dump()),
        "receipt.order": (receipt.order == "two_steps") == (receipt.second_at is not None)
        and (receipt.order != "enforced" or receipt.enforcement in {"grammar", "strict"}),
        "scores": _plausible(decision),
    }
    if wrong := [name for name, agrees in said.items() if not agrees]:
        msg = f"the decision does not agree with its own raw reply in: {', '.join(wrong)}"
        raise ContractError(msg, reply=reply, hint=_CHANGED)
    return decision


def _verified(reply: Reply, decision: Decision) -> Verified:
    """Verify a raw text of one reply, or of two that were joined."""
    labels, at = decision.question.labels, decision.receipt.second_at
    findings = None if decision.derived is None else _Findings
    if at is None:
        try:
            return verify(reply, labels, findings=findings)
        except ContractError as error:
            # The decision of an audit has two keys more.
            with suppress(ReplyError):
                return verify(reply, labels, audited=True, findings=findings)
            raise error from None
    raw = reply.text.encode()
    try:
        first, second = raw[: at - 1].decode(), raw[at:].decode()
    except UnicodeDecodeError:
        msg = "the raw reply is not cut where the second one begins"
        raise ContractError(msg, reply=reply, hint=_CHANGED) from None
    reasons = verify_reasons(replace(reply, text=first), findings)
    verdict, span = verify_verdict(replace(reply, text=second), labels)
    return concluded(reasons, verdict, span, at)


class _Findings(BaseModel):
    """Findings of any kind: what they had to be is not stored, only what they were."""

    model_config = ConfigDict(extra="allow")


def _written(decision: Decision) -> str:
    """The verdict that the model wrote, which is not the decision's where a rule drew that."""
    return decision.verdict if decision.derived is None else decision.derived.model_verdict


def _derived(decision: Decision) -> dict[str, object] | None:
    """The findings, if the decision's verdict is the one that was drawn from them."""
    derived = decision.derived
    if derived is None or derived.verdict != decision.verdict:
        return None
    return dict(derived.findings)


def _plausible(decision: Decision) -> bool:
    if decision.scores is None:
        return True
    probabilities = decision.scores.probabilities
    if set(probabilities) != set(decision.question.labels):
        return False
    if not math.isclose(math.fsum(probabilities.values()), 1.0, abs_tol=1e-6):
        return False
    best = max(probabilities.values())
    return decision.scores.source != "samples" or probabilities[decision.verdict] == best
