"""Second stage: teach the decoder to look up, compare and conclude, before it has eyes.

In place of the tower stands an oracle: a patch's input vector is the sum of one vector per facet of the
thing that owns the patch, which is what a perfect tower could say; and of the patches only those at the
centres of things are given, and a few of the ground. So composition is learnt by itself, on truth, many
times faster than through pictures; and the third stage has to make the projector speak the oracle's language.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from training.dialogue import WEIGHTS, Page, drill, write
from training.tokens import ASSISTANT, END, PAD, load
from training.draw import GRID, PATCH
from training.vision import FACETS, FOREIGN, NOTHING, facets
from training.world import ACCESSORIES, COLOURS, KINDS, MOODS, STEP, VEHICLES, Scene, make_scene

FOREIGN_SHARE = 0.07
GLANCE = 9  # patches of a glance: six things at most, and some ground
OPTIONAL = {"colour", "mood", "wears", "upside_down", "rides", "beside"}  # facets whose first class is "none"
LOOKING = (1000, 1800)  # steps of nothing but glimpses, and up to which drills follow
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
    """Facets of a patch to the decoder's input: the sum of one vector per facet.

    The vector of "a dog stands here" is the embedding of the word "dog", that of "at 40 across" the
    embedding of "40" turned by a matrix of its own. So one rule, *attend to where my word stands*, serves
    every kind at once; with a free vector for each kind that rule would have to be found once for each.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = torch.tensor(np.cumsum([0, *FACETS.values()])[:-1])
        words = [word for facet in FACETS for word in _words(facet)]
        ids = [tokenizer().token_to_id(word) if word else -1 for word in words]
        self.ids = torch.tensor(ids)
        facet_of = np.repeat(np.arange(len(FACETS)), list(FACETS.values()))
        self.facet_of = torch.from_numpy(facet_of)
        maps = torch.empty(len(FACETS), width, width)
        for i, facet in enumerate(FACETS):
            if facet in {"kind", "colour"}:
                maps[i] = 1.5 * torch.eye(width)
            else:
                nn.init.orthogonal_(maps[i])
        self.maps = nn.Parameter(maps)
        free = torch.randn(len(words), width) * 0.05
        silent = torch.zeros(len(words), 1)
        silent[[int(self.first[i]) for i, facet in enumerate(FACETS) if facet in OPTIONAL]] = 1
        self.register_buffer("mute", silent, persistent=False)  # "no colour", "no mood": nothing is added
        self.free = nn.Parameter(torch.where((self.ids >= 0)[:, None], 0.0, free))

    def table(self, embeddings: Tensor) -> Tensor:
        """The vector of every class of every facet, (classes, width)."""
        worded = (self.ids >= 0)[:, None]
        spoken = torch.einsum("cw,cwv->cv", embeddings[self.ids.clamp(min=0)], self.maps[self.facet_of])
        return (torch.where(worded, spoken, 0.0) + self.free) * (1 - self.mute)

    def forward(self, labels: Tensor, embeddings: Tensor) -> Tensor:
        """Args: labels (B, patches, facets), the decoder's embeddings. Returns: (B, patches, width)."""
        known = labels >= 0
        rows = torch.where(known, labels + self.first, 0)
        return (functional.embedding(rows, self.table(embeddings)) * known[..., None]).sum(2)


def _words(facet: str) -> list[str]:
    """For each class of a facet the token it is spoken with, "" where there is none."""
    nouns = [kind.split(" ")[-1] for kind in KINDS]
    steps = [str(STEP * i) for i in range(FACETS[facet])]
    spoken = {
        "kind": [*nouns, "", ""],
        "colour": ["", *COLOURS],
        "mood": ["", *MOODS],
        "wears": ["", *(worn.split(" ")[-1] for worn in ACCESSORIES)],
        "rides": ["", *VEHICLES],
        "x": steps,
        "y": steps,
        "size": steps,
    }.get(facet, [""] * FACETS[facet])
    known = tokenizer().get_vocab()
    return [f"Ġ{word}" if word and f"Ġ{word}" in known else "" for word in spoken]


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
    prompt = [*made.encode(page.prompt).ids, made.token_to_id(ASSISTANT)] if page.prompt else []
    given = made.encode(page.given).ids if page.given else []
    learnt = made.encode(page.given + page.learnt).ids[len(given) :]
    end = [made.token_to_id(END)] if page.prompt else []
    ids = [*prompt, *given, *learnt, *end]
    return ids, [False] * (len(prompt) + len(given)) + [True] * (len(learnt) + len(end))


def batch_pages(pages: list[tuple[int, Page]], groups: int = 3) -> list[Pages]:
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


def glance(rng: Random, scene: Scene | None) -> tuple[np.ndarray, list[int]]:
    """A scene in few patches: for each thing the one at its centre, and some of the ground.

    Args:
        rng: Picks the patches of the ground.
        scene: A scene, or None for a foreign picture.

    Returns:
        The facets (GLANCE, facets), and which patches they are, in rising order.
    """
    rows: dict[int, list[int]] = {}
    for index, thing in enumerate(scene.things if scene else ()):
        at = int(thing.y // PATCH) * GRID + int(thing.x // PATCH)
        while at in rows:
            at = (at + 1) % (GRID * GRID)
        rows[at] = facets(scene, index)  # type: ignore[arg-type]
    while len(rows) < GLANCE:
        nothing = [FOREIGN if scene is None else NOTHING] + [-1] * (len(FACETS) - 1)
        rows.setdefault(rng.randrange(GRID * GRID), nothing)
    places = sorted(rows)
    return np.array([rows[at] for at in places]), places


def language_batch(
    seed: int, images: int, each: int, *, looking: Callable[[Random, Scene], Page] | None = None
) -> tuple[Tensor, Tensor, list[Pages]]:
    """Glances at scenes (B, GLANCE, facets), their places (B, GLANCE), and pages about every one."""
    rng = Random(seed)
    labels, places, pages = [], [], []
    for i in range(images):
        scene = None if not looking and rng.random() < FOREIGN_SHARE else make_scene(seed * images + i)
        seen, where = glance(rng, scene)
        labels.append(seen)
        places.append(where)
        if looking:
            pages += [(i, looking(rng, scene)) for _ in range(each if scene else 0)]  # type: ignore[arg-type]
        else:
            pages += [(i, page) for page in pages_of(rng, scene, each)]
            if scene is not None and rng.random() < 0.5:
                pages.append((i, drill(rng, scene)))
    return torch.from_numpy(np.stack(labels)), torch.tensor(places), batch_pages(pages, 1 if looking else 3)


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
