"""What the batch runner costs: rows per second, memory, and a million rows."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import resource
import sqlite3
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import closing, contextmanager
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
from openai import AsyncOpenAI
from PIL import Image, ImageDraw

from benchmarks._rows import Options, Row, run
from faithful_decide import Item, Journal, Question, decide_many, load_backend
from faithful_decide._api.many import Batch
from faithful_decide._asking.decision import decision_plan
from faithful_decide._asking.options import Options as Asking
from faithful_decide._batch.entry import reply_data
from faithful_decide._batch.export import exporting
from faithful_decide._batch.journal_entries import checksum
from faithful_decide._batch.sources import Source
from faithful_decide._core.prompt import SYSTEM, user_text
from faithful_decide._core.schema import schema
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import prepare
from faithful_decide.backends import Reply
from faithful_decide.testing import ScriptedBackend, reply_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faithful_decide.backends import Request

ROUNDS = 3
CONCURRENCY = 32
QUESTION = Question("Is it red?")
SERVER = """
import sys
from tests.support.counting import CountingServer
with CountingServer(0.02) as server:
    print(server.address, flush=True)
    sys.stdin.read()
"""


def photographs(folder: Path, count: int, seed: int) -> list[Path]:
    """JPEG files of 640x480 that all differ."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    data = file.getvalue()
    paths = []
    for number in range(count):
        path = folder / f"{number:06}.jpg"
        # A comment of its own makes each another image, without encoding it again.
        comment = b"\xff\xfe" + (10).to_bytes(2, "big") + b"%08d" % number
        path.write_bytes(data[:2] + comment + data[2:])
        paths.append(path)
    return paths


@contextmanager
def server() -> Iterator[str]:
    """The server in a process of its own; gives its address."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield (process.stdout or sys.stdin).readline().strip()
        process.communicate("")


async def ask(client: AsyncOpenAI, path: Path) -> str:
    """One row as one writes it first: the SDK, and no check but that of JSON."""
    data = base64.b64encode(await asyncio.to_thread(path.read_bytes)).decode()
    content: list[Any] = [
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}},
        {"type": "text", "text": user_text(QUESTION)},
    ]
    shape = {"name": "decision", "strict": True, "schema": schema(QUESTION.labels)}
    answer = await client.chat.completions.create(
        model="faulty",
        messages=[
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": content},
        ],
        response_format={"type": "json_schema", "json_schema": shape},
        max_tokens=512,
        temperature=0,
    )
    verdict: str = json.loads(answer.choices[0].message.content or "")["verdict"]
    return verdict


async def bare(address: str, paths: list[Path]) -> None:
    """A loop around that, with a semaphore and no journal."""
    gate = asyncio.Semaphore(CONCURRENCY)
    async with AsyncOpenAI(base_url=address, api_key="none", max_retries=0, timeout=60) as client:

        async def one(path: Path) -> str:
            async with gate:
                return await ask(client, path)

        await asyncio.gather(*map(one, paths))


def beside_daft(options: Options) -> Iterator[Row]:
    """Rows per second of the runner, and of our column in Daft, over a plain column in Daft."""
    import daft  # noqa: PLC0415 - an extra

    from faithful_decide.daft import decide_udf  # noqa: PLC0415 - wants Daft

    daft.set_runner_native()

    class Plain:
        def __init__(self, address: str) -> None:
            self.client = AsyncOpenAI(base_url=address, api_key="none", max_retries=0, timeout=60)

        @daft.method(return_dtype=daft.DataType.string())
        async def __call__(self, path: str) -> str:
            return await ask(self.client, Path(path))

    plain = daft.cls(Plain, max_concurrency=CONCURRENCY)
    count = 400 if options.quick else 2000
    with tempfile.TemporaryDirectory() as name, server() as address:
        paths = [str(path) for path in photographs(Path(name), count, options.seed)]
        table = daft.from_pydict({"path": paths})
        ratios: dict[str, list[float]] = {"runner": [], "column": []}
        for number in range(ROUNDS):
            started = time.perf_counter()
            made = table.with_column("verdict", plain(address)(table["path"])).to_pydict()
            theirs = time.perf_counter() - started
            assert made["verdict"].count("yes") == count  # noqa: S101
            started = time.perf_counter()
            decide = decide_udf(
                QUESTION,
                model="openai/faulty",
                concurrency=CONCURRENCY,
                journal=Path(name) / f"daft-{number}.journal",
                base_url=address,
                logprobs=False,
            )
            made = table.with_column("decision", decide(table["path"])).to_pydict()
            column = time.perf_counter() - started
            assert sum(d["verdict"] == "yes" for d in made["decision"]) == count  # noqa: S101
            runner = decided_in(name, address, f"beside-daft-{number}", count)
            for what, took in (("runner", runner), ("column", column)):
                ratios[what].append(theirs / took)
                print(
                    f"{count / theirs:.0f} rows/s in Daft, {count / took:.0f} {what}",
                    file=sys.stderr,
                )
    for what, found in ratios.items():
        figure = f"rows per second over a plain column in Daft, {what}"
        yield Row(figure, statistics.median(found), ">=", 0.8, ROUNDS)


def decided_in(folder: str, address: str, journal: str, count: int) -> float:
    """Seconds that the runner takes for a folder."""
    started = time.perf_counter()
    rows = decide_many(
        folder,
        QUESTION,
        model="openai/faulty",
        base_url=address,
        logprobs=False,
        concurrency=CONCURRENCY,
        journal=Path(folder) / f"{journal}.journal",
    )
    decided = sum(row.verdict == "yes" for row in rows)
    took = time.perf_counter() - started
    assert decided == count  # noqa: S101 - a benchmark of the wrong thing is worthless
    return took


def beside_the_sdk(options: Options) -> Iterator[Row]:
    """Rows per second of the runner over those of a bare loop, in turns."""
    count = 400 if options.quick else 2000
    with tempfile.TemporaryDirectory() as name, server() as address:
        paths = photographs(Path(name), count, options.seed)
        ratios = []
        for number in range(ROUNDS):
            started = time.perf_counter()
            asyncio.run(bare(address, paths))
            theirs = time.perf_counter() - started
            ours = decided_in(name, address, str(number), count)
            print(f"{count / theirs:.0f} rows/s bare, {count / ours:.0f} here", file=sys.stderr)
            ratios.append(theirs / ours)
        figure = "rows per second over a bare loop's, 32 at once"
        yield Row(figure, statistics.median(ratios), ">=", 0.8, ROUNDS)


class Instant(ScriptedBackend):
    """A model that replies at once, awaited, and remembers nothing of it."""

    async def agenerate(self, request: Request) -> Reply:
        """Reply."""
        self.requests.clear()
        return self.generate(request)


def archive(path: Path, count: int) -> None:
    """An archive of small images that all differ."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    data = file.getvalue()
    with tarfile.open(path, "w") as tar:
        for number in range(count):
            # A text chunk of its own before the end makes each another image.
            body = b"tEXtn\0%d" % number
            chunk = (len(body) - 4).to_bytes(4, "big") + body + crc32(body).to_bytes(4, "big")
            info = tarfile.TarInfo(f"{number}.png")
            info.size = len(data) + len(chunk)
            tar.addfile(info, io.BytesIO(data[:-12] + chunk + data[-12:]))


def resident() -> float:
    """Megabytes that this process has in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def steady(folder: str, count: int) -> None:
    """Run through an archive with a journal and an export; print what is in memory on the way."""
    backend = Instant(lambda _: reply_text("yes"))
    rows = decide_many(
        Path(folder) / "images.tar",
        QUESTION,
        model=backend,
        concurrency=CONCURRENCY,
        journal=Path(folder) / "journal",
    )
    with exporting(Path(folder) / "out.jsonl") as add:
        for number, row in enumerate(rows, 1):
            add(row)
            if number in {count // 5, count}:
                print(resident(), flush=True)


def memory(options: Options) -> Iterator[Row]:
    """Memory of a long run, and how it grows."""
    count = 5000 if options.quick else 100_000
    with tempfile.TemporaryDirectory() as name:
        archive(Path(name) / "images.tar", count)
        code = f"from benchmarks.throughput import steady; steady({name!r}, {count})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        early, late = map(float, done.stdout.split())
    yield Row(f"megabytes in memory after {count} rows", late, "<=", 200, count)
    growth = (late - early) / (count * 4 / 5) * 1e5
    # The first thousands of rows fill pools and caches; a short run says nothing about growth.
    if not options.quick:
        yield Row("megabytes of growth per 100 000 rows", growth, "<=", 5, count)


def millions(options: Options) -> Iterator[Row]:
    """A dry run over a table, and the scan of a journal in which everything is done."""
    count = 50_000 if options.quick else 1_000_000
    with tempfile.TemporaryDirectory() as name:
        table, journal = Path(name) / "images.csv", Path(name) / "journal"
        photographs(Path(name), 200, options.seed)
        with table.open("w") as file:
            file.write("id,image,label\n")
            file.writelines(f"{n},{n % 200:06}.jpg,yes\n" for n in range(count))
        asked = ["-q", QUESTION.text, "--dry-run", "--journal", str(journal)]
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "faithful_decide", "batch", str(table), *asked],
            capture_output=True,
            text=True,
            check=True,
        )
        took = time.perf_counter() - started
        assert f" {count}\n" in done.stdout, done.stdout  # noqa: S101
        yield Row("dry run: rows per second", count / took, ">=", 2000, count)
        finished(journal, count)
        started = time.perf_counter()
        with Journal(journal) as opened:
            found = sum(1 for _ in opened.keys("replies"))
        took = time.perf_counter() - started
        assert found == count  # noqa: S101
        yield Row(f"resume scan of {count} finished rows, seconds", took, "<=", 5, count)


def finished(path: Path, count: int) -> None:
    """A journal with replies to many requests."""
    Journal(path).close()
    data = reply_data(Reply(reply_text("yes"), "stop", model="instant"))

    def entries() -> Iterator[tuple[bytes, str, bytes]]:
        for number in range(count):
            key = sha256(b"%d" % number).digest()
            text = json.dumps({**data, "latency_s": number})
            yield key, text, checksum(key, text.encode())

    with closing(sqlite3.connect(path)) as db, db:
        db.executemany("INSERT INTO replies VALUES (?, ?, ?)", entries())


def shapes(folder: Path, count: int) -> None:
    """JPEG files of 640x480 that still differ when they were made small."""
    for number in range(count):
        picture = Image.new("RGB", (640, 480), "white")
        corner = (20 + number % 25 * 20, 20 + number // 25 * 20)
        ImageDraw.Draw(picture).ellipse((*corner, corner[0] + 100, corner[1] + 100), fill="red")
        picture.save(folder / f"{number:06}.jpg", "JPEG", quality=90)


def engine_alone(folder: str, part: int, parts: int) -> None:
    """What one writes first around the engine; prints rows and seconds."""
    backend = load_backend("embedded")
    paths = sorted(Path(folder).glob("*.jpg"))[part::parts]
    for measured in (paths[:2], paths):
        started = time.perf_counter()
        for path in measured:
            image = prepare(load_image(path), backend.capabilities.image_limits)
            request = next(decision_plan((image,), QUESTION, Asking(), backend))[0]
            json.loads(backend.generate(request).text)
    print(time.perf_counter() - started, flush=True)


def embedded(options: Options) -> Iterator[Row]:
    """Rows per second of the embedded model over those of a bare loop around its engine."""
    count = 40 if options.quick else 200
    with tempfile.TemporaryDirectory() as name:
        shapes(Path(name), count)
        for workers in (1, 2):
            ratios = []
            for number in range(ROUNDS):
                theirs = loops(name, workers)
                journal = Path(name) / f"{workers}-{number}.journal"
                with Batch("embedded", Asking(journal=journal), workers=workers) as batch:
                    job = batch.job()
                    # The engines are warm in both.
                    warm = [Item("warm", Path(name) / "000000.jpg")] * workers
                    list(batch.rows(job, warm, {"": Question("Is it warm?")}))
                    started = time.perf_counter()
                    rows = batch.rows(job, Source(f"{name}/*.jpg"), {"": QUESTION})
                    decided = sum(row.decision is not None for row in rows)
                    ours = time.perf_counter() - started
                    assert batch.backend.recalled == 0  # noqa: S101
                assert decided == count  # noqa: S101
                print(f"{count / theirs:.1f} rows/s bare, {count / ours:.1f}", file=sys.stderr)
                ratios.append(theirs / ours)
            figure = f"embedded, {workers} at once: rows per second over the bare engine's"
            yield Row(figure, statistics.median(ratios), ">=", 0.9, ROUNDS)


def loops(folder: str, parts: int) -> float:
    """Seconds that bare loops take side by side, the slowest of them."""
    code = "from benchmarks.throughput import engine_alone; engine_alone({!r}, {}, {})"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code.format(folder, part, parts)], stdout=subprocess.PIPE
        )
        for part in range(parts)
    ]
    return max(float(process.communicate()[0]) for process in started)


def throughput(options: Options) -> Iterator[Row]:
    """Speed, memory, size."""
    yield from beside_the_sdk(options)
    if find_spec("daft") is not None:
        yield from beside_daft(options)
    yield from embedded(options)
    yield from millions(options)
    yield from memory(options)


if __name__ == "__main__":
    run(throughput)
