"""Runs plans. A plan decides what to ask next; a driver does the asking.

A plan is a generator that yields requests which do not depend on each other and receives their
replies in the same order. It does no input or output itself, so the same plan runs blocking or
awaited, and there is one pipeline instead of two that drift apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias, TypeVar, cast

from faithful_decide._asking.retrying import Patience
from faithful_decide.backends.base import AsyncBackend, Backend, Reply, Request

__all__ = ["TIMEOUT_S", "Plan", "arun", "run", "together"]

TIMEOUT_S = 600.0
"""How long a decision may take, where the caller does not say."""
_T = TypeVar("_T")
Requests: TypeAlias = tuple[Request, ...]
Replies: TypeAlias = tuple[Reply, ...]
Plan: TypeAlias = Generator[Requests, Replies, _T]


def run(plan: Plan[_T], backend: Backend, timeout_s: float = TIMEOUT_S) -> _T:
    """Run a plan, blocking.

    The calls of one step are made side by side where the backend waits for a server, and one after
    the other where it computes.

    Args:
        plan: What to ask.
        backend: Whom to ask.
        timeout_s: Seconds for the whole plan; it does not stop a backend that computes.

    Returns:
        What the plan returns. Errors of the backend end the plan and are raised.
    """
    patience = Patience(backend, timeout_s)
    replies: Replies | None = None
    while True:
        try:
            requests = next(plan) if replies is None else plan.send(replies)
        except StopIteration as end:
            return cast("_T", end.value)
        if len(requests) > 1 and isinstance(backend, AsyncBackend):
            # In a thread, because there may be a running loop in this one.
            with ThreadPoolExecutor(1) as thread:
                replies = thread.submit(asyncio.run, _together(patience, requests)).result()
        else:
            replies = tuple(map(patience.call, requests))


async def arun(plan: Plan[_T], backend: Backend, timeout_s: float = TIMEOUT_S) -> _T:
    """Run a plan, awaited, the calls of one step side by side.

    Args:
        plan: What to ask.
        backend: Whom to ask; one that cannot be awaited is called in threads.
        timeout_s: Seconds for the whole plan; it does not stop a backend that computes.

    Returns:
        What the plan returns. Errors of the backend end the plan and are raised.
    """
    patience = Patience(backend, timeout_s)
    replies: Replies | None = None
    while True:
        try:
            requests = next(plan) if replies is None else plan.send(replies)
        except StopIteration as end:
            return cast("_T", end.value)
        replies = await _together(patience, requests)


def together(*plans: Plan[_T]) -> Plan[tuple[_T, ...]]:
    """Run plans that do not depend on each other side by side, as one plan.

    Args:
        plans: What to run.

    Returns:
        What each of them returns, in their order.
    """
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


async def _together(patience: Patience, requests: Requests) -> Replies:
    if len(requests) == 1:
        return (await patience.acall(requests[0]),)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(patience.acall(request)) for request in requests]
    except BaseExceptionGroup as errors:
        # One failure ends the plan; the calls beside it were cancelled.
        raise errors.exceptions[0] from None
    return tuple(task.result() for task in tasks)
