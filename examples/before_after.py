"""Before and after: the same question about two pictures of one thing.

A model that takes several images is asked once, about both. One that takes a single image is asked
about each of them, and what has changed is what the two decisions do not share.
"""

import sys
from dataclasses import replace
from itertools import count
from pathlib import Path

from faithful_decide import Decider, Question
from faithful_decide.embedded.scenes import ANIMALS, draw, make_scene

QUESTION = Question("Does this image show anything funny?")
CHANGED = Question("Has anything changed between the two images?")


def main(folder: Path) -> None:
    """Draw two pictures, and compare what is said of them."""
    folder.mkdir(parents=True, exist_ok=True)
    before, after = folder / "before.png", folder / "after.png"
    scenes = (s for s in map(make_scene, count()) if len(s.things) == 2 and not s.funny)
    scene = next(s for s in scenes if s.things[0].kind in ANIMALS)
    dressed = replace(scene.things[0], wears="top hat")
    draw(scene).save(before)
    draw(replace(scene, things=(dressed, *scene.things[1:]))).save(after)
    with Decider() as decider:
        if decider.backend.capabilities.images > 1:
            decision = decider.decide([before, after], CHANGED)
            print(decision.verdict, "-", decision.reasoning)
            return
        first, second = (decider.decide(picture, QUESTION) for picture in (before, after))
    earlier = {(one.about, one.seen) for one in first.observations}
    for one in second.observations:
        mark = " " if (one.about, one.seen) in earlier else "+"
        print(f"{mark} {one.about}: {one.seen}")
    print(f"funny before: {first.verdict}; funny after: {second.verdict}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "pair"))
