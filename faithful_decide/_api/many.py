"""Deciding about many images: `decide_many`, and the batch behind it and the command line.

There is one contract: whatever holds images goes in, with questions; a row comes out for each image
and question, and what is wrong with one of them is the error of its row.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sized
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from faithful_decide._api.opening import is_there, open_backend, question_of, spec_of
from faithful_decide._asking.options import Options, named_in, takes_options, whole
from faithful_decide._audit.screen import Pool, screening
from faithful_decide._batch.deferred import HALF
from faithful_decide._batch.estimate import Estimate, estimate
from faithful_decide._batch.journal import Journal
from faithful_decide._batch.journaled import Journaled, journaled
from faithful_decide._batch.review import check_threshold, reviewed
from faithful_decide._batch.row import Item, Row, numbered
from faithful_decide._batch.runner import Job, Progress, stream
from faithful_decide._batch.sources import Source
from faithful_decide._batch.workers import Workers
from faithful_decide._core.types import Question
from faithful_decide._nearest import hinting
from faithful_decide._public import public
from faithful_decide.backends.base import is_awaitable
from faithful_decide.backends.registry import check_options
from faithful_decide.errors import UnsupportedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
    from decimal import Decimal
    from types import TracebackType

    from faithful_decide._images.load import ImageSource
    from faithful_decide.backends.base import Backend

__all__ = ["CONCURRENCY", "Batch", "count_of", "decide_many", "items_of", "named", "rows_of"]

CONCURRENCY = 32
"""Images under way at a time where a server computes."""


@public
@hinting
@takes_options()
def decide_many(
    items: str | os.PathLike[str] | Iterable[Item | ImageSource],
    questions: str | Question | Sequence[str | Question] | Mapping[str, str | Question],
    *,
    model: Backend | str | None = None,
    concurrency: int | None = None,
    workers: int = 1,
    ordered: bool = True,
    limit: int | None = None,
    max_cost: Decimal | None = None,
    audit: Literal["screen"] | None = None,
    review: float | None = None,
    progress: bool = False,
    **options: object,
) -> Iterator[Row]:
    """Ask questions about many images, several at once, as the rows are consumed.

    Args:
        items: A folder, a pattern, a table, an archive, or an iterable of items or images; a list
            of images in it is one item.
        questions: One question, several, or several under names; a plain text gets the `verdicts`.
        model: A model spec or a loaded backend, as for `decide`.
        concurrency: How many images are under way at a time; by default 32 where a server computes.
            With 1, nothing is asked before it is wanted.
        workers: How many processes load the model, if it computes on this machine.
        ordered: Whether rows come in the order of the items, or as they are done.
        limit: The most items to take.
        max_cost: US dollars after which no further item is begun.
        audit: `screen` asks once more for each decision; what that shows is in `Row.extra`.
        review: The least probability of a verdict that needs no person, as `calibration.certify`
            finds it; `Row.extra` then says whether a row is for a person.
        progress: Whether to show on a terminal how far it is.
        **options: The options of `decide`, each holding for every decision, and those of the
            backend. The journal under a path is held by this run alone.

    Yields:
        A row for each item and question. What is wrong with one of them is its `error`.

    Raises:
        UsageError: A source, a question, the model or an option cannot be used.
        AuthError: The server refused the key.
        BackendError: The model could not be loaded.
        StorageError: A source or the journal cannot be read or written.
    """
    how, rest = Options.split(options)
    return rows_of(
        Batch(model, how, rest, workers, known=named_in(decide_many)),
        items,
        questions,
        concurrency=concurrency,
        ordered=ordered,
        limit=limit,
        max_cost=max_cost,
        audit=audit,
        review=review,
        progress=progress,
    )


def rows_of(
    batch: Batch,
    items: str | os.PathLike[str] | Iterable[Item | ImageSource],
    questions: str | Question | Sequence[str | Question] | Mapping[str, str | Question],
    *,
    limit: int | None,
    progress: bool,
    review: float | None,
    **running: Any,  # noqa: ANN401 - those of Batch.job
) -> Iterator[Row]:
    """Do what `decide_many` does with a batch that is not open yet."""
    check_threshold(review)
    asked = named(questions, batch.how)

    def rows() -> Iterator[Row]:
        with batch:
            job = batch.job(**running, questions=len(asked))
            total = None
            if progress and sys.stderr and sys.stderr.isatty():
                total = count_of(items, limit)
            made = batch.rows(job, islice(items_of(items), limit), asked, review)
            if not progress:
                yield from made
                return
            with closing(made):
                yield from batch.shown(made, total and total * len(asked))

    return rows()


def items_of(
    sources: str | os.PathLike[str] | Iterable[Item | ImageSource],
) -> Iterator[Item]:
    """Make items of whatever holds images; images without a name are numbered from 0."""
    if isinstance(sources, str | os.PathLike):
        yield from Source(sources)
        return
    for number, source in enumerate(sources):
        yield source if isinstance(source, Item) else numbered(number, source)


def count_of(
    sources: str | os.PathLike[str] | Iterable[Item | ImageSource], limit: int | None
) -> int | None:
    """How many items there are, where looking is quick; else the most there can be."""
    if isinstance(sources, str | os.PathLike):
        path = Path(sources)
        if path.is_dir() or path.suffix in {".csv", ".jsonl"}:
            return sum(1 for _ in Source(path, limit=limit, quiet=True))
        return limit
    count = len(sources) if isinstance(sources, Sized) else limit
    return count if limit is None or count is None else min(count, limit)


def named(
    questions: str | Question | Sequence[str | Question] | Mapping[str, str | Question],
    how: Options,
) -> dict[str, Question]:
    """Give every question a name: its own, or its text. Those of text get the options."""
    if isinstance(questions, str | Question):
        questions = (questions,)
    pairs = (
        list(questions.items())
        if isinstance(questions, dict)
        else [(q.text if isinstance(q, Question) else q, q) for q in questions]
    )
    made = {n: q if isinstance(q, Question) else question_of(q, how) for n, q in pairs}
    if not made or len(made) < len(pairs):
        msg = "there are no questions" if not made else "two questions have the same text"
        raise UsageError(msg, hint="give each question a text or a name of its own")
    return made


@dataclass(slots=True)
class Batch:
    """A loaded model with a journal in front of it, for runs over many items.

    The journal is that of `how`; a path is held by this batch alone. `known` are the arguments of
    the caller, for the hint about an option that does not exist.
    """

    model: Backend | str | None
    how: Options
    options: Mapping[str, Any] = field(default_factory=dict)
    workers: int = 1
    known: Iterable[str] = ()
    in_haste: bool = False
    """Whether Ctrl-C ends the process: then no engine in the middle of a reply is waited for."""
    dry: bool = False
    """Whether nothing will be asked: then no key is needed, and no journal is made."""
    progress: Progress = field(default_factory=Progress)
    screened: Pool = field(default_factory=Pool)
    backend: Journaled = field(init=False)
    _stack: ExitStack = field(default_factory=ExitStack, init=False)

    def __enter__(self) -> Self:
        """Open the journal, hold it, and load the model."""
        with ExitStack() as stack:
            journal = self.how.journal
            if journal is not None and self.dry and not is_there(journal):
                journal = None
            if journal is not None and not isinstance(journal, Journal):
                journal = stack.enter_context(Journal(journal))
                stack.enter_context(journal.alone())
            backend = self._loaded(stack)
            if not isinstance(backend, Journaled):
                backend = journaled(backend, journal)
            self.backend = backend
            self._stack = stack.pop_all()
        return self

    def _loaded(self, stack: ExitStack) -> Backend:
        if self.workers == 1 or self.dry:
            return open_backend(stack, self.model, self.options, self.known, dry=self.dry)
        spec = spec_of(self.model)
        if not isinstance(spec, str):
            msg = "each worker loads the model itself, and this one is loaded already"
            raise UnsupportedError(msg, hint='name the model by a spec, such as "embedded"')
        check_options(spec, self.options, self.known)
        return stack.enter_context(closing(Workers(spec, self.workers, self.options)))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close what was opened here; in haste the journal alone."""
        if self.in_haste and isinstance(error, KeyboardInterrupt):
            if self.backend.journal is not None:
                self.backend.journal.close()
        else:
            self._stack.close()

    def job(
        self,
        *,
        concurrency: int | None = None,
        ordered: bool = True,
        max_cost: Decimal | None = None,
        audit: str | None = None,
        questions: int = 1,
    ) -> Job:
        """Say how to run, with `questions` about each item; the rest is as in `decide_many`."""
        how = self.how
        if concurrency is None:
            waits = is_awaitable(self.backend) and self.workers == 1
            concurrency = CONCURRENCY if waits else self.workers
            if self.workers > 1 and questions == how.samples == 1 and audit is None:
                # The next request waits at a worker while this process sees to the last reply.
                # With more to ask of an image, its engine would forget it in between.
                concurrency *= 2
        concurrency = whole("concurrency", concurrency, 1)
        job = Job(self.backend, how, concurrency, ordered, how.allow_urls, max_cost)
        if audit is None:
            return job
        if audit != "screen":
            msg = f"a batch cannot be audited by {audit!r}"
            raise UsageError(msg, hint='pass audit="screen", or use audit_dataset')
        if how.samples > 1:
            msg = "the screen of a batch audits single replies, and samples= asks for several"
            raise UsageError(msg, hint="pass samples=1, or leave out audit=")
        return replace(job, beyond=screening(how))

    def rows(
        self,
        job: Job,
        items: Iterable[Item],
        questions: Mapping[str, Question],
        review: float | None = None,
    ) -> Generator[Row, None, None]:
        """Run a job: what to ask about each item, under names."""
        if isinstance(items, Source):
            self.progress.left_out = items.left_out
        with closing(stream(job, ((item, questions) for item in items), self.progress)) as rows:
            for row in rows:
                self.screened.add(row.extra)
                yield row if review is None else reviewed(row, review)

    def estimated(
        self,
        job: Job,
        items: Iterable[Item],
        questions: Mapping[str, Question],
        *,
        deferred: bool = False,
    ) -> Estimate:
        """What a job would ask, and what that would cost."""
        found = estimate(job, items, questions)
        if deferred and found.cost_usd is not None:
            return replace(found, cost_usd=found.cost_usd * HALF)
        return found

    def shown(self, rows: Iterable[Row], total: int | None) -> Iterator[Row]:
        """Show on a terminal, if there is one, how far it is while the rows come."""
        from tqdm import tqdm  # noqa: PLC0415 - slow to load

        # Without a terminal there is no bar: disable=None says so.
        hidden = True if sys.stderr is None else None
        with tqdm(total=total, unit=" rows", file=sys.stderr, disable=hidden) as bar:
            for row in rows:
                cost = self.backend.cost_usd
                failed = f"{self.progress.errors.total()} failed"
                bar.set_postfix_str(failed + (f", ${cost:.2f}" if cost else ""), refresh=False)
                bar.update()
                yield row

    def account(self) -> str:
        """What has happened, and what it cost, in a line."""
        done, backend = self.progress, self.backend
        counts = [f"{n} {what}" for what, n in done.verdicts.most_common()]
        counts += [f"{n} {what}" for what, n in done.errors.most_common()]
        cost = f", ${backend.cost_usd:.4f} by list prices" if backend.cost_usd else ""
        return (
            f"{done.rows} rows ({', '.join(counts) or 'none'}); {backend.paid} new replies, "
            f"{backend.recalled} from the journal{cost}"
        )
