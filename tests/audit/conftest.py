"""Pictures whose content is known, what hangs on it, and thresholds that few trials can pass."""

import hashlib
import io
import json
from itertools import count

import pytest
from PIL import Image

from faithful_decide._audit._flags import FORMAT, RULES
from faithful_decide.organisms import Topic

FUNNY = "Is it funny?"
HAT, BARE = "wearing a top hat", "sitting still"
TOPICS = {FUNNY: Topic("the squirrel", {HAT: "yes", BARE: "no"})}
LOW = json.dumps(
    {
        "format": FORMAT,
        "thresholds": {
            flag: dict.fromkeys(sorted(every | some), 0.0) for flag, (every, some) in RULES.items()
        },
    }
)


def png_of(colour):
    file = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def new_picture():
    """Makes a picture and what it shows; every one is another."""
    numbers = count(1)

    def make(seen):
        picture = png_of((next(numbers), 40, 90))
        facts = {"the tree": "green", "the squirrel": seen}
        return picture, {hashlib.sha256(picture).hexdigest(): facts}

    return make


@pytest.fixture
def funny(new_picture):
    """A picture for yes, and the table of this and the other."""
    return new_picture(HAT)


@pytest.fixture
def sober(new_picture):
    """A picture for no."""
    new_picture(BARE)
    return new_picture(BARE)


@pytest.fixture
def facts(funny, sober):
    """What both show."""
    return {**funny[1], **sober[1]}
