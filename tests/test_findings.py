"""Verdicts that code draws from typed findings."""

import json
import re
from contextlib import closing
from dataclasses import replace
from enum import Enum
from typing import Literal

import numpy as np
import pytest
from pydantic import BaseModel, Field, create_model, field_validator

import faithful_decide
from faithful_decide import Question, audit, decide, load_backend, verify_stored
from faithful_decide._asking.decision import decision_request
from faithful_decide._core.findings import findings_schema
from faithful_decide._core.schema import schema
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import prepare
from faithful_decide.errors import ContractError, QuestionError, UnsupportedError
from faithful_decide.testing import ScriptedBackend


class Mood(Enum):
    """Strings with names."""

    CALM = "calm"
    WILD = "wild"


class Thing(BaseModel):
    """A model in a model."""

    name: str
    wears: Literal["hat", "nothing"]


class Seen(BaseModel):
    """Everything that findings may be made of."""

    things: list[Thing]
    upside_down: int = Field(ge=0, description="how many stand on their head")
    mood: Mood
    dark: bool


def funny(seen):
    return seen.upside_down > 0 or any(thing.wears == "hat" for thing in seen.things)


QUESTION = Question("Is it funny?", findings=Seen, rule=funny)
HOME = f"{faithful_decide.__path__[0]}/embedded"


class Dark(BaseModel):
    """One bit."""

    dark: bool


DARK = Question("Is it dark?", findings=Dark, rule=lambda seen: seen.dark)
FOUND = {
    "things": [{"name": "squirrel", "wears": "hat"}],
    "upside_down": 0,
    "mood": "calm",
    "dark": False,
}


def reply(findings=FOUND, verdict="no", *, objecting=False):
    body = {
        "findings": findings,
        "observations": [{"about": "the squirrel", "n": 1, "seen": "wearing a hat"}],
        "reasoning": "a hat on a squirrel",
        "relies_on": [1],
    }
    if objecting:
        body["reservation"] = {"level": "none", "why": ""}
    return json.dumps(body | {"verdict": verdict})


def test_the_rule_draws_the_verdict_and_the_models_own_is_kept(png):
    """What the model wrote is checked against the raw reply, and the verdict against the rule."""
    decision = decide(png, QUESTION, model=ScriptedBackend([reply()]))
    assert decision.verdict == "yes"
    assert bool(decision)
    assert decision.derived.model_verdict == "no"
    assert decision.derived.findings["things"][0]["name"] == "squirrel"


def test_a_stored_decision_with_a_rule_verifies_again(png):
    """What the model wrote is checked against the raw reply, and so is the rule's verdict."""
    decision = decide(png, QUESTION, model=ScriptedBackend([reply()]))
    stored = decision.model_dump_json()
    assert "funny" not in stored.replace("Is it funny?", "")
    assert verify_stored(stored).derived == decision.derived
    for changed in (
        stored.replace('"model_verdict":"no"', '"model_verdict":"yes"'),
        stored.replace('"upside_down":0', '"upside_down":3'),
    ):
        assert changed != stored
        with pytest.raises(ContractError):
            verify_stored(changed)


def test_findings_stand_first_and_sorting_changes_nothing():
    """The contract keeps its alphabetical order, whatever else an audit adds."""
    for objecting in (False, True):
        form = schema(QUESTION.labels, reservation=objecting, findings=Seen)
        keys = list(form["properties"])
        assert keys == sorted(keys)
        assert keys[0] == "findings"
    inner = form["properties"]["findings"]["properties"]
    for fields in (inner, inner["things"]["items"]["properties"]):
        assert list(fields) == sorted(fields)


def test_the_schema_has_no_references_and_no_bounds():
    """Servers and engines take types, choices, lists and objects; bounds are checked later."""
    text = json.dumps(findings_schema(Seen))
    assert "$ref" not in text
    assert "minimum" not in text
    mood = findings_schema(Seen)["properties"]["mood"]
    assert mood == {"type": "string", "enum": ["calm", "wild"]}


@pytest.mark.parametrize("findings", [{**FOUND, "upside_down": -1}, {**FOUND, "mood": "odd"}, {}])
def test_findings_of_another_kind_are_no_decision(png, findings):
    """A bound that only pydantic knows is kept to as well."""
    with pytest.raises(ContractError, match="findings"):
        decide(png, QUESTION, model=ScriptedBackend([reply(findings)]))


def test_the_prompt_says_what_to_report(png):
    """The fields and their descriptions are in the user's turn."""
    backend = ScriptedBackend([reply()])
    decide(png, QUESTION, model=backend)
    assert "how many stand on their head" in backend.requests[0].text


@pytest.mark.parametrize("number", [1_000_000, 20_240_917, 10**18, -(10**30)])
def test_numbers_of_many_digits(png, number):
    """A serial number is a finding like any other, and is stored as it was written."""
    serial = create_model("Serial", number=(int, ...))
    question = Question("Is it new?", findings=serial, rule=lambda seen: seen.number > 20_200_000)
    text = reply({"number": number})
    decision = decide(png, question, model=ScriptedBackend([text]))
    assert decision.derived.findings == {"number": number}
    assert decision.verdict == ("yes" if number > 20_200_000 else "no")
    assert verify_stored(decision.model_dump_json(), question=question) == decision


@pytest.mark.parametrize("number", ["9" * 400, "1e400", "NaN"])
def test_numbers_that_are_none(png, number):
    """Are a broken reply, and no error of Python's."""
    text = reply({**FOUND, "upside_down": 1}).replace(
        '"upside_down": 1', f'"upside_down": {number}'
    )
    with pytest.raises(ContractError):
        decide(png, QUESTION, model=ScriptedBackend([text]))


class Node(BaseModel):
    """A model that holds itself."""

    children: list["Node"]


class Other(BaseModel):
    """A model that holds itself by way of another."""

    back: list["Back"]


class Back(BaseModel):
    """The way back."""

    other: Other


@pytest.mark.parametrize("model", [Node, Other, Back, create_model("Outer", node=(Node, ...))])
def test_findings_without_an_end_are_refused(model):
    """No grammar holds a model to them."""
    with pytest.raises(QuestionError, match="without an end") as caught:
        findings_schema(model)
    assert caught.value.hint


@pytest.mark.parametrize(
    "findings",
    [
        {**FOUND, "upside_down": "0"},
        {**FOUND, "upside_down": 0.0},
        {**FOUND, "dark": "no"},
        {**FOUND, "dark": 0},
    ],
)
def test_findings_are_not_converted(png, findings):
    """What is stored is what was written, so it has to be of the right type."""
    with pytest.raises(ContractError, match="findings"):
        decide(png, QUESTION, model=ScriptedBackend([reply(findings)]))


def test_findings_are_stored_as_they_were_written(png):
    """Names, and words that a model of findings changes when it reads them."""

    class Loud(BaseModel):
        word: str = Field(alias="a word")

        @field_validator("word")
        @classmethod
        def upper(cls, word):
            return word.upper()

    question = Question("Is it loud?", findings=Loud, rule=lambda seen: seen.word.isupper())
    decision = decide(png, question, model=ScriptedBackend([reply({"a word": "hush"})]))
    assert (decision.verdict, decision.derived.findings) == ("yes", {"a word": "hush"})
    assert verify_stored(decision.model_dump_json(), question=question) == decision


@pytest.mark.parametrize(
    ("made", "verdict"),
    [
        (np.True_, "yes"),
        (np.bool_(False), "no"),
        (np.str_("no"), "no"),
        (np.array(1) > 0, "yes"),
        ("cannot_tell", "cannot_tell"),
    ],
)
def test_a_rule_may_count_with_numpy(png, made, verdict):
    """What it returns is a truth value all the same."""
    question = Question("Is it funny?", findings=Seen, rule=lambda _: made)
    assert decide(png, question, model=ScriptedBackend([reply()])).verdict == verdict


def test_a_rule_that_fails_is_the_callers_mistake(png):
    """The error names it, and keeps what it raised."""
    question = Question("Is it funny?", findings=Seen, rule=lambda seen: seen.nothing)
    with pytest.raises(QuestionError, match="the rule failed") as caught:
        decide(png, question, model=ScriptedBackend([reply()]))
    assert isinstance(caught.value.__cause__, AttributeError)


@pytest.mark.parametrize("arguments", [{"findings": dict}, {"findings": "Seen"}, {"rule": "funny"}])
def test_findings_are_a_model_and_a_rule_is_a_function(arguments):
    """Anything else is found before a model is asked."""
    with pytest.raises(QuestionError) as caught:
        Question("Is it funny?", **{"findings": Seen, "rule": funny} | arguments)
    assert caught.value.hint


@pytest.mark.parametrize("made", ["maybe", None, 3, np.int64(3), np.array([True, False])])
def test_a_rule_that_returns_no_verdict_is_the_callers_mistake(png, made):
    """Nothing is guessed from what a rule returns."""
    question = Question("Is it funny?", findings=Seen, rule=lambda _: made)
    with pytest.raises(QuestionError, match="rule"):
        decide(png, question, model=ScriptedBackend([reply()]))


def test_findings_and_a_rule_go_together():
    """One without the other could not be meant."""
    with pytest.raises(QuestionError):
        Question("Is it funny?", findings=Seen)
    with pytest.raises(QuestionError):
        Question("Is it funny?", rule=funny)


class Precise(BaseModel):
    """A kind of finding that no grammar here can hold a model to."""

    share: float


def test_a_finding_that_cannot_be_held_to_is_named():
    """The error says which field, and what to use instead."""
    with pytest.raises(QuestionError, match="share"):
        findings_schema(Precise)


def test_the_grammar_of_an_engine_holds_a_model_to_findings():
    """The engine holds whatever model it runs to the form of findings, first."""
    backend = load_backend(f"gguf/{HOME}/model.gguf#{HOME}/mmproj.gguf")
    with closing(backend):
        image = prepare(load_image(f"{HOME}/sample.png"), backend.capabilities.image_limits)
        text = backend.generate(decision_request((image,), DARK, max_tokens=300, seed=None)).text
    assert re.match(r'{"findings": {"dark": (true|false)}, "observations": \[', text)


def test_a_model_that_was_not_trained_for_findings_is_not_asked_for_them():
    """The one that comes with the package would write what is not there, in the right form."""
    with pytest.raises(UnsupportedError, match="embedded") as caught:
        decide(f"{HOME}/sample.png", DARK)
    assert "findings" in caught.value.hint


@pytest.mark.parametrize("door", [decide, audit])
def test_findings_are_refused_before_any_call(png, door):
    """Whichever door the question comes through."""
    able = ScriptedBackend([]).capabilities
    backend = ScriptedBackend([reply()], capabilities=replace(able, findings=False))
    with pytest.raises(UnsupportedError):
        door(png, QUESTION, model=backend)
    assert backend.requests == []


def test_an_audit_says_where_rule_and_model_part(png):
    """The rule in code comes to another verdict than the model's own: inconsistent."""
    backend = ScriptedBackend(_audit_reply)
    report = audit(png, QUESTION, model=backend)
    assert report.decision.verdict == "yes"
    assert "inconsistent" in report.flags


def _audit_reply(request):
    if list(request.schema["properties"]) == ["observations"]:
        row = {"about": "the squirrel", "n": 1, "seen": "wearing a hat"}
        return json.dumps({"observations": [row]})
    return reply(objecting="reservation" in request.schema["properties"])
