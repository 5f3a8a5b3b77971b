"""What an audit costs beside one decision: in this process, and over HTTP."""

from __future__ import annotations

import asyncio
import io
import json
import re
import statistics
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING, Any, cast

from faithful_decide._audit.checks.blind import reading
from PIL import Image

from benchmarks._rows import Options, Row, run
from faithful_decide import Observation, Question, audit, load_backend
from faithful_decide._api import audit as auditor
from faithful_decide._asking.limiter import limiter_of
from faithful_decide._audit.case import Case
from faithful_decide._audit.checks.cue import neutral, suggested
from faithful_decide._audit.checks.forced import told
from faithful_decide._audit.checks.negated import negated
from faithful_decide._audit.checks.trajectory import early
from faithful_decide._audit.dataset import pooled_report
from faithful_decide._audit.flags import Thresholds
from faithful_decide._audit.types import ItemAudit, Tally
from faithful_decide._core.contract import verify
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import grey, prepare
from faithful_decide.backends import Capabilities, Reply, Request
from faithful_decide.organisms import Honest, Topic
from tests.support.faulty import completion
from tests.support.llama_server import llamacpp_server
from training.world.draw import render
from training.world.scenes import make_scene

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faithful_decide.backends import Backend

FIRST = 6_000_000
"""Scenes are held out, as in the other benchmarks."""
QUESTION = Question("Does this image show anything funny?")
CHECKS = 8
MAX_TOKENS = 160
"""A reply that does not come to an end is cut here; it is far longer than one that does."""
DELAYS = (0.02, 0.5)
"""What a reply takes: next to nothing, and about as long as from a small model that is served."""
CHAIN = 2
"""Calls of tier `standard` that have to wait for each other: the decision, and a reading of what it
saw, by itself or by a reader."""
ROUNDS = 9
POOLED = 1000
FUNNY = Topic("the squirrel", {"wearing a hat": "yes", "sitting": "no"})
SERVER = """
import sys
from benchmarks.audit_cost import serve
serve(float(sys.argv[1]))
"""


def case_of(backend: Backend, scene: int) -> Case:
    """A decision about a scene that the model has not seen before."""
    limits = backend.capabilities.image_limits
    image = prepare(load_image(render(make_scene(scene))), limits)
    return Case(image, grey(image, limits), QUESTION, backend.capabilities, MAX_TOKENS)


def generating(case: Case, own: str, seen: tuple[Observation, ...]) -> list[Request]:
    """One request of each check that has a reply written about the same picture."""
    other = next(v for v in QUESTION.verdicts if v != own)
    edited = (Observation(about=seen[0].about, seen="not there"), *seen[1:])
    return [
        case.decision(),
        told(case, own),
        told(case, other),
        reading(case, [o.about for o in seen]),
        negated(case),
        suggested(case, other),
        neutral(case),
        case.put_in("edit", edited, other),
    ]


def scoring(case: Case, seen: tuple[Observation, ...]) -> list[Request]:
    """Requests that read the odds of the verdicts, and have one word written for it."""
    words = ("not there", "red", "blue", "small", "large", "to the left")
    edits = [(Observation(about=seen[0].about, seen=word), *seen[1:]) for word in words]
    return [early(case), early(case, seen), *(early(case, edit) for edit in edits)]


def cost(backend: Backend, requests: list[Request]) -> tuple[float, list[Any]]:
    """Processor seconds of this process for some calls, the engine's included, and their replies.

    Not the time on the clock: another program would count.
    """
    started = time.process_time()
    replies = [backend.generate(request) for request in requests]
    return time.process_time() - started, replies


def in_process(options: Options) -> Iterator[Row]:
    """Decision and checks in turns, on pictures that are new to the engine."""
    rounds = 3 if options.quick else 15
    kinds = ("read probabilities", "read probabilities, the two of an audit,", "generate", "naive")
    ratios: dict[str, list[float]] = {kind: [] for kind in kinds}
    tokens: list[float] = []
    shares: list[float] = []
    with (
        closing(load_backend("embedded")) as ours,
        closing(load_backend("embedded", reuse=False)) as naive,
    ):
        for number in range(-1, rounds):
            case = case_of(ours, FIRST + options.seed * 1000 + number + 1)
            one, (reply,) = cost(ours, [case.decision()])
            content = verify(reply, QUESTION.labels).content
            checks = generating(case, content.verdict, content.observations)
            asked = scoring(case, content.observations)
            two, scored = cost(ours, asked[:2])
            odds, rest = cost(ours, asked[2:])
            scored += rest
            more, replies = cost(ours, checks)
            if number < 0:
                continue  # the engine's first calls make what later ones only use
            bare, _ = cost(naive, [case.decision()])
            again, _ = cost(naive, [case.decision()] * CHECKS)
            ratios[kinds[0]].append((one + two + odds) / one)
            ratios[kinds[1]].append((one + two) / one)
            ratios["generate"].append((one + more) / one)
            ratios["naive"].append((bare + again) / bare)
            tokens.append(sum(map(computed, [reply, *replies])) / computed(reply))
            shares += [cached(r, shared(reply, case)) for r in (*scored, *replies)]
    limits = (1.25, 1.25, 2.5, float(CHECKS + 1) * 1.1)
    for (name, values), limit in zip(ratios.items(), limits, strict=True):
        what = f"{CHECKS} naive re-runs" if name == "naive" else f"checks that {name}"
        count = f"{CHECKS} " if name in {"read probabilities", "generate"} else ""
        figure = f"decision and {count}{what} over a decision"
        yield Row(figure, statistics.median(values), "<=", limit, len(values))
    print(f"tokens of the checks that generate: {statistics.median(tokens):.2f}", file=sys.stderr)
    yield Row("least share of the common prompt from memory", min(shares), ">=", 0.9, len(shares))


def computed(reply: Any) -> int:  # noqa: ANN401 - a reply
    """Tokens that had to be computed for a reply."""
    used = reply.usage
    return int(used.prompt_tokens - used.cached_tokens + used.completion_tokens)


def shared(reply: Any, case: Case) -> int:  # noqa: ANN401 - a reply
    """Tokens of the prompt that all checks share: all up to the turn's text.

    The text is plain words here, of one token each at least.
    """
    words = re.findall(r"\w+|[^\w\s]", case.decision().text)
    return int(reply.usage.prompt_tokens) - len(words)


def cached(reply: Any, common: int) -> float:  # noqa: ANN401 - a reply
    """The share of the common prompt that was in memory."""
    return min(1.0, float(reply.usage.cached_tokens) / common)


def over_http(options: Options) -> Iterator[Row]:
    """The same prompts, sent to llama.cpp's own server."""
    with (
        llamacpp_server() as (address, key),
        closing(
            load_backend("llamacpp-server/embedded", base_url=address, api_key=key, any_model=True)
        ) as backend,
    ):
        shares = []
        for number in range(2 if options.quick else 6):
            case = case_of(backend, FIRST + 500_000 + options.seed * 1000 + number)
            reply = backend.generate(case.decision())
            content = verify(reply, QUESTION.labels).content
            checks = generating(case, content.verdict, content.observations)
            checks = [a for a in checks if not a.prefix or backend.capabilities.prefix]
            _, replies = cost(backend, checks)
            shares += [cached(r, shared(reply, case)) for r in replies]
    figure = "least share of the common prompt from memory, over HTTP"
    yield Row(figure, min(shares), ">=", 0.9, len(shares))


def at_once(options: Options, delay: float) -> Iterator[Row]:
    """An audit by a server that takes its time, over the calls that have to wait for each other."""
    picture = picture_of(options.seed)
    rounds = 3 if options.quick else ROUNDS
    prepared = 0
    plain = auditor.prepare

    def counting(*arguments: Any) -> Any:  # noqa: ANN401 - as it comes
        nonlocal prepared
        prepared += 1
        return plain(*arguments)

    with (
        server(delay) as address,
        closing(
            load_backend("openai/organism", base_url=address, logprobs=False, any_model=True)
        ) as backend,
    ):
        case = case_of(backend, FIRST)
        auditor.prepare = counting
        ratios: dict[str, list[float]] = {"alone": [], "in a data set": []}
        calls = 0
        for number in range(-1, rounds):
            started = time.perf_counter()
            for _ in range(CHAIN):
                asyncio.run(_awaited(backend, case.decision()))
            chain = time.perf_counter() - started
            for name, values in ratios.items():
                # A data set keeps what is known of the server; alone, an audit begins carefully.
                gate = limiter_of(backend.name) if name == "in a data set" else None
                for _ in range(2 if gate is not None else 0):
                    audit(picture, QUESTION, model=backend)
                started = time.perf_counter()
                calls = audit(picture, QUESTION, model=backend).calls
                taken = time.perf_counter() - started
                del gate
                if number >= 0:
                    values.append(taken / chain)
        auditor.prepare = plain
    audits = 4 * (rounds + 1)
    yield Row("pictures prepared per audit", prepared / audits, "<=", 1, audits)
    for name, values in ratios.items():
        figure = f"audit of {calls} calls {name} over {CHAIN} in a row, {delay:g} s each"
        yield Row(figure, statistics.median(values), "<=", 1.3, rounds)


class Slow:
    """An organism that takes its time, in this process, and notes when it was asked."""

    name = identity = "slow"

    def __init__(self, picture: str) -> None:
        """Know the picture."""
        facts = {picture: {"the squirrel": "wearing a hat"}}
        able = Capabilities(order=True, thinking="none", decoder="autoregressive")
        self.organism = Honest(facts, {QUESTION.text: FUNNY}, capabilities=able)
        self.capabilities = able
        self.spans: list[tuple[float, float]] = []

    def generate(self, request: Request) -> Reply:
        """Answer at once; the audit awaits instead."""
        return self.organism.generate(request)

    async def agenerate(self, request: Request) -> Reply:
        """Answer after a while."""
        asked = time.perf_counter()
        await asyncio.sleep(0.1)
        reply = self.generate(request)
        self.spans.append((asked, time.perf_counter()))
        return reply

    def close(self) -> None:
        """There is nothing to release."""


def waiting(options: Options) -> Iterator[Row]:
    """How many calls of an audit wait for each other. This does not depend on the machine."""
    picture = picture_of(options.seed)
    slow = Slow(sha256(picture).hexdigest())
    gate = None
    for name, before in (("alone", 0), ("in a data set", 2)):
        for _ in range(before):
            gate = gate or limiter_of(slow.name)
            audit(picture, QUESTION, model=slow)
        slow.spans.clear()
        audit(picture, QUESTION, model=slow)
        depths: list[int] = []
        spans = sorted(slow.spans)
        for asked, _ in spans:
            earlier = zip(spans, depths, strict=False)
            depths.append(1 + max((d for (_, end), d in earlier if end <= asked), default=0))
        figure = f"calls in a row of an audit {name}, of {len(spans)}"
        yield Row(figure, max(depths), "<=", CHAIN * 1.3, 1)
    del gate


async def _awaited(backend: Backend, request: Request) -> Any:  # noqa: ANN401 - a reply
    return await cast("Any", backend).agenerate(request)


def picture_of(seed: int) -> bytes:
    """A photograph's worth of noise, as JPEG."""
    rng = Random(seed)
    file = io.BytesIO()
    coarse = Image.frombytes("RGB", (24, 18), rng.randbytes(24 * 18 * 3))
    coarse.resize((640, 480)).save(file, "JPEG", quality=90)
    return file.getvalue()


PARTS = {
    "observations": [{"about": "the squirrel", "n": 1, "seen": "wearing a hat"}],
    "reasoning": "the squirrel wears a hat, which is odd",
    "relies_on": [0],
    "reservation": {"level": "none", "why": ""},
    "verdict": "yes",
}


def serve(delay: float) -> None:
    """Answer every chat completion in the shape that was asked for, after a while."""

    def answer(body: dict[str, Any]) -> bytes:
        keys = body["response_format"]["json_schema"]["schema"]["properties"]
        said = json.dumps({key: PARTS[key] for key in keys})
        text = json.dumps(completion(said)).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(text)}"
        return head.encode() + b"\r\n\r\n" + text

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
                body = json.loads(await reader.readexactly(length))
                await asyncio.sleep(delay)
                writer.write(answer(body))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.close()

    async def main() -> None:
        listening = await asyncio.start_server(one, "127.0.0.1", 0, limit=2**24)
        print(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1", flush=True)
        await asyncio.to_thread(sys.stdin.read)

    asyncio.run(main())


@contextmanager
def server(delay: float) -> Iterator[str]:
    """The server in a process of its own; gives its address."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(delay)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield (process.stdout or sys.stdin).readline().strip()
        process.communicate("")


def pooling(options: Options) -> Iterator[Row]:
    """What it takes to pool a data set, once all replies are in."""
    picture = picture_of(options.seed)
    facts = {sha256(picture).hexdigest(): {"the squirrel": "wearing a hat"}}
    report = audit(picture, QUESTION, model=Honest(facts, {QUESTION.text: FUNNY}), tier="full")
    rng = Random(options.seed)

    def drawn(n: int) -> Tally:
        return Tally(hits=rng.randint(0, n), n=n)

    items = [
        ItemAudit(
            item=str(number),
            cluster=str(number),
            treatments={name: drawn(check.treatment.n) for name, check in report.checks.items()},
            controls={name: drawn(check.control.n) for name, check in report.checks.items()},
            report=report,
        )
        for number in range(POOLED)
    ]
    started = time.process_time()
    pooled_report(
        items,
        "full",
        Thresholds.shipped(),
        model="m",
        reader="m",
        seed=0,
        seconds=0.0,
    )
    taken = time.process_time() - started
    yield Row(f"CPU seconds to pool {POOLED} images", taken, "<=", 0.5, 1)


def audit_cost(options: Options) -> Iterator[Row]:
    """Measure all of it."""
    yield from pooling(options)
    yield from waiting(options)
    for delay in DELAYS:
        yield from at_once(options, delay)
    yield from over_http(options)
    yield from in_process(options)


if __name__ == "__main__":
    run(audit_cost)
