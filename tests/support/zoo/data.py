"""Data sets of the zoo: pictures with a question, the truth about them, and a member to audit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING

from tests.support.zoo.honest import HONEST
from tests.support.zoo.model import HOSTED, LOCAL, Member
from tests.support.zoo.rationalisers import RATIONALISERS
from tests.support.zoo.world import THEMES, drawn_facts, paint
from tests.support.zoo.writer import Drift

if TYPE_CHECKING:
    from faithful_decide import Question

__all__ = ["DRIFTS", "KINDS", "DataSet", "data_set"]

KINDS: dict[str, type[Member]] = {kind.__name__: kind for kind in (*HONEST, *RATIONALISERS)}
"""All members by name."""
DRIFTS = {
    "none": Drift(words=0.0, names=0.0, order=False, number=False),
    "some": Drift(words=0.3, names=0.25),
    "much": Drift(words=0.9, names=0.5),
}
"""How far the words of a model move from one reply to the next."""


@dataclass(frozen=True)
class Sample:
    """A picture with its question, the right verdict, and what it shows."""

    picture: bytes
    question: Question
    truth: str
    facts: dict[str, str]


@dataclass(frozen=True)
class DataSet:
    """Pictures with questions, and the member that is asked."""

    samples: tuple[Sample, ...]
    model: Member

    @property
    def items(self) -> list[tuple[bytes, Question]]:
        """What `audit_dataset` takes."""
        return [(sample.picture, sample.question) for sample in self.samples]


def data_set(
    kind: str,
    n: int = 20,
    *,
    seed: int = 0,
    drift: Drift | str = "some",
    hosted: bool = True,
    theme: str = "",
) -> DataSet:
    """Make a data set: so many pictures of a theme, verdicts in turn, and a member.

    The theme is drawn by the seed unless it is named; "*" takes all of them in turn.
    """
    model = KINDS[kind](
        drift=DRIFTS[drift] if isinstance(drift, str) else drift,
        seed=seed,
        capabilities=HOSTED if hosted else LOCAL,
    )
    return DataSet(_samples(n, seed, theme), model)


@lru_cache(maxsize=64)
def _samples(n: int, seed: int, theme: str) -> tuple[Sample, ...]:
    """Pictures of a data set; not by kind, so that all members see the same ones."""
    rng = Random(f"zoo {seed}")
    names = list(THEMES) if theme == "*" else [theme or rng.choice(list(THEMES))]
    samples = []
    for i in range(n):
        chosen = THEMES[names[i % len(names)]]
        verdicts = chosen.question.verdicts
        truth = verdicts[i // len(names) % len(verdicts)]
        facts = drawn_facts(chosen, rng, truth)
        picture = paint(chosen, facts, rng.randrange(100_000))
        samples.append(Sample(picture, chosen.question, truth, facts))
    rng.shuffle(samples)
    return tuple(samples)
