"""What the project file and the README promise."""

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def requirements():
    """Every dependency the project names, with where it stands."""
    project = PROJECT["project"]
    groups = {
        "build": PROJECT["build-system"]["requires"],
        "core": project["dependencies"],
        **project["optional-dependencies"],
        **PROJECT["dependency-groups"],
    }
    for group, entries in groups.items():
        for entry in entries:
            if isinstance(entry, str):
                yield group, entry


def test_every_dependency_has_a_floor():
    """Without a floor a resolver may go back years to please another package."""
    for group, requirement in requirements():
        floor = re.fullmatch(r"[a-z0-9-]+(\[[a-z]+\])?(>=|==)[0-9][0-9.]*", requirement)
        assert floor, f"{group}: {requirement}"


def test_nothing_heavy_is_installed_by_default():
    """No engine, no array library, and of SDKs only the one that most servers know."""
    names = {re.split("[>=]", entry)[0] for entry in PROJECT["project"]["dependencies"]}
    sdk = {"httpx2", "openai"}
    assert names == {"click", "jinja2", "pillow", "pydantic", "tenacity", "tqdm"} | sdk


def test_every_ruff_exception_has_its_reason():
    """A rule that is switched off says why, on its line."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if re.match(r'\s+"[A-Z]+[0-9]*",', line)]
    reasons = [line for line in lines if "#" in line]
    assert len(lines) > 10
    assert lines == reasons


def test_the_readme_has_two_commands():
    """One installs and decides, one installs the tests and runs them; `.ci/run` reads them."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    first, second = re.findall(r"```sh\n(.*?)```", readme, re.DOTALL)[:2]
    assert '-e ".[embedded]"' in first
    assert first.rstrip().endswith("faithful-decide demo")
    assert second.rstrip().endswith("-m pytest")


def names_of(requirements):
    """The distributions of a list of requirements, without floors and extras."""
    return {re.split(r"[\[>=]", entry)[0] for entry in requirements if isinstance(entry, str)}


def imports_of(path, *, everywhere):
    """What a file imports of others: all of it, or only what loading the file imports."""
    waiting = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {
            "import_module",
            "_optional",
        }:
            yield from (a.value.split(".")[0] for a in node.args if isinstance(a, ast.Constant))
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        typing = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if everywhere or not (later or typing):
            waiting += ast.iter_child_nodes(node)


# Where the name of a distribution is not that of what it holds.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "google": "google-genai",
    "sklearn": "scikit-learn",
    "genai_prices": "genai-prices",
    "huggingface_hub": "huggingface-hub",
    "opentelemetry": "opentelemetry-api",
}


# What is there wherever a part of a file runs: only pytest loads its plugin, and only a client of
# Google's, which came with its own package, is asked in Google's types.
WITH_THEIR_USER = {"pytest_plugin.py": {"pytest"}, "instructor.py": {"google-genai"}}


def strangers(path, *, everywhere):
    """The distributions that a file imports, but for Python's own and this one."""
    own = sys.stdlib_module_names | {"faithful_decide"}
    names = set(imports_of(path, everywhere=everywhere)) - own
    return {DISTRIBUTIONS.get(name, name) for name in names}


def test_every_import_is_declared():
    """What a file imports is installed with the package, or all of it with one extra."""
    core = names_of(PROJECT["project"]["dependencies"])
    extras = {n: names_of(e) for n, e in PROJECT["project"]["optional-dependencies"].items()}
    files = sorted((ROOT / "faithful_decide").rglob("*.py"))
    assert len(files) > 100
    for path in files:
        core_here = core | WITH_THEIR_USER.get(path.name, set())
        for everywhere in (False, True):
            optional = strangers(path, everywhere=everywhere) - core_here
            homes = [name for name, entries in extras.items() if optional <= entries]
            assert homes, f"{path.relative_to(ROOT)}: no extra brings all of {sorted(optional)}"


def test_every_test_has_a_limit():
    """A test that never ends is a failure, and the others go on."""
    assert "pytest-timeout" in names_of(PROJECT["dependency-groups"]["test"])
    assert 60 <= PROJECT["tool"]["pytest"]["ini_options"]["timeout"] <= 600
