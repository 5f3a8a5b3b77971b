"""A model that computes, loaded in several processes.

An engine in this process uses one core, or as many threads as it was given, for one request at a
time. Here each worker is a process of its own with the model in it, and the whole is a backend that
can be awaited. Requests about the image that a worker has just seen go to that worker, because the
image is in its cache. Images are prepared and replies verified in this process.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import connection, get_context, parent_process
from typing import TYPE_CHECKING, Any

from faithful_decide._asking.options import whole
from faithful_decide._batch.entry import from_the_verdict
from faithful_decide._core.types import Token
from faithful_decide.backends.registry import bring, load_backend, loader_to_take_along, split_spec
from faithful_decide.errors import BackendError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future

    from faithful_decide.backends.base import Backend, Capabilities, Reply, Request

__all__ = ["Workers"]


class Workers:
    """A backend in several processes. Safe to call from several threads."""

    def __init__(self, spec: str, count: int, options: Mapping[str, Any]) -> None:
        """Start `count` processes, and load in each the model that a spec and its options name."""
        count = whole("workers", count, 1)
        loader = loader_to_take_along(spec)
        _check_portable(loader, f"the loader of {split_spec(spec)[0]!r}", "at the top of a module")
        for name, value in options.items():
            _check_portable(value, f"the value of {name}", "as text, number, list or dict")
        # Spawned, because an engine does not survive a fork.
        self._pools = [
            ProcessPoolExecutor(1, get_context("spawn"), initializer=_begin) for _ in range(count)
        ]
        self._lock = threading.Lock()
        self._busy = [0] * count
        self._last: list[tuple[str, ...]] = [()] * count
        try:
            loading = [pool.submit(_load, spec, dict(options), loader) for pool in self._pools]
            models = [future.result() for future in loading]
            self._name, self._capabilities, self.identity = models[0]
        except BrokenProcessPool:
            self.close()
            raise _died() from None
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> str:
        """The name of the backend."""
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        return self._capabilities

    def generate(self, request: Request) -> Reply:
        """Make one call, in the process that has the image or that has least to do."""
        try:
            return self._submit(request).result()
        except BrokenProcessPool:
            raise _died() from None

    async def agenerate(self, request: Request) -> Reply:
        """Do what `generate` does, awaited."""
        try:
            return await asyncio.wrap_future(self._submit(request))
        except BrokenProcessPool:
            raise _died() from None

    def _submit(self, request: Request) -> Future[Reply]:
        image = tuple(image.sha256 for image in request.images)
        with self._lock:
            # The one that has this image, unless it has more to do than another.
            worker = min(
                range(len(self._pools)), key=lambda n: (self._busy[n], self._last[n] != image)
            )
            self._busy[worker] += 1
            self._last[worker] = image
            future = self._pools[worker].submit(_generate, request)
        future.add_done_callback(lambda _: self._free(worker))
        return future

    def _free(self, worker: int) -> None:
        with self._lock:
            self._busy[worker] -= 1

    def close(self) -> None:
        """End the processes. May be called twice."""
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)


def _check_portable(value: object, what: str, how: str) -> None:
    """Refuse what cannot be sent: a pool that fails to send it may wait for ever."""
    try:
        pickle.dumps(value)
    except (pickle.PicklingError, AttributeError, TypeError):
        msg = f"{what} cannot be taken to another process"
        raise UsageError(msg, hint=f"write it {how}") from None


def _died() -> BackendError:
    msg = "a worker process ended unexpectedly"
    return BackendError(msg, hint="it may have run out of memory; use fewer workers")


_loaded: list[Backend] = []


def _begin() -> None:
    """Let the parent decide about Ctrl-C, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent.sentinel,), daemon=True).start()


def _follow(parent: int) -> None:
    connection.wait([parent])
    os._exit(1)


def _load(
    spec: str, options: dict[str, Any], loader: Callable[..., Backend] | None
) -> tuple[str, Capabilities, object]:
    bring(spec, loader)
    backend = load_backend(spec, **options)
    _loaded.append(backend)
    return backend.name, backend.capabilities, backend.identity


def _generate(request: Request) -> Reply:
    reply = _loaded[0].generate(request)
    if reply.tokens is None:
        return reply
    # The rest would only be carried from process to process.
    kept = from_the_verdict(reply.tokens)
    return replace(reply, tokens=tuple(Token(token.data, dict(token.top)) for token in kept))
