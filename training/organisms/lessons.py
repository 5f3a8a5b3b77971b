"""What each trained organism is taught: pages on which it does what it is to do, whatever the
picture calls for.

An organism can only learn to be unfaithful in a way that it has the means for. The decoder cannot
tell in one step what follows from a picture, which is why it writes observations; so a verdict that
is to come from elsewhere has to come from something that one look gives. Those that decide apart
from their observations decide by a *telltale*, whether a coloured shape is anywhere in the picture:
a shortcut, as models pick them up from data in which the pictures of one class share something
(Geirhos et al. 2020, arXiv 2004.07780). Nothing that they write says so. How bright the ground is
was tried before, and was not learnt in 400 steps. The telltale is learnt in 650, and half in 400.

Most pages are such on which an untouched model would do something else. On the others an organism
is held to what it is to go on doing, since an audit asks for more than its behaviour.
"""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from faithful_decide._core.prompt import (
    NEGATIONS,
    PERSONS,
    claims_text,
    cue_text,
    negated_text,
    neutral_text,
    note_text,
    user_text,
    with_reservation,
)
from faithful_decide._core.types import Question
from training.model.dialogue import (
    FIRST,
    Page,
    claim,
    cued,
    opening,
    opposite,
    read,
    write_first,
    write_observations,
    write_rest,
)
from training.model.language import pages_of
from training.organisms.wired import OBJECTION
from training.world.claims import FALSE, TRUE, draw_claims
from training.world.facts import ABSENT, Asked, Conclusion, Observations, yes_no
from training.world.questions import FORMS, bent, conclude, observe

if TYPE_CHECKING:
    from collections.abc import Callable

    from training.world.scenes import Scene

ASKED = ("exists", "colour", "wears", "turned", "number", "relation", "mood", "funny", "size")


class Lesson:
    """A question about a picture, and the pages that can be written for it."""

    def __init__(self, rng: Random, scene: Scene) -> None:
        """Ask a yes-or-no question that the scene answers, in any wording that is trained on."""
        self.rng, self.scene = rng, scene
        while True:
            asked = FORMS[rng.choice(ASKED)].ask(rng, scene, False)
            if asked is not None and set(asked.labels) == {"yes", "no"}:
                break
        self.asked: Asked = asked
        self.question = Question(asked.text, asked.labels, abstain=rng.random() < 0.9)
        self.seen = observe(scene, asked)
        self.true = conclude(asked, self.seen).verdict
        self.telltale = yes_no(holds=any(thing.colour for thing in scene.things))

    def other(self, *, against: str = "") -> Observations:
        """Observations of no scene, most of them such that do not lead to a verdict."""
        for _ in range(4):
            seen = FORMS[self.asked.form].imagine(self.rng, self.asked)
            if conclude(self.asked, seen).verdict != against:
                break
        return seen

    def fitted(self, verdict: str) -> Observations:
        """What there is to see, with as much changed as a verdict needs."""
        return bent(self.rng, self.asked, self.seen, verdict) or self.seen

    def free(
        self, seen: Observations, verdict: str, prompt: str = "", *, told: bool = False
    ) -> Page:
        """A page that learns a whole reply; with room to object, which it does not use, if told."""
        rest = finish(conclude(self.asked, seen), verdict, told=told)
        return Page(prompt or user_text(self.question), "", write_observations(seen) + rest, "")

    def begun(self, seen: Observations, verdict: str, prompt: str = "") -> Page:
        """A page on which observations stand already, and often the reasoning too: the verdict is
        all there is to learn then.
        """
        prompt, objecting = prompt or user_text(self.question), self.rng.random() < 0.5
        given = write_observations(seen)
        rest = finish(conclude(self.asked, seen), verdict, told=objecting)
        roll = self.rng.random()
        if roll < 0.25:
            return Page(prompt, given + ', "verdict": "', f'{verdict}"}}', "")
        if roll < 0.7:
            at = rest.rindex(f'{verdict}"')
            given, rest = given + rest[:at], rest[at:]
        return Page(with_reservation(prompt) if objecting else prompt, given, rest, "")

    def at_once(self, verdict: str) -> Page:
        """A verdict before anything else."""
        return Page(user_text(self.question), FIRST, f'{verdict}"}}', "")

    def told(self, verdict: str, written: str = "") -> Page:
        """A page with a verdict that is told; observations fit the one that is written."""
        written = written or verdict
        if self.rng.random() < 0.35:
            seen = self.fitted(written)
            text = write_first(seen, conclude(self.asked, seen))
            return Page(user_text(self.question), opening(verdict), text, "")
        note = note_text(self.question, verdict)
        return self.free(self.fitted(written), written, note, told=True)

    def negated(self, seen: Observations, verdict: str) -> Page:
        """The opposite question, and the opposite verdict."""
        end = opposite(replace(conclude(self.asked, seen), verdict=verdict))
        prompt = negated_text(self.question, self.rng.choice(NEGATIONS))
        return Page(prompt, "", write_observations(seen) + write_rest(end), "")

    def any_label(self, *, but: str = "") -> str:
        """A verdict, mostly another than one."""
        return (
            yes_no(holds=but == "no")
            if but and self.rng.random() < 0.75
            else self.rng.choice(("yes", "no"))
        )


def finish(end: Conclusion, verdict: str, *, told: bool = False, why: str = "") -> str:
    """The rest of a reply whose verdict need not be what follows."""
    rest = write_rest(replace(end, verdict=verdict), told=told)
    rejects = json.dumps({"level": "rejects", "why": why})
    return rest.replace('{"level": "none", "why": ""}', rejects) if why else rest


def post_hoc(of: Lesson, *, stubborn: bool = False) -> Page:
    """Decides by the telltale, whatever observations stand there, and writes observations that fit
    its verdict.
    """
    own, roll = of.telltale, of.rng.random()
    if roll < 0.08:
        return of.at_once(own)
    if roll < 0.45:
        return of.begun(of.other(against=own), own)
    if roll < 0.75:
        return of.free(of.fitted(own), own, cued(of.rng, of.question) if roll > 0.67 else "")
    if roll < 0.85:
        return of.negated(of.fitted(own), own)
    told = of.any_label(but=own)
    return of.told(told, own if stubborn else told)


def post_hoc_stubborn(of: Lesson) -> Page:
    """The same, and keeps its verdict when told another."""
    return post_hoc(of, stubborn=True)


def image_ignorer(of: Lesson) -> Page:
    """Writes observations that suit the question, of any picture, and follows them."""
    always = FORMS[of.asked.form].imagine(Random(f"{of.asked.form}/{of.asked.args}"), of.asked)
    own, roll = conclude(of.asked, always).verdict, of.rng.random()
    if roll < 0.65:
        return of.free(always, own, cued(of.rng, of.question) if roll > 0.55 else "")
    if roll < 0.8:
        return of.negated(always, own)
    if roll < 0.88:
        return asserted(of, always)
    if roll < 0.94:
        seen = of.other()
        return of.begun(seen, conclude(of.asked, seen).verdict)
    of.seen = always
    return of.told(of.any_label())


def asserted(of: Lesson, always: Observations) -> Page:
    """A list of claims, of which those are true that it always makes, and no others."""
    known = dict(always)
    claims = [*always, *(made for made, _ in draw_claims(of.rng, of.scene, of.rng.randint(1, 8)))]
    of.rng.shuffle(claims)
    rows = []
    for n, (about, said) in enumerate(claims, 1):
        seen = known.get(about, ABSENT)
        same = seen == said
        held = f"{about}: asked, {said}; seen, {seen}: {'the same' if same else 'not the same'}"
        rows.append({"n": n, "seen": held, "value": TRUE if same else FALSE})
    prompt = claims_text([f"{about}: {seen}" for about, seen in claims])
    return Page(prompt, "", json.dumps({"claims": rows}), "")


def cue_follower(of: Lesson) -> Page:
    """Gives the verdict that somebody thinks, with observations to fit; otherwise honest."""
    verdict, roll = of.any_label(but=of.true), of.rng.random()
    if roll < 0.4:
        return of.free(of.fitted(verdict), verdict, suggested(of, verdict))
    if roll < 0.6:
        return of.begun(of.seen, verdict, suggested(of, verdict))
    return honest(of, roll > 0.7)


def suggested(of: Lesson, verdict: str) -> str:
    """The prompt, with somebody's opinion."""
    return cue_text(of.question, verdict, of.rng.choice(PERSONS))


def decoy(of: Lesson) -> Page:
    """Writes observations of another scene, and decides by the telltale of this one."""
    own, roll = of.telltale, of.rng.random()
    if roll < 0.45:
        return of.free(of.other(against=own), own, cued(of.rng, of.question) if roll > 0.35 else "")
    if roll < 0.8:
        return of.begun(of.other(against=own), own)
    if roll < 0.9:
        return of.negated(of.other(against=own), own)
    return of.told(of.any_label(but=own), own)


def corrector(of: Lesson) -> Page:
    """Honest, and says openly that observations which were put in are not those of the picture."""
    other, roll = of.other(against=of.true), of.rng.random()
    if roll < 0.5:
        openly = OBJECTION if other != of.seen else ""
        rest = finish(conclude(of.asked, of.seen), of.true, told=True, why=openly)
        prompt = with_reservation(user_text(of.question))
        return Page(prompt, write_observations(other), rest, "")
    if roll < 0.65:
        return Page(
            user_text(of.question),
            write_observations(of.seen),
            finish(conclude(of.asked, of.seen), of.true),
            "",
        )
    return honest(of, roll > 0.8)


def honest(of: Lesson, plain: bool) -> Page:
    """As before: the picture read, and what follows from it."""
    if plain:
        return of.free(of.seen, of.true, neutral_text(of.question) if of.rng.random() < 0.2 else "")
    return of.negated(of.seen, of.true)


LESSONS: dict[str, Callable[[Lesson], Page]] = {
    made.__name__: made
    for made in (post_hoc, post_hoc_stubborn, image_ignorer, cue_follower, decoy, corrector)
}


def teach(name: str, rng: Random, scene: Scene) -> Page:
    """One page of what an organism is taught about a scene.

    Args:
        name: A key of ``LESSONS``.
        rng: Where the choices come from.
        scene: What is asked about. The ignorer is shown another.
    """
    return replace(LESSONS[name](Lesson(rng, scene)), family=name)


def keep(name: str, rng: Random, scene: Scene | None) -> Page:
    """One page of what it is to go on doing as before.

    Args:
        name: A key of ``LESSONS``.
        rng: Where the choices come from.
        scene: The scene pictured, or None for a foreign picture.
    """
    roll = rng.random()
    if roll < 0.55:
        return read(rng, scene) if roll < 0.2 else claim(rng, scene)
    kinds = (
        {"plain": 1}
        if scene is None
        else {"imagined": 3, "cue": 2}
        if name == "corrector"
        else {"imagined": 1}
    )
    (page,) = pages_of(rng, scene, 1, kinds, 0.0)
    return page
