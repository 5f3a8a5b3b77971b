"""Pictures that differ."""

import io

import pytest
from PIL import Image


@pytest.fixture
def picture_of():
    """A small picture for each number."""

    def make(number):
        file = io.BytesIO()
        Image.new("RGB", (8, 8), (number % 256, number // 256, 7)).save(file, "PNG")
        return file.getvalue()

    return make
