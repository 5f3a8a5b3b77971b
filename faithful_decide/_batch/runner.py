"""The runner: many items at once, each with all its questions, and a row for every one of them.

The runner keeps no state. It asks what is to be asked; what was asked before is in the journal, and
costs nothing. So to resume is to run again, and there is no second way through the code for it.

Items run side by side, as many as `concurrency`. The questions of one item follow each other: the
image is prepared once, and by the second question a server has the image in its cache. What is
wrong with one row (an image, a reply, a server that had its time) is that row. What is wrong with
all of them, such as a refused key or a full disk, ends the run; so does the same error of the
backend `SAME_ERRORS` times in a row, because the next would be the same.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from faithful_decide import errors
from faithful_decide._asking.decision import check_shown, decision_plan
from faithful_decide._asking.plans import arun
from faithful_decide._batch.row import OF_A_ROW, Item, Row
from faithful_decide._images.load import load_images
from faithful_decide._images.prepare import prepare_all
from faithful_decide.backends._loop import Loop
from faithful_decide.errors import (
    AuthError,
    BackendError,
    FaithfulDecideError,
    ImageError,
    ReplyError,
    UnsupportedError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
    from decimal import Decimal

    from faithful_decide._asking.options import Options
    from faithful_decide._asking.plans import Plan
    from faithful_decide._batch.journaled import Journaled
    from faithful_decide._core.types import Decision, Question
    from faithful_decide._images.prepare import PreparedImage
    from faithful_decide.backends.base import Backend

    Asked = tuple[Item, Mapping[str, Question]]
    Images = tuple[PreparedImage, ...]
    Beyond = Callable[[Images, Decision, Backend], Plan[Mapping[str, Any]]]
    Instead = Callable[[Images, Question, Options, Backend], Plan[Mapping[str, Any]]]

__all__ = ["GRACE_S", "SAME_ERRORS", "Job", "Progress", "row_plan", "stream"]

SAME_ERRORS = 10
"""Errors of the backend in a row, equal to the letter, after which nothing more is asked."""

GRACE_S = 1.0
"""How long to wait, when a run is ended early, for replies that are on their way: they are paid."""
_FEEDERS = 4
"""Images that are made ready side by side; with the model, that keeps a few cores busy."""
_AHEAD = 8
"""In order, items may be done this many times `concurrency` before the one that is waited for."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a run does with every item, and of whom it asks it."""

    backend: Journaled
    settings: Options
    concurrency: int = 1
    """Items that are under way at a time."""
    ordered: bool = True
    """Whether rows come in the order of the items, or as they are done."""
    allow_urls: bool = False
    max_cost: Decimal | None = None
    """US dollars after which no further item is begun."""
    beyond: Beyond | None = None
    """A plan that is run on each decision, to audit it; what it returns are further columns. If it
    fails, `audit` is "failed" and `audit_why` says why; the row stands."""
    instead: Instead | None = None
    """A plan that is run instead of a decision; its rows have columns and no verdict."""
    same_errors: int | None = SAME_ERRORS
    """How many of one kind in a row end the run; None where each is that of its row alone."""

    def __post_init__(self) -> None:
        """Refuse what cannot be kept to."""
        if type(self.concurrency) is not int or self.concurrency < 1:
            msg = f"concurrency must be an integer of at least 1, not {self.concurrency!r}"
            raise UsageError(msg)
        if self.max_cost is not None and not self.backend.has_price():
            msg = f"there is no known price for {self.backend.name}, so its cost cannot be limited"
            raise UnsupportedError(msg, hint="leave out max_cost=, and use limit=")

    def images_of(self, item: Item, *, fetch: bool = True) -> Images | FaithfulDecideError:
        """The images of an item, made ready; or what is wrong with them, which is of its row."""
        if isinstance(item.image, FaithfulDecideError):
            return item.image
        try:
            images = load_images(item.image, allow_urls=self.allow_urls and fetch)
            check_shown(len(images), self.backend)
            return prepare_all(images, self.backend.capabilities.image_limits)
        except (ImageError, UnsupportedError) as error:
            return error


def row_plan(job: Job, images: Images, question: Question) -> Plan[None]:
    """Plan everything that is asked for a row, for those who only want to know what that is.

    Rows are made by `stream`, which lets the two parts fail apart from each other.
    """
    decision = yield from decision_plan(images, question, job.settings, job.backend)
    if job.beyond is not None:
        yield from job.beyond(images, decision, job.backend)


@dataclass(slots=True)
class Progress:
    """What has happened so far; read it while the rows come."""

    items: int = 0
    rows: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    too_dear: bool = False
    """Whether items were left out because of what the others had cost."""
    left_out: Counter[str] = field(default_factory=Counter)
    """What the sources hold that is in no row, such as hidden files."""
    stopped: FaithfulDecideError | None = None
    """What ended the whole run."""

    def count(self, row: Row) -> None:
        """Count a row."""
        self.rows += 1
        if row.error_type is not None:
            self.errors[row.error_type] += 1
        elif row.verdict is not None:
            self.verdicts[row.verdict] += 1


def stream(
    job: Job, asked: Iterable[Asked], progress: Progress | None = None
) -> Generator[Row, None, None]:
    """Run a job on items, each with its questions under names; rows come as they are consumed.

    If the iteration is ended early, what is under way is waited for a moment, so that it reaches
    the journal. What ends the whole run is raised behind the rows that were made before it.
    """
    progress = progress or Progress()
    loop = Loop()
    run = _Run(job, iter(asked), progress)
    try:
        while rows := loop.run(run.some()):
            for row in rows:
                progress.count(row)
                yield row
        if run.stopped is not None:
            raise run.stopped
    except FaithfulDecideError as error:
        progress.stopped = error
        raise
    finally:
        try:
            # The loop is gone already if the rows outlive the interpreter.
            with suppress(FaithfulDecideError):
                loop.run(run.end())
        finally:
            loop.close()


@dataclass(frozen=True, slots=True)
class _Taken:
    """An item that was taken from the source, its images made ready to be sent."""

    number: int
    item: Item
    questions: Mapping[str, Question]
    images: Images | FaithfulDecideError


class _Run:
    """Workers that take items from one iterator, and what they have done so far."""

    def __init__(self, job: Job, asked: Iterator[Asked], progress: Progress) -> None:
        self._job, self._asked, self._progress = job, asked, progress
        self._taking = asyncio.Lock()
        self._change = asyncio.Event()
        self._room = asyncio.Semaphore(job.concurrency * _AHEAD)
        self._shelf = asyncio.Semaphore(job.concurrency)
        self._ready_to_ask: asyncio.Queue[_Taken | None] = asyncio.Queue()
        self._workers: list[asyncio.Task[None]] = []
        self._ahead: asyncio.Task[_Taken | None] | None = None
        self._done: dict[int, list[Row]] = {}
        self._next = self._taken = self._finished = 0
        self._over = False
        self._last_error: tuple[type, str] | None = None
        self._times = 0
        self.stopped: FaithfulDecideError | None = None
        """The error that there was too often."""

    async def some(self) -> list[Row]:
        """The rows that are ready, at least one; none once all items are done."""
        if self._job.concurrency == 1:
            return await self._one_by_one()
        if not self._workers:
            tasks = [self._feed(), *(self._work() for _ in range(self._job.concurrency))]
            self._workers = [asyncio.create_task(task) for task in tasks]
        while not (rows := self._ready()):
            if self.stopped is not None:
                await self.end()
                return self._rest()
            if all(worker.done() for worker in self._workers):
                self._raise()
                return self._ready()
            self._change.clear()
            await self._change.wait()
            self._raise()
        return rows

    async def _one_by_one(self) -> list[Row]:
        """Nothing is asked before it is wanted; only the next image is made ready."""
        rows: list[Row] = []
        if self.stopped is not None:
            return rows
        while not rows and (taken := await (self._ahead or self._take())) is not None:
            self._ahead = asyncio.create_task(self._take())
            rows = await self._rows(taken)
        return rows

    def _raise(self) -> None:
        for worker in self._workers:
            if worker.done() and (error := worker.exception()):
                raise error

    def _ready(self) -> list[Row]:
        rows: list[Row] = []
        while self._done:
            number = self._next if self._job.ordered else next(iter(self._done))
            if number not in self._done:
                break
            rows += self._done.pop(number)
            self._next += 1
            self._room.release()
        return rows

    def _rest(self) -> list[Row]:
        """All that is done, although what stands before some of it will never be."""
        rows = [row for number in sorted(self._done) for row in self._done[number]]
        self._done.clear()
        return rows

    async def _feed(self) -> None:
        """Take items and make their images ready, some ahead of those who ask."""
        try:
            async with asyncio.TaskGroup() as group:
                feeders = min(self._job.concurrency, _FEEDERS)
                tasks = [group.create_task(self._feed_some()) for _ in range(feeders)]
            for task in tasks:
                # A group takes no notice of one that was cancelled from inside.
                task.result()
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            self._dismiss()

    async def _feed_some(self) -> None:
        while True:
            await self._room.acquire()
            await self._shelf.acquire()
            if (taken := await self._take()) is None:
                return
            self._ready_to_ask.put_nowait(taken)

    async def _work(self) -> None:
        try:
            while self.stopped is None and (taken := await self._ready_to_ask.get()) is not None:
                self._shelf.release()
                self._done[taken.number] = await self._rows(taken)
                self._change.set()
        except BaseException:
            self._over = True
            raise
        finally:
            self._change.set()

    def _dismiss(self) -> None:
        """Tell every worker that there is no more to ask."""
        for _ in range(self._job.concurrency):
            self._ready_to_ask.put_nowait(None)

    async def _take(self) -> _Taken | None:
        async with self._taking:
            if self._over or self._too_dear():
                self._over = True
                return None
            # In a thread: the next item may come from a pipe, or from a slow disk.
            asked = await asyncio.to_thread(next, self._asked, None)
            if asked is None:
                self._over = True
                return None
            number = self._taken
            self._taken += 1
        self._progress.items += 1
        return _Taken(number, *asked, await asyncio.to_thread(self._job.images_of, asked[0]))

    def _too_dear(self) -> bool:
        job, spent = self._job, self._job.backend.cost_usd
        if job.max_cost is None:
            return False
        if spent is None:
            return True
        # As much again, for each that is under way and the next, as the others have cost so far.
        under_way = self._taken - self._finished + 1
        expected = spent / self._finished * under_way if self._finished else 0
        self._progress.too_dear = spent + expected > job.max_cost
        return self._progress.too_dear

    async def _rows(self, taken: _Taken) -> list[Row]:
        rows: list[Row] = []
        for name, question in taken.questions.items():
            rows.append(await self._row(taken.item, name, taken.images, question))
            self._watch(rows[-1])
            if self.stopped is not None:
                break
        self._finished += 1
        return rows

    def _watch(self, row: Row) -> None:
        """Stop when the backend fails in the same way again and again."""
        error = row.error
        if error is None or isinstance(error, ReplyError):
            self._last_error, self._times = None, 0
        # The backend does not reply. What is wrong with an image says nothing about that.
        if not isinstance(error, BackendError):
            return
        same = (type(error), str(error))
        self._times = self._times + 1 if same == self._last_error else 1
        self._last_error = same
        if self._times == self._job.same_errors:
            self._over = True
            kind = getattr(errors, row.error_type or "BackendError")
            msg = f"stopped, because {self._times} rows in a row had the same error: {error}"
            self.stopped = kind(msg, hint=error.hint)

    async def _row(
        self,
        item: Item,
        name: str,
        images: Images | FaithfulDecideError,
        question: Question,
    ) -> Row:
        if isinstance(images, FaithfulDecideError):
            return Row(item.id, name, error=images, columns=item.columns)
        job = self._job
        timeout = job.settings.timeout
        try:
            if job.instead is not None:
                other = job.instead(images, question, job.settings, job.backend)
                found = await arun(other, job.backend, timeout)
                return Row(item.id, name, columns=item.columns, extra=found)
            plan = decision_plan(images, question, job.settings, job.backend)
            decision = await arun(plan, job.backend, timeout)
        except AuthError:
            raise
        except OF_A_ROW as error:
            return Row(item.id, name, error=error, columns=item.columns)
        extra = await self._beyond(images, decision)
        return Row(item.id, name, decision=decision, columns=item.columns, extra=extra)

    async def _beyond(self, images: Images, decision: Decision) -> Mapping[str, Any]:
        job = self._job
        if job.beyond is None:
            return {}
        try:
            further = job.beyond(images, decision, job.backend)
            return await arun(further, job.backend, job.settings.timeout)
        except AuthError:
            raise
        except OF_A_ROW as error:
            # The decision was made and stands; it is only not known what the audit would say.
            return {"audit": "failed", "audit_why": f"{type(error).__name__}: {error}"}

    async def end(self) -> None:
        """Begin nothing more, wait a moment for what is under way, and give up the rest."""
        self._over = True
        while not self._ready_to_ask.empty():
            self._ready_to_ask.get_nowait()
        self._dismiss()
        feeders = [*self._workers[:1], *([] if self._ahead is None else [self._ahead])]
        for task in feeders:
            task.cancel()
        if busy := [worker for worker in self._workers[1:] if not worker.done()]:
            await asyncio.wait(busy, timeout=GRACE_S)
        for task in busy:
            task.cancel()
        await asyncio.gather(*self._workers, *feeders, return_exceptions=True)
