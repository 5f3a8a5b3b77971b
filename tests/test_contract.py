"""A reply verifies only if it is the one object, in order; then what it says can be read back."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks.contract import outcome, verdict_first
from faithful_decide import ContractError, Observation, ReplyError
from faithful_decide._core.contract import Content, render, verify
from faithful_decide._core.schema import AUDITED_KEYS, KEYS, schema
from faithful_decide.backends import Reply
from tests.support.replies import HAND_WRITTEN, LABELS, generate

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
OBSERVATION = st.builds(Observation, about=TEXT.map("a{}".format), seen=TEXT.map("s{}".format))
CONTENT = st.builds(
    Content,
    observations=st.lists(OBSERVATION, min_size=1, max_size=4).map(tuple),
    reasoning=TEXT.map("so it is {}".format),
    verdict=st.sampled_from(LABELS),
)


def test_hand_written_replies_end_as_they_should():
    """Every reply of the table verifies and round-trips, or raises the error beside it."""
    assert len(HAND_WRITTEN) > 100
    for case in HAND_WRITTEN:
        assert outcome(case) == case.expected, case.name


def test_generated_replies_end_as_they_should():
    """The generator of the benchmark and the contract agree, and no verdict comes first."""
    for case in generate(seed=11, count=600):
        got = outcome(case)
        assert got == case.expected, case
        assert got != "ok" or not verdict_first(case.raw)


@given(CONTENT)
@example(Content((Observation(about='"1', seen="a\\"),), "\x00\u2028 reason 🐶", "no"))
def test_verify_is_the_inverse_of_render(content):
    """What is rendered verifies, says the same, and lies where the spans say."""
    text = render(content)
    verified = verify(Reply(text, "stop"), LABELS)
    assert verified.content == content
    raw = text.encode()
    for span, value in (
        (verified.reasoning_span, content.reasoning),
        (verified.verdict_span, content.verdict),
    ):
        assert json.loads(raw[span.start : span.end]) == value
    assert verified.reasoning_span.end < verified.verdict_span.start


@given(st.text(max_size=200), st.sampled_from(["stop", "length", "unknown", "tool_call"]))
@example("[" * 100_000, "stop")
@example('{"observations": ' + "9" * 5000, "stop")
def test_any_text_is_a_reply_error_and_nothing_else(text, finish):
    """No text, however odd, ends in another kind of exception, and the reply stays attached."""
    reply = Reply(text, finish)
    with pytest.raises(ReplyError) as caught:
        verify(reply, LABELS)
    assert caught.value.reply is reply


AUDITED = Content((Observation(about="a", seen="b"),) * 2, "because", "yes", (1,), "but maybe")


def test_an_audited_reply_round_trips():
    """The audit's keys are read where they were asked for."""
    assert verify(Reply(render(AUDITED), "stop"), LABELS, audited=True).content == AUDITED


@pytest.mark.parametrize("relies_on", ["[2]", "[-1]", "[0, 0]", "[true]", "[0.0]", '"0"', "null"])
def test_relies_on_has_to_name_observations(relies_on):
    """Indices that point nowhere are refused."""
    text = render(AUDITED).replace('"relies_on": [1]', f'"relies_on": {relies_on}')
    with pytest.raises(ContractError):
        verify(Reply(text, "stop"), LABELS, audited=True)


def test_a_plain_reply_is_not_an_audited_one():
    """Keys that were asked for have to be there."""
    plain = Content(AUDITED.observations, "because", "yes")
    with pytest.raises(ContractError, match="lacks"):
        verify(Reply(render(plain), "stop"), LABELS, audited=True)


def objects(node):
    """Every object schema inside a schema."""
    if isinstance(node, dict):
        if node.get("type") == "object":
            yield node
        for child in node.values():
            yield from objects(child)


@pytest.mark.parametrize("audited", [False, True])
def test_sorting_the_keys_of_the_schema_changes_nothing(audited):
    """Servers that sort keys cannot put the verdict before its reasons."""
    for node in objects(schema(LABELS, audited=audited)):
        keys = list(node["properties"])
        assert keys == sorted(keys) == node["required"] == node["propertyOrdering"]
        assert node["additionalProperties"] is False
    keys = AUDITED_KEYS if audited else KEYS
    assert list(schema(LABELS, audited=audited)["properties"]) == list(keys) == sorted(keys)


def test_the_schema_leaves_the_verdict_open_and_lengths_free():
    """No constant that gives the verdict away, and no length keywords."""
    text = json.dumps(schema(LABELS, audited=True))
    assert schema(LABELS)["properties"]["verdict"] == {"type": "string", "enum": list(LABELS)}
    assert not any(word in text for word in ('"const"', "Length", "minItems", "pattern"))
