"""First stage: teach the tower what stands where.

Every patch is asked, through throw-away linear heads, for the whole truth of the thing that owns
it. A dense question like this is answered after minutes of training, where the same knowledge would
take hours to arrive through the verdicts. The heads are dropped afterwards.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from faithful_decide._images.prepare import letterbox
from training.world.draw import GRID, PATCH, extent, patches, render
from training.world.foreign import make_foreign
from training.world.scenes import (
    ACCESSORIES,
    BIG,
    COLOURS,
    FRAME,
    KINDS,
    MOODS,
    STEP,
    VEHICLES,
    Scene,
    Thing,
    beside,
    bin_of,
    make_scene,
)

NOTHING, FOREIGN = len(KINDS), len(KINDS) + 1
# facet: number of classes; "centre" is whether the patch is the one at the centre of its thing
FACETS = {
    "kind": len(KINDS) + 2,
    "colour": len(COLOURS) + 1,
    "mood": len(MOODS) + 1,
    "wears": len(ACCESSORIES) + 1,
    "upside_down": 2,
    "rides": len(VEHICLES) + 1,
    "beside": 2 * len(BIG) + 1,
    "x": 100 // STEP,
    "y": 100 // STEP,
    "size": 10,
    "bottom": 1 + 100 // STEP,
    "left": 1 + 100 // STEP,
    "right": 1 + 100 // STEP,
    "top": 1 + 100 // STEP,
    "centre": 2,
}
ZOOMS = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.5, 2.0, 3.0)


def facets(scene: Scene, index: int, *, centre: bool) -> list[int]:
    """The class of every facet of one thing, in the order of ``FACETS``, at its centre or beside
    it.
    """
    thing = scene.things[index]
    how, big = beside(scene, index)
    left, top, right, bottom = extent(scene, thing)
    return [
        KINDS.index(thing.kind),
        COLOURS.index(thing.colour) + 1 if thing.colour else 0,
        MOODS.index(thing.mood) + 1 if thing.mood else 0,
        ACCESSORIES.index(thing.wears) + 1 if thing.wears else 0,
        int(thing.upside_down),
        VEHICLES.index(thing.rides) + 1 if thing.rides else 0,
        1 + BIG.index(big) + len(BIG) * (how == "larger") if how else 0,
        bin_of(thing.x),
        bin_of(thing.y),
        bin_of(thing.size),
        *(round(edge / FRAME * 100 / STEP) for edge in (bottom, left, right, top)),
        int(centre),
    ]


def centre_of(thing: Thing) -> int:
    """The patch at the centre of a thing."""
    return int(thing.y // PATCH) * GRID + int(thing.x // PATCH)


def truth(scene: Scene | None) -> np.ndarray:
    """The classes of every patch.

    Args:
        scene: A scene, or None for a foreign picture.

    Returns:
        (patches, facets) integers; -1 where a facet has no truth (beside things, only the kind
        has one).
    """
    table = np.full((GRID * GRID, len(FACETS)), -1, dtype=np.int64)
    table[:, 0] = FOREIGN if scene is None else NOTHING
    if scene is not None:
        owner = patches(scene).ravel()
        for index in range(len(scene.things)):
            table[owner == index] = facets(scene, index, centre=False)
        for index, thing in enumerate(scene.things):
            table[centre_of(thing)] = facets(scene, index, centre=True)
    return table


def pixels(pictures: Tensor) -> Tensor:
    """(B, H, W, 3) bytes to (B, 3, H, W) floats in -1..1."""
    return (pictures.float() / 127.5 - 1.0).permute(0, 3, 1, 2).contiguous()


def vision_batch(seed: int, count: int) -> tuple[Tensor, Tensor]:
    """Pictures (count, H, W, 3) as bytes and their truth (count, patches, facets)."""
    pictures, labels = [], []
    for i in range(count):
        number = seed * count + i
        scene = None if i % 12 == 0 else make_scene(number, zooms=ZOOMS)
        pictures.append(
            np.asarray(make_foreign(number) if scene is None else letterbox(render(scene), FRAME))
        )
        labels.append(truth(scene))
    return torch.from_numpy(np.stack(pictures)), torch.from_numpy(np.stack(labels))


class Heads(nn.Module):
    """One linear question per facet, over every patch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.all = nn.Linear(width, sum(FACETS.values()))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.all(self.norm(x)).split(list(FACETS.values()), -1)


def vision_loss(logits: tuple[Tensor, ...], labels: Tensor) -> Tensor:
    """Mean cross entropy over the facets that have a truth."""
    losses = [
        functional.cross_entropy(part.flatten(0, 1), labels[..., i].flatten(), ignore_index=-1)
        for i, part in enumerate(logits)
    ]
    return torch.stack(losses).sum()


def vision_accuracy(logits: tuple[Tensor, ...], labels: Tensor) -> dict[str, float]:
    """Per facet, the share of owned patches that are right (ground counts for the kind only)."""
    result = {}
    for i, (name, part) in enumerate(zip(FACETS, logits, strict=True)):
        known = labels[..., i] >= 0
        result[name] = float((part.argmax(-1) == labels[..., i])[known].float().mean())
    return result
