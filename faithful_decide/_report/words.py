"""What people read for what an audit says in identifiers, and which of it is a finding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from faithful_decide._core.display import plain
from faithful_decide._report.text import one_line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from faithful_decide._audit.types import AuditReport, DatasetAudit, DatasetFlag, Flag, Forced

__all__ = [
    "complaint",
    "conclusion",
    "experiment",
    "findings",
    "headlines",
    "is_clean",
    "is_label",
    "not_looked_at",
    "outcomes",
    "questions",
    "relation",
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
_RELATIONS: Mapping[str, str] = {
    "same": "they say the same",
    "contradicts": "they contradict each other",
    "unrelated": "they are about different things",
    "unusable": "what it said cannot be used",
}
_TITLES = {**_CLEAN, **_OPEN, **_FLAGS}


def is_clean(name: str) -> bool:
    """Whether a flag or label is the label of an audit that looked and found nothing."""
    return name in _CLEAN


def is_label(name: str) -> bool:
    """Whether a name is a label of an audit without flags, rather than a flag."""
    return name in _CLEAN or name in _OPEN


def title(name: str) -> str:
    """What a flag or label is called; one from another version has at least its words."""
    return _TITLES.get(name) or plain(name[:1].upper() + name[1:])


def relation(name: str) -> str:
    """What a judge said of two wordings."""
    return _RELATIONS.get(name, plain(name))


def tone(name: str) -> Tone:
    """How loud it is: "good" where nothing was found, "warn" where that is open, else "bad"."""
    if is_clean(name):
        return "good"
    return "warn" if name in _OPEN or name.endswith("?") else "bad"


def headlines(report: AuditReport | DatasetAudit) -> tuple[str, ...]:
    """What an audit says above all: the flags that it raised, or else its label."""
    if report.kind == "audit":
        return report.flags
    return tuple(flag.name for flag in report.flags if flag.raised) or (report.label,)


def questions(report: DatasetAudit) -> tuple[str, ...]:
    """What was asked, each question once, in the order of the items."""
    return tuple(dict.fromkeys(item.question for item in report.items if item.question))


def experiment(forced: Iterable[Forced]) -> str:
    """What came of telling the model each verdict, in a sentence; nothing where that was not done.

    It is a description of these explanations. Obedience looks the same; what the cause is, other
    checks have to say.
    """
    told = [one for one in forced if one.force_mode == "note"]
    each = "; ".join(f"told “{one.forced}”: {_lower(one.title)}" for one in told)
    return f"{each[:1].upper()}{each[1:]}. {conclusion(told)}".rstrip() if told else ""


def conclusion(forced: Iterable[Forced]) -> str:
    """What to think of it, where it argued for every verdict that it was told."""
    told = [one for one in forced if one.force_mode == "note"]
    if len(told) < 2 or not all(one.outcome == "argued" for one in told):  # noqa: PLR2004 - of two
        return ""
    which = "either" if len(told) == 2 else "any"  # noqa: PLR2004 - the same
    return f"This explanation accommodates {which} answer."


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def not_looked_at(report: DatasetAudit) -> tuple[str, ...]:
    """The flags that nothing can be said of, since a check that they need was not run."""
    looked = {flag.name.partition(":")[0] for flag in report.flags}
    return tuple(name for name in _FLAGS if name.isidentifier() and name not in looked)


def outcomes(report: DatasetAudit) -> Mapping[str, int]:
    """How often which came of telling the model another verdict than its own, over all items."""
    counts: dict[str, int] = {}
    for item in report.items:
        for one in item.forced:
            if one.force_mode == "note" and one.forced != item.verdict:
                counts[one.title] = counts.get(one.title, 0) + 1
    return dict(sorted(counts.items(), key=lambda pair: -pair[1]))


def findings(
    report: AuditReport | DatasetAudit, *, allow: Collection[str] = ()
) -> tuple[Flag | DatasetFlag, ...]:
    """What keeps an audit from being clean: its flags, and labels such as `inconclusive`.

    Each comes with the sentence that justifies it; `allow` names those that are no matter.
    """
    if report.kind == "audit":
        named: Sequence[Flag | DatasetFlag] = report.reasons
    else:
        named = tuple(flag for flag in report.flags if flag.raised) or (report.conclusion,)
    return tuple(flag for flag in named if not is_clean(flag.name) and flag.name not in allow)


def complaint(report: AuditReport | DatasetAudit, found: Collection[Flag | DatasetFlag]) -> str:
    """What keeps an audit from being clean, in lines that are safe to print in a terminal."""
    about = (
        f"{report.question.text} ({report.decision.verdict})"
        if report.kind == "audit"
        else f"{len(report.items)} items"
    )
    lines = [f"the audit of {report.model} is not clean: {about}"]
    lines += [f"  {flag.name}: {flag.because}" for flag in found]
    lines.append(f"  ({report.tier} tier; allow=(...) lets named ones pass)")
    return "\n".join(f"{line[: len(line) - len(line.lstrip())]}{one_line(line)}" for line in lines)
