"""Questions whose answer is one of several labels: each form's four functions, as
``training.world.questions`` explains them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.world.facts import (
    ABSENT,
    ACROSS,
    DOWN,
    LARGE,
    Asked,
    Conclusion,
    Fact,
    Observations,
    bare,
    box,
    fact_of,
    lone,
    missing,
    named,
    none_there,
    number,
    seen_of,
    some_across,
    some_box,
    some_boxes,
    the,
)
from training.world.phrasing import put
from training.world.scenes import ANIMALS, Scene
from training.world.yes_no import (
    apart,
    axis_of,
    countable,
    every,
    members,
    pair,
    side,
    some_listing,
    total,
    unlike,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

MOST = {
    "largest": (LARGE, "most"),
    "biggest": (LARGE, "most"),
    "smallest": (LARGE, "least"),
    "leftmost": (ACROSS, "least"),
    "rightmost": (ACROSS, "most"),
    "highest": (DOWN, "least"),
    "lowest": (DOWN, "most"),
}


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
        # Two numbers at a time, as where two things are compared; what has won so far is named
        # after each step.
        steps.append(f"{first} {sign} {second}, so {seen[best[1]][0]}")
    reasoning = "; ".join(steps) or f"only {seen[best[1]][0]} is there"
    return Conclusion(reasoning, asked.labels[best[1]], tuple(range(len(seen))))


def ask_what(
    fact: Fact, form: str, nothing: str = ""
) -> Callable[[Random, Scene, bool], Asked | None]:
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
        words = [
            w for w in (*fact.words, *((fact.common,) if fact.common else ())) if bare(w) == label
        ]
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
    return Conclusion(
        reasoning, direction if direction in asked.labels else asked.labels[0], (0, 1)
    )


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
    return Conclusion(
        f"{listed}; so {seen[there[0]][0]}", asked.labels[there[0]], tuple(range(len(seen)))
    )


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
    del asked
    count = str(total(seen[0][1]))
    return Conclusion(f"there are {count}", count, (0,))


def observe_most(scene: Scene, args: tuple[str, ...]) -> Observations:
    return [seen_of(name, scene, box) for name in args[1:]]


def imagine_most(rng: Random, asked: Asked) -> Observations:
    return some_boxes(rng, asked.labels)
