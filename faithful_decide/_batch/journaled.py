"""A backend with a journal in front of it, and a count of what was paid.

It is a `Backend` like any other, so whatever can be asked of a model (a decision, samples, an
audit) is kept and found again without knowing of it. The drivers look into the journal before a
request queues for the model, and write to it before they hand a reply on (see `Remembering`).
"""

from __future__ import annotations

import threading
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING

from faithful_decide._batch.entry import digest, request_key
from faithful_decide._batch.price import price_of
from faithful_decide._core.types import Usage
from faithful_decide.backends.base import AsyncBackend
from faithful_decide.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from faithful_decide._batch.journal import Journal
    from faithful_decide.backends.base import Backend, Capabilities, Reply, Request

__all__ = ["Kept", "kept"]


def kept(backend: Backend, journal: Journal | None = None) -> Kept:
    """Put a journal in front of a backend.

    Args:
        backend: The backend; it is not closed with the result.
        journal: The journal; without one, what is paid is only counted.

    Returns:
        A backend that answers what it was asked before from the journal. One that can be awaited
        if `backend` can.
    """
    if isinstance(backend, AsyncBackend):
        return _AsyncKept(backend, journal)
    return Kept(backend, journal)


class Kept:
    """A backend, its journal, and what was spent on it. Safe to use from several threads."""

    def __init__(self, backend: Backend, journal: Journal | None) -> None:
        """Keep both; neither is closed here.

        Args:
            backend: The backend.
            journal: The journal, if there is one.
        """
        if journal is not None:
            _check_identity(backend)
        self.backend = backend
        self.journal = journal
        self.paid = 0
        """Replies that came from the model."""
        self.recalled = 0
        """Replies that came from the journal."""
        self.cost_usd: Decimal | None = Decimal(0)
        """What the paid ones cost, by list prices; None once one of them has no known price."""
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The name of the backend."""
        return self.backend.name

    @property
    def identity(self) -> object:
        """What tells this backend from others, as far as replies depend on it."""
        return self.backend.identity

    @property
    def capabilities(self) -> Capabilities:
        """What the backend can do."""
        return self.backend.capabilities

    def has_price(self) -> bool:
        """Whether it is known what this model costs.

        Raises:
            MissingExtraError: `genai-prices` is not installed.
        """
        return price_of(self.name, self.name.partition("/")[2], Usage(1, None, 1)) is not None

    def recall(self, request: Request, nth: int) -> Reply | None:
        """Look into the journal.

        Args:
            request: What is asked.
            nth: How often the same was asked before within the same decision.

        Returns:
            The reply, if it was paid for before.

        Raises:
            StorageError: The journal cannot be read.
        """
        if self.journal is None:
            return None
        reply = self.journal.recall(request_key(request, nth, self))
        if reply is None:
            self.journal.check_writable()
        else:
            with self._lock:
                self.recalled += 1
        return reply

    def remember(self, request: Request, nth: int, reply: Reply) -> None:
        """Write to the journal, and count.

        Args:
            request: What was asked.
            nth: As in `recall`.
            reply: What came back.

        Raises:
            StorageError: The journal cannot be written.
        """
        if self.journal is not None:
            self.journal.remember(request_key(request, nth, self), reply)
        self.count(reply)

    def count(self, reply: Reply, share: Decimal = Decimal(1)) -> None:
        """Count a reply that was paid for.

        Args:
            reply: The reply.
            share: Of its list price that was paid.
        """
        price: Decimal | None = None
        with suppress(MissingExtraError):
            price = price_of(self.name, reply.model, reply.usage)
        with self._lock:
            self.paid += 1
            if self.cost_usd is not None:
                self.cost_usd = None if price is None else self.cost_usd + price * share

    def generate(self, request: Request) -> Reply:
        """Ask the backend itself.

        Args:
            request: What to send.

        Returns:
            The reply.
        """
        return self.backend.generate(request)

    def close(self) -> None:
        """Do nothing: whoever made the backend and the journal closes them."""


class _AsyncKept(Kept):
    """The same for a backend that can be awaited."""

    backend: AsyncBackend

    async def agenerate(self, request: Request) -> Reply:
        """Ask the backend itself, awaited.

        Args:
            request: What to send.

        Returns:
            The reply.
        """
        return await self.backend.agenerate(request)


def _check_identity(backend: Backend) -> None:
    """Refuse an identity that no key can be made of, before anything is paid."""
    try:
        digest(backend.identity)
    except (TypeError, ValueError) as error:
        msg = f"the identity of {backend.name} cannot be written as JSON: {error}"
        hint = "make it of texts, numbers, lists and dicts of them"
        raise UsageError(msg, hint=hint) from None
