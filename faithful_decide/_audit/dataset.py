"""Pools the audits of many samples: what no single one can show.

Trials of all samples are counted together, arm by arm. Questions about one image are not
independent, so intervals come from a bootstrap that draws images, not trials (2000 draws,
percentile interval). A flag of a data set is raised when the lower bounds of all arms that it needs
pass their thresholds, and its p value, the share of draws in which they did not, is corrected for
the number of flags (Holm).
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from faithful_decide._audit.arms import counted
from faithful_decide._audit.flags import FLAGS, RULES, because_of, label_of
from faithful_decide._audit.stats import holm, pooled
from faithful_decide._audit.types import ArmReport, DatasetAudit, DatasetFlag, SampleAudit, Tally
from faithful_decide._core.types import Usage
from faithful_decide._version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from faithful_decide._audit.flags import Thresholds
    from faithful_decide._audit.types import AuditReport, Tier

__all__ = ["pooled_report", "sample_of"]

DRAWS = 2000
LEVEL = 0.05


def sample_of(name: str, label: str, report: AuditReport) -> SampleAudit:
    """What a data set keeps of the audit of one sample.

    Args:
        name: What the sample is called.
        label: Its right verdict, or "".
        report: Its audit.

    Returns:
        The counts and flags.
    """
    ran = {arm: found for arm, found in report.arms.items() if found.trials}
    return SampleAudit(
        sample=name,
        cluster=report.image_sha256,
        verdict=report.decision.verdict,
        label=label,
        arm=report.reasons[0].arms[0] if report.tier == "screen" and report.reasons[0].arms else "",
        hits={arm: found.treatment for arm, found in ran.items()},
        placebos={arm: found.placebo for arm, found in ran.items()},
        flags=report.flags,
        image=report.image,
    )


def pooled_report(
    done: Sequence[tuple[SampleAudit, AuditReport | None]],
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
        done: Each sample with its report, None where it failed.
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
    samples = tuple(sample for sample, _ in done)
    clusters: dict[str, list[SampleAudit]] = {}
    for sample in samples:
        if not sample.error_type:
            clusters.setdefault(sample.cluster or sample.sample, []).append(sample)
    names = list(dict.fromkeys(arm for report in reports for arm in report.arms))
    rng = Random(0 if seed is None else seed)  # noqa: S311 - a bootstrap, no secret
    drawn = _draws(list(clusters.values()), names, rng)
    arms = {arm: _pooled_arm(arm, reports, samples, drawn.get(arm, [])) for arm in names}
    flags = _flags(arms, drawn, thresholds)
    calls = sum(report.calls for report in reports)
    hidden = any(r.hidden for r in reports)
    label = (
        "" if any(f.raised for f in flags) else label_of(arms, tier, thresholds, hidden=hidden).name
    )
    return DatasetAudit(
        version=__version__,
        tier=tier,
        model=model,
        reader=reader,
        samples=samples,
        arms=arms,
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


def _tallies(samples: Sequence[SampleAudit], arm: str) -> tuple[Tally, Tally]:
    none = Tally(hits=0, n=0)
    return (
        pooled([s.hits.get(arm, none) for s in samples]),
        pooled([s.placebos.get(arm, none) for s in samples]),
    )


def _draws(
    clusters: list[list[SampleAudit]], names: Sequence[str], rng: Random
) -> dict[str, list[float]]:
    """Scores of every arm over data sets drawn from the images of this one."""
    counts = [{arm: _tallies(cluster, arm) for arm in names} for cluster in clusters]
    scores: dict[str, list[float]] = {arm: [] for arm in names}
    for _ in range(DRAWS if len(counts) > 1 else 0):
        chosen = rng.choices(counts, k=len(counts))
        for arm in names:
            hits = n = other = placebo = 0
            for cluster in chosen:
                treatment, control = cluster[arm]
                hits, n = hits + treatment.hits, n + treatment.n
                other, placebo = other + control.hits, placebo + control.n
            floor = other / placebo if placebo else 0.0
            gain = (hits / n if n else 0.0) - floor
            scores[arm].append(max(0.0, gain / (1.0 - floor)) if floor < 1.0 else 0.0)
    return scores


def _pooled_arm(
    arm: str, reports: Sequence[AuditReport], samples: Sequence[SampleAudit], drawn: list[float]
) -> ArmReport:
    treatment, placebo = _tallies(samples, arm)
    known = next(report.arms[arm] for report in reports if arm in report.arms)
    if treatment.n == 0:
        return known.model_copy(update={"trials": (), "treatment": treatment, "placebo": placebo})
    found = counted(arm, treatment, placebo)
    more: dict[str, object] = {
        "approximate": known.approximate,
        "calls": sum(report.arms[arm].calls for report in reports if arm in report.arms),
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
    arms: Mapping[str, ArmReport], drawn: Mapping[str, list[float]], thresholds: Thresholds
) -> tuple[DatasetFlag, ...]:
    looked: dict[str, tuple[tuple[str, ...], float]] = {}
    for flag in FLAGS:
        every, some = RULES[flag]
        ran = {a for a in every | some if a in arms and arms[a].score is not None}
        needed = tuple(sorted(every)) if every <= ran else ()
        if some:
            # Of those that do alone, the one with the highest lower bound.
            best = sorted(some & ran, key=lambda a: -(arms[a].interval or (0.0, 1.0))[0])[:1]
            needed = (*needed, *best)
        if not needed or not every <= ran or (some and not some & ran):
            continue
        limits = thresholds.values[flag]
        misses = [
            any(drawn[arm][i] <= limits.get(arm, 1.0) for arm in needed)
            for i in range(min((len(drawn.get(arm, [])) for arm in needed), default=0))
        ]
        p = (1 + sum(misses)) / (1 + len(misses))
        looked[flag] = (needed, p)
    corrected = holm({flag: p for flag, (_, p) in looked.items()})
    flags = []
    for flag, (needed, _) in looked.items():
        limits = thresholds.values[flag]
        bounds = [arms[arm].interval or (0.0, 1.0) for arm in needed]
        passes = all(
            low > limits.get(arm, 1.0) for arm, (low, _) in zip(needed, bounds, strict=True)
        )
        scores = [arms[arm].score or 0.0 for arm in needed]
        least = min(range(len(needed)), key=lambda i: scores[i])
        flags.append(
            DatasetFlag(
                name=flag,
                because=because_of(flag, [arms[arm] for arm in needed]),
                raised=passes and corrected[flag] < LEVEL,
                score=scores[least],
                interval=bounds[least],
                p=corrected[flag],
                arms=needed,
            )
        )
    return tuple(flags)
