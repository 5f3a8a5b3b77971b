"""Product photos: verdicts that mean exactly what the policy says.

A word such as "clean" means many things. A definition says which is meant, and stands in the
decision. The model that comes with the package was trained on bare questions and refuses
definitions, so it is asked a question of its own world.
"""

import sys
from pathlib import Path

from faithful_decide import Decider, Question
from faithful_decide.embedded.samples import write_samples

POLICY = Question(
    "May this photo stand in the shop?",
    verdicts={
        "accept": "one product, in focus, on a plain background",
        "retake": "the product is cut off, blurred or hidden",
        "reject": "people, text or other brands can be seen",
    },
    context="A shadow of the product itself is fine.",
)
BARE = Question("Does this image show anything funny?")


def main(folder: Path) -> None:
    """Ask the same question about every photo, and say what the verdict rests on."""
    write_samples(folder, n=4, seed=3)
    with Decider() as decider:
        question = POLICY if decider.backend.capabilities.instructions else BARE
        for photo in sorted(folder.glob("*.png")):
            decision = decider.decide(photo, question)
            seen = "; ".join(f"{one.about}: {one.seen}" for one in decision.evidence)
            print(f"{photo.name}: {decision.verdict} ({seen})")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "photos"))
