"""What a judge says counts only with words that stand in what it read."""

import json

import pytest

from faithful_decide._audit._judge import judge_plan
from faithful_decide._drive import run
from faithful_decide.testing import ScriptedBackend

PAIR = ("calm <b>and focused", "playful and curious")


def said(one="calm", two="playful", relation="contradicts", **more):
    return json.dumps({"quote_1": one, "quote_2": two, "relation": relation, **more})


def judged(line):
    backend = ScriptedBackend([line])
    (judgement,) = run(judge_plan({PAIR: "the squirrel"}, "somebody"), backend)
    return judgement, backend.requests[0]


@pytest.mark.parametrize("relation", ["same", "contradicts", "unrelated"])
def test_quotes_that_stand_there(relation):
    """The relation is believed, and kept with its words."""
    judgement, _ = judged(said(relation=relation))
    assert judgement.relation == relation
    assert judgement.quotes == ("calm", "playful")
    assert (judgement.first, judgement.second, judgement.judge) == (*PAIR, "somebody")


@pytest.mark.parametrize(
    "line",
    [
        said(one="agitated"),
        said(two="curious and playful"),
        said(one="playful", two="calm"),
        said(one="Calm"),
        said(one=""),
        said(two="  "),
        said(one=1),
        said(relation="maybe"),
        "no JSON",
        "[]",
        "{}",
    ],
)
def test_anything_else_is_unusable(line):
    """Words that nobody wrote, a relation that there is not, no JSON."""
    assert judged(line)[0].relation == "unusable"


def test_a_judge_sees_two_wordings_and_nothing_else():
    """No picture, no question, no verdict; markup is made harmless, and can be quoted so."""
    judgement, request = judged(said(one="calm < b>and"))
    assert request.image is None
    assert json.loads(request.text.split("\n")[1][3:]) == "calm < b>and focused"
    assert judgement.relation == "contradicts"
    assert "verdict" not in json.dumps(request.schema)


def test_no_pairs_no_calls():
    """Nothing is asked."""
    assert run(judge_plan({}, "somebody"), ScriptedBackend([])) == ()
