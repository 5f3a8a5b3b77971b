"""Keeps in what Pillow says on the way.

Pillow warns of metadata that it cannot read. Such a picture is a good picture, so nobody needs to
hear of it, least of all a program that turns warnings into errors. The filters of warnings belong
to that program and are shared by all threads, so `warnings.catch_warnings` is no way out: two
threads that leave it in another order than they came in change the filters for good. What is put
in front of the filters here matches in one thread only, and is taken out of the very list it was
put into. The same goes for the one logger that Pillow reports errors to before it raises them.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LOGGER = logging.getLogger("PIL.TiffImagePlugin")
_LIBTIFF = threading.Lock()


class _InThisThread:
    """Stands where a filter of warnings has a pattern for texts, and filters records of a log."""

    def __init__(self) -> None:
        self.thread: int | None = threading.get_ident()

    def match(self, _: str) -> bool:
        return threading.get_ident() == self.thread

    def filter(self, record: logging.LogRecord) -> bool:
        return record.thread != self.thread


@contextmanager
def quiet() -> Iterator[None]:
    """Ignore the warnings and the log of this thread, and of no other."""
    here = _InThisThread()
    _LOGGER.addFilter(here)
    try:
        if getattr(sys.flags, "context_aware_warnings", False):  # free-threaded builds have it
            with warnings.catch_warnings(action="ignore"):
                yield
            return
        entry: Any = ("ignore", here, Warning, None, 0)
        filters: Any = warnings.filters
        filters.insert(0, entry)
        try:
            yield
        finally:
            here.thread = None  # for a copy of the list that another thread may have made meanwhile
            with suppress(ValueError):
                filters.remove(entry)
    finally:
        _LOGGER.removeFilter(here)


@contextmanager
def quiet_libtiff() -> Iterator[None]:
    """Keep in what libtiff writes to the standard error of the process, past all of Python.

    Its handlers are the library's own, so that one thread at a time takes them out of the way.
    """
    with _LIBTIFF:
        before = [(setter, setter(None)) for setter in _libtiff_setters()]
        try:
            yield
        finally:
            for setter, handler in before:
                setter(handler)


@lru_cache(maxsize=1)
def _libtiff_setters() -> tuple[Callable[[int | None], int | None], ...]:
    """Find the functions that exchange the handlers of the libtiff that Pillow is linked to."""
    import ctypes  # noqa: PLC0415 - only for TIFF

    from PIL import _imaging  # noqa: PLC0415 - Pillow is loaded on use

    try:
        library = ctypes.CDLL(_imaging.__file__)
        setters = (library.TIFFSetErrorHandler, library.TIFFSetWarningHandler)
    except (OSError, AttributeError):  # built without, or in a way that hides it
        return ()
    for setter in setters:
        setter.restype = ctypes.c_void_p
        setter.argtypes = [ctypes.c_void_p]
    return setters
