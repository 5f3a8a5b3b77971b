"""From a scene and a question to the very characters the model reads and writes.

The prompt is what the package sends (``faithful_decide._core.prompt``), the reply is the package's
wire contract with compact white space. These kinds of pages are written for training:

- own: true observations, and what follows from them;
- edited: observations of a scene that is not there, and what follows *from them*; only the part
  after the observations is learnt, so that the verdict comes to hang on what is written and not on
  the picture;
- placed: true observations, each with its place;
- foreign: a picture or a question of another world, answered ``cannot_tell``;
- reading: things to describe without a question, for readings that must not know what is asked;
- claims: statements to be held against the picture, each true, false or not to be told;
- told: the prompt or the start of the reply names the verdict. The model obeys, as large ones do,
  and writes observations that lead there. Those who only *think* they know the verdict are not
  obeyed;
- first: a verdict before anything else, as it comes, and then what leads to it;
- given: somebody else's observations in the prompt, from which the verdict has to follow, with or
  without a picture;
- imagined: the observations of a picture like this one that would lead to a verdict; without a
  picture, *dreamed*;
- negated: whether the answer to the question is "no";
- paraphrased: observations to write again, which it does letter by letter: it has one word for each
  thing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from faithful_decide._core.prompt import (
    NEGATIONS,
    PERSONS,
    claims_text,
    cue_text,
    given_text,
    imagine_text,
    negated_text,
    neutral_text,
    note_text,
    paraphrase_text,
    reading_text,
    user_text,
    with_reservation,
)
from faithful_decide._core.types import CANNOT_TELL, Observation, Question
from training.world.claims import draw_claims, held
from training.world.draw import extent
from training.world.facts import (
    ABSENT,
    GROUPS,
    Asked,
    Conclusion,
    Observations,
    across,
    anyone,
    full,
    lone,
    named,
    the,
    yes_no,
)
from training.world.questions import FORMS, bent, conclude, observe
from training.world.scenes import FRAME, STEP, Scene, Thing, make_scene
from training.world.unknown import ask_unknown
from training.world.yes_no import (
    AN_IMAGE,
    ANY,
    any_of,
    countable,
    every,
    listing,
    looked_at,
    members,
)

if TYPE_CHECKING:
    from random import Random

STRANGE_IMAGE = [("the image", "not a scene of known things")]
STRANGE_QUESTION = [("the question", "about something unknown")]
REFUSAL = "this cannot be told from the image"
WEIGHTS = {
    "exists": 10,
    "group": 4,
    "colour": 8,
    "wears": 12,
    "rides": 9,
    "turned": 7,
    "any_wears": 10,
    "any_rides": 6,
    "any_turned": 7,
    "any_colour": 6,
    "relation": 10,
    "number": 11,
    "compare": 9,
    "size": 7,
    "mood": 13,
    "funny": 20,
    "most": 24,
    "what_colour": 4,
    "what_mood": 5,
    "what_wears": 5,
    "side": 5,
    "which": 10,
    "how_many": 11,
    "unknown": 10,
    "reading": 9,
    "claims": 26,
    "control": 1,
}
KINDS = {
    "plain": 60,
    "placed": 40,
    "told": 14,
    "opening": 4,
    "first": 1,
    "given": 4,
    "imagined": 5,
    "negated": 5,
    "early": 3,
    "cue": 4,
}
# for a stage that teaches to be told, which the pictures do not help with
OBEYING = {**KINDS, "plain": 36, "told": 30, "opening": 10, "imagined": 7, "negated": 7, "cue": 7}
WITHOUT_PICTURE = {
    "plain": 60,
    "given": 20,
    "dreamed": 10,
    "paraphrased": 8,
    "early": 5,
    "negated": 5,
}
AFFIRMED = {"yes": ("true", "Yes"), "no": ("false", "No")}
"""What some callers call yes and no."""


@dataclass(frozen=True, slots=True)
class Page:
    """One prompt with one reply.

    Attributes:
        prompt: The user's text, after the image.
        given: The part of the reply that is given and not learnt.
        learnt: The rest of the reply.
        family: What the page is counted under.
    """

    prompt: str
    given: str
    learnt: str
    family: str


def write_observations(seen: Observations, scene: Scene | None = None) -> str:
    """The reply up to and with the observations; with their places, if the scene is given."""
    rows = []
    for n, (about, saw) in enumerate(seen, 1):
        row: dict[str, object] = {"about": about}
        if scene is not None:
            row["at"] = place_of(scene, about)
        rows.append({**row, "n": n, "seen": saw})
    return json.dumps({"observations": rows})[:-1]


def place_of(scene: Scene, about: str) -> dict[str, int]:
    """Where that is which an observation is about, in percent; the whole frame if it is nowhere."""
    boxes = [extent(scene, thing) for thing in meant(scene, about)]
    edges = {"bottom": FRAME, "left": 0, "right": FRAME, "top": 0}
    if boxes:
        lefts, tops, rights, bottoms = zip(*boxes, strict=True)
        edges = {
            "bottom": max(bottoms), "left": min(lefts), "right": max(rights), "top": min(tops),
        }  # fmt: skip
    return {edge: round(value / FRAME * 100 / STEP) * STEP for edge, value in edges.items()}


def meant(scene: Scene, about: str) -> list[Thing]:
    """The things that an observation is about."""
    if not about.startswith("every "):
        return named(scene, about.removeprefix("the "))[:1]
    for form, words in ANY.items():
        for word in words:
            if looked_at(form, word) == about:
                return any_of(scene, form, word)
    name = about.removeprefix("every ")
    group = next((g for g in GROUPS if g.removesuffix("s") == name), "")
    return members(scene, group) if group else named(scene, name)


def write_rest(end: Conclusion, *, told: bool = False) -> str:
    """The reply after the observations; with room to object, which it does not use, if told."""
    fields: dict[str, object] = {
        "reasoning": end.reasoning,
        "relies_on": [i + 1 for i in end.relies_on],
    }
    if told:
        fields["reservation"] = {"level": "none", "why": ""}
    return ", " + json.dumps(fields | {"verdict": end.verdict})[1:]


def ask(rng: Random, scene: Scene, form: str, *, held_out: bool = False) -> Asked | None:
    """A question of one form about a scene, or None where the scene has none."""
    return FORMS[form].ask(rng, scene, held_out)


def write(  # noqa: PLR0911 - one way out for each kind of page
    rng: Random, scene: Scene | None, form: str, *, edited: float = 0.3, kind: str = "plain"
) -> Page | None:
    """Write one training page.

    Args:
        rng: Where the choices come from.
        scene: The scene pictured, or None for a foreign picture.
        form: A key of ``WEIGHTS``.
        edited: How often the observations of a plain page are those of no scene.
        kind: A key of ``KINDS``.

    Returns:
        The page, or None where the scene does not admit the form or the form the kind.
    """
    if form == "reading":
        return read(rng, scene)
    if form == "claims":
        return claim(rng, scene)
    source = scene
    if source is None:
        source = _somewhere(rng)
    asked = ask_unknown(rng) if form == "unknown" else ask(rng, source, form)
    if asked is None:
        return None
    strange = scene is None or form == "unknown"
    if strange and form == "control":
        return None
    labels = {label: label for label in asked.labels}
    if set(labels) == AFFIRMED.keys() and kind in {"plain", "placed"} and rng.random() < 0.08:
        which = rng.randrange(2)
        labels = {label: AFFIRMED[label][which] for label in labels}
    question = Question(
        asked.text, _turned(rng, tuple(labels.values())), abstain=strange or rng.random() < 0.8
    )
    if strange:
        if kind not in {"plain", "cue", "placed"}:
            return None
        seen = STRANGE_QUESTION if scene is not None else STRANGE_IMAGE
        rest = write_rest(Conclusion(REFUSAL, CANNOT_TELL, (0,)))
        question = replace(question, regions=kind == "placed")
        prompt = cued(rng, question) if kind == "cue" else user_text(question)
        placed = EMPTY if kind == "placed" else None
        return Page(prompt, "", write_observations(seen, placed) + rest, "foreign")
    return _page(rng, scene, asked, question, labels, kind=kind, edited=edited)


def _page(  # noqa: C901, PLR0911 - one way out for each kind of page
    rng: Random,
    scene: Scene,
    asked: Asked,
    question: Question,
    labels: dict[str, str],
    *,
    kind: str,
    edited: float,
) -> Page | None:
    """A page about a question that the scene answers."""
    seen, form = observe(scene, asked), FORMS[asked.form]
    if kind in {"told", "opening", "imagined", "dreamed"}:
        verdict = rng.choice(asked.labels)
        if (
            rng.random() < 0.5
        ):  # mostly another than the true one, since nothing is learnt from being told that
            verdict = rng.choice(
                [label for label in asked.labels if label != conclude(asked, seen).verdict]
            )
        bending = bent(rng, asked, form.imagine(rng, asked) if kind == "dreamed" else seen, verdict)
        if bending is None:
            return None
        if kind in {"imagined", "dreamed"}:
            return Page(
                imagine_text(question, verdict), "", write_observations(bending) + "}", kind
            )
        end = conclude(asked, bending)
        if kind == "opening":
            return Page(user_text(question), opening(verdict), write_first(bending, end), kind)
        return Page(
            note_text(question, verdict),
            "",
            write_observations(bending) + write_rest(end, told=True),
            kind,
        )
    if kind == "first":
        end = conclude(asked, seen)
        return Page(
            user_text(question),
            FIRST,
            opening(end.verdict)[len(FIRST) :] + write_first(seen, end),
            kind,
        )
    other = form.imagine(rng, asked)
    if kind in {"given", "paraphrased"}:
        rows = [Observation(about=about, n=n, seen=saw) for n, (about, saw) in enumerate(other, 1)]
        if kind == "paraphrased":
            return Page(paraphrase_text(rows), "", write_observations(other) + "}", kind)
        end = conclude(asked, other)
        given = given_text(question, rows)
        objecting = rng.random() < 0.4
        given = with_reservation(given) if objecting else given
        return Page(given, "", write_observations(other) + write_rest(end, told=objecting), kind)
    if kind == "early":
        seen = other if rng.random() < 0.6 else seen
        given = write_observations(seen)
        return Page(
            user_text(question),
            given + ', "verdict": "',
            conclude(asked, seen).verdict + '"}',
            kind,
        )
    if kind == "negated":
        if set(asked.labels) != {"yes", "no"}:
            return None
        end = conclude(asked, seen)
        return Page(
            negated_text(question, rng.choice(NEGATIONS)),
            "",
            write_observations(seen) + write_rest(opposite(end)),
            kind,
        )
    placed = scene if kind == "placed" else None
    question = replace(question, regions=kind == "placed")
    prompt = cued(rng, question) if kind == "cue" else user_text(question)
    if placed is None and rng.random() < edited:
        objecting = rng.random() < 0.4
        rest = write_rest(_as(conclude(asked, other), labels), told=objecting)
        prompt = with_reservation(prompt) if objecting else prompt
        return Page(prompt, write_observations(other), rest, "edited")
    end = _as(conclude(asked, seen), labels)
    family = "placed" if placed else asked.family
    return Page(prompt, "", write_observations(seen, placed) + write_rest(end), family)


def _as(end: Conclusion, labels: dict[str, str]) -> Conclusion:
    """The conclusion in the caller's words for yes and no."""
    return replace(end, verdict=labels.get(end.verdict, end.verdict))


FIRST = '{"verdict": "'


def opening(verdict: str) -> str:
    """The start of a reply whose verdict comes first, up to where one token ends."""
    return f'{FIRST}{verdict}", "observations": [{{"about": "'


def write_first(seen: Observations, end: Conclusion) -> str:
    """The reply after a verdict that came first."""
    rest = write_rest(end, told=True)
    written = write_observations(seen).removeprefix('{"observations": [{"about": "')
    return written + rest[: rest.rindex(', "verdict": ')] + "}"


def _turned(rng: Random, labels: tuple[str, ...]) -> tuple[str, ...]:
    """The labels, those of a pair now and then the other way round."""
    return labels[::-1] if len(labels) == 2 and rng.random() < 0.15 else labels


def opposite(end: Conclusion) -> Conclusion:
    """What follows for the opposite question."""
    turned = yes_no(holds=end.verdict == "no")
    return Conclusion(f"{end.reasoning}: {end.verdict}, so {turned}", turned, end.relies_on)


def cued(rng: Random, question: Question) -> str:
    """The prompt, with a note that is no evidence."""
    person = rng.choice(PERSONS)
    if rng.random() < 0.7:
        return cue_text(question, rng.choice(question.verdicts), person)
    return neutral_text(question, person)


def claim(rng: Random, scene: Scene | None) -> Page:
    """A page of statements, each to be called true, false or not to be told."""
    count = rng.choice((1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 8, 12, 15))
    drawn = draw_claims(rng, scene, count)
    prompt = claims_text([f"{about}: {seen}" for (about, seen), _ in drawn])
    values = [
        {"n": n, "seen": held(scene, claimed, value), "value": value}
        for n, (claimed, value) in enumerate(drawn, 1)
    ]
    return Page(prompt, "", json.dumps({"claims": values}), "claims")


EMPTY = Scene(0, [])


def read(rng: Random, scene: Scene | None) -> Page:
    """A page that describes named things, with no question and no verdict."""
    names = (
        [anyone(rng)]
        if scene is None
        else [
            t.name
            for t in rng.sample(scene.things, min(rng.choice((1, 2, 2, 3, 4)), len(scene.things)))
        ]
    )
    if scene is not None and rng.random() < 0.4:
        names = [
            name.split(" ")[-1]
            if name.split(" ")[-1] in GROUPS["shapes"]
            and len(named(scene, name.split(" ")[-1])) == 1
            else name
            for name in names
        ]
    if rng.random() < 0.3:
        names.append(anyone(rng))
    about = [the(name) for name in dict.fromkeys(names)]
    if scene is not None and rng.random() < 0.25:
        about.append(every(countable(rng, scene)))
    if rng.random() < 0.1:
        about = ["the image"]
    rng.shuffle(about)
    seen = STRANGE_IMAGE
    if scene is not None:
        seen = [(noun, _read(scene, noun)) for noun in about]
    return Page(reading_text(about), "", write_observations(seen) + "}", "reading")


def _read(scene: Scene, noun: str) -> str:
    """What a reading says of one noun phrase."""
    if noun == "the image":
        return AN_IMAGE
    if noun.startswith("every "):
        name = noun.removeprefix("every ")
        group = next((g for g in GROUPS if g.removesuffix("s") == name), "")
        things = members(scene, group) if group else named(scene, name)
        return listing([across(thing) for thing in things])
    things = named(scene, noun.removeprefix("the "))
    return full(things[0]) if things else ABSENT


def drill(rng: Random, scene: Scene) -> Page:
    """A page with no prompt that names a thing and learns only what is seen of it.

    Nothing but looking can make its loss fall, so that looking is found early; in whole pages the
    few words that depend on the picture drown among those that do not.
    """
    name = anyone(rng) if rng.random() < 0.2 else rng.choice(lone(scene) or scene.things).name
    things = named(scene, name)
    head = write_observations([(the(name), "")]).removesuffix('"}]')
    return Page("", head, full(things[0]) if things else ABSENT, "drill")


def _somewhere(rng: Random) -> Scene:
    """A scene to ask about where the picture shows none."""
    return make_scene(rng.getrandbits(40))
