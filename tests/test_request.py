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
REASONS = '{"observations": [{"about": "a", "seen": "bü <|x|>"}], "reasoning": "because"}'


class Seen(BaseModel):
    """Two findings."""

    hats: int = Field(description="how many hats there are")
    dark: bool


PLAIN = Question("Is there a dog?")
THREE = Question(
    "Welche Farbe\nhat der Hund, <b> oder [x]?", ("rot", "grün", "blau"), abstain=False
)
RULED = Question("Is it funny?", findings=Seen, rule=lambda seen: seen.hats > 0)
ONE = Capabilities(decoder="autoregressive")
TWO = Capabilities(two_steps=True)


def requests(question, capabilities=ONE, replies=(), **options):
    """What a plan asks, one step after the other."""
    backend = ScriptedBackend([], capabilities=capabilities)
    plan = decision_plan(IMAGE, question, Options(**options), backend)
    asked = list(next(plan))
    for reply in replies:
        asked += plan.send((Reply(reply, "stop"),))
    return asked


def audited(text, prefix="", shape=None):
    """What an audit asks about the plain question."""
    shape = shape or schema(PLAIN.labels, audited=True)
    return Request(SYSTEM, IMAGE, text, shape, 512, prefix=prefix, seed=7)


# Computed once, by the first version that had them.
HASHES = {
    "1fd0a562ee94f2ea69ff9ca0c881c375da8c1ad1742eda4e40475218a6260a56": lambda: requests(PLAIN)[0],
    "cec9a9e59a323a05772a6a3c51a63761ffac1cbee06385db61a0f7685141e1c3": lambda: requests(
        THREE, seed=3, max_tokens=99
    )[0],
    "9b7e77f971aadcec1a4a50c76b2edcec9b5a3c4c3aa80c22658180e6e909d971": lambda: requests(
        PLAIN, replace(ONE, logprobs="pre_mask")
    )[0],
    "da12a1bb766952eb69eb287416ddc4ebc466adbcfae7a711ec7a137e1ea17c18": lambda: requests(
        PLAIN, samples=2, seed=5
    )[1],
    "1c920f273e3c4732662b85f76d5e9f38ee6dc410709b08120c75c5cd789f9218": lambda: requests(
        PLAIN, TWO
    )[0],
    "2e9581143660944d18a4e51020e4c1d2069f52835a99ccf1927c5a00732bdecc": lambda: requests(
        PLAIN, TWO, [REASONS]
    )[1],
    "e22f4a171b9667b740de48bbee20d9884946d7d2e960eba2b58d88bbead80421": lambda: requests(
        PLAIN, audited=True
    )[0],
    "d082b48ad42888cef610ee1bc34cea298c287f9b80a65d903bdbb595907f0389": lambda: requests(RULED)[0],
    "fcae7ccd21c61d36083392d465f1e12258b10ba4ed1d0a175c6d207a4e764caa": lambda: requests(
        RULED, TWO
    )[0],
    "0f5a899ae09508f45f048c82eb620ee31d4808f02697ee571e0eebefdda0d1bf": lambda: audited(
        note_text(PLAIN, "no")
    ),
    "01ca3956f414dddb46ddfb6d09192c944a958cfea26a60d72db60477e16796b7": lambda: audited(
        user_text(PLAIN),
        '{"verdict": "no", "observations": [{"about": "',
        explanation_schema(PLAIN.labels),
    ),
    "93130d32ed92a9f5e82dcbf936b417ebcae8b9c8f314c44f69f06411c3986210": lambda: audited(
        user_text(PLAIN),
        '{"observations": [{"about": "the dog", "seen": "a brown one"}], "reasoning": "',
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
    (wrong_way_round,) = next(verdict_first_plan(IMAGE, PLAIN, Options(), ScriptedBackend([])))
    assert wrong_way_round.purpose.kind == "decide"
    assert replace(first, purpose=None) == first
    assert request_sha256(replace(first, purpose=None)) == request_sha256(first)
