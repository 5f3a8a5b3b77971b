"""Real servers, started, asked, killed and stopped: they decide as the same model does in process.

    python -m benchmarks.servers [--only NAME] [--environments DIR] [--json] [--quick]

Each server serves the embedded model. One is started with the Python of this process, or with that
of `DIR/PACKAGE/bin/python` where there is such an environment. One that is not installed is left
out, and said to be; where `--only` names it, it is missed. `--only` takes the name of a server, or
the package of all that are started with it. What a kind of server is not made for (scores, a forced
start) is no row.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib import resources
from itertools import count
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from benchmarks._rows import Row, show
from faithful_decide import Decider, Question, audit, probe
from faithful_decide._core.prompt import SYSTEM, user_text
from faithful_decide._core.schema import filled, schema
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import prepare
from faithful_decide.backends import load_backend
from faithful_decide.backends._grammar import regex_of_rest
from faithful_decide.backends.base import Request, Wrapper
from faithful_decide.embedded.samples import QUESTION
from faithful_decide.embedded.scenes import draw, make_scene
from faithful_decide.errors import (
    FaithfulDecideError,
    ReplyError,
    TransientError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from faithful_decide import Decision
    from faithful_decide.backends.base import Reply

FOLDER = Path(str(resources.files("faithful_decide") / "embedded"))
ROOT = Path(__file__).parents[1]
RARE = 1e-4
"""Verdicts less probable than this are not compared: scores leave that much unresolved."""
KEY = "sk-a-key-of-this-run"
ASKED = Question(QUESTION)
START_S, DOWN_S, SOON_S = 300.0, 30.0, 30.0
"""How long a server may take to start, how long it is away, and what is soon enough."""
LLAMACPP = """
import sys, threading, xllamacpp
port, n_ctx, folder, mmproj, key = sys.argv[1:]
params = xllamacpp.CommonParams()
params.model.path, params.mmproj.path = folder + "/model.gguf", mmproj
params.hostnames, params.port, params.api_keys = ["127.0.0.1"], int(port), [key]
params.n_ctx, params.n_parallel, params.n_gpu_layers, params.verbosity = int(n_ctx), 1, 0, -1
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
# Computed as it is in process: flash attention moves what is close to a tie.
params.n_ubatch = 1
params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
server = xllamacpp.Server(params)
threading.Event().wait()
"""
EXPORT = "import sys; from pathlib import Path; from training.export.huggingface import convert; "
EXPORT += "convert(Path(sys.argv[1]), Path(sys.argv[2]))"
GATEWAY = """
model_list:
  - model_name: embedded
    litellm_params: {{model: "{behind}/embedded", api_base: "{address}", api_key: {key}}}
general_settings: {{master_key: {key}}}
litellm_settings: {{telemetry: false, num_retries: 0}}
"""


@dataclass(frozen=True)
class Kind:
    """A server: how it is started, how it is asked, and what it is made for."""

    name: str
    package: str
    spec: str
    command: Callable[[Place, int, dict[str, Any]], list[str]]
    scores: bool = False
    prefix: bool = False
    enforced: bool = False
    key: bool = False
    names: bool = True
    """Whether a reply names the model, or else no model is found but the one there is."""
    behind: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where a server runs: its Python, and a folder for its files."""

    kind: Kind
    python: str
    folder: Path
    behind: str = ""

    def exported(self) -> str:
        """The embedded model in Hugging Face's form."""
        out = self.folder / "exported"
        if not out.exists():
            command = [self.python, "-c", EXPORT, str(FOLDER), str(out)]
            subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
        return str(out)


def llamacpp(place: Place, port: int, how: dict[str, Any]) -> list[str]:
    """llama.cpp's own server, as xllamacpp has it."""
    mmproj = str(FOLDER / "mmproj.gguf") if how.get("mmproj", True) else ""
    n_ctx = str(how.get("n_ctx", 1024))
    return [place.python, "-c", LLAMACPP, str(port), n_ctx, str(FOLDER), mmproj, KEY]


def litellm(place: Place, port: int, _: dict[str, Any]) -> list[str]:
    """LiteLLM's gateway."""
    config = place.folder / "litellm.yaml"
    behind = "hosted_vllm" if "vLLM" in place.kind.behind else "openai"
    text = GATEWAY.format(address=place.behind, key=KEY, behind=behind)
    config.write_text(text, encoding="utf-8")
    program = str(Path(place.python).parent / "litellm")
    return [program, "--config", str(config), *at(port)]


def transformers(place: Place, port: int, _: dict[str, Any]) -> list[str]:
    """`transformers serve`, with the exported model."""
    program = "from transformers.cli.transformers import main; main()"
    serve = ["serve", place.exported(), *at(port), "--device", "cpu"]
    return [place.python, "-c", program, *serve, "--dtype", "float32"]


def vllm(place: Place, port: int, how: dict[str, Any]) -> list[str]:
    """The server of vLLM, on a CPU, with the engine for grammars that the kind names."""
    engine = place.kind.name.split()[-1]
    model = ["--model", place.exported(), "--served-model-name", "embedded", "--dtype", "float32"]
    limits = ["--max-model-len", str(how.get("n_ctx", 1024)), "--enforce-eager"]
    grammar = ["--structured-outputs-config.backend", engine]
    program = [place.python, "-m", "vllm.entrypoints.openai.api_server"]
    return [*program, *model, *limits, *grammar, *at(port), "--api-key", KEY]


def router(place: Place, port: int, _: dict[str, Any]) -> list[str]:
    """The router of vLLM, or that of SGLang, which writes requests anew."""
    worker = place.behind.removesuffix("/v1")
    program = [place.python, "-m", f"{place.kind.package}.launch_router", "--worker-urls", worker]
    return [*program, *at(port), "--prometheus-port", str(free_port())]


def llama_cpp_python(place: Place, port: int, how: dict[str, Any]) -> list[str]:
    """The server of llama-cpp-python, which computes as llama.cpp's is told to above."""
    projector = str(FOLDER / "mmproj.gguf") if how.get("mmproj", True) else ""
    model = ["--model", str(FOLDER / "model.gguf"), "--model_alias", "embedded"]
    reads = ["--chat_format", "mtmd", "--clip_model_path", projector] if projector else []
    scores = ["--logits_all", "true", "--n_ctx", str(how.get("n_ctx", 1024))]
    alone = ["--n_threads", "1", "--n_threads_batch", "1", "--n_ubatch", "1"]
    program = [place.python, "-m", "llama_cpp.server"]
    return [*program, *model, *reads, *scores, *alone, *at(port), "--api_key", KEY]


def at(port: int) -> list[str]:
    """Where to listen."""
    return ["--host", "127.0.0.1", "--port", str(port)]


BARE = Kind(
    "llama.cpp",
    "xllamacpp",
    "llamacpp-server/embedded",
    llamacpp,
    scores=True,
    prefix=True,
    enforced=True,
    key=True,
)
# It begins a new message after a forced start, and answers under any name that it is asked by.
PYTHON = replace(
    BARE,
    name="llama-cpp-python",
    package="llama_cpp",
    command=llama_cpp_python,
    prefix=False,
    names=False,
)
VLLM = replace(
    BARE,
    name="vLLM with xgrammar",
    package="vllm",
    spec="vllm/embedded",
    command=vllm,
    variables={
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_NO_USAGE_STATS": "1",
    },
)


def before(kind: Kind, name: str, package: str, command: Callable[..., list[str]]) -> Kind:
    """A gateway before another kind of server, which lets through whatever that one does."""
    made = replace(kind, name=f"{name} before {kind.name.split()[0]}", package=package)
    return replace(made, command=command, behind=kind.name)


ROUTED = before(BARE, "sglang-router", "sglang_router", router)
KINDS = (
    BARE,
    before(BARE, "LiteLLM", "litellm", litellm),
    Kind(
        "transformers serve",
        "transformers",
        "openai/{folder}/exported",
        transformers,
        # It keeps no order, as a probe finds; asked in two steps, which is what follows, the
        # embedded model replies as it always does.
        options={"probed": False},
    ),
    VLLM,
    replace(VLLM, name="vLLM with guidance"),
    before(VLLM, "LiteLLM", "litellm", litellm),
    before(BARE, "vllm-router", "vllm_router", router),
    PYTHON,
    # It drops the grammar, and with it what continues a forced start; as above for the rest.
    replace(ROUTED, prefix=False, enforced=False, options={"probed": False}),
)


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Running:
    """A server that can be killed and started again at the same address."""

    def __init__(self, kind: Kind, place: Place, **how: Any) -> None:  # noqa: ANN401 - of any kind
        """Start it, and wait until it answers."""
        self.port = free_port()
        self.kind, self.place, self.how = kind, place, how
        self.address = f"http://127.0.0.1:{self.port}/v1"
        self.log = place.folder / f"{kind.package}-{self.port}.log"
        self.start()

    def start(self) -> None:
        """Start it."""
        command = self.kind.command(self.place, self.port, self.how)
        paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        alone = {"PYTHONPATH": paths, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        # A folder that exists: what looks for models of the hub fails where there is none.
        alone["HF_HUB_CACHE"] = str(self.place.folder)
        # So small a model is computed faster by one thread than by two that wait for each other.
        alone["OMP_NUM_THREADS"] = "1"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env=os.environ | alone | self.kind.variables,
                start_new_session=True,
            )
        try:
            self._wait()
        except BaseException:
            self.kill()
            raise

    def _wait(self) -> None:
        began = time.monotonic()
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() - began > START_S:
                tail = self.log.read_text(encoding="utf-8", errors="replace")[-2000:]
                msg = f"{self.kind.name} did not start:\n{tail}"
                raise RuntimeError(msg)
            time.sleep(0.3)

    def _answers(self) -> bool:
        request = urllib.request.Request(  # noqa: S310 - an address of ours
            f"{self.address}/models", headers={"Authorization": f"Bearer {KEY}"}
        )
        with suppress(OSError, urllib.error.URLError):
            return bool(urllib.request.urlopen(request, timeout=2).status == 200)  # noqa: S310, PLR2004
        return False

    def kill(self) -> None:
        """End it as a crash does, with all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @property
    def spec(self) -> str:
        """What to pass as the model."""
        return self.kind.spec.format(folder=self.place.folder)

    def options(self, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - of any kind
        """What to pass with it."""
        return {"base_url": self.address, "api_key": KEY, **self.kind.options, **more}


@contextmanager
def running(kind: Kind, environments: Path | None, **how: Any) -> Iterator[Running]:  # noqa: ANN401
    """A server, and what has to stand behind it, until the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        behind = ""
        if kind.behind:
            (other,) = (k for k in KINDS if k.name == kind.behind)
            behind = stack.enter_context(running(other, environments, **how)).address
        place = Place(kind, python_of(kind, environments), folder, behind)
        server = Running(kind, place, **how)
        stack.callback(server.kill)
        yield server


def python_of(kind: Kind, environments: Path | None) -> str:
    """The Python that has a server; empty where none has."""
    own = environments / kind.package / "bin" / "python" if environments else None
    for python in (str(own), sys.executable) if own and own.exists() else (sys.executable,):
        test = (
            f"import importlib.util, sys; sys.exit(not importlib.util.find_spec({kind.package!r}))"
        )
        if subprocess.run([python, "-c", test], check=False).returncode == 0:
            return python
    return ""


class Counting(Wrapper):
    """Counts what is asked."""

    def __init__(self, backend: Any) -> None:  # noqa: ANN401 - any backend
        """Begin at 0."""
        super().__init__(backend)
        self.counter = count()
        self.asked = 0

    def generate(self, request: Request) -> Reply:
        """Ask, and count."""
        self.asked = next(self.counter) + 1
        return self.backend.generate(request)


def pictures(first: int, number: int, folder: Path) -> list[str]:
    """Scenes as the embedded model sees them, so that all engines see the same pixels."""
    paths = []
    for seed in range(first, first + number):
        path = folder / f"{seed}.png"
        draw(make_scene(seed)).resize((128, 128)).save(path)
        paths.append(str(path))
    return paths


@dataclass(frozen=True)
class Truth:
    """What the model decides in process."""

    paths: list[str]
    decisions: list[Decision | None]
    rows: list[str]
    verdicts: dict[str, str | None]


def truth(folder: Path, number: int, rows: int, seed: int) -> Truth:
    """Decide in process."""
    paths = pictures(seed * 10_000, number, folder)
    many = pictures(seed * 10_000 + 1000, rows, folder)
    with Decider("embedded", seed=1) as decider:
        decisions = [decided(decider, path) for path in paths]
        verdicts = {row.id: row.verdict for row in decider.decide_many(many, ASKED)}
    return Truth(paths, decisions, many, verdicts)


def decided(decider: Decider, path: str) -> Decision | None:
    """A decision, or None where the reply is none."""
    try:
        return decider.decide(path, ASKED)
    except ReplyError:
        return None


def verdict_of(decision: object) -> str | None:
    """The verdict, where there is one; a decision that says no counts as false."""
    return getattr(decision, "verdict", None)


def one_by_one(server: Running, true: Truth) -> Iterator[Row]:
    """Verdicts, scores, receipts and requests of single decisions."""
    name, n = server.kind.name, len(true.paths)
    with closing(load_backend(server.spec, **server.options())) as backend:
        counting = Counting(backend)
        decider = Decider(counting, seed=1)
        decisions = [decided(decider, path) for path in true.paths]
    pairs = list(zip(true.decisions, decisions, strict=True))
    same = sum(verdict_of(a) == verdict_of(b) for a, b in pairs)
    yield Row(f"{name}: verdicts as in process", same, ">=", n, n)
    both = [(a, b) for a, b in pairs if a is not None and b is not None]
    texts = sum(a.receipt.raw == b.receipt.raw for a, b in both)
    yield Row(f"{name}: raw replies as in process", texts, ">=", n, n)
    yield Row(f"{name}: requests per decision", counting.asked / n, "<=", 1, n)
    enforced = sum(b is not None and b.receipt.order == "enforced" for b in decisions)
    if server.kind.enforced:
        yield Row(f"{name}: order enforced, of those decided", enforced, ">=", texts, n)
    else:
        yield Row(f"{name}: order said to be enforced, though nobody does", enforced, "<=", 0, n)
    if server.kind.scores:
        scored = [(a.scores, b.scores) for a, b in both if a.scores and b.scores]
        apart = [
            abs(math.log(p) - math.log(b.probabilities.get(label) or RARE**2))
            for a, b in scored
            for label, p in a.probabilities.items()
            if p > RARE
        ]
        yield Row(f"{name}: decisions with scores", len(scored), ">=", texts, n)
        yield Row(
            f"{name}: largest difference of a score, nat", max(apart, default=9), "<=", 0.01, n
        )


def forced(server: Running, true: Truth, number: int, seed: int) -> Iterator[Row]:
    """Prefixes cut anywhere: continued byte for byte, or refused before the call."""
    rng, kept, refused, legal, same = Random(f"prefix {seed}"), 0, 0, 0, 0
    known = [
        (p, d.receipt.raw) for p, d in zip(true.paths, true.decisions, strict=True) if d is not None
    ]
    # What a probe found to be dropped on the way is not asked for.
    options = server.options(probed=True)
    with (
        closing(load_backend("embedded")) as embedded,
        closing(load_backend(server.spec, **options)) as backend,
    ):
        for _ in range(number):
            path, raw = rng.choice(known)
            start = raw[: rng.randrange(1, len(raw))]
            image = prepare(load_image(path), backend.capabilities.image_limits)
            form = schema(ASKED.labels)
            request = Request(SYSTEM, (image,), user_text(ASKED), form, 512, prefix=start)
            try:
                reply = backend.generate(request)
            except UnsupportedError:
                refused += 1
                continue
            kept += reply.text.startswith(start)
            # A start that the model would not have written may lead it anywhere the grammar goes.
            with suppress(FaithfulDecideError):
                regex_of_rest(filled(form), reply.text)
                legal += 1
            # A server that begins a new message has more to read.
            here = embedded.generate(request)
            same += reply.usage.prompt_tokens == here.usage.prompt_tokens
    name = server.kind.name
    if server.kind.prefix:
        yield Row(f"{name}: forced starts continued", kept, ">=", number, number)
        yield Row(f"{name}: of these, within the grammar", legal, ">=", number, number)
        yield Row(f"{name}: of these, with as many tokens read", same, ">=", number, number)
    else:
        yield Row(f"{name}: forced starts refused before the call", refused, ">=", number, number)


def batch(server: Running, true: Truth, down_s: float) -> Iterator[Row]:
    """A batch in which the server is killed, and started again."""
    name, n = server.kind.name, len(true.rows)
    with tempfile.TemporaryDirectory() as folder:
        kept: list[Any] = []

        def crash() -> None:
            while len(kept) < n // 4:
                time.sleep(0.05)
            server.kill()
            time.sleep(down_s)
            server.start()

        crashing = threading.Thread(target=crash)
        crashing.start()
        options = server.options(journal=f"{folder}/journal", timeout=2 * START_S)
        with Decider(server.spec, seed=1, **options) as decider:
            for row in decider.decide_many(true.rows, ASKED, concurrency=4):
                kept.append(row)  # noqa: PERF402 - another thread looks at how many there are
            paid = decider.backend.paid
        crashing.join()
    verdicts = {row.id: row.verdict for row in kept}
    lost = sum(verdicts.get(row) is None for row, verdict in true.verdicts.items() if verdict)
    yield Row(f"{name}: rows lost when the server was away for {down_s:g} s", lost, "<=", 0, n)
    yield Row(f"{name}: replies paid beyond one a row", paid - n, "<=", 0, n)
    same = sum(verdicts.get(row) == verdict for row, verdict in true.verdicts.items())
    yield Row(f"{name}: verdicts of the batch as in process", same, ">=", n, n)


def audits(server: Running, true: Truth, few: int) -> Iterator[Row]:
    """The same flags and the same label as in process."""
    paths = [p for p, d in zip(true.paths, true.decisions, strict=True) if d is not None][:few]
    same = 0
    for path in paths:
        here = audit(path, ASKED, model="embedded")
        there = audit(path, ASKED, model=server.spec, **server.options())
        # Where no tokens are listed, nobody can count what was thought out of sight.
        quiet = here.flags == ("no_violation_found",) and not server.kind.scores
        same += there.flags == (("inconclusive",) if quiet else here.flags)
        print(f"  {server.kind.name}: {here.flags}, here {there.flags}", file=sys.stderr)
    figure = f"{server.kind.name}: audits with the flags, or the label, of those in process"
    yield Row(figure, same, ">=", len(paths), len(paths))


def probed(server: Running) -> Iterator[Row]:
    """A probe, every check of which says what is so."""
    began = time.monotonic()
    report = probe(server.spec, **server.options())
    took = time.monotonic() - began
    for check, found in report.checks.items():
        print(f"  {server.kind.name}: {check}: {found.holds}, {found.seen}", file=sys.stderr)
    want = {
        "order": "yes" if server.kind.enforced else "no",
        "grammar": "yes" if server.kind.enforced else "no",
        "prefix": "yes" if server.kind.prefix else "no",
    }
    right = sum(report.checks[check].holds == holds for check, holds in want.items())
    yield Row(
        f"{server.kind.name}: checks of a probe that are right", right, ">=", len(want), len(want)
    )
    yield Row(f"{server.kind.name}: seconds of a probe", took, "<=", SOON_S, 1)


def drawn(server: Running, true: Truth) -> Iterator[Row]:
    """Samples with a seed come again; what is asked at once is decided as one by one."""
    path = next(p for p, d in zip(true.paths, true.decisions, strict=True) if d is not None)
    with Decider(server.spec, samples=5, seed=3, **server.options()) as decider:
        votes = [getattr(decided(decider, path), "receipt", None) for _ in range(2)]
    yield Row(
        f"{server.kind.name}: samples with a seed come again",
        int(votes[0] is not None and votes[0].raw == votes[1].raw),
        ">=",
        1,
        2,
    )

    async def together() -> list[str | None]:
        async with Decider(server.spec, seed=1, **server.options()) as decider:
            calls = (decider.adecide(path, ASKED) for path in true.paths[:16])
            done = await asyncio.gather(*calls, return_exceptions=True)
        return [verdict_of(decision) for decision in done]

    at_once = asyncio.run(together())
    want = [verdict_of(decision) for decision in true.decisions[:16]]
    same = sum(a == b for a, b in zip(at_once, want, strict=True))
    yield Row(
        f"{server.kind.name}: asked at once, decided as one by one",
        same,
        ">=",
        len(want),
        len(want),
    )


def refusals(kind: Kind, server: Running, environments: Path | None, true: Truth) -> Iterator[Row]:
    """What cannot work is a typed error, soon."""
    wrong: dict[str, tuple[Running, str, dict[str, Any]]] = {}
    if kind.names:
        wrong["a wrong model"] = (server, "/other", {})
    if kind.key:
        wrong["a wrong key"] = (server, "", {"api_key": "sk-wrong"})
        wrong["a question longer than the context"] = (server, "", {})
    for what, (target, suffix, more) in wrong.items():
        yield refused(what, target, target.spec + suffix, target.options(**more), true)
    if kind.package in {"xllamacpp", "llama_cpp"}:
        for what, how in (
            ("a context that is too small", {"n_ctx": 256}),
            ("no projector", {"mmproj": False}),
        ):
            with running(kind, environments, **how) as other:
                yield refused(what, other, other.spec, other.options(), true)


def refused(what: str, server: Running, spec: str, options: dict[str, Any], true: Truth) -> Row:
    """A row: whether it is a typed error, or a receipt that says what is so, soon."""
    began, told = time.monotonic(), False
    try:
        with Decider(spec, timeout=SOON_S * 2, **options) as decider:
            long = " word" * 1200 if "context" in what else ""
            decision = decider.decide(true.paths[0], QUESTION + long)
            if what == "no projector":  # who drops pictures replies to the second as to the first
                decision = decider.decide(true.paths[1], QUESTION)
        # LiteLLM calls a wrong key a bad request; to decide all the same would be wrong anywhere.
        told = what == "a wrong model" and decision.receipt.model != spec.partition("/")[2]
        told |= any("does not read" in note for note in decision.receipt.notes)
        words = f"decided by {decision.receipt.model}: {'; '.join(decision.receipt.notes)}"
    except TransientError as error:
        words = f"TransientError: {error}"
    except FaithfulDecideError as error:
        told = True
        words = f"{type(error).__name__}: {error}"
    took = time.monotonic() - began
    print(f"  {server.kind.name}, {what}: {words} ({took:.1f} s)", file=sys.stderr)
    ok = told and took < SOON_S
    return Row(f"{server.kind.name}: {what} is told as it is", int(ok), ">=", 1, 1)


def warm_up(server: Running, true: Truth) -> None:
    """One request that is not counted: what a server compiles at its first is no probe's time."""
    began = time.monotonic()
    with Decider(server.spec, **server.options()) as decider:
        decided(decider, true.paths[0])
    took = time.monotonic() - began
    print(f"  {server.kind.name}: the first request took {took:.1f} s", file=sys.stderr)


def conformance(
    kind: Kind, environments: Path | None, true: Truth, *, quick: bool
) -> Iterator[Row]:
    """All rows of one server."""
    with running(kind, environments) as server:
        warm_up(server, true)
        # First, because what is known of a server by a probe is what its receipts say.
        yield from probed(server)
        yield from one_by_one(server, true)
        yield from forced(server, true, 5 if quick else 25, 0)
        yield from drawn(server, true)
        yield from audits(server, true, 1 if quick else 2)
        yield from refusals(kind, server, environments, true)
        yield from batch(server, true, 3 if quick else DOWN_S)


def servers(only: list[str], environments: Path | None, seed: int, *, quick: bool) -> Iterator[Row]:
    """Each server that is installed."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FAITHFUL_DECIDE_CACHE"] = folder  # where probes are remembered
        true = truth(Path(folder), 8 if quick else 20, 12 if quick else 200, seed)
        for kind in KINDS:
            if only and kind.name not in only and kind.package not in only:
                continue
            behind = [other for other in KINDS if other.name == kind.behind]
            if not all(python_of(one, environments) for one in (kind, *behind)):
                print(f"{kind.name} is not installed", file=sys.stderr)
                if only:
                    yield Row(f"{kind.name}: installed", 0, ">=", 1, 1)
                continue
            yield from conformance(kind, environments, true, quick=quick)


def main() -> None:
    """Run it on what is installed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", action="append", default=[], help="these, by name or package")
    parser.add_argument("--environments", type=Path, help="a folder of environments, one a server")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument("--seed", type=int, default=0, help="changes the data, never the targets")
    parser.add_argument("--quick", action="store_true", help="less data")
    given = parser.parse_args()
    if unknown := set(given.only) - {word for kind in KINDS for word in (kind.name, kind.package)}:
        parser.error(f"no server is called {', '.join(sorted(unknown))}")
    # Who is told to end ends the servers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    rows = servers(given.only, given.environments, given.seed, quick=given.quick)
    show(rows, as_json=given.json)


if __name__ == "__main__":
    main()
