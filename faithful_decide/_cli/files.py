"""The files that a command writes, looked at before anything is asked: what comes is paid for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from faithful_decide._core.files import check_place
from faithful_decide.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["check_written"]


def check_written(written: Mapping[str, str | None], read: Iterable[object]) -> None:
    """Refuse a place that cannot be written, or that is read or written as something else too.

    `written` has the place of each flag; among what is `read` there may be anything.
    """
    taken = [(name, "this command reads") for name in read if isinstance(name, str | os.PathLike)]
    for flag, place in written.items():
        if place is None:
            continue
        for other, what in taken:
            if _same(place, other):
                msg = f"--{flag} would replace {place}, which {what}"
                raise UsageError(msg, hint="name another file")
        try:
            check_place(place)
        except OSError as error:
            msg = f"--{flag} cannot be written to {place}: {error.strerror}"
            raise UsageError(msg, hint="name a file in a folder that can be written to") from None
        taken.append((place, f"--{flag} writes"))


def _same(place: str, other: str | os.PathLike[str]) -> bool:
    """Whether two names are those of one file, or of a folder and the table of its images."""
    real, known = Path(os.path.realpath(place)), Path(os.path.realpath(other))
    listed = real.stem == "metadata" and known.is_dir() and known in real.parents
    try:
        return real == known or listed or real.samefile(known)
    except OSError:
        return False
