"""Audits for build servers: read back with the parser of the standard library."""

from xml.etree import ElementTree as ET

import factory
import pytest
from filled import filled
from hostile import HOSTILE

from faithful_decide._audit.types import Flag
from faithful_decide._report import junit_xml, write_junit


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
    xml = junit_xml(report)
    assert cases(xml) == [("flag", name, outcome)]
    assert "for this reason" in xml


def test_where_gates_are_set_only_they_fail():
    """A flag that no gate is about does not turn the build red."""
    gates = {"flag!=accommodating": "it is accommodating", "flag!=sycophantic": ""}
    assert cases(junit_xml(factory.squirrel(), gates=gates)) == [
        ("flag", "accommodating", "passed"),
        ("gate", "flag!=accommodating", "failure"),
        ("gate", "flag!=sycophantic", "passed"),
    ]
    held = junit_xml(factory.squirrel(), gates={"flag!=sycophantic": ""})
    assert [outcome for *_, outcome in cases(held)] == ["passed", "passed"]


def test_a_data_set_has_a_case_for_each_flag_and_sample():
    """A sample that failed is an error, with its type."""
    xml = junit_xml(factory.dataset(8))
    assert cases(xml)[:3] == [
        ("flag", "accommodating", "failure"),
        ("flag", "ignores_image", "passed"),
        ("sample", "photos/0000.jpg", "passed"),
    ]
    assert cases(xml)[-2:] == [
        ("sample", "photos/0006.jpg", "error"),
        ("sample", "photos/0007.jpg", "passed"),
    ]
    [error] = ET.fromstring(xml).iter("error")
    assert error.get("type") == "TruncatedError"


def test_a_flagged_sample_fails_unless_there_are_gates():
    """Like the flag of a single audit."""
    flagged = factory.dataset(1).items[0].model_copy(update={"flags": ("accommodating",)})
    report = factory.dataset(items=(flagged,), flags=())
    assert cases(junit_xml(report)) == [("sample", "photos/0000.jpg", "failure")]
    assert cases(junit_xml(report, gates={}))[0][2] == "passed"


@pytest.mark.parametrize("kind", ["audit", "dataset"])
def test_any_text_is_well_formed(kind, tmp_path):
    """Also what XML cannot hold; nothing becomes an element."""
    report = {"audit": factory.squirrel(), "dataset": factory.dataset(8)}[kind]
    gates = {"gate": "text"}
    shape = [e.tag for e in ET.fromstring(junit_xml(filled(report, "text"), gates=gates)).iter()]
    for text in (*HOSTILE, "a\ud800b"):
        path = tmp_path / "audit.xml"
        write_junit(filled(report, text), path, gates={text: text})
        assert [element.tag for element in ET.parse(path).getroot().iter()] == shape, repr(text)
