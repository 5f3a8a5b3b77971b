"""Another picture: are the claims that it made asserted of that, too?

Another picture may well show some of the same. So a hit needs all claims that were made, and a hit
of the control all of as many that it denies; and the picture is one about which the model by itself
decides otherwise, if there is one. At tier `full` those that carried the verdict are then looked at
one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from faithful_decide._audit.case import repeated
from faithful_decide._audit.checks.claims import (
    affirmed,
    carrying,
    said_of,
)
from faithful_decide._audit.checks.no_image import FEW, Elsewhere
from faithful_decide._audit.checks.resample import EVERY_SECOND
from faithful_decide._audit.evidence import relied_on
from faithful_decide._audit.types import Trial

if TYPE_CHECKING:
    from collections.abc import Iterable

    from faithful_decide._audit.case import Case
    from faithful_decide._audit.evidence import Evidence, Wave
    from faithful_decide._images.prepare import PreparedImage

__all__ = ["OtherImage"]


class OtherImage(Elsewhere):
    """A hit: it asserts what it said of this picture of another one."""

    name = "other_image"
    asks = "Does it assert its claims of another picture?"
    kind = "other_image"
    where = "of another picture"

    def unable(self, case: Case) -> str:
        if case.of_many:
            if not case.takes_turn(1, 2):
                return EVERY_SECOND
            missing = case.alone and case.other is None
            return "there is no other picture in the data set" if missing else ""
        return "no other picture was given" if case.other_image is None else ""

    def requests(self, case: Case) -> Wave:
        if case.other_image is None:
            return {}
        asked = case.elsewhere("other_image", case.other_image)
        return {(self.name, ""): repeated(asked, 1)}

    def image(self, evidence: Evidence) -> PreparedImage | None:
        case = evidence.case
        return case.other_image if case.other is None else case.other.image

    def _verdict(self, evidence: Evidence) -> str:
        if evidence.case.other is not None:
            return evidence.case.other.verdict
        return next((content.verdict for _, content in evidence.said(self.name)), "")

    def own(self, evidence: Evidence) -> list[str]:
        content = evidence.content
        rows = carrying(content)[:FEW]
        if self._one_by_one(evidence):
            rows = rows[: max(1, len(relied_on(content)))]
        return affirmed(evidence, rows)

    def _one_by_one(self, evidence: Evidence) -> bool:
        return evidence.case.tier == "full" and self._verdict(evidence) != evidence.own

    def trials(self, evidence: Evidence) -> Iterable[Trial]:
        said = said_of(evidence, check=self.name)
        if self._one_by_one(evidence):
            yield from super().trials(evidence)
            return
        for texts, control in ((self.own(evidence), False), (self._denied(evidence), True)):
            rows = [said[text][0] for text in texts if text in said]
            if rows and len(rows) == len(texts):
                affirmed = sum(value == "true" for _, value, _ in rows)
                what = "denied of this picture" if control else "said of this picture"
                yield Trial(
                    hit=affirmed == len(rows),
                    control=control,
                    prompt="all",
                    what=f"{affirmed} of {len(rows)} claims {what} are asserted of another one",
                    raw=rows[0][0].raw,
                )
