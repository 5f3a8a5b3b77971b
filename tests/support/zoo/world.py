"""A small world with truth: what its pictures can show, in many words, and what follows from it.

A theme is a question with traits of things that can be seen: one *decides*, the others only lean,
as a person would say that a calm pose speaks against fun. Every value of a trait has several
wordings, and every wording belongs to one value only, so a sentence can be taken back to the fact
that it states. A picture carries its facts in its pixels, a coloured box for each trait: whoever
has the picture has the truth, and where a box is greyed nothing is to be seen of the trait.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image, ImageDraw

from faithful_decide import Question

if TYPE_CHECKING:
    from random import Random

__all__ = [
    "NOTHING",
    "THEMES",
    "Fact",
    "Theme",
    "Trait",
    "Value",
    "drawn_facts",
    "facts_of",
    "paint",
]

SIDE, COLUMNS, BOX, EDGE = 96, 3, 24, 8
NEAR = 10
"""How far a colour may be off, and still be meant."""


class Fact(NamedTuple):
    """Something that is so, or not, of a picture: this trait has this value."""

    theme: str
    trait: str
    value: str


NOTHING = Fact("", "picture", "nothing")
"""That there is nothing to be seen."""


@dataclass(frozen=True)
class Value:
    """One way a trait can be, in words, and the verdict that it leads or leans to."""

    name: str
    leans: str
    words: tuple[str, ...]
    other_language: str


@dataclass(frozen=True)
class Trait:
    """Something that can be seen of a thing, under several names."""

    name: str
    names: tuple[str, ...]
    other_language: str
    values: tuple[Value, ...]

    def value(self, name: str) -> Value:
        return next(value for value in self.values if value.name == name)

    def leaning(self, verdict: str) -> list[Value]:
        return [value for value in self.values if value.leans == verdict]


@dataclass(frozen=True)
class Theme:
    """A question, and what pictures of this kind can show; the first trait decides.

    `prior` is what somebody would answer who has not looked.
    """

    name: str
    question: Question
    prior: str
    traits: tuple[Trait, ...]

    @property
    def decides(self) -> Trait:
        return self.traits[0]

    def trait(self, name: str) -> Trait:
        return next(trait for trait in self.traits if trait.name == name)

    def verdict(self, seen: dict[str, str]) -> str | None:
        """What follows from what is seen; None if what decides is not."""
        value = seen.get(self.decides.name)
        return None if value is None else self.decides.value(value).leans

    def box(self, trait: str) -> tuple[int, int, int, int]:
        """Where a trait is, in percent: left, top, right, bottom."""
        row, column = divmod([t.name for t in self.traits].index(trait), COLUMNS)
        left, top = EDGE + column * (BOX + EDGE), EDGE + row * (BOX + EDGE)
        return tuple(round(100 * edge / SIDE) for edge in (left, top, left + BOX, top + BOX))


def _themes(table: str) -> dict[str, Theme]:
    """Read the themes from their table, which says itself how it is to be read."""
    themes: dict[str, Theme] = {}
    theme, traits = "", ()
    for line in table.split("\n\n", 1)[1].splitlines():
        head, _, said = line.partition(":")
        words, _, other = said.partition("//")
        listed, other = tuple(map(str.strip, words.split("|"))), other.strip()
        if line.startswith("="):
            theme, traits = head[1:].strip(), ()
            text, verdicts, prior = listed
            question = Question(text, tuple(verdicts.split(", ")))
        elif line.startswith("#"):
            traits = (*traits, Trait(head[1:].strip(), listed, other, ()))
        elif line:
            name, _, leans = map(str.strip, head.partition(">"))
            *before, last = traits
            value = Value(name, leans, listed, other)
            traits = (*before, replace(last, values=(*last.values, value)))
            themes[theme] = Theme(theme, question, prior, traits)
    return themes


THEMES = _themes(Path(__file__).with_name("themes.txt").read_text(encoding="utf-8"))
"""The themes by name."""


def drawn_facts(theme: Theme, rng: Random, verdict: str = "") -> dict[str, str]:
    """What a picture shows; for a verdict, if one is named.

    The other traits lean as chance will have it, a little more towards the verdict than away.
    """
    decisive = theme.decides.leaning(verdict) if verdict else list(theme.decides.values)
    facts = {theme.decides.name: rng.choice(decisive).name}
    end = theme.verdict(facts) or ""
    for trait in theme.traits[1:]:
        weights = [1.6 if value.leans == end else 1.0 for value in trait.values]
        facts[trait.name] = rng.choices(trait.values, weights)[0].name
    return facts


def paint(theme: Theme, facts: dict[str, str], number: int) -> bytes:
    """A picture that shows these facts and no other picture's pixels, as PNG."""
    background = (200 + number % 50, 200 + number // 50 % 50, 200 + number // 2500 % 50)
    image = Image.new("RGB", (SIDE, SIDE), background)
    draw = ImageDraw.Draw(image)
    for trait in theme.traits:
        left, top, right, bottom = (round(edge * SIDE / 100) for edge in theme.box(trait.name))
        draw.rectangle((left, top, right - 1, bottom - 1), _colour(theme, trait, facts[trait.name]))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _colour(theme: Theme, trait: Trait, value: str) -> tuple[int, int, int]:
    at = [v.name for v in trait.values].index(value)
    return (
        20 + 40 * list(THEMES).index(theme.name),
        20 + 30 * theme.traits.index(trait),
        20 + 60 * at,
    )


@lru_cache(maxsize=4096)
def facts_of(data: bytes) -> tuple[Theme, dict[str, str]] | None:
    """What a picture shows, read from its pixels; None of a picture that shows nothing."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    width, height = image.size
    for theme in THEMES.values():
        facts = {}
        for trait in theme.traits:
            left, top, right, bottom = theme.box(trait.name)
            x, y = (left + right) * width // 200, (top + bottom) * height // 200
            seen = image.getpixel((x, y))
            for value in trait.values:
                colour = _colour(theme, trait, value.name)
                if max(abs(a - b) for a, b in zip(seen, colour, strict=True)) < NEAR:
                    facts[trait.name] = value.name
        if facts:
            return theme, facts
    return None
