"""The nouns of an audit: what a check saw, what the model takes back, and what that amounts to.

A trial is one comparison that came out one way or the other: a *hit* is what a model would do whose
reasons do not carry its verdict. A check counts the hits of its treatment and of its control; its
score is what the treatment adds, 0 for nothing and 1 for the worst, with a 95 % interval. A finding
says of one flag whether it was raised, not raised, out of reach or not asked, in a sentence.

Everything here is frozen and reads back from its own JSON.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from faithful_decide._core.display import Audited, Frozen, plain
from faithful_decide._core.types import Decision, Observation, Question, Reservation, Usage
from faithful_decide._nearest import hinting
from faithful_decide._public import public

__all__ = [
    "OUTCOMES",
    "AuditReport",
    "CheckReport",
    "Claim",
    "Conflict",
    "DatasetAudit",
    "Finding",
    "Forced",
    "ItemAudit",
    "Judgement",
    "Label",
    "Origin",
    "Outcome",
    "Preflight",
    "State",
    "Tally",
    "Tier",
    "Trial",
    "Value",
    "Witnessed",
    "numbers_of",
]

Tier = Literal["screen", "standard", "full"]
ForceMode = Literal["note", "prefix"]
JudgedRelation = Literal["same", "contradicts", "unrelated", "unusable"]
Value = Literal["true", "false", "cannot_tell"]
Origin = Literal["free", "told", "blind", "foreign", "reworded"]
"""Whose a claim is: of the free replies, of one that was told its verdict, of a reading that knew
of no question, of another picture, or of a free reply in other words."""
Witnessed = Literal["confirmed", "contested", "not_seen", ""]
State = Literal["raised", "not_raised", "out_of_reach", "not_asked"]
Label = Literal["flagged", "no_violation_found", "faithful_as_far_as_tested", "inconclusive"]
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
"""What became of a verdict that was forced, in a few words and in a sentence."""


class Tally(Frozen):
    """Hits among trials; where probabilities were read, hits that are to be expected."""

    hits: Annotated[float, Field(ge=0)]
    n: Count

    def __str__(self) -> str:
        """So many of so many."""
        return f"{round(self.hits, 2):g} of {self.n}"


class Trial(Frozen):
    """One comparison.

    Trials of one `prompt` are repetitions, and count as one. `share` is how much of a hit it is,
    where that is a probability. `what` says what was compared and what came of it; `raw` is the
    reply it was read from, as it came.
    """

    hit: bool
    control: bool
    prompt: str = ""
    share: Share | None = None
    says_so: bool = False
    """Whether the reply speaks of the hint that it was given."""
    what: str
    raw: str = ""

    @property
    def hits(self) -> float:
        """How much of a hit it is."""
        return float(self.hit) if self.share is None else self.share


class CheckReport(Frozen):
    """What one check saw.

    `score` is the share of hits of the treatment beyond that of the control, as a share of what the
    control left room for; None where the check was not run, and `not_run` says why. `in_reach` says
    whether so many trials, with such a control, could have raised a flag; `reach` says from which
    score on.
    `dead` is why its replies say nothing, where the model failed what they rest on.
    """

    check: str
    asks: str
    score: Share | None = None
    interval: tuple[Share, Share] | None = None
    p: Share | None = None
    treatment: Tally = Tally(hits=0, n=0)
    control: Tally = Tally(hits=0, n=0)
    control_is: str = ""
    in_reach: bool = False
    reach: str = ""
    dead: str = ""
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


def numbers_of(check: CheckReport) -> str:
    """What a check counted, in a few words."""
    low, high = check.interval or (0.0, 1.0)
    control = f", control {check.control}" if check.control.n else ""
    score = f"net {check.score or 0.0:.2f} [{low:.2f}, {high:.2f}]"
    return f"{check.title}: {check.treatment}{control}, {score}"


class Claim(Frozen):
    """Something that was said to be seen, and what the same model says of it when asked blind.

    `of` says where it was said, and `told` which verdicts the model had been told there. `value` is
    the model's judgement when asked blind, None where nothing usable was said; `denied` is the
    share of replies that deny it, and `sees` what one of these sees instead. A `witness` is another
    model.
    """

    about: str
    seen: str
    of: tuple[Origin, ...]
    told: tuple[str, ...] = ()
    value: Value | None = None
    denied: Share = 0.0
    sees: str = ""
    witness: Witnessed = ""

    @property
    def became(self) -> str:
        """What it says of it when asked blind, in words."""
        words = {
            "true": "affirmed blind",
            "false": "denied blind",
            "cannot_tell": "denied once, not twice" if self.denied else "cannot tell",
            None: "no usable reply",
        }
        return words[self.value]


class Judgement(Frozen):
    """What a judge said of two wordings, with the words that it went by."""

    about: str
    first: str
    second: str
    relation: JudgedRelation
    quotes: tuple[str, str]
    judge: str


class Conflict(Frozen):
    """What the explanations of two verdicts say of one thing, where they contradict each other.

    `blind` is what a description without the question says of it, if there is one.
    """

    about: str
    verdicts: tuple[str, str]
    seen: tuple[str, str]
    blind: str | None = None
    judged: bool = False


class Forced(Frozen):
    """The explanation that a verdict gets when it is forced.

    This is not a decision: the verdict was given, so it is of another type and cannot be taken for
    one. `forced` is the verdict that the model was told and `verdict` the one it wrote. `outcome`
    is what became of it most often, `outcomes` how often what; the explanation is one of those with
    that outcome. `taken_back` are the claims of it that the same model denies when it is asked
    blind. Where there is no usable reply, `problem` says why.
    """

    forced: str
    force_mode: ForceMode
    verdict: str = ""
    observations: tuple[Observation, ...] = ()
    reasoning: str = ""
    relies_on: tuple[int, ...] = ()
    reservation: Reservation | None = None
    taken_back: tuple[Claim, ...] = ()
    outcome: Outcome
    outcomes: Mapping[Outcome, Count] = {}
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


class Finding(Frozen):
    """What an audit says of one flag.

    `name` is what it is raised as, `sentence` what is true of its state. Where the state is
    `out_of_reach`, the flag could not have been raised whatever the model did. `p` is corrected for
    the number of flags looked at; `reach` is the smallest true score that would have been found.
    """

    flag: str
    name: str
    state: State
    sentence: str
    checks: tuple[str, ...] = ()
    score: Share | None = None
    interval: tuple[Share, Share] | None = None
    p: Share | None = None
    reach: Share | None = None


@hinting
class _Found(Audited):
    """What an audit of one decision and one of many have in common.

    `flags` are the names raised, `findings` say of every flag what is known. `label` is what that
    amounts to: `flagged`; `no_violation_found`, where everything of the tier was in reach;
    `faithful_as_far_as_tested`, where it was also shown to be next to nothing; or `inconclusive`,
    where `label_because` names what was out of reach, and what to do.
    """

    version: str
    tier: Tier
    model: str
    reader: str = ""
    judge: str = ""
    judge_errors: Mapping[str, Tally] = {}
    """How often it was wrong about pairs whose relation is known by construction."""
    witness: str = ""
    told: str = ""
    """What came of telling the model each verdict, in a sentence."""
    flags: tuple[str, ...] = ()
    label: Label
    label_because: str = ""
    findings: tuple[Finding, ...] = ()
    checks: Mapping[str, CheckReport]
    notes: tuple[str, ...] = ()
    hidden: bool = False
    """Whether the model may have reasoned out of sight, so that no label says it is faithful."""
    thresholds: str
    seed: int | None = None
    calls: Count
    usage: Usage = Usage()
    seconds: Annotated[float, Field(ge=0)] = 0.0

    def finding(self, flag: str) -> Finding | None:
        """What it says of one flag."""
        return next((found for found in self.findings if found.flag == flag), None)


@public
@hinting
class AuditReport(_Found):
    """An audit of one decision.

    `forced` has the explanation of each verdict that the model was told by a note, `forced_first`
    the explanation of each that stood first in its reply. `claims` is everything that the model
    said it saw, with what it says of it when asked blind.
    """

    kind: Literal["audit"] = "audit"
    question: Question
    decision: Decision
    reader_is_model: bool = False
    forced: Mapping[str, Forced] = {}
    forced_first: Mapping[str, Forced] = {}
    blind: tuple[Observation, ...] = ()
    """What it sees of the same things when it does not know what is asked."""
    claims: tuple[Claim, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    image_sha256: str = ""
    image: str = ""
    """The picture as a data URI, a thumbnail of it, or nothing."""

    def claim(self, observation: Observation) -> Claim | None:
        """What is known of an observation as a claim."""
        said = (observation.about, observation.seen)
        return next((claim for claim in self.claims if (claim.about, claim.seen) == said), None)


class ItemAudit(Frozen):
    """One item of an audited data set."""

    item: str
    question: str = ""
    cluster: str = ""
    """What identifies its image; items that share one are not independent."""
    verdict: str = ""
    expected: str = ""
    """The verdict that is right, where that is known."""
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
    def forced(self) -> Mapping[str, Forced]:
        """The explanations that its verdicts get when they are forced."""
        return {} if self.report is None else self.report.forced


class Preflight(Frozen):
    """How much the replies of a model move when nothing changes, and whether fields are filled.

    Measured on pairs of replies to one request. `names` is the share of things in one that the
    other calls otherwise or leaves out, `words` that of things in both that are worded otherwise,
    `verdicts` that of pairs with different verdicts. `relies_on` is the share of replies that name
    what they rely on, `reservations` that of objections among those that were told their own
    verdict, `usable` that of replies that could be used.
    """

    items: Count
    pairs: Count = 0
    names: Share | None = None
    words: Share | None = None
    verdicts: Share | None = None
    relies_on: Share | None = None
    reservations: Share | None = None
    usable: Share | None = None


@public
@hinting
class DatasetAudit(_Found):
    """An audit of many decisions, its checks pooled over the items, clustered by image."""

    kind: Literal["dataset_audit"] = "dataset_audit"
    items: tuple[ItemAudit, ...]
    preflight: Preflight | None = None
