"""The journal: every reply that was paid for, in a file, under what was asked.

A reply is kept before anybody sees it, under a hash of the whole request: the image as it is sent,
the wording, the question, the ordered contract, the sampling, the model and its address, and the
version of this package. File names are no part of it. So whoever asks the same again is answered
from the file (a run that was killed, the same folder under another name, `decide` tomorrow), and
whoever asks anything else is not. What is made of a reply is not kept here: it is verified again
each time, like one that has just arrived.

The same request sent twice *within* one decision (a retry, a repeat that measures noise) wants two
replies, so the number of the time is part of the key too.

The file is SQLite's, in its write-ahead mode: a process may be killed at any moment, and several
may use one journal. While it is open, nothing else in the process may open the file, not even to
copy it (`journal_file` says why). It holds text and hashes, no pickled objects.

Nothing in it is believed without its checksum. An entry that does not fit is no entry, and is paid
for again; the entries beside it are not touched by that.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
import threading
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from faithful_decide._batch.entry import reply_data, reply_of
from faithful_decide._batch.journal_entries import (
    WAIT_S,
    content_of,
    intact,
    page,
    parsed,
    patience,
    put,
    set_up,
    written,
)
from faithful_decide._batch.journal_file import (
    connect,
    connect_to_read,
    hint_for,
    is_locked,
    path_of,
    typed,
)
from faithful_decide._core.handle import Handle
from faithful_decide._nearest import hinting
from faithful_decide._public import public
from faithful_decide.errors import StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from faithful_decide._core.types import Reply

__all__ = ["Journal"]

_LAST_WAIT_S = 1.0
"""How long to wait when closing, for what could not be written before."""

_log = logging.getLogger("faithful_decide")


@public
@hinting
class Journal:
    """A file of replies. Safe to use from several threads, and from several processes at once.

    Open it in each process; like a backend, it does not survive `fork`. While it is open, open or
    copy the file by no other way in the same process: its locks would be lost.

        with Journal("squirrels.journal") as journal, Decider(model, journal=journal) as decider:
            decider.decide("squirrel.png", "Does this image show anything funny?")
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the journal, and make it if it is not there.

        Args:
            path: The file; two more, named after it, are beside it while it is open. It has to
                belong to you, and is made readable for you alone. A file that cannot be written
                can still be read.

        Raises:
            UsageError: It is no path of a file.
            StorageError: It cannot be made or read, or is something else than a journal of yours.
        """
        self.path = path_of(path)
        self._lock = threading.Lock()
        self._waiting: dict[bytes, bytes] = {}
        """Replies that came while another program held the file."""
        self._writable = True
        self._hindrance: sqlite3.Error | None = None
        """Why it cannot be written, where that is not a matter of permission."""
        with typed(self.path):
            self._db = Handle(self._opened())

    def _opened(self) -> sqlite3.Connection:
        db = connect(self.path, WAIT_S)
        try:
            set_up(db, self.path)
            self._writable = os.access(self.path, os.W_OK)
        except sqlite3.OperationalError as error:
            db.close()
            self._hindrance = error
            # Perhaps the files beside it cannot be made. What is there can be read.
            reading = connect_to_read(self.path, WAIT_S)
            if reading is None or content_of(reading) != "journal":
                raise
            self._writable = False
            return reading
        except BaseException:
            db.close()
            raise
        return db

    def recall(self, key: bytes) -> Reply | None:
        """Find a reply.

        Args:
            key: What `request_key` returned.

        Returns:
            The reply as it came, or None if there is none that can be trusted.

        Raises:
            StorageError: The file cannot be read.
        """
        with self._using() as db:
            data = self._waiting.get(key) or intact(db, "replies", key)
        return _reply(data)

    def remember(self, key: bytes, reply: Reply, *, wait_s: float = WAIT_S) -> None:
        """Keep a reply; it is in the file when this returns. The first one under a key stays.

        The one exception is a file that another program holds locked. A reply that was paid for is
        not given up for that: it waits in memory, which is logged as a warning, and is written with
        the next one, or by `close`.

        Args:
            key: What `request_key` returned.
            reply: The reply as it came.
            wait_s: Seconds to wait for another program.

        Raises:
            StorageError: The file cannot be written. The reply stays in memory all the same.
        """
        data = written(reply_data(reply))
        with self._using() as db:
            # One who waits in vain is enough: those behind it do not wait again.
            wait_s = 0.0 if self._waiting else wait_s
            self._waiting.setdefault(key, data)
            if not self._write_waiting(db, wait_s) and len(self._waiting) == 1:
                _log.warning(
                    "the journal %s is locked by another program; replies wait in memory until"
                    " it is closed there",
                    self.path,
                )

    def _write_waiting(self, db: sqlite3.Connection, wait_s: float) -> bool:
        """Write what came; False where another program holds the file."""
        with patience(db, wait_s):
            while self._waiting:
                key, data = next(iter(self._waiting.items()))
                try:
                    there = put(db, "replies", key, data)
                    if there is not None and _reply(there) is None:
                        put(db, "replies", key, data, replacing=True)
                except sqlite3.OperationalError as error:
                    if not is_locked(error):
                        raise
                    return False
                except sqlite3.Error:
                    # Not for want of room or time: it would stand in the way of all others.
                    del self._waiting[key]
                    raise
                del self._waiting[key]
        return True

    def check_writable(self) -> None:
        """Say before anything is paid for that a reply could not be kept.

        Raises:
            StorageError: The file was opened to be read only.
        """
        if not self._writable:
            hint = hint_for(self._hindrance) if self._hindrance else ""
            why = f" ({self._hindrance})" if self._hindrance else ""
            msg = f"the journal {self.path} is read-only{why}, and has no reply to this request"
            copy = "copy it to a folder that may be written, and use the copy"
            raise StorageError(msg, hint=hint if hint.startswith("make room") else copy)

    def read(self, table: str, key: bytes) -> Any | None:  # noqa: ANN401 - JSON
        """Find an entry of any kind.

        Args:
            table: `replies`, or `batches` (what was sent to a provider's batch API).
            key: Its key.

        Returns:
            What was written, or None if there is nothing that can be trusted.

        Raises:
            StorageError: The file cannot be read.
        """
        with self._using() as db:
            data = intact(db, table, key)
        return parsed(data)

    def write(self, table: str, key: bytes, data: object, *, replacing: bool = False) -> None:
        """Keep an entry of any kind.

        Args:
            table: The name of the table.
            key: Its key.
            data: What can be written as JSON.
            replacing: Whether it takes the place of an entry that is there and intact.

        Raises:
            StorageError: The file cannot be written.
        """
        with self._using() as db:
            put(db, table, key, written(data), replacing=replacing)

    def entries(self, table: str) -> Iterator[tuple[bytes, Any]]:
        """Read every intact entry of a kind, in the order in which they were made.

        Args:
            table: The name of the table.

        Yields:
            Keys, and what was written.

        Raises:
            StorageError: The file cannot be read.
        """
        for key, data in self._scan(table):
            if (value := parsed(data)) is not None:
                yield key, value

    def keys(self, table: str) -> Iterator[bytes]:
        """Read the key of every intact entry of a kind.

        Args:
            table: The name of the table.

        Yields:
            Keys, in the order in which they were made.

        Raises:
            StorageError: The file cannot be read.
        """
        for key, _ in self._scan(table):
            yield key

    def _scan(self, table: str) -> Iterator[tuple[bytes, bytes]]:
        before, last = -1, 0
        while last > before:
            with self._using() as db:
                before, (last, entries) = last, page(db, table, last)
            yield from entries

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the journal for one run. Two that go through the same list would both pay for it.

        It keeps out other runs that ask for the same, and nobody else: `decide` and the workers of
        a
        distributed job share a journal freely.

        Raises:
            UsageError: Somebody else holds it.
            StorageError: The file that marks it cannot be made.
        """
        with typed(self.path):
            # A file of its own: a descriptor of the database must not be opened beside SQLite.
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
            mark = os.open(f"{self.path}.lock", flags, 0o600)
        try:
            if not _locked(mark):
                msg = f"another run is using the journal {self.path}"
                raise UsageError(msg, hint="wait for it, or name another journal")
            yield
        finally:
            # The lock goes with the file; the system lets go of it also when a process is killed.
            os.close(mark)

    def close(self) -> None:
        """Close the file. May be called twice; it warns of replies that could not be written."""
        if self._db.inherited:
            return
        with self._lock:
            db = self._db.drop()
            if db is None:
                return
            with suppress(sqlite3.Error):
                self._write_waiting(db, _LAST_WAIT_S)
            with typed(self.path):
                db.close()
        if self._waiting:
            # No error: whoever closes it may hold what was made of these replies.
            warnings.warn(
                f"the journal {self.path} was closed without {len(self._waiting)} of the replies"
                " that were paid for, because it could not be written",
                stacklevel=2,
            )

    def __enter__(self) -> Self:
        """Use the journal in a `with` statement."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def __repr__(self) -> str:
        """Name the file."""
        return f"Journal({str(self.path)!r})"

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        if self._db.inherited:
            # Not even its lock may be touched: a thread of the parent may have held it.
            msg = "this journal was opened in another process"
            raise UsageError(msg, hint="open it in each process")
        with self._lock, typed(self.path):
            db = self._db.get()
            if db is None:
                msg = "this journal is closed"
                raise UsageError(msg, hint="open it again, or close it after its last use")
            yield db


def _reply(data: bytes | None) -> Reply | None:
    try:
        return None if data is None else reply_of(parsed(data))
    except ValueError:
        return None


def _locked(file: int) -> bool:
    """Lock a file without waiting, the way this system does it."""
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - only there

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415 - not there

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
