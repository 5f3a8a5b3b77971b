"""The command line: parse, call the library, print. No logic of its own.

Data goes to stdout, notices and errors to stderr, so that output can be piped. Exit codes: 0 the
question was decided (or the stored decision verified), 1 it was not, 2 the command was used
wrongly, 3 something has to be installed or configured first.
"""

from __future__ import annotations

import errno
from typing import Any

import click

from faithful_decide._cli.audit import audit, audit_dataset
from faithful_decide._cli.batch import batch, certify, compare
from faithful_decide._cli.decide import decide, demo, probe, verify
from faithful_decide._cli.models import models
from faithful_decide._cli.samples import samples
from faithful_decide._cli.terminal import as_typed, notices, prepare, say, silence, tell
from faithful_decide._version import __version__
from faithful_decide.errors import (
    AuthError,
    FaithfulDecideError,
    ImageError,
    MissingExtraError,
    QuestionError,
    UnsupportedError,
    UsageError,
)

__all__ = ["code_of", "main", "run"]

FAILED, USAGE, CONFIGURATION = 1, 2, 3
_CODES: tuple[tuple[type[FaithfulDecideError], int], ...] = (
    (QuestionError, USAGE),
    (ImageError, USAGE),
    (UnsupportedError, CONFIGURATION),
    (MissingExtraError, CONFIGURATION),
    (AuthError, CONFIGURATION),
    (UsageError, USAGE),
)

_PLAIN = {
    "is not a valid integer range": "is not a whole number",
    "is not a valid float range": "is not a number",
    "is not in the range x>=": "is below ",
    "is not in the range x>": "is not above ",
}
"""What click says of a number, and what that means."""


class Program(click.Group):
    """The group of commands; it knows which of them an error came from."""

    def invoke(self, ctx: click.Context) -> int:
        """Run a command, and make its exit code."""
        try:
            code = super().invoke(ctx)
        except FaithfulDecideError as error:
            tell(error, self._used(ctx))
            return code_of(error)
        return code if isinstance(code, int) else 0

    def _used(self, ctx: click.Context) -> click.Context:
        command = self.commands.get(ctx.invoked_subcommand or "", self)
        return click.Context(command, parent=ctx, info_name=command.name)


def code_of(error: FaithfulDecideError) -> int:
    """The exit code of an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILED)


def run() -> int:
    """Run the program on the arguments of this process, and return its exit code.

    A `KeyboardInterrupt` is raised, after it was told: whoever catches it ends the process.
    """
    prepare()
    try:
        with notices():
            code: int = main.main(prog_name="faithful-decide", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return USAGE
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        message = error.format_message()
        for words, plain in _PLAIN.items():
            message = message.replace(words, plain)
        say(f"error: {as_typed(message, context) if context else message}")
        if context:
            say(f"hint: see {context.command_path} -h")
        return error.exit_code
    except click.Abort:
        say("interrupted")
        raise KeyboardInterrupt from None
    except BrokenPipeError:
        # The reader has gone (`| head`).
        silence()
        return FAILED
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EBADF, errno.EIO}:
            raise
        silence()
        say(f"error: standard output cannot be written to: {error.strerror}")
        return FAILED
    return code


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """Ask a vision-language model a closed question about an image.

    The model writes what it sees, then its reasoning, then the verdict.

    Example: faithful-decide decide photo.jpg "Is there a dog in this image?" --model openai/NAME

    \b
    For tab completion, add this to ~/.bashrc (or use zsh_source or fish_source):
    eval "$(_FAITHFUL_DECIDE_COMPLETE=bash_source faithful-decide)"
    """  # noqa: D301 - a backspace keeps click from wrapping what is to be copied


_COMMANDS: tuple[Any, ...] = (
    *(decide, demo, verify, probe, audit, audit_dataset, batch, compare, certify, models, samples),
)
for _command in _COMMANDS:
    main.add_command(_command)
