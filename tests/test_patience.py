"""Waiting: what passes is tried again, what does not is raised, and nobody waits for ever."""

import asyncio
import threading
import time

import pytest

from faithful_decide import AuthError, BackendError, TransientError
from faithful_decide._asking.limiter import gate_of
from faithful_decide._asking.retrying import Patience
from faithful_decide.backends import Reply, Request
from faithful_decide.testing import ScriptedBackend

BUSY, BROKEN = TransientError("busy"), BackendError("broken")
REQUEST = Request("", None, "?", None, 1)


class Awaited(ScriptedBackend):
    """The same script, for callers that await."""

    async def agenerate(self, request):
        return self.generate(request)


def blocking(backend, timeout_s):
    return Patience(backend, timeout_s).call(REQUEST)


def awaited(backend, timeout_s):
    return asyncio.run(Patience(backend, timeout_s).acall(REQUEST))


@pytest.fixture(
    params=[(blocking, ScriptedBackend), (awaited, Awaited), (awaited, ScriptedBackend)]
)
def call(request):
    """Both ways to call, and a backend that cannot be awaited."""
    caller, kind = request.param
    return lambda script, timeout_s: caller(kind(script, name=f"scripted-{time.time()}"), timeout_s)


def test_what_may_pass_is_tried_again(call):
    """A failure that passes is not seen by the caller."""
    assert call([BUSY, BUSY, "done"], 20.0).text == "done"


@pytest.mark.parametrize("error", [BROKEN, AuthError("no"), KeyError("ours?")])
def test_what_does_not_pass_is_raised_at_once(call, error):
    """Waiting would not help."""
    with pytest.raises(type(error)):
        call([error, "never seen"], 20.0)


def test_time_ends(call):
    """What never passes is raised when the time is up, and the last failure is what is told."""
    started = time.monotonic()
    with pytest.raises(TransientError, match="busy"):
        call(lambda _: BUSY, 1.0)
    assert time.monotonic() - started < 3


def test_a_pause_that_outlasts_the_time_is_not_waited_for(call):
    """The server wants a minute, and there is a second."""
    started = time.monotonic()
    with pytest.raises(TransientError, match="later"):
        call([TransientError("later", retry_after=60.0)], 1.0)
    assert time.monotonic() - started < 0.9


def test_a_call_that_hangs_is_given_up_for_another():
    """It gets a part of the time, and is cancelled when that is over."""
    ended = []

    class Hangs(Awaited):
        async def agenerate(self, request):
            if not self.requests:
                self.requests.append(request)
                try:
                    await asyncio.sleep(60)
                finally:
                    ended.append(True)
            return self.generate(request)

    assert awaited(Hangs(["done"], name="hangs"), 3.0).text == "done"
    assert ended == [True]


def test_everybody_waits_when_the_server_asks_one():
    """The pause that one caller was told holds for all callers of that name, in every thread."""
    backend = ScriptedBackend(
        [TransientError("later", retry_after=0.5), *["done"] * 4], name="told-one"
    )
    gate = gate_of("told-one")  # held, as by any caller
    started = time.monotonic()
    threads = [threading.Thread(target=blocking, args=(backend, 20.0)) for _ in range(4)]
    threads[0].start()
    time.sleep(0.1)
    for thread in threads[1:]:
        thread.start()
    time.sleep(0.2)
    assert len(backend.requests) == 1
    for thread in threads:
        thread.join()
    assert time.monotonic() - started >= 0.5
    assert gate_of("told-one") is gate
    assert gate_of("another") is not gate


def test_a_pause_without_end_is_given_up_at_once():
    """Whoever comes while the gate is shut for longer than there is time does not try again."""
    backend = ScriptedBackend(lambda _: "done", name="shut")
    gate = gate_of("shut")
    gate.leave(gate.knock(), "busy", pause=1e9)
    started = time.monotonic()
    with pytest.raises(TransientError, match="cannot be asked"):
        blocking(backend, 5.0)
    assert time.monotonic() - started < 1


def test_cancelled_callers_leave_the_gate():
    """Whether they were waiting or inside."""

    class Never(Awaited):
        async def agenerate(self, request):
            await asyncio.sleep(60)
            return Reply("", "stop")

    backend = Never([], name="cancelled")
    gate = gate_of("cancelled")

    async def main():
        calls = [asyncio.create_task(Patience(backend, 60).acall(REQUEST)) for _ in range(6)]
        await asyncio.sleep(0.1)
        for task in calls:
            task.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    asyncio.run(main())
    assert [gate.knock().turn.done() for _ in range(3)] == [True, True, False]
