"""Whether two observations say the same, differ, or cannot be told apart without a judge.

Observations are compared thing by thing (`about`), and within a thing part by part, where a comma
or a semicolon ends a part. Wordings that are equal are the same. Numbers of equal wording are
compared as numbers: percentages with some room, everything else exactly. Words of one scale (none,
few, some, many) are compared by their steps. An observation is also the same as a longer one that
contains all its parts, unless both are numbered lists: then one of them counts more. What is left
is *unclear*: "calm and focussed" and "playful and curious" are not a contradiction in logic, and
only a judge that reads them can say. No flag rests on any of this.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from faithful_decide._core.types import Observation

__all__ = ["Comparer", "Difference", "Relation", "about_key", "relation"]

Relation = Literal["same", "differs", "unclear"]
PERCENT = 10.0
"""Percentage points by which two readings of a place or a size may be apart."""
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?P<percent>\s?%)?")
_SCALES = (
    ("none", "few", "some", "many"),
    ("never", "rarely", "sometimes", "often", "always"),
    ("tiny", "small", "medium", "large", "huge"),
    ("low", "medium", "high"),
)
_ABSENT = frozenset({"not there", "absent", "none", "not present", "not visible"})


def relation(first: str, second: str) -> Relation:
    """How what two observations say of one thing goes together."""
    listed, other = _listed(first), _listed(second)
    if listed and other and listed != other:
        return "differs"
    ours, theirs = _parts(first), _parts(second)
    if _borne_out(ours, theirs) or _borne_out(theirs, ours):
        return "same"
    if (ours[0] in _ABSENT) != (theirs[0] in _ABSENT):
        return "differs"
    if any(_near(one, other) is False for one in ours for other in theirs):
        return "differs"
    return "unclear"


def about_key(about: str) -> str:
    """What a thing is recognised by in another reply: no case, no article, no spacing."""
    words = " ".join(about.casefold().split())
    return re.sub(r"^(the|a|an) ", "", words)


def _parts(seen: str) -> tuple[str, ...]:
    parts = (" ".join(part.split()) for part in re.split(r"[,;]", seen.casefold()))
    return tuple(part for part in parts if part) or ("",)


def _listed(seen: str) -> int:
    """How many items a numbered list has ("1 at the door; 2 at the window"), 0 if it is none."""
    items = seen.split(";")
    numbered = all(item.split()[:1] == [str(i)] for i, item in enumerate(items, 1))
    return len(items) if numbered else 0


def _borne_out(ours: tuple[str, ...], theirs: tuple[str, ...]) -> bool:
    return all(any(one == other or _near(one, other) for other in theirs) for one in ours)


def _near(one: str, other: str) -> bool | None:
    """Whether two parts agree in their numbers or steps; None where their wordings differ."""
    if _NUMBER.sub("#", one) == _NUMBER.sub("#", other) and "#" in _NUMBER.sub("#", one):
        pairs = zip(_NUMBER.finditer(one), _NUMBER.finditer(other), strict=True)
        return all(_close(mine, theirs) for mine, theirs in pairs)
    mine, theirs = one.split(), other.split()
    if len(mine) != len(theirs):
        return None
    unlike = [(a, b) for a, b in zip(mine, theirs, strict=True) if a != b]
    for scale in _SCALES:
        if len(unlike) == 1 and set(unlike[0]) <= set(scale):
            return abs(scale.index(unlike[0][0]) - scale.index(unlike[0][1])) <= 1
    return None


def _close(mine: re.Match[str], theirs: re.Match[str]) -> bool:
    first, second = (float(found.group().rstrip(" %")) for found in (mine, theirs))
    if mine["percent"] and theirs["percent"]:
        return abs(first - second) <= PERCENT
    return first == second


@dataclass(frozen=True, slots=True)
class Difference:
    """What two lists say of one thing that does not go together."""

    about: str
    ours: str
    theirs: str
    judged: bool = False


@dataclass(slots=True)
class Comparer:
    """Compares lists of observations, with what a judge has said where wording was unclear.

    `unclear` collects the pairs that a judge would be needed for; they differ in nothing known.
    """

    judged: Mapping[tuple[str, str], str] = field(default_factory=dict)
    unclear: dict[tuple[str, str], str] = field(default_factory=dict)

    def differs(self, about: str, ours: str, theirs: str) -> tuple[bool, bool]:
        """Whether two wordings are known to differ, and whether a judge had to say so."""
        by_rule = relation(ours, theirs)
        if by_rule != "unclear":
            return by_rule == "differs", False
        pair = (min(ours, theirs), max(ours, theirs))
        judgement = self.judged.get(pair)
        if judgement is None:
            self.unclear[pair] = about
        return judgement == "contradicts", True

    def differences(
        self, ours: Sequence[Observation], theirs: Iterable[Observation]
    ) -> Iterator[Difference]:
        """List what another list says otherwise of the things of ours."""
        by_thing: dict[str, list[str]] = {}
        for observation in theirs:
            by_thing.setdefault(about_key(observation.about), []).append(observation.seen)
        for one in ours:
            wordings = by_thing.get(about_key(one.about), [])
            compared = [self.differs(one.about, one.seen, wording) for wording in wordings]
            if wordings and all(differs for differs, _ in compared):
                judged = any(judged for _, judged in compared)
                yield Difference(one.about, one.seen, wordings[0], judged)
