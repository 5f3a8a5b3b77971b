"""Benchmarks are listed, and print rows that say whether they met their target."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks._rows import Row, run

ROOT = Path(__file__).parent.parent


def program(*arguments):
    return subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )


def test_the_list_names_every_benchmark():
    """One line per program, with what it is about."""
    lines = program("benchmarks").stdout.splitlines()
    names = [path.stem for path in sorted((ROOT / "benchmarks").glob("[a-z]*.py"))]
    assert [line.split()[2] for line in lines] == [f"benchmarks.{name}" for name in names]
    assert all(len(line.split()) > 5 for line in lines)


@pytest.mark.parametrize("name", ["contract", "receipts"])
def test_a_benchmark_meets_its_targets(name):
    """Its rows have the fixed form, one JSON object per line."""
    done = program(f"benchmarks.{name}", "--json", "--quick", "--seed", "5")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stdout
    assert rows
    for row in rows:
        assert list(row) == ["figure", "value", "op", "target", "n", "interval", "ok"]
        assert row["ok"] is True


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([Row("a", 1, "<=", 1, 9), Row("b", 1, ">=", 1, 9)], 0),
        ([Row("a", 1, "<=", 1, 9), Row("b", 0.9, ">=", 1, 9, (0.8, 1.0))], 1),
        ([Row("a", 1.1, "<=", 1, 9)], 1),
        ([Row("a", float("nan"), "<=", 1, 9)], 1),
        ([], 1),
    ],
)
def test_the_exit_code_is_zero_only_if_every_row_is_ok(rows, code, monkeypatch, capsys):
    """One missed target, or no row at all, fails the program."""
    monkeypatch.setattr(sys, "argv", ["benchmark"])
    with pytest.raises(SystemExit) as caught:
        run(lambda options: rows)
    assert caught.value.code == code
    assert len(capsys.readouterr().out.splitlines()) == len(rows)
