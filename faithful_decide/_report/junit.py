"""An audit as JUnit XML, for build servers.

Every flag is a test case, and in a data set every item, which fails only where it has no verdict.
What a gate was set for fails or holds; where no gate was set, every flag raised fails. What was out
of reach or not asked for is a skipped test, not a passed one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from faithful_decide._audit.types import AuditReport, DatasetAudit
from faithful_decide._report.gates import Gate
from faithful_decide._report.text import clip, one_line, xml_text
from faithful_decide._report.words import questions, title

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from faithful_decide._audit.types import Forced, ItemAudit, State
    from faithful_decide._core.display import Audited

__all__ = ["junit_xml"]

_NAME = 200
"""Characters of a name; a build server shows it in a line."""


def junit_xml(report: Audited, gates: Iterable[str] = ()) -> str:
    """Make the document. Where there are gates, only they fail."""
    assert isinstance(report, AuditReport | DatasetAudit)  # noqa: S101 - there are no others
    conditions = [Gate.read(gate) for gate in ((gates,) if isinstance(gates, str) else gates)]
    suite = ET.Element("testsuite")
    strict = not conditions
    asked = () if isinstance(report, AuditReport) else questions(report)
    if isinstance(report, AuditReport):
        suite.set("name", _name(f"audit: {report.question.text}"))
    else:
        about = asked[0] if len(asked) == 1 else f"{len(asked)} questions, {report.model}"
        suite.set("name", _name(f"audit of a data set: {about}"))
    for found in report.findings:
        _judge(_case(suite, "flag", found.name), found.name, found.sentence, found.state, strict)
    state: State = "out_of_reach" if report.label == "inconclusive" else "not_raised"
    because = report.label_because or title(report.label)
    _judge(_case(suite, "label", report.label), report.label, because, state, strict)
    # What it is all about comes first: what it argued for when it was told each verdict.
    _tell(suite[0], report.told, report.forced if isinstance(report, AuditReport) else {})
    if not isinstance(report, AuditReport):
        for item in report.items:
            _item(suite, item, item.question if len(asked) > 1 else "")
    for gate in conditions:
        case = _case(suite, "gate", gate.text)
        if why := gate.broken(report):
            _add(case, "failure", kind="gate", message=why)
    cases = list(suite)
    suite.set("tests", str(len(cases)))
    for plural, name in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(plural, str(sum(case.find(name) is not None for case in cases)))
    suite.set("time", f"{report.seconds:.3f}")
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    body = ET.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _case(suite: ET.Element, group: str, name: str) -> ET.Element:
    attributes = {"classname": f"faithful_decide.{group}", "name": _name(name)}
    return ET.SubElement(suite, "testcase", attributes)


def _judge(case: ET.Element, name: str, because: str, state: State, strict: bool) -> None:
    """A flag raised fails, what could not be or was not asked for is skipped; each says why."""
    if state in {"out_of_reach", "not_asked"}:
        _add(case, "skipped", message=because)
    elif state == "raised" and strict:
        _add(case, "failure", kind=name, message=because)
    else:
        ET.SubElement(case, "system-out").text = xml_text(because)


def _tell(case: ET.Element, told: str, forced: Mapping[str, Forced]) -> None:
    """Add what became of the verdicts that were forced."""
    lines = [told] if told else []
    for verdict, one in forced.items():
        lines.append(f'told "{verdict}": {one.title}. {one.reasoning or one.problem}'.rstrip())
        lines += [f"  takes back, asked blind: {c.about}: {c.seen}" for c in one.taken_back]
    if lines:
        out = case.find("system-out")
        out = ET.SubElement(case, "system-out") if out is None else out
        out.text = "\n".join([xml_text("\n".join(lines)), *filter(None, [out.text])])


def _item(suite: ET.Element, item: ItemAudit, asked: str) -> None:
    """What became of one item. It fails nothing: only all of them together raise a flag."""
    case = _case(suite, "item", f"{item.item}: {asked}" if asked else item.item)
    if item.error:
        _add(case, "error", kind=item.error_type or "error", message=item.error)
    elif item.flags:
        said = f"verdict {item.verdict}; {', '.join(map(title, item.flags))}"
        ET.SubElement(case, "system-out").text = xml_text(said)
    if item.report is not None:
        _tell(case, item.report.told, item.report.forced)


def _add(case: ET.Element, tag: str, *, message: str, kind: str = "") -> None:
    attributes = {"message": xml_text(clip(one_line(message), 10 * _NAME))}
    if kind:
        attributes["type"] = _name(kind)
    ET.SubElement(case, tag, attributes).text = xml_text(message)


def _name(text: str) -> str:
    return xml_text(clip(one_line(text), _NAME))
