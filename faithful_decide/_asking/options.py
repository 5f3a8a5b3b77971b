"""The table of options: how a question is asked, apart from what is asked, about what, and of whom.

One field is one option: its name, its default, what it must be, and one line about it. The keyword
arguments of `decide` and its twins, the options of the command line, the parameters of the
classifier and of the engines for large tables are derived from this table, or held against it by a
test. Errors name an option as Python writes it, such as `timeout=`; a door that writes it otherwise
(`--timeout`) translates.
"""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from numbers import Real
from typing import TYPE_CHECKING, Any, Self, TypeVar

from faithful_decide._asking.plans import TIMEOUT_S
from faithful_decide.errors import UsageError

if TYPE_CHECKING:
    import os
    from collections.abc import Coroutine, Mapping, Sequence
    from typing import ParamSpec

    from faithful_decide._batch.journal import Journal

    _P = ParamSpec("_P")
    _T = TypeVar("_T")

__all__ = ["YES_NO", "Options", "named_in", "row_of", "table", "takes_options", "twin_of", "whole"]

YES_NO = ("yes", "no")
_F = TypeVar("_F", bound=Callable[..., Any])
_NUMBERS: Any = Real


def _row(text: str, least: int | None = None) -> dict[str, Any]:
    """What else a row says; `least` is the smallest integer that is allowed."""
    return {"help": text, "least": least}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to ask. Checked when it is made, before anything is loaded."""

    verdicts: Sequence[str] | Mapping[str, str] = field(
        default=YES_NO,
        metadata=_row("Let the model choose from these verdicts; a mapping also defines them."),
    )
    context: str = field(
        default="", metadata=_row("Give the model this to know, such as a rule or a policy.")
    )
    regions: bool = field(
        default=False, metadata=_row("Have each observation say where in the image it is.")
    )
    abstain: bool = field(default=True, metadata=_row("Let the model also say cannot_tell."))
    samples: int = field(
        default=1,
        metadata=_row("Draw this many independent replies; the majority decides.", least=1),
    )
    seed: int | None = field(
        default=None,
        metadata=_row("Draw samples with this seed. Without one they differ.", least=0),
    )
    max_tokens: int = field(
        default=512, metadata=_row("Cut off a reply after this many tokens.", least=1)
    )
    retries: int = field(
        default=0,
        metadata=_row("Ask this many more times if a reply breaks the contract.", least=0),
    )
    timeout: float = field(
        default=TIMEOUT_S,
        metadata=_row("Give up on a decision after this many seconds, waiting included."),
    )
    allow_urls: bool = field(
        default=False, metadata=_row("Allow images to be fetched from http(s) URLs.")
    )
    journal: Journal | str | os.PathLike[str] | None = field(
        default=None,
        metadata=_row("Keep every reply in this file, and pay for none twice."),
    )

    def __post_init__(self) -> None:
        """Refuse what makes no sense. Samples that nobody could draw again get a seed."""
        for row in table():
            value, least = getattr(self, row.name), row.metadata["least"]
            if least is not None and not (value is None and row.default is None):
                object.__setattr__(self, row.name, whole(row.name, value, least))
        object.__setattr__(self, "timeout", _seconds(self.timeout))
        if self.seed is None and self.samples != 1 and self.journal is not None:
            # In a journal a sample is found again by its seed.
            object.__setattr__(self, "seed", 0)

    @classmethod
    def names(cls) -> set[str]:
        """The keyword arguments that go in here."""
        return {row.name for row in table()}

    @classmethod
    def split(cls, given: Mapping[str, Any]) -> tuple[Self, dict[str, Any]]:
        """Part keyword arguments into those of this table and those for the backend."""
        names = cls.names()
        own = {name: value for name, value in given.items() if name in names}
        return cls(**own), {name: value for name, value in given.items() if name not in names}


def whole(name: str, value: object, least: int) -> int:
    """An integer of any library as one of Python, if it is large enough."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or number < least:
        msg = f"{name} must be an integer of at least {least}, not {value!r}"
        raise UsageError(msg, hint=f"pass {name}={least} or more")
    return number


def _seconds(value: Any) -> float:  # noqa: ANN401 - checked here
    # Written so that it refuses nan and infinity too.
    if isinstance(value, _NUMBERS) and type(value) is not bool and 0 < value < math.inf:
        return float(value)
    msg = f"timeout must be a number of seconds above 0, not {value!r}"
    raise UsageError(msg, hint=f"pass timeout={TIMEOUT_S:g}, or leave it out")


def table() -> tuple[Field[Any], ...]:
    """The rows: fields with a name, a default, and in their metadata `help` and `least`."""
    return tuple(row for row in fields(Options) if "help" in row.metadata)


def row_of(name: str) -> Field[Any]:
    """One row of the table."""
    return next(row for row in table() if row.name == name)


def takes_options(*, without: Sequence[str] = ()) -> Callable[[_F], _F]:
    """Show in a signature what its `**options` takes: the rows of the table, then a backend's own.

    Python reads an option where it is written; a reader of `help` reads it in the signature.
    """

    def show(function: _F) -> _F:
        signature = inspect.signature(function)
        *others, rest = signature.parameters.values()
        rows = [
            inspect.Parameter(
                row.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if row.default is MISSING else row.default,
                annotation=row.type,
            )
            for row in table()
            if row.name not in {*without, *signature.parameters}
        ]
        shown = signature.replace(parameters=[*others, *rows, rest])
        function.__signature__ = shown  # type: ignore[attr-defined] # read by inspect and help
        return function

    return show


def twin_of(
    function: Callable[_P, _T],
) -> Callable[[Callable[..., Coroutine[Any, Any, _T]]], Callable[_P, Coroutine[Any, Any, _T]]]:
    """Give an awaited twin the signature of its original, for readers and type checkers."""

    def show(
        twin: Callable[..., Coroutine[Any, Any, _T]],
    ) -> Callable[_P, Coroutine[Any, Any, _T]]:
        twin.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
        return twin

    return show


def named_in(function: Callable[..., Any]) -> list[str]:
    """The keyword arguments that a function names: those that somebody may have meant."""
    kinds = {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.kind not in kinds and p.name != "self"]
