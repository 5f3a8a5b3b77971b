"""Hugging Face models in this process, constrained through Outlines.

    outlines/HuggingFaceTB/SmolVLM2-500M-Video-Instruct       a model of the hub, or a folder
    decide(image, question, model=outlines.from_transformers(model, processor))

Outlines brings the constraint; the model itself is called here, because three things that a
decision needs are not to be had through Outlines: a reply that starts with a forced prefix, the
log-probabilities, and why the reply ended.

- The constraint is always llguidance. Outlines' own default takes tens of seconds to compile some
  of the schemas of this library.
- Log-probabilities are taken before the constraint, which overwrites them in place.
- What was computed of the text and the image before the question is kept for the next question
  about the same image, for the architectures where that was checked.
- For the same architectures a part of what stands there can be hidden from what comes after it.
  The tokens after it are computed again, at their own places, with the attention to it masked.
"""

from __future__ import annotations

import copy
import hashlib
import io
import threading
import time
from collections import OrderedDict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faithful_decide._core.schema import filled
from faithful_decide._images.prepare import ImageLimits
from faithful_decide._nearest import hinting
from faithful_decide.backends._digest import digest
from faithful_decide.backends._grammar import regex_of_rest
from faithful_decide.backends._knockout import hidden_places, refuse_hidden
from faithful_decide.backends.base import MANY_IMAGES, Capabilities, Reply, Request, Token, Usage
from faithful_decide.errors import BackendError, MissingExtraError, UnsupportedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["OutlinesBackend", "load_outlines"]

_REUSABLE = frozenset({"llava", "idefics3", "smolvlm"})
"""Architectures in which the cache of a prompt's beginning is all that its rest depends on."""
_SEVERAL = frozenset(
    {"idefics3", "smolvlm", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "gemma3", "idefics2"}
)
"""Architectures that were trained on several images in a turn."""
_MASKED = frozenset({"eager", "sdpa"})
"""Ways to compute attention that leave out whatever a mask says."""
_KEPT = 4
"""Images whose beginnings are kept."""
_SIDE = 1536


class OutlinesBackend:
    """A model of Transformers in this process. Calls from several threads run one after another."""

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - of an optional package
        *,
        name: str = "",
        reuse: bool = True,
        weights: str = "",
    ) -> None:
        """Take what `outlines.from_transformers(model, processor)` returned.

        The name is what receipts call it, after `outlines/`. `weights` tells them from others where
        that is known from their files; else they are read in memory.
        """
        if type(model).__name__ != "TransformersMultiModal":
            msg = f"pass a vision model of Transformers, not {type(model).__name__}"
            raise UnsupportedError(msg, hint="pass outlines.from_transformers(model, processor)")
        self._torch = _optional("torch")
        self._constraints = _optional("outlines.backends.llguidance").LLGuidanceBackend(model)
        self._model, self._processor = model.model.eval(), model.processor
        self._tokenizer = self._processor.tokenizer
        config = self._model.config
        self._label = name or str(getattr(config, "_name_or_path", "")) or config.model_type
        self._image_token = getattr(config, "image_token_id", None)
        reusable = config.model_type in _REUSABLE and self._image_token is not None
        self._reuse = reuse and reusable
        self._begun: OrderedDict[tuple[str, ...], Any] = OrderedDict()
        self._lock = threading.Lock()
        self._closed = False
        version = _optional("transformers").__version__
        self._fingerprint = (
            f"transformers-{version}/{weights or _weights(self._model, self._processor)}"
        )
        self.identity = f"outlines/{self._label} {self._fingerprint} {self._model.dtype}"
        self._capabilities = Capabilities(
            enforcement="grammar",
            order=True,
            prefix=True,
            knockout=reusable and getattr(config, "_attn_implementation", None) in _MASKED,
            logprobs="pre_mask",
            thinking="none",
            decoder="autoregressive",
            images=MANY_IMAGES if config.model_type in _SEVERAL else 1,
            image_limits=_limits(getattr(self._processor, "image_processor", None)),
        )

    @property
    def name(self) -> str:
        """The model spec that names this backend."""
        return f"outlines/{self._label}"

    @property
    def capabilities(self) -> Capabilities:
        """What this backend can do."""
        return self._capabilities

    def __repr__(self) -> str:
        """Name the model."""
        return f"{type(self).__name__}({self.name!r})"

    def generate(self, request: Request) -> Reply:
        """Make one call, after those that came before it."""
        if not self._capabilities.knockout:
            refuse_hidden(request, self.name)
        with self._lock:
            if self._closed:
                msg = "this model is closed"
                raise UsageError(msg, hint="load it again")
            started = time.perf_counter()
            try:
                # llguidance compiles a kernel at its first use, which takes longer than a reply.
                eager = self._torch.compiler.set_stance("force_eager")
                with self._torch.inference_mode(), eager:
                    return self._generate(request, started)
            except RuntimeError as error:
                msg = f"{self.name} failed: {error}"
                raise BackendError(msg, hint="it may be out of memory") from error

    def _generate(self, request: Request, started: float) -> Reply:
        inputs = self._inputs(request)
        ids = inputs["input_ids"]
        processors = [recorder := _Recorder(self._torch, request.top_logprobs)]
        if request.schema is not None:
            rest = regex_of_rest(filled(request.schema), request.prefix)
            processors.append(self._constraints.get_regex_logits_processor(rest))
        cached, begun = self._beginning(request, inputs)
        here = self._model.device
        own = [here] if here.type == "cuda" else []
        with self._torch.random.fork_rng(own, enabled=request.temperature > 0):
            if request.seed is not None:
                self._torch.manual_seed(request.seed)
            made = self._model.generate(
                **begun,
                max_new_tokens=request.max_tokens,
                logits_processor=processors,
                pad_token_id=self._tokenizer.pad_token_id or self._tokenizer.eos_token_id,
                **_sampling(request.temperature),
            )[0, ids.shape[1] :].tolist()
        ended = bool(made) and made[-1] in _ends(self._model, self._tokenizer)
        tokens = tuple(
            Token(self._bytes(token), {self._bytes(other): value for other, value in top})
            for token, top in zip(made[: -1 if ended else None], recorder.tops, strict=False)
        )
        data = b"".join(token.data for token in tokens)
        return Reply(
            # A character that was cut in two is lost; the reply says `length` then.
            text=request.prefix + data.decode(errors="ignore"),
            finish="stop" if ended else "length",
            model=self._label,
            fingerprint=self._fingerprint,
            usage=Usage(ids.shape[1], cached, len(made)),
            hidden_thinking_tokens=0,
            latency_s=time.perf_counter() - started,
            tokens=tokens if request.top_logprobs else None,
            constraint="none" if request.schema is None else "grammar",
        )

    def _inputs(self, request: Request) -> dict[str, Any]:
        """The prompt in tokens, and the pictures in numbers."""
        content: list[dict[str, Any]] = [{"type": "text", "text": request.text}]
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        content[:0] = [{"type": "image"}] * len(request.images)
        if request.system:
            said = [{"type": "text", "text": request.system}]
            messages.insert(0, {"role": "system", "content": said})
        chat = self._processor.apply_chat_template(messages, add_generation_prompt=True)
        pictures = None
        if request.images:
            from PIL import Image  # noqa: PLC0415 - slow to load

            pictures = [Image.open(io.BytesIO(i.data)).convert("RGB") for i in request.images]
        made = self._processor(
            text=[chat + request.prefix],
            images=pictures,
            return_tensors="pt",
            add_special_tokens=False,
        )
        # The second argument is for the pixels; tokens stay whole numbers.
        return dict(made.to(self._model.device, self._model.dtype))

    def _beginning(self, request: Request, inputs: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """What to generate from: the inputs, or a kept beginning and the text after it.

        The beginning ends with the last image or, if something is hidden, where that is no more
        in sight.
        """
        ids = inputs["input_ids"]
        hidden: list[int] | None = None
        places = (ids[0] == self._image_token).nonzero().flatten().tolist()
        if request.hidden is not None:
            hidden, end = hidden_places(
                request,
                ids[0].tolist(),
                self._bytes,
                control=frozenset(self._tokenizer.all_special_ids),
                image=self._image_token,
            )
        elif not self._reuse or not request.images or not places:
            return 0, inputs
        else:
            end = places[-1] + 1
        key = (*(image.sha256 for image in request.images), str(ids[0, :end].tolist()))
        kept = self._begun.pop(key, None)
        cached = 0 if kept is None else end
        if kept is None:
            cut = {k: v[:, :end] if v.shape == ids.shape else v for k, v in inputs.items()}
            kept = _cache_of(self._model(**cut, use_cache=True))
        if self._reuse:
            self._begun[key] = kept
        while len(self._begun) > _KEPT:
            self._begun.popitem(last=False)
        text = {k: v for k, v in inputs.items() if v.shape == ids.shape}
        if hidden is not None:
            # Said, because Transformers would count the places from the mask and close the gap.
            text["position_ids"] = self._torch.arange(ids.shape[1], device=ids.device)[None]
            text["attention_mask"] = text["attention_mask"].clone()
            text["attention_mask"][0, hidden] = 0
        return cached, {**text, **copy.deepcopy(kept)}

    def _bytes(self, token: int) -> bytes:
        return bytes(self._constraints.llg_tokenizer.decode_bytes([token]))

    def close(self) -> None:
        """Let go of the model. May be called twice."""
        with self._lock:
            self._closed = True
            self._begun.clear()
            self._model = None


class _Recorder:
    """Notes the likeliest tokens at each place, before anything changes the scores."""

    def __init__(self, torch: Any, count: int) -> None:  # noqa: ANN401 - an optional package
        self._torch, self._count = torch, count
        self.tops: list[list[tuple[int, float]]] = []

    def __call__(self, ids: Any, scores: Any) -> Any:  # noqa: ANN401 - tensors
        del ids
        if self._count:
            count = min(self._count, scores.shape[-1])
            best = scores[0].float().log_softmax(-1).topk(count)
            # From the least likely up, so that of two with the same bytes the likelier stays.
            pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
            self.tops.append(list(pairs)[::-1])
        else:
            self.tops.append([])
        return scores


@hinting
def load_outlines(
    rest: str, *, device: str | None = None, dtype: str | None = None, reuse: bool = True
) -> OutlinesBackend:
    """Load a model of Transformers.

    Args:
        rest: The name of a model on the hub, or a folder.
        device: Where to put it, such as `cuda`; by default a GPU if there is one.
        dtype: Its number format, such as `bfloat16`; by default that of its files.
        reuse: Whether to keep what was computed of an image.

    Returns:
        The backend.

    Raises:
        MissingExtraError: Outlines, Transformers or PyTorch is not installed.
        BackendError: It cannot be loaded.
    """
    if not rest:
        msg = "the model spec 'outlines' does not say which model"
        raise UsageError(msg, hint='write model="outlines/NAME_OR_FOLDER"')
    outlines, transformers, torch = map(_optional, ("outlines", "transformers", "torch"))
    try:
        model = transformers.AutoModelForImageTextToText.from_pretrained(
            rest, dtype=dtype or "auto"
        )
        processor = transformers.AutoProcessor.from_pretrained(rest)
    except (OSError, ValueError) as error:
        msg = f"Transformers cannot load {rest!r}: {str(error).splitlines()[0]}"
        raise BackendError(msg, hint="check the name, and that it is a vision model") from None
    return OutlinesBackend(
        outlines.from_transformers(model.to(_device(device, torch)), processor),
        name=rest,
        reuse=reuse,
        weights=_revision(rest, model),
    )


def _revision(name: str, model: Any) -> str:  # noqa: ANN401 - an optional package
    """The files that a model was loaded from: a commit of the hub, or all that are in a folder."""
    if not Path(name).is_dir():
        return str(getattr(model.config, "_commit_hash", None) or "")
    return digest(path for path in sorted(Path(name).iterdir()) if path.is_file())


def _weights(model: Any, processor: Any) -> str:  # noqa: ANN401 - an optional package
    """A hash of all weights in memory, for a model that may not be what its files are."""
    sha256 = hashlib.sha256(str(getattr(processor, "chat_template", None)).encode())
    for name, tensor in sorted(model.state_dict().items()):
        sha256.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        if tensor.is_meta:
            # It lies on a disk until it is needed; only its name and shape tell it from others.
            continue
        data = tensor.detach().cpu().contiguous().flatten().view(_optional("torch").uint8)
        sha256.update(data.numpy())
    return sha256.hexdigest()[:16]


def _device(said: str | None, torch: Any) -> str:  # noqa: ANN401 - an optional package
    return said or ("cuda" if torch.cuda.is_available() else "cpu")


def _optional(module: str) -> Any:  # noqa: ANN401 - an optional package
    try:
        return import_module(module)
    except ImportError:
        extra = "outlines"
        raise MissingExtraError(extra, needed_for="Running a model of Transformers") from None


def _cache_of(made: Any) -> dict[str, Any]:  # noqa: ANN401 - an optional package
    """What was computed of a prompt, under the name by which a model takes it back."""
    # Transformers 5.24 renamed it, and will refuse the old name.
    name = "cache" if hasattr(made, "cache") else "past_key_values"
    return {name: getattr(made, name)}


def _limits(images: Any) -> ImageLimits:  # noqa: ANN401 - an optional package
    """The images that a processor takes as they are; a fixed square is letterboxed."""
    # One that crops to the middle would lose what stands at the edges of any other shape.
    name = "crop_size" if getattr(images, "do_center_crop", False) else "size"
    size = getattr(images, name, None) or {}
    get = size.get if hasattr(size, "get") else lambda key: getattr(size, key, None)
    height, width = get("height"), get("width")
    if height and height == width and not getattr(images, "do_image_splitting", False):
        return ImageLimits(square=int(height))
    return ImageLimits(media_types=frozenset({"image/png", "image/jpeg"}), max_side=_SIDE)


def _sampling(temperature: float) -> dict[str, Any]:
    # The files of many models have a penalty for repetition, and the form repeats itself. Beams
    # would need a grammar each.
    plain = {"repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "num_beams": 1}
    if not temperature:
        return {**plain, "do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    # The plain softmax: nothing may bend the distribution that samples estimate.
    cut = {"top_p": 1.0, "top_k": 0, "min_p": None}
    return {**plain, **cut, "do_sample": True, "temperature": temperature}


def _ends(model: Any, tokenizer: Any) -> set[int]:  # noqa: ANN401 - an optional package
    ends = model.generation_config.eos_token_id
    listed: Iterable[int] = ends if isinstance(ends, list) else [ends]
    return {end for end in (*listed, tokenizer.eos_token_id) if end is not None}
