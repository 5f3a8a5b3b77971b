"""What is put in the place of what a decision relied on."""

import pytest

from faithful_decide._audit.checks.edit import _edited, _exchanged, _without
from faithful_decide._core.contract import numbered
from faithful_decide._core.types import Observation


def seen(*pairs):
    return numbered(Observation(about=about, seen=saw) for about, saw in pairs)


HAT = ("the dog", "wearing a hat")
BARE = ("the dog", "wearing nothing")
TREE = ("the tree", "as usual")


@pytest.mark.parametrize(
    ("relied", "source", "edited"),
    [
        ((0,), (BARE, ("the tree", "upside down")), (BARE, TREE)),
        ((), (BARE,), (BARE, TREE)),
        # what it relied on stays as it is, so what was passed over is exchanged
        ((1,), (BARE,), (BARE, TREE)),
        # nothing of it is spoken of, so something is added
        ((0,), (("the fox", "on a bicycle"),), (HAT, TREE, ("the fox", "on a bicycle"))),
        ((0,), (HAT,), None),
    ],
)
def test_the_words_of_another_explanation(relied, source, edited):
    """They replace what was relied on; failing that, the rest; failing that, they are added."""
    assert _edited(seen(HAT, TREE), relied, seen(*source)) == (edited and seen(*edited))


def test_a_name_that_stands_for_two_things_cannot_be_edited():
    """Nobody knows which of them is meant."""
    assert _edited(seen(HAT, BARE), (0,), seen(("the dog", "asleep"))) is None


def test_two_things_exchange_what_was_seen_of_them():
    """Only where there are two of them, and they differ."""
    near, far = ("the dog", "20% across"), ("the tree", "60% across")
    turned = (("the dog", "60% across"), ("the tree", "20% across"))
    assert _exchanged(seen(near, far, HAT), (0, 1)) == seen(*turned, HAT)
    assert _exchanged(seen(near, far), ()) == seen(*turned)
    assert _exchanged(seen(near, far), (0,)) is None
    assert _exchanged(seen(near, ("the tree", "20% across")), ()) is None


def test_what_was_relied_on_is_left_out():
    """As long as anything is left."""
    assert _without(seen(HAT, TREE), (0,)) == seen(TREE)
    assert _without(seen(HAT, TREE), (0, 1)) is None
    assert _without(seen(HAT, TREE), ()) is None
