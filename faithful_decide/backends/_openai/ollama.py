"""Ollama's own protocol: `/api/generate`.

Its OpenAI-compatible route hands the schema of some models through a map, and a map comes out
sorted by key. On this route the schema stays the text that was sent. The contract survives sorting
either way; a schema of a caller's own would not.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from faithful_decide._core.types import Finish, Reply, Usage
from faithful_decide.backends._openai.chat import (
    MOST_ALTERNATIVES,
    read_count,
    read_text,
    read_tokens,
)
from faithful_decide.errors import TransientError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from faithful_decide.backends._openai.presets import Preset
    from faithful_decide.backends.base import Request

__all__ = ["ollama_body", "read_ollama"]

_FINISH: Mapping[str, Finish] = {"stop": "stop", "length": "length"}


def ollama_body(request: Request, model: str, preset: Preset) -> dict[str, Any]:
    """Write the body of a generation.

    Args:
        request: What to ask.
        model: The name that the server knows the model by.
        preset: What is known of the server.

    Returns:
        The body, ready to be sent as JSON.
    """
    options: dict[str, Any] = {"num_predict": request.max_tokens}
    if preset.temperature:
        options["temperature"] = request.temperature
    if request.seed is not None:
        options["seed"] = request.seed
    body: dict[str, Any] = {
        "model": model,
        "system": request.system,
        "prompt": request.text,
        "stream": False,
        # A model that thinks would otherwise write its first words without the schema.
        "think": False,
        "options": options,
    }
    if request.image is not None:
        body["images"] = [base64.b64encode(request.image.data).decode("ascii")]
    if request.schema is not None:
        body["format"] = request.schema
    if request.top_logprobs:
        alternatives = min(request.top_logprobs, MOST_ALTERNATIVES)
        body |= {"logprobs": True, "top_logprobs": alternatives}
    return body | dict(preset.extra or {})


def read_ollama(data: object, request: Request, latency_s: float) -> Reply:
    """Read a generation.

    Args:
        data: The body of the response, as JSON was read.
        request: What was asked.
        latency_s: Seconds that the call took.

    Returns:
        The reply.

    Raises:
        TransientError: It is no generation; something between us and the model answered.
    """
    match data:
        case {"response": str(text), **rest}:
            pass
        case _:
            msg = "the server replied with something that is not a generation of Ollama"
            raise TransientError(msg, hint="look at what stands between you and the server")
    return Reply(
        text=text,
        finish=_FINISH.get(str(rest.get("done_reason")), "unknown"),
        model=read_text(rest.get("model")) or "",
        usage=Usage(
            read_count(rest.get("prompt_eval_count")), None, read_count(rest.get("eval_count"))
        ),
        # It counts thinking and reply together.
        hidden_thinking_tokens=None,
        latency_s=latency_s,
        tokens=read_tokens(rest.get("logprobs")) if request.top_logprobs else None,
    )
