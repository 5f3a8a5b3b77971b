"""What all commands share: lists in options, and text that a terminal can be trusted with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

__all__ = ["split", "visible"]


def split(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    """Read an option that holds several values, parted by commas.

    Args:
        value: What was given.

    Returns:
        The values.
    """
    return tuple(part.strip() for part in value.split(","))


def visible(text: str, *, keep: str = "") -> str:
    """Show control characters instead of sending them to the terminal: the text is a model's.

    They are escaped as in JSON, so that JSON still says the same.

    Args:
        text: The text.
        keep: Characters that are sent all the same.

    Returns:
        What can be printed.
    """
    import json  # noqa: PLC0415 - only here

    return "".join(c if c.isprintable() or c in keep else json.dumps(c)[1:-1] for c in text)
