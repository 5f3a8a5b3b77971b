"""The options of the commands, made from the table that the library is called by.

An option of a backend is passed as `-o KEY=VALUE`, whatever backend it is: a value is read as JSON
if it is JSON, and as text otherwise.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click
from click.core import ParameterSource

from faithful_decide._asking.options import table
from faithful_decide._core.escaped import variable_shown
from faithful_decide._nearest import nearest
from faithful_decide.errors import FaithfulDecideError, QuestionError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence
    from dataclasses import Field
    from decimal import Decimal

    from faithful_decide._report.gates import Gate

__all__ = [
    "Command",
    "Condition",
    "Dollars",
    "Sentence",
    "arguments",
    "asking",
    "backend_options",
    "helper",
    "in_process",
    "of_backend",
    "read_pairs",
    "secret",
    "with_model",
]

_F = TypeVar("_F", bound="Callable[..., Any]")
_MOST_CONTEXT = 2**20
"""Characters to read of a file; far fewer are refused as too many for a context."""


class Command(click.Command):
    """A command that names the option that was meant by one it does not have."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, with a better guess than by letters alone."""
        flags = {
            flag.lstrip("-").replace("-", "_"): flag
            for parameter in self.params
            for flag in (*parameter.opts, *parameter.secondary_opts)
            if flag.startswith("--")
        }
        for text in args:
            # Of `-question` the parser makes `-q uestion`.
            if (flag := f"-{text.partition('=')[0]}") in flags.values():
                self._refuse(text, f"did you mean {flag}")
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            self._refuse(error.option_name, self._meant(error.option_name, flags, ctx))

    def _refuse(self, name: str, hint: str) -> NoReturn:
        msg = f"there is no option {name}"
        raise UsageError(msg, hint=hint) from None

    def _meant(self, name: str, flags: dict[str, str], ctx: click.Context) -> str:
        if "option" in flags and (pair := _of_a_model(name)):
            return f"pass it to the model, if it has it: -o {pair}"
        places = {p.name or "": p.make_metavar(ctx) for p in self.params if is_argument(p)}
        close = nearest(name, [*flags, *places])
        if close and close[0] in places:
            return f"{places[close[0]]} is written without a flag; see {ctx.command_path} -h"
        if meant := [flags[one] for one in close if one in flags]:
            return f"did you mean {' or '.join(meant)}"
        return f"see {ctx.command_path} -h"


def is_argument(parameter: click.Parameter) -> bool:
    """Whether a parameter is written without a flag."""
    return isinstance(parameter, click.Argument)


def _of_a_model(flag: str) -> str:
    """How an option that some models have is passed to one; empty if none has it."""
    from faithful_decide.backends.registry import options_of  # noqa: PLC0415 - after a mistake

    name = flag.lstrip("-").replace("-", "_")
    if not any(name in options_of(kind) for kind in ("openai", "gguf", "outlines")):
        return ""
    return f"{name}={'env:VARIABLE' if name == 'api_key' else 'VALUE'}"


def asking(
    *, without: Container[str] = (), journal: str | None = None, **texts: str
) -> Callable[[_F], _F]:
    """Add the options of the table; `journal` is the default of that one.

    `texts` say what an option does where that is not what it does for a decision.
    """

    def add(command: _F) -> _F:
        for row in reversed(table()):
            if row.name not in without:
                text = texts.get(row.name, row.metadata["help"])
                command = _made(row, text, journal)(command)
        return command

    return add


def _made(row: Field[Any], text: str, journal: str | None) -> Callable[[_F], _F]:
    flag, kind = f"--{row.name.replace('_', '-')}", str(row.type)
    if row.name == "verdicts":
        return _verdicts
    if kind == "bool" and row.default:
        return click.option(f"{flag}/--no-{flag[2:]}", default=True, show_default=True, help=text)
    if kind == "bool":
        return click.option(flag, is_flag=True, default=False, help=text)
    if row.name == "context":
        return click.option(flag, metavar="FILE|TEXT", default="", show_default="none", help=text)
    if row.name == "journal":
        return click.option(flag, metavar="FILE", default=journal, show_default=True, help=text)
    number: click.ParamType[Any] = click.FloatRange(min=0, min_open=True)
    if kind != "float":
        number = click.IntRange(min=row.metadata["least"])
    return click.option(flag, type=number, default=row.default, show_default=True, help=text)


def _verdicts(command: _F) -> _F:
    command = click.option(
        "--verdict",
        multiple=True,
        metavar="TEXT[=MEANING]",
        help="Offer this verdict, and say what it means. Repeat it for each of them.",
    )(command)
    return click.option(
        "--verdicts",
        metavar="A,B",
        show_default="yes,no",
        help="Let the model choose from these verdicts, separated by commas.",
    )(command)


def arguments(how: Mapping[str, Any]) -> dict[str, Any]:
    """What the options of the table hold, as keyword arguments of the library."""
    given = {row.name: how[row.name] for row in table() if row.name in how}
    verdicts, single = given.pop("verdicts"), how["verdict"]
    if "context" in given:
        given["context"] = _context(given["context"])
    if verdicts is not None and single:
        msg = "the verdicts are given twice"
        raise UsageError(msg, hint="use --verdicts A,B or --verdict, once for each")
    if single:
        given["verdicts"] = _defined(single)
    elif verdicts is not None:
        given["verdicts"] = tuple(part.strip() for part in verdicts.split(","))
    return given


def _defined(single: Sequence[str]) -> Sequence[str] | dict[str, str]:
    """Verdicts as they were given, and what they mean where all of them say so."""
    pairs = [(name.strip(), sign, text.strip()) for name, sign, text in map(_cut, single)]
    names = [name for name, _, _ in pairs]
    if not any(sign for _, sign, _ in pairs) or len(set(names)) < len(names):
        return names  # where one comes twice, that is what is wrong
    for name, sign, _ in pairs:
        if not sign:
            msg = f"the verdict {name!r} has no definition, and others have one"
            raise UsageError(msg, hint="define it too: --verdict TEXT=MEANING")
    return {name: text for name, _, text in pairs}


def _cut(text: str) -> tuple[str, str, str]:
    return text.partition("=")


def _context(given: str) -> str:
    """What a context is: the words, or those in the file that is named."""
    source = click.get_current_context().get_parameter_source("context")
    if source is not ParameterSource.COMMANDLINE:
        return given
    named = " " not in given.strip() and Path(given).suffix.lower() in {".txt", ".md"}
    try:
        if named or Path(given).is_file():
            with Path(given).open(encoding="utf-8") as file:
                given = file.read(_MOST_CONTEXT)
    except (OSError, UnicodeError, ValueError) as error:
        if named:
            msg = f"the context cannot be read from {given}: {error}"
            hint = "name a text file, or write the words themselves"
            raise UsageError(msg, hint=hint) from None
    if not given.strip():
        msg = "the context is empty"
        raise QuestionError(msg, hint="leave out --context, or say what counts")
    return given


def with_model(command: _F) -> _F:
    """Add the options that name a model."""
    command = of_backend(command)
    return click.option(
        "--model",
        metavar="SPEC",
        show_default="$FAITHFUL_DECIDE_MODEL, then embedded",
        help="Ask this model: embedded, openai/NAME, vllm/NAME, ollama/NAME, gguf/PATH ...",
    )(command)


def of_backend(command: _F) -> _F:
    """Add the options that say how a model is loaded, wherever it runs."""
    command = click.option(
        "--base-url",
        metavar="URL",
        help="Ask the server at this address. Short for -o base_url=URL.",
    )(command)
    return in_process(command)


def in_process(command: _F) -> _F:
    """Add the options that say how a model in this process is loaded."""
    return _pairs("--option", "-o", "options", who="the backend")(command)


def helper(name: str, text: str) -> Callable[[_F], _F]:
    """Add the options for a second model, such as the reader of an audit."""

    def add(command: _F) -> _F:
        flag = f"--{name.removesuffix('-model')}-option"
        command = _pairs(flag, f"{name.replace('-', '_')}_options", who=f"the model of --{name}")(
            command
        )
        return click.option(f"--{name}", metavar="SPEC", help=text)(command)

    return add


def _pairs(*names: str, who: str) -> Callable[[_F], _F]:
    return click.option(
        *names,
        type=_Pair(),
        multiple=True,
        metavar="KEY=VALUE",
        help=f"Pass an option to {who}, such as temperature=false. May be repeated.",
    )


class _Pair(click.ParamType[tuple[str, str]]):
    name = "key=value"

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, str]:
        """Cut it at the first equals sign."""
        key, sign, text = str(value).partition("=")
        if not sign or not key.strip():
            self.fail(f"{value!r} is not KEY=VALUE", param, ctx)
        return key.strip().replace("-", "_"), text


def backend_options(spec: str | None, how: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the backend of `--model`."""
    pairs: list[tuple[str, str]] = list(how["options"])
    if how.get("base_url") is not None:
        pairs.append(("base_url", how["base_url"]))
    return read_pairs(spec, pairs)


def read_pairs(spec: str | None, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Read pairs as the backend of a spec takes them."""
    from faithful_decide._api.opening import spec_of  # noqa: PLC0415 - slow to load
    from faithful_decide.backends.registry import check_options, options_of  # noqa: PLC0415 - the same

    if not pairs:
        return {}
    named = str(spec_of(spec))
    own = [
        parameter.name or ""
        for parameter in click.get_current_context().command.params
        if isinstance(parameter, click.Option) and parameter.name not in {"options", "as_json"}
    ]
    check_options(named, [key for key, _ in pairs], known=own)
    kinds = options_of(named)
    read: dict[str, Any] = {}
    for key, text in pairs:
        if key in read:
            msg = f"the option {key} is given twice"
            raise UsageError(msg, hint="pass it once")
        read[key] = (
            secret("-o api_key=", text)
            if key == "api_key"
            else _value(key, text, kinds.get(key, "Any"))
        )
    return read


_KINDS: Mapping[type, str] = {
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    dict: "dict",
    list: "list",
    type(None): "None",
}
_CALLED = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "dict": "an object of JSON",
    "list": "a list of JSON",
}


def _value(key: str, text: str, annotation: object) -> Any:  # noqa: ANN401 - of any kind
    """JSON, where that is what the option takes; else text."""
    written = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    taken = {part.partition("[")[0].strip() for part in re.split(r"\|(?![^\[]*\])", written)}
    try:
        value = json.loads({"True": "true", "False": "false", "None": "null"}.get(text, text))
    except (ValueError, RecursionError):
        value = text
    kind = _KINDS[type(value)]
    if kind in taken or (kind == "int" and "float" in taken):
        return value
    if taken & {"str", "Literal"}:
        return text
    if not taken <= set(_KINDS.values()):
        return value
    wanted = " or ".join(_CALLED[kind] for kind in _CALLED if kind in taken)
    msg = f"the option {key} is {wanted}, not {text!r}"
    raise UsageError(msg, hint=f"pass {key}= with such a value")


def secret(flag: str, text: str) -> str:
    """A key from where only its owner can read it; arguments can be read by everybody."""
    source, _, place = text.partition(":")
    hint = f"name a variable or a file that holds it: {flag}env:NAME or {flag}file:PATH"
    if source == "env" and place:
        if not (value := os.environ.get(place)):
            msg = f"there is no key in the environment variable {variable_shown(place)}"
            raise UsageError(msg, hint="set it, or name another one")
        return value
    if source == "file" and place:
        try:
            key = Path(place).read_bytes()
        except (OSError, ValueError) as error:
            msg = f"the key cannot be read from {place}: {error}"
            raise UsageError(msg, hint=hint) from None
        try:
            return key.decode().strip()
        except UnicodeDecodeError:
            # One for signatures may be any bytes.
            return key.decode(errors="surrogateescape")
    msg = "a key on the command line can be seen by everybody who can list processes"
    raise UsageError(msg, hint=hint)


class Sentence(click.ParamType[str]):
    """A question; a file in its place means that it was forgotten, or does not come last."""

    name = "text"

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str:
        """Refuse the path of a file."""
        if "/" in str(value) or "." in str(value):
            with suppress(OSError, ValueError):
                if Path(str(value)).is_file():
                    self.fail(f"{value} is a file; write the question last", param, ctx)
        return str(value)


class Condition(click.ParamType["Gate"]):
    """A condition that a report has to meet: `flag!=NAME`, `flag!=*` or `CHECK<NUMBER`."""

    name = "gate"

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Gate:
        """Refuse what cannot be checked before anything is asked."""
        from faithful_decide._report.gates import Gate  # noqa: PLC0415 - slow to load

        if isinstance(value, Gate):
            return value
        try:
            return Gate.read(str(value))
        except FaithfulDecideError as error:
            self.fail(f"{error}; {error.hint}", param, ctx)


class Dollars(click.ParamType["Decimal"]):
    """An amount of US dollars."""

    name = "usd"

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Decimal:
        """Refuse what is no amount above 0."""
        from decimal import Decimal, InvalidOperation  # noqa: PLC0415 - only here

        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            amount = Decimal(-1)
        if not amount.is_finite() or amount <= 0:
            self.fail(f"{value!r} is not an amount of US dollars", param, ctx)
        return amount
