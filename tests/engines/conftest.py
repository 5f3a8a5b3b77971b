"""A model spec for engines, and pictures for it."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.support import grey

LEVELS = (10, 240, 60, 200, 20, 250)


@pytest.fixture
def made():
    """The model spec `grey/...`, and the backends that were loaded by it in this process."""
    yield grey.register()
    grey.forget()


@pytest.fixture
def arrays():
    """Pictures of six brightnesses as arrays."""
    return [np.full((8, 8, 3), level, np.uint8) for level in LEVELS]


@pytest.fixture
def encoded(arrays):
    """The same as PNG."""
    files = [io.BytesIO() for _ in arrays]
    for file, array in zip(files, arrays, strict=True):
        Image.fromarray(array).save(file, "PNG")
    return [file.getvalue() for file in files]


@pytest.fixture
def paths(tmp_path, encoded):
    """The same as files."""
    for level, data in zip(LEVELS, encoded, strict=True):
        (tmp_path / f"{level}.png").write_bytes(data)
    return [str(tmp_path / f"{level}.png") for level in LEVELS]
