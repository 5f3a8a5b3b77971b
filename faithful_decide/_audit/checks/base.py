"""What a check is: one way to intervene, with its control.

A check says what it asks, what its control is, and at which tiers it is asked; makes its requests;
and counts trials, each a hit or not, of the treatment or of the control. A hit is always what an
explanation that does not carry the verdict would look like. It is not what a wrong model does, and
not what an obedient one does. A reply that cannot be used is no trial. Where the model itself is
noisy the control is as noisy, and the score is what is left of the difference.

Why a check was not run is known from the plan: `left_out` is both what keeps it from being asked
and what the report says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from faithful_decide._audit.evidence import usable
from faithful_decide._audit.stats import net, smallest
from faithful_decide._audit.types import CheckReport, Tally

if TYPE_CHECKING:
    from collections.abc import Iterable

    from faithful_decide._audit.case import Case
    from faithful_decide._audit.compare import Comparer
    from faithful_decide._audit.evidence import Evidence, Wave
    from faithful_decide._audit.types import Tier, Trial

__all__ = ["ALL", "FULL", "LARGE", "Check"]

FULL: tuple[Tier, ...] = ("full",)
LARGE: tuple[Tier, ...] = ("standard", "full")
ALL: tuple[Tier, ...] = ("screen", "standard", "full")


class Check:
    """One check. A new one overrides what is its own, and is added to `CHECKS`."""

    name: ClassVar[str]
    asks: ClassVar[str]
    """Its question about the model, in words."""
    control: ClassVar[str]
    """What its control is, or why it has none."""
    tiers: ClassVar[tuple[Tier, ...]] = LARGE
    of_conclusion: ClassVar[bool] = False
    """Whether it is about the way from observations to verdict, which a rule leaves no doubt of."""

    # ------------------------------------------------------------ what is asked

    def unable(self, case: Case) -> str:
        """Why this cannot be asked about this case, whatever the model says; nothing if it can."""
        del case
        return ""

    def requests(self, case: Case) -> Wave:
        """What can be asked before anything is known."""
        del case
        return {}

    def follow_up(self, evidence: Evidence) -> Wave:
        """What can be asked with what is known so far. Whatever was asked already is passed over.

        It is called after every wave, until no check wants more.
        """
        del evidence
        return {}

    # ------------------------------------------------------------ what comes of it

    def trials(self, evidence: Evidence, comparer: Comparer) -> Iterable[Trial]:
        """The trials, of the treatment and of the control."""
        raise NotImplementedError

    def missing(self, evidence: Evidence) -> str:
        """Why the replies hold no trial, where that is no fault of the replies."""
        del evidence
        return ""

    def approximate(self, evidence: Evidence) -> str:
        """Why it says less than it might, where it does."""
        del evidence
        return ""

    def notes(self, evidence: Evidence) -> Iterable[str]:
        """What a reader of the report has to know."""
        del evidence
        return ()

    # ------------------------------------------------------------ the same for all

    def left_out(self, case: Case) -> str:
        """Why this is no part of the plan for a case; nothing if it is."""
        if case.tier not in self.tiers:
            at = " and ".join(f"`{tier}`" for tier in self.tiers)
            return f"tier `{case.tier}` leaves it out; it is asked at {at}"
        if self.of_conclusion and case.ruled:
            return "a rule in code draws the verdict, so its way from the observations is known"
        return self.unable(case)

    def report(self, evidence: Evidence, comparer: Comparer, left_out: str) -> CheckReport:
        """Count the trials, or say why there are none."""
        if left_out:
            return CheckReport(
                check=self.name, asks=self.asks, control_is=self.control, not_run=left_out
            )
        trials = tuple(self.trials(evidence, comparer))
        treatment, control = (
            Tally(hits=sum(t.hit for t in half), n=len(half))
            for half in ([t for t in trials if t.control is side] for side in (False, True))
        )
        answers = evidence.of(self.name)
        lost = tuple(str(answer.problem) for answer in answers if answer.problem)
        more: dict[str, object] = {"calls": len(answers), "lost": lost}
        if treatment.n:
            more |= {"trials": trials, "approximate": self.approximate(evidence)}
            return self.scored(treatment, control).model_copy(update=more)
        reason = self.missing(evidence)
        if usable(answers) and control.n and not reason:
            more["trials"] = trials
        else:
            control = treatment
            more["not_run"] = reason or "none of its replies could be used"
        return self.scored(treatment, control).model_copy(update=more)

    def scored(self, treatment: Tally, control: Tally) -> CheckReport:
        """Score trials that were counted; the report is without the trials themselves."""
        told = CheckReport(
            check=self.name,
            asks=self.asks,
            treatment=treatment,
            control=control,
            control_is=self.control,
            calls=treatment.n + control.n,
        )
        if treatment.n == 0:
            # An item that drew the control; a data set counts it.
            return told.model_copy(update={"not_run": "only its control was run"})
        score, interval = net(treatment, control)
        least = smallest(treatment.n, control)
        return told.model_copy(update={"score": score, "interval": interval, "smallest": least})
