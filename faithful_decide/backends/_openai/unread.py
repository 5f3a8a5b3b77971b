"""Pictures that a server may not have read.

A server without a projector, or one whose model takes text only, ought to refuse a picture. Some
drop it, and reply to the words alone: a reply that keeps the contract, about nothing. Others read
the first of several. Nothing in a single reply tells. But the probabilities of tokens depend on
everything that was read, in their last digits at least. Where they are the same, to the last digit,
for other pictures, either all show the same or some were not read.
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faithful_decide.backends.base import Reply, Request

__all__ = ["Unread"]

_MOST = 256
"""Questions that are remembered of a server."""
_NOTE = (
    "its probabilities are, to the last digit, those that came for other pictures: unless these "
    "show the same, the server does not read what it is sent"
)

_log = logging.getLogger("faithful_decide")


class Unread:
    """What each server last said of each question, for all backends of this process."""

    _all: dict[str, dict[bytes, tuple[tuple[str, ...], int]]] = {}  # noqa: RUF012 - shared, and meant to be
    _told: set[str] = set()  # noqa: RUF012 - as above

    def __init__(self, who: str, name: str) -> None:
        """Know the server by its identity; it is told of by its name."""
        self._said = self._all.setdefault(who, {})
        self._who, self._name = who, name

    def note_on(self, request: Request, reply: Reply) -> tuple[str, ...]:
        """A note where a greedy reply is the one that other pictures got."""
        if not request.images or request.temperature or not reply.tokens:
            return ()
        asked = f"{request.system}\0{request.text}\0{request.prefix}\0{request.schema}"
        key = hashlib.sha256(asked.encode(errors="surrogatepass")).digest()
        pictures = tuple(image.sha256 for image in request.images)
        said = hash(tuple((token.data, *token.top.values()) for token in reply.tokens))
        before = self._said.pop(key, None)
        if len(self._said) >= _MOST:
            self._said.clear()
        self._said[key] = (pictures, said)
        if before is None or before[0] == pictures or before[1] != said:
            return ()
        if self._who not in self._told:
            self._told.add(self._who)
            _log.warning("%s: %s", self._name, _NOTE)
        return (_NOTE,)
