"""A stored decision verifies if, and only if, it says what its raw reply says."""

import json

import pytest

from faithful_decide import ContractError, OrderError, ReplyError, decide, verify_stored
from faithful_decide.testing import ScriptedBackend, reply_text


@pytest.fixture
def stored(png):
    """A decision with scores, as JSON data."""
    replies = [reply_text("yes"), reply_text("no"), reply_text("yes")]
    decision = decide(png, "Is it?", model=ScriptedBackend(replies), samples=3, seed=1)
    return json.loads(decision.model_dump_json())


def test_an_untouched_decision_verifies(stored):
    """What was written is read back, as text or as bytes."""
    assert verify_stored(json.dumps(stored)) == verify_stored(json.dumps(stored).encode())


def change(data, path, value):
    """Set one value deep inside."""
    *parents, last = path
    for key in parents:
        data = data[key]
    data[last] = value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["verdict"], "no"),
        (["reasoning"], "another one"),
        (["observations"], [{"about": "the image", "seen": "another scene"}]),
        (["observations"], []),
        (["receipt", "reasoning_span", "start"], 0),
        (["receipt", "verdict_span", "end"], 10_000),
        (["receipt", "verdict_span", "end"], -1),
        (["receipt", "raw"], reply_text("no")),
        (["receipt", "raw"], ""),
        (["receipt", "raw"], None),
        (["receipt", "order"], "proven"),
        (["receipt", "enforcement"], "prompt"),
        (["receipt", "request_sha256"], "abc"),
        (["receipt", "request_sha256"], "Z" * 64),
        (["receipt", "finish"], "length"),
        (["receipt", "attempts"], 0),
        (["receipt", "extra"], 1),
        (["question", "text"], ""),
        (["question", "verdicts"], ["a", "b"]),
        (["question", "verdicts"], ["a"]),
        (["scores", "probabilities"], {"yes": 0.5, "no": 0.4, "cannot_tell": 0.3}),
        (["scores", "probabilities"], {"yes": 0.3, "no": 0.7, "cannot_tell": 0.0}),
        (["scores", "probabilities"], {"yes": 1.0}),
        (["scores", "probabilities"], {"yes": 2.0, "no": -1.0, "cannot_tell": 0.0}),
        (["scores", "source"], "guess"),
    ],
)
def test_a_changed_decision_does_not_verify(stored, path, value):
    """Any single change that matters is noticed."""
    change(stored, path, value)
    with pytest.raises(ReplyError):
        verify_stored(json.dumps(stored))


def test_a_changed_verdict_is_noticed_without_scores(stored):
    """The raw reply alone gives it away."""
    stored |= {"scores": None, "verdict": "no"}
    with pytest.raises(ContractError, match="verdict"):
        verify_stored(json.dumps(stored))


def test_a_raw_reply_in_the_wrong_order_is_an_order_error(stored):
    """The order is proven from the raw text, not from what the receipt claims."""
    body = json.loads(stored["receipt"]["raw"])
    stored["receipt"]["raw"] = json.dumps(dict(reversed(body.items())))
    with pytest.raises(OrderError):
        verify_stored(json.dumps(stored))


@pytest.mark.parametrize("data", ["", "{}", "null", "[]", "no JSON", b"\xff\xfe", "[" * 10_000])
def test_other_files_are_not_decisions(data):
    """Whatever is passed, it is this error and no other."""
    with pytest.raises(ContractError, match="not a stored decision"):
        verify_stored(data)
