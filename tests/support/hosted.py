"""Anthropic and Google behind a real local server, answering as they document it today.

A model says what it refuses and in which words, how much it thinks within the limit of a reply and
in which way that is shown. Whatever a service is told to say instead comes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from faithful_decide.testing import reply_text
from tests.support.json_server import Answered, JsonServer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KEY = "sk-ant-planted-0123456789abcdef"
REPLY_TOKENS = 60


def anthropic_error(status: int, kind: str, message: str) -> Answered:
    """An error as Anthropic writes one."""
    return status, {"type": "error", "error": {"type": kind, "message": message}}


def google_error(status: int, name: str, message: str, **more: Any) -> Answered:
    """An error as Google writes one."""
    return status, {"error": {"code": status, "message": message, "status": name, **more}}


def _reply(parts: list[Any]) -> str:
    """A reply about as many pictures as there are."""
    return reply_text("yes", images=sum("text" not in part for part in parts))


def _anthropic(  # noqa: C901, PLR0911 - one line for each thing that it refuses
    body: dict[str, Any], headers: dict[str, str], path: str, thinks: int
) -> Answered:
    def bad(message: str) -> Answered:
        return anthropic_error(400, "invalid_request_error", message)

    if path != "/v1/messages":
        return anthropic_error(404, "not_found_error", "Not Found")
    if "anthropic-version" not in headers:
        return bad("anthropic-version: header is required")
    if headers.get("x-api-key") != KEY or "authorization" in headers:
        return anthropic_error(401, "authentication_error", "invalid x-api-key")
    model = body["model"]
    if any(name in body for name in ("temperature", "top_p", "top_k")):
        return bad("`temperature` is deprecated for this model.")
    known = {"model", "max_tokens", "messages", "system", "output_config", "thinking"}
    if extra := body.keys() - known:
        return bad(f"{min(extra)}: Extra inputs are not permitted")
    if body["messages"][-1]["role"] == "assistant":
        return bad("This model does not support assistant message prefill.")
    thinking = body.get("thinking", {}).get("type")
    if thinking == "disabled" and "5-5" in model:
        other = '"thinking.type.between_tools"' if "sonnet" in model else '"adaptive"'
        return bad(f'"thinking.type.disabled" is not supported for this model. Use {other}')
    if thinking == "between_tools" and "sonnet-5-5" not in model:
        return bad('"thinking.type.between_tools" is not supported for this model.')
    thinks = 0 if thinking in {"disabled", "between_tools"} else thinks
    limit = body["max_tokens"]
    cut = limit < thinks + REPLY_TOKENS
    content: list[dict[str, Any]] = []
    if thinks:
        content.append({"type": "thinking", "thinking": "", "signature": "c2ln"})
    if not cut:
        content.append({"type": "text", "text": _reply(body["messages"][0]["content"])})
    return 200, {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": f"{model}-20260922",
        "content": content,
        "stop_reason": "max_tokens" if cut else "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "usage": {
            "input_tokens": 500,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 20,
            "output_tokens": min(limit, thinks + REPLY_TOKENS),
            "output_tokens_details": {"thinking_tokens": min(limit, thinks)},
        },
    }


def _google(  # noqa: PLR0911 - the same
    body: dict[str, Any], headers: dict[str, str], path: str, thinks: int
) -> Answered:
    def bad(message: str) -> Answered:
        return google_error(400, "INVALID_ARGUMENT", message)

    version, models, call = path.strip("/").split("/", 2)
    model, _, method = call.partition(":")
    if (version, models, method) != ("v1beta", "models", "generateContent"):
        return google_error(404, "NOT_FOUND", "")
    if headers.get("x-goog-api-key") != KEY or "authorization" in headers:
        reason = [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
        ]
        said = "API key not valid. Please pass a valid API key."
        return google_error(400, "INVALID_ARGUMENT", said, details=reason)
    if extra := body.keys() - {"contents", "systemInstruction", "generationConfig"}:
        return bad(
            f'Invalid JSON payload received. Unknown name "{min(extra)}": Cannot find field.'
        )
    config = body["generationConfig"]
    known = {"maxOutputTokens", "seed", "responseMimeType", "responseJsonSchema", "thinkingConfig"}
    if extra := config.keys() - known:
        return bad(f"Unknown name \"{min(extra)}\" at 'generation_config': Cannot find field.")
    thinking = config.get("thinkingConfig", {})
    older = "gemini-2" in model
    if "thinkingLevel" in thinking and older:
        return bad("Thinking level is not supported for this model.")
    if "thinkingBudget" in thinking and not older:
        return bad("Thinking budget is not supported for this model.")
    if thinking.get("thinkingLevel") == "MINIMAL":
        return bad("Thinking level MINIMAL is not supported for this model.")
    thinks = 0 if thinking.get("thinkingBudget") == 0 else thinks
    limit = config["maxOutputTokens"]
    cut = limit < thinks + REPLY_TOKENS
    text = _reply(body["contents"][0]["parts"])
    parts = [] if cut else [{"text": text, "thoughtSignature": "c2ln"}]
    usage = {
        "promptTokenCount": 520,
        "candidatesTokenCount": 0 if cut else REPLY_TOKENS,
        "totalTokenCount": 520 + min(limit, thinks + (0 if cut else REPLY_TOKENS)),
    }
    if thinks:  # what is 0 is left out
        usage["thoughtsTokenCount"] = min(limit, thinks)
    content = {"role": "model", "parts": parts} if parts else {"role": "model"}
    return 200, {
        "candidates": [
            {"content": content, "finishReason": "MAX_TOKENS" if cut else "STOP", "index": 0}
        ],
        "usageMetadata": usage,
        "modelVersion": model,
        "responseId": "r",
    }


SERVICES: dict[str, Callable[..., Answered]] = {"anthropic": _anthropic, "google": _google}


@dataclass
class HostedServer(JsonServer):
    """One of the services, with any model."""

    kind: str
    thinks: int = 700
    instead: Answered | None = None
    """What is said instead of a reply."""

    def answer(self, body: dict[str, Any], headers: Mapping[str, str], path: str) -> Answered:
        """A reply of the service, or what is said instead."""
        return self.instead or SERVICES[self.kind](body, headers, path, self.thinks)
