"""Decisions in the shapes of Hugging Face's pipelines, for code that already reads those.

    classify = as_pipeline("image-classification", "Is there a dog?", model="embedded")
    classify("park.jpg")            # [{"label": "yes", "score": 0.93}, {"label": "no", ...}, ...]

A shape has no room for reasons, so each entry is all that is left of a decision: use `decide`
where somebody may ask why. A score is a probability that was read or sampled, never the model's
word for it; where none can be had, that is an error and not a 1.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from faithful_decide._api.decide import Decider
from faithful_decide._asking.options import takes_options
from faithful_decide._nearest import hinting
from faithful_decide.errors import QuestionError, UnsupportedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from faithful_decide._core.types import Decision, Question
    from faithful_decide._images.load import ImageSource
    from faithful_decide.backends.base import Backend

__all__ = ["VerdictPipeline", "as_pipeline", "probabilities_of"]

Task: TypeAlias = Literal["image-classification", "visual-question-answering"]
Entry: TypeAlias = dict[str, Any]
_NAMES = {"image-classification": "label", "visual-question-answering": "answer"}


@hinting
def probabilities_of(decision: Decision) -> Mapping[str, float]:
    """One probability for each verdict that a decision could have had, or an error."""
    if decision.scores is None:
        msg = f"{decision.receipt.backend} gave no token probabilities that can be read"
        raise UnsupportedError(msg, hint="pass samples=5 or more, to count independent replies")
    return decision.scores.probabilities


@hinting
@takes_options()
def as_pipeline(
    task: Task,
    question: str | Question | None = None,
    *,
    model: Backend | str | None = None,
    **settings: object,
) -> VerdictPipeline:
    """Make a callable that takes and returns what a pipeline of Transformers does.

    Args:
        task: "image-classification", whose question is fixed here, or "visual-question-answering",
            whose question comes with each image.
        question: The question of an image classification.
        model: A model spec or a loaded backend, as for `decide`.
        **settings: The options of `decide` and of the backend.

    Returns:
        The pipeline. It keeps the model loaded; close it when done, or use it in a `with`
        statement.

    Raises:
        UsageError: There is no such task, the question is missing or one too many, or a setting
            cannot be used.
        BackendError: The model could not be loaded.
    """
    if task not in _NAMES:
        msg = f"there is no task {task!r}"
        raise UsageError(msg, hint=f"use one of: {', '.join(_NAMES)}")
    if (question is None) == (task == "image-classification"):
        wanted = "needs a question" if question is None else "gets a question with each image"
        msg = f"the task {task!r} {wanted}"
        raise QuestionError(msg, hint='as in as_pipeline("image-classification", "Is it a dog?")')
    return VerdictPipeline(task, question, Decider(model, **settings))


@hinting
class VerdictPipeline:
    """What `as_pipeline` returns. Safe to call from several threads."""

    def __init__(self, task: Task, question: str | Question | None, decider: Decider) -> None:
        """Bind a task of `as_pipeline` to a loaded model, which is closed with the pipeline."""
        self.task = task
        self._question = question
        self._decider = decider

    def __call__(
        self,
        image: ImageSource | Mapping[str, Any] | Sequence[Any],
        question: str | Question | None = None,
        *,
        top_k: int | None = None,
    ) -> list[Entry] | list[list[Entry]]:
        """Ask about one image or several.

        Args:
            image: An image, or for a question with each image {"image": ..., "question": ...}; or
                a list of either.
            question: The question about the image or images, unless it comes with them.
            top_k: How many entries to return for each image; all of them if left out.

        Returns:
            For one image, its verdicts as [{"label": ..., "score": ...}], the most probable first;
            the key is "answer" for a question with each image. For a list of images, a list of
            those.

        Raises:
            UsageError: The image or the question cannot be used, or there are no probabilities.
            BackendError: The model could not be run.
            ReplyError: It replied with something that holds no verdict.
        """
        if isinstance(image, (list, tuple)):
            return [self._entries(one, question, top_k) for one in image]
        return self._entries(image, question, top_k)

    def _entries(
        self,
        image: Any,  # noqa: ANN401 - what the caller holds
        question: str | Question | None,
        top_k: int | None,
    ) -> list[Entry]:
        if isinstance(image, dict):
            image, question = image.get("image"), image.get("question", question)
        if self._question is not None and question is not None:
            msg = "the question of an image classification is fixed"
            raise QuestionError(msg, hint='use the task "visual-question-answering"')
        asked = self._question if question is None else question
        if asked is None:
            msg = "there is no question about this image"
            raise QuestionError(msg, hint='pass question=, or {"image": ..., "question": ...}')
        found = probabilities_of(self._decider.decide(image, asked))
        ranked = sorted(found.items(), key=lambda pair: -pair[1])
        name = _NAMES[self.task]
        return [{name: verdict, "score": score} for verdict, score in ranked[:top_k]]

    def close(self) -> None:
        """Release the model. May be called twice."""
        self._decider.close()

    def __enter__(self) -> Self:
        """Use the pipeline in a `with` statement."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()
