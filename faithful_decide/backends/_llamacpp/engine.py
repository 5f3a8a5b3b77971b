"""An engine of llama.cpp in this process: how it is started, kept private, and ended.

Starting has three purposes besides speed, each with a setting below.

**The same request gives the same reply.** What the engine still holds of earlier requests is
reused, so a second question about an image does not read the image again. But then the rest of the
prompt is computed in batches of another shape, numbers are added up in another order, and
log-probabilities were measured to move by up to 0.2 with flash attention and 0.07 without. So flash
attention is off, and with `batch=1` every token is computed on its own: there is only one order
then, and the logits are the same to the last bit whatever came before. A small model loses nothing
by it. For a large one it would be slow; there, `reuse=False` computes each request afresh.

**Nobody else can reach it.** The engine always listens for HTTP. A stranger who connects and says
nothing could hold up its end for ever, and this process with it, so it listens on no port: on a
Unix socket, in a folder that only its user may enter, and whose name is removed as soon as it
listens. Where there are no such sockets (Windows), it is bound to this machine at a random number.
Everywhere it answers only to a random key that is forgotten as soon as it is set.

**It says nothing.** What goes wrong is raised, not printed.

An engine ends when it is closed, with the last reference to it, or when the interpreter exits,
which waits for calls under way: their threads could not be stopped, and would run on in what is
torn down. It does not survive `fork`: its threads stay behind in the parent. A child can neither
call an inherited engine nor, next to its remains, start another. Its own end leaves out llama.cpp's
clean-up, which would wait for those threads.
"""

from __future__ import annotations

import atexit
import gc
import os
import secrets
import shutil
import socket
import sys
import tempfile
import threading
import weakref
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from faithful_decide._core.handle import Handle
from faithful_decide.errors import BackendError, MissingExtraError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Engine", "library", "settings"]

_SPAWN = (
    "start processes by spawn: multiprocessing.get_context('spawn'), or close the model before"
    " the fork"
)
_EXIT_S = 60.0
"""How long the end of the interpreter waits for calls under way."""


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
        hint_too_long: str,
    ) -> None:
        """Load the files and start; the numbers are those of `LlamaCppBackend`."""
        if _remains:
            msg = "a model cannot be loaded in a process that was forked while one was open"
            raise UsageError(msg, hint=_SPAWN)
        if _engines:
            # Python does not count the memory of an engine, and would let many pile up in cycles.
            gc.collect()
        xllamacpp = library()
        params = settings(xllamacpp, reuse=reuse)
        params.model.path, params.mmproj.path = str(model), str(mmproj)
        params.n_ctx = n_ctx
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = n_threads
        params.n_gpu_layers = n_gpu_layers
        params.n_ubatch = batch
        params.cache_ram_mib = cache_mib if reuse else 0
        try:
            with _calls.one(), _listening_privately(params):
                server = xllamacpp.Server(params)
                # Comes back only when the engine takes requests. One that is ended before it has
                # got that far never ends.
                server.handle_metrics()
        except (RuntimeError, ValueError) as error:
            msg = f"llama.cpp cannot load {model.name} with {mmproj.name}: {error}"
            hint = "the files may be damaged, belong to different models, or need too much memory"
            raise BackendError(msg, hint=hint) from None
        self._hint_too_long = hint_too_long
        self.version = f"xllamacpp-{xllamacpp.__version__}"
        # Dropping the one lasting reference to the server ends it.
        self._server = Handle(server)
        self._end = weakref.finalize(self, self._server.drop)
        self._end.atexit = False  # the module ends all that are left, once calls are over
        _engines.add(self)

    def chat(self, body: dict[str, Any]) -> dict[str, Any]:
        """Make one chat completion, in the form of OpenAI's API with the engine's additions."""
        if self._server.inherited:
            msg = "this model was loaded before the process was forked"
            raise UsageError(msg, hint=_SPAWN)
        with _calls.one():
            server = self._server.get()
            if server is None:
                msg = "this model is closed"
                raise UsageError(msg, hint="load it again")
            try:
                answer: dict[str, Any] = server.handle_chat_completions(body)
            except (ValueError, RuntimeError) as error:
                raise self._failure({"message": str(error)}) from None
            finally:
                # If it was closed meanwhile, it ends here and not after the call was counted off.
                del server
        if "error" in answer:
            raise self._failure(answer["error"])
        return answer

    def _failure(self, error: dict[str, Any]) -> BackendError | UsageError:
        """Say in our words what the engine says in its own."""
        message = str(error.get("message", error))
        if error.get("type") == "exceed_context_size_error":
            size, limit = error.get("n_prompt_tokens"), error.get("n_ctx")
            msg = f"the request is {size} tokens long, and the context holds {limit}"
            return UsageError(msg, hint=self._hint_too_long)
        if message.startswith("Failed to load image"):
            msg = f"the engine cannot use the image: {message}"
            hint = "check that the image is a PNG or JPEG file, and undamaged"
            return BackendError(msg, hint=hint)
        msg = f"the engine failed: {message}"
        return BackendError(msg, hint="if it fails again, the files of the model may be damaged")

    def close(self) -> None:
        """End it, once the calls that are running have come to their end. May be called twice."""
        _engines.discard(self)
        self._end()


class _Calls:
    """Counts the calls under way in all engines, so that the interpreter can wait for them."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._under_way = 0
        self._over = False

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count a call. When the interpreter is ending, a daemon thread does not get through."""
        with self._change:
            while self._over and threading.current_thread().daemon:
                # Python stops such a thread by itself a moment later.
                self._change.wait()
            self._under_way += 1
        try:
            yield
        finally:
            with self._change:
                self._under_way -= 1
                self._change.notify_all()

    @property
    def busy(self) -> bool:
        """Whether a call is under way."""
        return self._under_way > 0

    def end(self) -> bool:
        """Let no daemon thread begin another, and wait; whether all have come to their end."""
        with self._change:
            self._over = True
            return self._change.wait_for(lambda: not self._under_way, _EXIT_S)


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()
_calls = _Calls()
_remains: list[object] = []
"""The engines that a forked child has inherited."""


def _end_all() -> None:
    """End what is left, at the end of the interpreter."""
    over = _calls.end()
    for engine in list(_engines):
        if over:
            engine.close()
        else:
            engine._server.keep_for_ever()  # noqa: SLF001 - of this module


def _note_remains() -> None:
    """Tell a forked child what it inherited."""
    global _calls  # noqa: PLW0603 - a thread that is not here may hold the parent's
    _remains.extend([*_engines, *[_calls] * _calls.busy])
    _calls = _Calls()
    if "xllamacpp" not in sys.modules:
        return
    import ctypes  # noqa: PLC0415 - needed in forked children only

    libc = ctypes.CDLL(None)
    if hasattr(libc, "on_exit"):  # a C library of Linux; elsewhere such a child needs os._exit
        # Python's own clean-up is done by then. What was registered last is called first, and with
        # the status of the process, so that nothing of llama.cpp's clean-up is.
        libc.on_exit(libc["_exit"], None)


atexit.register(_end_all)
if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork either
    os.register_at_fork(after_in_child=_note_remains)


@contextmanager
def _listening_privately(params: Any) -> Iterator[None]:  # noqa: ANN401 - the engine comes without types
    """Have an engine that is started inside listen where nobody can connect afterwards."""
    with ExitStack() as stack:
        for parent in (None, "/tmp"):  # noqa: S108 - the folder is made by mkdtemp
            try:
                folder = tempfile.mkdtemp(prefix="engine-", dir=parent)
                stack.callback(shutil.rmtree, folder, ignore_errors=True)
                with socket.socket(socket.AF_UNIX) as probe:
                    # The path may be too long for a socket, or the disk may know none.
                    probe.bind(f"{folder}/probe.sock")
            except (AttributeError, OSError):
                continue
            params.hostnames = [f"{folder}/e.sock"]
            break
        yield


def library() -> Any:  # noqa: ANN401 - the engine comes without types
    """The engine's library, or how to install it."""
    try:
        import xllamacpp  # noqa: PLC0415 - optional, and only here
    except ImportError:
        extra = "embedded"
        raise MissingExtraError(extra, needed_for="Running a model in this process") from None
    return xllamacpp


def settings(xllamacpp: Any, *, reuse: bool) -> Any:  # noqa: ANN401 - the engine comes without types
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
