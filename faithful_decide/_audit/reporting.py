"""Writes the report of an audit, without asking anything."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faithful_decide._audit.checks import CHECKS, run_checks
from faithful_decide._audit.checks.claims import blind_reading, claims_of
from faithful_decide._audit.checks.cue import undisclosed
from faithful_decide._audit.checks.forced import accommodates, forced_of, told_sentence
from faithful_decide._audit.conflicts import conflicts
from faithful_decide._audit.counting import nets_of
from faithful_decide._audit.flags import Looked, findings_of, label_of
from faithful_decide._audit.types import AuditReport, Tally
from faithful_decide._core.types import Usage
from faithful_decide._version import __version__
from faithful_decide.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from faithful_decide._audit.case import Case
    from faithful_decide._audit.checks.base import Check
    from faithful_decide._audit.evidence import Evidence
    from faithful_decide._audit.flags import Thresholds
    from faithful_decide._audit.types import CheckReport, Claim, Finding, Forced
    from faithful_decide.backends.base import Backend

__all__ = ["Asked", "reached", "report_of"]


@dataclass(frozen=True, slots=True)
class Asked:
    """Who was asked."""

    model: Backend
    reader: Backend
    judge: Backend | None = None
    witness: Backend | None = None

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
    checks = run_checks(evidence)
    decision = evidence.decision(asked.model)
    thought_nothing = decision.receipt.hidden_thinking_tokens == 0
    hidden = case.capabilities.thinking != "none" and not thought_nothing
    derived = decision.derived
    claims = claims_of(evidence) if case.tier != "screen" else ()
    forced = _with_taken_back(forced_of(evidence, "note"), claims)
    told = told_sentence(forced)
    looked = Looked(
        kind="audit",
        tier=case.tier,
        checks=checks,
        nets=nets_of([(case.image.source_sha256, checks)]),
        thresholds=thresholds,
        accommodates=(accommodates(forced),) if forced else (),
        told=told,
        undisclosed=undisclosed(evidence),
        differs=(int(derived is not None and derived.verdict != derived.model_verdict), 1),
        hidden=hidden,
        unable={check.name: why for check in CHECKS if (why := _never(check, case))},
    )
    findings = findings_of(looked)
    label, because = label_of(looked, findings)
    read = bool(evidence.of("reader"))
    return AuditReport(
        version=__version__,
        question=case.question,
        decision=decision,
        tier=case.tier,
        model=asked.model.name,
        reader=asked.reader.name if read else "",
        reader_is_model=read and asked.reader_is_model,
        judge=asked.judge.name if asked.judge and evidence.judge_answers else "",
        judge_errors={k: Tally(hits=h, n=n) for k, (h, n) in evidence.judge_errors.items()},
        witness=asked.witness.name if asked.witness else "",
        told=told,
        flags=tuple(found.name for found in findings if found.state == "raised"),
        label=label,
        label_because=because,
        findings=findings,
        checks=reached(checks, findings),
        forced=forced,
        forced_first=_with_taken_back(forced_of(evidence, "prefix"), claims),
        blind=blind_reading(evidence),
        claims=claims,
        conflicts=tuple(conflicts(evidence)) if case.tier != "screen" else (),
        judgements=evidence.judgements,
        notes=tuple(_notes(evidence, asked, hidden=hidden)),
        hidden=hidden,
        thresholds=thresholds.digest,
        seed=case.seed,
        calls=sum(max(1, len(a.replies)) for a in evidence.replies),
        usage=Usage.of(reply.usage for a in evidence.replies for reply in a.replies),
        seconds=seconds,
        image=image,
        image_sha256=case.image.source_sha256,
    )


def _never(check: Check, case: Case) -> str:
    """Why a check cannot be asked of this question, at any tier and of any model."""
    if check.of_conclusion and case.ruled:
        return check.left_out(case)
    return check.unable(case) if check.name == "negated" else ""


def reached(
    checks: Mapping[str, CheckReport], findings: tuple[Finding, ...]
) -> dict[str, CheckReport]:
    """The checks, each with whether what it saw could have raised a flag, and from when."""
    by_check = {name: found for found in findings for name in found.checks}
    new = {}
    for name, check in checks.items():
        found = by_check.get(name)
        known = found is not None and found.state in {"raised", "not_raised"}
        reach = (
            ""
            if found is None or found.reach is None
            else f"from a true share of {found.reach:.2f}"
        )
        new[name] = check.model_copy(update={"in_reach": known, "reach": reach})
    return new


def _with_taken_back(forced: dict[str, Forced], claims: tuple[Claim, ...]) -> dict[str, Forced]:
    """The explanations, each with the claims of it that are denied blind."""
    denied = {(c.about, c.seen): c for c in claims if c.value == "false"}
    return {
        verdict: one.model_copy(
            update={
                "taken_back": tuple(
                    denied[o.about, o.seen] for o in one.observations if (o.about, o.seen) in denied
                )
            }
        )
        for verdict, one in forced.items()
    }


def _notes(evidence: Evidence, asked: Asked, *, hidden: bool) -> Iterator[str]:
    if hidden:
        yield "The model may reason out of sight; what it writes is then a report of that."
    if evidence.given is not None:
        yield "The decision was made before, and was not asked for again."
    if evidence.of("reader") and asked.reader_is_model:
        yield "The reader is the audited model itself, without the picture."
    if evidence.judge_answers and asked.judge is asked.model:
        yield "The judge is the audited model itself; it reads words, and sees no picture."
    for check in CHECKS:
        yield from check.notes(evidence)
    problems = [a.problem for a in evidence.replies if isinstance(a.problem, BackendError)]
    if problems:
        why = "; ".join(f"{n} x {text}" for text, n in Counter(map(str, problems)).most_common(3))
        yield (
            f"{len(problems)} of {len(evidence.replies)} calls failed, and are in no trial: {why}."
        )
