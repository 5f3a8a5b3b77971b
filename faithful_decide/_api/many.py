"""Deciding about many images: `decide_many`, and the batch that the command line works with."""

from __future__ import annotations

import os
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, Self

from faithful_decide._api.opening import (
    DEFAULT_MODEL,
    MODEL_VARIABLE,
    YES_NO,
    open_backend,
    seed_of,
)
from faithful_decide._asking.decision import Settings
from faithful_decide._asking.plans import TIMEOUT_S
from faithful_decide._audit.case import check_auditable
from faithful_decide._audit.screen import screening
from faithful_decide._batch.journal import Journal
from faithful_decide._batch.journaled import Kept, kept
from faithful_decide._batch.row import Item, Row
from faithful_decide._batch.runner import Job, Progress, stream
from faithful_decide._batch.sources import read_items
from faithful_decide._batch.workers import Workers
from faithful_decide._core.types import Question
from faithful_decide._public import public
from faithful_decide.backends.base import AsyncBackend
from faithful_decide.errors import UnsupportedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
    from decimal import Decimal
    from types import TracebackType

    from faithful_decide._images.load import ImageSource
    from faithful_decide.backends.base import Backend

__all__ = ["AT_ONCE", "Batch", "decide_many", "samples_of"]

AT_ONCE = 32
"""Samples under way at a time where a server computes."""


@public
def decide_many(
    sources: str | os.PathLike[str] | Iterable[Item | ImageSource],
    questions: str | Question | Sequence[str | Question] | Mapping[str, str | Question],
    *,
    model: Backend | str | None = None,
    verdicts: Sequence[str] = YES_NO,
    abstain: bool = True,
    samples: int = 1,
    seed: int | None = None,
    max_tokens: int = 512,
    retries: int = 0,
    timeout: float = TIMEOUT_S,
    allow_urls: bool = False,
    journal: Journal | str | os.PathLike[str] | None = None,
    at_once: int | None = None,
    workers: int = 1,
    ordered: bool = True,
    limit: int | None = None,
    max_cost: Decimal | None = None,
    audit: Literal["screen"] | None = None,
    **options: Any,  # noqa: ANN401 - as in decide
) -> Iterator[Row]:
    """Ask questions about many images, several at once.

    Args:
        sources: A folder, a pattern, a table, an archive, or an iterable of samples or images.
        questions: One question, several, or several under names.
        model: As in `decide`.
        verdicts: The verdicts of questions that do not bring their own.
        abstain: As in `decide`.
        samples: As in `decide`.
        seed: As in `decide`.
        max_tokens: As in `decide`.
        retries: As in `decide`.
        timeout: Seconds for each decision.
        allow_urls: As in `decide`.
        journal: As in `decide`. A path is held by this run alone.
        at_once: How many samples are under way at a time; by default 32 where a server computes.
        workers: Processes to load a model in that computes here.
        ordered: Whether rows come in the order of the samples, or as they are done.
        limit: The most samples.
        max_cost: US dollars after which no further sample is begun.
        audit: `screen` asks once more for each decision; what that shows is in `Row.extra`.
        **options: Options of the backend that `model` names.

    Yields:
        A row for each sample and question. What is wrong with one of them is its `error`.

    Raises:
        UsageError: A source, a question, the model or an option cannot be used.
        AuthError: The server refused the key.
        BackendError: The model could not be loaded.
        StorageError: A source or the journal cannot be read or written.
    """
    settings = Settings(samples, seed_of(seed, samples, journal), max_tokens, retries, timeout)
    asked = named(questions, verdicts, abstain=abstain)
    with Batch(model, journal, workers=workers, options=options) as batch:
        job = batch.job(
            settings,
            at_once=at_once,
            ordered=ordered,
            allow_urls=allow_urls,
            max_cost=max_cost,
            audit=audit,
            questions=len(asked),
        )
        yield from batch.rows(job, islice(samples_of(sources), limit), asked)


def samples_of(
    sources: str | os.PathLike[str] | Iterable[Item | ImageSource],
) -> Iterator[Item]:
    """Make samples of whatever holds images.

    Args:
        sources: As in `decide_many`.

    Yields:
        The samples; images without a name are numbered from 0.
    """
    if isinstance(sources, str | os.PathLike):
        yield from read_items(sources)
        return
    for number, source in enumerate(sources):
        if isinstance(source, Item):
            yield source
        elif isinstance(source, str | os.PathLike) and not str(source).startswith("data:"):
            yield Item(os.fspath(source), source)
        else:
            yield Item(str(number), source)


def named(
    questions: str | Question | Sequence[str | Question] | Mapping[str, str | Question],
    verdicts: Sequence[str] = YES_NO,
    *,
    abstain: bool = True,
) -> dict[str, Question]:
    """Give every question a name: its own, or its text.

    Args:
        questions: As in `decide_many`.
        verdicts: The verdicts of those that do not bring their own.
        abstain: Whether these allow `cannot_tell`.

    Returns:
        The questions under their names.

    Raises:
        UsageError: There is none, or two have the same name.
    """
    if isinstance(questions, str | Question):
        questions = (questions,)
    pairs = (
        list(questions.items())
        if isinstance(questions, dict)
        else [(q.text if isinstance(q, Question) else q, q) for q in questions]
    )
    made = {
        name: q if isinstance(q, Question) else Question(q, tuple(verdicts), abstain)
        for name, q in pairs
    }
    if not made or len(made) < len(pairs):
        msg = "there are no questions" if not made else "two questions have the same text"
        raise UsageError(msg, hint="pass a mapping from names to questions")
    return made


@dataclass(slots=True)
class Batch:
    """A loaded model with a journal in front of it, for runs over many samples."""

    model: Backend | str | None = None
    journal: Journal | str | os.PathLike[str] | None = None
    workers: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)
    backend: Kept = field(init=False)
    _stack: ExitStack = field(default_factory=ExitStack, init=False)

    def __enter__(self) -> Self:
        """Open the journal, hold it, and load the model."""
        with ExitStack() as stack:
            journal = self.journal
            if journal is not None and not isinstance(journal, Journal):
                journal = stack.enter_context(Journal(journal))
                stack.enter_context(journal.alone())
            model = self.model
            if self.workers != 1:
                spec = model or os.environ.get(MODEL_VARIABLE) or DEFAULT_MODEL
                if not isinstance(spec, str):
                    msg = "a loaded backend cannot be loaded again in workers"
                    raise UnsupportedError(msg, hint="pass a model spec")
                pool = Workers(spec, self.workers, self.options)
                self.backend = kept(stack.enter_context(closing(pool)), journal)
            else:
                self.backend = kept(open_backend(stack, model, self.options), journal)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close what was opened here."""
        self._stack.close()

    def leave(self) -> None:
        """Close the journal, and wait for nothing else: the process is about to end."""
        if self.backend.journal is not None:
            self.backend.journal.close()

    def job(
        self,
        settings: Settings,
        *,
        at_once: int | None = None,
        ordered: bool = True,
        allow_urls: bool = False,
        max_cost: Decimal | None = None,
        audit: str | None = None,
        questions: int = 1,
    ) -> Job:
        """Say how to run.

        Args:
            settings: How to ask.
            at_once: As in `decide_many`.
            ordered: As in `decide_many`.
            allow_urls: As in `decide_many`.
            max_cost: As in `decide_many`.
            audit: As in `decide_many`.
            questions: How many are asked about each sample.

        Returns:
            The job.

        Raises:
            UsageError: `at_once` is no number of samples, the cost is not known, or the decisions
                cannot be audited.
        """
        if at_once is None:
            waits = isinstance(self.backend, AsyncBackend) and self.workers == 1
            at_once = AT_ONCE if waits else self.workers
            if self.workers > 1 and questions == settings.samples == 1 and audit is None:
                # The next request waits at a worker while this process sees to the last reply.
                # With more to ask of an image, its engine would forget it in between.
                at_once *= 2
        if audit is None:
            return Job(self.backend, settings, at_once, ordered, allow_urls, max_cost)
        if audit != "screen" or settings.samples > 1:
            msg = "a batch is audited by a screen of decisions of one sample each"
            raise UsageError(msg, hint='pass audit="screen" and samples=1')
        check_auditable(self.backend)
        # The decision is asked as an audit asks it, so it need not be asked twice.
        settings = replace(settings, audited=True)
        screen = screening(settings)
        return Job(self.backend, settings, at_once, ordered, allow_urls, max_cost, screen)

    def rows(
        self, job: Job, samples: Iterable[Item], questions: Mapping[str, Question]
    ) -> Generator[Row, None, None]:
        """Run it.

        Args:
            job: What `job` returned.
            samples: The samples.
            questions: What to ask about each.

        Returns:
            The rows, as they are consumed.
        """
        return stream(job, ((sample, questions) for sample in samples), self.progress)
