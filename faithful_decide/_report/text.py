"""Text of strangers: what is in it can be seen, and it ends.

Escaping keeps a text from becoming part of a page. It does not keep it from lying: a mark that
turns the direction of writing makes "gpj.exe" read "exe.jpg", a zero-width space hides in a word,
whole sentences can be written in tag characters that no font draws. Those are shown by their
number. The two joiners stay, because Persian and many emoji are written with them.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["clip", "one_line", "visible", "xml_text"]

_HIDDEN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
_SHOWN = frozenset("\n\t\u200c\u200d")
_UNSEEN = frozenset({"\u3164", "\uffa0", *map(chr, range(0xE0100, 0xE01F0))})
"""Letters without ink, and the selectors that only carry hidden data."""
_NONE = 0xFFFE
"""The last two numbers of every plane are no characters."""
_ASTRAL = 0x10000
_SUSPECT = re.compile(r"[^\x20-\x7e\n\t\xa1-\xac\xae-\u0377]")
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def visible(text: str) -> str:
    r"""Show what could not be seen, by its number.

    Args:
        text: Any text, lone surrogates included.

    Returns:
        The same text; in place of a control or format character stands `\\u` and its number, as in
        JSON, or `\\U` and eight digits.
    """
    # A carriage return before a line feed is one line break and no secret.
    return _SUSPECT.sub(_shown, text.replace("\r\n", "\n"))


def _shown(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    hidden = unicodedata.category(character) in _HIDDEN or character in _UNSEEN
    if (not hidden and code & _NONE != _NONE) or character in _SHOWN:
        return character
    return f"\\u{code:04x}" if code < _ASTRAL else f"\\U{code:08x}"


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
