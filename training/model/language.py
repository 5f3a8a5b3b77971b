"""Second stage: teach the decoder to look up, compare and conclude, before it has eyes.

In place of the tower stands an oracle: a patch's input vector is the sum of one vector per facet of
the thing that owns the patch, which is what a perfect tower could say; and of the patches only
those at the centres of things are given, and a few of the ground. So composition is learnt by
itself, on truth, many times faster than through pictures; and the third stage has to make the
projector speak the oracle's language.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.model.dialogue import KINDS as PAGE_KINDS
from training.model.dialogue import WEIGHTS, Page, drill, write
from training.model.tokens import ASSISTANT, END, PAD, load
from training.model.vision import FACETS, FOREIGN, NOTHING, centre_of, facets
from training.world.draw import GRID
from training.world.facts import ACROSS, DOWN, GROUPS, LARGE, too_large
from training.world.phrasing import with_article
from training.world.scenes import (
    ACCESSORIES,
    BIG,
    COLOURS,
    KINDS,
    MOODS,
    STEP,
    VEHICLES,
    Scene,
    make_scene,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokenizers import Tokenizer

FOREIGN_SHARE = 0.07
GLANCE = 12  # patches of a glance: six things at most, and some ground
DRILLS = 900  # steps of nothing but looking, before whole pages
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
    """Facets of a patch to the decoder's input: the sum of the embeddings of the tokens that tell
    them.

    A dog that stands 40% across wearing a crown is the bag of `` dog``, ``40% across`` and ``,
    wearing a crown``. So one circuit serves every question: attend to the patch whose bag has my
    word, and copy the bag; which word of it comes next follows from the text. With a vector of its
    own for each facet, reading each of them had to be found separately, and most never were.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = torch.tensor(np.cumsum([0, *FACETS.values()])[:-1])
        bags = [[token_id(word) for word in words] for facet in FACETS for words in bag(facet)]
        self.ids = torch.tensor([([*ids, 0, 0])[:2] for ids in bags])
        self.said = torch.tensor([([1.0] * len(ids) + [0.0, 0.0])[:2] for ids in bags])
        self.free = nn.Parameter(
            torch.randn(2, width) * 0.1
        )  # of the ground, and of a foreign picture

    def table(self, embeddings: Tensor) -> Tensor:
        """The vector of every class of every facet, (classes, width)."""
        spoken = (embeddings[self.ids] * self.said[..., None]).sum(1)
        return torch.cat((spoken[:NOTHING], self.free, spoken[FOREIGN + 1 :]))

    def forward(self, labels: Tensor, embeddings: Tensor) -> Tensor:
        """From labels (B, patches, facets) and the decoder's embeddings to (B, patches, width)."""
        known = labels >= 0
        rows = torch.where(known, labels + self.first, 0)
        return (functional.embedding(rows, self.table(embeddings)) * known[..., None]).sum(2)


def bag(facet: str) -> list[tuple[str, ...]]:
    """For each class of a facet the tokens that tell it, none where nothing is worth telling."""
    steps = range(0, STEP * FACETS[facet], STEP)
    told: dict[str, list[tuple[str, ...]]] = {
        "kind": [*(_noun(kind) for kind in KINDS), (), ()],
        "colour": [(), *((f" {colour}", f", {colour}") for colour in COLOURS)],
        "mood": [(), *((f", {mood}",) for mood in MOODS)],
        "wears": [(), *((f", wearing {with_article(worn)}",) for worn in ACCESSORIES)],
        "upside_down": [(), (", upside down",)],
        "rides": [(), *((f", riding a {vehicle}",) for vehicle in VEHICLES)],
        "beside": [()] * (1 + len(BIG)) + [(f", {too_large(big)}",) for big in BIG],
        "centre": [(), ()],
        "x": [(ACROSS.format(n),) for n in steps],
        "y": [(f", {DOWN.format(n)}",) for n in steps],
        "size": [(f", {LARGE.format(n)}",) for n in steps],
        "bottom": [(f'", "at": {{"bottom": {n}',) for n in steps],
        **{edge: [(f', "{edge}": {n}',) for n in steps] for edge in ("left", "right", "top")},
    }
    return told[facet]


def _noun(kind: str) -> tuple[str, ...]:
    group = [f" {name.removesuffix('s')}" for name in ("animals", "shapes") if kind in GROUPS[name]]
    return (f" {kind}", *group)


def token_id(word: str) -> int:
    """The number of the one token that a word is."""
    (number,) = tokenizer().encode(word).ids
    return number


def tokenizer() -> Tokenizer:
    """The tokenizer, loaded once a process."""
    if not _LOADED:
        _LOADED.append(load())
    return _LOADED[0]


def pages_of(
    rng: Random,
    scene: Scene | None,
    count: int,
    kinds: Mapping[str, int] = PAGE_KINDS,
    edited: float = 0.3,
) -> list[Page]:
    """Pages about one image, their forms and kinds drawn by weight, some with the observations of
    no scene.
    """
    pages: list[Page] = []
    forms, weights = tuple(WEIGHTS), tuple(WEIGHTS.values())
    while len(pages) < count:
        (kind,) = rng.choices(tuple(kinds), tuple(kinds.values()))
        page = write(rng, scene, rng.choices(forms, weights)[0], edited=edited, kind=kind)
        if page is not None:
            pages.append(page)
    return pages


def encode(page: Page) -> tuple[list[int], list[bool]]:
    """Token numbers of a page after the image, and which of them are learnt."""
    made = tokenizer()
    prompt = [*made.encode(page.prompt).ids, made.token_to_id(ASSISTANT)] if page.prompt else []
    reply = made.encode(page.given + page.learnt).ids
    alone = made.encode(page.given).ids
    # one token may hold the end of what is given and the beginning of what is learnt: it counts as
    # learnt
    given = next(
        (i for i, (one, other) in enumerate(zip(alone, reply, strict=False)) if one != other),
        len(alone),
    )
    end = [made.token_to_id(END)] if page.prompt else []
    ids = [*prompt, *reply, *end]
    return ids, [False] * (len(prompt) + given) + [True] * (len(ids) - len(prompt) - given)


def batch_pages(pages: list[tuple[int, Page]], groups: int = 3) -> list[Pages]:
    """Encode (image, page) pairs and group them by length, so that little is padded."""
    rows = sorted(
        ((image, page.family, *encode(page)) for image, page in pages), key=lambda row: len(row[2])
    )
    pad = tokenizer().token_to_id(PAD)
    batches = []
    for part in np.array_split(np.arange(len(rows)), min(groups, len(rows))):
        chosen = [rows[i] for i in part]
        longest = max(len(ids) for _, _, ids, _ in chosen)
        tokens = torch.full((len(chosen), longest), pad)
        learnt = torch.zeros((len(chosen), longest), dtype=torch.bool)
        for i, (_, _, ids, mask) in enumerate(chosen):
            tokens[i, : len(ids)] = torch.tensor(ids)
            learnt[i, : len(ids)] = torch.tensor(mask)
        batches.append(
            Pages(torch.tensor([r[0] for r in chosen]), tokens, learnt, [r[1] for r in chosen])
        )
    return batches


def centres(scene: Scene | None) -> np.ndarray:
    """The facets (patches, facets) of a scene told once for each thing, at the patch of its centre.

    Args:
        scene: A scene, or None for a foreign picture.
    """
    told = np.full((GRID * GRID, len(FACETS)), -1, dtype=np.int64)
    told[:, 0] = FOREIGN if scene is None else NOTHING
    for index, thing in enumerate(scene.things if scene else ()):
        told[centre_of(thing)] = facets(scene, index, centre=True)  # type: ignore[arg-type]
    return told


def glance(rng: Random, scene: Scene | None) -> tuple[np.ndarray, list[int]]:
    """A scene in few patches: those at the centres of things, and some of the ground.

    Args:
        rng: Picks the patches of the ground.
        scene: A scene, or None for a foreign picture.

    Returns:
        The facets (GLANCE, facets), and which patches they are, in rising order.
    """
    told = centres(scene)
    places = set(np.flatnonzero(told[:, 1] >= 0).tolist())
    while len(places) < GLANCE:
        places.add(rng.randrange(GRID * GRID))
    return told[sorted(places)], sorted(places)


def drill_batch(seed: int, images: int, each: int) -> tuple[Tensor, Tensor, list[Pages]]:
    """Glances at scenes (B, GLANCE, facets), their places (B, GLANCE), and drills about each."""
    rng = Random(seed)
    labels, places, pages = [], [], []
    for i in range(images):
        scene = make_scene(seed * images + i)
        seen, where = glance(rng, scene)
        labels.append(seen)
        places.append(where)
        pages += [(i, drill(rng, scene)) for _ in range(each)]
    return torch.from_numpy(np.stack(labels)), torch.tensor(places), batch_pages(pages, 1)


def language_batch(seed: int, images: int, each: int) -> tuple[Tensor, None, list[Pages]]:
    """Scenes told patch by patch (B, patches, facets), no places since all are there, and pages
    about every one.
    """
    rng = Random(seed)
    labels, pages = [], []
    for i in range(images):
        scene = None if rng.random() < FOREIGN_SHARE else make_scene(seed * images + i)
        labels.append(centres(scene))
        pages += [(i, page) for page in pages_of(rng, scene, each)]
        if scene is not None and rng.random() < 0.5:
            pages.append((i, drill(rng, scene)))
    return torch.from_numpy(np.stack(labels)), None, batch_pages(pages)


def page_loss(hidden: Tensor, table: Tensor, pages: Pages) -> tuple[Tensor, int, Tensor]:
    """Summed loss over the learnt tokens, their number, and which pages are right to the last
    token.
    """
    target, wanted = pages.tokens[:, 1:], pages.learnt[:, 1:]
    scores = hidden[:, :-1][wanted] @ table.T
    loss = functional.cross_entropy(scores, target[wanted], reduction="sum")
    wrong = torch.zeros_like(wanted)
    wrong[wanted] = scores.detach().argmax(-1) != target[wanted]
    return loss, int(wanted.sum()), ~wrong.any(-1)


def exactness(marks: dict[str, list[bool]]) -> dict[str, float]:
    """Share of pages right to the last token, by family."""
    return {family: sum(right) / len(right) for family, right in sorted(marks.items())}
