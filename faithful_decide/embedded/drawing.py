"""How the things of the embedded model's world look, and how a scene is drawn."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from math import cos, dist, pi, sin
from random import Random
from typing import TYPE_CHECKING

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from faithful_decide._nearest import hinting

if TYPE_CHECKING:
    from faithful_decide.embedded.scenes import Scene, Thing

__all__ = ["HEADS", "MOODS", "SHAPES", "Box", "Colour", "draw", "shifted", "tile_of"]

Box = tuple[int, int, int, int]
Colour = tuple[int, int, int]

HEADS = {
    # where a hat sits (across, down, width), and sunglasses, in parts of the sprite
    "dog": (0.51, 0.10, 0.60, 0.51, 0.50, 0.62),
    "cat": (0.50, 0.20, 0.56, 0.50, 0.54, 0.66),
    "pig": (0.50, 0.10, 0.62, 0.51, 0.55, 0.68),
    "cow": (0.53, 0.12, 0.58, 0.52, 0.42, 0.58),
    "fox": (0.50, 0.24, 0.54, 0.50, 0.58, 0.56),
    "bear": (0.50, 0.10, 0.60, 0.50, 0.47, 0.64),
    "frog": (0.50, 0.16, 0.60, 0.50, 0.24, 0.82),
    "monkey": (0.50, 0.10, 0.62, 0.50, 0.47, 0.52),
    "rabbit": (0.50, 0.42, 0.62, 0.50, 0.60, 0.70),
    "mouse": (0.50, 0.26, 0.50, 0.50, 0.50, 0.52),
    "lion": (0.50, 0.14, 0.64, 0.53, 0.38, 0.54),
    "tiger": (0.50, 0.10, 0.60, 0.50, 0.30, 0.72),
    "panda": (0.50, 0.12, 0.60, 0.49, 0.44, 0.70),
    "squirrel": (0.32, 0.14, 0.36, 0.20, 0.37, 0.36),
    "chicken": (0.42, 0.16, 0.50, 0.36, 0.37, 0.50),
    "fish": (0.30, 0.30, 0.36, 0.22, 0.53, 0.36),
}
MOODS = {"happy": "happy_cat", "sad": "sad_cat", "angry": "angry_cat", "calm": "cat"}
SHAPES = ("circle", "square", "triangle", "star")
STAR = tuple(
    (96 + r * sin(i * pi / 5), 102 - r * cos(i * pi / 5)) for i, r in enumerate((92, 40) * 5)
)
SEEN, APART, GRAINY = 99, 70, 0.3
"""An alpha that shows, colours that differ (of 441), and the share of grounds with grain."""


def tile_of(thing: Thing) -> tuple[Image.Image, Box]:
    """A thing with what it wears, upright or not, and where in that the thing itself is."""
    own = _glyph(thing)
    pad = max(own.size) * 2 // 3 if thing.wears else 16
    plain = ImageOps.expand(own, pad)
    whole = _turned(_dressed(thing, plain, pad) if thing.wears else plain, thing)
    outer = _seen(whole)
    return whole.crop(outer), shifted(_seen(_turned(plain, thing)), -outer[0], -outer[1])


def shifted(box: Box, x: int, y: int) -> Box:
    """A box that was moved."""
    return box[0] + x, box[1] + y, box[2] + x, box[3] + y


def _dressed(thing: Thing, plain: Image.Image, pad: int) -> Image.Image:
    x, y, across, *eyes = HEADS[thing.kind]
    if glasses := thing.wears == "sunglasses":
        x, y, across = eyes
    elif thing.wears == "crown":
        across *= 0.85
    width, height = plain.width - 2 * pad, plain.height - 2 * pad
    worn = _sprite(thing.wears.replace(" ", "_"))
    wide = across * width * thing.look.worn[2]
    worn = worn.resize((round(wide), round(wide * worn.height / worn.width)))
    left = pad + (x + thing.look.worn[0]) * width - worn.width / 2
    top = pad + (y + thing.look.worn[1]) * height - worn.height * (0.5 if glasses else 0.9)
    dressed = plain.copy()
    dressed.alpha_composite(worn, (round(left), round(top)))
    return dressed


def _turned(tile: Image.Image, thing: Thing) -> Image.Image:
    if thing.look.tilt:
        tile = tile.rotate(thing.look.tilt, Image.Resampling.BICUBIC)
    tile = ImageOps.mirror(tile) if thing.look.mirrored else tile
    return tile.transpose(Image.Transpose.ROTATE_180) if thing.upside_down else tile


def _seen(tile: Image.Image) -> Box:
    """Where a picture is not clear."""
    alpha = tile.getchannel("A").point([0] * SEEN + [255] * (256 - SEEN))
    return alpha.getbbox() or (0, 0, *tile.size)


def _glyph(thing: Thing) -> Image.Image:
    """The thing alone and upright, its longer side about 96 pixels."""
    if thing.kind not in SHAPES:
        return _sprite(_name(thing))
    glyph = Image.new("RGBA", (192, 192))
    pen, fill, edge = ImageDraw.Draw(glyph), thing.look.fill, thing.look.edge
    width = 10 if edge else 0
    match thing.kind:
        case "circle":
            pen.ellipse((2, 2, 190, 190), fill, edge, width)
        case "square":
            pen.rectangle((12, 12, 180, 180), fill, edge, width)
        case "triangle":
            pen.polygon(((96, 12), (186, 174), (6, 174)), fill, edge, width)
        case _:
            pen.polygon(STAR, fill, edge, width)
    return glyph.resize((96, 96), Image.Resampling.LANCZOS)


@lru_cache
def _sprite(name: str) -> Image.Image:
    path = resources.files("faithful_decide.embedded") / "sprites" / f"{name}.png"
    with path.open("rb") as file, Image.open(file) as picture:
        return picture.convert("RGBA")


@hinting
def draw(scene: Scene) -> Image.Image:
    """Draw a scene: the same scene, the same pixels.

    Args:
        scene: What `make_scene` made.

    Returns:
        A picture in RGB, of the size of the scene.
    """
    rng = Random(f"light {scene.seed}")  # noqa: S311 - reproducible, no secret
    picture = _ground(rng, scene)
    shadow = rng.choice((0, 0, 40, 70))
    sticker = rng.choice((*[None] * 5, (255, 255, 255), (25, 25, 25)))
    fall = rng.choice((-3, 3))
    for thing in scene.things:
        left, top, right, bottom = thing.whole
        tile = tile_of(thing)[0].resize((right - left, bottom - top))
        alpha = ImageOps.expand(tile.getchannel("A"), 6)
        if sticker and not thing.colour:
            picture.paste(sticker, (left - 6, top - 6), alpha.filter(ImageFilter.MaxFilter(3)))
        if shadow:
            soft = alpha.filter(ImageFilter.GaussianBlur(2)).point(lambda a: a * shadow // 255)
            picture.paste((0, 0, 0), (left - 6 + fall, top - 3), soft)
        picture.paste(tile, (left, top), tile)
    picture = ImageEnhance.Brightness(picture).enhance(rng.uniform(0.88, 1.1))
    picture = ImageEnhance.Contrast(picture).enhance(rng.uniform(0.9, 1.12))
    light = rng.choice(((255, 240, 214), (222, 234, 255), (255, 255, 255)))
    tinted = ImageChops.multiply(picture, Image.new("RGB", picture.size, light))
    return Image.blend(picture, tinted, rng.uniform(0, 0.7))


def _ground(rng: Random, scene: Scene) -> Image.Image:
    """Two colours that no thing of the scene has, as a gradient, a horizon or a pattern."""
    first, second = _muted(rng, scene), _muted(rng, scene)
    width, height = scene.size
    picture = Image.new("RGB", scene.size, first)
    kind = rng.choice(("plain", "fade", "glow", "horizon", "stripes", "dots"))
    if kind == "horizon":
        level = round(rng.uniform(0.35, 0.8) * height)
        picture.paste(second, (0, level, width, height))
    elif kind in {"fade", "glow"}:
        glow = Image.radial_gradient("L")
        fade = Image.linear_gradient("L").rotate(rng.choice((0, 90, 180, 270)))
        picture.paste(second, mask=(glow if kind == "glow" else fade).resize(scene.size))
    elif kind != "plain":
        pen, step = ImageDraw.Draw(picture), rng.randint(14, 40)
        near = _mixed(first, second)
        for x in range(-height, width, step):
            if kind == "stripes":
                pen.line((x, 0, x + height, height), near, step // 3)
            for y in range(x % 2 * step, height, 2 * step) if kind == "dots" else ():
                pen.ellipse((x, y, x + step // 3, y + step // 3), near)
    if rng.random() < GRAINY:
        grain = Image.frombytes("L", (64, 64), rng.randbytes(4096)).resize(scene.size)
        picture = Image.blend(picture, grain.convert("RGB"), 0.06)
    return picture


def _mixed(first: Colour, second: Colour) -> Colour:
    red, green, blue = ((4 * a + b) // 5 for a, b in zip(first, second, strict=True))
    return red, green, blue


def _muted(rng: Random, scene: Scene) -> Colour:
    while True:
        base = rng.choice((rng.randint(165, 250), rng.randint(60, 165)))
        red, green, blue = (max(0, min(255, base + rng.randint(-32, 32))) for _ in range(3))
        colour = red, green, blue
        if all(dist(colour, _body(thing)) > APART for thing in scene.things):
            return colour


def _body(thing: Thing) -> Colour:
    return thing.look.fill if thing.colour else _mean(_name(thing))


@lru_cache
def _mean(name: str) -> Colour:
    sprite = _sprite(name)
    pixel = (
        sprite.convert("RGBa").resize((1, 1), Image.Resampling.BOX).convert("RGBA").getpixel((0, 0))
    )
    assert isinstance(pixel, tuple)  # noqa: S101 - for the type checker
    red, green, blue, _ = pixel
    return red, green, blue


def _name(thing: Thing) -> str:
    return MOODS[thing.mood] if thing.mood else thing.kind.replace(" ", "_")
