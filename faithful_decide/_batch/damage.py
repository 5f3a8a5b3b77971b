"""What a file has lost: a damaged part costs itself, and a file of nothing else is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Damage", "sound"]

_MOST = 1_000_000
"""A file that begins with more damage than this is another kind of file."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Damage:
    """A place in a file at which something cannot be read, such as the missing end of an archive.

    It is the byte of an archive (unpacked), or the line of a table.
    """

    what: str
    at: int


def sound(
    parts: Iterable[_T | Damage],
    told: Callable[[Damage], _T],
    refusal: Callable[[Damage], Exception],
) -> Iterator[_T]:
    """Make something of damage too, so that it is told, if there is any part that is sound."""
    waiting: list[Damage] | None = []
    for part in parts:
        if not isinstance(part, Damage):
            yield from map(told, waiting or ())
            waiting = None
            yield part
        elif waiting is None:
            yield told(part)
        else:
            waiting.append(part)
            if len(waiting) > _MOST:
                break
    if waiting:
        raise refusal(waiting[0])
