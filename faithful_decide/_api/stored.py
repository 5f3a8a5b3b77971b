"""Checks a stored decision again, offline.

Nothing in the file is believed because something else in it says the same. The raw reply is
verified again, and the verdict, the observations, the reasoning and the byte spans are compared
with what it says. The hash of the request is computed again from the question, its labels in their
order, what it says of them besides, the numbers of the receipt and the hashes of the images that
were sent. With the images at hand those hashes are computed again too; with the rule, the verdict
that it drew is drawn again; with the key, the signature says whether anything at all was changed.
What could not be checked is said.
"""

from __future__ import annotations

import hmac
import json
import math
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

from pydantic import BaseModel, ConfigDict

from faithful_decide._asking.constraint import allows
from faithful_decide._asking.decision import (
    SAMPLE_TEMPERATURE,
    decision_request,
    reasons_request,
    request_sha256,
)
from faithful_decide._core.contract import (
    Verified,
    concluded,
    parted,
    verify,
    verify_reasons,
    verify_verdict,
)
from faithful_decide._core.findings import conclude
from faithful_decide._core.json_text import Broken, read_members
from faithful_decide._core.schema import shape_of, verdict_schema
from faithful_decide._core.types import Decision, Question, Reply, first_of, signature_of
from faithful_decide._images.load import load_images
from faithful_decide._images.prepare import ImageLimits, prepare
from faithful_decide._nearest import hinting
from faithful_decide._public import public
from faithful_decide._version import __version__
from faithful_decide.errors import ContractError, QuestionError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from faithful_decide._core.types import Receipt, Scores, SentImage
    from faithful_decide._images.load import ImageSources, SourceImage
    from faithful_decide.backends.base import Request

__all__ = ["verify_stored"]

_STORED = "store it whole, as model_dump_json() or the command `decide --json` writes it"
_CHANGED = "the file was changed after it was written; decide again"
_WRITER = (
    "who wrote it, and what only the writer knows: the backend, the model and its fingerprint, "
    "that the schema was in force, hidden thinking, tokens, seconds, attempts, notes, scores, the "
    "limits of the images and the version that wrote it (sign the decision to bind these)"
)


@public
@hinting
def verify_stored(
    data: str | bytes,
    *,
    image: ImageSources | None = None,
    question: str | Question | None = None,
    rule: Callable[[Any], str | bool] | None = None,
    hmac_key: str | bytes | None = None,
) -> Decision:
    """Read a stored decision and verify it again.

    Args:
        data: What `Decision.model_dump_json` wrote.
        image: The image that it should be about, or the bytes that were sent; of several, a list.
        question: The question that it should answer, or its text. One with findings brings their
            model and its rule.
        rule: The rule that drew its verdict, where the question is not at hand; it is given the
            findings as an object with their names.
        hmac_key: The key that it should be signed with.

    Returns:
        The decision, and in `checked` and `unchecked` how far it was verified.

    Raises:
        ContractError: It is not a decision, says something else than its raw reply, or is about
            another image or question than it should be.
        OrderError: Its raw reply has the verdict before the reasons.
        TruncatedError: Its raw reply was cut off.
        RefusedError: Its raw reply is a refusal.
        UsageError: The data, the image, the rule or the key cannot be used.
    """
    verification = _Verification(_read(data))
    verification.against_question(question, rule)
    verification.of_reply()
    verification.of_request()
    verification.of_rule()
    verification.of_image(image)
    verification.of_signature(hmac_key)
    decision = verification.decision
    decision._checked = tuple(verification.checked)  # noqa: SLF001 - nobody else may say it
    decision._unchecked = tuple(verification.unchecked)  # noqa: SLF001 - the same
    return decision


def _read(data: object) -> Decision:
    if not isinstance(data, str | bytes):
        msg = f"a stored decision is a text or bytes, not {type(data).__name__}"
        raise UsageError(msg, hint="pass what is in the file, such as Path(...).read_bytes()")
    try:
        text = data.decode() if isinstance(data, bytes) else data
        read_members(text)  # refuses what other readers of JSON would read in another way
        # Strictly: a text in the place of a number is read as another thing elsewhere.
        return Decision.model_validate_json(text, strict=True)
    except (Broken, ValueError, UsageError) as error:
        msg = f"this is not a stored decision: {first_of(error)}"
        raise ContractError(msg, hint=_STORED) from None


class _Findings(BaseModel):
    """Findings of any kind, where what they had to be is not at hand."""

    model_config = ConfigDict(extra="allow")


class _Verification:
    """What is known of a stored decision while it is verified, one subject after the other."""

    def __init__(self, decision: Decision) -> None:
        self.decision, self.receipt = decision, decision.receipt
        self.reply = Reply(decision.receipt.raw, decision.receipt.finish, decision.receipt.model)
        self.question = decision.question
        self.checked: list[str] = []
        self.unchecked: list[str] = []

    def against_question(
        self, question: str | Question | None, rule: Callable[[Any], str | bool] | None
    ) -> None:
        """Take the question as the caller knows it, if it is the one that is stored."""
        stored = self.decision.question
        if question is not None:
            if question not in (stored, stored.text):
                self._refuse(
                    "the decision answers another question", hint="compare its .question with yours"
                )
            what = "the text of the question" if isinstance(question, str) else "the question"
            self.checked.append(f"{what} is the one that was passed")
        if isinstance(question, Question):
            self.question = question
        if rule is not None:
            findings = self.question.findings or _Findings
            self.question = replace(self.question, findings=findings, rule=rule)

    def of_reply(self) -> None:
        """Verify the raw reply, and compare what the decision says with what it says."""
        decision, receipt = self.decision, self.receipt
        verified = self._verified_reply()
        content, derived = verified.content, decision.derived
        written = decision.verdict if derived is None else derived.model_verdict
        agreeing = {
            "verdict": written == content.verdict and decision.verdict in self.question.labels,
            "observations": decision.observations == content.observations,
            "reasoning": decision.reasoning == content.reasoning,
            "relies_on": decision.relies_on == content.relies_on,
            "receipt.reasoning_span": receipt.reasoning_span == verified.reasoning_span,
            "receipt.verdict_span": receipt.verdict_span == verified.verdict_span,
            "derived": derived is None
            or (
                derived.verdict == decision.verdict
                and json.dumps(dict(derived.findings)) == json.dumps(verified.findings)
            ),
            "receipt.order": (receipt.order == "two_steps") == (receipt.second_at is not None)
            and (
                receipt.order not in {"enforced", "requested"}
                or receipt.enforcement in {"grammar", "strict"}
            ),
            "receipt.enforcement": (receipt.enforcement == "prompt")
            or receipt.constraint != "none",
            "scores": _plausible(decision.scores, self.question, written, receipt),
        }
        if wrong := [name for name, agrees in agreeing.items() if not agrees]:
            what = f"the decision does not agree with its own raw reply in: {', '.join(wrong)}"
            self._refuse(what)
        self.verified = verified
        self.checked.append(
            "it agrees with its raw reply, which has the reasons first and the verdict last"
        )

    def _verified_reply(self) -> Verified:
        """Verify a raw text of one reply, or of two that were joined."""
        labels, at = self.question.labels, self.receipt.second_at
        findings = self.question.findings
        if findings is None and self.decision.derived is not None:
            findings = _Findings
        shape = shape_of(self.question, len(self.receipt.images))
        shape["findings"] = findings
        if at is None:
            return verify(self.reply, labels, **shape)
        if (texts := parted(self.receipt.raw, at)) is None:
            self._refuse("receipt.second_at is not where the second reply begins")
        first, second = (replace(self.reply, text=text) for text in texts)
        reasons = verify_reasons(first, **shape)
        return concluded(reasons, *verify_verdict(second, labels), at)

    def of_request(self) -> None:
        """Write the request again, and compare its hash and what it allows with what is there."""
        receipt = self.receipt
        known = self.question.findings
        if self.decision.derived is not None and (known is None or known is _Findings):
            self.unchecked.append("the request: pass question= with its findings and its rule")
            return
        try:
            count = len(receipt.images)
            request = decision_request(
                (),
                self.question,
                max_tokens=receipt.max_tokens,
                seed=receipt.seed,
                count=count,
            )
            parts = [(request, receipt.raw)]
            if receipt.second_at is not None:
                reasons, verdict = parted(receipt.raw, receipt.second_at) or ("", "")
                request = reasons_request(request, self.question, count)
                second = replace(request, schema=verdict_schema(self.question.labels))
                parts = [(request, reasons), (second, verdict)]
        except QuestionError as error:
            self._refuse(f"the stored question cannot be asked: {error}")
        self._check_hash(request)
        held = receipt.enforcement in {"grammar", "strict"}
        if held and not all(allows(receipt.constraint, q.schema, text) for q, text in parts):
            self._refuse("the raw reply does not fit the grammar or schema that the receipt names")
        self.checked.append(
            "the request hash fits the question, its labels, the parameters and the images"
        )

    def _check_hash(self, request: Request) -> None:
        receipt = self.receipt
        request = replace(
            request, temperature=receipt.temperature, top_logprobs=receipt.top_logprobs
        )
        sent = [image.sent_sha256 for image in receipt.images]
        if receipt.request_sha256 != request_sha256(request, images=sent):
            hint = _CHANGED
            if receipt.version != __version__:
                hint = (
                    f"verify it with version {receipt.version!r} of faithful-decide, which it names"
                )
            self._refuse(
                "its request_sha256 does not fit its question, labels, parameters and images", hint
            )

    def of_rule(self) -> None:
        """Draw the verdict again, where a rule drew it and is at hand."""
        derived, question = self.decision.derived, self.question
        if derived is None:
            if question.rule is not None:
                self._refuse("a rule was passed, and no rule drew this verdict")
            return
        if question.rule is None:
            self.unchecked.append(
                f"the verdict: the model wrote {derived.model_verdict!r}; "
                f"a rule that was not given drew {derived.verdict!r}"
            )
            return
        findings: object = self.verified.content.findings
        if question.findings is _Findings:
            findings = _named(self.verified.findings)
        if (drawn := conclude(question, findings)) != self.decision.verdict:
            what = f"the rule draws {drawn!r} from the findings, not {self.decision.verdict!r}"
            self._refuse(what)
        self.checked.append("the rule draws this verdict from the findings")

    def of_image(self, image: ImageSources | None) -> None:
        """Compare the images at hand with those that were passed and sent, in their order."""
        known = self.receipt.images
        what = "the image" if len(known) == 1 else "the images"
        if image is None:
            hashes = ", ".join(one.source_sha256 for one in known)
            named = f" (SHA-256: {hashes})" if known else ""
            self.unchecked.append(f"{what}: pass image= to compare{named}")
            return
        loaded = load_images(image)
        if len(loaded) != len(known):
            self._refuse(
                f"the decision is about {len(known)} images, and {len(loaded)} were passed"
            )
        sent = [self._was_sent(*pair) for pair in zip(loaded, known, strict=True)]
        how = "is the one that was" if len(known) == 1 else "are those that were"
        self.checked.append(
            f"{what} {how} sent"
            if all(sent)
            else f"{what} {how} passed, and encodes to what was sent"
        )

    def _was_sent(self, loaded: SourceImage, known: SentImage) -> bool:
        """Whether an image is what was sent, and not what that was made of."""
        if loaded.sha256 == known.sent_sha256:
            if known.source_sha256 != known.sent_sha256:
                self.unchecked.append(
                    f"the image that it was made of: pass it as image= to compare it (its SHA-256"
                    f" is {known.source_sha256})"
                )
            return True
        if loaded.sha256 != known.source_sha256:
            self._refuse(
                "the decision is about another image", hint="compare the hashes in receipt.images"
            )
        if _sent_again(loaded, known) != known.sent_sha256:
            self._refuse(
                "the image is the right one, but encoded again it is not what was sent",
                hint="pass the bytes that were sent, or verify with the same version of Pillow",
            )
        return False

    def of_signature(self, key: str | bytes | None) -> None:
        """Compare the signature with what the key makes of the decision."""
        stored = self.decision.signature
        if key is None:
            self.unchecked.append(_WRITER if stored is None else f"{_WRITER}: pass hmac_key=")
            return
        if not hmac.compare_digest(signature_of(self.decision, key), stored or ""):
            what = (
                "the decision is not signed"
                if stored is None
                else "its signature is not of this key"
            )
            self._refuse(what, hint=f"{_CHANGED}, or pass the key it was signed with")
        self.checked.append("nothing was changed since it was signed with this key")

    def _refuse(self, what: str, hint: str = _CHANGED) -> NoReturn:
        raise ContractError(what, reply=self.reply, hint=hint)


def _named(value: object) -> object:
    """Findings as an object with their names, as a rule expects them."""
    if isinstance(value, dict):
        return SimpleNamespace(**{name: _named(part) for name, part in value.items()})
    return [_named(part) for part in value] if isinstance(value, list) else value


def _sent_again(image: SourceImage, known: SentImage) -> str:
    """The hash of what would be sent of an image, within the limits that are stored."""
    limits = dict(known.limits or {})
    try:
        limits["media_types"] = frozenset(limits["media_types"])
        return prepare(image, ImageLimits(**limits)).sha256
    except (KeyError, TypeError, UsageError):
        return ""


def _plausible(scores: Scores | None, question: Question, written: str, receipt: Receipt) -> bool:
    """Whether scores can be those of a decision: whole, and of votes that were cast and won."""
    if scores is None:
        return True
    shares, n = scores.probabilities, scores.n
    if set(shares) != set(question.labels):
        return False
    if not math.isclose(math.fsum(shares.values()), 1.0, abs_tol=1e-6):
        return False
    if scores.source == "token_logprobs":
        return n == 1 and not scores.lost
    votes = [share * n for share in shares.values()]
    return (
        all(math.isclose(vote, round(vote), abs_tol=1e-6) for vote in votes)
        and shares.get(written) == max(shares.values())
        and sum(scores.lost.values()) <= n
        and n + sum(scores.lost.values()) > 1
        and receipt.temperature == SAMPLE_TEMPERATURE
    )
