"""llama.cpp inside this process: the embedded model, and any GGUF file with its projector.

The files are yours, or those of a model that is named as on the Hugging Face hub (`_llamacpp.hub`).

The order of a reply is enforced while it is written: a grammar allows the keys in one order and one
layout, from the first byte or from wherever a forced prefix ends (`_regular`). The embedded model
gives the same reply to the same request, and nobody else can use its engine (`_engine`).

Log-probabilities are the model's own, before the grammar and the temperature. Sampling is from the
plain softmax: no top-k, top-p or penalties bend it.

A model file is code: its chat template is run for every request. A backend does not survive `fork`.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from importlib import resources
from typing import TYPE_CHECKING, Any

from faithful_decide._core.schema import filled
from faithful_decide._images.prepare import ImageLimits
from faithful_decide._nearest import hinting
from faithful_decide.backends._digest import digest
from faithful_decide.backends._grammar import gbnf_of_rest
from faithful_decide.backends._llamacpp.choosing import MARK
from faithful_decide.backends._llamacpp.engine import Engine, library
from faithful_decide.backends._llamacpp.gguf import check_gguf, find_pair, parts_of
from faithful_decide.backends._sent import constraint_of
from faithful_decide.backends.base import (
    MANY_IMAGES,
    Capabilities,
    Finish,
    Reply,
    Request,
    Token,
    Usage,
)
from faithful_decide.errors import BackendError, UnsupportedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["LlamaCppBackend", "load_embedded", "load_gguf"]

EMBEDDED_SIDE = 128
"""The embedded model sees a square of this many pixels."""
_EMBEDDED_CONTEXT = 1024
_BATCH = 512
# The engine decodes these by itself; it knows no WEBP.
_MEDIA_TYPES = frozenset({"image/jpeg", "image/png"})
_FINISH: Mapping[str, Finish] = {"stop": "stop", "length": "length", "tool_calls": "tool_call"}
# The engine reads its largest seed as "choose one".
_SEEDS = 2**32 - 1


class LlamaCppBackend:
    """A model in this process. Safe to call from several threads; calls run one after the other."""

    def __init__(
        self,
        model: Path,
        mmproj: Path,
        *,
        name: str,
        label: str,
        image_limits: ImageLimits,
        n_ctx: int,
        n_threads: int,
        n_gpu_layers: int = -1,
        batch: int = _BATCH,
        cache_mib: int = 512,
        reuse: bool = True,
        embedded: bool = False,
        hint_too_long: str = "ask more briefly, or load the model with a larger n_ctx=",
    ) -> None:
        """Start an engine. The options are those of `load_gguf`.

        The `embedded` model was trained for one image and a bare question. With `batch=1`, what the
        engine remembers of earlier requests cannot change a reply.
        `hint_too_long` says what can be done about a request that does not fit into the context.
        """
        for option, value in (("n_ctx", n_ctx), ("n_threads", n_threads)):
            if type(value) is not int or value < 1:
                msg = f"{option} must be an integer of at least 1, not {value!r}"
                raise UsageError(msg)
        parts = parts_of(model)
        for part in parts:
            check_gguf(part, "the model")
        check_gguf(mmproj, "the projector")
        self._name = name
        self._label = label
        self._reuse = reuse
        self._capabilities = Capabilities(
            enforcement="grammar",
            order=True,
            prefix=True,
            logprobs="pre_mask",
            thinking="none",
            decoder="autoregressive",
            findings=not embedded,
            images=1 if embedded else MANY_IMAGES,
            instructions=not embedded,
            image_limits=image_limits,
        )
        self._engine = Engine(
            parts[0],
            mmproj,
            n_ctx=n_ctx,
            n_threads=n_threads,
            n_gpu_layers=n_gpu_layers,
            batch=batch,
            cache_mib=cache_mib,
            reuse=reuse,
            hint_too_long=hint_too_long,
        )
        self._fingerprint = f"{self._engine.version}/{digest([*parts, mmproj])}"
        # What replies depend on: the weights, wherever their files lie.
        self.identity = f"llama.cpp {self._fingerprint} n_ctx={n_ctx} batch={batch}"

    @property
    def name(self) -> str:
        """The model spec that names this backend."""
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        """What this backend can do."""
        return self._capabilities

    def __repr__(self) -> str:
        """Name the model and nothing of the engine."""
        return f"{type(self).__name__}({self._name!r})"

    def generate(self, request: Request) -> Reply:
        """Make one call, without retry."""
        if request.hidden is not None:
            from faithful_decide.backends._knockout import refuse_hidden  # noqa: PLC0415 - rare

            refuse_hidden(request, self.name)
        body = self._body(request)
        started = time.perf_counter()
        answer = self._engine.chat(body)
        latency = time.perf_counter() - started
        choice = answer["choices"][0]
        text = choice["message"]["content"] or ""
        if not text.startswith(request.prefix):
            msg = f"the engine did not continue the forced prefix: {text[:80]!r}"
            raise BackendError(msg, hint="the chat template of this model cannot be continued")
        used = answer["usage"]
        return Reply(
            text=text,
            finish=_FINISH.get(choice["finish_reason"], "unknown"),
            model=self._label,
            fingerprint=self._fingerprint,
            usage=Usage(
                used["prompt_tokens"],
                used["prompt_tokens_details"]["cached_tokens"],
                used["completion_tokens"],
            ),
            hidden_thinking_tokens=0,
            latency_s=latency,
            tokens=_tokens(choice) if request.top_logprobs else None,
            constraint=constraint_of(body, request),
        )

    def _body(self, request: Request) -> dict[str, Any]:
        content: list[dict[str, Any]] = [
            {"type": "image_url", "image_url": {"url": image.data_uri()}}
            for image in request.images
        ]
        content.append({"type": "text", "text": request.text})
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if request.system:
            messages.insert(0, {"role": "system", "content": request.system})
        if request.prefix:
            messages.append({"role": "assistant", "content": request.prefix})
        body: dict[str, Any] = {
            "messages": messages,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "samplers": ["temperature"],
            "cache_prompt": self._reuse,
        }
        if request.schema is not None:
            body["grammar"] = gbnf_of_rest(filled(request.schema), request.prefix)
        if request.seed is not None:
            body["seed"] = request.seed % _SEEDS
        if request.top_logprobs:
            body |= {"logprobs": True, "top_logprobs": request.top_logprobs}
        return body

    def close(self) -> None:
        """Release the model. May be called twice; calls that are running come to their end."""
        self._engine.close()


@hinting
def load_embedded(rest: str = "", *, n_threads: int = 1, reuse: bool = True) -> LlamaCppBackend:
    """Load the small model that comes with the package.

    Args:
        rest: What follows the kind in a model spec: nothing.
        n_threads: Threads to compute with. The model is so small that more than one rarely helps,
            and a second thread on a busy machine slows it down a lot.
        reuse: Whether to keep what was computed of earlier prompts. It changes the time that a
            reply takes and nothing else.

    Returns:
        The backend.

    Raises:
        UsageError: Something follows the kind, or the number cannot be used.
        MissingExtraError: The engine is not installed.
        BackendError: It does not start.
    """
    if rest:
        msg = f"there is one embedded model, and {rest!r} does not name it"
        raise UnsupportedError(msg, hint='use "embedded" alone')
    with ExitStack() as stack:
        # The engine has read the files when it has started; from a zipped package they are copies.
        folder = resources.files("faithful_decide") / "embedded"
        model, mmproj = (
            stack.enter_context(resources.as_file(folder / file))
            for file in ("model.gguf", "mmproj.gguf")
        )
        return LlamaCppBackend(
            model,
            mmproj,
            name="embedded",
            label="faithful-decide-embedded",
            image_limits=ImageLimits(square=EMBEDDED_SIDE),
            n_ctx=_EMBEDDED_CONTEXT,
            n_threads=n_threads,
            n_gpu_layers=0,
            batch=1,
            cache_mib=16,
            reuse=reuse,
            embedded=True,
            hint_too_long="ask more briefly, or ask another model",
        )


@hinting
def load_gguf(
    rest: str,
    *,
    n_ctx: int = 8192,
    n_threads: int | None = None,
    n_gpu_layers: int = -1,
    cache_mib: int = 512,
    reuse: bool = True,
) -> LlamaCppBackend:
    """Load a GGUF file and its projector, from a path or by its name on the Hugging Face hub.

    Args:
        rest: `PATH` or `PATH#MMPROJ`; without a projector, the one beside the model is used. Or
            `hf:OWNER/REPO[:QUANT][#MMPROJ]`: both files are fetched once into the cache of
            `huggingface_hub` and checked.
        n_ctx: Tokens of prompt and reply together; an image takes some hundreds of them.
        n_threads: Threads to compute with; by default one per physical core, taken as half of the
            logical ones.
        n_gpu_layers: Layers to put on a GPU if there is one; -1 for as many as fit.
        cache_mib: Memory for what was computed of earlier prompts.
        reuse: Whether to use it. Without reuse every request is computed afresh and its reply
            cannot depend on earlier ones, at the price of reading the image each time.

    Returns:
        The backend.

    Raises:
        UsageError: A file or a number cannot be used, or the hub has no such model.
        AuthError: The hub wants to know who you are, or that you accepted its terms.
        MissingExtraError: The engine is not installed, or what fetches models is not.
        StorageError: A model that is fetched finds no room.
        TransientError: The hub cannot be reached.
        BackendError: The engine does not start, or what came from the hub is damaged.
    """
    if rest.startswith(MARK):
        from faithful_decide.backends._llamacpp.hub import fetch_pair  # noqa: PLC0415 - rarely wanted

        library()  # before anything is fetched that could not be run
        model, mmproj = fetch_pair(rest)
    else:
        model, mmproj = find_pair(rest)
    return LlamaCppBackend(
        model,
        mmproj,
        name=f"gguf/{rest}",
        label=model.stem,
        image_limits=ImageLimits(media_types=_MEDIA_TYPES, max_bytes=None),
        n_ctx=n_ctx,
        n_threads=((os.cpu_count() or 1) + 1) // 2 if n_threads is None else n_threads,
        n_gpu_layers=n_gpu_layers,
        cache_mib=cache_mib,
        reuse=reuse,
    )


def _tokens(choice: Mapping[str, Any]) -> tuple[Token, ...]:
    listed = (choice.get("logprobs") or {}).get("content") or ()
    return tuple(Token(bytes(token["bytes"]), _top(token["top_logprobs"])) for token in listed)


def _top(listed: list[dict[str, Any]]) -> dict[bytes, float]:
    """What might have stood at one position.

    Control tokens have no bytes and share the empty key. They are read from the least likely up, so
    that the likeliest of them stays.
    """
    return {bytes(token["bytes"]): token["logprob"] for token in reversed(listed)}
