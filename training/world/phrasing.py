"""How the questions of each form are put into words: a grammar with everyday synonyms.

A line of ``PHRASINGS`` is a pattern: ``(a|b|c)`` stands for one of its choices, a name in capitals
for a pattern of ``PARTS``, and ``{a}``, ``{w}`` for the words that a question brings. One line
gives dozens of wordings, a form some hundreds. The lines after the bar (``HELD_OUT``) are never
trained on; they are made of words that other lines use and measure whether a question is understood
or only recognised. ``noisy`` types it as people do: no question mark, all in capitals, letters
swapped.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

HELD_OUT = "|"

PARTS = {
    "PIC": "(image|picture|photo|image|picture|scene|photograph)",
    "THIS": "(this|the)",
    "IN": "(| in THIS PIC| in THIS PIC| in THIS PIC| here| anywhere in THIS PIC| in this one)",
    "SEE": "(Do you see|Can you see|Do you see|Can you see|Can one see|Could you spot|Do you notice"
    "|Are you able to see|Can we see|Do we see)",
    "SHOW": "(show|contain|include|have|show|contain|depict|feature)",
    "LOOK": "(Look at|Consider|Check|Take a look at|Inspect)",
    "WEAR": "(wearing|wearing|wearing|dressed in|sporting)",
    "FUNNY": "(funny|odd|strange|unusual|weird|funny|amusing|out of place|silly)",
}

# {a}, {b}: nouns without article; {an}: with "a" or "an"; {as}: plural; {w}: the asked word;
# {v}: the labels with "or" between them; {c}, {cs}: the class of the labels.
PHRASINGS: dict[str, tuple[str, ...]] = {
    "exists": (
        "Is there {an}IN?", "Is there (any|some) {a}IN?", "SEE ({an}|any {a}|some {a})IN?",
        "Does THIS PIC SHOW ({an}|any {a})?",
        "Is {an} (visible|shown|present|pictured|to be seen)IN?",
        "Is {an}( somewhere|) in THIS PIC?", "LOOK THIS PIC(.|:|,) (Is|is) there {an}?",
        "Can {an} be seenIN?", "(Is it true|Is it right) that there is {an}IN?",
        "Are there any {as}IN?", "SEE (any|some) {as}IN?", "Would you say there is {an}IN?",
        "Does {an} appearIN?", "Any {a}IN?", "Any {as}IN?",
        "There is {an}IN, (right|correct|isn't there)?", "Does THIS PIC SHOW any {as}?",
        "Is there {an}?", "Are {as} (visible|shown|present)IN?", "Has THIS PIC got {an} in it?",
        HELD_OUT,
        "LOOK THIS PIC. SEE {an}?", "Is there {an} that you can see?", "Could there be {an}IN?",
    ),
    "group": (
        "Is there ({an}|any {a})IN?", "SEE ({an}|any {a})IN?", "Are there any {as}IN?",
        "SEE any {as}IN?", "Does THIS PIC SHOW ({an}|any {a})?", "Does THIS PIC SHOW any {as}?",
        "Any {as}IN?", "Is ({an}|any {a}) (visible|shown|present)IN?",
        "LOOK THIS PIC. Is there ({an}|any {a})?", "Are {as} (visible|shown|present)IN?",
        "Can ({an}|any {a}) be seenIN?",
        HELD_OUT,
        "Would you say there are any {as}IN?", "Is there ({an}|any {a}) to be seen?",
    ),
    "colour": (
        "Is the {a}(IN|) {w}?", "Is the (colour|color) of the {a}IN {w}?",
        "Does the {a}(IN|) have the (colour|color) {w}?",
        "Is the {a} (coloured|colored|painted|drawn in) {w}?", "Is the {a} that you see {w}?",
        "Is it {an_w} {a}?", "LOOK the {a}. Is it {w}?", "Would you say the {a} is {w}?",
        "The {a} is {w}, (right|correct)?", "Is it true that the {a} is {w}?",
        "Is {w} the (colour|color) of the {a}?",
        HELD_OUT,
        "LOOK the {a}IN. Is its (colour|color) {w}?",
        "Would you say the (colour|color) of the {a} is {w}?",
    ),
    "wears": (
        "Is the {a}(IN|) WEAR {an_w}?", "Does the {a}(IN|) wear {an_w}?",
        "Does the {a}(IN|) have {an_w} on?", "Has the {a} got {an_w} on?",
        "Is there {an_w} on the {a}( 's head|)?", "LOOK the {a}. Is it WEAR {an_w}?",
        "(Can|Do) you see {an_w} on the {a}?", "Is {an_w} (worn by|on) the {a}?",
        "Does the {a} wear {an_w} on its head?",
        "Is it true that the {a} (is wearing|wears|has on) {an_w}?",
        "The {a} (is wearing|wears) {an_w}, (right|correct)?",
        "Would you say the {a} is WEAR {an_w}?", "Has the {a} put on {an_w}?",
        "Is the {a} in {an_w}?",
        HELD_OUT,
        "LOOK the {a}. Does it have {an_w} on?", "Is the {a} that you see WEAR {an_w}?",
    ),
    "rides": (
        "Is the {a}(IN|) (riding|on|sitting on|riding on|using) {an_w}?",
        "Does the {a} (ride|sit on|use) {an_w}?",
        "LOOK the {a}. Is it (riding|on|sitting on) {an_w}?",
        "(Can|Do) you see the {a} (riding|on) {an_w}?",
        "Is it true that the {a} (is riding|rides) {an_w}?",
        "Would you say the {a} is riding {an_w}?",
        "The {a} is (riding|on) {an_w}, (right|correct)?",
        HELD_OUT,
        "LOOK the {a}IN. Does it ride {an_w}?", "Is the {a} that you see on {an_w}?",
    ),
    "turned": (
        ("Is the {a}(IN|) (upside down|the wrong way up|turned over|on its "
        "head|inverted|flipped over)?"),
        "Has the {a}(IN|) been (turned upside down|turned over|flipped)?",
        "Does the {a} stand on its head?",
        "LOOK the {a}. Is it (upside down|the wrong way up|turned over)?",
        "Would you say the {a} is (upside down|turned over)?",
        "Is it true that the {a} is (upside down|the wrong way up)?",
        "The {a} is upside down, (right|correct)?", "Is the {a} standing on its head?",
        HELD_OUT,
        "LOOK the {a}IN. Is it (on its head|flipped over)?",
        "Would you say the {a} is the wrong way up?",
    ),
    "relation": (
        "Is the {a}(IN|) {w} the {b}(IN|)?", "Does the {a} (stand|sit|lie) {w} the {b}?",
        "(Can|Do) you see the {a} {w} the {b}?",
        "Is the {a} (placed|located|positioned|found|standing|shown|somewhere) {w} the {b}?",
        "Would you say the {a} is {w} the {b}?",
        "LOOK the {a} and the {b}. Is the {a} {w} the {b}?",
        "Is it (true|right) that the {a} is {w} the {b}?", "Is there {an} {w} the {b}?",
        "The {a} is {w} the {b}, (right|correct)?", "In THIS PIC, is the {a} {w} the {b}?",
        "SEE {an} {w} the {b}?",
        HELD_OUT,
        "Is it true that the {a} stands {w} the {b}?", "LOOK THIS PIC. Is the {a} {w} the {b}?",
    ),
    "number": (
        "Are there {w} {a}IN?", "SEE {w} {a}IN?", "Does THIS PIC SHOW {w} {a}?",
        "Is the number of {a}IN {w}?", "Are {w} {a} (visible|shown|present)IN?",
        "Count the {a}. Are there {w}( {a}|)?", "Is it true that there are {w} {a}IN?",
        "Would you say there are {w} {a}IN?", "In THIS PIC, are there {w} {a}?",
        "LOOK THIS PIC. Are there {w} {a}?", "There are {w} {a}IN, (right|correct)?",
        "Can {w} {a} be seenIN?",
        HELD_OUT,
        "Count the {a}IN. SEE {w} {a}?", "Could there be {w} {a}IN?",
    ),
    "compare": (
        "Are there more {a} than {b}IN?", "SEE more {a} than {b}IN?",
        "Does THIS PIC SHOW more {a} than {b}?",
        "Is the number of {a} (larger|greater|higher|bigger) than (the number|that) of {b}?",
        "Are there fewer {b} than {a}IN?",
        "Count the {a} and the {b}. Are there more {a} than {b}?", "Do {a} outnumber (the|) {b}IN?",
        "Is it true that there are more {a} than {b}IN?",
        "Would you say there are more {a} than {b}?", "Are there less {b} than {a}IN?",
        HELD_OUT,
        "Are more {a} than {b} visibleIN?", "LOOK THIS PIC. Are there more {a} than {b}?",
    ),
    "size": (
        "Is the {a}(IN|) {w} than the {b}(IN|)?", "Does the {a} look {w} than the {b}?",
        "Would you say the {a} is {w} than the {b}?",
        "LOOK the {a} and the {b}. Is the {a} {w} than the {b}?",
        "Is it true that the {a} is {w} than the {b}?",
        "Is the {a} (drawn|shown|depicted) {w} than the {b}?",
        "The {a} is {w} than the {b}, (right|correct)?",
        "Compare the {a} and the {b}. Is the {a} {w}?", "In THIS PIC, is the {a} {w} than the {b}?",
        HELD_OUT,
        "Would you say the {a} looks {w} than the {b}?",
        "LOOK THIS PIC. Is the {a} {w} than the {b}?",
    ),
    "any_wears": (
        ("Is (any animal|an animal|anyone|anybody|anything|someone|something|any of the "
        "animals|one of the animals)IN WEAR {an_w}?"),
        "Does (any animal|anyone|anything|any of the animals)(IN|) (wear|have on) {an_w}?",
        ("(Is there|SEE) (an animal|any animal|anyone|anything|someone) (WEAR|with|that "
        "wears|who wears) {an_w}IN?"),
        "Does THIS PIC SHOW (an animal|any animal|anyone|something) (WEAR|with) {an_w}?",
        "Are any (animals|of the animals)IN WEAR {an_w}?",
        "LOOK the animals. Is (one|any) of them WEAR {an_w}?", "Is {an_w} being wornIN?",
        HELD_OUT,
        "LOOK THIS PIC. Is any animal WEAR {an_w}?",
        "Would you say that (an animal|anyone) is WEAR {an_w}?",
    ),
    "any_rides": (
        ("Is (any animal|an animal|anyone|anybody|anything|someone|something|any of the "
        "animals)IN (riding|on|sitting on) {an_w}?"),
        "Does (any animal|anyone|anything)(IN|) ride {an_w}?",
        "Are any (animals|of the animals)IN riding {an_w}?",
        ("(Is there|SEE) (an animal|any animal|anyone|anything|someone) (riding|on|that "
        "rides) {an_w}IN?"),
        "Does THIS PIC SHOW (an animal|any animal|anyone|something) (riding|on) {an_w}?",
        "Is {an_w} being riddenIN?",
        HELD_OUT,
        "LOOK the animals. Is (one|any) of them riding {an_w}?",
        "Would you say that (an animal|anyone) is riding {an_w}?",
    ),
    "any_turned": (
        ("Is (anything|something|any of the things|one of the things|any object)IN (upside "
        "down|the wrong way up|turned over|on its head)?"),
        "Has (anything|something|any object)IN been turned (upside down|over)?",
        "Are any (things|objects|items)IN upside down?",
        ("(Is there|SEE) (anything|something|an object|a thing) (that is|) (upside "
        "down|turned over|the wrong way up)IN?"),
        "Does THIS PIC SHOW (anything|something|an object) upside down?",
        "Does (anything|something)IN stand on its head?",
        HELD_OUT,
        "LOOK THIS PIC. Is anything upside down?",
        "Would you say that (anything|something) is turned over?",
    ),
    "any_colour": (
        "Is (any|one) of the shapesIN {w}?", "Is there {an_w} shapeIN?", "SEE {an_w} shapeIN?",
        "Are any (shapes|of the shapes)IN {w}?", "Does THIS PIC SHOW {an_w} shape?",
        "Is any shapeIN {w}?", "Are there any {w} shapesIN?",
        HELD_OUT,
        "LOOK the shapes. Is (one|any) of them {w}?", "Would you say there is {an_w} shapeIN?",
    ),
    "control": (
        "Is this (an image|a picture)?", "Is there an image?",
        "Is (an image|a picture) shown here?",
        HELD_OUT,
        "Do you see an image?",
    ),
    "mood": (
        "Is the {a}(IN|) {w}?", "Does the {a}(IN|) (look|seem|appear) {w}?",
        "Would you say the {a} is {w}?", "LOOK the {a}. Is it {w}?", "Is the mood of the {a} {w}?",
        "Is it {an_w} {a}?", "Is the {a} in {an_w} mood?", "Is it true that the {a} is {w}?",
        "The {a} is {w}, (right|correct)?", "Is the {a} feeling {w}?",
        "Does the {a} have {an_w} (face|expression|look)?", "SEE {an_w} {a}IN?",
        "Is there {an_w} {a}IN?",
        HELD_OUT,
        "LOOK the {a}. Does it seem {w}?", "Would you say the {a} looks {w}?",
    ),
    "funny": (
        "Does THIS PIC SHOW anything FUNNY?",
        "Consider the image above. Does this image show anything funny?",
        "Is there (anything|something) FUNNYIN?",
        "Is THIS PIC (funny|odd|strange|unusual|weird|silly|amusing)?",
        "SEE (anything|something) FUNNYIN?", "Is (anything|something) FUNNYIN?",
        "Does THIS PIC show something FUNNY?", "Would you say THIS PIC is (funny|odd|strange)?",
        "LOOK THIS PIC. Is anything FUNNY?", "Does anything look FUNNYIN?",
        "Is this a (funny|odd|strange|weird|silly) PIC?", "Is there anything FUNNY about THIS PIC?",
        "Anything FUNNYIN?", "Is something wrong with THIS PIC?",
        "Does anything (surprise|amuse) youIN?", "What do you think, is THIS PIC (funny|odd)?",
        "Is it true that something is FUNNYIN?",
        HELD_OUT,
        "Consider the picture above. Is there anything FUNNY?",
        "Would you say there is something FUNNYIN?", "LOOK THIS PIC. SEE anything FUNNY?",
    ),
    "scene": (
        "Is THIS PIC {v}?", "Would you say THIS PIC is {v}?", "Is this a {v} PIC?",
        "Which is it, {v}?", "LOOK THIS PIC. Is it {v}?",
        "What kind of (scene|picture|image) is this?", "How would you (call|describe) THIS PIC?",
        "Which word fits THIS PIC?", "THIS PIC: {v}?",
        HELD_OUT,
        "LOOK the picture. Is the scene {v}?", "How would you describe this photo: {v}?",
    ),
    "most": (
        "Which {c}(IN|) is (the|) {w}(IN|)?", "Which of the {cs}(IN|) is (the|) {w}?",
        "What is the {w} {c}IN?", "Which one is the {w}: {v}?", "LOOK the {cs}. Which is the {w}?",
        "Which {c} looks the {w}?", "What is the {w}IN: {v}?", "Which is the {w} {c}IN?",
        "Name the {w} {c}.", "(Is|Which is) the {w} (one|{c}) {v}?", "Of {v}, which is the {w}?",
        HELD_OUT,
        "LOOK the {cs}IN. Which one is the {w}?", "Which of the {cs} looks the {w}?",
    ),
    "what_colour": (
        "(What|Which) (colour|color) (is|has) the {a}IN?",
        "What is the (colour|color) of the {a}IN?", "Which (colour|color) does the {a} have?",
        "Is the {a} {v}?", "LOOK the {a}. (What|Which) (colour|color) is it?",
        "What (colour|color) would you say the {a} is?", "The {a} is (what|which) (colour|color)?",
        "Tell me the (colour|color) of the {a}.",
        HELD_OUT,
        "LOOK the {a}. Which (colour|color) does it have?", "Which (colour|color) is the {a}: {v}?",
    ),
    "what_mood": (
        "What is the mood of the {a}IN?", "How does the {a}(IN|) (look|seem|feel)?",
        "Is the {a} {v}?", "Which mood does the {a} have?", "LOOK the {a}. What is its mood?",
        "(What|Which) mood is the {a} in?", "How is the {a} feeling?",
        "What expression does the {a} have?",
        HELD_OUT,
        "LOOK the {a}. How does it look?", "How does the {a} seem: {v}?",
    ),
    "what_wears": (
        "What is the {a}(IN|) wearing?", "What does the {a}(IN|) wear?",
        "What is worn by the {a}IN?", "LOOK the {a}. What is it wearing?",
        "What has the {a} got on?", "Which of these is the {a} wearing: {v}?",
        "What is on the {a}?", "What does the {a} have on( its head|)?", "Is the {a} wearing {v}?",
        HELD_OUT,
        "LOOK the {a}. What does it wear?", "Which of these does the {a} wear: {v}?",
    ),
    "side": (
        "Is the {a} {v} the {b}?", "Where is the {a}, seen from the {b}?",
        "Does the {a} stand {v} the {b}?", "Where does the {a} stand, {v} the {b}?",
        "LOOK the {a} and the {b}. Is the {a} {v} the {b}?", "On which side of the {b} is the {a}?",
        "Where is the {a} (relative to|compared to|with respect to) the {b}?",
        "Where(IN|) is the {a}: {v} the {b}?",
        HELD_OUT,
        "LOOK THIS PIC. Is the {a} {v} the {b}?", "Where is the {a}, {v} the {b}?",
    ),
    "which": (
        "Which {c} is in THIS PIC?", "Which of these is in THIS PIC: {v}?",
        "(Which|What) {c} do you see(IN|)?", "(Which|What) {c} does THIS PIC show?",
        "What do you seeIN: {v}?", "(Which|What) {c} can you seeIN?", "Is it {v}?",
        "(Which|What) {c} is (there|this|shown|pictured|it)?",
        "What kind of {c} (is this|do you see|is shown)?", "What is this: {v}?", "Name the {c}IN.",
        "Identify the {c}.", "What (sort|kind) of {c} is in THIS PIC?", "Is there {v}IN?",
        HELD_OUT,
        "Which of these do you seeIN: {v}?", "LOOK THIS PIC. Which {c} is it?",
    ),
    "how_many": (
        "How many {a} are (there|shown|visible)IN?", "How many {a} are in THIS PIC?",
        "How many {a} (do|can) you seeIN?", "How many {a} does THIS PIC show?",
        "Count the {a}. How many are there?", "What is the number of {a}IN?", "How many {a}IN?",
        "Count the {a}IN.", "Tell me how many {a} there are.", "What number of {a} (is|are) shown?",
        HELD_OUT,
        "Count the {a}IN. How many do you see?", "How many {a} does THIS PIC contain?",
    ),
}  # fmt: skip

# What people say for a noun or a word of the world. Questions use them; observations never do.
SYNONYMS = {
    "thing": ("thing", "object", "item", "thing"),
    "things": ("things", "objects", "items", "things"),
    "animal": ("animal", "animal", "animal", "creature"),
    "animals": ("animals", "animals", "animals", "creatures"),
    "shape": ("shape", "shape", "figure"),
    "shapes": ("shapes", "shapes", "figures"),
    "bicycle": ("bicycle", "bicycle", "bike"),
    "bicycles": ("bicycles", "bicycles", "bikes"),
    "rabbit": ("rabbit", "rabbit", "bunny"),
    "cup": ("cup", "cup", "mug"),
    "top hat": ("top hat", "top hat", "hat", "tall hat"),
    "sunglasses": ("sunglasses", "sunglasses", "shades", "dark glasses"),
    "happy": ("happy", "happy", "smiling", "cheerful"),
    "sad": ("sad", "sad", "unhappy", "crying"),
    "angry": ("angry", "angry", "mad", "cross"),
    "calm": ("calm", "calm", "relaxed", "neutral"),
    "left of": ("left of", "to the left of", "on the left of", "on the left side of"),
    "right of": ("right of", "to the right of", "on the right of", "on the right side of"),
    "above": ("above", "above", "over", "higher than", "higher up than"),
    "below": ("below", "below", "under", "lower than", "beneath", "underneath"),
    "larger": ("larger", "bigger"),
    "smaller": ("smaller", "smaller", "tinier"),
    "more than": ("more than", "more than", "over"),
    "at least": ("at least", "at least", "no fewer than"),
    "exactly": ("exactly", "exactly", "", "just"),
    "fewer than": ("fewer than", "less than", "under"),
    "at most": ("at most", "at most", "no more than"),
    "largest": ("largest", "biggest"),
    "leftmost": ("leftmost", "leftmost", "furthest left", "farthest to the left"),
    "rightmost": ("rightmost", "rightmost", "furthest right", "farthest to the right"),
    "highest": ("highest", "topmost", "highest"),
    "lowest": ("lowest", "lowest", "bottommost"),
}
BEFORE = (
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "Please tell me: ",
    "Question: ",
    "Hey, ",
    "Quick one: ",
    "Tell me, ",
)


def synonym(rng: Random, word: str) -> str:
    """What somebody might say for a word."""
    return rng.choice(SYNONYMS.get(word, (word,)))


def phrasings(form: str, *, held_out: bool) -> tuple[str, ...]:
    """The patterns of a form: those trained on, or those held out."""
    lines = PHRASINGS[form]
    bar = lines.index(HELD_OUT)
    return lines[bar + 1 :] if held_out else lines[:bar]


def with_article(noun: str) -> str:
    """A noun with "a", "an", or nothing where it is a plural."""
    if noun in {"sunglasses", "shades", "dark glasses", "anything", "nothing"}:
        return noun
    return f"an {noun}" if noun[:1] in tuple("aeiou") else f"a {noun}"


def plural(noun: str) -> str:
    """The plural of a noun of the world."""
    *before, last = noun.split(" ")
    odd = {
        "mouse": "mice", "fish": "fish", "fox": "foxes", "sunglasses": "sunglasses",
        "bunny": "bunnies", "shades": "shades", "glasses": "glasses",
    }  # fmt: skip
    return " ".join([*before, odd.get(last, f"{last}s")])


_PART = re.compile("|".join(PARTS))
_CHOICE = re.compile(r"\(([^()]*)\)")


def expanded(rng: Random, pattern: str) -> str:
    """One wording of a pattern."""
    while (changed := _PART.sub(lambda part: PARTS[part[0]], pattern)) != pattern:
        pattern = changed
    while (changed := _CHOICE.sub(lambda c: rng.choice(c[1].split("|")), pattern)) != pattern:
        pattern = changed
    return pattern.replace(" 's", "'s")


def put(rng: Random, form: str, *, held_out: bool = False, **words: str) -> str:
    """Put a question into words.

    Args:
        rng: Picks the wording.
        form: A key of ``PHRASINGS``.
        held_out: Use a pattern that is never trained on.
        words: What the pattern's fields stand for.

    Returns:
        The question.
    """
    line = expanded(rng, rng.choice(phrasings(form, held_out=held_out)))
    for key in ("a", "b"):
        if key in words:
            *before, last = words[key].split(" ")
            said = " ".join([*before, synonym(rng, last)])
            words[key] = synonym(rng, words[key]) if words[key] in SYNONYMS else said
    if "a" in words:
        words["an"], words["as"] = with_article(words["a"]), plural(words["a"])
    if "w" in words:
        words["w"] = synonym(rng, words["w"])
        words["an_w"] = with_article(words["w"])
    text = " ".join(line.format(**words).split())
    return noisy(rng, text)


def noisy(rng: Random, text: str) -> str:
    """A question as people type it."""
    roll = rng.random()
    if roll < 0.07:
        text = rng.choice(BEFORE) + text[:1].lower() + text[1:]
    if rng.random() < 0.06:
        text = text.removesuffix("?")
    roll = rng.random()
    if roll < 0.05:
        text = text.lower()
    elif roll < 0.075:
        text = text.upper()
    elif roll < 0.10:
        text = mistyped(rng, text)
    return text


def mistyped(rng: Random, text: str) -> str:
    """A text with two letters of a word swapped, or one left out."""
    words = text.split(" ")
    long = [i for i, word in enumerate(words) if len(word) > 4 and word.isalpha()]
    if not long:
        return text
    which = rng.choice(long)
    word, at = words[which], rng.randrange(1, len(words[which]) - 2)
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    words[which] = swapped if rng.random() < 0.6 else word[:at] + word[at + 1 :]
    return " ".join(words)
