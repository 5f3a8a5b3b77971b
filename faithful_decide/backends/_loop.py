"""A thread with an event loop, on which a backend keeps its connections.

Connections belong to the loop they were made on, and callers come from everywhere: blocking, from
several threads, from loops that end. So a backend has a loop of its own. Blocking and awaited calls
are the same coroutine on it, and giving up cancels that coroutine, which closes its connection.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from concurrent.futures import CancelledError as Cancelled
from typing import TYPE_CHECKING, TypeVar

from faithful_decide.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from concurrent.futures import Future
    from typing import Any

__all__ = ["Loop"]

_T = TypeVar("_T")


class Loop:
    """Runs coroutines for callers of any kind. Safe to use from several threads."""

    def __init__(self) -> None:
        """Start the thread."""
        self._loop = asyncio.new_event_loop()
        self._pid = os.getpid()
        self._closed = False
        self._lock = threading.Lock()
        thread = threading.Thread(target=_run, args=(self._loop,), daemon=True, name="backend")
        thread.start()
        self._end = weakref.finalize(self, _stop, self._loop, thread)

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine and wait for it.

        Args:
            work: What to run; it is cancelled if waiting is interrupted.

        Returns:
            What it returns.

        Raises:
            UsageError: The loop has ended.
        """
        future = self._begun(work)
        try:
            return future.result()
        except Cancelled:
            raise self._over() from None
        except BaseException:
            future.cancel()
            raise

    async def arun(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine and await it.

        Args:
            work: What to run; it is cancelled with the caller.

        Returns:
            What it returns.

        Raises:
            UsageError: The loop has ended.
        """
        try:
            return await asyncio.wrap_future(self._begun(work))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._closed and task is not None and not task.cancelling():
                # Not this caller was cancelled, but the loop under it.
                raise self._over() from None
            raise

    def _begun(self, work: Coroutine[Any, Any, _T]) -> Future[_T]:
        with self._lock:
            if not self._closed and not self._loop.is_closed() and os.getpid() == self._pid:
                return asyncio.run_coroutine_threadsafe(work, self._loop)
        work.close()
        raise self._over()

    def _over(self) -> UsageError:
        why = "is closed" if self._closed else "was made in another process"
        msg = f"the backend {why}"
        return UsageError(msg, hint="load a backend in each process, and close it last")

    def close(self, last: Coroutine[Any, Any, None]) -> None:
        """End the thread; what still runs is cancelled. May be called twice.

        Args:
            last: What to run at the very end.
        """
        with self._lock:
            again, self._closed = self._closed, True
        # Closed already by itself, where the interpreter is ending.
        if again or self._loop.is_closed() or os.getpid() != self._pid:
            last.close()
            return
        try:
            asyncio.run_coroutine_threadsafe(_cancel_others(), self._loop).result()
            asyncio.run_coroutine_threadsafe(last, self._loop).result()
        finally:
            self._end()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    rest = asyncio.all_tasks(loop)
    for task in rest:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
