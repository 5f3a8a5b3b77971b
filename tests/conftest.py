"""Shared by all tests: a small picture, the program, and no model spec from outside."""

import io
import sys

import pytest
from PIL import Image


@pytest.fixture
def png():
    """A 6x4 picture as PNG."""
    file = io.BytesIO()
    Image.new("RGB", (6, 4), "red").save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def call(monkeypatch, capsys):
    """Runs the program on arguments; returns its exit code, stdout and stderr."""
    from faithful_decide._cli import main as cli

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["faithful-decide", *map(str, arguments)])
        code = cli.run()
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(autouse=True)
def _no_model_from_outside(monkeypatch):
    monkeypatch.delenv("FAITHFUL_DECIDE_MODEL", raising=False)
