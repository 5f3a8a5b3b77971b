"""Which tokens are hidden, for tokens of every length and places between and inside them."""

import pytest

from faithful_decide.backends._knockout import hidden_places
from faithful_decide.backends.base import Hidden, Request
from faithful_decide.errors import UnsupportedError, UsageError

PREFIX = '{"a": "ü", "v": "'
CONTROL, IMAGE = 1, 2
WORDS = (b"<s>", b"<turn>", b"<img>")


def found(pieces, start, end, what="prefix", prefix=PREFIX):
    """The hidden texts, and the text from which on they are."""
    spelt = [*WORDS, *dict.fromkeys(pieces)]
    ids = [
        CONTROL if p == b"<turn>" else IMAGE if p == b"<img>" else spelt.index(p) for p in pieces
    ]
    hidden = Hidden(start, end, what)
    request = Request("", (), "", None, 9, prefix=prefix, hidden=hidden)
    places, resumed = hidden_places(
        request, ids, spelt.__getitem__, control={0, CONTROL}, image=IMAGE
    )
    return [pieces[i] for i in places], b"".join(pieces[resumed:])


def split(text, *cuts):
    data = text.encode()
    return [data[a:b] for a, b in zip((0, *cuts), (*cuts, len(data)), strict=True)]


@pytest.mark.parametrize(
    ("cuts", "hidden", "rest"),
    [
        # bytes 1 to 10 are hidden: '"a": "ü"'
        ((1, 10), ['"a": "ü"'], ', "v": "'),
        ((1, 6, 8, 10, 12), ['"a": ', '"\xc3', '\xbc"'], ', "v": "'),
        ((4, 10), ['{"a"', ': "ü"'], ', "v": "'),
        ((1, 7, 12), ['"a": "'], 'ü", "v": "'),
        ((1,), [], PREFIX[1:]),
        ((), [], PREFIX),
    ],
)
def test_tokens_of_a_part(cuts, hidden, rest):
    """Whole tokens: the one it begins in is hidden, the one it ends in comes after it."""
    pieces = [b"<s>", b"words", *split(PREFIX, *cuts)]
    got, then = found(pieces, 1, 10)
    assert got == [text.encode("latin-1" if "\xc3" in text or "\xbc" in text else "utf-8")
                   for text in hidden]  # fmt: skip
    assert then == rest.encode()


def test_nothing_is_hidden_by_an_empty_part():
    """It only says where reading begins anew."""
    assert found([b"<s>", *split(PREFIX, 1, 10)], 10, 10) == ([], b', "v": "')


def test_a_token_may_hold_the_end_of_the_prompt_too():
    """As where a turn ends in a space that belongs to the first word."""
    assert found([b"<s>", b":{", *split(PREFIX, 1, 10)[1:]], 0, 10)[0] == [
        b":{",
        '"a": "ü"'.encode(),
    ]


def test_words_of_the_prompt_are_hidden_instead():
    """As many, spread over them; no control token, no picture, and never the first."""
    prompt = [b"first", b"<turn>", b"<img>", *(b"w%d" % i for i in range(9))]
    pieces = [*prompt, *split(PREFIX, 1, 5, 8, 10)]
    assert found(pieces, 1, 10, "text")[0] == [b"w0", b"w3", b"w6"]
    short = [*prompt[:5], *split(PREFIX, 1, 5, 8, 10)]
    assert found(short, 1, 10, "text")[0] == [b"w0", b"w1"]
    assert found(pieces, 1, 10, "image") == ([b"<img>"], b', "v": "')


@pytest.mark.parametrize(("start", "end"), [(-1, 3), (4, 3), (0, len(PREFIX.encode()))])
def test_a_part_that_is_none(start, end):
    """The prefix has to go on after it."""
    with pytest.raises(UsageError):
        found([b"<s>", PREFIX.encode()], start, end)


def test_no_image_to_hide():
    """Nothing would be hidden, and the check would not know."""
    with pytest.raises(UsageError):
        found([b"<s>", PREFIX.encode()], 1, 10, "image")


def test_tokens_that_spell_something_else():
    """Places would be wrong."""
    with pytest.raises(UnsupportedError):
        found([b"<s>", b"{", PREFIX.upper().encode()[1:]], 1, 10)
