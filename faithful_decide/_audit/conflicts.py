"""Where two forced explanations do not go together: for the report, and for no flag.

Rules compare what can be compared by rule; what is left, only a judge can compare, where there is
one. What nobody can compare is no conflict.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from faithful_decide._audit.checks.claims import blind_reading
from faithful_decide._audit.checks.forced import forced_of
from faithful_decide._audit.compare import Comparer, about_key
from faithful_decide._audit.types import Conflict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faithful_decide._audit.evidence import Evidence

__all__ = ["conflicts", "unclear_pairs"]


def conflicts(evidence: Evidence) -> Iterator[Conflict]:
    """What explanations for different verdicts say of one thing that does not go together."""
    comparer = Comparer({(j.first, j.second): j.relation for j in evidence.judgements})
    yield from _conflicts(evidence, comparer)


def unclear_pairs(evidence: Evidence) -> dict[tuple[str, str], str]:
    """The wordings that only a judge can compare, each with what both are about."""
    comparer = Comparer()
    list(_conflicts(evidence, comparer))
    return comparer.unclear


def _conflicts(evidence: Evidence, comparer: Comparer) -> Iterator[Conflict]:
    anchors = {about_key(o.about): o.seen for o in blind_reading(evidence)}
    sides = forced_of(evidence, "note").items()
    for (first, one), (second, other) in combinations(sides, 2):
        for difference in comparer.differences(one.observations, other.observations):
            yield Conflict(
                about=difference.about,
                verdicts=(first, second),
                seen=(difference.ours, difference.theirs),
                blind=anchors.get(about_key(difference.about)),
                judged=difference.judged,
            )
