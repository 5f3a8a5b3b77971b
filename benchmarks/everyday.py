"""How right the embedded model is on everyday wording, and scenes that others have drawn.

Neither the texts (`tests/support/questions.jsonl`, written by hand) nor the scenes
(`faithful_decide.embedded.scenes`) were made by those who trained it, or used in training. Each
text is asked twice, about scenes of its own; those with yes or no have each of them once. What is
right per kind of question goes to stderr.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from random import Random
from typing import TYPE_CHECKING

from benchmarks._rows import Options, Row, proportion, run
from faithful_decide import CANNOT_TELL, Decider, Question
from faithful_decide.embedded.scenes import draw
from tests.support.everyday import ENTRIES, set_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SHARE = 5
"""With --quick, every fifth text."""


def everyday(options: Options) -> Iterator[Row]:
    """Ask the embedded model in everyday wording about scenes that it was not trained on."""
    rng = Random(options.seed)
    entries = ENTRIES[options.seed % SHARE :: SHARE] if options.quick else ENTRIES
    forms: dict[str, list[bool]] = defaultdict(list)
    families: dict[str, list[bool]] = defaultdict(list)
    abstained = 0
    with Decider("embedded") as decider:
        for scene, asked in set_of(rng, entries):
            verdict = decider.decide(draw(scene), Question(asked.text, asked.labels)).verdict
            forms[asked.form].append(verdict == asked.right)
            families[asked.family].append(verdict == asked.right)
            abstained += verdict == CANNOT_TELL
    tell(forms)
    marks = [mark for family in families.values() for mark in family]
    yield proportion("right", sum(marks), len(marks), ">=", 0.93)
    yield proportion("cannot_tell, though all can be told", abstained, len(marks), "<=", 0.05)
    worst = min(families, key=lambda name: sum(families[name]) / len(families[name]))
    marks = families[worst]
    yield proportion(f"right, worst family ({worst})", sum(marks), len(marks), ">=", 0.88)


def tell(forms: Mapping[str, list[bool]]) -> None:
    """Say how right each kind of question was answered."""
    for form, marks in sorted(forms.items(), key=lambda item: sum(item[1]) / len(item[1])):
        print(f"  {form:<16} {sum(marks):>3} of {len(marks)}", file=sys.stderr)


if __name__ == "__main__":
    run(everyday)
