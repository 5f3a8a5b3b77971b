"""A plan runs the same way blocking and awaited."""

import asyncio
import threading

import pytest

from faithful_decide import BackendError, Question
from faithful_decide._asking.plans import arun, run
from faithful_decide.backends import Purpose, Reply, Request
from faithful_decide.testing import ScriptedBackend


def request(text):
    return Request(system="", images=(), text=text, schema=None, max_tokens=1)


def plan():
    """Asks for two things at once, then for one that depends on them."""
    first, second = yield request("a"), request("b")
    (third,) = yield (request(first.text + second.text),)
    return third.text


def echo(asked):
    return f"<{asked.text}>"


def drive(a_plan, backends):
    return asyncio.run(arun(a_plan, backends))


@pytest.fixture(params=[run, drive])
def runner(request):
    """Both drivers."""
    return request.param


def test_replies_come_back_in_the_order_of_the_requests(runner):
    """Each step gets its own replies."""
    assert runner(plan(), ScriptedBackend(echo)) == "<<a><b>>"


def test_an_error_of_the_backend_ends_the_plan(runner):
    """The error of a call reaches the caller unchanged."""
    with pytest.raises(BackendError, match="broken"):
        runner(plan(), ScriptedBackend(["one", BackendError("broken")]))


def test_a_plan_may_ask_nothing(runner):
    """A plan that knows its result already calls nobody."""

    def known():
        return 7
        yield ()

    assert runner(known(), ScriptedBackend([])) == 7


def test_awaited_requests_of_one_step_run_side_by_side():
    """Two calls that wait for each other finish."""
    barrier = threading.Barrier(2, timeout=10)

    def meet(asked):
        if len(asked.text) == 1:
            barrier.wait()
        return asked.text

    class Open(ScriptedBackend):
        def generate(self, request):
            return Reply(meet(request), "stop")

    assert drive(plan(), Open([])) == "ab"


def test_a_backend_that_can_be_awaited_is_awaited():
    """No thread where the client is asynchronous by itself."""

    class Native(ScriptedBackend):
        async def agenerate(self, request):
            assert threading.current_thread() is threading.main_thread()
            return Reply(echo(request), "stop")

    assert drive(plan(), Native([])) == "<<a><b>>"


def of(kind, text=""):
    """A request that says what it is for."""
    return Request("", (), text, None, 1, purpose=Purpose(kind, Question("Is it?")))


def in_turn(*requests):
    """Asks for everything at once."""
    replies = yield requests
    return [reply.text for reply in replies]


def test_a_request_goes_to_the_backend_of_its_role(runner):
    """What has no purpose goes to the model; replies come in the order of the plan."""
    backends = {
        role: ScriptedBackend(lambda asked, role=role: f"{role} {asked.text}")
        for role in ("model", "reader", "judge")
    }
    asked = (of("judge", "a"), request("b"), of("reader", "c"), of("forced", "d"), of("judge", "e"))
    expected = ["judge a", "model b", "reader c", "model d", "judge e"]
    assert runner(in_turn(*asked), backends) == expected
    assert [len(backend.requests) for backend in backends.values()] == [2, 1, 2]


def test_one_backend_answers_for_every_role(runner):
    """A plan with a reader runs where the model reads for itself."""
    assert runner(in_turn(of("reader", "a"), of("judge", "b")), ScriptedBackend(echo)) == [
        "<a>",
        "<b>",
    ]


def test_different_backends_are_asked_side_by_side(runner):
    """Two that wait for each other both answer; each has its own requests one after the other."""
    barrier = threading.Barrier(2, timeout=10)

    def meet(asked):
        if asked.text == "first":
            barrier.wait()
        return asked.text

    model, reader = ScriptedBackend(meet, name="model"), ScriptedBackend(meet, name="reader")
    asked = (of("decide", "first"), of("reader", "first"), of("decide", "second"))
    backends = {"model": model, "reader": reader}
    assert runner(in_turn(*asked), backends) == ["first", "first", "second"]


def test_an_error_of_one_backend_ends_the_step(runner):
    """It is raised as it is, whoever else was asked."""
    broken = ScriptedBackend([BackendError("broken")], name="broken")
    backends = {"model": ScriptedBackend(echo), "reader": broken}
    with pytest.raises(BackendError, match="broken"):
        runner(in_turn(of("decide"), of("reader")), backends)
