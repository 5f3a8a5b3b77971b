"""The wire format of Google's `generateContent`: a request to JSON, and JSON to a reply.

The newer models pay no heed to a temperature, and of the others Google asks to leave it alone, so
none is sent. The schema goes as `responseJsonSchema`, with its order. A prompt that was blocked
comes back without a candidate; thoughts are counted beside the reply, and share its limit.

What is sent was compared with the types of the official SDK; the service was not reached.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

from faithful_decide._core.types import Reply, Usage
from faithful_decide.backends._openai.reading import (
    finish_of,
    mapping,
    one_line,
    read_count,
    read_text,
    remark_on,
)
from faithful_decide.backends._openai.status import Said, said_in
from faithful_decide.backends._openai.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from faithful_decide.backends._effort import Effort
    from faithful_decide.backends._openai.presets import Preset
    from faithful_decide.backends.base import Request

__all__ = ["GOOGLE", "google_body", "google_effort", "read_google"]

_LEVELS: Mapping[Effort, str] = {"minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM"}
_BUDGETS: Mapping[Effort, int] = {"none": 0, "minimal": 1_024, "low": 1_024, "medium": 8_192}
_MOST = 24_576
_OF_TEXT = frozenset({"text", "thought", "thoughtSignature"})
"""What a part of a text may hold; a signature may come in a part of its own."""
_TAKES_BUDGETS = re.compile(r"gemini-2\.")
"""Models that are told a number of tokens; those after them are told a level."""


def google_body(request: Request, _: str, preset: Preset) -> dict[str, Any]:
    """Write the body of a generation; the model is a part of the address."""
    parts: list[dict[str, Any]] = []
    for image in request.images:
        data = base64.b64encode(image.data).decode("ascii")
        parts.append({"inlineData": {"mimeType": image.media_type, "data": data}})
    parts.append({"text": request.text})
    config: dict[str, Any] = {"maxOutputTokens": preset.limit_of(request)}
    if request.seed is not None and preset.seed:
        config["seed"] = request.seed
    if request.schema is not None:
        config["responseMimeType"] = "application/json"
        config["responseJsonSchema"] = dict(request.schema)
    body = {"contents": [{"role": "user", "parts": parts}], "generationConfig": config}
    if request.system:
        body["systemInstruction"] = {"parts": [{"text": request.system}]}
    return body


def google_effort(effort: Effort, model: str) -> dict[str, Any]:
    """How much to think, in the parameters of this API. No level of it is none at all."""
    if effort == "none" or _TAKES_BUDGETS.search(model):
        told: dict[str, Any] = {"thinkingBudget": _BUDGETS.get(effort, _MOST)}
    else:
        told = {"thinkingLevel": _LEVELS.get(effort, "HIGH")}
    return {"generationConfig": {"thinkingConfig": told}}


def read_google(data: object, _: Request, __: Preset) -> Reply | Said:
    """Read a generation, or what the service said instead of one."""
    answer = mapping(data)
    usage = mapping(answer.get("usageMetadata"))
    model = read_text(answer.get("modelVersion")) or ""
    candidates = answer.get("candidates")
    if answer.get("error") or not (usage or candidates or "promptFeedback" in answer):
        return said_in(data)
    if not isinstance(candidates, list) or not candidates:
        feedback = mapping(answer.get("promptFeedback"))
        why = read_text(feedback.get("blockReasonMessage")) or feedback.get("blockReason")
        remark = f"the prompt was blocked: {one_line(str(why or 'no reason is given'), 120)}"
        return Reply("", "content_filter", model, usage=_usage(usage), remark=remark)
    if len(candidates) > 1:  # nobody asked for a choice between replies
        return said_in(data)
    candidate = mapping(candidates[0])
    content = mapping(candidate.get("content"))
    listed = content.get("parts")
    parts = [mapping(part) for part in listed] if isinstance(listed, list) else []
    shown = any(part.get("thought") for part in parts)
    spoken = [part for part in parts if not part.get("thought")]
    text = "".join(read_text(part.get("text")) or "" for part in spoken)
    reason = candidate.get("finishReason")
    finish = finish_of(reason)
    if finish == "stop" and any(part.keys() - _OF_TEXT for part in spoken):
        finish = "tool_call"
    told = read_text(candidate.get("finishMessage"))
    return Reply(
        text=text,
        finish=finish,
        model=model,
        usage=_usage(usage),
        hidden_thinking_tokens=_thoughts(usage, shown=shown),
        remark=remark_on(text, finish, f"{reason}: {told}" if told else reason, {}),
    )


def _usage(usage: Mapping[str, Any]) -> Usage:
    """Thoughts are paid for like any token, and counted beside those of the reply."""
    made = read_count(usage.get("candidatesTokenCount"))
    thoughts = read_count(usage.get("thoughtsTokenCount"))
    return Usage(
        read_count(usage.get("promptTokenCount")),
        read_count(usage.get("cachedContentTokenCount")),
        None if made is None and thoughts is None else (made or 0) + (thoughts or 0),
    )


def _thoughts(usage: Mapping[str, Any], *, shown: bool) -> int | None:
    """The tokens thought; a count of 0 is left out of an answer, and told by the sum of all."""
    counted = read_count(usage.get("thoughtsTokenCount"))
    if counted is None:
        names = ("totalTokenCount", "promptTokenCount", "candidatesTokenCount")
        whole, *counts = (read_count(usage.get(name)) for name in names)
        tools = read_count(usage.get("toolUsePromptTokenCount")) or 0
        if whole is not None and None not in counts:
            counted = max(0, whole - tools - sum(count or 0 for count in counts))
    return None if shown and not counted else counted


def _headers(key: str) -> dict[str, str]:
    return {"x-goog-api-key": key} if key else {}


GOOGLE = Wire(
    "/v1beta/models/{model}:generateContent",
    google_body,
    read_google,
    headers=_headers,
    versioned=False,
)
