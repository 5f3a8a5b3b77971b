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
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias, TypeVar, cast, get_args

from faithful_decide._asking.retrying import Patience
from faithful_decide.backends.base import Backend, Reply, Request, Role
from faithful_decide.errors import BackendError

__all__ = ["TIMEOUT_S", "Backends", "Plan", "arun", "run", "together"]

TIMEOUT_S = 600.0
"""How long a decision may take, where the caller does not say."""
_T = TypeVar("_T")
Requests: TypeAlias = tuple[Request, ...]
Replies: TypeAlias = tuple[Reply, ...]
Plan: TypeAlias = Generator[Requests, Replies, _T]
Backends: TypeAlias = Backend | Mapping[Role, Backend]
"""Whom to ask: one backend for every role, or one for each that the plan has."""
_ROLES: tuple[Role, ...] = get_args(Role)
_Placed: TypeAlias = tuple[int, Request]


def run(
    plan: Plan[_T], backends: Backends, timeout_s: float = TIMEOUT_S, *, tolerant: bool = False
) -> _T:
    """Run a plan, blocking; errors of a backend end the plan and are raised.

    A plan that is `tolerant` gets such an error in the place of the reply, and goes on. The calls
    of one step are made side by side where a backend waits for a server, and one after the other
    where it computes. `timeout_s` is for the whole plan.
    """
    callers = _Callers(backends, timeout_s, tolerant=tolerant)
    replies: Replies | None = None
    while True:
        try:
            requests = next(plan) if replies is None else plan.send(replies)
        except StopIteration as end:
            return cast("_T", end.value)
        lanes = callers.lanes(requests)
        if len(lanes) <= 1:
            replies = tuple(map(callers.call, requests))
        else:
            # In a thread, because there may be a running loop in this one.
            with ThreadPoolExecutor(1) as thread:
                replies = thread.submit(asyncio.run, callers.side_by_side(lanes)).result()


async def arun(
    plan: Plan[_T], backends: Backends, timeout_s: float = TIMEOUT_S, *, tolerant: bool = False
) -> _T:
    """Do what `run` does, awaited, all calls of one step side by side.

    A backend that cannot be awaited is called in threads.
    """
    callers = _Callers(backends, timeout_s, tolerant=tolerant)
    replies: Replies | None = None
    while True:
        try:
            requests = next(plan) if replies is None else plan.send(replies)
        except StopIteration as end:
            return cast("_T", end.value)
        replies = await callers.side_by_side([[place] for place in enumerate(requests)])


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


class _Callers:
    """Who calls the backend of each role; roles of one backend share one."""

    def __init__(self, backends: Backends, timeout_s: float, *, tolerant: bool) -> None:
        self._tolerant = tolerant
        roles = backends if isinstance(backends, Mapping) else dict.fromkeys(_ROLES, backends)
        callers = {id(backend): Patience(backend, timeout_s) for backend in roles.values()}
        self._of_role = {role: callers[id(backend)] for role, backend in roles.items()}

    def of(self, request: Request) -> Patience:
        """Who calls for a request."""
        return self._of_role["model" if request.purpose is None else request.purpose.role]

    def call(self, request: Request) -> Reply:
        """Make a call, blocking."""
        try:
            return self.of(request).call(request)
        except BackendError as error:
            return self._in_its_place(error)

    async def acall(self, request: Request) -> Reply:
        """Make a call, awaited."""
        try:
            return await self.of(request).acall(request)
        except BackendError as error:
            return self._in_its_place(error)

    def _in_its_place(self, error: BackendError) -> Reply:
        if self._tolerant:
            return cast("Reply", error)  # the plan has asked for it, and looks
        raise error

    def lanes(self, requests: Requests) -> list[list[_Placed]]:
        """Share out a step: what computes gets one request after the other, what waits gets all."""
        lanes: dict[object, list[_Placed]] = {}
        for index, request in enumerate(requests):
            caller = self.of(request)
            lanes.setdefault(index if caller.waits else caller, []).append((index, request))
        return list(lanes.values())

    async def side_by_side(self, lanes: list[list[_Placed]]) -> Replies:
        """Make the calls of all lanes at once; one failure cancels the others."""
        replies: dict[int, Reply] = {}

        async def drive(lane: list[_Placed]) -> None:
            for index, request in lane:
                replies[index] = await self.acall(request)

        if len(lanes) == 1:
            await drive(lanes[0])
        else:
            try:
                async with asyncio.TaskGroup() as group:
                    _ = [group.create_task(drive(lane)) for lane in lanes]
            except BaseExceptionGroup as errors:
                raise errors.exceptions[0] from None
        return tuple(replies[index] for index in range(len(replies)))
