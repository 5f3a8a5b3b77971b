"""Which kinds of backends there are, how a model spec names one, and how a kind is added.

A model spec is a kind, and after the first `/` (or `:`) what that kind wants to know:

    embedded                   the small model that comes with the package
    gguf/PATH                  a GGUF file, with its projector beside it
    gguf/PATH#MMPROJ           the same, the projector named
    gguf/hf:OWNER/REPO:QUANT   a model of the Hugging Face hub, fetched once with its projector
    openai/NAME                a hosted model, or with base_url= any server of that protocol
    anthropic/NAME             a model of Anthropic
    google/NAME                a model of Google
    azure, openrouter          other hosts
    vllm, sglang, llamacpp-server, ollama, lmstudio, litellm     servers of your own
    outlines/NAME_OR_FOLDER    a model of Transformers in this process, or loaded in Outlines
    instructor/PROVIDER/NAME   a provider that instructor knows; its clients are taken as they are

A kind has a loader. It is called with the rest of the spec and the caller's options, and returns a
`Backend`; the options of a backend are the keyword parameters of its loader. Those above are in a
table of strings, so that nothing is imported before it is asked for. `register_backend` adds a kind
to this process. A package that wants its kind in every process, the command line included, declares
the loader as an entry point of the group `faithful_decide.backends`, under the name of the kind.
"""

from __future__ import annotations

import inspect
import re
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from faithful_decide._nearest import hinting
from faithful_decide._public import public
from faithful_decide.backends.base import Backend
from faithful_decide.errors import UnsupportedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeAlias, TypeGuard

    Loader: TypeAlias = Callable[..., Backend]

__all__ = [
    "adopt",
    "bring",
    "check_options",
    "forget_backend",
    "is_backend",
    "kinds",
    "load_backend",
    "loader_to_take_along",
    "not_a_backend",
    "options_of",
    "register_backend",
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
    "litellm",
    "anthropic",
    "google",
)
"""The keys of `_openai.presets.PRESETS`, which is loaded when one of them is asked for."""
_SHIPPED = {
    "embedded": "faithful_decide.backends.llamacpp:load_embedded",
    "gguf": "faithful_decide.backends.llamacpp:load_gguf",
    "outlines": "faithful_decide.backends.outlines:load_outlines",
    "instructor": "faithful_decide.backends.instructor:load_instructor",
    **dict.fromkeys(_SERVERS, "faithful_decide.backends.openai:OpenAIBackend"),
}
_GROUP = "faithful_decide.backends"
_KIND = re.compile(r"[a-z][a-z0-9_.-]*")
_MEMBERS = ("name", "identity", "capabilities", "generate", "close")
_ADOPTED = {"instructor": "InstructorBackend", "outlines": "OutlinesBackend"}
_registered: dict[str, Loader] = {}


@public
@hinting
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
    kind, _, rest = split_spec(spec)
    backend = _loader(spec)(rest, **options)
    if not is_backend(backend):
        raise not_a_backend(backend, f"what the loader of {kind!r} returned")
    return backend


@public
@hinting
def register_backend(kind: str, loader: Callable[..., Backend]) -> None:
    """Add a kind of backend: `KIND/REST` is then a model spec, wherever one is taken.

    Args:
        kind: The name before the first `/` of a spec: small letters, digits, `-`, `_` and `.`.
        loader: Is called with the rest of the spec and returns a backend. Its keyword parameters
            are the options of the backend. Processes that are started for it import it by its
            name, so it is best defined at the top of a module.

    Raises:
        UsageError: The kind exists, or it cannot be one; or the loader cannot be called like this.
    """
    if not _KIND.fullmatch(str(kind)):
        msg = f"{kind!r} cannot be a kind of backend"
        hint = "begin with a small letter, and go on with those, digits, '-', '_' and '.'"
        raise UsageError(msg, hint=hint)
    if kind in kinds():
        msg = f"there is a kind of backend {kind!r} already"
        raise UsageError(msg, hint="use another name")
    try:
        inspect.signature(loader).bind_partial("the rest of a spec")
    except (TypeError, ValueError):
        msg = f"the loader of {kind!r} cannot be called with the rest of a spec"
        hint = "pass a function of one argument, whose keyword parameters are the options"
        raise UsageError(msg, hint=hint) from None
    _registered[kind] = loader


def forget_backend(kind: str) -> None:
    """Take a registered kind away again."""
    _registered.pop(kind, None)


def kinds() -> list[str]:
    """The kinds that there are in this process."""
    return list(dict.fromkeys((*_SHIPPED, *_declared(), *_registered)))


def loader_to_take_along(spec: str) -> Loader | None:
    """What another process must be given to load a spec; None if it finds the loader by itself."""
    return _registered.get(split_spec(spec)[0])


def bring(spec: str, loader: Loader | None) -> None:
    """Know in this process what was registered in another one."""
    if loader is not None:
        _registered.setdefault(split_spec(spec)[0], loader)


def options_of(spec: str) -> dict[str, Any]:
    """The options of the backend that a spec names, each with its annotation."""
    _, *parameters = inspect.signature(_loader(spec)).parameters.values()
    return {p.name: p.annotation for p in parameters if p.name != "kind"}


def check_options(spec: str, options: Iterable[str], known: Iterable[str] = ()) -> None:
    """Refuse an unknown kind, options that it does not have, and a lack of those that it needs.

    `known` are other names that the caller may have meant: the arguments of the function called.
    """
    loader = _loader(spec)
    _, *parameters = inspect.signature(loader).parameters.values()
    kind, own = split_spec(spec)[0], {p.name for p in parameters if p.name != "kind"}
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        for name in options:
            if name not in own:
                from faithful_decide._nearest import unknown  # noqa: PLC0415 - after a mistake

                msg = f"there is no option {name!r} for the backend {kind!r}"
                hint = unknown(name, [*known, *sorted(own)])
                if not hint.startswith("did") and (others := _kinds_with(name)):
                    hint = f"{others}; {kind} has: {', '.join(sorted(own))}"
                raise UnsupportedError(msg, hint=hint)
    try:
        inspect.signature(loader).bind("", **dict.fromkeys(options))
    except TypeError as error:
        msg = f"the backend {kind!r} cannot be loaded like this: {error}"
        raise UnsupportedError(msg, hint="pass what is missing as an option") from None


def _kinds_with(name: str) -> str:
    """Say which kinds of the package have an option like this."""
    from faithful_decide._nearest import nearest  # noqa: PLC0415 - after a mistake

    shown = {
        "vllm": "a server, such as vllm/NAME",
        "gguf": "gguf/PATH",
        "outlines": "outlines/NAME",
    }
    for kind, text in shown.items():
        if meant := nearest(name, options_of(kind)):
            return f"{meant[0]} is an option of {text}"
    return ""


def _loader(spec: str) -> Loader:
    """What loads the kind of backend that a spec names."""
    kind, _, _ = split_spec(spec)
    if kind in _SHIPPED:
        module, _, name = _SHIPPED[kind].partition(":")
        loader: Loader = getattr(import_module(module), name)
        # One loader for many kinds is told which.
        return partial(loader, kind=kind) if kind in _SERVERS else loader
    if kind in _registered:
        return _registered[kind]
    if kind in (declared := _declared()):
        return declared[kind].load()  # type: ignore[no-any-return] # as declared
    msg = f"the model spec {spec!r} begins with no kind of backend"
    raise UnsupportedError(msg, hint=_hint(spec))


def _declared() -> dict[str, Any]:
    """The kinds that installed packages declare."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and not for our own kinds

    return {point.name: point for point in entry_points(group=_GROUP)}


def _hint(spec: str) -> str:
    """What a spec without a known kind may have been meant to be, else what there is."""
    from faithful_decide.backends._nearest_spec import nearest_spec  # noqa: PLC0415 - after a mistake

    meant = nearest_spec(spec.strip(), kinds())
    if meant and " or " not in meant:
        return f"did you mean {meant}"
    what = f"did you mean {meant}" if meant else "write KIND/NAME"
    return f"{what}; the kinds are: {', '.join(kinds())}"


def adopt(value: object) -> Backend | None:
    """Make a backend of a live object of a library that this one knows; None if it is no such."""
    package = type(value).__module__.partition(".")[0]
    if package not in _ADOPTED:
        return None
    home = import_module(f"faithful_decide.backends.{package}")
    backend: Backend = getattr(home, _ADOPTED[package])(value)
    return backend


def is_backend(value: object) -> TypeGuard[Backend]:
    """Whether a value has all that a backend has; the class of one has not."""
    return isinstance(value, Backend) and not isinstance(value, type)


def not_a_backend(value: object, what: str = "a model") -> UnsupportedError:
    """Say what a value lacks to be a backend."""
    kind = value.__name__ if isinstance(value, type) else type(value).__name__
    lacks = [name for name in _MEMBERS if not hasattr(value, name)]
    if "generate" in lacks:
        msg = f"{what} is a spec or a backend, not {kind}"
        return UnsupportedError(msg, hint='pass model="embedded", or what load_backend returned')
    if isinstance(value, type):
        msg = f"{what} is a spec or a backend, and {kind} is the class of one"
        return UnsupportedError(msg, hint=f'pass {kind}(...), or a spec such as "embedded"')
    msg = f"{kind} is not a backend yet: it has no {' and no '.join(lacks)}"
    hint = "the docstring of faithful_decide.backends.base says what each of its members is for"
    return UnsupportedError(msg, hint=hint)


def split_spec(spec: str) -> tuple[str, str, str]:
    """Cut a spec at its first separator, whichever of the two it is."""
    first = re.search("[/:]", spec)
    return spec.strip().partition(first.group()) if first else (spec.strip(), "", "")
