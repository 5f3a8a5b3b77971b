"""The nouns: what goes in (`Question`), what comes back (`Reply`), what it becomes (`Decision`).

A `Reply` is text as the backend returned it. A `Decision` exists only if that text was verified:
the observations and the reasoning were written before the verdict, and the `Receipt` keeps the
raw text and the byte spans that prove it. All types are frozen.

`Question`, `Usage`, `Token` and `Reply` are plain dataclasses; what users store and read back
(`Decision` and its parts) are pydantic models, so `model_dump_json` and `model_validate_json` work.
"""

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from faithful_decide._public import public
from faithful_decide.errors import QuestionError

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
    "Reply",
    "Scores",
    "Span",
    "Token",
    "Usage",
    "is_blank",
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


@public
@dataclass(frozen=True, slots=True)
class Question:
    """A closed question: a text and the verdicts it can have.

    `labels` are the verdicts a reply may contain: `verdicts`, in the caller's order, and
    `cannot_tell` last unless `abstain` is off.

    With `findings` (a pydantic model) and `rule` the model reports typed findings first, and the
    rule, which is code, draws the verdict from them: one of the verdicts, or for a two-way question
    True for the first. Neither is stored with a decision.
    """

    text: str
    verdicts: tuple[str, ...] = ("yes", "no")
    abstain: bool = True
    findings: Annotated[type[BaseModel] | None, Field(exclude=True)] = field(
        default=None, compare=False, repr=False
    )
    rule: Annotated[Callable[[Any], str | bool] | None, Field(exclude=True)] = field(
        default=None, compare=False, repr=False
    )

    def __post_init__(self) -> None:
        """Refuse what a model could not be asked, before any model is called.

        Raises:
            QuestionError: If the text is blank, or the verdicts are fewer than two, blank, or
                equal to each other up to case, spaces and invisible characters.
        """
        _check_text(self.text)
        verdicts = _strings(self.verdicts)
        if CANNOT_TELL in verdicts:
            verdicts = self._without_cannot_tell(verdicts)
        _check_verdicts(verdicts)
        object.__setattr__(self, "verdicts", verdicts)
        if (self.findings is None) != (self.rule is None):
            msg = "findings and a rule go together"
            raise QuestionError(msg, hint="pass findings= and rule=, or neither")

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
        raise QuestionError(msg)
    if is_blank(text):
        msg = "the question is blank"
        raise QuestionError(msg, hint='ask something, such as "Is there a dog in this image?"')
    # Line breaks and tabs are fine in a question: they are folded into spaces when it is asked.
    if bad := _unprintable(text.translate(_LAYOUT)):
        msg = f"the question contains the control character or lone surrogate {bad!r}"
        raise QuestionError(msg, hint="remove it")


def _strings(verdicts: object) -> tuple[str, ...]:
    # A plain string is iterable too, and "yes,no" would become six verdicts of one letter.
    if isinstance(verdicts, str) or not isinstance(verdicts, Iterable):
        msg = f"verdicts must be a sequence of strings, not {verdicts!r}"
        raise QuestionError(msg, hint='write verdicts=("yes", "no")')
    for verdict in (strings := tuple(verdicts)):
        if not isinstance(verdict, str):
            msg = f"a verdict is a string, not {verdict!r}"
            raise QuestionError(msg)
    return strings


def _check_verdicts(verdicts: tuple[str, ...]) -> None:
    seen: dict[str, str] = {_key(CANNOT_TELL): CANNOT_TELL}
    for verdict in verdicts:
        if is_blank(verdict) or verdict != verdict.strip():
            msg = f"the verdict {verdict!r} is blank or has space around it"
            raise QuestionError(msg, hint="write verdicts without surrounding space")
        if bad := _unprintable(verdict):
            msg = f"the verdict {verdict!r} contains {bad!r}"
            raise QuestionError(msg, hint="write verdicts in one line of printable characters")
        if (twin := seen.get(_key(verdict))) is not None:
            msg = f"the verdicts {twin!r} and {verdict!r} cannot be told apart"
            raise QuestionError(msg, hint="use verdicts that differ in more than case or spacing")
        seen[_key(verdict)] = verdict
    if len(verdicts) < 2:  # noqa: PLR2004 - a decision needs an alternative
        msg = f"a question needs at least two verdicts, got {len(verdicts)}"
        raise QuestionError(msg, hint=f"{CANNOT_TELL!r} is offered in addition, not counted")


_INVISIBLE = {"Cc", "Cf", "Zs", "Zl", "Zp"}
_LAYOUT = dict.fromkeys(map(ord, "\t\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029"), " ")


def _unprintable(text: str) -> str:
    """The first character that cannot be part of a line of text, or nothing."""
    return next((c for c in text if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}), "")


def _key(text: str) -> str:
    """What a reader tells a verdict by: no case, no spacing, no invisible characters."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    key = "".join(c for c in folded if unicodedata.category(c) not in _INVISIBLE)
    # Other spellings of our own verdict, such as "Cannot tell", would only confuse.
    return CANNOT_TELL if key.replace("_", "").replace("-", "") == "cannottell" else key


def is_blank(text: str) -> bool:
    """Whether a text shows nothing: only spaces and invisible characters."""
    return all(unicodedata.category(c) in _INVISIBLE for c in text)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the backend counted them; None where it does not say."""

    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """One generated token and what else might have stood there.

    Tokens are bytes, because a token may end in the middle of a character. `top` maps the most
    likely tokens of this position to their natural-log probabilities.
    """

    data: bytes
    top: Mapping[bytes, float]


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back from a backend, before anybody has judged it.

    `text` is the whole reply, a forced prefix included. `tokens` are the generated tokens only
    (without the prefix), and only if the request asked for them. `hidden_thinking_tokens` counts
    what was generated before the text and not shown; None means unknown, which is not 0.
    `constraint` is what the request that was really sent held the model to; a receipt claims that
    its order was enforced only by this, and only if the text is one that it allows.
    `remark` is what a backend has to add to the error of a reply that cannot be used, such as the
    finish reason in the words of the server.
    """

    text: str
    finish: Finish
    model: str = ""
    fingerprint: str | None = None
    usage: Usage = Usage()
    hidden_thinking_tokens: int | None = None
    latency_s: float = 0.0
    tokens: tuple[Token, ...] | None = None
    constraint: Constraint = "none"
    remark: str = ""


class Frozen(BaseModel):
    """Stored by users, read back later: no silent extras, no changes after the fact."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@public
class Observation(Frozen):
    """One thing that the model says it saw, and what about it."""

    about: str
    seen: str


class Span(Frozen):
    """Where something stands in the raw text, in UTF-8 bytes, quotes included."""

    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=0)]


@public
class Scores(Frozen):
    """How probable each verdict is, and where that number comes from.

    `token_logprobs`: read at the verdict's place in one reply. After one greedy reasoning this is
    near certain whatever the question, because the reasoning has already said which verdict
    follows; it says little about how sure the model is.
    `samples`: the share of `n` independently sampled replies that reached each verdict. This mean
    over reasonings is the better estimate.
    """

    source: Literal["token_logprobs", "samples"]
    probabilities: Mapping[str, Annotated[float, Field(ge=0, le=1)]]
    n: Annotated[int, Field(ge=1)] = 1


@public
class Receipt(Frozen):
    """The proof that the verdict was written last, and under which conditions.

    `order` is "enforced" if a grammar that fixes the order was active and the text was verified,
    "verified" if only the text was, and "two_steps" if the verdict was asked for in a second call,
    after the reasoning had come back; `raw` then holds both replies, and the second begins at byte
    `second_at`. With `hidden_thinking_tokens` other than 0 the visible reasoning is a report of
    reasoning that was not shown. `image_notes` is what was done to the picture before it was sent.
    """

    order: Literal["enforced", "verified", "two_steps"]
    enforcement: Enforcement
    raw: str
    reasoning_span: Span
    verdict_span: Span
    finish: Finish
    backend: str
    model: str
    fingerprint: str | None = None
    request_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    hidden_thinking_tokens: int | None = None
    usage: Usage = Usage()
    latency_s: float = 0.0
    seed: int | None = None
    attempts: Annotated[int, Field(ge=1)] = 1
    second_at: Annotated[int, Field(ge=1)] | None = None
    image_notes: tuple[str, ...] = ()


@public
class Derived(Frozen):
    """A verdict that code drew from findings, beside the one that the model wrote."""

    findings: Mapping[str, Any]
    verdict: str
    model_verdict: str


_POLARITY = ({"yes": True, "no": False}, {"true": True, "false": False})


@public
class Decision(Frozen):
    """A verdict with what it rests on.

    Where the question has a rule, `verdict` is the rule's, and `derived` has the findings and the
    verdict that the model wrote itself; the scores are those of the model.

    `bool(decision)` works for a two-way question that was decided: True for the first of the two
    verdicts ("yes" and "true" are True wherever they stand).
    """

    question: Question
    verdict: str
    observations: tuple[Observation, ...]
    reasoning: str
    scores: Scores | None = None
    receipt: Receipt
    derived: Derived | None = None

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
