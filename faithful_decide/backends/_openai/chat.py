"""The wire format of OpenAI's chat completions: a request to JSON, and JSON to a reply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faithful_decide._core.json_schema import standard
from faithful_decide._core.schema import filled
from faithful_decide._core.types import Reply, Usage
from faithful_decide.backends._grammar import gbnf_of_rest, regex_of_rest
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

__all__ = ["CHAT", "NotRepeated", "chat_body", "read_chat"]

_FILTERED = ("prompt_filter_results", "promptFeedback", "prompt_feedback", "block_reason")


class NotRepeated(Exception):  # noqa: N818 - what became of a forced start
    """A server that always repeats a forced start has not done so."""


def chat_body(request: Request, model: str, preset: Preset) -> dict[str, Any]:
    """Write the body of a chat completion."""
    content: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": image.data_uri()}} for image in request.images
    ]
    content.append({"type": "text", "text": request.text})
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if request.system:
        messages.insert(0, {"role": "system", "content": request.system})
    body: dict[str, Any] = {"model": model, "messages": messages}
    body[preset.length_limit] = preset.limit_of(request)
    body |= preset.told_sampling
    if preset.temperature:
        body["temperature"] = request.temperature
    if request.seed is not None and preset.seed:
        body["seed"] = request.seed
    if request.top_logprobs and preset.logprobs != "none":
        body |= {"logprobs": True, "top_logprobs": min(request.top_logprobs, MOST_ALTERNATIVES)}
    if request.prefix:
        messages.append({"role": "assistant", "content": request.prefix})
        if preset.prefix != "gbnf":
            body |= {"continue_final_message": True, "add_generation_prompt": False}
    if request.schema is not None:
        body |= _shape(request.schema, request.prefix, preset)
    return body


def _shape(schema: Mapping[str, Any], prefix: str, preset: Preset) -> dict[str, Any]:
    """The part that says what the reply has to look like."""
    if preset.prefix == "gbnf":
        # Not response_format: that route allows a fence and any white space around the object.
        return {"grammar": gbnf_of_rest(filled(schema), prefix)}
    if prefix or preset.shape == "regex":
        # The grammar of these servers begins where the model does, after the forced start.
        rest = {"regex": regex_of_rest(filled(schema), prefix)}
        return rest if preset.prefix == "regex" else {"structured_outputs": rest}
    if preset.shape != "schema":
        return {"response_format": {"type": preset.shape}} if preset.shape != "none" else {}
    shape = schema if preset.lenient else standard(schema)
    described = {"name": "decision", "strict": True, "schema": shape}
    return {"response_format": {"type": "json_schema", "json_schema": described}}


def read_chat(data: object, request: Request, preset: Preset) -> Reply | Said:
    """Read a chat completion, or what the server said instead of one."""
    answer = mapping(data)
    choice = _choice(answer) if answer else said_in(data)
    if not isinstance(choice, dict):
        return choice
    message = mapping(choice.get("message"))
    text, refusal, whole = joined_parts(message.get("content"))
    refusal = refusal or read_text(message.get("refusal")) or ""
    finish = finish_of(choice.get("finish_reason"))
    if refusal:
        text, finish = text or refusal, "refusal"
    elif message.get("tool_calls") or message.get("function_call"):
        finish = "tool_call"
    elif not whole:
        finish = "unknown"
    made = text
    if request.prefix:
        made = text if refusal else _continuation(text, request.prefix, preset)
        text = request.prefix + made
    usage = mapping(answer.get("usage"))
    counted = read_count(usage.get("completion_tokens"))
    listed = mapping(choice.get("logprobs")).get("content") if request.top_logprobs else None
    tokens = read_tokens(listed, made)
    return Reply(
        text=text,
        finish=finish,
        model=read_text(answer.get("model")) or "",
        fingerprint=read_text(answer.get("system_fingerprint")),
        usage=Usage(
            read_count(usage.get("prompt_tokens")),
            read_count(mapping(usage.get("prompt_tokens_details")).get("cached_tokens")),
            counted,
        ),
        hidden_thinking_tokens=hidden_tokens(
            usage, counted, listed, made, shown=shown_thinking(choice, made)
        ),
        tokens=tokens,
        remark=remark_on(made, finish, choice.get("finish_reason"), choice)
        if whole
        else "a part of the message is no text",
    )


def _continuation(text: str, prefix: str, preset: Preset) -> str:
    """What was written after a forced start.

    The grammar makes anything look like one: a server that begins a new message after the forced
    start is bound to the rest of the form all the same.
    """
    if preset.echoes_prefix == "never":
        return text
    if preset.echoes_prefix == "always" and text and not text.startswith(prefix):
        raise NotRepeated
    return text.removeprefix(prefix)


def _choice(answer: Mapping[str, Any]) -> dict[str, Any] | Reply | Said:
    """The one reply of an answer; or that the prompt was blocked, or what went wrong."""
    if answer.get("error") or answer.get("object") == "error":
        return said_in(answer)
    match choices := answer.get("choices"):
        case [{"error": dict() | str() as error}] if error:
            return said_in({"error": error})
        case [{"message": dict()} as choice]:
            return dict(choice)
        case [{"finish_reason": str()} as choice] if choice.get("message") is None:
            return dict(choice)
    blocked = any(answer.get(key) for key in _FILTERED)
    if blocked or (choices == [] and not said_in(answer).words):
        remark = "the server sent no reply, which is how some say that the prompt was blocked"
        return Reply("", "content_filter", read_text(answer.get("model")) or "", remark=remark)
    return said_in(answer)


CHAT = Wire("/chat/completions", chat_body, read_chat)
