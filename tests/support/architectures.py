"""Small models of the architectures that people run in llama.cpp, with random weights.

Nothing is downloaded. They know nothing, and the engine reads pictures for them as it does for the
models that people run: in one piece, in tiles with words between them, or merged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import gguf
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

TEXT, HIDDEN, HEADS, LAYERS = 64, 96, 2, 2
WIDE, SIDE, PATCH, MERGED = 64, 56, 14, 2
TURN = (
    "{% for m in messages %}{{ m.role }}:{{ m.content }}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
SPECIAL = (
    *("<s>", "<end>", "<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"),
    *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
    *("<start_of_image>", "<end_of_image>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>"),
)
"""The second ends a turn; the others are what the kinds write around a picture."""
KINDS = {
    "mlp": "llama",
    "idefics3": "llama",
    "gemma3": "llama",
    "qwen2vl_merger": "qwen2vl",
}
"""How the vision part is called in LLaVA, SmolVLM, Gemma 3 and Qwen2-VL, and the language part."""


def pair(folder: Path, kind: str) -> Path:
    """Write both files of a kind; the path of the model."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    _model(folder / "model.gguf", KINDS[kind], rng)
    _projector(folder / "mmproj.gguf", kind, rng)
    return folder / "model.gguf"


def _words() -> list[str]:
    """A token for each byte, as byte-level vocabularies write them, and two merges."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    character = {byte: chr(byte) for byte in plain}
    character |= {byte: chr(256 + i) for i, byte in enumerate(others)}
    return [*(character[byte] for byte in range(256)), "th", 2 * character[10]]


def _model(path: Path, arch: str, rng: np.random.Generator) -> None:
    writer = gguf.GGUFWriter(path, arch)
    words = [*_words(), *SPECIAL]
    writer.add_block_count(LAYERS)
    writer.add_context_length(4096)
    writer.add_embedding_length(TEXT)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(words))
    if arch == "qwen2vl":
        writer.add_rope_dimension_sections([4, 6, 6, 0])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(words)
    writer.add_token_types([1] * (len(words) - len(SPECIAL)) + [3] * len(SPECIAL))
    writer.add_token_merges(["t h", f"{words[10]} {words[10]}"])
    writer.add_bos_token_id(words.index("<s>"))
    writer.add_eos_token_id(words.index("<end>"))
    writer.add_add_bos_token(value=False)
    writer.add_chat_template(TURN)
    writer.add_tensor("token_embd.weight", _random(rng, len(words), TEXT))
    writer.add_tensor("output.weight", _random(rng, len(words), TEXT))
    writer.add_tensor("output_norm.weight", np.ones(TEXT, np.float32))
    for layer in range(LAYERS):
        for name, shape in {
            "attn_q": (TEXT, TEXT),
            "attn_k": (TEXT, TEXT),
            "attn_v": (TEXT, TEXT),
            "attn_output": (TEXT, TEXT),
            "ffn_gate": (HIDDEN, TEXT),
            "ffn_up": (HIDDEN, TEXT),
            "ffn_down": (TEXT, HIDDEN),
        }.items():
            writer.add_tensor(f"blk.{layer}.{name}.weight", _random(rng, *shape))
            if arch == "qwen2vl" and name in {"attn_q", "attn_k", "attn_v"}:
                writer.add_tensor(f"blk.{layer}.{name}.bias", np.zeros(TEXT, np.float32))
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(TEXT, np.float32))
    _written(writer)


def _projector(path: Path, kind: str, rng: np.random.Generator) -> None:
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_bool("clip.has_vision_encoder", val=True)
    writer.add_string("clip.projector_type", kind)
    writer.add_bool("clip.use_gelu", val=True)
    for name, value in {
        "image_size": SIDE,
        "patch_size": PATCH,
        "embedding_length": WIDE,
        "feed_forward_length": WIDE,
        "block_count": LAYERS,
        "projection_dim": TEXT,
        "attention.head_count": HEADS,
        "projector.scale_factor": MERGED,
        "preproc_image_size": 2 * SIDE,
    }.items():
        writer.add_uint32(f"clip.vision.{name}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
    patches = (SIDE // PATCH) ** 2
    writer.add_tensor("v.patch_embd.weight", _random(rng, WIDE, 3, PATCH, PATCH))
    if kind == "qwen2vl_merger":
        writer.add_tensor("v.patch_embd.weight.1", _random(rng, WIDE, 3, PATCH, PATCH))
    else:
        writer.add_tensor("v.patch_embd.bias", np.zeros(WIDE, np.float32))
        writer.add_tensor("v.position_embd.weight", _random(rng, patches, WIDE))
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_out", "ffn_up", "ffn_down"):
            writer.add_tensor(f"v.blk.{layer}.{name}.weight", _random(rng, WIDE, WIDE))
            writer.add_tensor(f"v.blk.{layer}.{name}.bias", np.zeros(WIDE, np.float32))
        for name in ("ln1", "ln2"):
            writer.add_tensor(f"v.blk.{layer}.{name}.weight", np.ones(WIDE, np.float32))
            writer.add_tensor(f"v.blk.{layer}.{name}.bias", np.zeros(WIDE, np.float32))
    writer.add_tensor("v.post_ln.weight", np.ones(WIDE, np.float32))
    writer.add_tensor("v.post_ln.bias", np.zeros(WIDE, np.float32))
    for name, data in _behind(kind, rng).items():
        writer.add_tensor(name, data)
    _written(writer)


def _behind(kind: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What stands between the tower and the language model."""
    many = WIDE * MERGED**2
    if kind == "idefics3":
        return {"mm.model.fc.weight": _random(rng, TEXT, many)}
    if kind == "gemma3":
        norm = {"mm.soft_emb_norm.weight": np.ones(WIDE, np.float32)}
        return {"mm.input_projection.weight": _random(rng, WIDE, TEXT), **norm}
    wide = many if kind == "qwen2vl_merger" else WIDE
    inner = wide if kind == "qwen2vl_merger" else TEXT
    return {
        "mm.0.weight": _random(rng, inner, wide),
        "mm.0.bias": np.zeros(inner, np.float32),
        "mm.2.weight": _random(rng, TEXT, inner),
        "mm.2.bias": np.zeros(TEXT, np.float32),
    }


def _random(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(0, 0.2, shape).astype(np.float32)


def _written(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
