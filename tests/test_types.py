"""A question that cannot be asked is refused; a decision can be stored, read back and trusted."""

import dataclasses

import pydantic
import pytest

from faithful_decide import CANNOT_TELL, Decision, Question, QuestionError, decide
from faithful_decide.testing import ScriptedBackend, reply_text


@pytest.mark.parametrize(
    "arguments",
    [
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
        ("Is it?", ("yes", "no", CANNOT_TELL), False),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(arguments):
    """Bad questions are QuestionErrors, before any model is involved."""
    with pytest.raises(QuestionError):
        Question(*arguments)


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
