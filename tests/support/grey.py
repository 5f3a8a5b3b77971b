"""A model that knows one thing: how bright a picture is.

It stands where a real one would, behind the seam, and needs nothing of its own. Which verdict a
brightness leads to depends on how many there are: the darkest fifth means the first of five. Its
token probabilities fall off with the distance, so they can be read, compared and calibrated.
"""

from __future__ import annotations

import io
import math
import random
from typing import TYPE_CHECKING

from PIL import Image, ImageStat

from faithful_decide import register_backend
from faithful_decide.backends import Capabilities, Reply, Token
from faithful_decide.backends.registry import forget_backend
from faithful_decide.testing import reply_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faithful_decide.backends import Request

SPEC = "grey"


class GreyBackend:
    """Decides by brightness; draws a verdict where a temperature is asked for."""

    capabilities = Capabilities(
        enforcement="grammar",
        order=True,
        logprobs="post_mask",
        thinking="none",
        decoder="autoregressive",
    )

    def __init__(self, name: str = SPEC, sharpness: float = 6.0) -> None:
        """Start with no calls.

        Args:
            name: Its name in receipts.
            sharpness: How sure it is.
        """
        self.name = name
        self.identity = [name, sharpness]
        self.sharpness = sharpness
        self.calls = 0
        self.closed = False

    def generate(self, request: Request) -> Reply:
        """Look at the picture and write a reply.

        Args:
            request: With a schema, and a picture that can be decoded.

        Returns:
            The reply.
        """
        assert request.images
        assert request.schema is not None
        self.calls += 1
        picture = Image.open(io.BytesIO(request.images[0].data)).convert("L")
        level = ImageStat.Stat(picture).mean[0] / 255
        labels: Sequence[str] = request.schema["properties"]["verdict"]["enum"]
        centres = [(index + 0.5) / len(labels) for index in range(len(labels))]
        weights = [math.exp(-self.sharpness * abs(level - centre)) for centre in centres]
        shares = [weight / sum(weights) for weight in weights]
        if request.temperature > 0:
            source = random.Random(f"{request.seed} {request.images[0].sha256}")
            verdict = source.choices(labels, shares)[0]
        else:
            verdict = labels[shares.index(max(shares))]
        text = reply_text(verdict, reasoning=f"its brightness is {level:.3f}")
        head = text[: text.rindex(f'"{verdict}"') + 1]
        tokens = [Token(head.encode(), {head.encode(): 0.0})]
        endings = {
            f'{label}"'.encode(): math.log(share)
            for label, share in zip(labels, shares, strict=True)
        }
        tokens.append(Token(f'{verdict}"'.encode(), endings))
        tail = text[len(head) + len(verdict) + 1 :].encode()
        tokens.append(Token(tail, {tail: 0.0}))
        shown = tuple(tokens) if request.top_logprobs else None
        return Reply(text, "stop", tokens=shown, model=self.name)

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True


def forget() -> None:
    """Take the model spec away again, if it is there."""
    forget_backend(SPEC)


def register() -> list[GreyBackend]:
    """Make `grey/NAME` a model spec of this process.

    Returns:
        The backends that are loaded from now on.
    """
    made: list[GreyBackend] = []

    def load(rest: str, *, sharpness: float = 6.0) -> GreyBackend:
        made.append(GreyBackend(f"{SPEC}/{rest}", sharpness))
        return made[-1]

    register_backend(SPEC, load)
    return made
