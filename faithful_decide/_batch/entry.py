"""What a reply is kept under, and how it is written down.

The key is a hash of the whole request and of whom it is for. Of the alternatives to each token only
those from the verdict on are written down: nothing else is computed from them, and they are most of
what a server sends.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from faithful_decide._asking.decision import request_sha256
from faithful_decide._core.types import Reply, Token, Usage, fault_of
from faithful_decide._version import __version__

if TYPE_CHECKING:
    from faithful_decide.backends.base import Backend, Request

__all__ = ["digest", "from_the_verdict", "reply_data", "reply_of", "request_key"]

_VERDICT = b'"verdict"'


def request_key(request: Request, backend: Backend) -> bytes:
    """Say what was asked of whom; equal keys mean that the same reply would do."""
    return digest("reply", request_sha256(request), request.nth, backend.identity)


def digest(*parts: object) -> bytes:
    """Hash what can be written as JSON, and the version of this package."""
    text = json.dumps([__version__, *parts], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()


def reply_data(reply: Reply) -> dict[str, Any]:
    """Write a reply as JSON, for `reply_of` to read."""
    kept: dict[str, Any] = {
        "text": reply.text,
        "finish": reply.finish,
        "model": reply.model,
        "fingerprint": reply.fingerprint,
        "usage": [
            reply.usage.prompt_tokens,
            reply.usage.cached_tokens,
            reply.usage.completion_tokens,
        ],
        "hidden_thinking_tokens": reply.hidden_thinking_tokens,
        "latency_s": reply.latency_s,
        "constraint": reply.constraint,
        "remark": reply.remark,
        "notes": list(reply.notes),
    }
    if reply.tokens is not None:
        kept["tokens"] = [
            [_text(token.data), {_text(data): p for data, p in token.top.items()}]
            for token in from_the_verdict(reply.tokens)
        ]
    return kept


def from_the_verdict(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """Leave out the alternatives that nothing is computed from.

    What stands before the verdict becomes one token without any; without a verdict all stay.
    """
    raw = b"".join(token.data for token in tokens)
    at, start = 0, raw.rfind(_VERDICT)
    for index, token in enumerate(tokens):
        if start < 0 or at + len(token.data) > start:
            head = [Token(raw[:at], {})] if index else []
            return (*head, *tokens[index:])
        at += len(token.data)
    return tokens


def reply_of(data: Any) -> Reply:  # noqa: ANN401 - JSON
    """Read what `reply_data` wrote; a ValueError for anything else, whatever it is."""
    try:
        tokens = data.get("tokens")
        listed = None if tokens is None else tuple(_token(*pair) for pair in tokens)
        usage = Usage(*data["usage"])
        notes = tuple(data.get("notes", ()))
        reply = Reply(**{**data, "usage": usage, "tokens": listed, "notes": notes})
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(*error.args) from None
    if fault := fault_of(reply):
        raise ValueError(fault)
    return reply


def _token(data: str, top: dict[str, float]) -> Token:
    return Token(_bytes(data), {_bytes(text): p for text, p in top.items()})


def _text(data: bytes) -> str:
    """Bytes as a text of JSON, one character each: a token may end in the middle of a character."""
    return data.decode("latin-1")


def _bytes(text: str) -> bytes:
    return text.encode("latin-1")
