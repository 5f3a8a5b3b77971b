"""What a continuation may not look at, in tokens.

`Request.hidden` is said in bytes of the forced prefix; attention knows places of tokens. What comes
after the hidden part has to be read once more without it, because a token that has looked at it
carries it on. So there are two answers: which places are out of sight, and from which place on.

A token that the hidden part begins in is hidden whole. One that it ends in belongs to what comes
after it: there has to be a token from which to go on. If tokens of the prompt are hidden
instead, they are as many, spread evenly over its words: neither the picture, nor the control tokens
and the first token, which models lean on without reading them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from faithful_decide.errors import UnsupportedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from faithful_decide.backends.base import Request

__all__ = ["hidden_places", "refuse_hidden"]


def refuse_hidden(request: Request, name: str) -> None:
    """Refuse a request that hides something, for a backend that cannot."""
    if request.hidden is not None:
        msg = f"{name} cannot hide a part of the input from the model's attention"
        raise UnsupportedError(
            msg, hint="use a model of Transformers in this process: outlines/NAME"
        )


def hidden_places(
    request: Request,
    ids: Sequence[int],
    spell: Callable[[int], bytes],
    *,
    control: Collection[int],
    image: int | None,
) -> tuple[list[int], int]:
    """Find the places of the tokens that are out of sight, and the place from which on they are.

    `ids` are the tokens of the prompt and the prefix, and `spell` says which bytes one stands for;
    those of `control` are no words, and `image` stands for a piece of the image.
    """
    hidden, prefix = request.hidden, request.prefix.encode()
    if hidden is None or not 0 <= hidden.start <= hidden.end < len(prefix):
        msg = "what is hidden has to be a part of the prefix, with more of the prefix after it"
        raise UsageError(msg, hint="hide bytes from 0 to less than the length of the prefix")
    place, at, spelt = len(ids), len(prefix), b""
    covered: list[int] = []
    resumed = len(ids)
    while at > 0 and place > 0:
        place -= 1
        piece, end = spell(ids[place]), at
        at, spelt = end - len(piece), piece + spelt
        if end > hidden.end:
            resumed = place
        elif end > hidden.start:
            covered.append(place)
    if not spelt.endswith(prefix):
        msg = "the tokens of this model do not spell the prefix"
        raise UnsupportedError(msg, hint="nothing can be hidden from this model")
    if hidden.what == "prefix":
        return sorted(covered), resumed
    if hidden.what == "text":
        words = [i for i in range(1, place) if ids[i] not in control and ids[i] != image]
        count = min(len(covered), len(words))
        return [words[len(words) * k // count] for k in range(count)], resumed
    pieces = [i for i, token in enumerate(ids) if token == image]
    if not pieces:
        msg = "there is no image to be hidden"
        raise UsageError(msg)
    return pieces, resumed
