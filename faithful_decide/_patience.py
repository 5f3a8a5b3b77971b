"""Patience: what is done about failures that pass by themselves, for every backend in one place.

A backend makes one call and tells what went wrong. Above it, a call that failed in a way that may
pass (`TransientError`) is made again, after a pause that doubles and is drawn at random, until its
time is up. The random pause keeps callers who failed together from failing together again.

A server that says how long it wants to be left alone says it to one caller, but means all of them.
So all calls of this process to one model go through one `Gate`. It is shut for as long as the
server asked, and it opens a crack: after a refusal one call is let through, and with every success
one more than before may be under way, so that a server which is still busy refuses one call and
not all of them (the slow start of TCP; Jacobson, Congestion Avoidance and Control, 1988).

Time is measured for the whole decision: a call that cannot end in time is not begun, and one that
is under way is given up. A single call gets a third of it at most, so that a connection which hangs
leaves time for two more.

A backend that remembers is asked for what it knows before anything of this begins, and a reply is
given to it before it is handed on.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakValueDictionary

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    Retrying,
    retry_if_exception,
    wait_random_exponential,
)

from faithful_decide._backend import AsyncBackend, Remembering
from faithful_decide.errors import TransientError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faithful_decide._backend import Backend, Reply, Request

__all__ = ["Gate", "Patience", "gate_of"]

START = 2
"""Calls that may be under way before the first success."""
PART = 3
"""A single call may take this part of the time at most."""
_BACKOFF = wait_random_exponential(multiplier=0.5, max=30.0)
_Loop = TypeVar("_Loop", Retrying, AsyncRetrying)


class Gate:
    """Lets calls to a server through, as many at once as it bears. Safe to use from any thread."""

    def __init__(self, start: int = START) -> None:
        """Open the gate.

        Args:
            start: Calls that may be under way at once before anything is known of the server.
        """
        self._lock = threading.Lock()
        self._epoch = 0
        self._room = start
        self._inside = 0
        self._opens = 0.0
        self._waiting: deque[Future[None]] = deque()

    def knock(self) -> Future[None] | None:
        """Ask to be let in.

        Returns:
            None where the way is free, else what becomes done when it is this caller's turn.
        """
        with self._lock:
            if not self._waiting and self._inside < self._room:
                self._inside += 1
                return None
            turn: Future[None] = Future()
            self._waiting.append(turn)
            return turn

    def give_up(self, turn: Future[None]) -> None:
        """Stop waiting.

        Args:
            turn: What `knock` returned.
        """
        if not turn.cancel():
            # It was this caller's turn at the very moment that it gave up.
            self.leave(refused=False, useful=False)

    def shut_for(self) -> float:
        """How many seconds the gate stays shut, 0.0 or less if it is open."""
        return self._opens - time.monotonic()

    @property
    def epoch(self) -> int:
        """How often the server has refused; a call that began earlier says nothing about now."""
        return self._epoch

    def leave(
        self, *, refused: bool, useful: bool = True, pause: float = 0.0, epoch: int | None = None
    ) -> None:
        """Say how a call ended.

        Args:
            refused: Whether the server had too many calls.
            useful: Whether the end says anything about how much the server bears.
            pause: Seconds for which the server is not to be asked again.
            epoch: The epoch in which the call began; by default the present one.
        """
        with self._lock:
            useful = useful and epoch in {None, self._epoch}
            if refused:
                self._room = 1
                self._epoch += 1
                self._opens = max(self._opens, time.monotonic() + pause)
            elif useful and self._inside >= self._room:
                # Only a full room that went well says that there may be more.
                self._room += 1
            self._inside -= 1
            while self._waiting and self._inside < self._room:
                turn = self._waiting.popleft()
                if turn.set_running_or_notify_cancel():
                    self._inside += 1
                    turn.set_result(None)


_GATES: WeakValueDictionary[str, Gate] = WeakValueDictionary()
_GATES_LOCK = threading.Lock()


def _forget_gates() -> None:
    """In a forked child nobody will ever leave the gates of its parent."""
    global _GATES, _GATES_LOCK
    _GATES, _GATES_LOCK = WeakValueDictionary(), threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork either
    os.register_at_fork(after_in_child=_forget_gates)


class _OutOfTimeError(TransientError):
    """There is no time left for a call; asking again would only find that out again."""


def gate_of(name: str) -> Gate:
    """Find the gate in front of a model.

    Args:
        name: The name of the backend.

    Returns:
        The same gate for the same name, for as long as anybody holds it.
    """
    with _GATES_LOCK:
        return _GATES.setdefault(name, Gate())


class Patience:
    """Makes calls to one backend until they succeed, fail for good, or time is up."""

    def __init__(self, backend: Backend, timeout_s: float) -> None:
        """Start the clock.

        Args:
            backend: What to call.
            timeout_s: Seconds for all calls that are made here together.
        """
        self._backend = backend
        self._deadline = time.monotonic() + timeout_s
        self._timeout_s = timeout_s
        self._gate = gate_of(backend.name)
        self._memory = backend if isinstance(backend, Remembering) else None
        self._asked: list[Request] = []

    def call(self, request: Request) -> Reply:
        """Make a call, blocking.

        Args:
            request: What to send.

        Returns:
            The reply.

        Raises:
            TransientError: The time is up.
            BackendError: Waiting does not help.
        """
        return self._call(request, self._nth(request))

    async def acall(self, request: Request) -> Reply:
        """Make a call, awaited. A backend that cannot be awaited is called in a thread.

        Args:
            request: What to send.

        Returns:
            The reply.

        Raises:
            TransientError: The time is up.
            BackendError: Waiting does not help.
        """
        # Before anything is awaited, so that calls are counted in the order of the plan.
        nth = self._nth(request)
        if not isinstance(self._backend, AsyncBackend):
            return await asyncio.to_thread(self._call, request, nth)
        if self._memory is not None and (known := self._memory.recall(request, nth)) is not None:
            return known
        reply: Reply = await self._retrying(AsyncRetrying)(self._aonce, self._backend, request)
        if self._memory is not None:
            self._memory.remember(request, nth, reply)
        return reply

    def _call(self, request: Request, nth: int) -> Reply:
        if self._memory is not None and (known := self._memory.recall(request, nth)) is not None:
            return known
        reply: Reply = self._retrying(Retrying)(self._once, request)
        if self._memory is not None:
            self._memory.remember(request, nth, reply)
        return reply

    def _nth(self, request: Request) -> int:
        """How often the same was asked before."""
        if self._memory is None:
            return 0
        nth = self._asked.count(request)
        self._asked.append(request)
        return nth

    def _retrying(self, kind: type[_Loop]) -> _Loop:
        """A loop of attempts; one that could not be made in time is not waited for."""
        return kind(
            retry=retry_if_exception(
                lambda error: (
                    isinstance(error, TransientError) and not isinstance(error, _OutOfTimeError)
                )
            ),
            wait=self._pause,
            stop=lambda state: state.upcoming_sleep > self._left(),
            reraise=True,
        )

    @staticmethod
    def _pause(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, TransientError) else None
        return max(asked or 0.0, _BACKOFF(state))

    def _once(self, request: Request) -> Reply:
        self._enter()
        with self._inside():
            return self._backend.generate(self._timed(request))

    async def _aonce(self, backend: AsyncBackend, request: Request) -> Reply:
        await self._aenter()
        with self._inside():
            timed = self._timed(request)
            try:
                async with asyncio.timeout(timed.timeout_s):
                    return await backend.agenerate(timed)
            except TimeoutError:
                msg = f"{self._backend.name} did not reply within {timed.timeout_s:.3g} seconds"
                raise TransientError(msg) from None

    @contextmanager
    def _inside(self) -> Iterator[None]:
        """Tell the gate how a call ends."""
        epoch = self._gate.epoch
        try:
            yield
        except TransientError as error:
            busy = error.retry_after is not None
            self._gate.leave(refused=busy, useful=False, pause=error.retry_after or 0.0)
            raise
        except BaseException:
            self._gate.leave(refused=False, useful=False)
            raise
        self._gate.leave(refused=False, epoch=epoch)

    def _timed(self, request: Request) -> Request:
        return replace(request, timeout_s=max(0.0, min(self._left(), self._timeout_s / PART)))

    def _left(self) -> float:
        return self._deadline - time.monotonic()

    def _late(self) -> TransientError:
        msg = (
            f"{self._backend.name} cannot be asked within the {self._timeout_s:g} seconds there are"
        )
        return _OutOfTimeError(msg, hint="raise timeout, or ask again later")

    def _enter(self) -> None:
        turn = self._gate.knock()
        if turn is not None:
            with self._waiting(turn):
                turn.result(max(0.0, self._left()))
        with self._leaving_early():
            while (shut := self._gate.shut_for()) > 0:
                self._check(shut)
                time.sleep(shut)

    async def _aenter(self) -> None:
        turn = self._gate.knock()
        if turn is not None:
            with self._waiting(turn):
                async with asyncio.timeout(max(0.0, self._left())):
                    await asyncio.shield(asyncio.wrap_future(turn))
        with self._leaving_early():
            while (shut := self._gate.shut_for()) > 0:
                self._check(shut)
                await asyncio.sleep(shut)

    @contextmanager
    def _waiting(self, turn: Future[None]) -> Iterator[None]:
        """Stop waiting for a turn if time runs out, or the caller goes away."""
        try:
            yield
        except BaseException as error:
            self._gate.give_up(turn)
            if isinstance(error, TimeoutError):
                raise self._late() from None
            raise

    @contextmanager
    def _leaving_early(self) -> Iterator[None]:
        """Make room for the next caller if this one gives up before its call."""
        try:
            yield
        except BaseException:
            self._gate.leave(refused=False, useful=False)
            raise

    def _check(self, pause: float) -> None:
        if pause > self._left():
            raise self._late()
