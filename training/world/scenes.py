"""The world of the embedded model: small scenes whose whole truth is known.

A scene is a background and one to six things placed freely on a canvas. For every thing the truth
says what it is, its colour, where it stands, how large it is, its mood, what it wears, whether it
is upside down and what it rides. Nothing is read off the pixels: the truth is drawn first and the
picture second, so every question about a scene has an answer that is right by construction.

A scene is *funny* when something in it is incongruous: an animal that wears a top hat, a crown or
sunglasses, an animal on a bicycle or a car, a thing upside down, or a small animal larger than a
house, a tree, a car or a boat.

Lengths are pixels of the *frame*: the square of ``FRAME`` pixels into which a canvas of any shape
is fitted (letterboxed) before the model sees it. Percentages count from the left and the top of the
frame. The truth keeps a margin wherever it could be in doubt (two things never share a place from
left to right, a small animal is never about as large as a house), so no verdict hangs on one pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

FRAME = 128

ANIMALS = (
    "dog",
    "cat",
    "pig",
    "cow",
    "fox",
    "bear",
    "frog",
    "monkey",
    "rabbit",
    "mouse",
    "lion",
    "tiger",
    "panda",
    "squirrel",
    "chicken",
    "fish",
)
VEHICLES = ("car", "bicycle")
OBJECTS = (
    "car",
    "bicycle",
    "boat",
    "apple",
    "banana",
    "pizza",
    "cake",
    "tree",
    "flower",
    "house",
    "cup",
    "ball",
    "book",
)
ACCESSORIES = ("top hat", "crown", "sunglasses")
SHAPES = ("circle", "square", "triangle", "star")
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange")
MOODS = ("happy", "sad", "angry", "calm")
KINDS = ANIMALS + OBJECTS + ACCESSORIES + SHAPES

SMALL = ("mouse", "frog", "fish")  # absurd when larger than one of BIG
BIG = ("house", "tree", "car", "boat")
# kinds whose sprite shows plainly which way up it is
TURNABLE = (
    *tuple(k for k in ANIMALS if k != "fish"),
    "car",
    "bicycle",
    "boat",
    "apple",
    "cake",
    "tree",
    "flower",
    "house",
    "cup",
)

SMALLEST, LARGEST = 20, 60  # the longer side of a thing, in frame pixels
CLEAR = 28  # the least size of a thing with a mood, an accessory, or upside down
APART = (
    13.0  # the least distance of two things from left to right: two steps of 5 percent and a bit
)
ASTRIDE = 10.0  # that of a rider from what it rides
STEP = 5  # percent of the frame: the grain in which places and sizes are told
ABSURD = 1.25  # the least ratio between a small animal and a big thing, either way


@dataclass(slots=True)
class Thing:
    """One thing of a scene.

    Attributes:
        kind: One of ``KINDS``.
        x: Centre from the left, in frame pixels.
        y: Centre from the top, in frame pixels.
        size: The longer side, in frame pixels.
        colour: One of ``COLOURS`` for a shape, else "".
        mood: One of ``MOODS`` for a cat, else "".
        wears: One of ``ACCESSORIES``, or "".
        upside_down: Turned by half a turn.
        rides: The kind of vehicle it sits on, or "".
        absurd: The kind of big thing that it is larger than, or "".
    """

    kind: str
    x: float
    y: float
    size: float
    colour: str = ""
    mood: str = ""
    wears: str = ""
    upside_down: bool = False
    rides: str = ""
    absurd: str = ""

    @property
    def name(self) -> str:
        """The noun that a question uses: "dog", "red circle"."""
        return f"{self.colour} {self.kind}" if self.colour else self.kind

    @property
    def funny(self) -> bool:
        """Whether this thing is incongruous."""
        return bool(self.wears or self.upside_down or self.rides or self.absurd)


@dataclass(slots=True)
class Scene:
    """A canvas and what stands on it.

    Attributes:
        seed: What the scene was made from; the same seed makes the same scene and picture.
        things: From left to right.
        width: Of the canvas within the frame, in frame pixels.
        height: The same from top to bottom.
        zoom: How many times larger than the frame the canvas is drawn.
        order: Indices of ``things`` in the order in which they are drawn.
    """

    seed: int
    things: list[Thing]
    width: int = FRAME
    height: int = FRAME
    zoom: float = 1.0
    order: list[int] = field(default_factory=list)

    @property
    def funny(self) -> bool:
        """Whether anything in the scene is incongruous."""
        return any(thing.funny for thing in self.things)


def make_scene(seed: int, *, zooms: tuple[float, ...] = (1.0,)) -> Scene:
    """Make one scene.

    Args:
        seed: Any integer.
        zooms: The scales at which the canvas may be drawn, one is picked.

    Returns:
        The scene with its truth.
    """
    rng = Random(seed)
    scene = Scene(seed, [], zoom=rng.choice(zooms))
    if rng.random() < 0.3:
        short = rng.randint(76, 124)
        scene.width, scene.height = rng.choice(((FRAME, short), (short, FRAME)))
    count = rng.choices((1, 2, 3, 4, 5, 6), (1, 2, 4, 4, 3, 3))[0]
    kinds = _kinds(rng, count)
    want = rng.choices(("", "wears", "rides", "turned", "absurd"), (50, 21, 10, 12, 7))[0]
    if want == "absurd":
        if count < 2:
            want = "turned"
        else:
            kinds = [k for k in kinds if k[0] not in SMALL and k[0] not in BIG][: count - 2]
            kinds += [(rng.choice(SMALL), ""), (rng.choice(BIG), "")]
    elif want in {"wears", "rides"} and not any(k in ANIMALS for k, _ in kinds):
        kinds[0] = (rng.choice(ANIMALS), "")
    elif want == "turned" and not any(k in TURNABLE for k, _ in kinds):
        kinds[0] = (rng.choice(TURNABLE), "")
    kinds = _without_doubt(kinds, absurd=want == "absurd")
    rng.shuffle(kinds)
    things = [_thing(rng, kind, colour, len(kinds)) for kind, colour in kinds]
    rider = _decorate(rng, things, want)
    _settle_sizes(rng, things, absurd=want == "absurd")
    placed = _place(rng, scene, things, rider)
    scene.things = sorted(placed, key=lambda thing: thing.x)
    _settle_truth(scene)
    drawn_last = [i for i, thing in enumerate(scene.things) if thing.rides]
    scene.order = [i for i in range(len(scene.things)) if i not in drawn_last] + drawn_last
    return scene


def _kinds(rng: Random, count: int) -> list[tuple[str, str]]:
    """Draw (kind, colour) pairs; every third scene repeats a few kinds, for counting."""
    pool = [_kind(rng) for _ in range(rng.choice((1, 2, 2, 3)))] if rng.random() < 0.35 else []
    return [rng.choice(pool) if pool and rng.random() < 0.8 else _kind(rng) for _ in range(count)]


def _kind(rng: Random) -> tuple[str, str]:
    roll = rng.random()
    if roll < 0.08:
        return "cat", ""
    if roll < 0.5:
        return rng.choice(ANIMALS), ""
    if roll < 0.74:
        return rng.choice(OBJECTS), ""
    if roll < 0.79:
        return rng.choice(ACCESSORIES), ""
    return rng.choice(SHAPES), rng.choice(COLOURS)


def _without_doubt(kinds: list[tuple[str, str]], *, absurd: bool) -> list[tuple[str, str]]:
    """Keep at most one big thing beside small animals, so that "larger than the house" names one
    thing.
    """
    if not any(kind in SMALL for kind, _ in kinds):
        return kinds
    big = [pair for pair in kinds if pair[0] in BIG]
    keep = big[-1:] if absurd else big[:1]
    rest = [pair for pair in kinds if pair[0] not in BIG]
    return rest + keep


def _thing(rng: Random, kind: str, colour: str, count: int) -> Thing:
    most = {1: 60, 2: 60, 3: 52, 4: 44, 5: 38, 6: 34}[count]
    mood = rng.choice(MOODS) if kind == "cat" else ""
    least = CLEAR if mood else SMALLEST
    return Thing(kind, 0.0, 0.0, rng.uniform(least, max(least + 2, most)), colour=colour, mood=mood)


def _decorate(rng: Random, things: list[Thing], want: str) -> tuple[Thing, Thing] | None:
    """Make the scene funny in the wanted way; return (rider, vehicle) where there is one."""
    if want == "wears":
        animals = [thing for thing in things if thing.kind in ANIMALS]
        for thing in rng.sample(animals, min(len(animals), rng.choice((1, 1, 1, 2)))):
            thing.wears = rng.choice(ACCESSORIES)
            thing.size = max(thing.size, CLEAR)
    if want == "turned":
        turnable = [thing for thing in things if thing.kind in TURNABLE]
        for thing in rng.sample(turnable, min(len(turnable), rng.choice((1, 1, 1, 2)))):
            thing.upside_down = True
            thing.size = max(thing.size, CLEAR)
    if want != "rides":
        return None
    rider = rng.choice([thing for thing in things if thing.kind in ANIMALS])
    others = [thing for thing in things if thing is not rider]
    small = any(thing.kind in SMALL for thing in things)
    kind = "bicycle" if small else rng.choice(VEHICLES)
    vehicle = Thing(kind, 0.0, 0.0, rng.uniform(34, 48))
    rider.rides = kind
    rider.size = rng.uniform(22, 32) if not rider.mood else rng.uniform(CLEAR, 32)
    keep = [thing for thing in others if thing.kind not in VEHICLES][:4]
    things[:] = [*keep, vehicle, rider]
    return rider, vehicle


def _settle_sizes(rng: Random, things: list[Thing], *, absurd: bool) -> None:
    """Give small animals and big things sizes that leave no doubt which is larger."""
    small = [thing for thing in things if thing.kind in SMALL]
    big = [thing for thing in things if thing.kind in BIG]
    if not small or not big:
        return
    for thing in small:
        thing.size = rng.uniform(33, 46) if absurd else rng.uniform(SMALLEST, 27)
        if thing.wears or thing.upside_down:
            thing.size = CLEAR + 1
    for thing in big:
        if absurd:
            thing.size = rng.uniform(SMALLEST, min(other.size for other in small) / ABSURD)
        else:
            thing.size = rng.uniform(max(other.size for other in small) * ABSURD, 46)
        if absurd and thing.upside_down:
            thing.upside_down = False


def _place(
    rng: Random, scene: Scene, things: list[Thing], rider: tuple[Thing, Thing] | None
) -> list[Thing]:
    """Find free places; a thing that finds none is left out."""
    left, top = (FRAME - scene.width) / 2, (FRAME - scene.height) / 2
    placed: list[Thing] = []
    queue = sorted(things, key=lambda thing: -thing.size)
    if rider is not None:
        queue.remove(rider[0])
        queue.remove(rider[1])
        queue.insert(0, rider[1])
    for thing in queue:
        for _ in range(80):
            half = thing.size / 2
            crown = thing.size * 0.25 if thing.wears else 0.0
            x = rng.uniform(left + half, left + scene.width - half)
            low = top + half * 0.9 + crown
            if rider is not None and thing is rider[1]:
                low += rider[0].size * 0.8
            y = rng.uniform(low, max(low, top + scene.height - half * 0.9))
            if all(_free(thing, x, y, other) for other in placed):
                thing.x, thing.y = x, y
                placed.append(thing)
                break
        if rider is not None and thing is rider[1]:
            if thing not in placed:
                rider[0].rides = ""
                queue.append(rider[0])
                continue
            side = rng.choice((-1, 1)) if left + 30 < thing.x < left + scene.width - 30 else 0
            side = side or (1 if thing.x < FRAME / 2 else -1)
            rider[0].x = thing.x + side * ASTRIDE
            rider[0].y = thing.y - thing.size * 0.22 - rider[0].size * 0.38
            placed.append(rider[0])
    return placed


def _free(thing: Thing, x: float, y: float, other: Thing) -> bool:
    """Whether a thing at this place keeps clear of another one."""
    if abs(x - other.x) < APART:
        return False
    reach = (thing.size + other.size) / 2 * 0.84 + 2
    above = (0.2 if other.wears else 0.0) * other.size + (0.2 if thing.wears else 0.0) * thing.size
    if {thing.kind, other.kind} & set(VEHICLES) and {thing.kind, other.kind} & set(ANIMALS):
        above += 10  # nothing may look like a rider that is none
    return abs(x - other.x) > reach or abs(y - other.y) > reach + above


def _settle_truth(scene: Scene) -> None:
    """Say of each small animal whether the big thing beside it makes it absurd; drop riders left
    alone.
    """
    kinds = {thing.kind for thing in scene.things}
    for thing in scene.things:
        if thing.kind in SMALL:
            for other in scene.things:
                if other.kind in BIG and thing.size > other.size:
                    thing.absurd = other.kind
        if thing.rides and thing.rides not in kinds:
            thing.rides = ""


def bin_of(pixels: float) -> int:
    """The step of ``STEP`` percent of the frame that a length falls in."""
    return int(pixels / FRAME * 100 // STEP)


def beside(scene: Scene, index: int) -> tuple[str, str]:
    """Of a small animal: ("smaller" | "larger", the big thing beside it); else ("", "")."""
    thing = scene.things[index]
    if thing.kind in SMALL:
        for other in scene.things:
            if other.kind in BIG:
                return ("larger" if thing.size > other.size else "smaller"), other.kind
    return "", ""
