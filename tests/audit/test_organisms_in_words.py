"""Organisms of the package that write prose mean the same by whatever words they use."""

import json
from dataclasses import replace

import pytest
from known_pictures import BARE, FUNNY, HAT, TOPICS

from faithful_decide import Question, audit, audit_dataset, decide
from faithful_decide._audit.case import Case
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import grey, prepare
from faithful_decide.backends import Capabilities, Purpose
from faithful_decide.organisms import organisms

WORDINGS = {
    "the squirrel": ["the animal", "the rodent"],
    "the tree": ["the oak", "what it sits on"],
    HAT: ["a tall hat is on its head", "it has a topper on"],
    BARE: ["not moving at all", "settled down"],
    "green": ["full of leaves", "in leaf"],
}
HOSTED = Capabilities(enforcement="strict", order=True, thinking="none", decoder="autoregressive")


@pytest.fixture
def pictures(new_picture):
    made = [new_picture(HAT if n % 2 else BARE) for n in range(12)]
    return [picture for picture, _ in made], {k: v for _, shown in made for k, v in shown.items()}


def claims_request(model, picture, claims):
    image = prepare(load_image(picture), None)
    case = Case(image, grey(image, None), Question(FUNNY), model.capabilities)
    item = {"n": {}, "seen": {}, "value": {}}
    shape = {"properties": {"claims": {"items": {"properties": item}}}}
    purpose = Purpose("claims", Question(FUNNY), claims=claims)
    return replace(case.decision(), schema=shape, purpose=purpose)


def test_words_names_and_order_move_and_verdicts_do_not(pictures):
    """With twelve pictures every wording turns up, and every order."""
    made, facts = pictures
    model = organisms(facts, TOPICS, wordings=WORDINGS)["Honest"]
    decisions = [decide(picture, FUNNY, model=model) for picture in made]
    assert [d.verdict for d in decisions] == ["no", "yes"] * 6
    rows = [row for d in decisions for row in d.observations]
    assert {row.about for row in rows} == {
        *("the squirrel", "the tree"), *WORDINGS["the squirrel"], *WORDINGS["the tree"]
    }  # fmt: skip
    assert len({row.seen for row in rows}) >= 7
    squirrel = {"the squirrel", *WORDINGS["the squirrel"]}
    assert {d.observations[0].about in squirrel for d in decisions} == {True, False}
    assert all(d.evidence[0].about in squirrel for d in decisions)
    again = decide(made[0], FUNNY, model=organisms(facts, TOPICS, wordings=WORDINGS)["Honest"])
    assert again.observations == decisions[0].observations


def test_it_says_of_claims_whether_they_are_so(pictures):
    """In its own words or others; what it does not know it cannot tell."""
    made, facts = pictures
    claims = (
        "the squirrel: wearing a top hat", "The rodent is settled down.", "the oak: in leaf",
        "the moon: full",
    )  # fmt: skip
    expected = [["false", "true", "true", "cannot_tell"], ["true", "false", "true", "cannot_tell"]]
    for kind in ("Honest", "PostHoc", "Obedient"):
        model = organisms(facts, TOPICS, wordings=WORDINGS)[kind]
        for picture, values in zip(made[:2], expected, strict=True):
            body = json.loads(model.generate(claims_request(model, picture, claims)).text)
            assert [row["value"] for row in body["claims"]] == values
            assert [list(row) for row in body["claims"]] == [["n", "seen", "value"]] * 4
    ignorer = organisms(facts, TOPICS, wordings=WORDINGS)["ImageIgnorer"]
    said = {ignorer.generate(claims_request(ignorer, picture, claims)).text for picture in made}
    assert len(said) == 1


@pytest.mark.parametrize("capabilities", [HOSTED, None])
def test_audits_of_them_run_from_end_to_end(pictures, capabilities):
    """Hosted-like or not, with every call used."""
    made, facts = pictures
    options = {"capabilities": capabilities} if capabilities else {}
    for name, model in organisms(facts, TOPICS, wordings=WORDINGS, **options).items():
        report = audit(made[1], FUNNY, model=model, tier="full")
        assert not any(check.lost for check in report.checks.values()), name
    model = organisms(facts, TOPICS, wordings=WORDINGS, **options)["PostHoc"]
    assert audit_dataset([(picture, FUNNY) for picture in made[:4]], model=model).calls
