"""What the batch runner costs: rows per second, memory, and a million rows."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from openai import AsyncOpenAI
from PIL import Image

from benchmarks._faulty import completion, written
from benchmarks._rows import Options, Row, run
from faithful_decide import Question, decide_many
from faithful_decide._contract import schema
from faithful_decide._prompt import SYSTEM, user_text

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 3
AT_ONCE = 32
QUESTION = Question("Is it red?")
SERVER = """
import sys
from benchmarks.throughput import serve
serve()
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


def serve(delay: float = 0.02) -> None:
    """Answer every chat completion alike, after a while, until stdin ends."""
    body = json.dumps(completion(written("yes"))).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    answer = f"{head}\r\n".encode() + body

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                await asyncio.sleep(delay)
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(one, "127.0.0.1", 0, limit=2**24)
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
        await asyncio.to_thread(sys.stdin.read)

    asyncio.run(main())


@contextmanager
def server() -> Iterator[str]:
    """The server in a process of its own; gives its address."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield (process.stdout or sys.stdin).readline().strip()
        process.communicate("")


async def bare(address: str, paths: list[Path]) -> None:
    """What one writes first: the SDK, a semaphore, no journal and no check but JSON."""
    gate = asyncio.Semaphore(AT_ONCE)
    shape = {"name": "decision", "strict": True, "schema": schema(QUESTION.labels)}
    async with AsyncOpenAI(base_url=address, api_key="none", max_retries=0) as client:

        async def one(path: Path) -> str:
            async with gate:
                data = base64.b64encode(await asyncio.to_thread(path.read_bytes)).decode()
                url = {"url": f"data:image/jpeg;base64,{data}"}
                content: list[Any] = [
                    {"type": "image_url", "image_url": url},
                    {"type": "text", "text": user_text(QUESTION)},
                ]
                answer = await client.chat.completions.create(
                    model="faulty",
                    messages=[
                        {"role": "system", "content": SYSTEM},
                        {"role": "user", "content": content},
                    ],
                    response_format={"type": "json_schema", "json_schema": shape},  # type: ignore[typeddict-item]
                    max_tokens=512,
                    temperature=0,
                )
                verdict: str = json.loads(answer.choices[0].message.content or "")["verdict"]
                return verdict

        await asyncio.gather(*map(one, paths))


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
            started = time.perf_counter()
            rows = decide_many(
                name,
                QUESTION,
                model="openai/faulty",
                base_url=address,
                logprobs=False,
                at_once=AT_ONCE,
                journal=Path(name) / f"{number}.journal",
            )
            decided = sum(row.verdict == "yes" for row in rows)
            ours = time.perf_counter() - started
            assert decided == count  # noqa: S101 - a benchmark of the wrong thing is worthless
            print(f"{count / theirs:.0f} rows/s bare, {count / ours:.0f} here", file=sys.stderr)
            ratios.append(theirs / ours)
        figure = "rows per second over a bare loop's, 32 at once"
        yield Row(figure, statistics.median(ratios), ">=", 0.8, ROUNDS)


if __name__ == "__main__":
    run(beside_the_sdk)
