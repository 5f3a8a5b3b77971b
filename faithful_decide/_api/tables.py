"""What the engines for large tables share: an image goes in, a struct of plain values comes out.

An engine moves rows between processes and machines and knows nothing of decisions. What it is given
here decides about one image and always returns: a struct whose `status` is "decided", or "failed"
with the error beside it and no verdict. So nothing depends on what an engine does about exceptions
(one may null a whole portion of rows for one bad image). Only what is wrong with every row, such as
a refused key or a full disk, is raised, and ends the job before it goes on for a million rows.

Engines copy what they are given to other processes. So a model is named by a spec here, and a key
is not among its options: each process takes it from its own environment.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from faithful_decide._api.decide import Decider
from faithful_decide._batch.row import OF_A_ROW, OWN_COLUMNS, Row, flat
from faithful_decide._core.types import Question
from faithful_decide.backends.registry import bring
from faithful_decide.errors import AuthError, UnsupportedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from faithful_decide.backends.base import Backend

__all__ = ["FIELDS", "Asker", "check_model"]

FIELDS = {name: kind for name, kind in OWN_COLUMNS.items() if name not in {"id", "question"}}
"""The fields of the struct, and what is in them; each may be null."""


def check_model(model: object, options: Mapping[str, Any] | None) -> None:
    """Refuse what cannot be sent to another process, or should not be.

    Args:
        model: The model.
        options: The options of its backend.

    Raises:
        UnsupportedError: The model is a live one.
        UsageError: There is a key among the options.
    """
    if not (model is None or isinstance(model, str)):
        msg = "a loaded model cannot be sent to the processes of an engine"
        raise UnsupportedError(msg, hint='name it by a spec, such as model="embedded"')
    if options and "api_key" in options:
        msg = "an API key would be copied into plans, logs and the memory of other machines"
        raise UsageError(msg, hint="put it into the environment of each process that asks")


class Asker:
    """Asks one question about images, in the process in which it was made."""

    def __init__(
        self,
        question: str | Question,
        *,
        verdicts: Sequence[str],
        abstain: bool,
        model: str | None,
        options: Mapping[str, Any] | None,
        loader: Callable[..., Backend] | None = None,
        **settings: Any,  # noqa: ANN401 - those of Decider
    ) -> None:
        """Load the model, and open the journal if there is one.

        Args:
            question: The question.
            verdicts: Its verdicts, if it does not bring its own.
            abstain: Whether the model may say `cannot_tell`; as the verdicts.
            model: A model spec.
            options: Options of the backend.
            loader: What loads it, where this process does not know.
            **settings: Arguments of `Decider`.
        """
        check_model(model, options)
        if isinstance(question, str):
            question = Question(question, verdicts, abstain)  # type: ignore[arg-type] # made a tuple there
        self._question = question
        if model is not None:
            bring(model, loader)
        self._decider = Decider(model, **settings, **(options or {}))
        weakref.finalize(self, self._decider.close)

    async def ask(self, image: Any) -> dict[str, Any]:  # noqa: ANN401 - what an engine holds
        """Decide about an image.

        Args:
            image: A path, bytes or an array.

        Returns:
            The struct.

        Raises:
            AuthError: The server refused the key.
            StorageError: The journal cannot be read or written.
        """
        try:
            row = Row("", "", decision=await self._decider.adecide(image, self._question))
        except AuthError:
            raise
        except OF_A_ROW as error:
            row = Row("", "", error=error)
        values = flat(row)
        return {name: values[name] for name in FIELDS}
