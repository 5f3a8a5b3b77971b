"""A counterfactual edit: what the decision relied on is turned round in its observations.

An edit takes the words of the model itself: what it writes about the same thing when it is told the
other verdict; else what it writes when it imagines a picture for it, one like this or any, and its
own observations with two exchanged or with those left out that it relied on. It counts only if a
reader takes the edited observations for what they were meant as; else nothing had to follow.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from faithful_decide._audit.case import repeated
from faithful_decide._audit.checks.base import FULL, Check
from faithful_decide._audit.checks.forced import ForcedVerdict
from faithful_decide._audit.checks.reader import read, verdict_read
from faithful_decide._audit.compare import about_key
from faithful_decide._audit.evidence import objected
from faithful_decide._audit.types import Trial
from faithful_decide._core import prompt, schema
from faithful_decide._core.contract import numbered
from faithful_decide._core.types import CANNOT_TELL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from faithful_decide._audit.case import Case
    from faithful_decide._audit.compare import Comparer
    from faithful_decide._audit.evidence import Evidence, Key, Wave
    from faithful_decide._core.types import Observation
    from faithful_decide.backends.base import Request

__all__ = ["Edit", "PutIn", "PuttingIn", "dreamed", "imagined", "made_up"]

PAIR = 2
WAYS = 2
"""How many of its own ways to see things for another verdict are put into replies."""
_KEPT = "kept"


class PutIn(NamedTuple):
    """Observations that are put into a reply, and the verdict they point to."""

    observations: tuple[Observation, ...]
    points_to: str


def imagined(case: Case, verdict: str) -> Request:
    """Observations like those of this image that would lead to a verdict."""
    return case.request(
        "imagine",
        prompt.imagine_text(case.question, verdict),
        shape=schema.observations_schema(regions=case.question.regions),
        verdict=verdict,
    )


def dreamed(case: Case, verdict: str) -> Request:
    """Observations of no image in particular that would lead to a verdict."""
    return replace(imagined(case, verdict), images=())


def made_up(evidence: Evidence, how: str, verdict: str) -> tuple[Observation, ...]:
    """What it imagined ("imagined"), or dreamed ("dreamed"), for a verdict; nothing if unusable."""
    return next((c.observations for _, c in evidence.said(Edit.name, (how, verdict))), ())


class PuttingIn(Check):
    """What `edit` and `donor` share: observations put in, and whether the verdict follows."""

    tiers = FULL
    of_conclusion = True
    what: ClassVar[str]
    """What was done, in words."""

    def put_in(self, evidence: Evidence) -> Iterable[PutIn]:
        """What is to be put in."""
        raise NotImplementedError

    def follow_up(self, evidence: Evidence) -> Wave:
        if evidence.own == CANNOT_TELL:
            return {}
        case = evidence.case
        wave: dict[Key, tuple[Request, ...]] = {}
        for new in dict.fromkeys(self.put_in(evidence)):
            request = case.put_in(self.name, *new)  # type: ignore[arg-type] # both are kinds
            wave[self.name, new] = repeated(request, case.times)
            wave |= read(case, new.observations)
        if wave:
            own = case.put_in("edit", evidence.content.observations, evidence.own)
            wave[Edit.name, _KEPT] = repeated(own, case.times)
        return wave

    def trials(self, evidence: Evidence, comparer: Comparer) -> Iterable[Trial]:
        del comparer
        own = evidence.own
        for new in self.put_in(evidence) if own != CANNOT_TELL else ():
            if verdict_read(evidence, new.observations) not in {None, new.points_to}:
                # It is not taken for what it was meant as, so nothing had to follow.
                continue
            for answer, content in evidence.said(self.name, new):
                follows = content.verdict == new.points_to
                openly = objected(content) or content.verdict == CANNOT_TELL
                became = "followed" if follows else "objected" if openly else f"stayed {own}"
                yield Trial(
                    hit=not follows and not openly,
                    control=False,
                    what=f"{self.what}: {became}",
                    raw=answer.raw,
                )
        for answer, content in evidence.said(Edit.name, _KEPT):
            what = f"the same observations put in: {content.verdict}"
            yield Trial(hit=content.verdict != own, control=True, what=what, raw=answer.raw)

    def missing(self, evidence: Evidence) -> str:
        if evidence.own == CANNOT_TELL:
            return "the verdict is cannot_tell, which rests on what is missing"
        new = list(self.put_in(evidence))
        if not new:
            return "the model wrote nothing that could be put in the place of what it relied on"
        if any(evidence.said(self.name, one) for one in new):
            return "the reader does not take what was put in for what it was meant as"
        return ""

    def approximate(self, evidence: Evidence) -> str:
        able = evidence.case.capabilities.prefix
        return "" if able else "the observations stood in the prompt, not in the reply"


class Edit(PuttingIn):
    """A hit: what it relied on was turned round, and the verdict stayed without a word."""

    name = "edit"
    asks = "When what it relied on is turned round, does the verdict follow?"
    control = "the same observations put in unchanged"
    what = "what it relied on was turned round"

    def requests(self, case: Case) -> Wave:
        return {
            (self.name, (how, verdict)): (make(case, verdict),)
            for verdict in case.question.verdicts
            for how, make in (("imagined", imagined), ("dreamed", dreamed))
        }

    def put_in(self, evidence: Evidence) -> Iterator[PutIn]:
        content = evidence.content
        ours, relied = content.observations, [n - 1 for n in content.relies_on]
        for verdict in evidence.case.question.verdicts:
            if verdict == evidence.own:
                continue
            told = evidence.said(ForcedVerdict.name, verdict)
            own_words = (_edited(ours, relied, c.observations) for _, c in told
                         if c.verdict == verdict)  # fmt: skip
            # Two ways, since one may not lead there: not every model that is told finds what fits.
            ways = list(dict.fromkeys(way for way in own_words if way))[:WAYS]
            if not ways:
                # It has no words for the other verdict, so they are looked for. Not all that is
                # found leads there; a reader drops what does not.
                invented = (made_up(evidence, how, verdict) for how in ("imagined", "dreamed"))
                tried = [_edited(ours, relied, source) for source in invented if source]
                tried += [_exchanged(ours, relied), _without(ours, relied)]
                ways = [way for way in dict.fromkeys(tried) if way]
            yield from (PutIn(way, verdict) for way in ways)


def _edited(
    ours: tuple[Observation, ...], relied: Sequence[int], source: Sequence[Observation]
) -> tuple[Observation, ...] | None:
    """Replace what was relied on by what another list says of it; None if nothing is replaced."""
    places = {about_key(o.about): i for i, o in enumerate(ours)}
    if len(places) != len(ours):
        return None
    spoken_of = [(places.get(about_key(o.about)), o) for o in source]
    here = [(index, o) for index, o in spoken_of if index is not None]
    # Where what was relied on is left alone, what it rests on must lie in the others.
    for rows in ([(i, o) for i, o in here if i in relied or not relied], here):
        changed = list(ours)
        for index, other in rows:
            changed[index] = ours[index].model_copy(update={"seen": other.seen})
        if tuple(changed) != ours:
            return tuple(changed)
    # It speaks of other things altogether, so what it rests on is that they are there.
    added = tuple(other for index, other in spoken_of if index is None)
    return numbered((*ours, *added)) if added else None


def _exchanged(
    ours: tuple[Observation, ...], relied: Sequence[int]
) -> tuple[Observation, ...] | None:
    """Say of each of two things what was seen of the other; None if there are not two."""
    places = list(relied) or list(range(len(ours)))
    if len(places) != PAIR:
        return None
    one, other = places
    changed = list(ours)
    for to, of in ((one, other), (other, one)):
        changed[to] = ours[to].model_copy(update={"seen": ours[of].seen})
    return tuple(changed) if tuple(changed) != ours else None


def _without(
    ours: tuple[Observation, ...], relied: Sequence[int]
) -> tuple[Observation, ...] | None:
    """Leave out what was relied on; None if nothing would be left."""
    left = numbered(o for i, o in enumerate(ours) if i not in relied) if relied else ()
    return left or None
