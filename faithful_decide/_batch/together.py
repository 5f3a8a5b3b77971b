"""Images that belong together, found by their names: `*_before.jpg` and `*_after.jpg`.

Each pattern has one `*`. Images that match them with the same in its place are one item, called by
that, with its images in the order of the patterns. A name that matches several belongs to the one
that says most of it, so `*_mask.png` may stand beside `*.png`. What has not all of its images, or
one of them twice, becomes an item with an error; what matches no pattern is counted as left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from faithful_decide._batch.row import Item
from faithful_decide.errors import FaithfulDecideError, ImageError, UsageError

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["grouped", "patterns_of"]

LEFT_OUT = "images that belong to no others"


class Pattern(NamedTuple):
    """What stands before and after the `*`."""

    before: str
    after: str

    def name_in(self, text: str) -> str:
        """What stands in the place of the `*`; nothing where the text does not match."""
        inner = text.removeprefix(self.before).removesuffix(self.after)
        return inner if self.before + inner + self.after == text else ""


def patterns_of(together: Sequence[str]) -> tuple[Pattern, ...]:
    """Read patterns; one that has not exactly one `*`, or too few of them, is refused."""
    for pattern in together:
        if pattern.count("*") != 1:
            msg = f"the pattern {pattern!r} must have exactly one *"
            raise UsageError(msg, hint="write the * for the part that the names of one item share")
    if len(set(together)) != len(together) or len(together) == 1:
        msg = "images that belong together need two or more different patterns"
        raise UsageError(msg, hint='write "*_before.jpg,*_after.jpg"')
    return tuple(Pattern(*pattern.split("*")) for pattern in together)


def grouped(
    items: Iterable[Item], patterns: Sequence[Pattern], left_out: Counter[str]
) -> Iterator[Item]:
    """Put items together by their names, each as soon as it is whole."""
    waiting: dict[str, dict[int, Item]] = {}
    for item in items:
        named = ((pattern.name_in(item.id), n) for n, pattern in enumerate(patterns))
        # The shorter what the `*` stands for, the more of the name is in the pattern.
        matches = sorted((pair for pair in named if pair[0]), key=lambda pair: len(pair[0]))
        name, number = matches[0] if matches else ("", 0)
        if not name:
            if isinstance(item.image, FaithfulDecideError):
                yield item
            else:
                left_out[LEFT_OUT] += 1
            continue
        parts = waiting.setdefault(name, {})
        if number in parts:
            msg = f"{item.id} comes a second time before the others of {name}"
            yield Item(item.id, ImageError(msg, hint="take one of them out"), item.columns)
            continue
        parts[number] = item
        if len(parts) == len(patterns):
            del waiting[name]
            yield _whole(name, [parts[n] for n in range(len(patterns))])
    for name, parts in waiting.items():
        lacking = next(p for n, p in enumerate(patterns) if n not in parts)
        msg = f"{name} lacks {lacking.before}{name}{lacking.after}"
        error = ImageError(msg, hint="add it, or take out the others")
        yield Item(name, error, _columns(parts.values()))


def _whole(name: str, parts: Sequence[Item]) -> Item:
    for part in parts:
        if isinstance(part.image, FaithfulDecideError):
            return Item(name, part.image, _columns(parts))
    images: list[Any] = [part.image for part in parts]
    return Item(name, images, _columns(parts))


def _columns(parts: Iterable[Item]) -> dict[str, str]:
    return {name: value for part in parts for name, value in part.columns.items()}
