"""Imports only go down, and importing the package loads nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import faithful_decide

ROOT = Path(faithful_decide.__file__).parent
FLOORS = [
    ["_version"],
    ["errors"],
    ["_types", "_address", "_fetch", "_source", "_pixels", "_resize", "_image"],
    ["_json", "_keywords", "_findings", "_schema", "_contract", "_prompt", "_calibration"],
    ["_backend", "_probed"],
    ["backends", "_organism", "organisms", "testing"],
    ["_gate", "_patience", "_drive", "_score", "_decide", "_price", "_batch"],
    ["_audit"],
    ["_report"],
    ["_loading", "_auditor", "_decider", "_many", "_batch_page", "_stored", "_probe", "_judged"],
    ["_pipeline", "_live", "_tabular", "_classes", "sklearn", "_engines", "daft", "ray"],
    ["_terminal", "_audit_cli", "_batch_cli", "cli", "pytest_plugin"],
    ["__main__"],
]
# A report of an audit writes itself to a file, when it is told to.
UP_ON_DEMAND = {("_audit", "faithful_decide._report")}
FLOOR_OF = {name: height for height, floor in enumerate(FLOORS) for name in floor}
MODULES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")
HEAVY = (
    "PIL",
    "click",
    "daft",
    "jinja2",
    "numpy",
    "openai",
    "pyarrow",
    "pydantic",
    "ray",
    "sklearn",
    "tenacity",
    "torch",
    "transformers",
    "xllamacpp",
)


def home(path):
    """The name by which the floors know a module."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path):
    """Our own modules that a module imports, those for type checkers only left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            if node.module == "faithful_decide":
                yield from (f"faithful_decide.{alias.name}" for alias in node.names)
            else:
                yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_only_go_down(path):
    """A module imports from its own floor or a lower one, and never through the package root."""
    here = home(path)
    for name in imported(path):
        package, _, rest = name.partition(".")
        if package != "faithful_decide":
            continue
        there = rest.split(".")[0]
        if (here, name) in UP_ON_DEMAND:
            continue
        assert there in FLOOR_OF, f"{here} imports {name}"
        assert FLOOR_OF[there] <= FLOOR_OF[here], f"{here} imports {name}"


def test_siblings_of_a_floor_import_in_one_direction():
    """Within a floor there are no circles either: the listed order holds."""
    order = [name for floor in FLOORS for name in floor]
    for path in MODULES:
        for name in imported(path):
            there = name.removeprefix("faithful_decide.").split(".")[0]
            if (home(path), name) in UP_ON_DEMAND:
                continue
            if name.startswith("faithful_decide.") and there != home(path):
                assert order.index(there) < order.index(home(path)), f"{path} imports {name}"


def test_every_module_has_a_floor():
    """A new module has to be placed."""
    assert {home(path) for path in MODULES if home(path) != "embedded"} == set(FLOOR_OF)


def loaded_by(statement):
    code = f"import sys; {statement}; print(*(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_importing_the_package_loads_nothing_heavy():
    """The public names are loaded on first use."""
    assert loaded_by("import faithful_decide") == []


def test_the_pipeline_loads_no_engine():
    """Naming `decide` loads what checks replies, not what runs models or opens pictures."""
    assert loaded_by("from faithful_decide import decide") == ["pydantic", "tenacity"]


def test_help_loads_no_model_code():
    """The command line answers before anything but click is loaded."""
    assert loaded_by("from faithful_decide import cli") == ["click"]
