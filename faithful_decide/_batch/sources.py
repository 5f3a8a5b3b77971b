"""Where items come from: folders, patterns, tables, archives, a pipe. Read as they are needed.

| source | items |
|---|---|
| a folder | the images in it and below; or its `metadata.csv`, `.jsonl` or `.parquet` |
| a pattern such as `shots/**/*.png` | the files that match |
| `.csv`, `.tsv`, `.jsonl` | one per line; a path or data URI as `image`, `file_name` or `path` |
| `.parquet` | the same, or the bytes, or a struct of `bytes` and `path` as Hugging Face writes it |
| `.tar`, also `.gz`, `.bz2`, `.xz` | WebDataset: files with one name up to the first dot |
| `.txt`, or `-` for standard input | a path, or an object as in `.jsonl`, per line |
| any other file | itself |

Paths in a table are relative to the table. An item is called by its column `id`, else by its path.

Whoever counts rows must find as many as there were images. A line, a file or a member that cannot
be used becomes an item with an error, and with it a row; so does what an archive or a table has
lost, and the others are read all the same. What is left out on purpose, such as a hidden file, is
counted in `Source.left_out` and logged.

In an archive, a group with several images (`a.left.jpg`, `a.right.jpg`, `a.cls`) gives an item for
each, called by its whole name, with the other parts of the group as its columns: a part with the
name of one image (`a.left.json`) is of that one.

An item of several images is a row of a table whose column `images` is a list (in a cell of text, a
list in JSON); or, in a folder, a pattern or an archive, the files whose names match the patterns of
`together` with the same in the place of the `*` (`together`).
"""

from __future__ import annotations

import glob
import json
import logging
import math
import os
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from faithful_decide._batch.archive import Member, members
from faithful_decide._batch.cells import Cells, csv_cells, parquet_cells
from faithful_decide._batch.damage import Damage, sound
from faithful_decide._batch.row import Item
from faithful_decide._batch.together import grouped, patterns_of
from faithful_decide._core.files import is_part
from faithful_decide._images.source import MAX_SOURCE_BYTES
from faithful_decide.errors import (
    FaithfulDecideError,
    ImageError,
    StorageError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["Source"]

_log = logging.getLogger("faithful_decide")

_IMAGES = frozenset(
    [
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif"),
        *(".bmp", ".dib", ".tif", ".tiff", ".avif"),
        # These cannot be decoded, which is said of each: somebody wants them judged.
        *(".heic", ".heif", ".hif", ".jxl", ".jp2", ".j2k"),
    ]
)
_IMAGE_COLUMNS = ("images", "image", "file_name", "path")
_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_REFUSED = {
    **dict.fromkeys(
        [".zip", ".7z", ".rar", ".gz", ".bz2", ".xz", ".zst", ".lz4"],
        "unpack it first, and name what comes out",
    ),
    **dict.fromkeys([".json"], "write one object on each line, and call it .jsonl"),
    **dict.fromkeys(
        [".xlsx", ".xls", ".ods", ".feather", ".arrow", ".pkl", ".npz", ".h5"],
        "save it as .csv, .jsonl or .parquet",
    ),
}
_ELSEWHERE = re.compile(r"data:|[A-Za-z][A-Za-z0-9+.-]*://")
_ENDING = re.compile(r"\.\w{1,12}")
_MOST_BYTES = MAX_SOURCE_BYTES
"""A member of an archive larger than this is no image that could be sent."""
_MOST_TEXT = 2**20
"""A part of a group that is longer than this is no column."""
_MOST_HELD = 64 * 2**20
_MOST_IMAGES = 16
"""An archive whose names all begin alike is one group, so what is held of a group is limited."""
_FAILS = (OSError, UnicodeError, ValueError)


class Source:
    """Items from sources, read anew by each iteration, and a count of what is left out.

    An error before the first item is raised. A later one is an item, because those before it are
    asked about already.
    """

    def __init__(
        self,
        *names: str | os.PathLike[str],
        image_column: str | None = None,
        together: Sequence[str] = (),
        limit: int | None = None,
        quiet: bool = False,
    ) -> None:
        """Remember the sources; nothing is read before it is wanted. A `quiet` one logs nothing.

        With `together` the images of each source whose names match these patterns are one item.
        """
        self._patterns = patterns_of(together)
        self.names = tuple(os.fspath(name) for name in names)
        self._image_column, self._limit, self._quiet = image_column, limit, quiet
        self.left_out: Counter[str] = Counter()
        """How many files and members of the last iteration are in no item, by what they are."""

    def __iter__(self) -> Iterator[Item]:
        """Read the items."""
        self.left_out.clear()
        return islice(self._items(), self._limit)

    def _items(self) -> Iterator[Item]:
        for name in self.names:
            _check(name)
        begun = False
        for name in self.names:
            reading = _Reading(name, self._image_column, bool(self._patterns))
            try:
                items = reading.items()
                if self._patterns:
                    items = grouped(items, self._patterns, reading.left_out)
                for item in items:
                    begun = True
                    yield item
            except (FaithfulDecideError, *_FAILS) as error:
                problem = _typed(name, error)
                if not begun:
                    raise problem from None
                yield Item(name, problem)
            finally:
                self.left_out += reading.left_out
                if (told := reading.told()) and not self._quiet:
                    _log.warning("%s: %s", ascii(name), told)


def _check(name: str) -> None:
    """Refuse what is not there before anything is asked."""
    if name == "-" or os.path.lexists(name):
        return
    if not any(mark in name for mark in "*?["):
        msg = f"there is no file or folder {name}"
        raise UsageError(msg, hint="name a folder, a pattern, a table, an archive or an image")
    if not any(glob.iglob(name, recursive=True)):  # noqa: PTH207 - patterns may be absolute
        msg = f"nothing matches {name}"
        raise UsageError(
            msg, hint="check the pattern, and quote it, so that the shell does not expand it"
        )


def _typed(name: str, error: Exception) -> FaithfulDecideError:
    if isinstance(error, FaithfulDecideError):
        return error
    msg = f"{name} cannot be read: {error}"
    return StorageError(msg, hint="check that it is complete, and that you may read it")


@dataclass
class _Reading:
    """One source as it is read: what is left out, and which ids there were."""

    name: str
    column: str | None
    apart: bool = False
    """Whether each image of a group in an archive is called by its whole name."""
    left_out: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    _ids: set[int] = field(default_factory=set)

    def items(self) -> Iterator[Item]:
        path = Path(self.name)
        if self.name == "-":
            # Bytes, so that a name that is not UTF-8 is still the name of its file.
            return self._lines(
                self._json_lines(getattr(sys.stdin, "buffer", sys.stdin), Path(), paths=True)
            )
        if path.is_dir():
            return self._folder(path)
        return self._file(path) if os.path.lexists(path) else self._pattern()

    def told(self) -> str:
        """What was left out, and which ids come again, in a line; nothing where there is none."""
        counts = [f"{n} {what}" for what, n in self.left_out.most_common() if n]
        told = [f"left out: {', '.join(counts)}"] if counts else []
        if self.repeated:
            told.append(f"{self.repeated} with the id of an earlier item")
        return "; ".join(told)

    def _pattern(self) -> Iterator[Item]:
        """The files that match. Those of a folder come once, however many links lead to it."""
        files: set[int] = set()
        folder, real = None, ""
        for name in glob.iglob(self.name, recursive=True):  # noqa: PTH207 - it may be absolute
            if os.path.isdir(name):  # noqa: PTH112 - for each of millions
                self.left_out["folders"] += "**" not in self.name
                continue
            above, file = os.path.split(name)
            if above != folder:
                folder, real = above, os.path.realpath(above)
            before = len(files)
            files.add(hash((real, file)))
            if len(files) == before:
                self.left_out["files that a linked folder shows again"] += 1
            else:
                yield Item(name, name)

    def _file(self, path: Path) -> Iterator[Item]:
        if path.name.lower().endswith(_ARCHIVES):
            return self._sound(self._archive(path), f"{path.name}:byte ", StorageError)
        kind = path.suffix.lower()
        if kind in _REFUSED:
            msg = f"{path} cannot be read: files of the kind {kind} are not supported"
            raise UsageError(msg, hint=_REFUSED[kind])
        match kind:
            case ".csv" | ".tsv":
                return self._lines(self._csv(path, "\t" if kind == ".tsv" else ","))
            case ".parquet":
                return self._lines(self._parquet(path))
            case ".jsonl" | ".ndjson" | ".txt":
                return self._lines(self._text_file(path, paths=kind == ".txt"))
        return iter((Item(str(path), str(path)),))

    def _sound(
        self, parts: Iterator[Item | Damage], place: str, kind: type[FaithfulDecideError]
    ) -> Iterator[Item]:
        """Items, also of damage, with an error of its kind."""

        def told(damage: Damage) -> Item:
            name = f"{place}{damage.at}"
            hint = "see what became of the file, and run again"
            return Item(name, kind(f"{name}: {damage.what}", hint=hint))

        def refusal(damage: Damage) -> StorageError:
            msg = f"{self.name} cannot be read: {damage.what}"
            return StorageError(
                msg, hint="check that it is complete, and of the format that its name says"
            )

        return sound(parts, told, refusal)

    def _lines(self, parts: Iterator[Item | Damage]) -> Iterator[Item]:
        """The items of a table. Ids that come again are counted: rows cannot be told by them."""
        place = "line" if self.name == "-" else Path(self.name).name
        for item in self._sound(parts, f"{place}:", ImageError):
            before = len(self._ids)
            self._ids.add(hash(item.id))
            self.repeated += len(self._ids) == before
            yield item

    def _folder(self, top: Path) -> Iterator[Item]:
        """The images below a folder, in the order of their names, named relative to it."""
        problems: list[OSError] = []
        # One folder at a time, so that only the names of one are in memory.
        for folder, inner, files in os.walk(top, onerror=problems.append):
            inner[:] = sorted(name for name in inner if self._is_walked(folder, name))
            table = next((name for name in _METADATA if name in files), None)
            if table is not None:
                yield from self._listed(Path(folder, table), top)
                inner.clear()
                continue
            for file in sorted(files):
                if self._is_image(file):
                    full = f"{folder}{os.sep}{file}"
                    yield Item(os.path.relpath(full, top), full)
        for problem in problems:
            if problem.filename == str(top):
                raise problem
            yield Item(str(problem.filename), _typed(str(problem.filename), problem))

    def _is_walked(self, folder: str, name: str) -> bool:
        if name.startswith(".") or name == "__MACOSX":
            self.left_out["hidden folders"] += 1
        elif os.path.islink(f"{folder}{os.sep}{name}"):  # noqa: PTH114 - for each of millions
            self.left_out["linked folders"] += 1
        else:
            return True
        return False

    def _is_image(self, file: str) -> bool:
        """Whether a file is an image by its name; what is none is counted."""
        if is_part(file):
            return False  # such as the results, which were never meant to be read
        if file.startswith("."):
            self.left_out["hidden files"] += 1
            return False
        ending = os.path.splitext(file)[1].lower()  # noqa: PTH122 - for each of millions
        if ending not in _IMAGES:
            known = _ENDING.fullmatch(ending)
            self.left_out[f"{ending} files" if known else "files of another kind"] += 1
            return False
        return True

    def _listed(self, table: Path, top: Path) -> Iterator[Item]:
        """What the table of a folder lists, and a count of the images that it does not list."""
        listed: set[int] = set()
        inside = os.path.relpath(table.parent, top)
        try:
            for item in self._file(table):
                for image in item.image if isinstance(item.image, list) else [item.image]:
                    if isinstance(image, str):
                        listed.add(hash(os.path.normpath(image)))
                named = item.id if inside == os.curdir else os.path.join(inside, item.id)  # noqa: PTH118
                yield Item(named, item.image, item.columns)
        except (FaithfulDecideError, *_FAILS) as error:
            if inside == os.curdir:
                raise
            yield Item(os.path.join(inside, table.name), _typed(str(table), error))  # noqa: PTH118
        for folder, inner, files in os.walk(table.parent):
            inner[:] = [name for name in inner if self._is_walked(folder, name)]
            for file in files:
                if Path(folder, file) != table and self._is_image(file):
                    full = os.path.normpath(f"{folder}{os.sep}{file}")
                    self.left_out[f"images that {table.name} does not list"] += (
                        hash(full) not in listed
                    )

    def _csv(self, path: Path, delimiter: str) -> Iterator[Item | Damage]:
        with csv_cells(path, delimiter) as lines:
            header = next(lines, (1, []))
            if isinstance(header, Damage):
                raise ValueError(header.what)  # noqa: TRY004 - it is the file that is wrong
            yield from self._table(header[1], lines, path)

    def _parquet(self, path: Path) -> Iterator[Item | Damage]:
        with parquet_cells(path) as (names, lines):
            yield from self._table(names, lines, path)

    def _table(
        self, header: list[str], lines: Iterator[Cells | Damage], path: Path
    ) -> Iterator[Item | Damage]:
        names = _unique(header, path)
        column = _image_column(names, self.column, path)
        table = _Table.at(path)
        for line in lines:
            if isinstance(line, Damage):
                yield line
                continue
            number, cells = line
            if len(cells) > len(names):
                self.left_out["cells without a column"] += sum(map(bool, cells[len(names) :]))
            yield _item(dict(zip(names, cells, strict=False)), column, table, number)

    def _text_file(self, path: Path, *, paths: bool) -> Iterator[Item | Damage]:
        with path.open("rb") as file:
            yield from self._json_lines(file, path, paths=paths)

    def _json_lines(
        self, lines: Iterable[bytes | str], path: Path, *, paths: bool
    ) -> Iterator[Item | Damage]:
        column, table = "", _Table.at(path)
        for number, line in enumerate(lines, 1):
            data = line.encode(errors="surrogateescape") if isinstance(line, str) else line
            data = data.removeprefix(b"\xef\xbb\xbf" if number == 1 else b"").strip()
            if not data:
                continue
            if paths and not data.startswith(b"{"):
                name = os.fsdecode(data)
                yield Item(name, _beside(table, name) if path.name else name)
                continue
            try:
                values = json.loads(data.decode(), object_pairs_hook=_object)
                if not isinstance(values, dict):
                    raise TypeError  # noqa: TRY301 - the same as if it were no JSON at all
            except UnicodeDecodeError:
                yield Damage("the line is not UTF-8", number)
                continue
            except (ValueError, TypeError, RecursionError):
                yield Damage("the line is not a JSON object", number)
                continue
            # The first object says what the column is called; one without it is spoilt alone.
            column = column or _image_column(values, self.column, path)
            yield _item(values, column, table, number)

    def _archive(self, path: Path) -> Iterator[Item | Damage]:
        """Group the members of an archive by the part of their name that they share."""
        group = _Group("", self.apart)
        for member in members(path, _is_wanted, self.left_out):
            if isinstance(member, Damage):
                yield from group.items()
                group = _Group("", self.apart)
                yield member
                continue
            folder, _, file = member.name.rpartition("/")
            if file.startswith(".") or "__MACOSX" in folder or "PaxHeader" in folder:
                self.left_out["hidden members"] += 1
                continue
            stem, _, ending = file.partition(".")
            name = f"{folder}/{stem}" if folder else stem
            if name != group.name:
                yield from group.items()
                group = _Group(name, self.apart)
            elif group.is_full():
                yield from group.items(up_to=ending)
            self._add(group, ending, member)
        yield from group.items()

    def _add(self, group: _Group, ending: str, member: Member) -> None:
        if _is_image_name(member.name):
            group.add_image(ending, member)
        elif member.content is None or group.has_long_texts():
            self.left_out["parts that are too long for a column"] += 1
        elif b"\0" in member.content:
            self.left_out["parts that are no text"] += 1
        else:
            group.texts[ending] = member.content.decode(errors="backslashreplace").strip()
        group.begun = True


@dataclass
class _Group:
    """Members of an archive that share their name up to the first dot; keys are what follows it."""

    name: str
    apart: bool
    """Whether an image is called by its whole name, also if it is the only one."""
    images: dict[str, tuple[str, bytes | ImageError]] = field(default_factory=dict)
    """The whole name of each, and its bytes."""
    texts: dict[str, str] = field(default_factory=dict)
    begun: bool = False
    several: bool = False
    """Whether images of this group have been given out already."""

    def add_image(self, ending: str, member: Member) -> None:
        content: bytes | ImageError
        if member.content is None:
            msg = f"{member.name} has {member.size} bytes"
            content = ImageError(msg, hint=f"an image may have {_MOST_BYTES}")
        else:
            content = member.content
        self.several |= bool(self.images)
        while ending in self.images:
            ending += "_"
        self.images[ending] = member.name, content

    def is_full(self) -> bool:
        """Whether more is held than a group of WebDataset ever has."""
        contents = (content for _, content in self.images.values())
        held = sum(len(content) for content in contents if isinstance(content, bytes))
        return len(self.images) >= _MOST_IMAGES or held > _MOST_HELD

    def has_long_texts(self) -> bool:
        """Whether the texts that are held are longer than those of a group ever are."""
        return sum(map(len, self.texts.values())) > 4 * _MOST_TEXT

    def items(self, up_to: str | None = None) -> Iterator[Item]:
        """Give out what is held; of a group that goes on, not what the next part may belong to."""
        if not self.begun:
            return
        stems = {_stem(ending) for ending in self.images}
        going_on = None if up_to is None or stems == {_stem(up_to)} else _stem(up_to)
        apart = self.apart or self.several or len(self.images) > 1
        for ending, (whole, content) in list(self.images.items()):
            if _stem(ending) == going_on:
                continue
            columns: dict[str, str] = {}
            for part, text in self.texts.items():
                if not apart or _stem(part) not in stems:
                    columns |= _part(part, text)
                elif _stem(part) == _stem(ending):
                    columns |= _part(part.rpartition(".")[2], text)
            yield Item(whole if apart else self.name, content, columns)
            del self.images[ending]
        if up_to is not None:
            self.several = True
            kept = {part: text for part, text in self.texts.items() if _stem(part) not in stems}
            self.texts = {**kept, **{p: t for p, t in self.texts.items() if _stem(p) == going_on}}
        elif not stems and not self.several:
            columns = {}
            for part, text in self.texts.items():
                columns |= _part(part, text)
            problem = ImageError(f"{self.name} has no image in the archive")
            yield Item(self.name, problem, columns)


def _stem(ending: str) -> str:
    return ending.rpartition(".")[0]


def _is_image_name(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in _IMAGES  # noqa: PTH122 - for each of millions


def _is_wanted(name: str, size: int) -> bool:
    return size <= (_MOST_BYTES if _is_image_name(name) else _MOST_TEXT)


def _part(ending: str, text: str) -> dict[str, str]:
    """The columns that a text of a group makes."""
    if ending.endswith("json"):
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            values = None
        if isinstance(values, dict):
            return {key: _cell(value) for key, value in values.items() if value is not None}
    # A class is written by itself, under this name.
    return {"label" if ending == "cls" else ending: text}


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        msg = "a key comes twice"
        raise ValueError(msg)
    return values


def _unique(names: Iterable[str], path: Path) -> list[str]:
    """The names of columns, each once: a later one under the same name gets a number."""
    unique: list[str] = []
    for number, name in enumerate(names, 1):
        if name in unique and name in {"id", *_IMAGE_COLUMNS}:
            msg = f"{path.name} has two columns {name}"
            raise UsageError(msg, hint="rename one of them")
        given = name or f"column {number}"
        unique.append(f"{given} ({number})" if given in unique else given)
    return unique


def _image_column(names: Iterable[str], wanted: str | None, path: Path) -> str:
    names = list(names)
    if wanted is not None:
        column = wanted if wanted in names else None
    else:
        column = next((name for name in _IMAGE_COLUMNS if name in names), None)
    if column is None:
        missing = wanted or " or ".join(_IMAGE_COLUMNS)
        msg = f"{path.name or 'standard input'} has no column {missing}"
        raise UsageError(msg, hint=f"name the column of the image; there are: {', '.join(names)}")
    return column


class _Table(NamedTuple):
    """What the lines of a table have to know of it: its name, and where their paths begin."""

    name: str
    folder: str

    @classmethod
    def at(cls, path: Path) -> _Table:
        return cls(path.name or "line", str(path.parent))


def _item(values: Mapping[str, Any], column: str, table: _Table, number: int) -> Item:
    """Make an item of the values under the names of their columns."""
    own = {column, "id"}
    columns = {
        name: _cell(value)
        for name, value in values.items()
        if name not in own and not _is_missing(value)
    }
    place = f"{table.name}:{number}"
    image = values.get(column)
    if column == "images" or isinstance(image, list):
        return _several(image, values, columns, table, place)
    name = "" if _is_missing(values.get("id")) else _cell(values["id"]).strip()
    if isinstance(image, dict):
        name = name or str(image.get("path") or "")
        data = image.get("bytes")
        image = data if isinstance(data, bytes) and data else image.get("path")
    if isinstance(image, bytes) and image:
        return Item(name or place, image, columns)
    if not isinstance(image, str) or not image.strip():
        return _spoilt(name or place, f"no {column}", columns)
    if not name:
        name = place if image.startswith("data:") else image
    return Item(name, _beside(table, image), columns)


def _several(
    given: Any,  # noqa: ANN401 - a cell of any table
    values: Mapping[str, Any],
    columns: Mapping[str, str],
    table: _Table,
    place: str,
) -> Item:
    """An item of several images: a list of paths or bytes, or in a cell of text a list in JSON."""
    name = place if _is_missing(values.get("id")) else _cell(values["id"]).strip()
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            given = None
    if not isinstance(given, list) or not given:
        return _spoilt(name, 'no list of images, such as ["a.jpg", "b.jpg"]', columns)
    images: list[str | bytes] = []
    for part in given:
        one = (part.get("bytes") or part.get("path")) if isinstance(part, dict) else part
        if not isinstance(one, str | bytes) or not one:
            return _spoilt(name, f"image {len(images) + 1} of its list is missing", columns)
        images.append(_beside(table, one) if isinstance(one, str) else one)
    return Item(name, images, columns)


def _beside(table: _Table, image: str) -> str:
    """A path as one from here; what is no path stays as it is."""
    if _ELSEWHERE.match(image):
        return image
    return os.path.join(table.folder, image)  # noqa: PTH118 - for each of millions


def _spoilt(name: str, why: str, columns: Mapping[str, str] | None = None) -> Item:
    msg = f"{name}: {why}"
    return Item(name, ImageError(msg, hint="correct the table, and run again"), columns or {})


def _is_missing(value: object) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _cell(value: object) -> str:
    """A value as the text of a column."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | dict | bool | int | float):
        return json.dumps(value, ensure_ascii=False, default=_cell)
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, Decimal):
        return f"{value:f}"
    moment = getattr(value, "isoformat", None)
    return str(value) if moment is None else str(moment())
