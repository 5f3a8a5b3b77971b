"""The gate: how many calls of this process to one server may be under way at once.

A server that is busy says so to one caller, but means all of them, and so does the `Retry-After`
that it sends. So all calls to one model go through one `Gate`, which learns what the server bears
in the way that TCP does (Jacobson, Congestion Avoidance and Control, 1988):

- It starts narrow. A call that goes well while the gate is full lets in one more.
- A refusal halves it, and shuts it for as long as the server asked, or, where it did not say and
  goes on refusing, for a pause that doubles. Calls that were under way together are refused
  together; that counts as one refusal.
- Then one call is sent ahead. If it goes well, the other half may follow at once; if it is refused,
  all others have been spared that.

A call may also hang, and what hangs is no sign of how much a server bears. So a call takes up a
place only as long as calls usually do, with room to spare; after that somebody else may go. One at
a time, so that a server which has become slow is not buried.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from concurrent.futures import Future
from random import uniform
from typing import Literal
from weakref import WeakValueDictionary

__all__ = ["Gate", "Place", "gate_of"]

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


class Place:
    """A caller's place at a gate: `turn` is done when it may go."""

    __slots__ = ("epoch", "since", "turn")

    def __init__(self) -> None:
        """Begin to wait."""
        self.turn: Future[None] = Future()
        self.epoch = 0
        self.since = 0.0


class Gate:
    """Lets calls to a server through, as many at once as it bears. Safe to use from any thread."""

    def __init__(self, start: int = START) -> None:
        """Open the gate.

        Args:
            start: Calls that may be under way at once before anything is known of the server.
        """
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

    def knock(self) -> Place:
        """Ask to be let in.

        Returns:
            The place of this caller. It has to be left, whatever happens.
        """
        place = Place()
        with self._lock:
            self._waiting.append(place)
            self._admit()
        return place

    def look(self) -> None:
        """Let in whoever may go by now, for those who have waited as long as `again_in` said."""
        with self._lock:
            self._admit()

    def shut_for(self) -> float:
        """How many seconds the gate stays shut, 0.0 or less if it is open."""
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
        ended: Literal["well", "busy", "otherwise"] = "otherwise",
        pause: float = 0.0,
    ) -> None:
        """Leave the gate, or stop waiting at it.

        Args:
            place: What `knock` returned.
            ended: How the call ended: it went well, the server had too many, or the end says
                nothing about how much the server bears.
            pause: Seconds for which the server is not to be asked again.
        """
        with self._lock:
            waited = place.turn.cancel()
            if waited:
                self._waiting.remove(place)
            elif ended == "busy":
                self._refused(place, pause)
            elif ended == "well":
                self._went_well(place)
            self._inside.pop(place, None)
            self._admit()

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
            # Only a full gate that went well says that there may be more.
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


_GATES: WeakValueDictionary[str, Gate] = WeakValueDictionary()
_GATES_LOCK = threading.Lock()


def _forget_gates() -> None:
    """In a forked child nobody will ever leave the gates of its parent."""
    global _GATES, _GATES_LOCK
    _GATES, _GATES_LOCK = WeakValueDictionary(), threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork either
    os.register_at_fork(after_in_child=_forget_gates)


def gate_of(name: str, start: int = START) -> Gate:
    """Find the gate in front of a model.

    Args:
        name: The name of the backend.
        start: As for `Gate`, where nobody holds one yet.

    Returns:
        The same gate for the same name, for as long as anybody holds it.
    """
    with _GATES_LOCK:
        return _GATES.setdefault(name, Gate(start))
