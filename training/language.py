"""Second stage: teach the decoder to look up, compare and conclude, before it has eyes.

In place of the tower stands an oracle: each patch's input vector is the sum of one learnt vector per facet
of the thing that owns the patch, which is what a perfect tower could say. So composition is learnt by
itself, on truth, many times faster than through pictures; and the third stage only has to make the
projector speak the oracle's language.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from training.dialogue import WEIGHTS, Page, write
from training.tokens import ASSISTANT, END, PAD, load
from training.vision import FACETS, truth
from training.world import Scene, make_scene

FOREIGN_SHARE = 0.07
_LOADED: list[Tokenizer] = []


@dataclass(slots=True)
class Pages:
    """Pages of like length, padded.

    Attributes:
        of: (N,) the image of each page.
        tokens: (N, T).
        learnt: (N, T) whether the token is to be predicted.
        families: What each page counts under.
    """

    of: Tensor
    tokens: Tensor
    learnt: Tensor
    families: list[str]


class Oracle(nn.Module):
    """Facets of a patch to the decoder's input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = torch.tensor(np.cumsum([0, *FACETS.values()])[:-1])
        self.table = nn.Embedding(sum(FACETS.values()) + 1, width)
        nn.init.normal_(self.table.weight, std=0.08)

    def forward(self, labels: Tensor) -> Tensor:
        """Args: labels (B, patches, facets). Returns: (B, patches, width)."""
        known = labels >= 0
        rows = torch.where(known, labels + self.first, 0)
        return (self.table(rows) * known[..., None]).sum(2)


def tokenizer() -> Tokenizer:
    """The tokenizer, loaded once a process."""
    if not _LOADED:
        _LOADED.append(load())
    return _LOADED[0]


def pages_of(rng: Random, scene: Scene | None, count: int) -> list[Page]:
    """Pages about one image, their forms drawn by weight."""
    pages: list[Page] = []
    forms, weights = tuple(WEIGHTS), tuple(WEIGHTS.values())
    while len(pages) < count:
        page = write(rng, scene, rng.choices(forms, weights)[0])
        if page is not None:
            pages.append(page)
    return pages


def encode(page: Page) -> tuple[list[int], list[bool]]:
    """Token numbers of a page after the image, and which of them are learnt."""
    made = tokenizer()
    prompt = [*made.encode(page.prompt).ids, made.token_to_id(ASSISTANT)]
    given = made.encode(page.given).ids if page.given else []
    learnt = made.encode(page.given + page.learnt).ids[len(given) :]
    ids = [*prompt, *given, *learnt, made.token_to_id(END)]
    return ids, [False] * (len(prompt) + len(given)) + [True] * (len(learnt) + 1)


def batch_pages(pages: list[tuple[int, Page]], groups: int = 6) -> list[Pages]:
    """Encode (image, page) pairs and group them by length, so that little is padded."""
    rows = sorted(((image, page.family, *encode(page)) for image, page in pages), key=lambda row: len(row[2]))
    pad = tokenizer().token_to_id(PAD)
    batches = []
    for part in np.array_split(np.arange(len(rows)), groups):
        chosen = [rows[i] for i in part]
        longest = max(len(ids) for _, _, ids, _ in chosen)
        tokens = torch.full((len(chosen), longest), pad)
        learnt = torch.zeros((len(chosen), longest), dtype=torch.bool)
        for i, (_, _, ids, mask) in enumerate(chosen):
            tokens[i, : len(ids)] = torch.tensor(ids)
            learnt[i, : len(ids)] = torch.tensor(mask)
        batches.append(Pages(torch.tensor([r[0] for r in chosen]), tokens, learnt, [r[1] for r in chosen]))
    return batches


def language_batch(seed: int, images: int, each: int) -> tuple[Tensor, list[Pages]]:
    """Facets of ``images`` scenes (B, patches, facets) and ``each`` pages about every one."""
    rng = Random(seed)
    labels, pages = [], []
    for i in range(images):
        scene = None if rng.random() < FOREIGN_SHARE else make_scene(seed * images + i)
        labels.append(truth(scene))
        pages += [(i, page) for page in pages_of(rng, scene, each)]
    return torch.from_numpy(np.stack(labels)), batch_pages(pages)


@dataclass(slots=True)
class Tally:
    """Loss and exactness of a pass over pages."""

    loss: Tensor
    tokens: int
    exact: dict[str, list[bool]]


def page_loss(hidden: Tensor, table: Tensor, pages: Pages) -> tuple[Tensor, int, Tensor]:
    """Summed loss over the learnt tokens, their number, and which pages are right to the last token."""
    target, wanted = pages.tokens[:, 1:], pages.learnt[:, 1:]
    scores = hidden[:, :-1][wanted] @ table.T
    loss = functional.cross_entropy(scores, target[wanted], reduction="sum")
    wrong = torch.zeros_like(wanted)
    wrong[wanted] = scores.detach().argmax(-1) != target[wanted]
    return loss, int(wanted.sum()), ~wrong.any(-1)


def exactness(marks: dict[str, list[bool]]) -> dict[str, float]:
    """Share of pages right to the last token, by family."""
    return {family: sum(right) / len(right) for family, right in sorted(marks.items())}
