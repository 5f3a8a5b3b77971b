"""A question that cannot be asked is refused; a decision can be stored, read back and trusted."""

import dataclasses

import pydantic
import pytest

from faithful_decide import (
    CANNOT_TELL,
    ContractError,
    Decider,
    Decision,
    ImageError,
    Question,
    QuestionError,
    audit,
    decide,
    decide_many,
)
from faithful_decide.testing import ScriptedBackend, reply_text
from tests.support.cases import case

NO_QUESTION = (
    ("",),
    (" \n\u200b",),
    (None,),
    (b"Is it?",),
    ("bell \a",),
    ("NUL \0",),
    ("surrogate \ud800",),
    ("Is it?", ()),
    ("Is it?", ("yes",)),
    ("Is it?", ("yes", CANNOT_TELL)),
    ("Is it?", ("yes", "yes")),
    ("Is it?", ("yes", "YES")),
    ("Is it?", ("big dog", "bigdog")),
    ("Is it?", ("caf\u00e9", "cafe\u0301")),
    ("Is it?", ("yes", "y\u200bes")),
    ("Is it?", ("yes", "")),
    ("Is it?", ("yes", " ")),
    ("Is it?", ("yes", "\u200b")),
    ("Is it?", ("yes", " no")),
    ("Is it?", ("yes", "n\no")),
    ("Is it?", ("yes", "n\x1bo")),
    ("Is it?", ("yes", "n\ud800o")),
    ("Is it?", ("yes", None)),
    ("Is it?", ("yes", "no", "Cannot Tell")),
    ("Is it?", ("yes", "no", "cannot-tell")),
    ("Is it?", "yes,no"),
    ("Is it?", 2),
    ("Is it?", {"yes", "no"}),
    ("Is it?", frozenset({"yes", "no"})),
    ("Is it?", b"yes"),
    ("?!...",),
    ("\U0001f436",),
    ("tag \U000e0041 smuggled?",),
    ("turned \u202e round?",),
    ("Is it?", ("yes\u3164", "no")),
    ("Is it?", ("yes", "y\u0435s")),
    ("Is it?", ("no", "n\u043e")),
    ("Is it?", ("ok", "\u03bfk")),
    ("Is it?", ("ok", "\uff4f\uff4b")),
    ("Is it?", ("yes", "yes\u0335")),
    ("Is it?", ("yes", "no", "c\u0430nnot_tell")),
    ("Is it?", ("yes", "no", CANNOT_TELL), False),
)


def test_a_question_that_cannot_be_asked_is_refused():
    """Bad questions are QuestionErrors, before any model is involved."""
    for arguments in NO_QUESTION:
        with case(*arguments), pytest.raises(QuestionError):
            Question(*arguments)


@pytest.mark.parametrize(
    "more",
    [{"abstain": "no"}, {"abstain": 0}, {"regions": "no"}, {"context": "word " * 10_000},
     {"verdicts": {f"label {n}": "x" * 2000 for n in range(1000)}}],
    ids=lambda more: next(iter(more)),
)  # fmt: skip
def test_a_switch_is_true_or_false_and_words_have_an_end(more):
    """Else "no" would be true; and a prompt of two megabytes is nobody's wish."""
    with pytest.raises(QuestionError) as caught:
        Question("Is it?", **more)
    assert caught.value.hint


def test_a_list_of_images_has_an_end(png):
    """Which is found before they are all read."""
    with pytest.raises(ImageError, match="100,000 images"):
        decide([png] * 100_000, "Is it?", model=ScriptedBackend([]))


INVISIBLE = (
    "\u3164\u115f\u1160\uffa0\u2800\ufe0f\u034f\u0301\u17b4"
    "\u17b5\u200b\u00a0\u2060\u180b\u061c\u00ad"
)


@pytest.mark.parametrize("character", INVISIBLE, ids=ascii)
def test_what_cannot_be_seen_is_no_content(png, character):
    """Neither a question, nor a reasoning, an observation, or what tells two verdicts apart."""
    for arguments in ((character * 3,), ("Is it?", ("yes", f"yes{character}"))):
        with pytest.raises(QuestionError) as caught:
            Question(*arguments)
        assert caught.value.hint
        str(caught.value).encode("ascii")
    blank = character * 30
    for reply in (
        reply_text("yes", reasoning=blank),
        reply_text("yes", observations=[("the dog", blank)]),
    ):
        with pytest.raises(ContractError):
            decide(png, "Is it?", model=ScriptedBackend([reply]))


@pytest.mark.parametrize("text", ["有", "ไทย", "é", "٣", "да", "हाँ"])
def test_a_letter_or_digit_of_any_script_is_content(text):
    """What counts is that somebody can read it."""
    assert Question(f"{text}?").text == f"{text}?"


@pytest.mark.parametrize(
    "verdicts",
    [
        ("schon", "schön"),
        ("да", "нет"),
        ("\u03bd\u03b1\u03b9", "\u03cc\u03c7\u03b9"),
        ("❤️", "🐱"),
        ("نه‌خیر", "بله"),
        {"yes": "a dog", "no": "none"},
        {"yes": "a dog", "no": "none"}.keys(),
    ],
)
def test_verdicts_that_a_reader_can_tell_apart(verdicts):
    """In any script, with the joiners that belong to it, and in any form that has an order."""
    assert Question("Which?", verdicts).verdicts == tuple(verdicts)


def test_a_set_of_verdicts_is_refused_at_every_door(png):
    """Its order changes from process to process, and with it the prompt and what is true."""
    backend = ScriptedBackend([])
    verdicts = {"yes", "no"}
    for ask in (
        lambda: decide(png, "Is it?", verdicts=verdicts, model=backend),
        lambda: list(decide_many([png], "Is it?", verdicts=verdicts, model=backend)),
        lambda: audit(png, "Is it?", verdicts=verdicts, model=backend),
        lambda: Decider(backend, verdicts=verdicts).decide(png, "Is it?"),
    ):
        with pytest.raises(QuestionError, match="no order") as caught:
            ask()
        assert "first of two" in caught.value.hint
    assert backend.requests == []


@pytest.mark.parametrize("verdicts", [("-1", "1"), ("+", "-"), ("<18", ">=18"), ("🐶", "🐱")])
def test_verdicts_may_be_short_and_odd(verdicts):
    """Verdicts that a reader can tell apart are allowed."""
    assert Question("Which?", verdicts).verdicts == verdicts


def test_cannot_tell_is_the_last_label_unless_switched_off():
    """Abstaining is offered by default, also where the caller lists it."""
    assert Question("Is it?").labels == ("yes", "no", CANNOT_TELL)
    assert Question("Is it?", abstain=False).labels == ("yes", "no")
    assert Question("Is it?", ("b", CANNOT_TELL, "a")).labels == ("b", "a", CANNOT_TELL)


def test_lists_of_verdicts_become_tuples():
    """A question is hashable whatever sequence it was made from."""
    assert hash(Question("Is it?", ["yes", "no"])) == hash(Question("Is it?"))


def decided(png, verdict, **kwargs):
    return decide(png, "Is it?", model=ScriptedBackend([reply_text(verdict)]), **kwargs)


@pytest.mark.parametrize(
    ("verdicts", "verdict", "truth"),
    [
        (("yes", "no"), "yes", True),
        (("yes", "no"), "no", False),
        (("no", "yes"), "yes", True),
        (("No", "Yes"), "No", False),
        (("false", "true"), "true", True),
        (("cat", "dog"), "cat", True),
        (("cat", "dog"), "dog", False),
    ],
)
def test_a_two_way_decision_is_true_or_false(png, verdicts, verdict, truth):
    """Yes and no mean what they say wherever they stand; otherwise the first verdict is True."""
    assert bool(decided(png, verdict, verdicts=verdicts)) is truth


@pytest.mark.parametrize(
    ("verdicts", "verdict"), [(("yes", "no"), CANNOT_TELL), (("a", "b", "c"), "a")]
)
def test_an_open_decision_is_neither_true_nor_false(png, verdicts, verdict):
    """An abstention must not pass for a no."""
    with pytest.raises(ValueError, match="neither true nor false"):
        bool(decided(png, verdict, verdicts=verdicts))


def test_a_decision_reads_back_as_it_was_stored(png):
    """JSON and back is the same decision."""
    decision = decided(png, "yes")
    assert Decision.model_validate_json(decision.model_dump_json()) == decision


def test_nothing_can_be_changed_afterwards(png):
    """Decisions and questions are frozen."""
    decision = decided(png, "yes")
    with pytest.raises(pydantic.ValidationError):
        decision.verdict = "no"
    with pytest.raises(dataclasses.FrozenInstanceError):
        decision.question.text = "Is it not?"
