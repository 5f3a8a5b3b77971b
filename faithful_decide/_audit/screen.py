"""The smallest audit: one call more for a decision, of a check that its content draws.

One trial says nothing about one decision. Over many of them the trials add up, check by check, to
what a larger audit of fewer decisions would say. So a screen runs along with a batch: each row gets
what its one call showed, and the rows are pooled.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from faithful_decide._audit.case import Case
from faithful_decide._audit.checks import BY_NAME, drawn_check, run_checks
from faithful_decide._audit.evidence import DECISION, Evidence
from faithful_decide._audit.gathering import decided_before, follow_up_plan
from faithful_decide._audit.statistics import Count, Net
from faithful_decide._audit.types import CheckReport, Tally
from faithful_decide._images.prepare import grey

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from faithful_decide._asking.options import Options
    from faithful_decide._asking.plans import Plan
    from faithful_decide._core.types import Decision
    from faithful_decide._images.prepare import PreparedImage
    from faithful_decide.backends.base import Backend

__all__ = ["Pool", "screening"]


def screening(
    settings: Options,
) -> Callable[[tuple[PreparedImage, ...], Decision, Backend], Plan[Mapping[str, Any]]]:
    """Make what screens a decision that was asked for elsewhere, with such settings.

    It plans the one call more. Its columns are `audit` (`hit`, `no_hit` or `inconclusive`),
    `audit_check`, `audit_trial` (`treatment` or `control`) and `audit_why`.
    """

    def screen(
        images: tuple[PreparedImage, ...], decision: Decision, backend: Backend
    ) -> Plan[Mapping[str, Any]]:
        if len(images) != 1:
            why = f"an audit is about one image, and this is about {len(images)}"
            return _columns("inconclusive", "", None, why)
        (image,) = images
        question = decision.question
        case = Case(
            image,
            grey(image, backend.capabilities.image_limits),
            question,
            backend.capabilities,
            settings.max_tokens,
            settings.seed,
            tier="screen",
            ruled=question.rule is not None,
        )
        answer = decided_before(case.decision(), decision)
        evidence = Evidence(case, {DECISION: (answer,)}, given=decision)
        yield from follow_up_plan(evidence)
        name = drawn_check(case)
        report = run_checks(evidence)[name]
        if not report.trials:
            why = "; ".join((report.not_run, *report.lost))
            return _columns("inconclusive", name, None, why)
        trial = report.trials[0]
        side = "control" if trial.control else "treatment"
        return _columns("hit" if trial.hit else "no_hit", name, side, trial.what)

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
        """Count what `screening` made; other columns, and what settled nothing, are passed over."""
        if (trial := columns.get("audit_trial")) is not None:
            count = self.counts.setdefault((columns["audit_check"], trial), [0, 0])
            count[0] += columns["audit"] == "hit"
            count[1] += 1

    def checks(self) -> dict[str, CheckReport]:
        """The checks that had a trial, without their trials."""
        drawn = {name for name, _ in self.counts}
        return {name: self._check(name) for name in BY_NAME if name in drawn}

    def _check(self, name: str) -> CheckReport:
        check = BY_NAME[name]
        sides = [self.counts.get((name, side), [0, 0]) for side in ("treatment", "control")]
        counts = [
            [Count(f"{side} {i}", "", float(i < hits)) for i in range(n)]
            for side, (hits, n) in enumerate(sides)
        ]
        treatment, control = (Tally(hits=hits, n=n) for hits, n in sides)
        bare = CheckReport(
            check=name,
            asks=check.asks,
            control_is=check.control,
            treatment=treatment,
            control=control,
            calls=treatment.n + control.n,
        )
        if not treatment.n:
            return bare.model_copy(update={"not_run": "only its control was run"})
        net = Net.of(*counts)
        found = {"score": net.score, "interval": net.interval(), "p": net.p}
        return bare.model_copy(update=found)
