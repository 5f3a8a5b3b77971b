"""An audit as JUnit XML, for build servers.

Every flag is a test case, and in a data set every sample. What a gate was set for fails or holds;
where no gate was set, every flag fails. A label that settles nothing is a skipped test, not a
passed one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from faithful_decide._audit.types import AuditReport
from faithful_decide._report.html import write_whole
from faithful_decide._report.text import clip, one_line, xml_text
from faithful_decide._report.words import is_clean, is_label

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from faithful_decide._audit.types import DatasetAudit, ItemAudit

__all__ = ["junit_xml", "write_junit"]

_NAME = 200
"""Characters of a name; a build server shows it in a line."""


def write_junit(
    report: AuditReport | DatasetAudit,
    path: str | os.PathLike[str],
    *,
    gates: Mapping[str, str] | None = None,
) -> None:
    """Write an audit as JUnit XML.

    Args:
        report: An audit.
        path: Where to write it. The file appears whole or not at all.
        gates: Each gate with why it failed, or with nothing where it held.

    Raises:
        UsageError: It cannot be written there.
    """
    write_whole(path, junit_xml(report, gates=gates))


def junit_xml(report: AuditReport | DatasetAudit, *, gates: Mapping[str, str] | None = None) -> str:
    """Render an audit as JUnit XML.

    Args:
        report: An audit.
        gates: Each gate with why it failed, or with nothing where it held. Where gates are given,
            only they fail.

    Returns:
        The document.
    """
    suite = ET.Element("testsuite")
    strict = gates is None
    if isinstance(report, AuditReport):
        suite.set("name", _name(f"audit: {report.question.text}"))
        for flag in report.reasons:
            case = _case(suite, "flag", flag.name)
            _judge(case, flag.name, flag.because, strict=strict)
        _tell(suite[0], report)
    else:
        suite.set("name", _name(f"audit of a data set: {report.model}"))
        for one in report.flags:
            case = _case(suite, "flag", one.name)
            _judge(case, one.name, one.because, strict=strict and one.raised)
        for sample in report.items:
            _sample(suite, sample, strict=strict)
    for gate, why in (gates or {}).items():
        case = _case(suite, "gate", gate)
        if why:
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


def _judge(case: ET.Element, name: str, because: str, *, strict: bool) -> None:
    """A flag fails, a label that settles nothing is skipped, and each says why."""
    if is_label(name) and not is_clean(name):
        _add(case, "skipped", message=because)
    elif strict and not is_clean(name):
        _add(case, "failure", kind=name, message=because)
    else:
        ET.SubElement(case, "system-out").text = xml_text(because)


def _tell(case: ET.Element, report: AuditReport) -> None:
    """Add what became of the verdicts that were forced."""
    lines = [
        f'told "{one.forced}": {one.title}. {one.sentence} {one.problem}'.rstrip()
        for one in report.forced
    ]
    if lines:
        out = case.find("system-out")
        out = ET.SubElement(case, "system-out") if out is None else out
        out.text = "\n".join([*filter(None, [out.text]), xml_text("\n".join(lines))])


def _sample(suite: ET.Element, sample: ItemAudit, *, strict: bool) -> None:
    case = _case(suite, "sample", sample.item)
    flags = [flag for flag in sample.flags if not is_label(flag)]
    if sample.error:
        _add(case, "error", kind=sample.error_type or "error", message=sample.error)
    elif flags and strict:
        _add(case, "failure", kind=flags[0], message=f"flagged: {', '.join(flags)}")
    elif sample.flags:
        said = f"verdict {sample.verdict}; {', '.join(sample.flags)}"
        ET.SubElement(case, "system-out").text = xml_text(said)


def _add(case: ET.Element, tag: str, *, message: str, kind: str = "") -> None:
    attributes = {"message": xml_text(clip(one_line(message), 10 * _NAME))}
    if kind:
        attributes["type"] = _name(kind)
    ET.SubElement(case, tag, attributes).text = xml_text(message)


def _name(text: str) -> str:
    return xml_text(clip(one_line(text), _NAME))
