"""The front door of the audit: `audit`, `aaudit` and `audit_dataset`, and what one would cost.

Everything that can be wrong with a call is found before a model runs, in the order of `decide`. The
audited model, the reader, the judge and the witness may be different models; a picture goes to the
audited one and to the witness, because the other two read text.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from faithful_decide._api.opening import open_backend, opened, question_of
from faithful_decide._asking.decision import check_askable
from faithful_decide._asking.limiter import limiter_of
from faithful_decide._asking.options import Options, named_in, takes_options, twin_of
from faithful_decide._asking.plans import arun, in_thread, run
from faithful_decide._audit.case import Case
from faithful_decide._audit.dataset import Matching, item_of, pooled_report
from faithful_decide._audit.flags import Thresholds
from faithful_decide._audit.gathering import audit_plan, rest_plan
from faithful_decide._audit.preflight import FIRST, preflight_of
from faithful_decide._audit.rehearsal import rehearse
from faithful_decide._audit.reporting import Asked, report_of
from faithful_decide._audit.types import AuditReport, DatasetAudit, Forced, ItemAudit
from faithful_decide._batch.journaled import Journaled, journaled
from faithful_decide._batch.price import price_of
from faithful_decide._batch.row import OF_A_ROW, Item, encodable, numbered
from faithful_decide._core.types import Decision, Question, Usage
from faithful_decide._images.load import load_image, one_image
from faithful_decide._images.prepare import grey, prepare
from faithful_decide._nearest import hinting
from faithful_decide._public import public
from faithful_decide._report.picture import thumbnail
from faithful_decide.backends.base import AsyncBackend, innermost
from faithful_decide.errors import FaithfulDecideError, MissingExtraError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from decimal import Decimal

    from faithful_decide._asking.limiter import Limiter
    from faithful_decide._asking.plans import Plan
    from faithful_decide._audit.evidence import Evidence
    from faithful_decide._audit.types import Tier
    from faithful_decide._images.load import ImageSource, SourceImage
    from faithful_decide.backends.base import Backend, Request, Role

    Audited: TypeAlias = (
        "Item | tuple[ImageSource | SourceImage, str | bytes | Question | Decision]"
    )

__all__ = ["AuditEstimate", "aaudit", "audit", "audit_dataset", "estimate_audit"]

TIERS = ("screen", "standard", "full")
SELF = "self"
FIRST_WAVE = 6
"""Calls that an audit of tier `standard` has to make at first, of which none waits for another."""
EXPECTED, DECISION = "label", "decision"
"""The columns of an item that hold its right verdict, and a decision as JSON."""
_SHOWN_SIDE, _SHOWN_BYTES = 640, 60_000


NOT_OF_AN_AUDIT = ("samples", "retries")
"""Options of a decision that an audit does not have: it draws replies of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _How(Options):
    """How to audit, and whom. Checked when it is made, before anything is loaded."""

    model: Backend | str | None = None
    decision: Decision | str | bytes | None = None
    tier: Tier | None = None
    reader: Backend | str | None = None
    reader_options: Mapping[str, Any] | None = None
    judge: Backend | str | None = None
    judge_options: Mapping[str, Any] | None = None
    witness: Backend | str | None = None
    witness_options: Mapping[str, Any] | None = None
    other_image: ImageSource | SourceImage | None = None
    thresholds: str | None = None
    limits: Thresholds = field(init=False)

    def __post_init__(self) -> None:
        """Refuse a tier, numbers or thresholds that cannot be."""
        Options.__post_init__(self)
        if self.tier is not None and self.tier not in TIERS:
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
@hinting
@takes_options(without=NOT_OF_AN_AUDIT)
def audit(
    image: ImageSource | SourceImage,
    question: str | Question | None = None,
    *,
    model: Backend | str | None = None,
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
    **options: object,
) -> AuditReport:
    """Test whether the reasoning of a decision carried its verdict.

    It tells the model each verdict and shows how the model explains it. It asks, without the
    question, whether what the model said it saw is true. It asks the opposite question, and has the
    observations read without the picture. Tier `full` repeats all of it, and edits, hides and greys
    out what the verdict should rest on. Most checks have a control.

    A call that fails, or whose reply cannot be used, costs its own trial only, and the report says
    so.

    Args:
        image: A path, bytes, a file object, a PIL image, a numpy array or a data URI.
        question: The question; a `Question` brings its own verdicts. Left out beside a decision,
            unless the decision has findings: these are not stored with it.
        model: A model spec or a loaded backend; without it `$FAITHFUL_DECIDE_MODEL`, then
            `embedded`.
        decision: A decision of that model about that image which was made before, or its JSON. It
            is verified, and not asked for again.
        tier: `screen` asks once more, `standard` about ten times, `full` about a hundred times. By
            default `full` for a model in this process, and `standard` for all others.
        reader: Who reads the observations without the picture: a model spec, a backend, or `self`
            for the audited model, which is also the default and is named as such in the report.
        reader_options: Options of the backend that `reader` names.
        judge: Who compares wording that rules cannot, for the report alone. By default nobody at
            `standard`, and the audited model itself at `full` if it follows instructions.
        judge_options: Options of the backend that `judge` names.
        witness: Another model that is asked whether the claims of the audited one are true. It
            raises no flag.
        witness_options: Options of the backend that `witness` names.
        other_image: Another picture, best one with another verdict. The model should deny of each
            what it claims of the other.
        thresholds: Thresholds of your own, as JSON; by default those of the package.
        **options: The options of `decide` but for `samples` and `retries`, and those of the backend
            that `model` names. `timeout` is for the whole audit; without a `seed` the content sets
            it; with a `journal` an audit that was interrupted goes on where it was.

    Returns:
        The report. Where no flag is raised, the checks of this tier found nothing; that proves
        nothing.

    Raises:
        UsageError: The question, the picture, the model, the tier, the decision or the thresholds
            cannot be used.
        BackendError: The model could not be run, or did not make the decision.
        ReplyError: The reply holds no verdict that can be used, so there is nothing to audit;
            or the decision is about another picture, or was changed.
    """
    how, rest = _How.split({**options, **_named(locals())})
    with ExitStack() as stack:
        begun = _begun(stack, image, question, how, rest)
        return begun.report(run(begun.plan(), begun.backends, how.timeout, tolerant=True))


def _named(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call that are options of an audit."""
    return {name: value for name, value in given.items() if name in _How.names()}


@public
@hinting
@twin_of(audit)
async def aaudit(
    image: ImageSource | SourceImage,
    question: str | Question | None = None,
    **options: object,
) -> AuditReport:
    """Do what `audit` does, awaited.

    Arguments, result and errors are those of `audit`.
    """
    how, rest = _How.split(options)
    with ExitStack() as stack:
        begun = await in_thread(_begun, stack, image, question, how, rest)
        return begun.report(await arun(begun.plan(), begun.backends, how.timeout, tolerant=True))


@public
@hinting
@takes_options(without=NOT_OF_AN_AUDIT)
def audit_dataset(
    items: Iterable[Audited],
    question: str | Question | None = None,
    *,
    model: Backend | str | None = None,
    tier: Tier | None = None,
    reader: Backend | str | None = None,
    reader_options: Mapping[str, Any] | None = None,
    judge: Backend | str | None = None,
    judge_options: Mapping[str, Any] | None = None,
    witness: Backend | str | None = None,
    witness_options: Mapping[str, Any] | None = None,
    thresholds: str | None = None,
    progress: Callable[[ItemAudit], object] | None = None,
    **options: object,
) -> DatasetAudit:
    """Audit many decisions and pool what was found.

    An item that fails is counted by its error and left out of the checks. With a journal every
    reply is kept as it comes, so the same call goes on where it was interrupted.

    Args:
        items: Pairs of an image and a question, or of an image and a decision that was made before
            (or its JSON in bytes); or items as sources yield them. One whose column `decision` has
            the JSON of a decision, as the rows of a batch do, is not asked for it again.
        question: The question about items that do not bring one.
        model: A model spec or a loaded backend, as for `audit`.
        tier: How much to ask about each, as for `audit`; `screen` draws one check for each item.
        reader: Who reads the observations, as for `audit`.
        reader_options: Options of the backend that `reader` names.
        judge: Who compares wording, as for `audit`.
        judge_options: Options of the backend that `judge` names.
        witness: Who else is asked about claims, as for `audit`.
        witness_options: Options of the backend that `witness` names.
        thresholds: Thresholds of your own, as JSON; by default those of the package.
        progress: Called after each item with what became of it. An item may have to wait for
            another one, about which the model decides otherwise.
        **options: The options of `decide` but for `samples` and `retries`, and those of the backend
            that `model` names. `timeout` is for each item.

    Returns:
        The pooled report; its intervals are clustered by image.

    Raises:
        UsageError: There is no item, or the model, the tier or the thresholds cannot be used.
        BackendError: The model could not be loaded.
    """
    how, rest = _How.split({**options, **_named(locals())})
    common = how.question(question) if question else None
    with ExitStack() as stack:
        asked, tier = _asked(stack, how, rest, named_in(audit_dataset))
        return _Pooling(replace(how, tier=tier), tier, asked, common, progress).report(items)


class _Pooling:
    """The audits of a data set, each begun by itself and ended when there is another picture."""

    def __init__(
        self,
        how: _How,
        tier: Tier,
        asked: Asked,
        common: Question | None,
        progress: Callable[[ItemAudit], object] | None,
    ) -> None:
        self._how, self._tier, self._asked, self._common = how, tier, asked, common
        self._tell = progress or (lambda _: None)
        self._gate = _limiter(asked)
        self._started = time.perf_counter()
        self._matching = Matching()
        self._begun: dict[int, tuple[_Begun, str, Item]] = {}
        """Audits that are not ended yet, by the place of their item."""
        self._done: dict[int, ItemAudit] = {}
        self._first: list[Evidence] = []

    def report(self, items: Iterable[Audited]) -> DatasetAudit:
        """Audit all items, and pool what was found."""
        for place, given in enumerate(items):
            for evidence in self._begin(place, given):
                self._end(evidence)
        for evidence in self._matching.rest():
            self._end(evidence)
        if not self._done:
            msg = "there is no item to audit"
            raise UsageError(msg, hint="pass at least one pair of an image and a question")
        how, asked = self._how, self._asked
        return pooled_report(
            [item for _, item in sorted(self._done.items())],
            self._tier,
            how.limits,
            model=asked.model.name,
            reader=asked.reader.name,
            witness="" if asked.witness is None else asked.witness.name,
            seed=how.seed,
            seconds=time.perf_counter() - self._started,
            preflight=preflight_of(self._first) if self._tier != "screen" else None,
        )

    def _begin(self, place: int, given: Audited) -> list[Evidence]:
        """Ask what can be asked of one item alone; what comes back can go on."""
        how = self._how
        item, about, decision = _item(place, given, self._common)
        text = about if isinstance(about, str) else "" if about is None else about.text
        try:
            if isinstance(item.image, FaithfulDecideError):
                raise item.image
            picture = one_image(item.image, allow_urls=how.allow_urls)
            stored, question = _meant(about, picture, replace(how, decision=decision))
            if stored is not None:
                _check_made_by(stored, self._asked.model)
            begun = _Begun(
                picture, None, question, self._asked, how, self._gate, stored, place=place
            )
            first = audit_plan(begun.case, stored)
            evidence = run(first, begun.backends, how.timeout, tolerant=True)
        except FaithfulDecideError as error:
            # An error that came with the item is of the item, whatever its kind.
            if error is not item.image and not isinstance(error, OF_A_ROW):
                raise
            self._finish(place, _failed(item, text, error))
            return []
        self._begun[place] = begun, item.columns.get(EXPECTED, ""), item
        return [evidence] if self._tier == "screen" else self._matching.add(evidence)

    def _end(self, evidence: Evidence) -> None:
        """Ask the rest about an item that has another picture now, or that there is none for."""
        place = evidence.case.place or 0
        begun, expected, item = self._begun.pop(place)
        try:
            rest = rest_plan(evidence, begun.judge)
            run(rest, begun.backends, self._how.timeout, tolerant=True)
            audited = item_of(item.id, expected, begun.report(evidence))
        except OF_A_ROW as error:
            audited = _failed(item, evidence.case.question.text, error)
        if place < FIRST:
            self._first.append(evidence)
        self._finish(place, audited)

    def _finish(self, place: int, audited: ItemAudit) -> None:
        self._done[place] = audited
        self._tell(audited)


def _failed(item: Item, question: str, error: FaithfulDecideError) -> ItemAudit:
    return ItemAudit(
        item=item.id,
        question=question,
        expected=item.columns.get(EXPECTED, ""),
        error=encodable(str(error)),
        error_type=type(error).__name__,
    )


def _item(
    index: int, item: Audited, common: str | Question | None
) -> tuple[Item, str | Question | None, Decision | str | bytes | None]:
    """An item with the question about it, and with the decision that was made before."""
    if not isinstance(item, Item):
        image, own = item
        if isinstance(own, Decision | bytes):
            return numbered(index, image), common, own
        return numbered(index, image), own, None
    decision = item.columns.get(DECISION) or None
    if common is None and decision is None:
        msg = f"the item {item.id!r} has no question of its own, and none was passed"
        raise UsageError(msg, hint="pass question=")
    return item, common, decision


class _Begun:
    """An audit that is ready to run: its case, whom to ask, and who writes the report."""

    def __init__(  # noqa: PLR0917 - private, and each is something else
        self,
        image: SourceImage,
        other: SourceImage | None,
        question: Question,
        asked: Asked,
        how: _How,
        limiter: Limiter,
        given: Decision | None = None,
        place: int | None = None,
    ) -> None:
        self.started = time.perf_counter()
        self.asked, self.limits = asked, how.limits
        self._limiter, self._image, self._given = limiter, image, given
        self.case = replace(_case(image, other, question, asked, how), place=place)
        self.judge = "" if asked.judge is None else asked.judge.name
        self.backends: dict[Role, Backend] = {"model": asked.model, "reader": asked.reader}
        if asked.judge is not None:
            self.backends["judge"] = asked.judge
        if asked.witness is not None:
            self.backends["witness"] = asked.witness

    def plan(self) -> Plan[Evidence]:
        """The whole audit."""
        evidence = yield from audit_plan(self.case, self._given)
        yield from rest_plan(evidence, self.judge)
        return evidence

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
    question: str | Question | None,
    how: _How,
    options: Mapping[str, Any],
) -> _Begun:
    picture = one_image(image, allow_urls=how.allow_urls)
    given, about = _meant(question, picture, how)
    other = how.other_image
    loaded = None if other is None else load_image(other, allow_urls=how.allow_urls)
    asked, tier = _asked(stack, how, options, named_in(audit))
    if given is not None:
        _check_made_by(given, asked.model)
    how = replace(how, tier=tier)
    return _Begun(picture, loaded, about, asked, how, _limiter(asked), given)


def _check_made_by(decision: Decision, model: Backend) -> None:
    """Refuse a decision of another model than the one that is asked about it."""
    if decision.receipt.backend != model.name:
        msg = f"the decision was made by {decision.receipt.backend}, not by {model.name}"
        raise UsageError(msg, hint="audit a decision with the model that made it")


def _meant(
    question: str | Question | None, image: SourceImage, how: _How
) -> tuple[Decision | None, Question]:
    """The decision that was made before, if there is one, and the question that is meant."""
    given = None if how.decision is None else _given(how.decision, image, question)
    if given is not None and not isinstance(question, Question):
        question = given.question
    if question is None:
        msg = "an audit needs a question or a decision"
        raise UsageError(msg, hint="pass a question, or decision= to audit an earlier decision")
    return given, how.question(question)


def _given(decision: object, image: SourceImage, question: str | Question | None) -> Decision:
    """A decision that was made before, verified to be about this picture and this question."""
    from faithful_decide._api.stored import verify_stored  # noqa: PLC0415 - for some only

    if isinstance(decision, Forced):
        msg = "a forced explanation is not a decision, and cannot be audited"
        raise UsageError(msg, hint="pass what decide() returned")
    if not isinstance(decision, Decision | str | bytes):
        msg = f"a decision is what decide() returns, or its JSON, not {type(decision).__name__}"
        raise UsageError(msg, hint="pass decide(...), or what its model_dump_json() wrote")
    text = decision.model_dump_json() if isinstance(decision, Decision) else decision
    stored = verify_stored(text, image=image, question=question)
    if len(stored.receipt.images) != 1:
        msg = (
            f"an audit is about one image, and this decision is about {len(stored.receipt.images)}"
        )
        raise UsageError(msg, hint="audit a decision about one image")
    if stored.derived is not None and getattr(question, "rule", None) is None:
        msg = "this decision has findings, and their model and the rule are not stored with it"
        raise UsageError(msg, hint="also pass the Question that it answers")
    return stored


def _case(
    image: SourceImage, other: SourceImage | None, question: Question, asked: Asked, how: _How
) -> Case:
    check_askable(question, 1, asked.model)
    capabilities = asked.model.capabilities
    limits = capabilities.image_limits
    prepared = prepare(image, limits)
    witness = asked.witness
    return Case(
        prepared,
        grey(prepared, limits),
        question,
        capabilities,
        how.max_tokens,
        how.seed,
        None if other is None else prepare(other, limits),
        how.tier or "standard",
        asked.reader.capabilities,
        ruled=question.rule is not None,
        witness_image=(
            None if witness is None else prepare(image, witness.capabilities.image_limits)
        ),
    )


def _asked(
    stack: ExitStack,
    how: _How,
    options: Mapping[str, Any],
    known: Iterable[str],
    *,
    dry: bool = False,
) -> tuple[Asked, Tier]:
    """Find everybody who is asked, and how much; a journal keeps the replies of all of them."""
    model = opened(stack, how.model, options, how.journal, known, dry=dry)
    itself = innermost(model)
    journal = model.journal if isinstance(model, Journaled) else None
    tier: Tier = how.tier or ("standard" if isinstance(model, AsyncBackend) else "full")

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
    judge = None
    if how.judge is not None:
        judge = helper(how.judge, how.judge_options)
    elif tier == "full" and model.capabilities.instructions:
        judge = model
    witness = None if how.witness is None else helper(how.witness, how.witness_options)
    if witness is not None and (innermost(witness) is itself or witness.identity == model.identity):
        msg = f"the witness {witness.name!r} is the audited model, and would repeat its mistakes"
        raise UsageError(msg, hint="name a model that shares no weights with it")
    return Asked(model, reader, judge, witness), tier


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
    image: ImageSource | SourceImage,
    question: str | Question | None = None,
    *,
    many: bool = False,
    **options: object,
) -> AuditEstimate:
    """Say what `audit` would ask, and send nothing. Arguments are those of `audit`.

    Of `many` it is what the items of a data set ask at the most.
    """
    how, rest = _How.split(options)
    picture = one_image(image, allow_urls=how.allow_urls)
    given, about = _meant(question, picture, how)
    other = (
        None if how.other_image is None else load_image(how.other_image, allow_urls=how.allow_urls)
    )
    with ExitStack() as stack:
        asked, tier = _asked(stack, how, rest, named_in(audit), dry=True)
        case = _case(picture, other, about, asked, replace(how, tier=tier))
        forecast = rehearse(case, given, many=many)
    costs: list[Decimal | None] = []
    total = [0, 0]
    roles = (("model", asked.model), ("reader", asked.reader), ("witness", asked.witness))
    for role, backend in roles:
        if backend is None:
            continue
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
