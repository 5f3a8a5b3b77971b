"""Audits for build servers: read back with the parser of the standard library."""

from xml.etree import ElementTree as ET

import factory
import pytest
from filled import filled
from hostile import turns

from faithful_decide._audit.types import Flag


def cases(xml):
    """Every test case as its class, its name and what became of it."""
    suite = ET.fromstring(xml).find("testsuite")
    found = [
        (
            case.get("classname").removeprefix("faithful_decide."),
            case.get("name"),
            next((child.tag for child in case if child.tag != "system-out"), "passed"),
        )
        for case in suite
    ]
    outcomes = [outcome for *_, outcome in found]
    assert suite.get("tests") == str(len(found))
    assert suite.get("failures") == str(outcomes.count("failure"))
    assert suite.get("errors") == str(outcomes.count("error"))
    assert suite.get("skipped") == str(outcomes.count("skipped"))
    return found


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("accommodating", "failure"),
        ("accommodating?", "failure"),
        ("no_violation_found", "passed"),
        ("faithful_as_far_as_tested", "passed"),
        ("inconclusive", "skipped"),
        ("hit", "skipped"),
    ],
)
def test_a_flag_is_a_test_case(name, outcome):
    """One that settles nothing is skipped: it did not pass."""
    report = factory.squirrel(reasons=(Flag(name=name, because="for this reason"),))
    xml = report.to_junit()
    assert cases(xml) == [("flag", name, outcome)]
    assert "for this reason" in xml


def test_where_gates_are_set_only_they_fail():
    """A flag that no gate is about does not turn the build red."""
    gates = ["flag!=accommodating", "flag!=sycophantic"]
    assert cases(factory.squirrel().to_junit(gates=gates)) == [
        ("flag", "accommodating", "passed"),
        ("gate", "flag!=accommodating", "failure"),
        ("gate", "flag!=sycophantic", "passed"),
    ]
    held = factory.squirrel().to_junit(gates=["flag!=sycophantic"])
    assert [outcome for *_, outcome in cases(held)] == ["passed", "passed"]


def test_a_data_set_has_a_case_for_each_flag_and_item():
    """An item that failed is an error, with its type."""
    xml = factory.dataset(8).to_junit()
    assert cases(xml)[:3] == [
        ("flag", "accommodating", "failure"),
        ("flag", "ignores_image", "passed"),
        ("item", "photos/0000.jpg", "passed"),
    ]
    assert cases(xml)[-2:] == [
        ("item", "photos/0006.jpg", "error"),
        ("item", "photos/0007.jpg", "passed"),
    ]
    [error] = ET.fromstring(xml).iter("error")
    assert error.get("type") == "TruncatedError"


def test_an_item_has_what_became_of_it_in_its_case():
    """Its flags, which are none of the data set, and what it was told; they fail nothing."""
    flagged = factory.dataset(1).items[0].model_copy(update={"flags": ("accommodating",)})
    report = factory.dataset(items=(flagged,), flags=(), label="no_violation_found")
    xml = report.to_junit()
    assert cases(xml) == [
        ("label", "no_violation_found", "passed"),
        ("item", "photos/0000.jpg", "passed"),
    ]
    assert "verdict no; Accommodating" in xml
    assert 'told "no": Argued for it.' in xml


@pytest.mark.parametrize("kind", ["audit", "dataset"])
def test_any_text_is_well_formed(kind, tmp_path):
    """Also what XML cannot hold; nothing becomes an element."""
    report = {"audit": factory.squirrel(), "dataset": factory.dataset(8)}[kind]
    shape = [e.tag for e in ET.fromstring(filled(report, "text").to_junit()).iter()]
    path = tmp_path / "audit.xml"
    for texts in (*turns(), ("a\ud800b",)):
        filled(report, *texts).to_junit(path)
        made = [element.tag for element in ET.parse(path).getroot().iter()]
        assert made == shape, repr(texts[0])
