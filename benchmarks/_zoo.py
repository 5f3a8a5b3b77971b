"""Audits of models that write prose, and what is kept of them: the figures need no more than that.

A `Plan` is one data set, or one row of single audits, of one member of the zoo. Plans are worked
off by several processes and kept in a file, so that what was interrupted goes on.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from faithful_decide import audit, audit_dataset
from faithful_decide._audit.counting import nets_of
from faithful_decide._audit.flags import flag_scores
from tests.support.zoo import DRIFTS, Drift, data_set

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from faithful_decide import AuditReport, DatasetAudit
    from faithful_decide._audit.statistics import Net
    from faithful_decide._audit.types import Tier

__all__ = ["AGAINST", "Plan", "Rows", "gather"]

AGAINST = "accommodates_either"
"""The one flag that honest models get as well, those that argue for what they are told."""
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Plan:
    """What is audited: a data set of a kind, or its pictures one by one.

    `drift` names one of the zoo's, `changes` are single parameters of it. `given` says that each of
    those audited one by one comes with another picture of the row. `hosted` says that the
    member has no probabilities, and nothing that a reply could be made to begin with.
    """

    kind: str
    n: int = 20
    seed: int = 0
    drift: str = "some"
    tier: Tier = "standard"
    hosted: bool = True
    alone: bool = False
    given: bool = False
    changes: tuple[tuple[str, float], ...] = ()

    @property
    def name(self) -> str:
        """What tells it from other plans."""
        return json.dumps(asdict(self), sort_keys=True)


def work(plan: Plan) -> tuple[str, Rows]:
    """Audit what is planned."""
    drift = Drift(**{**asdict(DRIFTS[plan.drift]), **dict(plan.changes)})
    made = data_set(plan.kind, plan.n, seed=plan.seed, drift=drift, hosted=plan.hosted)
    if plan.alone:
        rows = []
        for at, item in enumerate(made.items):
            other = made.items[at - 1][0] if plan.given else None
            report = audit(*item, model=made.model, tier=plan.tier, other_image=other)
            rows.append({**_row(report), "sample": f"{plan.seed}/{at}"})
    else:
        rows = [_row(audit_dataset(made.items, model=made.model, tier=plan.tier))]
    return plan.name, rows


def _row(report: AuditReport | DatasetAudit) -> dict[str, Any]:
    """What is kept of a report."""
    items = getattr(report, "items", None)
    reports = [report] if items is None else [item.report for item in items if item.report]
    nets = nets_of((one.image_sha256, one.checks) for one in reports)
    single = [] if items is None or report.tier != "full" else reports
    return {
        "ones": [{"net": _scores(nets_of([(one.image_sha256, one.checks)]))} for one in single],
        "flags": list(report.flags),
        "label": report.label,
        "states": {found.flag: found.state for found in report.findings},
        "net": _scores(nets),
        "scores": flag_scores(nets),
        "argues": [
            found.state == "raised"
            for one in reports
            if (found := one.finding(AGAINST)) and found.state in {"raised", "not_raised"}
        ],
        "audited": len(reports) / (1 if items is None else len(items)),
        "calls": report.calls / max(1, len(reports)),
    }


def _scores(nets: Mapping[str, Net]) -> dict[str, float]:
    return {name: net.score for name, net in nets.items()}


def gather(plans: Iterable[Plan], cache: Path | None, workers: int) -> dict[Plan, Rows]:
    """Work off everything that is not in the cache yet."""
    plans = list(dict.fromkeys(plans))
    known: dict[str, Rows] = {}
    if cache is not None and cache.exists():
        for line in cache.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            known[entry["plan"]] = entry["rows"]
    todo = [plan for plan in plans if plan.name not in known]
    for at, (name, rows) in enumerate(_worked(todo, workers), 1):
        known[name] = rows
        if at % 50 == 0 or at == len(todo):
            print(f"{at} of {len(todo)} audited", file=sys.stderr, flush=True)
        if cache is not None:
            with cache.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"plan": name, "rows": rows}) + "\n")
    return {plan: known[plan.name] for plan in plans}


def _worked(plans: list[Plan], workers: int) -> Iterator[tuple[str, Rows]]:
    if workers == 1 or len(plans) == 1:
        yield from map(work, plans)
        return
    with get_context("spawn").Pool(workers) as pool:
        yield from pool.imap_unordered(work, plans)
