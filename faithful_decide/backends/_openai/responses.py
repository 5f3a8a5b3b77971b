"""The wire format of OpenAI's responses: a request to JSON, and JSON to a reply.

It is what OpenAI and Azure document for their newer models, beside chat completions. For a decision
the differences are these: thinking is an item of its own in the output and counted in the usage, a
reply that was not finished says why (`incomplete_details`), a refusal is a part beside the text,
there is no seed and no forced start, and a reply is kept by the server unless it is told not to.

What is sent was compared with the types of the official SDK; the services were not reached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faithful_decide._core.json_schema import standard
from faithful_decide._core.types import Finish, Reply, Usage
from faithful_decide.backends._openai.extra import merged
from faithful_decide.backends._openai.reading import (
    MOST_ALTERNATIVES,
    finish_of,
    hidden_tokens,
    joined_parts,
    mapping,
    read_count,
    read_text,
    read_tokens,
    remark_on,
    shown_thinking,
)
from faithful_decide.backends._openai.status import Said, said_in
from faithful_decide.backends._openai.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from faithful_decide.backends._openai.presets import Preset
    from faithful_decide.backends.base import Request

__all__ = ["RESPONSES", "read_responses", "responses_body"]


def responses_body(request: Request, model: str, preset: Preset) -> dict[str, Any]:
    """Write the body of a request for a response. Its seed has no place here."""
    content: list[dict[str, Any]] = [
        {"type": "input_image", "image_url": image.data_uri(), "detail": "auto"}
        for image in request.images
    ]
    content.append({"type": "input_text", "text": request.text})
    body: dict[str, Any] = {
        "model": model,
        "input": [{"role": "user", "content": content}],
        "max_output_tokens": preset.limit_of(request),
        # Nobody asked for the picture and the reply to be kept.
        "store": False,
    }
    if request.system:
        body["instructions"] = request.system
    if preset.temperature:
        body["temperature"] = request.temperature
    if request.top_logprobs and preset.logprobs != "none":
        body["top_logprobs"] = min(request.top_logprobs, MOST_ALTERNATIVES)
        body["include"] = ["message.output_text.logprobs"]
    if request.schema is not None and preset.shape == "schema":
        shape = request.schema if preset.lenient else standard(request.schema)
        described = {"type": "json_schema", "name": "decision", "strict": True, "schema": shape}
        body["text"] = {"format": described}
    elif request.schema is not None and preset.shape == "json_object":
        body["text"] = {"format": {"type": "json_object"}}
    return body


def _spelt(extra: Mapping[str, Any]) -> Mapping[str, Any]:
    """`reasoning_effort` as chat completions call it: callers need not know which are spoken."""
    rest = dict(extra)
    effort = rest.pop("reasoning_effort", None)
    return rest if effort is None else merged(rest, {"reasoning": {"effort": effort}})


def read_responses(data: object, request: Request, _: Preset) -> Reply | Said:
    """Read a response, or what the server said instead of one."""
    match data:
        case {"error": error, **__} if error:
            return said_in({"error": error})
        case {"status": str(status), "output": list(output), **answer}:
            items = [mapping(item) for item in output]
        case _:
            return said_in(data)
    parts = [
        part
        for item in items
        if item.get("type") == "message" and isinstance(item.get("content"), list)
        for part in item["content"]
    ]
    text, refusal, whole = joined_parts(parts)
    others = {item.get("type") for item in items} - {"message", "reasoning"}
    reason: object = status
    finish: Finish = "stop" if status == "completed" else "unknown"
    if refusal:
        text, finish = text or refusal, "refusal"
    elif others:
        finish = "tool_call"
    elif status == "incomplete":
        reason = mapping(answer.get("incomplete_details")).get("reason")
        finish = finish_of(reason)
        finish = "unknown" if finish == "stop" else finish
    elif not whole:
        finish, reason = "unknown", "a part that is no text"
    usage = mapping(answer.get("usage"))
    thought = shown_thinking({"items": items}, text)
    counted = read_count(usage.get("output_tokens"))
    listed = _listed(parts) if request.top_logprobs else None
    return Reply(
        text=text,
        finish=finish,
        model=read_text(answer.get("model")) or "",
        usage=Usage(
            read_count(usage.get("input_tokens")),
            read_count(mapping(usage.get("input_tokens_details")).get("cached_tokens")),
            counted,
        ),
        hidden_thinking_tokens=hidden_tokens(usage, counted, listed, text, shown=thought),
        tokens=read_tokens(listed, text),
        remark=remark_on(text, finish, reason, {"items": items}),
    )


def _listed(parts: list[Any]) -> list[Any] | None:
    """The tokens of all parts of the text; None if they are not there for every one of them."""
    listed: list[Any] = []
    for part in parts:
        tokens = mapping(part).get("logprobs")
        if not isinstance(tokens, list) or not tokens:
            return None
        listed += tokens
    return listed


RESPONSES = Wire("/responses", responses_body, read_responses, _spelt)
