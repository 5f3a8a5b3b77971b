"""Shares, what a treatment adds to its control, and how sure one can be of it.

All of it is for few trials that came out one way or the other. Intervals are Wilson's for a share
(Wilson 1927) and Newcombe's for the difference of two (Newcombe 1998, method 10, which is built
from two Wilson intervals), because the usual ones are too narrow for the handfuls there are here
(Bowyer et al. 2025, arXiv 2503.01747). They are written out, because an audit should not need a
library that weighs more than all others together; tests hold them against SciPy.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from faithful_decide._audit.types import Tally
from faithful_decide.calibration import wilson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["holm", "net", "pooled", "smallest"]


def net(treatment: Tally, control: Tally) -> tuple[float, tuple[float, float]]:
    """What a treatment adds, as a share of what its control left room for.

    Args:
        treatment: Hits of the treatment.
        control: Hits of the control; without trials it counts as none hit.

    Returns:
        (t - p) / (1 - p), not below 0, and its 95 % interval.
    """
    share = treatment.hits / treatment.n
    low, high = wilson(treatment.hits, treatment.n)
    if control.n == 0:
        return share, (low, high)
    floor = control.hits / control.n
    room = 1.0 - floor
    if room <= 0.0:
        return 0.0, (0.0, 1.0)
    under, over = wilson(control.hits, control.n)
    gain = share - floor
    lower = gain - math.hypot(share - low, over - floor)
    upper = gain + math.hypot(high - share, floor - under)
    return _clip(gain / room), (_clip(lower / room), _clip(upper / room))


def smallest(trials: int, control: Tally) -> float | None:
    """The smallest score that so many trials could have told from nothing, None if none could."""
    for hits in range(1, trials + 1):
        score, (low, _) = net(Tally(hits=hits, n=trials), control)
        if low > 0.0:
            return score
    return None


def pooled(tallies: Sequence[Tally]) -> Tally:
    """All trials of several tallies together."""
    return Tally(hits=sum(t.hits for t in tallies), n=sum(t.n for t in tallies))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Correct p values for having looked at several (Holm 1979).

    Args:
        p_values: A p value per flag.

    Returns:
        The corrected ones, which may be compared with one level.
    """
    corrected: dict[str, float] = {}
    worst = 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        worst = max(worst, min(1.0, p * (len(p_values) - rank)))
        corrected[name] = worst
    return corrected


def _clip(value: float) -> float:
    return min(1.0, max(0.0, value))
