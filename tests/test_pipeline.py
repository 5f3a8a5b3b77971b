"""The shapes of Hugging Face's pipelines, filled with probabilities that were measured."""

import pytest

from faithful_decide import Question, UnsupportedError, UsageError
from faithful_decide.pipelines import as_pipeline
from faithful_decide.testing import ScriptedBackend, reply_text
from tests.support.grey import GreyBackend


@pytest.fixture
def grey(png):
    """A classifier of the red picture of the tests, whose brightness is 0.298."""
    with as_pipeline(
        "image-classification",
        "How bright is it?",
        model=GreyBackend(),
        verdicts=("dark", "medium", "bright"),
        abstain=False,
    ) as pipeline:
        yield pipeline


def test_image_classification(grey, png):
    """Labels with scores, the most probable first."""
    entries = grey(png)
    assert [list(entry) for entry in entries] == [["label", "score"]] * 3
    assert [entry["label"] for entry in entries] == ["dark", "medium", "bright"]
    scores = [entry["score"] for entry in entries]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1)
    assert all(type(score) is float for score in scores)


def test_a_list_of_images_gives_a_list_of_lists(grey, png):
    """And top_k cuts each of them."""
    assert grey([png, png]) == [grey(png), grey(png)]
    assert grey([png], top_k=1) == [grey(png)[:1]]
    assert grey([]) == []


def test_visual_question_answering(png):
    """Answers with scores; the question comes with the image, in any of three ways."""
    backend = ScriptedBackend(lambda request: reply_text("yes" if "red" in request.text else "no"))
    answer = as_pipeline("visual-question-answering", model=backend, samples=2)
    red = [{"answer": "yes", "score": 1.0}, {"answer": "no", "score": 0.0}]
    assert answer(png, "Is it red?", top_k=2) == red
    assert answer(image=png, question=Question("Is it red?", abstain=False)) == red
    asked = [{"image": png, "question": text} for text in ("Is it red?", "Is it blue?")]
    assert [entries[0]["answer"] for entries in answer(asked)] == ["yes", "no"]


def test_no_probabilities_is_an_error_and_not_a_score_of_one(png):
    """One reply without token probabilities has no score."""
    backend = ScriptedBackend(lambda _: reply_text("yes"))
    with pytest.raises(UnsupportedError) as caught:
        as_pipeline("image-classification", "Is it red?", model=backend)(png)
    assert "samples" in caught.value.hint


@pytest.mark.parametrize(
    ("task", "question", "says"),
    [
        ("text-classification", "Is it red?", "no task"),
        ("image-classification", None, "needs a question"),
        ("visual-question-answering", "Is it red?", "with each image"),
    ],
)
def test_a_pipeline_is_checked_before_a_model_is_loaded(task, question, says):
    """The spec here would fail as well."""
    with pytest.raises(UsageError, match=says):
        as_pipeline(task, question, model="nothing/there")


def test_a_question_too_many_or_missing(grey, png):
    """A fixed question cannot be changed, and a free one has to come."""
    with pytest.raises(UsageError, match="fixed"):
        grey(png, "Is it red?")
    with pytest.raises(UsageError, match="no question"):
        as_pipeline("visual-question-answering", model=GreyBackend())(png)


def test_a_closed_pipeline_is_closed(png):
    """As the decider in it."""
    pipeline = as_pipeline("visual-question-answering", model=GreyBackend())
    pipeline.close()
    pipeline.close()
    with pytest.raises(UsageError, match="closed"):
        pipeline(png, "Is it red?")
