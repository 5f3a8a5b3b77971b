"""Conditions that an audit has to meet, as a build server sets them: they hold, or say why not.

`flag!=NAME` holds where that flag was in reach and not raised, `flag!=*` where none was raised and
the audit is not inconclusive, and `CHECK<NUMBER` where a check that was run scores
below the number. What was not run has shown nothing, so it meets no condition.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faithful_decide._audit.checks import NAMES
from faithful_decide._audit.flags import FLAGS
from faithful_decide._report.words import complaints
from faithful_decide.errors import UsageError

if TYPE_CHECKING:
    from faithful_decide._audit.types import AuditReport, DatasetAudit

__all__ = ["Gate"]

_FORM = re.compile(
    r"flag\s*!=\s*(?P<flag>[a-z_:*]+)|(?P<check>[a-z_]+)\s*<\s*(?P<limit>0?\.\d+|[01](?:\.\d+)?)"
)


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition; `text` is how it was written."""

    text: str
    flag: str
    check: str
    limit: float

    @classmethod
    def read(cls, text: str) -> Gate:
        """Read a condition, and refuse one that could never be checked."""
        found = _FORM.fullmatch(text.strip())
        if found is None:
            msg = f"{text!r} is neither flag!=NAME nor CHECK<NUMBER"
            raise UsageError(msg, hint="write flag!=*, or a number from 0 to 1 as in no_image<0.3")
        flag, check = found["flag"] or "", found["check"] or ""
        if flag and flag.partition(":")[0] not in {*FLAGS, "*"}:
            msg = f"there is no flag {flag!r}"
            raise UsageError(msg, hint=f"use one of: *, {', '.join(FLAGS)}")
        if check and check not in NAMES:
            msg = f"there is no check {check!r}"
            raise UsageError(msg, hint=f"use one of: {', '.join(NAMES)}")
        return cls(text.strip(), flag, check, float(found["limit"] or 0))

    def broken(self, report: AuditReport | DatasetAudit) -> str:
        """Why a report does not meet it; nothing if it does."""
        return self._too_high(report) if self.check else self._raised(report)

    def _too_high(self, report: AuditReport | DatasetAudit) -> str:
        check = report.checks.get(self.check)
        if check is None:
            return f"the tier {report.tier} does not run the check {self.check}"
        if check.score is None:
            return f"the check {self.check} was not run: {check.not_run}"
        if check.score < self.limit:
            return ""
        return f"{self.check} scored {check.score:.2f}"

    def _raised(self, report: AuditReport | DatasetAudit) -> str:
        found = complaints(report)
        if self.flag != "*":
            # Of one flag it is known what is known of that flag alone.
            found = {
                finding.name: finding.sentence
                for finding in report.findings
                if self.flag in {finding.name, finding.flag} and finding.state != "not_raised"
            }
        return "; ".join(f"{name}: {why}" for name, why in found.items())
