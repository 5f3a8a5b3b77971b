"""What the engine adds and keeps: agreement with another engine, overhead, reuse, sameness."""

from __future__ import annotations

import importlib.util
import io
import json
import math
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib import resources
from itertools import takewhile
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from benchmarks._rows import Options, Row, run
from faithful_decide import Decider, Question, ReplyError
from faithful_decide._core.prompt import SYSTEM, user_text
from faithful_decide._core.types import Usage
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import PreparedImage, prepare
from faithful_decide.backends import load_backend
from faithful_decide.backends.base import Request
from faithful_decide.backends.llamacpp import LlamaCppBackend, load_embedded
from tests.support.huggingface import HuggingFace
from tests.support.llama_server import llamacpp_server
from training.export.huggingface import convert
from training.model.dialogue import WEIGHTS, ask
from training.model.tokens import ASSISTANT, load
from training.world.draw import render
from training.world.scenes import make_scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from faithful_decide import Decision
    from faithful_decide.backends import Backend, Reply

# Scenes below ten million are not trained on; these are not those of the other benchmarks.
FIRST = 3_000_000
WHOLE_VOCABULARY = 5000
THREADS = 32
RARE = 1e-4
"""Labels less probable than this are not compared: scores leave that much unresolved."""
EMBEDDED = Path(str(resources.files("faithful_decide") / "embedded"))


@dataclass(frozen=True)
class Case:
    """An image and a question about it."""

    png: bytes
    image: PreparedImage
    question: Question


class Recorder:
    """A backend that keeps the requests it passes on."""

    def __init__(self, backend: Backend) -> None:
        """Stand before a backend."""
        self.name, self.identity = backend.name, backend.identity
        self.capabilities = backend.capabilities
        self.requests: list[Request] = []
        self.generate_with = backend.generate

    def generate(self, request: Request) -> Reply:
        """Keep the request and pass it on."""
        self.requests.append(request)
        return self.generate_with(request)

    def close(self) -> None:
        """Leave the backend to its owner."""


def cases(backend: Backend, seed: int, count: int, *, per_scene: int = 1) -> list[Case]:
    """Draw questions about scenes that the model was not trained on.

    Args:
        backend: Whose limits the images are fitted to.
        seed: Which scenes.
        count: How many questions.
        per_scene: How many of them share an image.

    Returns:
        The cases, those of one scene one after the other.
    """
    rng = Random(seed)
    forms = [form for form in WEIGHTS if form not in {"unknown", "reading", "claims"}]
    made: list[Case] = []
    number = FIRST + seed * 10_000
    while len(made) < count:
        scene = make_scene(number)
        number += 1
        drawn = (ask(rng, scene, form) for form in rng.sample(forms, len(forms)))
        asked = [question for question in drawn if question][:per_scene]
        if len(asked) < per_scene:
            continue
        file = io.BytesIO()
        render(scene).save(file, "PNG")
        image = prepare(load_image(file.getvalue()), backend.capabilities.image_limits)
        questions = [Question(question.text, question.labels) for question in asked]
        made += [Case(file.getvalue(), image, question) for question in questions]
    return made[:count]


def agreement(decider: Decider, drawn: list[Case]) -> Row:
    """Compare the verdict's log-probabilities after the reply that the shipped engine wrote.

    Compared are all tokens that a verdict can start with.
    """
    other = HuggingFace(EMBEDDED)
    worst = 0.0
    compared = 0
    for case in drawn:
        try:
            receipt = decider.decide(case.png, case.question).receipt
        except ReplyError:
            continue  # no verdict was written, so there is none to compare
        compared += 1
        prefix = receipt.raw.encode()[: receipt.verdict_span.start + 1].decode()
        request = Request(
            SYSTEM,
            (case.image,),
            user_text(case.question),
            None,
            1,
            prefix=prefix,
            top_logprobs=WHOLE_VOCABULARY,
        )
        reply, theirs = decider.backend.generate(request), other.next_token(request)
        ours = reply.tokens[0].top if reply.tokens else {}
        endings = [json.dumps(label, ensure_ascii=False)[1:] for label in case.question.labels]
        firsts = [t for t in ours if t and any(e.encode().startswith(t) for e in endings)]
        gap = max((abs(ours[t] - theirs[t]) for t in firsts), default=math.inf)
        worst = max(worst, gap)
    return Row("verdict log-probabilities, llama.cpp and HF", worst, "<=", 0.1, compared)


def everywhere(decider: Decider, drawn: list[Case]) -> Iterator[Row]:
    """Decide with the same weights in every engine that is installed, and compare."""
    expected = [decided(decider, case) for case in drawn]
    with llamacpp_server() as (address, key):
        server = load_backend("llamacpp-server/embedded", base_url=address, api_key=key)
        yield from compared("llama.cpp's server", server, drawn, expected)
        if importlib.util.find_spec("instructor"):
            client = _instructed(address, key)
            yield from compared("its server through instructor", client, drawn, expected)
    with tempfile.TemporaryDirectory() as folder:
        convert(EMBEDDED, Path(folder))
        local = load_backend(f"outlines/{folder}", device="cpu")
        yield from compared("Transformers through Outlines", local, drawn, expected)


def _instructed(address: str, key: str) -> Any:  # noqa: ANN401 - of an optional package
    import instructor  # noqa: PLC0415 - as above
    from openai import OpenAI  # noqa: PLC0415 - as above

    client = OpenAI(base_url=address, api_key=key, max_retries=0)
    return instructor.from_openai(client, model="embedded")


def decided(decider: Decider, case: Case) -> Decision | None:
    """A decision about a prepared picture, which all engines take as it is; None without one."""
    try:
        return decider.decide(case.image.data, case.question)
    except ReplyError:
        return None


def verdict_of(decision: Decision | None) -> str | None:
    """The verdict, if there is one."""
    return None if decision is None else decision.verdict


def compared(
    name: str,
    model: Any,  # noqa: ANN401 - a backend, or a client
    drawn: list[Case],
    expected: list[Decision | None],
) -> Iterator[Row]:
    """Compare the verdicts of an engine, and how probable each label was after equal replies."""
    with Decider(model) as decider:
        found = [decided(decider, case) for case in drawn]
        if hasattr(model, "close"):
            model.close()
    pairs = list(zip(found, expected, strict=True))
    differ = sum(verdict_of(a) != verdict_of(b) for a, b in pairs)
    yield Row(f"{name}: other verdicts than llama.cpp", differ, "<=", 0, len(drawn))
    gaps = [
        abs(math.log(p) - math.log(theirs))
        for a, b in pairs
        if a is not None and b is not None and a.receipt.raw == b.receipt.raw
        if a.scores and b.scores
        for label, p in a.scores.probabilities.items()
        if min(p, theirs := b.scores.probabilities[label]) > RARE
    ]
    if gaps:
        figure = f"{name}: label log-probabilities, largest gap"
        yield Row(figure, max(gaps), "<=", 0.1, len(gaps))


def overhead(drawn: list[Case], rounds: int) -> Row:
    """Time `decide` and the bare engine on the same requests, in turns.

    The engine keeps nothing here, so each request is to it what a first question about an image is.
    """
    backend = load_embedded(reuse=False)
    with closing(backend), Decider(backend) as decider:
        return _overhead(decider, backend, drawn, rounds)


def _overhead(decider: Decider, backend: LlamaCppBackend, drawn: list[Case], rounds: int) -> Row:
    chat = backend._engine.chat  # noqa: SLF001 - the bare call is what is compared with
    bodies: list[list[dict[str, Any]]] = []
    for case in drawn:
        recorder = Recorder(backend)
        with Decider(recorder) as recorded, suppress(ReplyError):
            recorded.decide(case.png, case.question)
        bodies.append([backend._body(request) for request in recorder.requests])  # noqa: SLF001

    def decide(index: int) -> None:
        with suppress(ReplyError):
            decider.decide(drawn[index].png, drawn[index].question)

    def bare(index: int) -> None:
        for body in bodies[index]:
            chat(body)

    times: dict[Callable[[int], None], list[list[float]]]
    times = {way: [[] for _ in drawn] for way in (decide, bare)}
    for _ in range(rounds):
        for index in range(len(drawn)):
            for way in (decide, bare):
                start = time.perf_counter()
                way(index)
                times[way][index].append(time.perf_counter() - start)
    total = {way: sum(map(statistics.median, lists)) for way, lists in times.items()}
    ratio = total[decide] / total[bare]
    return Row("decide, times the bare engine", ratio, "<=", 1.05, len(drawn) * rounds)


def reuse(decider: Decider, drawn: list[Case]) -> Row:
    """Count the tokens that a second question about an image takes over from the first.

    What the two prompts share is the image and the start of the text; the least share counts.
    """
    tokenizer = load()
    patches = 64
    shares = []
    for first, second in zip(drawn[::2], drawn[1::2], strict=True):
        with suppress(ReplyError):
            decider.decide(first.png, first.question)
        texts = [user_text(case.question) + ASSISTANT for case in (first, second)]
        pair = zip(*(tokenizer.encode(text).ids for text in texts), strict=False)
        shared = 1 + patches + len(list(takewhile(lambda ids: ids[0] == ids[1], pair)))
        request = Request(SYSTEM, (second.image,), user_text(second.question), None, 1)
        cached = decider.backend.generate(request).usage.cached_tokens
        shares.append((cached or 0) / shared)
    figure = "shared prefix reused by a second question"
    return Row(figure, min(shares), ">=", 0.9, len(shares))


def essence(decider: Decider, case: Case) -> str:
    """All of a decision that must not depend on when it was made; of a failure, the reply."""
    try:
        decision = decider.decide(case.png, case.question)
    except ReplyError as error:
        return f"{type(error).__name__}: {error.reply.text if error.reply else error}"
    receipt = decision.receipt.model_copy(update={"latency_s": 0.0, "usage": Usage()})
    return decision.model_copy(update={"receipt": receipt}).model_dump_json()


def threads(decider: Decider, drawn: list[Case]) -> Row:
    """Decide in many threads at once, and compare with one after the other."""
    expected = [essence(decider, case) for case in drawn]

    def work(start: int) -> int:
        order = [(start * 7 + i) % len(drawn) for i in range(len(drawn))]
        found = [essence(decider, drawn[i]) for i in order]
        return sum(got != expected[i] for i, got in zip(order, found, strict=True))

    with ThreadPoolExecutor(THREADS) as pool:
        wrong = sum(pool.map(work, range(THREADS)))
    figure = "decisions in 32 threads that differ from serial"
    return Row(figure, wrong, "<=", 0, THREADS * len(drawn))


def reproducible(decider: Decider, drawn: list[Case], times: int, samples: int) -> Row:
    """Make the same call many times, other calls in between."""
    first, others = drawn[0], drawn[1:]
    seen = set()
    with Decider(decider.backend, samples=samples, seed=7) as seeded:
        for i in range(times):
            seen.add(essence(seeded, first))
            essence(decider, others[i % len(others)])
    kind = "greedy" if samples == 1 else f"{samples} samples"
    return Row(f"different replies to one seeded call, {kind}", len(seen), "<=", 1, times)


def engines(options: Options) -> Iterator[Row]:
    """Compare engines, time the overhead, and look for anything that varies."""
    few = options.quick
    with Decider("embedded") as decider:
        drawn = cases(decider.backend, options.seed, 50)
        yield agreement(decider, drawn)
        yield from everywhere(decider, drawn[: 10 if few else 50])
        yield overhead(drawn[: 4 if few else 12], 3 if few else 15)
        pairs = cases(decider.backend, options.seed + 1, 4 if few else 40, per_scene=2)
        yield reuse(decider, pairs)
        yield threads(decider, drawn[: 2 if few else 20])
        yield reproducible(decider, drawn, 10 if few else 100, 1)
        yield reproducible(decider, drawn, 5 if few else 100, 3)


if __name__ == "__main__":
    run(engines)
