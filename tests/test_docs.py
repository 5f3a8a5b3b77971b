"""The docs: complete, current, and every piece of code in them runs."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

import faithful_decide
from faithful_decide import errors, organisms, testing
from faithful_decide import sklearn as faithful_decide_sklearn
from faithful_decide._cli import main as cli
from training.world import questions
from training.world import scenes as world

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
EMBEDDED = ROOT / "faithful_decide" / "embedded"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)
HASH = re.compile("[0-9a-f]{64}")

_spec = importlib.util.spec_from_file_location("build_reference", DOCS / "build_reference.py")
build_reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(build_reference)


def read(path):
    """The text of a page below docs/."""
    return (DOCS / path).read_text(encoding="utf-8")


def relative(path):
    """A page as it is called in the repository."""
    return path.relative_to(ROOT).as_posix()


def headings(text):
    """What the headings of a page say, without marks; code is no heading."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return [h.replace("`", "") for h in re.findall(r"^#+ (.+)$", text, re.MULTILINE)]


def anchors(text):
    """What a link can point to on a page."""
    slugs = set()
    for heading in headings(text):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        slugs.add(slug)
    return slugs


def code(language):
    """Every block of a language in the docs, with the output that is shown below it."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in FENCE.finditer(text):
            if block[1] == language:
                line = text[: block.start()].count("\n") + 1
                yield pytest.param(block[2], block[3], id=f"{relative(page)}:{line}")


@pytest.fixture
def _at_home(tmp_path, monkeypatch):
    """A folder with the sample image and a GGUF pair, under the names that the docs use."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(EMBEDDED / "sample.png", "squirrel.png")
    for file in ("model.gguf", "mmproj.gguf"):
        Path(file).symlink_to(EMBEDDED / file)


def test_every_public_name_is_documented():
    """It has an entry in the reference, or a heading on the page of errors."""
    listed = {
        line.rpartition(".")[2]
        for line in read("reference/api.md").splitlines()
        if line.startswith("::: ")
    }
    names = {
        *faithful_decide.__all__,
        *testing.__all__,
        *organisms.__all__,
        *faithful_decide_sklearn.__all__,
        "decide_udf",
        "DecideBatch",
    }
    assert names <= listed | set(headings(read("reference/errors.md")))


def test_every_entry_of_the_reference_is_there():
    """What the site takes from docstrings exists, by its source: extras need not be installed."""
    for line in read("reference/api.md").splitlines():
        if line.startswith("::: faithful_decide."):
            *folders, name = line.removeprefix("::: ").split(".")
            place = ROOT.joinpath(*folders)
            path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
            assert re.search(rf"\b{name}\b", path.read_text(encoding="utf-8")), line


def test_every_error_is_documented():
    """It has a section with words in it, its place in the tree, and its exit code in the table."""
    page = read("reference/errors.md")
    tree = page.partition("<!-- begin tree -->")[2].partition("<!-- end tree -->")[0]
    for name in errors.__all__:
        section = re.search(rf"^### `{name}`\n\n(\w.+)$", page, re.MULTILINE)
        assert section, f"no section for {name}"
        assert re.search(rf"\b{name}\b", tree)
        kind = getattr(errors, name)
        error = kind("extra", needed_for="this") if name == "MissingExtraError" else kind("failed")
        assert f"| `{name}` | {cli.code_of(error)} |" in page


def commands():
    """The program and each of its commands with the part of the page about it."""
    intro, *sections = re.split(r"^## ", read("reference/cli.md"), flags=re.MULTILINE)
    pages = {section.split("\n")[0].strip("` "): section for section in sections}
    yield "faithful-decide", cli.main, intro
    for name, command in cli.main.commands.items():
        yield name, command, pages.get(name, "")


def test_every_command_and_option_is_documented():
    """With its help, on the page and in the program."""
    for name, command, section in commands():
        assert command.help
        assert section, f"no section for the command {name}"
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help
                assert all(f"`{option}`" in section for option in parameter.opts), name
            else:
                assert parameter.human_readable_name.upper() in section, name


def test_the_generated_reference_is_current():
    """If this fails, run `python docs/build_reference.py`."""
    for page in build_reference.PARTS:
        assert read(page) == build_reference.build(page)


def test_odd_results_come_first():
    """Somebody who looks up a symptom most needs the ones that raise nothing."""
    sections = re.findall(r"^## (.+)$", read("reference/errors.md"), re.MULTILINE)
    assert sections[0] == "Nothing was raised, but the result looks wrong"


def test_internal_links_resolve():
    """To a file that is there, and a heading that is in it; the site's own build checks the API."""
    for page in PAGES:
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if "://" in link:
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.is_file(), f"{relative(page)} links to {link}"
            if anchor and target.name != "api.md":
                known = anchors(target.read_text(encoding="utf-8"))
                assert anchor in known, f"{relative(page)}: {link}"


def test_every_page_can_be_found():
    """The index links to all of them, and so does the navigation of the site."""
    index = read("index.md")
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert sorted(re.findall(r"- ([\w/-]+\.md)$", site, re.MULTILINE)) == sorted(
        page.relative_to(DOCS).as_posix() for page in PAGES[1:]
    )
    for page in PAGES[1:]:
        if page.name != "index.md":
            assert f"({page.relative_to(DOCS).as_posix()}" in index


@pytest.mark.usefixtures("_at_home")
@pytest.mark.parametrize(("block", "output"), list(code("python")))
def test_the_python_in_the_docs_runs(block, output, capsys):
    """Each block by itself; where output is shown below a block, it is what the block prints."""
    for package in ("daft", "fastapi"):
        if f"import {package}" in block or f"from {package}" in block:
            pytest.importorskip(package)
    exec(compile(block, "<docs>", "exec"), {"__name__": "__main__"})
    if output is not None:
        assert capsys.readouterr().out == output


@pytest.mark.usefixtures("_at_home")
@pytest.mark.parametrize(("block", "output"), list(code("console")))
def test_the_commands_in_the_docs_run(block, output):
    """And print what is shown; the hash of a request depends on the installed Pillow."""
    lines = block.splitlines(keepends=True)
    script = "".join(line[2:] for line in lines if line.startswith("$ "))
    shown = "".join(line for line in lines if not line.startswith("$ "))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-ec", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert output is None
    if shown:
        assert HASH.sub("...", done.stdout) == HASH.sub("...", shown)


def test_the_world_of_the_embedded_model_is_listed():
    """What can be in a scene is on its page."""
    page = read("explanation/the-embedded-model.md")
    words = {*world.KINDS, *world.MOODS, *world.COLOURS}
    assert {word for word in words if not re.search(rf"\b{word}\b", page)} == set()


def test_the_questions_of_the_embedded_model_are_listed():
    """One row for each family."""
    rows = re.findall(r"^\| (\w+) \| .*\?", read("explanation/the-embedded-model.md"), re.MULTILINE)
    assert set(rows) == {form.family for form in questions.FORMS.values()}
