# ruff: noqa: INP001 - a script beside the pages, not a package
"""Runs `examples/first_look.ipynb` and keeps its outputs.

    python docs/build_notebook.py

Wants the group `docs` besides the package, because a notebook is run by Jupyter's own client.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parents[1] / "examples" / "first_look.ipynb"


def main() -> None:
    """Run every cell in a folder of its own."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when it ran is nobody's business
    nbformat.write(notebook, NOTEBOOK)


if __name__ == "__main__":
    main()
