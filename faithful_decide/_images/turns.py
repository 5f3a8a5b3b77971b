"""Takes turns with memory: how many pixels a process works on at a time.

A picture that was read is small; one that is being prepared takes some eight bytes a pixel, up to
half a gigabyte. Batches and web services prepare in many threads, so what bounds one picture has to
bound all of them together.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Turns:
    """Lets work begin in the order in which it came, as long as its size is to be had."""

    def __init__(self, total: int) -> None:
        """Start with nothing taken."""
        self._total = total
        self.forget()

    def forget(self) -> None:
        """Start anew, as a forked child must: what other threads had taken, nobody gives back."""
        self._free = self._total
        self._waiting: list[object] = []
        self._changed = threading.Condition()

    @contextmanager
    def taking(self, size: int) -> Iterator[None]:
        """Wait for a share of the total, all of it at most, and give it back afterwards."""
        size = min(size, self._total)
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(lambda: self._waiting[0] is ticket and self._free >= size)
                self._free -= size
            finally:  # also if waiting was interrupted
                self._waiting.remove(ticket)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free = min(self._total, self._free + size)
                self._changed.notify_all()


PIXELS = Turns(64_000_000)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=PIXELS.forget)
