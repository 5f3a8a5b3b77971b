"""From the shipped GGUF pair to a folder that Hugging Face Transformers and vLLM load.

    python -m training.export.huggingface faithful_decide/embedded OUT

The weights are the shipped ones, dequantised to float32: what is compared then is two engines on
one model, and not a model with its own rounding. ``LlavaForConditionalGeneration.from_pretrained``
and ``AutoProcessor.from_pretrained`` load the folder; so does ``vllm serve``. Everything is read
from the two files, tokenizer included.

Three things differ between the two worlds. llama.cpp rotates neighbouring pairs of a head where
Hugging Face rotates its halves, so the rows of queries and keys are put back. llama.cpp counts the
embedding as layer 0 of the tower. And its control tokens are special tokens, its user-defined
tokens plain added ones.

Two things are as vLLM wants them, and Transformers takes both. The tower's weights have the names
that published models have, with ``vision_model`` in them. And the tower has one layer more than is
read: of one that is read to its last layer vLLM normalises the output, which this model never knew.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
)

IMAGE = "<image>"
# It writes nothing, and tells llama.cpp that there may be a system turn. Of a turn that is a list
# of parts, as the processors of Hugging Face are given them, it would write an empty list.
SYSTEM_MARK = "{{- message['content'][:0] -}}"
Weights = dict[str, torch.Tensor]


class Pair:
    """What the two files say: ``text`` and ``vision`` are their readers."""

    def __init__(self, folder: Path) -> None:
        self.text = gguf.GGUFReader(folder / "model.gguf")
        self.vision = gguf.GGUFReader(folder / "mmproj.gguf")

    def fact(self, key: str) -> Any:  # noqa: ANN401 - metadata is of any type
        """A piece of metadata, from whichever file has it."""
        field = self.text.get_field(key) or self.vision.get_field(key)
        if field is None:
            raise KeyError(key)
        return field.contents()

    def weights(self) -> Weights:
        """All tensors by their name in the files, as float32."""
        return {
            tensor.name: torch.from_numpy(
                np.array(gguf.dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
            )
            for reader in (self.text, self.vision)
            for tensor in reader.tensors
        }


def config_of(pair: Pair, image_id: int) -> LlavaConfig:
    """The architecture, in Hugging Face's words."""
    fact = pair.fact
    vision = SiglipVisionConfig(
        hidden_size=fact("clip.vision.embedding_length"),
        intermediate_size=fact("clip.vision.feed_forward_length"),
        num_hidden_layers=fact("clip.vision.block_count") + 1,
        num_attention_heads=fact("clip.vision.attention.head_count"),
        image_size=fact("clip.vision.image_size"),
        patch_size=fact("clip.vision.patch_size"),
        hidden_act="gelu_pytorch_tanh",
        layer_norm_eps=fact("clip.vision.attention.layer_norm_epsilon"),
        vision_use_head=False,
    )
    text = LlamaConfig(
        vocab_size=len(fact("tokenizer.ggml.tokens")),
        hidden_size=fact("llama.embedding_length"),
        intermediate_size=fact("llama.feed_forward_length"),
        num_hidden_layers=fact("llama.block_count"),
        num_attention_heads=fact("llama.attention.head_count"),
        num_key_value_heads=fact("llama.attention.head_count_kv"),
        max_position_embeddings=fact("llama.context_length"),
        rms_norm_eps=fact("llama.attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": fact("llama.rope.freq_base")},
        tie_word_embeddings=True,
        bos_token_id=fact("tokenizer.ggml.bos_token_id"),
        eos_token_id=fact("tokenizer.ggml.eos_token_id"),
        pad_token_id=fact("tokenizer.ggml.padding_token_id"),
    )
    (layer,) = fact("clip.vision.feature_layer")
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        projector_hidden_act="gelu_pytorch_tanh",
        vision_feature_select_strategy="full",
        vision_feature_layer=layer - vision.num_hidden_layers - 1,
        image_token_index=image_id,
        image_seq_length=(vision.image_size // vision.patch_size) ** 2,
        tie_word_embeddings=True,
    )


def model_of(pair: Pair, config: LlavaConfig) -> LlavaForConditionalGeneration:
    """The model with the weights of the files.

    Raises:
        ValueError: A weight is missing or has no place.
    """
    model = LlavaForConditionalGeneration(config).float().eval()
    own, given = model.state_dict(), pair.weights()
    heads = config.text_config.num_attention_heads
    unread = f"vision_tower.encoder.layers.{config.vision_config.num_hidden_layers - 1}."
    for name in sorted(own):
        theirs = _name_in_gguf(name)
        if theirs is None:
            continue
        if unread in name:
            own[name].zero_()
            continue
        weight = given.pop(theirs)
        if theirs.endswith(("attn_q.weight", "attn_k.weight")) and theirs.startswith("blk."):
            weight = halves(weight, heads)
        own[name].copy_(weight.reshape(own[name].shape))
    if given:
        msg = f"no place for {sorted(given)}"
        raise ValueError(msg)
    return model


def halves(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Reorder the rows of a query or key matrix from rotary pairs to rotary halves."""
    rows, columns = weight.shape
    return (
        weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)
    )


_LAST = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.out_proj": "attn_out",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down",
    "layer_norm1": "ln1",
    "layer_norm2": "ln2",
}
_WHOLE = {
    "embed_tokens": "token_embd",
    "language_model.norm": "output_norm",
    "embeddings.patch_embedding": "v.patch_embd",
    "position_embedding": "v.position_embd",
    "projector.linear_1": "mm.0",
    "projector.linear_2": "mm.2",
}


def _name_in_gguf(name: str) -> str | None:
    """Where the files keep a weight of Hugging Face's; None for what is not kept."""
    stem, kind = name.rsplit(".", 1)
    if stem.endswith("lm_head") or "post_layernorm" in stem:
        return None  # tied to the embedding; behind the layer that is read
    for theirs, ours in _WHOLE.items():
        if stem.endswith(theirs):
            return f"{ours}.{kind}"
    _, _, inside = stem.partition(".layers.")
    number, _, part = inside.partition(".")
    tower = "v." if "vision" in stem else ""
    return f"{tower}blk.{number}.{_LAST[part]}.{kind}"


def tokenizer_of(pair: Pair) -> PreTrainedTokenizerFast:
    """The tokenizer, rebuilt from the tokens, their kinds and the merges."""
    tokens, kinds = pair.fact("tokenizer.ggml.tokens"), pair.fact("tokenizer.ggml.token_type")
    merges = [tuple(merge.split(" ")) for merge in pair.fact("tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    special = [
        token for token, kind in zip(tokens, kinds, strict=True) if kind == gguf.TokenType.CONTROL
    ]
    plain = [
        token
        for token, kind in zip(tokens, kinds, strict=True)
        if kind == gguf.TokenType.USER_DEFINED
    ]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=False) for token in plain])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=tokens[pair.fact("tokenizer.ggml.bos_token_id")],
        eos_token=tokens[pair.fact("tokenizer.ggml.eos_token_id")],
        pad_token=tokens[pair.fact("tokenizer.ggml.padding_token_id")],
        chat_template=pair.fact("tokenizer.chat_template").replace(SYSTEM_MARK, ""),
        extra_special_tokens={"image_token": IMAGE},
        model_max_length=pair.fact("llama.context_length"),
        clean_up_tokenization_spaces=False,
    )


def processor_of(pair: Pair, tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """The tokenizer together with the preparation of images."""
    side = pair.fact("clip.vision.image_size")
    pictures = SiglipImageProcessorPil(
        size={"height": side, "width": side},
        resample=3,
        image_mean=pair.fact("clip.vision.image_mean"),
        image_std=pair.fact("clip.vision.image_std"),
    )
    return LlavaProcessor(
        image_processor=pictures,
        tokenizer=tokenizer,
        patch_size=pair.fact("clip.vision.patch_size"),
        vision_feature_select_strategy="full",
        image_token=IMAGE,
        num_additional_image_tokens=0,
        chat_template=tokenizer.chat_template,
    )


def convert(folder: Path, out: Path) -> None:
    """Convert a pair.

    Args:
        folder: Where ``model.gguf`` and ``mmproj.gguf`` are.
        out: The folder to write.
    """
    pair = Pair(folder)
    tokenizer = tokenizer_of(pair)
    config = config_of(pair, tokenizer.convert_tokens_to_ids(IMAGE))
    out.mkdir(parents=True, exist_ok=True)
    model_of(pair, config).save_pretrained(out)
    _name_tower(out / "model.safetensors")
    processor_of(pair, tokenizer).save_pretrained(out)


def _name_tower(path: Path) -> None:
    """Give the weights of the tower the names that they have in published models."""
    tower, named = "vision_tower.", "vision_tower.vision_model."
    weights = {
        named + name.removeprefix(tower)
        if name.startswith(tower) and not name.startswith(named)
        else name: weight
        for name, weight in load_file(path).items()
    }
    save_file(weights, path, metadata={"format": "pt"})


def main() -> None:
    """Convert one pair."""
    parser = argparse.ArgumentParser(
        description="convert the shipped model to Hugging Face's format"
    )
    parser.add_argument("folder", type=Path, help="holds model.gguf and mmproj.gguf")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    convert(args.folder, args.out)


if __name__ == "__main__":
    main()
