"""The front door: `decide`, `adecide`, and `Decider` for more than one question.

Everything that can be wrong with a call is found in this order, and before a model runs: the
options, the question, the image, the model spec. `decide` loads the model, asks once and releases
it; a `Decider` keeps it loaded, may be used from several threads, and is closed by `with`.

What audits and what runs batches is loaded by those who ask for it.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from faithful_decide._api.opening import opened, question_of
from faithful_decide._asking.decision import check_askable, decision_plan
from faithful_decide._asking.options import YES_NO, Options, named_in, takes_options, twin_of
from faithful_decide._asking.plans import TIMEOUT_S, arun, in_thread, run
from faithful_decide._core.types import Decision, Question
from faithful_decide._images.load import load_images
from faithful_decide._images.prepare import prepare_all
from faithful_decide._nearest import hinting
from faithful_decide._public import public
from faithful_decide.errors import UsageError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from decimal import Decimal
    from types import TracebackType
    from typing import Literal

    from faithful_decide._asking.plans import Plan
    from faithful_decide._audit.types import AuditReport, Tier
    from faithful_decide._batch.journal import Journal
    from faithful_decide._batch.row import Item, Row
    from faithful_decide._images.load import ImageSource, ImageSources, SourceImage
    from faithful_decide.backends.base import Backend

__all__ = ["Decider", "adecide", "decide"]


@public
@hinting
def decide(
    image: ImageSources,
    question: str | Question,
    *,
    model: Backend | str | None = None,
    verdicts: Sequence[str] | Mapping[str, str] = YES_NO,
    context: str = "",
    regions: bool = False,
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
    """Ask a closed question about an image, or about several.

    Args:
        image: A path, bytes, a file object, a PIL image, a numpy array or a data URI; or a list or
            tuple of these, which the model is shown in this order, numbered from 1.
        question: The question; a `Question` brings its own verdicts.
        model: A model spec or a loaded backend; without it `$FAITHFUL_DECIDE_MODEL`, then
            `embedded`.
        verdicts: The verdicts to choose from; or a mapping from each of them to what it means.
        context: What has to be known to decide, such as a rule or a policy.
        regions: Whether each observation says where in the image it is.
        abstain: Whether the model may also say `cannot_tell`.
        samples: How many times to reason independently; each has one vote.
        seed: Makes samples reproducible. Without it they differ from call to call.
        max_tokens: The longest reply.
        retries: How many more times to send the identical request if a reply breaks the contract.
        timeout: Seconds for the whole decision. A request that fails for a passing reason, such as
            a busy server, is sent again until then.
        allow_urls: Whether an image may be fetched from an http(s) URL.
        journal: A journal or its path. A reply that is in it is not asked for again, and every new
            one is kept. Samples without a seed are then drawn with seed 0, so that they can be
            found.
        **options: Options of the backend that `model` names.

    Returns:
        The decision, with the proof that its verdict was written last.

    Raises:
        UsageError: The question, the image, the model or an option cannot be used.
        BackendError: The model could not be run.
        ReplyError: The reply holds no verdict that can be used.
    """
    how = Options(
        verdicts=verdicts,
        context=context,
        regions=regions,
        abstain=abstain,
        samples=samples,
        seed=seed,
        max_tokens=max_tokens,
        retries=retries,
        timeout=timeout,
        allow_urls=allow_urls,
        journal=journal,
    )
    asked = question_of(question, how)
    loaded = load_images(image, allow_urls=how.allow_urls)
    with ExitStack() as stack:
        backend = opened(stack, model, options, how.journal, named_in(decide))
        return run(_plan(loaded, asked, how, backend), backend, how.timeout)


@public
@hinting
@twin_of(decide)
async def adecide(
    image: ImageSources,
    question: str | Question,
    *,
    model: Backend | str | None = None,
    **options: object,
) -> Decision:
    """Do what `decide` does, awaited; samples are asked for side by side.

    Arguments, result and errors are those of `decide`.
    """
    how, rest = Options.split(options)
    asked = question_of(question, how)
    loaded = await in_thread(load_images, image, allow_urls=how.allow_urls)
    with ExitStack() as stack:
        known = named_in(decide)
        backend = await in_thread(opened, stack, model, rest, how.journal, known)
        plan = await in_thread(_plan, loaded, asked, how, backend)
        return await arun(plan, backend, how.timeout)


@public
@hinting
class Decider:
    """A loaded model and how to ask it.

    Safe to use from several threads. Close it when done, or use it in a `with` or `async with`
    statement.

        with Decider("embedded") as decider:
            for image in images:
                print(decider.decide(image, "Is there a dog?").verdict)
    """

    @takes_options()
    def __init__(self, model: Backend | str | None = None, **options: object) -> None:
        """Load the model and keep what every question shares.

        Arguments and errors are those of `decide`, apart from the image and the question. A backend
        or a journal that was passed in open is not closed with the decider.
        """
        self._how, rest = Options.split(options)
        with ExitStack() as stack:
            known = named_in(type(self))
            self.backend = opened(stack, model, rest, self._how.journal, known)
            self._owned = stack.pop_all()
        self._closed = False

    def decide(self, image: ImageSources, question: str | Question) -> Decision:
        """Ask one question; a plain text gets the verdicts of this decider.

        Result and errors are those of `faithful_decide.decide`.
        """
        return run(self._prepare(image, question), self.backend, self._how.timeout)

    async def adecide(self, image: ImageSources, question: str | Question) -> Decision:
        """Do what `decide` does, awaited."""
        plan = await in_thread(self._prepare, image, question)
        return await arun(plan, self.backend, self._how.timeout)

    def decide_many(
        self,
        items: str | os.PathLike[str] | Iterable[Item | ImageSource],
        questions: str | Question | Sequence[str | Question] | Mapping[str, str | Question],
        *,
        concurrency: int | None = None,
        ordered: bool = True,
        limit: int | None = None,
        max_cost: Decimal | None = None,
        audit: Literal["screen"] | None = None,
        review: float | None = None,
        progress: bool = False,
    ) -> Iterator[Row]:
        """Ask questions about many images, with the model and the options of this decider.

        Arguments, result and errors are those of `faithful_decide.decide_many`.
        """
        from faithful_decide._api.many import Batch, rows_of  # noqa: PLC0415 - only for batches

        self._check_open()
        batch = Batch(self.backend, replace(self._how, journal=None))
        return rows_of(
            batch,
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

    def audit(
        self,
        image: ImageSource | SourceImage,
        question: str | Question | None = None,
        *,
        decision: Decision | str | bytes | None = None,
        tier: Tier | None = None,
        reader: Backend | str | None = None,
        reader_options: Mapping[str, Any] | None = None,
        judge: Backend | str | None = None,
        judge_options: Mapping[str, Any] | None = None,
        witness: Backend | str | None = None,
        witness_options: Mapping[str, Any] | None = None,
        other_image: ImageSource | SourceImage | None = None,
        thresholds: str | None = None,
    ) -> AuditReport:
        """Test whether the reasoning of a decision carried its verdict.

        Arguments, result and errors are those of `faithful_decide.audit`.
        """
        from faithful_decide._api.audit import audit  # noqa: PLC0415 - only for audits

        return audit(
            image,
            None if question is None else self._question(question),
            decision=decision,
            tier=tier,
            reader=reader,
            reader_options=reader_options,
            judge=judge,
            judge_options=judge_options,
            witness=witness,
            witness_options=witness_options,
            other_image=other_image,
            thresholds=thresholds,
            **self._auditing(),
        )

    @twin_of(audit)
    async def aaudit(
        self,
        image: ImageSource | SourceImage,
        question: str | Question | None = None,
        **how: Any,  # noqa: ANN401 - those of audit
    ) -> AuditReport:
        """Do what `audit` does, awaited."""
        from faithful_decide._api.audit import aaudit  # noqa: PLC0415 - only for audits

        asked = None if question is None else self._question(question)
        return await aaudit(image, asked, **how, **self._auditing())

    def _auditing(self) -> dict[str, Any]:
        """What an audit takes over from this decider, which must not be more than it can."""
        self._check_open()
        how = self._how
        for name, value in (("samples", how.samples - 1), ("retries", how.retries)):
            if value:
                msg = f"an audit asks for one reply at a time, and this decider has {name}="
                msg += f"{getattr(how, name)}"
                raise UsageError(msg, hint=f"audit with a decider that was made without {name}=")
        return {
            "model": self.backend,
            "seed": how.seed,
            "max_tokens": how.max_tokens,
            "timeout": how.timeout,
            "allow_urls": how.allow_urls,
        }

    def _prepare(self, image: ImageSources, question: str | Question) -> Plan[Decision]:
        self._check_open()
        asked = self._question(question)
        loaded = load_images(image, allow_urls=self._how.allow_urls)
        return _plan(loaded, asked, self._how, self.backend)

    def _question(self, question: str | Question) -> Question:
        if isinstance(question, Question):
            return question
        return question_of(question, self._how)

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

    async def __aenter__(self) -> Self:
        """Use the decider in an `async with` statement."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it, and let others run while an engine ends."""
        await in_thread(self.close)


def _plan(
    images: tuple[SourceImage, ...], question: Question, how: Options, backend: Backend
) -> Plan[Decision]:
    check_askable(question, len(images), backend)
    prepared = prepare_all(images, backend.capabilities.image_limits)
    return decision_plan(prepared, question, how, backend)
