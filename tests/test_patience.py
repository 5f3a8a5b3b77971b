"""Waiting: what passes is tried again, what does not is raised, and nobody waits for ever."""

import asyncio
import os
import threading
import time

import pytest

from faithful_decide import AuthError, BackendError, Reply, Request, TransientError
from faithful_decide._patience import Gate, Patience, gate_of
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


def test_gate_opens_a_crack_and_then_wider():
    """After a refusal one may try; each success of a full room makes it larger by one."""
    gate = Gate(start=3)
    assert [gate.knock() for _ in range(3)] == [None] * 3
    waiting = [gate.knock() for _ in range(4)]
    for _ in range(3):
        gate.leave(refused=True)
    assert [turn.done() for turn in waiting] == [True, False, False, False]
    gate.leave(refused=False)
    assert [turn.done() for turn in waiting] == [True, True, True, False]
    gate.leave(refused=False)
    gate.leave(refused=False)
    assert all(turn.done() for turn in waiting)


def test_a_pause_without_end_is_given_up_at_once():
    """Whoever comes while the gate is shut for longer than there is time does not try again."""
    backend = ScriptedBackend(lambda _: "done", name="shut")
    gate = gate_of("shut")
    gate.knock()
    gate.leave(refused=True, pause=1e9)
    started = time.monotonic()
    with pytest.raises(TransientError, match="cannot be asked"):
        blocking(backend, 5.0)
    assert time.monotonic() - started < 1


def test_success_of_an_earlier_time_says_nothing():
    """Calls that began before a refusal do not open the gate again."""
    gate = Gate(start=10)
    for _ in range(10):
        gate.knock()
    before = gate.epoch
    gate.leave(refused=True)
    for _ in range(9):
        gate.leave(refused=False, epoch=before)
    assert [gate.knock() is None for _ in range(2)] == [True, False]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_gates_of_its_own():
    """Nobody in it will ever leave those of its parent."""
    gate = gate_of("forked")
    gate.knock()
    gate.knock()
    child = os.fork()
    if child == 0:
        os._exit(0 if gate_of("forked").knock() is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_gate_does_not_grow_while_it_has_room():
    """Many calls one after the other say nothing about many at once."""
    gate = Gate(start=2)
    for _ in range(50):
        assert gate.knock() is None
        gate.leave(refused=False)
    assert [gate.knock() is None for _ in range(3)] == [True, True, False]


def test_who_gives_up_waiting_leaves_no_hole():
    """A place that was kept for somebody who went away goes to the next."""
    gate = Gate(start=1)
    gate.knock()
    first, second = gate.knock(), gate.knock()
    gate.give_up(first)
    gate.leave(refused=False, useful=False)
    assert second.done()
    gate.give_up(second)
    assert gate.knock() is None


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
    assert [gate.knock() is None for _ in range(3)] == [True, True, False]
