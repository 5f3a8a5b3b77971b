"""The drawn things of the world, as small pictures cut once from an emoji font.

A font renders differently from one library version to the next, and not every machine has it, so
the glyphs are drawn once, cut to their visible part, and kept beside the weights, in
``faithful_decide/embedded/sprites/``. Everything else reads those files and needs no font.

Made with Noto Color Emoji, (c) Google Inc., SIL Open Font License 1.1; see
the ``NOTICE.md`` there.

    python -m training.world.sprites --font /usr/share/fonts/truetype/noto/NotoColorEmoji.ttf
"""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FOLDER = Path(__file__).parents[2] / "faithful_decide" / "embedded" / "sprites"
NATIVE = 109  # the one size at which the bitmap font can be drawn
SIDE = 96  # the longer side of a kept sprite, in pixels: above the largest thing ever drawn

GLYPHS = {
    "dog": 0x1F436,
    "cat": 0x1F431,
    "pig": 0x1F437,
    "cow": 0x1F42E,
    "fox": 0x1F98A,
    "bear": 0x1F43B,
    "frog": 0x1F438,
    "monkey": 0x1F435,
    "rabbit": 0x1F430,
    "mouse": 0x1F42D,
    "lion": 0x1F981,
    "tiger": 0x1F42F,
    "panda": 0x1F43C,
    "squirrel": 0x1F43F,
    "chicken": 0x1F414,
    "fish": 0x1F41F,
    "happy_cat": 0x1F63A,
    "sad_cat": 0x1F63F,
    "angry_cat": 0x1F63E,
    "car": 0x1F697,
    "bicycle": 0x1F6B2,
    "boat": 0x26F5,
    "apple": 0x1F34E,
    "banana": 0x1F34C,
    "pizza": 0x1F355,
    "cake": 0x1F370,
    "tree": 0x1F333,
    "flower": 0x1F33B,
    "house": 0x1F3E0,
    "cup": 0x2615,
    "ball": 0x26BD,
    "book": 0x1F4D5,
    "top_hat": 0x1F3A9,
    "crown": 0x1F451,
    "sunglasses": 0x1F576,
}


def cut(font: ImageFont.FreeTypeFont, code: int) -> Image.Image:
    """Draw one glyph on a clear ground and cut it to its visible part.

    Args:
        font: The emoji font at its native size.
        code: The code point.

    Returns:
        An RGBA picture whose longer side is ``SIDE`` pixels.
    """
    sheet = Image.new("RGBA", (256, 256))
    ImageDraw.Draw(sheet).text((40, 40), chr(code), font=font, embedded_color=True)
    glyph = sheet.crop(sheet.getchannel("A").getbbox())
    scale = SIDE / max(glyph.size)
    size = (max(1, round(glyph.width * scale)), max(1, round(glyph.height * scale)))
    return glyph.resize(size, Image.Resampling.LANCZOS)


@cache
def sprite(name: str) -> Image.Image:
    """Read one kept sprite.

    Args:
        name: A key of ``GLYPHS``.

    Returns:
        The RGBA picture; shared, so never drawn upon.
    """
    with Image.open(FOLDER / f"{name}.png") as picture:
        return picture.convert("RGBA")


def main() -> None:
    """Cut every glyph and write it as a PNG file."""
    parser = argparse.ArgumentParser(description="cut the sprites from the emoji font")
    parser.add_argument("--font", type=Path, required=True)
    args = parser.parse_args()
    font = ImageFont.truetype(str(args.font), NATIVE)
    FOLDER.mkdir(exist_ok=True)
    for name, code in GLYPHS.items():
        cut(font, code).save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
