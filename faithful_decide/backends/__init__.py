"""Which backends there are, and how to name one.

A model spec is a kind, and after the first `/` (or `:`) what that kind wants to know:

    embedded                   the small model that comes with the package
    gguf/PATH                  a GGUF file, with its projector beside it
    gguf/PATH#MMPROJ           the same, the projector named
    openai/NAME                a hosted model, or with base_url= any server of that protocol
    azure, openrouter          other hosts
    vllm, sglang, llamacpp-server, ollama, lmstudio      servers of your own
    outlines/NAME_OR_FOLDER    a model of Transformers in this process; a model of Outlines, too
    instructor/PROVIDER/NAME   a provider that instructor knows; its clients are taken as they are

The table below maps a kind to a loader, as a string, so that nothing is imported before it is
asked for. A loader is called with the rest of the spec and the caller's options, and returns a
`Backend`; the options of a backend are the keyword parameters of its loader.
"""

from __future__ import annotations

import inspect
import re
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from faithful_decide._public import public
from faithful_decide.backends.base import (
    AsyncBackend,
    Backend,
    Capabilities,
    Hidden,
    ImageLimits,
    Purpose,
    Reply,
    Request,
    Token,
    Usage,
)
from faithful_decide.backends.probe_report import Check
from faithful_decide.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "AsyncBackend",
    "Backend",
    "Capabilities",
    "Check",
    "Hidden",
    "ImageLimits",
    "Purpose",
    "Reply",
    "Request",
    "Token",
    "Usage",
    "adopt",
    "check_options",
    "load_backend",
    "not_a_backend",
    "split_spec",
]

_SERVERS = (
    "openai",
    "azure",
    "openrouter",
    "vllm",
    "sglang",
    "llamacpp-server",
    "ollama",
    "lmstudio",
)
"""The keys of `_openai.presets.PRESETS`, which is loaded when one of them is asked for."""
_LOADERS = {
    "embedded": "faithful_decide.backends.llamacpp:load_embedded",
    "gguf": "faithful_decide.backends.llamacpp:load_gguf",
    "outlines": "faithful_decide.backends.outlines:load_outlines",
    "instructor": "faithful_decide.backends.instructor:load_instructor",
    **dict.fromkeys(_SERVERS, "faithful_decide.backends.openai:OpenAIBackend"),
}


_MEMBERS = ("name", "identity", "capabilities", "generate", "close")
_ADOPTED = {"instructor": "InstructorBackend", "outlines": "OutlinesBackend"}


@public
def load_backend(spec: str, **options: Any) -> Backend:  # noqa: ANN401 - checked per backend below
    """Load the backend that a model spec names.

    Args:
        spec: A model spec, such as `embedded` or `gguf/model.gguf#mmproj.gguf`.
        **options: Options of that backend, such as `n_threads`.

    Returns:
        The backend, ready to be called. Close it when done.

    Raises:
        UnsupportedError: There is no such kind of backend, or it has no such option.
        MissingExtraError: What it runs on is not installed.
        BackendError: It cannot be started.
    """
    check_options(spec, options)
    return _loader(spec)(split_spec(spec)[2], **options)


def check_options(spec: str, options: Iterable[str], known: Iterable[str] = ()) -> None:
    """Refuse options that the backend of a spec does not have.

    `known` are other names that the caller may have meant: the arguments of the function called.
    """
    _, *parameters = inspect.signature(_loader(spec)).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    own = [parameter.name for parameter in parameters if parameter.name != "kind"]
    for name in options:
        if name not in own:
            from faithful_decide._core.nearest import unknown  # noqa: PLC0415 - after a mistake

            msg = f"there is no option {name!r} for the backend {split_spec(spec)[0]!r}"
            raise UnsupportedError(msg, hint=unknown(name, [*known, *own]))


def _loader(spec: str) -> Callable[..., Backend]:
    """What loads the kind of backend that a spec names; one loader for many kinds is told which."""
    kind, _, _ = split_spec(spec)
    if kind not in _LOADERS:
        msg = f"there is no backend of the kind {kind!r} (in the model spec {spec!r})"
        raise UnsupportedError(msg, hint=f"use one of: {', '.join(_LOADERS)}")
    module, _, name = _LOADERS[kind].partition(":")
    loader: Callable[..., Backend] = getattr(import_module(module), name)
    return partial(loader, kind=kind) if "kind" in inspect.signature(loader).parameters else loader


def adopt(value: object) -> Backend | None:
    """Make a backend of a live object of a library that this one knows.

    Args:
        value: Whatever was passed as a model.

    Returns:
        The backend, or None if it is no such object.
    """
    package = type(value).__module__.partition(".")[0]
    if package not in _ADOPTED:
        return None
    home = import_module(f"faithful_decide.backends.{package}")
    backend: Backend = getattr(home, _ADOPTED[package])(value)
    return backend


def not_a_backend(value: object) -> UnsupportedError:
    """Say what a value lacks to be a backend."""
    kind = value.__name__ if isinstance(value, type) else type(value).__name__
    lacks = [name for name in _MEMBERS if not hasattr(value, name)]
    if isinstance(value, type) and "generate" not in lacks:
        msg = f"a model is a spec or a backend, and {kind} is the class of one"
        return UnsupportedError(msg, hint=f"pass {kind}(...)")
    if "generate" in lacks:
        msg = f"a model is a spec or a backend, not {kind}"
        return UnsupportedError(msg, hint='pass model="embedded", or what load_backend returned')
    msg = f"{kind} is not a backend yet: it has no {' and no '.join(lacks)}"
    hint = "the docstring of faithful_decide.backends.base says what each of its members is for"
    return UnsupportedError(msg, hint=hint)


def split_spec(spec: str) -> tuple[str, str, str]:
    """Cut a spec at its first separator, whichever of the two it is.

    Args:
        spec: A model spec.

    Returns:
        Its kind, the separator, and the rest.
    """
    first = re.search("[/:]", spec)
    return spec.strip().partition(first.group()) if first else (spec.strip(), "", "")
