"""What engines share: a struct for every image, and nothing secret or alive sent anywhere."""

import asyncio

import pytest

from faithful_decide import (
    AuthError,
    Journal,
    Question,
    UnsupportedError,
    UsageError,
    verify_stored,
)
from faithful_decide._api.tables import FIELDS, Asker, check_sendable
from faithful_decide.testing import ScriptedBackend, reply_text


def asker(**arguments):
    return Asker("Is it dark?", **{"model": "grey/x"} | arguments)


def test_every_image_gets_a_struct(made, encoded):
    """The same fields each time; no verdict without a decision, no error beside one."""
    ask = asker().ask
    decided, broken, missing = (asyncio.run(ask(x)) for x in (encoded[0], b"no image", None))
    assert list(decided) == list(broken) == list(missing) == list(FIELDS)
    assert (decided["status"], decided["verdict"], decided["error"]) == ("decided", "yes", None)
    assert verify_stored(decided["decision"]).reasoning == decided["reasoning"]
    for failed in (broken, missing):
        assert (failed["status"], failed["error"]) == ("failed", "ImageError")
        assert failed["verdict"] is failed["decision"] is failed["probability"] is None
        assert failed["message"]


def test_what_is_wrong_with_every_row_is_raised(made, encoded, monkeypatch):
    """A million rows would not make the key right."""
    from faithful_decide._api import tables

    backend = ScriptedBackend([AuthError("the key was refused")])
    monkeypatch.setattr(tables, "check_sendable", lambda *_: None)
    monkeypatch.setattr(tables, "bring", lambda *_: None)
    with pytest.raises(AuthError):
        asyncio.run(asker(model=backend).ask(encoded[0]))


def test_a_question_brings_its_own_verdicts(made, encoded):
    """As everywhere."""
    backend = ScriptedBackend([])
    with pytest.raises(UnsupportedError, match="loaded model"):
        check_sendable(backend, {})
    asked = Asker(
        Question("Which?", ("dark", "bright"), abstain=False),
        verdicts=("yes", "no"),
        model="grey/x",
        sharpness=3.0,
    )
    assert asyncio.run(asked.ask(encoded[1]))["verdict"] == "bright"
    assert made[-1].sharpness == 3.0


def test_a_key_is_not_an_option():
    """It would be copied to wherever a plan goes."""
    with pytest.raises(UsageError) as caught:
        check_sendable("openai/x", {"api_key": "sk-canary"})
    assert "sk-canary" not in f"{caught.value} {caught.value.hint}"


def test_what_would_fail_in_every_process_fails_here(made, tmp_path):
    """With the option that was meant; a journal is named by its path."""
    for wrong, meant in (
        ({"labels": ("a", "b")}, "verdicts="),
        ({"sharpnes": 3.0}, "sharpness="),
        ({"at_once": 3}, "concurrency="),
        ({"samples": 0}, "samples="),
    ):
        with pytest.raises(UsageError) as caught:
            check_sendable("grey/x", wrong, ["verdicts", "concurrency"])
        assert meant in caught.value.hint
    with Journal(tmp_path / "j") as journal, pytest.raises(UnsupportedError):
        check_sendable("grey/x", {"journal": journal})


def test_the_model_goes_with_the_asker(made, encoded):
    """Its backend is closed when an engine drops it."""
    mine = asker()
    asyncio.run(mine.ask(encoded[0]))
    assert not made[0].closed
    del mine
    assert made[0].closed


def test_a_reply_that_breaks_the_contract_is_a_failed_row(encoded, monkeypatch):
    """With its type, and no verdict."""
    from faithful_decide._api import tables

    monkeypatch.setattr(tables, "check_sendable", lambda *_: None)
    monkeypatch.setattr(tables, "bring", lambda *_: None)
    backend = ScriptedBackend([reply_text("maybe")])
    values = asyncio.run(asker(model=backend).ask(encoded[0]))
    assert (values["status"], values["error"], values["verdict"]) == (
        "failed",
        "ContractError",
        None,
    )
