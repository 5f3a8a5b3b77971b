"""The journal in front of a backend: whose reply it is, and when it is kept."""

import dataclasses

import pytest

from faithful_decide import (
    ContractError,
    Journal,
    TransientError,
    UnsupportedError,
    UsageError,
    decide,
)
from faithful_decide._asking.decision import request_sha256
from faithful_decide._asking.limiter import limiter_of
from faithful_decide._batch.entry import digest, request_key
from faithful_decide.backends import Request
from faithful_decide.testing import ScriptedBackend, reply_text

QUESTION = "Is it red?"


class Waiting(ScriptedBackend):
    """The same script behind a client that can be awaited."""

    async def agenerate(self, request):
        return self.generate(request)


@pytest.fixture
def path(tmp_path):
    """Where a journal may be made."""
    return tmp_path / "squirrels.journal"


class Own:
    """A backend as somebody else writes one."""

    name = "own"

    def __init__(self, verdict, identity):
        self.verdict, self.identity = verdict, identity
        self.capabilities = ScriptedBackend([]).capabilities

    def generate(self, request):
        return ScriptedBackend([reply_text(self.verdict)]).generate(request)

    def close(self):
        """Nothing to release."""


@pytest.mark.parametrize(
    ("one", "other"),
    [("a", "b"), (["own", {"weights": 1}], ["own", {"weights": 2}]), (1, "1"), (None, 0)],
)
def test_backends_of_one_name_and_two_identities_share_no_reply(png, path, one, other):
    """A journal would else say what another model said."""
    asked = [(one, "yes"), (other, "no"), (one, "never asked"), (other, "never asked")]
    said = [
        decide(png, QUESTION, model=Own(verdict, identity), journal=path).verdict
        for identity, verdict in asked
    ]
    assert said == ["yes", "no", "yes", "no"]


@pytest.mark.parametrize("identity", [{1, 2}, object(), b"x", [float]])
def test_an_identity_that_is_no_json_is_refused_before_anything_is_asked(png, path, identity):
    """And only where a journal would need it."""
    backend = ScriptedBackend([reply_text("yes")], identity=identity)
    with pytest.raises(UsageError, match="identity of scripted cannot be written as JSON"):
        decide(png, QUESTION, model=backend, journal=path)
    assert not backend.requests
    assert decide(png, QUESTION, model=backend).verdict == "yes"


def test_what_a_backend_lacks_is_named(png):
    """Somebody who wrote one for an earlier version is told what is new."""

    class Old:
        name, capabilities = "old", ScriptedBackend([]).capabilities

        def generate(self, request):
            raise AssertionError

    with pytest.raises(UnsupportedError, match="Old is not a backend yet: it has no identity"):
        decide(png, QUESTION, model=Old())
    with pytest.raises(UnsupportedError, match="is the class of one"):
        decide(png, QUESTION, model=Own)
    with pytest.raises(UnsupportedError, match="not dict"):
        decide(png, QUESTION, model={})


def test_what_is_known_waits_for_nobody(png, path):
    """Not for a turn, and not for a server that asked to be left alone for hours."""
    backend = ScriptedBackend([reply_text("yes")], name="shut-for-hours")
    decide(png, QUESTION, model=backend, journal=path)
    limiter = limiter_of(backend.name)
    limiter.leave(limiter.enter(), "busy", pause=1e6)
    assert decide(png, QUESTION, model=backend, journal=path, timeout=5).verdict == "yes"
    with pytest.raises(TransientError, match="cannot be asked again before timeout= is over"):
        decide(png, "Another one?", model=backend, journal=path, timeout=0.5)


@pytest.mark.parametrize("kind", [ScriptedBackend, Waiting])
def test_a_reply_is_kept_before_it_is_judged(png, path, kind):
    """It was paid for, and whoever can use it finds it: here somebody with other verdicts."""
    backend = kind([reply_text("maybe")], name="paid")
    with pytest.raises(ContractError):
        decide(png, QUESTION, model=backend, journal=path)
    with pytest.raises(ContractError):
        decide(png, QUESTION, model=kind([], name="paid"), journal=path)
    with Journal(path) as journal:
        assert len(list(journal.keys("replies"))) == 1


def test_what_is_asked_twice_in_one_plan_is_kept_twice(png, path):
    """And found twice, in the same order, by whoever asks the same again."""
    script = [reply_text("maybe"), reply_text("yes")]
    first = decide(png, QUESTION, model=ScriptedBackend(script), retries=1, journal=path)
    again = decide(png, QUESTION, model=ScriptedBackend([]), retries=1, journal=path)
    assert first == again
    assert first.receipt.attempts == 2


def test_the_number_of_a_request_is_part_of_its_key_only():
    """Keys are what they were, so that what is in a journal is found."""
    backend, request = ScriptedBackend([]), Request("", (), "?", None, 1)
    second = dataclasses.replace(request, nth=1, deadline=3.0, timeout_s=1.0)
    assert second == request
    assert request_sha256(second) == request_sha256(request)
    assert request_key(request, backend) == digest("reply", request_sha256(request), 0, "scripted")
    assert request_key(second, backend) == digest("reply", request_sha256(request), 1, "scripted")
