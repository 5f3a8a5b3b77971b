"""How much a model is to think before it replies, in one word for every provider that has a say.

What a model thinks counts towards the limit of its reply, so a limit that is meant for the reply
alone would be used up before it begins. A model that thinks is given room on top, more for more
effort; what it does not use costs nothing.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias, get_args

from faithful_decide.errors import UsageError

__all__ = ["Effort", "checked_effort", "room_for", "thinks"]

Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
"""Which of them a model takes is up to the model; one that it does not take is its error."""
_ROOM: dict[Effort | None, int] = {
    "none": 0,
    "minimal": 2_048,
    "low": 4_096,
    "medium": 8_192,
    None: 8_192,
    "high": 16_384,
    "xhigh": 32_768,
    "max": 32_768,
}
_THINKS = re.compile(
    r"\bo[1-9]\b|gpt-?(5|6|7|oss)|claude-(opus|sonnet|haiku|fable)-[4-9]|gemini-(2\.5|[3-9])"
    r"|grok-[4-9]|deepseek-r\d|\bqw?[qv]q\b|magistral|thinking|reasoning|reasoner|\br1\b",
    re.IGNORECASE,
)
"""Families whose models think unless they are told not to, by their names."""


def checked_effort(effort: object) -> Effort | None:
    """The effort that a caller asks for, or a UsageError that lists those there are."""
    words: dict[str, Effort] = {word: word for word in get_args(Effort)}
    if effort is None or (isinstance(effort, str) and effort in words):
        return None if effort is None else words[effort]
    msg = f"effort is one of {', '.join(words)}, not {effort!r}"
    raise UsageError(msg, hint='pass effort="low", or leave it out')


def thinks(name: str) -> bool:
    """Whether a model of this name is known to think before it replies."""
    return bool(_THINKS.search(name))


def room_for(effort: Effort | None, *, thinks: bool = True) -> int:
    """The tokens to allow beyond the limit of a reply; without an effort, to those who think."""
    return _ROOM[effort] if effort is not None or thinks else 0
