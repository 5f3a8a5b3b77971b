"""What a protocol is to this library: how a request is written, and how a reply is read.

One module for each: `chat`, `responses`, `ollama`, `anthropic`, `google`. What a server can do
depends on the protocol as much as on the server, so what is promised is derived here, from both,
after it is known which of them is spoken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from faithful_decide.backends._openai.extra import merged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from faithful_decide._core.types import Reply
    from faithful_decide.backends._openai.presets import Preset
    from faithful_decide.backends._openai.status import Said
    from faithful_decide.backends.base import Request

__all__ = ["Wire"]


def _unchanged(extra: Mapping[str, Any]) -> Mapping[str, Any]:
    return extra


def _bearer(_: str) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Wire:
    """One protocol: its path, how a body is written, and how what comes back is read."""

    path: str
    write: Callable[[Request, str, Preset], dict[str, Any]]
    read: Callable[[object, Request, Preset], Reply | Said]
    """A reply, or what the server said instead of one."""
    spelt: Callable[[Mapping[str, Any]], Mapping[str, Any]] = _unchanged
    """What a caller adds to every request, in the spelling of this protocol."""
    headers: Callable[[str], Mapping[str, str]] = _bearer
    """The headers that carry a key, where it is not OpenAI's `Authorization`."""
    versioned: bool = True
    """Whether the address of a server ends in a version, as OpenAI's do."""

    def path_for(self, model: str) -> str:
        """The path of a request, in which some protocols name the model."""
        return self.path.replace("{model}", quote(model.removeprefix("models/"), safe=""))

    def body(self, request: Request, model: str, preset: Preset) -> dict[str, Any]:
        """The body of a request, with all that is added to it."""
        return merged(self.write(request, model, preset), self.spelt(preset.extra or {}))
