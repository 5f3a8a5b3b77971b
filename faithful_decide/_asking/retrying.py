"""What is done about failures that pass by themselves, for every backend in one place.

A backend makes one call and tells what went wrong. In front of it, a call that failed in a way that
may pass (`TransientError`) is made again, after a pause that doubles and is drawn at random, until
its time is up. The random pause keeps callers who failed together from failing together again. How
many calls may be under way at once is up to the `Limiter` of the model, which all its callers
share.

Time is measured for a whole plan (`Request.deadline`): a call that cannot end in time is not begun,
and one that is under way is given up. Where no server was ever reached there is nothing to wait
for: such an address is given up after ten seconds. Nor is there where a server never replied well
and says four times that it failed.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import tenacity

from faithful_decide._asking.limiter import AsyncLimited, Limited, left_of
from faithful_decide._core.types import fault_of
from faithful_decide.backends.base import Wrapper, is_awaitable
from faithful_decide.errors import BackendError, TransientError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeVar

    from faithful_decide.backends.base import Backend, Reply, Request

    _Loop = TypeVar("_Loop", tenacity.Retrying, tenacity.AsyncRetrying)

__all__ = ["Retrying", "patient"]

_BACKOFF = tenacity.wait_random_exponential(multiplier=0.5, max=30.0)
_OPTIONAL = 3
_BROKEN = 4
_UNREACHED_S = 9.0
"""How long to look for a server that was never reached: ten seconds with all that is around it."""


def patient(backend: Backend) -> Backend:
    """Put patience in front of a backend: turns, pauses, and trying again. Once is enough."""
    if isinstance(backend, Wrapper):
        return backend
    if is_awaitable(backend):
        return AsyncRetrying(AsyncLimited(backend))
    return Retrying(Limited(backend))


class Retrying(Wrapper):
    """Makes calls until they succeed, fail for good, or their time is up."""

    backend: Limited

    def generate(self, request: Request) -> Reply:
        """Make a call as often as it takes."""
        with self._attempts(tenacity.Retrying, request) as attempts:
            reply: Reply = attempts(self.backend.generate, request)
        return self._whole(reply)

    def _whole(self, reply: Reply) -> Reply:
        """The reply, if it is one: nothing else could be kept, verified or stored."""
        if fault := fault_of(reply):
            msg = f"{self.name} returned something that is not a reply: {fault}"
            raise BackendError(
                msg, hint="correct the backend; see Reply in faithful_decide.backends"
            )
        return reply

    @contextmanager
    def _attempts(self, kind: type[_Loop], request: Request) -> Iterator[_Loop]:
        """A loop of attempts; one that could not be made in time is not waited for."""
        loop = kind(
            retry=tenacity.retry_if_exception_type(TransientError),
            wait=_pause,
            stop=lambda state: self._is_over(state, request),
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            yield loop
        finally:
            # Its last steps refer to itself: a model that nobody holds would stay until garbage is
            # collected, and a model is large.
            loop.iter_state.reset()

    def _is_over(self, state: tenacity.RetryCallState, request: Request) -> bool:
        """Whether no other attempt is made; what a plan can do without gets a few only."""
        error, tries = _error(state), state.attempt_number
        tried = request.optional and tries >= _OPTIONAL
        broken = error is not None and error.broken and not self.backend.limiter.replied
        return (
            tried
            or (broken and tries >= _BROKEN)
            or state.upcoming_sleep > self._left(state, request)
        )

    def _left(self, state: tenacity.RetryCallState, request: Request) -> float:
        """Seconds that another attempt may be waited for."""
        left, error = left_of(request), _error(state)
        searched = self.backend.limiter.searched_for()
        if error is None or not error.unreachable or searched is None:
            return left
        # The next look for the server will take as long as the last one.
        return min(left, _UNREACHED_S - searched - self.backend.limiter.last_search_s)

    def _tell(self, state: tenacity.RetryCallState) -> None:
        self.backend.limiter.tell(state.upcoming_sleep, str(_error(state)))


class AsyncRetrying(Retrying):
    """The same for a backend that can be awaited."""

    backend: AsyncLimited

    async def agenerate(self, request: Request) -> Reply:
        """Make a call as often as it takes, awaited."""
        with self._attempts(tenacity.AsyncRetrying, request) as attempts:
            reply: Reply = await attempts(self.backend.agenerate, request)
        return self._whole(reply)


def _error(state: tenacity.RetryCallState) -> TransientError | None:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, TransientError) else None


def _pause(state: tenacity.RetryCallState) -> float:
    error = _error(state)
    return max((error and error.retry_after) or 0.0, _BACKOFF(state))
