"""Text of strangers: what is in it can be seen.

Escaping keeps a text from becoming part of a page or of a terminal's commands. It does not keep it
from lying: a mark that turns the direction of writing makes "gpj.exe" read "exe.jpg", a zero-width
space hides in a word, whole sentences can be written in tag characters that no font draws. Those
are shown by their number. The two joiners stay, because Persian and many emoji are written with
them. What is escaped is escaped as in JSON, so that JSON still says the same.
"""

from __future__ import annotations

import json
import re
import unicodedata

__all__ = ["variable_shown", "visible"]

_HIDDEN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"
_UNSEEN = frozenset({"\u3164", "\uffa0", *map(chr, range(0xE0100, 0xE01F0))})
"""Letters without ink, and the selectors that only carry hidden data."""
_NONE = 0xFFFE
"""The last two numbers of every plane are no characters."""
_SUSPECT = re.compile(r"[^\x20-\x7e\xa1-\xac\xae-\u0377]")


_VARIABLE = re.compile(
    r"[A-Z]{1,16}|[A-Z][A-Z0-9]{0,31}(_[A-Z0-9]{1,31})+|[a-z]{1,16}(_[a-z]{1,16})*"
)
"""Names of variables as people write them, and keys are not."""


def variable_shown(name: str) -> str:
    """A variable in a message, by its name unless a key may have been put in its place."""
    return repr(name) if _VARIABLE.fullmatch(name) else "that was named"


def visible(text: str, *, keep: str = "\n\t") -> str:
    r"""Show what could not be seen, lone surrogates included, by its number: `\u202e`."""

    def shown(match: re.Match[str]) -> str:
        character = match[0]
        if character in keep or character in _JOINERS:
            return character
        hidden = unicodedata.category(character) in _HIDDEN or character in _UNSEEN
        if not hidden and ord(character) & _NONE != _NONE:
            return character
        return json.dumps(character)[1:-1]

    # A carriage return before a line feed is one line break and no secret.
    return _SUSPECT.sub(shown, text.replace("\r\n", "\n"))
