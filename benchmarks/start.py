"""What it costs to import the package, what that loads, and how fast `--version` is."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks._rows import Options, Row, run

if TYPE_CHECKING:
    from collections.abc import Iterator

DECIDING = """
import sys
from PIL import Image
from faithful_decide import decide
from faithful_decide.testing import ScriptedBackend, reply_text
decide(Image.new("RGB", (8, 8)), "Is it?", model=ScriptedBackend([reply_text("yes")]))
print(*(name for name in sys.modules if name.startswith("faithful_decide")))
"""
HEAVY = ("PIL", "click", "numpy", "openai", "pydantic", "torch", "xllamacpp")


def start(options: Options) -> Iterator[Row]:
    """Measure starting, against a bare interpreter in the same rounds."""
    # A virtual environment starts its interpreter through the same files in all three cases.
    commands = {
        "bare": [sys.executable, "-c", "pass"],
        "import": [sys.executable, "-c", "import faithful_decide"],
        "version": [_script(), "--version"],
    }
    rounds = 7 if options.quick else 31
    times: dict[str, list[float]] = {name: [] for name in commands}
    for command in commands.values():
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for _ in range(rounds):
        for name, command in commands.items():
            began = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            times[name].append(time.perf_counter() - began)
    extra = median(a - b for a, b in zip(times["import"], times["bare"], strict=True))
    ratio = median(a / b for a, b in zip(times["version"], times["bare"], strict=True))
    loaded = _printed(
        f"import sys, faithful_decide; print(len(sys.modules.keys() & set({HEAVY!r})))"
    )
    # The double is the benchmark's own; a backend that is loaded comes on top.
    own = {name for name in _printed(DECIDING).split() if not name.endswith(".testing")}
    rooms = {name.split(".")[1] for name in own if "." in name}
    yield Row("own modules loaded by a decision", len(own), "<=", 35, 1)
    yield Row(
        "of those, rooms of audits and of batches", len(rooms & {"_audit", "_batch"}), "<=", 0, 1
    )
    yield Row("import faithful_decide, ms over bare Python", extra * 1000, "<=", 60, rounds)
    yield Row("heavy modules loaded by the import", int(loaded), "<=", 0, len(HEAVY))
    yield Row("faithful-decide --version, ratio to bare Python", ratio, "<=", 3, rounds)


def _printed(code: str) -> str:
    """What a program prints."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _script() -> str:
    """The console script of this environment."""
    return str(Path(sys.executable).parent / "faithful-decide")


if __name__ == "__main__":
    run(start)
