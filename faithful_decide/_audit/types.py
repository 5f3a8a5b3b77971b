"""The nouns of an audit: what a check found, which flags that raises, and the report around them.

A trial is one comparison that came out one way or the other: a *hit* is what a model that decides
first and explains afterwards would do. A check counts the hits of its treatment and of its control;
its score is what the treatment adds, 0 for nothing and 1 for the worst, with a 95 % interval. A
flag needs more than a score: it names the sentence that justifies it.

Everything here is frozen and reads back from its own JSON.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from faithful_decide._core.display import Audited, Frozen, plain
from faithful_decide._core.types import Decision, Observation, Question, Reservation, Usage
from faithful_decide._public import public

__all__ = [
    "AuditReport",
    "CheckReport",
    "Conflict",
    "DatasetAudit",
    "DatasetFlag",
    "Flag",
    "Forced",
    "ItemAudit",
    "Judgement",
    "Tally",
    "Tier",
    "Trial",
]

Tier = Literal["screen", "standard", "full"]
ForceMode = Literal["note", "prefix"]
Side = Literal["first", "second", "both", "neither", "unknown"]
JudgedRelation = Literal["same", "contradicts", "unrelated", "unusable"]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Outcome = Literal["argued", "objected", "kept", "other", "refused", "unusable"]
OUTCOMES: Mapping[Outcome, tuple[str, str]] = {
    "argued": ("Argued for it", "It gave the verdict that it was told, and reasons for it."),
    "objected": ("Objected", "It objected to it."),
    "kept": ("Kept its own verdict", "It kept its own verdict instead of the one it was told."),
    "other": ("Another verdict", "It gave a verdict that is neither its own nor the one told."),
    "refused": ("Refused", "The model or a filter declined to reply."),
    "unusable": ("No usable reply", "There is no usable reply."),
}
"""What became of a verdict that was forced, in two words and in a sentence."""


class Tally(Frozen):
    """Hits among trials."""

    hits: Count
    n: Count


class Trial(Frozen):
    """One comparison.

    `what` says in a sentence what was compared and what came of it; `raw` is the reply it was read
    from, as it came.
    """

    hit: bool
    control: bool
    what: str
    raw: str = ""


class CheckReport(Frozen):
    """What one check found.

    `score` is the share of hits of the treatment beyond that of the control, as a share of what the
    control left room for; None where the check was not run, and `not_run` says why. `smallest` is
    the smallest score that this many trials could have told from none at all.
    """

    check: str
    asks: str
    score: Share | None = None
    interval: tuple[Share, Share] | None = None
    treatment: Tally = Tally(hits=0, n=0)
    control: Tally = Tally(hits=0, n=0)
    control_is: str = ""
    smallest: Share | None = None
    trials: tuple[Trial, ...] = ()
    not_run: str = ""
    approximate: str = ""
    """Why the check says less than it might, where it does."""
    lost: tuple[str, ...] = ()
    """What was wrong with its calls and replies that could not be used; they are in no trial."""
    calls: Count = 0

    @property
    def title(self) -> str:
        """Its name in words."""
        return plain(self.check)


class Judgement(Frozen):
    """What a judge said of two wordings, with the words that it went by."""

    about: str
    first: str
    second: str
    relation: JudgedRelation
    quotes: tuple[str, str]
    judge: str


class Conflict(Frozen):
    """Two observations about the same thing that do not go together.

    `verdicts` are those that the two explanations were forced to; `left` says which of the two
    departed from the neutral reading, where there is one.
    """

    about: str
    verdicts: tuple[str, str]
    seen: tuple[str, str]
    neutral: str | None = None
    left: Side = "unknown"
    judged: bool = False


class Forced(Frozen):
    """The explanation that a verdict gets when it is forced.

    This is not a decision: the verdict was given, so it is of another type and cannot be taken for
    one. `forced` is the verdict that the model was told and `verdict` the one it wrote, `moved` are
    the indices of the observations that differ from the free decision's. `outcome` is what became
    of it, read from what was written; where there is no usable reply, `problem` says why.
    """

    forced: str
    force_mode: ForceMode
    verdict: str = ""
    observations: tuple[Observation, ...] = ()
    reasoning: str = ""
    relies_on: tuple[int, ...] = ()
    reservation: Reservation | None = None
    moved: tuple[int, ...] = ()
    outcome: Outcome
    problem: str = ""
    raw: str

    @property
    def title(self) -> str:
        """What became of it, in a few words."""
        return OUTCOMES[self.outcome][0]

    @property
    def sentence(self) -> str:
        """What became of it, in a sentence."""
        return OUTCOMES[self.outcome][1]


class Flag(Frozen):
    """A finding that the evidence of this audit carries, or the label for there being none."""

    name: str
    because: str
    checks: tuple[str, ...] = ()


@public
class AuditReport(Audited):
    """An audit of one decision.

    `flags` are names only; `reasons` holds each with the sentence that justifies it. Where nothing
    was flagged, the single flag is a label: `faithful_as_far_as_tested`, `no_violation_found`,
    `hit`, `no_hit` or `inconclusive`.
    """

    kind: Literal["audit"] = "audit"
    version: str
    question: Question
    decision: Decision
    tier: Tier
    model: str
    reader: str = ""
    reader_is_model: bool = False
    judge: str = ""
    checks: Mapping[str, CheckReport]
    forced: tuple[Forced, ...] = ()
    neutral: tuple[Observation, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    reasons: tuple[Flag, ...]
    notes: tuple[str, ...] = ()
    hidden: bool = False
    """Whether the model may have reasoned out of sight, which downgrades every label."""
    thresholds: str
    seed: int | None = None
    calls: Count
    usage: Usage = Usage()
    seconds: Annotated[float, Field(ge=0)] = 0.0
    image_sha256: str = ""
    image: str = ""
    """The picture as a data URI, a thumbnail of it, or nothing."""

    @property
    def flags(self) -> tuple[str, ...]:
        """The names of the flags, or of the one label."""
        return tuple(flag.name for flag in self.reasons)

    @property
    def explanations(self) -> dict[str, Forced]:
        """For every verdict the explanation that it gets when forced by a note."""
        return {one.forced: one for one in self.forced if one.force_mode == "note"}


class ItemAudit(Frozen):
    """One item of an audited data set."""

    item: str
    question: str = ""
    cluster: str = ""
    """What identifies its image; items that share one are not independent."""
    verdict: str = ""
    expected: str = ""
    """The verdict that is right, where that is known."""
    check: str = ""
    treatments: Mapping[str, Tally] = {}
    controls: Mapping[str, Tally] = {}
    flags: tuple[str, ...] = ()
    error: str = ""
    error_type: str = ""
    report: AuditReport | None = None
    """Its audit, with every reply; None for an item that failed."""

    @property
    def image(self) -> str:
        """Its picture as a data URI, or nothing."""
        return "" if self.report is None else self.report.image

    @property
    def forced(self) -> tuple[Forced, ...]:
        """The explanations that its verdicts get when they are forced."""
        return () if self.report is None else self.report.forced


class DatasetFlag(Frozen):
    """A flag of a whole data set; `p` is already corrected for the number of flags looked at.

    `because` says what is true: what justifies the flag where it was raised, else what was lacking.
    """

    name: str
    because: str
    raised: bool
    score: Share | None = None
    interval: tuple[Share, Share] | None = None
    p: Share | None = None
    checks: tuple[str, ...] = ()


@public
class DatasetAudit(Audited):
    """An audit of many decisions, its checks pooled over the items, clustered by image.

    Where no flag was raised, `label` says what that amounts to, and `label_because` why.
    """

    kind: Literal["dataset_audit"] = "dataset_audit"
    version: str
    tier: Tier
    model: str
    reader: str = ""
    items: tuple[ItemAudit, ...]
    checks: Mapping[str, CheckReport]
    flags: tuple[DatasetFlag, ...]
    label: str
    label_because: str = ""
    judge: str = ""
    judged: Tally = Tally(hits=0, n=0)
    """Of the pairs of wordings that the judge could judge, how many it called contradictions."""
    notes: tuple[str, ...] = ()
    thresholds: str
    seed: int | None = None
    calls: Count
    usage: Usage = Usage()
    seconds: Annotated[float, Field(ge=0)] = 0.0

    @property
    def conclusion(self) -> Flag:
        """Its label with the sentence that justifies it."""
        return Flag(name=self.label, because=self.label_because)
