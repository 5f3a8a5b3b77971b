"""Tables as cells, from CSV and from Parquet: a damaged line costs itself and no other.

The limit that `csv` sets on the length of a cell belongs to the whole process, so it is raised only
while a line that needs it is read, and put back. A quotation mark that is never closed would make
one cell of the rest of the file; then its first line is the damaged one, and the next is read anew.
"""

from __future__ import annotations

import csv
import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from faithful_decide._batch.damage import Damage
from faithful_decide.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TextIO

__all__ = ["Cells", "csv_cells", "parquet_cells", "pyarrow_for"]

Cells = tuple[int, list[Any]]
"""The number of a line, and what is in it."""

_MOST_LINES, _MOST_CHARACTERS = 10_000, 2**28
"""A cell with more lines or characters than this is one that was never closed."""
_USUAL_CHARACTERS = 2**17 - 1
"""The limit that `csv` comes with."""
_ROWS = 256
_limit_lock = threading.Lock()


class _NeverClosed(Exception):  # noqa: N818 - is caught where it is raised
    pass


@contextmanager
def csv_cells(path: Path, delimiter: str = ",") -> Iterator[Iterator[Cells | Damage]]:
    """Open a table of text; its lines, the first of them the header."""
    with path.open("rb") as file:
        if file.read(2) in {b"\xff\xfe", b"\xfe\xff"}:
            msg = "it is UTF-16; save it as UTF-8"
            raise ValueError(msg)
    # A byte that is not UTF-8 costs its line; it is found by what it is decoded to.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        yield _records(_Lines(file, delimiter))


def _records(lines: _Lines) -> Iterator[Cells | Damage]:
    while lines.more():
        number = lines.number + 1
        try:
            cells = lines.next_record()
        except (csv.Error, _NeverClosed) as error:
            lines.give_back()
            yield Damage(str(error) or "a quotation mark is not closed", number)
            continue
        if not all(map(str.isascii, cells)) and not all(map(_is_utf8, cells)):
            yield Damage("the line is not UTF-8", number)
        elif cells:
            yield number, cells


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class _Lines:
    """The lines of a file, of which those of the record that is being read can be given back."""

    def __init__(self, file: TextIO, delimiter: str) -> None:
        self._file = file
        self._delimiter = delimiter
        self._ahead: deque[str] = deque()
        self._taken: list[str] = []
        self._raised: list[int] = []
        """The limit as it was, while it is raised."""
        self.number = 0
        """How many lines are behind us."""
        self._begin()

    def _begin(self) -> None:
        self._reader = csv.reader(self._feed(), delimiter=self._delimiter, strict=True)

    def more(self) -> bool:
        if not self._ahead and (line := self._file.readline()):
            self._ahead.append(line)
        return bool(self._ahead)

    def next_record(self) -> list[str]:
        self._taken = []
        try:
            cells = next(self._reader)
        finally:
            if self._raised:
                csv.field_size_limit(self._raised.pop())
                _limit_lock.release()
        self.number += len(self._taken)
        return cells

    def _feed(self) -> Iterator[str]:
        characters = 0
        while self.more():
            line = self._ahead.popleft()
            characters = len(line) + (characters if self._taken else 0)
            self._taken.append(line)
            if len(self._taken) > _MOST_LINES or characters > _MOST_CHARACTERS:
                raise _NeverClosed
            if characters > _USUAL_CHARACTERS and not self._raised:
                _limit_lock.acquire()
                self._raised.append(csv.field_size_limit(_MOST_CHARACTERS))
            yield line

    def give_back(self) -> None:
        """Keep the first line as read, and read the others again."""
        self._begin()
        self._ahead.extendleft(reversed(self._taken[1:]))
        self.number += 1


@contextmanager
def parquet_cells(path: Path) -> Iterator[tuple[list[str], Iterator[Cells | Damage]]]:
    """Open a table of Parquet; the names of its columns, and its lines."""
    pyarrow = pyarrow_for("Reading")
    try:
        file = pyarrow.parquet.ParquetFile(path)
        names = list(file.schema_arrow.names)
    except pyarrow.ArrowException as error:
        raise ValueError(error) from None
    with file:
        yield names, _lines_of(file, pyarrow.ArrowException)


def _lines_of(file: Any, broken: type[Exception]) -> Iterator[Cells | Damage]:  # noqa: ANN401
    number = 0
    for group in range(file.num_row_groups):
        end = number + file.metadata.row_group(group).num_rows
        try:
            # A few rows at a time: with the images in them, a row group may be larger than memory.
            for batch in file.iter_batches(batch_size=_ROWS, row_groups=[group]):
                for cells in zip(*map(_column, batch.columns), strict=True):
                    number += 1
                    if any(cell is _UNREADABLE for cell in cells):
                        yield Damage("it has a cell that cannot be read", number)
                    else:
                        yield number, list(cells)
        except (OSError, ValueError, broken) as error:
            # How many there were is known, and each is told.
            for lost in range(number + 1, end + 1):
                yield Damage(f"its part of the file is damaged: {error}", lost)
            number = end


_UNREADABLE = object()


def _column(column: Any) -> list[Any]:  # noqa: ANN401 - pyarrow has no types
    """The values of a column; one that Python cannot hold does not cost the others."""
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except (ValueError, OverflowError):
        pass
    try:
        # A moment may be finer, or further away, than those of Python; it is wanted as a text.
        return column.cast("string").to_pylist()  # type: ignore[no-any-return]
    except (ValueError, NotImplementedError):
        return [_value(cell) for cell in column]


def _value(cell: Any) -> Any:  # noqa: ANN401 - pyarrow has no types
    try:
        return cell.as_py()
    except (ValueError, OverflowError):
        return _UNREADABLE


def pyarrow_for(doing: str) -> Any:  # noqa: ANN401 - optional
    """The package that reads and writes Parquet."""
    try:
        import pyarrow.parquet  # noqa: PLC0415 - optional, and slow to load
    except ImportError:
        extra = "parquet"
        raise MissingExtraError(extra, needed_for=f"{doing} a Parquet file") from None
    return pyarrow
