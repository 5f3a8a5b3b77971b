"""What servers of every protocol have in common when they reply, read with care.

Much of it is optional, servers differ, and what is missing must not turn into a zero: tokens that
were not counted are unknown, thinking that was shown and not counted is unknown, log-probabilities
that are null are absent. What cannot be used is named in the words of the server.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from faithful_decide._core.types import Finish, Token

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "MOST_ALTERNATIVES",
    "finish_of",
    "hidden_tokens",
    "joined_parts",
    "mapping",
    "one_line",
    "read_count",
    "read_text",
    "read_tokens",
    "remark_on",
    "shown_thinking",
]

MOST_ALTERNATIVES = 20
"""Alternatives per token that servers give at most."""
_IMPOSSIBLE = -9999.0
"""How the log-probability of what the grammar forbids is written; servers differ."""
_ENDS: Mapping[Finish, str] = {
    "stop": "stop eos eos_token stop_token end_turn stop_sequence complete",
    "length": """length max_tokens max_output_tokens max_new_tokens max_length model_length
        token_limit model_context_window_exceeded continuation""",
    "content_filter": """content_filter content_filtered safety image_safety recitation blocklist
        prohibited_content spii image_prohibited_content image_recitation language escalation
        guardrail_intervened guardrails sensitive""",
    "refusal": "refusal refused",
    "tool_call": """tool_calls tool_call tool_use function_call malformed_function_call
        unexpected_tool_call too_many_tool_calls""",
}
_FINISH = {word: finish for finish, words in _ENDS.items() for word in words.split()}
_THOUGHT = re.compile(r"reasoning|thinking|thoughts?\b", re.IGNORECASE)
_THINK = ("<think", "<thought", "<reasoning", "<|channel|>analysis", "[THINK]")
_TEXT_PARTS = frozenset({"text", "output_text"})
_MOST_TOKENS = 2**40


def finish_of(reason: object) -> Finish:
    """Why a reply ended: servers have a dozen names for it, in either case."""
    word = re.split(r"[^\w-]", str(reason).strip().casefold().removeprefix("finish_reason_"))[0]
    return _FINISH.get(word.replace("-", "_"), "unknown")


def remark_on(text: str, finish: Finish, reason: object, message: Mapping[str, Any]) -> str:
    """What has to be said of a reply that may be of no use, as far as the server gives it away."""
    if not text.strip():
        for field, value in _thoughts(message):
            if isinstance(value, str) and "{" in value:
                return (
                    f"the server put the text into {one_line(field, 40)!r}, as if it were thinking;"
                    " turn off its reasoning parser, or the thinking with effort=none"
                )
    if _opens_with_thinking(text):
        return (
            "it begins with a block of thinking; turn on the reasoning parser of the server, or "
            "turn off the thinking with effort=none"
        )
    if reason is None:
        return "the server gives no finish reason" if finish == "unknown" else ""
    if finish in {"unknown", "content_filter"}:
        return f"the finish reason of the server is {one_line(str(reason), 80)!r}"
    return ""


def shown_thinking(answer: Mapping[str, Any], text: str) -> bool:
    """Whether something was thought and shown, in any field or at the start of the text."""
    return any(True for _ in _thoughts(answer)) or _opens_with_thinking(text)


def _opens_with_thinking(text: str) -> bool:
    return text[:200].lstrip().startswith(_THINK)


def _thoughts(value: object, depth: int = 4) -> Iterable[tuple[str, object]]:
    """The fields, at any place, that hold what was thought."""
    if depth and isinstance(value, dict):
        for key, inner in value.items():
            if key == "logprobs":
                continue
            if _THOUGHT.search(str(key)) and inner:
                yield str(key), inner
            else:
                yield from _thoughts(inner, depth - 1)
    elif depth and isinstance(value, list):
        for inner in value:
            kind = mapping(inner).get("type")
            if isinstance(kind, str) and _THOUGHT.search(kind):
                yield kind, inner
            else:
                yield from _thoughts(inner, depth - 1)


def hidden_tokens(
    usage: Mapping[str, Any], counted: int | None, listed: object, text: str, *, shown: bool
) -> int | None:
    """The tokens thought out of sight; None where nobody can know, which is not 0.

    Where the server does not count them, it may list every token: if those are the text, and as
    many were counted, nothing else was written. The token that ends a turn is counted by some that
    do not list it. A server that shows what was thought and counts 0 of it has not counted.
    """
    if (told := _thinking_tokens(usage, shown=shown)) is not None or shown or counted is None:
        return told
    tokens = read_tokens(listed, text)
    if not tokens or not isinstance(listed, list) or counted > len(listed) + 1:
        return None
    return 0 if b"".join(token.data for token in tokens) == text.encode(errors="replace") else None


def _thinking_tokens(usage: Mapping[str, Any], *, shown: bool) -> int | None:
    places = (
        mapping(usage.get("completion_tokens_details")),
        mapping(usage.get("output_tokens_details")),
        usage,
    )
    names = ("reasoning_tokens", "thinking_tokens")
    counts = [read_count(place.get(name)) for place in places for name in names]
    counted = max((count for count in counts if count is not None), default=None)
    return None if shown and not counted else counted


def joined_parts(content: object) -> tuple[str, str, bool]:
    """The text of a message that may come in parts: the text, a refusal, whether it is all text."""
    if isinstance(content, str):
        return content, "", True
    texts, refusals, whole = [], [], content is None or isinstance(content, list)
    for part in content if isinstance(content, list) else ():
        kind, text = mapping(part).get("type"), mapping(part).get("text")
        if isinstance(part, str):
            texts.append(part)
        elif kind in _TEXT_PARTS and isinstance(text, str):
            texts.append(text)
        elif kind == "refusal":
            refusals.append(str(mapping(part).get("refusal")))
        elif not (isinstance(kind, str) and _THOUGHT.search(kind)):
            whole = False
    return "".join(texts), "".join(refusals), whole


def read_tokens(listed: object, text: str) -> tuple[Token, ...] | None:
    """Read the tokens of a text with their alternatives, as OpenAI and Ollama write them.

    None if there are none, or anything about them is not as it should be: a number that was read
    from half of it would be a guess. What follows the text, such as the token that ends a turn, is
    left out.
    """
    if not isinstance(listed, list) or not listed:
        return None
    try:
        tokens = tuple(_token(entry) for entry in listed)
    except (TypeError, ValueError, OverflowError):
        return None
    at, data = 0, text.encode(errors="replace")
    for index, token in enumerate(tokens):
        if at == len(data):
            return tokens[:index]
        if not data.startswith(token.data, at):
            break
        at += len(token.data)
    return tokens


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
    # Above 0 nothing is probable, but for rounding; nor is what is not a number.
    if not logprob < 1e-3:  # noqa: PLR2004
        raise ValueError
    weight = float(logprob) if math.isfinite(logprob) else _IMPOSSIBLE
    weight = max(weight, _IMPOSSIBLE)
    if isinstance(own, list) and all(type(b) is int and 0 <= b < 256 for b in own):  # noqa: PLR2004
        return bytes(own), weight
    if own is not None or not isinstance(text, str):
        raise ValueError
    return text.encode(errors="replace"), weight


def mapping(value: object) -> Mapping[str, Any]:
    """Take what should be a mapping for an empty one if it is none."""
    return value if isinstance(value, dict) else {}


def read_count(value: object) -> int | None:
    """Read a number of tokens; None if it is none, or more than can have been read or written."""
    return value if type(value) is int and 0 <= value < _MOST_TOKENS else None


def read_text(value: object) -> str | None:
    """Read a name; None if it is none. A lone surrogate in it could not be stored."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else None


def one_line(text: str, limit: int = 300) -> str:
    """A server's words as part of a line: nothing in them can move the cursor or turn the text."""
    folded = " ".join(text[: 4 * limit].split())
    shown = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in folded
    )
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"
