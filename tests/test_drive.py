"""A plan runs the same way blocking and awaited."""

import asyncio
import threading

import pytest

from faithful_decide import BackendError
from faithful_decide._asking.plans import arun, run
from faithful_decide.backends import Reply
from faithful_decide.backends.base import Request
from faithful_decide.testing import ScriptedBackend


def request(text):
    return Request(system="", image=None, text=text, schema=None, max_tokens=1)


def plan():
    """Asks for two things at once, then for one that depends on them."""
    first, second = yield request("a"), request("b")
    (third,) = yield (request(first.text + second.text),)
    return third.text


def echo(asked):
    return f"<{asked.text}>"


def drive(a_plan, backend):
    return asyncio.run(arun(a_plan, backend))


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
