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

import os
import weakref
from typing import TYPE_CHECKING, Any

from faithful_decide._api.decide import Decider
from faithful_decide._api.opening import question_of, spec_of
from faithful_decide._asking.options import Options
from faithful_decide._batch.row import OF_A_ROW, OWN_COLUMNS, Row, flat
from faithful_decide.backends.registry import bring, check_options
from faithful_decide.errors import AuthError, UnsupportedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from faithful_decide._core.types import Question
    from faithful_decide.backends.base import Backend

__all__ = ["FIELDS", "Asker", "check_sendable"]

FIELDS = {name: kind for name, kind in OWN_COLUMNS.items() if name not in {"id", "question"}}
"""The fields of the struct, and what is in them; each may be null."""


def check_sendable(model: object, options: Mapping[str, Any], known: Iterable[str] = ()) -> None:
    """Refuse what cannot be sent to another process, or should not be, and what would fail there.

    `known` are the arguments of the caller, for the hint about an option that does not exist.
    """
    if not (model is None or isinstance(model, str)):
        msg = "a loaded model cannot be sent to the processes of an engine"
        raise UnsupportedError(msg, hint='name it by a spec, such as model="embedded"')
    how, rest = Options.split(options)
    if not (how.journal is None or isinstance(how.journal, str | os.PathLike)):
        msg = "an open journal cannot be sent to the processes of an engine"
        raise UnsupportedError(msg, hint="name it by its path: journal=PATH")
    if "api_key" in rest:
        msg = "an API key would be copied into plans, logs and the memory of other machines"
        raise UsageError(msg, hint="put it into the environment of each process that asks")
    check_options(str(spec_of(model)), rest, known)


class Asker:
    """Asks one question about images, in the process in which it was made."""

    def __init__(
        self,
        question: str | Question,
        *,
        model: str | None = None,
        loader: Callable[..., Backend] | None = None,
        **options: Any,  # noqa: ANN401 - those of decide
    ) -> None:
        """Load the model, and open the journal if there is one.

        `loader` is what loads the model, where this process does not know.
        """
        if model is not None:
            bring(model, loader)
        check_sendable(model, options)
        if isinstance(question, str):
            how, _ = Options.split(options)
            question = question_of(question, how)
        self._question = question
        self._decider = Decider(model, **options)
        weakref.finalize(self, self._decider.close)

    async def ask(self, image: Any) -> dict[str, Any]:  # noqa: ANN401 - what an engine holds
        """Decide about an image (a path, bytes or an array), and always return the struct.

        What is wrong with all of them is raised: a refused key, a journal that cannot be used.
        """
        try:
            row = Row("", "", decision=await self._decider.adecide(image, self._question))
        except AuthError:
            raise
        except OF_A_ROW as error:
            row = Row("", "", error=error)
        values = flat(row)
        return {name: values[name] for name in FIELDS}
