"""Prices: known ones are multiplied, unknown ones are unknown, and never 0."""

from decimal import Decimal

import pytest

from faithful_decide import MissingExtraError, decide, price_usd
from faithful_decide.backends import Capabilities, Reply, Usage
from faithful_decide.testing import ScriptedBackend, reply_text

pytest.importorskip("genai_prices")


def decided(png, backend, model, usage):
    reply = Reply(reply_text("yes"), "stop", model=model, usage=usage)
    known = Capabilities("strict", order=True, decoder="autoregressive")
    return decide(png, "Is it?", model=ScriptedBackend([reply], name=backend, capabilities=known))


@pytest.mark.parametrize(
    ("backend", "model"),
    [
        ("openai/gpt-4o", "gpt-4o-2024-08-06"),
        ("instructor/anthropic/claude-sonnet-4-5", "claude-sonnet-4-5"),
        ("instructor/genai/gemini-2.5-flash", "gemini-2.5-flash"),
    ],
)
def test_a_listed_model_has_a_price(png, backend, model):
    """Twice the tokens cost twice as much, and cached ones less."""
    once = price_usd(decided(png, backend, model, Usage(1000, 0, 100)))
    twice = price_usd(decided(png, backend, model, Usage(2000, 0, 200)))
    cached = price_usd(decided(png, backend, model, Usage(1000, 900, 100)))
    assert twice == 2 * once
    assert Decimal(0) < cached < once


@pytest.mark.parametrize(
    ("backend", "model", "usage"),
    [
        ("embedded", "faithful-decide-embedded", Usage(1000, 0, 100)),
        ("vllm/gpt-4o", "gpt-4o", Usage(1000, 0, 100)),
        ("openai/gpt-4o@127.0.0.1:8000", "gpt-4o", Usage(1000, 0, 100)),
        ("openai/gpt-4o", "nobody-knows-me", Usage(1000, 0, 100)),
        ("openai/gpt-4o", "gpt-4o", Usage(None, None, 100)),
    ],
)
def test_what_is_not_known_has_no_price(png, backend, model, usage):
    """None, which is not 0."""
    assert price_usd(decided(png, backend, model, usage)) is None


def test_without_the_lists_the_install_line_is_printed(png, monkeypatch):
    """Like every optional part."""
    decision = decided(png, "openai/gpt-4o", "gpt-4o", Usage(1000, 0, 100))
    monkeypatch.setitem(__import__("sys").modules, "genai_prices", None)
    with pytest.raises(MissingExtraError, match="price"):
        price_usd(decision)
