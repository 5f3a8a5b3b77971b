"""The wire format of OpenAI's chat completions: a request to JSON, and JSON to a reply.

Nothing here opens a connection. What comes back is read with care, because much of it is optional,
servers differ, and what is missing must not turn into a zero: tokens that were not counted are
unknown, thinking that was not counted is unknown, log-probabilities that are null are absent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faithful_decide._core.json_schema import standard
from faithful_decide._core.schema import filled
from faithful_decide._core.types import Finish, Reply, Token, Usage
from faithful_decide.backends._grammar import gbnf_of_rest, regex_of_rest
from faithful_decide.errors import TransientError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from faithful_decide.backends._openai.presets import Preset
    from faithful_decide.backends.base import Request

__all__ = [
    "MOST_ALTERNATIVES",
    "chat_body",
    "mapping",
    "read_chat",
    "read_count",
    "read_text",
    "read_tokens",
]

MOST_ALTERNATIVES = 20
"""Alternatives per token that servers give at most."""
_FINISH: Mapping[str, Finish] = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
    "tool_calls": "tool_call",
    "function_call": "tool_call",
    "refusal": "refusal",
}


def chat_body(request: Request, model: str, preset: Preset) -> dict[str, Any]:
    """Write the body of a chat completion.

    Args:
        request: What to ask.
        model: The name that the server knows the model by.
        preset: What is known of the server.

    Returns:
        The body, ready to be sent as JSON.
    """
    content: list[dict[str, Any]] = [{"type": "text", "text": request.text}]
    if request.image is not None:
        content.insert(0, {"type": "image_url", "image_url": {"url": request.image.data_uri()}})
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if request.system:
        messages.insert(0, {"role": "system", "content": request.system})
    body: dict[str, Any] = {"model": model, "messages": messages}
    body[preset.length_limit] = request.max_tokens
    if preset.temperature:
        body["temperature"] = request.temperature
    if request.seed is not None:
        body["seed"] = request.seed
    if request.top_logprobs:
        body |= {"logprobs": True, "top_logprobs": min(request.top_logprobs, MOST_ALTERNATIVES)}
    if request.prefix:
        messages.append({"role": "assistant", "content": request.prefix})
        if preset.prefix != "gbnf":
            body |= {"continue_final_message": True, "add_generation_prompt": False}
    if request.schema is not None:
        body |= _shape(request.schema, request.prefix, preset)
    return body | dict(preset.extra or {})


def _shape(schema: Mapping[str, Any], prefix: str, preset: Preset) -> dict[str, Any]:
    """The part that says what the reply has to look like."""
    if preset.prefix == "gbnf":
        # Not response_format: that route allows a fence and any white space around the object.
        return {"grammar": gbnf_of_rest(filled(schema), prefix)}
    if prefix:
        # The grammar of these servers begins where the model does, after the forced start.
        rest = {"regex": regex_of_rest(filled(schema), prefix)}
        return rest if preset.prefix == "regex" else {"structured_outputs": rest}
    shape = schema if preset.lenient else standard(schema)
    described = {"name": "decision", "strict": True, "schema": shape}
    return {"response_format": {"type": "json_schema", "json_schema": described}}


def read_chat(data: object, request: Request, preset: Preset, latency_s: float) -> Reply:
    """Read a chat completion.

    Args:
        data: The body of the response, as JSON was read.
        request: What was asked.
        preset: What is known of the server.
        latency_s: Seconds that the call took.

    Returns:
        The reply.

    Raises:
        TransientError: It is no chat completion; something between us and the model answered.
    """
    match data:
        case {"choices": [{"message": dict(message), **choice}]}:
            pass
        case _:
            msg = "the server replied with something that is not a chat completion"
            raise TransientError(msg, hint="look at what stands between you and the server")
    answer: Mapping[str, Any] = data  # type: ignore[assignment]
    refusal, content = message.get("refusal"), message.get("content")
    text = content if isinstance(content, str) else ""
    finish = _FINISH.get(str(choice.get("finish_reason")), "unknown")
    if isinstance(refusal, str) and refusal:
        text, finish = text or refusal, "refusal"
    elif message.get("tool_calls") or message.get("function_call"):
        finish = "tool_call"
    if request.prefix and not preset.echoes_prefix:
        text = request.prefix + text
    usage = mapping(answer.get("usage"))
    return Reply(
        text=text,
        finish=finish,
        model=read_text(answer.get("model")) or "",
        fingerprint=read_text(answer.get("system_fingerprint")),
        usage=Usage(
            read_count(usage.get("prompt_tokens")),
            read_count(mapping(usage.get("prompt_tokens_details")).get("cached_tokens")),
            read_count(usage.get("completion_tokens")),
        ),
        hidden_thinking_tokens=_thinking(message, usage),
        latency_s=latency_s,
        tokens=read_tokens(mapping(choice.get("logprobs")).get("content"))
        if request.top_logprobs
        else None,
    )


def _thinking(message: Mapping[str, Any], usage: Mapping[str, Any]) -> int | None:
    """The tokens thought in hiding; None where nobody counted them, which is not 0."""
    counted = read_count(mapping(usage.get("completion_tokens_details")).get("reasoning_tokens"))
    shown = message.get("reasoning_content") or message.get("reasoning")
    # A server that shows what was thought and counts 0 of it has not counted.
    return None if shown and not counted else counted


def read_tokens(listed: object) -> tuple[Token, ...] | None:
    """Read tokens with their alternatives, as OpenAI and Ollama write them.

    Args:
        listed: What stands in the place of the list.

    Returns:
        The tokens; None if there are none, or anything about them is not as it should be. A number
        that was read from half of it would be a guess.
    """
    if not isinstance(listed, list) or not listed:
        return None
    try:
        return tuple(_token(entry) for entry in listed)
    except (TypeError, ValueError):
        return None


def _token(entry: object) -> Token:
    data, logprob = _weighed(entry)
    top = mapping(entry).get("top_logprobs") or []
    if not isinstance(top, list):
        raise TypeError
    # The likeliest last, so that of two with the same bytes it stays.
    weighed = sorted(map(_weighed, top), key=lambda pair: pair[1])
    return Token(data, dict(weighed) or {data: logprob})


def _weighed(entry: object) -> tuple[bytes, float]:
    """The bytes of a token and its log-probability."""
    token = mapping(entry)
    own, text, logprob = token.get("bytes"), token.get("token"), token.get("logprob")
    if isinstance(logprob, bool) or not isinstance(logprob, int | float):
        raise TypeError
    # -9999 and the like stand for "impossible"; above 0 nothing is probable.
    if not -1e30 < logprob < 1e-3:  # noqa: PLR2004 - rounding above, nonsense below
        raise ValueError
    if isinstance(own, list) and all(type(b) is int and 0 <= b < 256 for b in own):  # noqa: PLR2004
        return bytes(own), float(logprob)
    if own is not None or not isinstance(text, str):
        raise ValueError
    return text.encode(errors="replace"), float(logprob)


def mapping(value: object) -> Mapping[str, Any]:
    """Take what should be a mapping for an empty one if it is none.

    Args:
        value: What stands in its place.

    Returns:
        A mapping.
    """
    return value if isinstance(value, dict) else {}


def read_count(value: object) -> int | None:
    """Read a number of tokens; None if it is none."""
    return value if type(value) is int and value >= 0 else None


def read_text(value: object) -> str | None:
    """Read a name; None if it is none. A lone surrogate in it could not be stored."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else None
