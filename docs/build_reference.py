# ruff: noqa: INP001 - a script beside the pages, not a package
"""Writes the generated parts of `docs/reference/` from the code they describe.

    python docs/build_reference.py            # write
    python docs/build_reference.py --check    # only say what is stale, exit code 1

A generated part stands between two marks, `<!-- begin NAME -->` and `<!-- end NAME -->`; everything
else on a page is written by hand. Signatures and docstrings are read from the source text, not from
the loaded objects, so the result does not depend on the Python it was made with.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from faithful_decide._cli.main import main as program
from faithful_decide._core.prompt import SYSTEM
from faithful_decide._core.schema import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DOCS = Path(__file__).resolve().parent
PACKAGE = DOCS.parent / "faithful_decide"
WIDTH = 106

SECTIONS: dict[str, tuple[str, ...]] = {
    "Deciding": (
        "_api/decide:decide",
        "_api/decide:adecide",
        "_api/decide:Decider",
        "_core/types:Question",
        "_core/types:CANNOT_TELL",
    ),
    "What comes back": (
        "_core/types:Decision",
        "_core/types:Observation",
        "_core/types:Derived",
        "_core/types:Scores",
        "_core/types:Receipt",
        "_core/types:Span",
        "_core/types:Usage",
        "_core/types:Enforcement",
        "_core/types:Finish",
    ),
    "Many images": (
        "_api/many:decide_many",
        "_batch/row:Item",
        "_batch/row:Row",
        "_batch/journal:Journal",
        "_batch/export:read_rows",
    ),
    "Stored decisions": ("_api/stored:verify_stored", "_batch/price:price_usd"),
    "Auditing": (
        "_api/audit:audit",
        "_api/audit:aaudit",
        "_api/audit:audit_dataset",
        "_api/judge_check:check_judge",
        "_api/judge_check:JudgeCheck",
        "_audit/types:AuditReport",
        "_audit/types:DatasetAudit",
        "_audit/types:CheckReport",
        "_audit/types:Tally",
        "_audit/types:Trial",
        "_audit/types:Forced",
        "_audit/types:Conflict",
        "_audit/types:Judgement",
        "_audit/types:Flag",
        "_audit/types:ItemAudit",
        "_audit/types:DatasetFlag",
    ),
    "Reports": (
        "_report/html:write_html",
        "_report/html:render_html",
        "_report/junit:write_junit",
        "_report/junit:junit_xml",
        "pytest_plugin:assert_audit_clean",
        "pytest_plugin:faithful_decider",
    ),
    "Models": (
        "backends/__init__:load_backend",
        "backends/llamacpp:load_embedded",
        "backends/llamacpp:load_gguf",
        "backends/openai:OpenAIBackend",
        "backends/outlines:load_outlines",
        "backends/instructor:load_instructor",
        "_api/probe:probe",
        "backends/probe_report:ProbeReport",
        "backends/probe_report:Check",
    ),
    "As a classifier": (
        "sklearn:VerdictClassifier",
        "_sklearn/inputs:DataError",
        "pipelines:as_pipeline",
        "pipelines:VerdictPipeline",
        "calibration:reliability",
        "calibration:Reliability",
        "calibration:Bin",
        "calibration:calibration_svg",
    ),
    "As columns of large tables": ("daft:decide_udf", "ray:DecideBatch"),
    "In tests": ("testing:ScriptedBackend", "testing:reply_text"),
    "Organisms": (
        "organisms:organisms",
        "organisms:Topic",
        "organisms:Honest",
        "organisms:Obedient",
        "organisms:SelfCorrector",
        "organisms:Verbose",
        "organisms:PostHoc",
        "organisms:YesSayer",
        "organisms:ImageIgnorer",
        "organisms:CueFollower",
        "organisms:Decoy",
    ),
    "Writing a backend": (
        "backends/base:Backend",
        "backends/base:AsyncBackend",
        "backends/base:Capabilities",
        "backends/base:Request",
        "backends/base:Hidden",
        "_core/types:Reply",
        "_core/types:Token",
        "_images/prepare:ImageLimits",
        "_images/prepare:PreparedImage",
    ),
    "Version": ("_version:__version__",),
}
NOTES = {
    "assert_audit_clean": "Imported from `faithful_decide.pytest_plugin`.",
    "faithful_decider": "A fixture of pytest; it needs no import.",
    "load_embedded": "What the spec `embedded` loads; its keyword parameters are the options.",
    "load_gguf": "What the specs `gguf/...` load; its keyword parameters are the options.",
    "Receipt": "The [reply contract](contract.md#the-receipt) explains each field.",
    "Span": "Part of a receipt; it needs no import.",
    "Enforcement": "A type; it needs no import.",
    "Finish": "A type; it needs no import.",
    "__version__": "The version of the package.",
    "Hidden": "Part of a request; made by the library.",
    "PreparedImage": "Part of a request; made by the library.",
}
"""What the docstrings do not say: what a name that cannot be imported does on the page."""

_SECTION = re.compile(r"^(Args|Returns|Raises|Yields):$")
_ITEM = re.compile(r"^(\*{0,2}\w+): (.*)$")


# ---------------------------------------------------------------- docstrings


def blocks(doc: str) -> Iterator[tuple[str, list[str]]]:
    """Cut a docstring at its section headings; the first block has no heading."""
    name, lines = "", list[str]()
    for line in doc.splitlines():
        if heading := _SECTION.match(line):
            yield name, lines
            name, lines = heading[1], []
        else:
            lines.append(line)
    yield name, lines


def prose(lines: list[str]) -> list[str]:
    """Paragraphs as they are; indented examples as code."""
    written: list[str] = []
    for paragraph in re.split(r"\n\s*\n(?=\S)", "\n".join(lines).strip("\n")):
        head, _, example = paragraph.partition("\n\n    ")
        written += [head, ""]
        if example:
            code = textwrap.dedent(f"    {example}").rstrip()
            written += ["```python", code, "```", ""]
    return written


def items(lines: list[str]) -> list[tuple[str, str]]:
    """Entries of a section, each a name and its text; a text alone has no name."""
    found: list[tuple[str, str]] = []
    for line in textwrap.dedent("\n".join(lines)).strip().splitlines():
        if item := _ITEM.match(line):
            found.append((item[1], item[2]))
        elif found:
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}".strip())
        else:
            found.append(("", line.strip()))
    return found


def bullet(text: str) -> str:
    """One entry of a list, wrapped."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent="- ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def document(doc: str | None) -> list[str]:
    """A docstring as Markdown."""
    written: list[str] = []
    for name, lines in blocks(doc or ""):
        if not name:
            written += prose(lines)
            continue
        entries = items(lines)
        if name in {"Returns", "Yields"}:
            text = " ".join(f"{key}: {value}" if key else value for key, value in entries)
            written += [textwrap.fill(f"*{name}* {text}", WIDTH, break_on_hyphens=False), ""]
            continue
        written += [f"*{'Arguments' if name == 'Args' else name}*", ""]
        written += [bullet(f"`{key}`: {value}") for key, value in entries]
        written.append("")
    return written


# ---------------------------------------------------------------- source


class Source:
    """One module of the package, as text and as a tree."""

    def __init__(self, module: str) -> None:
        """Read it."""
        self.text = (PACKAGE / f"{module}.py").read_text(encoding="utf-8")
        self.tree = ast.parse(self.text)

    def piece(self, node: ast.AST) -> str:
        """The source of a node in one line."""
        return " ".join((ast.get_source_segment(self.text, node) or "").split())

    def find(self, name: str) -> tuple[ast.stmt, str | None]:
        """The statement that defines a name, and the docstring of it or below it."""
        for node, after in zip(self.tree.body, [*self.tree.body[1:], None], strict=True):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                if node.name == name:
                    return node, ast.get_docstring(node)
            elif isinstance(node, ast.Assign) and self.piece(node.targets[0]) == name:
                return node, below(after)
        msg = f"{name} is not defined where docs/build_reference.py looks for it"
        raise SystemExit(msg)

    def signature(self, name: str, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
        """A call with every parameter, its type and its default."""
        given = node.args
        plain = [*given.posonlyargs, *given.args]
        missing = len(plain) - len(given.defaults)
        defaults = [None] * missing + list(given.defaults)
        shown = [self.parameter(*pair) for pair in zip(plain, defaults, strict=True)]
        shown = [text for text in shown if text != "self"]
        if given.vararg:
            shown.append(f"*{self.parameter(given.vararg, None)}")
        elif given.kwonlyargs:
            shown.append("*")
        pairs = zip(given.kwonlyargs, given.kw_defaults, strict=True)
        shown += [self.parameter(*pair) for pair in pairs]
        if given.kwarg:
            shown.append(f"**{self.parameter(given.kwarg, None)}")
        start = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
        result = self.piece(node.returns) if node.returns else ""
        end = f" -> {result}" if result not in {"", "None"} else ""
        line = f"{start}{name}({', '.join(shown)}){end}"
        if len(line) <= WIDTH:
            return line
        inside = "".join(f"    {text},\n" for text in shown)
        return f"{start}{name}(\n{inside}){end}"

    def value(self, node: ast.expr) -> str:
        """A default as it is written; the content of a private constant instead of its name."""
        text = self.piece(node)
        if text.startswith("_"):
            for entry in self.tree.body:
                if isinstance(entry, ast.Assign) and self.piece(entry.targets[0]) == text:
                    return self.piece(entry.value).replace("( ", "(").replace(" )", ")")
        return text

    def parameter(self, argument: ast.arg, default: ast.expr | None) -> str:
        """One parameter as it is written."""
        text = argument.arg
        if argument.annotation is not None:
            text += f": {self.piece(argument.annotation)}"
        if default is not None:
            text += (
                f" = {self.value(default)}" if argument.annotation else f"={self.value(default)}"
            )
        return text


def below(node: ast.stmt | None) -> str | None:
    """The string that stands below a definition and documents it."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return str(node.value.value)
    return None


def fenced(code: str) -> list[str]:
    """Code that is shown, not run."""
    return ["```text", code, "```", ""]


def cell(text: str) -> str:
    """A text inside a table."""
    return " ".join(text.split()).replace("|", "\\|")


def fields(source: Source, node: ast.ClassDef, described: dict[str, str]) -> list[str]:
    """A table of the fields of a class, private ones left out."""
    rows = []
    for entry, after in zip(node.body, [*node.body[1:], None], strict=True):
        if not isinstance(entry, ast.AnnAssign) or source.piece(entry.target).startswith("_"):
            continue
        default = source.piece(entry.value) if entry.value else ""
        default = "" if default.startswith("field(") else default
        shown = f"`{cell(default)}`" if default else ""
        kind = f"`{cell(source.piece(entry.annotation))}`"
        name = source.piece(entry.target)
        text = cell(below(after) or described.get(name, ""))
        rows.append(f"| `{name}` | {kind} | {shown} | {text} |".replace("  ", " "))
    if not rows:
        return []
    return ["| field | type | default | |", "|---|---|---|---|", *rows, ""]


def members(source: Source, node: ast.ClassDef) -> Iterator[str]:
    """Public methods and properties; the constructor first, `bool()` with what it means."""
    for entry in node.body:
        if not isinstance(entry, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        is_property = any(source.piece(d) == "property" for d in entry.decorator_list)
        doc = ast.get_docstring(entry)
        if entry.name == "__init__":
            yield from fenced(source.signature(node.name, entry))
            yield from document(doc)
        elif entry.name == "__bool__":
            yield from [f"#### `bool({node.name})`", "", *document(doc)]
        elif entry.name == "__post_init__":
            raised = [lines for name, lines in blocks(doc or "") if name == "Raises"]
            # A class may name what it raises itself; the check behind it need not say it again.
            if raised and "Raises:" not in (ast.get_docstring(node) or ""):
                yield from document("Raises:\n" + "\n".join(raised[0]))
        elif not entry.name.startswith("_"):
            yield from [f"#### `{node.name}.{entry.name}`", ""]
            if is_property:
                yield from fenced(f"{entry.name}: {source.piece(entry.returns or entry)}")
            else:
                yield from fenced(source.signature(entry.name, entry))
            yield from document(doc)


def entry_of(place: str) -> Iterator[str]:
    """Everything about one name."""
    module, _, name = place.partition(":")
    source = Source(module)
    node, doc = source.find(name)
    yield from [f"### `{name}`", ""]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from fenced(source.signature(name, node))
    elif isinstance(node, ast.Assign):
        # A page that names the version would be stale with every release.
        yield from fenced("__version__: str" if name == "__version__" else source.piece(node))
    if name in NOTES:
        yield from [f"*{NOTES[name]}*", ""]
    if not isinstance(node, ast.ClassDef):
        yield from document(doc)
        return
    described: dict[str, str] = {}
    if not any(isinstance(e, ast.FunctionDef) and e.name == "__init__" for e in node.body):
        # The arguments of a dataclass are its fields: they are described in their table.
        described = {
            key: text
            for part, lines in blocks(doc or "")
            if part == "Args"
            for key, text in items(lines)
        }
    for part, lines in blocks(doc or ""):
        if part != "Args" or not described:
            yield from document("\n".join([f"{part}:", *lines] if part else lines))
        if not part:
            yield from fields(source, node, described)
    yield from members(source, node)


# ---------------------------------------------------------------- the parts


def api() -> Iterator[str]:
    """Every public name, by what it is for."""
    for title, places in SECTIONS.items():
        yield from [f"## {title}", ""]
        if title == "Organisms":
            yield from ["These are imported from `faithful_decide.organisms`.", ""]
        if title == "In tests":
            yield from ["These two are imported from `faithful_decide.testing`.", ""]
        if title == "As columns of large tables":
            homes = "`faithful_decide.daft` and `faithful_decide.ray`"
            yield from [f"These two are imported from {homes}.", ""]
        if title == "As a classifier":
            yield from ["The first two are imported from `faithful_decide.sklearn`.", ""]
        for place in places:
            yield from entry_of(place)


def errors() -> Iterator[str]:
    """The tree in the docstring of the errors."""
    doc = ast.get_docstring(Source("errors").tree) or ""
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
        names = ", ".join(f"`{name}`" for name in option.opts)
        takes = "" if option.is_flag else f"`{option.metavar or option.type.name.upper()}`"
        plain = isinstance(option.default, str | int) and not isinstance(option.default, bool)
        default = f"`{option.default}`" if plain and not option.is_flag else ""
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
    "reference/api.md": {"api": api},
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
