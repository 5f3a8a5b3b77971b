"""Between what is stored and what is read: every value has its words, wherever people read it."""

import re
from itertools import product
from typing import get_args

import pytest

from faithful_decide._audit.checks import CHECKS, NAMES
from faithful_decide._audit.flags import FLAGS, LABELS
from faithful_decide._audit.types import (
    OUTCOMES,
    JudgedRelation,
    Outcome,
    State,
    Tier,
    Value,
    Witnessed,
)
from faithful_decide._core.types import Constraint, Decision, Enforcement, Receipt, Scores
from faithful_decide._report import words as wording
from tests.report import factory

VARIANTS = [
    *FLAGS,
    "sycophantic:undisclosed",
    *LABELS,
]
IDENTIFIER = re.compile(r"[a-z]+(?:_[a-z]+)+")
WRITTEN = re.compile(r"<h3>When it was written</h3>\n<p>(.*?)</p>", re.DOTALL)
ORDERS = get_args(Receipt.model_fields["order"].annotation)
SOURCES = get_args(Scores.model_fields["source"].annotation)


def read(thing):
    """What people read: the page without its marks and raw replies, and what is printed."""
    marks = r"<style>.*?</style>|<pre .*?</pre>|<[^>]*>"
    return f"{re.sub(marks, ' ', thing.to_html(), flags=re.DOTALL)} {thing}"


def identifiers(thing):
    """The identifiers in it, but for those that are words of the model or of the caller."""
    return set(IDENTIFIER.findall(read(thing))) - {"cannot_tell", "wears_hat"}


def with_checks(names):
    (check,) = [c for c in factory.checks().values() if c.check == "forced"]
    return {name: check.model_copy(update={"check": name}) for name in names}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_flag_and_label_has_words_of_its_own(name):
    """In headlines, reasons, tables and titles."""
    title = wording.title(name)
    assert title[0].isupper()
    assert [other for other in VARIANTS if wording.title(other) == title] == [name]
    raised = factory.FINDINGS[0].model_copy(
        update={"flag": name, "name": name, "sentence": "for this reason", "checks": NAMES}
    )
    named = {"findings": (raised,), "flags": (name,)}
    one, many = factory.squirrel(**named), factory.dataset(2, **named)
    for report in (one, many):
        assert title in read(report)
        assert f"<title>{title}" in report.to_html()
    if name in LABELS:
        many = factory.dataset(
            2, flags=(), findings=(), label=name, label_because="for this reason"
        )
        assert f"<title>{title}" in many.to_html()
        assert name == "flagged" or f"{title}: for this reason" in str(many)
    assert identifiers(one) | identifiers(many) == set()


def test_the_tables_hold_nothing_else():
    """A flag that went leaves its words behind for nobody."""
    assert set(wording._TITLES) == {*VARIANTS, "hit", "no_hit"}
    assert set(wording._RELATIONS) == set(get_args(JudgedRelation))
    assert set(OUTCOMES) == set(get_args(Outcome))
    assert {name for name in VARIANTS if wording.is_label(name)} == set(LABELS) - {"flagged"}
    assert set(wording._STATES) == set(get_args(State))


def test_every_check_is_named_and_asks_in_words():
    """Also what it is compared with; and none is called like another."""
    titles = [check.title for check in with_checks(NAMES).values()]
    assert len(set(titles)) == len(titles)
    report = factory.squirrel(checks=with_checks(NAMES), conflicts=())
    assert all(title in read(report) for title in titles)
    assert identifiers(report) == set()
    for check in CHECKS:
        assert check.asks.endswith("?")
        assert not IDENTIFIER.search(check.asks + check.control.replace("cannot_tell", ""))


@pytest.mark.parametrize("tier", get_args(Tier))
def test_what_is_left_open_is_in_words(tier, loaded, folder):
    """The reasons for which checks were not run, and everything else a real audit says."""
    from faithful_decide import audit, audit_dataset
    from tests.audit.known_pictures import FUNNY

    for name in ("Honest", "PostHoc", "ImageIgnorer", "CueFollower"):
        how = {"model": f"organism/{name}", "tier": tier}
        assert identifiers(audit("pictures/0.png", FUNNY, **how)) == set()
        pairs = [(f"pictures/{number}.png", FUNNY) for number in range(4)]
        assert identifiers(audit_dataset(pairs, **how)) == set()


def test_every_state_value_relation_and_outcome_is_in_words():
    """As the model, the judge and the witness left them."""
    report = factory.squirrel()
    for state in get_args(State):
        found = report.findings[0].model_copy(update={"state": state})
        assert identifiers(report.model_copy(update={"findings": (found,)})) == set()
    for value, witness in product((*get_args(Value), None), get_args(Witnessed)):
        claim = report.claims[0].model_copy(update={"value": value, "witness": witness})
        assert identifiers(report.model_copy(update={"claims": (claim,)})) == set()
    for relation in get_args(JudgedRelation):
        judged = report.judgements[0].model_copy(update={"relation": relation})
        text = read(report.model_copy(update={"judgements": (judged,)}))
        assert wording.relation(relation) in text
    for outcome in get_args(Outcome):
        forced = report.forced["no"].model_copy(update={"outcome": outcome})
        assert identifiers(report.model_copy(update={"forced": {"no": forced}})) == set()


def test_every_receipt_is_in_words():
    """However the order came about."""
    decision = factory.decision()
    texts = set()
    for order in ORDERS:
        for enforcement in get_args(Enforcement):
            for constraint in get_args(Constraint):
                given = {"order": order, "enforcement": enforcement, "constraint": constraint}
                other: Decision = decision.model_copy(
                    update={"receipt": decision.receipt.model_copy(update=given)}
                )
                assert identifiers(other) == set(), given
                texts.add(WRITTEN.search(other.to_html())[1])
    assert len(texts) == len(ORDERS) + 2
    for source in SOURCES:
        scores = decision.scores.model_copy(update={"source": source})
        assert identifiers(decision.model_copy(update={"scores": scores})) == set()
