"""The wire format of Anthropic's Messages API: a request to JSON, and JSON to a reply.

It has no temperature any more, no seed, no log-probabilities and no forced start: newer models
refuse the first and the last. The schema is a part of `output_config`, which the API promises to
keep. What a model thinks comes in blocks of its own, before the text, and is counted.

What is sent was compared with the types of the official SDK; the service was not reached.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

from faithful_decide._core.json_schema import standard
from faithful_decide._core.types import Reply, Usage
from faithful_decide.backends._openai.reading import (
    finish_of,
    hidden_tokens,
    joined_parts,
    mapping,
    one_line,
    read_count,
    read_text,
    remark_on,
    shown_thinking,
)
from faithful_decide.backends._openai.status import Said, said_in
from faithful_decide.backends._openai.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from faithful_decide.backends._effort import Effort
    from faithful_decide.backends._openai.presets import Preset
    from faithful_decide.backends.base import Request

__all__ = ["ANTHROPIC", "anthropic_body", "anthropic_effort", "read_anthropic"]

_BETWEEN_TOOLS = re.compile(r"sonnet-5-5")
"""Models whose word for no thinking is this; for others it is `disabled`, if they have one."""
_TOOLS = re.compile(r"tool|container")


def anthropic_body(request: Request, model: str, preset: Preset) -> dict[str, Any]:
    """Write the body of a message."""
    content: list[dict[str, Any]] = []
    for image in request.images:
        data = base64.b64encode(image.data).decode("ascii")
        source = {"type": "base64", "media_type": image.media_type, "data": data}
        content.append({"type": "image", "source": source})
    content.append({"type": "text", "text": request.text})
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": preset.limit_of(request),
        "messages": [{"role": "user", "content": content}],
    }
    if request.system:
        body["system"] = request.system
    if request.schema is not None:
        shape = {"type": "json_schema", "schema": standard(request.schema)}
        body["output_config"] = {"format": shape}
    return body


def anthropic_effort(effort: Effort, model: str) -> dict[str, Any]:
    """How much to think, in the parameters of this API."""
    if effort == "none":
        return {
            "thinking": {"type": "between_tools" if _BETWEEN_TOOLS.search(model) else "disabled"}
        }
    level = "low" if effort == "minimal" else effort
    return {"thinking": {"type": "adaptive"}, "output_config": {"effort": level}}


def read_anthropic(data: object, _: Request, __: Preset) -> Reply | Said:
    """Read a message, or what the service said instead of one."""
    answer = mapping(data)
    content, reason = answer.get("content"), answer.get("stop_reason")
    if answer.get("error") or not isinstance(content, list):
        return said_in(data)
    text, refusal, whole = joined_parts(content)
    finish = finish_of(reason)
    if refusal:
        text, finish = text or refusal, "refusal"
    elif finish == "stop" and any(
        _TOOLS.search(str(mapping(part).get("type"))) for part in content
    ):
        finish = "tool_call"
    elif finish == "stop" and not whole:
        finish, reason = "unknown", "a part that is no text"
    usage = mapping(answer.get("usage"))
    made = read_count(usage.get("output_tokens"))
    cached = read_count(usage.get("cache_read_input_tokens"))
    shown = shown_thinking({"items": content}, text)
    return Reply(
        text=text,
        finish=finish,
        model=read_text(answer.get("model")) or "",
        usage=Usage(_prompt(usage, cached), cached, made),
        hidden_thinking_tokens=hidden_tokens(usage, made, None, text, shown=shown),
        remark=_why(answer.get("stop_details"))
        or remark_on(text, finish, reason, {"items": content}),
    )


def _prompt(usage: Mapping[str, Any], cached: int | None) -> int | None:
    """All tokens of a prompt; here those that a cache was read from, or written with, are apart."""
    fresh = read_count(usage.get("input_tokens"))
    written = read_count(usage.get("cache_creation_input_tokens"))
    return None if fresh is None else fresh + (cached or 0) + (written or 0)


def _why(details: object) -> str:
    """What is said of a refusal."""
    told = mapping(details)
    category, explanation = (read_text(told.get(key)) for key in ("category", "explanation"))
    return one_line(": ".join(part for part in (category, explanation) if part))


def _headers(key: str) -> dict[str, str]:
    return {"anthropic-version": "2023-06-01"} | ({"x-api-key": key} if key else {})


ANTHROPIC = Wire("/v1/messages", anthropic_body, read_anthropic, headers=_headers, versioned=False)
