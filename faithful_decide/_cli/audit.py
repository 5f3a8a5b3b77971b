"""The commands that audit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from faithful_decide._cli.files import check_written
from faithful_decide._cli.options import (
    Command,
    Condition,
    Sentence,
    arguments,
    asking,
    backend_options,
    helper,
    read_pairs,
    with_model,
)
from faithful_decide._cli.terminal import document, say, shown, table
from faithful_decide.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faithful_decide._audit.types import AuditReport, DatasetAudit, ItemAudit

__all__ = ["audit", "audit_dataset"]

FAILED = 1


def _auditing(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that both commands have."""
    options = [
        with_model,
        asking(
            without={"samples", "retries"},
            seed="Draw repeated replies with this seed. Without one the image and question do.",
            timeout="Give up on an audit after this many seconds, waiting included.",
        ),
        click.option(
            "--tier", type=click.Choice(["screen", "standard", "full"]),
            show_default="full for a model in this process, standard for others",
            help="Test this deeply. Each tier asks more than the one before.",
        ),
        helper("reader", "Let this model read the observations. Without it the audited one does."),
        helper("judge", "Let this model compare wording. Without it rules do, or at tier full the "
               "audited one."),
        helper("witness", "Ask this other model whether the claims are true."),
        click.option(
            "--thresholds", type=click.Path(exists=True, dir_okay=False),
            help="Raise flags by the thresholds in this file.",
        ),
        click.option("--html", metavar="FILE", help="Write the report as one HTML file."),
        click.option("--junit", metavar="FILE", help="Write the report as JUnit XML."),
        click.option("--json", "as_json", is_flag=True, help="Print the report as JSON."),
        click.option(
            "--gate", "gates", type=Condition(), multiple=True, metavar="CONDITION",
            help="Exit with 1 unless flag!=NAME, flag!=* or CHECK<NUMBER holds. May be repeated.",
        ),
        click.option("--dry-run", is_flag=True, help="Ask nothing, and count the calls."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.command(cls=Command, short_help="Test whether the reasons carried the verdict.")
@click.argument("image", type=click.Path(allow_dash=True))
@click.argument("question", type=Sentence(), required=False, is_eager=True)
@click.option(
    "--decision",
    type=click.Path(exists=True, dir_okay=False),
    help="Audit the decision in this file, as `decide --json` wrote it, and do not ask again.",
)
@click.option(
    "--other-image",
    type=click.Path(exists=True, dir_okay=False),
    help="See whether the same is asserted of this image, whose verdict ought to be another.",
)
@_auditing
def audit(
    image: str,
    question: str | None,
    *,
    decision: str | None,
    other_image: str | None,
    **how: Any,  # noqa: ANN401 - the options of _auditing
) -> int:
    """Test whether the reasoning of a decision about IMAGE carried its verdict.

    Example: faithful-decide audit part.jpg "Is this part damaged?" --tier full --html audit.html
    """
    from faithful_decide._api.audit import audit as audit_one  # noqa: PLC0415 - slow to load

    source = sys.stdin.buffer if image == "-" else image
    stored = None if decision is None else Path(decision).read_bytes()
    given = {"other_image": other_image, "decision": stored, **_passed(how)}
    _check_written(how, image, other_image, decision)
    if how["dry_run"]:
        return _dry(1, source, question, given)
    return _deliver(audit_one(source, question, **given), how)


@click.command("audit-dataset", cls=Command, short_help="Audit many decisions, pooled.")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCES...")
@click.option("--question", "-q", help="Ask this about every image.")
@click.option("--limit", type=click.IntRange(1), help="Take no more items than this.")
@click.option("--image-column", metavar="NAME", help="Take images from this column of a table.")
@_auditing
def audit_dataset(
    sources: Sequence[str],
    *,
    question: str | None,
    limit: int | None,
    image_column: str | None,
    **how: Any,  # noqa: ANN401 - the options of _auditing
) -> int:
    """Audit decisions about all images in SOURCES, and pool the results.

    With --journal every reply is kept, so the same command, run again, goes on where it stopped.
    SOURCES may be the rows that `batch` wrote, in a file beside the images: with --image-column id,
    their decisions are audited and not asked for again.

    Example: faithful-decide audit-dataset parts/ -q "Is this part damaged?" --gate "flag!=*"
    """
    from tqdm import tqdm  # noqa: PLC0415 - slow to load

    from faithful_decide._api.audit import audit_dataset as audit_all  # noqa: PLC0415 - slow to load
    from faithful_decide._batch.sources import Source  # noqa: PLC0415 - slow to load

    _check_written(how, *sources)
    items = list(Source(*sources, image_column=image_column, limit=limit))
    given = _passed(how)
    if how["dry_run"]:
        first = items[0] if items else None
        stored = first and first.columns.get("decision")
        given |= {"decision": stored or None}
        return _dry(len(items), first and first.image, question, given, many=True)
    failed = 0
    hidden = True if sys.stderr is None else None
    with tqdm(total=len(items), unit=" audits", file=sys.stderr, disable=hidden) as bar:

        def note(item: ItemAudit) -> None:
            nonlocal failed
            failed += bool(item.error_type)
            bar.set_postfix_str(f"{failed} failed", refresh=False)
            bar.update()

        report = audit_all(items, question, progress=note, **given)
    return _deliver(report, how)


def _passed(how: dict[str, Any]) -> dict[str, Any]:
    """The options as the library takes them."""
    return {
        **arguments(how),
        **backend_options(how["model"], how),
        **_helper("reader", how),
        **_helper("judge", how),
        **_helper("witness", how),
        "model": how["model"],
        "tier": how["tier"],
        "thresholds": _thresholds(how["thresholds"]),
    }


def _thresholds(place: str | None) -> str | None:
    try:
        return None if place is None else Path(place).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        msg = f"the thresholds cannot be read from {place}: {error}"
        raise UsageError(msg, hint="name a file that benchmarks.audit has written") from None


def _helper(name: str, how: dict[str, Any]) -> dict[str, Any]:
    """A second model, and how to load it."""
    spec, pairs = how[name], how[f"{name}_options"]
    if pairs and spec is None:
        msg = f"--{name}-option is for a model that --{name} names"
        raise click.UsageError(msg)
    return {name: spec, f"{name}_options": read_pairs(spec, pairs) or None}


def _dry(
    items: int,
    image: Any,  # noqa: ANN401 - of any kind
    question: str | None,
    given: dict[str, Any],
    *,
    many: bool = False,
) -> int:
    """Say what would be asked. The first image stands for all."""
    from faithful_decide._api.audit import estimate_audit  # noqa: PLC0415 - slow to load

    rows = [("items", str(items))]
    if items:
        found = estimate_audit(image, question, many=many, **given)
        calls, most = items * found.calls, "" if found.exact else "at most "
        judged = ", and one of the judge for each pair of wordings to compare" * found.judged
        rows.append(("calls", f"{most}{calls}, {most}{found.calls} for each{judged}"))
        read, written = items * found.prompt_tokens, items * found.completion_tokens
        cost = "" if found.cost_usd is None else f", ${items * found.cost_usd:.2f} by list prices"
        rows.append(("tokens", f"about {read} to read, {written} to write{cost}"))
    table(rows, 8)
    return 0


def _check_written(how: dict[str, Any], *read: str | None) -> None:
    written = {flag: how[flag] for flag in ("html", "junit")}
    check_written(written, [how["journal"], how["thresholds"], *read])


def _deliver(report: AuditReport | DatasetAudit, how: dict[str, Any]) -> int:
    """Print a report, write it where it is wanted, and say which gates are broken."""
    gates = {gate.text: gate.broken(report) for gate in how["gates"]}
    if how["as_json"]:
        document(report.model_dump_json(indent=2))
    else:
        shown(report)
    if how["html"]:
        report.to_html(how["html"])
    if how["junit"]:
        report.to_junit(how["junit"], gates=gates)
    for gate, why in gates.items():
        if why:
            say(f"gate failed: {gate} ({why})")
    return FAILED if any(gates.values()) else 0
