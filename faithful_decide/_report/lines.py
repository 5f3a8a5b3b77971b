"""A result in a few lines: what the command line prints, and `print` in Python.

A row is a name and a text. Texts are wrapped; if all rows together are higher than the screen, the
longest are cut, all at the same height, so that a short row is never lost to a long one.
"""

from __future__ import annotations

import unicodedata
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

from faithful_decide._core.display import plain
from faithful_decide._core.escaped import visible
from faithful_decide._report.words import experiment, preflight, questions, title

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from faithful_decide._audit.types import AuditReport, CheckReport, DatasetAudit, Forced
    from faithful_decide._core.display import Displayable
    from faithful_decide._core.types import Decision, Observation

    Row: TypeAlias = tuple[str, str]

__all__ = ["WIDTH", "lines_of", "printed"]

WIDTH, HEIGHT = 100, 25
_MANY = 8
"""Rows of one kind, at the most."""
_LEAST = 20
"""Columns that a text has, however long the names are."""


def printed(result: Displayable) -> str:
    """All lines as one text."""
    return "\n".join(f"{name}  {text}".rstrip() for name, text in lines_of(result))


def lines_of(result: Displayable) -> list[tuple[str, str]]:
    """Each line in two parts: a name, padded, and what stands beside it."""
    rows = [(visible(name, keep=""), visible(text, keep="")) for name, text in _rows(result)]
    names = min(max(_columns(name) for name, _ in rows), WIDTH - 2 - _LEAST)
    rows = [(_wrapped(name, names)[0], text) for name, text in rows]
    texts = [_wrapped(text, WIDTH - 2 - names) for _, text in rows]
    heights = [len(text) for text in texts]
    most = max(heights)
    while sum(min(height, most) for height in heights) > HEIGHT and most > 1:
        most -= 1
    spare = HEIGHT - sum(min(height, most) for height in heights)
    lines = []
    for (name, _), text in zip(rows, texts, strict=True):
        more = min(max(len(text) - most, 0), max(spare, 0))
        spare -= more
        shown = text[: most + more]
        if len(shown) < len(text):
            shown[-1] = f"{_wrapped(shown[-1], WIDTH - 4 - names)[0]} …"
        first = name + " " * (names - _columns(name))
        lines += [(first if at == 0 else " " * names, line) for at, line in enumerate(shown)]
    return lines


def _columns(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.category(c) in {"Mn", "Me"} for c in text)


def _wrapped(text: str, width: int) -> list[str]:
    """A text in lines, broken between words, and in a word that is longer than a line."""
    lines = [""]
    for word in text.split():
        grown = f"{lines[-1]} {word}".lstrip()
        if _columns(grown) <= width:
            lines[-1] = grown
            continue
        if lines[-1]:
            lines.append("")
        for character in word:
            if _columns(lines[-1] + character) > width:
                lines.append("")
            lines[-1] += character
    return lines


# ---------------------------------------------------------------- what stands in the rows


def _rows(result: Displayable) -> list[Row]:
    kind = getattr(result, "kind", "decision")
    return list(_ROWS[kind](result))


def _first(rows: Iterable[Row], most: int = _MANY) -> Iterator[Row]:
    """The first rows of a kind, and how many there are besides."""
    rest = iter(rows)
    yield from islice(rest, most)
    if left := sum(1 for _ in rest):
        yield "", f"... and {left} more"


def _of_decision(decision: Decision) -> Iterator[Row]:
    receipt, scores, derived = decision.receipt, decision.scores, decision.derived
    yield "question", decision.question.text
    yield from _first(("observed", _observed(o, decision)) for o in decision.observations)
    yield "reasoning", decision.reasoning
    yield "verdict", decision.verdict
    if derived is not None:
        yield "rule", f"drew {derived.verdict}; the model wrote {derived.model_verdict}"
    if scores is not None:
        shares = scores.probabilities.items()
        shown = ", ".join(f"{label} {probability:.3f}" for label, probability in shares)
        yield "scores", f"{shown} (from {plain(scores.source)})"
    reason, verdict = receipt.reasoning_span, receipt.verdict_span
    places = f"reasoning {reason.start}-{reason.end}, verdict {verdict.start}-{verdict.end}"
    yield "order", f"{plain(receipt.order)} ({plain(receipt.enforcement)}); bytes: {places}"
    yield "model", f"{receipt.model} on {receipt.backend}"
    yield "request", f"sha256 {receipt.request_sha256}"


def _observed(seen: Observation, decision: Decision) -> str:
    """An observation in a line: its number, a * where it is relied on, and where it is."""
    relied = "*" if seen.n in decision.relies_on else ""
    image = f" in image {seen.image}" if len(decision.receipt.images) > 1 else ""
    at = seen.at
    place = f" (left {at.left}-{at.right} %, top {at.top}-{at.bottom} %)" if at else ""
    return f"{seen.n}{relied} {seen.about}{image}: {seen.seen}{place}"


def _of_audit(report: AuditReport) -> Iterator[Row]:
    yield from _shown(report)
    yield "question", report.question.text
    yield "decided", f"{report.decision.verdict}: {report.decision.reasoning}"
    yield from (_told(verdict, one) for verdict, one in report.forced.items())
    yield from _said(report)
    yield from _checks(report.checks.values())
    yield from _last(report)


def _shown(report: AuditReport | DatasetAudit) -> Iterator[Row]:
    """What it all is about: what it argued for when it was told each verdict."""
    if report.told:
        yield "shown", experiment(report)


def _told(verdict: str, one: Forced) -> Row:
    """What became of it, its observations and its reasoning, or what was wrong."""
    back = {(claim.about, claim.seen) for claim in one.taken_back}
    seen = "; ".join(
        f"{o.about}: {o.seen}{' [takes this back]' if (o.about, o.seen) in back else ''}"
        for o in one.observations
    )
    said = f"{seen}. {one.reasoning}" if seen else one.reasoning or one.problem
    return f"told {verdict}", f"{one.title}. {said}"


def _said(report: AuditReport | DatasetAudit) -> Iterator[Row]:
    """The label, and every flag raised."""
    because = f": {report.label_because}" if report.label != "flagged" else ""
    yield "label", f"{title(report.label)}{because}"
    for found in report.findings:
        if found.state == "raised":
            yield "flag", f"{title(found.name)}: {found.sentence}"


def _of_dataset(report: DatasetAudit) -> Iterator[Row]:
    yield from _shown(report)
    yield from _first((("question", question) for question in questions(report)), 3)
    failed = sum(bool(item.error_type) for item in report.items)
    yield "items", f"{len(report.items)}, {failed} failed"
    yield from _said(report)
    if report.preflight is not None and report.preflight.pairs:
        yield "preflight", preflight(report.preflight)
    yield from _checks(report.checks.values())
    yield from _last(report)


def _checks(checks: Iterable[CheckReport]) -> Iterator[Row]:
    """A row for each check that was hit; the others together, and those that were not run."""
    clean: list[str] = []
    idle: dict[str, list[str]] = {}
    for check in checks:
        if check.score is None:
            idle.setdefault(check.not_run, []).append(check.title)
            continue
        low, high = check.interval or (0.0, 1.0)
        hits = str(check.treatment)
        control = f"control {check.control}" if check.control.n else ""
        if round(check.treatment.hits, 2):
            score = f"{check.score:.2f} [{low:.2f}, {high:.2f}]"
            yield check.title, ", ".join(filter(None, (score, hits, control)))
        else:
            clean.append(f"{check.title} {hits}{f' ({control})' if control else ''}")
    if clean:
        yield "no hit", ", ".join(clean)
    yield from _first((("not run", f"{', '.join(these)}: {why}") for why, these in idle.items()), 3)


def _last(report: AuditReport | DatasetAudit) -> Iterator[Row]:
    yield from _first((("note", note) for note in report.notes), 1)
    yield "calls", f"{report.calls} in {report.seconds:.1f} s; thresholds {report.thresholds}"


_ROWS: Mapping[str, Callable[[Any], Iterator[Row]]] = {
    "decision": _of_decision,
    "audit": _of_audit,
    "dataset_audit": _of_dataset,
}
