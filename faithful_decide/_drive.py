"""Runs plans. A plan decides what to ask next; a driver does the asking.

A plan is a generator that yields requests which do not depend on each other and receives their
replies in the same order. It does no input or output itself, so the same plan runs blocking or
awaited, and there is one pipeline instead of two that drift apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import TypeAlias, TypeVar, cast

from faithful_decide._backend import AsyncBackend, Backend, Reply, Request

__all__ = ["Plan", "arun", "run"]

_T = TypeVar("_T")
Requests: TypeAlias = tuple[Request, ...]
Replies: TypeAlias = tuple[Reply, ...]
Plan: TypeAlias = Generator[Requests, Replies, _T]


def run(plan: Plan[_T], backend: Backend) -> _T:
    """Run a plan, one call after the other.

    Args:
        plan: What to ask.
        backend: Whom to ask.

    Returns:
        What the plan returns. Errors of the backend end the plan and are raised.
    """
    replies: Replies | None = None
    while True:
        try:
            requests = next(plan) if replies is None else plan.send(replies)
        except StopIteration as end:
            return cast("_T", end.value)
        replies = tuple(backend.generate(request) for request in requests)


async def arun(plan: Plan[_T], backend: Backend) -> _T:
    """Run a plan, the calls of one step side by side.

    Args:
        plan: What to ask.
        backend: Whom to ask; one that cannot be awaited is called in threads.

    Returns:
        What the plan returns. Errors of the backend end the plan and are raised.
    """
    replies: Replies | None = None
    while True:
        try:
            requests = next(plan) if replies is None else plan.send(replies)
        except StopIteration as end:
            return cast("_T", end.value)
        replies = tuple(await asyncio.gather(*(_call(backend, r) for r in requests)))


async def _call(backend: Backend, request: Request) -> Reply:
    if isinstance(backend, AsyncBackend):
        return await backend.agenerate(request)
    return await asyncio.to_thread(backend.generate, request)
