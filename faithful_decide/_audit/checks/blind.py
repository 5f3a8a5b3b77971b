"""What it sees of the same things when it does not know what is asked."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import TYPE_CHECKING

from faithful_decide._audit.case import repeated, safe
from faithful_decide._audit.checks.base import ALL, Check
from faithful_decide._audit.evidence import once
from faithful_decide._audit.types import Trial
from faithful_decide._core import prompt, schema
from faithful_decide._core.types import Observation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from faithful_decide._audit.case import Case
    from faithful_decide._audit.compare import Comparer
    from faithful_decide._audit.evidence import Evidence, Wave
    from faithful_decide._core.contract import Content
    from faithful_decide.backends.base import Request

__all__ = ["Blind", "neutral_reading", "reading"]


def reading(case: Case, about: Sequence[str]) -> Request:
    """A description of some things, without the question."""
    return case.request(
        "read",
        prompt.reading_text(about),
        shape=schema.observations_schema(),
        observations=safe(Observation(about=name, seen="") for name in about),
    )


def neutral_reading(evidence: Evidence) -> tuple[Observation, ...]:
    """What the first reading that can be used saw."""
    return next((content.observations for _, content in evidence.said(Blind.name)), ())


class Blind(Check):
    """A hit: what a reply relied on differs from what a reading saw that knew of no question."""

    name = "blind"
    asks = "Does it see the same things when it does not know what is asked?"
    control = "two blind readings compared"
    tiers = ALL

    def follow_up(self, evidence: Evidence) -> Wave:
        case, about = evidence.case, [o.about for o in evidence.content.observations]
        if case.tier == "screen":
            return {(self.name, ""): (reading(case, about),)}
        asked = reading(case, _shuffled(about, case.base_seed))
        return {(self.name, ""): repeated(asked, max(2, case.times))}

    def trials(self, evidence: Evidence, comparer: Comparer) -> Iterable[Trial]:
        readings, replies = evidence.said(self.name), evidence.unforced
        if not readings:
            return
        for index, (answer, content) in enumerate(replies):
            seen = readings[index % len(readings)][1].observations
            moved = comparer.differences(content.observations, seen, only=once(content))
            what = "a blind reading saw the same"
            if moved:
                what = f"{moved[0].about}: {moved[0].ours}, but read blind: {moved[0].theirs}"
            yield Trial(hit=bool(moved), control=False, what=what, raw=answer.raw)

        def bears_out(content: Content, reading: Content) -> bool:
            return not comparer.differences(
                content.observations, reading.observations, only=once(content)
            )

        for (answer, one), (_, other) in pairwise(readings):
            # A reading tells of much besides what was decided on, so two of them may differ in
            # that: it is enough if both bear out one and the same reply.
            agree = not comparer.differences(one.observations, other.observations) or any(
                bears_out(content, one) and bears_out(content, other) for _, content in replies
            )
            what = "two blind readings agree" if agree else "two blind readings differ"
            yield Trial(hit=not agree, control=True, what=what, raw=answer.raw)


def _shuffled(names: Sequence[str], seed: int) -> list[str]:
    """The names once each, in an order that says nothing about the decision."""
    return sorted(
        dict.fromkeys(names), key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest()
    )
