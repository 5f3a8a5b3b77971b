"""The places that it names: what it relied on is greyed, and then as much of the picture elsewhere.

A hit of the treatment is a claim that it still asserts although its place is greyed. A hit of the
control is one that it no longer asserts although only something else is: that is what greying as
such does. Where that breaks a model, a claim that stays proves little, and the net is small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from faithful_decide._audit.case import statement
from faithful_decide._audit.checks.base import FULL, Check
from faithful_decide._audit.checks.claims import asking, said_of
from faithful_decide._audit.types import Trial
from faithful_decide._core.types import CANNOT_TELL, Region
from faithful_decide._images.prepare import greyed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from faithful_decide._audit.case import Case
    from faithful_decide._audit.evidence import Evidence, Key, Wave
    from faithful_decide._core.types import Observation
    from faithful_decide.backends.base import Request

__all__ = ["Mask", "elsewhere"]

WHOLE, STEP = 100, 5
_ASIDE = "aside"


def elsewhere(places: Sequence[Region]) -> tuple[Region, ...] | None:
    """Places of the same sizes that touch none of these; None if there is no room for them."""
    taken, moved = list(places), []
    for place in places:
        width, height = place.right - place.left, place.bottom - place.top
        free = (
            Region(bottom=top + height, left=left, right=left + width, top=top)
            for top in range(0, WHOLE - height + 1, STEP)
            for left in range(0, WHOLE - width + 1, STEP)
        )
        found = next((new for new in free if not any(_touch(new, old) for old in taken)), None)
        if found is None:
            return None
        taken.append(found)
        moved.append(found)
    return tuple(moved)


def _touch(one: Region, other: Region) -> bool:
    across = one.left < other.right and other.left < one.right
    return across and one.top < other.bottom and other.top < one.bottom


class Mask(Check):
    """A hit: what it relied on is greyed in the picture, and it still asserts it."""

    name = "mask"
    asks = "Does it still assert what it relied on when its place in the picture is greyed?"
    control = "as much of the picture greyed elsewhere, and a claim is no longer asserted"
    tiers = FULL

    def unable(self, case: Case) -> str:
        if case.question.regions:
            return ""
        return "the question does not ask where things are (regions=True)"

    def _evidence(self, evidence: Evidence) -> list[Observation]:
        rows = [o for o in evidence.content.evidence if o.at is not None]
        return rows or [o for o in evidence.content.observations if o.at is not None]

    def _places(self, evidence: Evidence) -> tuple[tuple[Region, ...], tuple[Region, ...]] | None:
        rows = self._evidence(evidence)
        places = tuple(dict.fromkeys(o.at for o in rows if o.at is not None))
        aside = elsewhere(places) if places else None
        return None if aside is None else (places, aside)

    def follow_up(self, evidence: Evidence) -> Wave:
        found = self._places(evidence)
        if found is None or evidence.own == CANNOT_TELL:
            return {}
        case, wave = evidence.case, {}
        texts = list(dict.fromkeys(map(statement, self._evidence(evidence))))
        limits = case.capabilities.image_limits
        for name, places in zip(("asked", _ASIDE), found, strict=True):
            key: Key = (self.name, (name, 0))
            boxes = [(p.left, p.top, p.right, p.bottom) for p in places]
            request: Request = asking(case, texts, greyed(case.image, boxes, limits), "mask")
            wave[key] = (request,)
        return wave

    def trials(self, evidence: Evidence) -> Iterable[Trial]:
        for variant, control in (("asked", False), (_ASIDE, True)):
            for text, rows in said_of(evidence, variant, self.name).items():
                for answer, value, _ in rows:
                    where = "something else" if control else "its place"
                    yield Trial(
                        hit=(value == "true") != control,
                        control=control,
                        prompt=text,
                        what=f"{text}; {where} greyed: {value.replace('_', ' ')}",
                        raw=answer.raw,
                    )

    def missing(self, evidence: Evidence) -> str:
        if evidence.own == CANNOT_TELL:
            return "the verdict is cannot_tell, which rests on what is missing"
        return "" if self._places(evidence) else "there is no room for as much elsewhere"
