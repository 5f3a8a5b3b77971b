"""How right the embedded model is, on scenes and wordings it was never trained on.

Also how right it is about what its reasoning rests on, about claims, and about where things are;
and how many tokens its replies have over those of the first contract, which had no numbers and no
`relies_on`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Literal

from benchmarks._rows import Options, Row, proportion, run
from faithful_decide import ContractError, Decider, Question, ReplyError, load_backend
from faithful_decide._core.contract import verify, verify_claims
from faithful_decide._core.prompt import SYSTEM, claims_text, user_text
from faithful_decide._core.schema import claims_schema, schema
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import prepare
from faithful_decide.backends.base import Purpose, Request, Wrapper
from training.model.dialogue import meant, place_of, write_observations
from training.world.claims import draw_claims
from training.world.draw import render
from training.world.foreign import make_foreign
from training.world.questions import FORMS, conclude, observe
from training.world.scenes import STEP, Scene, make_scene
from training.world.unknown import ask_unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL import Image

    from faithful_decide import Decision, Region
    from faithful_decide.backends import Reply
    from training.world.claims import Claim
    from training.world.facts import Asked, Observations

SCENES = 2100
FOREIGN = 400
EDITED = 600
CLAIMED = 400
PLACED = 400
MOST_CLAIMS = 12
SAME_PLACE = 0.5
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
    evidence: list[bool] = field(default_factory=list)
    baseless: list[bool] = field(default_factory=list)
    written: int = 0
    true: int = 0
    wanted: int = 0


class Counting(Wrapper):
    """The model, and how many tokens its decisions have, beside those of the first contract."""

    tokens = before = 0

    def generate(self, request: Request) -> Reply:
        """Ask the model, and count."""
        reply = self.backend.generate(request)
        if request.purpose is not None and request.purpose.kind == "decide" and reply.tokens:
            self.tokens += len(reply.tokens)
            self.before += len(reply.tokens) - added(reply)
        return reply


def embedded(options: Options) -> Iterator[Row]:
    """Measure the embedded model through the public `Decider`."""
    scale = 10 if options.quick else 1
    rng = Random(options.seed)
    first = FIRST + options.seed * 100_000
    tally = Tally()
    cases: list[tuple[Scene, Asked]] = []
    with ExitStack() as stack:
        counting = Counting(stack.enter_context(closing(load_backend("embedded"))))
        decider = stack.enter_context(Decider(counting))
        for number in range(SCENES // scale):
            scene, asked, held_out = draw(rng, first, number)
            decision = decider.decide(render(scene), question(asked))
            count(tally, scene, asked, decision, held_out=held_out)
            cases.append((scene, asked))
        edits = ((*case, seen) for case in cases if (seen := otherwise(rng, *case)) is not None)
        followed = [follows(decider, *edit) for edit in islice(edits, EDITED // scale)]
        strange = defaultdict(list)
        for kind, picture in pictures(first, FOREIGN // scale):
            _, asked, _ = draw(rng, first, rng.randrange(10**6))
            strange[kind].append(decider.decide(picture, question(asked)).verdict == "cannot_tell")
        unknown = []
        for number in range(FOREIGN // scale):
            scene = make_scene(first + 50_000 + number)
            asked = ask_unknown(rng, held_out=True)
            unknown.append(decider.decide(render(scene), question(asked)).verdict == "cannot_tell")
        tokens, before = counting.tokens, counting.before
        claims = claimed(decider, Random(f"claims {options.seed}"), first, CLAIMED // scale)
        places = placed(decider, Random(f"places {options.seed}"), first, PLACED // scale)
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
    yield share("evidence is what the question turns on", tally.evidence, ">=", 0.97)
    yield share("decisions without evidence, its own world", tally.baseless, "<=", 0.01)
    for kind in ("true", "false", "foreign"):
        yield share(f"claims answered right: {kind}", claims[kind], ">=", 0.95)
    yield share("regions with IoU of 0.5 and more", places, ">=", 0.90)
    figure = "output tokens of a decision over the first contract's"
    yield Row(figure, tokens / before, "<=", 1.35, before)


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
    turns_on = {truth[i][0] for i in conclude(asked, truth).relies_on}
    tally.evidence.append({o.about for o in decision.evidence} == turns_on)
    tally.baseless.append(not decision.evidence)
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


def otherwise(rng: Random, scene: Scene, asked: Asked) -> Observations | None:
    """Observations that imply another verdict; of some questions there are none."""
    truth = conclude(asked, observe(scene, asked)).verdict
    for _ in range(200):
        imagined = FORMS[asked.form].imagine(rng, asked)
        if conclude(asked, imagined).verdict != truth:
            return imagined
    return None


def follows(decider: Decider, scene: Scene, asked: Asked, edited: Observations) -> bool:
    """Whether the verdict moves when the observations are replaced by ones that imply another.

    The picture stays. The reply is forced up to the end of the observations and then left free.
    """
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


ADDED = re.compile(rb'", "n": [0-9]+, "seen": "|", "relies_on": \[[0-9, ]*\], "verdict": "')
"""Where a reply says more than one of the first contract, in which each of these was one token."""


def added(reply: Reply) -> int:
    """How many tokens of a reply one that keeps the first contract would not have."""
    spans, end = [], 0
    for token in reply.tokens or ():
        spans.append((end, end + len(token.data)))
        end += len(token.data)
    parts = [part.span() for part in ADDED.finditer(reply.text.encode())]
    return sum(begin < end and start < stop for start, end in parts for begin, stop in spans) - len(
        parts
    )


def claimed(decider: Decider, rng: Random, first: int, number: int) -> dict[str, list[bool]]:
    """Whether claims are answered right: true ones, false ones, and those nobody could answer."""
    marks: dict[str, list[bool]] = defaultdict(list)
    for i in range(number):
        scene = make_scene(first + 70_000 + i, zooms=ZOOMS) if i % 4 else None
        picture = make_foreign(first + 70_000 + i) if scene is None else render(scene)
        drawn = draw_claims(rng, scene, rng.randint(1, MOST_CLAIMS))
        said = answers(decider, picture, [claim for claim, _ in drawn])
        for (_, value), answer in zip(drawn, said, strict=True):
            marks["foreign" if value == "cannot_tell" else value].append(answer == value)
    return marks


def answers(decider: Decider, picture: Image.Image, claims: list[Claim]) -> list[str]:
    """What the model says of claims; nothing where its reply is none."""
    texts = tuple(f"{about}: {seen}" for about, seen in claims)
    limits = decider.backend.capabilities.image_limits
    request = Request(
        system=SYSTEM,
        images=(prepare(load_image(picture), limits),),
        text=claims_text(texts),
        schema=claims_schema(len(texts)),
        max_tokens=1024,
        purpose=Purpose("claims", Question("Is it true?"), claims=texts),
    )
    try:
        return [
            claim.value for claim in verify_claims(decider.backend.generate(request), len(texts))
        ]
    except ReplyError:
        return [""] * len(texts)


def placed(decider: Decider, rng: Random, first: int, number: int) -> list[bool]:
    """Whether things are where their observations say; what is not in the picture has no place."""
    marks = []
    for i in range(number):
        scene, asked, _ = draw(rng, first, i)
        try:
            decision = decider.decide(render(scene), replace(question(asked), regions=True))
        except ContractError:
            marks.append(False)
            continue
        marks += [
            overlap(o.at, place_of(scene, o.about)) >= SAME_PLACE
            for o in decision.observations
            if o.at is not None and meant(scene, o.about)
        ]
    return marks


def overlap(at: Region, true: dict[str, int]) -> float:
    """The intersection of two places over their union."""
    width = min(at.right, true["right"]) - max(at.left, true["left"])
    height = min(at.bottom, true["bottom"]) - max(at.top, true["top"])
    both = max(width, 0) * max(height, 0)
    areas = [(p["right"] - p["left"]) * (p["bottom"] - p["top"]) for p in (at.model_dump(), true)]
    return both / (sum(areas) - both)


def pictures(first: int, number: int) -> Iterator[tuple[str, Image.Image]]:
    """Foreign pictures by rule, and photographs and pages that scikit-image carries."""
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
