"""From trials to shares: repetitions of one prompt are one count, whatever they have in common."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from faithful_decide._audit.statistics import Count, Net

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from faithful_decide._audit.types import CheckReport, Trial

__all__ = ["TOGETHER", "counts_of", "nets_of"]

TOGETHER = {"no_image": "elsewhere", "other_image": "elsewhere"}
"""Checks that are two ways to ask the same, and what they are called together."""

Counts = tuple[list[Count], list[Count]]
"""Of the treatment and of the control."""


def counts_of(trials: Iterable[Trial], picture: str) -> Counts:
    """Put the trials about one picture together by prompt."""
    cells: dict[tuple[bool, str], list[float]] = {}
    for trial in trials:
        cells.setdefault((trial.control, trial.prompt), []).append(trial.hits)
    sides: Counts = ([], [])
    for (control, prompt), hits in cells.items():
        sides[control].append(Count(picture, prompt, sum(hits), len(hits)))
    return sides


def nets_of(pictures: Iterable[tuple[str, Mapping[str, CheckReport]]]) -> dict[str, Net]:
    """What each check saw in these pictures, where its treatment has a trial.

    Claims asserted of a grey picture and those asserted of another one are also taken together.
    """
    sides: dict[str, Counts] = {}
    for picture, checks in pictures:
        for name, check in checks.items():
            found = counts_of(check.trials, picture)
            for to in (name, TOGETHER[name]) if name in TOGETHER else (name,):
                own = sides.setdefault(to, ([], []))
                for side, more in zip(own, found, strict=True):
                    side += [replace(count, prompt=f"{name}: {count.prompt}") for count in more]
    nets = {name: Net.of(*side) for name, side in sides.items()}
    return {name: net for name, net in nets.items() if net.treatment.units}
