"""The front door: `decide`, `adecide`, and `Decider` for more than one question.

Everything that can be wrong with a call is found in this order, and before a model runs: the
question, the settings, the image, the model spec. `decide` loads the model, asks once and releases
it; a `Decider` keeps it loaded, may be used from several threads, and is closed by `with`.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from faithful_decide._api.audit import aaudit, audit
from faithful_decide._api.opening import YES_NO, opened, question_of, seed_of
from faithful_decide._asking.decision import Settings, decision_plan
from faithful_decide._asking.plans import TIMEOUT_S, arun, run
from faithful_decide._batch.journaled import Kept, kept
from faithful_decide._batch.row import Item
from faithful_decide._batch.runner import Job, stream
from faithful_decide._core.types import Decision, Question
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import prepare
from faithful_decide._public import public
from faithful_decide.errors import UsageError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType

    from faithful_decide._asking.plans import Plan
    from faithful_decide._audit.types import AuditReport, Tier
    from faithful_decide._batch.journal import Journal
    from faithful_decide._images.load import ImageSource, SourceImage
    from faithful_decide.backends.base import Backend

__all__ = ["Decider", "adecide", "decide"]


@public
def decide(
    image: ImageSource | SourceImage,
    question: str | Question,
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
    **options: Any,  # noqa: ANN401 - each backend has its own; load_backend checks them
) -> Decision:
    """Ask a closed question about an image.

    Args:
        image: A path, bytes, a file object, a PIL image, a numpy array or a data URI.
        question: The question; a `Question` brings its own verdicts.
        model: A model spec or a loaded backend; without it `$FAITHFUL_DECIDE_MODEL`, then
            `embedded`.
        verdicts: The verdicts to choose from.
        abstain: Whether the model may also say `cannot_tell`.
        samples: How many times to reason independently; each has one vote.
        seed: Makes samples reproducible. Without it they differ from call to call.
        max_tokens: The longest reply.
        retries: How many more times to send the identical request if a reply breaks the contract.
        timeout: Seconds for the whole decision. What fails in a way that may pass is sent again
            until then.
        allow_urls: Whether an image may be fetched from an http(s) URL.
        journal: A journal or its path. What it knows is not asked again, and every reply is kept in
            it. Samples without a seed are then drawn with seed 0, so that they can be found.
        **options: Options of the backend that `model` names.

    Returns:
        The decision, with the proof that its verdict was written last.

    Raises:
        UsageError: The question, the image, the model or an option cannot be used.
        BackendError: The model could not be run.
        ReplyError: It replied with something that holds no verdict.
    """
    asked = question_of(question, verdicts, abstain=abstain)
    settings = Settings(samples, seed_of(seed, samples, journal), max_tokens, retries, timeout)
    loaded = load_image(image, allow_urls=allow_urls)
    with ExitStack() as stack:
        backend = opened(stack, model, options, journal)
        return run(_plan(loaded, asked, settings, backend), backend, timeout)


@public
async def adecide(
    image: ImageSource | SourceImage,
    question: str | Question,
    *,
    model: Backend | str | None = None,
    verdicts: Sequence[str] = YES_NO,
    abstain: bool = True,
    samples: int = 1,
    seed: int | None = None,
    max_tokens: int = 512,
    retries: int = 0,
    timeout: float = TIMEOUT_S,  # noqa: ASYNC109 - of the decision, pauses included
    allow_urls: bool = False,
    journal: Journal | str | os.PathLike[str] | None = None,
    **options: Any,  # noqa: ANN401 - as in decide
) -> Decision:
    """Do what `decide` does, awaited: same arguments, same result, same errors.

    Args:
        image: As in `decide`.
        question: As in `decide`.
        model: As in `decide`.
        verdicts: As in `decide`.
        abstain: As in `decide`.
        samples: As in `decide`; samples are asked for side by side.
        seed: As in `decide`.
        max_tokens: As in `decide`.
        retries: As in `decide`.
        timeout: As in `decide`.
        allow_urls: As in `decide`.
        journal: As in `decide`.
        **options: As in `decide`.

    Returns:
        The decision.

    Raises:
        UsageError: As in `decide`.
        BackendError: As in `decide`.
        ReplyError: As in `decide`.
    """
    asked = question_of(question, verdicts, abstain=abstain)
    settings = Settings(samples, seed_of(seed, samples, journal), max_tokens, retries, timeout)
    loaded = await asyncio.to_thread(load_image, image, allow_urls=allow_urls)
    with ExitStack() as stack:
        backend = await asyncio.to_thread(opened, stack, model, options, journal)
        plan = await asyncio.to_thread(_plan, loaded, asked, settings, backend)
        return await arun(plan, backend, timeout)


@public
class Decider:
    """A loaded model and how to ask it.

    Safe to use from several threads. Close it when done, or use it in a `with` statement.

        with Decider("embedded") as decider:
            for image in images:
                print(decider.decide(image, "Is there a dog?").verdict)
    """

    def __init__(
        self,
        model: Backend | str | None = None,
        *,
        verdicts: Sequence[str] = YES_NO,
        abstain: bool = True,
        samples: int = 1,
        seed: int | None = None,
        max_tokens: int = 512,
        retries: int = 0,
        timeout: float = TIMEOUT_S,
        allow_urls: bool = False,
        journal: Journal | str | os.PathLike[str] | None = None,
        **options: Any,  # noqa: ANN401 - as in decide
    ) -> None:
        """Load the model and keep what every question shares.

        Args:
            model: As in `decide`. A backend that was passed in is not closed with the decider.
            verdicts: The verdicts of questions that do not bring their own.
            abstain: Whether the model may also say `cannot_tell`.
            samples: As in `decide`.
            seed: As in `decide`.
            max_tokens: As in `decide`.
            retries: As in `decide`.
            timeout: As in `decide`.
            allow_urls: As in `decide`.
            journal: As in `decide`. One that was passed in open is not closed with the decider.
            **options: Options of the backend that `model` names.

        Raises:
            UsageError: A default or an option cannot be used.
            BackendError: The model could not be loaded.
        """
        self._verdicts = tuple(verdicts)
        self._abstain = abstain
        self._settings = Settings(
            samples, seed_of(seed, samples, journal), max_tokens, retries, timeout
        )
        self._allow_urls = allow_urls
        with ExitStack() as stack:
            self.backend = opened(stack, model, options, journal)
            self._owned = stack.pop_all()
        self._closed = False

    def decide(self, image: ImageSource | SourceImage, question: str | Question) -> Decision:
        """Ask one question.

        Args:
            image: As in `faithful_decide.decide`.
            question: A question, or its text for the verdicts of this decider.

        Returns:
            The decision.

        Raises:
            UsageError: The question or the image cannot be used, or the decider is closed.
            BackendError: The model could not be run.
            ReplyError: It replied with something that holds no verdict.
        """
        return run(self._prepare(image, question), self.backend, self._settings.timeout_s)

    async def adecide(self, image: ImageSource | SourceImage, question: str | Question) -> Decision:
        """Do what `decide` does, awaited.

        Args:
            image: As in `decide`.
            question: As in `decide`.

        Returns:
            The decision.

        Raises:
            UsageError: As in `decide`.
            BackendError: As in `decide`.
            ReplyError: As in `decide`.
        """
        plan = await asyncio.to_thread(self._prepare, image, question)
        return await arun(plan, self.backend, self._settings.timeout_s)

    def audit(
        self,
        image: ImageSource | SourceImage,
        question: str | Question,
        *,
        tier: Tier = "standard",
        reader: Backend | str | None = None,
        judge: Backend | str | None = None,
        donor: ImageSource | SourceImage | None = None,
        thresholds: str | None = None,
    ) -> AuditReport:
        """Test whether the reasoning of a decision carried its verdict.

        Args:
            image: As in `decide`.
            question: As in `decide`.
            tier: As in `faithful_decide.audit`.
            reader: As in `faithful_decide.audit`.
            judge: As in `faithful_decide.audit`.
            donor: As in `faithful_decide.audit`.
            thresholds: As in `faithful_decide.audit`.

        Returns:
            The report.

        Raises:
            UsageError: As in `faithful_decide.audit`.
            BackendError: As in `faithful_decide.audit`.
            ReplyError: As in `faithful_decide.audit`.
        """
        self._check_open()
        return audit(
            image,
            self._question(question),
            model=self.backend,
            tier=tier,
            reader=reader,
            judge=judge,
            donor=donor,
            seed=self._settings.seed,
            max_tokens=self._settings.max_tokens,
            timeout=self._settings.timeout_s,
            allow_urls=self._allow_urls,
            thresholds=thresholds,
        )

    async def aaudit(
        self,
        image: ImageSource | SourceImage,
        question: str | Question,
        *,
        tier: Tier = "standard",
        reader: Backend | str | None = None,
        judge: Backend | str | None = None,
        donor: ImageSource | SourceImage | None = None,
        thresholds: str | None = None,
    ) -> AuditReport:
        """Do what `audit` does, awaited.

        Args:
            image: As in `audit`.
            question: As in `audit`.
            tier: As in `audit`.
            reader: As in `audit`.
            judge: As in `audit`.
            donor: As in `audit`.
            thresholds: As in `audit`.

        Returns:
            The report.

        Raises:
            UsageError: As in `audit`.
            BackendError: As in `audit`.
            ReplyError: As in `audit`.
        """
        self._check_open()
        return await aaudit(
            image,
            self._question(question),
            model=self.backend,
            tier=tier,
            reader=reader,
            judge=judge,
            donor=donor,
            seed=self._settings.seed,
            max_tokens=self._settings.max_tokens,
            timeout=self._settings.timeout_s,
            allow_urls=self._allow_urls,
            thresholds=thresholds,
        )

    def decide_many(
        self,
        samples: Iterable[tuple[ImageSource | SourceImage, str | Question]],
        *,
        at_once: int = 1,
    ) -> Iterator[Decision]:
        """Ask about many images, as the results are consumed.

        Args:
            samples: Pairs of an image and a question.
            at_once: How many are under way at a time. With 1, nothing is asked before it is wanted.

        Yields:
            The decisions, in the order of the samples. The first error ends the iteration.

        Raises:
            UsageError: As in `decide`.
            BackendError: As in `decide`.
            ReplyError: As in `decide`.
        """
        self._check_open()
        backend = self.backend if isinstance(self.backend, Kept) else kept(self.backend)
        job = Job(backend, self._settings, at_once, allow_urls=self._allow_urls)
        asked = (
            (Item(str(number), image), {"": self._question(question)})
            for number, (image, question) in enumerate(samples)
        )
        for row in stream(job, asked):
            if row.decision is None:
                raise row.error or AssertionError
            yield row.decision

    def _prepare(
        self, image: ImageSource | SourceImage, question: str | Question
    ) -> Plan[Decision]:
        self._check_open()
        asked = self._question(question)
        loaded = load_image(image, allow_urls=self._allow_urls)
        return _plan(loaded, asked, self._settings, self.backend)

    def _question(self, question: str | Question) -> Question:
        if isinstance(question, Question):
            return question
        return Question(question, self._verdicts, self._abstain)

    def _check_open(self) -> None:
        if self._closed:
            msg = "this decider is closed"
            raise UsageError(msg, hint="ask inside the with block, or make a new one")

    def close(self) -> None:
        """Release the model if this decider loaded it. May be called twice."""
        if not self._closed:
            self._closed = True
            self._owned.close()

    def __enter__(self) -> Self:
        """Use the decider in a `with` statement."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()


def _plan(
    image: SourceImage, question: Question, settings: Settings, backend: Backend
) -> Plan[Decision]:
    prepared = prepare(image, backend.capabilities.image_limits)
    return decision_plan(prepared, question, settings, backend)
