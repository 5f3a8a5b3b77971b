"""A moderation queue: decide what can be decided, and hand the rest to people.

The threshold comes from labelled pictures. What is below it, what the model cannot tell and what
fails goes to people, with the evidence and the reasoning of each.
"""

import sys
from pathlib import Path

from faithful_decide import decide_many, write_rows
from faithful_decide.calibration import certify
from faithful_decide.embedded.samples import write_samples

QUESTION = "Does this image show anything funny?"


def main(folder: Path) -> None:
    """Certify a threshold on labelled pictures, then decide about new ones."""
    write_samples(folder / "labelled", n=100, seed=1)
    write_samples(folder / "new", n=12, seed=2)

    labelled = decide_many(folder / "labelled", QUESTION)
    certificate = certify(labelled, error=0.35)  # a toy model; ask for less of your own
    print(certificate.why or f"verdicts from {certificate.threshold:.2f} on stand by themselves")

    # Without a certificate, people look at everything.
    threshold = 1.0 if certificate.threshold is None else certificate.threshold
    rows = list(decide_many(folder / "new", QUESTION, review=threshold))
    write_rows((row for row in rows if not row.extra["review"]), folder / "decided.csv")
    waiting = write_rows((row for row in rows if row.extra["review"]), folder / "for_people.csv")
    print(f"{len(rows) - waiting} of {len(rows)} decided, {waiting} for people")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "moderation"))
