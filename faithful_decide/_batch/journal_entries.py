"""The tables of a journal: how an entry is written, and when it is believed.

An entry has a checksum, and one that does not fit is no entry. Where one is damaged, another is
added beside it and the newest is read first: replacing it would cost an entry that a damaged number
points to. Everything is read as bytes, since in a damaged entry there may be anything.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from faithful_decide._batch.journal_file import Damaged, is_damaged, is_locked
from faithful_decide.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "WAIT_S",
    "checksum",
    "content_of",
    "intact",
    "page",
    "parsed",
    "patience",
    "put",
    "set_up",
    "written",
]

WAIT_S = 30.0
"""How long to wait for somebody else who is writing. Other journals take a millisecond."""
_APPLICATION = 0x66616964
"""Marks the file as a journal: SQLite keeps this number in its header."""
_LAYOUT = 2
_SETUP = "".join(
    f"CREATE TABLE IF NOT EXISTS {table} (key BLOB, data TEXT, sum BLOB);"
    f"CREATE INDEX IF NOT EXISTS {table}_key ON {table} (key);"
    for table in ("replies", "batches")
)
_PAGE = 2000
"""Entries that are read at a time."""


def content_of(db: sqlite3.Connection) -> Literal["journal", "nothing", "something else"]:
    """What is in a file of SQLite."""
    # In one statement: between two of them another process may make a journal of it.
    mark, layout, tables = db.execute(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)"
        " FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    if (mark, layout) == (_APPLICATION, _LAYOUT):
        return "journal" if tables else "nothing"
    return "something else" if tables or mark else "nothing"


def set_up(db: sqlite3.Connection, path: Path) -> None:
    """Make a journal of an empty file; refuse what is something else."""
    content = content_of(db)
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
    end = time.monotonic() + WAIT_S
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
def patience(db: sqlite3.Connection, wait_s: float) -> Iterator[None]:
    """Wait for others so long, and not as long as usual."""
    if wait_s >= WAIT_S:
        yield
        return
    db.execute(f"PRAGMA busy_timeout = {max(0, round(wait_s * 1000))}")
    try:
        yield
    finally:
        db.execute(f"PRAGMA busy_timeout = {round(WAIT_S * 1000)}")


def put(
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
        if not replacing and (there := intact(db, table, key)) is not None:
            return there
    with _skipping_damage():
        db.execute(add, entry)
    if intact(db, table, key) is None:
        msg = "it is so damaged that nothing can be added"
        raise Damaged(msg)
    return None


def intact(db: sqlite3.Connection, table: str, key: bytes) -> bytes | None:
    """The newest entry under a key that fits its checksum."""
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


def page(db: sqlite3.Connection, table: str, after: int) -> tuple[int, list[tuple[bytes, bytes]]]:
    """The next entries after a row, in the order in which they were made, and the last row."""
    rows = db.execute(
        "SELECT rowid, CAST(key AS BLOB), CAST(data AS BLOB), CAST(sum AS BLOB)"  # noqa: S608 - a name of ours
        f" FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT {_PAGE}",
        (after,),
    )
    entries = []
    for row, key, data, total in rows:
        # In a damaged file numbers may go back; a scan that follows them has no end.
        if row > after:
            after = row
            if _fits(key, data, total):
                entries.append((key, data))
    return after, entries


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


def written(data: object) -> bytes:
    """JSON that comes back as it was, also half a character, which no encoding has."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="surrogatepass")


def parsed(data: bytes | None) -> Any | None:  # noqa: ANN401 - JSON
    """What was written; None if it is no JSON."""
    try:
        return None if data is None else json.loads(data)
    except (ValueError, RecursionError):
        return None
