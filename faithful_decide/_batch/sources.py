"""Where items come from: folders, patterns, tables, archives, a pipe. Read as they are needed.

| source | items |
|---|---|
| a folder | the images in it and below; with `metadata.csv` or `metadata.jsonl`, what that lists |
| a pattern such as `shots/**/*.png` | the files that match |
| `.csv`, `.jsonl` | one per line; a path or data URI in the column `image`, `file_name` or `path` |
| `.parquet` | the same, or the bytes, or a struct of `bytes` and `path` as Hugging Face writes it |
| `.tar`, `.tar.gz` | WebDataset: files with the same name up to the first dot are one item |
| `-` | a path, or an object as in `.jsonl`, per line of standard input |
| any other file | itself |

Paths in a table are relative to the table. An item is called by its column `id`, else by its path.
A line that cannot be used becomes an item with an error, and with it a row: whoever counts rows
must find as many as there were lines.
"""

from __future__ import annotations

import csv
import glob
import json
import os
import sys
import tarfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faithful_decide._batch.row import Item
from faithful_decide.errors import ImageError, MissingExtraError, StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["read_items"]

_IMAGES = frozenset([".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"])
_IMAGE_COLUMNS = ("image", "file_name", "path")
_METADATA = ("metadata.csv", "metadata.jsonl")
_TARS = (".tar", ".tar.gz", ".tgz")
_MOST_BYTES = 256 * 2**20
"""A member of an archive larger than this is no image that could be sent."""
_ROWS = 256


def read_items(*sources: str | os.PathLike[str], image_column: str | None = None) -> Iterator[Item]:
    """Read items from sources, one after the other.

    Args:
        *sources: As in the table at the top of this module.
        image_column: The column of tables that holds the image, if it is called otherwise.

    Yields:
        The items.

    Raises:
        UsageError: There is no such source, or it has no column for the image.
        MissingExtraError: What reads it is not installed.
        StorageError: It cannot be read.
    """
    for source in sources:
        name = os.fspath(source)
        with _typed(name):
            yield from _of(name, image_column)


def _of(name: str, column: str | None) -> Iterator[Item]:
    path = Path(name)
    if name == "-":
        return _lines(sys.stdin, Path(), column)
    if path.is_dir():
        listed = (path / metadata for metadata in _METADATA)
        table = next((metadata for metadata in listed if metadata.is_file()), None)
        return _folder(path) if table is None else _file(table, column)
    if path.exists():
        return _file(path, column)
    if any(mark in name for mark in "*?["):
        return _matches(name)
    msg = f"there is no {name}"
    raise UsageError(msg, hint="name a folder, a pattern, a table, an archive or an image")


def _file(path: Path, column: str | None) -> Iterator[Item]:
    match path.suffix.lower():
        case ".csv":
            return _csv(path, column)
        case ".parquet":
            return _parquet(path, column)
        case ".jsonl" | ".ndjson":
            return _jsonl(path, column)
    if path.name.lower().endswith(_TARS):
        return _archive(path)
    return iter((Item(str(path), str(path)),))


def _folder(path: Path) -> Iterator[Item]:
    """The images below a folder, in the order of their names, named relative to it."""
    # One folder at a time, so that only the names of one are in memory.
    for folder, inner, files in os.walk(path):
        inner.sort()
        files.sort()
        for file in files:
            if os.path.splitext(file)[1].lower() in _IMAGES:  # noqa: PTH122 - for each of millions
                full = f"{folder}{os.sep}{file}"
                yield Item(os.path.relpath(full, path), full)


def _matches(pattern: str) -> Iterator[Item]:
    found = False
    for name in glob.iglob(pattern, recursive=True):  # noqa: PTH207 - patterns may be absolute
        if not os.path.isdir(name):  # noqa: PTH112 - for each of millions
            found = True
            yield Item(name, name)
    if not found:
        msg = f"nothing matches {pattern}"
        raise UsageError(msg, hint="quote the pattern, so that the shell does not replace it")


def _csv(path: Path, column: str | None) -> Iterator[Item]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        column = _column(reader.fieldnames or (), column, path)
        for number, values in enumerate(reader, 2):
            # None is the key of cells without a header, and the value of cells that are missing.
            values.pop(None, None)
            yield _item(values, column, path, number)


def _jsonl(path: Path, column: str | None) -> Iterator[Item]:
    with path.open(encoding="utf-8-sig") as file:
        yield from _lines(file, path, column)


def _lines(lines: Iterable[str], path: Path, column: str | None) -> Iterator[Item]:
    known = ""
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text:
            continue
        if path == Path() and not text.startswith("{"):
            yield Item(text, text)
            continue
        try:
            values = json.loads(text)
            if not isinstance(values, dict):
                raise TypeError  # noqa: TRY301 - the same as if it were no JSON at all
        except (ValueError, TypeError, RecursionError):
            yield _spoilt(f"{path.name or 'line'}:{number}", "the line is not a JSON object")
            continue
        # The first object says what the column is called; one without it is spoilt, not the rest.
        known = known or _column(values, column, path)
        yield _item(values, known, path, number)


def _parquet(path: Path, column: str | None) -> Iterator[Item]:
    try:
        import pyarrow.parquet  # noqa: PLC0415 - optional, and slow to load
    except ImportError:
        extra = "parquet"
        raise MissingExtraError(extra, needed_for="Reading a Parquet file") from None
    with pyarrow.parquet.ParquetFile(path) as file:
        column = _column(file.schema_arrow.names, column, path)
        number = 0
        # A few rows at a time: with the images in them, a row group may be larger than memory.
        for batch in file.iter_batches(batch_size=_ROWS):
            for values in batch.to_pylist():
                number += 1
                yield _item(values, column, path, number)


def _archive(path: Path) -> Iterator[Item]:
    """Group the members of an archive by the part of their name that they share."""
    with tarfile.open(path, "r|*") as archive:
        name, parts = "", dict[str, bytes | ImageError]()
        while (member := archive.next()) is not None:
            # It keeps a list of all it has seen, a kilobyte for each.
            archive.members.clear()  # type: ignore[attr-defined] # not in its types
            if not member.isfile():
                continue
            folder, _, file = member.name.rpartition("/")
            stem, _, ending = file.partition(".")
            full = f"{folder}/{stem}" if folder else stem
            if full != name and parts:
                yield _grouped(name, parts)
                parts = {}
            name = full
            if member.size > _MOST_BYTES:
                parts[ending] = ImageError(f"{member.name} has {member.size} bytes")
                continue
            content = archive.extractfile(member)
            parts[ending] = content.read() if content else b""
        if parts:
            yield _grouped(name, parts)


def _grouped(name: str, parts: Mapping[str, bytes | ImageError]) -> Item:
    image: bytes | ImageError = ImageError(f"{name} has no image in the archive")
    columns: dict[str, str] = {}
    for ending, content in parts.items():
        if "." + ending.lower().rpartition(".")[2] in _IMAGES:
            image = content
        elif isinstance(content, bytes):
            columns |= _read_part(ending, content)
    return Item(name, image, columns)


def _read_part(ending: str, content: bytes) -> dict[str, str]:
    text = content.decode(errors="replace").strip()
    if ending.endswith("json"):
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            values = None
        if isinstance(values, dict):
            return {key: _cell(value) for key, value in values.items() if value is not None}
    # A class is written by itself, under this name.
    return {"label" if ending == "cls" else ending: text}


def _column(names: Iterable[str], wanted: str | None, path: Path) -> str:
    names = list(names)
    if wanted is not None:
        found = wanted if wanted in names else None
    else:
        found = next((name for name in _IMAGE_COLUMNS if name in names), None)
    if found is None:
        missing = wanted or " or ".join(_IMAGE_COLUMNS)
        msg = f"{path.name or 'standard input'} has no column {missing}"
        raise UsageError(msg, hint=f"name the column of the image; there are: {', '.join(names)}")
    return found


def _item(values: Mapping[str, Any], column: str, path: Path, number: int) -> Item:
    """Make an item of a line of a table."""
    columns = {
        name: _cell(value)
        for name, value in values.items()
        if name not in {column, "id"} and value is not None
    }
    place = f"{path.name or 'line'}:{number}"
    image = values.get(column)
    called = values.get("id")
    if isinstance(image, dict):
        called = called if called is not None else image.get("path")
        data = image.get("bytes")
        image = data if isinstance(data, bytes) else image.get("path")
    if isinstance(image, bytes) and image:
        return Item(str(called if called is not None else place), image, columns)
    if not isinstance(image, str) or not image:
        return _spoilt(str(called if called is not None else place), f"no {column}", columns)
    if called is None:
        called = place if image.startswith("data:") else image
    if ":" not in image and not os.path.isabs(image):  # noqa: PTH117 - for each of millions
        image = os.path.join(path.parent, image)  # noqa: PTH118 - the same
    return Item(str(called), image, columns)


def _spoilt(name: str, why: str, columns: Mapping[str, str] | None = None) -> Item:
    msg = f"{name}: {why}"
    return Item(name, ImageError(msg, hint="mend the table, and run again"), columns or {})


def _cell(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


@contextmanager
def _typed(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeError, csv.Error, tarfile.TarError) as error:
        msg = f"{name} cannot be read: {error}"
        raise StorageError(msg, hint="check that it is whole, and may be read") from None
    except ValueError as error:
        # What pyarrow raises: its errors are ValueErrors, or OSErrors as above.
        if type(error).__module__.partition(".")[0] != "pyarrow":
            raise
        msg = f"{name} cannot be read: {error}"
        raise StorageError(msg, hint="check that it is a whole Parquet file") from None
