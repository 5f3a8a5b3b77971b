"""From training state to the files that are shipped: a GGUF decoder and a GGUF projector with its
tower.

    python -m training.export.gguf training/runs/refine.pt faithful_decide/embedded

Tensor names and metadata are llama.cpp's for the architectures ``llama`` and ``clip`` with an
``mlp`` projector. Matrices are stored as float16, the rest as float32. Eight-bit blocks (Q8_0)
would halve the files, but llama.cpp then rounds what goes through the matrices to eight bits as
well, and in a model this narrow the verdict's log-probabilities move by more than a tenth of a nat.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import gguf
import numpy as np
import torch

from training.model.network import Model, Sizes
from training.model.tokens import END, PAD, SPECIAL, USER, load

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TEMPLATE = (
    "{%- for message in messages -%}"
    # the words of the system role are for models that need telling; naming them keeps engines from
    # moving them into the user's turn
    "{%- if message['role'] == 'system' -%}{{- message['content'][:0] -}}{%- endif -%}"
    "{%- if message['role'] == 'user' or message['role'] == 'assistant' -%}"
    "{{- '<|' + message['role'] + '|>' -}}"
    "{%- if message['content'] is string -%}{{- message['content'] -}}"
    "{%- else -%}{%- for part in message['content'] -%}"
    "{%- if part['type'] == 'text' -%}{{- part['text'] -}}"
    "{%- else -%}{{- '<image>' -}}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}"
    "{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)
NAME = "faithful-decide-embedded"
MEAN = STD = [0.5, 0.5, 0.5]
Tensors = dict[str, np.ndarray]


def write_decoder(path: Path, model: Model, tokenizer: Tokenizer) -> None:
    """Write the decoder and its tokenizer.

    Args:
        path: The GGUF file to make.
        model: The trained model.
        tokenizer: What it was trained with.
    """
    sizes, state = (
        model.sizes,
        {k: v.detach().numpy() for k, v in model.decoder.state_dict().items()},
    )
    out = gguf.GGUFWriter(path, "llama")
    out.add_name(NAME)
    out.add_license("Apache-2.0")
    out.add_block_count(sizes.layers)
    out.add_context_length(sizes.context)
    out.add_embedding_length(sizes.width)
    out.add_feed_forward_length(sizes.ffn)
    out.add_head_count(sizes.heads)
    out.add_head_count_kv(sizes.heads)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_rope_dimension_count(sizes.width // sizes.heads)
    out.add_rope_freq_base(10000.0)
    out.add_vocab_size(sizes.vocab)
    out.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    _write_tokenizer(out, tokenizer, sizes.vocab)
    add(out, "token_embd.weight", state["embed.weight"])
    add(out, "output_norm.weight", state["norm.weight"])
    for i in range(sizes.layers):
        own = {
            k.removeprefix(f"blocks.{i}."): v
            for k, v in state.items()
            if k.startswith(f"blocks.{i}.")
        }
        names = {
            "attn_norm": own["attn_norm.weight"],
            "ffn_norm": own["ffn_norm.weight"],
            "attn_q": interleave(own["q.weight"], sizes.heads),
            "attn_k": interleave(own["k.weight"], sizes.heads),
            "attn_v": own["v.weight"],
            "attn_output": own["o.weight"],
            "ffn_gate": own["gate.weight"],
            "ffn_up": own["up.weight"],
            "ffn_down": own["down.weight"],
        }
        for name, tensor in names.items():
            add(out, f"blk.{i}.{name}.weight", tensor)
    close(out)


def _write_tokenizer(out: gguf.GGUFWriter, tokenizer: Tokenizer, size: int) -> None:
    made = json.loads(tokenizer.to_str())["model"]
    kinds = [gguf.TokenType.NORMAL] * size
    for token in SPECIAL:
        kinds[tokenizer.token_to_id(token)] = gguf.TokenType.CONTROL
    for token in json.loads(tokenizer.to_str())["added_tokens"]:
        if token["content"] not in SPECIAL:
            kinds[token["id"]] = gguf.TokenType.USER_DEFINED
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("gpt-2")
    out.add_token_list([tokenizer.id_to_token(i) for i in range(size)])
    out.add_token_types(kinds)
    out.add_token_merges([" ".join(pair) for pair in made["merges"]])
    out.add_bos_token_id(tokenizer.token_to_id(USER))
    out.add_eos_token_id(tokenizer.token_to_id(END))
    out.add_eot_token_id(tokenizer.token_to_id(END))
    out.add_pad_token_id(tokenizer.token_to_id(PAD))
    out.add_add_bos_token(False)
    out.add_chat_template(TEMPLATE)


def write_tower(path: Path, model: Model) -> None:
    """Write the tower and the projector.

    Args:
        path: The GGUF file to make.
        model: The trained model.
    """
    sizes, state = model.sizes, {k: v.detach().numpy() for k, v in model.state_dict().items()}
    out = gguf.GGUFWriter(path, "clip")
    out.add_name(NAME)
    out.add_type("mmproj")
    out.add_license("Apache-2.0")
    out.add_bool("clip.has_vision_encoder", True)
    out.add_string("clip.projector_type", "mlp")
    out.add_bool("clip.use_gelu", True)
    numbers = {
        "image_size": sizes.image,
        "patch_size": sizes.patch,
        "embedding_length": sizes.vision,
        "feed_forward_length": sizes.vision_ffn,
        "block_count": sizes.vision_layers,
        "projection_dim": sizes.width,
        "attention.head_count": sizes.vision_heads,
    }
    for key, value in numbers.items():
        out.add_uint32(f"clip.vision.{key}", value)
    out.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    out.add_array("clip.vision.image_mean", MEAN)
    out.add_array("clip.vision.image_std", STD)
    # without it the last layer would be left out, as LLaVA's own towers want it
    out.add_array("clip.vision.feature_layer", [sizes.vision_layers])
    out.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    add(out, "v.patch_embd.weight", state["tower.embed.weight"], exact=True)
    add(out, "v.patch_embd.bias", state["tower.embed.bias"])
    add(out, "v.position_embd.weight", state["tower.position"], exact=True)
    parts = {
        "ln1": "ln1",
        "ln2": "ln2",
        "attn_q": "q",
        "attn_k": "k",
        "attn_v": "v",
        "attn_out": "out",
        "ffn_up": "up",
        "ffn_down": "down",
    }
    for i in range(sizes.vision_layers):
        for theirs, ours in parts.items():
            for kind in ("weight", "bias"):
                add(out, f"v.blk.{i}.{theirs}.{kind}", state[f"tower.blocks.{i}.{ours}.{kind}"])
    for theirs, ours in (("mm.0", "first"), ("mm.2", "second")):
        for kind in ("weight", "bias"):
            add(out, f"{theirs}.{kind}", state[f"project.{ours}.{kind}"])
    close(out)


def interleave(weight: np.ndarray, heads: int) -> np.ndarray:
    """Reorder the rows of a query or key matrix from rotary halves to rotary pairs."""
    rows, columns = weight.shape
    return (
        weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
    )


def add(out: gguf.GGUFWriter, name: str, tensor: np.ndarray, *, exact: bool = False) -> None:
    """Add a tensor: matrices as float16 unless they must be exact, the rest as float32."""
    half = tensor.ndim == 2 and not exact
    out.add_tensor(name, np.ascontiguousarray(tensor, dtype=np.float16 if half else np.float32))


def close(out: gguf.GGUFWriter) -> None:
    """Write everything and close the file."""
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def load_state(path: Path) -> Model:
    """The model of a training state that holds the whole of it."""
    model = Model(Sizes())
    model.load_state_dict(torch.load(path, weights_only=True, map_location="cpu")["model"])
    model.project.fold()
    return model.eval()


def main() -> None:
    """Export one training state."""
    parser = argparse.ArgumentParser(description="export the embedded model to GGUF")
    parser.add_argument("state", type=Path)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    model = load_state(args.state)
    args.folder.mkdir(parents=True, exist_ok=True)
    write_decoder(args.folder / "model.gguf", model, load())
    write_tower(args.folder / "mmproj.gguf", model)


if __name__ == "__main__":
    main()
