"""Questions that are answered by yes or no: each form's four functions, as
``training.world.questions`` explains them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.world.facts import (
    ABSENT,
    ACROSS,
    DOWN,
    GROUPS,
    LARGE,
    USUAL,
    Asked,
    Conclusion,
    Fact,
    Observations,
    across,
    anyone,
    bare,
    box,
    fact_of,
    lone,
    missing,
    named,
    none_there,
    number,
    percent,
    seen_of,
    some_across,
    some_boxes,
    state,
    the,
    too_large,
    yes_no,
)
from training.world.phrasing import plural, put, synonym, with_article
from training.world.scenes import (
    ACCESSORIES,
    ANIMALS,
    BIG,
    COLOURS,
    KINDS,
    SMALL,
    STEP,
    TURNABLE,
    VEHICLES,
    Scene,
    Thing,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

MARGIN = 13.0  # least distance, in frame pixels, of two things whose places are compared
LARGER = 1.25  # least ratio of two sizes that are compared, and
WIDER = 7.0  # their least difference in frame pixels
SINGULAR = {
    plural(noun).split(" ")[-1]: noun.split(" ")[-1]
    for noun in (*KINDS, "animal", "shape", "thing")
}
DIRECTIONS = ("left of", "right of", "above", "below")
COMPARATORS = ("more than", "at least", "exactly", "fewer than", "at most")

# ---------------------------------------------------------------- presence


def ask_exists(rng: Random, scene: Scene, held_out: bool) -> Asked:
    name = rng.choice(scene.things).name if rng.random() < 0.5 else missing(rng, scene)
    return Asked("presence", "exists", (name,), put(rng, "exists", held_out=held_out, a=name))


def conclude_exists(asked: Asked, seen: Observations) -> Conclusion:
    if seen[0][1] == ABSENT:
        return Conclusion(none_there(seen[0][0]), "no", (0,))
    return Conclusion(f"{with_article(asked.args[0])} is there", "yes", (0,))


# ---------------------------------------------------------------- one fact about one thing


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
    return lambda scene, args: [
        seen_of(args[0], scene, lambda thing: f"{across(thing)}, {fact.write(thing)}")
    ]


def imagine_fact(fact: Fact) -> Callable[[Random, Asked], Observations]:
    def imagine(rng: Random, asked: Asked) -> Observations:
        word = (
            asked.args[1]
            if rng.random() < 0.4 and asked.form == fact.form
            else rng.choice(fact.words)
        )
        if fact.common and rng.random() < 0.3:
            word = fact.common
        return [
            (the(asked.args[0]), ABSENT if rng.random() < 0.05 else f"{some_across(rng)}, {word}")
        ]

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
        names = (
            (missing(rng, scene), names[1])
            if rng.random() < 0.5
            else (names[0], missing(rng, scene))
        )
    text = put(rng, "relation", held_out=held_out, a=names[0], b=names[1], w=direction)
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
    fitting = [b for b in bounds if 1 <= b <= 6 and meets(truth, comparator, b) == want] or [
        max(1, min(6, truth))
    ]
    bound = rng.choice(fitting)
    said = DIGITS[bound] if rng.random() < 0.7 else str(bound)
    words = f"{synonym(rng, comparator)} {said}".strip()
    text = put(rng, "number", held_out=held_out, a=noun, w=words)
    return Asked("count", "number", (noun, comparator, str(bound)), text)


def conclude_number(asked: Asked, seen: Observations) -> Conclusion:
    count = total(seen[0][1])
    comparator, bound = asked.args[1], int(asked.args[2])
    holds = meets(count, comparator, bound)
    return Conclusion(
        f"{count} is {'' if holds else 'not '}{comparator} {bound}", yes_no(holds=holds), (0,)
    )


def ask_compare(rng: Random, scene: Scene, held_out: bool) -> Asked | None:
    first, second = countable(rng, scene), countable(rng, scene)
    if (
        first == second
        or "things" in {first, second}
        or set(members_of(first)) & set(members_of(second))
    ):
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
    return Conclusion(
        f"{first} is {'' if holds else 'not '}more than {second}", yes_no(holds=holds), (0, 1)
    )


def observe_members(scene: Scene, args: tuple[str, ...]) -> Observations:
    return [(every(noun), listing([across(t) for t in members(scene, noun)])) for noun in args]


# ---------------------------------------------------------------- is any of them ...?


def any_of(scene: Scene, form: str, word: str) -> list[Thing]:
    """The things that are as asked: "wearing a crown", "riding a car", "upside down", "red"."""
    tests: dict[str, Callable[[Thing], bool]] = {
        "any_wears": lambda t: bool(t.wears) and f"wearing {with_article(t.wears)}" == word,
        "any_rides": lambda t: f"riding a {t.rides}" == word,
        "any_turned": lambda t: t.upside_down,
        "any_colour": lambda t: t.colour == word,
        "group": lambda t: t.kind in GROUPS[word],
    }
    return [thing for thing in scene.things if tests[form](thing)]


WHOM = {"any_wears": "animal", "any_rides": "animal", "any_turned": "thing"}
ANY = {
    "any_wears": tuple(f"wearing {with_article(a)}" for a in ACCESSORIES),
    "any_rides": tuple(f"riding a {v}" for v in VEHICLES),
    "any_turned": ("upside down",),
    "any_colour": COLOURS,
    "group": ("animals", "shapes"),
}


def looked_at(form: str, word: str) -> str:
    """What is looked at: "every animal wearing a crown"."""
    if form == "group":
        return every(word)
    return f"every {word} shape" if form == "any_colour" else f"every {WHOM[form]} {word}"


def ask_any(form: str) -> Callable[[Random, Scene, bool], Asked | None]:
    def ask(rng: Random, scene: Scene, held_out: bool) -> Asked | None:
        true = [word for word in ANY[form] if any_of(scene, form, word)]
        false = [word for word in ANY[form] if word not in true]
        if not true and rng.random() < 0.6:
            return None
        word = rng.choice(true if true and (not false or rng.random() < 0.55) else false)
        words = {"a": word.removesuffix("s")} if form == "group" else {"w": bare(word)}
        family = "presence" if form == "group" else "attribute"
        return Asked(family, form, (word,), put(rng, form, held_out=held_out, **words))

    return ask


def observe_any(form: str) -> Callable[[Scene, tuple[str, ...]], Observations]:
    return lambda scene, args: [
        (looked_at(form, args[0]), listing([across(t) for t in any_of(scene, form, args[0])]))
    ]


def imagine_any(rng: Random, asked: Asked) -> Observations:
    return [(looked_at(asked.form, asked.args[0]), some_listing(rng, 4))]


def conclude_any(asked: Asked, seen: Observations) -> Conclusion:
    del asked
    count = total(seen[0][1])
    holds = count > 0
    return Conclusion(f"{count} is {'' if holds else 'not '}at least 1", yes_no(holds=holds), (0,))


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
    return Asked(
        "count",
        "size",
        (first.name, second.name, "smaller" if word == "smaller" else "larger"),
        text,
    )


def conclude_size(asked: Asked, seen: Observations) -> Conclusion:
    words, sign = compared(seen, LARGE)
    how = {"<": "smaller", ">": "larger", "=": "no different"}[sign]
    return Conclusion(
        f"{words}, so {seen[0][0]} is {how}", yes_no(holds=how == asked.args[2]), (0, 1)
    )


# ---------------------------------------------------------------- anything funny?


def ask_funny(rng: Random, scene: Scene, held_out: bool) -> Asked:
    del scene
    if rng.random() < 0.85:
        return Asked("incongruity", "funny", (), put(rng, "funny", held_out=held_out))
    labels = rng.choice(
        (("funny", "ordinary"), ("funny", "not funny"), ("funny", "serious"), ("odd", "normal"))
    )
    return Asked(
        "incongruity",
        "funny",
        (),
        put(rng, "scene", held_out=held_out, v=" or ".join(labels)),
        labels,
    )


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


# ---------------------------------------------------------------- a question whose answer is known


AN_IMAGE, NO_IMAGE = "an image", "nothing"


def ask_control(rng: Random, scene: Scene, held_out: bool) -> Asked:
    del scene
    return Asked("control", "control", (), put(rng, "control", held_out=held_out))


def conclude_control(asked: Asked, seen: Observations) -> Conclusion:
    del asked
    about, saw = seen[0]
    return Conclusion(f"{about} shows {saw}", yes_no(holds=saw == AN_IMAGE), (0,))
