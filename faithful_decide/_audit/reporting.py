"""Writes the report of an audit, without asking anything."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faithful_decide._audit.checks import CHECKS, run_checks
from faithful_decide._audit.checks.blind import neutral_reading
from faithful_decide._audit.checks.cue import undisclosed
from faithful_decide._audit.checks.forced import conflicts, explanations
from faithful_decide._audit.flags import flags_of, short_of
from faithful_decide._audit.gathering import comparer_of
from faithful_decide._audit.types import AuditReport, Flag
from faithful_decide._core.types import Usage
from faithful_decide._version import __version__
from faithful_decide.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from faithful_decide._audit.evidence import Evidence
    from faithful_decide._audit.flags import Thresholds
    from faithful_decide._audit.types import CheckReport, Forced
    from faithful_decide.backends.base import Backend

__all__ = ["Asked", "report_of"]


@dataclass(frozen=True, slots=True)
class Asked:
    """Who was asked."""

    model: Backend
    reader: Backend
    judge: Backend | None = None

    @property
    def reader_is_model(self) -> bool:
        """Whether the audited model reads its own observations."""
        return self.reader is self.model


def report_of(
    evidence: Evidence,
    asked: Asked,
    thresholds: Thresholds,
    *,
    image: str = "",
    seconds: float = 0.0,
) -> AuditReport:
    """Write the report; `image` is the picture as a data URI, and `seconds` what it took."""
    case = evidence.case
    comparer = comparer_of(evidence.judgements)
    checks = run_checks(evidence, comparer)
    decision = evidence.decision(asked.model)
    thought_nothing = decision.receipt.hidden_thinking_tokens == 0
    hidden = case.capabilities.thinking != "none" and not thought_nothing
    derived = decision.derived
    neutral = neutral_reading(evidence)
    read = bool(evidence.of("reader"))
    if case.tier == "screen":
        reasons: tuple[Flag, ...] = (_screened(checks),)
    else:
        reasons = flags_of(
            checks,
            case.tier,
            thresholds,
            undisclosed=undisclosed(evidence),
            hidden=hidden,
            rule_differs=derived is not None and derived.verdict != derived.model_verdict,
        )
    forced = tuple(explanations(evidence, comparer))
    notes = [] if case.tier == "screen" else [*_obeyed(forced, checks, reasons, thresholds)]
    notes += _notes(evidence, asked, hidden=hidden)
    return AuditReport(
        version=__version__,
        question=case.question,
        decision=decision,
        tier=case.tier,
        model=asked.model.name,
        reader=asked.reader.name if read else "",
        reader_is_model=read and asked.reader_is_model,
        judge=asked.judge.name if asked.judge else "",
        checks=checks,
        forced=forced,
        neutral=neutral,
        conflicts=tuple(conflicts(evidence, neutral, comparer)),
        judgements=evidence.judgements,
        reasons=reasons,
        notes=tuple(notes),
        hidden=hidden,
        thresholds=thresholds.digest,
        seed=case.seed,
        calls=len(evidence.replies),
        usage=Usage.of(a.reply.usage for a in evidence.replies if a.reply is not None),
        seconds=seconds,
        image=image,
        image_sha256=case.image.source_sha256,
    )


def _screened(checks: dict[str, CheckReport]) -> Flag:
    ran = next((check for check in checks.values() if check.trials), None)
    if ran is None:
        return Flag(name="inconclusive", because="the one call of this tier could not be used")
    hit = any(t.hit and not t.control for t in ran.trials)
    because = f"{ran.trials[0].what}; one trial proves nothing"
    return Flag(name="hit" if hit else "no_hit", because=because, checks=(ran.check,))


def _obeyed(
    forced: Sequence[Forced],
    checks: Mapping[str, CheckReport],
    reasons: Sequence[Flag],
    thresholds: Thresholds,
) -> Iterator[str]:
    """Why an explanation that argues for whatever it is told is not flagged, where it is not."""
    argued = [one.outcome == "argued" for one in forced if one.force_mode == "note"]
    if not argued or not all(argued) or any(flag.name == "accommodating" for flag in reasons):
        return
    needed = [checks[name] for name in ("blind", "forced") if name in checks]
    ran = [check for check in needed if check.score is not None]
    why = (
        short_of("accommodating", ran, thresholds)
        if len(ran) == len(needed)
        else f"not run: {', '.join(check.title for check in needed if check not in ran)}"
    )
    yield (
        "It argued for every verdict that it was told. Obedience looks the same, so that alone is "
        f"not flagged; that what it sees moves with the verdict was {why}."
    )


def _notes(evidence: Evidence, asked: Asked, *, hidden: bool) -> Iterator[str]:
    if hidden:
        yield "The model may reason out of sight; what it writes is then a report of that."
    if evidence.of("reader") and asked.reader_is_model:
        yield "The reader is the audited model itself, without the picture."
    if asked.judge is None:
        yield "No judge: wording that rules cannot compare counts as different, in the control too."
    for check in CHECKS:
        yield from check.notes(evidence)
    problems = [a.problem for a in evidence.replies if isinstance(a.problem, BackendError)]
    if problems:
        why = "; ".join(f"{n} x {text}" for text, n in Counter(map(str, problems)).most_common(3))
        yield (
            f"{len(problems)} of {len(evidence.replies)} calls failed, and are in no trial: {why}."
        )
