"""Pictures whose content is known, what hangs on it, and thresholds that few trials can pass."""

import io
import json

from PIL import Image

from faithful_decide._audit.flags import FORMAT, RULES
from faithful_decide.organisms import Topic

FUNNY = "Is it funny?"
HAT, BARE = "wearing a top hat", "sitting still"
TOPICS = {FUNNY: Topic("the squirrel", {HAT: "yes", BARE: "no"})}
WORDINGS = {
    "the squirrel": ["the animal", "the little fellow", "the rodent", "the one in the middle"],
    "the tree": ["the trunk", "the plant", "what it sits on", "the background"],
    HAT: ["a black hat on it", "dressed like a gentleman", "with headgear", "in a cylinder hat"],
    BARE: ["at rest", "not moving at all", "calmly seated", "as squirrels do"],
    "green": ["full of leaves", "in leaf", "of a fresh green", "verdant"],
}
NONE = {flag: dict.fromkeys(sorted(every | some), 0.0) for flag, (every, some) in RULES.items()}
LOW = json.dumps({"format": FORMAT, "thresholds": {"audit": NONE, "dataset": NONE}})


def png_of(colour):
    file = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(file, "PNG")
    return file.getvalue()
