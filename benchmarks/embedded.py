"""How right the embedded model is, on scenes and wordings it was never trained on."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Literal

from benchmarks._rows import Options, Row, proportion, run
from faithful_decide import Decider, Question
from faithful_decide._core.contract import verify
from faithful_decide._core.prompt import SYSTEM, user_text
from faithful_decide._core.schema import schema
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import prepare
from faithful_decide.backends.base import Request
from training.model.dialogue import write_observations
from training.world.draw import render
from training.world.foreign import make_foreign
from training.world.questions import FORMS, conclude, observe
from training.world.scenes import STEP, Scene, make_scene
from training.world.unknown import ask_unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL import Image

    from faithful_decide import Decision
    from training.world.facts import Asked, Observations

SCENES = 2100
FOREIGN = 400
EDITED = 600
ZOOMS = (1.0, 1.0, 2.0, 3.0, 4.0)
# held out: training starts at 20 000 000 and counts up
FIRST = 1_000_000
PHOTOGRAPHS = (
    "astronaut",
    "brick",
    "camera",
    "cell",
    "chelsea",
    "clock",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "hubble_deep_field",
    "immunohistochemistry",
    "moon",
    "retina",
    "rocket",
)
PAGES = ("page", "text")
FAMILIES = {
    "presence": ("exists",),
    "attribute": ("colour", "wears", "rides", "turned"),
    "relation": ("relation",),
    "count": ("number", "compare", "size"),
    "mood": ("mood",),
    "incongruity": ("funny",),
    "choice": ("most", "what_colour", "what_mood", "what_wears", "side", "which", "how_many"),
}


@dataclass
class Tally:
    """Counts of what came out right."""

    verdicts: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))
    forms: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))
    held_out: list[bool] = field(default_factory=list)
    agrees: list[bool] = field(default_factory=list)
    abstained: list[bool] = field(default_factory=list)
    written: int = 0
    true: int = 0
    wanted: int = 0


def embedded(options: Options) -> Iterator[Row]:
    """Measure the embedded model through the public `Decider`."""
    scale = 10 if options.quick else 1
    rng = Random(options.seed)
    first = FIRST + options.seed * 100_000
    tally = Tally()
    cases: list[tuple[Scene, Asked]] = []
    with Decider("embedded") as decider:
        for number in range(SCENES // scale):
            scene, asked, held_out = draw(rng, first, number)
            decision = decider.decide(render(scene), question(asked))
            count(tally, scene, asked, decision, held_out=held_out)
            cases.append((scene, asked))
        followed = [follows(decider, rng, *case) for case in cases[: EDITED // scale]]
        strange = defaultdict(list)
        for kind, picture in pictures(first, FOREIGN // scale):
            _, asked, _ = draw(rng, first, rng.randrange(10**6))
            strange[kind].append(decider.decide(picture, question(asked)).verdict == "cannot_tell")
        unknown = []
        for number in range(FOREIGN // scale):
            scene = make_scene(first + 50_000 + number)
            asked = ask_unknown(rng, held_out=True)
            unknown.append(decider.decide(render(scene), question(asked)).verdict == "cannot_tell")
    every = [right for family in tally.verdicts.values() for right in family]
    yield share("verdict right, all families", every, ">=", 0.97)
    for family, marks in tally.verdicts.items():
        yield share(f"verdict right, {family}", marks, ">=", 0.93)
    yield share("verdict right, phrasings held out", tally.held_out, ">=", 0.93)
    yield proportion("observations: precision", tally.true, tally.written, ">=", 0.95)
    yield proportion("observations: recall", tally.true, tally.wanted, ">=", 0.95)
    yield share("verdict is what its observations imply", tally.agrees, ">=", 0.99)
    yield share("edited observation moves the verdict", followed, ">=", 0.95)
    for kind, marks in strange.items():
        yield share(f"cannot_tell on foreign images: {kind}", marks, ">=", 0.95)
    yield share("cannot_tell on foreign questions", unknown, ">=", 0.90)
    yield share("cannot_tell on its own world", tally.abstained, "<=", 0.01)


def draw(rng: Random, first: int, number: int) -> tuple[Scene, Asked, bool]:
    """A held-out scene with a question; families take turns, every third phrasing is held out."""
    family = list(FAMILIES)[number % len(FAMILIES)]
    held_out = rng.random() < 1 / 3
    while True:
        scene = make_scene(first + rng.randrange(100_000), zooms=ZOOMS)
        asked = FORMS[rng.choice(FAMILIES[family])].ask(rng, scene, held_out)
        if asked is not None and not (family == "presence" and not scene.things):
            return scene, asked, held_out


def question(asked: Asked) -> Question:
    """The question as a caller would put it."""
    return Question(asked.text, asked.labels)


def count(tally: Tally, scene: Scene, asked: Asked, decision: Decision, *, held_out: bool) -> None:
    """Add one decision to the tally."""
    truth = observe(scene, asked)
    seen = [(o.about, o.seen) for o in decision.observations]
    right = decision.verdict == conclude(asked, truth).verdict
    tally.verdicts[asked.family].append(right)
    tally.forms[asked.form].append(right)
    if held_out:
        tally.held_out.append(right)
    tally.abstained.append(decision.verdict == "cannot_tell")
    tally.agrees.append(implied(asked, seen) == decision.verdict)
    tally.written += len(seen)
    tally.wanted += len(truth)
    left = list(truth)
    for observation in seen:
        match = next((true for true in left if same(observation, true)), None)
        if match is not None:
            left.remove(match)
            tally.true += 1


def implied(asked: Asked, seen: Observations) -> str:
    """The verdict that follows from written observations, "" if they are of another form."""
    if any("known things" in saw or "unknown" in saw for _, saw in seen):
        return "cannot_tell"
    try:
        return conclude(asked, seen).verdict
    except (ValueError, IndexError):
        return ""


def same(observation: tuple[str, str], true: tuple[str, str]) -> bool:
    """Whether an observation is true: the same words, and numbers within one step of the truth."""
    if observation[0] != true[0]:
        return False
    ours, theirs = observation[1].split(), true[1].split()
    return len(ours) == len(theirs) and all(map(near, ours, theirs))


def near(ours: str, theirs: str) -> bool:
    """The same word, or percentages that are at most one step apart."""
    if ours == theirs:
        return True
    if not (ours.endswith("%") and theirs.endswith("%")):
        return False
    return abs(int(ours.removesuffix("%")) - int(theirs.removesuffix("%"))) <= STEP


def follows(decider: Decider, rng: Random, scene: Scene, asked: Asked) -> bool:
    """Whether the verdict moves when the observations are replaced by ones that imply another.

    The picture stays. The reply is forced up to the end of the observations and then left free.
    """
    truth = conclude(asked, observe(scene, asked)).verdict
    while conclude(asked, edited := FORMS[asked.form].imagine(rng, asked)).verdict == truth:
        pass
    asked_as = question(asked)
    limits = decider.backend.capabilities.image_limits
    request = Request(
        system=SYSTEM,
        images=(prepare(load_image(render(scene)), limits),) if limits else (),
        text=user_text(asked_as),
        schema=schema(asked_as.labels),
        max_tokens=256,
        prefix=write_observations(edited) + ', "reasoning": "',
    )
    reply = decider.backend.generate(request)
    return verify(reply, asked_as.labels).content.verdict == conclude(asked, edited).verdict


def pictures(first: int, number: int) -> Iterator[tuple[str, Image.Image]]:
    """Foreign pictures by rule, and photographs from scikit-image where it is installed."""
    for i in range(number):
        yield "by rule", make_foreign(first + 60_000 + i)
    yield from photographs(Random(first), number)


def photographs(rng: Random, number: int) -> Iterator[tuple[str, Image.Image]]:
    """Crops of the photographs and pages that scikit-image carries; none was trained on."""
    from PIL import Image  # noqa: PLC0415 - heavy
    from skimage import data  # noqa: PLC0415 - heavy

    for i in range(number):
        name = PHOTOGRAPHS[i % len(PHOTOGRAPHS)] if i % 5 else rng.choice(PAGES)
        picture = Image.fromarray(getattr(data, name)()).convert("RGB")
        side = rng.uniform(0.4, 1.0) * min(picture.size)
        x, y = rng.uniform(0, picture.width - side), rng.uniform(0, picture.height - side)
        crop = picture.crop((int(x), int(y), int(x + side), int(y + side)))
        yield ("pages" if name in PAGES else "photographs"), crop


def share(figure: str, marks: list[bool], op: Literal["<=", ">="], target: float) -> Row:
    """A row for a share of marks."""
    return proportion(figure, sum(marks), len(marks), op, target)


if __name__ == "__main__":
    run(embedded)
