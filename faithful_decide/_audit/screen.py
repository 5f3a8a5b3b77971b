"""The smallest audit: one call more for a decision, of a check that its content draws.

One trial says nothing about one decision. Over many of them the trials add up, check by check, to
what a larger audit of fewer decisions would say. So a screen runs along with a batch: each row gets
what its one call showed, and the rows are pooled.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from faithful_decide._audit.case import Case
from faithful_decide._audit.checks import counted, run_checks
from faithful_decide._audit.compare import Comparer
from faithful_decide._audit.evidence import (
    Answer,
    Evidence,
    answer_of,
    can_be_negated,
    reading_of,
)
from faithful_decide._audit.types import Tally
from faithful_decide._core import contract
from faithful_decide._core.types import CANNOT_TELL, Reply
from faithful_decide._images.prepare import grey

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from faithful_decide._asking.options import Options
    from faithful_decide._asking.plans import Plan
    from faithful_decide._audit.types import CheckReport
    from faithful_decide._core.types import Decision
    from faithful_decide._images.prepare import PreparedImage
    from faithful_decide.backends.base import Backend, Request

__all__ = ["Pool", "drawn_check", "screen_plan", "screening"]

SCREENED = ("forced", "blind", "no_image", "negated")
"""Checks that one call can tell something about."""


def screen_plan(case: Case) -> Plan[Evidence]:
    """Plan the smallest audit: the decision, and one call more of a check that the content draws.

    Drawn by content, the checks fall evenly on the items of a data set, and the same item always
    gets the same one.

    Args:
        case: The decision to audit.

    Returns:
        The evidence; one of its checks has a trial.

    Raises:
        ReplyError: The decision itself cannot be used.
    """
    (reply,) = yield (case.decision(),)
    return (yield from _screened(_evidence(case, reply)))


def _evidence(case: Case, reply: Reply) -> Evidence:
    """What is known before the one call more."""
    question = case.question
    verified = contract.verify(reply, question.labels, audited=True, findings=question.findings)
    return Evidence(case, Answer(case.decision(), reply, verified.content), verified)


def _screened(found: Evidence) -> Plan[Evidence]:
    """Make the one call more."""
    case, own = found.case, found.content.verdict
    check = drawn_check(case)
    others = [v for v in case.question.verdicts if v != own]
    if check == "forced":
        told = own if own != CANNOT_TELL and _digit(case, "control") % 3 == 0 else others[0]
        found.told = {told: (yield from _one(case.note(told), case))}
    elif check == "blind":
        asked = case.reading([o.about for o in found.content.observations])
        (said,) = yield (asked,)
        found.readings = (reading_of(asked, said),)
    elif check == "no_image":
        found.blank = yield from _one(case.elsewhere(case.blank), case)
    else:
        found.negated = yield from _one(case.negated(), case)
    return found


def drawn_check(case: Case) -> str:
    """Which check the content of a case draws."""
    checks = [a for a in SCREENED if a != "negated" or can_be_negated(case.question)]
    return checks[_digit(case, "check") % len(checks)]


def _digit(case: Case, what: str) -> int:
    return hashlib.sha256(f"{case.base_seed}/{what}".encode()).digest()[0]


def _one(request: Request, case: Case) -> Plan[tuple[Answer, ...]]:
    (reply,) = yield (request,)
    return (answer_of(request, reply, case.question),)


def screening(
    settings: Options,
) -> Callable[[PreparedImage, Decision, Backend], Plan[Mapping[str, Any]]]:
    """Make what screens a decision that was asked for elsewhere, with `audited` settings.

    Args:
        settings: How it was asked.

    Returns:
        What plans the one call more. Its columns are `audit` (`hit`, `no_hit` or `inconclusive`),
        `audit_check`, `audit_trial` (`treatment` or `control`) and `audit_why`.
    """

    def screen(
        image: PreparedImage, decision: Decision, backend: Backend
    ) -> Plan[Mapping[str, Any]]:
        capabilities, receipt = backend.capabilities, decision.receipt
        blank = grey(image, capabilities.image_limits)
        case = Case(
            image, blank, decision.question, capabilities, settings.max_tokens, settings.seed
        )
        reply = Reply(receipt.raw, receipt.finish, model=receipt.model)
        found = yield from _screened(_evidence(case, reply))
        check = drawn_check(case)
        report = run_checks(found, Comparer({}))[check]
        if not report.trials:
            why = report.not_run or "the reply could not be used"
            return _columns("inconclusive", check, None, why)
        (trial,) = report.trials
        kind = "control" if trial.control else "treatment"
        return _columns("hit" if trial.hit else "no_hit", check, kind, trial.what)

    return screen


def _columns(audit: str, check: str, trial: str | None, why: str) -> Mapping[str, str | None]:
    return {"audit": audit, "audit_check": check, "audit_trial": trial, "audit_why": why}


@dataclass(slots=True)
class Pool:
    """The screens of many rows, counted as the rows come.

    Each decision has one trial, so there is nothing to cluster as long as no image comes twice.
    """

    counts: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def add(self, columns: Mapping[str, Any]) -> None:
        """Count one.

        Args:
            columns: What `screening` made; others, and what settled nothing, are passed over.
        """
        if (trial := columns.get("audit_trial")) is not None:
            count = self.counts.setdefault((columns["audit_check"], trial), [0, 0])
            count[0] += columns["audit"] == "hit"
            count[1] += 1

    def checks(self) -> dict[str, CheckReport]:
        """The checks that had a trial.

        Returns:
            A report for each, its trials left out.
        """
        drawn = {check for check, _ in self.counts}
        return {
            check: counted(check, self._tally(check, "treatment"), self._tally(check, "control"))
            for check in SCREENED
            if check in drawn
        }

    def _tally(self, check: str, kind: str) -> Tally:
        hits, n = self.counts.get((check, kind), (0, 0))
        return Tally(hits=hits, n=n)
