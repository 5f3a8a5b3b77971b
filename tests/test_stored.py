"""A stored decision verifies if, and only if, it says what its raw reply says."""

import json
from contextlib import suppress

import pytest

from faithful_decide import (
    ContractError,
    Decision,
    OrderError,
    Receipt,
    ReplyError,
    UsageError,
    decide,
    verify_stored,
)
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import prepare
from faithful_decide.testing import ScriptedBackend, reply_text
from tests.support.cases import case
from tests.support.tampered import (
    IMAGE,
    IMAGES,
    KEY,
    LARGE,
    PLAIN,
    QUESTIONS,
    RULED,
    STORED,
    TAMPERED,
    funny,
    picture,
)


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
        (["observations"], [{"about": "the image", "n": 1, "seen": "another scene"}]),
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


def test_tampering_is_noticed():
    """Every way that the docs say is noticed, by an error of a reply with a hint."""
    for tampering in TAMPERED:
        with case(tampering.name):
            with pytest.raises(ReplyError) as caught:
                verify_stored(tampering.data(), **tampering.arguments())
            assert caught.value.hint


def test_there_are_more_than_sixty_ways():
    """No two of them the same."""
    assert len({tampering.name for tampering in TAMPERED}) == len(TAMPERED) > 60


@pytest.mark.parametrize("name", STORED)
def test_honest_decisions_verify_with_all_that_is_known(name):
    """Image and question, and the rule with it; nothing is left but who wrote it."""
    decision = verify_stored(STORED[name], image=IMAGES[name], question=QUESTIONS[name])
    assert decision == Decision.model_validate_json(STORED[name])
    assert [what.split()[0] for what in decision.unchecked] == ["who"]
    assert verify_stored(STORED[name]).unchecked[-2].startswith("the image: pass image=")


def test_the_image_that_was_sent_is_as_good_as_the_one_that_was_passed():
    """Either can be compared, and another is another."""
    sent = prepare(load_image(LARGE), ScriptedBackend([]).capabilities.image_limits).data
    assert sent != LARGE
    assert verify_stored(STORED["resized"], image=sent).checked[-1].endswith("was sent")
    for image in (IMAGE, picture((9, 9, 9))):
        with pytest.raises(ContractError, match="another image"):
            verify_stored(STORED["resized"], image=image)


@pytest.mark.parametrize("question", ["Is it funny?", "Is this part defective", RULED])
def test_the_question_has_to_be_the_one_that_is_expected(question):
    """A decision that is in order may still answer something else."""
    with pytest.raises(ContractError, match="another question"):
        verify_stored(STORED["plain"], question=question)


def test_a_question_may_be_passed_as_text():
    """Its labels are bound by the hash of the request."""
    assert verify_stored(STORED["plain"], question=PLAIN.text).verdict == "defective"


def test_a_verdict_that_a_rule_drew_is_not_taken_for_the_models():
    """Without the rule it says so; with it the verdict is drawn again."""
    decision = verify_stored(STORED["ruled"])
    assert (decision.verdict, decision.derived.model_verdict) == ("yes", "no")
    assert "the model wrote 'no'; a rule that was not given drew 'yes'" in " ".join(
        decision.unchecked
    )
    for passed in ({"rule": funny}, {"question": RULED}):
        assert "the rule draws" in " ".join(verify_stored(STORED["ruled"], **passed).checked)


def test_a_signature_binds_everything_and_survives_another_layout():
    """Of the file only what it says counts; the key may be a text or bytes."""
    data = json.loads(STORED["signed"])
    again = json.dumps(dict(reversed(data.items())), indent=3)
    assert "signed" in verify_stored(again, hmac_key=KEY).checked[-1]
    assert verify_stored(again, hmac_key=KEY.decode()) == verify_stored(again)
    with pytest.raises(ContractError, match="signature"):
        verify_stored(again, hmac_key=b"another")
    with pytest.raises(UsageError, match="key"):
        verify_stored(again, hmac_key=b"")


def test_a_verified_decision_can_be_stored_again(stored):
    """What verification found out is not part of the decision."""
    decision = verify_stored(json.dumps(stored))
    assert decision.checked
    assert json.loads(decision.model_dump_json()) == stored
    assert hash(decision) == hash(Decision.model_validate_json(json.dumps(stored)))


def test_another_version_is_named(stored):
    """Prompts change between versions, and then the hash is another."""
    stored["receipt"] |= {"version": "0.0.1", "request_sha256": "0" * 64}
    with pytest.raises(ContractError) as caught:
        verify_stored(json.dumps(stored))
    assert "0.0.1" in caught.value.hint


@pytest.mark.parametrize("data", [None, 5, {}, bytearray(b"{}"), ["{}"]])
def test_what_is_no_text_is_refused(data):
    """A path or a dictionary is not read as if it were a file."""
    with pytest.raises(UsageError, match="a text or bytes, not") as caught:
        verify_stored(data)
    assert "read_bytes" in caught.value.hint


def test_a_key_that_is_no_text_is_refused():
    """Half a character is nothing that could be signed with."""
    with pytest.raises(UsageError, match="a key for signatures"):
        verify_stored(STORED["signed"], hmac_key="\ud800")


def test_the_image_that_was_passed_is_not_verified_by_the_one_that_was_sent():
    """A forged hash of the source stands beside an honest one of what was sent."""
    data = json.loads(STORED["plain"])
    data["receipt"]["images"][0]["source_sha256"] = "0" * 64
    unchecked = verify_stored(json.dumps(data), image=IMAGE, question=PLAIN).unchecked
    assert any("the image that it was made of" in part for part in unchecked)
    assert not any("made of" in p for p in verify_stored(STORED["plain"], image=IMAGE).unchecked)


NAMED = {
    "attempts": "attempts",
    "backend": "the backend",
    "constraint": "the schema was in force",
    "enforcement": "the schema was in force",
    "fingerprint": "fingerprint",
    "hidden_thinking_tokens": "hidden thinking",
    "image_notes": "notes",
    "latency_s": "seconds",
    "limits": "the limits of the images",
    "model": "the model",
    "notes": "notes",
    "order": "the schema was in force",
    "source_sha256": "pass image= to compare",
    "usage": "tokens",
    "version": "the version",
}
"""What can be changed unnoticed in a decision without a signature, and the words that say so."""


def test_what_nothing_binds_is_named():
    """Every part of a receipt is held to something, or said not to be."""
    others = (None, 7, "x", "0" * 64, [], ["x"], {}, "verified", "strict", "schema", "unknown")
    unnoticed = set()
    for field in (*Receipt.model_fields, "source_sha256", "sent_sha256", "limits"):
        for other in others:
            data = json.loads(STORED["resized"])
            place = data["receipt"]
            place = place if field in place else place["images"][0]
            if place[field] == other:
                continue
            place[field] = other
            with suppress(ContractError):
                verify_stored(json.dumps(data))
                unnoticed.add(field)
    assert unnoticed == set(NAMED)
    said = " ".join(verify_stored(STORED["resized"]).unchecked)
    assert not [words for words in NAMED.values() if words not in said]
