"""The wire formats of Anthropic and Google: a request to keyword arguments, a response to a reply.

Both were written from the vendors' documentation and the types of their SDKs, and what is sent was
compared with them. Neither service was reached.

Both are sent the schema in the parameter that promises to keep it, with the keys in order wherever
the format has a place for an order.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from faithful_decide._core.json_schema import standard
from faithful_decide._core.types import Finish, Reply, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from faithful_decide.backends.base import Request

__all__ = ["anthropic_call", "google_call", "read_anthropic", "read_google"]

_ANTHROPIC: Mapping[str, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
    "tool_use": "tool_call",
}
_GOOGLE: Mapping[str, Finish] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(
        ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY"),
        "content_filter",
    ),
    **dict.fromkeys(("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"), "tool_call"),
}


def anthropic_call(request: Request) -> dict[str, Any]:
    """Write the arguments of `messages.create`."""
    content: list[dict[str, Any]] = []
    for image in request.images:
        data = base64.b64encode(image.data).decode("ascii")
        source = {"type": "base64", "media_type": image.media_type, "data": data}
        content.append({"type": "image", "source": source})
    content.append({"type": "text", "text": request.text})
    call: dict[str, Any] = {
        "messages": [{"role": "user", "content": content}],
        "max_tokens": request.max_tokens,
    }
    if request.system:
        call["system"] = request.system
    if request.temperature:
        # Its SDK has no parameter for it any more; a greedy reply is not to be had.
        call["extra_body"] = {"temperature": request.temperature}
    if request.schema is not None:
        shape = standard(request.schema)
        call["output_config"] = {"format": {"type": "json_schema", "schema": shape}}
    return call


def google_call(request: Request) -> dict[str, Any]:
    """Write the arguments of `models.generate_content`."""
    parts: list[dict[str, Any]] = [
        {"inline_data": {"data": image.data, "mime_type": image.media_type}}
        for image in request.images
    ]
    parts.append({"text": request.text})
    config: dict[str, Any] = {
        "max_output_tokens": request.max_tokens,
        "temperature": request.temperature,
        "seed": request.seed,
        "system_instruction": request.system or None,
    }
    if request.schema is not None:
        config |= {
            "response_mime_type": "application/json",
            "response_json_schema": dict(request.schema),
        }
    return {"contents": [{"role": "user", "parts": parts}], "config": config}


def read_anthropic(answer: Any, latency_s: float) -> Reply:  # noqa: ANN401 - types of an optional SDK
    """Read a message."""
    texts = [block.text for block in answer.content if block.type == "text"]
    thought = any("thinking" in block.type for block in answer.content)
    details = getattr(answer.usage, "output_tokens_details", None)
    counted = getattr(details, "thinking_tokens", None)
    return Reply(
        text="".join(texts),
        finish=_ANTHROPIC.get(str(answer.stop_reason), "unknown"),
        remark=_remark(answer.stop_reason, _ANTHROPIC),
        model=str(answer.model),
        usage=Usage(
            answer.usage.input_tokens,
            getattr(answer.usage, "cache_read_input_tokens", None),
            answer.usage.output_tokens,
        ),
        hidden_thinking_tokens=None if thought and not counted else counted,
        latency_s=latency_s,
    )


def read_google(answer: Any, latency_s: float) -> Reply:  # noqa: ANN401 - types of an optional SDK
    """Read a generation."""
    used = answer.usage_metadata
    usage = Usage(
        getattr(used, "prompt_token_count", None),
        getattr(used, "cached_content_token_count", None),
        # Thoughts are paid for like any token, and counted beside.
        _sum(
            getattr(used, "candidates_token_count", None),
            getattr(used, "thoughts_token_count", None),
        ),
    )
    model = str(answer.model_version or "")
    if not answer.candidates:
        why = getattr(answer.prompt_feedback, "block_reason", None)
        remark = f"the prompt was blocked: {getattr(why, 'value', why)}"[:100]
        return Reply(
            "", "content_filter", model=model, usage=usage, latency_s=latency_s, remark=remark
        )
    candidate = answer.candidates[0]
    parts = (candidate.content.parts if candidate.content else None) or []
    reason = getattr(candidate.finish_reason, "value", candidate.finish_reason)
    thought = any(part.thought for part in parts)
    counted = getattr(used, "thoughts_token_count", None)
    return Reply(
        text="".join(part.text for part in parts if part.text and not part.thought),
        finish=_GOOGLE.get(str(reason), "unknown"),
        remark=_remark(reason, _GOOGLE),
        model=model,
        usage=usage,
        hidden_thinking_tokens=None if thought and not counted else counted,
        latency_s=latency_s,
    )


def _remark(reason: object, names: Mapping[str, Finish]) -> str:
    """The finish reason in the provider's words, where ours do not say it all."""
    if names.get(str(reason)) in {"stop", "length", "tool_call"}:
        return ""
    return f"the finish reason of the provider is {str(reason)[:80]!r}"


def _sum(count: int | None, more: int | None) -> int | None:
    return None if count is None else count + (more or 0)
