"""What `decide`, `audit` and the runner of batches share: which question is meant, and which model.

A model is a spec, a loaded backend or a live object of a library that is known; what is loaded here
is closed here, and nothing else is. With a journal, what it knows is not asked again.
"""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING, Any

from faithful_decide._batch.journal import Journal
from faithful_decide._batch.journaled import kept
from faithful_decide._core.types import Question
from faithful_decide.backends import adopt, load_backend, not_a_backend
from faithful_decide.backends.base import Backend
from faithful_decide.errors import QuestionError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import ExitStack

__all__ = [
    "DEFAULT_MODEL",
    "MODEL_VARIABLE",
    "YES_NO",
    "open_backend",
    "opened",
    "question_of",
    "seed_of",
]

DEFAULT_MODEL = "embedded"
MODEL_VARIABLE = "FAITHFUL_DECIDE_MODEL"
YES_NO = ("yes", "no")


def question_of(question: str | Question, verdicts: Sequence[str], *, abstain: bool) -> Question:
    """The question that a caller means; one that brings its verdicts must not be given others."""
    if not isinstance(question, Question):
        return Question(question, verdicts, abstain)  # type: ignore[arg-type] # made a tuple there
    if tuple(verdicts) not in {YES_NO, question.verdicts} or (question.abstain and not abstain):
        msg = "the question has verdicts of its own, and others were passed beside it"
        raise QuestionError(msg, hint="pass them in the Question only")
    return question


def seed_of(seed: int | None, samples: int, journal: object) -> int | None:
    """Choose the seed: samples that nobody can draw again could not be found in a journal.

    Args:
        seed: The caller's.
        samples: How many samples are drawn.
        journal: The journal, if there is one.

    Returns:
        The seed to use.
    """
    return 0 if seed is None and samples != 1 and journal is not None else seed


def opened(
    stack: ExitStack,
    model: Backend | str | None,
    options: Mapping[str, Any],
    journal: Journal | str | os.PathLike[str] | None,
) -> Backend:
    """The backend to use. What is opened for it is closed by the stack, and nothing else is."""
    # The journal first: a wrong path is found before a model is loaded.
    if journal is not None and not isinstance(journal, Journal):
        journal = stack.enter_context(Journal(journal))
    backend = open_backend(stack, model, options)
    return backend if journal is None else kept(backend, journal)


def open_backend(
    stack: ExitStack, model: Backend | str | None, options: Mapping[str, Any]
) -> Backend:
    """Find or load the backend that a caller means.

    Args:
        stack: Closes it, if it was loaded here.
        model: As in `decide`.
        options: Options for loading it.

    Returns:
        The backend.
    """
    if model is None:
        model = os.environ.get(MODEL_VARIABLE) or DEFAULT_MODEL
    if isinstance(model, str):
        return stack.enter_context(closing(load_backend(model, **options)))
    if not _is_backend(model):
        adopted = adopt(model)
        if adopted is None:
            raise not_a_backend(model)
        model = adopted
    if options:
        msg = f"a loaded backend takes no options, but got {', '.join(options)}"
        raise UnsupportedError(msg, hint="pass options to load_backend")
    return model


def _is_backend(model: object) -> bool:
    return isinstance(model, Backend) and not isinstance(model, type)
