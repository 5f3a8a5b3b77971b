"""What the project file and the README promise."""

import re
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
