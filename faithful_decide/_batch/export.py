"""Rows into a file, and back: JSON lines, CSV or Parquet, by the ending of its name.

A file of results is written beside its place and put there whole, so whoever looks finds the old
one or the new one and never a part. Rows go out as they come; a million need no more memory than a
thousand. A table needs its columns before its rows: those of the first rows are used, and what a
later item has beyond them goes into the column `more`, as JSON.

A cell of CSV that a spreadsheet would take for a formula gets a `'` in front, because the text is a
model's or a stranger's. `read_rows` takes it away again.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from faithful_decide._batch.row import OWN_COLUMNS, flat, from_flat
from faithful_decide._public import public
from faithful_decide.errors import MissingExtraError, StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from faithful_decide._batch.row import Row

__all__ = ["exporting", "read_rows", "write_json"]

_ROWS = 512
"""Rows that are written together, and whose columns a table has."""
_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_MORE = "more"


@contextmanager
def exporting(path: str | os.PathLike[str]) -> Iterator[Callable[[Row], None]]:
    """Write rows to a file that is there, whole, when this ends well.

    Args:
        path: The file; its ending says what is written.

    Yields:
        What to call with each row.

    Raises:
        UsageError: The ending is none of those known.
        MissingExtraError: What writes it is not installed.
        StorageError: It cannot be written. What was there before is still there.
    """
    place = Path(path)
    kind = place.suffix.lower()
    if kind not in _WRITERS:
        msg = f"{place} ends in none of {', '.join(_WRITERS)}"
        raise UsageError(msg, hint="name it by what is to be in it")
    if kind == ".parquet":
        _pyarrow("Writing")
    # Always the same name, so that a part which was left behind is overwritten by the next run.
    part = place.with_name(f".{place.name}.part")
    with _typed(place):
        try:
            with part.open("wb") as raw:
                writer = _WRITERS[kind](raw)
                yield writer.add
                writer.finish()
                raw.flush()
                os.fsync(raw.fileno())
            part.replace(place)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise


def write_json(row: Row, file: TextIO) -> None:
    """Write a row as one line of JSON. Its letters are ASCII, and safe to show in a terminal.

    Args:
        row: The row.
        file: Where to.
    """
    values = flat(row)
    for name in ("probabilities", "observations", "decision"):
        if values[name] is not None:
            values[name] = json.loads(values[name])
    file.write(json.dumps(values) + "\n")


@public
def read_rows(path: str | os.PathLike[str]) -> Iterator[Row]:
    """Read rows back.

    Args:
        path: What `exporting` wrote.

    Yields:
        The rows. Decisions are as they were written; `verify_stored` verifies one again.

    Raises:
        UsageError: The file is not one of results.
        MissingExtraError: What reads it is not installed.
        StorageError: It cannot be read.
    """
    place = Path(path)
    readers = {".jsonl": _read_json_lines, ".csv": _read_csv, ".parquet": _read_parquet}
    if place.suffix.lower() not in readers:
        msg = f"{place} ends in none of {', '.join(readers)}"
        raise UsageError(msg, hint="name a file that a batch has written")
    with _typed(place):
        try:
            for values in readers[place.suffix.lower()](place):
                values.update(json.loads(values.pop(_MORE, None) or "{}"))
                yield from_flat(values)
        except (ValueError, AttributeError, TypeError) as error:
            msg = f"{place} is not a file of results: {error}"
            raise UsageError(msg, hint="name a file that a batch has written") from None


class _JsonLines:
    def __init__(self, raw: Any) -> None:  # noqa: ANN401 - a binary file
        self._file = io.TextIOWrapper(raw, encoding="utf-8", write_through=False)

    def add(self, row: Row) -> None:
        write_json(row, self._file)

    def finish(self) -> None:
        self._file.flush()
        self._file.detach()


class _Table:
    """Rows in portions, under columns that the first portion fixes."""

    def __init__(self, raw: Any) -> None:  # noqa: ANN401 - a binary file
        self._raw = raw
        self._rows: list[dict[str, Any]] = []
        self._columns: tuple[str, ...] = ()

    def add(self, row: Row) -> None:
        self._rows.append(flat(row))
        if len(self._rows) >= _ROWS:
            self._flush()

    def finish(self) -> None:
        self._flush()

    def _flush(self) -> None:
        if not self._columns:
            names = dict.fromkeys(OWN_COLUMNS)
            for row in self._rows:
                names |= dict.fromkeys(row)
            names.pop(_MORE, None)
            self._columns = (*names, _MORE)
            self.begin(self._columns)
        for row in self._rows:
            more = {name: row.pop(name) for name in row.keys() - set(self._columns[:-1])}
            row[_MORE] = json.dumps(more, ensure_ascii=False) if more else None
        self.write(self._rows)
        self._rows = []

    def begin(self, columns: tuple[str, ...]) -> None:
        raise NotImplementedError

    def write(self, rows: list[dict[str, Any]]) -> None:
        raise NotImplementedError


class _Csv(_Table):
    def begin(self, columns: tuple[str, ...]) -> None:
        self._file = io.TextIOWrapper(self._raw, encoding="utf-8", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerow(map(_safe, columns))

    def write(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            self._writer.writerow([_safe(row.get(name)) for name in self._columns])

    def finish(self) -> None:
        super().finish()
        self._file.flush()
        self._file.detach()


class _Parquet(_Table):
    def begin(self, columns: tuple[str, ...]) -> None:
        arrow = _pyarrow("Writing")
        types = {str: arrow.string(), int: arrow.int64(), float: arrow.float64()}
        self._schema = arrow.schema([(n, types[OWN_COLUMNS.get(n, str)]) for n in columns])
        self._writer = arrow.parquet.ParquetWriter(self._raw, self._schema, compression="zstd")

    def write(self, rows: list[dict[str, Any]]) -> None:
        arrow = _pyarrow("Writing")
        columns = [
            [
                value if value is None or name in OWN_COLUMNS else _text(value)
                for value in (row.get(name) for row in rows)
            ]
            for name in self._columns
        ]
        arrays = [
            arrow.array(values, field.type)
            for values, field in zip(columns, self._schema, strict=True)
        ]
        self._writer.write_batch(arrow.record_batch(arrays, schema=self._schema))

    def finish(self) -> None:
        super().finish()
        self._writer.close()


_WRITERS: Mapping[str, type[_JsonLines | _Csv | _Parquet]] = {
    ".jsonl": _JsonLines,
    ".csv": _Csv,
    ".parquet": _Parquet,
}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _safe(value: object) -> object:
    if value is None or isinstance(value, int | float):
        return value
    text = _text(value)
    return f"'{text}" if _FORMULA.match(text) else text


def _read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            values = json.loads(line)
            for name in ("probabilities", "observations", "decision"):
                if values.get(name) is not None:
                    values[name] = json.dumps(values[name], ensure_ascii=False)
            yield values


def _read_csv(path: Path) -> Iterator[dict[str, Any]]:
    # A decision with a long reasoning is longer than a cell usually is.
    csv.field_size_limit(2**31 - 1)
    with path.open(encoding="utf-8", newline="") as file:
        for cells in csv.DictReader(file):
            yield {
                _unsafe(name): _unsafe(value) or None
                for name, value in cells.items()
                if name is not None
            }


def _unsafe(text: str) -> str:
    return text[1:] if text[:1] == "'" and _FORMULA.match(text) else text


def _read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    with _pyarrow("Reading").parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_ROWS):
            yield from batch.to_pylist()


def _pyarrow(doing: str) -> Any:  # noqa: ANN401 - optional
    try:
        import pyarrow.parquet  # noqa: PLC0415 - optional, and slow to load
    except ImportError:
        extra = "parquet"
        raise MissingExtraError(extra, needed_for=f"{doing} a Parquet file") from None
    return pyarrow


@contextmanager
def _typed(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        msg = f"{path} cannot be used: {error}"
        raise StorageError(msg, hint="make room, or name another file") from None
