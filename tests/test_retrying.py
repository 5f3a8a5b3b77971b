"""Waiting: what passes is tried again, what does not is raised, and nobody waits for ever."""

import asyncio
import logging
import math
import re
import threading
import time
from dataclasses import replace

import pytest

from faithful_decide import AuthError, BackendError, TransientError, decide
from faithful_decide._asking import retrying
from faithful_decide._asking.limiter import limiter_of
from faithful_decide._asking.plans import arun, run
from faithful_decide._asking.retrying import patient
from faithful_decide.backends import AsyncBackend, Reply, Request, Token, Usage
from faithful_decide.backends.base import innermost
from faithful_decide.testing import ScriptedBackend, reply_text

BUSY, BROKEN = TransientError("busy"), BackendError("broken")
REQUEST = Request("", None, "?", None, 1)


class Awaited(ScriptedBackend):
    """The same script, for callers that await."""

    async def agenerate(self, request):
        return self.generate(request)


def asking():
    """A plan of one request."""
    (reply,) = yield (REQUEST,)
    return reply


def blocking(backend, timeout_s):
    return run(asking(), patient(backend), timeout_s)


def awaited(backend, timeout_s):
    return asyncio.run(arun(asking(), patient(backend), timeout_s))


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
    limiter = limiter_of("told-one")  # held, as by any caller
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
    assert limiter_of("told-one") is limiter
    assert limiter_of("another") is not limiter


def test_a_pause_without_end_is_given_up_at_once():
    """Whoever comes while the gate is shut for longer than there is time does not try again."""
    backend = ScriptedBackend(lambda _: "done", name="shut")
    limiter = limiter_of("shut")
    limiter.leave(limiter.enter(), "busy", pause=1e9)
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
    limiter = limiter_of("cancelled")

    async def main():
        calls = [asyncio.create_task(arun(asking(), patient(backend), 60)) for _ in range(6)]
        await asyncio.sleep(0.1)
        for task in calls:
            task.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    asyncio.run(main())
    assert [limiter.enter().turn.done() for _ in range(3)] == [True, True, False]


# ---------------------------------------------------------------- nobody there


AWAY = TransientError("nobody listens there", unreachable=True)


@pytest.fixture
def search_s(monkeypatch):
    """How long a server is looked for here."""
    monkeypatch.setattr(retrying, "_UNREACHED_S", 1.0)
    return 1.0


def test_a_server_that_was_never_reached_is_not_waited_for(call, search_s):
    """However much time there would be; the last failure is what is told."""
    started = time.monotonic()
    with pytest.raises(TransientError, match="nobody listens there"):
        call(lambda _: AWAY, 60.0)
    assert time.monotonic() - started < search_s + 1


def test_all_callers_together_look_for_a_server_once(search_s):
    """Who comes when it was looked for long enough looks once, and waits no more."""
    backend = patient(Awaited(lambda _: AWAY, name="away"))

    async def main():
        calls = [arun(asking(), backend, 60.0) for _ in range(20)]
        return await asyncio.gather(*calls, return_exceptions=True)

    started = time.monotonic()
    errors = asyncio.run(main())
    assert time.monotonic() - started < search_s + 1
    assert {type(error) for error in errors} == {TransientError}
    again = time.monotonic()
    with pytest.raises(TransientError):
        run(asking(), backend, 60.0)
    assert time.monotonic() - again < 0.5


def test_a_search_that_takes_long_is_not_begun_again(monkeypatch):
    """If finding nothing took more than half of the time, a second look would take too much."""
    monkeypatch.setattr(retrying, "_UNREACHED_S", 1.0)

    def slowly(_):
        time.sleep(0.6)
        return AWAY

    backend = ScriptedBackend(slowly, name="filtered")
    started = time.monotonic()
    with pytest.raises(TransientError):
        run(asking(), patient(backend), 60.0)
    assert time.monotonic() - started < 1.0
    assert len(backend.requests) == 1


def test_a_server_that_was_reached_before_is_waited_for(call, monkeypatch):
    """It is being restarted, perhaps: it replied that it is busy, and so it is there."""
    monkeypatch.setattr(retrying, "_UNREACHED_S", 0.0)
    busy = TransientError("busy", retry_after=0.0)
    assert call([busy, AWAY, AWAY, "done"], 60.0).text == "done"
    with pytest.raises(TransientError, match="nobody listens"):
        call([AWAY, "never asked"], 60.0)


# ---------------------------------------------------------------- what is told


def told(caplog):
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_a_wait_is_told_with_its_reason(caplog):
    """Under one name, once for all who wait for it, with nothing in it that may be a key."""
    secret = "sk-" + "a1" * 30
    busy = TransientError(f"status 429: slow down, {secret}\nsecond line", retry_after=1.2)
    backend = patient(ScriptedBackend([busy, *["done"] * 3], name="slow/model"))
    with caplog.at_level(logging.DEBUG):
        threads = [threading.Thread(target=blocking, args=(backend, 20.0)) for _ in range(3)]
        for thread in threads:
            thread.start()
            time.sleep(0.05)
        for thread in threads:
            thread.join()
    assert told(caplog) == [("WARNING", "slow/model: waiting 1 s: status 429: slow down, ...")]
    (record,) = caplog.records
    assert record.name == "faithful_decide"
    assert (record.model, round(record.seconds)) == ("slow/model", 1)


def test_short_pauses_are_not_told(caplog):
    """Nobody wants to read of what is over before it is read."""
    with caplog.at_level(logging.DEBUG):
        assert blocking(ScriptedBackend([BUSY, "done"], name="quick"), 20.0).text == "done"
    assert told(caplog) == []


def test_nothing_is_printed_where_nobody_listens(capfd):
    """A library has a logger and no opinion on where it writes."""
    limiter_of("unheard").tell(5.0, "the server said so")
    assert capfd.readouterr() == ("", "")


# ---------------------------------------------------------------- computing


def test_time_holds_between_the_calls_of_a_model_that_computes(png):
    """The call that runs comes to its end; what would follow is not begun."""

    def slowly(_):
        time.sleep(0.1)
        return reply_text("yes")

    backend = ScriptedBackend(slowly)
    started = time.monotonic()
    with pytest.raises(TransientError, match="timeout= was over") as caught:
        decide(png, "Is it?", model=backend, samples=200, timeout=0.3)
    assert time.monotonic() - started < 2
    assert len(backend.requests) in (2, 3, 4)
    assert "samples" in caught.value.hint
    assert decide(png, "Is it?", model=backend, timeout=0.05).verdict == "yes"


def test_a_wrapper_is_what_it_wraps():
    """And can be awaited if that can; patience is not put in front of patience."""
    plain, waiting = ScriptedBackend([], name="a"), Awaited([], name="b")
    for backend in (plain, waiting):
        wrapped = patient(backend)
        assert isinstance(wrapped, AsyncBackend) == (backend is waiting)
        assert (wrapped.name, wrapped.identity) == (backend.name, backend.identity)
        assert wrapped.capabilities == backend.capabilities
        assert innermost(wrapped) is backend
        assert patient(wrapped) is wrapped
        wrapped.close()
        assert not backend.closed


WHOLE = Reply("x", "stop", "m", "f", Usage(1, 2, 3), 0, 0.5, (Token(b"x", {b"x": -0.1}),))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("", None),
        ("", "a text"),
        ("text", None),
        ("text", b"bytes"),
        ("finish", "STOP"),
        ("model", None),
        ("fingerprint", 5),
        ("usage", None),
        ("usage.prompt_tokens", Usage(-1)),
        ("usage.cached_tokens", Usage(1, 1.5)),
        ("hidden_thinking_tokens", "1"),
        ("latency_s", math.nan),
        ("latency_s", -1),
        ("constraint", "magic"),
        ("remark", 5),
        ("tokens", "abc"),
        ("tokens.0.data", (Token("x", {}),)),
        ("tokens.0.top", (Token(b"x", {b"x": math.nan}),)),
        ("tokens.0.top", (Token(b"x", {b"x": 0.5}),)),
    ],
)
def test_what_is_no_reply_is_the_fault_of_the_backend(field, value):
    """It says which part; nothing of it is kept, and in a batch it is the error of a row."""
    reply = replace(WHOLE, **{field.split(".")[0]: value}) if field else value

    class Theirs(ScriptedBackend):
        def generate(self, request):
            return reply

    for kind in (blocking, awaited):
        with pytest.raises(BackendError, match=re.escape(f"not a reply: {field}")):
            kind(Theirs([], name="theirs"), 5.0)
    assert blocking(ScriptedBackend([WHOLE]), 5.0).text == "x"
