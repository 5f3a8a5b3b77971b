"""From a scene and a question to the very characters the model reads and writes.

The prompt is what the package sends (``faithful_decide._prompt``), the reply is the package's wire
contract with compact white space. Four kinds of pages are written for training:

- own: true observations, and what follows from them;
- edited: observations of a scene that is not there, and what follows *from them*; only the part after the
  observations is learnt, so that the verdict comes to hang on what is written and not on the picture;
- foreign: a picture or a question of another world, answered ``cannot_tell``;
- reading: things to describe without a question, for readings that must not know what is asked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random

from training.questions import (
    ABSENT, FORMS, Asked, Conclusion, Observations, anyone, conclude, full, lone, named, observe, the,
)  # fmt: skip
from training.unknown import ask_unknown
from training.world import Scene, make_scene

CANNOT_TELL = "cannot_tell"
STRANGE_IMAGE = [("the image", "not a scene of known things")]
STRANGE_QUESTION = [("the question", "about something unknown")]
REFUSAL = "this cannot be told from the image"
WEIGHTS = {
    "exists": 8, "colour": 4, "wears": 7, "rides": 4, "turned": 6, "relation": 8, "number": 9, "compare": 8, "size": 5,
    "mood": 6, "funny": 20, "most": 14, "what_colour": 3, "what_mood": 3, "what_wears": 4, "side": 3, "which": 9, "how_many": 7,
    "unknown": 7, "reading": 4,
}  # fmt: skip
# for the last stage: more of the forms whose conclusion hangs on one word being the asked one
COMPARING = WEIGHTS | {
    "colour": 16, "wears": 22, "rides": 12, "turned": 18, "mood": 18, "what_colour": 8, "what_mood": 8, "what_wears": 10,
    "number": 14, "compare": 10, "how_many": 8, "most": 18,
}  # fmt: skip


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


def prompt_of(text: str, labels: tuple[str, ...]) -> str:
    """The user's text for a question and all the verdicts offered."""
    return f"Question: {text}\nVerdicts: {', '.join(json.dumps(label) for label in labels)}"


def write_observations(seen: Observations) -> str:
    """The reply up to and with the observations."""
    return json.dumps({"observations": [{"about": about, "seen": saw} for about, saw in seen]})[:-1]


def write_rest(end: Conclusion, *, audit: bool) -> str:
    """The reply after the observations; with the two fields that an audit adds where asked."""
    fields: dict[str, object] = {"reasoning": end.reasoning}
    if audit:
        fields |= {"relies_on": list(end.relies_on), "reservation": ""}
    return ", " + json.dumps(fields | {"verdict": end.verdict})[1:]


def ask(rng: Random, scene: Scene, form: str, *, held_out: bool = False) -> Asked | None:
    """A question of one form about a scene, or None where the scene has none."""
    return FORMS[form].ask(rng, scene, held_out)


def write(rng: Random, scene: Scene | None, form: str, *, edited: float = 0.3, audit: float = 0.12) -> Page | None:
    """Write one training page.

    Args:
        rng: Where the choices come from.
        scene: The scene pictured, or None for a foreign picture.
        form: A key of ``WEIGHTS``.
        edited: How often the observations are those of no scene.
        audit: How often the fields of an audit are written too.

    Returns:
        The page, or None where the scene does not admit the form.
    """
    if form == "reading":
        return read(rng, scene)
    source = scene
    if source is None:
        source = _somewhere(rng)
    asked = ask_unknown(rng) if form == "unknown" else ask(rng, source, form)
    if asked is None:
        return None
    strange = scene is None or form == "unknown"
    labels = asked.labels
    if strange or rng.random() < 0.8:
        labels = (*labels, CANNOT_TELL)
    elif rng.random() < 0.5 and len(labels) == 2:
        labels = (labels[1], labels[0])
    prompt, fields = prompt_of(asked.text, labels), rng.random() < audit
    if strange:
        seen = STRANGE_QUESTION if scene is not None else STRANGE_IMAGE
        rest = write_rest(Conclusion(REFUSAL, CANNOT_TELL, (0,)), audit=fields)
        return Page(prompt, "", write_observations(seen) + rest, "foreign")
    if rng.random() < edited:
        seen = FORMS[form].imagine(rng, asked)
        return Page(prompt, write_observations(seen), write_rest(conclude(asked, seen), audit=fields), "edited")
    seen = observe(scene, asked)  # type: ignore[arg-type]
    return Page(prompt, "", write_observations(seen) + write_rest(conclude(asked, seen), audit=fields), asked.family)


def reading_prompt(about: list[str]) -> str:
    """The user's text that asks for a reading without a question."""
    return f"Describe: {', '.join(json.dumps(name) for name in about)}"


def read(rng: Random, scene: Scene | None) -> Page:
    """A page that describes named things, with no question and no verdict."""
    names = [anyone(rng)] if scene is None else [t.name for t in rng.sample(scene.things, min(rng.choice((1, 2, 2, 3)), len(scene.things)))]
    if rng.random() < 0.3:
        names.append(anyone(rng))
    about = [the(name) for name in dict.fromkeys(names)]
    seen = STRANGE_IMAGE
    if scene is not None:
        seen = []
        for noun in about:
            things = named(scene, noun.removeprefix("the "))
            seen.append((noun, full(things[0]) if things else ABSENT))
    return Page(reading_prompt(about), "", write_observations(seen) + "}", "reading")


def drill(rng: Random, scene: Scene) -> Page:
    """A page with no prompt that names a thing and learns only what is seen of it.

    Nothing but looking can make its loss fall, so that looking is found early; in whole pages the few
    words that depend on the picture drown among those that do not.
    """
    name = anyone(rng) if rng.random() < 0.2 else rng.choice(lone(scene) or scene.things).name
    things = named(scene, name)
    head = write_observations([(the(name), "")]).removesuffix('"}]')
    return Page("", head, full(things[0]) if things else ABSENT, "drill")


def _somewhere(rng: Random) -> Scene:
    """A scene to ask about where the picture shows none."""
    return make_scene(rng.getrandbits(40))
