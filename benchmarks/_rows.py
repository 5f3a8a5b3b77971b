"""What a benchmark prints: one row per figure, with its target and whether it was met."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from faithful_decide.calibration import wilson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


@dataclass(frozen=True)
class Row:
    """One figure. `interval` is a 95 % interval where the figure is an estimate."""

    figure: str
    value: float
    op: Literal["<=", ">="]
    target: float
    n: int
    interval: tuple[float, float] | None = None

    @property
    def ok(self) -> bool:
        """Whether the figure met its target."""
        return self.value <= self.target if self.op == "<=" else self.value >= self.target


@dataclass(frozen=True)
class Options:
    """What every benchmark can be asked: other data, or less of it."""

    seed: int
    quick: bool


def proportion(figure: str, hits: int, n: int, op: Literal["<=", ">="], target: float) -> Row:
    """A row for a proportion, with its Wilson interval."""
    return Row(figure, hits / n, op, target, n, wilson(hits, n))


def run(program: Callable[[Options], Iterable[Row]]) -> None:
    """Run a benchmark, print its rows, and exit with 0 only if all of them are ok."""
    parser = argparse.ArgumentParser(description=(program.__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument("--seed", type=int, default=0, help="changes the data, never the targets")
    parser.add_argument("--quick", action="store_true", help="less data")
    arguments = parser.parse_args()
    show(program(Options(arguments.seed, arguments.quick)), as_json=arguments.json)


def show(rows: Iterable[Row], *, as_json: bool) -> None:
    """Print rows as they come, and exit with 0 only if there are some and all are ok."""
    print(f"on {platform.platform()}, Python {platform.python_version()}", file=sys.stderr)
    met = []
    for row in rows:
        met.append(row.ok)
        if as_json:
            print(json.dumps({**asdict(row), "ok": row.ok}), flush=True)
        else:
            shown = f" [{row.interval[0]:.4g}, {row.interval[1]:.4g}]" if row.interval else ""
            print(
                f"{'ok  ' if row.ok else 'MISS'} {row.figure:<50} {row.value:.4g}{shown}"
                f" {row.op} {row.target:g} (n={row.n})",
                flush=True,
            )
    sys.exit(0 if met and all(met) else 1)
