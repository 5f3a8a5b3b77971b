"""Decisions through a server that misbehaves: what is decided, what it costs, and nothing wrong."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import threading
import time
import traceback
from collections import Counter
from random import Random
from typing import TYPE_CHECKING
from unittest.mock import patch
from urllib.parse import urlsplit

from PIL import Image

from benchmarks._rows import Options, Row, proportion, run
from faithful_decide import BackendError, Decider, FaithfulDecideError, decide
from tests.support.faulty import (
    FAULTS,
    FINAL,
    ODD,
    PASSING,
    PAUSE_S,
    Answer,
    FaultyServer,
    truth,
)
from tests.support.nobody import deaf, pages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DECISIONS = 10_000
CONCURRENCY = 32
BAD = 0.4
DEADLINE_S = 15.0
STORM, WINDOWS = 64, 3
HUNG = 100
HUNG_DEADLINE_S = 6.0
SLACK_S = 1.0
SEARCH_S = 10.0
SAID = "says the server"


def picture() -> bytes:
    """A small picture."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "white").save(file, "PNG")
    return file.getvalue()


def text(number: int) -> str:
    """A question whose right verdict the server knows."""
    return f"Is this an even number: {number}?"


async def ask_all(
    decider: Decider, numbers: range, concurrency: int
) -> tuple[Counter[str], list[float]]:
    """Ask about every number; how each call ended, and how long it took."""
    ends: Counter[str] = Counter()
    took: list[float] = []
    image, gate = picture(), asyncio.Semaphore(concurrency)

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


def mixed(names: tuple[str, ...], seed: int, bad: float) -> Callable[[int, int], str]:
    """A share of the requests meets a fault, drawn by number and attempt."""

    def choose(number: int, before: int) -> str:
        rng = Random(f"{seed}/{number}/{before}")
        return rng.choice(names) if rng.random() < bad else ""

    return choose


def faults(options: Options) -> Iterator[Row]:
    """Misbehaviour, a storm of 429, calls that hang, and cancellation."""
    scale = 10 if options.quick else 1
    count = DECISIONS // scale
    for what, names, bad in (
        ("faults that pass", tuple(PASSING), BAD),
        ("all faults and oddities", tuple(FAULTS | ODD), BAD),
        ("faults that stay", tuple(FINAL), 1.0),
    ):
        with (
            FaultyServer(mixed(names, options.seed, bad), seed=options.seed, delay=0.01) as server,
            Decider(
                "openai/faulty", base_url=server.address, retries=20, timeout=DEADLINE_S
            ) as decider,
        ):
            ends, took = asyncio.run(ask_all(decider, range(count), CONCURRENCY))
        wrong, untyped = ends["wrong"], sum(n for end, n in ends.items() if "untyped" in end)
        yield Row(f"{what}: wrong verdicts", wrong, "<=", 0, count)
        yield Row(f"{what}: ends without a type", untyped, "<=", 0, count)
        if what == "faults that pass":
            yield proportion(f"{what}: decided in time", ends["right"], count, ">=", 0.995)
        most = {"faults that pass": 1.75, "faults that stay": 1.05}.get(what, 1.5)
        yield Row(f"{what}: requests per decision", server.requests / count, "<=", most, count)
        late = sum(seconds > DEADLINE_S + SLACK_S for seconds in took)
        yield Row(f"{what}: calls past their deadline", late, "<=", 0, count)
    yield from storm()
    yield from hung()
    yield from nobody()
    yield cancelled()
    yield secrets(options.seed)


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


def nobody() -> Iterator[Row]:
    """Addresses without a server: how long each is looked for with the usual timeout."""
    with deaf() as port, pages() as page:
        addresses = {
            "refused": "http://127.0.0.1:9/v1",
            "filtered": f"http://127.0.0.1:{port}/v1",
            "unknown host": "http://no-such-host.invalid/v1",
            "pages for people": f"http://127.0.0.1:{page}/v1",
            "no TLS": f"https://127.0.0.1:{page}/v1",
        }
        for what, address in addresses.items():
            started = time.perf_counter()
            try:
                decide(picture(), text(8), model="vllm/m", base_url=address)
            except BackendError as error:
                named = bool(urlsplit(address).netloc in f"{error}{error.hint}" and error.hint)
            took = time.perf_counter() - started
            yield Row(f"nobody there, {what}: seconds until told", took, "<=", SEARCH_S, 1)
            yield Row(f"nobody there, {what}: address or hint missing", int(not named), "<=", 0, 1)


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


def secrets(seed: int) -> Row:
    """Plant keys in every place that may hold one, let everything happen, and search what is said.

    That is: logs at DEBUG, errors with all that led to them, the text of every object, decisions
    and receipts as JSON.
    """
    rng = Random(seed)
    places = ("argument", "variable", "header", "address", "echoed by the server")
    argument, variable, header, address, echoed = keys = [
        f"sk-{place[:6]}-{rng.getrandbits(128):032x}" for place in places
    ]
    # Those that ask to be left alone come last: afterwards, nobody is asked.
    names = ["", *sorted(FAULTS, key=lambda name: "429" in name)]
    heard = io.StringIO()
    handler, root = logging.StreamHandler(heard), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    planted = {"VLLM_API_KEY": variable, "OPENAI_CUSTOM_HEADERS": f"x-gateway: {header}"}
    refused = Answer(json.dumps({"error": {"message": f"{echoed} is wrong: {SAID}"}}).encode(), 401)
    try:
        with (
            patch.dict(os.environ, planted),
            FaultyServer(lambda number, _: names[number]) as server,
        ):
            server.always = refused
            _say_all(heard, server.address, range(1), api_key=echoed)
            server.always = None
            for own in ({"api_key": argument}, {}):
                _say_all(heard, server.address, range(1), **own)
                _say_all(heard, server.address, range(1, len(names)), timeout=0.3, **own)
            _say_all(heard, server.address.replace("//", f"//user:{address}@"), range(1))
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    said = heard.getvalue()
    if not all(word in said for word in (SAID, "receipt", "Traceback")):
        msg = "what was said was not heard, so that nothing could be found in it"
        raise RuntimeError(msg)
    found = sum(map(said.count, keys))
    return Row("planted keys found in logs, errors, text and JSON", found, "<=", 0, len(keys))


def _say_all(
    heard: io.StringIO, address: str, numbers: range, *, timeout: float = 5.0, **own: str
) -> None:
    """Ask about every number, and write down all that can be got from it."""
    try:
        decider = Decider("vllm/faulty", base_url=address, timeout=timeout, **own)
    except FaithfulDecideError:
        traceback.print_exc(file=heard)
        return
    with decider:
        for number in numbers:
            print(repr(decider), repr(decider.backend), decider.backend.capabilities, file=heard)
            try:
                decision = decider.decide(picture(), text(number))
            except FaithfulDecideError as error:
                traceback.print_exc(file=heard)
                print(repr(error), vars(error), file=heard)
            else:
                print(repr(decision), decision.model_dump_json(), file=heard)


if __name__ == "__main__":
    run(faults)
