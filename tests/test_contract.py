"""A reply verifies only if it is the one object, in order; then what it says can be read back."""

import json
import re
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import create_model

from benchmarks.contract import outcome, verdict_first
from faithful_decide import ContractError, Observation, Region, ReplyError
from faithful_decide._asking.constraint import allows
from faithful_decide._core.contract import Content, render, verify, verify_claims
from faithful_decide._core.json_text import Broken, read_members
from faithful_decide._core.schema import LEVELS, Shape, claims_schema, filled, schema
from faithful_decide._core.types import Reservation
from faithful_decide.backends import Reply
from faithful_decide.backends._grammar import _NOTHING, _after, _rest, gbnf_of_rest
from tests.support import cases
from tests.support.replies import HAND_WRITTEN, LABELS, generate

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
ABOUT, SAW = TEXT.map("a{}".format), TEXT.map("s{}".format)
REASONING = TEXT.map("so it is {}".format)
WHOLE = Region(bottom=100, left=0, right=100, top=0)
NAME = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=6)


@dataclass(frozen=True)
class Contract:
    """What may be asked for, and something that keeps to it."""

    labels: tuple[str, ...]
    shape: Shape
    reservation: bool
    content: Content


@st.composite
def regions(draw):
    """A place that is one."""
    left, right = sorted(draw(st.sets(st.integers(0, 100), min_size=2, max_size=2)))
    top, bottom = sorted(draw(st.sets(st.integers(0, 100), min_size=2, max_size=2)))
    return Region(bottom=bottom, left=left, right=right, top=top)


@st.composite
def contents(draw, labels=LABELS, *, placed=False, images=1, reservation=False, findings=None):
    """What a reply may say under a contract."""
    count = draw(st.integers(1, 5))
    observations = tuple(
        Observation(
            about=draw(ABOUT),
            at=draw(regions()) if placed else None,
            image=draw(st.integers(1, images)),
            n=n,
            seen=draw(SAW),
        )
        for n in range(1, count + 1)
    )
    relies_on = draw(st.lists(st.integers(1, count), unique=True, max_size=count).map(tuple))
    said = None
    if reservation:
        said = Reservation(level=draw(st.sampled_from(LEVELS)), why=draw(TEXT))
    found = None
    if findings is not None:
        found = findings(**{name: draw(st.integers(-9, 9)) for name in findings.model_fields})
    verdict = draw(st.sampled_from(labels))
    return Content(observations, draw(REASONING), verdict, relies_on, said, found)


@st.composite
def contracts(draw):
    """Any contract: regions, images, findings, reservation, from 2 to 1 000 labels."""
    count = draw(st.integers(2, 20) | st.sampled_from([200, 1000]))
    labels = (
        tuple(f"{draw(NAME)} {n}" for n in range(count))
        if count < 50
        else tuple(f"label {n}" for n in range(count))
    )
    placed, images, reservation = draw(st.booleans()), draw(st.integers(1, 4)), draw(st.booleans())
    findings = None
    if draw(st.booleans()):
        names = draw(st.lists(NAME.map("f_{}".format), min_size=1, max_size=3, unique=True))
        findings = create_model("Found", **dict.fromkeys(names, (int, ...)))
    said = draw(
        contents(labels, placed=placed, images=images, reservation=reservation, findings=findings)
    )
    shape = {"regions": placed, "images": images, "findings": findings}
    return Contract(labels, shape, reservation, said)


CONTENT = contents()


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


def objects(node):
    """Every object schema inside a schema."""
    if isinstance(node, dict):
        if node.get("type") == "object":
            yield node
        for child in node.values():
            yield from objects(child)


@settings(max_examples=300, deadline=None)
@given(contracts())
def test_sorting_the_keys_of_any_contract_changes_nothing(contract):
    """Servers that sort keys, at whatever depth, cannot put the verdict before its reasons."""
    form = schema(contract.labels, reservation=contract.reservation, **contract.shape)
    for node in objects(form):
        keys = list(node["properties"])
        assert keys == sorted(keys)
        assert keys == node["required"] == node["propertyOrdering"]
        assert node["additionalProperties"] is False
    assert json.dumps(form["properties"]["verdict"]["enum"]) == json.dumps(list(contract.labels))


@settings(max_examples=150, deadline=None)
@given(contracts())
def test_what_is_rendered_under_any_contract_verifies_and_says_the_same(contract):
    """Verification is the inverse of rendering, and the schema and the grammar allow its text."""
    text = render(contract.content, contract.shape["images"])
    form = schema(contract.labels, reservation=contract.reservation, **contract.shape)
    verified = verify(
        Reply(text, "stop"), contract.labels, reservation=contract.reservation, **contract.shape
    )
    assert verified.content == contract.content
    assert allows("schema", form, text)
    assert allows("grammar", form, text)
    if len(contract.labels) < 50:
        assert gbnf_of_rest(filled(form), text[: len(text) // 2])


def test_the_grammar_stops_a_model_that_counts_on_and_on():
    """Numbers have no more digits than an observation or a percentage can need."""
    form = schema(LABELS, regions=True, images=2)
    text = render(
        Content(
            (Observation(about="a", at=WHOLE, image=2, n=1, seen="b"),), "because", "yes", (1,)
        ),
        2,
    )
    assert allows("grammar", form, text)
    for old, new in (
        ('"n": 1', '"n": 1234567'),
        ('"n": 1', '"n": 0'),
        ('"n": 1', '"n": 2'),
        ('"image": 2', '"image": 1000000'),
        ('"bottom": 100', '"bottom": 101'),
        ('"bottom": 100', '"bottom": 9999999'),
        ('"relies_on": [1]', '"relies_on": [1000]'),
        ('"left": 0', '"left": -1'),
    ):
        assert old in text
        assert not allows("grammar", form, text.replace(old, new))


@pytest.mark.parametrize("shape", [{}, {"reservation": True}, {"regions": True, "images": 2}])
def test_the_grammar_of_an_engine_knows_what_can_be_relied_on(shape):
    """Numbers of what was observed and no others, none twice, however many there are."""
    form = filled(schema([f"label {n}" for n in range(1000)], **shape))
    placed = {"at": WHOLE} if "regions" in shape else {}
    for count in (1, 2, 11):
        seen = tuple(Observation(about="a", n=n, seen="b", **placed) for n in range(1, count + 1))
        text = render(Content(seen, "because", "label 1"), shape.get("images", 1))
        start = text[: text.index('"relies_on": [') + len('"relies_on": [')]
        for number in range(26):
            allowed = _after(_rest(form, start), f"{number}]") != _NOTHING
            assert allowed == (1 <= number <= count)
        rest = _rest(form, start)
        for written in ("1]", "1, 2]", "2]", "1, 11]", "2, 1]", "1, 1]", "1, 2, 2]", "", ", 1]"):
            numbers = [int(number) for number in re.findall("[0-9]+", written)]
            right = numbers == sorted(set(numbers)) and all(n <= count for n in numbers)
            allowed = _after(rest, written) != _NOTHING
            assert allowed == (right and not written.startswith(","))
    assert len(gbnf_of_rest(form)) < 80_000


PLACE = '{"bottom": 100, "left": 0, "right": 100, "top": 0}'


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ('{"bottom": 101, "left": 0, "right": 100, "top": 0}', "not in the picture"),
        ('{"bottom": 100, "left": -1, "right": 100, "top": 0}', "not in the picture"),
        ('{"bottom": 100, "left": 0.5, "right": 100, "top": 0}', "not in the picture"),
        ('{"bottom": 100, "left": true, "right": 100, "top": 0}', "not in the picture"),
        ('{"bottom": 10, "left": 0, "right": 100, "top": 20}', "the wrong way round"),
        ('{"bottom": 10, "left": 50, "right": 40, "top": 0}', "the wrong way round"),
        ('{"bottom": 10, "left": 50, "right": 50, "top": 0}', "the wrong way round"),
        ('{"bottom": 10, "left": 50, "right": 60}', "four edges"),
        ('{"bottom": 10, "left": 50, "right": 60, "top": 0, "z": 1}', "four edges"),
        ("[0, 0, 100, 100]", "four edges"),
        ("null", "four edges"),
    ],
)
def test_a_place_has_to_be_one_in_the_picture(place, said):
    """Nothing is swapped, clipped or guessed."""
    content = Content((Observation(about="a", at=WHOLE, seen="b"),), "because", "yes", (1,))
    text = render(content)
    assert verify(Reply(text, "stop"), LABELS, regions=True).content == content
    with pytest.raises(ContractError, match=said):
        verify(Reply(text.replace(PLACE, place), "stop"), LABELS, regions=True)


@pytest.mark.parametrize("image", ["0", "3", "-1", "1.0", "true", '"1"'])
def test_an_image_has_to_be_one_of_those_that_were_shown(image):
    """Images are counted from 1."""
    content = Content((Observation(about="a", image=2, seen="b"),), "because", "yes", (1,))
    text = render(content, 2)
    assert verify(Reply(text, "stop"), LABELS, images=2).content == content
    with pytest.raises(ContractError, match="there are 2"):
        verify(Reply(text.replace('"image": 2', f'"image": {image}'), "stop"), LABELS, images=2)
    with pytest.raises(ContractError, match="an observation has"):
        verify(Reply(text.replace('"image": 2, ', ""), "stop"), LABELS, images=2)


@pytest.mark.parametrize(
    "reservation", ['""', '"none"', '{"level": "none"}', '{"level": "much", "why": ""}',
                    '{"level": "some", "why": null}', '{"level": 0, "why": ""}', "null"],
)  # fmt: skip
def test_a_reservation_is_typed(reservation):
    """What is no level is no objection, and no consent either."""
    said = Reservation(level="some", why="the hat is missing")
    content = Content((Observation(about="a", seen="b"),), "because", "yes", (), said)
    text = render(content)
    assert verify(Reply(text, "stop"), LABELS, reservation=True).content == content
    with pytest.raises(ContractError):
        verify(Reply(text, "stop"), LABELS)
    written = json.dumps(said.model_dump())
    with pytest.raises(ContractError):
        verify(Reply(text.replace(written, reservation), "stop"), LABELS, reservation=True)


GOOD_CLAIMS = [{"n": 1, "seen": "red", "value": "true"}, {"n": 2, "seen": "x", "value": "false"}]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda claims: claims.clear(),
        lambda claims: claims.pop(),
        lambda claims: claims[1].update(n=1),
        lambda claims: claims[0].update(n=0),
        lambda claims: claims[0].update(value="maybe"),
        lambda claims: claims[0].update(value=True),
        lambda claims: claims[0].update(seen=None),
        lambda claims: claims[0].pop("seen"),
        lambda claims: claims[0].update(why="so"),
    ],
)
def test_claims_are_answered_one_by_one(spoil):
    """Each has its number, what is seen of it, and one of three values."""
    claims = json.loads(json.dumps(GOOD_CLAIMS))
    good = json.dumps({"claims": claims})
    assert verify_claims(Reply(good, "stop"), 2) == (("red", "true"), ("x", "false"))
    assert allows("grammar", claims_schema(2), good)
    for count in (1, 3):
        assert not allows("grammar", claims_schema(count), good)
    for node in objects(claims_schema(2)):
        assert list(node["properties"]) == sorted(node["properties"])
    spoil(claims)
    with pytest.raises(ContractError):
        verify_claims(Reply(json.dumps({"claims": claims}), "stop"), 2)


def test_the_schema_leaves_the_verdict_open_and_lengths_free():
    """No constant that gives the verdict away, and no length keywords."""
    text = json.dumps(schema(LABELS, regions=True, images=2, reservation=True))
    assert schema(LABELS)["properties"]["verdict"] == {"type": "string", "enum": list(LABELS)}
    assert not any(word in text for word in ('"const"', "Length", "minItems", "pattern", "imum"))


def test_what_is_no_object_is_told_with_what_was_expected_and_where():
    """For a reader who has never seen the message of a JSON library."""
    for text, said in {
        "": "it is empty, and a JSON object is expected",
        " \n": "it is empty, and a JSON object is expected",
        "hello": "it has 'hello' at character 1, where a JSON object is expected",
        "[]": "it has '[]' at character 1, where a JSON object is expected",
        "{": "it ends at character 1, where a key in double quotes is expected",
        "{'a': 1}": "at character 2, where a key in double quotes is expected",
        '{"a" 1}': "it has '1}' at character 6, where ':' is expected",
        '{"a": }': "it has '}' at character 7, where a value is expected",
        '{"a": 1 "b"': "at character 9, where a comma or the closing brace is expected",
        '{"a": [1,]}': "it has ']}' at character 10, where a value is expected",
        '{"a": [1': "it ends at character 8, where a comma or a closing bracket is expected",
        '{"a": "b': "it has a text that never ends at character 7",
        '{"a": "b\nc"}': "a character that JSON does not allow in a text at character 9",
        '{"a": 1} b': "something follows the object: 'b'",
    }.items():
        with cases.case(text):
            with pytest.raises(Broken) as caught:
                read_members(text)
            assert said in str(caught.value)
    assert read_members(" {} ") == {}
