"""A backend with a journal in front of it, and a count of what was paid.

It is a `Backend` like any other, so whatever can be asked of a model (a decision, samples, an
audit) is kept and found again without knowing of it. It stands in front of everything else that is
done about a call: what is known neither waits for a turn nor runs out of time, and what comes is
written down before anybody looks at it.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING

from faithful_decide._asking.limiter import left_of
from faithful_decide._asking.retrying import patient
from faithful_decide._batch.entry import digest, request_key
from faithful_decide._batch.price import price_of
from faithful_decide._core.types import Usage
from faithful_decide.backends.base import Wrapper, is_awaitable
from faithful_decide.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from faithful_decide._batch.journal import Journal
    from faithful_decide.backends.base import AsyncBackend, Backend, Reply, Request

__all__ = ["Journaled", "journaled"]


def journaled(backend: Backend, journal: Journal | None = None) -> Journaled:
    """Put a journal in front of a backend, and patience between them.

    Without a journal, what is paid is only counted. The result can be awaited if `backend` can.
    """
    backend = patient(backend)
    kind = _AsyncJournaled if is_awaitable(backend) else Journaled
    return kind(backend, journal)


class Journaled(Wrapper):
    """A backend, its journal, and what was spent on it. Safe to use from several threads."""

    def __init__(self, backend: Backend, journal: Journal | None) -> None:
        """Keep both; neither is closed here."""
        if journal is not None:
            _check_identity(backend)
        super().__init__(backend)
        self.journal = journal
        self.paid = 0
        """Replies that came from the model."""
        self.recalled = 0
        """Replies that came from the journal."""
        self.cost_usd: Decimal | None = Decimal(0)
        """What the paid ones cost, by list prices; None once one of them has no known price."""
        self._lock = threading.Lock()

    def has_price(self) -> bool:
        """Whether it is known what this model costs; `genai-prices` has to be installed."""
        return price_of(self.name, self.name.partition("/")[2], Usage(1, None, 1)) is not None

    def generate(self, request: Request) -> Reply:
        """Find the reply, or ask for it and keep it."""
        reply = self.recall(request)
        return self._kept(request, self.backend.generate(request)) if reply is None else reply

    def recall(self, request: Request) -> Reply | None:
        """Find the reply if it was paid for before. If it was not, a new one can be kept."""
        if self.journal is None:
            return None
        reply = self.journal.recall(request_key(request, self))
        if reply is None:
            self.journal.check_writable()
        else:
            with self._lock:
                self.recalled += 1
        return reply

    def _kept(self, request: Request, reply: Reply) -> Reply:
        """A reply that is in the journal, and counted."""
        if self.journal is not None:
            # A database that somebody else holds is not waited for longer than the caller waits.
            self.journal.remember(request_key(request, self), reply, wait_s=left_of(request))
        self.count(reply)
        return reply

    def count(self, reply: Reply, share: Decimal = Decimal(1)) -> None:
        """Count a reply that was paid for, at a share of its list price."""
        price: Decimal | None = None
        with suppress(MissingExtraError):
            price = price_of(self.name, reply.model, reply.usage)
        with self._lock:
            self.paid += 1
            if self.cost_usd is not None:
                self.cost_usd = None if price is None else self.cost_usd + price * share


class _AsyncJournaled(Journaled):
    """The same for a backend that can be awaited."""

    backend: AsyncBackend

    async def agenerate(self, request: Request) -> Reply:
        """Find the reply, or await it and keep it."""
        reply = self.recall(request)
        if reply is None:
            return self._kept(request, await self.backend.agenerate(request))
        return reply


def _check_identity(backend: Backend) -> None:
    """Refuse an identity that no key can be made of, before anything is paid."""
    try:
        digest(backend.identity)
    except (TypeError, ValueError) as error:
        msg = f"the identity of {backend.name} cannot be written as JSON: {error}"
        hint = "make it of texts, numbers, lists and dicts of them"
        raise UsageError(msg, hint=hint) from None
