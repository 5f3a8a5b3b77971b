"""Patience: what is done about failures that pass by themselves, for every backend in one place.

A backend makes one call and tells what went wrong. Above it, a call that failed in a way that may
pass (`TransientError`) is made again, after a pause that doubles and is drawn at random, until its
time is up. The random pause keeps callers who failed together from failing together again. How
many calls may be under way at once is up to the `Gate` of the model, which all its callers share.

Time is measured for the whole decision: a call that cannot end in time is not begun, and one that
is under way is given up. A single call gets a third of it at most, so that a connection which hangs
leaves time for two more.

A backend that remembers is asked for what it knows before anything of this begins, and a reply is
given to it before it is handed on.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    wait_random_exponential,
)

from faithful_decide._asking.limiter import gate_of
from faithful_decide._asking.same_model import check_model
from faithful_decide.backends.base import AsyncBackend, Remembering
from faithful_decide.errors import TransientError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faithful_decide._asking.limiter import Place
    from faithful_decide.backends.base import Backend, Reply, Request

__all__ = ["Patience"]

PART = 3
"""A single call may take this part of the time at most."""
_BACKOFF = wait_random_exponential(multiplier=0.5, max=30.0)
_Loop = TypeVar("_Loop", Retrying, AsyncRetrying)


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
        self.waits = isinstance(backend, AsyncBackend)
        """Whether calls wait for a server, so that many may be under way."""

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
        return self._of_the_model(self._call(request, self._nth(request)))

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
        # Counted before anything is awaited, so in the order of the plan.
        return self._of_the_model(await self._acall(request, self._nth(request)))

    def _of_the_model(self, reply: Reply) -> Reply:
        check_model(self._backend, reply)
        return reply

    async def _acall(self, request: Request, nth: int) -> Reply:
        if not isinstance(self._backend, AsyncBackend):
            return await asyncio.to_thread(self._call, request, nth)
        if self._memory is not None and (known := self._memory.recall(request, nth)) is not None:
            return known
        with self._retrying(AsyncRetrying) as retrying:
            reply: Reply = await retrying(self._aonce, self._backend, request)
        if self._memory is not None:
            self._memory.remember(request, nth, reply)
        return reply

    def _call(self, request: Request, nth: int) -> Reply:
        if self._memory is not None and (known := self._memory.recall(request, nth)) is not None:
            return known
        with self._retrying(Retrying) as retrying:
            reply: Reply = retrying(self._once, request)
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

    @contextmanager
    def _retrying(self, kind: type[_Loop]) -> Iterator[_Loop]:
        """A loop of attempts; one that could not be made in time is not waited for."""
        loop = kind(
            retry=retry_if_exception_type(TransientError),
            wait=self._pause,
            stop=lambda state: state.upcoming_sleep > self._left(),
            reraise=True,
        )
        try:
            yield loop
        finally:
            # Its last steps refer to itself: a model that nobody holds would stay until garbage is
            # collected, and a model is large.
            loop.iter_state.reset()

    @staticmethod
    def _pause(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, TransientError) else None
        return max(asked or 0.0, _BACKOFF(state))

    def _once(self, request: Request) -> Reply:
        place = self._gate.knock()
        with self._waiting(place):
            while not place.turn.done():
                with suppress(TimeoutError):
                    place.turn.result(self._until_next_look())
                self._gate.look()
        with self._inside(place):
            return self._backend.generate(self._timed(request))

    async def _aonce(self, backend: AsyncBackend, request: Request) -> Reply:
        place = self._gate.knock()
        with self._waiting(place):
            turn = None if place.turn.done() else asyncio.wrap_future(place.turn)
            while turn and not place.turn.done():
                await asyncio.wait([turn], timeout=self._until_next_look())
                self._gate.look()
        with self._inside(place):
            timed = self._timed(request)
            try:
                async with asyncio.timeout(timed.timeout_s):
                    return await backend.agenerate(timed)
            except TimeoutError:
                msg = f"{self._backend.name} did not reply within {timed.timeout_s:.3g} seconds"
                raise TransientError(msg) from None

    @contextmanager
    def _waiting(self, place: Place) -> Iterator[None]:
        """Leave the gate if time runs out before it is this caller's turn, or it goes away."""
        try:
            yield
        except BaseException:
            self._gate.leave(place)
            raise

    @contextmanager
    def _inside(self, place: Place) -> Iterator[None]:
        """Tell the gate how a call ends."""
        try:
            yield
        except TransientError as error:
            busy = error.retry_after is not None
            self._gate.leave(place, "busy" if busy else "otherwise", error.retry_after or 0.0)
            raise
        except BaseException:
            self._gate.leave(place)
            raise
        self._gate.leave(place, "well")

    def _until_next_look(self) -> float:
        """Seconds to wait for a turn before looking again; an error if there is no time left."""
        left, shut = self._left(), max(0.0, self._gate.shut_for())
        if left <= shut:
            msg = (
                f"{self._backend.name} cannot be asked within the {self._timeout_s:g} seconds "
                "there are"
            )
            raise TransientError(msg, hint="raise timeout=, or ask again later", retry_after=shut)
        return min(left, self._gate.again_in())

    def _timed(self, request: Request) -> Request:
        return replace(request, timeout_s=max(0.0, min(self._left(), self._timeout_s / PART)))

    def _left(self) -> float:
        return self._deadline - time.monotonic()
