"""Model families behind a real local server, each answering as its documentation and threads say.

A family says what it refuses and in which words, how much it thinks within the limit of a reply,
in which finish reason a reply ends, and what it blocks. Chat completions and responses are both
spoken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from faithful_decide.testing import reply_text
from tests.support.json_server import Answered, JsonServer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REPLY_TOKENS = 60


def openai_error(message: str, param: str | None, code: str | None = None) -> Answered:
    """An error as OpenAI writes one."""
    kind = "invalid_request_error"
    return 400, {"error": {"message": message, "type": kind, "param": param, "code": code}}


def unsupported(param: str, message: str = "") -> Answered:
    """How OpenAI's models that think refuse a parameter."""
    said = message or f"Unsupported parameter: '{param}' is not supported with this model."
    return openai_error(said, param, "unsupported_parameter")


@dataclass
class Family:
    """How one family of models is."""

    name: str
    refuses: Callable[[dict[str, Any]], Answered | None] = lambda _: None
    thinks: int = 0
    shows: str = ""
    """The field in which it shows what it thinks."""
    finish: str = "stop"
    blocked: bool = False
    left_out: frozenset[str] = frozenset()
    """What a request may not have in the end."""
    first: int = 2
    """Requests of the first decision."""
    spec: str = "openai"


def _has(*names: str) -> Callable[[dict[str, Any]], str]:
    return lambda body: next((name for name in names if name in body), "")


def _astra(body: dict[str, Any]) -> Answered | None:
    for name in ("temperature", "top_p", "top_logprobs", "logprobs"):
        if name in body:
            return unsupported(name)
    return None


def _gpt5_mini(body: dict[str, Any]) -> Answered | None:
    if body.get("temperature", 1) != 1:
        words = "Unsupported value: 'temperature' does not support 0 with this model. Only the"
        return openai_error(f"{words} default (1) value is supported.", "temperature")
    return unsupported("top_logprobs") if "top_logprobs" in body else None


def _o4_mini(body: dict[str, Any]) -> Answered | None:
    if "max_tokens" in body:
        words = "Unsupported parameter: 'max_tokens' is not supported with this model. Use"
        return unsupported("max_tokens", f"{words} 'max_completion_tokens' instead.")
    return _astra(body)


def _litellm_claude(body: dict[str, Any]) -> Answered | None:
    if "logprobs" in body:
        words = "litellm.UnsupportedParamsError: anthropic does not support parameters: "
        words += "['logprobs', 'top_logprobs'], for model=claude-opus-4-8. To drop these, set "
        return 400, {"error": {"message": f"{words}`litellm.drop_params=True`", "param": None}}
    if "temperature" in body:
        said = "litellm.BadRequestError: AnthropicException - `temperature` is deprecated for this "
        return 400, {"error": {"message": f"{said}model.", "type": None, "param": None}}
    return None


def _databricks_claude(body: dict[str, Any]) -> Answered | None:
    if "temperature" in body:
        words = "BAD_REQUEST: Model us.anthropic.claude-opus-5 does not support the temperature "
        return 400, {"error_code": "BAD_REQUEST", "message": f"{words}parameter."}
    return None


def _gemini(body: dict[str, Any]) -> Answered | None:
    if "logprobs" in body:
        words = "Unable to submit request because Logprobs is not supported for this model."
        error = {"code": 400, "message": words, "status": "INVALID_ARGUMENT"}
        return 400, [{"error": error}]
    return None


def _pixtral(body: dict[str, Any]) -> Answered | None:
    extra = [name for name in ("logprobs", "top_logprobs", "seed") if name in body]
    if extra:
        detail = [
            {
                "type": "extra_forbidden",
                "loc": ["body", name],
                "msg": "Extra inputs are not permitted",
                "input": body,
            }
            for name in extra
        ]
        return 422, {"object": "error", "message": {"detail": detail}, "code": None}
    return None


def _groq_llama(body: dict[str, Any]) -> Answered | None:
    if "logprobs" in body:
        words = "`logprobs` is not supported with this model"
        return 400, {"error": {"message": words, "type": "invalid_request_error"}}
    return None


def _grok(body: dict[str, Any]) -> Answered | None:
    if name := _has("logprobs", "top_logprobs")(body):
        return 400, {
            "code": "Client specified an invalid argument",
            "error": f"Argument not supported on this model: {name}",
        }
    return None


def _kimi(body: dict[str, Any]) -> Answered | None:
    if body.get("temperature", 1) != 1:
        words = "invalid temperature: only 1 is allowed for this model"
        return 400, {"error": {"message": words, "type": "invalid_request_error"}}
    return None


def _router(body: dict[str, Any]) -> Answered | None:
    if "temperature" in body:
        words = "No endpoints found that can handle the requested parameters. To learn more about "
        return 404, {"error": {"message": f"{words}provider routing, visit ...", "code": 404}}
    return None


def _deepseek(body: dict[str, Any]) -> Answered | None:
    if body.get("response_format", {}).get("type") == "json_schema":
        words = "This response_format type is unavailable now"
        return openai_error(words, None, "invalid_request_error")
    return None


def _llama_cpp_python(body: dict[str, Any]) -> Answered | None:
    if body.get("response_format", {}).get("type") == "json_schema":
        words = "[{'type': 'literal_error', 'loc': ('body', 'response_format', 'type'), 'msg': "
        words += "\"Input should be 'text' or 'json_object'\", 'input': 'json_schema'}]"
        return 500, {"error": {"message": words, "type": "internal_server_error"}}
    return None


def _knows_nothing(body: dict[str, Any]) -> Answered | None:
    if "response_format" in body:
        words = "Unrecognized request argument supplied: response_format"
        return openai_error(words, None)
    return None


def _oss(body: dict[str, Any]) -> Answered | None:
    limit = body.get("max_tokens", 0)
    if limit > 8192 - 1500:
        words = f"'max_tokens' or 'max_completion_tokens' is too large: {limit}. This model's "
        words += "maximum context length is 8192 tokens and your request has 1500 input tokens "
        return 400, {
            "error": {
                "message": f"{words}({limit} > 8192 - 1500).",
                "type": "BadRequestError",
                "param": "max_tokens",
            }
        }
    return None


_SAMPLING = frozenset({"temperature", "top_logprobs", "logprobs"})
FAMILIES = (
    Family("gpt-6-astra", _astra, thinks=700, left_out=_SAMPLING),
    Family("gpt-6-astra", _astra, thinks=700, left_out=_SAMPLING, spec="azure"),
    Family("gpt-5-mini", _gpt5_mini, thinks=900, left_out=_SAMPLING),
    Family("o4-mini", _o4_mini, thinks=600, left_out=_SAMPLING | {"max_tokens"}),
    Family("my-claude", _litellm_claude, left_out=_SAMPLING, spec="litellm", finish="end_turn"),
    Family("databricks-claude-opus-5", _databricks_claude, left_out=_SAMPLING, thinks=800),
    Family("gemini-3-pro", _gemini, left_out=frozenset({"logprobs"}), thinks=500, finish="STOP"),
    Family("pixtral-large", _pixtral, left_out=frozenset({"logprobs", "top_logprobs"})),
    Family("llama-4-scout", _groq_llama, left_out=frozenset({"logprobs"})),
    Family("grok-4", _grok, left_out=frozenset({"logprobs"}), thinks=2000),
    Family("kimi-k2.5", _kimi, left_out=frozenset({"temperature"}), shows="reasoning_content"),
    Family("openai/gpt-5.4", _router, left_out=frozenset({"temperature"}), spec="openrouter"),
    Family("deepseek-vl", _deepseek),
    Family("llava", _llama_cpp_python),
    Family("an-old-one", _knows_nothing, left_out=frozenset({"response_format"})),
    Family("gpt-oss-120b", _oss, thinks=300, shows="reasoning", spec="vllm"),
    Family("Qwen3-VL-8B", thinks=1500, shows="reasoning_content", spec="vllm"),
    Family("Qwen3-VL-8B-Thinking", thinks=1500, shows="reasoning", first=1, spec="sglang"),
    Family("glm-4.5v", finish="sensitive", blocked=True, first=1),
    Family("gpt-4o", finish="content_filter", blocked=True, first=1),
)


@dataclass
class FamilyServer(JsonServer):
    """A server with one model of a family."""

    mount: ClassVar[str] = "/v1"
    family: Family

    def answer(self, body: dict[str, Any], headers: Mapping[str, str], path: str) -> Answered:
        """A refusal, or a reply of which thinking has taken its part."""
        del headers
        responses = path.endswith("/responses")
        family = self.family
        if refusal := family.refuses(body):
            return refusal
        limits = ("max_tokens", "max_completion_tokens", "max_output_tokens")
        limit = next(body[name] for name in limits if name in body)
        left = limit - family.thinks
        text = reply_text("yes") if left >= REPLY_TOKENS and not family.blocked else ""
        cut = left < REPLY_TOKENS
        made = min(limit, family.thinks + REPLY_TOKENS)
        thought = min(limit, family.thinks)
        if responses:
            return 200, self._response(text, made, thought, cut=cut)
        message: dict[str, Any] = {"role": "assistant", "content": text or None}
        if family.shows and family.thinks:
            message[family.shows] = "hm, let me see"
        usage: dict[str, Any] = {"prompt_tokens": 500, "completion_tokens": made}
        if not family.shows:
            usage["completion_tokens_details"] = {"reasoning_tokens": thought}
        finish = "length" if cut else family.finish
        return 200, {
            "object": "chat.completion",
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": usage,
        }

    def _response(self, text: str, made: int, thought: int, *, cut: bool) -> dict[str, Any]:
        part = {"type": "output_text", "text": text, "annotations": []}
        output: list[dict[str, Any]] = [{"type": "reasoning", "summary": []}]
        if not cut:
            output.append({"type": "message", "role": "assistant", "content": [part]})
        return {
            "object": "response",
            "status": "incomplete" if cut else "completed",
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "model": self.family.name,
            "output": output,
            "usage": {
                "input_tokens": 500,
                "output_tokens": made,
                "output_tokens_details": {"reasoning_tokens": thought},
            },
        }
