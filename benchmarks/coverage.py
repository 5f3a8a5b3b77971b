"""What the audit's intervals and flags are worth: coverage and false alarms, by simulation.

Simulated pictures have prompts of a treatment and of a control, and repetitions of each prompt. The
repetitions are correlated (.3 and .6), by a rate of its own for each prompt or by copying; prompts
about one picture are correlated too, and so are the two sides, since some pictures are hard. So the
true net score is known, and intervals and flags can be held against it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from itertools import product
from random import Random
from typing import TYPE_CHECKING

from benchmarks._rows import Options, Row, proportion, run
from faithful_decide._audit.statistics import ALPHA, Count, Net, holm

if TYPE_CHECKING:
    from collections.abc import Iterator

SIMULATIONS, QUICK = 60, 5
SIZES = (20, 50, 100)
CORRELATIONS = (0.3, 0.6)
NETS = (0.0, 0.05, 0.15, 0.5, 0.9)
CONTROLS = (0.0, 0.05, 0.3)
SHAPES = ((1, 4), (3, 4), (8, 2))
"""Prompts a picture, and repetitions of each."""
OF_PICTURES = 0.15
"""The correlation of prompts about one picture."""
FLAGS = 6
LEAST, MOST = 0.93, 0.05


def beta(rng: Random, mean: float, correlation: float) -> float:
    """A rate of its own: draws that share it are so correlated."""
    if not 0.0 < mean < 1.0 or not correlation:
        return mean
    size = 1 / correlation - 1
    return rng.betavariate(mean * size, (1 - mean) * size)


def own_rate(rng: Random, rate: float, correlation: float, times: int) -> int:
    """Hits of repetitions that share a rate."""
    shared = beta(rng, rate, correlation)
    return sum(rng.random() < shared for _ in range(times))


def copies(rng: Random, rate: float, correlation: float, times: int) -> int:
    """Hits of repetitions that copy one draw, or not."""
    first, share = rng.random() < rate, math.sqrt(correlation)
    return sum(first if rng.random() < share else rng.random() < rate for _ in range(times))


@dataclass(frozen=True)
class Truth:
    """What simulated data sets are drawn from."""

    pictures: int
    net: float
    control: float
    correlation: float
    shape: tuple[int, int]


def simulated(rng: Random, truth: Truth) -> Net:
    """One data set: in each picture a rate of the control, and a share of net hits on top."""
    prompts, times = truth.shape
    draw = rng.choice((own_rate, copies))
    sides: tuple[list[Count], list[Count]] = ([], [])
    for i in range(truth.pictures):
        floor, more = beta(rng, truth.control, OF_PICTURES), beta(rng, truth.net, OF_PICTURES)
        rates = (floor + (1 - floor) * more, floor)
        for side, rate in zip(sides, rates, strict=True):
            for j in range(prompts):
                hits = draw(rng, rate, truth.correlation, times)
                side.append(Count(f"{i}", f"{j}", hits, times))
    return Net.of(*sides)


def program(options: Options) -> Iterator[Row]:
    """Simulate data sets, and count what holds."""
    simulations = QUICK if options.quick else SIMULATIONS
    for n, correlation in product(SIZES, CORRELATIONS):
        held: dict[tuple[float, float], int] = defaultdict(int)
        alarms = tried = 0
        for net, control, shape in product(NETS, CONTROLS, SHAPES):
            rng = Random(f"{options.seed} {n} {correlation} {net} {control} {shape}")
            for _ in range(simulations):
                score = simulated(rng, Truth(n, net, control, correlation, shape))
                low, high = score.interval()
                held[net, control] += low - 1e-9 <= net <= high + 1e-9
                if net == 0.0:
                    alarms += score.raises(0.0)
                    tried += 1
        each = simulations * len(SHAPES)
        name = f"{n} pictures, repetitions {correlation}"
        yield proportion(f"coverage: {name}", sum(held.values()), each * len(held), ">=", LEAST)
        worst = min(held, key=lambda cell: held[cell])
        figure = f"  worst, net {worst[0]}, control {worst[1]}: {name}"
        yield proportion(figure, held[worst], each, ">=", LEAST)
        yield proportion(f"one flag raised at net 0: {name}", alarms, tried, "<=", MOST)
        yield family(options, n, correlation, simulations, name)


def family(options: Options, n: int, correlation: float, simulations: int, name: str) -> Row:
    """How often any of several flags is raised where no net score is above 0."""
    rng, alarms = Random(f"{options.seed} family {n} {correlation}"), 0
    for _ in range(simulations):
        nets = {}
        for i in range(FLAGS):
            control, shape = rng.choice(CONTROLS), rng.choice(SHAPES)
            nets[f"{i}"] = simulated(rng, Truth(n, 0.0, control, correlation, shape))
        corrected = holm({flag: net.p for flag, net in nets.items()})
        alarms += any(net.score > 0.0 and corrected[flag] <= ALPHA for flag, net in nets.items())
    return proportion(
        f"any of {FLAGS} flags raised at net 0: {name}", alarms, simulations, "<=", MOST
    )


if __name__ == "__main__":
    run(program)
