"""A file is there whole or not at all, and two who write it at once do not mix.

It is written beside its place, always under the same name, so that a part which a killed process
left behind is overwritten by the next. Who writes holds a lock on that part; the system lets go of
it when the process ends, however it ends.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["check_place", "is_part", "locked", "written_whole"]


@contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Write a file that takes its place when this ends well; otherwise the old one stays there.

    An `OSError` says what cannot be done, among it that somebody else is writing the file. What is
    no file, such as a device or a pipe, is written as it is: nothing can take its place.
    """
    place = Path(path)
    if place.exists() and not place.is_file():
        with place.open("wb") as file:
            yield file
        return
    part = _part(place)
    with _held(part, place) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if sys.platform == "win32":
                file.close()  # an open file cannot be renamed there
            part.replace(place)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise


def check_place(path: str | os.PathLike[str]) -> None:
    """Raise the `OSError` that writing a file there would raise; nothing is left behind."""
    place = Path(path)
    if place.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(place))
    if not place.exists() or place.is_file():
        part = _part(place)
        with _held(part, place):
            part.unlink()


def is_part(name: str) -> bool:
    """Whether a file of this name is one that is being written, and will be called otherwise."""
    return name.startswith(".") and name.endswith(".part")


def _part(place: Path) -> Path:
    return place.with_name(f".{place.name}.part")


@contextmanager
def _held(part: Path, place: Path) -> Iterator[IO[bytes]]:
    """An empty file that nobody else writes."""
    while True:
        with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as file:
            if not locked(file.fileno()):
                raise BlockingIOError(errno.EAGAIN, "another run is writing it", str(place))
            try:
                same = os.path.samestat(os.fstat(file.fileno()), part.stat())
            except FileNotFoundError:
                same = False
            if same:
                file.truncate()
                yield file
                return
            # Who held it has just put it in its place: this is the new file, not the next part.


def locked(file: int) -> bool:
    """Lock an open file without waiting, the way this system does it; False if it is locked."""
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415 - only there

        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl  # noqa: PLC0415 - not there

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # A file system without locks keeps nobody away.
        return error.errno not in {errno.EAGAIN, errno.EACCES}
    return True
