"""Text of strangers on a page: what is hidden in it can be seen, and it ends."""

from __future__ import annotations

import re

from faithful_decide._core.escaped import visible

__all__ = ["clip", "one_line", "visible", "xml_text"]

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clip(text: str, limit: int) -> str:
    """Cut a text that would fill the page.

    Args:
        text: Any text.
        limit: The most characters to keep.

    Returns:
        The text, or its beginning and how much is missing.
    """
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… ({len(text) - limit:,} more characters)"


def one_line(text: str) -> str:
    """Fold a text into one line, with what is hidden in it made visible.

    Args:
        text: Any text.

    Returns:
        One line.
    """
    return visible(" ".join(text.split()))


def xml_text(text: str) -> str:
    """Show what could not be seen, and what XML cannot hold.

    Args:
        text: Any text.

    Returns:
        Characters that XML 1.0 knows.
    """
    return _NOT_IN_XML.sub("\ufffd", visible(text))
