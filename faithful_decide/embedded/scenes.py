"""Pictures of the embedded model's world, made by rule, each with its whole truth.

    scene = make_scene(7)
    draw(scene).save("scene.png")

A scene is one to six things on a ground. Everything but the shapes is a sprite, cut from Noto Color
Emoji. This is not what the model was trained on: places, sizes, outlines, grounds, light, and where
a hat sits were chosen without a look at that, so it can be tested here.

No answer is in doubt: things do not overlap, except a rider and its vehicle; a hat that lies about
is not near a head; a mouse, frog or fish is clearly larger or clearly smaller than a house.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING

from faithful_decide._nearest import hinting
from faithful_decide.embedded.drawing import HEADS, MOODS, SHAPES, draw, shifted, tile_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faithful_decide.embedded.drawing import Box, Colour

__all__ = ["ACCESSORIES", "ANIMALS", "COLOURS", "MOODS", "OBJECTS", "SHAPES"]
__all__ += ["Scene", "Thing", "draw", "make_scene"]

ANIMALS = tuple(HEADS)
OBJECTS = (
    *("car", "bicycle", "boat", "apple", "banana", "pizza", "cake"),
    *("tree", "flower", "house", "cup", "ball", "book"),
)
ACCESSORIES = ("top hat", "crown", "sunglasses")
COLOURS = {
    "red": (212, 38, 38),
    "green": (46, 160, 67),
    "blue": (40, 96, 214),
    "yellow": (250, 216, 50),
    "purple": (142, 68, 178),
    "orange": (246, 138, 22),
}
VEHICLES = ("bicycle", "car")
SMALL, BIG = ("mouse", "frog", "fish"), ("house", "tree", "car", "boat")
TURNABLE = (*ANIMALS, "car", "bicycle", "boat", "tree", "flower", "house", "cup", "cake")
CLEARLY = 4 / 3
"""How much larger a thing is that is larger without a doubt."""


@dataclass(frozen=True)
class Look:
    """How a thing is drawn: nothing that is asked about."""

    tilt: int = 0
    mirrored: bool = False
    worn: tuple[float, float, float] = (0.0, 0.0, 1.0)
    """How far what it wears sits from the usual place, across and down, and its size."""
    fill: Colour = (0, 0, 0)
    edge: Colour | None = None


@hinting
@dataclass(frozen=True)
class Thing:
    """One thing, with all there is to know about it; what does not apply is empty."""

    kind: str
    colour: str = ""
    mood: str = ""
    wears: str = ""
    rides: str = ""
    upside_down: bool = False
    box: Box = (0, 0, 0, 0)
    """Its left, top, right and bottom in pixels, without what it wears."""
    whole: Box = (0, 0, 0, 0)
    """The same with what it wears."""
    look: Look = Look()

    @property
    def size(self) -> int:
        """Its longer side in pixels."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])

    @property
    def centre(self) -> tuple[float, float]:
        """The middle of its box, from the left and from the top."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


@hinting
@dataclass(frozen=True)
class Scene:
    """A picture before it is drawn: the things on it, the nearer ones last."""

    seed: int
    size: tuple[int, int]
    things: tuple[Thing, ...]

    @property
    def funny(self) -> bool:
        """Whether something is incongruous, as the model's world has it."""
        giant = any(small > big for small, big in _rivals(self.things))
        return giant or any(t.wears or t.rides or t.upside_down for t in self.things)


def _rivals(things: Sequence[Thing]) -> list[tuple[int, int]]:
    """The sizes of every small animal and everything that ought to be larger."""
    return [(a.size, b.size) for a in things if a.kind in SMALL for b in things if b.kind in BIG]


@hinting
def make_scene(seed: int, *, funny: bool | None = None) -> Scene:
    """Make up a scene: the same seed, the same scene.

    Args:
        seed: Any whole number.
        funny: Whether it is to be funny; by default about half are.

    Returns:
        The scene, to be drawn with `draw`.
    """
    rng = Random(f"scene {seed} {funny}")  # noqa: S311 - reproducible, no secret
    while True:
        gag = rng.choice(("wears", "rides", "upside_down", "giant"))
        if funny is False or (funny is None and _odds(rng, 0.5)):
            gag = ""
        scene = _attempt(rng, seed, gag)
        if scene is not None and scene.funny == bool(gag):
            return scene


def _attempt(rng: Random, seed: int, gag: str) -> Scene | None:
    side = rng.choice((240, 288, 320, 360, 400))
    short = round(side * rng.choice((1, 1, 1, 0.8, 0.75, 0.67)))
    canvas = (side, short) if _odds(rng, 0.6) else (short, side)
    things = _things(rng, gag)
    largest = (0.45, 0.45, 0.4, 0.34, 0.3, 0.27)[len(things) - 1]
    scales = [rng.uniform(0.23 if t.kind == "sunglasses" else 0.16, largest) for t in things]
    if gag == "giant":
        scales[:2] = (rng.uniform(0.25, max(0.3, largest)), rng.uniform(0.16, 0.18))
    sized = [_sized(t, side * scale) for t, scale in zip(things, scales, strict=True)]
    groups = [[thing] for thing in sized]
    if gag == "rides":
        groups[:2] = [_pair(rng, things[0], things[1], side * rng.uniform(0.3, 0.4))]
    placed: list[Thing] = []
    for group in groups:
        if not (spot := _spot(rng, canvas, group, placed)):
            return None
        placed += spot
    if any(1 / CLEARLY < small / big < CLEARLY for small, big in _rivals(placed)):
        return None
    return Scene(seed, canvas, tuple(placed))


def _things(rng: Random, gag: str) -> list[Thing]:
    """What is in the picture, not placed yet; what makes it funny comes first."""
    count = rng.choices(range(1, 7), (2, 3, 4, 4, 3, 2))[0]
    pools = ((*ANIMALS, "cat", "cat"), OBJECTS, SHAPES, ACCESSORIES)
    kinds = [rng.choice(rng.choices(pools, (10, 6, 5, 2))[0]) for _ in range(count)]
    if _odds(rng, 0.4):
        kinds = rng.choices(kinds[: rng.randint(1, 3)], k=count)
    match gag:
        case "wears":
            kinds[0] = rng.choice(ANIMALS)
        case "rides":
            kinds[:2] = rng.choice(ANIMALS), rng.choice(VEHICLES)
        case "giant":
            kinds[:2] = rng.choice(SMALL), rng.choice(BIG)
        case "upside_down":
            kinds[0] = rng.choice(ANIMALS if _odds(rng, 0.6) else TURNABLE)
    things = []
    for kind in kinds:
        colour = rng.choice(list(COLOURS)) if kind in SHAPES else ""
        red, green, blue = COLOURS.get(colour, (0, 0, 0))
        look = Look(
            tilt=rng.choice((0, 0, 0, -7, -4, 4, 7)),
            mirrored=_odds(rng, 0.3),
            fill=(red + rng.randint(-9, 9), green + rng.randint(-9, 9), blue),
            edge=rng.choice((None, None, (30, 30, 30), (255, 255, 255))) if colour else None,
        )
        mood = rng.choice(list(MOODS)) if kind == "cat" else ""
        things.append(Thing(kind, colour, mood, look=look))
    if gag == "wears":
        sits = rng.uniform(-0.05, 0.05), rng.uniform(-0.05, 0.03), rng.uniform(0.85, 1.25)
        look = replace(things[0].look, worn=sits)
        things[0] = replace(things[0], wears=rng.choice(ACCESSORIES), look=look)
    elif gag == "rides":
        things[0] = replace(things[0], rides=things[1].kind)
    elif gag == "upside_down":
        things[0] = replace(things[0], upside_down=True)
    return things


def _sized(thing: Thing, size: float) -> Thing:
    """The thing with its boxes, in a corner."""
    (width, height), own = _extent(replace(thing, look=replace(thing.look, fill=(0, 0, 0))))
    by = size / max(own[2] - own[0], own[3] - own[1])
    left, top, right, bottom = (round(edge * by) for edge in own)
    whole = (0, 0, round(width * by), round(height * by))
    return replace(thing, box=(left, top, right, bottom), whole=whole)


@lru_cache(4096)
def _extent(thing: Thing) -> tuple[tuple[int, int], Box]:
    tile, own = tile_of(thing)
    return tile.size, own


def _pair(rng: Random, rider: Thing, vehicle: Thing, size: float) -> list[Thing]:
    """A rider and its vehicle: on the saddle of a bicycle, or out of the roof of a car."""
    vehicle = _sized(vehicle, size)
    rider = _sized(rider, size * rng.uniform(0.6, 0.8))
    x = vehicle.centre[0] + rng.uniform(-0.06, 0.06) * size - rider.centre[0]
    rider = _moved(rider, x, rng.uniform(0.15, 0.3) * vehicle.box[3] - rider.box[3])
    return [rider, vehicle] if vehicle.kind == "car" else [vehicle, rider]


def _spot(
    rng: Random, canvas: tuple[int, int], group: Sequence[Thing], placed: Sequence[Thing]
) -> list[Thing]:
    """The group where there is room for it; empty if there is none."""
    boxes = [thing.whole for thing in group]
    side, edge = max(canvas), round(0.02 * max(canvas))
    left, top = (edge - min(box[i] for box in boxes) for i in (0, 1))
    right, bottom = (canvas[i] - edge - max(box[i + 2] for box in boxes) for i in (0, 1))
    for _ in range(40 if left < right and top < bottom else 0):
        x, y = rng.randint(left, right), rng.randint(top, bottom)
        moved = [_moved(thing, x, y) for thing in group]
        if all(_apart(new, old, side) for new in moved for old in placed):
            return moved
    return []


def _apart(one: Thing, other: Thing, side: int) -> bool:
    """Whether nobody takes them for a pair; what could be worn or ridden keeps more distance."""
    kinds = {one.kind, other.kind}
    gap = side * (0.09 if kinds & set(ANIMALS) and kinds & {*ACCESSORIES, *VEHICLES} else 0.03)
    a, b = one.whole, other.whole
    return max(a[0] - b[2], b[0] - a[2], a[1] - b[3], b[1] - a[3]) > gap


def _moved(thing: Thing, x: float, y: float) -> Thing:
    box, whole = (shifted(box, round(x), round(y)) for box in (thing.box, thing.whole))
    return replace(thing, box=box, whole=whole)


def _odds(rng: Random, share: float) -> bool:
    return rng.random() < share
