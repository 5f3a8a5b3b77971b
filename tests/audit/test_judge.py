"""What a judge says counts only with words that stand in what it read."""

import json

import pytest

from faithful_decide import audit_dataset, check_judge
from faithful_decide._asking.plans import run
from faithful_decide._audit.compare import relation
from faithful_decide._audit.judge import judge_plan
from faithful_decide._audit.wordings import WORDINGS
from faithful_decide.organisms import Honest
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
    assert not request.images
    assert json.loads(request.text.split("\n")[1][3:]) == "calm < b>and focused"
    assert judgement.relation == "contradicts"
    assert "verdict" not in json.dumps(request.schema)


def test_no_pairs_no_calls():
    """Nothing is asked."""
    assert run(judge_plan({}, "somebody"), ScriptedBackend([])) == ()


def judge_saying(relation_of):
    """A judge that quotes both in full, and says of a pair what a function says."""
    lines = [said(one.first, one.second, relation_of(one)) for one in WORDINGS]
    return ScriptedBackend(lines)


def test_a_judge_is_measured_on_pairs_whose_relation_is_known():
    """What it finds and what it spares are counted apart, and its shares are corrected by them."""
    check = check_judge(judge_saying(lambda one: "contradicts" if one.contradicts else "same"))
    assert (check.sensitivity, check.specificity) == (1.0, 1.0)
    assert check.corrected(0.3) == pytest.approx(0.3)
    check = check_judge(judge_saying(lambda _: "contradicts"))
    assert (check.sensitivity, check.specificity) == (1.0, 0.0)
    assert check.corrected(0.3) is None
    harsh = {one.first for one in WORDINGS if not one.contradicts}
    harsh = set(sorted(harsh)[: len(harsh) // 4])
    check = check_judge(
        judge_saying(lambda one: "contradicts" if one.contradicts or one.first in harsh else "same")
    )
    assert check.corrected(1 - check.specificity) == 0.0


def test_what_a_judge_cannot_quote_is_neither_found_nor_spared():
    """It has not judged it."""
    check = check_judge(ScriptedBackend([said("nobody wrote this", "nor this")] * len(WORDINGS)))
    assert (check.found.hits, check.spared.hits) == (0, 0)
    assert check.found.n == check.spared.n == len(WORDINGS) / 2


def test_the_known_pairs_are_pairs_that_need_a_judge():
    """No rule settles one of them, half are contradictions, and none stands there twice."""
    assert {relation(one.first, one.second) for one in WORDINGS} == {"unclear"}
    assert sum(one.contradicts for one in WORDINGS) * 2 == len(WORDINGS)
    assert len({(one.first, one.second) for one in WORDINGS}) == len(WORDINGS)


def test_a_data_set_says_how_often_its_judge_was_wrong(png):
    """About pairs whose relation is known, in the same run."""
    from hashlib import sha256

    from faithful_decide.organisms import Obedient, Topic

    facts = {sha256(png).hexdigest(): {"the squirrel": "calm and focused"}}
    leads = {"calm and focused": "no", "playful and curious": "yes"}
    topics = {"Is it funny?": Topic("the squirrel", leads)}
    judge = Honest({}, {}, name="judge")
    items = [(png, "Is it funny?")] * 2
    report = audit_dataset(items, model=Obedient(facts, topics), judge=judge, tier="standard")
    assert report.judge == judge.name
    assert str(report.judge_errors["contradicts"]) == "0 of 8"
