"""Hours of waiting in seconds: an event loop whose clock jumps to the next thing that happens."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine


class _Jumping(selectors.SelectSelector):
    """Does not wait; tells the loop how long it would have."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            msg = "everybody waits, and for nothing that could happen"
            raise RuntimeError(msg)
        if not ready and timeout is not None:
            self.loop.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time; `now` is its clock, in seconds."""

    def __init__(self) -> None:
        """Start at a moment after 0, because 0 often means never."""
        selector = _Jumping()
        self.now = 1000.0
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        """The virtual time."""
        return self.now

    # What code that does not ask the loop for the time finds in the place of the module `time`.
    monotonic = time
    perf_counter = time

    def sleep(self, _: float) -> None:
        """Refuse: nothing here may block."""
        msg = "something blocks in virtual time"
        raise RuntimeError(msg)


def run_virtually(loop: VirtualLoop, work: Coroutine[Any, Any, Any]) -> None:
    """Run to the end.

    Args:
        loop: The loop.
        work: What to run.
    """
    try:
        loop.run_until_complete(work)
    finally:
        loop.close()
