"""A picture that shows nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faithful_decide._audit.case import repeated
from faithful_decide._audit.checks.base import ALL, Check
from faithful_decide._audit.types import Trial
from faithful_decide._core.types import CANNOT_TELL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from faithful_decide._audit.case import Case
    from faithful_decide._audit.compare import Comparer
    from faithful_decide._audit.evidence import Evidence, Wave

__all__ = ["NoImage"]


class NoImage(Check):
    """A hit: it asserts its verdict of a picture that shows nothing. Declining asserts nothing."""

    name = "no_image"
    asks = "Does it assert the same of a picture that shows nothing?"
    control = "none: cannot_tell is offered"
    tiers = ALL

    def requests(self, case: Case) -> Wave:
        return {(self.name, ""): repeated(case.elsewhere("no_image", case.blank), case.times)}

    def trials(self, evidence: Evidence, comparer: Comparer) -> Iterable[Trial]:
        del comparer
        own = evidence.own
        for answer, content in evidence.said(self.name):
            yield Trial(
                hit=content.verdict == own != CANNOT_TELL,
                control=False,
                what=f"of the other picture: {content.verdict}, {content.observations[0].seen}",
                raw=answer.raw,
            )

    def approximate(self, evidence: Evidence) -> str:
        offered = evidence.case.question.abstain
        return "" if offered else "it was not offered to say cannot_tell"
