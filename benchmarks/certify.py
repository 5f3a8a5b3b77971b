"""What a certified error is worth: how often the true error is above it, over simulated models.

A simulated model gives probabilities, and is wrong at each of them by a share that is known. So
the error of all decisions that reach a threshold is known exactly, and a certificate made of labels
that were drawn from the model can be held against it. The kinds of models are hard on purpose:
calibrated ones, too sure ones, ones whose probabilities say nothing or the wrong thing, ones whose
error is the certified one at many thresholds, and ones that vote. Each is drawn anew for every
simulation.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from benchmarks._rows import Options, Row, proportion, run
from faithful_decide.calibration import certify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIMULATIONS, QUICK = 1000, 200
SIZES = (100, 300, 1000)
ERROR, CONFIDENCE = 0.05, 0.95
MOST = 1 - CONFIDENCE
LEAST_USEFUL = 0.9
"""Of simulations of good models, with a thousand labels: those in which something is certified."""

Model = dict[float, tuple[float, float]]
"""From a probability to how common it is, and how often a verdict that has it is wrong."""


def spread(rng: Random, wrong: Callable[[float], float]) -> Model:
    """A model whose probabilities pile up somewhere near 1."""
    steepness = rng.uniform(0.5, 6)
    values = [1 - (i / 40) ** 2 / 2 for i in range(41)]
    weights = [rng.random() * value**steepness for value in values]
    return {v: (w, min(1.0, max(0.0, wrong(v)))) for v, w in zip(values, weights, strict=True)}


def votes(rng: Random) -> Model:
    """A model whose probabilities are shares of five votes."""
    base = rng.uniform(0.0, 0.15)
    return {k / 5: (rng.random(), min(1.0, base + (1 - k / 5) * 0.6)) for k in (2, 3, 4, 5)}


KINDS: dict[str, Callable[[Random], Model]] = {
    "calibrated": lambda rng: spread(rng, lambda p: 1 - p),
    "too sure": lambda rng: spread(rng, lambda p: 0.3 * (1 - p) + 0.06),
    "at the border": lambda rng: spread(rng, lambda _: ERROR * 1.001),
    "a little above": lambda rng: spread(rng, lambda _: rng.uniform(ERROR, 2 * ERROR)),
    "the wrong way round": lambda rng: spread(rng, lambda p: (p - 0.5) * 0.16),
    "votes": votes,
}
GOOD = "calibrated"


def true_error(model: Model, threshold: float) -> float:
    """How many of the decisions that reach a threshold are wrong."""
    reached = [(w, e) for p, (w, e) in model.items() if p >= threshold - 1e-9]
    whole = sum(w for w, _ in reached)
    return sum(w * e for w, e in reached) / whole if whole else 0.0


def drawn(rng: Random, model: Model, n: int) -> Iterator[tuple[float, bool]]:
    """Labelled decisions of a model."""
    weights = [w for w, _ in model.values()]
    for probability in rng.choices(list(model), weights, k=n):
        yield probability, rng.random() >= model[probability][1]


def program(options: Options) -> Iterator[Row]:
    """Certify simulated models, and count how often the promise is not kept."""
    simulations = QUICK if options.quick else SIMULATIONS
    for n in SIZES:
        for kind, make in KINDS.items():
            rng = Random(f"{options.seed} {n} {kind}")
            broken = certified = 0
            for _ in range(simulations):
                model = make(rng)
                found = certify(drawn(rng, model, n), ERROR, CONFIDENCE)
                if found.threshold is not None:
                    certified += 1
                    broken += true_error(model, found.threshold) > ERROR
            figure = f"error above the certified one, {kind}, n={n}"
            yield proportion(figure, broken, simulations, "<=", MOST)
            if kind == GOOD and n == SIZES[-1]:
                figure = f"something certified, {kind}, n={n}"
                yield proportion(figure, certified, simulations, ">=", LEAST_USEFUL)


if __name__ == "__main__":
    run(program)
