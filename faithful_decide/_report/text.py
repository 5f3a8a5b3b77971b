"""Text of strangers on a page: what is hidden in it can be seen, and it ends."""

from __future__ import annotations

import re

from faithful_decide._core.escaped import visible

__all__ = ["clip", "one_line", "visible", "xml_text"]

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clip(text: str, limit: int) -> str:
    """Cut a text that would fill the page, and say how much is missing."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… ({len(text) - limit:,} more characters)"


def one_line(text: str) -> str:
    """Fold a text into one line, with what is hidden in it made visible."""
    return visible(" ".join(text.split()))


def xml_text(text: str) -> str:
    """Show what could not be seen, and replace what XML 1.0 cannot hold."""
    return _NOT_IN_XML.sub("\ufffd", visible(text))
