"""The commands over many images. Like `cli`: parse, call, print."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from faithful_decide._cli.terminal import split, visible
from faithful_decide.errors import FaithfulDecideError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from decimal import Decimal

    from faithful_decide._api.many import Batch
    from faithful_decide._audit.types import CheckReport
    from faithful_decide._batch.compare import Comparison
    from faithful_decide._batch.journal import Journal
    from faithful_decide._batch.row import Item, Row
    from faithful_decide._batch.runner import Asked, Job
    from faithful_decide._batch.sources import Source
    from faithful_decide._batch.summary import Summary
    from faithful_decide._core.types import Question

__all__ = ["batch", "compare"]

JOURNAL = "faithful-decide.journal"
FAILED = 1


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
        click.option("--verdicts", default="yes,no", callback=split, help="Comma-separated."),
        click.option("--no-abstain", is_flag=True, help="Do not offer cannot_tell."),
        click.option("--base-url", metavar="URL", help="Where the server is."),
        click.option("--samples", default=1, help="Reason this many times per question."),
        click.option("--seed", type=int, help="Draw other samples."),
        click.option("--max-tokens", default=512, help="The longest reply."),
        click.option("--timeout", default=600.0, help="Seconds for each decision."),
        click.option("--retries", default=0, help="Repeats of a reply that breaks the contract."),
        click.option("--journal", metavar="FILE", default=JOURNAL, help="What was paid for."),
        click.option("--concurrency", type=int, help="Samples under way; 32 for a server."),
        click.option("--workers", default=1, help="Processes for a model that computes here."),
        click.option("--limit", type=click.IntRange(0), help="The most items."),
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
@click.option("--deferred", is_flag=True, help="By the provider's batch API: half the price.")
@click.option("--as-completed", is_flag=True, help="Rows in the order in which they are done.")
@click.option("--audit", type=click.Choice(["screen"]), help="Ask once more for each decision.")
@click.option("--html", metavar="FILE", help="Write what became of them as one HTML file.")
@click.option("--label", default="label", help="The column with the right verdict; label.")
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
    from faithful_decide._api.many import named  # noqa: PLC0415 - slow to load
    from faithful_decide._batch.deferred import fill  # noqa: PLC0415 - slow to load
    from faithful_decide._batch.export import exporting, write_json  # noqa: PLC0415 - slow to load

    if how["deferred"] and "-" in sources:
        msg = "--deferred reads the sources more than once; write those of stdin into a file"
        raise click.UsageError(msg)
    if how["html"] and len(questions) > 1:
        msg = "--html shows one question; run the command for each, the journal knows the replies"
        raise click.UsageError(msg)
    asked = named(questions, how["verdicts"], abstain=not how["no_abstain"])
    with ExitStack() as stack:
        opened, job = _open(stack, how, len(asked))
        if how["dry_run"]:
            _estimate(job, _items(sources, how), asked, how["deferred"])
            return 0
        if how["deferred"]:
            with _going_on_later(opened, how):
                job = fill(job, lambda: _asked(sources, asked, how), say=_say)
            opened.backend = job.backend
        write = (
            stack.enter_context(exporting(out)) if out else lambda row: write_json(row, sys.stdout)
        )
        rows = opened.rows(job, _items(sources, how), asked)
        shown = sys.stderr.isatty()
        count = _count(sources, how) if shown else None
        started = time.perf_counter()
        found = _run(opened, rows, write, total=count and count * len(asked), how=how)
        _write_page(found, opened, sources, seconds=time.perf_counter() - started, how=how)
    if opened.progress.stopped is not None:
        raise opened.progress.stopped
    return FAILED if opened.progress.errors else 0


@click.command()
@_asking
@click.option("--question", "-q", required=True, help="What to ask.")
@click.option("--model", metavar="SPEC", help="As in `decide`.")
@click.option("--against-model", metavar="SPEC", help="Compare with another model.")
@click.option("--against-base-url", metavar="URL", help="Where its server is.")
@click.option("--against-question", metavar="TEXT", help="Compare with another question.")
@click.option("--against-verdict-first", is_flag=True, help="Compare with the other order.")
@click.option("--label", default="label", help="The column with the right verdict; label.")
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
def compare(
    sources: tuple[str, ...],
    *,
    question: str,
    label: str,
    as_json: bool,
    **how: Any,  # noqa: ANN401 - as in batch
) -> None:
    """Ask about all images in SOURCES in two ways, and test whether they differ.

    The other way is one of --against-model, --against-question and --against-verdict-first.
    """
    from faithful_decide._asking.verdict_first import verdict_first_plan  # noqa: PLC0415
    from faithful_decide._batch import compare as two  # noqa: PLC0415 - slow to load

    kinds = ("against_model", "against_question", "against_verdict_first")
    if sum(bool(how[kind]) for kind in kinds) != 1:
        msg = "name one way to compare with: --against-model, --against-question or "
        msg += "--against-verdict-first"
        raise click.UsageError(msg)
    asked = _questions((question, how["against_question"] or question), how)
    with ExitStack() as stack:
        opened, job = _open(stack, how)
        names, other = (opened.backend.name, opened.backend.name), job
        if how["against_model"]:
            changed = {"model": how["against_model"], "base_url": how["against_base_url"]}
            second, other = _open(stack, {**how, **changed}, journal=opened.backend.journal)
            names = (names[0], second.backend.name)
        elif how["against_question"]:
            names = (question, how["against_question"])
        else:
            names, other = (
                ("verdict last", "verdict first"),
                replace(job, instead=verdict_first_plan),
            )
        arms = (two.Arm(names[0], job, asked[0]), two.Arm(names[1], other, asked[1]))
        if how["dry_run"]:
            _estimate(job, _items(sources, how), {"": asked[0]})
            _estimate(other, _items(sources, how, again=True), {"": asked[1]})
            return
        with _going_on_later(opened, how):
            found = two.compare(*arms, _items(sources, how), label=label)
    if as_json:
        click.echo(found.model_dump_json())
    else:
        _show(found)


def _questions(texts: Sequence[str], how: dict[str, Any]) -> list[Question]:
    from faithful_decide._core.types import Question as Asked  # noqa: PLC0415 - slow to load

    return [Asked(text, how["verdicts"], not how["no_abstain"]) for text in texts]


def _show(found: Comparison) -> None:
    """Print a comparison."""
    first, second = found.arms
    rows = [("first", first), ("second", second)]
    rows.append(("pairs", f"{found.pairs} of {found.items} items; {found.agreed} agree"))
    for name, errors, abstained in zip(found.arms, found.errors, found.abstained, strict=True):
        counts = ", ".join(f"{n} {what}" for what, n in errors.items()) or "no errors"
        rows.append(("", f"{name}: {counts}, {abstained} cannot_tell"))
    if found.rates is not None and found.difference is not None:
        shares = " and ".join(f"{r.value:.3f} [{r.low:.3f}, {r.high:.3f}]" for r in found.rates)
        rows.append((found.what, shares))
        d = found.difference
        rows.append(("change", f"{d.value:+.3f} [{d.low:+.3f}, {d.high:+.3f}]"))
        only = f"{found.only_first} only the first, {found.only_second} only the second"
        rows.append(("McNemar", f"p = {found.p_value:.4g} (exact; {only})"))
    for name, text in rows:
        click.echo(f"{name:<13}  {visible(text)}")


def _open(
    stack: ExitStack, how: dict[str, Any], questions: int = 1, journal: Journal | None = None
) -> tuple[Batch, Job]:
    from faithful_decide._api.many import Batch  # noqa: PLC0415 - slow to load
    from faithful_decide._asking.options import Options  # noqa: PLC0415 - slow to load

    kept: Journal | str | None = journal or how["journal"]
    if how["dry_run"] and not Path(how["journal"]).exists():
        kept = None
    names = ("verdicts", "samples", "seed", "max_tokens", "timeout", "retries")
    asking = {name: how[name] for name in names}
    settings = Options(**asking, abstain=not how["no_abstain"], journal=kept)
    options = {} if how["base_url"] is None else {"base_url": how["base_url"]}
    batch = Batch(how["model"], settings, options, how["workers"], in_haste=True)
    opened = stack.enter_context(batch)
    job = opened.job(
        concurrency=how["concurrency"],
        ordered=not how.get("as_completed"),
        max_cost=None if how["dry_run"] else how["max_cost"],
        audit=how.get("audit"),
        questions=questions,
    )
    return opened, job


def _asked(
    sources: Sequence[str], asked: dict[str, Question], how: dict[str, Any]
) -> Iterator[Asked]:
    return ((item, asked) for item in _items(sources, how, again=True))


def _items(sources: Sequence[str], how: dict[str, Any], *, again: bool = False) -> Source:
    """The items; those that are read `again` are not told of once more."""
    from faithful_decide._batch.sources import Source  # noqa: PLC0415 - slow to load

    column, limit = how["image_column"], how["limit"]
    return Source(*sources, image_column=column, limit=limit, quiet=again)


def _run(
    opened: Batch,
    rows: Generator[Row, None, None],
    write: Callable[[Row], None],
    *,
    total: int | None,
    how: dict[str, Any],
) -> tuple[Summary | None, dict[str, CheckReport]]:
    """Write all rows. Return what a page needs of them, if there is to be one, and the audit."""
    from tqdm import tqdm  # noqa: PLC0415 - slow to load

    from faithful_decide._audit.screen import Pool  # noqa: PLC0415 - slow to load
    from faithful_decide._batch.summary import summarise  # noqa: PLC0415 - slow to load

    pool, summary = Pool(), None

    def written() -> Iterator[Row]:
        for row in rows:
            write(row)
            pool.add(row.extra)
            bar.update()
            bar.set_postfix_str(_short(opened), refresh=False)
            yield row

    # Without a terminal there is no bar: disable=None says so.
    bar = tqdm(total=total, unit=" rows", file=sys.stderr, disable=None)
    with _going_on_later(opened, how), bar, closing(rows), _keeping(opened):
        if how["html"]:
            summary = summarise(written(), label=how["label"])
        else:
            deque(written(), maxlen=0)
    if opened.progress.stopped is not None:
        return None, {}
    _say(_long(opened))
    if opened.progress.too_dear:
        _say(f"stopped, because more would cost over ${how['max_cost']}; raise --max-cost to go on")
    checks = pool.checks()
    for name, check in checks.items():
        treatment, control = check.treatment, check.control
        counts = f"{treatment.hits} hits of {treatment.n}, {control.hits} of {control.n} controls"
        _say(f"audit: {name} {counts}")
    return summary, checks


def _write_page(
    found: tuple[Summary | None, dict[str, CheckReport]],
    opened: Batch,
    sources: Sequence[str],
    *,
    seconds: float,
    how: dict[str, Any],
) -> None:
    """Write the page, where one was wanted and there is something to show."""
    from faithful_decide._report import write_html  # noqa: PLC0415 - slow to load
    from faithful_decide._report.batch import page_of  # noqa: PLC0415 - slow to load

    summary, checks = found
    if summary is None or not summary.questions:
        return
    # What came by standard input cannot be read once more, so its pictures are not shown.
    again = () if "-" in sources else _items(sources, how, again=True)
    write_html(page_of(summary, opened.backend, again, checks=checks, seconds=seconds), how["html"])
    _say(f"the page is in {how['html']}")


@contextmanager
def _going_on_later(opened: Batch, how: dict[str, Any]) -> Iterator[None]:
    """On Ctrl-C, say how to resume, and end without waiting for a model."""
    try:
        yield
    except KeyboardInterrupt:
        _say(f"interrupted: {_long(opened)}")
        _say(f"what was paid for is in {how['journal']}; run the same command again to go on")
        sys.stdout.flush()
        # Not by the usual way out: an engine in the middle of a reply would be waited for.
        os._exit(FAILED)


@contextmanager
def _keeping(opened: Batch) -> Iterator[None]:
    """Where a run stops, keep the rows that it has decided; the error is told after them."""
    try:
        yield
    except FaithfulDecideError as error:
        if error is not opened.progress.stopped or not opened.progress.verdicts:
            raise
        _say(_long(opened))


def _count(sources: Sequence[str], how: dict[str, Any]) -> int | None:
    """How many items there are, where looking is quick."""
    quick = all(Path(s).is_dir() or s.endswith((".csv", ".jsonl")) for s in sources)
    return sum(1 for _ in _items(sources, how, again=True)) if quick else how["limit"]


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


def _estimate(
    job: Job, items: Iterable[Item], asked: dict[str, Question], deferred: bool = False
) -> None:
    from faithful_decide._batch.deferred import HALF  # noqa: PLC0415 - slow to load
    from faithful_decide._batch.estimate import estimate  # noqa: PLC0415 - slow to load

    found = estimate(job, items, asked)
    basis = "as earlier replies had" if found.measured else "by rule of thumb"
    price = "not known"
    if found.cost_usd is not None:
        cost = found.cost_usd * (HALF if deferred else 1)
        price = f"${cost:.2f} by list prices" + (", half for a batch API" if deferred else "")
    rows = {
        "items": str(found.items),
        "requests": f"{found.requests} ({found.known} replies are in the journal)",
        "tokens": f"{found.prompt_tokens} in, {found.completion_tokens} out, {basis}",
        "cost": price,
    }
    for name, text in rows.items():
        click.echo(f"{name:<9}  {text}")


def _say(text: str) -> None:
    click.echo(visible(text), err=True)
