"""The nouns: what goes in (`Question`), what comes back (`Reply`), what it becomes (`Decision`).

A `Reply` is text as the backend returned it. A `Decision` exists only if that text was verified:
the observations and the reasoning were written before the verdict, and the `Receipt` keeps the
raw text and the byte spans that prove it. All types are frozen.

`Question`, `Usage`, `Token` and `Reply` are plain dataclasses; what users store and read back
(`Decision` and its parts) are pydantic models, so `model_dump_json` and `model_validate_json` work.
"""

import hmac
import json
from collections.abc import Callable, Iterable, Mapping, MappingView
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from faithful_decide._core.display import Displayable, Frozen
from faithful_decide._core.visible import has_content, is_visible, looks_of, unprintable
from faithful_decide._nearest import hinting
from faithful_decide._public import public
from faithful_decide.errors import QuestionError, UsageError

__all__ = [
    "CANNOT_TELL",
    "Constraint",
    "Decision",
    "Derived",
    "Enforcement",
    "Finish",
    "Frozen",
    "Observation",
    "Question",
    "Receipt",
    "Region",
    "Reply",
    "Reservation",
    "Scores",
    "SentImage",
    "Span",
    "Token",
    "Usage",
    "fault_of",
    "first_of",
    "signature_of",
    "total",
]

CANNOT_TELL = "cannot_tell"
"""The verdict of a model that declines to guess."""

Finish = Literal["stop", "length", "refusal", "content_filter", "tool_call", "unknown"]
"""Why a reply ended."""

Enforcement = Literal["grammar", "strict", "best_effort", "prompt"]
"""What made the model keep to the schema: a local grammar, a server that promises to enforce it,
a server that tries, or nothing but the wording."""

Constraint = Literal["none", "grammar", "schema"]
"""What the request carried, as it was really sent, to hold the reply to its shape: nothing, our
grammar of `backends._grammar` (one way to write each reply), or the JSON schema (any layout)."""


_Count = Annotated[int, Field(ge=0)]
_NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_Logprob = Annotated[float, Field(lt=1e-3)]  # not a number is not below it; rounding may pass 0
_WHOLE = ConfigDict(strict=True, revalidate_instances="always")


@public
@hinting
@dataclass(frozen=True, slots=True)
class Question:
    """A closed question: a text and the verdicts it can have.

    `verdicts` is a sequence, or a mapping from each verdict to its definition; those are then the
    `definitions`, which can also be given for some verdicts only. `context` is what the model has
    to know besides, such as a rule or a policy. With `regions` every observation says where in the
    image it is.
    `labels` are the verdicts a reply may contain: `verdicts`, in the caller's order, and
    `cannot_tell` last unless `abstain` is off.

    With `findings` (a pydantic model) and `rule` the model reports typed findings first, and the
    rule, which is code, draws the verdict from them: one of the verdicts, or for a two-way question
    True for the first. Neither is stored with a decision.
    """

    text: str
    verdicts: tuple[str, ...] = ("yes", "no")
    context: str = ""
    regions: bool = False
    abstain: bool = True
    findings: Annotated[type[BaseModel] | None, Field(exclude=True)] = field(
        default=None, compare=False, repr=False
    )
    rule: Annotated[Callable[[Any], str | bool] | None, Field(exclude=True)] = field(
        default=None, compare=False, repr=False
    )
    definitions: Mapping[str, str] = field(default_factory=dict, hash=False, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse what a model could not be asked, before any model is called.

        Raises:
            QuestionError: If the text is blank, or the verdicts are fewer than two, in no order,
                blank, or not to be told apart by a reader; a definition or the context is blank or
                too long, or of no verdict; or findings come without a rule.
        """
        _check_text(self.text)
        _check_switch("abstain", self.abstain, "pass abstain=False to leave out cannot_tell")
        given: object = self.verdicts
        verdicts = _ordered(given)
        if CANNOT_TELL in verdicts:
            verdicts = self._without_cannot_tell(verdicts)
        _check_verdicts(verdicts)
        object.__setattr__(self, "verdicts", verdicts)
        definitions = _definitions(given, self.definitions, self.labels)
        object.__setattr__(self, "definitions", definitions)
        _check_context(self.context)
        _check_switch("regions", self.regions, "pass regions=True to be told where things are")
        _check_rule(self.findings, self.rule)

    def _without_cannot_tell(self, verdicts: tuple[str, ...]) -> tuple[str, ...]:
        """Read an explicit `cannot_tell` as the wish to allow it; it is always offered last."""
        if not self.abstain:
            msg = f"{CANNOT_TELL!r} is among the verdicts, but abstain is off"
            raise QuestionError(msg, hint="leave out one of the two")
        return tuple(verdict for verdict in verdicts if verdict != CANNOT_TELL)

    @property
    def labels(self) -> tuple[str, ...]:
        """Every verdict a reply may contain."""
        return (*self.verdicts, CANNOT_TELL) if self.abstain else self.verdicts


def _check_text(text: object) -> None:
    if not isinstance(text, str):
        msg = f"a question is a string, not {type(text).__name__}"
        raise QuestionError(msg, hint='ask something, such as "Is there a dog in this image?"')
    if not has_content(text):
        msg = "the question is blank: it has no letter or digit that can be seen"
        raise QuestionError(msg, hint='ask something, such as "Is there a dog in this image?"')
    # Line breaks and tabs are fine in a question: they are folded into spaces when it is asked.
    if bad := unprintable(text.translate(_LAYOUT)):
        msg = f"the question contains {bad!a}, a control character or one that cannot be seen"
        raise QuestionError(msg, hint="remove it")


CONTEXT_CHARACTERS = 16_000
"""The longest context: some 2 500 words, far more than any policy that a verdict turns on."""
DEFINITION_CHARACTERS = 2_000
DEFINITIONS_CHARACTERS = 100_000
"""Of all definitions together: a thousand labels with a line for each."""


def _check_switch(name: str, value: object, hint: str) -> None:
    # "no" would be true.
    if not isinstance(value, bool):
        msg = f"{name} is true or false, not {value!r}"
        raise QuestionError(msg, hint=hint)


def _check_context(context: object) -> None:
    if context != "":
        _check_words(context, "the context", CONTEXT_CHARACTERS, "leave it out, or say what counts")


def _definitions(verdicts: object, given: object, labels: tuple[str, ...]) -> dict[str, str]:
    """What each verdict means, in the order of the verdicts, where it is said."""
    if isinstance(verdicts, Mapping):
        if given and given != verdicts:
            msg = "the verdicts bring definitions, and definitions= gives others"
            raise QuestionError(msg, hint="give them in one place")
        given = verdicts
    if not isinstance(given, Mapping):
        msg = f"definitions are a mapping from verdicts to what they mean, not {given!r}"
        raise QuestionError(msg, hint='write verdicts={"damaged": "any crack", "ok": "none"}')
    for verdict, definition in given.items():
        if verdict not in labels:
            msg = f"there is a definition of {verdict!r}, which is none of the verdicts"
            raise QuestionError(msg, hint=f"define some of: {', '.join(labels)}")
        what = f"the definition of {verdict!r}"
        _check_words(definition, what, DEFINITION_CHARACTERS, "say what the verdict stands for")
    if (size := sum(map(len, given.values()))) > DEFINITIONS_CHARACTERS:
        msg = f"the definitions have {size:,} characters, {DEFINITIONS_CHARACTERS:,} are the most"
        raise QuestionError(msg, hint="shorten them, or define fewer of the verdicts")
    return {label: given[label] for label in labels if label in given}


def _check_words(text: object, what: str, most: int, hint: str) -> None:
    """Refuse words that say nothing, cannot be seen, or are too many."""
    if not isinstance(text, str):
        msg = f"{what} is a string, not {type(text).__name__}"
        raise QuestionError(msg, hint=hint)
    if not has_content(text):
        msg = f"{what} is empty: it has no letter or digit that can be seen"
        raise QuestionError(msg, hint=hint)
    if len(text) > most:
        msg = f"{what} has {len(text):,} characters, and {most:,} are the most"
        raise QuestionError(msg, hint="keep what the verdict turns on, and leave out the rest")
    if bad := unprintable(text.translate(_LAYOUT)):
        msg = f"{what} contains {bad!a}, a control character or one that cannot be seen"
        raise QuestionError(msg, hint="remove it")


def _ordered(verdicts: object) -> tuple[str, ...]:
    # A plain string is iterable too, and "yes,no" would become six verdicts of one letter.
    if isinstance(verdicts, str | bytes) or not isinstance(verdicts, Iterable):
        msg = f"verdicts must be a sequence of strings, not {verdicts!r}"
        raise QuestionError(msg, hint='write verdicts=("yes", "no")')
    # The views of a mapping are sets too, and have the order of the mapping.
    if isinstance(verdicts, AbstractSet) and not isinstance(verdicts, MappingView):
        msg = f"verdicts must be a sequence, and {type(verdicts).__name__} has no order"
        raise QuestionError(msg, hint='write verdicts=("yes", "no"): the first of two is True')
    for verdict in (strings := tuple(verdicts)):
        if not isinstance(verdict, str):
            msg = f"a verdict is a string, not {verdict!r}"
            raise QuestionError(msg, hint='write verdicts=("yes", "no")')
    return strings


@lru_cache(maxsize=64)
def _check_verdicts(verdicts: tuple[str, ...]) -> None:
    # Those that pass are kept: a batch asks the same question again and again.
    looks = dict.fromkeys(_looks(CANNOT_TELL), CANNOT_TELL)
    for verdict in verdicts:
        if not any(map(is_visible, verdict)) or verdict != verdict.strip():
            msg = f"the verdict {verdict!a} is blank or has space around it"
            raise QuestionError(msg, hint="remove the space around it")
        if bad := unprintable(verdict):
            msg = f"the verdict {verdict!a} contains {bad!a}"
            raise QuestionError(msg, hint="write each verdict in one line of visible characters")
        for look in _looks(verdict):
            if looks.get(look) == verdict != CANNOT_TELL:
                msg = f"the verdict {verdict!a} is given twice"
                raise QuestionError(msg, hint="offer each verdict once")
            if look in looks:
                msg = f"the verdicts {looks[look]!a} and {verdict!a} cannot be told apart"
                hint = "use verdicts that differ in more than case, spacing, accents typed apart "
                raise QuestionError(msg, hint=hint + "or letters that look alike")
        looks |= dict.fromkeys(_looks(verdict), verdict)
    if len(verdicts) < 2:  # noqa: PLR2004 - a decision needs an alternative
        msg = f"a question needs at least two verdicts, got {len(verdicts)}"
        raise QuestionError(msg, hint=f"{CANNOT_TELL!r} is offered in addition, not counted")


def _check_rule(findings: object, rule: object) -> None:
    if (findings is None) != (rule is None):
        msg = "findings and a rule go together"
        raise QuestionError(msg, hint="pass findings= and rule=, or neither")
    model = isinstance(findings, type) and issubclass(findings, BaseModel)
    if findings is not None and not model:
        msg = f"findings are a pydantic model, not {findings!r}"
        raise QuestionError(msg, hint="write class Seen(BaseModel): ... and pass findings=Seen")
    if rule is not None and not callable(rule):
        msg = f"a rule is a function of the findings, not {rule!r}"
        raise QuestionError(msg, hint="pass rule=lambda seen: ...")


_LAYOUT = dict.fromkeys(map(ord, "\t\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029"), " ")


def _looks(verdict: str) -> frozenset[str]:
    # Other spellings of our own verdict, such as "Cannot tell", would only confuse.
    return frozenset(
        CANNOT_TELL if look.replace("_", "").replace("-", "") == "cannottell" else look
        for look in looks_of(verdict)
    )


def total(counts: Iterable[int | None]) -> int | None:
    """A sum of what was counted; unknown if one part is."""
    known = list(counts)
    return None if None in known else sum(count or 0 for count in known)


@hinting
@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the backend counted them; None where it does not say."""

    __pydantic_config__ = _WHOLE

    prompt_tokens: _Count | None = None
    cached_tokens: _Count | None = None
    completion_tokens: _Count | None = None

    @classmethod
    def of(cls, usages: Iterable["Usage"]) -> "Usage":
        """The tokens of all together; None where one of them does not say."""
        parts = [(u.prompt_tokens, u.cached_tokens, u.completion_tokens) for u in usages]
        columns = zip(*parts, strict=True) if parts else ((), (), ())
        return cls(*map(total, columns))


@hinting
@dataclass(frozen=True, slots=True)
class Token:
    """One generated token and what else might have stood there.

    Tokens are bytes, because a token may end in the middle of a character. `top` maps the most
    likely tokens of this position to their natural-log probabilities.
    """

    __pydantic_config__ = _WHOLE

    data: bytes
    top: Mapping[bytes, _Logprob]


@hinting
@dataclass(frozen=True, slots=True)
class Reply:
    """What came back from a backend, before anybody has judged it.

    `text` is the whole reply, a forced prefix included. `tokens` are the generated tokens only
    (without the prefix), and only if the request asked for them. `hidden_thinking_tokens` counts
    what was generated before the text and not shown; None means unknown, which is not 0.
    `constraint` is what the request that was really sent held the model to; a receipt claims that
    its order was enforced only by this, and only if the text is one that it allows.
    `remark` is what a backend has to add to the error of a reply that cannot be used, such as the
    finish reason in the words of the server. `notes` are for the receipt: in what the request that
    was sent is not the one that was asked for, because the server refuses a part of it.
    """

    __pydantic_config__ = _WHOLE

    text: str
    finish: Finish
    model: str = ""
    fingerprint: str | None = None
    usage: Usage = Usage()
    hidden_thinking_tokens: _Count | None = None
    latency_s: _NotNegative = 0.0
    tokens: tuple[Token, ...] | None = None
    constraint: Constraint = "none"
    remark: str = ""
    notes: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def _replies() -> TypeAdapter[Reply]:
    return TypeAdapter(Reply)


def fault_of(reply: object) -> str:
    """What keeps something from being a reply: anybody may write a backend or a journal."""
    try:
        _replies().validate_python(reply)
    except (ValidationError, RecursionError) as error:
        return first_of(error)
    return ""


def first_of(error: Exception) -> str:
    """The first thing that is wrong with data, in a line."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else str(first["msg"])


_Percent = Annotated[int, Field(ge=0, le=100)]


@public
@hinting
class Region(Frozen):
    """A place in an image: its edges in percent, counted from the left and the top edge."""

    bottom: _Percent
    left: _Percent
    right: _Percent
    top: _Percent

    @model_validator(mode="after")
    def _not_inverted(self) -> Self:
        if self.left >= self.right or self.top >= self.bottom:
            msg = "the left edge is not left of the right one, or the top not above the bottom"
            raise ValueError(msg)
        return self


@public
@hinting
class Observation(Frozen):
    """One thing that the model says it saw, and what about it.

    `n` is its number, counted from 1; `image` that of the image it is about, in the order in which
    they were passed; `at` is where it is, if the question asked for regions.
    """

    about: str
    at: Region | None = None
    image: Annotated[int, Field(ge=1)] = 1
    n: Annotated[int, Field(ge=1)] = 1
    seen: str


class Reservation(Frozen):
    """What a model that was told its verdict has to say against it; at level "none", nothing."""

    level: Literal["none", "some", "rejects"]
    why: str

    def __bool__(self) -> bool:
        """Whether it objects."""
        return self.level != "none"


class Span(Frozen):
    """Where something stands in the raw text, in UTF-8 bytes, quotes included."""

    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=0)]


@public
@hinting
class Scores(Frozen):
    """How probable each verdict is, and where that number comes from.

    `token_logprobs`: read at the verdict's place in one reply. After one greedy reasoning this is
    near certain whatever the question, because the reasoning has already said which verdict
    follows; it says little about how sure the model is.
    `samples`: the share of `n` independently sampled replies that reached each verdict. This mean
    over reasonings is the better estimate. `lost` counts the samples beside these that had no vote,
    by the error that each would have been.
    """

    source: Literal["token_logprobs", "samples"]
    probabilities: Mapping[str, Annotated[float, Field(ge=0, le=1)]]
    n: Annotated[int, Field(ge=1)] = 1
    lost: Mapping[str, Annotated[int, Field(ge=1)]] = {}


@public
@hinting
class SentImage(Frozen):
    """Which image a decision is about: hashes of what the caller passed, and of what was sent.

    `limits` are those of the backend that the one was made into the other for, so that it can be
    made again.
    """

    source_sha256: _Sha256
    sent_sha256: _Sha256
    limits: Mapping[str, Any] | None = None


@public
@hinting
class Receipt(Frozen):
    """The proof that the verdict was written last, and under which conditions.

    `order` is "enforced" if a grammar or a schema that fixes the order stood in the request that
    was sent, there is evidence that it was in force (it ran in this process, the provider documents
    it, or a probe of this address held), and the text is one that it allows; "requested" if all of
    this holds but the evidence; "verified" if only the text was looked at, and
    "two_steps" if the verdict was asked for in a second call, after the reasoning had come back;
    `raw` then holds both replies, and the second begins at byte `second_at`. `constraint` is what
    was sent. With `hidden_thinking_tokens` other than 0 the visible reasoning is a report of
    reasoning that was not shown. `image_notes` is what was done to the picture before it was sent;
    `notes` is what the server made necessary: what was left out because it refuses it, or why there
    are no scores.
    `request_sha256` can be computed again from the question, the hash of the image as it was sent,
    and the numbers here, by the `version` that wrote it; `verify_stored` does.
    """

    order: Literal["enforced", "requested", "verified", "two_steps"]
    enforcement: Enforcement
    constraint: Constraint = "none"
    raw: str
    reasoning_span: Span
    verdict_span: Span
    finish: Finish
    backend: str
    model: str
    fingerprint: str | None = None
    request_sha256: _Sha256
    images: tuple[SentImage, ...] = ()
    image_notes: tuple[str, ...] = ()
    max_tokens: Annotated[int, Field(ge=1)] = 512
    temperature: _NotNegative = 0.0
    seed: int | None = None
    top_logprobs: _Count = 0
    hidden_thinking_tokens: _Count | None = None
    usage: Usage = Usage()
    latency_s: _NotNegative = 0.0
    attempts: Annotated[int, Field(ge=1)] = 1
    second_at: Annotated[int, Field(ge=1)] | None = None
    notes: tuple[str, ...] = ()
    version: str = ""


@public
@hinting
class Derived(Frozen):
    """A verdict that code drew from findings, beside the one that the model wrote."""

    findings: Mapping[str, Any]
    verdict: str
    model_verdict: str


_POLARITY = ({"yes": True, "no": False}, {"true": True, "false": False})


@public
@hinting
class Decision(Displayable):
    """A verdict with what it rests on.

    Where the question has a rule, `verdict` is the rule's, and `derived` has the findings and the
    verdict that the model wrote itself; the scores are those of the model.

    `relies_on` are the numbers of the observations that the reasoning says it rests on; `evidence`
    are these observations themselves. If there are none, look at the decision yourself.
    `probability` is that of the verdict, where there are scores.

    `bool(decision)` works for a two-way question that was decided: True for the first of the two
    verdicts ("yes" and "true" are True wherever they stand). `signature` is there if it was
    `signed`. What `verify_stored` returns says in `checked` and `unchecked` how far it was
    verified; these are not stored, and not part of what makes two decisions equal.
    """

    question: Question
    verdict: str
    observations: tuple[Observation, ...]
    reasoning: str
    relies_on: tuple[int, ...] = ()
    scores: Scores | None = None
    receipt: Receipt
    derived: Derived | None = None
    signature: _Sha256 | None = None
    _checked: tuple[str, ...] = PrivateAttr(())
    _unchecked: tuple[str, ...] = PrivateAttr(())

    @property
    def checked(self) -> tuple[str, ...]:
        """What `verify_stored` has verified; a file cannot say it of itself."""
        return self._checked

    @property
    def unchecked(self) -> tuple[str, ...]:
        """What `verify_stored` could not verify, and what to pass so that it can."""
        return self._unchecked

    @property
    def evidence(self) -> tuple[Observation, ...]:
        """The observations that it says its reasoning rests on, in the order it names them."""
        numbered = {observation.n: observation for observation in self.observations}
        return tuple(numbered[n] for n in self.relies_on if n in numbered)

    @property
    def probability(self) -> float | None:
        """How probable its verdict is, by its scores; None where it has none."""
        return None if self.scores is None else self.scores.probabilities.get(self.verdict)

    def signed(self, key: str | bytes) -> Self:
        """Sign everything that will be stored, so that `verify_stored(..., hmac_key=)` can tell.

        Args:
            key: A secret that only you and those who verify know.

        Returns:
            The same decision with an HMAC-SHA256 in `signature`.

        Raises:
            UsageError: The key is empty.
        """
        return self.model_copy(update={"signature": signature_of(self, key)})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Decision):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in Decision.model_fields)

    def __hash__(self) -> int:
        return hash((self.receipt.request_sha256, self.receipt.raw, self.verdict))

    def __bool__(self) -> bool:
        """Read a two-way verdict as true or false.

        Returns:
            True if the verdict is the affirmative one.

        Raises:
            ValueError: If the question is not two-way or the verdict is `cannot_tell`.
        """
        verdicts = self.question.verdicts
        if self.verdict not in verdicts or len(verdicts) != 2:  # noqa: PLR2004 - two-way
            msg = (
                f"the verdict {self.verdict!r} is neither true nor false; compare .verdict instead"
            )
            raise ValueError(msg)
        folded = self.verdict.casefold()
        for polarity in _POLARITY:
            if {verdict.casefold() for verdict in verdicts} == polarity.keys():
                return polarity[folded]
        return self.verdict == verdicts[0]


def signature_of(decision: Decision, key: str | bytes) -> str:
    """The HMAC-SHA256 of a decision as it is stored, without a signature that it may have."""
    try:
        # A key out of a file or the environment may have bytes that are not UTF-8.
        secret = key.encode(errors="surrogateescape") if isinstance(key, str) else key
    except UnicodeEncodeError:
        secret = b""
    if type(secret) is not bytes or not secret:
        msg = "a key for signatures is a text or bytes, and not empty"
        raise UsageError(msg, hint="make one with secrets.token_bytes(32), and keep it")
    stored = decision.model_dump(mode="json", exclude={"signature"})
    text = json.dumps(stored, sort_keys=True, separators=(",", ":"))
    return hmac.new(secret, text.encode(), "sha256").hexdigest()
