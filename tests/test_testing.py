"""The public test double behaves like a backend and says clearly when its script is wrong."""

import pytest

from faithful_decide import UsageError, decide
from faithful_decide.backends import Backend, Reply
from faithful_decide.testing import ScriptedBackend, reply_text


def test_it_is_a_backend():
    """It satisfies the protocol, so a type checker and `decide` accept it."""
    assert isinstance(ScriptedBackend([]), Backend)


def test_it_remembers_what_it_was_asked(png):
    """Requests are kept in order."""
    backend = ScriptedBackend([reply_text("yes")] * 2)
    decide(png, "First?", model=backend)
    decide(png, "Second?", model=backend)
    assert ["First" in r.text for r in backend.requests] == [True, False]


def test_a_script_that_is_too_short_says_so(png):
    """The next call after the last reply is the caller's mistake."""
    with pytest.raises(UsageError, match="no more replies"):
        decide(png, "Is it?", model=ScriptedBackend([]))


def test_a_single_string_is_not_a_script():
    """It would be read letter by letter."""
    with pytest.raises(UsageError):
        ScriptedBackend(reply_text("yes"))


def test_lines_are_texts_replies_or_errors(png):
    """A Reply is passed on as it is; an error is raised."""
    reply = Reply(reply_text("no"), "stop", model="other")
    backend = ScriptedBackend([reply, KeyError("own")])
    assert decide(png, "Is it?", model=backend).receipt.model == "other"
    with pytest.raises(KeyError, match="own"):
        decide(png, "Is it?", model=backend)
