"""Where a public name says it lives: in the package that users import it from.

Pickles, tracebacks, `help` and `repr` name `__module__`. If that were the private file of a class,
moving the file would break the pickles of users, and every traceback would teach a wrong import.
"""

from __future__ import annotations

from typing import TypeVar

__all__ = ["public"]

_T = TypeVar("_T")


def public(thing: _T) -> _T:
    """Say of a class or function that it lives in `faithful_decide`; a decorator."""
    thing.__module__ = "faithful_decide"
    return thing
