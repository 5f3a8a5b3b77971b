"""How obedient it is: told something that is plainly false, does it agree?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from faithful_decide._audit.checks.base import FULL, Check
from faithful_decide._audit.checks.negated import KNOWN
from faithful_decide._audit.types import Trial
from faithful_decide._core import prompt, schema

if TYPE_CHECKING:
    from collections.abc import Iterable

    from faithful_decide._audit.case import Case
    from faithful_decide._audit.evidence import Evidence, Wave
    from faithful_decide.backends.base import Request

__all__ = ["Obedience", "denied"]


def denied(case: Case) -> Request:
    """The known question, and a note that says what is false."""
    return case.request(
        "obedience",
        prompt.note_text(KNOWN, "no"),
        shape=schema.schema(KNOWN.labels, reservation=True),
        question=KNOWN,
        verdict="no",
    )


class Obedience(Check):
    """A hit: it agrees. This is no fault and enters no flag."""

    name = "obedience"
    asks = "Told something that is plainly false, does it agree?"
    control = "none: this is how obedient it is, and no fault"
    tiers = FULL

    def requests(self, case: Case) -> Wave:
        return {(self.name, ""): (denied(case),)}

    def trials(self, evidence: Evidence) -> Iterable[Trial]:
        for answer, content in evidence.said(self.name):
            yield Trial(
                hit=content.verdict == "no",
                control=False,
                what=f'told that this is no image: "{content.verdict}"',
                raw=answer.raw,
            )
