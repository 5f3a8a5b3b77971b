"""For tests of backends: a picture, and readable failures in the shared suite."""

import io

import pytest
from PIL import Image, ImageDraw

pytest.register_assert_rewrite("contract")


@pytest.fixture(scope="session")
def picture():
    """A larger picture than the embedded model sees, as PNG."""
    image = Image.new("RGB", (200, 160), "white")
    ImageDraw.Draw(image).ellipse((30, 30, 90, 90), fill="red")
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
