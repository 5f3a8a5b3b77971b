"""Ollama's own protocol: `/api/generate`.

Its OpenAI-compatible route hands the schema of some models through a map, and a map comes out
sorted by key. On this route the schema stays the text that was sent. The contract survives sorting
either way; a schema of a caller's own would not.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from faithful_decide._core.types import Reply, Usage
from faithful_decide.backends._openai.reading import (
    MOST_ALTERNATIVES,
    finish_of,
    hidden_tokens,
    mapping,
    read_count,
    read_text,
    read_tokens,
    remark_on,
)
from faithful_decide.backends._openai.status import Said, said_in
from faithful_decide.backends._openai.wire import Wire

if TYPE_CHECKING:
    from faithful_decide.backends._openai.presets import Preset
    from faithful_decide.backends.base import Request

__all__ = ["OLLAMA"]


def ollama_body(request: Request, model: str, preset: Preset) -> dict[str, Any]:
    """Write the body of a generation."""
    options = {**preset.told_sampling, "num_predict": preset.limit_of(request)}
    if preset.temperature:
        options["temperature"] = request.temperature
    if request.seed is not None and preset.seed:
        options["seed"] = request.seed
    body: dict[str, Any] = {
        "model": model,
        "system": request.system,
        "prompt": request.text,
        "stream": False,
        # By default it cuts what is longer than the context, the picture too, and does not say so.
        "truncate": False,
        "shift": False,
        # A model that thinks would otherwise write its first words without the schema.
        "think": False,
        "options": options,
    }
    if request.images:
        body["images"] = [base64.b64encode(i.data).decode("ascii") for i in request.images]
    if request.schema is not None and preset.shape != "none":
        body["format"] = request.schema if preset.shape == "schema" else "json"
    if request.top_logprobs and preset.logprobs != "none":
        alternatives = min(request.top_logprobs, MOST_ALTERNATIVES)
        body |= {"logprobs": True, "top_logprobs": alternatives}
    return body


def read_ollama(data: object, request: Request, _: Preset) -> Reply | Said:
    """Read a generation, or what the server said instead of one."""
    rest = mapping(data)
    text = rest.get("response")
    if rest.get("error") or not isinstance(text, str):
        return said_in(data)
    reason = rest.get("done_reason")
    finish = finish_of(reason)
    counted = read_count(rest.get("eval_count"))
    listed = rest.get("logprobs") if request.top_logprobs else None
    return Reply(
        text=text,
        finish=finish,
        model=read_text(rest.get("model")) or "",
        usage=Usage(read_count(rest.get("prompt_eval_count")), None, counted),
        # It counts thinking and reply together.
        hidden_thinking_tokens=hidden_tokens(
            {}, counted, listed, text, shown=bool(rest.get("thinking"))
        ),
        tokens=read_tokens(listed, text),
        remark=remark_on(text, finish, reason, rest),
    )


OLLAMA = Wire("/api/generate", ollama_body, read_ollama, versioned=False)
