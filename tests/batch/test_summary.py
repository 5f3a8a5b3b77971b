"""A summary counts what is there, holds verdicts against labels, and invents nothing."""

import pytest

from faithful_decide import Decider, ImageError, Question, Row, Scores, TransientError
from faithful_decide._batch.summary import summarise
from faithful_decide.backends import Reply, Usage
from faithful_decide.testing import ScriptedBackend, reply_text


@pytest.fixture
def row(png):
    """Makes a row with a verdict, its probability, and a label."""
    script = []
    backend = ScriptedBackend(lambda _: script.pop(), name="openai/gpt-4o-mini")

    def make(verdict, probability=None, label=None, name="q", **more):
        usage = Usage(1_000_000, None, 0)
        script.append(Reply(reply_text(verdict), "stop", model="gpt-4o-mini", usage=usage))
        decision = Decider(backend).decide(png, Question("Is it red?"))
        if probability is not None:
            rest = (1 - probability) / 2
            shares = dict.fromkeys(decision.question.labels, rest) | {verdict: probability}
            scores = Scores(source="samples", probabilities=shares)
            decision = decision.model_copy(update={"scores": scores})
        columns = {} if label is None else {"label": label}
        return Row(more.pop("id", "x"), name, decision=decision, columns=columns, **more)

    return make


def test_counts(row):
    """Verdicts, abstentions and errors by type, for each question on its own."""
    rows = [
        row("yes"),
        row("cannot_tell"),
        Row("y", "q", error=ImageError("no")),
        row("no", name="other"),
    ]
    summary = summarise(rows)
    first, second = summary.questions
    assert (summary.rows, summary.items) == (4, 3)
    assert (first.rows, first.decided, first.abstained) == (3, 2, 1)
    assert first.verdicts == {"yes": 1, "cannot_tell": 1}
    assert first.errors == {"ImageError": 1}
    assert (second.question, second.verdicts) == ("other", {"no": 1})
    assert summary.cost_usd == pytest.approx(0.45)
    assert first.calibration is None
    assert first.scores_source is None


def test_an_abstention_and_an_error_are_never_right_or_wrong(row):
    """Accuracy is of what was decided; the confusion shows the rest."""
    rows = [
        row("yes", label="yes"),
        row("yes", label="no"),
        row("cannot_tell", label="no"),
        Row("e", "q", error=TransientError("late"), columns={"label": "yes"}),
        row("no"),
    ]
    (summary,) = summarise(rows).questions
    assert (summary.labelled, summary.right) == (2, 1)
    assert summary.confusion == {"yes": {"yes": 1}, "no": {"yes": 1, "cannot_tell": 1}}


def test_calibration(row):
    """Bins of a tenth; 1.0 belongs to the last; a row without a label is in none."""
    rows = [row("yes", 0.95, "yes"), row("yes", 1.0, "no"), row("no", 0.61, "no")]
    rows += [row("no", 0.62), row("cannot_tell", 0.9, "no")]
    (summary,) = summarise(rows).questions
    low, high = summary.calibration.bins
    assert (low.low, low.n, low.mean, low.share) == (0.6, 1, 0.61, 1.0)
    assert (high.high, high.n, high.share) == (1.0, 2, 0.5)
    assert high.mean == pytest.approx(0.975)
    assert summary.calibration.ece == pytest.approx((0.39 + 2 * 0.475) / 3)
    assert summary.calibration.brier == pytest.approx((0.39**2 + 0.05**2 + 1) / 3)
    assert summary.scores_source == "samples"


def test_the_most_and_the_least_certain(row):
    """Twelve of each, in order; of equals the first."""
    rows = [row("yes", 0.5 + n / 100, id=str(n)) for n in range(40)]
    rows += [row("yes", 0.5, id="twin")]
    (summary,) = summarise(rows).questions
    assert [one.id for one in summary.most_certain] == [str(n) for n in range(39, 27, -1)]
    least = [one.id for one in summary.least_certain]
    assert least == ["0", "twin", *[str(n) for n in range(1, 11)]]


def test_wrong_rows_are_named_with_the_most_certain_first(row):
    """Also those without a probability; an abstention is not wrong, and an empty cell no label."""
    rows = [
        row("yes", 0.6, label="no", id="unsure"),
        row("yes", 0.9, label="no", id="sure"),
        row("no", None, label="yes", id="plain"),
        row("yes", 0.9, label="yes", id="right"),
        row("cannot_tell", 0.9, label="yes", id="open"),
        row("yes", 0.9, label="", id="unlabelled"),
    ]
    (summary,) = summarise(rows).questions
    assert [one.id for one in summary.wrong] == ["sure", "unsure", "plain"]
    assert (summary.labelled, summary.right) == (4, 1)
    assert "" not in summary.confusion


def test_another_column_may_hold_the_label(row):
    """And a data set without rows has a summary too."""
    one = row("yes")
    moved = Row("x", "q", decision=one.decision, columns={"truth": "yes"})
    (summary,) = summarise([moved], label="truth").questions
    assert summary.right == 1
    empty = summarise([])
    assert (empty.rows, empty.questions, empty.cost_usd) == (0, (), None)


def abstaining(png, name, *observations):
    """Rows that say cannot_tell, each with an observation."""
    for note in observations:
        backend = ScriptedBackend([reply_text("cannot_tell", observations=[note])], name=name)
        yield Row("x", "q", decision=Decider(backend).decide(png, "Is it red?"))


def test_most_verdicts_that_are_none_say_why(row, png):
    """By what was noted most often, and by whose world it is; only where they are most."""
    fog, dark = ("the image", "all fog"), ("the image", "too dark")
    rows = list(abstaining(png, "openai/x", fog, fog, dark))
    (asked,) = summarise([*rows, row("yes")]).questions
    start = "most verdicts are cannot_tell: 3 of 4, 2 of them with the observation"
    assert asked.undecided.startswith(f"{start} 'the image: all fog'; ")
    assert "embedded" not in asked.undecided
    (asked,) = summarise([*rows, *(row("yes") for _ in range(3))]).questions
    assert asked.undecided == ""
    (asked,) = summarise(abstaining(png, "embedded", fog, fog)).questions
    assert "2 of 2, all of them with" in asked.undecided
    assert "the embedded model knows drawn scenes" in asked.undecided
    (asked,) = summarise(abstaining(png, "openai/x", fog, dark)).questions
    assert "observation" not in asked.undecided


def test_observations_that_all_differ_do_not_fill_the_memory(png, monkeypatch):
    """Only so many are told apart; one that is known is still counted."""
    monkeypatch.setattr("faithful_decide._batch.summary.NOTED", 1)
    notes = [("the image", "all fog"), ("b", "other"), ("the image", "all fog")]
    (asked,) = summarise(abstaining(png, "openai/x", *notes)).questions
    assert "2 of them with the observation 'the image: all fog'" in asked.undecided
