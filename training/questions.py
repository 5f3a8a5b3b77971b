"""What is asked about a scene, what there is to observe, and what follows from it.

A *form* is one way of asking (is there, is it left of, how many ...). Each form knows four things:

- ``ask``: draw a question about a scene that the scene answers beyond doubt;
- ``observe``: what a careful onlooker writes down for it, facts about the asked things only;
- ``imagine``: the same for a scene that is not there, at random;
- ``conclude``: the reasoning and the verdict that follow from *written observations alone*.

``conclude`` never sees the scene. So it says what a reply ought to have concluded from its own words,
teaches the decoder to follow its observations even where they are another scene's, and lets a benchmark
check both. Each written step is a small one: a fact read off the picture, two numbers side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from training.phrasing import plural, put, with_article
from training.world import (
    ACCESSORIES, ANIMALS, BIG, COLOURS, KINDS, MOODS, OBJECTS, SHAPES, SMALL, STEP, TURNABLE, VEHICLES,
    Scene, Thing, bin_of,
)  # fmt: skip

Observations = list[tuple[str, str]]
ABSENT = "not there"
USUAL = "as usual"
GROUPS = {"animals": ANIMALS, "shapes": SHAPES, "things": KINDS}
MARGIN = 13.0  # least distance, in frame pixels, of two things whose places are compared
LARGER = 1.25  # least ratio of two sizes that are compared, and
WIDER = 7.0  # their least difference in frame pixels
SINGULAR = {plural(noun).split(" ")[-1]: noun.split(" ")[-1] for noun in (*KINDS, "animal", "shape", "thing")}
DIRECTIONS = ("left of", "right of", "above", "below")
COMPARATORS = ("more than", "at least", "exactly", "fewer than", "at most")


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
    """What follows from written observations: the reasoning, the verdict, and which observations carry it."""

    reasoning: str
    verdict: str
    relies_on: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Form:
    """One way of asking; see the module."""

    family: str
    ask: Callable[[Random, Scene, bool], Asked | None]
    observe: Callable[[Scene, tuple[str, ...]], Observations]
    imagine: Callable[[Random, Asked], Observations]
    conclude: Callable[[Asked, Observations], Conclusion]


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

    Whatever an observation can say of it stands here word for word, what is as usual included; so an
    observation that the reading bears out is part of it.
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
    raise ValueError(f"no number {said!r} in {saw!r}")


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
    return boxed(rng.randrange(5, 95, STEP), rng.randrange(5, 95, STEP), rng.randrange(15, 50, STEP))


def some_boxes(rng: Random, names: tuple[str, ...]) -> Observations:
    """Things that are nowhere, no two alike in place or size."""
    places = zip(*(rng.sample(range(*span, STEP), len(names)) for span in ((5, 95), (5, 95), (15, 50))), strict=True)
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


# ---------------------------------------------------------------- presence


def ask_exists(rng: Random, scene: Scene, held_out: bool) -> Asked:
    name = rng.choice(scene.things).name if rng.random() < 0.5 else missing(rng, scene)
    return Asked("presence", "exists", (name,), put(rng, "exists", held_out=held_out, a=name))


def conclude_exists(asked: Asked, seen: Observations) -> Conclusion:
    if seen[0][1] == ABSENT:
        return Conclusion(none_there(seen[0][0]), "no", (0,))
    return Conclusion(f"{with_article(asked.args[0])} is there", "yes", (0,))


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
    "colour": Fact("attribute", "colour", lambda t: bool(t.colour), lambda t: t.kind, lambda t: t.colour, COLOURS, SHAPES),
    "wears": Fact(
        "attribute", "wears", lambda t: t.kind in ANIMALS, lambda t: t.kind, _worn,
        tuple(f"wearing {with_article(a)}" for a in ACCESSORIES), ANIMALS, "wearing nothing",
    ),
    "rides": Fact(
        "attribute", "rides", lambda t: t.kind in ANIMALS, lambda t: t.kind, _ridden,
        tuple(f"riding a {v}" for v in VEHICLES), ANIMALS, "riding nothing",
    ),
    "turned": Fact(
        "attribute", "turned", lambda t: t.kind in TURNABLE, lambda t: t.kind,
        lambda t: "upside down" if t.upside_down else "upright", ("upside down",), TURNABLE, "upright",
    ),
    "mood": Fact("mood", "mood", lambda t: bool(t.mood), lambda t: t.kind, lambda t: t.mood, MOODS, ("cat",)),
}  # fmt: skip


def bare(word: str) -> str:
    """The asked word without its verb and article: "wearing a crown" gives "crown"."""
    return word.split(" ", 1)[1].removeprefix("a ").removeprefix("an ") if word.startswith(("wearing", "riding")) else word


def ask_fact(fact: Fact) -> Callable[[Random, Scene, bool], Asked | None]:
    def ask(rng: Random, scene: Scene, held_out: bool) -> Asked | None:
        able = [t for t in scene.things if fact.has(t) and len(named(scene, fact.noun(t))) == 1]
        uncommon = [t for t in able if fact.write(t) != fact.common]
        if uncommon and rng.random() < 0.85:
            able = uncommon
        if fact.common and not uncommon and rng.random() < 0.85:
            return None
        if rng.random() < 0.06 and not all(named(scene, name) for name in fact.absent):
            noun, truth = missing(rng, scene, fact.absent), ""
        elif able:
            thing = rng.choice(able)
            noun, truth = fact.noun(thing), fact.write(thing)
        else:
            return None
        word = truth if truth in fact.words and rng.random() < 0.5 else rng.choice(fact.words)
        text = put(rng, fact.form, held_out=held_out, a=noun, w=bare(word))
        return Asked(fact.family, fact.form, (noun, word), text)

    return ask


def observe_fact(fact: Fact) -> Callable[[Scene, tuple[str, ...]], Observations]:
    return lambda scene, args: [seen_of(args[0], scene, lambda thing: f"{across(thing)}, {fact.write(thing)}")]


def imagine_fact(fact: Fact) -> Callable[[Random, Asked], Observations]:
    def imagine(rng: Random, asked: Asked) -> Observations:
        word = asked.args[1] if rng.random() < 0.4 and asked.form == fact.form else rng.choice(fact.words)
        if fact.common and rng.random() < 0.3:
            word = fact.common
        return [(the(asked.args[0]), ABSENT if rng.random() < 0.05 else f"{some_across(rng)}, {word}")]

    return imagine


def conclude_fact(asked: Asked, seen: Observations) -> Conclusion:
    (about, saw), word = seen[0], asked.args[1]
    if saw == ABSENT:
        return Conclusion(none_there(about), "no", (0,))
    same = fact_of(saw) == word
    # The two words side by side, written alike: seeing whether they differ is then a small step.
    reasoning = f"asked, {word}; seen, {fact_of(saw)}: {'the same' if same else 'not the same'}"
    return Conclusion(reasoning, yes_no(holds=same), (0,))


# ---------------------------------------------------------------- where things are


def apart(first: Thing, second: Thing, axis: str) -> bool:
    return abs(getattr(first, axis) - getattr(second, axis)) >= MARGIN


def pair(rng: Random, scene: Scene, axis: str) -> tuple[str, str] | None:
    """Two nouns, each meaning one thing, whose things are clearly apart along an axis."""
    things = lone(scene)
    pairs = [(a, b) for a in things for b in things if a is not b and apart(a, b, axis)]
    if not pairs:
        return None
    first, second = rng.choice(pairs)
    return first.name, second.name


def axis_of(direction: str) -> str:
    return "x" if direction in {"left of", "right of"} else "y"


def ask_relation(rng: Random, scene: Scene, held_out: bool) -> Asked | None:
    direction = rng.choice(DIRECTIONS)
    names = pair(rng, scene, axis_of(direction))
    if names is None:
        return None
    if rng.random() < 0.06:
        names = (missing(rng, scene), names[1]) if rng.random() < 0.5 else (names[0], missing(rng, scene))
    said = {"left of": ("left of", "to the left of"), "right of": ("right of", "to the right of")}
    word = rng.choice(said.get(direction, (direction,)))
    text = put(rng, "relation", held_out=held_out, a=names[0], b=names[1], w=word)
    return Asked("relation", "relation", (*names, direction), text)


def observe_pair(scene: Scene, args: tuple[str, ...]) -> Observations:
    return [seen_of(name, scene, box) for name in args[:2]]


def imagine_pair(rng: Random, asked: Asked) -> Observations:
    return some_boxes(rng, asked.args[:2])


def compared(seen: Observations, form: str) -> tuple[str, str]:
    """A number of two observations side by side, and the sign between them."""
    first, second = (number(saw, form) for _, saw in seen)
    sign = "<" if first < second else ">" if first > second else "="
    return f"{first} {sign} {second}", sign


def side(seen: Observations, axis: str) -> tuple[str, str]:
    """What follows from two places: the reasoning, and the direction."""
    words, sign = compared(seen, ACROSS if axis == "x" else DOWN)
    near, far = ("left of", "right of") if axis == "x" else ("above", "below")
    direction = {"<": near, ">": far, "=": "level with"}[sign]
    return f"{words}, so {seen[0][0]} is {direction} {seen[1][0]}", direction


def conclude_relation(asked: Asked, seen: Observations) -> Conclusion:
    for i, (about, saw) in enumerate(seen):
        if saw == ABSENT:
            return Conclusion(none_there(about), "no", (i,))
    reasoning, direction = side(seen, axis_of(asked.args[2]))
    return Conclusion(reasoning, yes_no(holds=direction == asked.args[2]), (0, 1))


# ---------------------------------------------------------------- how many


def members(scene: Scene, noun: str) -> list[Thing]:
    """The things that a plural noun or the name of a group means, from left to right."""
    if noun in GROUPS:
        return [thing for thing in scene.things if thing.kind in GROUPS[noun]]
    return [thing for thing in scene.things if noun in {plural(thing.name), plural(thing.kind)}]


def every(noun: str) -> str:
    """What is looked at when the things that a plural means are counted."""
    *before, last = noun.split(" ")
    return " ".join(["every", *before, SINGULAR[last]])


def listing(places: list[str]) -> str:
    return "; ".join(f"{i} at {place}" for i, place in enumerate(places, 1)) or "none"


def some_listing(rng: Random, most: int = 6) -> str:
    count = rng.choice((0, 1, 1, 2, 2, 3, 3, 4, 5, 6)[: most + 4])
    spots = sorted(rng.sample(range(5, 95, STEP), count))
    return listing([ACROSS.format(x) for x in spots])


def total(listed: str) -> int:
    return 0 if listed == "none" else listed.count(";") + 1


def countable(rng: Random, scene: Scene) -> str:
    """A plural noun to count, more often one that several things share."""
    roll = rng.random()
    if roll < 0.35:
        return rng.choice(tuple(GROUPS))
    if roll < 0.45:
        return plural(missing(rng, scene))
    crowds = [t for t in scene.things if len(members(scene, plural(t.name))) > 1]
    thing = rng.choice(crowds if crowds and rng.random() < 0.6 else scene.things)
    return plural(thing.kind if rng.random() < 0.3 else thing.name)


def meets(count: int, comparator: str, bound: int) -> bool:
    return {
        "more than": count > bound,
        "at least": count >= bound,
        "exactly": count == bound,
        "fewer than": count < bound,
        "at most": count <= bound,
    }[comparator]


DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven")


def ask_number(rng: Random, scene: Scene, held_out: bool) -> Asked:
    noun = countable(rng, scene)
    truth, comparator = len(members(scene, noun)), rng.choice(COMPARATORS)
    want, bounds = rng.random() < 0.5, [truth - 2, truth - 1, truth, truth, truth + 1, truth + 2]
    fitting = [b for b in bounds if 1 <= b <= 6 and meets(truth, comparator, b) == want] or [max(1, min(6, truth))]
    bound = rng.choice(fitting)
    said = DIGITS[bound] if rng.random() < 0.7 else str(bound)
    text = put(rng, "number", held_out=held_out, a=noun, w=f"{comparator} {said}")
    return Asked("count", "number", (noun, comparator, str(bound)), text)


def conclude_number(asked: Asked, seen: Observations) -> Conclusion:
    count = total(seen[0][1])
    comparator, bound = asked.args[1], int(asked.args[2])
    holds = meets(count, comparator, bound)
    return Conclusion(f"{count} is {'' if holds else 'not '}{comparator} {bound}", yes_no(holds=holds), (0,))


def ask_compare(rng: Random, scene: Scene, held_out: bool) -> Asked | None:
    first, second = countable(rng, scene), countable(rng, scene)
    if first == second or "things" in {first, second} or set(members_of(first)) & set(members_of(second)):
        return None
    text = put(rng, "compare", held_out=held_out, a=first, b=second)
    return Asked("count", "compare", (first, second), text)


def members_of(noun: str) -> tuple[str, ...]:
    """The kinds that a plural can mean."""
    if noun in GROUPS:
        return GROUPS[noun]
    return tuple(kind for kind in KINDS if noun.endswith(plural(kind)))


def conclude_compare(asked: Asked, seen: Observations) -> Conclusion:
    del asked
    first, second = total(seen[0][1]), total(seen[1][1])
    holds = first > second
    return Conclusion(f"{first} is {'' if holds else 'not '}more than {second}", yes_no(holds=holds), (0, 1))


# ---------------------------------------------------------------- how large


def unlike(first: Thing, second: Thing) -> bool:
    """Whether two sizes can be told apart beyond doubt."""
    small, large = sorted((first.size, second.size))
    return large >= small * LARGER and large - small >= WIDER and percent(small) < percent(large)


def ask_size(rng: Random, scene: Scene, held_out: bool) -> Asked | None:
    things = lone(scene)
    pairs = [(a, b) for a in things for b in things if a is not b and unlike(a, b)]
    if not pairs:
        return None
    first, second = rng.choice(pairs)
    word = rng.choice(("larger", "smaller", "bigger"))
    text = put(rng, "size", held_out=held_out, a=first.name, b=second.name, w=word)
    return Asked("count", "size", (first.name, second.name, "smaller" if word == "smaller" else "larger"), text)


def conclude_size(asked: Asked, seen: Observations) -> Conclusion:
    words, sign = compared(seen, LARGE)
    how = {"<": "smaller", ">": "larger", "=": "no different"}[sign]
    return Conclusion(f"{words}, so {seen[0][0]} is {how}", yes_no(holds=how == asked.args[2]), (0, 1))


# ---------------------------------------------------------------- anything funny?


def ask_funny(rng: Random, scene: Scene, held_out: bool) -> Asked:
    del scene
    if rng.random() < 0.85:
        return Asked("incongruity", "funny", (), put(rng, "funny", held_out=held_out))
    labels = rng.choice((("funny", "ordinary"), ("funny", "not funny"), ("funny", "serious"), ("odd", "normal")))
    return Asked("incongruity", "funny", (), put(rng, "scene", held_out=held_out, v=" or ".join(labels)), labels)


def observe_funny(scene: Scene, args: tuple[str, ...]) -> Observations:
    del args
    return [(the(t.name), f"{across(t)}, {state(t)}") for t in scene.things]


def imagine_funny(rng: Random, asked: Asked) -> Observations:
    del asked
    count = rng.randint(1, 6)
    spots = sorted(rng.sample(range(5, 95, STEP), count))
    odd = set(rng.sample(range(count), rng.choice((0, 0, 1, 1, 1, min(2, count)))))
    return [_imagined(rng, ACROSS.format(x), odd=i in odd) for i, x in enumerate(spots)]


def _imagined(rng: Random, place: str, *, odd: bool) -> tuple[str, str]:
    if not odd:
        return the(anyone(rng)), f"{place}, {USUAL}"
    how = rng.choice(("wears", "wears", "turned", "rides", "large"))
    if how == "large":
        return the(rng.choice(SMALL)), f"{place}, {too_large(rng.choice(BIG))}"
    if how == "turned":
        return the(rng.choice(TURNABLE)), f"{place}, upside down"
    if how == "rides":
        return the(rng.choice(ANIMALS)), f"{place}, riding a {rng.choice(VEHICLES)}"
    return the(rng.choice(ANIMALS)), f"{place}, wearing {with_article(rng.choice(ACCESSORIES))}"


def conclude_funny(asked: Asked, seen: Observations) -> Conclusion:
    odd = [i for i, (_, saw) in enumerate(seen) if fact_of(saw) != USUAL]
    if not odd:
        return Conclusion("nothing is odd", asked.labels[1], tuple(range(len(seen))))
    about, saw = seen[odd[0]]
    return Conclusion(f"{about} seen {saw}, which is odd", asked.labels[0], tuple(odd))


# ---------------------------------------------------------------- one of several


MOST = {
    "largest": (LARGE, "most"), "biggest": (LARGE, "most"), "smallest": (LARGE, "least"),
    "leftmost": (ACROSS, "least"), "rightmost": (ACROSS, "most"),
    "highest": (DOWN, "least"), "lowest": (DOWN, "most"),
}  # fmt: skip


def ask_most(rng: Random, scene: Scene, held_out: bool) -> Asked | None:
    word = rng.choice(tuple(MOST))
    form, end = MOST[word]
    things = lone(scene)
    noun = "thing"
    animals = [t for t in things if t.kind in ANIMALS]
    if len(animals) >= 2 and rng.random() < 0.6:
        things, noun = animals, "animal"
    if len(things) < 2:
        return None
    chosen = rng.sample(things, min(len(things), rng.choice((2, 3, 4))))
    if noun == "animal" and rng.random() < 0.5:
        chosen = things
    order = sorted(chosen, key=lambda t: number(box(t), form), reverse=end == "most")
    best, next_one = order[0], order[1]
    if form == LARGE:
        clear = unlike(best, next_one) and (best.size > next_one.size) == (end == "most")
    else:
        clear = apart(best, next_one, "x" if form == ACROSS else "y")
    if not clear or len(chosen) > 4:
        return None
    names = [t.name for t in chosen]
    if len(names) < 4 and rng.random() < 0.15:
        names.append(missing(rng, scene, ANIMALS if noun == "animal" else ()))
    rng.shuffle(names)
    text = put(rng, "most", held_out=held_out, c=noun, cs=noun + "s", w=word, v=" or ".join(names))
    return Asked("choice", "most", (word,), text, tuple(names))


def conclude_most(asked: Asked, seen: Observations) -> Conclusion:
    word = asked.args[0]
    form, end = MOST[word]
    there = [(number(saw, form), i) for i, (_, saw) in enumerate(seen) if saw != ABSENT]
    if not there:
        return Conclusion(none_there(seen[0][0]), asked.labels[0], (0,))
    best, steps = there[0], []
    for other in there[1:]:
        first, second = best[0], other[0]
        sign = "<" if first < second else ">" if first > second else "="
        if sign == ("<" if end == "most" else ">"):
            best = other
        # Two numbers at a time, as where two things are compared; what has won so far is named after each step.
        steps.append(f"{first} {sign} {second}, so {seen[best[1]][0]}")
    reasoning = "; ".join(steps) or f"only {seen[best[1]][0]} is there"
    return Conclusion(reasoning, asked.labels[best[1]], tuple(range(len(seen))))


def ask_what(fact: Fact, form: str, nothing: str = "") -> Callable[[Random, Scene, bool], Asked | None]:
    def ask(rng: Random, scene: Scene, held_out: bool) -> Asked | None:
        able = [t for t in scene.things if fact.has(t) and len(named(scene, fact.noun(t))) == 1]
        uncommon = [t for t in able if fact.write(t) != fact.common]
        if uncommon and rng.random() < 0.8:
            able = uncommon
        elif nothing and rng.random() < 0.9:
            return None
        if not able:
            return None
        thing = rng.choice(able)
        words = [bare(word) for word in fact.words] + ([nothing] if nothing else [])
        truth = bare(fact.write(thing))
        others = [w for w in words if w != truth]
        labels = [truth, *rng.sample(others, rng.randint(1, len(others)))]
        rng.shuffle(labels)
        text = put(rng, form, held_out=held_out, a=fact.noun(thing), v=" or ".join(labels))
        return Asked("choice", form, (fact.noun(thing),), text, tuple(labels))

    return ask


def imagine_what(fact: Fact) -> Callable[[Random, Asked], Observations]:
    def imagine(rng: Random, asked: Asked) -> Observations:
        label = rng.choice(asked.labels)
        words = [w for w in (*fact.words, *((fact.common,) if fact.common else ())) if bare(w) == label]
        return [(the(asked.args[0]), f"{some_across(rng)}, {words[0]}")]

    return imagine


def conclude_what(asked: Asked, seen: Observations) -> Conclusion:
    del asked
    saw = seen[0][1]
    return Conclusion(f"seen: {saw}", bare(fact_of(saw)), (0,))


def ask_side(rng: Random, scene: Scene, held_out: bool) -> Asked | None:
    axis = rng.choice("xy")
    names = pair(rng, scene, axis)
    if names is None:
        return None
    labels = ["left of", "right of"] if axis == "x" else ["above", "below"]
    rng.shuffle(labels)
    text = put(rng, "side", held_out=held_out, a=names[0], b=names[1], v=" or ".join(labels))
    return Asked("choice", "side", (*names, labels[0]), text, tuple(labels))


def conclude_side(asked: Asked, seen: Observations) -> Conclusion:
    reasoning, direction = side(seen, axis_of(asked.args[2]))
    return Conclusion(reasoning, direction if direction in asked.labels else asked.labels[0], (0, 1))


def ask_which(rng: Random, scene: Scene, held_out: bool) -> Asked | None:
    noun, among = rng.choice((("animal", ANIMALS), ("thing", ())))
    there = [t.name for t in lone(scene) if not among or t.kind in among]
    if not there:
        return None
    names = [rng.choice(there)]
    while len(names) < rng.choice((2, 3, 4)):
        other = missing(rng, scene, among)
        if other not in names:
            names.append(other)
    rng.shuffle(names)
    text = put(rng, "which", held_out=held_out, c=noun, v=" or ".join(names))
    return Asked("choice", "which", (), text, tuple(names))


def observe_which(scene: Scene, args: tuple[str, ...]) -> Observations:
    return [seen_of(name, scene, box) for name in args]


def imagine_which(rng: Random, asked: Asked) -> Observations:
    chosen = rng.choice(asked.labels)
    return [(the(name), some_box(rng) if name == chosen else ABSENT) for name in asked.labels]


def conclude_which(asked: Asked, seen: Observations) -> Conclusion:
    there = [i for i, (_, saw) in enumerate(seen) if saw != ABSENT] or [0]
    listed = ", ".join(f"{'no' if saw == ABSENT else 'yes'}: {about}" for about, saw in seen)
    return Conclusion(f"{listed}; so {seen[there[0]][0]}", asked.labels[there[0]], tuple(range(len(seen))))


def ask_how_many(rng: Random, scene: Scene, held_out: bool) -> Asked:
    noun = countable(rng, scene)
    truth = len(members(scene, noun))
    low = rng.randint(max(0, truth - 3), truth)
    high = max(low + 1, rng.randint(truth, min(6, truth + 3)))
    labels = tuple(str(n) for n in range(low, high + 1))
    text = put(rng, "how_many", held_out=held_out, a=noun)
    return Asked("choice", "how_many", (noun,), text, labels)


def imagine_how_many(rng: Random, asked: Asked) -> Observations:
    while True:
        listed = some_listing(rng)
        if str(total(listed)) in asked.labels:
            return [(every(asked.args[0]), listed)]


def conclude_how_many(asked: Asked, seen: Observations) -> Conclusion:
    count = str(total(seen[0][1]))
    return Conclusion(f"there are {count}", count, (0,))


# ---------------------------------------------------------------- a question whose answer is known


AN_IMAGE, NO_IMAGE = "an image", "nothing"


def ask_control(rng: Random, scene: Scene, held_out: bool) -> Asked:
    del scene
    return Asked("control", "control", (), put(rng, "control", held_out=held_out))


def conclude_control(asked: Asked, seen: Observations) -> Conclusion:
    del asked
    about, saw = seen[0]
    return Conclusion(f"{about} shows {saw}", yes_no(holds=saw == AN_IMAGE), (0,))


# ---------------------------------------------------------------- the table


def observe_members(scene: Scene, args: tuple[str, ...]) -> Observations:
    return [(every(noun), listing([across(t) for t in members(scene, noun)])) for noun in args]


def observe_most(scene: Scene, args: tuple[str, ...]) -> Observations:
    return [seen_of(name, scene, box) for name in args[1:]]


def imagine_most(rng: Random, asked: Asked) -> Observations:
    return some_boxes(rng, asked.labels)


FORMS: dict[str, Form] = {
    "exists": Form(
        "presence", ask_exists, lambda s, a: [seen_of(a[0], s, box)],
        lambda r, a: [(the(a.args[0]), some_box(r) if r.random() < 0.5 else ABSENT)], conclude_exists,
    ),
    **{
        name: Form(fact.family, ask_fact(fact), observe_fact(fact), imagine_fact(fact), conclude_fact)
        for name, fact in FACTS.items()
    },
    "relation": Form("relation", ask_relation, observe_pair, imagine_pair, conclude_relation),
    "number": Form(
        "count", ask_number, lambda s, a: observe_members(s, a[:1]),
        lambda r, a: [(every(a.args[0]), some_listing(r))], conclude_number,
    ),
    "compare": Form(
        "count", ask_compare, observe_members,
        lambda r, a: [(every(noun), some_listing(r, 4)) for noun in a.args], conclude_compare,
    ),
    "size": Form("count", ask_size, observe_pair, imagine_pair, conclude_size),
    "funny": Form("incongruity", ask_funny, observe_funny, imagine_funny, conclude_funny),
    "most": Form("choice", ask_most, observe_most, imagine_most, conclude_most),
    "what_colour": Form(
        "choice", ask_what(FACTS["colour"], "what_colour"), observe_fact(FACTS["colour"]),
        imagine_what(FACTS["colour"]), conclude_what,
    ),
    "what_mood": Form(
        "choice", ask_what(FACTS["mood"], "what_mood"), observe_fact(FACTS["mood"]),
        imagine_what(FACTS["mood"]), conclude_what,
    ),
    "what_wears": Form(
        "choice", ask_what(FACTS["wears"], "what_wears", "nothing"), observe_fact(FACTS["wears"]),
        imagine_what(FACTS["wears"]), conclude_what,
    ),
    "side": Form("choice", ask_side, observe_pair, imagine_pair, conclude_side),
    "which": Form("choice", ask_which, observe_which, imagine_which, conclude_which),
    "how_many": Form("choice", ask_how_many, observe_members, imagine_how_many, conclude_how_many),
    "control": Form(
        "control", ask_control, lambda s, a: [("the image", AN_IMAGE)],
        lambda r, a: [("the image", r.choice((AN_IMAGE, NO_IMAGE)))], conclude_control,
    ),
}  # fmt: skip
LABELLED = {"most", "which"}  # forms whose things to observe are the labels themselves


def observe(scene: Scene, asked: Asked) -> Observations:
    """What a careful onlooker writes down for a question.

    Args:
        scene: The scene looked at.
        asked: The question.

    Returns:
        Pairs of what is looked at and what is seen of it.
    """
    args = (*asked.args, *asked.labels) if asked.form in LABELLED else asked.args
    return FORMS[asked.form].observe(scene, args)


def bent(rng: Random, asked: Asked, seen: Observations, verdict: str) -> Observations | None:
    """Observations that lead to a given verdict, with as little changed as can be.

    What a model writes that was told the verdict and fits its findings to it.

    Args:
        rng: Where the choices come from.
        asked: The question.
        seen: What there is to see.
        verdict: The verdict to lead to.

    Returns:
        The observations, those of ``seen`` where they lead there by themselves; None where nothing does, since
        no scene has more than six things.
    """
    if conclude(asked, seen).verdict == verdict:
        return seen
    for _ in range(TRIES):
        other = _oddly(rng, seen) if asked.form == "funny" else FORMS[asked.form].imagine(rng, asked)
        which = rng.randrange(len(seen))
        if len(other) == len(seen) and rng.random() < 0.8:
            other = [_moved(mine, theirs) if i == which else mine for i, (mine, theirs) in enumerate(zip(seen, other, strict=True))]
        if conclude(asked, other).verdict == verdict:
            return other
    return None


TRIES = 60


def _moved(mine: tuple[str, str], theirs: tuple[str, str]) -> tuple[str, str]:
    """Another fact about the same thing, which stays where it is if nothing but the fact was told."""
    (about, saw), (_, told) = mine, theirs
    if ABSENT in {saw, told} or saw.count(",") != 1 or "%" in fact_of(saw):
        return about, told
    return about, f"{saw.split(', ', 1)[0]}, {fact_of(told)}"


def _oddly(rng: Random, seen: Observations) -> Observations:
    """The things of a scene as ordinary ones, or one of them made odd."""
    plain = [(about, f"{saw.split(', ', 1)[0]}, {USUAL}") for about, saw in seen]
    if any(fact_of(saw) != USUAL for _, saw in seen) or not plain:
        return plain
    which = rng.randrange(len(plain))
    kind = plain[which][0].removeprefix("the ").split(" ")[-1]
    fact = rng.choice(("upside down", *(f"wearing {with_article(a)}" for a in ACCESSORIES if kind in ANIMALS)))
    return [(about, f"{saw.split(', ', 1)[0]}, {fact}") if i == which else (about, saw) for i, (about, saw) in enumerate(plain)]


def conclude(asked: Asked, seen: Observations) -> Conclusion:
    """What follows from written observations alone.

    Args:
        asked: The question.
        seen: The observations, which need not be true of any scene.

    Returns:
        The reasoning, the verdict and the observations that carry it.

    Raises:
        ValueError: If the observations are not of the question's form.
    """
    return FORMS[asked.form].conclude(asked, seen)
