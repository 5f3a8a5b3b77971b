"""The front door of the audit: `audit`, `aaudit` and `audit_dataset`.

Everything that can be wrong with a call is found before a model runs, in the order of `decide`. The
audited model, the reader and the judge may be different models; a picture goes to the audited one
alone, because the other two read text.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from faithful_decide._api.opening import open_backend, opened, question_of
from faithful_decide._asking.limiter import gate_of
from faithful_decide._asking.options import YES_NO, Options
from faithful_decide._asking.plans import TIMEOUT_S, arun, run
from faithful_decide._audit.case import Case, check_auditable
from faithful_decide._audit.dataset import item_of, pooled_report
from faithful_decide._audit.evidence import Evidence, Reach
from faithful_decide._audit.flags import Thresholds
from faithful_decide._audit.gather import evidence_plan
from faithful_decide._audit.judge import judge_plan
from faithful_decide._audit.plan import (
    Outcome,
    read_by,
    report_of,
    unclear_pairs,
)
from faithful_decide._audit.screen import screen_plan
from faithful_decide._audit.types import AuditReport, DatasetAudit, ItemAudit
from faithful_decide._batch.journaled import Kept, kept
from faithful_decide._batch.row import OF_A_ROW, Item, encodable
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import grey, prepare
from faithful_decide._public import public
from faithful_decide.errors import FaithfulDecideError, UsageError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Iterable, Sequence

    from faithful_decide._asking.limiter import Gate
    from faithful_decide._asking.plans import Plan
    from faithful_decide._audit.types import Tier
    from faithful_decide._batch.journal import Journal
    from faithful_decide._core.types import Question
    from faithful_decide._images.load import ImageSource, SourceImage
    from faithful_decide._images.prepare import PreparedImage
    from faithful_decide.backends.base import Backend

__all__ = ["aaudit", "audit", "audit_dataset"]

TIERS = ("screen", "standard", "full")
SELF = "self"
FIRST_WAVE = 6
"""Calls that an audit of tier `standard` has to make at first, of which none waits for another."""
EXPECTED = "label"
"""The column of an item that holds its right verdict."""
Steps: TypeAlias = "Generator[tuple[Plan[Any], Backend], Any, AuditReport]"


@dataclass(frozen=True, slots=True)
class _Setting:
    """How to audit, apart from what."""

    tier: Tier
    thresholds: Thresholds
    seed: int | None
    max_tokens: int
    timeout_s: float


@public
def audit(
    image: ImageSource | SourceImage,
    question: str | Question,
    *,
    model: Backend | str | None = None,
    tier: Tier = "standard",
    reader: Backend | str | None = None,
    judge: Backend | str | None = None,
    donor: ImageSource | SourceImage | None = None,
    verdicts: Sequence[str] = YES_NO,
    abstain: bool = True,
    seed: int | None = None,
    max_tokens: int = 512,
    timeout: float = TIMEOUT_S,
    allow_urls: bool = False,
    thresholds: str | None = None,
    journal: Journal | str | os.PathLike[str] | None = None,
    **options: Any,  # noqa: ANN401 - as in decide
) -> AuditReport:
    """Test whether the reasoning of a decision carried its verdict.

    Forces each verdict and compares the explanations, reads the picture again without the
    question, asks the opposite, takes the picture away; at tier `full`, also edits what the
    decision relied on and looks at how early the verdict was settled. Each has its control.

    Args:
        image: As in `decide`.
        question: As in `decide`.
        model: As in `decide`.
        tier: `screen` asks once more, `standard` about seven times, `full` some seventy times.
        reader: Who reads the observations without the picture: a model spec, a backend, or `self`
            for the audited model, which is also the default and is named as such in the report.
        judge: Who compares wording that rules cannot; nobody by default.
        donor: A picture for which the right verdict is another, for the check that exchanges it.
        verdicts: As in `decide`.
        abstain: As in `decide`.
        seed: As in `decide`; without it the seed belongs to the content.
        max_tokens: The longest reply.
        timeout: Seconds for the whole audit.
        allow_urls: As in `decide`.
        thresholds: Thresholds of your own, as JSON; by default those of the package.
        journal: As in `decide`; an audit that was interrupted goes on where it was.
        **options: Options of the backend that `model` names.

    Returns:
        The report. No flag means that nothing was found by what was asked, and no more.

    Raises:
        UsageError: The question, the picture, the model, the tier or the thresholds cannot be used.
        BackendError: The model could not be run.
        ReplyError: It replied with something that holds no verdict, so there is nothing to audit.
    """
    asked = question_of(question, verdicts, abstain=abstain)
    setting = _setting(tier, thresholds, seed, max_tokens, timeout)
    picture = load_image(image, allow_urls=allow_urls)
    other = None if donor is None else load_image(donor, allow_urls=allow_urls)
    with ExitStack() as stack:
        backend = opened(stack, model, options, journal)
        helpers = _helpers(stack, backend, reader, judge)
        return _audited(picture, asked, other, backend, helpers, setting)


@public
async def aaudit(
    image: ImageSource | SourceImage,
    question: str | Question,
    *,
    model: Backend | str | None = None,
    tier: Tier = "standard",
    reader: Backend | str | None = None,
    judge: Backend | str | None = None,
    donor: ImageSource | SourceImage | None = None,
    verdicts: Sequence[str] = YES_NO,
    abstain: bool = True,
    seed: int | None = None,
    max_tokens: int = 512,
    timeout: float = TIMEOUT_S,  # noqa: ASYNC109 - of the audit, pauses included
    allow_urls: bool = False,
    thresholds: str | None = None,
    journal: Journal | str | os.PathLike[str] | None = None,
    **options: Any,  # noqa: ANN401 - as in decide
) -> AuditReport:
    """Do what `audit` does, awaited: same arguments, same result, same errors.

    Args:
        image: As in `audit`.
        question: As in `audit`.
        model: As in `audit`.
        tier: As in `audit`.
        reader: As in `audit`.
        judge: As in `audit`.
        donor: As in `audit`.
        verdicts: As in `audit`.
        abstain: As in `audit`.
        seed: As in `audit`.
        max_tokens: As in `audit`.
        timeout: As in `audit`.
        allow_urls: As in `audit`.
        thresholds: As in `audit`.
        journal: As in `audit`.
        **options: As in `audit`.

    Returns:
        The report.

    Raises:
        UsageError: As in `audit`.
        BackendError: As in `audit`.
        ReplyError: As in `audit`.
    """
    asked = question_of(question, verdicts, abstain=abstain)
    setting = _setting(tier, thresholds, seed, max_tokens, timeout)
    with ExitStack() as stack:
        picture = await asyncio.to_thread(load_image, image, allow_urls=allow_urls)
        other = None
        if donor is not None:
            other = await asyncio.to_thread(load_image, donor, allow_urls=allow_urls)
        backend = await asyncio.to_thread(opened, stack, model, options, journal)
        helpers = await asyncio.to_thread(_helpers, stack, backend, reader, judge)
        steps = _steps(picture, asked, other, backend, helpers, setting)
        answer: object = None
        while True:
            try:
                plan, whom = steps.send(answer)
            except StopIteration as end:
                return cast("AuditReport", end.value)
            answer = await arun(plan, whom, setting.timeout_s)


@public
def audit_dataset(
    items: Iterable[Item | tuple[ImageSource | SourceImage, str | Question]],
    question: str | Question | None = None,
    *,
    model: Backend | str | None = None,
    tier: Tier = "standard",
    reader: Backend | str | None = None,
    judge: Backend | str | None = None,
    verdicts: Sequence[str] = YES_NO,
    abstain: bool = True,
    seed: int | None = None,
    max_tokens: int = 512,
    timeout: float = TIMEOUT_S,
    thresholds: str | None = None,
    journal: Journal | str | os.PathLike[str] | None = None,
    progress: Callable[[ItemAudit], object] | None = None,
    **options: Any,  # noqa: ANN401 - as in decide
) -> DatasetAudit:
    """Audit many decisions and pool what was found.

    An item that fails is counted by its error and left out of the checks.

    Args:
        items: Pairs of an image and a question, or items as sources yield them.
        question: The question about items that do not bring one.
        model: As in `decide`.
        tier: As in `audit`; `screen` draws one check for each item.
        reader: As in `audit`.
        judge: As in `audit`.
        verdicts: As in `decide`.
        abstain: As in `decide`.
        seed: As in `audit`.
        max_tokens: The longest reply.
        timeout: Seconds for each item.
        thresholds: As in `audit`.
        journal: As in `audit`; every reply is in it before the next item begins.
        progress: Called after each item with what became of it.
        **options: Options of the backend that `model` names.

    Returns:
        The pooled report; its intervals are clustered by image.

    Raises:
        UsageError: There is no item, or the model, the tier or the thresholds cannot be used.
        BackendError: The model could not be loaded.
    """
    setting = _setting(tier, thresholds, seed, max_tokens, timeout)
    common = None if question is None else question_of(question, verdicts, abstain=abstain)
    started = time.perf_counter()
    done: list[tuple[ItemAudit, AuditReport | None]] = []
    with ExitStack() as stack:
        backend = opened(stack, model, options, journal)
        helpers = _helpers(stack, backend, reader, judge)
        for index, item in enumerate(items):
            sample, asked = _item(index, item, common, verdicts, abstain=abstain)
            expected = sample.columns.get(EXPECTED, "")
            spoilt = isinstance(sample.image, FaithfulDecideError)
            try:
                if isinstance(sample.image, FaithfulDecideError):
                    raise sample.image
                picture = load_image(sample.image)
                report = _audited(picture, asked, None, backend, helpers, setting)
            except FaithfulDecideError as error:
                if not (spoilt or isinstance(error, OF_A_ROW)):
                    raise
                kind, why = type(error).__name__, encodable(str(error))
                failed = ItemAudit(item=sample.id, expected=expected, error=why, error_type=kind)
                done.append((failed, None))
            else:
                done.append((item_of(sample.id, expected, report), report))
            if progress is not None:
                progress(done[-1][0])
    if not done:
        msg = "there is no item to audit"
        raise UsageError(msg, hint="pass at least one pair of an image and a question")
    return pooled_report(
        done,
        setting.tier,
        setting.thresholds,
        model=backend.name,
        reader=helpers.reader_name,
        seed=seed,
        seconds=time.perf_counter() - started,
    )


def _item(
    index: int,
    item: Item | tuple[ImageSource | SourceImage, str | Question],
    common: Question | None,
    verdicts: Sequence[str],
    *,
    abstain: bool,
) -> tuple[Item, Question]:
    """An item with the question about it."""
    if not isinstance(item, Item):
        image, own = item
        return Item(str(index), image), question_of(own, verdicts, abstain=abstain)
    if common is None:
        msg = f"the item {item.id!r} brings no question, and none was passed"
        raise UsageError(msg, hint="pass question=")
    return item, common


@dataclass(frozen=True, slots=True)
class _Helpers:
    """Who else is asked."""

    reader: Backend
    reader_name: str
    reader_is_model: bool
    judge: Backend | None
    gate: Gate
    """What is known of the model's server. It is forgotten with its last user, and every plan would
    begin as carefully as the first."""


def _helpers(
    stack: ExitStack,
    backend: Backend,
    reader: Backend | str | None,
    judge: Backend | str | None,
) -> _Helpers:
    """Find the reader and the judge; what a journal keeps for the model, it keeps for them."""
    itself, journal = backend, None
    if isinstance(backend, Kept):
        itself, journal = backend.backend, backend.journal

    def found(helper: Backend | str | None) -> Backend:
        if helper is None or helper == SELF or helper is itself or helper is backend:
            return backend
        if isinstance(helper, str) and helper == backend.name:
            return backend
        other = open_backend(stack, helper, {})
        return other if journal is None else kept(other, journal)

    said = reader is None or reader == SELF or reader is itself or reader is backend
    read_by = found(reader)
    if not said and read_by.name == backend.name:
        msg = f"the reader {read_by.name!r} is the audited model"
        raise UsageError(msg, hint='say so with reader="self", or name another model')
    judged_by = None if judge is None else found(judge)
    gate = gate_of(backend.name, FIRST_WAVE)
    return _Helpers(read_by, read_by.name, read_by is backend, judged_by, gate)


def _setting(
    tier: str,
    thresholds: str | None,
    seed: int | None,
    max_tokens: int,
    timeout: float,
) -> _Setting:
    if tier not in TIERS:
        msg = f"there is no tier {tier!r}"
        raise UsageError(msg, hint=f"use one of: {', '.join(TIERS)}")
    Options(seed=seed, max_tokens=max_tokens, timeout=timeout)  # checks the numbers
    limits = Thresholds.shipped() if thresholds is None else Thresholds.read(thresholds)
    known = cast("Tier", tier)
    return _Setting(known, limits, seed, max_tokens, timeout)


def _audited(  # noqa: PLR0917 - private, and each is something else
    image: SourceImage,
    question: Question,
    donor: SourceImage | None,
    backend: Backend,
    helpers: _Helpers,
    setting: _Setting,
) -> AuditReport:
    steps = _steps(image, question, donor, backend, helpers, setting)
    answer: object = None
    while True:
        try:
            plan, whom = steps.send(answer)
        except StopIteration as end:
            return cast("AuditReport", end.value)
        answer = run(plan, whom, setting.timeout_s)


def _steps(  # noqa: PLR0917 - private, and each is something else
    image: SourceImage,
    question: Question,
    donor: SourceImage | None,
    backend: Backend,
    helpers: _Helpers,
    setting: _Setting,
) -> Steps:
    """The plans of an audit and whom each is for; a driver runs them and sends back the results."""
    started = time.perf_counter()
    check_auditable(backend)
    capabilities = backend.capabilities
    reach = Reach.of(setting.tier, ruled=question.rule is not None)
    limits = capabilities.image_limits
    prepared = prepare(image, limits)
    case = Case(
        prepared,
        grey(prepared, limits),
        question,
        capabilities,
        setting.max_tokens,
        setting.seed,
        None if donor is None else prepare(donor, limits),
    )
    if setting.tier == "screen":
        evidence: Evidence = yield screen_plan(case), backend
    else:
        itself = helpers.reader_is_model
        evidence = yield evidence_plan(case, reach, read=itself), backend
        reading = replace(case, capabilities=helpers.reader.capabilities)
        evidence = yield read_by(reading, evidence, reach), helpers.reader
    judgements: tuple[Any, ...] = ()
    if helpers.judge is not None:
        unclear = unclear_pairs(evidence)
        judgements = yield judge_plan(unclear, helpers.judge.name), helpers.judge
    outcome = Outcome(
        evidence,
        judgements,
        helpers.reader_name if evidence.reads else "",
        helpers.reader_is_model and bool(evidence.reads),
        helpers.judge.name if helpers.judge else "",
    )
    return report_of(
        outcome,
        setting.tier,
        setting.thresholds,
        backend,
        image=_shown(prepared),
        seconds=time.perf_counter() - started,
    )


_SHOWN_BYTES = 200_000


def _shown(image: PreparedImage) -> str:
    """The picture for the report, if it is small enough to be carried along."""
    return image.data_uri() if len(image.data) <= _SHOWN_BYTES else ""
