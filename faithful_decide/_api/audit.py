"""The front door of the audit: `audit`, `aaudit` and `audit_dataset`, and what one would cost.

Everything that can be wrong with a call is found before a model runs, in the order of `decide`. The
audited model, the reader and the judge may be different models; a picture goes to the audited one
alone, because the other two read text.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from faithful_decide._api.opening import open_backend, opened, question_of
from faithful_decide._asking.decision import check_askable
from faithful_decide._asking.limiter import limiter_of
from faithful_decide._asking.options import Options, named_in, takes_options, twin_of
from faithful_decide._asking.plans import arun, in_thread, run
from faithful_decide._audit.case import Case, check_auditable
from faithful_decide._audit.dataset import item_of, pooled_report
from faithful_decide._audit.flags import Thresholds
from faithful_decide._audit.gathering import audit_plan
from faithful_decide._audit.rehearsal import rehearse
from faithful_decide._audit.reporting import Asked, report_of
from faithful_decide._audit.types import AuditReport, DatasetAudit, ItemAudit
from faithful_decide._batch.journaled import Journaled, journaled
from faithful_decide._batch.price import price_of
from faithful_decide._batch.row import OF_A_ROW, Item, encodable, numbered
from faithful_decide._core.types import Usage
from faithful_decide._images.load import load_image, one_image
from faithful_decide._images.prepare import grey, prepare
from faithful_decide._public import public
from faithful_decide._report.picture import thumbnail
from faithful_decide.backends.base import innermost
from faithful_decide.errors import FaithfulDecideError, MissingExtraError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from decimal import Decimal

    from faithful_decide._asking.limiter import Limiter
    from faithful_decide._asking.plans import Plan
    from faithful_decide._audit.evidence import Evidence
    from faithful_decide._audit.types import Tier
    from faithful_decide._core.types import Question
    from faithful_decide._images.load import ImageSource, SourceImage
    from faithful_decide.backends.base import Backend, Request, Role

__all__ = ["AuditEstimate", "aaudit", "audit", "audit_dataset", "estimate_audit"]

TIERS = ("screen", "standard", "full")
SELF = "self"
FIRST_WAVE = 6
"""Calls that an audit of tier `standard` has to make at first, of which none waits for another."""
EXPECTED = "label"
"""The column of an item that holds its right verdict."""
_SHOWN_SIDE, _SHOWN_BYTES = 640, 60_000


NOT_OF_AN_AUDIT = ("samples", "retries")
"""Options of a decision that an audit does not have: it draws replies of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _How(Options):
    """How to audit, and whom. Checked when it is made, before anything is loaded."""

    model: Backend | str | None = None
    tier: Tier = "standard"
    reader: Backend | str | None = None
    reader_options: Mapping[str, Any] | None = None
    judge: Backend | str | None = None
    judge_options: Mapping[str, Any] | None = None
    other_image: ImageSource | SourceImage | None = None
    thresholds: str | None = None
    limits: Thresholds = field(init=False)

    def __post_init__(self) -> None:
        """Refuse a tier, numbers or thresholds that cannot be."""
        Options.__post_init__(self)
        if self.tier not in TIERS:
            msg = f"there is no tier {self.tier!r}"
            raise UsageError(msg, hint=f"use one of: {', '.join(TIERS)}")
        text = self.thresholds
        limits = Thresholds.shipped() if text is None else Thresholds.read(text)
        object.__setattr__(self, "limits", limits)

    @classmethod
    def names(cls) -> set[str]:
        """Those of an audit."""
        own = {part.name for part in fields(cls) if part.init}
        return own.difference(NOT_OF_AN_AUDIT)

    def question(self, question: str | Question) -> Question:
        """The question that is meant."""
        return question_of(question, self)


@public
@takes_options(without=NOT_OF_AN_AUDIT)
def audit(
    image: ImageSource | SourceImage,
    question: str | Question,
    *,
    model: Backend | str | None = None,
    tier: Tier = "standard",
    reader: Backend | str | None = None,
    reader_options: Mapping[str, Any] | None = None,
    judge: Backend | str | None = None,
    judge_options: Mapping[str, Any] | None = None,
    other_image: ImageSource | SourceImage | None = None,
    thresholds: str | None = None,
    **options: object,
) -> AuditReport:
    """Test whether the reasoning of a decision carried its verdict.

    Forces each verdict and compares the explanations, reads the picture again without the
    question, asks the opposite, takes the picture away; at tier `full`, also edits what the
    decision relied on and looks at how early the verdict was settled. Each has its control.

    A call that fails, or whose reply cannot be used, ends its own trial only, and the report tells.

    Args:
        image: A path, bytes, a file object, a PIL image, a numpy array or a data URI.
        question: The question; a `Question` brings its own verdicts.
        model: A model spec or a loaded backend; without it `$FAITHFUL_DECIDE_MODEL`, then
            `embedded`.
        tier: `screen` asks once more, `standard` about ten times, `full` some seventy times.
        reader: Who reads the observations without the picture: a model spec, a backend, or `self`
            for the audited model, which is also the default and is named as such in the report.
        reader_options: Options of the backend that `reader` names.
        judge: Who compares wording that rules cannot; nobody by default.
        judge_options: Options of the backend that `judge` names.
        other_image: A picture about which the model by itself decides otherwise; tier `full` looks
            whether it asserts the first verdict of it.
        thresholds: Thresholds of your own, as JSON; by default those of the package.
        **options: The options of `decide` but for `samples` and `retries`, and those of the backend
            that `model` names. `timeout` is for the whole audit; without a `seed` the content sets
            it; with a `journal` an audit that was interrupted goes on where it was.

    Returns:
        The report. No flag means that nothing was found by what was asked, and no more.

    Raises:
        UsageError: The question, the picture, the model, the tier or the thresholds cannot be used.
        BackendError: The model could not be run, or did not make the decision.
        ReplyError: It replied with something that holds no verdict, so there is nothing to audit.
    """
    how, rest = _How.split(
        {
            **options,
            "model": model,
            "tier": tier,
            "reader": reader,
            "reader_options": reader_options,
            "judge": judge,
            "judge_options": judge_options,
            "other_image": other_image,
            "thresholds": thresholds,
        }
    )
    with ExitStack() as stack:
        begun = _begun(stack, image, question, how, rest)
        return begun.report(run(begun.plan, begun.backends, how.timeout, tolerant=True))


@public
@twin_of(audit)
async def aaudit(
    image: ImageSource | SourceImage,
    question: str | Question,
    **options: object,
) -> AuditReport:
    """Do what `audit` does, awaited.

    Arguments, result and errors are those of `audit`.
    """
    how, rest = _How.split(options)
    with ExitStack() as stack:
        begun = await in_thread(_begun, stack, image, question, how, rest)
        return begun.report(await arun(begun.plan, begun.backends, how.timeout, tolerant=True))


@public
@takes_options(without=NOT_OF_AN_AUDIT)
def audit_dataset(
    items: Iterable[Item | tuple[ImageSource | SourceImage, str | Question]],
    question: str | Question | None = None,
    *,
    model: Backend | str | None = None,
    tier: Tier = "standard",
    reader: Backend | str | None = None,
    reader_options: Mapping[str, Any] | None = None,
    judge: Backend | str | None = None,
    judge_options: Mapping[str, Any] | None = None,
    thresholds: str | None = None,
    progress: Callable[[ItemAudit], object] | None = None,
    **options: object,
) -> DatasetAudit:
    """Audit many decisions and pool what was found.

    An item that fails is counted by its error and left out of the checks. With a journal every
    reply is kept as it comes, so the same call goes on where it was interrupted.

    Args:
        items: Pairs of an image and a question, or items as sources yield them.
        question: The question about items that do not bring one.
        model: A model spec or a loaded backend, as for `audit`.
        tier: How much to ask about each; `screen` draws one check for each item.
        reader: Who reads the observations, as for `audit`.
        reader_options: Options of the backend that `reader` names.
        judge: Who compares wording that rules cannot; nobody by default.
        judge_options: Options of the backend that `judge` names.
        thresholds: Thresholds of your own, as JSON; by default those of the package.
        progress: Called after each item with what became of it.
        **options: The options of `decide` but for `samples` and `retries`, and those of the backend
            that `model` names. `timeout` is for each item; `seed` draws the bootstrap, too.

    Returns:
        The pooled report; its intervals are clustered by image.

    Raises:
        UsageError: There is no item, or the model, the tier or the thresholds cannot be used.
        BackendError: The model could not be loaded.
    """
    how, rest = _How.split(
        {
            **options,
            "model": model,
            "tier": tier,
            "reader": reader,
            "reader_options": reader_options,
            "judge": judge,
            "judge_options": judge_options,
            "thresholds": thresholds,
        }
    )
    common = None if question is None else how.question(question)
    started = time.perf_counter()
    done: list[ItemAudit] = []
    with ExitStack() as stack:
        asked = _asked(stack, how, rest, named_in(audit_dataset))
        gate = _limiter(asked)
        for index, given in enumerate(items):
            item, about = _item(index, given, common, how)
            expected = item.columns.get(EXPECTED, "")
            spoilt = isinstance(item.image, FaithfulDecideError)
            try:
                if isinstance(item.image, FaithfulDecideError):
                    raise item.image
                picture = one_image(item.image, allow_urls=how.allow_urls)
                begun = _Begun(picture, None, about, asked, how, gate)
                report = begun.report(run(begun.plan, begun.backends, how.timeout, tolerant=True))
                audited = item_of(item.id, expected, report)
            except FaithfulDecideError as error:
                if not (spoilt or isinstance(error, OF_A_ROW)):
                    raise
                audited = ItemAudit(
                    item=item.id,
                    question=about.text,
                    expected=expected,
                    error=encodable(str(error)),
                    error_type=type(error).__name__,
                )
            done.append(audited)
            if progress is not None:
                progress(audited)
    if not done:
        msg = "there is no item to audit"
        raise UsageError(msg, hint="pass at least one pair of an image and a question")
    return pooled_report(
        done,
        how.tier,
        how.limits,
        model=asked.model.name,
        reader=asked.reader.name,
        seed=how.seed,
        seconds=time.perf_counter() - started,
    )


def _item(
    index: int,
    item: Item | tuple[ImageSource | SourceImage, str | Question],
    common: Question | None,
    how: _How,
) -> tuple[Item, Question]:
    """An item with the question about it."""
    if not isinstance(item, Item):
        image, own = item
        return numbered(index, image), how.question(own)
    if common is None:
        msg = f"the item {item.id!r} brings no question, and none was passed"
        raise UsageError(msg, hint="pass question=")
    return item, common


class _Begun:
    """An audit that is ready to run: its plan, whom to ask, and who writes the report."""

    def __init__(  # noqa: PLR0917 - private, and each is something else
        self,
        image: SourceImage,
        other: SourceImage | None,
        question: Question,
        asked: Asked,
        how: _How,
        limiter: Limiter,
    ) -> None:
        self.started = time.perf_counter()
        self.asked, self.limits = asked, how.limits
        self._limiter, self._image = limiter, image
        self.case = _case(image, other, question, asked, how)
        self.backends: dict[Role, Backend] = {"model": asked.model, "reader": asked.reader}
        if asked.judge is not None:
            self.backends["judge"] = asked.judge
        self.plan: Plan[Evidence] = audit_plan(
            self.case, "" if asked.judge is None else asked.judge.name
        )

    def report(self, evidence: Evidence) -> AuditReport:
        """Write the report."""
        return report_of(
            evidence,
            self.asked,
            self.limits,
            image=_shown(self._image),
            seconds=time.perf_counter() - self.started,
        )


def _begun(
    stack: ExitStack,
    image: ImageSource | SourceImage,
    question: str | Question,
    how: _How,
    options: Mapping[str, Any],
) -> _Begun:
    about = how.question(question)
    picture = one_image(image, allow_urls=how.allow_urls)
    other = how.other_image
    loaded = None if other is None else load_image(other, allow_urls=how.allow_urls)
    asked = _asked(stack, how, options, named_in(audit))
    return _Begun(picture, loaded, about, asked, how, _limiter(asked))


def _case(
    image: SourceImage, other: SourceImage | None, question: Question, asked: Asked, how: _How
) -> Case:
    check_auditable(asked.model)
    check_askable(question, 1, asked.model)
    capabilities = asked.model.capabilities
    limits = capabilities.image_limits
    prepared = prepare(image, limits)
    return Case(
        prepared,
        grey(prepared, limits),
        question,
        capabilities,
        how.max_tokens,
        how.seed,
        None if other is None else prepare(other, limits),
        how.tier,
        asked.reader.capabilities,
        ruled=question.rule is not None,
    )


def _asked(
    stack: ExitStack,
    how: _How,
    options: Mapping[str, Any],
    known: Iterable[str],
    *,
    dry: bool = False,
) -> Asked:
    """Find the model, the reader and the judge; a journal keeps the replies of all three."""
    model = opened(stack, how.model, options, how.journal, known, dry=dry)
    itself = innermost(model)
    journal = model.journal if isinstance(model, Journaled) else None

    def is_model(named: Backend | str | None) -> bool:
        return named is None or named == SELF or innermost(named) is itself

    def helper(named: Backend | str | None, its_options: Mapping[str, Any] | None) -> Backend:
        if not its_options and (is_model(named) or named == model.name):
            return model
        other = open_backend(stack, named, its_options or {}, dry=dry)
        return other if journal is None else journaled(other, journal)

    reader = helper(how.reader, how.reader_options)
    if reader.name == model.name and not how.reader_options and not is_model(how.reader):
        # Another address would make it another model; then there are options.
        msg = f"the reader {reader.name!r} is the audited model"
        raise UsageError(msg, hint='say so with reader="self", or name another model')
    judge = None if how.judge is None else helper(how.judge, how.judge_options)
    return Asked(model, reader, judge)


def _limiter(asked: Asked) -> Limiter:
    """What is known of the model's server.

    It is forgotten with its last user, and every plan would begin as carefully as the first.
    """
    return limiter_of(asked.model.name, FIRST_WAVE)


def _shown(image: SourceImage) -> str:
    """The picture for the report, as people know it: not as it was fitted to the model."""
    return thumbnail(image, side=_SHOWN_SIDE, most=_SHOWN_BYTES)


# ---------------------------------------------------------------- what it would cost


_CHARACTERS, _PIXELS, _REPLY, _WORD = 4, 750, 200, 8
"""Characters and pixels of a token; tokens of a reply, and of one that only names a verdict."""


@dataclass(frozen=True, slots=True)
class AuditEstimate:
    """What an audit would ask of the model and the reader, summed from its plan.

    `exact` says whether the calls do not depend on what the model says; else they are the most.
    With a judge, every pair of wordings that rules cannot compare is one call more.
    """

    calls: int
    exact: bool
    judged: bool
    prompt_tokens: int
    completion_tokens: int
    cost_usd: Decimal | None
    """By list prices; None where there is none, or `genai-prices` is not installed."""


def estimate_audit(
    image: ImageSource | SourceImage, question: str | Question, **options: object
) -> AuditEstimate:
    """Say what `audit` would ask, and send nothing. Arguments are those of `audit`."""
    how, rest = _How.split(options)
    about = how.question(question)
    picture = one_image(image, allow_urls=how.allow_urls)
    other = (
        None if how.other_image is None else load_image(how.other_image, allow_urls=how.allow_urls)
    )
    with ExitStack() as stack:
        asked = _asked(stack, how, rest, named_in(audit), dry=True)
        forecast = rehearse(_case(picture, other, about, asked, how))
    costs: list[Decimal | None] = []
    total = [0, 0]
    for role, backend in (("model", asked.model), ("reader", asked.reader)):
        own = [r for r in forecast.requests if r.purpose is not None and r.purpose.role == role]
        usage = Usage(sum(map(_prompt_tokens, own)), None, sum(map(_reply_tokens, own)))
        total[0] += usage.prompt_tokens or 0
        total[1] += usage.completion_tokens or 0
        with suppress(MissingExtraError):
            costs.append(price_of(backend.name, backend.name.partition("/")[2], usage))
    known = [cost for cost in costs if cost is not None]
    cost = sum(known[1:], known[0]) if known and len(known) == len(costs) else None
    judged = asked.judge is not None
    return AuditEstimate(forecast.calls, forecast.exact, judged, total[0], total[1], cost)


def _prompt_tokens(request: Request) -> int:
    words = len(request.system) + len(request.text) + len(request.prefix)
    pixels = sum(image.width * image.height for image in request.images)
    return words // _CHARACTERS + pixels // _PIXELS


def _reply_tokens(request: Request) -> int:
    short = request.purpose is not None and request.purpose.kind in {"early", "knockout", "probe"}
    return min(request.max_tokens, _WORD if short else _REPLY)
