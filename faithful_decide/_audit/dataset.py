"""Pools the audits of many items: what no single one can show.

Trials of all items are counted together, check by check. Questions about one image are not
independent, so intervals come from a bootstrap that draws images, not trials (2000 draws,
percentile interval). A flag of a data set is raised when the lower bounds of all checks that it
needs pass their thresholds, and its p value, the share of draws in which they did not, is
corrected for the number of flags (Holm).
"""

from __future__ import annotations

from random import Random
from struct import Struct
from typing import TYPE_CHECKING

from faithful_decide._audit.checks import BY_NAME
from faithful_decide._audit.flags import FLAGS, NOT_SHOWN, RULES, because_of, label_of, short_of
from faithful_decide._audit.stats import gain, holm, pooled
from faithful_decide._audit.types import (
    CheckReport,
    DatasetAudit,
    DatasetFlag,
    Flag,
    ItemAudit,
    Tally,
)
from faithful_decide._core.types import Usage
from faithful_decide._version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from faithful_decide._audit.flags import Thresholds
    from faithful_decide._audit.types import AuditReport, Tier

__all__ = ["item_of", "pooled_report"]

DRAWS = 2000
LEVEL = 0.05
_NONE = Tally(hits=0, n=0)


def item_of(name: str, expected: str, report: AuditReport) -> ItemAudit:
    """What a data set keeps of the audit of one item; `expected` is its right verdict, or ""."""
    ran = {name: check for name, check in report.checks.items() if check.trials}
    return ItemAudit(
        item=name,
        question=report.question.text,
        cluster=report.image_sha256,
        verdict=report.decision.verdict,
        expected=expected,
        check="".join(report.reasons[0].checks[:1]) if report.tier == "screen" else "",
        treatments={name: check.treatment for name, check in ran.items()},
        controls={name: check.control for name, check in ran.items()},
        flags=report.flags,
        report=report,
    )


def pooled_report(
    items: Sequence[ItemAudit],
    tier: Tier,
    thresholds: Thresholds,
    *,
    model: str,
    reader: str,
    seed: int | None,
    seconds: float,
) -> DatasetAudit:
    """Pool what was found; an item that failed has no report. `seed` draws the bootstrap."""
    reports = [item.report for item in items if item.report is not None]
    clusters: dict[str, list[ItemAudit]] = {}
    for item in items:
        if not item.error_type:
            clusters.setdefault(item.cluster or item.item, []).append(item)
    names = list(dict.fromkeys(name for report in reports for name in report.checks))
    rng = Random(0 if seed is None else seed)  # noqa: S311 - a bootstrap, no secret
    drawn = _draws(list(clusters.values()), names, rng)
    checks = {name: _pooled_check(name, reports, items, drawn[name]) for name in names}
    flags = _flags(checks, drawn, thresholds)
    hidden = any(r.hidden for r in reports)
    none = Flag(name="", because="")
    raised = any(flag.raised for flag in flags)
    label = none if raised else label_of(checks, tier, thresholds, hidden=hidden)
    return DatasetAudit(
        version=__version__,
        tier=tier,
        model=model,
        reader=reader,
        items=tuple(items),
        checks=checks,
        flags=flags,
        label=label.name,
        label_because=label.because,
        judge=next((r.judge for r in reports), ""),
        judged=_judged(reports),
        notes=tuple(_notes(reports)),
        thresholds=thresholds.digest,
        seed=seed,
        calls=sum(report.calls for report in reports),
        usage=Usage.of(report.usage for report in reports),
        seconds=seconds,
    )


def _notes(reports: Sequence[AuditReport]) -> Iterator[str]:
    lost = [sum(len(check.lost) for check in report.checks.values()) for report in reports]
    if any(lost):
        yield (
            f"{sum(lost)} calls or replies, of {sum(map(bool, lost))} items, could not be used and "
            "are in no trial."
        )


def _judged(reports: Sequence[AuditReport]) -> Tally:
    said = [j.relation for r in reports for j in r.judgements if j.relation != "unusable"]
    return Tally(hits=said.count("contradicts"), n=len(said))


def _tallies(items: Sequence[ItemAudit], name: str) -> tuple[Tally, Tally]:
    return (
        pooled([item.treatments.get(name, _NONE) for item in items]),
        pooled([item.controls.get(name, _NONE) for item in items]),
    )


def _draws(
    clusters: list[list[ItemAudit]], names: Sequence[str], rng: Random
) -> dict[str, list[float]]:
    """Scores of every check over data sets drawn from the images of this one.

    The counts of an image, of all checks, stand side by side in one long number, so that adding up
    a draw of a thousand images is a thousand additions.
    """
    wide = Struct(f"<{4 * len(names)}Q")

    def number(item: ItemAudit) -> int:
        tallies = (side.get(n, _NONE) for n in names for side in (item.treatments, item.controls))
        return int.from_bytes(wide.pack(*(n for t in tallies for n in (t.hits, t.n))), "little")

    packed = [sum(map(number, cluster)) for cluster in clusters]
    scores: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(DRAWS if len(packed) > 1 else 0):
        total = sum(rng.choices(packed, k=len(packed)))
        row = wide.unpack(total.to_bytes(wide.size, "little"))
        for at, name in enumerate(names):
            scores[name].append(gain(*row[4 * at : 4 * at + 4]))
    return scores


def _pooled_check(
    name: str, reports: Sequence[AuditReport], items: Sequence[ItemAudit], drawn: list[float]
) -> CheckReport:
    treatment, control = _tallies(items, name)
    own = [report.checks[name] for report in reports if name in report.checks]
    known = next((check for check in own if check.score is not None), own[0])
    if treatment.n == 0:
        return known.model_copy(
            update={"trials": (), "lost": (), "treatment": treatment, "control": control}
        )
    check = BY_NAME[name].scored(treatment, control)
    more: dict[str, object] = {
        "approximate": known.approximate,
        "calls": sum(one.calls for one in own),
    }
    if drawn and check.score is not None and 0.0 < check.score < 1.0:
        # At the ends a bootstrap has nothing to draw from, and Wilson's interval is the honest one.
        low, high = _quantiles(drawn)
        more["interval"] = (min(low, check.score), max(high, check.score))
    return check.model_copy(update=more)


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
        reports = [checks[check] for check in needed]
        raised = passes and corrected[flag] < LEVEL
        if raised:
            because = because_of(flag, reports)
        elif passes:
            because = f"{NOT_SHOWN} (p is {corrected[flag]:.3f}, and has to be below {LEVEL:g})"
        else:
            because = short_of(flag, reports, thresholds)
        flags.append(
            DatasetFlag(
                name=flag,
                because=because,
                raised=raised,
                score=scores[least],
                interval=bounds[least],
                p=corrected[flag],
                checks=needed,
            )
        )
    return tuple(flags)
