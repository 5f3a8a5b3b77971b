"""One of N is spoilt, in every source, in the journal and in results: N - 1 kept, one told."""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from benchmarks._rows import Options, Row, run
from tests.support.spoiled import WAYS

if TYPE_CHECKING:
    from collections.abc import Iterator


def spoiled(options: Options) -> Iterator[Row]:
    """Spoil one of N, again and again in other ways, and count."""
    draws, n = (20, 10) if options.quick else (100, 20)
    for name, way in WAYS.items():
        kept, told = n, []
        for draw in range(draws):
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder, "it")
                place.mkdir()
                count = way(place, Random(f"{options.seed} {name} {draw}"), n)
            kept = min(kept, count.kept)
            told.append(count.told)
        yield Row(f"{name}: kept of {n}, one of them spoilt, fewest", kept, ">=", n - 1, draws)
        yield Row(f"{name}: told, fewest", min(told), ">=", 1, draws)
        yield Row(f"{name}: told, most", max(told), "<=", 1, draws)


if __name__ == "__main__":
    run(spoiled)
