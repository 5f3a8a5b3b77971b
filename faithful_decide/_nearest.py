"""The argument or option that was meant by one that does not exist.

Whoever writes `temprature` has mistyped; whoever writes `labels` comes from another library, where
verdicts are called so. The first is found by its letters, the second is in the list below.
"""

from __future__ import annotations

from functools import wraps
from inspect import CO_VARKEYWORDS, iscoroutinefunction, isfunction
from typing import TYPE_CHECKING, Any, TypeVar

from faithful_decide.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["ArgumentError", "hinting", "nearest", "unknown"]

_T = TypeVar("_T")

_CALLED = {
    "verdicts": "labels classes choices answers categories candidate_labels options",
    "abstain": "allow_abstain cannot_tell abstention",
    "samples": "n votes num_samples n_samples",
    "seed": "random_state",
    "max_tokens": "max_new_tokens max_output_tokens max_completion_tokens num_predict",
    "retries": "max_retries retry attempts",
    "timeout": "timeout_s deadline",
    "allow_urls": "urls",
    "journal": "cache log",
    "concurrency": "at_once n_jobs max_concurrency max_concurrent",
    "items": "sources samples images inputs",
    "question": "prompt text",
    "questions": "question prompt prompts",
    "model": "backend engine llm",
    "spec": "model",
    "base_url": "api_base url endpoint host server",
    "api_key": "key token",
    "n": "count number num size",
    "n_threads": "threads num_threads",
    "n_ctx": "num_ctx context context_length",
    "extra": "extra_body kwargs",
}
"""What an option is called elsewhere."""


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """The options that may have been meant, the likeliest first."""
    from difflib import get_close_matches  # noqa: PLC0415 - after a mistake only

    meant: dict[str, str] = {}
    for option in known:
        meant |= {other: option for other in _CALLED.get(option, "").split() if other not in meant}
        meant[option] = option
    close = get_close_matches(name.lower().replace("-", "_").strip("_"), meant, n=3)
    return list(dict.fromkeys(meant[match] for match in close))


def unknown(name: str, known: Iterable[str]) -> str:
    """The hint for an option that does not exist."""
    known = list(known)
    meant = " or ".join(f"{option}=" for option in nearest(name, known))
    return f"did you mean {meant}" if meant else f"there are: {', '.join(known) or 'none'}"


class ArgumentError(UsageError, TypeError):
    """An argument that does not exist; a `TypeError` too, because that is what Python raises."""


def hinting(thing: _T) -> _T:
    """Refuse an argument that does not exist with the name of the nearest one; a decorator.

    Of a class, it holds for the constructor and the public methods that are written in it.
    """
    if not isinstance(thing, type):
        return _checked(thing)  # type: ignore[no-any-return] # with the signature that it had
    for name, member in list(vars(thing).items()):
        if name.startswith("_") and name != "__init__":
            continue
        if isfunction(member):
            setattr(thing, name, _checked(member))
        elif isinstance(member, classmethod | staticmethod):
            setattr(thing, name, type(member)(_checked(member.__func__)))
    return thing


def _checked(function: Any) -> Any:  # noqa: ANN401 - as it came
    """The function, whose callers read our error where Python could not bind their arguments."""
    if function.__code__.co_flags & CO_VARKEYWORDS:
        return function  # it takes any name, and refuses those that it does not know

    def called(args: tuple[Any, ...], options: Mapping[str, Any]) -> Any:  # noqa: ANN401 - anything
        try:
            return function(*args, **options)
        except TypeError as error:
            # One from inside the function has a frame of it.
            if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                raise
            _refuse_unknown(function, options)
            raise

    if iscoroutinefunction(function):

        @wraps(function)
        async def awaited(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - as it came
            return await called(args, options)

        return awaited

    @wraps(function)
    def checked(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - as it came
        return called(args, options)

    return checked


def _refuse_unknown(function: Callable[..., Any], options: Iterable[str]) -> None:
    from inspect import signature  # noqa: PLC0415 - after a mistake only

    parameters = signature(function).parameters.values()
    known = [p.name for p in parameters if p.kind in {p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY}]
    called = function.__qualname__.removesuffix(".__init__")
    for name in options:
        if name not in known:
            msg = f"{called}() has no argument {name!r}"
            raise ArgumentError(
                msg, hint=unknown(name, [n for n in known if n != "self"])
            ) from None
