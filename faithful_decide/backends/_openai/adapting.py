"""Asking each model as it wants to be asked, which is found out by asking it.

Some parameters are ours and nobody's wish: a temperature of 0, sampling that nothing else bends,
log-probabilities, a seed, the name of the limit. Models refuse the presence of one or the other, in
a dozen ways of saying so. Such a refusal is answered by leaving out what it names, and the request
is sent once more. What was learned holds for this model at this address as long as the process
lives, is told once as a warning of the logger `faithful_decide`, and stands in every receipt.

What carries the contract is never left out: the messages, the pictures, a forced start, a grammar,
a schema that a server promises to keep. Only a server of which nothing is promised may say that it
knows no schemas; it is then asked for any object of JSON, or for no form at all, and what comes
back is verified like every reply.

A model that refuses a temperature is one that thinks, and refuses log-probabilities too; both are
left out at once. What a model thinks counts towards its limit, so it gets room for that. Two kinds
of replies that were cut are asked for once more: those that were all thinking, with room for it,
and those that were white space to the end, under the regular expression of the one layout there is.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from faithful_decide._core.schema import filled
from faithful_decide.backends._effort import room_for, thinks
from faithful_decide.backends._grammar import regex_of_rest
from faithful_decide.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from faithful_decide.backends._openai.presets import Preset
    from faithful_decide.backends._openai.status import Said
    from faithful_decide.backends.base import Reply, Request

__all__ = ["Learned", "after_cut", "after_refusal", "notes_on", "runs_on"]

_REFUSED_STATUS = frozenset({0, 400, 404, 422, 500, 501})
"""A 404 is how a router says that nobody takes such a request; some servers fail with a 500."""
_REFUSED_REQUEST = frozenset({400, 422})
_NOT_TAKEN = re.compile(
    r"unsupported|not?( be)? support|n't support|unknown|unrecogni[sz]ed|unexpected|extra|permitted"
    r"|not allowed|unavailable|not available|deprecated|removed|forbidden|incompatible|invalid"
    r"|not (a )?valid|cannot|can't|only|must|not implemented|disabled|no longer|not accept"
    r"|should be|literal_error|require",
    re.IGNORECASE,
)
_OPENAIS_WORDS = re.compile(r"unsupported (parameter|value)", re.IGNORECASE)
_TOO_FEW_ENDPOINTS = re.compile(r"no endpoints found.*parameters", re.IGNORECASE | re.DOTALL)
_TOO_MANY = re.compile(
    r"too (large|big|high|long|many)|exceed|at most|maximum|less than|larger|greater|between"
    r"|context",
    re.IGNORECASE,
)
_MOST = re.compile(r"(?:at most|maximum(?: of)?|up to|<=|and)\D{0,40}?(\d{3,7})", re.IGNORECASE)
_OURS = {
    "temperature": re.compile(r"\btemperature\b", re.IGNORECASE),
    "logprobs": re.compile(r"log_?probs|^include\b", re.IGNORECASE),
    "seed": re.compile(r"\bseed\b", re.IGNORECASE),
    "plain": re.compile(r"\b(top_[pk]|min_p|repe(at|tition)_penalty)\b", re.IGNORECASE),
}
_LIMITS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_SHAPE = re.compile(r"response_?format|json_?schema|text\.format|structured.?output", re.IGNORECASE)
_BAD_SCHEMA = re.compile(r"invalid schema|in context=|additionalProperties", re.IGNORECASE)
_ECHOED = frozenset({"input", "body", "request", "ctx", "url"})
"""Where an error repeats the request, which names every parameter that was sent."""
_RUN = re.compile(r"\s{48}")
"""White space that no layout has."""

_log = logging.getLogger("faithful_decide")


class Learned:
    """What each model at each address was found to refuse, for all backends of this process."""

    _all: dict[tuple[str, ...], dict[str, Any]] = {}  # noqa: RUF012 - shared, and meant to be

    def __init__(self, *who: str) -> None:
        """Know the model by its name, and by where and how it is asked."""
        self._who = who

    def of(self, preset: Preset) -> Preset:
        """A row of the table with what was learned."""
        return replace(preset, **self._all.get(self._who, {}))

    def keep(self, preset: Preset, now: Preset, why: str) -> None:
        """Remember in what a request that was answered differs from the row; tell it once."""
        changed = {
            field.name: getattr(now, field.name)
            for field in fields(now)
            if getattr(now, field.name) != getattr(preset, field.name)
        }
        if changed and changed != self._all.get(self._who):
            self._all[self._who] = {**self._all.get(self._who, {}), **changed}
            told = "; ".join(_changes(preset, now))
            _log.warning("%s: from now on %s (%s)", self._who[0], told, why)


def after_refusal(
    said: Said, content: bytes, preset: Preset, request: Request, model: str
) -> Preset | None:
    """How to ask after an error that names what was only ours; None if it names nothing such."""
    words, about = _named(content, said.words)
    if said.status not in _REFUSED_STATUS or _BAD_SCHEMA.search(words):
        return None
    # A request that is refused as such may be so in any language.
    not_taken = said.status in _REFUSED_REQUEST or _NOT_TAKEN.search(words)
    changes = _left_out(words, about, preset, model) if not_taken else {}
    if _TOO_FEW_ENDPOINTS.search(words):
        changes = {"temperature": False, "logprobs": "none", "seed": False}
    if preset.length_limit in about and not request.prefix:
        changes |= _other_limit(words, preset, request.max_tokens)
    if not _differs(preset, changes):
        changes = _other_shape(words, preset)
    return replace(preset, **changes) if _differs(preset, changes) else None


def _left_out(words: str, about: str, preset: Preset, model: str) -> dict[str, Any]:
    """What an error names of the parameters that are ours, and what goes with it."""
    named = {name for name, pattern in _OURS.items() if pattern.search(about)}
    reasons = bool(_OPENAIS_WORDS.search(words)) or thinks(model) or thinks(words)
    limited = preset.length_limit in about and preset.length_limit in _LIMITS
    if "temperature" in named or (reasons and ("logprobs" in named or limited)):
        named |= {"temperature", "logprobs"}
    changes: dict[str, Any] = {}
    if "temperature" in named:
        changes = {"temperature": False, "room": preset.room or room_for(None)}
    if "logprobs" in named:
        changes["logprobs"] = "none"
    if "seed" in named:
        changes["seed"] = False
    if "plain" in named and preset.sampling:
        changes["plain"] = False
    return changes


def _other_limit(words: str, preset: Preset, wanted: int) -> dict[str, Any]:
    """The limit under its other name, or without the room that is too much for the server."""
    if _TOO_MANY.search(words):
        if not preset.room:
            return {}
        if "context" in words:  # what the prompt takes of it is not known
            return {"room": preset.room // 4}
        most = max((int(number) for number in _MOST.findall(words)), default=0)
        return {"room": max(0, min(preset.room // 4, most - wanted))}
    return {"length_limit": _LIMITS.get(preset.length_limit, preset.length_limit)}


def _other_shape(words: str, preset: Preset) -> dict[str, Any]:
    """The form of a reply as a server knows it of which nothing is promised."""
    weak = preset.enforcement == "best_effort" and preset.shape in {"schema", "json_object"}
    if not weak or not _SHAPE.search(words) or not _NOT_TAKEN.search(words):
        return {}
    known = "json_object" in words or "json_schema" in words or "type" in words
    return {"shape": "json_object" if known and preset.shape == "schema" else "none"}


def _differs(preset: Preset, changes: Mapping[str, Any]) -> bool:
    return any(getattr(preset, name) != value for name, value in changes.items())


def _named(content: bytes, words: str) -> tuple[str, str]:
    """All that an error says, and the part of it that names what the error is about."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        return words, words
    texts = list(_texts(data))
    whole = " ".join(text for _, text in texts) or words
    # Who names the parameter in a field of its own speaks of no other.
    param = " ".join(text for key, text in texts if key == "param" and text != "None")
    return whole, param or whole


def _texts(value: object, key: str = "", depth: int = 8) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value[:20_000]
    elif depth and isinstance(value, dict):
        for name, inner in value.items():
            if name not in _ECHOED:
                yield from _texts(inner, str(name), depth - 1)
    elif depth and isinstance(value, list):
        for inner in value[:50]:
            yield from _texts(inner, key, depth - 1)


def runs_on(text: str) -> bool:
    """Whether white space in a reply has no end."""
    return bool(_RUN.search(text))


def after_cut(reply: Reply, preset: Preset, request: Request) -> Preset | None:
    """How to ask after a reply that was cut for a reason that can be helped; None for others."""
    if reply.finish != "length" or request.prefix or request.schema is None:
        return None
    if runs_on(reply.text):
        exact = preset.takes_regex and preset.shape == "schema" and _can_be_exact(request)
        return replace(preset, shape="regex") if exact else None
    thought = reply.hidden_thinking_tokens or not reply.text.strip()
    return replace(preset, room=room_for(None)) if thought and not preset.room else None


def _can_be_exact(request: Request) -> bool:
    try:
        return bool(regex_of_rest(filled(request.schema or {})))
    except UsageError:  # a schema of a caller's own that has no such expression
        return False


def notes_on(preset: Preset, request: Request, body: Mapping[str, Any]) -> tuple[str, ...]:
    """In what the request that was sent is not the one of the receipt."""
    sent = {**body, **body.get("options", {}), **body.get("generationConfig", {})}
    notes = []
    if "temperature" not in sent:
        notes.append("no temperature was sent")
    if request.seed is not None and "seed" not in sent:
        notes.append("no seed was sent")
    if not preset.plain:
        notes.append("the server's own penalties and limits of sampling applied")
    if request.top_logprobs and "top_logprobs" not in sent:
        notes.append("no log-probabilities were asked for, so there are no scores of tokens")
    if request.schema is not None and not request.prefix:
        notes += [text for shape, text in _SHAPES.items() if preset.shape == shape]
    if preset.room and not request.prefix:
        notes.append(f"{preset.room} tokens more than max_tokens were allowed, for thinking")
    return tuple(notes)


_SHAPES = {
    "regex": "a regular expression was sent instead of the schema, which lets white space run on",
    "json_object": "the server takes no schema, and was asked for any object of JSON",
    "none": "the server takes no schema, and was asked for a reply of any form",
}


def _changes(preset: Preset, now: Preset) -> Iterator[str]:
    """What is different in a request from now on."""
    if preset.plain != now.plain:
        yield "its own penalties and limits of sampling apply"
    for name, what in (("temperature", "temperature"), ("seed", "seed")):
        if getattr(preset, name) and not getattr(now, name):
            yield f"no {what} is sent"
    if preset.logprobs != now.logprobs:
        yield "no log-probabilities are asked for"
    if preset.length_limit != now.length_limit:
        yield f"the limit is sent as {now.length_limit}"
    if preset.room != now.room:
        yield f"{now.room} tokens are allowed for thinking"
    if preset.shape != now.shape:
        yield {
            "regex": "a regular expression is sent instead of the schema",
            "json_object": "any object of JSON is asked for, and no schema",
        }.get(now.shape, "no form of the reply is asked for")
