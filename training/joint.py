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
from training.language import Pages, batch_pages, pages_of
from training.vision import ZOOMS, truth
from training.world import FRAME, make_scene

FOREIGN_SHARE = 0.08


def joint_batch(seed: int, images: int, each: int) -> tuple[Tensor, Tensor, list[Pages]]:
    """Pictures (B, H, W, 3) as bytes, their patches' facets (B, patches, facets), and pages about them."""
    rng = Random(seed)
    pictures, labels, pages = [], [], []
    for i in range(images):
        number = seed * images + i
        scene = None if rng.random() < FOREIGN_SHARE else make_scene(number, zooms=ZOOMS)
        pictures.append(np.asarray(make_foreign(number) if scene is None else letterbox(render(scene), FRAME)))
        labels.append(truth(scene))
        pages += [(i, page) for page in pages_of(rng, scene, each)]
    return torch.from_numpy(np.stack(pictures)), torch.from_numpy(np.stack(labels)), batch_pages(pages) if pages else []


def pull(image: Tensor, oracle: Tensor) -> Tensor:
    """How far the projected patches are from the oracle's vectors, 1 for no relation at all."""
    return (image - oracle).square().mean() / oracle.var()
