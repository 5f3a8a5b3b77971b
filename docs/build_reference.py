# ruff: noqa: INP001 - a script beside the pages, not a package
"""Writes the generated parts of `docs/reference/` from the code they describe.

    python docs/build_reference.py            # write
    python docs/build_reference.py --check    # only say what is stale, exit code 1

A generated part stands between two marks, `<!-- begin NAME -->` and `<!-- end NAME -->`; everything
else on a page is written by hand. The Python API is not written here: the site takes it from the
docstrings when it is built.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from faithful_decide import errors as error_tree
from faithful_decide._cli.main import main as program
from faithful_decide._core.prompt import SYSTEM
from faithful_decide._core.schema import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DOCS = Path(__file__).resolve().parent


def fenced(code: str) -> list[str]:
    """Code that is shown, not run."""
    return ["```text", code, "```", ""]


def cell(text: str) -> str:
    """A text inside a table."""
    return " ".join(text.split()).replace("|", "\\|")


def errors() -> Iterator[str]:
    """The tree in the docstring of the errors."""
    doc = inspect.getdoc(error_tree) or ""
    tree = [
        line for line in doc.splitlines() if re.match(r"FaithfulDecideError|\+ |[|] - |  - ", line)
    ]
    yield from fenced("\n".join(tree))


def commands() -> Iterator[str]:
    """Every command with its arguments and options."""
    assert isinstance(program, click.Group)  # noqa: S101 - for the type checker
    yield from [*click_doc(program), *parameters(program)]
    for name, command in program.commands.items():
        yield from [f"## `{name}`", ""]
        usage = command.make_context(name, ["--help"], resilient_parsing=True).command_path
        pieces = [p.human_readable_name.upper() for p in command.params if is_argument(p)]
        yield from fenced(f"faithful-decide {' '.join([usage, '[OPTIONS]', *pieces])}")
        yield from [*click_doc(command), *parameters(command)]


def is_argument(parameter: click.Parameter) -> bool:
    """Whether a parameter is given by place."""
    return isinstance(parameter, click.Argument)


def click_doc(command: click.Command) -> list[str]:
    """The help of a command."""
    lines = re.sub(r"[\b\f]", "", textwrap.dedent(command.help or "")).strip().splitlines()
    return [" ".join(line.split()) for line in lines] + [""]


def parameters(command: click.Command) -> list[str]:
    """A table of the options of a command."""
    rows = []
    for option in command.params:
        if not isinstance(option, click.Option):
            continue
        names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
        takes = "" if option.is_flag else f"`{option.metavar or option.type.name.upper()}`"
        default = option.show_default if isinstance(option.show_default, str) else option.default
        plain = isinstance(default, str | int | float) and not isinstance(default, bool)
        default = f"`{default}`" if plain and not option.is_flag else ""
        rows.append(f"| {names} | {takes} | {default} | {cell(option.help or '')} |")
    rows.append("| `-h`, `--help` | | | Show the help and exit. |")
    return ["| option | takes | default | |", "|---|---|---|---|", *rows, ""]


def wording() -> Iterator[str]:
    """The message that tells a model how to reply."""
    lines = (textwrap.fill(line, 100) for line in SYSTEM.splitlines())
    yield from fenced("\n".join(lines))


def json_schema() -> Iterator[str]:
    """The schema of a reply to a yes/no question."""
    contract: dict[str, Any] = schema(("yes", "no", "cannot_tell"))
    text = json.dumps(contract, indent=2)
    # Short lists and objects on one line.
    text = re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text)
    text = re.sub(r"\{\s+([^\[\]{}]*?)\s+\}", lambda m: f"{{{' '.join(m[1].split())}}}", text)
    yield from ["```json", text, "```", ""]


PARTS: dict[str, dict[str, Callable[[], Iterator[str]]]] = {
    "reference/cli.md": {"commands": commands},
    "reference/contract.md": {"wording": wording, "schema": json_schema},
    "reference/errors.md": {"tree": errors},
}


def build(page: str) -> str:
    """What a page should say.

    Args:
        page: Its path below `docs/`.

    Returns:
        The text of the page with its generated parts renewed.
    """
    text = (DOCS / page).read_text(encoding="utf-8")
    for name, part in PARTS[page].items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        head, found, rest = text.partition(begin)
        _, closed, tail = rest.partition(end)
        if not (found and closed):
            msg = f"docs/{page} lacks the marks {begin} and {end}"
            raise SystemExit(msg)
        body = "\n".join(part()).rstrip()
        text = f"{head}{begin}\n\n{body}\n\n{end}{tail}"
    return re.sub(r"\n{3,}", "\n\n", text)


def main() -> int:
    """Write the generated parts, or check them.

    Returns:
        The exit code: 1 if something was stale and only checked.
    """
    parser = argparse.ArgumentParser(description="write the generated parts of the reference")
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    stale = [p for p in PARTS if build(p) != (DOCS / p).read_text(encoding="utf-8")]
    for page in stale:
        sys.stdout.write(f"{'stale' if check else 'written'}: docs/{page}\n")
        if not check:
            (DOCS / page).write_text(build(page), encoding="utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
