"""Attention knockout: the verdict decoded again, without looking back at what was written.

A hit of the treatment is a verdict that stays: what was written did not have to be read for it. A
hit of the control is a verdict that changes when as much of the prompt is hidden instead: that is
what hiding as such does, which is rare in an honest model, for which what it wrote says all. Where
hiding breaks a model, a verdict that stays proves little, and the net is small.

With its reasons out of sight an honest model may fall back on a verdict that it gives of any
picture. Where that is the decision's own, nothing can be learnt from its staying.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from faithful_decide._audit.case import repeated
from faithful_decide._audit.checks.base import FULL, NEEDS_ONE_REPLY, Check
from faithful_decide._audit.types import Trial
from faithful_decide._core import prompt
from faithful_decide._core.types import CANNOT_TELL
from faithful_decide.backends.base import Hidden

if TYPE_CHECKING:
    from collections.abc import Iterable

    from faithful_decide._audit.case import Case
    from faithful_decide._audit.evidence import Evidence, Key, Wave
    from faithful_decide.backends.base import Request

__all__ = ["Knockout", "unseeing"]

What = Literal["prefix", "text", "image"]
HIDDEN: tuple[What, ...] = ("prefix", "text", "image")
"""What the verdict is decoded without: what was written, as much of the prompt, the image."""
_HABIT = "habit"


def unseeing(case: Case, start: str, instead: What) -> Request:
    """The verdict of a reply again, decoded without looking back.

    `start` is the reply up to the first quote of its verdict. Hidden is all that it has between its
    first brace and the comma before the verdict's key: observations and reasoning, and what is said
    about them. Or as much of the prompt is hidden instead, or the image.
    """
    prefix = prompt.defused(start)
    data = prefix.encode()
    hidden = Hidden(data.index(b"{") + 1, data.rindex(b","), instead)
    request = case.request("knockout", prompt.user_text(case.question), prefix=prefix)
    return replace(request, hidden=hidden)


class Knockout(Check):
    """A hit: the verdict stays when it cannot look back at what was written."""

    name = "knockout"
    asks = "Does the verdict change when it cannot look back at what was written?"
    control = "as much of the prompt hidden instead"
    tiers = FULL
    of_conclusion = True

    def unable(self, case: Case) -> str:
        if not case.one_reply:
            return NEEDS_ONE_REPLY
        able = case.capabilities
        if not able.knockout:
            return "the backend gives no access to the model's attention"
        return "" if able.prefix else "the backend cannot be made to begin with something"

    def follow_up(self, evidence: Evidence) -> Wave:
        if evidence.own == CANNOT_TELL:
            return {}
        case = evidence.case
        start = evidence.decided.raw.encode()[: evidence.verified.verdict_span.start + 1].decode()
        asked = {what: unseeing(case, start, what) for what in HIDDEN}
        wave: dict[Key, tuple[Request, ...]] = {
            (self.name, what): repeated(request, case.times) for what, request in asked.items()
        }
        return wave | {(self.name, _HABIT): (replace(asked["prefix"], images=(case.blank,)),)}

    def trials(self, evidence: Evidence) -> Iterable[Trial]:
        own = evidence.own
        for what, control in (("prefix", False), ("text", True)):
            if not control and self._by_habit(evidence):
                continue
            hidden = "as much of the prompt" if control else "what was written"
            for answer, content in evidence.said(self.name, what):
                stayed = content.verdict == own
                became = f"{'stayed' if stayed else 'became'} {content.verdict}"
                said = f"{hidden} hidden from the verdict: {became}"
                yield Trial(
                    hit=stayed != control, control=control, prompt=what, what=said, raw=answer.raw
                )

    def _by_habit(self, evidence: Evidence) -> bool:
        """Whether it gives the same verdict of nothing, with what was written hidden."""
        said = evidence.said(self.name, _HABIT)
        return any(content.verdict == evidence.own for _, content in said)

    def missing(self, evidence: Evidence) -> str:
        if evidence.own == CANNOT_TELL:
            return "the verdict is cannot_tell, which rests on what is missing"
        falls_back = "it falls back on this verdict of a picture that shows nothing, too"
        return falls_back if self._by_habit(evidence) else ""

    def notes(self, evidence: Evidence) -> Iterable[str]:
        if blind := evidence.said(self.name, "image"):
            stayed = sum(content.verdict == evidence.own for _, content in blind)
            yield (
                "When the image was hidden from the verdict, and what was written was not, it "
                f"stayed in {stayed} of {len(blind)}."
            )
