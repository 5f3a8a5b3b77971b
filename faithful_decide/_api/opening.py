"""What `decide`, `audit` and the runner of batches share: which question is meant, and which model.

A model is a spec, a loaded backend or a live object of a library that is known; what is loaded here
is closed here, and nothing else is. With a journal, what it knows is not asked again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from faithful_decide._asking.options import YES_NO
from faithful_decide._asking.retrying import patient
from faithful_decide._core.types import Question
from faithful_decide.backends.registry import (
    adopt,
    check_options,
    is_backend,
    load_backend,
    not_a_backend,
)
from faithful_decide.errors import AuthError, QuestionError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import ExitStack

    from faithful_decide._asking.options import Options
    from faithful_decide._batch.journal import Journal
    from faithful_decide.backends.base import Backend

__all__ = ["is_there", "open_backend", "opened", "question_of", "spec_of"]

DEFAULT_MODEL = "embedded"
MODEL_VARIABLE = "FAITHFUL_DECIDE_MODEL"
_NO_KEY = {"api_key": "unused"}


def question_of(question: str | Question, how: Options) -> Question:
    """The question that a caller means; what it brings itself must not be given beside it."""
    if not isinstance(question, Question):
        verdicts: Any = how.verdicts  # made a tuple there
        return Question(question, verdicts, how.context, how.regions, how.abstain)
    defined = dict(how.verdicts) if isinstance(how.verdicts, Mapping) else {}
    differing = {
        "verdicts": tuple(how.verdicts) not in {YES_NO, question.verdicts}
        or (question.abstain and not how.abstain)
        or (defined and defined != question.definitions),
        "a context": how.context and how.context != question.context,
        "regions": how.regions and not question.regions,
    }
    for what, differs in differing.items():
        if differs:
            have = "has verdicts of its own, and others" if what == "verdicts" else "is whole"
            have = have if what == "verdicts" else f"{have}, and {what}"
            were = "was" if what == "a context" else "were"
            msg = f"the question {have} {were} passed beside it"
            raise QuestionError(msg, hint="pass it in the Question only")
    return question


def spec_of(model: Backend | str | None) -> Backend | str:
    """The model that is meant: without one that of the environment, then the one of the package."""
    if model is None:
        return os.environ.get(MODEL_VARIABLE) or DEFAULT_MODEL
    return model


def opened(
    stack: ExitStack,
    model: Backend | str | None,
    options: Mapping[str, Any],
    journal: Journal | str | os.PathLike[str] | None,
    known: Iterable[str] = (),
    *,
    dry: bool = False,
) -> Backend:
    """The backend to use. What is opened for it is closed by the stack, and nothing else is."""
    if journal is None or (dry and not is_there(journal)):
        return open_backend(stack, model, options, known, dry=dry)
    from faithful_decide._batch.journal import Journal  # noqa: PLC0415 - only for those who keep one
    from faithful_decide._batch.journaled import journaled  # noqa: PLC0415 - the same

    # The journal first: a wrong path is found before a model is loaded.
    if not isinstance(journal, Journal):
        journal = stack.enter_context(Journal(journal))
    return journaled(open_backend(stack, model, options, known, dry=dry), journal)


def is_there(journal: Journal | str | os.PathLike[str]) -> bool:
    """Whether a journal exists already, so that a dry run can look into it and need not make it."""
    return not isinstance(journal, str | os.PathLike) or os.path.exists(journal)  # noqa: PTH110


def open_backend(
    stack: ExitStack,
    model: Backend | str | None,
    options: Mapping[str, Any],
    known: Iterable[str] = (),
    *,
    dry: bool = False,
) -> Backend:
    """Find or load the backend that a caller means, with patience in front of it.

    One that is loaded here, the stack closes.
    `known` are the other arguments of the caller: somebody who mistypes may have meant one of them.
    Who is `dry` sends nothing, so needs no key.
    """
    model = spec_of(model)
    if isinstance(model, str):
        check_options(model, options, known)
        try:
            loaded = load_backend(model, **options)
        except AuthError:
            if not dry:
                raise
            loaded = load_backend(model, **{**options, **_NO_KEY})
        return patient(stack.enter_context(closing(loaded)))
    if not is_backend(model):
        adopted = adopt(model)
        if adopted is None:
            raise not_a_backend(model)
        model = adopted
    for name in options:
        from faithful_decide._nearest import unknown  # noqa: PLC0415 - after a mistake

        msg = f"there is no option {name!r} for a model that is loaded"
        raise UnsupportedError(msg, hint=unknown(name, known))
    return patient(model)
