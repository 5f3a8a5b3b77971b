"""Decisions through a server that misbehaves: what is decided, what it costs, and nothing wrong."""

from __future__ import annotations

import asyncio
import io
import os
import threading
import time
from collections import Counter
from random import Random
from typing import TYPE_CHECKING

from PIL import Image

from benchmarks._faulty import FAULTS, PAUSE_S, FaultyServer, truth
from benchmarks._rows import Options, Row, proportion, run
from faithful_decide import Decider, FaithfulDecideError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DECISIONS = 10_000
AT_ONCE = 32
BAD = 0.4
DEADLINE_S = 12.0
# A refusal and a cut are replies: asking again until one suits would select verdicts.
FINAL = frozenset(
    name
    for name in FAULTS
    if name.startswith(
        (
            "refusal in",
            "refusal beside",
            "finish is",
            "content filter",
            "other model",
            "smaller",
            "shorter",
        )
    )
    or name in {"truncated", "whitespace flood", "complete, but says length"}
)
PASSING = tuple(name for name in FAULTS if name not in FINAL)
STORM, WINDOWS = 64, 3
HUNG = 100
HUNG_DEADLINE_S = 6.0
SLACK_S = 1.0


def picture() -> bytes:
    """A small picture."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "white").save(file, "PNG")
    return file.getvalue()


def text(number: int) -> str:
    """A question whose right verdict the server knows."""
    return f"Is this an even number: {number}?"


async def ask_all(
    decider: Decider, numbers: range, at_once: int
) -> tuple[Counter[str], list[float]]:
    """Ask about every number; how each call ended, and how long it took."""
    ends: Counter[str] = Counter()
    took: list[float] = []
    image, gate = picture(), asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        async with gate:
            started = time.perf_counter()
            try:
                decision = await decider.adecide(image, text(number))
            except FaithfulDecideError as error:
                ends[type(error).__name__] += 1
            except Exception as error:  # noqa: BLE001 - an end that is not ours is what is looked for
                ends[f"untyped {type(error).__name__}"] += 1
            else:
                ends["right" if decision.verdict == truth(number) else "wrong"] += 1
            took.append(time.perf_counter() - started)

    await asyncio.gather(*map(one, numbers))
    return ends, took


def mixed(names: tuple[str, ...], seed: int) -> Callable[[int, int], str]:
    """Of the requests, the share `BAD` meets a fault, drawn by number and attempt."""

    def choose(number: int, before: int) -> str:
        rng = Random(f"{seed}/{number}/{before}")
        return rng.choice(names) if rng.random() < BAD else ""

    return choose


def faults(options: Options) -> Iterator[Row]:
    """Misbehaviour, a storm of 429, calls that hang, and cancellation."""
    scale = 10 if options.quick else 1
    count = DECISIONS // scale
    for what, names in (("faults that pass", PASSING), ("all faults", tuple(FAULTS))):
        with (
            FaultyServer(mixed(names, options.seed), seed=options.seed, delay=0.01) as server,
            Decider(
                "openai/faulty", base_url=server.address, retries=20, timeout=DEADLINE_S
            ) as decider,
        ):
            ends, took = asyncio.run(ask_all(decider, range(count), AT_ONCE))
        wrong, untyped = ends["wrong"], sum(n for end, n in ends.items() if "untyped" in end)
        yield Row(f"{what}: wrong verdicts", wrong, "<=", 0, count)
        yield Row(f"{what}: ends without a type", untyped, "<=", 0, count)
        if names is PASSING:
            yield proportion(f"{what}: decided in time", ends["right"], count, ">=", 0.995)
            yield Row(f"{what}: requests per decision", server.requests / count, "<=", 1.75, count)
        late = sum(seconds > DEADLINE_S + SLACK_S for seconds in took)
        yield Row(f"{what}: calls past their deadline", late, "<=", 0, count)
    yield from storm()
    yield from hung()
    yield cancelled()


def storm() -> Iterator[Row]:
    """Calls to a server that refuses everybody for some windows, and says for how long."""
    until = [0.0]

    def choose(number: int, before: int) -> str:
        del number, before
        now = time.monotonic()
        until[0] = until[0] or now + WINDOWS * PAUSE_S
        return "429 with seconds" if now < until[0] else ""

    with (
        FaultyServer(choose) as server,
        Decider("openai/faulty", base_url=server.address, timeout=DEADLINE_S) as decider,
    ):
        ends, _ = asyncio.run(ask_all(decider, range(STORM), STORM))
        requests = server.requests
    yield Row("storm of 429: requests", requests, "<=", STORM + 2 * WINDOWS, STORM)
    yield Row("storm of 429: calls not decided", STORM - ends["right"], "<=", 0, STORM)


def hung() -> Iterator[Row]:
    """Calls to a server that never replies."""
    with (
        FaultyServer(lambda *_: "hang before the reply") as server,
        Decider("openai/faulty", base_url=server.address, timeout=HUNG_DEADLINE_S) as decider,
    ):
        ends, took = asyncio.run(ask_all(decider, range(HUNG), HUNG))
    yield Row("hung calls: longest, in seconds", max(took), "<=", HUNG_DEADLINE_S + SLACK_S, HUNG)
    yield Row("hung calls: ends of another type", HUNG - ends["TransientError"], "<=", 0, HUNG)


def cancelled() -> Row:
    """Cancel calls, and count what is left of them: files, threads and tasks."""
    with (
        FaultyServer(lambda *_: "hang before the reply") as server,
        Decider("openai/faulty", base_url=server.address) as decider,
    ):

        async def cancel(count: int) -> int:
            image = picture()
            calls = [asyncio.create_task(decider.adecide(image, text(n))) for n in range(count)]
            await asyncio.sleep(1.0)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            await asyncio.sleep(1.0)
            return len(asyncio.all_tasks()) - 1 + len(os.listdir("/proc/self/fd"))  # noqa: PTH208

        async def twice() -> int:
            before = await cancel(2)
            threads = threading.active_count()
            return await cancel(HUNG) - before + max(0, threading.active_count() - threads - 32)

        left = asyncio.run(twice())
    return Row("cancelled calls: files and tasks left", max(0, left), "<=", 0, HUNG)


if __name__ == "__main__":
    run(faults)
