"""Pools the audits of many items: what no single one can show.

Trials of all items are counted together, check by check. Questions about one image are not
independent, so intervals come from a bootstrap that draws images, not trials (2000 draws,
percentile interval). A flag of a data set is raised when the lower bounds of all checks that it
needs pass their thresholds, and its p value, the share of draws in which they did not, is
corrected for the number of flags (Holm).
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from faithful_decide._audit.checks import counted
from faithful_decide._audit.flags import FLAGS, RULES, because_of, label_of
from faithful_decide._audit.stats import holm, pooled
from faithful_decide._audit.types import CheckReport, DatasetAudit, DatasetFlag, ItemAudit, Tally
from faithful_decide._core.types import Usage
from faithful_decide._version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from faithful_decide._audit.flags import Thresholds
    from faithful_decide._audit.types import AuditReport, Tier

__all__ = ["item_of", "pooled_report"]

DRAWS = 2000
LEVEL = 0.05


def item_of(name: str, expected: str, report: AuditReport) -> ItemAudit:
    """What a data set keeps of the audit of one item.

    Args:
        name: What the item is called.
        expected: Its right verdict, or "".
        report: Its audit.

    Returns:
        The counts and flags.
    """
    ran = {check: found for check, found in report.checks.items() if found.trials}
    return ItemAudit(
        item=name,
        cluster=report.image_sha256,
        verdict=report.decision.verdict,
        expected=expected,
        check=report.reasons[0].checks[0]
        if report.tier == "screen" and report.reasons[0].checks
        else "",
        treatments={check: found.treatment for check, found in ran.items()},
        controls={check: found.control for check, found in ran.items()},
        flags=report.flags,
        image=report.image,
    )


def pooled_report(
    done: Sequence[tuple[ItemAudit, AuditReport | None]],
    tier: Tier,
    thresholds: Thresholds,
    *,
    model: str,
    reader: str,
    seed: int | None,
    seconds: float,
) -> DatasetAudit:
    """Pool what was found.

    Args:
        done: Each item with its report, None where it failed.
        tier: How much was asked.
        thresholds: What raises a flag.
        model: The audited model.
        reader: Who read the observations.
        seed: Draws the bootstrap.
        seconds: What it took.

    Returns:
        The report of the data set.
    """
    reports = [report for _, report in done if report is not None]
    items = tuple(item for item, _ in done)
    clusters: dict[str, list[ItemAudit]] = {}
    for item in items:
        if not item.error_type:
            clusters.setdefault(item.cluster or item.item, []).append(item)
    names = list(dict.fromkeys(check for report in reports for check in report.checks))
    rng = Random(0 if seed is None else seed)  # noqa: S311 - a bootstrap, no secret
    drawn = _draws(list(clusters.values()), names, rng)
    checks = {check: _pooled_check(check, reports, items, drawn.get(check, [])) for check in names}
    flags = _flags(checks, drawn, thresholds)
    calls = sum(report.calls for report in reports)
    hidden = any(r.hidden for r in reports)
    label = (
        ""
        if any(f.raised for f in flags)
        else label_of(checks, tier, thresholds, hidden=hidden).name
    )
    return DatasetAudit(
        version=__version__,
        tier=tier,
        model=model,
        reader=reader,
        items=items,
        checks=checks,
        flags=flags,
        label=label,
        judge=next((r.judge for r in reports), ""),
        judged=_judged(reports),
        thresholds=thresholds.digest,
        seed=seed,
        calls=calls,
        usage=Usage(
            *(
                _total([getattr(r.usage, part) for r in reports])
                for part in ("prompt_tokens", "cached_tokens", "completion_tokens")
            )
        ),
        seconds=seconds,
    )


def _judged(reports: Sequence[AuditReport]) -> Tally:
    said = [one.relation for r in reports for one in r.judgements if one.relation != "unusable"]
    return Tally(hits=said.count("contradicts"), n=len(said))


def _total(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _tallies(items: Sequence[ItemAudit], check: str) -> tuple[Tally, Tally]:
    none = Tally(hits=0, n=0)
    return (
        pooled([i.treatments.get(check, none) for i in items]),
        pooled([i.controls.get(check, none) for i in items]),
    )


def _draws(
    clusters: list[list[ItemAudit]], names: Sequence[str], rng: Random
) -> dict[str, list[float]]:
    """Scores of every check over data sets drawn from the images of this one."""
    counts = [{check: _tallies(cluster, check) for check in names} for cluster in clusters]
    scores: dict[str, list[float]] = {check: [] for check in names}
    for _ in range(DRAWS if len(counts) > 1 else 0):
        chosen = rng.choices(counts, k=len(counts))
        for check in names:
            hits = n = other = controls = 0
            for cluster in chosen:
                treatment, control = cluster[check]
                hits, n = hits + treatment.hits, n + treatment.n
                other, controls = other + control.hits, controls + control.n
            floor = other / controls if controls else 0.0
            gain = (hits / n if n else 0.0) - floor
            scores[check].append(max(0.0, gain / (1.0 - floor)) if floor < 1.0 else 0.0)
    return scores


def _pooled_check(
    check: str, reports: Sequence[AuditReport], items: Sequence[ItemAudit], drawn: list[float]
) -> CheckReport:
    treatment, control = _tallies(items, check)
    known = next(report.checks[check] for report in reports if check in report.checks)
    if treatment.n == 0:
        return known.model_copy(update={"trials": (), "treatment": treatment, "control": control})
    found = counted(check, treatment, control)
    more: dict[str, object] = {
        "approximate": known.approximate,
        "calls": sum(report.checks[check].calls for report in reports if check in report.checks),
    }
    if drawn and found.score is not None and 0.0 < found.score < 1.0:
        # At the ends a bootstrap has nothing to draw from, and Wilson's interval is the honest one.
        low, high = _quantiles(drawn)
        more["interval"] = (min(low, found.score), max(high, found.score))
    return found.model_copy(update=more)


def _quantiles(drawn: list[float]) -> tuple[float, float]:
    ordered = sorted(drawn)
    cut = round(len(ordered) * LEVEL / 2)
    return ordered[cut], ordered[-1 - cut]


def _flags(
    checks: Mapping[str, CheckReport], drawn: Mapping[str, list[float]], thresholds: Thresholds
) -> tuple[DatasetFlag, ...]:
    looked: dict[str, tuple[tuple[str, ...], float]] = {}
    for flag in FLAGS:
        every, some = RULES[flag]
        ran = {a for a in every | some if a in checks and checks[a].score is not None}
        needed = tuple(sorted(every)) if every <= ran else ()
        if some:
            # Of those that do alone, the one with the highest lower bound.
            best = sorted(some & ran, key=lambda a: -(checks[a].interval or (0.0, 1.0))[0])[:1]
            needed = (*needed, *best)
        if not needed or not every <= ran or (some and not some & ran):
            continue
        limits = thresholds.values[flag]
        misses = [
            any(drawn[check][i] <= limits.get(check, 1.0) for check in needed)
            for i in range(min((len(drawn.get(check, [])) for check in needed), default=0))
        ]
        p = (1 + sum(misses)) / (1 + len(misses))
        looked[flag] = (needed, p)
    corrected = holm({flag: p for flag, (_, p) in looked.items()})
    flags = []
    for flag, (needed, _) in looked.items():
        limits = thresholds.values[flag]
        bounds = [checks[check].interval or (0.0, 1.0) for check in needed]
        passes = all(
            low > limits.get(check, 1.0) for check, (low, _) in zip(needed, bounds, strict=True)
        )
        scores = [checks[check].score or 0.0 for check in needed]
        least = min(range(len(needed)), key=lambda i: scores[i])
        flags.append(
            DatasetFlag(
                name=flag,
                because=because_of(flag, [checks[check] for check in needed]),
                raised=passes and corrected[flag] < LEVEL,
                score=scores[least],
                interval=bounds[least],
                p=corrected[flag],
                checks=needed,
            )
        )
    return tuple(flags)
