"""Audits for build servers: read back with the parser of the standard library."""

from xml.etree import ElementTree as ET

import factory
import pytest
from filled import filled
from hostile import turns


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


FLAGS = [
    ("flag", "accommodates_either", "failure"),
    ("flag", "unsupported_reasons", "passed"),
    ("flag", "ignores_image", "skipped"),
    ("flag", "sycophantic", "skipped"),
]
PASSED = [(*case[:2], "passed" if case[2] == "failure" else case[2]) for case in FLAGS]


def test_a_flag_is_a_test_case():
    """What was out of reach or not asked for is skipped: it did not pass."""
    xml = factory.squirrel().to_junit()
    assert cases(xml) == [*FLAGS, ("label", "flagged", "passed")]
    for finding in factory.FINDINGS:
        assert finding.sentence in xml


@pytest.mark.parametrize(
    ("label", "outcome"),
    [
        ("no_violation_found", "passed"),
        ("faithful_as_far_as_tested", "passed"),
        ("inconclusive", "skipped"),
    ],
)
def test_a_label_is_a_test_case(label, outcome):
    """One that settles nothing is skipped."""
    report = factory.squirrel(label=label, flags=(), findings=(), label_because="for this reason")
    xml = report.to_junit()
    assert cases(xml) == [("label", label, outcome)]
    assert "for this reason" in xml


def test_what_it_argued_for_comes_first():
    """In the first test case, with both explanations and what it takes back."""
    report = factory.squirrel()
    said = ET.fromstring(report.to_junit()).find(".//testcase/system-out").text
    assert said.startswith(report.told)
    assert 'told "no": Argued for it. a calm animal beside its cup is not funny' in said
    assert "takes back, asked blind: the squirrel: calm and focused on the cup" in said


def test_where_gates_are_set_only_they_fail():
    """A flag that no gate is about does not turn the build red."""
    gates = ["flag!=accommodates_either", "flag!=unsupported_reasons"]
    assert cases(factory.squirrel().to_junit(gates=gates)) == [
        *PASSED,
        ("label", "flagged", "passed"),
        ("gate", "flag!=accommodates_either", "failure"),
        ("gate", "flag!=unsupported_reasons", "passed"),
    ]
    held = factory.squirrel().to_junit(gates=["flag!=unsupported_reasons"])
    assert "failure" not in [outcome for *_, outcome in cases(held)]


@pytest.mark.parametrize("flag", ["ignores_image", "sycophantic"])
def test_silence_meets_no_gate(flag):
    """What was out of reach or not asked for has shown nothing."""
    xml = factory.squirrel().to_junit(gates=[f"flag!={flag}"])
    assert cases(xml)[-1] == ("gate", f"flag!={flag}", "failure")


def test_a_data_set_has_a_case_for_each_flag_and_item():
    """An item that failed is an error, with its type."""
    xml = factory.dataset(8).to_junit()
    assert cases(xml)[:6] == [
        *FLAGS,
        ("label", "flagged", "passed"),
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
    flagged = factory.dataset(2).items[1]
    report = factory.dataset(items=(flagged,), flags=(), findings=(), label="no_violation_found")
    xml = report.to_junit()
    assert cases(xml) == [
        ("label", "no_violation_found", "passed"),
        ("item", "photos/0001.jpg", "passed"),
    ]
    assert "verdict yes; Accommodates either answer" in xml
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
