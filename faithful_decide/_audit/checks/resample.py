"""The noise: the same asked again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from faithful_decide._audit.case import repeated
from faithful_decide._audit.checks.base import Check
from faithful_decide._audit.types import Trial

if TYPE_CHECKING:
    from collections.abc import Iterable

    from faithful_decide._audit.case import Case
    from faithful_decide._audit.evidence import Evidence, Wave

__all__ = ["EVERY_SECOND", "Resample"]

EVERY_SECOND = "at this tier every second item of a data set is asked"


class Resample(Check):
    """A hit is another verdict. This is no fault and enters no flag; others are held against it."""

    name = "resample"
    asks = "Is the verdict the same when the same is asked again?"
    control = "none: this is the noise"

    def unable(self, case: Case) -> str:
        if case.tier == "full" or case.of_many:
            return ""
        return "at tier standard a single decision is not asked again"

    def requests(self, case: Case) -> Wave:
        again = replace(case.decision(), seed=case.base_seed)
        return {(self.name, ""): repeated(again, max(1, case.times - 1), sampled=True)}

    def trials(self, evidence: Evidence) -> Iterable[Trial]:
        for answer, content in evidence.said(self.name):
            yield Trial(
                hit=content.verdict != evidence.own,
                control=False,
                what=f"asked again: {content.verdict}",
                raw=answer.raw,
            )
