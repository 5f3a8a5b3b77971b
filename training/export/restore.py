"""From the shipped GGUF pair back to a model that can be trained on.

The opposite of ``training.export.gguf``: what is trained further, into an organism or into the next
version, starts from the files that everybody has. A pair with fewer layers or fewer tokens than
``Sizes`` says is grown: new tokens get embeddings like those a fresh model starts with, and a new
layer adds nothing to what passes through it until it has learnt to, so the grown model writes what
the old one wrote.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from training.export.huggingface import Pair, halves
from training.model.network import Model, Sizes
from training.model.tokens import ALIKE, load

SHIPPED = Path(__file__).parents[2] / "faithful_decide" / "embedded"
_DECODER = {
    "attn_norm": "attn_norm",
    "ffn_norm": "ffn_norm",
    "attn_q": "q",
    "attn_k": "k",
    "attn_v": "v",
    "attn_output": "o",
    "ffn_gate": "gate",
    "ffn_up": "up",
    "ffn_down": "down",
}
_TOWER = {
    "ln1": "ln1",
    "ln2": "ln2",
    "attn_q": "q",
    "attn_k": "k",
    "attn_v": "v",
    "attn_out": "out",
    "ffn_up": "up",
    "ffn_down": "down",
}


def restore(folder: Path = SHIPPED) -> Model:
    """Read a pair.

    Args:
        folder: Where ``model.gguf`` and ``mmproj.gguf`` are.

    Returns:
        The model, in float32.
    """
    pair, sizes = Pair(folder), Sizes()
    given = pair.weights()
    model = Model(sizes)
    own = model.state_dict()
    words = given["token_embd.weight"]
    own["decoder.embed.weight"][: len(words)] = words
    own["decoder.norm.weight"][:] = given["output_norm.weight"]
    layers = pair.fact("llama.block_count")
    homes = np.linspace(0, sizes.layers - 1, layers).round().astype(int).tolist()
    for i in set(range(sizes.layers)) - set(homes):
        for part in ("o", "down"):
            own[f"decoder.blocks.{i}.{part}.weight"].zero_()
    for i, home in enumerate(homes):
        for theirs, ours in _DECODER.items():
            weight = given[f"blk.{i}.{theirs}.weight"]
            own[f"decoder.blocks.{home}.{ours}.weight"][:] = (
                halves(weight, sizes.heads) if ours in {"q", "k"} else weight
            )
    for i in range(sizes.vision_layers):
        for theirs, ours in _TOWER.items():
            for kind in ("weight", "bias"):
                own[f"tower.blocks.{i}.{ours}.{kind}"][:] = given[f"v.blk.{i}.{theirs}.{kind}"]
    for theirs, ours in (("mm.0", "first"), ("mm.2", "second")):
        for kind in ("weight", "bias"):
            own[f"project.{ours}.{kind}"][:] = given[f"{theirs}.{kind}"]
    own["tower.embed.weight"][:] = given["v.patch_embd.weight"].reshape(
        own["tower.embed.weight"].shape
    )
    own["tower.embed.bias"][:] = given["v.patch_embd.bias"]
    own["tower.position"][:] = given["v.position_embd.weight"]
    return model


def grown(folder: Path = SHIPPED) -> dict[str, torch.Tensor]:
    """The state of ``restore``, as a stage of the training begins with it."""
    torch.manual_seed(5)
    state = restore(folder).state_dict()
    words, made = state["decoder.embed.weight"], load()
    for new, old in ALIKE.items():
        row, like = made.token_to_id(new), made.encode(old).ids
        if row is not None and len(like) == 1:
            words[row] = words[like[0]]
    return state
