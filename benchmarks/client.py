"""What the client costs: processor time per request beside the bare SDK, and images made ready."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
from openai import AsyncOpenAI, Timeout
from PIL import Image

from benchmarks._rows import Options, Row, run
from faithful_decide._asking.plans import arun
from faithful_decide._asking.retrying import patient
from faithful_decide._core.prompt import SYSTEM
from faithful_decide._core.schema import schema
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import ImageLimits, prepare
from faithful_decide.backends import load_backend
from faithful_decide.backends._openai.chat import chat_body
from faithful_decide.backends._openai.presets import PRESETS
from faithful_decide.backends.base import Request
from tests.support.faulty import truth

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from faithful_decide._asking.plans import Plan
    from faithful_decide.backends.base import Backend, Reply

CONCURRENCY = (32, 128, 512)
ROUNDS = 5
SERVER = """
import sys
from tests.support.faulty import FaultyServer
with FaultyServer(lambda *_: "", delay=0.05) as server:
    print(server.address, flush=True)
    sys.stdin.read()
"""


def request(number: int) -> Request:
    """A request with a picture, as `decide` makes it."""
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, "PNG")
    image = prepare(load_image(file.getvalue()), None)
    text = f"Question: Is this an even number: {number}?\nVerdicts: yes, no"
    return Request(SYSTEM, (image,), text, schema(("yes", "no")), 512)


def asking(asked: Request) -> Plan[Reply]:
    """A plan of one request."""
    (reply,) = yield (asked,)
    return reply


async def together(call: Callable[[], Awaitable[object]], count: int, concurrency: int) -> float:
    """Make calls, some at once; processor seconds of this process per call."""
    gate = asyncio.Semaphore(concurrency)

    async def one() -> None:
        async with gate:
            await call()

    started = time.process_time()
    await asyncio.gather(*(one() for _ in range(count)))
    return (time.process_time() - started) / count


async def compare(address: str, concurrency: int, count: int) -> tuple[float, float]:
    """Processor time per request: ours, with patience and reading of the reply, and the SDK's."""
    asked = request(8)
    served = load_backend("openai/faulty", base_url=address)
    backend: Backend = patient(served)
    body = chat_body(asked, "faulty", PRESETS["openai"])
    # On a busy machine the server is slow to accept; that is not what is measured.
    long = Timeout(None, connect=60.0)
    async with AsyncOpenAI(base_url=address, api_key="none", max_retries=0, timeout=long) as bare:

        async def ours() -> None:
            reply = await arun(asking(asked), backend)
            assert truth(8) in reply.text  # noqa: S101 - a benchmark of the wrong thing is worthless

        async def theirs() -> None:
            completion = await bare.chat.completions.create(**body)
            json.loads(completion.choices[0].message.content or "")

        pairs = []
        for _ in range(ROUNDS + 1):
            mine = await together(ours, count, concurrency)
            pairs.append((mine, await together(theirs, count, concurrency)))
    served.close()
    # The first round opens the connections.
    return statistics.median(p[0] for p in pairs[1:]), statistics.median(p[1] for p in pairs[1:])


def photograph() -> bytes:
    """Something like a photograph of 12 megapixels, as JPEG."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (76, 101, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((4032, 3024), Image.Resampling.BICUBIC)
    grain = rng.normal(0, 6, (3024, 4032, 1))
    pixels = np.clip(np.asarray(picture, dtype=np.float32) + grain, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return file.getvalue()


def naive(data: bytes, side: int) -> str:
    """Decode, resize, encode: what one writes first."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    scale = side / max(picture.size)
    size = (round(picture.width * scale), round(picture.height * scale))
    file = io.BytesIO()
    picture.resize(size, Image.Resampling.LANCZOS).save(file, "JPEG", quality=85)
    return base64.b64encode(file.getvalue()).decode()


def timed(work: Callable[[], object]) -> float:
    """Processor seconds of a piece of work."""
    started = time.process_time()
    work()
    return time.process_time() - started


def client(options: Options) -> Iterator[Row]:
    """Compare with the SDK alone, and with a plain use of Pillow."""
    count = 256 if options.quick else 1024
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        address = (server.stdout or sys.stdin).readline().strip()
        for concurrency in CONCURRENCY:
            ours, theirs = asyncio.run(compare(address, concurrency, max(count, concurrency)))
            figure = f"processor time per request over the SDK's, {concurrency} at once"
            yield Row(figure, ours / theirs, "<=", 1.25, ROUNDS)
        server.terminate()
    data, side = photograph(), 1024
    limits = ImageLimits(max_side=side)
    pairs = [
        (
            timed(lambda: prepare(load_image(data), limits).data_uri()),
            timed(lambda: naive(data, side)),
        )
        for _ in range(ROUNDS)
    ]
    ratio = statistics.median(p[0] for p in pairs) / statistics.median(p[1] for p in pairs)
    yield Row("12 megapixels made ready, over plain Pillow", ratio, "<=", 0.45, ROUNDS)
    small = prepare(load_image(data), limits).data
    again = prepare(load_image(small), limits).data
    yield Row("bytes changed in an image within the limits", int(again != small), "<=", 0, 1)


if __name__ == "__main__":
    run(client)
