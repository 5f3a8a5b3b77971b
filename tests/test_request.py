"""What is asked does not change by accident: receipts and journals name requests by hashes."""

from dataclasses import replace

import pytest
from pydantic import BaseModel, Field

from faithful_decide import Question
from faithful_decide._asking.decision import decision_plan, request_sha256
from faithful_decide._asking.options import Options
from faithful_decide._asking.verdict_first import verdict_first_plan
from faithful_decide._core.prompt import SYSTEM, note_text, user_text
from faithful_decide._core.schema import explanation_schema, schema
from faithful_decide._core.types import Observation, Reply
from faithful_decide._images.prepare import PreparedImage
from faithful_decide.backends import Capabilities, Request
from faithful_decide.testing import ScriptedBackend

IMAGE = PreparedImage(b"not decoded here", "image/png", 4, 3, "0" * 64)
REASONS = (
    '{"observations": [{"about": "a", "n": 1, "seen": "bü <|x|>"}], "reasoning": "because", '
    '"relies_on": [1]}'
)


class Seen(BaseModel):
    """Two findings."""

    hats: int = Field(description="how many hats there are")
    dark: bool


PLAIN = Question("Is there a dog?")
THREE = Question(
    "Welche Farbe\nhat der Hund, <b> oder [x]?", ("rot", "grün", "blau"), abstain=False
)
DEFINED = Question(
    "Is it damaged?",
    {"damaged": "any crack\nor <dent>", "ok": "none"},
    context="Scratches [shorter] than\n2 mm do not count.",
)
RULED = Question("Is it funny?", findings=Seen, rule=lambda seen: seen.hats > 0)
ONE = Capabilities(decoder="autoregressive", images=2)
TWO = Capabilities(two_steps=True, images=2)


def requests(question, capabilities=ONE, replies=(), images=1, **options):
    """What a plan asks, one step after the other."""
    backend = ScriptedBackend([], capabilities=capabilities)
    plan = decision_plan((IMAGE,) * images, question, Options(**options), backend)
    asked = list(next(plan))
    for reply in replies:
        asked += plan.send((Reply(reply, "stop"),))
    return asked


def objecting(text, prefix="", shape=None):
    """What an audit asks about the plain question, with room to object."""
    shape = shape or schema(PLAIN.labels, reservation=True)
    return Request(SYSTEM, (IMAGE,), text, shape, 512, prefix=prefix, seed=7)


# Computed when the contract had got its numbers, places and images, and findings their order.
HASHES = {
    "91951e095939015f61176a25cb06e308006ddf784678d74f77b49e477e675521": lambda: requests(PLAIN)[0],
    "0e9640e8afed1157d32ef6b752ca8ada8f7ed5321195edb8ba68653b8a78446f": lambda: requests(
        THREE, seed=3, max_tokens=99
    )[0],
    "33acc68c429a3e1d57fbf272e72f504e2052da53a88a09c5dd4307fc3465e5d7": lambda: requests(
        PLAIN, replace(ONE, logprobs="pre_mask")
    )[0],
    "f959f5d1e79d704e34023a39ed72ac77c969a1e1590339279dfcb5213228d43e": lambda: requests(
        PLAIN, samples=2, seed=5
    )[1],
    "fbf7c75c0dc1806441cd107d6fd577998fa53cb31f8659728490b59f370a05ea": lambda: requests(
        PLAIN, TWO
    )[0],
    "60033a76cdea382c73d31bbfee51cd428f5c1b7b4d89e6f91cd7768ea9427a76": lambda: requests(
        PLAIN, TWO, [REASONS]
    )[1],
    "d6c629c5b83b69771288c7e3b7b3e71a02bb8bfd41a0866f0a7b281b4aca5c8d": lambda: requests(DEFINED)[
        0
    ],
    "7a9c97acd5ca0edae7f8bbc92b534271d9af24fb33816fa64d8be4c35fc615e2": lambda: requests(
        replace(DEFINED, regions=True), images=2
    )[0],
    "25d73dfd0c75d590eb1a29542284a3c319bb4f143cfac89f356b31235f348716": lambda: requests(
        PLAIN, TWO, images=2
    )[0],
    "9da4ad926ff78ab47343a6c7f6f133b91d19e1c50358c9cb98651d817a677e32": lambda: requests(RULED)[0],
    "86f0f3918d886dd9589d42ea4f37b69bc3bd10331044557f223f62aa70f8f23e": lambda: requests(
        RULED, TWO
    )[0],
    "7249b06eea671822d08c540a6c8a6575f14ca34b60daa6f6fe59736d1e18eb0c": lambda: objecting(
        note_text(PLAIN, "no")
    ),
    "917492e8dc66e4ef36314a0e5c34b6764cfc38e9beab84934f54a3592461a6d3": lambda: objecting(
        user_text(PLAIN),
        '{"verdict": "no", "observations": [{"about": "',
        explanation_schema(PLAIN.labels),
    ),
    "d323c81e7a330b6d3cb4e6e7e8b6b90a6888a170d7c19449d622c164792475d5": lambda: objecting(
        user_text(PLAIN),
        '{"observations": [{"about": "the dog", "n": 1, "seen": "a brown one"}], "reasoning": "',
    ),
}


@pytest.mark.parametrize("expected", HASHES)
def test_a_request_has_the_hash_that_it_always_had(expected):
    """Prompts, schemas and numbers are the same to the byte."""
    assert request_sha256(HASHES[expected]()) == expected


def test_a_request_says_what_it_is_for():
    """Whoever stands in for a model, or counts calls, need not read the prompt."""
    first, second = requests(RULED, TWO, ['{"findings": {"hats": 1, "dark": true}, ' + REASONS[1:]])
    assert (first.purpose.kind, first.purpose.question) == ("decide", RULED)
    assert second.purpose.kind == "second_step"
    assert second.purpose.observations == (Observation(about="a", seen="bü <|x|>"),)
    (wrong_way_round,) = next(verdict_first_plan((IMAGE,), PLAIN, Options(), ScriptedBackend([])))
    assert wrong_way_round.purpose.kind == "decide"
    assert replace(first, purpose=None) == first
    assert request_sha256(replace(first, purpose=None)) == request_sha256(first)
