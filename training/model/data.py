"""Batches made ahead of the training loop by one process of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.utils.data import DataLoader, IterableDataset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Endless(IterableDataset):  # type: ignore[type-arg]
    """Calls ``make(seed)`` for seed = first, first + 1, ..."""

    def __init__(self, make: Callable[[int], object], first: int) -> None:
        self.make, self.first = make, first

    def __iter__(self) -> Iterator[object]:
        seed = self.first
        while True:
            yield self.make(seed)
            seed += 1


def ahead(make: Callable[[int], object], first: int) -> Iterator[object]:
    """Iterate over ``make(first)``, ``make(first + 1)``, ... computed in another process."""
    return iter(DataLoader(Endless(make, first), batch_size=None, num_workers=1, prefetch_factor=6))
