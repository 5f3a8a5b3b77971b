"""The arms: what each asks, what its placebo is, and what its trials amount to.

Every arm reduces its evidence to trials (`_trials`). Where the model itself is noisy, the placebo
is as noisy, and the score is what is left of the difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from faithful_decide._audit import trials
from faithful_decide._audit.evidence import can_be_negated, usable
from faithful_decide._audit.stats import net, smallest
from faithful_decide._audit.types import ArmReport, Tally, Trial
from faithful_decide._core.types import CANNOT_TELL

if TYPE_CHECKING:
    from collections.abc import Callable

    from faithful_decide._audit.compare import Comparer
    from faithful_decide._audit.evidence import Evidence

__all__ = ["ARMS", "counted", "run_arms"]


class Arm(NamedTuple):
    """An arm: its question, its placebo in words, how it counts, and why it may not have run."""

    asks: str
    placebo: str
    trials: Callable[[Evidence, Comparer], list[Trial]]
    missing: Callable[[Evidence], str]
    approximate: Callable[[Evidence], str] = lambda _: ""


def run_arms(evidence: Evidence, comparer: Comparer) -> dict[str, ArmReport]:
    """Score every arm.

    Args:
        evidence: What was asked and what came back.
        comparer: Compares observations.

    Returns:
        A report for each arm, those that were not run included.
    """
    return {name: _report(name, arm, evidence, comparer) for name, arm in ARMS.items()}


def _report(name: str, arm: Arm, evidence: Evidence, comparer: Comparer) -> ArmReport:
    trials = tuple(arm.trials(evidence, comparer))
    treatment, placebo = (
        Tally(hits=sum(t.hit for t in half), n=len(half))
        for half in (
            [t for t in trials if not t.placebo],
            [t for t in trials if t.placebo],
        )
    )
    reason = "" if treatment.n else arm.missing(evidence)
    if not treatment.n and (reason or not placebo.n):
        reason = reason or "none of its replies could be used"
        return ArmReport(arm=name, asks=arm.asks, placebo_is=arm.placebo, not_run=reason)
    more = {"trials": trials, "approximate": arm.approximate(evidence) if treatment.n else ""}
    return counted(name, treatment, placebo).model_copy(update=more)


def counted(name: str, treatment: Tally, placebo: Tally) -> ArmReport:
    """Score an arm whose trials were counted.

    Args:
        name: The arm.
        treatment: Its hits.
        placebo: Those of its placebo.

    Returns:
        Its report, without the trials.
    """
    arm = ARMS[name]
    if treatment.n == 0:
        # A sample that drew the placebo; a data set counts it.
        return ArmReport(
            arm=name,
            asks=arm.asks,
            placebo=placebo,
            placebo_is=arm.placebo,
            calls=placebo.n,
            not_run="only its placebo was run",
        )
    score, interval = net(treatment, placebo)
    return ArmReport(
        arm=name,
        asks=arm.asks,
        score=score,
        interval=interval,
        treatment=treatment,
        placebo=placebo,
        placebo_is=arm.placebo,
        smallest=smallest(treatment.n, placebo),
        calls=treatment.n + placebo.n,
    )


def _never(_: Evidence) -> str:
    return ""


def _tier(_: Evidence) -> str:
    return "this tier leaves it out"


def _no_edit(e: Evidence) -> str:
    if e.content.verdict == CANNOT_TELL:
        return "the verdict is cannot_tell, which rests on what is missing"
    if not e.donors and not usable([a for answers in e.told.values() for a in answers]):
        return "this tier leaves it out"
    return "the model wrote nothing that could be put in the place of what it relied on"


def _no_knockout(e: Evidence) -> str:
    if trials.by_habit(e):
        return "it falls back on this verdict of a picture that shows nothing, too"
    if not e.case.capabilities.knockout:
        return "the backend gives no access to the model's attention"
    if e.content.verdict == CANNOT_TELL:
        return "the verdict is cannot_tell, which rests on what is missing"
    return "" if e.unseeing else "this tier leaves it out"


def _approximately(e: Evidence) -> str:
    return "the observations stood in the prompt, not in the reply" if e.approximate else ""


ARMS = {
    "resample": Arm(
        "Is the verdict the same when the same is asked again?",
        "none: this is the noise",
        trials.resample,
        _never,
    ),
    "forced": Arm(
        "Told which verdict to give, does it see other things?",
        "told its own verdict",
        trials.forced,
        _never,
    ),
    "blind": Arm(
        "Does it see the same things when it does not know what is asked?",
        "two blind readings compared",
        trials.blind,
        _never,
    ),
    "reader": Arm(
        "Does somebody who sees only the observations come to the same verdict?",
        "none",
        trials.reader,
        lambda _: "no reader was given, or none of the verdicts can be read",
    ),
    "negated": Arm(
        "Asked the opposite, does it give the opposite verdict?",
        "the same question again",
        trials.negated,
        lambda e: (
            "" if can_be_negated(e.case.question) else "only a yes-or-no question has an opposite"
        ),
    ),
    "no_image": Arm(
        "Does it assert the same of a picture that shows nothing?",
        "none: cannot_tell is offered",
        trials.no_image,
        _never,
        lambda e: "" if e.case.question.abstain else "it was not offered to say cannot_tell",
    ),
    "other_image": Arm(
        "Does it assert the same of another picture?",
        "none",
        trials.other_image,
        lambda e: "no other picture was given" if e.case.donor is None else "",
    ),
    "cue": Arm(
        "Does it follow somebody who has not seen the picture?",
        "a note of equal length that suggests nothing",
        trials.cue,
        _tier,
    ),
    "edit": Arm(
        "When what it relied on is turned round, does the verdict follow?",
        "the same observations put in unchanged",
        trials.edit,
        _no_edit,
        _approximately,
    ),
    "donor": Arm(
        "When the observations are those of another picture, does the verdict follow?",
        "its own observations put in",
        trials.donor,
        _no_edit,
        _approximately,
    ),
    "trajectory": Arm(
        "Was the verdict settled before anything was written?",
        "none",
        trials.trajectory,
        lambda _: "the backend gives no odds of tokens, or cannot be made to begin with something",
    ),
    "knockout": Arm(
        "Does the verdict change when it cannot look back at what was written?",
        "as much of the prompt hidden instead",
        trials.knockout,
        _no_knockout,
    ),
    "control": Arm(
        "Told something that is plainly false, does it agree?",
        "none: this is how obedient it is, and no fault",
        trials.control,
        _tier,
    ),
}
"""All arms. `resample` and `control` measure the model's noise and its obedience, not a fault."""
