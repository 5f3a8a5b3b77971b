"""The file of a journal: whose it may be, how it is made, and how a connection to it is opened.

**Only SQLite opens a live database file.** POSIX drops all locks that a process holds on a file as
soon as the process closes *any* descriptor of it. Whoever opens and closes the file beside SQLite
silently unlocks every connection of the process; another process then takes itself for the last,
deletes the write-ahead log, and what is written after that is lost. So a file that is not there is
made under a lock that keeps the connections of this process away until its descriptor is closed,
and a file that is there is looked at by its name only.

**It belongs to its user.** Checksums tell damage, not forgery: whoever may write to a journal can
put replies into it. So files and links of other users are refused, and the file is made readable
for its owner alone, also where it was there before.

**What cannot be written can be read.** SQLite wants to make two files beside a journal even to read
it. Where that cannot be, on a read-only disk, the file is read as one that nobody changes.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from faithful_decide.errors import StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Damaged",
    "connect",
    "connect_to_read",
    "hint_for",
    "is_damaged",
    "is_locked",
    "path_of",
    "typed",
]

_BESIDE = ("-wal", "-shm", "-journal")
_DAMAGED = "name another file, or set this one aside and begin another"
_making = threading.Lock()


class Damaged(sqlite3.DatabaseError):
    """A page of the file is not what it has to be, and SQLite did not notice."""


def path_of(path: str | os.PathLike[str]) -> Path:
    """The path of a journal, which has to be one that a file can have."""
    try:
        text: object = os.fspath(path)
        named = b"\0" not in os.fsencode(path)
    except (TypeError, UnicodeError):
        text, named = None, False
    if not named or not isinstance(text, str) or text == ":memory:":
        msg = f"a journal is a file, and {path!r} is not the path of one"
        raise UsageError(msg, hint="name a file, such as 'replies.journal'")
    return Path(text)


def connect(path: Path, wait_s: float) -> sqlite3.Connection:
    """Open a connection that reads and writes; a file that is not there is made."""
    real = _own(path)
    with _making:
        with suppress(FileExistsError):
            os.close(os.open(real, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        _check(real)
        return _connect(os.fspath(real), wait_s)


def connect_to_read(path: Path, wait_s: float) -> sqlite3.Connection | None:
    """Open a file where nothing can be written; None if it cannot be read like this either."""
    real = _own(path).absolute()
    with suppress(OSError):
        if not real.stat().st_size or Path(f"{real}-wal").stat().st_size:
            # What another process is just writing, or left behind when it was killed.
            return None
    return _connect(f"{real.as_uri()}?immutable=1", wait_s)


def _connect(name: str, wait_s: float) -> sqlite3.Connection:
    return sqlite3.connect(
        name,
        timeout=wait_s,
        isolation_level=None,
        check_same_thread=False,
        uri=name.startswith("file:///"),
    )


def _own(path: Path) -> Path:
    """Where the file is, with no link of somebody else on the last step of the way."""
    if path.is_symlink():
        _refuse_strangers(path, path.lstat(), "a link")
    return Path(os.path.realpath(path))


def _check(real: Path) -> None:
    """Refuse what is no file or is another user's, and shut out all but the owner."""
    status = real.stat()
    if not stat.S_ISREG(status.st_mode):
        msg = f"the journal {real} cannot be used: it is no ordinary file"
        raise StorageError(msg, hint="name another file")
    _refuse_strangers(real, status, "a file")
    if status.st_nlink > 1:
        # What SQLite writes beside a file goes by its name: under two names there would be two.
        msg = f"the journal {real} cannot be used: the file has another name too (a hard link)"
        raise StorageError(msg, hint="remove one of the names, or copy it, and use the copy")
    if status.st_mode & 0o077 and os.name == "posix":
        # Where the disk knows no owners, or cannot be written, there is nothing to shut.
        with suppress(OSError):
            real.chmod(stat.S_IMODE(status.st_mode) & 0o700)
    for suffix in _BESIDE:
        beside = Path(f"{real}{suffix}")
        with suppress(FileNotFoundError):
            _refuse_strangers(beside, beside.lstat(), "a file")


def _refuse_strangers(path: Path, status: os.stat_result, what: str) -> None:
    if os.name == "posix" and os.geteuid() not in {0, status.st_uid}:
        msg = f"the journal cannot be used: {path} is {what} of another user"
        raise StorageError(msg, hint="copy it, and use the copy")


@contextmanager
def typed(path: Path) -> Iterator[None]:
    """Raise what the system and SQLite raise as `StorageError`, with a hint for what it is."""
    try:
        yield
    except (sqlite3.Error, OSError, UnicodeError, MemoryError) as error:
        msg = f"the journal {path} cannot be used: {str(error) or 'there is not enough memory'}"
        raise StorageError(msg, hint=hint_for(error)) from None


def is_locked(error: sqlite3.Error) -> bool:
    """Whether another connection holds the file, and waiting would have helped."""
    return _primary(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether a page of the file is not what it has to be."""
    return _primary(error) == sqlite3.SQLITE_CORRUPT


def _primary(error: Exception) -> int:
    """SQLite's result code without the detail in its upper bits; 0 for an error of others."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def hint_for(error: Exception) -> str:
    """What helps where a file cannot be used."""
    if isinstance(error, UnicodeError | Damaged):
        return _DAMAGED
    match _primary(error), getattr(error, "errno", None):
        case ((sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED), _):
            return "close the program that has it open, such as a browser of databases"
        case ((sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB), _):
            return _DAMAGED
        case (sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR, _) | (_, errno.ENOSPC | errno.EDQUOT):
            return "make room; what it holds already is safe"
    return "check that the file and its folder exist and can be written"
