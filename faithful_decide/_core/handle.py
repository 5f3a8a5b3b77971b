"""A native resource of one process: an engine with threads, a connection to a database file.

`fork` copies the memory of a process and neither its threads nor its locks. So a child that frees
what it inherited waits for threads that are not there, or writes a file behind its parent's back. A
`Handle` is used and freed where it was made and nowhere else: in a child it is out of reach, and
the child holds on to it until it ends.
"""

from __future__ import annotations

import os
import weakref
from typing import Any, Generic, TypeVar

__all__ = ["Handle"]

_T = TypeVar("_T")


class Handle(Generic[_T]):
    """Holds the one lasting reference to a resource; freeing the resource is dropping it."""

    def __init__(self, resource: _T) -> None:
        """Hold a resource of this process."""
        # In a list, so that taking and dropping it are each one step, whatever other threads do.
        self._held = [resource]
        self._pid = os.getpid()
        _handles.add(self)

    @property
    def inherited(self) -> bool:
        """Whether this is a copy in a forked child."""
        return self._pid != os.getpid()

    def get(self) -> _T | None:
        """The resource; None once it was dropped, and in a forked child."""
        if not self.inherited:
            for resource in self._held:
                return resource
        return None

    def drop(self) -> _T | None:
        """Let go of the resource, and return it to whoever has to end it. A child does nothing."""
        if self.inherited or not self._held:
            return None
        try:
            return self._held.pop()
        except IndexError:  # another thread was faster
            return None

    def keep_for_ever(self) -> None:
        """Add a reference that nobody drops, not even the end of the interpreter."""
        import ctypes  # noqa: PLC0415 - needed in forked children only

        for resource in self._held:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(resource))


_handles: weakref.WeakSet[Handle[Any]] = weakref.WeakSet()


def _keep_inherited() -> None:
    for handle in _handles:
        handle.keep_for_ever()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork either
    os.register_at_fork(after_in_child=_keep_inherited)
