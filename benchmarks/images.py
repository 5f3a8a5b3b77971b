"""Hostile pictures: crashes, untyped errors, processor time, memory and what leaks to stderr.

Each picture is prepared in a process of a pool, under a limit of memory, as for a server and as for
the embedded model. A folder of more pictures can be named in HOSTILE_PICTURES.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks._hostile import bombs, mutant
from benchmarks._rows import Options, Row, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WORKERS = 2
GIVE_UP_S = 120
CRASH = {"outcome": "crash", "seconds": 0.0, "mib": 0.0, "leaked": 0}


class Result(NamedTuple):
    """What a picture did to the process that prepared it."""

    name: str
    outcome: str
    seconds: float
    mib: float
    leaked: int


class Judges(threading.local):
    """One process per thread, started again when it died."""

    process: subprocess.Popen[str] | None = None

    def ask(self, name: str, data: bytes, folder: str) -> Result:
        """Have a picture prepared."""
        path = Path(folder, f"{threading.get_ident()}.picture")
        path.write_bytes(data)
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks._judge", f"{path}.log"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        process = self.process
        watch = threading.Timer(GIVE_UP_S, process.kill)
        watch.start()
        (process.stdin or sys.stdout).write(f"{path}\n")
        (process.stdin or sys.stdout).flush()
        line = (process.stdout or sys.stdin).readline()
        watch.cancel()
        if not line:
            process.communicate()
            self.process = None
        return Result(name, **(json.loads(line) if line else CRASH))


def judged(pictures: Iterable[tuple[str, bytes]]) -> list[Result]:
    """Have all pictures prepared, a few at a time."""
    judges = Judges()
    # Made as they are taken, because all of them together are large.
    taking = threading.Lock()
    remaining = iter(pictures)
    results: list[Result] = []

    def work(folder: str) -> None:
        while True:
            with taking:
                picture = next(remaining, None)
            if picture is None:
                break
            results.append(judges.ask(*picture, folder))
        if judges.process is not None:
            judges.process.communicate()

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(WORKERS) as pool:
        for job in [pool.submit(work, folder) for _ in range(WORKERS)]:
            job.result()
    return results


def rows(corpus: str, results: list[Result]) -> Iterator[Row]:
    """The figures of a corpus; whatever misses is named on stderr."""
    for result in results:
        bad = result.seconds > 2 or result.mib > 600 or result.leaked  # noqa: PLR2004
        if bad or result.outcome not in {"prepared", "refused"}:
            print(result, file=sys.stderr)
    n = len(results)
    crashes = sum(result.outcome == "crash" for result in results)
    untyped = sum(result.outcome.startswith("untyped") for result in results)
    yield Row(f"{corpus}: crashes", crashes, "<=", 0, n)
    yield Row(f"{corpus}: untyped errors", untyped, "<=", 0, n)
    yield Row(f"{corpus}: worst CPU seconds", max(r.seconds for r in results), "<=", 2, n)
    yield Row(f"{corpus}: worst MiB", max(r.mib for r in results), "<=", 600, n)
    yield Row(
        f"{corpus}: warnings or lines on stderr", sum(r.leaked > 0 for r in results), "<=", 0, n
    )


def images(options: Options) -> Iterator[Row]:
    """Judge bombs, damaged files, and the pictures of a folder."""
    yield from rows("bombs", judged(bombs()))
    count = 2000 if options.quick else 20_000
    mutants = (
        (f"mutant {n} of seed {options.seed}", mutant(n, options.seed)) for n in range(count)
    )
    yield from rows("damaged files", judged(mutants))
    folder = os.environ.get("HOSTILE_PICTURES")
    if folder:
        files = (path for path in sorted(Path(folder).rglob("*")) if path.is_file())
        yield from rows("folder", judged((str(path), path.read_bytes()) for path in files))


if __name__ == "__main__":
    run(images)
