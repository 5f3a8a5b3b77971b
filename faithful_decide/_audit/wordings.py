"""Pairs of wordings whose relation is known, to measure a judge on.

They are what explanations of pictures are made of, and what makes a judge err: other words for the
same, degrees of one thing, sides of a thing that have nothing to do with each other.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["WORDINGS", "Wording"]


class Wording(NamedTuple):
    """Two wordings of what was seen of one thing, and whether they contradict each other."""

    about: str
    first: str
    second: str
    contradicts: bool


_CONTRADICTING = (
    ("the squirrel", "calm and focused on its food", "restless and darting about"),
    ("the squirrel", "wearing a top hat", "bare-headed"),
    ("the squirrel", "sitting on a branch", "in mid-air between two trees"),
    ("the dog", "asleep on the sofa", "barking with its mouth wide open"),
    ("the dog", "looking straight at the camera", "with its back to the viewer"),
    ("the dog", "on a leash held by a child", "running free"),
    ("the cat", "visibly frightened", "relaxed and content"),
    ("the cat", "thin, its ribs showing", "round and well fed"),
    ("the man", "smiling broadly", "frowning"),
    ("the man", "in a dark suit and tie", "in swimming trunks"),
    ("the man", "clean-shaven", "with a full beard"),
    ("the woman", "standing", "seated"),
    ("the children", "playing together", "each alone and far apart"),
    ("the sign", "faded beyond reading", "sharp and easy to read"),
    ("the sign", "says that entry is free", "says that entry is forbidden"),
    ("the sky", "cloudless", "covered by dark clouds"),
    ("the street", "crowded with people", "deserted"),
    ("the street", "dry", "flooded from kerb to kerb"),
    ("the car", "parked with nobody inside", "moving fast, its wheels a blur"),
    ("the car", "brand new and polished", "rusty and dented"),
    ("the table", "laid for a festive meal", "empty"),
    ("the light", "bright daylight", "deep night"),
    ("the mood of the scene", "solemn and mournful", "cheerful and festive"),
    ("the house", "intact", "burnt down to its walls"),
)
_COMPATIBLE = (
    # the same in other words
    ("the squirrel", "a top hat sits on its head", "it has a top hat on"),
    ("the squirrel", "holding a nut in its paws", "its front paws grasp a nut"),
    ("the dog", "lying down", "stretched out on the floor"),
    ("the dog", "its mouth is open", "its jaws are apart"),
    ("the cat", "eyes closed", "its eyes are shut"),
    ("the man", "has no hair", "bald"),
    ("the man", "holds an umbrella", "an umbrella is in his hand"),
    ("the woman", "wears glasses", "has spectacles on"),
    ("the sky", "overcast", "covered with clouds"),
    ("the street", "nobody is to be seen on it", "empty of people"),
    ("the car", "stationary", "not moving"),
    ("the table", "made of wood", "a wooden one"),
    # one says more than the other
    ("the squirrel", "playful", "playful and curious"),
    ("the dog", "a brown dog", "a brown dog with white paws"),
    ("the house", "two floors", "two floors and a red roof"),
    ("the sign", "yellow", "yellow with black letters"),
    # different sides of a thing
    ("the squirrel", "on a wooden fence", "its tail is bushy"),
    ("the dog", "near the door", "its fur is wet"),
    ("the cat", "grey", "looks out of the window"),
    ("the man", "tall", "carries a bag"),
    ("the woman", "in a blue coat", "at the bus stop"),
    ("the street", "narrow", "paved with cobblestones"),
    ("the car", "red", "parked under a tree"),
    ("the light", "soft", "comes from the left"),
)
WORDINGS = (
    *(Wording(*pair, contradicts=True) for pair in _CONTRADICTING),
    *(Wording(*pair, contradicts=False) for pair in _COMPATIBLE),
)
