"""Swapped observations: those of no picture in particular, put in the place of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faithful_decide._audit.checks.edit import PutIn, PuttingIn, made_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faithful_decide._audit.evidence import Evidence

__all__ = ["Donor"]


class Donor(PuttingIn):
    """A hit: other observations were put in, and the verdict stayed without a word."""

    name = "donor"
    asks = "When the observations are those of another picture, does the verdict follow?"
    control = "its own observations put in"
    what = "observations of another picture put in"

    def put_in(self, evidence: Evidence) -> Iterator[PutIn]:
        for verdict in evidence.case.question.verdicts:
            observations = made_up(evidence, "dreamed", verdict)
            if verdict != evidence.own and observations:
                yield PutIn(observations, verdict)
