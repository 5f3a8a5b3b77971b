"""Drawing a scene, and which thing each patch of the picture belongs to.

The picture is drawn on the canvas; ``letterbox``, which prepares a caller's image, then fits it
into the frame, so training sees what inference sees. ``patches`` gives, for each square patch, the
thing that covers most of it: the truth that teaches the vision tower where things are.
"""

from __future__ import annotations

from functools import lru_cache
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from training.world.scenes import FRAME, SHAPES, Scene, Thing
from training.world.sprites import sprite

PATCH = 16
GRID = FRAME // PATCH
COVER = 20  # pixels of a patch that a thing must cover to own it

RGB = {
    "red": (215, 40, 45),
    "green": (50, 160, 70),
    "blue": (45, 90, 205),
    "yellow": (240, 210, 45),
    "purple": (135, 65, 170),
    "orange": (240, 135, 35),
}
# where a hat's foot and the eyes are, as parts of the sprite's box: x, foot of the hat, width, eyes
# y, width
HEAD = {
    "squirrel": (0.33, 0.12, 0.42, 0.27, 0.36),
    "chicken": (0.42, 0.16, 0.50, 0.40, 0.46),
    "fish": (0.30, 0.20, 0.42, 0.42, 0.36),
    "rabbit": (0.50, 0.46, 0.72, 0.62, 0.74),
    "frog": (0.50, 0.10, 0.56, 0.18, 0.84),
    "mouse": (0.50, 0.22, 0.56, 0.55, 0.56),
    "monkey": (0.50, 0.08, 0.56, 0.40, 0.56),
    "fox": (0.50, 0.24, 0.58, 0.56, 0.66),
    "cat": (0.50, 0.20, 0.58, 0.50, 0.70),
}
FACE = (0.50, 0.12, 0.60, 0.46, 0.68)


def render(scene: Scene, *, varied: bool = False) -> Image.Image:
    """Draw the canvas of a scene, before it is fitted into the frame.

    Args:
        scene: What to draw.
        varied: Draw it as somebody else might: other light, other grounds, hats that sit askew,
            outlines and shadows. The truth stays the same.

    Returns:
        An RGB picture of ``scene.width * zoom`` by ``scene.height * zoom`` pixels.
    """
    rng = Random(scene.seed ^ 0x5EED)
    width, height = round(scene.width * scene.zoom), round(scene.height * scene.zoom)
    canvas = background(rng, width, height)
    if not varied:
        for index in scene.order:
            for layer, x, y in _layers(scene, scene.things[index], index):
                canvas.paste(layer, (x, y), layer)
        return canvas
    if rng.random() < 0.35:
        canvas = _other_ground(rng, canvas)
    edge = rng.choice(((0, 0, 0), (255, 255, 255), (60, 60, 60))) if rng.random() < 0.2 else None
    shadow = rng.random() < 0.15
    for index in scene.order:
        for number, (layer, x, y) in enumerate(_layers(scene, scene.things[index], index)):
            part, left, top = _askew(rng, layer, x, y) if number else (layer, x, y)
            alpha = part.getchannel("A")
            if shadow:
                canvas.paste((70, 70, 70), (left + 3, top + 3), alpha.point(lambda a: a // 3))
            if edge is not None:
                canvas.paste(edge, (left, top), alpha.filter(ImageFilter.MaxFilter(3)))
            canvas.paste(part, (left, top), part)
    return _other_light(rng, canvas)


def _askew(rng: Random, layer: Image.Image, x: int, y: int) -> tuple[Image.Image, int, int]:
    """What is worn, a little larger or smaller, turned and moved."""
    scale, angle = rng.uniform(0.8, 1.25), rng.uniform(-14, 14)
    width, height = (max(4, round(side * scale)) for side in layer.size)
    part = layer.resize((width, height), Image.Resampling.BICUBIC)
    part = part.rotate(angle, Image.Resampling.BICUBIC, expand=True)
    left = x + (layer.width - part.width) // 2 + round(layer.width * rng.uniform(-0.08, 0.08))
    top = y + (layer.height - part.height) // 2 + round(layer.height * rng.uniform(-0.08, 0.08))
    return part, left, top


def _other_ground(rng: Random, canvas: Image.Image) -> Image.Image:
    """A ground with a horizon, or with soft patches of other tints."""
    width, height = canvas.size
    pen = ImageDraw.Draw(canvas)
    if rng.random() < 0.5:
        pen.rectangle((0, rng.randrange(height // 3, height), width, height), fill=_ground(rng))
        return canvas
    base = _ground(rng)
    for _ in range(rng.randint(2, 6)):
        x, y, r = rng.randrange(width), rng.randrange(height), rng.randrange(10, 40)
        fill = tuple(min(255, max(0, c + rng.randint(-18, 18))) for c in base)
        pen.ellipse((x - r, y - r, x + r, y + r), fill=fill)  # type: ignore[arg-type]
    return canvas.filter(ImageFilter.GaussianBlur(rng.uniform(2, 8)))


def _other_light(rng: Random, canvas: Image.Image) -> Image.Image:
    """The same picture lighter or darker, flatter or paler, a little blurred, or grainy."""
    for kind, low, high in (
        (ImageEnhance.Brightness, 0.82, 1.15),
        (ImageEnhance.Contrast, 0.8, 1.15),
        (ImageEnhance.Color, 0.7, 1.25),
    ):
        if rng.random() < 0.4:
            canvas = kind(canvas).enhance(rng.uniform(low, high))
    if rng.random() < 0.12:
        canvas = canvas.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.8)))
    return canvas


def patches(scene: Scene) -> np.ndarray:
    """Say which thing owns each patch of the frame.

    Args:
        scene: A scene; its zoom does not matter.

    Returns:
        ``(GRID, GRID)`` integers: the index of a thing, or -1 for the background.
    """
    flat = Scene(scene.seed, scene.things, scene.width, scene.height, 1.0, scene.order)
    owner = Image.new("L", (FRAME, FRAME), 255)
    left, top = (FRAME - scene.width) // 2, (FRAME - scene.height) // 2
    for index in scene.order:
        for layer, x, y in _layers(flat, scene.things[index], index):
            solid = layer.getchannel("A").point(lambda alpha: 255 * (alpha > 127))
            owner.paste(index, (x + left, y + top), solid)
    tiles = (
        np.asarray(owner).reshape(GRID, PATCH, GRID, PATCH).swapaxes(1, 2).reshape(GRID, GRID, -1)
    )
    covered = np.stack([(tiles == k).sum(-1) for k in range(max(1, len(scene.things)))])
    best = covered.argmax(0)
    return np.where(covered.max(0) >= COVER, best, -1)


def extent(scene: Scene, thing: Thing) -> tuple[float, float, float, float]:
    """Where a thing is, with what it wears: left, top, right, bottom in frame pixels."""
    flat = Scene(scene.seed, scene.things, scene.width, scene.height, 1.0, scene.order)
    left, top = (FRAME - scene.width) // 2, (FRAME - scene.height) // 2
    boxes = [
        (x + left, y + top, x + left + layer.width, y + top + layer.height)
        for layer, x, y in _layers(flat, thing, scene.things.index(thing))
    ]
    lows, highs = zip(*((b[:2], b[2:]) for b in boxes), strict=True)
    return (
        max(0.0, min(x for x, _ in lows)),
        max(0.0, min(y for _, y in lows)),
        min(float(FRAME), max(x for x, _ in highs)),
        min(float(FRAME), max(y for _, y in highs)),
    )


def background(rng: Random, width: int, height: int) -> Image.Image:
    """Draw a plain, graded or lightly textured ground.

    Args:
        rng: Where the choices come from.
        width: In pixels.
        height: In pixels.

    Returns:
        An RGB picture.
    """
    base = np.array(_ground(rng), dtype=np.float32)
    kind = rng.choice(("plain", "plain", "graded", "graded", "grain", "stripes"))
    if kind == "plain":
        return Image.new("RGB", (width, height), tuple(int(v) for v in base))
    noise = np.random.default_rng(rng.getrandbits(32))
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    if kind == "graded":
        other = np.clip(
            base + np.array([rng.uniform(-60, 60) for _ in range(3)], np.float32), 0, 255
        )
        angle = rng.uniform(0, 6.283)
        t = (np.cos(angle) * x / width + np.sin(angle) * y / height + 1.0) / 2.4
        field = base + (other - base) * np.clip(t, 0, 1)[..., None]
    elif kind == "grain":
        coarse = noise.normal(0, rng.uniform(2, 9), (height // 4 + 1, width // 4 + 1, 1))
        grain = (
            np.repeat(np.repeat(coarse, 4, 0), 4, 1)[:height, :width]
            if rng.random() < 0.5
            else None
        )
        field = base + (
            noise.normal(0, rng.uniform(2, 8), (height, width, 1)) if grain is None else grain
        )
    else:
        angle, pitch = rng.uniform(0, 3.1416), rng.uniform(5, 16) * width / FRAME
        wave = np.sin((np.cos(angle) * x + np.sin(angle) * y) * 6.283 / pitch)
        field = base + wave[..., None] * rng.uniform(2, 8)
    return Image.fromarray(np.clip(field, 0, 255).astype(np.uint8))


def _ground(rng: Random) -> tuple[int, int, int]:
    """A muted colour that no sprite or shape disappears in: mostly light, sometimes mid or dark."""
    level = rng.choice((235, 225, 210, 195, 170, 120, 60))
    tint = [rng.uniform(-22, 22) for _ in range(3)]
    red, green, blue = (int(min(250, max(20, level + t))) for t in tint)
    return red, green, blue


def _layers(scene: Scene, thing: Thing, index: int) -> list[tuple[Image.Image, int, int]]:
    """The sprites of one thing with their places on the canvas: itself, then what it wears."""
    zoom = scene.zoom
    size = max(4, round(thing.size * zoom))
    if thing.kind in SHAPES:
        own = _shape(scene.seed * 8 + index, thing.kind, thing.colour, size)
    else:
        name = (
            f"{thing.mood}_cat" if thing.mood not in {"", "calm"} else thing.kind.replace(" ", "_")
        )
        own = _sized(name, size)
    width, height = own.size
    left = (thing.x - (FRAME - scene.width) // 2) * zoom - width / 2
    top = (thing.y - (FRAME - scene.height) // 2) * zoom - height / 2
    layers = [(own, round(left), round(top))]
    if thing.wears:
        x, foot, hat, eyes, glasses = HEAD.get(thing.kind, FACE)
        part = glasses if thing.wears == "sunglasses" else hat
        worn = _sized(thing.wears.replace(" ", "_"), max(4, round(part * width)))
        at = (
            eyes * height - worn.height / 2
            if thing.wears == "sunglasses"
            else foot * height - worn.height * 0.86
        )
        layers.append((worn, round(left + x * width - worn.width / 2), round(top + at)))
    if thing.upside_down:
        layers = [(own.transpose(Image.Transpose.ROTATE_180), round(left), round(top))]
    return layers


@lru_cache(maxsize=8192)
def _sized(name: str, size: int) -> Image.Image:
    picture = sprite(name)
    scale = size / max(picture.size)
    target = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(target, Image.Resampling.BICUBIC, reducing_gap=2.0)


def _shape(seed: int, kind: str, colour: str, size: int) -> Image.Image:
    """Draw a filled shape, four times too large and then reduced, so that its edge is smooth."""
    rng = Random(seed)
    big = size * 4
    fill = tuple(min(255, max(0, c + rng.randint(-14, 14))) for c in RGB[colour])
    layer = Image.new("RGBA", (big, big), (*fill, 0))
    pen = ImageDraw.Draw(layer)
    if kind == "circle":
        pen.ellipse((1, 1, big - 2, big - 2), fill=(*fill, 255))
    elif kind == "square":
        inset = big * 0.06
        pen.rectangle((inset, inset, big - inset, big - inset), fill=(*fill, 255))
    elif kind == "triangle":
        pen.polygon(
            [(big / 2, big * 0.06), (big - 1, big * 0.94), (0, big * 0.94)], fill=(*fill, 255)
        )
    else:
        turn = np.pi * np.arange(10) / 5
        reach = np.where(np.arange(10) % 2 == 0, 0.5, 0.21) * big
        xs, ys = big / 2 + reach * np.sin(turn), big * 0.53 - reach * np.cos(turn)
        pen.polygon(list(zip(xs.tolist(), ys.tolist(), strict=True)), fill=(*fill, 255))
    return layer.resize((size, size), Image.Resampling.BOX)
