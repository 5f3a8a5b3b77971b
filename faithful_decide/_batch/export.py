"""Rows into a file, and back: JSON lines, CSV or Parquet, by the ending of its name.

A file of results is written beside its place and put there whole, so whoever looks finds the old
one or the new one and never a part. Rows go out as they come; a million need no more memory than a
thousand. A table needs its columns before its rows: those of the first rows are used, and what a
later item has beyond them goes into the column `more`, as JSON.

A cell of CSV that a spreadsheet would take for a formula gets a `'` in front, because the text is a
model's or a stranger's; so does what would begin a cell where the spreadsheet splits lines at `;`.
A number is no formula. `read_rows` takes the `'` away again.

Whatever UTF-8 cannot hold is written as an escape (`flat`), and a damaged row of a file is read as
a row with an error, so that one of them never costs the others.
"""

from __future__ import annotations

import csv
import io
import json
import re
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from faithful_decide._batch.cells import Cells, csv_cells, parquet_cells, pyarrow_for
from faithful_decide._batch.damage import Damage, sound
from faithful_decide._batch.row import MORE, OBJECTS, OWN_COLUMNS, Row, flat, from_flat
from faithful_decide._core.files import written_whole
from faithful_decide._nearest import hinting
from faithful_decide._public import public
from faithful_decide.errors import StorageError, UsageError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["exporting", "is_damage", "read_rows", "write_json", "write_rows"]

_ROWS = 512
"""Rows that are written together, and whose columns a table has."""
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)*|\.\d+)([eE][+-]?\d+)?%?")
# What begins a formula, also at full width; and what a spreadsheet leaves out in front of it.
_SIGN, _LEFT_OUT = r"=+\-@\uff1d\uff0b\uff0d\uff20\ufe62\ufe63\ufe66\ufe6b", r"\x00-\x1f\ufeff"
_UNSAFE = re.compile(rf"^(?='*[{_SIGN}{_LEFT_OUT}])|(?<=[;\t\r\n])(?='*[{_SIGN}])")
_MADE_SAFE = re.compile(rf"^'(?='*[{_SIGN}{_LEFT_OUT}])|(?<=[;\t\r\n])'(?='*[{_SIGN}])")
_MOST_INTEGER = 2**63 - 1


@contextmanager
def exporting(path: str | os.PathLike[str]) -> Iterator[Callable[[Row], None]]:
    """Write rows to a file, by what this gives; it is there, whole, when this ends well.

    What was there before stays there otherwise. A second run that would write the same file is
    refused as long as the first goes on.
    """
    place = Path(path)
    kind = place.suffix.lower()
    if kind not in _WRITERS:
        msg = f"{place} ends in none of {', '.join(_WRITERS)}"
        raise UsageError(msg, hint="let its name end in the format that you want")
    if kind == ".parquet":
        pyarrow_for("Writing")
    with _typed(place), written_whole(place) as raw:
        writer = _WRITERS[kind](raw)
        try:
            yield writer.add
            writer.finish()
        except BaseException:
            with suppress(Exception):
                writer.give_up()
            raise


def write_json(row: Row, file: TextIO) -> None:
    """Write a row as one line of JSON. Its letters are ASCII, and safe to show in a terminal."""
    file.write(json.dumps(row.to_dict(), default=str) + "\n")


@public
@hinting
def write_rows(rows: Iterable[Row], path: str | os.PathLike[str]) -> int:
    """Write rows to a file as they come; it is there, whole, when all of them are.

    Args:
        rows: The rows, as `decide_many` gives them.
        path: Where to write: a name that ends in `.jsonl`, `.csv` or `.parquet`.

    Returns:
        How many there were.

    Raises:
        UsageError: The name has another ending.
        MissingExtraError: What writes Parquet is not installed.
        StorageError: The file cannot be written, or somebody else is writing it.
    """
    written = 0
    with exporting(path) as write:
        for row in rows:
            write(row)
            written += 1
    return written


@public
@hinting
def read_rows(path: str | os.PathLike[str]) -> Iterator[Row]:
    """Read rows back.

    Args:
        path: A file of results, as `batch --out` writes it.

    Yields:
        The rows. Decisions are as they were written; `verify_stored` verifies one again. A row that
        is damaged has a `StorageError`.

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

    def told(damage: Damage) -> Row:
        name = f"{place.name}:{damage.at}"
        error = StorageError(f"{name}: {damage.what}", hint="run the batch again to write it anew")
        return Row(name, "", error=error)

    def refusal(damage: Damage) -> UsageError:
        msg = f"{place} is not a file of results: {damage.what}"
        return UsageError(msg, hint="name a file that a batch has written")

    with _typed(place, read=True):
        try:
            yield from sound(map(_row, readers[place.suffix.lower()](place)), told, refusal)
        except ValueError as error:
            raise refusal(Damage(str(error), 0)) from None


def is_damage(row: Row) -> bool:
    """Whether a row that was read stands for one that could not be."""
    return isinstance(row.error, StorageError) and not row.question


def _row(values: tuple[int, Mapping[str, Any]] | Damage) -> Row | Damage:
    if isinstance(values, Damage):
        return values
    number, columns = values
    try:
        more = json.loads(columns.get(MORE) or "{}")
        return from_flat({**{n: v for n, v in columns.items() if n != MORE}, **more})
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        return Damage(str(error), number)


class _JsonLines:
    def __init__(self, raw: Any) -> None:  # noqa: ANN401 - a binary file
        self._file = io.TextIOWrapper(raw, encoding="utf-8", write_through=False)

    def add(self, row: Row) -> None:
        write_json(row, self._file)

    def finish(self) -> None:
        self._file.flush()
        self._file.detach()

    def give_up(self) -> None:
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
            self._columns = (*names, MORE)
            self.begin(self._columns)
        for row in self._rows:
            columns = set(self._columns[:-1])
            more = {
                name: row.pop(name)
                for name in list(row)
                if name not in columns or not self.holds(row[name])
            }
            row[MORE] = _text(more) if more else None
        self.write(self._rows)
        self._rows = []

    def holds(self, value: object) -> bool:
        """Whether a column can hold the value."""
        del value
        return True

    def begin(self, columns: tuple[str, ...]) -> None:
        raise NotImplementedError

    def write(self, rows: list[dict[str, Any]]) -> None:
        raise NotImplementedError


class _Csv(_Table):
    _file: io.TextIOWrapper

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

    def give_up(self) -> None:
        self._file.detach()


class _Parquet(_Table):
    def begin(self, columns: tuple[str, ...]) -> None:
        arrow = pyarrow_for("Writing")
        types = {str: arrow.string(), int: arrow.int64(), float: arrow.float64()}
        self._schema = arrow.schema([(n, types[OWN_COLUMNS.get(n, str)]) for n in columns])
        self._writer = arrow.parquet.ParquetWriter(self._raw, self._schema, compression="zstd")

    def holds(self, value: object) -> bool:
        return not isinstance(value, int) or abs(value) <= _MOST_INTEGER

    def write(self, rows: list[dict[str, Any]]) -> None:
        arrow = pyarrow_for("Writing")
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

    def give_up(self) -> None:
        self._writer.close()


_WRITERS: Mapping[str, type[_JsonLines | _Csv | _Parquet]] = {
    ".jsonl": _JsonLines,
    ".csv": _Csv,
    ".parquet": _Parquet,
}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _safe(value: object) -> object:
    if value is None or isinstance(value, int | float):
        return value
    text = _text(value)
    return text if _NUMBER.fullmatch(text) else _UNSAFE.sub("'", text)


def _from_safe(text: str) -> str:
    return _MADE_SAFE.sub("", text)


def _read_json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]] | Damage]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                values = json.loads(line.decode())
                for name in OBJECTS:
                    if values.get(name) is not None:
                        values[name] = json.dumps(values[name], ensure_ascii=False)
            except (ValueError, AttributeError, RecursionError) as error:
                yield Damage(str(error), number)
                continue
            yield number, values


def _read_csv(path: Path) -> Iterator[tuple[int, dict[str, Any]] | Damage]:
    with csv_cells(path) as lines:
        header = next(lines, (1, []))
        if isinstance(header, Damage):
            raise ValueError(header.what)  # noqa: TRY004 - it is the file that is wrong
        yield from _under(list(map(_from_safe, header[1])), lines, _from_safe)


def _read_parquet(path: Path) -> Iterator[tuple[int, dict[str, Any]] | Damage]:
    with parquet_cells(path) as (names, lines):
        yield from _under(names, lines, lambda cell: cell)


def _under(
    names: list[str], lines: Iterable[Cells | Damage], read: Callable[[Any], Any]
) -> Iterator[tuple[int, dict[str, Any]] | Damage]:
    """The cells of each line under the names of their columns."""
    for line in lines:
        if isinstance(line, Damage):
            yield line
        elif len(line[1]) != len(names):
            yield Damage(f"there are {len(line[1])} cells, and {len(names)} columns", line[0])
        else:
            cells = (None if cell == "" else read(cell) for cell in line[1])
            yield line[0], dict(zip(names, cells, strict=True))


@contextmanager
def _typed(path: Path, *, read: bool = False) -> Iterator[None]:
    try:
        yield
    except BlockingIOError as error:
        msg = f"{path} cannot be written: {error.strerror}"
        raise StorageError(msg, hint="wait for it to end, or name another file") from None
    except OSError as error:
        what = "read" if read else "written"
        msg = f"{path} cannot be {what}: {error.strerror or error}"
        hint = "name a file that a batch has written" if read else "make room, or name another file"
        raise StorageError(msg, hint=hint) from None
