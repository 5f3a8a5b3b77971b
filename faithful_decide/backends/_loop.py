"""A thread with an event loop, on which a backend keeps its connections.

Connections belong to the loop they were made on, and callers come from everywhere: blocking, from
several threads, from loops that end. So a backend has a loop of its own. Blocking and awaited calls
are the same coroutine on it, and giving up cancels that coroutine, which closes its connection.

Whatever happens, a caller that waits is told. `SystemExit` and `KeyboardInterrupt` out of code of
the caller's own (a rule, a backend, a generator of images) would end an event loop; here they reach
the one who waits, and the loop goes on. A loop that cannot go on says why to all who wait for it.

A loop ends when it is closed, with the last reference to it, or with the interpreter. What has to
be closed on the loop, such as connections, is closed in all three cases. With the interpreter,
daemon threads that still wait end without a word: nobody is left who could be told.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import weakref
from concurrent.futures import CancelledError as Cancelled
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from faithful_decide.errors import BackendError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

__all__ = ["Loop"]

_T = TypeVar("_T")
_ENDING_S = 5.0
"""How long to wait for the end of a loop."""
_LAST_S = 2.0
"""How long what is run last may take."""


@dataclass(slots=True)
class _State:
    """What a loop, its thread and its callers share. It does not keep the `Loop` alive."""

    last: Callable[[], Coroutine[Any, Any, None]] | None
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    pid: int = field(default_factory=os.getpid)
    lock: threading.RLock = field(default_factory=threading.RLock)
    ending: bool = False
    broke: BaseException | None = None
    """Why the loop ended by itself."""
    waiting: dict[Future[Any], tuple[Coroutine[Any, Any, Any], ...]] = field(default_factory=dict)
    thread: threading.Thread = field(init=False)


class Loop:
    """Runs coroutines for callers of any kind. Safe to use from several threads."""

    def __init__(self, last: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
        """Start the thread. `last` is run at the very end; it must not know of this object."""
        self._state = state = _State(last)
        state.thread = threading.Thread(target=_run, args=(state,), daemon=True, name="backend")
        state.thread.start()
        self._end = weakref.finalize(self, _end, state)

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine and wait for it; it is cancelled if waiting is interrupted."""
        future = self._begun(work)
        try:
            outcome = future.result()
        except Cancelled:
            over = self._over()
            raise over from over.__cause__
        except BaseException:
            future.cancel()
            raise
        return _told(outcome)

    async def arun(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine and await it; it is cancelled with the caller."""
        try:
            outcome = await asyncio.wrap_future(self._begun(work))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._state.ending and task is not None and not task.cancelling():
                # Not this caller was cancelled, but the loop under it.
                over = self._over()
                raise over from over.__cause__
            raise
        return _told(outcome)

    def _begun(self, work: Coroutine[Any, Any, _T]) -> Future[_Outcome[_T]]:
        state = self._state
        with state.lock:
            if not state.ending and state.pid == os.getpid():
                outcome = _outcome(work)
                future = asyncio.run_coroutine_threadsafe(outcome, state.loop)
                state.waiting[future] = (outcome, work)
                future.add_done_callback(lambda done: state.waiting.pop(done, None))
                return future
        work.close()
        raise self._over()

    def _over(self) -> UsageError | BackendError:
        """Why nothing can be run any more."""
        state = self._state
        _rest_if_leaving()
        if state.pid != os.getpid():
            msg = "the backend was made in another process"
            return UsageError(msg, hint="load a backend in each process")
        if state.broke is None:
            return UsageError("the backend is closed", hint="load it again, and close it last")
        error: UsageError | BackendError
        if _in_gevent():
            msg = "gevent puts all threads into one, where only one event loop can run, not two"
            hint = "leave threads alone with monkey.patch_all(thread=False), or use another process"
            error = UsageError(msg, hint=hint)
        else:
            msg = f"the event loop of the backend broke: {state.broke!r}"
            error = BackendError(msg, hint="load the backend again")
        error.__cause__ = state.broke
        return error

    def close(self) -> None:
        """End the thread; what still runs is cancelled. May be called twice."""
        self._end()


_Outcome = tuple[_T | None, BaseException | None]


async def _outcome(work: Coroutine[Any, Any, _T]) -> _Outcome[_T]:
    """What a coroutine returned, or what it raised: nothing leaves a task that ends the loop."""
    try:
        return await work, None
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # It comes from the caller's own code, and nobody cancelled anything here.
        return None, error
    except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
        return None, error


def _told(outcome: _Outcome[_T]) -> _T:
    result, error = outcome
    if error is None:
        return result  # type: ignore[return-value] # the other half of the outcome
    _rest_if_leaving()
    try:
        raise error
    finally:
        # A frame that holds an error which holds the frame is found by the collector only.
        del error, outcome


def _rest_if_leaving() -> None:
    """Where the interpreter is ending, let a daemon thread end with it instead of complaining."""
    # Set before threads of executors are ended, from when on every call fails.
    ending = getattr(threading, "_SHUTTING_DOWN", False) or not threading.main_thread().is_alive()
    while ending and threading.current_thread().daemon:
        time.sleep(3600)


def _in_gevent() -> bool:
    gevent = sys.modules.get("gevent.monkey")
    return gevent is not None and bool(gevent.is_module_patched("threading"))


def _run(state: _State) -> None:
    asyncio.set_event_loop(state.loop)
    try:
        while not state.ending:
            # What is raised here was raised in a task, which holds it for those who wait.
            with suppress(SystemExit, KeyboardInterrupt):
                state.loop.run_forever()
    except BaseException as error:  # noqa: BLE001 - told to all who wait
        state.broke = error
    finally:
        with state.lock:
            state.ending = True
        _finish(state)


def _finish(state: _State) -> None:
    """Cancel what still runs, run what comes last, and close the loop."""
    work = _last(state)
    try:
        with suppress(SystemExit, KeyboardInterrupt):
            state.loop.run_until_complete(work)
    except BaseException as error:  # noqa: BLE001 - a loop that broke runs nothing any more
        state.broke = state.broke or error
        state.loop.set_exception_handler(lambda *_: None)
        work.close()
    for future, coroutines in list(state.waiting.items()):
        future.cancel()
        for coroutine in coroutines:
            coroutine.close()
    state.loop.close()


async def _last(state: _State) -> None:
    # One turn, in which what was handed over from other threads becomes tasks.
    await asyncio.sleep(0)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    if state.last is not None:
        with suppress(Exception):
            await asyncio.wait_for(state.last(), _LAST_S)
    await asyncio.get_running_loop().shutdown_asyncgens()


def _end(state: _State) -> None:
    """Stop a loop from wherever its end is called for: a caller, the collector, or `atexit`."""
    if state.pid != os.getpid():
        return
    with state.lock:
        state.ending = True
        if not state.loop.is_closed():
            state.loop.call_soon_threadsafe(state.loop.stop)
    if threading.current_thread() is not state.thread:
        state.thread.join(_ENDING_S)
