"""Whether the model that was asked for is the one that replied.

Routers and gateways answer under other names, and some with other models. That is looked at here,
above the journal: what came back was paid for and is kept, whatever becomes of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from faithful_decide.errors import BackendError

if TYPE_CHECKING:
    from faithful_decide.backends.base import Backend, Reply

__all__ = ["check_model"]

_VERSION = re.compile(r"[-@:_]v?(\d[\d.-]*|latest|free)")


def check_model(backend: Backend, reply: Reply) -> None:
    """Refuse a reply that names a model other than the one that its backend has to ask."""
    ours, theirs = (
        name.casefold().split("/")[-1] for name in (backend.capabilities.model, reply.model)
    )
    if not ours or not theirs or theirs == ours:
        return
    if theirs.startswith(ours) and _VERSION.fullmatch(theirs[len(ours) :]):
        return
    msg = f"{backend.name} was answered by another model, {reply.model[:80]!r}"
    raise BackendError(msg, hint="name that model if you mean it, or pass any_model=True")
