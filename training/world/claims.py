"""Statements about a scene, and whether they are true of it.

A claim is an observation put as a statement: "the dog: 40% across, wearing a crown". It is true,
false, or not to be told from the picture; what is nearly true (a place one step off counts, two
steps off is in doubt) is asked of nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.world.facts import (
    ABSENT,
    FACTS,
    GROUPS,
    USUAL,
    across,
    anyone,
    full,
    named,
    some_across,
    state,
    the,
)
from training.world.questions import ANY, FORMS, observe
from training.world.scenes import STEP, Scene, Thing, make_scene
from training.world.unknown import MANNER, NOUNS
from training.world.yes_no import (
    AN_IMAGE,
    any_of,
    countable,
    every,
    listing,
    looked_at,
    members,
    some_listing,
)

if TYPE_CHECKING:
    from random import Random

Claim = tuple[str, str]
TRUE, FALSE, CANNOT_TELL = "true", "false", "cannot_tell"
NEAR, FAR = STEP, 3 * STEP  # percent: a number this near is right, one this far is wrong
ASKED = tuple(form for form in FORMS if form != "control")
NUMBERS = ("% across", "% down", "% large")


def holds(scene: Scene, claim: Claim) -> bool | None:
    """Whether a claim is true of a scene; None where that is in doubt."""
    about, seen = claim
    if about == "the image":
        return seen == AN_IMAGE
    if about.startswith("every "):
        return _alike(listing_of(_meant(scene, about)), seen)
    things = named(scene, about.removeprefix("the "))
    if seen == ABSENT:
        return not things
    answers = [_fits(thing, seen) for thing in things]
    if True in answers:
        return True
    return None if None in answers else False


def held(scene: Scene | None, claim: Claim, value: str) -> str:
    """What is written before the value: the claim and what is seen, side by side, written alike."""
    about, claimed = claim
    if value == CANNOT_TELL:
        return f"{about}: {'not a scene of known things' if scene is None else 'something unknown'}"
    same = value == TRUE
    seen = claimed if same else shown(scene, about, claimed)  # type: ignore[arg-type]
    return f"{about}: asked, {claimed}; seen, {seen}: {'the same' if same else 'not the same'}"


def shown(scene: Scene, about: str, claimed: str) -> str:
    """What there is to see of what a claim that is not true speaks of."""
    if about == "the image":
        return AN_IMAGE
    if about.startswith("every "):
        return listing_of(_meant(scene, about))
    things = named(scene, about.removeprefix("the "))
    if not things:
        return ABSENT
    if claimed == ABSENT:
        return across(things[0])
    thing = min(
        things, key=lambda t: sum(_fits(t, fact) is not True for fact in claimed.split(", "))
    )
    return ", ".join(_fact_like(thing, fact) for fact in claimed.split(", "))


def _fact_like(thing: Thing, claimed: str) -> str:
    """The fact of a thing that a claimed one is of the kind of."""
    if _fits(thing, claimed):
        return claimed
    known = full(thing).split(", ")
    for unit in NUMBERS:
        if claimed.endswith(unit):
            return next(k for k in known if k.endswith(unit))
    for fact in FACTS.values():
        if claimed in (*fact.words, fact.common) and fact.has(thing):
            return fact.write(thing)
    return state(thing)


def _fits(thing: Thing, seen: str) -> bool | None:
    known = full(thing).split(", ")
    odd = thing.funny
    answers: list[bool | None] = []
    for fact in seen.split(", "):
        unit = next((unit for unit in NUMBERS if fact.endswith(unit)), "")
        if unit:
            told = int(fact.removesuffix(unit))
            true = int(next(k for k in known if k.endswith(unit)).removesuffix(unit))
            off = abs(told - true)
            answers.append(off <= NEAR or (None if off < FAR else False))
        elif fact == "as usual":
            answers.append(not odd)
        else:
            answers.append(fact in known)
    return False if False in answers else None if None in answers else True


def _meant(scene: Scene, about: str) -> list[Thing]:
    for form, words in ANY.items():
        for word in words:
            if looked_at(form, word) == about:
                return any_of(scene, form, word)
    name = about.removeprefix("every ")
    group = next((g for g in GROUPS if g.removesuffix("s") == name), "")
    return members(scene, group) if group else named(scene, name)


def listing_of(things: list[Thing]) -> str:
    return listing([across(thing) for thing in things])


def _alike(true: str, seen: str) -> bool | None:
    ours, theirs = (_places(listed) for listed in (true, seen))
    if len(ours) != len(theirs):
        return False
    off = [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
    return True if all(o <= NEAR for o in off) else False if any(o >= FAR for o in off) else None


def _places(listed: str) -> list[int]:
    if listed == "none":
        return []
    return [int(part.split(" at ")[1].split("%")[0]) for part in listed.split("; ")]


def draw_claims(rng: Random, scene: Scene | None, count: int) -> list[tuple[Claim, str]]:
    """Draw claims with what is right to say of them.

    Args:
        rng: Where the choices come from.
        scene: The scene pictured; of a foreign picture, None, nothing can be told.
        count: How many.

    Returns:
        Claims and values, in an order that says nothing.
    """
    drawn: dict[Claim, str] = {}
    source = scene or make_scene(rng.getrandbits(40))
    while len(drawn) < count:
        if rng.random() < 0.06:
            noun = rng.choice(NOUNS)
            drawn[(the(noun), f"{some_across(rng)}, {rng.choice(MANNER)}")] = CANNOT_TELL
            continue
        claim = _claim(rng, source)
        if claim is None:
            continue
        value = None if scene is None else holds(scene, claim)
        if scene is None:
            drawn[claim] = CANNOT_TELL
        elif value is not None and (not value or rng.random() < 0.6):
            drawn[claim] = TRUE if value else FALSE
    pairs = list(drawn.items())
    rng.shuffle(pairs)
    return pairs


def _bent(rng: Random, thing: Thing) -> Claim:
    """What is seen of a thing, with one fact turned into another of its kind."""
    fact = rng.choice([fact for fact in FACTS.values() if fact.has(thing)] or [None])
    if fact is None:
        odd = rng.choice(("upside down", USUAL, f"{rng.randrange(5, 95, STEP)}% down"))
        return the(thing.name), f"{across(thing)}, {odd}"
    words = [
        w for w in (*fact.words, *((fact.common,) if fact.common else ())) if w != fact.write(thing)
    ]
    seen = f"{across(thing)}, {rng.choice(words)}"
    if rng.random() < 0.2:
        seen = full(thing).replace(fact.write(thing), rng.choice(words))
    return the(thing.name), seen


def _claim(rng: Random, scene: Scene) -> Claim | None:  # noqa: PLR0911 - one for each kind
    """A claim that may or may not be true: of this scene, bent, or of another."""
    roll = rng.random()
    thing = rng.choice(scene.things)
    if roll < 0.12:
        return the(thing.name), full(thing)
    if roll < 0.22:
        facts = full(thing).split(", ")
        kept = [facts[0], *rng.sample(facts[1:], min(len(facts) - 1, rng.choice((1, 1, 2))))]
        return the(thing.name), ", ".join(kept)
    if roll < 0.42:
        return _bent(rng, thing)
    if roll < 0.50:
        noun = countable(rng, scene)
        things = members(scene, noun)
        return every(noun), listing_of(things) if rng.random() < 0.6 else some_listing(rng, 4)
    if roll < 0.56:
        name = anyone(rng) if rng.random() < 0.5 else thing.name
        return the(name), ABSENT
    where = scene if roll < 0.90 else make_scene(rng.getrandbits(40))
    form = FORMS[rng.choice(ASKED)]
    asked = form.ask(rng, where, False)
    if asked is None:
        return None
    seen = observe(where, asked) if rng.random() < 0.55 else form.imagine(rng, asked)
    return rng.choice(seen)
