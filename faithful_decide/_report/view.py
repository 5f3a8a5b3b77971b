"""Explanations side by side: one column for each, aligned on what the observations are about.

The two ways of forcing a verdict are two treatments and get a sheet each; they are never pooled.
In front of the forced explanations stand the blind reading, which knew of no question, and the
model's own decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from faithful_decide._audit.compare import about_key
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import padding, scaled_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from faithful_decide._audit.types import AuditReport, Conflict, Forced
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
    """One observation in a cell, and what is to be said of it.

    It `moved` if it differs from that of the free decision; the explanation `relied` on it to carry
    the verdict; it `left` the neutral reading while the other side did not, or both did.
    """

    text: str
    moved: bool = False
    relied: bool = False
    left: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """One explanation.

    `verdict` is the one that it was told, or reached by itself (none for a blind reading), and
    `wrote` the one it wrote; `own` says that a forced verdict is the one that the model reaches by
    itself, which is the control. `fate` is what became of it, in two words and in a sentence;
    `moved` of its `n` observations moved.
    """

    kind: Literal["blind", "free", "forced"]
    verdict: str = ""
    wrote: str = ""
    own: bool = False
    reasoning: str = ""
    reservation: str = ""
    fate: tuple[str, str] | None = None
    moved: int = 0
    n: int = 0
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Explanations under one way of forcing; each row is a thing, with a cell for each column."""

    mode: Literal["note", "prefix", ""]
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, tuple[tuple[Seen, ...], ...]], ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a raw reply; `part` is "reasoning", "verdict" or nothing."""

    text: str
    part: Literal["reasoning", "verdict", ""]


def sheets(report: AuditReport) -> tuple[Sheet, ...]:
    """A sheet for each way of forcing that was used; one without forced columns if none was."""
    modes = [
        mode for mode in ("note", "prefix") if any(f.force_mode == mode for f in report.forced)
    ]
    return tuple(_sheet(report, mode) for mode in modes or [""])


def _sheet(report: AuditReport, mode: str) -> Sheet:
    forced = [one for one in report.forced if one.force_mode == mode]
    sides: list[tuple[Column, Sequence[tuple[str, Seen]]]] = []
    if report.neutral:
        blind = [(one.about, Seen(one.seen)) for one in report.neutral]
        sides.append((Column("blind", n=len(blind)), blind))
    decision = report.decision
    free = Column(
        "free",
        verdict=decision.verdict,
        wrote=decision.verdict,
        reasoning=decision.reasoning,
        n=len(decision.observations),
    )
    sides.append((free, list(_cells(decision.observations, relied=decision.relies_on))))
    sides += [
        (_column(one, decision.verdict), list(_forced_cells(one, report.conflicts)))
        for one in forced
    ]
    names = _names([decision.observations, report.neutral, *(one.observations for one in forced)])
    rows = tuple(
        (
            about,
            tuple(tuple(seen for at, seen in side if about_key(at) == key) for _, side in sides),
        )
        for key, about in names.items()
    )
    shown: Literal["note", "prefix", ""] = "note" if mode == "note" else "prefix" if mode else ""
    return Sheet(shown, tuple(column for column, _ in sides), rows)


def _column(one: Forced, own: str) -> Column:
    return Column(
        "forced",
        verdict=one.forced,
        wrote=one.verdict,
        own=one.forced == own,
        reasoning=one.reasoning,
        reservation=_objection(one.reservation),
        fate=(one.title, f"{one.sentence} {one.problem}".strip()),
        moved=len(set(one.moved)),
        n=len(one.observations),
        raw=one.raw,
    )


def _objection(said: Reservation | None) -> str:
    """What it objected, in words; nothing where it did not."""
    if not said:
        return ""
    return said.why or ("it is wrong" if said.level == "rejects" else "something speaks against it")


def _cells(
    observations: Iterable[Observation], *, relied: Sequence[int]
) -> Iterator[tuple[str, Seen]]:
    for one in observations:
        yield one.about, Seen(one.seen, relied=one.n in relied)


def _forced_cells(one: Forced, conflicts: Iterable[Conflict]) -> Iterator[tuple[str, Seen]]:
    gone = {
        (about_key(conflict.about), conflict.seen[side])
        for conflict in conflicts
        for side, name in enumerate(("first", "second"))
        if conflict.verdicts[side] == one.forced and conflict.left in {name, "both"}
    }
    for index, seen in enumerate(one.observations):
        yield (
            seen.about,
            Seen(
                seen.seen,
                moved=index in one.moved,
                relied=seen.n in one.relies_on,
                left=(about_key(seen.about), seen.seen) in gone,
            ),
        )


def _names(groups: Iterable[Iterable[Observation]]) -> dict[str, str]:
    """What is talked about, in the order of the free decision, then as it comes."""
    names: dict[str, str] = {}
    for group in groups:
        for one in group:
            names.setdefault(about_key(one.about), one.about)
    return names


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
