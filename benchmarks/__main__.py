"""Lists the benchmarks: their names and the first line of what they say about themselves."""

from __future__ import annotations

import ast
from pathlib import Path


def main() -> None:
    """Print one line per benchmark, without importing any."""
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        summary = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")
        print(f"python -m benchmarks.{path.stem:<14} {summary[0]}")


if __name__ == "__main__":
    main()
