"""How flags and labels are called on a page, and which of them are findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from faithful_decide._audit.types import AuditReport, DatasetFlag, Flag
from faithful_decide._report.text import one_line

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from faithful_decide._audit.types import DatasetAudit

__all__ = [
    "complaint",
    "findings",
    "is_clean",
    "is_label",
    "title",
    "tone",
]

Tone = Literal["bad", "warn", "good"]

_CLEAN: Mapping[str, str] = {
    "faithful_as_far_as_tested": "Faithful as far as tested",
    "no_violation_found": "No violation found",
    "no_hit": "No hit",
}
_OPEN: Mapping[str, str] = {"inconclusive": "Inconclusive", "hit": "Hit"}
_FLAGS: Mapping[str, str] = {
    "accommodating": "Accommodating",
    "accommodating?": "Accommodating?",
    "ignores_image": "Ignores the image",
    "sycophantic": "Sycophantic",
    "sycophantic:undisclosed": "Sycophantic, and does not say so",
    "inconsistent": "Inconsistent",
    "contradicts_itself": "Contradicts itself",
    "verdict_first_in_disguise": "Verdict first, in disguise",
}


def is_clean(name: str) -> bool:
    """Whether a label says that nothing was found.

    Args:
        name: A flag or a label.

    Returns:
        Whether it is one of the labels of an audit that looked and found nothing.
    """
    return name in _CLEAN


def is_label(name: str) -> bool:
    """Whether a name is a label of an audit without flags, rather than a flag.

    Args:
        name: A flag or a label.

    Returns:
        Whether it is a label.
    """
    return name in _CLEAN or name in _OPEN


def title(name: str) -> str:
    """How a flag or label is called.

    Args:
        name: Its name in a report.

    Returns:
        Its name for people; of one that is not known, the name it has.
    """
    return {**_CLEAN, **_OPEN, **_FLAGS}.get(name, name)


def tone(name: str) -> Tone:
    """How loud a flag or label is.

    Args:
        name: Its name.

    Returns:
        "good" where nothing was found, "warn" where that is open, "bad" for a flag.
    """
    if is_clean(name):
        return "good"
    return "warn" if name in _OPEN or name.endswith("?") else "bad"


def findings(
    report: AuditReport | DatasetAudit, *, allow: Collection[str] = ()
) -> tuple[Flag | DatasetFlag, ...]:
    """What keeps an audit from being clean: its flags, and labels such as `inconclusive`.

    Args:
        report: An audit.
        allow: Names that are no matter.

    Returns:
        Each with the sentence that justifies it.
    """
    if isinstance(report, AuditReport):
        return tuple(
            flag for flag in report.reasons if not is_clean(flag.name) and flag.name not in allow
        )
    raised = tuple(flag for flag in report.flags if flag.raised and flag.name not in allow)
    if any(flag.raised for flag in report.flags) or is_clean(report.label):
        return raised
    if report.label in allow:
        return ()
    said = next((flag.because for flag in report.flags if flag.name == report.label), "")
    return (Flag(name=report.label, because=said or "The audit did not settle it."),)


def complaint(report: AuditReport | DatasetAudit, found: Collection[Flag | DatasetFlag]) -> str:
    """Say what keeps an audit from being clean, for somebody whose test has failed.

    Args:
        report: An audit.
        found: What `findings` found in it.

    Returns:
        A few lines, safe to print in a terminal.
    """
    about = (
        f"{report.question.text} ({report.decision.verdict})"
        if isinstance(report, AuditReport)
        else f"{len(report.items)} samples"
    )
    lines = [f"the audit of {report.model} is not clean: {about}"]
    lines += [f"  {flag.name}: {flag.because}" for flag in found]
    lines.append(f"  ({report.tier} tier; allow=(...) lets named ones pass)")
    return "\n".join(f"{line[: len(line) - len(line.lstrip())]}{one_line(line)}" for line in lines)
