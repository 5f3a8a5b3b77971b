"""Pictures that are not of the world: what the model must refuse.

Noise, pages of text, blank grounds, and scenes in the manner of photographs. The last are made by
rule, since no photograph is shipped: overlapping shaded leaves of a power-law size ("dead leaves",
whose statistics are those of natural images: Lee, Mumford and Huang 2001) and clouds with a 1/f
spectrum.
"""

from __future__ import annotations

from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from training.world.draw import background
from training.world.scenes import FRAME

WORDS = [
    "the",
    "of",
    "and",
    "to",
    "in",
    "a",
    "is",
    "that",
    "for",
    "it",
    "as",
    "was",
    "with",
    "be",
    "by",
    "on",
    "not",
    "he",
    "his",
    "but",
    "at",
    "are",
    "this",
    "have",
    "from",
    "or",
    "had",
    "an",
    "they",
    "which",
    "one",
    "you",
    "were",
    "her",
    "all",
    "she",
    "there",
    "would",
    "their",
    "we",
    "him",
    "been",
    "has",
    "when",
    "who",
    "will",
    "more",
    "no",
    "if",
    "out",
    "so",
    "said",
    "what",
    "up",
    "its",
    "about",
    "into",
    "than",
    "them",
    "can",
    "only",
    "other",
    "new",
    "some",
    "could",
    "time",
    "these",
    "two",
    "may",
    "then",
    "do",
    "first",
    "any",
    "my",
    "now",
    "such",
    "like",
    "our",
    "report",
    "total",
    "annual",
    "price",
    "order",
    "invoice",
    "chapter",
    "section",
    "figure",
    "table",
    "page",
    "date",
    "name",
    "address",
    "street",
    "number",
]
KINDS = ("noise", "text", "blank", "leaves", "clouds", "blobs")


def make_foreign(seed: int, kind: str | None = None) -> Image.Image:
    """Make one foreign picture.

    Args:
        seed: Any integer; the same seed makes the same picture.
        kind: One of ``KINDS``; drawn when None.

    Returns:
        An RGB picture of ``FRAME`` by ``FRAME`` pixels.
    """
    rng = Random(seed * 7919 + 13)
    noise = np.random.default_rng(rng.getrandbits(32))
    kind = kind or rng.choices(KINDS, (2, 3, 2, 5, 2, 4))[0]
    makers = {
        "noise": _noise,
        "text": _text,
        "blank": _blank,
        "leaves": _leaves,
        "clouds": _clouds,
        "blobs": _blobs,
    }
    return makers[kind](rng, noise)


def _noise(rng: Random, noise: np.random.Generator) -> Image.Image:
    cell = rng.choice((1, 1, 2, 4, 8, 16))
    side = FRAME // cell
    channels = rng.choice((1, 3))
    if rng.random() < 0.5:
        field = noise.integers(0, 256, (side, side, channels))
    else:
        field = np.clip(
            noise.normal(rng.uniform(60, 200), rng.uniform(25, 90), (side, side, channels)), 0, 255
        )
    field = np.repeat(np.repeat(np.broadcast_to(field, (side, side, 3)), cell, 0), cell, 1)
    return Image.fromarray(field.astype(np.uint8))


def _text(rng: Random, noise: np.random.Generator) -> Image.Image:
    del noise
    paper, ink = (rng.randint(200, 255),) * 3, (rng.randint(0, 90),) * 3
    if rng.random() < 0.2:
        paper, ink = ink, paper
    page = Image.new("RGB", (FRAME, FRAME), paper)
    pen = ImageDraw.Draw(page)
    size = rng.choice((6, 7, 8, 9, 10, 12, 14, 18, 24, 32))
    font = ImageFont.load_default(size)
    y, left = rng.randint(-4, 12), rng.randint(-6, 16)
    while y < FRAME:
        line = " ".join(rng.choice(WORDS) for _ in range(rng.randint(2, 14)))
        if rng.random() < 0.85:
            pen.text(
                (left, y), line.capitalize() if rng.random() < 0.2 else line, fill=ink, font=font
            )
        y += round(size * rng.uniform(1.15, 1.5))
    if rng.random() < 0.3:
        page = page.rotate(rng.uniform(-12, 12), fillcolor=paper)
    return page


def _blank(rng: Random, noise: np.random.Generator) -> Image.Image:
    del noise
    if rng.random() < 0.3:
        return Image.new("RGB", (FRAME, FRAME), (rng.randint(0, 255),) * 3)
    return background(rng, FRAME, FRAME)


def _spectrum(noise: np.random.Generator, power: float) -> np.ndarray:
    """A field with a 1/f**power spectrum, scaled to 0..1."""
    f = np.hypot(np.fft.fftfreq(FRAME)[:, None], np.fft.rfftfreq(FRAME)[None, :])
    f[0, 0] = 1.0
    phase = noise.normal(size=f.shape) + 1j * noise.normal(size=f.shape)
    field = np.fft.irfft2(phase / f**power, s=(FRAME, FRAME))
    low, high = np.percentile(field, (1, 99))
    return np.clip((field - low) / (high - low + 1e-9), 0, 1)


def _clouds(rng: Random, noise: np.random.Generator) -> Image.Image:
    first, second = (np.array([rng.randint(0, 255) for _ in range(3)]) for _ in range(2))
    field = _spectrum(noise, rng.uniform(0.8, 2.0))[..., None]
    picture = first + (second - first) * field
    if rng.random() < 0.5:
        picture = picture + 40 * (_spectrum(noise, 1.0)[..., None] - 0.5)
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def _blobs(rng: Random, noise: np.random.Generator) -> Image.Image:
    """Soft discs on a ground of nearly their colour, as under a microscope or in a night sky."""
    ground = rng.choice((8, 20, 45, 90, 140, 190))
    tint = np.array([rng.uniform(0.75, 1.25) if rng.random() < 0.5 else 1.0 for _ in range(3)])
    page = Image.new("L", (FRAME, FRAME), ground)
    pen = ImageDraw.Draw(page)
    largest = rng.uniform(4, 70)
    for _ in range(rng.choice((1, 2, 6, 20, 60))):
        radius = max(1.0, largest * rng.random() ** 2)
        x, y = rng.uniform(0, FRAME), rng.uniform(0, FRAME)
        level = int(min(255, max(0, ground + rng.gauss(0, rng.choice((15, 40, 90))))))
        pen.ellipse(
            (x - radius, y - radius * rng.uniform(0.6, 1), x + radius, y + radius), fill=level
        )
    field = np.asarray(page.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 6))), dtype=np.float32)
    field = field + rng.uniform(0, 50) * (_spectrum(noise, rng.uniform(1.0, 2.0)) - 0.5)
    field = field[..., None] * tint + noise.normal(0, rng.uniform(0, 8), (FRAME, FRAME, 1))
    return Image.fromarray(np.clip(field, 0, 255).astype(np.uint8))


def _leaves(rng: Random, noise: np.random.Generator) -> Image.Image:
    hue = np.array([rng.randint(30, 220) for _ in range(3)], dtype=np.float32)
    page = Image.new("RGB", (FRAME, FRAME), tuple(int(v) for v in hue))
    pen = ImageDraw.Draw(page)
    spread = rng.uniform(15, 80)
    smallest, largest = rng.uniform(1.5, 6), rng.uniform(20, 110)
    for _ in range(rng.choice((4, 10, 25, 60, 150, 350))):
        u = rng.random()
        radius = (smallest**-2 + u * (largest**-2 - smallest**-2)) ** -0.5
        x, y = rng.uniform(-20, FRAME + 20), rng.uniform(-20, FRAME + 20)
        colour = tuple(int(min(255, max(0, v + rng.gauss(0, spread)))) for v in hue)
        form = rng.random()
        if form < 0.4:
            pen.ellipse(
                (x - radius, y - radius * rng.uniform(0.3, 1), x + radius, y + radius), fill=colour
            )
        elif form < 0.7:
            turn = np.sort(noise.uniform(0, 6.283, rng.randint(3, 7)))
            pen.polygon(
                [(x + radius * np.cos(t), y + radius * np.sin(t)) for t in turn], fill=colour
            )
        else:
            pen.rectangle(
                (x - radius, y - radius * rng.uniform(0.2, 2), x + radius, y + radius), fill=colour
            )
    light = 0.55 + 0.75 * _spectrum(noise, rng.uniform(1.2, 2.0))[..., None]
    grain = noise.normal(0, rng.uniform(0, 10), (FRAME, FRAME, 1))
    field = (
        np.asarray(page.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.4))), dtype=np.float32)
        * light
        + grain
    )
    return Image.fromarray(np.clip(field, 0, 255).astype(np.uint8))
