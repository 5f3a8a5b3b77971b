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

import hashlib
import json
import logging
import os
import sqlite3
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal, Self

from faithful_decide._batch.entry import reply_data, reply_of
from faithful_decide._batch.journal_file import (
    Damaged,
    connect,
    connect_to_read,
    is_damaged,
    is_locked,
    path_of,
    typed,
)
from faithful_decide._core.handle import Handle
from faithful_decide._public import public
from faithful_decide.errors import StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from faithful_decide._core.types import Reply

__all__ = ["Journal", "checksum"]

_APPLICATION = 0x66616964
"""Marks the file as a journal: SQLite keeps this number in its header."""
_LAYOUT = 2
_WAIT_S = 30.0
"""How long to wait for somebody else who is writing. Other journals take a millisecond."""
_LAST_WAIT_S = 1.0
"""How long to wait when closing, for what could not be written before."""
_TABLES = ("replies", "batches")
_SETUP = "".join(
    # Not UNIQUE: where an entry is damaged, another one is added, and the newest is read first.
    f"CREATE TABLE IF NOT EXISTS {table} (key BLOB, data TEXT, sum BLOB);"
    f"CREATE INDEX IF NOT EXISTS {table}_key ON {table} (key);"
    for table in _TABLES
)
_PAGE = 2000
"""Entries that are read at a time."""

_log = logging.getLogger("faithful_decide")


@public
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
        with typed(self.path):
            self._db = Handle(self._opened())

    def _opened(self) -> sqlite3.Connection:
        db = connect(self.path, _WAIT_S)
        try:
            _set_up(db, self.path)
            self._writable = os.access(self.path, os.W_OK)
        except sqlite3.OperationalError:
            db.close()
            # Perhaps the files beside it cannot be made. What is there can be read.
            reading = connect_to_read(self.path, _WAIT_S)
            if reading is None or _content(reading) != "journal":
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
            data = self._waiting.get(key) or _intact(db, "replies", key)
        return _reply(data)

    def remember(self, key: bytes, reply: Reply, *, wait_s: float = _WAIT_S) -> None:
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
        data = _written(reply_data(reply))
        with self._using() as db:
            # One who waits in vain is enough: those behind it do not wait again.
            patience = 0.0 if self._waiting else wait_s
            self._waiting.setdefault(key, data)
            if not self._write_waiting(db, patience) and len(self._waiting) == 1:
                _log.warning(
                    "the journal %s is locked by another program; replies wait in memory until"
                    " it is closed there",
                    self.path,
                )

    def _write_waiting(self, db: sqlite3.Connection, wait_s: float) -> bool:
        """Write what came; False where another program holds the file."""
        with _patience(db, wait_s):
            while self._waiting:
                key, data = next(iter(self._waiting.items()))
                try:
                    there = _put(db, "replies", key, data)
                    if there is not None and _reply(there) is None:
                        _put(db, "replies", key, data, replacing=True)
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
            msg = f"the journal {self.path} can only be read, and what is asked is not in it"
            raise StorageError(
                msg, hint="copy it to a folder that may be written, and use the copy"
            )

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
            data = _intact(db, table, key)
        return _parsed(data)

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
        with self._using() as db:
            _put(db, table, key, _written(data), replacing=replacing)

    def entries(self, table: str) -> Iterator[tuple[bytes, Any]]:
        """Read every intact entry of a kind, in the order in which they were made.

        Args:
            table: As in `read`.

        Yields:
            Keys, and what was written.

        Raises:
            StorageError: The file cannot be read.
        """
        for key, data in self._scan(table):
            if (value := _parsed(data)) is not None:
                yield key, value

    def keys(self, table: str) -> Iterator[bytes]:
        """Read the key of every intact entry of a kind.

        Args:
            table: As in `read`.

        Yields:
            Keys, in the order in which they were made.

        Raises:
            StorageError: The file cannot be read.
        """
        for key, _ in self._scan(table):
            yield key

    def _scan(self, table: str) -> Iterator[tuple[bytes, bytes]]:
        select = (
            "SELECT rowid, CAST(key AS BLOB), CAST(data AS BLOB), CAST(sum AS BLOB)"  # noqa: S608 - a name of ours
            f" FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT {_PAGE}"
        )
        last, more = 0, True
        while more:
            with self._using() as db:
                rows = db.execute(select, (last,)).fetchall()
            more = False
            for row, key, data, total in rows:
                # In a damaged file numbers may go back; a scan that follows them has no end.
                if row > last:
                    last, more = row, True
                    if _fits(key, data, total):
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
        """Close the file. May be called twice."""
        if self._db.inherited:
            return
        with self._lock:
            db = self._db.drop()
            if db is None:
                return
            with suppress(sqlite3.Error):
                self._write_waiting(db, _LAST_WAIT_S)
            if self._waiting:
                _log.error(
                    "the journal %s was closed without replies that could not be written: %d",
                    self.path,
                    len(self._waiting),
                )
            with typed(self.path):
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
        if self._db.inherited:
            # Not even its lock may be touched: a thread of the parent may have held it.
            msg = "this journal was opened in another process"
            raise UsageError(msg, hint="open it in each process")
        with self._lock, typed(self.path):
            db = self._db.get()
            if db is None:
                msg = "this journal is closed"
                raise UsageError(msg, hint="close it last, or open it again")
            yield db


def _content(db: sqlite3.Connection) -> Literal["journal", "nothing", "something else"]:
    # In one statement: between two of them another process may make a journal of it.
    mark, layout, tables = db.execute(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)"
        " FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    if (mark, layout) == (_APPLICATION, _LAYOUT):
        return "journal" if tables else "nothing"
    return "something else" if tables or mark else "nothing"


def _set_up(db: sqlite3.Connection, path: Path) -> None:
    """Make a journal of an empty file; refuse what is something else."""
    content = _content(db)
    if content == "something else":
        msg = f"{path} is not a journal of this version"
        raise StorageError(msg, hint="name another file")
    _write_ahead(db)
    # Safe against a killed process. Against a power cut only the last moments are not.
    db.execute("PRAGMA synchronous = NORMAL")
    # On a full disk, too, what is there can be read.
    if content == "nothing":
        db.executescript(
            f"BEGIN IMMEDIATE; PRAGMA application_id = {_APPLICATION};"
            f"PRAGMA user_version = {_LAYOUT}; {_SETUP} COMMIT;"
        )


def _write_ahead(db: sqlite3.Connection) -> None:
    """Turn the mode on. SQLite does not wait where two turn it on at the same moment."""
    end = time.monotonic() + _WAIT_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not is_locked(error) or time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


@contextmanager
def _patience(db: sqlite3.Connection, wait_s: float) -> Iterator[None]:
    """Wait for others that long, and not as long as usual."""
    if wait_s >= _WAIT_S:
        yield
        return
    db.execute(f"PRAGMA busy_timeout = {max(0, round(wait_s * 1000))}")
    try:
        yield
    finally:
        db.execute(f"PRAGMA busy_timeout = {round(_WAIT_S * 1000)}")


def _put(
    db: sqlite3.Connection, table: str, key: bytes, data: bytes, *, replacing: bool = False
) -> bytes | None:
    """Write an entry; where an intact one stays in its place, return that."""
    entry = {"key": key, "data": data, "sum": checksum(key, data)}
    add = f"INSERT INTO {table} (key, data, sum) SELECT :key, CAST(:data AS TEXT), :sum"
    change = f"UPDATE {table} SET data = CAST(:data AS TEXT), sum = :sum WHERE key = :key"  # noqa: S608 - a name of ours
    unless = f"WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE key = :key)"  # noqa: S608 - as above
    with _skipping_damage():
        if replacing and db.execute(change, entry).rowcount:
            return None
        if db.execute(f"{add} {unless}", entry).rowcount:
            return None
        if not replacing and (there := _intact(db, table, key)) is not None:
            return there
    # Beside the damaged one: replacing it could cost an entry that it wrongly points to.
    with _skipping_damage():
        db.execute(add, entry)
    if _intact(db, table, key) is None:
        msg = "it is so damaged that nothing can be added"
        raise Damaged(msg)
    return None


def _intact(db: sqlite3.Connection, table: str, key: bytes) -> bytes | None:
    """The newest entry under a key that fits its checksum."""
    # As bytes: in a damaged entry there may be anything, also what is no text.
    select = (
        f"SELECT CAST(data AS BLOB), CAST(sum AS BLOB) FROM {table}"  # noqa: S608 - as above
        " WHERE key = ? ORDER BY rowid DESC"
    )
    data: bytes | None
    with _skipping_damage():
        for data, total in db.execute(select, (key,)):
            if _fits(key, data, total):
                return data
    return None


@contextmanager
def _skipping_damage() -> Iterator[None]:
    """Take an entry on a damaged page for none."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if not is_damaged(error):
            raise


def _fits(key: bytes | None, data: bytes | None, total: bytes | None) -> bool:
    return key is not None and data is not None and checksum(key, data) == total


def checksum(key: bytes, data: bytes) -> bytes:
    """The checksum of an entry: of both, because a text under another key is as wrong."""
    return hashlib.sha256(key + data).digest()[:16]


def _written(data: object) -> bytes:
    # A reply may hold half a character, which is no text in any encoding. It comes back as it was.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="surrogatepass")


def _parsed(data: bytes | None) -> Any | None:  # noqa: ANN401 - JSON
    try:
        return None if data is None else json.loads(data)
    except (ValueError, RecursionError):
        return None


def _reply(data: bytes | None) -> Reply | None:
    try:
        return None if data is None else reply_of(_parsed(data))
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
