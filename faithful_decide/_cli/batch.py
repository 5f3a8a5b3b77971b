"""The commands over many images."""

from __future__ import annotations

import sys
import time
from collections import Counter
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from faithful_decide._cli.files import check_written
from faithful_decide._cli.options import (
    Command,
    Dollars,
    arguments,
    asking,
    backend_options,
    helper,
    read_pairs,
    with_model,
)
from faithful_decide._cli.terminal import data, document, say, table
from faithful_decide.errors import FaithfulDecideError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from faithful_decide._api.many import Batch
    from faithful_decide._batch.compare import Comparison
    from faithful_decide._batch.estimate import Estimate
    from faithful_decide._batch.row import Row
    from faithful_decide._batch.sources import Source
    from faithful_decide._batch.summary import Summary

__all__ = ["batch", "certify", "compare"]

JOURNAL = "faithful-decide.journal"
FAILED = 1


def _asking(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what to ask, of whom, and about what."""
    options = [
        click.argument("sources", nargs=-1, required=True, metavar="SOURCES..."),
        with_model,
        asking(journal=JOURNAL),
        click.option(
            "--concurrency", type=click.IntRange(1), show_default="32 where a server computes",
            help="Have this many images under way at a time.",
        ),
        click.option(
            "--workers", type=click.IntRange(1), default=1, show_default=True,
            help="Load a model that computes here into this many processes.",
        ),
        click.option("--limit", type=click.IntRange(0), help="Take no more items than this."),
        click.option(
            "--max-cost", metavar="USD", type=Dollars(),
            help="Start no further item once this much was spent.",
        ),
        click.option(
            "--image-column", metavar="NAME", help="Take images from this column of a table."
        ),
        click.option(
            "--together", metavar="A,B",
            help="Ask once about images whose names differ only here: '*_old.jpg,*_new.jpg'.",
        ),
        click.option(
            "--label", default="label", show_default=True, metavar="NAME",
            help="Compare verdicts with the right ones in this column.",
        ),
        click.option(
            "--dry-run", is_flag=True, help="Ask nothing, and estimate calls, tokens and cost."
        ),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.command(cls=Command, short_help="Decide about many images.")
@click.option(
    "--question",
    "-q",
    "questions",
    multiple=True,
    required=True,
    help="Ask this about every image. May be repeated.",
)
@_asking
@click.option("--out", metavar="FILE", help="Write the rows to this .jsonl, .csv or .parquet file.")
@click.option(
    "--deferred",
    is_flag=True,
    help="Ask through the provider's batch API, within a day at half the price.",
)
@click.option("--as-completed", is_flag=True, help="Give rows in the order they are done in.")
@click.option(
    "--audit", type=click.Choice(["screen"]), help="Ask once more for each decision, to audit it."
)
@click.option(
    "--review",
    type=click.FloatRange(0, 1),
    metavar="THRESHOLD",
    help="Mark verdicts less probable than this, for review by a person. See `certify`.",
)
@click.option("--queue", metavar="FILE", help="Write the rows for review to this .jsonl file.")
@click.option("--html", metavar="FILE", help="Write the results as one HTML file.")
def batch(
    sources: tuple[str, ...],
    *,
    questions: tuple[str, ...],
    out: str | None,
    **how: Any,  # noqa: ANN401 - the options of _asking
) -> int:
    """Decide about all images in SOURCES: folders, patterns, tables, archives, or - for stdin.

    Every reply is kept in the journal, so the same command, run again, goes on where it stopped.
    Rows go to stdout as lines of JSON, or to a file with --out.

    Example: faithful-decide batch parts/ -q "Is this part damaged?" --model openai/NAME --out r.csv
    """
    from faithful_decide._api.many import named  # noqa: PLC0415 - slow to load
    from faithful_decide._batch.deferred import fill  # noqa: PLC0415 - slow to load
    from faithful_decide._batch.export import exporting  # noqa: PLC0415 - slow to load
    from faithful_decide._batch.review import queueing  # noqa: PLC0415 - slow to load

    if how["deferred"] and "-" in sources:
        msg = "--deferred reads the sources more than once; write those of stdin into a file"
        raise click.UsageError(msg)
    if how["html"] and len(questions) > 1:
        msg = "--html shows one question; run the command once for each, with the same journal"
        raise click.UsageError(msg)
    written = {"out": out, "html": how["html"], "queue": how["queue"]}
    check_written(written, [how["journal"], *sources])
    if how["queue"] and how["review"] is None:
        msg = "--queue needs --review THRESHOLD, which says what is for a person"
        raise click.UsageError(msg)
    opened = _batch(how)
    asked = named(questions, opened.how)
    with ExitStack() as stack:
        stack.enter_context(_resumable(opened))
        job = opened.job(
            concurrency=how["concurrency"],
            ordered=not how["as_completed"],
            max_cost=None if how["dry_run"] else how["max_cost"],
            audit=how["audit"],
            questions=len(asked),
        )
        if how["dry_run"]:
            items = _items(sources, how)
            found = opened.estimated(job, items, asked, deferred=how["deferred"])
            discount = ", half for a batch API" if how["deferred"] else ""
            _tell_estimate(found, opened.backend.name, discount)
            return 0
        if how["deferred"]:
            job = fill(
                job, lambda: ((item, asked) for item in _items(sources, how, again=True)), say=say
            )
            opened.backend = job.backend
        write = stack.enter_context(exporting(out)) if out else _print_row
        if how["queue"]:
            queue = stack.enter_context(queueing(how["queue"], how["review"]))
            write = _both(write, queue)
        started = time.perf_counter()
        rows = stack.enter_context(
            closing(opened.rows(job, _items(sources, how), asked, how["review"]))
        )
        count = _count(sources, how) if sys.stderr and sys.stderr.isatty() else None
        summary = None
        with _keeping(opened):
            summary = _run(opened.shown(rows, count and count * len(asked)), write, how)
        say(opened.account())
        _finish(opened, summary, sources, seconds=time.perf_counter() - started, how=how)
    if opened.progress.stopped is not None:
        raise opened.progress.stopped
    return FAILED if opened.progress.errors else 0


@click.command(cls=Command, short_help="Find the probability above which verdicts need no review.")
@click.argument("rows", metavar="FILE")
@click.option(
    "--error",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="Allow this share of wrong verdicts among those not reviewed.",
)
@click.option(
    "--confidence",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.95,
    show_default=True,
    help="Be this sure that it is not more.",
)
@click.option(
    "--label",
    default="label",
    show_default=True,
    metavar="NAME",
    help="Compare verdicts with the right ones in this column.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the certificate as JSON.")  # fmt: skip
def certify(rows: str, *, error: float, confidence: float, label: str, as_json: bool) -> int:
    """Find the probability above which verdicts need no review, from labelled rows in FILE.

    Pass it to `batch --review`, which marks the verdicts below it for a person. Exits with 1 if
    there is no such probability, or if a row is damaged.

    Example: faithful-decide certify labelled.jsonl --error 0.02
    """
    from dataclasses import asdict  # noqa: PLC0415 - only here
    from json import dumps  # noqa: PLC0415 - only here

    from faithful_decide._batch.export import read_rows  # noqa: PLC0415 - slow to load
    from faithful_decide.calibration import certify as found_by  # noqa: PLC0415 - slow to load

    left = _LeftOut(label)
    found = found_by(left.noticed(read_rows(rows)), error, confidence, label=label)
    left.tell()
    if as_json:
        document(dumps(asdict(found)))
    elif found.threshold is None:
        table([("threshold", "none: every verdict is for a person"), ("why", found.why)], 10)
    else:
        table(
            [
                ("threshold", f"{found.threshold:g}"),
                ("certified", f"at most {error:.1%} wrong, with {confidence:.0%} confidence"),
                ("seen", f"{found.wrong} of {found.accepted} wrong (bound {found.bound:.3f})"),
                ("stand", f"{found.share:.1%} of {found.n} labelled verdicts"),
            ],
            10,
        )
    return FAILED if found.threshold is None or left.damaged else 0


class _LeftOut:
    """The rows that a certificate does not count, so that nobody takes them for counted."""

    def __init__(self, label: str) -> None:
        self._label, self._rows = label, 0
        self._why: Counter[str] = Counter()
        self.damaged: list[str] = []

    def noticed(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Pass rows on, and count those that a certificate does not."""
        from faithful_decide._batch.export import is_damage  # noqa: PLC0415 - slow to load
        from faithful_decide.calibration import UNLABELLED, uncounted  # noqa: PLC0415 - the same

        for row in rows:
            self._rows += 1
            if is_damage(row):
                self.damaged.append(row.id)
            elif why := uncounted(row.decision, row.columns.get(self._label)):
                self._why[f"without a {self._label!r}" if why == UNLABELLED else why] += 1
            yield row

    def tell(self) -> None:
        """Say how many there are and why, and the places of those that are damaged."""
        if self.damaged:
            places = ", ".join(self.damaged[:_PLACES])
            more = f" and {n} more" if (n := len(self.damaged[_PLACES:])) else ""
            count = f"{len(self.damaged)} of {self._rows} rows"
            say(f"note: {count} cannot be read and are not counted: {places}{more}")
        if self._why:
            why = ", ".join(f"{n} {why}" for why, n in self._why.most_common())
            say(f"note: {self._why.total()} of {self._rows} rows are not counted: {why}")


_PLACES = 20
"""The most damaged rows that are named; a person who has more looks at the file."""


@click.command(cls=Command, short_help="Compare two ways to ask about many images.")
@click.option("--question", "-q", required=True, help="Ask this about every image.")
@_asking
@helper("against-model", "Compare with this model.")
@click.option("--against-question", metavar="TEXT", help="Compare with this question.")
@click.option(
    "--against-verdict-first", is_flag=True, help="Compare with a verdict that is written first."
)
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
def compare(
    sources: tuple[str, ...],
    *,
    question: str,
    as_json: bool,
    **how: Any,  # noqa: ANN401 - the options of _asking
) -> None:
    """Ask about all images in SOURCES in two ways, and test whether they differ.

    The other way is one of --against-model, --against-question and --against-verdict-first.

    Example: faithful-decide compare labels.csv -q "Is this part damaged?" --against-model vllm/NAME
    """
    from faithful_decide._api.opening import question_of  # noqa: PLC0415 - slow to load
    from faithful_decide._asking.verdict_first import verdict_first_plan  # noqa: PLC0415
    from faithful_decide._batch import compare as two  # noqa: PLC0415 - slow to load

    kinds = ("against_model", "against_question", "against_verdict_first")
    if sum(bool(how[kind]) for kind in kinds) != 1:
        msg = "name one way to compare with: --against-model, --against-question or "
        msg += "--against-verdict-first"
        raise click.UsageError(msg)
    opened = _batch(how)
    first = question_of(question, opened.how)
    second = replace(first, text=how["against_question"] or question)
    running = {"concurrency": how["concurrency"]}
    running["max_cost"] = None if how["dry_run"] else how["max_cost"]
    with _resumable(opened), ExitStack() as stack:
        job = other = opened.job(**running)
        names = (opened.backend.name, opened.backend.name)
        if how["against_model"]:
            rival = stack.enter_context(_rival(opened, how))
            names, other = (names[0], rival.backend.name), rival.job(**running)
        elif how["against_question"]:
            names = (question, how["against_question"])
        else:
            names, other = (
                ("verdict last", "verdict first"),
                replace(job, instead=verdict_first_plan),
            )
        ways = (two.Side(names[0], job, first), two.Side(names[1], other, second))
        if how["dry_run"]:
            for way in ways:
                items = _items(sources, how, again=way is not ways[0])
                asked = {"": way.question}
                _tell_estimate(opened.estimated(way.job, items, asked), way.job.backend.name)
            return
        found = two.compare(*ways, _items(sources, how), label=how["label"])
    if as_json:
        document(found.model_dump_json())
    else:
        _show(found)


def _batch(how: dict[str, Any]) -> Batch:
    """What to ask, and how; nothing is loaded yet."""
    from faithful_decide._api.many import Batch  # noqa: PLC0415 - slow to load
    from faithful_decide._asking.options import Options  # noqa: PLC0415 - slow to load

    return Batch(
        how["model"],
        Options(**arguments(how)),
        backend_options(how["model"], how),
        how["workers"],
        in_haste=True,
        dry=how["dry_run"],
    )


def _rival(opened: Batch, how: dict[str, Any]) -> Batch:
    """The same with another model, through the same journal."""
    options = read_pairs(how["against_model"], how["against_model_options"])
    journal = opened.backend.journal
    return replace(
        opened,
        model=how["against_model"],
        options=options,
        how=replace(opened.how, journal=journal),
    )


@contextmanager
def _resumable(opened: Batch) -> Iterator[None]:
    """Open a batch; on Ctrl-C, say how to go on with it."""
    with opened:
        try:
            yield
        except KeyboardInterrupt:
            say(f"interrupted: {opened.account()}")
            journal = opened.how.journal
            say(f"the replies so far are in {journal}; run the same command again to go on")
            raise


@contextmanager
def _keeping(opened: Batch) -> Iterator[None]:
    """Where a run stops, keep the rows that it has decided; the error is told after them."""
    try:
        yield
    except FaithfulDecideError as error:
        if error is not opened.progress.stopped or not opened.progress.verdicts:
            raise


def _items(sources: Sequence[str], how: dict[str, Any], *, again: bool = False) -> Source:
    """The items; those that are read `again` are not told of once more."""
    from faithful_decide._batch.sources import Source  # noqa: PLC0415 - slow to load

    together = tuple(filter(None, (how["together"] or "").split(",")))
    return Source(
        *sources,
        image_column=how["image_column"],
        together=together,
        limit=how["limit"],
        quiet=again,
    )


def _both(one: Callable[[Row], None], other: Callable[[Row], None]) -> Callable[[Row], None]:
    def write(row: Row) -> None:
        one(row)
        other(row)

    return write


def _print_row(row: Row) -> None:
    from io import StringIO  # noqa: PLC0415 - loaded already

    from faithful_decide._batch.export import write_json  # noqa: PLC0415 - slow to load

    line = StringIO()
    write_json(row, line)
    data(line.getvalue().removesuffix("\n"))


def _run(rows: Iterator[Row], write: Callable[[Row], None], how: dict[str, Any]) -> Summary:
    """Write all rows, and count what is told of them."""
    from faithful_decide._batch.summary import summarise  # noqa: PLC0415 - slow to load

    def written() -> Iterator[Row]:
        for row in rows:
            write(row)
            yield row

    return summarise(written(), label=how["label"])


def _finish(
    opened: Batch,
    summary: Summary | None,
    sources: Sequence[str],
    *,
    seconds: float,
    how: dict[str, Any],
) -> None:
    """Say what an audit that ran along has found, and write the page."""
    from faithful_decide._report.batch import page_of  # noqa: PLC0415 - slow to load
    from faithful_decide._report.html import render, write_whole  # noqa: PLC0415 - slow to load

    if opened.progress.too_dear:
        say(f"stopped, because more would cost over ${how['max_cost']}; raise --max-cost to go on")
    checks = opened.screened.checks()
    for name, check in checks.items():
        treatment, control = check.treatment, check.control
        counts = f"{treatment.hits:g} hits of {treatment.n}"
        if control.n:
            counts += f", {control} controls"
        say(f"audit: {name} {counts}")
    if summary is None or not summary.questions:
        return
    for question in summary.questions:
        if question.undecided:
            about = f"{question.question}: " if len(summary.questions) > 1 else ""
            say(f"note: {about}{question.undecided}")
    if how["html"] is None:
        return
    # What came by standard input cannot be read once more, so its pictures are not shown.
    again = () if "-" in sources else _items(sources, how, again=True)
    left_out = opened.progress.left_out
    page = page_of(
        summary, opened.backend, again, checks=checks, left_out=left_out, seconds=seconds
    )
    write_whole(how["html"], render(page))
    say(f"the page is in {how['html']}")


def _count(sources: Sequence[str], how: dict[str, Any]) -> int | None:
    """How many items there are, where looking is quick; else the most there can be."""
    from faithful_decide._api.many import count_of  # noqa: PLC0415 - slow to load

    if how["together"]:
        return None
    counts = [count_of(source, how["limit"]) for source in sources]
    if None in counts:
        return None
    total = sum(count or 0 for count in counts)
    return total if how["limit"] is None else min(total, how["limit"])


def _tell_estimate(found: Estimate, model: str, discount: str = "") -> None:
    from faithful_decide._batch.price import is_billed  # noqa: PLC0415 - slow to load

    basis = "as earlier replies had" if found.measured else "by rule of thumb"
    cost = "not known"
    if not is_billed(model):
        cost = "none: the model runs in this process"
    elif found.cost_usd is not None:
        cost = f"${found.cost_usd:.2f} by list prices{discount}"
    table(
        [
            ("items", str(found.items)),
            ("requests", f"{found.requests} ({found.known} replies are in the journal)"),
            ("tokens", f"{found.prompt_tokens} in, {found.completion_tokens} out, {basis}"),
            ("cost", cost),
        ],
        9,
    )


def _show(found: Comparison) -> None:
    """Print a comparison."""
    first, second = found.sides
    rows = [("first", first), ("second", second)]
    rows.append(("pairs", f"{found.pairs} of {found.items} items; {found.agreed} agree"))
    for name, errors, abstained in zip(found.sides, found.errors, found.abstained, strict=True):
        counts = ", ".join(f"{n} {what}" for what, n in errors.items()) or "no errors"
        rows.append(("", f"{name}: {counts}, {abstained} cannot_tell"))
    if found.rates is not None and found.difference is not None and found.p_value is not None:
        shares = " and ".join(f"{r.value:.3f} [{r.low:.3f}, {r.high:.3f}]" for r in found.rates)
        rows.append((found.what, shares))
        d = found.difference
        rows.append(("change", f"{d.value:+.3f} [{d.low:+.3f}, {d.high:+.3f}]"))
        only = f"{found.only_first} only the first, {found.only_second} only the second"
        p = "p < 0.0001" if found.p_value < _TINY else f"p = {found.p_value:.3g}"
        rows.append(("McNemar", f"{p} (exact; {only})"))
    table(rows, 13)


_TINY = 1e-4
"""A smaller p says no more than that it is small."""
