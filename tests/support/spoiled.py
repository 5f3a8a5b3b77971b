"""One of N is spoilt, in every kind of thing that holds many: how many are kept, and how many told.

A way makes N sound things in a folder, spoils one of them, and puts them through the library. What
comes out is counted without looking into the library: rows with a verdict, and rows that have an
error with a type and a hint. All of N must be one or the other, and only one may be the other.
"""

from __future__ import annotations

import io
import json
import os
import sqlite3
import tarfile
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from faithful_decide import FaithfulDecideError, Row, decide, decide_many, read_rows
from faithful_decide._batch.export import exporting
from faithful_decide.backends import Reply
from faithful_decide.testing import ScriptedBackend, reply_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from random import Random

QUESTION = "Is it red?"


class Count(NamedTuple):
    """What came of N things."""

    kept: int
    told: int


def picture(number: int, *, side: int = 24) -> bytes:
    """Another picture for each number."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), (number % 256, number // 256, 7)).save(file, "PNG")
    return file.getvalue()


def garbage(rng: Random, data: bytes) -> bytes:
    """An image that is none any more: cut, empty, other bytes, or another format."""
    return rng.choice([data[: rng.randrange(1, 60)], b"", rng.randbytes(len(data)), b"\0" * 300])


def count(rows: Iterable[Row]) -> Count:
    """Rows with a verdict, and rows that say what is wrong with them."""
    kept = told = 0
    for row in rows:
        kept += row.verdict is not None
        told += isinstance(row.error, FaithfulDecideError) and bool(str(row.error))
    return Count(kept, told)


def decided(source: Path, **options: object) -> Count:
    """What comes out when all of a source are asked about."""
    backend = ScriptedBackend(lambda _: reply_text("yes"))
    return count(decide_many(source, QUESTION, model=backend, **options))  # type: ignore[arg-type]


def folder(path: Path, rng: Random, n: int) -> Count:
    """A file that is no image, or one in a format that cannot be decoded."""
    spoilt = rng.randrange(n)
    for number in range(n):
        name, data = f"{number}.png", picture(number)
        if number == spoilt:
            name = rng.choice([name, f"{number}.heic", f"{number}.jxl", f"{number}.JPE"])
            data = garbage(rng, data)
        (path / name).write_bytes(data)
    return decided(path)


SPOILT_CELLS: tuple[Callable[[str], str], ...] = (
    lambda _: "",
    lambda name: f"gone/{name}",
    lambda name: f"{name}\0",
    lambda name: f'"{name}',
    lambda name: f'"{name}"x',
    lambda name: f"{name}\udcff",
    lambda _: "data:image/png;base64,%%%",
)


def _table(path: Path, rng: Random, n: int, name: str, separator: str) -> Count:
    lines = [separator.join(("image", "label"))]
    spoilt = rng.randrange(n)
    for number in range(n):
        (path / f"{number}.png").write_bytes(picture(number))
        cell = f"{number}.png"
        cell = rng.choice(SPOILT_CELLS)(cell) if number == spoilt else cell
        lines.append(separator.join((cell, '"one, ""two"""')))
    text = "\n".join(lines) + "\n"
    (path / name).write_bytes(text.encode(errors="surrogateescape"))
    return decided(path / name)


def csv(path: Path, rng: Random, n: int) -> Count:
    """A cell that is empty, never closed, not UTF-8, or no image."""
    return _table(path, rng, n, "t.csv", ",")


def tsv(path: Path, rng: Random, n: int) -> Count:
    """The same, with tabs."""
    return _table(path, rng, n, "t.tsv", "\t")


def jsonl(path: Path, rng: Random, n: int) -> Count:
    """A line that is cut, no object, not UTF-8, or without an image."""
    lines = [json.dumps({"image": f"{number}.png", "id": number}).encode() for number in range(n)]
    for number in range(n):
        (path / f"{number}.png").write_bytes(picture(number))
    spoilt = rng.randrange(1, n)
    cut = lines[spoilt][: rng.randrange(1, 20)]
    odd = [b"\xff\xfe", b"[1]", b"null", b'{"id": 1}', b'{"image": 5}', b'{"image": null}', cut]
    lines[spoilt] = rng.choice(odd)
    (path / "t.jsonl").write_bytes(b"\n".join(lines))
    return decided(path / "t.jsonl")


def paths(path: Path, rng: Random, n: int) -> Count:
    """A list in which one is not there."""
    spoilt = rng.randrange(n)
    for number in range(n):
        if number != spoilt:
            (path / f"{number}.png").write_bytes(picture(number))
    (path / "t.txt").write_text("\n".join(f"{number}.png" for number in range(n)))
    return decided(path / "t.txt")


def parquet(path: Path, rng: Random, n: int) -> Count:
    """An image that is none, or a row whose part of the file is damaged."""
    spoilt = rng.randrange(n)
    in_file = rng.random() < 0.5
    images = [picture(number) for number in range(n)]
    if not in_file:
        images[spoilt] = rng.choice([None, garbage(rng, images[spoilt])])
    place = path / "t.parquet"
    pq.write_table(pa.table({"image": images}), place, row_group_size=1, compression="zstd")
    if in_file:
        _damage_group(place, spoilt)
    return decided(place)


def _damage_group(place: Path, group: int) -> None:
    chunk = pq.read_metadata(place).row_group(group).column(0)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    data = bytearray(place.read_bytes())
    data[start : start + chunk.total_compressed_size] = b"\xa5" * chunk.total_compressed_size
    place.write_bytes(data)


def tar(path: Path, rng: Random, n: int) -> Count:
    """A member whose header or whose content is damaged, or a member that is too much of one."""
    spoilt = rng.randrange(n)
    kind = rng.choice(["header", "content", "cut"])
    with tarfile.open(path / "t.tar", "w") as archive:
        for number in range(n):
            data = picture(number)
            if number == spoilt and kind == "content":
                data = garbage(rng, data)
            info = tarfile.TarInfo(f"{number}.png")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    data = bytearray((path / "t.tar").read_bytes())
    if kind == "header":
        # Every member is a block of header and one of data.
        at = spoilt * 1024 + rng.randrange(0, 257)
        data[at : at + 4] = bytes(byte ^ 0xA5 for byte in data[at : at + 4])
    if kind == "cut":
        # The last one loses its data, and the archive its end mark.
        del data[(n - 1) * 1024 + rng.randrange(512, 1024) :]
    (path / "t.tar").write_bytes(data)
    return decided(path / "t.tar")


def journal(path: Path, rng: Random, n: int) -> Count:
    """An entry of a journal in which a byte has turned: it is paid for again, the others are not.

    Told is here what was asked again; every row has its verdict.
    """
    for number in range(n):
        (path / f"{number}.png").write_bytes(picture(number))
    backend = ScriptedBackend(lambda _: reply_text("yes"))
    book = path / "replies.journal"
    list(decide_many(path, QUESTION, model=backend, journal=book))
    with closing(sqlite3.connect(book)) as database, database:
        number, data = rng.choice(database.execute("SELECT rowid, data FROM replies").fetchall())
        spoilt = bytearray(data.encode() if isinstance(data, str) else data)
        spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
        update = "UPDATE replies SET data = CAST(? AS TEXT) WHERE rowid = ?"
        database.execute(update, (bytes(spoilt), number))
    paid = len(backend.requests)
    kept = count(decide_many(path, QUESTION, model=backend, journal=book)).kept
    again = len(backend.requests) - paid
    return Count(kept - again, again)


def samples(path: Path, rng: Random, n: int) -> Count:
    """A reply of several that cannot be used: it has no vote, and the scores say so."""
    del path
    spoilt = rng.randrange(n)
    odd = ["no JSON", '{"verdict": "yes"}', Reply("", "refusal"), Reply("{", "length")]
    script = [rng.choice(odd) if number == spoilt else reply_text("yes") for number in range(n)]
    decision = decide(picture(1), QUESTION, model=ScriptedBackend(script), samples=n, seed=1)
    assert decision.scores is not None
    return Count(decision.scores.n, sum(decision.scores.lost.values()))


def _export(path: Path, rng: Random, n: int, kind: str) -> Count:
    """A file of results in which a row is damaged."""
    for number in range(n):
        (path / f"{number}.png").write_bytes(picture(number))
    backend = ScriptedBackend(lambda _: reply_text("yes"))
    place = path.parent / f"{path.name}.{kind}"
    with exporting(place) as add:
        for row in decide_many(path, QUESTION, model=backend):
            add(row)
    lines = place.read_bytes().splitlines(keepends=True)
    first = 1 if kind == "csv" else 0
    spoilt = rng.randrange(first, len(lines))
    line = lines[spoilt]
    at = rng.randrange(20, len(line) - 20)
    lines[spoilt] = rng.choice(
        [line[:at] + b"\xff" + line[at:], line[:at] + b"\n", b"{}\n", line[:at] + b'"x\n']
    )
    place.write_bytes(b"".join(lines))
    return count(read_rows(place))


def export_jsonl(path: Path, rng: Random, n: int) -> Count:
    """A line of results that is cut, or not UTF-8."""
    return _export(path, rng, n, "jsonl")


def export_csv(path: Path, rng: Random, n: int) -> Count:
    """The same in a table."""
    return _export(path, rng, n, "csv")


def export_parquet(path: Path, rng: Random, n: int) -> Count:
    """A row of results that is no decision any more."""
    backend = ScriptedBackend(lambda _: reply_text("yes"))
    images = [picture(number) for number in range(n)]
    place = path / "o.parquet"
    with exporting(place) as add:
        for row in decide_many(images, QUESTION, model=backend):
            add(row)
    rows = pq.read_table(place).to_pylist()
    rows[rng.randrange(n)] |= rng.choice([{"decision": "{"}, {"status": "?"}, {"decision": None}])
    pq.write_table(pa.Table.from_pylist(rows, pq.read_schema(place)), place)
    return count(read_rows(place))


def written(path: Path, rng: Random, n: int) -> Count:
    """A row with text that UTF-8 cannot hold, in the name of its file, goes into every file."""
    spoilt = rng.randrange(n)
    for number in range(n):
        name = b"%d\xe9.png" % number if number == spoilt else b"%d.png" % number
        with open(os.path.join(os.fsencode(path), name), "wb") as file:  # noqa: PTH118, PTH123
            file.write(picture(number) if number != spoilt else b"no image")
    backend = ScriptedBackend(lambda _: reply_text("yes"))
    rows = list(decide_many(path, QUESTION, model=backend))
    counts = set()
    for kind in ("jsonl", "csv", "parquet"):
        place = path.parent / f"{path.name}.{kind}"
        with exporting(place) as add:
            for row in rows:
                add(row)
        counts.add(count(read_rows(place)))
    return min(counts)


WAYS: dict[str, Callable[[Path, Random, int], Count]] = {
    "folder": folder,
    "csv": csv,
    "tsv": tsv,
    "jsonl": jsonl,
    "list of paths": paths,
    "parquet": parquet,
    "tar": tar,
    "journal entry": journal,
    "sample": samples,
    "results in jsonl": export_jsonl,
    "results in csv": export_csv,
    "results in parquet": export_parquet,
    "export of a name that is not UTF-8": written,
}
