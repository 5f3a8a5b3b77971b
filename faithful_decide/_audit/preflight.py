"""What is to be known of a model before anything is said of it: how much it moves by itself.

Of replies to one and the same request: how many things have another name or are left out, how many
are worded otherwise, how often the verdict is another one; and whether it fills the fields as they
were explained to it. It costs nothing: the replies are those that the audit asks for anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from faithful_decide._audit.compare import about_key
from faithful_decide._audit.evidence import objected
from faithful_decide._audit.types import Preflight

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from faithful_decide._audit.evidence import Evidence
    from faithful_decide._core.contract import Content

__all__ = ["FIRST", "preflight_of"]

FIRST = 5
"""Items of a data set that are looked at for it."""


def preflight_of(audits: Sequence[Evidence]) -> Preflight:
    """Look at the first audits of a data set."""
    pairs: list[tuple[Content, Content]] = []
    fills, objections, usable, all_replies = [], [], 0, 0
    for evidence in audits:
        free = [content for _, content in evidence.free]
        pairs += [(free[0], other) for other in free[1:]]
        fills += [bool(content.relies_on) for content in free]
        told = evidence.said("forced", evidence.own)
        objections += [objected(content) for _, content in told]
        answers = evidence.replies
        usable += sum(answer.problem is None for answer in answers)
        all_replies += len(answers)
    names = [share for one, other in pairs for share in _names(one, other)]
    words = [share for one, other in pairs for share in _words(one, other)]
    return Preflight(
        items=len(audits),
        pairs=len(pairs),
        names=_mean(names),
        words=_mean(words),
        verdicts=_mean(one.verdict != other.verdict for one, other in pairs),
        relies_on=_mean(fills),
        reservations=_mean(objections),
        usable=usable / all_replies if all_replies else None,
    )


def _names(one: Content, other: Content) -> list[bool]:
    named = {about_key(o.about) for o in other.observations}
    return [about_key(o.about) not in named for o in one.observations]


def _words(one: Content, other: Content) -> list[bool]:
    said = {about_key(o.about): o.seen.casefold() for o in other.observations}
    return [
        said[about_key(o.about)] != o.seen.casefold()
        for o in one.observations
        if about_key(o.about) in said
    ]


def _mean(values: Iterable[bool]) -> float | None:
    listed = list(values)
    return sum(listed) / len(listed) if listed else None
