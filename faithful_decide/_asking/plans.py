"""Runs plans. A plan decides what to ask next; a driver does the asking.

A plan is a generator that yields requests which do not depend on each other and receives their
replies in the same order. It does no input or output itself, so the same plan runs blocking or
awaited, and there is one pipeline instead of two that drift apart.

Whom a request is for is its role: the model, the reader of what it wrote, or a judge. So one plan
may speak to several backends, and what does not depend on each other is asked of all of them side
by side.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import ParamSpec, Protocol, TypeAlias, TypeVar, cast, get_args

from faithful_decide.backends.base import Backend, Reply, Request, Role, is_awaitable
from faithful_decide.errors import BackendError, UsageError

__all__ = [
    "TIMEOUT_S",
    "Backends",
    "Numbering",
    "Plan",
    "Trace",
    "arun",
    "in_thread",
    "run",
    "together",
    "watch",
]

TIMEOUT_S = 120.0
"""How long a decision may take, where the caller does not say."""
PART = 2
"""A single call may take this part of the time at most: one that hangs leaves time for another."""
_P = ParamSpec("_P")
_T = TypeVar("_T")
Requests: TypeAlias = tuple[Request, ...]
Replies: TypeAlias = tuple[Reply, ...]
Plan: TypeAlias = Generator[Requests, Replies, _T]
Backends: TypeAlias = Backend | Mapping[Role, Backend]
"""Whom to ask: one backend for every role, or one for each that the plan has."""
_ROLES: tuple[Role, ...] = get_args(Role)


class Trace(Protocol):
    """Watches one plan: each call while it is made, and what becomes of the whole."""

    def call(
        self, backend: Backend, request: Request
    ) -> AbstractContextManager[Callable[[Reply], object]]:
        """A call is made; its reply is told."""
        ...

    def end(self, result: object) -> None:
        """The plan has a result."""
        ...


class _Watch:
    """Who watches plans: nobody, until `faithful_decide.tracing` is asked to."""

    begin: Callable[[], AbstractContextManager[Trace | None]] = nullcontext


watch = _Watch()


def run(
    plan: Plan[_T], backends: Backends, timeout_s: float = TIMEOUT_S, *, tolerant: bool = False
) -> _T:
    """Run a plan, blocking; errors of a backend end the plan and are raised.

    A plan that is `tolerant` gets such an error in the place of the reply, and goes on. The calls
    of one step are made side by side where a backend waits for a server, and one after the other
    where it computes. `timeout_s` is for the whole plan.
    """
    with watch.begin() as trace:
        return _run(plan, _Addresses(backends, timeout_s, trace, tolerant=tolerant))


def _run(plan: Plan[_T], calls_of: _Addresses) -> _T:
    replies: Replies | None = None
    loop: Loop | None = None
    try:
        while True:
            try:
                requests = next(plan) if replies is None else plan.send(replies)
            except StopIteration as end:
                return calls_of.ended(cast("_T", end.value))
            calls = calls_of(requests)
            lanes: dict[object, list[_Call]] = {}
            for index, call in enumerate(calls):
                lanes.setdefault(index if call.waits else id(call.backend), []).append(call)
            if len(lanes) <= 1:
                replies = tuple(call.make() for call in calls)
                continue
            if loop is None:
                from faithful_decide.backends._loop import Loop  # noqa: PLC0415 - for servers only

                loop = Loop()
            made = loop.run(_side_by_side(list(lanes.values())))
            replies = tuple(made[call] for call in calls)
    finally:
        if loop is not None:
            loop.close()


async def arun(
    plan: Plan[_T], backends: Backends, timeout_s: float = TIMEOUT_S, *, tolerant: bool = False
) -> _T:
    """Do what `run` does, awaited, all calls of one step side by side.

    A backend that cannot be awaited is called in threads.
    """
    with watch.begin() as trace:
        return await _arun(plan, _Addresses(backends, timeout_s, trace, tolerant=tolerant))


async def _arun(plan: Plan[_T], calls_of: _Addresses) -> _T:
    replies: Replies | None = None
    while True:
        try:
            requests = next(plan) if replies is None else plan.send(replies)
        except StopIteration as end:
            return calls_of.ended(cast("_T", end.value))
        calls = calls_of(requests)
        made = await _side_by_side([[call] for call in calls])
        replies = tuple(made[call] for call in calls)


def together(*plans: Plan[_T]) -> Plan[tuple[_T, ...]]:
    """Run plans that do not depend on each other side by side, as one plan."""
    results: dict[int, _T] = {}
    waiting: dict[int, Requests] = {}

    def advance(index: int, replies: Replies | None) -> None:
        try:
            plan = plans[index]
            waiting[index] = next(plan) if replies is None else plan.send(replies)
        except StopIteration as end:
            waiting.pop(index, None)
            results[index] = cast("_T", end.value)

    for index in range(len(plans)):
        advance(index, None)
    while waiting:
        order = list(waiting)
        replies = yield tuple(request for index in order for request in waiting[index])
        start = 0
        for index in order:
            end = start + len(waiting[index])
            advance(index, replies[start:end])
            start = end
    return tuple(results[index] for index in range(len(plans)))


async def in_thread(work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Run in a thread what blocks, and await it; outside of asyncio an error says so."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        msg = "this can only be awaited in an event loop of asyncio"
        hint = "in trio, call the blocking twin: await trio.to_thread.run_sync(decide, ...)"
        raise UsageError(msg, hint=hint) from None
    return await asyncio.to_thread(work, *args, **kwargs)


class Numbering:
    """Counts equal requests of one plan to one backend: whoever asks twice wants two replies."""

    def __init__(self) -> None:
        """Begin a plan."""
        self._before: list[Request] = []

    def __call__(
        self, request: Request, deadline: float | None = None, timeout_s: float | None = None
    ) -> Request:
        """The request with its number, and with its times where they are known."""
        nth = self._before.count(request)
        self._before.append(request)
        return replace(request, nth=nth, deadline=deadline, timeout_s=timeout_s)


def _untold(reply: Reply) -> None:
    """Nobody watches."""


_UNWATCHED: AbstractContextManager[Callable[[Reply], object]] = nullcontext(_untold)


class _Call:
    """A request on its way to the backend that is to answer."""

    def __init__(
        self, backend: Backend, request: Request, trace: Trace | None, *, tolerant: bool
    ) -> None:
        self.backend, self.request, self.trace, self.tolerant = backend, request, trace, tolerant

    @property
    def waits(self) -> bool:
        """Whether it waits for a server, so that many may be under way."""
        return is_awaitable(self.backend)

    def make(self) -> Reply:
        try:
            with self._traced() as tell:
                return self._checked(self.backend.generate(self.request), tell)
        except BackendError as error:
            return self._in_its_place(error)

    async def amake(self) -> Reply:
        backend = self.backend
        if not is_awaitable(backend):
            return await in_thread(self.make)
        try:
            with self._traced() as tell:
                return self._checked(await backend.agenerate(self.request), tell)
        except BackendError as error:
            return self._in_its_place(error)

    def _traced(self) -> AbstractContextManager[Callable[[Reply], object]]:
        if self.trace is None:
            return _UNWATCHED
        return self.trace.call(self.backend, self.request)

    def _checked(self, reply: Reply, tell: Callable[[Reply], object]) -> Reply:
        tell(reply)
        if self.backend.capabilities.model:
            from faithful_decide._asking.same_model import check_model  # noqa: PLC0415 - of servers

            check_model(self.backend, reply)
        return reply

    def _in_its_place(self, error: BackendError) -> Reply:
        if self.tolerant:
            return cast("Reply", error)  # the plan has asked for it, and looks
        raise error


class _Addresses:
    """Finds the backend for each request of a plan, and writes on the request what it needs."""

    def __init__(
        self, backends: Backends, timeout_s: float, trace: Trace | None, *, tolerant: bool
    ) -> None:
        self._tolerant, self._trace = tolerant, trace
        self._roles = backends if isinstance(backends, Mapping) else dict.fromkeys(_ROLES, backends)
        self._number = {id(backend): Numbering() for backend in self._roles.values()}
        self._deadline = time.monotonic() + timeout_s
        self._one_call_s = timeout_s / PART

    def __call__(self, requests: Requests) -> list[_Call]:
        calls = []
        for request in requests:
            backend = self._roles["model" if request.purpose is None else request.purpose.role]
            ready = self._number[id(backend)](request, self._deadline, self._one_call_s)
            tolerant = self._tolerant or request.optional
            calls.append(_Call(backend, ready, self._trace, tolerant=tolerant))
        return calls

    def ended(self, result: _T) -> _T:
        """The result of the plan, told to who watches."""
        if self._trace is not None:
            self._trace.end(result)
        return result


async def _side_by_side(lanes: list[list[_Call]]) -> dict[_Call, Reply]:
    """Make the calls of all lanes at once, those of one in turn; one failure cancels the others."""

    async def drive(lane: list[_Call]) -> list[Reply]:
        return [await call.amake() for call in lane]

    if len(lanes) == 1:
        done = [await drive(lanes[0])]
    else:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(drive(lane)) for lane in lanes]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        done = [task.result() for task in tasks]
    return {
        call: reply
        for lane, replies in zip(lanes, done, strict=True)
        for call, reply in zip(lane, replies, strict=True)
    }
