"""Stored decisions, and ways to tamper with them that have to be noticed."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image
from pydantic import BaseModel

from faithful_decide import Question, decide
from faithful_decide.backends import Capabilities, Reply, Usage
from faithful_decide.testing import ScriptedBackend, reply_text

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = b"a secret of thirty-two bytes ...."
OTHER_IMAGE = (9, 9, 9)


class Seen(BaseModel):
    """What the question with a rule asks for."""

    hats: int


def funny(seen: Seen) -> bool:
    """The rule."""
    return seen.hats > 0


PLAIN = Question("Is this part defective?", ("defective", "fine"))
RULED = Question("Is it funny?", findings=Seen, rule=funny)
TOLD = reply_text(
    "defective", reasoning="a crack in the corner", observations=[("the corner", "grün, cracked")]
)
FOUND = '{"findings": {"hats": 1}, ' + reply_text("no", reasoning="no hat is odd")[1:]


def picture(colour: tuple[int, int, int] = (200, 0, 0), side: int = 32) -> bytes:
    """A small picture of one colour."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(file, "PNG")
    return file.getvalue()


IMAGE, LARGE = picture(), picture(side=3000)
_USAGE = Usage(100, 20, 30)


def _stored(question: Question, replies: list[str], image: bytes = IMAGE, **more: Any) -> str:
    capabilities = more.pop("capabilities", ScriptedBackend([]).capabilities)
    script = [Reply(text, "stop", "m-1", "f", _USAGE, 0, 0.5) for text in replies]
    backend = ScriptedBackend(script, capabilities=capabilities)
    decision = decide(image, question, model=backend, seed=5, **more)
    return (
        decision.signed(KEY).model_dump_json()
        if more.get("samples") == 1
        else (decision.model_dump_json())
    )


_HALVES = (TOLD[: TOLD.index(', "verdict"')] + "}", '{"verdict": "defective"}')
STORED = {
    "plain": _stored(PLAIN, [TOLD]),
    "resized": _stored(PLAIN, [TOLD], LARGE),
    "samples": _stored(PLAIN, [TOLD, reply_text("fine"), TOLD], samples=3),
    "two": _stored(PLAIN, list(_HALVES), capabilities=Capabilities(two_steps=True)),
    "ruled": _stored(RULED, [FOUND]),
    "signed": _stored(PLAIN, [TOLD], samples=1),
}
IMAGES = {name: LARGE if name == "resized" else IMAGE for name in STORED}
QUESTIONS = {name: RULED if name == "ruled" else PLAIN for name in STORED}


@dataclass(frozen=True)
class Tampering:
    """One way: what is done to which decision, and what is passed to whoever verifies it."""

    name: str
    base: str
    change: Callable[[Any], Any]
    passed: tuple[str, ...] = ()

    def data(self) -> str | bytes:
        """The file as it was left."""
        data = json.loads(STORED[self.base])
        changed = self.change(data)
        if isinstance(changed, str | bytes):
            return changed
        return json.dumps(data if changed is None else changed, ensure_ascii=False)

    def arguments(self) -> dict[str, Any]:
        """What `verify_stored` is given beside it."""
        known = {
            "image": IMAGES[self.base],
            "question": QUESTIONS[self.base],
            "rule": funny,
            "hmac_key": KEY,
        }
        return {name: known[name] for name in self.passed}


def to(path: str, value: object) -> Callable[[Any], None]:
    """Set what stands at a path; a function makes the new value of the old."""

    def change(data: Any) -> None:
        *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
        for key in parents:
            data = data[key]
        data[last] = value(data[last]) if callable(value) else value

    return change


def both(*changes: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Do several things at once."""

    def change(data: Any) -> None:
        for part in changes:
            part(data)

    return change


def raw(old: str, new: str) -> Callable[[Any], None]:
    """Replace something in the raw reply."""
    return to("receipt.raw", lambda text: text.replace(old, new))


def text(old: str, new: str) -> Callable[[Any], str]:
    """Replace something in the file as text."""

    def change(data: Any) -> str:
        stored = json.dumps(data)
        assert old in stored, old
        return stored.replace(old, new, 1)

    return change


def _drawn(verdict: str) -> Callable[[Any], None]:
    return both(to("verdict", verdict), to("derived.verdict", verdict))


def _swapped(data: Any) -> None:
    first, second = data["question"]["verdicts"]
    data["question"]["verdicts"] = [second, first]


_OTHER = "0" * 64
_SIGNED = [
    ("backend", "openai/gpt-5"),
    ("model", "gpt-9"),
    ("fingerprint", "another"),
    ("order", "verified"),
    ("enforcement", "prompt"),
    ("constraint", "schema"),
    ("hidden_thinking_tokens", None),
    ("usage", {"prompt_tokens": 1, "cached_tokens": 1, "completion_tokens": 1}),
    ("latency_s", 0.1),
    ("attempts", 2),
    ("image_notes", ["turned upright"]),
    ("version", "9"),
]
TAMPERED = [
    Tampering("verdict", "plain", to("verdict", "fine")),
    Tampering("verdict that is no label", "plain", to("verdict", "banana")),
    Tampering("verdict and raw", "plain", both(to("verdict", "fine"), raw("defective", "fine"))),
    Tampering("reasoning", "plain", to("reasoning", "another one")),
    Tampering("an observation dropped", "plain", to("observations", [])),
    Tampering("an observation reworded", "plain", to("observations.0.seen", "whole")),
    Tampering("an observation renamed", "plain", to("observations.0.about", "the side")),
    Tampering("span of the verdict moved", "plain", to("receipt.verdict_span.start", 3)),
    Tampering("span of the verdict huge", "plain", to("receipt.verdict_span.end", 10**30)),
    Tampering("span of the reasoning moved", "plain", to("receipt.reasoning_span.start", 3)),
    Tampering(
        "raw in the wrong order",
        "plain",
        to("receipt.raw", lambda t: json.dumps(dict(reversed(json.loads(t).items())))),
    ),
    Tampering(
        "raw with a verdict twice", "plain", raw('"verdict"', '"verdict": "fine", "verdict"')
    ),
    Tampering(
        "raw with an escaped key twice",
        "plain",
        raw('"verdict"', '"verdict": "fine", "ver\\u0064ict"'),
    ),
    Tampering("raw in another alphabet", "plain", raw('"defective"', '"d\u0435fective"')),
    Tampering("raw in a fence", "plain", to("receipt.raw", "```json\n{}\n```".format)),
    Tampering("raw with another layout", "plain", raw(": ", ":")),
    Tampering("raw with space after it", "plain", to("receipt.raw", lambda t: t + " \n")),
    Tampering("raw emptied", "plain", to("receipt.raw", "")),
    Tampering("raw missing", "plain", to("receipt.raw", None)),
    Tampering("raw of another decision", "plain", to("receipt.raw", reply_text("fine"))),
    Tampering("raw nested deeply", "plain", to("receipt.raw", '{"observations": ' + "[" * 99_999)),
    Tampering("question reworded", "plain", to("question.text", "Is this part not defective?")),
    Tampering("question blank", "plain", to("question.text", " \u3164")),
    Tampering("labels in another order", "plain", _swapped),
    Tampering("a label more", "plain", to("question.verdicts", ["defective", "fine", "maybe"])),
    Tampering("another label", "plain", to("question.verdicts", ["defective", "good"])),
    Tampering(
        "labels that look alike", "plain", to("question.verdicts", ["defective", "defectiv\u0435"])
    ),
    Tampering(
        "labels that are tokens", "plain", to("question.verdicts", ["defective", "<|user|>"])
    ),
    Tampering("abstaining switched off", "plain", to("question.abstain", False)),
    Tampering(
        "question and labels turned round",
        "plain",
        both(to("question.text", "Is this part fine?"), _swapped),
    ),
    Tampering("another request", "plain", to("receipt.request_sha256", _OTHER)),
    Tampering("a request that is no hash", "plain", to("receipt.request_sha256", "abc")),
    Tampering("another image", "plain", to("receipt.images.0.sent_sha256", _OTHER)),
    Tampering("no image", "plain", to("receipt.images", [])),
    Tampering("a second image", "plain", to("receipt.images", lambda images: images * 2)),
    Tampering("more tokens", "plain", to("receipt.max_tokens", 1024)),
    Tampering("another temperature", "plain", to("receipt.temperature", 0.7)),
    Tampering("another seed", "plain", to("receipt.seed", 6)),
    Tampering("no seed", "plain", to("receipt.seed", None)),
    Tampering("alternatives asked for", "plain", to("receipt.top_logprobs", 20)),
    Tampering(
        "asked in another way",
        "plain",
        raw(
            '"verdict"', '"relies_on": [1], "reservation": {"level": "none", "why": ""}, "verdict"'
        ),
    ),
    Tampering("cut off", "plain", to("receipt.finish", "length")),
    Tampering("refused", "plain", to("receipt.finish", "refusal")),
    Tampering("an order that is none", "plain", to("receipt.order", "proven")),
    Tampering("enforced by the wording", "plain", to("receipt.enforcement", "prompt")),
    Tampering("enforced by nothing that was sent", "plain", to("receipt.constraint", "none")),
    Tampering("two steps in one reply", "plain", to("receipt.order", "two_steps")),
    Tampering("a second reply in one", "plain", to("receipt.second_at", 5)),
    Tampering("attempts 0", "plain", to("receipt.attempts", 0)),
    Tampering("seconds below zero", "plain", to("receipt.latency_s", -5)),
    Tampering("seconds NaN", "plain", text('"latency_s": 0.5', '"latency_s": NaN')),
    Tampering("tokens below zero", "plain", to("receipt.usage.prompt_tokens", -3)),
    Tampering("thinking below zero", "plain", to("receipt.hidden_thinking_tokens", -1)),
    Tampering("an unknown field", "plain", to("receipt.extra", 1)),
    Tampering("a file that says it was checked", "plain", to("checked", ["everything"])),
    Tampering("a number as a text", "plain", to("receipt.temperature", "0" * 64)),
    Tampering("a truth value as a number", "plain", to("receipt.attempts", True)),
    Tampering("a truth value as a word", "plain", to("question.abstain", "true")),
    Tampering(
        "a verdict twice in the file",
        "plain",
        text('"verdict": "defective"', '"verdict": "fine", "verdict": "defective"'),
    ),
    Tampering("a byte order mark", "plain", lambda data: "\ufeff" + json.dumps(data)),
    Tampering("another encoding", "plain", lambda data: json.dumps(data).encode("utf-16")),
    Tampering("half a character", "plain", text("a crack", "\\ud800")),
    Tampering(
        "a number of 5000 digits", "plain", text('"attempts": 1', '"attempts": ' + "9" * 5000)
    ),
    Tampering(
        "scores of other labels",
        "plain",
        to("scores", {"source": "token_logprobs", "probabilities": {"yes": 1.0}, "n": 1}),
    ),
    Tampering(
        "scores that add up to less",
        "plain",
        to(
            "scores",
            {
                "source": "token_logprobs",
                "probabilities": {"defective": 0.5, "fine": 0.4, "cannot_tell": 0.0},
                "n": 1,
            },
        ),
    ),
    Tampering(
        "scores of tokens from several replies",
        "plain",
        to(
            "scores",
            {
                "source": "token_logprobs",
                "probabilities": {"defective": 0.6, "fine": 0.4, "cannot_tell": 0.0},
                "n": 5,
            },
        ),
    ),
    Tampering(
        "votes where none were cast",
        "plain",
        to(
            "scores",
            {
                "source": "samples",
                "probabilities": {"defective": 0.8, "fine": 0.2, "cannot_tell": 0.0},
                "n": 5,
            },
        ),
    ),
    Tampering(
        "the vote lost",
        "samples",
        to("scores.probabilities", {"defective": 1 / 3, "fine": 2 / 3, "cannot_tell": 0.0}),
    ),
    Tampering(
        "half a vote",
        "samples",
        to("scores.probabilities", {"defective": 0.5, "fine": 0.5, "cannot_tell": 0.0}),
    ),
    Tampering("another number of votes", "samples", to("scores.n", 4)),
    Tampering("votes for a verdict that is no label", "samples", to("verdict", "banana")),
    Tampering("more lost than cast", "samples", to("scores.lost", {"RefusedError": 9})),
    Tampering("a seed of another sample", "samples", to("receipt.seed", 5)),
    Tampering("joined by another byte", "two", raw("}\n{", "}X{")),
    Tampering("joined by a quote", "two", raw("}\n{", '}"{')),
    Tampering("cut elsewhere", "two", to("receipt.second_at", lambda at: at - 1)),
    Tampering("cut far outside", "two", to("receipt.second_at", 10**9)),
    Tampering("not cut", "two", to("receipt.second_at", None)),
    Tampering("two steps called verified", "two", to("receipt.order", "verified")),
    Tampering("two steps, question reworded", "two", to("question.text", "Is it not?")),
    Tampering("two steps, labels in another order", "two", _swapped),
    Tampering("drawn verdict that is no label", "ruled", _drawn("banana")),
    Tampering("drawn verdict empty", "ruled", _drawn("")),
    Tampering("drawn verdict at one place", "ruled", to("verdict", "no")),
    Tampering("the model's own verdict", "ruled", to("derived.model_verdict", "yes")),
    Tampering("findings", "ruled", to("derived.findings.hats", 7)),
    Tampering("findings of another type", "ruled", to("derived.findings.hats", True)),
    Tampering("findings of another kind of number", "ruled", to("derived.findings.hats", 1.0)),
    Tampering("findings dropped", "ruled", to("derived", None)),
    Tampering("drawn verdict, with the rule", "ruled", _drawn("no"), ("rule",)),
    Tampering("drawn verdict, with the question", "ruled", _drawn("no"), ("question",)),
    Tampering("drawn verdict abstains, with the rule", "ruled", _drawn("cannot_tell"), ("rule",)),
    Tampering(
        "findings and raw, with the question",
        "ruled",
        both(raw('"hats": 1', '"hats": 0'), to("derived.findings.hats", 0)),
        ("question",),
    ),
    Tampering(
        "question reworded, with findings",
        "ruled",
        to("question.text", "Is it sad?"),
        ("question",),
    ),
    Tampering("a rule where none was", "plain", lambda data: None, ("rule",)),
    Tampering(
        "another picture's source",
        "resized",
        to("receipt.images.0.source_sha256", _OTHER),
        ("image",),
    ),
    Tampering(
        "limits that make another picture",
        "resized",
        to("receipt.images.0.limits.max_side", 500),
        ("image",),
    ),
    Tampering(
        "limits that are none",
        "resized",
        to("receipt.images.0.limits", {"max_side": "a"}),
        ("image",),
    ),
    Tampering("not signed", "plain", lambda data: None, ("hmac_key",)),
    Tampering("a signature of another key", "signed", to("signature", _OTHER), ("hmac_key",)),
    Tampering("a signature taken away", "signed", to("signature", None), ("hmac_key",)),
    *(
        Tampering(f"signed, then {field}", "signed", to(f"receipt.{field}", value), ("hmac_key",))
        for field, value in _SIGNED
    ),
    Tampering(
        "signed, then scores",
        "signed",
        to(
            "scores",
            {
                "source": "token_logprobs",
                "probabilities": {"defective": 0.6, "fine": 0.4, "cannot_tell": 0.0},
                "n": 1,
            },
        ),
        ("hmac_key",),
    ),
]
