"""The wire format of OpenAI's responses: a request to JSON, and JSON to a reply.

It is what OpenAI and Azure document for their newer models, beside chat completions. For a decision
the differences are these: thinking is an item of its own in the output and counted in the usage, a
reply that was not finished says why (`incomplete_details`), a refusal is a part beside the text,
there is no seed, and a reply is kept by the server unless it is told not to.

What is sent was compared with the types of the official SDK; the services were not reached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faithful_decide._core.json_schema import standard
from faithful_decide._core.types import Finish, Reply, Token, Usage
from faithful_decide.backends._openai.chat import (
    MOST_ALTERNATIVES,
    mapping,
    read_count,
    read_text,
    read_tokens,
)
from faithful_decide.errors import BackendError, TransientError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from faithful_decide.backends._openai.presets import Preset
    from faithful_decide.backends.base import Request

__all__ = ["read_responses", "responses_body"]

_INCOMPLETE: Mapping[str, Finish] = {
    "max_output_tokens": "length",
    "content_filter": "content_filter",
}
_BUSY = "rate_limit_exceeded"
_PASSING = frozenset({_BUSY, "server_error"})


def responses_body(request: Request, model: str, preset: Preset) -> dict[str, Any]:
    """Write the body of a request for a response.

    Args:
        request: What to ask. Its seed has no place here.
        model: The name that the server knows the model by.
        preset: What is known of the server.

    Returns:
        The body, ready to be sent as JSON.
    """
    content: list[dict[str, Any]] = [{"type": "input_text", "text": request.text}]
    if request.image is not None:
        uri = request.image.data_uri()
        content.insert(0, {"type": "input_image", "image_url": uri, "detail": "auto"})
    body: dict[str, Any] = {
        "model": model,
        "input": [{"role": "user", "content": content}],
        "max_output_tokens": request.max_tokens,
        # Nobody asked for the picture and the reply to be kept.
        "store": False,
    }
    if request.system:
        body["instructions"] = request.system
    if preset.temperature:
        body["temperature"] = request.temperature
    if request.top_logprobs:
        body["top_logprobs"] = min(request.top_logprobs, MOST_ALTERNATIVES)
        body["include"] = ["message.output_text.logprobs"]
    if request.schema is not None:
        shape = request.schema if preset.lenient else standard(request.schema)
        described = {"type": "json_schema", "name": "decision", "strict": True, "schema": shape}
        body["text"] = {"format": described}
    extra = dict(preset.extra or {})
    if effort := extra.pop("reasoning_effort", None):
        # As chat completions call it, so that callers need not know which of the two is spoken.
        body["reasoning"] = {"effort": effort}
    return body | extra


def read_responses(data: object, request: Request, latency_s: float) -> Reply:
    """Read a response.

    Args:
        data: The body, as JSON was read.
        request: What was asked.
        latency_s: Seconds that the call took.

    Returns:
        The reply.

    Raises:
        TransientError: It is no response, or says that the server failed.
        BackendError: It says that the request cannot be answered.
    """
    match data:
        case {"status": str(status), "output": list(output), **answer}:
            items = [mapping(item) for item in output]
        case _:
            msg = "the server replied with something that is not a response"
            raise TransientError(msg, hint="look at what stands between you and the server")
    model = read_text(answer.get("model")) or ""
    if error := mapping(answer.get("error")):
        return _failed(error, model)
    said = [item for item in items if item.get("type") == "message"]
    parts = [mapping(part) for item in said for part in _list(item.get("content"))]
    texts = [part for part in parts if part.get("type") == "output_text"]
    refusals = [str(part.get("refusal")) for part in parts if part.get("type") == "refusal"]
    text = "".join(part["text"] for part in texts if isinstance(part.get("text"), str))
    others = {item.get("type") for item in items} - {"message", "reasoning"}
    finish: Finish = "stop" if status == "completed" else "unknown"
    if refusals:
        text, finish = text or "".join(refusals), "refusal"
    elif others:
        finish = "tool_call"
    elif status == "incomplete":
        reason = mapping(answer.get("incomplete_details")).get("reason")
        finish = _INCOMPLETE.get(str(reason), "unknown")
    usage = mapping(answer.get("usage"))
    thought = any(item.get("type") == "reasoning" for item in items)
    counted = read_count(mapping(usage.get("output_tokens_details")).get("reasoning_tokens"))
    return Reply(
        text=text,
        finish=finish,
        model=model,
        usage=Usage(
            read_count(usage.get("input_tokens")),
            read_count(mapping(usage.get("input_tokens_details")).get("cached_tokens")),
            read_count(usage.get("output_tokens")),
        ),
        # A model that thought and counts 0 of it has not counted.
        hidden_thinking_tokens=None if thought and not counted else counted,
        latency_s=latency_s,
        tokens=_tokens(texts) if request.top_logprobs else None,
    )


def _failed(error: Mapping[str, Any], model: str) -> Reply:
    """What the server says went wrong; a filter before the model is a reply."""
    code, message = str(error.get("code")), " ".join(str(error.get("message")).split())[:300]
    if "policy" in code:
        return Reply("", "content_filter", model=model)
    msg = f"the server failed to respond ({code[:60]}): {message}"
    if code in _PASSING:
        raise TransientError(msg, retry_after=0.0 if code == _BUSY else None)
    raise BackendError(msg, hint="check the picture and the question that were sent")


def _tokens(texts: list[Mapping[str, Any]]) -> tuple[Token, ...] | None:
    """The tokens of all parts of the text; None if they are not there for every one of them."""
    lists = [read_tokens(part.get("logprobs")) for part in texts]
    if not lists or None in lists:
        return None
    return tuple(token for tokens in lists for token in tokens or ())


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
