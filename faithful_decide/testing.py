"""A backend that says what it is told: the test double for code that uses this library.

    from faithful_decide import decide
    from faithful_decide.testing import ScriptedBackend, registered, reply_text

    backend = ScriptedBackend([reply_text("yes", reasoning="the dog wears a hat")])
    assert decide(png, "Is it funny?", model=backend).verdict == "yes"
    assert "funny" in backend.requests[0].text

    with registered("scripted", lambda rest: backend):
        decide(png, "Is it funny?", model="scripted/x")

The replies pass through the real pipeline, so a reply that breaks the contract raises here what it
would raise in production.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from faithful_decide._core.contract import Content, numbered, render
from faithful_decide._core.types import Observation
from faithful_decide._nearest import hinting
from faithful_decide.backends.base import MANY_IMAGES, Capabilities, Constraint, Reply, Request
from faithful_decide.backends.registry import forget_backend, register_backend
from faithful_decide.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from faithful_decide.backends.base import Backend

__all__ = ["ScriptedBackend", "registered", "reply_text"]

Line: TypeAlias = str | Reply | Exception

_CAPABILITIES = Capabilities(
    enforcement="grammar",
    order=True,
    prefix=True,
    thinking="none",
    decoder="autoregressive",
    images=MANY_IMAGES,
)


@hinting
def reply_text(
    verdict: str,
    *,
    reasoning: str = "what was seen leads to this verdict",
    observations: Iterable[tuple[str, str] | Observation] = (("the image", "a scripted scene"),),
    relies_on: Sequence[int] = (1,),
    images: int = 1,
    findings: Mapping[str, object] | None = None,
) -> str:
    """Write a reply that keeps the contract.

    Args:
        verdict: The verdict.
        reasoning: The reasoning before it.
        observations: Pairs of what an observation is about and what was seen; or observations, for
            those that say where it is. They are numbered here.
        relies_on: The numbers of those that the reasoning rests on, counted from 1.
        images: How many images the question is about.
        findings: What a model reports to a question with typed findings, field by field.

    Returns:
        The raw text of the reply.
    """
    seen = numbered(
        o if isinstance(o, Observation) else Observation(about=o[0], seen=o[1])
        for o in observations
    )
    text = render(Content(seen, reasoning, verdict, tuple(relies_on)), images)
    if findings is None:
        return text
    return f'{{"findings": {json.dumps(findings, sort_keys=True)}, {text[1:]}'


@hinting
class ScriptedBackend:
    """Replies from a script, and remembers what it was asked. Safe to call from several threads."""

    def __init__(
        self,
        script: Iterable[Line] | Callable[[Request], Line],
        *,
        capabilities: Capabilities = _CAPABILITIES,
        name: str = "scripted",
        identity: object = None,
    ) -> None:
        """Take a script.

        Args:
            script: The replies in order, or a function that makes one from a request. A string is a
                reply that ended by itself; an exception is raised.
            capabilities: What the backend says it can do.
            name: Its name in receipts.
            identity: What a journal tells it from others by; its name, where this is left out.

        Raises:
            UsageError: The script is a single string.
        """
        if isinstance(script, str):
            msg = "a script is a list of replies, not one string"
            raise UsageError(msg, hint="write ScriptedBackend([text])")
        self.name = name
        self.identity = name if identity is None else identity
        self.capabilities = capabilities
        self.requests: list[Request] = []
        self.closed = False
        self._lock = threading.Lock()
        self._next = script if callable(script) else _reader(script)

    def generate(self, request: Request) -> Reply:
        """Give the next reply of the script.

        Args:
            request: Is added to `requests`.

        Returns:
            The reply.

        Raises:
            UsageError: The script has no more replies.
        """
        with self._lock:
            self.requests.append(request)
            line = self._next(request)
        if isinstance(line, Exception):
            raise line
        reply = line if isinstance(line, Reply) else Reply(line, "stop", model=self.name)
        if reply.constraint == "none":
            reply = replace(reply, constraint=self._constraint(request))
        return reply

    def _constraint(self, request: Request) -> Constraint:
        """What a backend with these capabilities would have sent."""
        if request.schema is None or self.capabilities.enforcement == "prompt":
            return "none"
        return "grammar" if self.capabilities.enforcement == "grammar" else "schema"

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True


@contextmanager
@hinting
def registered(kind: str, loader: Callable[..., Backend]) -> Iterator[None]:
    """Register a kind of backend for a while, as `register_backend` does for good.

    Args:
        kind: The kind; `KIND/REST` is a model spec inside the `with` statement.
        loader: What loads it.

    Raises:
        UsageError: There is such a kind, or it cannot be one.
    """
    register_backend(kind, loader)
    try:
        yield
    finally:
        forget_backend(kind)


def _reader(script: Iterable[Line]) -> Callable[[Request], Line]:
    lines = iter(script)

    def read(_: Request) -> Line:
        for line in lines:
            return line
        msg = "the script has no more replies"
        raise UsageError(msg, hint="add one per call, or pass a function")

    return read
