"""The commands over many images. Like `cli`: parse, call, print."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from decimal import Decimal

    from faithful_decide._batch._row import Row, Sample
    from faithful_decide._batch._runner import Job
    from faithful_decide._many import Batch
    from faithful_decide._types import Question

__all__ = ["batch"]

JOURNAL = "faithful-decide.journal"
FAILED = 1


def _split(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(","))


def _money(_: click.Context, __: click.Parameter, value: str | None) -> Decimal | None:
    from decimal import Decimal, InvalidOperation  # noqa: PLC0415 - slow to load

    if value is None:
        return None
    try:
        amount = Decimal(value)
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount <= 0:
        msg = f"{value!r} is not an amount of US dollars"
        raise click.BadParameter(msg)
    return amount


def _asking(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what to ask, of whom, and about what."""
    options = [
        click.argument("sources", nargs=-1, required=True, metavar="SOURCES..."),
        click.option("--verdicts", default="yes,no", callback=_split, help="Comma-separated."),
        click.option("--no-abstain", is_flag=True, help="Do not offer cannot_tell."),
        click.option("--base-url", metavar="URL", help="Where the server is."),
        click.option("--samples", default=1, help="Reason this many times per question."),
        click.option("--seed", type=int, help="Draw other samples."),
        click.option("--max-tokens", default=512, help="The longest reply."),
        click.option("--timeout", default=600.0, help="Seconds for each decision."),
        click.option("--retries", default=0, help="Repeats of a reply that breaks the contract."),
        click.option("--journal", metavar="FILE", default=JOURNAL, help="What was paid for."),
        click.option("--at-once", type=int, help="Samples under way; 32 for a server."),
        click.option("--workers", default=1, help="Processes for a model that computes here."),
        click.option("--limit", type=click.IntRange(0), help="The most samples."),
        click.option("--max-cost", metavar="USD", callback=_money, help="Stop before it costs so."),
        click.option("--image-column", metavar="NAME", help="The column with the image."),
        click.option("--dry-run", is_flag=True, help="Ask nothing; estimate calls and cost."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@_asking
@click.option("--question", "-q", "questions", multiple=True, required=True, help="What to ask.")
@click.option("--model", metavar="SPEC", help="As in `decide`.")
@click.option("--out", metavar="FILE", help="A .jsonl, .csv or .parquet file for the rows.")
@click.option("--as-completed", is_flag=True, help="Rows in the order in which they are done.")
def batch(
    sources: tuple[str, ...],
    *,
    questions: tuple[str, ...],
    out: str | None,
    **how: Any,  # noqa: ANN401 - the options of _asking
) -> int:
    """Decide about all images in SOURCES: folders, patterns, tables, archives, or - for stdin.

    Every reply is kept in the journal, so running the same command again goes on where it ended.
    Rows go to stdout as lines of JSON, or to a file with --out.
    """
    from faithful_decide._batch._export import exporting, write_json  # noqa: PLC0415 - slow to load
    from faithful_decide._many import named  # noqa: PLC0415 - slow to load

    asked = named(questions, how["verdicts"], abstain=not how["no_abstain"])
    with ExitStack() as stack:
        opened, job = _open(stack, how)
        if how["dry_run"]:
            _estimate(job, _samples(sources, how), asked)
            return 0
        write = (
            stack.enter_context(exporting(out)) if out else lambda row: write_json(row, sys.stdout)
        )
        rows = opened.rows(job, _samples(sources, how), asked)
        shown = sys.stderr.isatty()
        count = _count(sources, how) if shown else None
        _run(opened, rows, write, total=count and count * len(asked), how=how)
    return FAILED if opened.progress.errors else 0


def _open(stack: ExitStack, how: dict[str, Any]) -> tuple[Batch, Job]:
    from faithful_decide._decide import Settings  # noqa: PLC0415 - slow to load
    from faithful_decide._loading import seed_of  # noqa: PLC0415 - slow to load
    from faithful_decide._many import Batch  # noqa: PLC0415 - slow to load

    journal = how["journal"]
    if how["dry_run"] and not Path(journal).exists():
        journal = None
    settings = Settings(
        how["samples"],
        seed_of(how["seed"], how["samples"], how["journal"]),
        how["max_tokens"],
        how["retries"],
        how["timeout"],
    )
    options = {} if how["base_url"] is None else {"base_url": how["base_url"]}
    opened = stack.enter_context(Batch(how["model"], journal, how["workers"], options))
    job = opened.job(
        settings,
        at_once=how["at_once"],
        ordered=not how["as_completed"],
        max_cost=None if how["dry_run"] else how["max_cost"],
    )
    return opened, job


def _samples(sources: Sequence[str], how: dict[str, Any]) -> Iterator[Sample]:
    from faithful_decide._batch._sources import read_samples  # noqa: PLC0415 - slow to load

    return islice(read_samples(*sources, image_column=how["image_column"]), how["limit"])


def _run(
    opened: Batch,
    rows: Generator[Row, None, None],
    write: Callable[[Row], None],
    *,
    total: int | None,
    how: dict[str, Any],
) -> None:
    from tqdm import tqdm  # noqa: PLC0415 - slow to load

    # Without a terminal there is no bar: disable=None says so.
    bar = tqdm(total=total, unit=" rows", file=sys.stderr, disable=None)
    try:
        with bar, closing(rows):
            for row in rows:
                write(row)
                bar.update()
                bar.set_postfix_str(_short(opened), refresh=False)
    except KeyboardInterrupt:
        opened.leave()
        _say(f"interrupted: {_long(opened)}")
        _say(f"what was paid for is in {how['journal']}; run the same command again to go on")
        sys.stdout.flush()
        # Not by the usual way out: an engine in the middle of a reply would be waited for.
        os._exit(FAILED)
    _say(_long(opened))
    if opened.progress.too_dear:
        _say(f"stopped, because more would cost over ${how['max_cost']}; raise --max-cost to go on")


def _count(sources: Sequence[str], how: dict[str, Any]) -> int | None:
    """How many samples there are, where looking is quick."""
    quick = all(Path(s).is_dir() or s.endswith((".csv", ".jsonl")) for s in sources)
    return sum(1 for _ in _samples(sources, how)) if quick else how["limit"]


def _short(opened: Batch) -> str:
    failed, cost = opened.progress.errors.total(), opened.backend.cost_usd
    return f"{failed} failed" + (f", ${cost:.2f}" if cost else "")


def _long(opened: Batch) -> str:
    done, backend = opened.progress, opened.backend
    counts = [f"{n} {what}" for what, n in done.verdicts.most_common()]
    counts += [f"{n} {what}" for what, n in done.errors.most_common()]
    cost = f", ${backend.cost_usd:.4f} by list prices" if backend.cost_usd else ""
    return (
        f"{done.rows} rows ({', '.join(counts) or 'none'}); {backend.paid} replies paid for, "
        f"{backend.recalled} from the journal{cost}"
    )


def _estimate(job: Job, samples: Iterator[Sample], asked: dict[str, Question]) -> None:
    from faithful_decide._batch._estimate import estimate  # noqa: PLC0415 - slow to load

    found = estimate(job, samples, asked)
    basis = "as earlier replies had" if found.measured else "by rule of thumb"
    price = "not known" if found.cost_usd is None else f"${found.cost_usd:.2f} by list prices"
    rows = {
        "samples": str(found.samples),
        "requests": f"{found.requests} ({found.known} replies are in the journal)",
        "tokens": f"{found.prompt_tokens} in, {found.completion_tokens} out, {basis}",
        "cost": price,
    }
    for name, text in rows.items():
        click.echo(f"{name:<9}  {text}")


def _say(text: str) -> None:
    shown = "".join(c if c.isprintable() else "?" for c in text)
    click.echo(shown, err=True)
