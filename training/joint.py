"""Third stage: pictures in, replies out, everything trained together.

The tower knows what stands where, the decoder knows what to do with an oracle's word; what is missing is a
projector that speaks the oracle's language. So the projector alone is first pulled towards the oracle's
vectors; then that pull fades out, while the replies and the dense truth of the patches teach the whole.
"""

from __future__ import annotations

from random import Random

import numpy as np
import torch
from torch import Tensor

from faithful_decide._image import letterbox
from training.draw import render
from training.foreign import make_foreign
from training.language import Pages, batch_pages, centres, pages_of
from training.vision import ZOOMS, truth
from training.world import FRAME, make_scene

FOREIGN_SHARE = 0.08


def joint_batch(seed: int, images: int, each: int) -> tuple[Tensor, Tensor, Tensor, list[Pages]]:
    """Pictures with all that is known of them, and pages about them.

    Args:
        seed: The same seed gives the same batch.
        images: B.
        each: Pages about each image.

    Returns:
        Pictures (B, H, W, 3) as bytes; the facets of the thing that owns each patch (B, patches, facets);
        the facets told once a thing, at its centre (B, patches, facets); the pages.
    """
    rng = Random(seed)
    pictures, labels, told, pages = [], [], [], []
    for i in range(images):
        number = seed * images + i
        scene = None if rng.random() < FOREIGN_SHARE else make_scene(number, zooms=ZOOMS)
        pictures.append(np.asarray(make_foreign(number) if scene is None else letterbox(render(scene), FRAME)))
        labels.append(truth(scene))
        told.append(centres(scene))
        pages += [(i, page) for page in pages_of(rng, scene, each)]
    arrays = (torch.from_numpy(np.stack(rows)) for rows in (pictures, labels, told))
    return (*arrays, batch_pages(pages) if pages else [])  # type: ignore[return-value]


def pull(image: Tensor, oracle: Tensor) -> Tensor:
    """How far the projected patches are from the oracle's vectors, 1 for no relation at all."""
    return (image - oracle).square().mean() / oracle.var()
