"""Shared by all tests: a small picture, and no model spec from outside."""

import io

import pytest
from PIL import Image


@pytest.fixture
def png():
    """A 6x4 picture as PNG."""
    file = io.BytesIO()
    Image.new("RGB", (6, 4), "red").save(file, "PNG")
    return file.getvalue()


@pytest.fixture(autouse=True)
def _no_model_from_outside(monkeypatch):
    monkeypatch.delenv("FAITHFUL_DECIDE_MODEL", raising=False)
