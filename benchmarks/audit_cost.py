"""What an audit costs beside one decision: in this process, and over HTTP."""

from __future__ import annotations

import asyncio
import io
import re
import statistics
import sys
import time
from contextlib import closing
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING, Any

from PIL import Image

from benchmarks._rows import Options, Row, run
from faithful_decide import (
    Observation,
    Question,
    audit,
    audit_dataset,
    decide,
    load_backend,
)
from faithful_decide._audit.case import Case
from faithful_decide._audit.checks.claims import reading
from faithful_decide._audit.checks.cue import neutral, suggested
from faithful_decide._audit.checks.forced import told
from faithful_decide._audit.checks.negated import negated
from faithful_decide._audit.checks.trajectory import early
from faithful_decide._audit.dataset import item_of, pooled_report
from faithful_decide._audit.flags import Thresholds
from faithful_decide._core.contract import verify
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import grey, prepare
from faithful_decide.backends import Capabilities, Reply, Request
from faithful_decide.organisms import Honest, Topic
from tests.support.llama_server import llamacpp_server
from tests.support.zoo import data_set
from training.world.draw import render
from training.world.scenes import make_scene

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from faithful_decide.backends import Backend

FIRST = 6_000_000
"""Scenes are held out, as in the other benchmarks."""
QUESTION = Question("Does this image show anything funny?")
CHECKS = 8
MAX_TOKENS = 160
"""A reply that does not come to an end is cut here; it is far longer than one that does."""
DELAYS = {0.02: 1.4, 0.5: 1.3}
"""What a reply takes, next to nothing or as long as from a small model that is served, and how much
an audit may take over the longest chain of calls that wait for each other."""
ROUNDS = 5
POOLED = 1000
FUNNY = Topic("the squirrel", {"wearing a hat": "yes", "sitting": "no"})


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


class Slow:
    """An organism that takes its time, in this process, and notes when it was asked."""

    name = identity = "slow"

    def __init__(self, picture: str, delay: float) -> None:
        """Know the picture."""
        self.delay = delay
        facts = {picture: {"the squirrel": "wearing a hat"}}
        able = Capabilities(order=True, thinking="none", decoder="autoregressive")
        self.organism = Honest(facts, {QUESTION.text: FUNNY}, capabilities=able)
        self.capabilities = able
        self.spans: list[tuple[float, float]] = []

    def generate(self, request: Request) -> Reply:
        """Answer after a while, when there is nothing to be asked meanwhile."""
        asked = time.perf_counter()
        time.sleep(self.delay)
        return self._answered(request, asked)

    async def agenerate(self, request: Request) -> Reply:
        """Answer after a while."""
        asked = time.perf_counter()
        await asyncio.sleep(self.delay)
        return self._answered(request, asked)

    def _answered(self, request: Request, asked: float) -> Reply:
        reply = self.organism.generate(request)
        self.spans.append((asked, time.perf_counter()))
        return reply

    def close(self) -> None:
        """There is nothing to release."""


def waiting(options: Options) -> Iterator[Row]:
    """What an audit takes over the longest chain of calls that wait for each other."""
    picture = picture_of(options.seed)
    facts = sha256(picture).hexdigest()
    for delay, most in DELAYS.items():
        slow, ratios, depth = Slow(facts, delay), [], 0
        for _ in range(2 if options.quick else ROUNDS):
            slow.spans.clear()
            started = time.perf_counter()
            audit(picture, QUESTION, model=slow, tier="standard")
            taken = time.perf_counter() - started
            depth = longest(slow.spans)
            ratios.append(taken / (depth * delay))
        figure = f"audit of {len(slow.spans)} calls over {depth} in a row, {delay:g} s each"
        yield Row(figure, statistics.median(ratios), "<=", most, len(ratios))


def longest(spans: Iterable[tuple[float, float]]) -> int:
    """How many calls waited for each other, one after the other, at the most."""
    depths: list[int] = []
    ordered = sorted(spans)
    for asked, _ in ordered:
        earlier = zip(ordered, depths, strict=False)
        depths.append(1 + max((d for (_, end), d in earlier if end <= asked), default=0))
    return max(depths)


def calls(options: Options) -> Iterator[Row]:
    """How many calls an audit of tier `standard` makes, of one picture and in a data set."""
    counted: dict[str, list[float]] = {"one picture": [], "a picture of a data set": []}
    for kind in ("Plain", "Obedient", "Verbose", "PostHoc"):
        made = data_set(kind, 20, seed=options.seed, theme="squirrel")
        report = audit_dataset(made.items, model=made.model, tier="standard")
        counted["a picture of a data set"].append(report.calls / len(report.items))
        for item in made.items[:5]:
            counted["one picture"].append(
                float(audit(*item, model=made.model, tier="standard").calls)
            )
    for name, values in counted.items():
        yield Row(f"calls of `standard`, yes or no, {name}", max(values), "<=", 12, len(values))


def embedded(options: Options) -> Iterator[Row]:
    """What an audit of tier `standard` by the embedded model writes and takes over a decision."""
    tokens, seconds = [], []
    with closing(load_backend("embedded")) as model:
        for number in range(-1, 2 if options.quick else 8):
            scene = make_scene(FIRST + options.seed * 1000 + number + 1)
            picture = render(scene)
            started = time.process_time()
            decision = decide(picture, QUESTION, model=model)
            between = time.process_time()
            report = audit(picture, QUESTION, model=model, tier="standard")
            ended = time.process_time()
            if number >= 0:
                written = decision.receipt.usage.completion_tokens
                tokens.append(report.usage.completion_tokens / written)
                seconds.append((ended - between) / (between - started))
    name = "of a `standard` audit over one decision, embedded"
    yield Row(f"tokens written {name}", statistics.median(tokens), "<=", 6, len(tokens))
    yield Row(f"CPU seconds {name}", statistics.median(seconds), "<=", 6, len(seconds))


def picture_of(seed: int) -> bytes:
    """A photograph's worth of noise, as JPEG."""
    rng = Random(seed)
    file = io.BytesIO()
    coarse = Image.frombytes("RGB", (24, 18), rng.randbytes(24 * 18 * 3))
    coarse.resize((640, 480)).save(file, "JPEG", quality=90)
    return file.getvalue()


def pooling(options: Options) -> Iterator[Row]:
    """What it takes to pool a data set, once all replies are in."""
    picture = picture_of(options.seed)
    facts = {sha256(picture).hexdigest(): {"the squirrel": "wearing a hat"}}
    model = Honest(facts, {QUESTION.text: FUNNY})
    report = audit(picture, QUESTION, model=model, tier="standard")
    items = [
        item_of(str(number), "", report.model_copy(update={"image_sha256": str(number)}))
        for number in range(POOLED)
    ]
    started = time.process_time()
    pooled_report(
        items,
        "standard",
        Thresholds.shipped(),
        model="m",
        reader="m",
        witness="",
        seed=0,
        seconds=0.0,
    )
    taken = time.process_time() - started
    yield Row(f"CPU seconds to pool {POOLED} images", taken, "<=", 0.5, 1)


def audit_cost(options: Options) -> Iterator[Row]:
    """Measure all of it."""
    yield from pooling(options)
    yield from waiting(options)
    yield from calls(options)
    yield from embedded(options)
    yield from over_http(options)
    yield from in_process(options)


if __name__ == "__main__":
    run(audit_cost)
