"""Another picture, for which the model by itself has another verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faithful_decide._audit.case import repeated
from faithful_decide._audit.checks.base import FULL, Check
from faithful_decide._audit.types import Trial
from faithful_decide._core.types import CANNOT_TELL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from faithful_decide._audit.case import Case
    from faithful_decide._audit.compare import Comparer
    from faithful_decide._audit.evidence import Evidence, Wave

__all__ = ["OtherImage"]


class OtherImage(Check):
    """A hit: it asserts its verdict of another picture.

    Where its free decision about the other picture is the same verdict, that may be right, and says
    nothing; then there is no trial.
    """

    name = "other_image"
    asks = "Does it assert the same of another picture?"
    control = "none"
    tiers = FULL

    def unable(self, case: Case) -> str:
        return "no other picture was given" if case.other_image is None else ""

    def requests(self, case: Case) -> Wave:
        if case.other_image is None:
            return {}
        asked = case.elsewhere("other_image", case.other_image)
        return {(self.name, ""): repeated(asked, case.times)}

    def trials(self, evidence: Evidence, comparer: Comparer) -> Iterable[Trial]:
        del comparer
        if self.missing(evidence):
            return
        own = evidence.own
        for answer, content in evidence.said(self.name):
            yield Trial(
                hit=content.verdict == own != CANNOT_TELL,
                control=False,
                what=f"of the other picture: {content.verdict}, {content.observations[0].seen}",
                raw=answer.raw,
            )

    def missing(self, evidence: Evidence) -> str:
        free = next((answer.content for answer in evidence.get(self.name)), None)
        if free is None:
            return "its decision about the other picture could not be used"
        same = free.verdict == evidence.own
        return "its free decision about the other picture is the same, which may be right" * same
