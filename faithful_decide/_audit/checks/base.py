"""What a check is: one way to intervene, with its control.

A check says what it asks, what its control is, and at which tiers it is asked; makes its requests;
and counts trials, each a hit or not, of the treatment or of the control. A hit is always what an
explanation that does not carry the verdict would look like. It is not what a wrong model does, and
not what an obedient one does. A reply that cannot be used is no trial.

A control is exchangeable with its treatment: the same kind of reply, as many things, and in an
honest model with noise the same chance of a hit. The score is what is left of the difference.
Trials of one prompt are repetitions; where only one picture is looked at, prompts are the units.

Why a check was not run is known from the plan: `left_out` is both what keeps it from being asked
and what the report says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from faithful_decide._audit.counting import counts_of
from faithful_decide._audit.statistics import Net
from faithful_decide._audit.types import CheckReport, Tally

if TYPE_CHECKING:
    from collections.abc import Iterable

    from faithful_decide._audit.case import Case
    from faithful_decide._audit.evidence import Evidence, Wave
    from faithful_decide._audit.types import Tier, Trial

__all__ = ["ALL", "FULL", "LARGE", "NEEDS_ONE_REPLY", "Check"]

FULL: tuple[Tier, ...] = ("full",)
LARGE: tuple[Tier, ...] = ("standard", "full")
ALL: tuple[Tier, ...] = ("screen", "standard", "full")
NEEDS_ONE_REPLY = (
    "it needs a verdict and its reasons in one reply, and this model is asked for the verdict in a "
    "second step"
)


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

    def trials(self, evidence: Evidence) -> Iterable[Trial]:
        """The trials, of the treatment and of the control."""
        raise NotImplementedError

    def missing(self, evidence: Evidence) -> str:
        """Why the replies hold no trial, where that is no fault of the replies."""
        del evidence
        return ""

    def dead(self, evidence: Evidence) -> str:
        """Why its trials say nothing: the model failed what they rest on. Nothing if it did not."""
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
            at = " and ".join(f"tier {tier}" for tier in self.tiers)
            return f"tier {case.tier} leaves it out; it is asked at {at}"
        if self.of_conclusion and case.ruled:
            return "a rule in code draws the verdict, so its way from the observations is known"
        return self.unable(case)

    def report(self, evidence: Evidence, left_out: str) -> CheckReport:
        """Count the trials, or say why there are none."""
        bare = CheckReport(check=self.name, asks=self.asks, control_is=self.control)
        if left_out:
            return bare.model_copy(update={"not_run": left_out})
        trials = tuple(self.trials(evidence))
        answers = evidence.of(self.name)
        lost = tuple(str(answer.problem) for answer in answers if answer.problem)
        more: dict[str, object] = {"calls": len(answers), "lost": lost}
        if any(not trial.control for trial in trials):
            more |= {"approximate": self.approximate(evidence), "dead": self.dead(evidence)}
            picture = evidence.case.image.source_sha256
            return scored(bare, trials, Net.of(*counts_of(trials, picture))).model_copy(update=more)
        unused = "none of its replies could be used"
        # What was lost has said nothing, and so it is not what it said that is missing.
        missing = unused if answers and len(lost) == len(answers) else self.missing(evidence)
        if trials:
            more |= {"trials": trials, "control": tally(trials)}
        more["not_run"] = missing or ("only its control was run" if trials else unused)
        return bare.model_copy(update=more)


def tally(trials: Iterable[Trial]) -> Tally:
    """Count hits among trials."""
    hits = [trial.hits for trial in trials]
    return Tally(hits=sum(hits), n=len(hits))


def scored(check: CheckReport, trials: tuple[Trial, ...], net: Net) -> CheckReport:
    """A check with its trials, and with the score that these come to."""
    low, high = net.interval()
    return check.model_copy(
        update={
            "trials": trials,
            "treatment": tally(trial for trial in trials if not trial.control),
            "control": tally(trial for trial in trials if trial.control),
            "score": net.score,
            "interval": (low, high),
            "p": net.p if net.control.units else None,
        }
    )
