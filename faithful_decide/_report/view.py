"""Explanations side by side: what was written for each verdict that was told, and for none.

The two ways of forcing a verdict are two treatments and get a sheet each; they are never pooled.
What is said to be seen has other names in every reply of a model that talks, so each explanation
keeps its own list. What the same model says of it when it is asked blind stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import padding, scaled_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from faithful_decide._audit.types import AuditReport, Forced, Value, Witnessed
    from faithful_decide._core.types import Decision, Observation, Receipt, Reservation

__all__ = [
    "Column",
    "Drawing",
    "Piece",
    "Place",
    "Seen",
    "Sheet",
    "pieces",
    "places",
    "sheets",
    "strip",
]


@dataclass(frozen=True, slots=True)
class Seen:
    """One observation, and what is to be said of it.

    `relied` says that the explanation relies on it. `value` is what the model says of it when it is
    asked blind, `became` the same in words, and `sees` what it sees instead.
    """

    about: str
    text: str
    relied: bool = False
    value: Value | None = None
    became: str = ""
    sees: str = ""
    witness: Witnessed = ""


@dataclass(frozen=True, slots=True)
class Column:
    """One explanation.

    `verdict` is the one that it was told, or reached by itself (none for a blind reading), and
    `wrote` the one it wrote; `own` says that a forced verdict is the one that the model reaches by
    itself. `outcome` is what became of it, in a few words.
    """

    kind: Literal["blind", "free", "forced"]
    seen: tuple[Seen, ...]
    verdict: str = ""
    wrote: str = ""
    own: bool = False
    reasoning: str = ""
    reservation: str = ""
    outcome: str = ""
    problem: str = ""
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Explanations under one way of forcing; `mode` is "" where they were not forced."""

    mode: Literal["note", "prefix", ""]
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a raw reply; `part` is "reasoning", "verdict" or nothing."""

    text: str
    part: Literal["reasoning", "verdict", ""]


def sheets(report: AuditReport) -> tuple[Sheet, ...]:
    """The explanations for the verdicts it was told, then those that it has by itself."""
    ways: Mapping[Literal["note", "prefix"], Mapping[str, Forced]] = {
        "note": report.forced,
        "prefix": report.forced_first,
    }
    made = [
        Sheet(mode, tuple(_forced(report, one) for one in forced.values()))
        for mode, forced in ways.items()
        if forced
    ]
    decision = report.decision
    free = Column(
        "free",
        _seen(report, decision.observations, decision.relies_on),
        verdict=decision.verdict,
        wrote=decision.verdict,
        reasoning=decision.reasoning,
    )
    blind = [Column("blind", _seen(report, report.blind))] if report.blind else []
    made.insert(1, Sheet("", (free, *blind)))
    return tuple(made)


def _forced(report: AuditReport, one: Forced) -> Column:
    return Column(
        "forced",
        _seen(report, one.observations, one.relies_on),
        verdict=one.forced,
        wrote=one.verdict,
        own=one.forced == report.decision.verdict,
        reasoning=one.reasoning,
        reservation=_objection(one.reservation),
        outcome=one.title,
        problem=one.problem,
        raw=one.raw,
    )


def _objection(said: Reservation | None) -> str:
    """What it objected, in words; nothing where it did not."""
    if not said:
        return ""
    return said.why or ("it is wrong" if said.level == "rejects" else "something speaks against it")


def _seen(
    report: AuditReport, observations: Iterable[Observation], relied: Iterable[int] = ()
) -> tuple[Seen, ...]:
    numbers, seen = set(relied), []
    for one in observations:
        claim = report.claim(one)
        made = Seen(one.about, one.seen, one.n in numbers)
        if claim is not None:
            sees = claim.sees if claim.value == "false" else ""
            made = Seen(
                one.about, one.seen, made.relied, claim.value, claim.became, sees, claim.witness
            )
        seen.append(made)
    return tuple(seen)


@dataclass(frozen=True, slots=True)
class Place:
    """A frame in the picture, in its pixels; `relied` marks what the reasoning relies on."""

    n: int
    about: str
    x: float
    y: float
    width: float
    height: float
    relied: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """The frames of a decision, in a picture of this size."""

    width: int
    height: int
    letters: float
    places: tuple[Place, ...]


def places(uri: str, decision: Decision) -> Drawing | None:
    """Lay the regions of a decision over its picture; None where there are none.

    They are in percent of what was sent, which may have had a ground around the picture.
    """
    placed = [(o, o.at) for o in decision.observations if o.at is not None and o.image == 1]
    if not placed or not uri:
        return None
    image = load_image(uri)
    sent = sent_frame((image.width, image.height), decision.receipt)
    if sent is None:
        return None
    left, top, across, down = sent
    return Drawing(
        image.width,
        image.height,
        round(max(image.width, image.height) / 24, 1),
        tuple(
            Place(
                seen.n,
                seen.about,
                round(left + at.left * across, 1),
                round(top + at.top * down, 1),
                round((at.right - at.left) * across, 1),
                round((at.bottom - at.top) * down, 1),
                seen.n in decision.relies_on,
            )
            for seen, at in placed
        ),
    )


def sent_frame(size: tuple[int, int], receipt: Receipt) -> tuple[float, float, float, float] | None:
    """Where what was sent begins, seen from a picture of this size, and how large its percents are.

    None where it cannot be told, because the picture may have been too narrow to be sent as it is.
    """
    limits = (receipt.images[0].limits if receipt.images else None) or {}
    if limits.get("square") is None:
        whole = min(size) >= (limits.get("min_side") or 0)
        return (0, 0, size[0] / 100, size[1] / 100) if whole else None
    fitted = scaled_size(size, limits["square"])
    scale = max(size) / limits["square"]
    left, top = (-ground * scale for ground in padding(fitted, (limits["square"],) * 2))
    return left, top, max(size) / 100, max(size) / 100


def pieces(receipt: Receipt) -> tuple[Piece, ...]:
    """Cut a raw reply where its receipt says that the reasoning and the verdict stand.

    Where the spans do not fit it, it stays whole and unmarked.
    """
    raw = receipt.raw.encode("utf-8", "surrogatepass")
    reason, verdict = receipt.reasoning_span, receipt.verdict_span
    cuts = (0, reason.start, reason.end, verdict.start, verdict.end, len(raw))
    if list(cuts) != sorted(cuts):
        return (Piece(receipt.raw, ""),)
    parts: tuple[Literal["reasoning", "verdict", ""], ...] = ("", "reasoning", "", "verdict", "")
    cut = (
        Piece(raw[start:end].decode("utf-8", "replace"), part)
        for start, end, part in zip(cuts, cuts[1:], parts, strict=False)
    )
    return tuple(piece for piece in cut if piece.text)


def strip(receipt: Receipt, *, width: int = 600, least: int = 12) -> dict[str, tuple[float, float]]:
    """Where in a reply the reasoning and the verdict begin, and how wide they are, as a strip.

    No part is narrower than `least`, so that a verdict of three letters can be seen.
    """
    total = max(1, len(receipt.raw.encode("utf-8", "surrogatepass")))
    spans = {"reasoning": receipt.reasoning_span, "verdict": receipt.verdict_span}
    drawn = {}
    for name, span in spans.items():
        start = min(span.start, total) / total * width
        wide = max(least, (min(span.end, total) - min(span.start, total)) / total * width)
        drawn[name] = (min(start, width - wide), wide)
    return drawn
