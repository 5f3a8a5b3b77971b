"""Says facts in varying words, and takes sentences back to the facts that they state.

Every wording in the world belongs to one fact, whoever wrote it; ways to dress a wording up are
taken off again by matching the wording inside. So what a model wrote is understood by any other,
also inside a statement that an audit has put together, and no English is parsed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from tests.support.zoo.world import NOTHING, THEMES, Fact

if TYPE_CHECKING:
    from random import Random


__all__ = ["PLAIN", "Drift", "Line", "Style", "Writer", "fact_in", "traits_named"]

UNCLEAR = "unclear"
"""The value of what cannot be made out."""
ABSENT = "absent from here"
"""The value of what is not in the picture at all."""
IMAGE = Fact("", "picture", "an image")
_SPECIAL = {
    NOTHING: ("plain grey, nothing to be seen", "an empty grey area", "blank", "no content at all"),
    IMAGE: ("a picture", "an image as asked about", "a photograph", "some picture"),
}
_UNCLEAR = ("cannot be made out", "too blurred to tell", "not clear enough to say", "out of focus")
_ABSENT = ("nothing of the kind is there", "not in the picture", "no such thing to be seen")
_PICTURE_NAMES = ("the picture", "the image", "what is shown", "the photograph")
_DRESSED = (
    "{}", "{}, plain to see", "clearly {}", "{}, without doubt", "{} in this picture", "visibly {}",
)  # fmt: skip
_HEDGED = ("possibly {}", "it looks as if: {}", "{}, I think", "{}, or so it appears", "maybe {}")
_VERBOSE = (
    "on looking closely, one finds this: {}, which is quite plain from where the camera is",
    "{}, and this can be said of every part of it that is in view, near and far, left and right",
    "as to this, the image leaves no room for another reading: {}, and nothing else stands out",
)


@dataclass(frozen=True)
class Drift:
    """How much a model's replies move when nothing changes, and how badly it sees.

    `words` is the share of things worded anew, `names` of those named anew; `order` and `number`
    say whether these are free. `misreading` is the share of things that are seen as something else,
    `acquiescence` how often it says "true" of what it does not see, `verdict_noise` how often it
    gives another verdict than follows. Of this noise the share `sticky` is the same whenever the
    same prompt is repeated.
    """

    words: float = 0.3
    names: float = 0.25
    order: bool = True
    number: bool = True
    misreading: float = 0.02
    acquiescence: float = 0.0
    verdict_noise: float = 0.0
    sticky: float = 0.5


PLAIN = Drift(words=0.0, names=0.0, order=False, number=False, misreading=0.0)
"""No drift at all: formulaic replies of one who sees everything."""


class Line(NamedTuple):
    """A fact in words: what it is about, and what is seen of it."""

    fact: Fact | None
    about: str
    seen: str


@dataclass(frozen=True)
class Style:
    """How somebody writes; `least` and `most` are how many things besides the one that decides."""

    least: int = 1
    most: int = 4
    hedged: bool = False
    verbose: bool = False
    other_language: bool = False


class Writer:
    """Writes lines in a style, with so much drift."""

    def __init__(self, drift: Drift, style: Style) -> None:
        self.drift, self.style = drift, style

    def line(self, fact: Fact, rng: Random, *, anew: bool = False) -> Line:
        """A fact in words; `anew` in other ones than usual."""
        other = self.style.other_language
        names, words = names_of(fact, other_language=other), words_of(fact, other_language=other)
        name = names[0]
        if rng.random() < self.drift.names or anew:
            name = rng.choice(names[1:] or names)
        seen = words[0]
        if rng.random() < self.drift.words or anew:
            dress = "{}" if self.style.hedged or other else rng.choice(_DRESSED)
            seen = dress.format(rng.choice(words[1:] or words))
        if self.style.hedged and rng.random() < 0.7:
            seen = rng.choice(_HEDGED).format(seen)
        if self.style.verbose:
            seen = rng.choice(_VERBOSE).format(seen)
        return Line(fact, name, seen)

    def chosen(self, decides: Fact | None, others: list[Fact], rng: Random) -> list[Fact]:
        """Which facts a reply speaks of, in its order."""
        least, most = self.style.least, min(self.style.most, len(others))
        if self.drift.number:
            others = rng.sample(others, rng.randint(min(least, most), most))
        else:
            others = others[: min((least + self.style.most) // 2, most)]
        facts = ([decides] if decides else []) + others
        if self.drift.order:
            rng.shuffle(facts)
        return facts


def names_of(fact: Fact, *, other_language: bool = False) -> tuple[str, ...]:
    """The names of what a fact is about, the usual one first."""
    if not fact.theme:
        return _PICTURE_NAMES
    trait = THEMES[fact.theme].trait(fact.trait)
    return (trait.other_language,) if other_language else trait.names


def words_of(fact: Fact, *, other_language: bool = False) -> tuple[str, ...]:
    """The wordings of a fact, the usual one first."""
    if fact in _SPECIAL:
        return _SPECIAL[fact]
    if fact.value in {UNCLEAR, ABSENT}:
        return _UNCLEAR if fact.value == UNCLEAR else _ABSENT
    value = THEMES[fact.theme].trait(fact.trait).value(fact.value)
    return (value.other_language,) if other_language else value.words


def _all_words() -> dict[str, Fact]:
    table: dict[str, Fact] = {}
    facts = [
        Fact(theme.name, trait.name, value.name)
        for theme in THEMES.values()
        for trait in theme.traits
        for value in trait.values
    ]
    for fact in (*facts, *_SPECIAL):
        for other in (False, True) if fact.theme else (False,):
            for words in words_of(fact, other_language=other):
                if table.setdefault(words.casefold(), fact) != fact:
                    msg = f"{words!r} says two things: {fact} and {table[words.casefold()]}"
                    raise ValueError(msg)
    return table


WORDS = _all_words()
_LONGEST_FIRST = sorted(WORDS, key=len, reverse=True)


@lru_cache(maxsize=65536)
def fact_in(text: str) -> Fact | None:
    """The fact that a sentence states: the one of the longest wording in it."""
    folded = text.casefold()
    return next((WORDS[words] for words in _LONGEST_FIRST if _stands_in(words, folded)), None)


def _stands_in(words: str, text: str) -> bool:
    at = text.find(words)
    while at >= 0:
        if not (text[at - 1 : at].isalnum() or text[at + len(words) :][:1].isalnum()):
            return True
        at = text.find(words, at + 1)
    return False


@lru_cache(maxsize=4096)
def traits_named(name: str, theme: str) -> tuple[str, ...]:
    """The traits of a theme that go by a name."""
    folded = name.casefold().strip()
    return tuple(
        trait.name
        for trait in THEMES[theme].traits
        if folded in {n.casefold() for n in (*trait.names, trait.other_language)}
    )


def reason(lines: list[Line], verdict: str, rng: Random, style: Style, preamble: str = "") -> str:
    """Why a verdict, from the lines that it rests on."""
    said = "; ".join(f"{line.about}: {line.seen}" for line in lines) or "nothing speaks for more"
    ends = _REASONS_HEDGED if style.hedged else _REASONS_OTHER if style.other_language else _REASONS
    return preamble + rng.choice(ends).format(said=said, verdict=verdict)


_REASONS = (
    "{said}. Hence {verdict}.", "Since {said}, the answer is {verdict}.",
    "What counts is this: {said}. That makes it {verdict}.", "{said}, which leads to {verdict}.",
    "Taking it together ({said}), it comes to {verdict}.",
)  # fmt: skip
_REASONS_HEDGED = (
    "{said}. This suggests {verdict}, though one cannot be sure.",
    "I think it is {verdict}, since {said} seems to point that way.",
    "{said}; somebody might see it otherwise, but I would say {verdict}.",
)
_REASONS_OTHER = ("{said}. Also: {verdict}.", "Weil {said}, lautet die Antwort {verdict}.")
