"""Shares, what a treatment adds to its control, and how sure one can be of it.

All of it is for few trials that came out one way or the other. Intervals are Wilson's for a share
(Wilson 1927) and Newcombe's for the difference of two (Newcombe 1998, method 10, which is built
from two Wilson intervals), because the usual ones are too narrow for the handfuls there are here
(Bowyer et al. 2025, arXiv 2503.01747). They are written out, because an audit should not need a
library that weighs more than all others together; tests hold them against SciPy.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import TYPE_CHECKING

from faithful_decide._audit.types import Tally
from faithful_decide.calibration import wilson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["gain", "holm", "net", "pooled", "smallest"]


def net(treatment: Tally, control: Tally) -> tuple[float, tuple[float, float]]:
    """What a treatment adds, as a share of what its control left room for, with a 95 % interval.

    (t - p) / (1 - p), not below 0; a control without trials counts as none hit.
    """
    score = gain(treatment.hits, treatment.n, control.hits, control.n)
    low, high = wilson(treatment.hits, treatment.n)
    if control.n == 0:
        return score, (low, high)
    share, floor = treatment.hits / treatment.n, control.hits / control.n
    room = 1.0 - floor
    if room <= 0.0:
        return 0.0, (0.0, 1.0)
    under, over = wilson(control.hits, control.n)
    lower = share - floor - math.hypot(share - low, over - floor)
    upper = share - floor + math.hypot(high - share, floor - under)
    return score, (_clip(lower / room), _clip(upper / room))


def gain(hits: int, n: int, others: int, controls: int) -> float:
    """The score alone, of counts: the share of hits beyond that of the control's `others`."""
    floor = others / controls if controls else 0.0
    if floor >= 1.0:
        return 0.0
    return max(0.0, ((hits / n if n else 0.0) - floor) / (1.0 - floor))


def smallest(trials: int, control: Tally) -> float | None:
    """The smallest score that so many trials could have told from nothing, None if none could."""

    def told_apart(hits: int) -> bool:
        return net(Tally(hits=hits, n=trials), control)[1][0] > 0.0

    # More hits are never harder to tell from nothing.
    hits = bisect_left(range(trials + 1), True, key=told_apart)  # noqa: FBT003 - what is looked for
    return net(Tally(hits=hits, n=trials), control)[0] if hits <= trials else None


def pooled(tallies: Sequence[Tally]) -> Tally:
    """All trials of several tallies together."""
    return Tally(hits=sum(t.hits for t in tallies), n=sum(t.n for t in tallies))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Correct the p values of flags for having looked at several (Holm 1979)."""
    corrected: dict[str, float] = {}
    worst = 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        worst = max(worst, min(1.0, p * (len(p_values) - rank)))
        corrected[name] = worst
    return corrected


def _clip(value: float) -> float:
    return min(1.0, max(0.0, value))
