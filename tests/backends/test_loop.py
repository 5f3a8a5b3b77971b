"""The thread with a loop: whoever waits is told, and whatever ends ends without a trace."""

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from pydantic import BaseModel

from faithful_decide import BackendError, Question, UsageError, adecide, decide_many
from faithful_decide.backends._loop import Loop
from faithful_decide.testing import ScriptedBackend, reply_text


class Odd(BaseException):
    """Something that nobody expects."""


THROWN = [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), Odd()]


class Seen(BaseModel):
    """What the model has to find."""

    hats: int


WITH_FINDINGS = '{"findings": {"hats": 1}, ' + reply_text("yes")[1:]


def by_rule(png, error, **how):
    def rule(_):
        raise error

    question = Question("Is it?", findings=Seen, rule=rule)
    return decide_many([png] * 3, question, model=ScriptedBackend(lambda _: WITH_FINDINGS), **how)


def by_backend(png, error, **how):
    def script(_):
        raise error

    return decide_many([png] * 3, "Is it?", model=ScriptedBackend(script), **how)


def by_awaited_backend(png, error, **how):
    class Awaited(ScriptedBackend):
        async def agenerate(self, request):
            raise error

    return decide_many([png] * 3, "Is it?", model=Awaited([]), **how)


def by_source(png, error, **how):
    def items():
        yield png
        raise error

    return decide_many(items(), "Is it?", model=ScriptedBackend(lambda _: reply_text("yes")), **how)


def by_path(png, error, **how):
    class Path(os.PathLike):
        def __fspath__(self):
            raise error

    return decide_many([Path()], "Is it?", model=ScriptedBackend([]), **how)


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("error", THROWN, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("way", [by_rule, by_backend, by_awaited_backend, by_source, by_path])
def test_what_code_of_the_callers_own_raises_reaches_the_caller(png, way, error, concurrency):
    """Nobody waits for ever, and nothing ends early without a word."""
    raised = []

    def work():
        try:
            raised.append(list(way(png, error, concurrency=concurrency)))
        except BaseException as caught:  # noqa: BLE001 - whatever it is
            raised.append(type(caught))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(10)
    assert raised == [type(error)]


@pytest.fixture
def loop():
    """A loop."""
    loop = Loop()
    yield loop
    loop.close()


async def value(result):
    """Returns something."""
    return result


def test_a_loop_goes_on_after_an_exit(loop):
    """For the one who caused it and for everybody else."""
    others = []

    async def leave():
        await asyncio.create_task(inner())

    async def inner():
        sys.exit(7)

    async def slow():
        await asyncio.sleep(0.2)
        others.append(True)

    thread = threading.Thread(target=lambda: loop.run(slow()))
    thread.start()
    with pytest.raises(SystemExit) as caught:
        loop.run(leave())
    assert caught.value.code == 7
    thread.join()
    assert others == [True]
    assert loop.run(value(1)) == 1
    assert asyncio.run(loop.arun(value(2))) == 2


@pytest.mark.parametrize("awaited", [False, True])
def test_a_loop_that_breaks_says_why(awaited):
    """To those who wait and to those who come later."""
    loop = Loop()
    errors = []

    def wait():
        work = asyncio.sleep(60)
        try:
            asyncio.run(loop.arun(work)) if awaited else loop.run(work)
        except BackendError as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.1)

    def broken():
        msg = "the selector is gone"
        raise OSError(msg)

    loop._state.loop._selector.select = lambda _: broken()
    loop._state.loop.call_soon_threadsafe(lambda: None)
    thread.join(10)
    (error,) = errors
    assert "the selector is gone" in str(error)
    assert isinstance(error.__cause__, OSError)
    with pytest.raises(BackendError, match="the selector is gone"):
        loop.run(value(1))
    loop.close()


def test_a_closed_loop_is_a_mistake_of_its_user(loop):
    """Who was waiting is told, too."""
    errors = []

    def wait():
        with pytest.raises(UsageError, match="closed") as caught:
            loop.run(asyncio.sleep(60))
        errors.append(caught.value)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.1)
    loop.close()
    loop.close()
    thread.join(10)
    assert errors
    with pytest.raises(UsageError, match="closed"):
        loop.run(value(1))


def test_what_is_last_is_run_whoever_ends_the_loop():
    """By its user, or by the collector."""
    ended = []

    async def last():
        ended.append(asyncio.get_running_loop().is_running())

    loop = Loop(last)
    loop.close()
    loop = Loop(last)
    del loop
    gc.collect()
    assert ended == [True, True]


# ---------------------------------------------------------------- other kinds of loops and threads


def program(text, *, timeout=30):
    """Run a program; what it printed and how it ended."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(text)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return done.stdout, done.stderr, done.returncode


def test_under_trio_the_error_says_asyncio(png):
    """From each door that is awaited."""
    trio = pytest.importorskip("trio")
    backend = ScriptedBackend([])
    with pytest.raises(UsageError, match="asyncio"):
        trio.run(lambda: adecide(png, "Is it?", model=backend))
    assert not backend.requests


def test_under_gevent_it_works_or_says_so():
    """Two loops cannot be in one thread; one model that computes needs none."""
    pytest.importorskip("gevent")
    out, err, code = program("""
        import warnings
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from gevent import monkey
            monkey.patch_all()
        from PIL import Image
        from faithful_decide import UsageError, decide, decide_many
        from faithful_decide.testing import ScriptedBackend, reply_text

        class Waiting(ScriptedBackend):
            async def agenerate(self, request):
                return self.generate(request)

        from faithful_decide.backends._loop import Loop

        class Behind(Waiting):
            def __init__(self):
                super().__init__(lambda _: reply_text("yes"))
                self.loop = Loop()
            def generate(self, request):
                return self.loop.run(self.call(request))
            async def agenerate(self, request):
                return await self.loop.arun(self.call(request))
            async def call(self, request):
                return super().generate(request)

        image = Image.new("RGB", (8, 8))
        print(decide(image, "Is it?", model=ScriptedBackend([reply_text("yes")])).verdict)
        no = Waiting([reply_text("no")])
        print([row.verdict for row in decide_many([image], "Is it?", model=no)])
        print(decide(image, "Is it?", model=Behind()).verdict)
        try:
            print([row.verdict for row in decide_many([image], "Is it?", model=Behind())])
        except UsageError as error:
            print(error, "|", error.hint)
    """)
    first, second, third, fourth = out.splitlines()
    assert (first, second, third) == ("yes", "['no']", "yes")
    assert fourth.startswith("gevent")
    assert "thread=False" in fourth
    assert (err, code) == ("", 0)


# ---------------------------------------------------------------- the end of the interpreter


WAITING = """
import threading, time
from PIL import Image
from faithful_decide import decide, decide_many
from faithful_decide.backends._loop import Loop
from faithful_decide.testing import ScriptedBackend, reply_text
import asyncio

class Slow(ScriptedBackend):
    def __init__(self):
        super().__init__(lambda _: reply_text("yes"))
        self.loop = Loop()
    async def _call(self, request):
        await asyncio.sleep(0.05)
        return super().generate(request)
    def generate(self, request):
        return self.loop.run(self._call(request))
    async def agenerate(self, request):
        return await self.loop.arun(self._call(request))

def slowly(_):
    time.sleep(0.01)
    return reply_text("yes")

image, slow = Image.new("RGB", (8, 8)), Slow()
"""


@pytest.mark.parametrize(
    "call",
    [
        "[decide(image, 'Is it?', model=slow) for _ in range(10**6)]",
        "[decide(image, 'Is it?', model=slow, samples=3) for _ in range(10**6)]",
        "list(decide_many((image for _ in range(10**6)), 'Is it?', model=slow))",
        "list(decide_many([image] * 10**4, 'Is it?', model=ScriptedBackend(slowly)))",
    ],
)
def test_an_interpreter_ends_while_calls_are_under_way(call):
    """Without a word, a crash, or waiting: daemon threads end with it."""
    start = f"threading.Thread(target=lambda: {call}, daemon=True).start()\n"
    out, err, code = program(f"{WAITING}\n{start * 3}time.sleep(0.5)\nprint('leaving')\n")
    assert (out, err, code) == ("leaving\n", "", 0)


def test_clients_that_nobody_closed_leave_no_trace():
    """Neither when they are collected nor when the interpreter ends."""
    out, err, code = program(
        """
        import gc, os, threading
        os.environ["OPENAI_API_KEY"] = "x"
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
        from PIL import Image
        from faithful_decide import Decider, FaithfulDecideError

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            def log_message(self, *_):
                pass
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(400)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        image = Image.new("RGB", (8, 8))
        kept = []
        for number in range(20):
            decider = Decider("vllm/m", base_url=url)
            try:
                decider.decide(image, "Is it?")
            except FaithfulDecideError as error:
                print(type(error).__name__)
            if number % 5 == 0:
                kept.append(decider)
            decider.itself = decider
            del decider
            gc.collect()
    """,
        timeout=60,
    )
    assert out == "BackendError\n" * 20
    assert (err, code) == ("", 0)
