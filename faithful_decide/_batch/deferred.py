"""Filling the journal through a provider's batch API, at half the price and within a day.

Nothing else changes: when the replies are in the journal, the ordinary run finds them there, so
rows, errors and files of results are the same. What is asked is found by running each plan as far
as the journal goes. A plan that needs more than one step is asked step by step, in rounds.

A batch is written down in the journal before and after it is begun. Whoever is killed in between,
or while waiting, runs the same command again; the batch is found, at the server if need be, and not
paid for twice. Why a request has no reply is written down, too: it is the error of its row, and a
request that would be refused again is not sent again.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field, replace
from decimal import Decimal
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from faithful_decide._asking.plans import Numbering
from faithful_decide._batch.entry import digest, request_key
from faithful_decide._batch.journaled import Journaled
from faithful_decide._batch.runner import row_plan
from faithful_decide.backends.base import Reply, Wrapper, innermost
from faithful_decide.errors import (
    AuthError,
    BackendError,
    FaithfulDecideError,
    ReplyError,
    TransientError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from faithful_decide._asking.plans import Plan
    from faithful_decide._batch.journal import Journal
    from faithful_decide._batch.runner import Asked, Job
    from faithful_decide.backends._openai.batch_api import Deferred, Failed
    from faithful_decide.backends.base import Request

__all__ = ["HALF", "fill"]

HALF = Decimal("0.5")
"""Of the list price: what providers ask for a reply that they may give when they like."""
_MOST_REQUESTS = 50_000
_MOST_BYTES = 150 * 2**20
_POLL_S = 30.0
_TOLD = 5
_ADAPTED = 3
"""Different reasons that are told; all of them are in the rows."""
_AGAIN = "run the same command again to send it in another batch"


def fill(
    job: Job,
    asked: Callable[[], Iterator[Asked]],
    *,
    poll_s: float = _POLL_S,
    say: Callable[[str], None] = lambda _: None,
) -> Job:
    """Get into the journal what a job needs, and make it a job that asks nothing any more.

    `asked` reads the items with their questions from the start, and is called once a round; every
    `poll_s` seconds a batch is looked at. An UnsupportedError if there is no batch API, or no
    journal; a BackendError if the server refuses, or cannot be reached.
    """
    deferred, journal = _deferred(job), job.backend.journal
    if deferred is None or journal is None:
        msg = f"{job.backend.name} cannot be asked through a batch API"
        raise UnsupportedError(msg, hint="use openai/NAME or azure/NAME, and a journal")
    filling = _Filling(job, deferred, journal, poll_s, say)
    filling.collect()
    while filling.submit(asked()):
        filling.collect()
    closed = Journaled(_OnlyRecalling(job.backend, journal), journal)
    closed.paid, closed.cost_usd = job.backend.paid, job.backend.cost_usd
    return replace(job, backend=closed, max_cost=None, same_errors=None)


def _deferred(job: Job) -> Deferred | None:
    make: Callable[[], Deferred] | None = getattr(innermost(job.backend), "deferred", None)
    return make() if make else None


@dataclass
class _Filling:
    """Sends what is missing, and keeps what comes back."""

    job: Job
    deferred: Deferred
    journal: Journal
    poll_s: float
    say: Callable[[str], None]
    sent: set[bytes] = field(default_factory=set)
    """What came back without a reply is not sent again in this run."""
    adapted: dict[bytes, int] = field(default_factory=dict)
    """How often a request went out again without what a model had refused of it."""

    @property
    def _who(self) -> str:
        return str(self.job.backend.identity)

    def submit(self, asked: Iterator[Asked]) -> int:
        """Send all requests that have no reply yet, in as many batches as they need."""
        total = 0
        waiting = self._missing(asked)
        while True:
            keys: set[bytes] = set()
            with TemporaryFile() as file:
                for key, request in waiting:
                    if key not in keys:
                        keys.add(key)
                        file.write(self.deferred.line(key.hex(), request))
                    if len(keys) >= _MOST_REQUESTS or file.tell() >= _MOST_BYTES:
                        break
                if not keys:
                    return total
                file.seek(0)
                name = self.deferred.upload(file)
            entry, data = digest("batch", name), {"file": name, "who": self._who, "batch": None}
            self.journal.write("batches", entry, data)
            data["batch"] = self.deferred.begin(name)
            self.journal.write("batches", entry, data, replacing=True)
            total += len(keys)
            self.sent |= keys
            self.say(f"{len(keys)} requests sent as batch {data['batch']}")

    def _missing(self, asked: Iterator[Asked]) -> Iterator[tuple[bytes, Request]]:
        """The requests without a reply, as far as each plan can be followed."""
        for item, questions in asked:
            images = self.job.images_of(item)
            if isinstance(images, FaithfulDecideError):
                continue
            for question in questions.values():
                plan = row_plan(self.job, images, question)
                with closing(plan):
                    missing = _next(self.job, plan)
                yield from (pair for pair in missing if self._is_to_be_sent(pair[0]))

    def _is_to_be_sent(self, key: bytes) -> bool:
        failure = self.journal.read("batches", _failure_key(key)) or {}
        return key not in self.sent and not failure.get("stays")

    def collect(self) -> None:
        """Wait for the batches that are under way, and keep their replies."""
        under_way = [
            (entry, data)
            for entry, data in self.journal.entries("batches")
            if data["who"] == self._who and data.get("batch", "done") != "done"
        ]
        for entry, data in under_way:
            # Without a name it was begun and not written down, or not begun.
            file, batch = data["file"], data["batch"]
            batch = batch or self.deferred.find(file) or self.deferred.begin(file)
            self.journal.write("batches", entry, {**data, "batch": batch}, replacing=True)
            try:
                files = self._ended(batch)
            except AuthError:
                raise
            except BackendError:
                # Refused as a whole. The next run sends another one.
                self.journal.write("batches", entry, {**data, "batch": "done"}, replacing=True)
                raise
            replies = [self._keep(*line) for line in self.deferred.replies(files)]
            self.journal.write("batches", entry, {**data, "batch": "done"}, replacing=True)
            reasons = Counter(why for why in replies if why)
            self.say(f"{len(replies) - reasons.total()} replies from batch {batch}")
            for why, count in reasons.most_common(_TOLD):
                self.say(f"{count} without a reply: {why}")

    def _ended(self, batch: str) -> tuple[str, ...]:
        """Wait for a batch; the files that hold what came of it."""
        while True:
            try:
                files = self.deferred.ended(batch)
            except TransientError as error:
                # A day is long; somewhere in it the server may be busy.
                self.say(str(error))
            else:
                if files is not None:
                    return files
            time.sleep(self.poll_s)

    def _keep(self, name: str, outcome: Reply | Failed) -> str:
        """Keep a reply, or why there is none, and return that."""
        try:
            key = bytes.fromhex(name)
        except ValueError:
            return "the server names a request that was not sent"
        if isinstance(outcome, Reply):
            self.journal.remember(key, outcome)
            self.job.backend.count(outcome, HALF)
            return ""
        why = str(outcome.error)
        if outcome.adapted and self.adapted.get(key, 0) < _ADAPTED:
            self.adapted[key] = self.adapted.get(key, 0) + 1
            self.sent.discard(key)
        failure = {"why": why, "hint": outcome.error.hint, "stays": outcome.stays}
        data = {"who": self._who, **failure}
        self.journal.write("batches", _failure_key(key), data, replacing=True)
        return why


def _failure_key(key: bytes) -> bytes:
    """Where it is written down why a request has no reply."""
    return digest("failed", key.hex())


def _next(job: Job, plan: Plan[None]) -> list[tuple[bytes, Request]]:
    """What a plan asks next that the journal does not know; nothing if it comes to its end."""
    numbered = Numbering()
    replies: tuple[Reply, ...] | None = None
    while True:
        try:
            requests = next(plan) if replies is None else plan.send(replies)
        except (StopIteration, ReplyError):
            return []
        known: list[Reply] = []
        missing: list[tuple[bytes, Request]] = []
        for request in map(numbered, requests):
            reply = job.backend.recall(request)
            if reply is None:
                missing.append((request_key(request, job.backend), request))
            else:
                known.append(reply)
        if missing:
            return missing
        replies = tuple(known)


class _OnlyRecalling(Wrapper):
    """Asks nobody: what is not in the journal is an error of its row."""

    def __init__(self, backend: Journaled, journal: Journal) -> None:
        super().__init__(backend)
        self._journal = journal

    def generate(self, request: Request) -> Reply:
        failure = self._journal.read("batches", _failure_key(request_key(request, self)))
        if failure is None:
            msg = f"{self.name} has not replied to this request in its batch"
            raise BackendError(msg, hint=_AGAIN)
        hint = f"{failure['hint']}; it is not sent in a batch again" if failure["stays"] else _AGAIN
        raise BackendError(failure["why"], hint=hint)
