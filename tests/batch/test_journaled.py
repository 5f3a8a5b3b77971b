"""The journal in front of a backend: whose reply it is, and when it is kept."""

import pytest

from faithful_decide import UnsupportedError, UsageError, decide
from faithful_decide.testing import ScriptedBackend, reply_text

QUESTION = "Is it red?"


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
