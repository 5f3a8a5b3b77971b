"""What a decision has cost, by the public price lists that `genai-prices` carries.

The lists come with that package and are as old as it is; nothing is fetched. A price that is not
known is None and not 0: a server of yours, a model that no list has. A model in this process has no
price either, but there it is known that nobody sends a bill.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from faithful_decide._nearest import hinting
from faithful_decide._public import public
from faithful_decide.errors import MissingExtraError

if TYPE_CHECKING:
    from faithful_decide._core.types import Decision, Usage

__all__ = ["is_billed", "price_of", "price_usd"]

_PROVIDERS = {name: name for name in ("openai", "azure", "openrouter", "anthropic", "google")}
_OF_INSTRUCTOR = {"anthropic": "anthropic", "genai": "google", "openai": "openai"}
_IN_PROCESS = {"embedded", "gguf", "outlines"}


@public
@hinting
def price_usd(decision: Decision) -> Decimal | None:
    """Look up what a decision has cost.

    Args:
        decision: A decision; its backend, its model and its tokens are used. With several samples
            or attempts it is the price of the one reply that is in its receipt.

    Returns:
        US dollars, or None where the price or the tokens are not known.

    Raises:
        MissingExtraError: `genai-prices` is not installed.
    """
    receipt = decision.receipt
    return price_of(receipt.backend, receipt.model, receipt.usage)


def is_billed(backend: str) -> bool:
    """Whether somebody may bill the replies of a backend; those of one in this process, nobody."""
    return backend.partition("/")[0] not in _IN_PROCESS


def price_of(backend: str, model: str, usage: Usage) -> Decimal | None:
    """What replies of a model at a backend cost, by their tokens; None where that is not known."""
    kind, _, rest = backend.partition("/")
    provider = (
        _OF_INSTRUCTOR.get(rest.partition("/")[0]) if kind == "instructor" else _PROVIDERS.get(kind)
    )
    # A server of the caller's own has its address in the name; what it costs nobody else knows.
    if (
        provider is None
        or "@" in rest
        or usage.prompt_tokens is None
        or usage.completion_tokens is None
    ):
        return None
    try:
        import genai_prices  # noqa: PLC0415 - optional, and slow to load
    except ImportError:
        extra = "prices"
        raise MissingExtraError(extra, needed_for="Looking up a price") from None
    tokens = genai_prices.Usage(
        input_tokens=usage.prompt_tokens,
        cache_read_tokens=usage.cached_tokens,
        output_tokens=usage.completion_tokens,
    )
    try:
        total = genai_prices.calc_price(tokens, model, provider_id=provider).total_price
    except (LookupError, ValueError):
        return None
    return Decimal(total)
