"""How many calls of this process to one server may be under way at once.

A server that is busy says so to one caller, but means all of them, and so does the `Retry-After`
that it sends. So all calls to one model go through one `Limiter`, which learns what the server
bears in the way that TCP does (Jacobson, Congestion Avoidance and Control, 1988):

- It starts narrow. A call that goes well while all places are taken lets in one more.
- A refusal halves it, and shuts it for as long as the server asked, or, where it did not say and
  goes on refusing, for a pause that doubles. Calls that were under way together are refused
  together; that counts as one refusal.
- Then one call is sent ahead. If it goes well, the other half may follow at once; if it is refused,
  all others have been spared that.

A call may also hang, and what hangs is no sign of how much a server bears. So a call takes up a
place only as long as calls usually do, with room to spare; after that somebody else may go. One at
a time, so that a server which has become slow is not buried.

All callers of one server wait for one reason, so it is told once: as a warning of the logger
`faithful_decide`, where somebody may be looking and nothing is shown to anybody else.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import re
import threading
import time
from collections import deque
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import replace
from random import uniform
from typing import TYPE_CHECKING, Literal
from weakref import WeakValueDictionary

from faithful_decide.backends.base import Wrapper
from faithful_decide.errors import BackendError, TransientError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faithful_decide.backends.base import AsyncBackend, Reply, Request

__all__ = ["AsyncLimited", "Limited", "Limiter", "Place", "left_of", "limiter_of"]

START = 2
"""Calls that may be under way before anything is known of the server."""
UNKNOWN_S = 5.0
"""After how long a call counts as slow, before any call has ended well."""
SLOW_S = 1.0
"""No call counts as slow before this."""
SLOW = 4.0
"""A call is slow that takes so many times as long as usual."""
_SMOOTH = 8
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 4.0
_TOLD_S = 1.0
"""Shorter pauses are nobody's concern."""
_ENCODED = re.compile(r"[A-Za-z0-9+/=_-]{40,}")
"""Keys and images in what a server says."""

_log = logging.getLogger("faithful_decide")
_log.addHandler(logging.NullHandler())


class Place:
    """A caller's place at a limiter: `turn` is done when it may go."""

    __slots__ = ("epoch", "since", "turn")

    def __init__(self) -> None:
        """Begin to wait."""
        self.turn: Future[None] = Future()
        self.epoch = 0
        self.since = 0.0


class Limiter:
    """Lets calls to a server through, as many at once as it bears. Safe to use from any thread."""

    def __init__(self, start: int = START, name: str = "") -> None:
        """Begin with `start` places, before anything is known of the server."""
        self._name = name
        self._lock = threading.Lock()
        self._width = start
        self._ahead = False  # whether one call is to go ahead of the others
        self._refusals = 0
        self._epoch = 0
        self._opens = 0.0
        self._usual_s: float | None = None
        self._forgave = 0.0
        # Those under way who take up room, the oldest first; without those from before a refusal.
        self._inside: dict[Place, None] = {}
        self._waiting: deque[Place] = deque()
        self._reached = False
        self._search_began: float | None = None
        self.last_search_s = 0.0
        """How long the last call took that did not find the server."""
        self._why = "the server has too many calls"
        self._told_until = 0.0

    def widen(self, start: int) -> None:
        """Begin with more places, as long as the server has refused nobody."""
        with self._lock:
            if self._epoch == 0:
                self._width = max(self._width, start)

    def enter(self) -> Place:
        """Ask for a place; it has to be left, whatever happens."""
        place = Place()
        with self._lock:
            self._waiting.append(place)
            self._admit()
        return place

    def look(self) -> None:
        """Let in whoever may go by now, for those who have waited as long as `again_in` said."""
        with self._lock:
            self._admit()

    @property
    def replied(self) -> bool:
        """Whether a call ever went well."""
        return self._usual_s is not None

    def shut_for(self) -> float:
        """How many seconds nobody is let in, 0.0 or less if somebody may be."""
        return self._opens - time.monotonic()

    def again_in(self) -> float:
        """After how many seconds there may be room without anybody having left."""
        with self._lock:
            now = time.monotonic()
            if self._opens > now:
                return self._opens - now
            oldest = next(iter(self._inside), None)
            if oldest is None:
                return self._slow_s()
            return max(0.0, max(oldest.since, self._forgave) + self._slow_s() - now)

    def leave(
        self,
        place: Place,
        ended: Literal["well", "busy", "failed", "unreachable", "gone"] = "gone",
        pause: float = 0.0,
        why: str = "",
    ) -> None:
        """Leave a place, or stop waiting for one.

        Of how a call ended, `busy` is the server's word that it has too many, with a `pause` for
        which it is not to be asked again; `failed` says nothing about how much it bears, only that
        it is there; `gone` says nothing at all.
        """
        with self._lock:
            waited = place.turn.cancel()
            if waited:
                self._waiting.remove(place)
            elif ended == "unreachable":
                self._missed(place)
            elif ended != "gone":
                self._reached = True
            if not waited and ended == "busy":
                self._why = _shown(why) or self._why
                self._refused(place, pause)
            elif not waited and ended == "well":
                self._went_well(place)
            self._inside.pop(place, None)
            self._admit()

    def searched_for(self) -> float | None:
        """Seconds since a server was first looked for in vain; None if one was ever reached."""
        began = None if self._reached else self._search_began
        return None if began is None else time.monotonic() - began

    def tell_if_shut(self) -> None:
        """Say how long all have to wait, if the server asked for it."""
        self.tell(self.shut_for(), self._why)

    def why_not_now(self) -> str:
        """Why there is no place."""
        return self._why if self.shut_for() > 0 else "too many calls are under way"

    def tell(self, pause: float, why: str) -> None:
        """Say once that calls wait, and why; those that wait as long for the same are not named."""
        ends = time.monotonic() + pause
        with self._lock:
            if pause < _TOLD_S or ends < self._told_until + _TOLD_S:
                return
            self._told_until = ends
        why = _shown(why)
        more = {"model": self._name, "seconds": pause, "reason": why}
        _log.warning("%s: waiting %.0f s: %s", self._name, pause, why, extra=more)

    def _missed(self, place: Place) -> None:
        self.last_search_s = time.monotonic() - place.since
        if self._search_began is None:
            self._search_began = place.since

    def _refused(self, place: Place, pause: float) -> None:
        now = time.monotonic()
        if place.epoch == self._epoch:
            if self._ahead and not pause:
                doubled: float = _FIRST_PAUSE_S * 2**self._refusals
                pause = uniform(0.5, 1.0) * min(_LONGEST_PAUSE_S, doubled)  # noqa: S311 - a pause
            self._refusals = min(self._refusals + 1, 10)
            self._width = max(1, self._width // 2)
            self._ahead = True
            self._epoch += 1
            self._inside.clear()
        self._opens = max(self._opens, now + pause)

    def _went_well(self, place: Place) -> None:
        took = time.monotonic() - place.since
        usual = took if self._usual_s is None else self._usual_s
        self._usual_s = usual + (took - usual) / _SMOOTH
        if place.epoch != self._epoch:
            return  # it began before the last refusal, and says nothing about now
        if self._ahead:
            self._ahead, self._refusals = False, 0
        elif place in self._inside and len(self._inside) >= self._width:
            # Only a full limiter that goes well says that there may be more.
            self._width += 1

    def _admit(self) -> None:
        now = time.monotonic()
        if self._opens > now:
            return
        width = 1 if self._ahead else self._width
        while self._waiting:
            if len(self._inside) >= width:
                oldest = next(iter(self._inside))
                if max(oldest.since, self._forgave) + self._slow_s() > now:
                    return
                del self._inside[oldest]
                self._forgave = now
            place = self._waiting.popleft()
            place.epoch, place.since = self._epoch, now
            self._inside[place] = None
            place.turn.set_running_or_notify_cancel()
            place.turn.set_result(None)

    def _slow_s(self) -> float:
        return UNKNOWN_S if self._usual_s is None else max(SLOW_S, SLOW * self._usual_s)


_LIMITERS: WeakValueDictionary[str, Limiter] = WeakValueDictionary()
_LOCK = threading.Lock()


def _forget_limiters() -> None:
    """In a forked child nobody will ever leave the places of its parent."""
    global _LIMITERS, _LOCK
    _LIMITERS, _LOCK = WeakValueDictionary(), threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork either
    os.register_at_fork(after_in_child=_forget_limiters)


def limiter_of(name: str, start: int = START) -> Limiter:
    """The limiter in front of a model: one for each name, for as long as anybody holds it.

    Until the server has refused a call, it has as many places as anybody wanted to begin with.
    """
    with _LOCK:
        limiter = _LIMITERS.get(name)
        if limiter is None:
            _LIMITERS[name] = limiter = Limiter(start, name)
    limiter.widen(start)
    return limiter


def left_of(request: Request) -> float:
    """Seconds until the plan that a request belongs to is given up."""
    return math.inf if request.deadline is None else request.deadline - time.monotonic()


class Limited(Wrapper):
    """Makes a call when it is its turn, and tells the limiter how it ended."""

    _held: Limiter | None = None
    """What was learned of a server is forgotten with the last who holds it."""

    @property
    def limiter(self) -> Limiter:
        """The limiter that all backends of this name share; after a fork it is another one."""
        self._held = limiter_of(self.name)
        return self._held

    def generate(self, request: Request) -> Reply:
        """Wait for a turn, and call."""
        limiter = self.limiter
        place = limiter.enter()
        with self._waiting(place):
            limiter.tell_if_shut()
            while not place.turn.done():
                with suppress(TimeoutError):
                    place.turn.result(self._until_next_look(request))
                limiter.look()
            self._check_time(request)
        with self._inside(place):
            return self.backend.generate(_timed(request))

    @contextmanager
    def _waiting(self, place: Place) -> Iterator[None]:
        """Leave if time runs out before it is this caller's turn, or it goes away."""
        try:
            yield
        except BaseException:
            self.limiter.leave(place)
            raise

    @contextmanager
    def _inside(self, place: Place) -> Iterator[None]:
        """Tell the limiter how a call ends."""
        limiter = self.limiter
        try:
            yield
        except TransientError as error:
            if error.unreachable:
                limiter.leave(place, "unreachable")
            elif error.retry_after is None:
                limiter.leave(place, "failed")
            else:
                limiter.leave(place, "busy", error.retry_after, str(error))
            raise
        except BaseException as error:
            limiter.leave(place, "failed" if isinstance(error, BackendError) else "gone")
            raise
        limiter.leave(place, "well")

    def _until_next_look(self, request: Request) -> float | None:
        """Seconds to wait for a turn before looking again; an error if there is no time left."""
        left, shut = left_of(request), max(0.0, self.limiter.shut_for())
        if left <= shut:
            why = self.limiter.why_not_now()
            msg = f"{self.name} cannot be asked again before timeout= is over: {why}"
            raise TransientError(msg, hint="raise timeout=, or ask again later", retry_after=shut)
        return min(left, self.limiter.again_in())

    def _check_time(self, request: Request) -> None:
        if left_of(request) <= 0:
            msg = f"timeout= was over before {self.name} had been asked everything"
            raise TransientError(msg, hint="raise timeout=, or ask for less, such as fewer samples")


class AsyncLimited(Limited):
    """The same for a backend that can be awaited."""

    backend: AsyncBackend

    async def agenerate(self, request: Request) -> Reply:
        """Wait for a turn, and call, awaited; a call that takes too long is cancelled."""
        limiter = self.limiter
        place = limiter.enter()
        with self._waiting(place):
            limiter.tell_if_shut()
            turn = None if place.turn.done() else asyncio.wrap_future(place.turn)
            while turn and not place.turn.done():
                await asyncio.wait([turn], timeout=self._until_next_look(request))
                limiter.look()
            self._check_time(request)
        with self._inside(place):
            timed = _timed(request)
            try:
                async with asyncio.timeout(timed.timeout_s):
                    return await self.backend.agenerate(timed)
            except TimeoutError:
                msg = f"{self.name} did not reply within {timed.timeout_s:.3g} seconds"
                raise TransientError(msg) from None


def _shown(words: str) -> str:
    """What a server says, in one line and without what may be a key or an image."""
    return _ENCODED.sub("...", words.partition("\n")[0])[:200]


def _timed(request: Request) -> Request:
    """A request that is given up when its plan is, at the latest."""
    left = left_of(request)
    if left >= (request.timeout_s or math.inf):
        return request
    return replace(request, timeout_s=max(0.0, left))
