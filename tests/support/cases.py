"""Many cases in one test: a loop says which of them failed."""

from contextlib import contextmanager


@contextmanager
def case(*what):
    """Name the case in whatever fails in it."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"in the case {', '.join(map(repr, what))[:500]}")
        raise
