"""The commands that audit. Like `cli`: parse, call, print."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from faithful_decide._cli.terminal import split, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faithful_decide._audit.types import AuditReport, DatasetAudit, ItemAudit

__all__ = ["audit", "audit_dataset", "print_audit"]

FAILED = 1
_GATE = re.compile(
    r"flag\s*!=\s*(?P<flag>[a-z_:?*]+)|(?P<check>[a-z_]+)\s*<\s*(?P<limit>0?\.\d+|[01](?:\.\d+)?)"
)


class Gate(click.ParamType[str]):
    """A condition that a report has to meet: `flag!=NAME`, `flag!=*` or `CHECK<NUMBER`."""

    name = "gate"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse what cannot be checked before anything is asked."""
        from faithful_decide._audit.checks import NAMES  # noqa: PLC0415 - slow to load
        from faithful_decide._audit.flags import FLAGS  # noqa: PLC0415 - slow to load

        found = _GATE.fullmatch(value.strip())
        if found is None:
            self.fail(f"{value!r} is neither flag!=NAME nor CHECK<NUMBER", param, ctx)
        if found["flag"] and found["flag"].removesuffix("?").partition(":")[0] not in {*FLAGS, "*"}:
            self.fail(f"there is no flag {found['flag']!r}; use {', '.join(FLAGS)}", param, ctx)
        if found["check"] and found["check"] not in NAMES:
            self.fail(f"there is no check {found['check']!r}; use {', '.join(NAMES)}", param, ctx)
        return value.strip()


def _auditing(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that both commands have."""
    options = [
        click.option("--verdicts", default="yes,no", callback=split, help="Comma-separated."),
        click.option("--no-abstain", is_flag=True, help="Do not offer cannot_tell."),
        click.option("--model", metavar="SPEC", help="As in `decide`."),
        click.option("--base-url", metavar="URL", help="Where the server is."),
        click.option(
            "--tier", type=click.Choice(["screen", "standard", "full"]), default="standard",
            help="How much to ask.",
        ),
        click.option("--reader", metavar="SPEC", help="Who reads the observations; self."),
        click.option("--judge", metavar="SPEC", help="Who compares wording; nobody."),
        click.option("--seed", type=int, help="Draw other samples."),
        click.option("--max-tokens", default=512, help="The longest reply."),
        click.option("--timeout", default=600.0, help="Seconds for each audit."),
        click.option("--journal", metavar="FILE", help="Keep every reply, and go on from it."),
        click.option(
            "--thresholds", type=click.Path(exists=True, dir_okay=False),
            help="Thresholds of your own.",
        ),
        click.option("--html", metavar="FILE", help="Write the report as one HTML file."),
        click.option("--junit", metavar="FILE", help="Write it as JUnit XML."),
        click.option("--json", "as_json", is_flag=True, help="Print it as JSON."),
        click.option(
            "--gate", "gates", type=Gate(), multiple=True, help="flag!=NAME, CHECK<NUMBER."
        ),
        click.option("--dry-run", is_flag=True, help="Ask nothing; count the calls."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("image", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.argument("question")
@click.option(
    "--other-image",
    type=click.Path(exists=True, dir_okay=False),
    help="A picture with another verdict; does the model assert this one's of it?",
)
@_auditing
def audit(image: str, question: str, *, other_image: str | None, **how: Any) -> int:  # noqa: ANN401 - the options of _auditing
    """Test whether the reasoning of a decision about IMAGE carried its verdict."""
    from faithful_decide._api.audit import audit as audit_one  # noqa: PLC0415 - slow to load

    source = sys.stdin.buffer if image == "-" else image
    given = {"other_image": other_image, **_passed(how)}
    if how["dry_run"]:
        return _dry(1, source, question, given)
    return _deliver(audit_one(source, question, **given), how)


@click.command("audit-dataset")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCES...")
@click.option("--question", "-q", required=True, help="What to ask about every image.")
@click.option("--limit", type=click.IntRange(1), help="The most samples.")
@click.option("--image-column", metavar="NAME", help="The column with the image.")
@_auditing
def audit_dataset(
    sources: Sequence[str],
    *,
    question: str,
    limit: int | None,
    image_column: str | None,
    **how: Any,  # noqa: ANN401 - the options of _auditing
) -> int:
    """Audit decisions about all images in SOURCES, and pool what was found.

    With --journal every reply is kept, so the same command goes on where it was interrupted.
    """
    from tqdm import tqdm  # noqa: PLC0415 - slow to load

    from faithful_decide._api.audit import audit_dataset as audit_all  # noqa: PLC0415 - slow to load
    from faithful_decide._batch.sources import Source  # noqa: PLC0415 - slow to load

    samples = list(Source(*sources, image_column=image_column, limit=limit))
    if how["dry_run"]:
        return _dry(len(samples), samples[0].image if samples else None, question, _passed(how))
    failed = 0
    with tqdm(total=len(samples), unit=" audits", file=sys.stderr, disable=None) as bar:

        def note(sample: ItemAudit) -> None:
            nonlocal failed
            failed += bool(sample.error_type)
            bar.set_postfix_str(f"{failed} failed", refresh=False)
            bar.update()

        report = audit_all(samples, question, progress=note, **_passed(how))
    return _deliver(report, how)


def _passed(how: dict[str, Any]) -> dict[str, Any]:
    """The options as the library takes them."""
    names = (
        "verdicts",
        "model",
        "tier",
        "reader",
        "judge",
        "seed",
        "max_tokens",
        "timeout",
        "journal",
    )
    passed = {name: how[name] for name in names}
    passed["abstain"] = not how["no_abstain"]
    limits = how["thresholds"]
    passed["thresholds"] = Path(limits).read_text(encoding="utf-8") if limits else None
    if how["base_url"] is not None:
        passed["base_url"] = how["base_url"]
    return passed


def _dry(items: int, image: Any, question: str, given: dict[str, Any]) -> int:  # noqa: ANN401 - of any kind
    """Say what would be asked. The first image stands for all."""
    from faithful_decide._api.audit import estimate_audit  # noqa: PLC0415 - slow to load

    click.echo(f"items     {items}")
    if items:
        found = estimate_audit(image, question, **given)
        calls, most = items * found.calls, "" if found.exact else "at most "
        judged = ", and one of the judge for each pair of wordings to compare" * found.judged
        click.echo(f"calls     {most}{calls}, {most}{found.calls} for each{judged}")
        tokens = (
            f"{items * found.prompt_tokens} to read, {items * found.completion_tokens} to write"
        )
        cost = "" if found.cost_usd is None else f", US$ {items * found.cost_usd:.2f}"
        click.echo(f"tokens    about {tokens}{cost}")
    return 0


def _deliver(report: AuditReport | DatasetAudit, how: dict[str, Any]) -> int:
    """Print a report, write it where it is wanted, and check the gates."""
    from faithful_decide._report import write_junit  # noqa: PLC0415 - slow to load

    if how["html"]:
        report.to_html(how["html"])
    if how["junit"]:
        write_junit(report, how["junit"])
    if how["as_json"]:
        click.echo(visible(report.model_dump_json(indent=2), keep="\n"))
    else:
        print_audit(report)
    broken = [gate for gate in how["gates"] if not _holds(report, gate)]
    for gate in broken:
        click.echo(f"gate failed: {gate}", err=True)
    return FAILED if broken else 0


def _holds(report: AuditReport | DatasetAudit, gate: str) -> bool:
    from faithful_decide._audit.types import DatasetAudit  # noqa: PLC0415 - slow to load
    from faithful_decide._report import findings, is_clean  # noqa: PLC0415 - slow to load

    found = _GATE.fullmatch(gate)
    if found is None:
        return False
    if found["check"]:
        check = report.checks.get(found["check"])
        # A check that was not run has shown nothing.
        return check is not None and check.score is not None and check.score < float(found["limit"])
    names = (
        [flag.name for flag in report.flags if flag.raised]
        if isinstance(report, DatasetAudit)
        else [flag.name for flag in findings(report)]
    )
    if found["flag"] == "*":
        return not names and (isinstance(report, DatasetAudit) or all(map(is_clean, report.flags)))
    return not any(n == found["flag"] or n.partition(":")[0] == found["flag"] for n in names)


def print_audit(report: AuditReport | DatasetAudit) -> None:
    """Print an audit as text: flags with their reasons, explanations side by side, checks."""
    from faithful_decide._audit.types import AuditReport  # noqa: PLC0415 - slow to load

    rows: list[tuple[str, str]] = []
    if isinstance(report, AuditReport):
        rows.append(("decided", f"{report.decision.verdict}: {report.decision.reasoning}"))
        for one in report.forced:
            if one.force_mode == "note":
                seen = "; ".join(
                    f"{'* ' if i in one.moved else ''}{o.about}: {o.seen}"
                    for i, o in enumerate(one.observations)
                )
                said = f"{seen}. {one.reasoning}" if seen else one.problem
                rows.append((f"told {one.forced}", f"{one.title}. {one.sentence} {said}"))
        rows += [
            ("conflict", f"{c.about}: {c.seen[0]} ({c.verdicts[0]}), {c.seen[1]} ({c.verdicts[1]})")
            for c in report.conflicts
        ]
        rows += [("flag", f"{flag.name}: {flag.because}") for flag in report.reasons]
    else:
        failed = sum(bool(sample.error_type) for sample in report.items)
        rows.append(("samples", f"{len(report.items)}, {failed} failed"))
        rows += [
            ("flag", f"{flag.name}: {flag.because}, p {flag.p:.3f}")
            for flag in report.flags if flag.raised
        ]  # fmt: skip
        if report.label:
            rows.append(("label", report.label))
    for check in report.checks.values():
        if check.score is None:
            rows.append((check.check, f"not run: {check.not_run}"))
            continue
        low, high = check.interval or (0.0, 1.0)
        control = f", control {check.control.hits} of {check.control.n}" if check.control.n else ""
        hits = f"{check.treatment.hits} of {check.treatment.n}{control}"
        rows.append((check.check, f"{check.score:.2f} [{low:.2f}, {high:.2f}], {hits}"))
    rows.append(
        ("calls", f"{report.calls} in {report.seconds:.1f} s; thresholds {report.thresholds}")
    )
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        click.echo(visible(f"{name:<{width}}  {text}"))
