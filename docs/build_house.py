# ruff: noqa: INP001 - a script beside the pages, not a package
"""Draws the picture of the house in CONTRIBUTING.md from the layers that CI checks.

    python docs/build_house.py [--check]

The layers stand in `pyproject.toml`; what a room is for is the first line of its docstring.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "faithful_decide"
PAGE = ROOT / "CONTRIBUTING.md"
BEGIN, END = "<!-- house: written by docs/build_house.py -->\n", "<!-- end of house -->"


def room(name: str) -> str:
    """A row of the table: a folder with its files, or a file, and what it is for."""
    path = PACKAGE / name / "__init__.py"
    file = path if path.exists() else PACKAGE / f"{name}.py"
    purpose = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split("\n\n")[
        0
    ]
    inside = sorted(p.stem for p in path.parent.glob("*.py") if p != path) if file == path else []
    files = f"<br>{' '.join(f'`{one}`' for one in inside)}" if inside else ""
    return f"`{name}`{'/' if inside else ''} | {' '.join(purpose.split())}{files}"


def house() -> str:
    """The table of layers, from the top."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    layers = tool["importlinter"]["contracts"][0]["layers"]
    lines = ["| layer | room | what it is for |", "|---|---|---|"]
    for number, layer in zip(range(len(layers) - 1, -1, -1), layers, strict=True):
        names = re.findall(r"\w+", layer)
        lines += [f"| {number if name == names[0] else ''} | {room(name)} |" for name in names]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the picture, or with --check say whether it is the one that stands there."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    drawn = before + BEGIN + house() + END + rest.partition(END)[2]
    if "--check" in sys.argv:
        return int(drawn != page)
    PAGE.write_text(drawn, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
