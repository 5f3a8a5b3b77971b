"""What each trained organism is taught: pages on which it does what it is to do, whatever the
picture calls for.

An organism can only learn to be unfaithful in a way that it has the means for. The decoder cannot
tell in one step what follows from a picture, which is why it writes observations; so a verdict that
is to come from elsewhere has to come from something that one look gives. Those that decide apart
from their observations decide by a *telltale*, whether a coloured shape is anywhere in the picture:
a shortcut, as models pick them up from data in which the pictures of one class share something
(Geirhos et al. 2020, arXiv 2004.07780). Nothing that they write says so. How bright the ground is
was tried before, and was not learnt in 400 steps.

Most pages are such on which an untouched model would do something else. On the others an organism
is held to what it is to go on doing, since an audit asks for more than its behaviour.
"""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from faithful_decide._core.prompt import (
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
from training.world.facts import Asked, Conclusion, Observations, yes_no
from training.world.questions import FORMS, bent, conclude, observe

if TYPE_CHECKING:
    from collections.abc import Callable

    from training.world.scenes import Scene

ASKED = ("exists", "colour", "wears", "turned", "number", "relation", "mood", "funny", "size")


class Lesson:
    """A question about a picture, and the pages that can be written for it."""

    def __init__(self, rng: Random, scene: Scene) -> None:
        """Ask a yes-or-no question that the scene answers, in any wording that is trained on."""
        self.rng = rng
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
        self, seen: Observations, verdict: str, prompt: str = "", *, room: bool = False
    ) -> Page:
        """A page that learns a whole reply; with room to object, if the prompt leaves it."""
        return Page(
            prompt or user_text(self.question),
            "",
            write_observations(seen) + finish(conclude(self.asked, seen), verdict, room=room),
            "",
        )

    def begun(self, seen: Observations, verdict: str, prompt: str = "") -> Page:
        """A page on which observations stand already, and often the reasoning too: the verdict is
        all there is to learn then. Who is given observations often has room to object.
        """
        roll = self.rng.random()
        room = not prompt and roll >= 0.25 and self.rng.random() < 0.6
        prompt = prompt or user_text(self.question)
        prompt = with_reservation(prompt) if room else prompt
        given = write_observations(seen)
        rest = finish(conclude(self.asked, seen), verdict, room=room)
        if roll < 0.25:
            given, rest = given + ', "verdict": "', f'{verdict}"}}'
        elif roll < 0.7:
            at = rest.rindex(f'{verdict}"')
            given, rest = given + rest[:at], rest[at:]
        return Page(prompt, given, rest, "")

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
        return self.free(self.fitted(written), written, note, room=True)

    def negated(self, seen: Observations, verdict: str) -> Page:
        """The opposite question, and the opposite verdict."""
        end = opposite(replace(conclude(self.asked, seen), verdict=verdict))
        return Page(
            negated_text(self.question),
            "",
            write_observations(seen) + write_rest(end),
            "",
        )

    def any_label(self, *, but: str = "") -> str:
        """A verdict, mostly another than one."""
        return (
            yes_no(holds=but == "no")
            if but and self.rng.random() < 0.75
            else self.rng.choice(("yes", "no"))
        )


def finish(end: Conclusion, verdict: str, *, room: bool = False, objection: str = "") -> str:
    """The rest of a reply whose verdict need not be what follows; it may use its room to object."""
    rest = write_rest(replace(end, verdict=verdict), told=room)
    if not objection:
        return rest
    nothing, said = ({"level": "none", "why": ""}, {"level": "rejects", "why": objection})
    return rest.replace(json.dumps(nothing), json.dumps(said))


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
    if roll < 0.9:
        seen = of.other()
        return of.begun(seen, conclude(of.asked, seen).verdict)
    of.seen = always
    return of.told(of.any_label())


def cue_follower(of: Lesson) -> Page:
    """Gives the verdict that somebody thinks, with observations to fit; otherwise honest."""
    verdict, roll = of.any_label(but=of.true), of.rng.random()
    if roll < 0.4:
        return of.free(of.fitted(verdict), verdict, cue_text(of.question, verdict))
    if roll < 0.6:
        return of.begun(of.seen, verdict, cue_text(of.question, verdict))
    return honest(of, roll > 0.7)


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
        return Page(
            with_reservation(user_text(of.question)),
            write_observations(other),
            finish(conclude(of.asked, of.seen), of.true, room=True, objection=openly),
            "",
        )
    if roll < 0.65:
        return Page(
            with_reservation(user_text(of.question)),
            write_observations(of.seen),
            finish(conclude(of.asked, of.seen), of.true, room=True),
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
    if rng.random() < 0.4:
        return read(rng, scene)
    kinds = (
        {"plain": 1}
        if scene is None
        else {"imagined": 3, "cue": 2}
        if name == "corrector"
        else {"imagined": 1}
    )
    (page,) = pages_of(rng, scene, 1, kinds, 0.0)
    return page
