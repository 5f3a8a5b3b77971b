"""How the questions of each form are put into words.

Each form has many phrasings. Those after the bar (``HELD_OUT``) are never trained on; they are made
of words that other phrasings use and measure whether a question is understood or only recognised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

HELD_OUT = "|"
PLACES = (
    "in this image",
    "in the image",
    "in this picture",
    "in the picture",
    "here",
    "in this photo",
    "in the scene",
)

# {a}, {b}: nouns without article; {an}: the same with "a" or "an"; {w}: the asked word; {in}: one
# of PLACES
PHRASINGS: dict[str, tuple[str, ...]] = {
    "exists": (
        "Is there {an} {in}?",
        "Do you see {an} {in}?",
        "Can you see {an} {in}?",
        "Does this image show {an}?",
        "Does the picture contain {an}?",
        "Is {an} visible {in}?",
        "Does this image contain {an}?",
        "Is {an} {in}?",
        "Look at the image. Is there {an}?",
        "Can {an} be seen {in}?",
        "Does the scene include {an}?",
        "Is {an} shown {in}?",
        "Are you able to see {an} {in}?",
        "Is there any {a} {in}?",
        "Is there {an}?",
        HELD_OUT,
        "Does the image include {an}?",
        "Can you see any {a} {in}?",
        "Look at the picture. Do you see {an}?",
    ),
    "colour": (
        "Is the {a} {w}?",
        "Is the {a} {in} {w}?",
        "Is the colour of the {a} {w}?",
        "Does the {a} have the colour {w}?",
        "Is the {a} coloured {w}?",
        "Is the {a} that you see {w}?",
        "Is it {an_w} {a}?",
        "Is the {a} painted {w}?",
        "Look at the {a}. Is it {w}?",
        "Would you say the {a} is {w}?",
        "Is the color of the {a} {w}?",
        HELD_OUT,
        "Look at the {a} {in}. Is its colour {w}?",
        "Would you say the colour of the {a} is {w}?",
    ),
    "wears": (
        "Is the {a} wearing {an_w}?",
        "Does the {a} wear {an_w}?",
        "Is the {a} {in} wearing {an_w}?",
        "Does the {a} have {an_w} on?",
        "Is there {an_w} on the {a}?",
        "Look at the {a}. Is it wearing {an_w}?",
        "Can you see {an_w} on the {a}?",
        "Has the {a} got {an_w} on?",
        "Is {an_w} worn by the {a}?",
        HELD_OUT,
        "Do you see {an_w} on the {a}?",
        "Look at the {a}. Does it have {an_w} on?",
    ),
    "rides": (
        "Is the {a} riding {an_w}?",
        "Does the {a} ride {an_w}?",
        "Is the {a} on {an_w}?",
        "Is the {a} {in} riding {an_w}?",
        "Does the {a} sit on {an_w}?",
        "Look at the {a}. Is it riding {an_w}?",
        "Is the {a} sitting on {an_w}?",
        HELD_OUT,
        "Look at the {a} {in}. Does it ride {an_w}?",
    ),
    "turned": (
        "Is the {a} upside down?",
        "Is the {a} {in} upside down?",
        "Has the {a} been turned upside down?",
        "Does the {a} stand on its head?",
        "Is the {a} the wrong way up?",
        "Look at the {a}. Is it upside down?",
        "Is the {a} turned over?",
        "Would you say the {a} is upside down?",
        HELD_OUT,
        "Look at the {a} {in}. Is it the wrong way up?",
        "Would you say the {a} is the wrong way up?",
    ),
    "relation": (
        "Is the {a} {w} the {b}?",
        "Is the {a} {w} the {b} {in}?",
        "Does the {a} stand {w} the {b}?",
        "Can you see the {a} {w} the {b}?",
        "Do you see the {a} {w} the {b}?",
        "Is the {a} placed {w} the {b}?",
        "Would you say the {a} is {w} the {b}?",
        "Look at the {a} and the {b}. Is the {a} {w} the {b}?",
        "Is the {a} somewhere {w} the {b}?",
        "Is it true that the {a} is {w} the {b}?",
        "Is there {an} {w} the {b}?",
        HELD_OUT,
        "Is it true that the {a} stands {w} the {b}?",
        "Look at the image. Is the {a} {w} the {b}?",
    ),
    "number": (
        "Are there {w} {a} {in}?",
        "Do you see {w} {a}?",
        "Does this image show {w} {a}?",
        "Can you see {w} {a} {in}?",
        "Does the picture contain {w} {a}?",
        "Is the number of {a} {w}?",
        "Are {w} {a} visible {in}?",
        "Are there {w} {a}?",
        "Count the {a}. Are there {w} {a}?",
        "Are {w} {a} shown {in}?",
        HELD_OUT,
        "Does the image contain {w} {a}?",
        "Count the {a} {in}. Do you see {w} {a}?",
    ),
    "compare": (
        "Are there more {a} than {b}?",
        "Are there more {a} than {b} {in}?",
        "Do you see more {a} than {b}?",
        "Does this image show more {a} than {b}?",
        "Can you see more {a} than {b} {in}?",
        "Is the number of {a} larger than the number of {b}?",
        "Count the {a} and the {b}. Are there more {a} than {b}?",
        "Does the picture contain more {a} than {b}?",
        HELD_OUT,
        "Are more {a} than {b} visible {in}?",
        "Count the {a} and the {b}. Do you see more {a} than {b}?",
    ),
    "size": (
        "Is the {a} {w} than the {b}?",
        "Is the {a} {w} than the {b} {in}?",
        "Does the {a} look {w} than the {b}?",
        "Would you say the {a} is {w} than the {b}?",
        "Look at the {a} and the {b}. Is the {a} {w} than the {b}?",
        "Is it true that the {a} is {w} than the {b}?",
        "Is the {a} drawn {w} than the {b}?",
        HELD_OUT,
        "Would you say the {a} looks {w} than the {b}?",
        "Look at the image. Is the {a} {w} than the {b}?",
    ),
    "control": (
        "Is this an image?",
        "Is this a picture?",
        "Is there an image?",
        "Is an image shown here?",
        HELD_OUT,
        "Do you see an image?",
    ),
    "mood": (
        "Is the {a} {w}?",
        "Is the {a} {in} {w}?",
        "Does the {a} look {w}?",
        "Would you say the {a} is {w}?",
        "Look at the {a}. Is it {w}?",
        "Does the {a} seem {w}?",
        "Is the mood of the {a} {w}?",
        "Is it {an_w} {a}?",
        "Does the {a} {in} look {w}?",
        "Is the {a} in {an_w} mood?",
        HELD_OUT,
        "Look at the {a}. Does it seem {w}?",
        "Would you say the {a} looks {w}?",
    ),
    "funny": (
        "Does this image show anything funny?",
        "Consider the image above. Does this image show anything funny?",
        "Is there anything funny {in}?",
        "Is this image funny?",
        "Do you see anything funny {in}?",
        "Is anything odd {in}?",
        "Does this picture show something strange?",
        "Is something unusual {in}?",
        "Is there something funny {in}?",
        "Does the image contain anything funny?",
        "Can you see anything odd {in}?",
        "Is the scene funny?",
        "Does anything look out of place {in}?",
        "Is there anything strange {in}?",
        "Would you say this picture is funny?",
        "Look at the image. Is anything funny?",
        "Is this a funny picture?",
        "Does this image contain anything unusual?",
        HELD_OUT,
        "Consider the picture above. Is there anything funny?",
        "Does the picture show anything odd?",
        "Would you say there is something strange {in}?",
        "Can you see something funny {in}?",
    ),
    "scene": (
        "Is this image {v}?",
        "Is the scene {v}?",
        "Would you say this picture is {v}?",
        "Is this a {v} picture?",
        "Which is it, {v}?",
        "Look at the image. Is it {v}?",
        "What kind of scene is this?",
        "How would you call this image?",
        HELD_OUT,
        "Look at the picture. Is the scene {v}?",
        "How would you call this picture?",
    ),
    "most": (
        "Which {c} is the {w}?",
        "Which {c} is the {w} {in}?",
        "Which of the {cs} is the {w}?",
        "What is the {w} {c} {in}?",
        "Which one is the {w}: {v}?",
        "Look at the {cs}. Which is the {w}?",
        "What is the {w} {c}?",
        "Which {c} looks the {w}?",
        HELD_OUT,
        "Look at the {cs} {in}. Which one is the {w}?",
        "Which of the {cs} looks the {w}?",
    ),
    "what_colour": (
        "What colour is the {a}?",
        "What is the colour of the {a}?",
        "Which colour does the {a} have?",
        "What color is the {a} {in}?",
        "Is the {a} {v}?",
        "Look at the {a}. What colour is it?",
        "Which colour is the {a}?",
        HELD_OUT,
        "Look at the {a}. Which colour does it have?",
        "What is the color of the {a} {in}?",
    ),
    "what_mood": (
        "What is the mood of the {a}?",
        "How does the {a} look?",
        "Is the {a} {v}?",
        "Which mood does the {a} have?",
        "How does the {a} seem?",
        "Look at the {a}. What is its mood?",
        "What mood is the {a} in?",
        HELD_OUT,
        "Look at the {a}. How does it look?",
        "Which mood is the {a} in?",
    ),
    "what_wears": (
        "What is the {a} wearing?",
        "What does the {a} wear?",
        "What is worn by the {a} {in}?",
        "Look at the {a}. What is it wearing?",
        "What has the {a} got on?",
        "Which of these is the {a} wearing: {v}?",
        "What is on the {a}?",
        HELD_OUT,
        "Look at the {a}. What does it wear?",
        "Which of these does the {a} wear: {v}?",
    ),
    "side": (
        "Is the {a} {v} the {b}?",
        "Where is the {a}, seen from the {b}?",
        "Does the {a} stand {v} the {b}?",
        "Where does the {a} stand, {v} the {b}?",
        "Look at the {a} and the {b}. Is the {a} {v} the {b}?",
        "On which side of the {b} is the {a}?",
        HELD_OUT,
        "Look at the image. Is the {a} {v} the {b}?",
        "Where is the {a}, {v} the {b}?",
    ),
    "which": (
        "Which {c} is {in}?",
        "Which of these is {in}: {v}?",
        "Which {c} do you see?",
        "Which {c} does this image show?",
        "What do you see {in}: {v}?",
        "Which {c} can you see {in}?",
        "Is it {v}?",
        "Which {c} is there?",
        HELD_OUT,
        "Which of these do you see {in}: {v}?",
        "Which {c} does the picture contain?",
    ),
    "how_many": (
        "How many {a} are there?",
        "How many {a} are {in}?",
        "How many {a} do you see?",
        "How many {a} does this image show?",
        "Count the {a}. How many are there?",
        "What is the number of {a} {in}?",
        "How many {a} can you see {in}?",
        HELD_OUT,
        "Count the {a} {in}. How many do you see?",
        "How many {a} does the picture contain?",
    ),
}


def phrasings(form: str, *, held_out: bool) -> tuple[str, ...]:
    """The phrasings of a form: those trained on, or those held out."""
    lines = PHRASINGS[form]
    bar = lines.index(HELD_OUT)
    return lines[bar + 1 :] if held_out else lines[:bar]


def with_article(noun: str) -> str:
    """A noun with "a", "an", or nothing where it is a plural."""
    if noun in {"sunglasses", "anything", "nothing"}:
        return noun
    return f"an {noun}" if noun[:1] in tuple("aeiou") else f"a {noun}"


def plural(noun: str) -> str:
    """The plural of a noun of the world."""
    *before, last = noun.split(" ")
    odd = {"mouse": "mice", "fish": "fish", "fox": "foxes", "sunglasses": "sunglasses"}
    return " ".join([*before, odd.get(last, f"{last}s")])


def put(rng: Random, form: str, *, held_out: bool = False, **words: str) -> str:
    """Put a question into words.

    Args:
        rng: Picks the phrasing.
        form: A key of ``PHRASINGS``.
        held_out: Use a phrasing that is never trained on.
        words: What the phrasing's fields stand for.

    Returns:
        The question.
    """
    line = rng.choice(phrasings(form, held_out=held_out))
    if "a" in words:
        words["an"] = with_article(words["a"])
    if "w" in words:
        words["an_w"] = with_article(words["w"])
    words["in"] = rng.choice(PLACES)
    return line.format(**words)
