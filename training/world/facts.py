"""What there is to say of a thing, in the words that observations, questions and conclusions share.

A fact is written one way only, wherever it stands: ``35% across``, ``wearing a crown``, ``not
there``. So two observations can be compared word by word, and what a question asks for is found
again in what was seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.world.phrasing import with_article
from training.world.scenes import (
    ACCESSORIES,
    ANIMALS,
    COLOURS,
    KINDS,
    MOODS,
    OBJECTS,
    SHAPES,
    STEP,
    TURNABLE,
    VEHICLES,
    Scene,
    Thing,
    bin_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

Observations = list[tuple[str, str]]
ABSENT = "not there"
USUAL = "as usual"
GROUPS = {"animals": ANIMALS, "shapes": SHAPES, "things": KINDS}


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with all that is needed to observe and to conclude.

    Attributes:
        family: The family that figures are reported by.
        form: A key of ``FORMS``.
        args: What the question is about; their meaning is the form's.
        text: The question in words.
        labels: The verdicts offered, without ``cannot_tell``.
    """

    family: str
    form: str
    args: tuple[str, ...]
    text: str
    labels: tuple[str, ...] = ("yes", "no")


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What follows from written observations: the reasoning, the verdict, and which observations
    carry it.
    """

    reasoning: str
    verdict: str
    relies_on: tuple[int, ...]


# ---------------------------------------------------------------- words for facts


def percent(pixels: float) -> int:
    """A length in steps of ``STEP`` percent of the frame."""
    return bin_of(pixels) * STEP


ACROSS, DOWN, LARGE = "{}% across", "{}% down", "{}% large"


def across(thing: Thing) -> str:
    return ACROSS.format(percent(thing.x))


def box(thing: Thing) -> str:
    """Where a thing is and how large."""
    return boxed(percent(thing.x), percent(thing.y), percent(thing.size))


def boxed(x: int, y: int, size: int) -> str:
    return ", ".join((ACROSS.format(x), DOWN.format(y), LARGE.format(size)))


def fact_of(saw: str) -> str:
    """What an observation says after the place."""
    return saw.split(", ", 1)[1]


def state(thing: Thing) -> str:
    """What is worth saying of a thing when asked whether anything is odd."""
    if thing.wears:
        return f"wearing {with_article(thing.wears)}"
    if thing.upside_down:
        return "upside down"
    if thing.rides:
        return f"riding a {thing.rides}"
    return too_large(thing.absurd) if thing.absurd else USUAL


def too_large(big: str) -> str:
    return f"too large beside the {big}"


def full(thing: Thing) -> str:
    """Everything there is to say of a thing, for a reading that does not know what is asked.

    Whatever an observation can say of it stands here word for word, what is as usual included; so
    an observation that the reading bears out is part of it.
    """
    facts = [fact.write(thing) for fact in FACTS.values() if fact.has(thing)]
    odd = state(thing)
    return ", ".join([box(thing), *facts, *([odd] if odd not in facts else [])])


def number(saw: str, form: str) -> int:
    """The number that an observation gives in a form: 60 of "40% across, 60% down" for DOWN."""
    said = form.format("")
    for part in saw.split(", "):
        if part.endswith(said):
            return int(part.removesuffix(said))
    msg = f"no number {said!r} in {saw!r}"
    raise ValueError(msg)


def named(scene: Scene, name: str) -> list[Thing]:
    """The things that a noun means, from left to right."""
    return [thing for thing in scene.things if name in {thing.name, thing.kind}]


def lone(scene: Scene) -> list[Thing]:
    """The things whose noun means them alone."""
    return [thing for thing in scene.things if len(named(scene, thing.name)) == 1]


def anyone(rng: Random) -> str:
    """Any noun of the world."""
    kind = rng.choice((*ANIMALS, *OBJECTS, *ACCESSORIES, *SHAPES, *SHAPES))
    return f"{rng.choice(COLOURS)} {kind}" if kind in SHAPES else kind


def missing(rng: Random, scene: Scene, among: tuple[str, ...] = ()) -> str:
    """A noun that means nothing in the scene."""
    while True:
        name = rng.choice(among) if among else anyone(rng)
        if not named(scene, name):
            return name


def some_box(rng: Random) -> str:
    return boxed(
        rng.randrange(5, 95, STEP), rng.randrange(5, 95, STEP), rng.randrange(15, 50, STEP)
    )


def some_boxes(rng: Random, names: tuple[str, ...]) -> Observations:
    """Things that are nowhere, no two alike in place or size."""
    places = zip(
        *(rng.sample(range(*span, STEP), len(names)) for span in ((5, 95), (5, 95), (15, 50))),
        strict=True,
    )
    return [(the(name), boxed(*place)) for name, place in zip(names, places, strict=True)]


def some_across(rng: Random) -> str:
    return ACROSS.format(rng.randrange(5, 95, STEP))


def the(name: str) -> str:
    return f"the {name}"


def seen_of(name: str, scene: Scene, fact: Callable[[Thing], str]) -> tuple[str, str]:
    """The observation of the first thing that a noun means."""
    things = named(scene, name)
    return the(name), fact(things[0]) if things else ABSENT


def yes_no(*, holds: bool) -> str:
    return "yes" if holds else "no"


def none_there(about: str) -> str:
    return f"no {about.removeprefix('the ')} is there"


# ---------------------------------------------------------------- one fact about one thing


@dataclass(frozen=True, slots=True)
class Fact:
    """A facet asked about: who has it, how it is written, the words it can take."""

    family: str
    form: str
    has: Callable[[Thing], bool]
    noun: Callable[[Thing], str]
    write: Callable[[Thing], str]
    words: tuple[str, ...]
    absent: tuple[str, ...]  # nouns to ask about that are not there
    common: str = ""  # the word that most things have, drawn less often


def _worn(thing: Thing) -> str:
    return f"wearing {with_article(thing.wears or 'nothing')}"


def _ridden(thing: Thing) -> str:
    return f"riding a {thing.rides}" if thing.rides else "riding nothing"


FACTS = {
    "colour": Fact(
        "attribute",
        "colour",
        lambda t: bool(t.colour),
        lambda t: t.kind,
        lambda t: t.colour,
        COLOURS,
        SHAPES,
    ),
    "wears": Fact(
        "attribute",
        "wears",
        lambda t: t.kind in ANIMALS,
        lambda t: t.kind,
        _worn,
        tuple(f"wearing {with_article(a)}" for a in ACCESSORIES),
        ANIMALS,
        "wearing nothing",
    ),
    "rides": Fact(
        "attribute",
        "rides",
        lambda t: t.kind in ANIMALS,
        lambda t: t.kind,
        _ridden,
        tuple(f"riding a {v}" for v in VEHICLES),
        ANIMALS,
        "riding nothing",
    ),
    "turned": Fact(
        "attribute",
        "turned",
        lambda t: t.kind in TURNABLE,
        lambda t: t.kind,
        lambda t: "upside down" if t.upside_down else "upright",
        ("upside down",),
        TURNABLE,
        "upright",
    ),
    "mood": Fact(
        "mood", "mood", lambda t: bool(t.mood), lambda t: t.kind, lambda t: t.mood, MOODS, ("cat",)
    ),
}


def bare(word: str) -> str:
    """The asked word without its verb and article: "wearing a crown" gives "crown"."""
    return (
        word.split(" ", 1)[1].removeprefix("a ").removeprefix("an ")
        if word.startswith(("wearing", "riding"))
        else word
    )
