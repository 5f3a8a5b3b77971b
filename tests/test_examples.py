"""The examples run as they are, with the model that comes with the package."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
PROGRAMS = sorted(path.name for path in EXAMPLES.glob("*.py") if not path.name.startswith("test_"))


def run(*command, cwd):
    """Run Python as a user does, elsewhere; returns what it printed."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    environment.pop("FAITHFUL_DECIDE_MODEL", None)
    done = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_runs(name, tmp_path):
    """And says something."""
    if name == "classifier_pipeline.py":
        pytest.importorskip("sklearn")
    assert run(EXAMPLES / name, cwd=tmp_path).strip()


def test_the_audit_in_ci_runs(tmp_path):
    """As a build server runs it."""
    program = EXAMPLES / "test_audit_in_ci.py"
    assert "1 passed" in run("-m", "pytest", "-q", "-p", "no:cacheprovider", program, cwd=tmp_path)


def test_the_notebook_runs(tmp_path):
    """Each cell after the one before, and its outputs are kept beside it."""
    notebook = json.loads((EXAMPLES / "first_look.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] for cell in cells if "".join(cell["source"])[-1] == ")")
    program = tmp_path / "notebook.py"
    program.write_text("\n".join("".join(cell["source"]) for cell in cells), encoding="utf-8")
    run(program, cwd=tmp_path)


def test_every_example_is_listed():
    """On the page that stands beside them."""
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for path in EXAMPLES.iterdir():
        if path.suffix in {".py", ".ipynb"}:
            assert f"({path.name})" in listed
