"""What is asked about a scene, what there is to observe, and what follows from it.

A *form* is one way of asking (is there, is it left of, how many ...). Each form knows four things:

- ``ask``: draw a question about a scene that the scene answers beyond doubt;
- ``observe``: what a careful onlooker writes down for it, facts about the asked things only;
- ``imagine``: the same for a scene that is not there, at random;
- ``conclude``: the reasoning and the verdict that follow from *written observations alone*.

``conclude`` never sees the scene. So it says what a reply ought to have concluded from its own
words, teaches the decoder to follow its observations even where they are another scene's, and lets
a benchmark check both. Each written step is a small one: a fact read off the picture, two numbers
side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.world.choices import (
    ask_how_many,
    ask_most,
    ask_side,
    ask_what,
    ask_which,
    conclude_how_many,
    conclude_most,
    conclude_side,
    conclude_what,
    conclude_which,
    imagine_how_many,
    imagine_most,
    imagine_what,
    imagine_which,
    observe_most,
    observe_which,
)
from training.world.facts import (
    ABSENT,
    FACTS,
    USUAL,
    Asked,
    Conclusion,
    Observations,
    box,
    fact_of,
    seen_of,
    some_box,
    the,
)
from training.world.phrasing import with_article
from training.world.scenes import ACCESSORIES, ANIMALS, Scene
from training.world.yes_no import (
    AN_IMAGE,
    ANY,
    NO_IMAGE,
    ask_any,
    ask_compare,
    ask_control,
    ask_exists,
    ask_fact,
    ask_funny,
    ask_number,
    ask_relation,
    ask_size,
    conclude_any,
    conclude_compare,
    conclude_control,
    conclude_exists,
    conclude_fact,
    conclude_funny,
    conclude_number,
    conclude_relation,
    conclude_size,
    every,
    imagine_any,
    imagine_fact,
    imagine_funny,
    imagine_pair,
    observe_any,
    observe_fact,
    observe_funny,
    observe_members,
    observe_pair,
    some_listing,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random


@dataclass(frozen=True, slots=True)
class Form:
    """One way of asking; see the module."""

    family: str
    ask: Callable[[Random, Scene, bool], Asked | None]
    observe: Callable[[Scene, tuple[str, ...]], Observations]
    imagine: Callable[[Random, Asked], Observations]
    conclude: Callable[[Asked, Observations], Conclusion]


FORMS: dict[str, Form] = {
    "exists": Form(
        "presence",
        ask_exists,
        lambda s, a: [seen_of(a[0], s, box)],
        lambda r, a: [(the(a.args[0]), some_box(r) if r.random() < 0.5 else ABSENT)],
        conclude_exists,
    ),
    **{
        name: Form(
            fact.family, ask_fact(fact), observe_fact(fact), imagine_fact(fact), conclude_fact
        )
        for name, fact in FACTS.items()
    },
    "relation": Form("relation", ask_relation, observe_pair, imagine_pair, conclude_relation),
    "number": Form(
        "count",
        ask_number,
        lambda s, a: observe_members(s, a[:1]),
        lambda r, a: [(every(a.args[0]), some_listing(r))],
        conclude_number,
    ),
    "compare": Form(
        "count",
        ask_compare,
        observe_members,
        lambda r, a: [(every(noun), some_listing(r, 4)) for noun in a.args],
        conclude_compare,
    ),
    "size": Form("count", ask_size, observe_pair, imagine_pair, conclude_size),
    "funny": Form("incongruity", ask_funny, observe_funny, imagine_funny, conclude_funny),
    "most": Form("choice", ask_most, observe_most, imagine_most, conclude_most),
    "what_colour": Form(
        "choice",
        ask_what(FACTS["colour"], "what_colour"),
        observe_fact(FACTS["colour"]),
        imagine_what(FACTS["colour"]),
        conclude_what,
    ),
    "what_mood": Form(
        "choice",
        ask_what(FACTS["mood"], "what_mood"),
        observe_fact(FACTS["mood"]),
        imagine_what(FACTS["mood"]),
        conclude_what,
    ),
    "what_wears": Form(
        "choice",
        ask_what(FACTS["wears"], "what_wears", "nothing"),
        observe_fact(FACTS["wears"]),
        imagine_what(FACTS["wears"]),
        conclude_what,
    ),
    "side": Form("choice", ask_side, observe_pair, imagine_pair, conclude_side),
    "which": Form("choice", ask_which, observe_which, imagine_which, conclude_which),
    "how_many": Form("choice", ask_how_many, observe_members, imagine_how_many, conclude_how_many),
    **{
        name: Form(
            "presence" if name == "group" else "attribute",
            ask_any(name),
            observe_any(name),
            imagine_any,
            conclude_any,
        )
        for name in ANY
    },
    "control": Form(
        "control",
        ask_control,
        lambda *_: [("the image", AN_IMAGE)],
        lambda r, _: [("the image", r.choice((AN_IMAGE, NO_IMAGE)))],
        conclude_control,
    ),
}
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
        The observations, those of ``seen`` where they lead there by themselves; None where nothing
        does, since no scene has more than six things.
    """
    if conclude(asked, seen).verdict == verdict:
        return seen
    for _ in range(TRIES):
        other = (
            _oddly(rng, seen) if asked.form == "funny" else FORMS[asked.form].imagine(rng, asked)
        )
        which = rng.randrange(len(seen))
        if len(other) == len(seen) and rng.random() < 0.8:
            other = [
                _moved(mine, theirs) if i == which else mine
                for i, (mine, theirs) in enumerate(zip(seen, other, strict=True))
            ]
        if conclude(asked, other).verdict == verdict:
            return other
    return None


TRIES = 60


def _moved(mine: tuple[str, str], theirs: tuple[str, str]) -> tuple[str, str]:
    """Another fact about the same thing, which stays in its place if only the fact was told."""
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
    fact = rng.choice(
        ("upside down", *(f"wearing {with_article(a)}" for a in ACCESSORIES if kind in ANIMALS))
    )
    return [
        (about, f"{saw.split(', ', 1)[0]}, {fact}") if i == which else (about, saw)
        for i, (about, saw) in enumerate(plain)
    ]


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
