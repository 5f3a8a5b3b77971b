"""A Decider keeps a model for many questions and threads, and releases only what it loaded."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from faithful_decide import Decider, Question, UnsupportedError, UsageError, decide
from faithful_decide.testing import ScriptedBackend, registered, reply_text


def answer(request):
    """Yes to questions with an even number, no to the others."""
    number = int(request.text.split("number ")[1].split("?")[0])
    return reply_text("no" if number % 2 else "yes", reasoning=f"the number is {number}")


@pytest.fixture
def scripted():
    """A loader under the kind `scripted`, and the backends it has made."""
    made = []

    def load(rest, *, speed=1):
        made.append(ScriptedBackend(lambda _: reply_text("yes"), name=f"scripted/{rest}/{speed}"))
        return made[-1]

    with registered("scripted", load):
        yield made


def test_defaults_hold_for_every_question(png):
    """Verdicts and settings are given once; a Question brings its own verdicts."""
    backend = ScriptedBackend([reply_text("a"), reply_text("yes")])
    with Decider(backend, verdicts=["a", "b"], abstain=False, max_tokens=9) as decider:
        assert decider.decide(png, "Which?").verdict == "a"
        assert decider.decide(png, Question("Is it?")).verdict == "yes"
    assert [request.max_tokens for request in backend.requests] == [9, 9]
    assert backend.requests[0].text.endswith('Verdicts: "a", "b"')


def test_threads_get_the_decisions_of_a_serial_run(png):
    """32 threads with 20 questions each, on one Decider, equal one thread."""
    questions = [f"Is this number {i}?" for i in range(640)]
    with Decider(ScriptedBackend(answer)) as decider:
        serial = [decider.decide(png, question) for question in questions]
        with ThreadPoolExecutor(32) as pool:
            parallel = list(pool.map(lambda question: decider.decide(png, question), questions))
    assert parallel == serial


def test_decide_many_asks_as_it_goes(png):
    """Rows come in order, with the defaults of the decider, and nothing before it is wanted."""
    backend = ScriptedBackend(answer)
    with Decider(backend, max_tokens=9) as decider:
        questions = [f"Is this number {i}?" for i in range(2)]
        rows = decider.decide_many([png, png], questions)
        first = next(rows)
        assert (first.id, first.question, first.verdict) == ("0", questions[0], "yes")
        assert len(backend.requests) == 2
        assert [row.verdict for row in rows] == ["no", "yes", "no"]
    assert {request.max_tokens for request in backend.requests} == {9}


def test_a_decider_is_closed_by_async_with(png, scripted):
    """As by `with`."""

    async def asked():
        async with Decider("scripted/x") as decider:
            await decider.adecide(png, "Is it?")

    asyncio.run(asked())
    assert scripted[0].closed


def test_an_audit_does_not_drop_what_it_cannot_do(png):
    """A decider that draws samples, or asks again, would not be the one that is audited."""
    for wrong in ({"samples": 3}, {"retries": 1}):
        with Decider(ScriptedBackend([]), **wrong) as decider:
            for call in (decider.audit, lambda *a: asyncio.run(decider.aaudit(*a))):
                with pytest.raises(UsageError, match=next(iter(wrong))):
                    call(png, "Is it?")


def test_the_same_question_awaited(png):
    """`adecide` gives what `decide` gives."""
    with Decider(ScriptedBackend(answer)) as decider:
        awaited = asyncio.run(decider.adecide(png, "Is this number 1?"))
        assert awaited == decider.decide(png, "Is this number 1?")


def test_a_backend_that_was_passed_in_stays_open(png):
    """Who loads a model closes it."""
    backend = ScriptedBackend(answer)
    with Decider(backend):
        pass
    decide(png, "Is this number 2?", model=backend)
    assert not backend.closed


def test_a_backend_that_was_loaded_is_closed(png, scripted):
    """By the decider at its end, and by `decide` also when it fails."""
    with Decider("scripted/x", speed=3) as decider:
        assert decider.backend.name == "scripted/x/3"
        assert not scripted[0].closed
    assert scripted[0].closed
    with pytest.raises(UsageError):
        decider.decide(png, "Is it?")
    decider.close()
    assert decide(png, "Is it?", model="scripted:y").receipt.backend == "scripted/y/1"
    assert scripted[1].closed


def test_without_a_model_the_variable_decides(png, scripted, monkeypatch):
    """`$FAITHFUL_DECIDE_MODEL` is a spec."""
    monkeypatch.setenv("FAITHFUL_DECIDE_MODEL", "scripted/from-env")
    assert decide(png, "Is it?").receipt.backend == "scripted/from-env/1"


def test_nothing_is_loaded_for_a_bad_question(png, scripted):
    """The question, the settings and the image are checked first."""
    for arguments in ({"question": ""}, {"samples": 0}, {"image": b"no image"}):
        call = {"image": png, "question": "Is it?"} | arguments
        with pytest.raises(UsageError):
            decide(call.pop("image"), call.pop("question"), model="scripted/x", **call)
    assert scripted == []


@pytest.mark.parametrize("model", [3, object(), b"embedded", ScriptedBackend])
def test_a_model_is_a_spec_or_a_backend(png, model):
    """Anything else is refused, with what to pass instead."""
    with pytest.raises(UnsupportedError) as caught:
        decide(png, "Is it?", model=model)
    assert caught.value.hint.startswith("pass ")
