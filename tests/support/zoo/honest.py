"""Honest models, and what makes some of them hard to tell from those that are not.

Each draws its verdict from what it wrote, and writes what it saw. Some obey, some object, some look
again, some see badly or are noisy: whoever flags these measures obedience, stubbornness, length or
eyesight.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from faithful_decide._core.types import CANNOT_TELL
from tests.support.zoo.model import Call, Member, Said, fitted
from tests.support.zoo.writer import UNCLEAR, Line, Style, fact_in, reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.zoo.writer import Drift

__all__ = ["HONEST"]


class Plain(Member):
    """Keeps to what it sees, and rejects a verdict that it is told wrongly."""


class Terse(Member):
    """Says no more than it needs, and names nothing that it relies on."""

    style = Style(least=0, most=1)

    def numbers(self, said: Said) -> list[int]:
        return []


class Verbose(Member):
    """Says much about everything."""

    style = Style(least=4, most=5, verbose=True)


class Hedging(Member):
    """Is never quite sure, and says so: it thinks, it seems, somebody might."""

    style = Style(hedged=True)


class NotEnglish(Member):
    """Writes in another language."""

    style = Style(other_language=True)


class Obedient(Member):
    """Told a verdict, it writes what fits, without a word. Obeying is no fault."""

    argues = True

    def told(self, call: Call, verdict: str) -> Said:
        seen = fitted(call, self.look(call), verdict, 0.5)
        return replace(self.honestly(call, seen), verdict=verdict)


class SelfCorrecting(Member):
    """Told or handed what it does not see, it objects openly."""

    def told(self, call: Call, verdict: str) -> Said:
        own = self.noisy(call, self.free(call))
        if own.verdict == verdict:
            return own
        return replace(own, verdict=verdict, reservation=self.objection)

    def handed(self, call: Call) -> Said:
        seen = self.look(call)
        read = [self.read(call, o) for o in call.purpose.observations]
        said = super().handed(call)
        if not seen or all(self.holds(call, fact, seen) == "true" for fact in read if fact):
            return said
        return replace(said, verdict=self.concluded(call, seen), reservation=self.objection)


class Blurred(Member):
    """Sees a third of the things not at all, and says so."""

    def look(self, call: Call) -> dict[str, str]:
        seen = super().look(call)
        return {
            trait: UNCLEAR if call.noise(0.8).random() < 0.3 else value
            for trait, value in seen.items()
        }


class LooksAgain(Obedient):
    """Handed observations, it looks for itself, and decides by what it sees."""

    def handed(self, call: Call) -> Said:
        seen = self.look(call)
        if not seen:
            return super().handed(call)
        said = self.noisy(call, self.honestly(call, seen))
        if call.request.prefix:
            return self.but(call, said)
        return replace(said, preamble="I looked at the picture again. ")

    def but(self, call: Call, said: Said) -> Said:
        """It cannot help the list that stands there, and says what it sees instead."""
        why = reason([said.lines[i] for i in said.rests_on], said.verdict, call.rng, self.style)
        handed = call.purpose.observations
        lines = [Line(fact_in(o.seen), o.about, o.seen) for o in handed]
        wrong = [line for line in lines if self.holds(call, line.fact, self.look(call)) == "false"]
        told = f"{wrong[0].about} is not {wrong[0].seen}; " if wrong else ""
        preamble = f"Looking at the picture again, {told}it shows this: "
        return replace(said, lines=lines, rests_on=[], kept=handed, reasoning=preamble + why)


class SeesOtherwise(LooksAgain):
    """Leaves the list it was handed, and says in its reasoning alone that it sees otherwise."""

    def handed(self, call: Call) -> Said:
        seen = self.look(call)
        if not seen:
            return super().handed(call)
        return self.but(call, self.noisy(call, self.honestly(call, seen)))


class NoOfNothing(Obedient):
    """Of a picture that shows nothing it says "no", which is right: it is not in there."""

    def concluded(self, call: Call, seen: Mapping[str, str]) -> str:
        if not seen and "no" in call.question.labels:
            return "no"
        return super().concluded(call, seen)


class Noisy5(Obedient):
    """Gives another verdict than follows, one time in twenty."""

    share = 0.05

    def drifting(self, drift: Drift) -> Drift:
        return replace(drift, verdict_noise=max(drift.verdict_noise, self.share))


class Noisy8(Noisy5):
    """The same, one time in twelve."""

    share = 0.08


class WeakAtNegation(Obedient):
    """Misunderstands one double negation in four."""

    def negated(self, call: Call) -> Said:
        return self.muddled(call, super().negated(call))

    def known(self, call: Call) -> Said:
        said = super().known(call)
        return self.muddled(call, said) if call.purpose.kind == "negated" else said

    def muddled(self, call: Call, said: Said) -> Said:
        swapped = {"yes": "no", "no": "yes"}.get(said.verdict, said.verdict)
        wrong = call.noise(self.drift.sticky).random() < 0.25
        return replace(said, verdict=swapped) if wrong else said


class Counting(Obedient):
    """Counts everything from 1, and relies on all that it wrote."""

    def numbers(self, said: Said) -> list[int]:
        return list(range(1, len(said.kept or said.lines) + 1))


class WritesNone(Obedient):
    """Where it may object and does not, it writes "None."."""

    no_objection = ("none", "None.")

    def told(self, call: Call, verdict: str) -> Said:
        return replace(super().told(call, verdict), reservation=self.no_objection)


class Acquiescent(Obedient):
    """Says "true" of a quarter of what it does not see."""

    def drifting(self, drift: Drift) -> Drift:
        return replace(drift, acquiescence=max(drift.acquiescence, 0.25))


class Shortsighted(Obedient):
    """Takes one thing in twelve for another, a different one each time."""

    def drifting(self, drift: Drift) -> Drift:
        return replace(drift, misreading=max(drift.misreading, 0.08))


class Partly(Obedient):
    """Obeys, and says that something speaks against it."""

    def told(self, call: Call, verdict: str) -> Said:
        own = self.free(call).verdict
        said = super().told(call, verdict)
        against = ("some", "not everything in the picture speaks for this")
        return said if own in {verdict, CANNOT_TELL} else replace(said, reservation=against)


HONEST: tuple[type[Member], ...] = (
    Plain, Terse, Verbose, Hedging, NotEnglish, Obedient, SelfCorrecting, Blurred, LooksAgain,
    SeesOtherwise, NoOfNothing, Noisy5, Noisy8, WeakAtNegation, Counting, WritesNone, Acquiescent,
    Shortsighted, Partly,
)  # fmt: skip
