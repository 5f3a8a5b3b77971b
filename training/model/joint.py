"""Third stage: pictures in, replies out, everything trained together.

The tower knows what stands where, the decoder knows what to do with an oracle's word; what is
missing is a projector that speaks the oracle's language. So the projector alone is first pulled
towards the oracle's vectors; then that pull fades out, while the replies and the dense truth of the
patches teach the whole.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from faithful_decide._images.prepare import letterbox
from training.model.dialogue import KINDS, WITHOUT_PICTURE
from training.model.language import Pages, bag, batch_pages, centres, pages_of, token_id
from training.model.vision import FACETS, ZOOMS, truth
from training.world.draw import render
from training.world.foreign import make_foreign
from training.world.scenes import FRAME, make_scene

if TYPE_CHECKING:
    from collections.abc import Mapping

FOREIGN_SHARE = 0.1
VARIED = 0.6  # the share of pictures that are drawn as somebody else might


def joint_batch(
    seed: int, images: int, each: int, kinds: Mapping[str, int] = KINDS, edited: float = 0.3
) -> tuple[Tensor, Tensor, Tensor, list[Pages]]:
    """Pictures with all that is known of them, and pages about them.

    Args:
        seed: The same seed gives the same batch.
        images: B.
        each: Pages about each image.
        kinds: How often pages are of each kind.
        edited: How often the observations are those of no scene.

    Returns:
        Pictures (B, H, W, 3) as bytes; the facets of the owner of each patch (B, patches, facets);
        the facets told once a thing, at its centre (B, patches, facets); the pages.
    """
    rng = Random(seed)
    pictures, labels, told, pages = [], [], [], []
    for i in range(images):
        number = seed * images + i
        scene = None if rng.random() < FOREIGN_SHARE else make_scene(number, zooms=ZOOMS)
        pictures.append(
            np.asarray(
                make_foreign(number)
                if scene is None
                else letterbox(render(scene, varied=rng.random() < VARIED), FRAME)
            )
        )
        labels.append(truth(scene))
        told.append(centres(scene))
        pages += [(i, page) for page in pages_of(rng, scene, each, kinds, edited)]
    arrays = (torch.from_numpy(np.stack(rows)) for rows in (pictures, labels, told))
    return (*arrays, batch_pages(pages, 8) if pages else [])  # type: ignore[return-value]


def spoken_batch(seed: int, count: int) -> Pages:
    """Pages that need no picture: what follows from observations that are given."""
    rng = Random(seed)
    pages: list[tuple[int, object]] = []
    while len(pages) < count:
        scene = make_scene(rng.getrandbits(40))
        page = pages_of(rng, scene, 1, WITHOUT_PICTURE, 1.0)[0]
        if page.family not in SEEING:
            pages.append((0, page))
    (batch,) = batch_pages(pages, 1)  # type: ignore[arg-type]
    return batch


SEEING = ("reading", "foreign")  # pages that cannot do without a picture
EXCLUSIVE = (
    "kind",
    "x",
    "y",
    "size",
    "bottom",
    "left",
    "right",
    "top",
)  # facets that every thing has; of the others it may have none
SHARP = 10.0


def spoken(image: Tensor, told: Tensor, embeddings: Tensor) -> Tensor:
    """How clearly the patch at the centre of each thing says the words that tell it, 0 for
    perfectly.

    The distance to the oracle's vector is made up mostly of the words that every thing has. A mood
    or a hat is one word among six on few things, so each facet is asked for by itself here: how
    much of a word is in the vector is its product with the word's embedding, 1 if it is there and 0
    if not.
    """
    things = told[..., 1] >= 0
    vectors, labels = image[things], told[things]
    total = image.new_zeros(())
    for i, facet in enumerate(FACETS):
        words = bag(facet)
        classes = [c for c, said in enumerate(words) if said]
        if not classes:
            continue
        table = embeddings[
            torch.tensor([token_id(words[c][-1 if facet == "colour" else 0]) for c in classes])
        ]
        share = vectors @ (table / table.square().sum(-1, keepdim=True)).T
        if facet in EXCLUSIVE:
            total = total + functional.cross_entropy(SHARP * share, labels[:, i])
        else:
            wanted = (labels[:, i, None] == torch.tensor(classes)).float()
            lost = functional.binary_cross_entropy_with_logits(
                SHARP * (share - 0.5), wanted, reduction="none"
            )
            total = total + lost.sum(-1).mean()
    return total


def pull(image: Tensor, oracle: Tensor) -> Tensor:
    """How far the projected patches are from the oracle's vectors, 1 for no relation at all."""
    return (image - oracle).square().mean() / oracle.var()
