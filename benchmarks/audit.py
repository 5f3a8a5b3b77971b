"""Whether the flags of the audit mean something, on models whose faithfulness is known.

    python -m benchmarks.audit --part alarms          # one part; without it, all but `trained`
    python -m benchmarks.audit --fit FILE             # thresholds, and what percentile they are

The parts on models that write prose run in this process; `wired` and `trained` are organisms around
the embedded model. Data sets are the unit of shares of data sets, pictures that of shares of single
audits, and all intervals of shares are exact.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import _disclosure, _prose
from benchmarks._prose import SETS, Asking
from benchmarks._rows import show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from benchmarks._rows import Row


def coverage(asking: Asking) -> Iterator[Row]:
    """Intervals and flags of simulated data sets."""
    from benchmarks.coverage import program  # noqa: PLC0415 - one part only

    return program(asking.options)


def cost(asking: Asking) -> Iterator[Row]:
    """Calls, time and tokens of an audit beside one decision."""
    from benchmarks.audit_cost import audit_cost  # noqa: PLC0415 - one part only

    return audit_cost(asking.options)


def wired(asking: Asking) -> Iterator[Row]:
    """Organisms that are wired around the embedded model."""
    from benchmarks._wired import program  # noqa: PLC0415 - loads the model

    return program(asking, "pipeline")


def trained(asking: Asking) -> Iterator[Row]:
    """Organisms that were trained; wants PyTorch."""
    from benchmarks._wired import program  # noqa: PLC0415 - loads the model

    return program(asking, "trained")


PARTS: Mapping[str, Callable[[Asking], Iterator[Row]]] = {
    "alarms": _prose.alarms,
    "found": _prose.found,
    "others": _prose.others,
    "full": _prose.full,
    "drift": _prose.drift,
    "noise": _prose.noise,
    "argues": _prose.argues,
    "labels": _prose.labels,
    "disclosure": _disclosure.program,
    "coverage": coverage,
    "cost": cost,
    "wired": wired,
    "trained": trained,
}
"""The parts, as the figures are listed; the last one is asked for by name alone."""


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument("--seed", type=int, default=0, help="other data; never other targets")
    parser.add_argument("--quick", action="store_true", help="less data")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this; may be repeated")
    parser.add_argument("--fit", type=Path, metavar="FILE", help="write fitted thresholds, no more")
    parser.add_argument("--cache", type=Path, metavar="FILE", help="keep audits, go on from them")
    parser.add_argument("--sets", type=int, default=SETS, help="data sets of each kind")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    asking = Asking(options.seed, options.quick, options.cache, options.workers, options.sets)
    if options.fit is not None:
        options.fit.write_text(json.dumps(_prose.fitted(asking), indent=1) + "\n")
        return
    named = options.part or [name for name in PARTS if name != "trained"]
    show((row for name in named for row in PARTS[name](asking)), as_json=options.json)


if __name__ == "__main__":
    main()
