"""What all commands share about output: where it goes, and that a terminal can be trusted with it.

Data goes to stdout, everything else to stderr. What an encoding cannot hold is escaped as in JSON,
so that no letter of a model ends the program, and JSON still says the same.
"""

from __future__ import annotations

import codecs
import json
import logging
import os
import re
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import click

from faithful_decide._core.escaped import visible
from faithful_decide.errors import ReplyError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from faithful_decide._core.display import Displayable
    from faithful_decide.errors import FaithfulDecideError

__all__ = [
    "as_typed",
    "data",
    "document",
    "notices",
    "prepare",
    "say",
    "shown",
    "silence",
    "table",
    "tell",
]


def prepare() -> None:
    """Let streams escape what their encoding cannot hold, and nothing take the place of one."""
    with suppress(OSError):
        # What is opened next would get the number of a stream that is closed.
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004 - the three streams
            pass
        os.close(number)
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123 - to the end
    codecs.register_error("faithful_decide", _escaped)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="faithful_decide")


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def data(line: str) -> None:
    """Print a line of data."""
    _out(visible(line, keep=""))


def document(text: str) -> None:
    """Print JSON, which may have several lines."""
    _out(visible(text, keep="\n"))


def table(rows: Iterable[tuple[str, str]], width: int = 0) -> None:
    """Print names and what they stand for, the names in bold where there is a terminal."""
    rows = list(rows)
    width = width or max(len(name) for name, _ in rows)
    bold = "NO_COLOR" not in os.environ and sys.stdout is not None and sys.stdout.isatty()
    for name, text in rows:
        label = visible(f"{name:<{width}}", keep="")
        _out(f"{click.style(label, bold=True) if bold else label}  {visible(text, keep='')}", bold)


def shown(result: Displayable) -> None:
    """Print a result as `print` in Python does."""
    from faithful_decide._report.lines import lines_of  # noqa: PLC0415 - slow to load

    table(lines_of(result))


def _out(text: str, color: bool = False) -> None:
    if sys.stdout is None:
        msg = "there is nowhere to write to: standard output is closed"
        raise StorageError(msg, hint="send it to a file, or to /dev/null")
    try:
        click.echo(text, color=color)
    except BrokenPipeError:
        raise
    except OSError as error:
        silence()
        msg = f"standard output cannot be written to: {error.strerror}"
        raise StorageError(msg, hint="make room, or send it to another place") from None


def silence() -> None:
    """Write no more to a stdout that cannot take it; Python would complain while exiting."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(text: str) -> None:
    """Print a line that is no data."""
    with suppress(OSError):  # without a reader for notices the work goes on all the same
        click.echo(visible(text, keep=""), err=True)


@contextmanager
def notices() -> Iterator[None]:
    """Show what the library logs, above all what it waits for."""
    handler = _Notices(logging.INFO)
    logger = logging.getLogger("faithful_decide")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _Notices(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(f"note: {record.getMessage()}")


def tell(error: FaithfulDecideError, context: click.Context) -> None:
    """Print an error of the library as it is to be understood on the command line."""
    say(f"error: {as_typed(str(error), context)}")
    if error.hint:
        say(f"hint: {as_typed(error.hint, context)}")
    if isinstance(error, ReplyError) and error.reply is not None:
        say(f"reply: {error.reply.text}")


_ARGUMENT = re.compile(
    r"""(?<![\w?&/.='"-])(?<!-o )(?P<name>[a-z][a-z_]*)=(?![=>])"""
    r"""(?P<value>"[^"]*"|'[^']*'|\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}|[\w.+-]+(?<!\.))?"""
)
"""An option as errors name it: as Python writes it, such as `timeout=` or `allow_urls=True`."""


def as_typed(text: str, context: click.Context) -> str:
    """Write the options that a text names as this command takes them.

    Those that the command does not have are options of a backend, where it has such.
    """
    flags = {
        parameter.name: parameter
        for parameter in context.command.params
        if isinstance(parameter, click.Option)
    }

    def typed(match: re.Match[str]) -> str:
        name, value = match["name"], _plain(match["value"] or "")
        if name in flags:
            return _flag(flags[name], value)
        if "options" not in flags:
            return match[0]
        return f"-o {name}={'env:VARIABLE' if name == 'api_key' else value}"

    return _ARGUMENT.sub(typed, text)


def _flag(option: click.Option, value: str) -> str:
    longest = max(option.opts, key=len)
    if option.is_flag:
        return max(option.secondary_opts, key=len) if value == "false" else longest
    return f"{longest} {value}".strip()


def _plain(value: str) -> str:
    """A value of Python as a shell or JSON has it."""
    if value in {"True", "False", "None"}:
        return {"True": "true", "False": "false", "None": "null"}[value]
    if value.startswith(("(", "[")):
        return ",".join(part.strip(" '\"") for part in value[1:-1].split(",") if part.strip())
    return value.strip("'\"")
