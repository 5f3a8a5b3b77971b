"""Pictures whose content is known, what hangs on it, and thresholds that few trials can pass."""

import io
import json

from PIL import Image

from faithful_decide._audit.flags import FORMAT, RULES
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
