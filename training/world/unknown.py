"""Questions outside the world: what the model must not answer.

Made of words that the world does not have. Some lines and nouns are held out, and invented words
teach that an unfamiliar noun is reason enough; so the figure for foreign questions is about new
words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.world.facts import Asked, anyone
from training.world.phrasing import PHRASINGS, put, with_article

if TYPE_CHECKING:
    from random import Random

NOUNS = [
    "elephant",
    "person",
    "man",
    "woman",
    "child",
    "train",
    "plane",
    "bus",
    "truck",
    "guitar",
    "piano",
    "phone",
    "laptop",
    "computer",
    "table",
    "chair",
    "sofa",
    "bed",
    "lamp",
    "window",
    "door",
    "street",
    "road",
    "bridge",
    "river",
    "mountain",
    "lake",
    "ocean",
    "beach",
    "cloud",
    "rainbow",
    "moon",
    "sun",
    "snow",
    "rain",
    "fire",
    "candle",
    "bottle",
    "glass",
    "plate",
    "fork",
    "knife",
    "spoon",
    "bowl",
    "sandwich",
    "burger",
    "salad",
    "soup",
    "bread",
    "cheese",
    "egg",
    "orange",
    "juice",
    "wine",
    "beer",
    "tea",
    "sugar",
    "horse",
    "sheep",
    "goat",
    "duck",
    "goose",
    "owl",
    "eagle",
    "parrot",
    "penguin",
    "snake",
    "lizard",
    "turtle",
    "shark",
    "whale",
    "dolphin",
    "crab",
    "spider",
    "bee",
    "butterfly",
    "ant",
    "kangaroo",
    "zebra",
    "giraffe",
    "hippo",
    "rhino",
    "camel",
    "deer",
    "wolf",
    "bat",
    "robot",
    "doctor",
    "teacher",
    "nurse",
    "soldier",
    "king",
    "queen",
    "police",
    "camera",
    "clock",
    "watch",
    "ring",
    "shoe",
    "shirt",
    "jacket",
    "dress",
    "skirt",
    "glove",
    "scarf",
    "umbrella",
    "bag",
    "wallet",
    "key",
    "coin",
    "ticket",
    "map",
    "newspaper",
    "letter",
    "sign",
    "poster",
    "painting",
    "statue",
    "tower",
    "church",
    "castle",
    "school",
    "hospital",
    "shop",
    "market",
    "office",
    "kitchen",
    "garden",
    "stadium",
    "airport",
    "station",
    "helicopter",
    "rocket",
    "ship",
    "tractor",
    "motorcycle",
    "scooter",
    "skateboard",
    "tennis",
    "racket",
    "football",
    "player",
]
HELD_OUT_NOUNS = [
    "dragon",
    "violin",
    "keyboard",
    "blanket",
    "mirror",
    "canyon",
    "volcano",
    "waterfall",
    "lighthouse",
    "microwave",
    "kettle",
    "pancake",
    "noodle",
    "lobster",
    "octopus",
    "pigeon",
    "swan",
    "otter",
    "koala",
    "gorilla",
    "astronaut",
    "firefighter",
    "passport",
    "backpack",
    "necklace",
    "sweater",
    "sandal",
    "telescope",
    "submarine",
    "ambulance",
    "carpet",
    "curtain",
    "staircase",
    "fountain",
    "windmill",
    "desert",
    "island",
    "trumpet",
    "drum",
    "hammer",
    "ladder",
]
LINES = (
    "Is the {n} {x}?",
    "Who is the {n}?",
    "What brand is the {n}?",
    "Was this picture taken in {y}?",
    "Is the {n} next to the {m}?",
    "Does the {n} have {an_m}?",
    "What is written on the {n}?",
    "Is there {an} near the {m}?",
    "What time does the {n} show?",
    "Is this {an}?",
    "Where was this photo taken?",
    "How old is the {n}?",
    "Is the {n} made of {x} wood?",
    "Do you like the {n}?",
    "Is the weather {x}?",
    "What is the capital of France?",
    "Is the {n} holding {an_m}?",
    "Are the {n}s {x}?",
    "How much does the {n} cost?",
    "Is the {n} broken?",
    "Will the {n} fall?",
    "Is it {y} outside?",
    "Who painted this?",
    "Is this text about {an}?",
    "Can the {n} swim?",
    "Why is the {n} {x}?",
    "Does this invoice mention {an}?",
    "Is the {n} wearing {an_m}?",
    "Is the {n} left of the {m}?",
    "Is the {n} upside down?",
    "Are there more {n}s than {m}s?",
    "Is the {n} larger than the {m}?",
    "Is {an} visible in this image?",
    "How many {n}s are there?",
    "Is two plus two four?",
    "Tell me a joke about {an}.",
    "Is the person in the picture {x}?",
    "Is this chest scan normal?",
    "Does the {n} look {x}?",
)
HELD_OUT_LINES = (
    "Is the {n} expensive?",
    "Which company made the {n}?",
    "Is there any {n} behind the {m}?",
    "When did the {n} arrive?",
    "Does the {n} belong to the {m}?",
    "Should I buy this {n}?",
    "Is the {n} real?",
    "What language is this?",
    "Did somebody break the {n}?",
    "Are these {n}s safe to eat?",
    "Is this contract signed?",
    "Does the {n} need repair?",
)
WORLDLY = (
    "Is the {a} alive?",
    "Is the {a} hungry?",
    "Who owns the {a}?",
    "Is the {a} older than the {b}?",
    "Does the {a} like the {b}?",
    "Is the {a} friendly?",
    "What is the name of the {a}?",
    "Is the {a} heavy?",
    "Can the {a} fly?",
    "Is the {a} expensive?",
    "Is the {a} behind the {n}?",
    "Is the {a} holding {an}?",
    "Is there {an} beside the {a}?",
    "Is the {a} wearing {an}?",
    "Is any animal wearing {an}?",
    "Is anyone holding {an}?",
    "What animal is this?",
    "Which animal do you see?",
    "What is this?",
    "What colour is it?",
    "How many are there?",
    "Is anything made of glass?",
)
MANNER = (
    "open",
    "closed",
    "wet",
    "dirty",
    "clean",
    "empty",
    "full",
    "married",
    "asleep",
    "awake",
    "cold",
    "warm",
    "modern",
)
HELD_OUT_MANNER = ("rusty", "frozen", "famous", "antique", "crowded", "dangerous")
TIMES = ("summer", "winter", "Paris", "London", "1990", "2015", "night", "Germany", "the morning")
SYLLABLES = [
    "ba",
    "ce",
    "di",
    "fo",
    "gu",
    "ha",
    "je",
    "ki",
    "lo",
    "mu",
    "na",
    "pe",
    "qui",
    "ro",
    "su",
    "ta",
    "ve",
    "wi",
    "xo",
    "zu",
    "bla",
    "cre",
    "dro",
    "fli",
    "gno",
    "pra",
    "ste",
    "tri",
    "sho",
    "ther",
    "ling",
]
FORMS = (
    "exists",
    "relation",
    "size",
    "number",
    "compare",
    "wears",
    "turned",
    "rides",
    "colour",
    "mood",
    "which",
    "how_many",
    "most",
)


def invented(rng: Random) -> str:
    """A word that no language needs."""
    return "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 4)))


def ask_unknown(rng: Random, *, held_out: bool = False) -> Asked:
    """Draw a question that the world cannot answer.

    Args:
        rng: Where the choices come from.
        held_out: Use only lines and nouns that are never trained on.

    Returns:
        A question of the family ``foreign_question``, whose right verdict is ``cannot_tell``.
    """
    nouns = HELD_OUT_NOUNS if held_out else NOUNS

    def noun() -> str:
        return invented(rng) if not held_out and rng.random() < 0.3 else rng.choice(nouns)

    roll = rng.random()
    labels: tuple[str, ...] = ("yes", "no")
    if roll < 0.45:
        first, second = noun(), noun()
        line = rng.choice(HELD_OUT_LINES if held_out else LINES)
        manner = rng.choice(HELD_OUT_MANNER if held_out else MANNER)
        text = line.format(
            n=first,
            m=second,
            an=with_article(first),
            an_m=with_article(second),
            x=manner,
            y=rng.choice(TIMES),
        )
    elif roll < 0.55 and not held_out:
        first, second, third = anyone(rng), anyone(rng), noun()
        text = rng.choice(WORLDLY).format(a=first, b=second, n=third, an=with_article(third))
    else:
        form = rng.choice(FORMS)
        first, second = noun(), noun() if rng.random() < 0.6 else anyone(rng)
        if rng.random() < 0.3 and form in {"relation", "size", "compare"}:
            first, second = second, noun()
        if form in {"number", "compare", "how_many"}:
            first, second = f"{first}s", f"{second}s"
        word = {
            "relation": rng.choice(("left of", "to the right of", "above", "below")),
            "size": rng.choice(("larger", "smaller")),
            "number": (
                f"{rng.choice(('more than', 'exactly', 'at least'))} "
                f"{rng.choice(('one', 'two', 'three'))}"
            ),
            "wears": rng.choice(("crown", "top hat")),
            "rides": rng.choice(("bicycle", "car")),
            "colour": rng.choice(("red", "blue")),
            "mood": rng.choice(("happy", "sad")),
            "most": rng.choice(("largest", "smallest")),
        }.get(form, "")
        if form in {"which", "most"}:
            labels = (first, second, noun())
            labels = labels if len(set(labels)) == len(labels) else ("yes", "no")
        elif form == "how_many":
            labels = ("0", "1", "2")
        text = put(
            rng,
            form,
            held_out=False,
            a=first,
            b=second,
            w=word,
            c="thing",
            cs="things",
            v=" or ".join(labels),
        )
    return Asked("foreign_question", "unknown", (), text, labels)


if missing := set(FORMS) - set(PHRASINGS):
    msg = f"no phrasing for {missing}"
    raise ValueError(msg)
