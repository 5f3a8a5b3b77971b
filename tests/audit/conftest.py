"""Pictures whose content is known."""

import hashlib
from itertools import count

import pytest
from known_pictures import BARE, HAT, png_of


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
