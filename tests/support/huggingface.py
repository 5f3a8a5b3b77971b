"""The embedded model in the other engine: Hugging Face Transformers, in float32."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoProcessor, LlavaForConditionalGeneration

from training.export.huggingface import convert

if TYPE_CHECKING:
    from faithful_decide.backends.base import Request


class HuggingFace:
    """The shipped weights, converted and loaded; tells what may come next, as the backend does."""

    def __init__(self, folder: Path) -> None:
        """Convert and load.

        Args:
            folder: Where the shipped pair is.
        """
        with tempfile.TemporaryDirectory() as out:
            convert(folder, Path(out))
            model: Any = LlavaForConditionalGeneration.from_pretrained(out)
            self._model = model.eval()
            load: Any = AutoProcessor.from_pretrained  # untyped in Transformers
            self._processor = load(out)
        tokenizer = self._processor.tokenizer
        added = {i: str(token) for i, token in tokenizer.added_tokens_decoder.items()}
        alphabet = _byte_of_character()
        self._bytes = [
            added[i].encode() if i in added else bytes(alphabet[c] for c in token)
            for i, token in enumerate(tokenizer.convert_ids_to_tokens(range(len(tokenizer))))
        ]

    def next_token(self, request: Request) -> dict[bytes, float]:
        """Tell how likely each token is after a prompt and a prefix.

        Args:
            request: Its image, text and prefix are used.

        Returns:
            Log-probabilities by the bytes of the token.
        """
        parts = [{"type": "image"}, {"type": "text", "text": request.text}]
        messages: list[dict[str, Any]] = [{"role": "system", "content": request.system}]
        messages.append({"role": "user", "content": parts})
        chat = self._processor.apply_chat_template(messages, add_generation_prompt=True)
        image = Image.open(io.BytesIO(request.images[0].data)) if request.images else None
        inputs = self._processor(
            text=chat + request.prefix, images=image, return_tensors="pt", add_special_tokens=False
        )
        with torch.no_grad():
            scores = self._model(**inputs).logits[0, -1].log_softmax(-1)
        return dict(zip(self._bytes, scores.tolist(), strict=True))


def _byte_of_character() -> dict[str, int]:
    """The byte each character of a byte-level vocabulary stands for."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(byte): byte for byte in plain}
    others = [byte for byte in range(256) if byte not in set(plain)]
    table |= {chr(256 + i): byte for i, byte in enumerate(others)}
    if table.keys() != set(ByteLevel.alphabet()):
        msg = "the byte-level alphabet is not the one that GPT-2 defined"
        raise ValueError(msg)
    return table
