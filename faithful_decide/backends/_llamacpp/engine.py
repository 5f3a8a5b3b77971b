"""An engine of llama.cpp in this process: how it is started, kept private, and ended.

Starting has three purposes besides speed, each with a setting below.

**The same request gives the same reply.** What the engine still holds of earlier requests is
reused, so a second question about an image does not read the image again. But then the rest of the
prompt is computed in batches of another shape, numbers are added up in another order, and
log-probabilities were measured to move by up to 0.2 with flash attention and 0.07 without. So flash
attention is off, and with `batch=1` every token is computed on its own: there is only one order
then, and the logits are the same to the last bit whatever came before. A small model loses nothing
by it. For a large one it would be slow; there, `reuse=False` computes each request afresh.

**Nobody else can use it.** The engine always opens an HTTP port. It is bound to this machine, at a
random number, and answers only to a random key that is forgotten as soon as it is set.

**It says nothing.** What goes wrong is raised, not printed.

An engine ends when it is closed, with the last reference to it, or when the interpreter exits. It
does not survive `fork`: its threads stay behind in the parent. A child that calls an inherited
engine gets an error instead of waiting for ever. It has to end as children of `multiprocessing` do,
by `os._exit`: on the usual way out, llama.cpp's own clean-up waits for those threads.
"""

from __future__ import annotations

import os
import secrets
import weakref
from typing import TYPE_CHECKING, Any

from faithful_decide.errors import BackendError, MissingExtraError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Engine"]


class Engine:
    """A running engine. Calls from several threads queue; each is answered on its own."""

    def __init__(
        self,
        model: Path,
        mmproj: Path,
        *,
        n_ctx: int,
        n_threads: int,
        n_gpu_layers: int,
        batch: int,
        cache_mib: int,
        reuse: bool,
    ) -> None:
        """Load the files and start.

        Args:
            model: The language model.
            mmproj: Its projector.
            n_ctx: Tokens of prompt and reply together.
            n_threads: Threads to compute with.
            n_gpu_layers: Layers to put on a GPU if there is one; -1 for as many as fit.
            batch: Tokens of a prompt to compute at a time.
            cache_mib: Memory for what was computed of earlier prompts.
            reuse: Whether to use it.

        Raises:
            MissingExtraError: The engine is not installed.
            BackendError: It does not start.
        """
        xllamacpp = _xllamacpp()
        params = _params(xllamacpp, reuse=reuse)
        params.model.path, params.mmproj.path = str(model), str(mmproj)
        params.n_ctx = n_ctx
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = n_threads
        params.n_gpu_layers = n_gpu_layers
        params.n_ubatch = batch
        params.cache_ram_mib = cache_mib if reuse else 0
        try:
            server = xllamacpp.Server(params)
            # Comes back only when the engine takes requests. One that is ended before it has got
            # that far never ends.
            server.handle_metrics()
        except (RuntimeError, ValueError) as error:
            msg = f"llama.cpp cannot load {model.name} with {mmproj.name}: {error}"
            hint = "the files may be damaged, belong to different models, or need too much memory"
            raise BackendError(msg, hint=hint) from None
        self.version = f"xllamacpp-{xllamacpp.__version__}"
        # The one lasting reference to the server, in a list so that emptying it ends the server.
        self._server = [server]
        self._pid = os.getpid()
        self._end = weakref.finalize(self, self._server.clear)
        _running.add(self)

    def chat(self, body: dict[str, Any]) -> dict[str, Any]:
        """Make one chat completion.

        Args:
            body: The request, in the form of OpenAI's API with the engine's additions.

        Returns:
            The answer in the same form.

        Raises:
            UsageError: The engine was closed, or inherited by `fork`.
            BackendError: It refused or failed.
        """
        server = self._running_server()
        try:
            answer: dict[str, Any] = server.handle_chat_completions(body)
        except (ValueError, RuntimeError) as error:
            raise _failure({"message": str(error)}) from None
        if "error" in answer:
            raise _failure(answer["error"])
        return answer

    def _running_server(self) -> Any:  # noqa: ANN401 - the engine comes without types
        if self._pid != os.getpid():
            msg = "this model was loaded before the process was forked"
            raise UsageError(msg, hint="load it in each process, or start processes by spawn")
        # One look at the list: another thread may empty it between two.
        for server in self._server:
            return server
        msg = "this model is closed"
        raise UsageError(msg, hint="load it again")

    def close(self) -> None:
        """End it, once the calls that are running have come to their end. May be called twice."""
        self._end()

    def abandon(self) -> None:
        """Never end it: in a forked child that would wait for threads only the parent has."""
        import ctypes  # noqa: PLC0415 - needed in forked children only

        for server in self._server:
            # One reference too many: not even the end of the interpreter will drop the last one.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(server))


_running: weakref.WeakSet[Engine] = weakref.WeakSet()


def _abandon_all() -> None:
    for engine in _running:
        engine.abandon()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork either
    os.register_at_fork(after_in_child=_abandon_all)


def _xllamacpp() -> Any:  # noqa: ANN401 - the engine comes without types
    try:
        import xllamacpp  # noqa: PLC0415 - optional, and only here
    except ImportError:
        extra = "embedded"
        raise MissingExtraError(extra, needed_for="Running a model in this process") from None
    return xllamacpp


def _params(xllamacpp: Any, *, reuse: bool) -> Any:  # noqa: ANN401 - the engine comes without types
    """The settings that all models share; see the top of this module for the reasons."""
    params = xllamacpp.CommonParams()
    params.n_parallel = 1
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.cache_prompt = reuse
    params.cache_idle_slots = False
    # A reply is shown as it was generated, with no thoughts taken out of it. The parser called
    # "pure" would be the obvious choice, but it strips leading blanks.
    params.reasoning_format = xllamacpp.common_reasoning_format.COMMON_REASONING_FORMAT_NONE
    params.enable_reasoning = 0
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [secrets.token_urlsafe(32)]
    params.n_threads_http = 1
    params.ui = params.endpoint_slots = params.endpoint_props = False
    params.endpoint_metrics = True
    params.verbosity = -1
    params.warmup = False
    return params


def _failure(error: dict[str, Any]) -> BackendError:
    """Say in our words what the engine says in its own."""
    message = str(error.get("message", error))
    if error.get("type") == "exceed_context_size_error":
        size, limit = error.get("n_prompt_tokens"), error.get("n_ctx")
        msg = f"the request is {size} tokens long, and the context holds {limit}"
        return BackendError(msg, hint="ask more briefly, or load the model with a larger n_ctx=")
    if "image" in message.lower():
        msg = f"the engine cannot use the image: {message}"
        return BackendError(msg, hint="check that the image is a PNG or JPEG file, and undamaged")
    return BackendError(f"the engine failed: {message}")
