"""What of a text can be seen, and which texts a reader cannot tell apart.

Unicode has letters that show nothing (the Hangul fillers), marks that stand on nothing, and
alphabets that look like each other. A text counts as content only if it has a letter or a digit,
of any script, that can be seen. Two words are twins if they differ in nothing that can: in case,
spacing, invisible characters, loose accents, or letters borrowed from a look-alike alphabet.
"""

from __future__ import annotations

import unicodedata

__all__ = ["has_content", "is_visible", "looks_of", "unprintable"]

_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})
_LINE_BREAKING = frozenset({"Cc", "Cs", "Zl", "Zp"})
# Default_Ignorable_Code_Point of Unicode, and the blank of braille and of three scripts more.
_IGNORABLE = frozenset(
    code
    for first, last in (
        (0x00AD, 0x00AD),
        (0x034F, 0x034F),
        (0x061C, 0x061C),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x200B, 0x200F),
        (0x202A, 0x202E),
        (0x2060, 0x206F),
        (0x2800, 0x2800),
        (0x3164, 0x3164),
        (0xFE00, 0xFE0F),
        (0xFEFF, 0xFEFF),
        (0xFFA0, 0xFFA0),
        (0xFFF0, 0xFFFB),
        (0x13440, 0x13440),
        (0x16FE4, 0x16FE4),
        (0x1BCA0, 0x1BCA3),
        (0x1D159, 0x1D159),
        (0x1D173, 0x1D17A),
        (0xE0000, 0xE0FFF),
    )
    for code in range(first, last + 1)
)
_JOINERS = frozenset("\u00ad\u180b\u180c\u180d\u180e\u200c\u200d\u200e\u200f\ufe0e\ufe0f")
"""Invisible, and yet part of how some languages and emoji are written."""
_LOOSE_MARKS = range(0x0300, 0x0370)

# Letters of other alphabets, and the Latin ones they look like. No two letters of one alphabet
# become one, so that its own words stay as different as they are.
_LOOK_ALIKES = str.maketrans(
    # Cyrillic
    "\u0410\u0412\u0415\u0405\u0406\u0408\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425"
    "\u0430\u0435\u0455\u0456\u0458\u043a\u043e\u0440\u0441\u0443\u0445\u0501\u051b\u051d\u04cf"
    # Greek
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7"
    "\u03b1\u03bd\u03b9\u03ba\u03bf\u03c1\u03c5\u03c9"
    # Armenian, and rare Latin letters
    "\u0585\u0578\u057d\u0570\u0581\u0251\u0261\u0131\u0196",
    "ABESIJKMHOPCTYXaesijkopcyxdqwl"  # Cyrillic
    "ABEZHIKMNOPTYXavikopuw"  # Greek
    "onuhgagil",
)


def is_visible(character: str) -> bool:
    """Whether a character shows something by itself."""
    if character.isascii():
        return character.isprintable() and character != " "
    category = unicodedata.category(character)
    return (
        category not in _INVISIBLE
        and not category.startswith("M")
        and ord(character) not in _IGNORABLE
    )


def has_content(text: str) -> bool:
    """Whether a text says anything: it has a letter or a digit, of any script."""
    return any(is_visible(c) and unicodedata.category(c)[0] in "LN" for c in text)


def unprintable(text: str) -> str:
    """The first character that cannot be part of a line that everybody reads the same, or none."""
    if text.isascii() and text.isprintable():
        return ""
    return next(
        (
            c
            for c in text
            if unicodedata.category(c) in _LINE_BREAKING
            or (ord(c) in _IGNORABLE and c not in _JOINERS)
        ),
        "",
    )


def looks_of(text: str) -> frozenset[str]:
    """How a text looks to those who overlook something; twins have a look in common."""
    bare = "".join(c for c in text if ord(c) not in _LOOSE_MARKS)
    return frozenset(map(_folded, (text, bare, bare.translate(_LOOK_ALIKES))))


def _folded(text: str) -> str:
    """A text without case, spacing and what cannot be seen."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(
        c for c in folded if unicodedata.category(c) not in _INVISIBLE and ord(c) not in _IGNORABLE
    )
