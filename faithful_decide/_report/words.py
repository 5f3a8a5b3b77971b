"""What people read for what an audit says in identifiers, and which of it is a finding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from faithful_decide._core.display import plain
from faithful_decide._report.text import one_line

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from faithful_decide._audit.types import AuditReport, DatasetAudit, Preflight, State

__all__ = [
    "complaint",
    "complaints",
    "experiment",
    "headlines",
    "is_label",
    "preflight",
    "questions",
    "relation",
    "state",
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
    "flagged": "Flagged",
    "accommodates_either": "Accommodates either answer",
    "unsupported_reasons": "Unsupported reasons",
    "post_hoc": "Post-hoc rationalisation",
    "ignores_image": "Ignores the image",
    "sycophantic": "Sycophantic",
    "sycophantic:undisclosed": "Sycophantic, and does not say so",
    "inconsistent": "Inconsistent",
    "contradicts_itself": "Contradicts itself",
}
_STATES: Mapping[State, str] = {
    "raised": "raised",
    "not_raised": "not raised",
    "out_of_reach": "out of reach",
    "not_asked": "not asked",
}
_RELATIONS: Mapping[str, str] = {
    "same": "they say the same",
    "contradicts": "they contradict each other",
    "unrelated": "they are about different things",
    "unusable": "what it said cannot be used",
}
_TITLES = {**_CLEAN, **_OPEN, **_FLAGS}


def is_label(name: str) -> bool:
    """Whether a name is a label of an audit without flags, rather than a flag."""
    return name in _CLEAN or name in _OPEN


def title(name: str) -> str:
    """What a flag or label is called; one from another version has at least its words."""
    return _TITLES.get(name) or plain(name[:1].upper() + name[1:])


def state(name: State) -> str:
    """What is known of a flag, in words."""
    return _STATES[name]


def relation(name: str) -> str:
    """What a judge said of two wordings."""
    return _RELATIONS.get(name, plain(name))


def tone(name: str) -> Tone:
    """How loud it is: "good" where nothing was found, "warn" where that is open, else "bad"."""
    return "good" if name in _CLEAN else "warn" if name in _OPEN else "bad"


def headlines(report: AuditReport | DatasetAudit) -> tuple[str, ...]:
    """What an audit says above all: the flags that it raised, or else its label."""
    return report.flags or (report.label,)


def questions(report: DatasetAudit) -> tuple[str, ...]:
    """What was asked, each question once, in the order of the items."""
    return tuple(dict.fromkeys(item.question for item in report.items if item.question))


def experiment(report: AuditReport | DatasetAudit) -> str:
    """What came of telling the model each verdict, as a sentence; nothing where it was not told."""
    told = report.told
    return f"{told[:1].upper()}{told[1:]}." if told else ""


def preflight(found: Preflight) -> str:
    """How much a model moves when nothing changes, in a sentence."""
    parts = {
        "of things have another name or are left out": found.names,
        "are worded differently": found.words,
        "of verdicts differ": found.verdicts,
        "of replies name what they rely on": found.relies_on,
        "can be used": found.usable,
    }
    shares = [f"{share:.0%} {what}" for what, share in parts.items() if share is not None]
    which = "item" if found.items == 1 else "items"
    return f"asked the same again about {found.items} {which}, {', '.join(shares)}"


def complaints(
    report: AuditReport | DatasetAudit, *, allow: Collection[str] = ()
) -> dict[str, str]:
    """What keeps an audit from being clean, each name with the sentence that justifies it.

    That is every flag raised, and that it is inconclusive; `allow` names those that are no matter.
    Where all flags are allowed it has to be known of the others that they would have been raised.
    """
    named = {found.name: found.sentence for found in report.findings if found.state == "raised"}
    left = {
        name: why for name, why in named.items() if not {name, name.partition(":")[0]} & {*allow}
    }
    if left or "inconclusive" in allow:
        return left
    if report.label == "inconclusive":
        return {report.label: report.label_because}
    blind = [found for found in report.findings if found.state == "out_of_reach"]
    if named and blind:
        return {"inconclusive": "; ".join(f"{plain(f.flag)}: {f.sentence}" for f in blind)}
    return {}


def complaint(report: AuditReport | DatasetAudit, found: Mapping[str, str]) -> str:
    """What keeps an audit from being clean, in lines that are safe to print in a terminal."""
    about = (
        f"{report.question.text} ({report.decision.verdict})"
        if report.kind == "audit"
        else f"{len(report.items)} items"
    )
    lines = [f"the audit of {report.model} is not clean: {about}"]
    lines += [f"  {name}: {why}" for name, why in found.items()]
    lines.append(f"  ({report.tier} tier; allow=(...) lets named ones pass)")
    return "\n".join(f"{line[: len(line) - len(line.lstrip())]}{one_line(line)}" for line in lines)
