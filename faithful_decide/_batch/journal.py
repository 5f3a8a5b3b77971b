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
may use one journal. It holds text and hashes, no pickled objects, and nobody but its owner may read
it. Every entry has a checksum; one that does not fit is no entry, and is paid for again.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from faithful_decide._batch.entry import reply_data, reply_of
from faithful_decide._public import public
from faithful_decide.errors import StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from faithful_decide._core.types import Reply

__all__ = ["Journal"]

_APPLICATION = 0x66616964
"""Marks the file as a journal: SQLite keeps this number in its header."""
_LAYOUT = 1
_PATIENCE_S = 60.0
"""How long to wait for another process that is writing."""
_SUM = 16
_SETUP = """
CREATE TABLE IF NOT EXISTS replies (key BLOB NOT NULL UNIQUE, data TEXT NOT NULL, sum BLOB);
CREATE TABLE IF NOT EXISTS batches (key BLOB NOT NULL UNIQUE, data TEXT NOT NULL, sum BLOB);
"""


@public
class Journal:
    """A file of replies. Safe to use from several threads, and from several processes at once.

    Open it in each process; like a backend, it does not survive `fork`.

        with Journal("squirrels.journal") as journal, Decider(model, journal=journal) as decider:
            decider.decide("squirrel.png", "Does this image show anything funny?")
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the journal, and make it if it is not there.

        Args:
            path: The file; two more, named after it, are beside it while it is open.

        Raises:
            StorageError: It cannot be made, read or written, or is something else than a journal.
        """
        self.path = Path(path)
        self._lock = threading.Lock()
        self._pid = os.getpid()
        with self._typed():
            # Made here and not by SQLite, so that there is no moment at which others may read it.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            self._db: sqlite3.Connection | None = sqlite3.connect(
                self.path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False
            )
            try:
                self._set_up(self._db)
            except BaseException:
                self._db.close()
                raise

    def _set_up(self, db: sqlite3.Connection) -> None:
        (mark,) = db.execute("PRAGMA application_id").fetchone()
        (layout,) = db.execute("PRAGMA user_version").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if (tables or mark) and (mark, layout) != (_APPLICATION, _LAYOUT):
            msg = f"{self.path} is not a journal of this version"
            raise StorageError(msg, hint="name another file")
        db.execute("PRAGMA journal_mode = WAL")
        # Safe against a killed process. Against a power cut only the last moments are not.
        db.execute("PRAGMA synchronous = NORMAL")
        if tables and mark:
            # On a full disk, too, what is there can be read.
            return
        db.executescript(
            f"BEGIN IMMEDIATE; PRAGMA application_id = {_APPLICATION};"
            f"PRAGMA user_version = {_LAYOUT}; {_SETUP} COMMIT;"
        )

    def recall(self, key: bytes) -> Reply | None:
        """Find a reply.

        Args:
            key: What `request_key` returned.

        Returns:
            The reply as it came, or None if there is none that can be trusted.

        Raises:
            StorageError: The file cannot be read.
        """
        data = self.read("replies", key)
        try:
            return None if data is None else reply_of(data)
        except (KeyError, TypeError, ValueError):
            return None

    def remember(self, key: bytes, reply: Reply) -> None:
        """Keep a reply; it is in the file when this returns. The first one under a key stays.

        Args:
            key: What `request_key` returned.
            reply: The reply as it came.

        Raises:
            StorageError: The file cannot be written.
        """
        self.write("replies", key, reply_data(reply))

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
            found = db.execute(f"SELECT data, sum FROM {table} WHERE key = ?", (key,)).fetchone()  # noqa: S608 - a name of ours
        return None if found is None or _sum(key, found[0]) != found[1] else _parsed(found[0])

    def write(self, table: str, key: bytes, data: object, *, replacing: bool = False) -> None:
        """Keep an entry of any kind.

        Args:
            table: As in `read`.
            key: Its key.
            data: What can be written as JSON.
            replacing: Whether it takes the place of an entry that is there and intact.

        Raises:
            StorageError: The file cannot be written.
        """
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        entry = (key, text, _sum(key, text))
        with self._using() as db:
            added = db.execute(f"INSERT OR IGNORE INTO {table} VALUES (?, ?, ?)", entry)  # noqa: S608
            if added.rowcount:
                return
            there = db.execute(f"SELECT data, sum FROM {table} WHERE key = ?", (key,)).fetchone()  # noqa: S608
            if replacing or there is None or _sum(key, there[0]) != there[1]:
                db.execute(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)", entry)  # noqa: S608

    def entries(self, table: str) -> Iterator[tuple[bytes, Any]]:
        """Read every intact entry of a kind, in the order in which they were made.

        Args:
            table: As in `read`.

        Yields:
            Keys, and what was written.

        Raises:
            StorageError: The file cannot be read.
        """
        for key, data in self._intact(table):
            yield key, _parsed(data)

    def keys(self, table: str) -> Iterator[bytes]:
        """Read the key of every intact entry of a kind.

        Args:
            table: As in `read`.

        Yields:
            Keys, in the order in which they were made.

        Raises:
            StorageError: The file cannot be read.
        """
        for key, _ in self._intact(table):
            yield key

    def _intact(self, table: str) -> Iterator[tuple[bytes, bytes]]:
        last, sha256 = 0, hashlib.sha256
        # As bytes, because most of the time of a scan would go into texts that nobody reads.
        select = (
            f"SELECT rowid, CAST(key AS BLOB), CAST(data AS BLOB), sum FROM {table}"  # noqa: S608
            " WHERE rowid > ? ORDER BY rowid LIMIT 2000"
        )
        while True:
            with self._using() as db:
                found = db.execute(select, (last,)).fetchall()
            if not found:
                return
            last = found[-1][0]
            for _, key, data, checksum in found:
                if sha256(key + data).digest()[:_SUM] == checksum:
                    yield key, data

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the journal for one run. Two that go through the same list would both pay for it.

        It keeps away others who ask for the same, nobody else: `decide` and the workers of a
        distributed job share a journal freely.

        Raises:
            UsageError: Somebody else holds it.
            StorageError: The file that marks it cannot be made.
        """
        with self._typed():
            mark = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not _locked(mark):
                msg = f"another run is using the journal {self.path}"
                raise UsageError(msg, hint="wait for it, or name another journal")
            yield
        finally:
            # The lock goes with the file; the system lets go of it also when a process is killed.
            os.close(mark)

    def close(self) -> None:
        """Close the file. May be called twice."""
        with self._lock:
            db, self._db = self._db, None
            if db is not None and self._pid == os.getpid():
                with self._typed():
                    db.close()

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
        with self._lock, self._typed():
            if self._db is None or self._pid != os.getpid():
                why = "was opened in another process" if self._db else "is closed"
                msg = f"this journal {why}"
                raise UsageError(msg, hint="open it in each process, and close it last")
            yield self._db

    @contextmanager
    def _typed(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            msg = f"the journal {self.path} cannot be used: {error}"
            hint = "make room and see that it may be written; what it holds already is safe"
            raise StorageError(msg, hint=hint) from None


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


def _sum(key: object, text: object) -> bytes:
    # Of both: an intact text under another key is as wrong as a damaged one.
    if not isinstance(key, bytes) or not isinstance(text, str):
        return b""
    return hashlib.sha256(key + text.encode()).digest()[:_SUM]


def _parsed(text: str | bytes) -> Any | None:  # noqa: ANN401 - JSON
    try:
        return json.loads(text)
    except ValueError:
        return None
