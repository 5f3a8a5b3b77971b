"""The sample image of the package: a squirrel in a top hat, beside a tree and a cup.

python -m training.world.sample faithful_decide/embedded/sample.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

from training.world.draw import render
from training.world.scenes import Scene, Thing

SCENE = Scene(
    seed=14,
    things=[
        Thing("tree", 27, 66, 46),
        Thing("squirrel", 68, 74, 44, wears="top hat"),
        Thing("cup", 106, 86, 24),
    ],
    width=128,
    height=96,
    zoom=5.0,
    order=[0, 1, 2],
)


def main() -> None:
    """Draw the sample image."""
    parser = argparse.ArgumentParser(description="draw the sample image of the package")
    parser.add_argument("file", type=Path)
    args = parser.parse_args()
    args.file.parent.mkdir(parents=True, exist_ok=True)
    render(SCENE).quantize(128).save(args.file, optimize=True)


if __name__ == "__main__":
    main()
