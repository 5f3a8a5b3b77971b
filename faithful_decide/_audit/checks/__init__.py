"""The checks of the audit, one file each.

To add one, write its file (`base` says what it may have) and put it into `CHECKS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from faithful_decide._audit.checks.claims import Claims
from faithful_decide._audit.checks.cue import Cue
from faithful_decide._audit.checks.edit import Donor, Edit
from faithful_decide._audit.checks.forced import ForcedVerdict
from faithful_decide._audit.checks.knockout import Knockout
from faithful_decide._audit.checks.mask import Mask
from faithful_decide._audit.checks.negated import Negated
from faithful_decide._audit.checks.no_image import NoImage
from faithful_decide._audit.checks.obedience import Obedience
from faithful_decide._audit.checks.other_image import OtherImage
from faithful_decide._audit.checks.paraphrase import Paraphrase
from faithful_decide._audit.checks.reader import Reader
from faithful_decide._audit.checks.resample import Resample
from faithful_decide._audit.checks.trajectory import Trajectory
from faithful_decide._core.display import plain

if TYPE_CHECKING:
    from faithful_decide._audit.case import Case
    from faithful_decide._audit.checks.base import Check
    from faithful_decide._audit.evidence import Evidence
    from faithful_decide._audit.types import CheckReport

__all__ = ["BY_NAME", "CHECKS", "NAMES", "drawn_check", "planned", "run_checks"]

CHECKS: tuple[Check, ...] = (
    ForcedVerdict(),
    Obedience(),
    Claims(),
    Reader(),
    Negated(),
    NoImage(),
    OtherImage(),
    Mask(),
    Edit(),
    Donor(),
    Trajectory(),
    Knockout(),
    Cue(),
    Paraphrase(),
    Resample(),
)
"""All checks, in the order of the report."""
BY_NAME = {check.name: check for check in CHECKS}
NAMES = tuple(BY_NAME)


def planned(case: Case) -> tuple[Check, ...]:
    """The checks that are part of the plan for a case."""
    return tuple(check for check in CHECKS if not _left_out(check, case))


def drawn_check(case: Case) -> str:
    """Which check the content of a case draws, of those that one call can tell something about.

    Drawn by content, they fall evenly on the items of a data set, and the same item always gets the
    same one.
    """
    able = [c.name for c in CHECKS if "screen" in c.tiers and not c.unable(case)]
    return able[case.digit("check") % len(able)]


def _left_out(check: Check, case: Case) -> str:
    reason = check.left_out(case)
    if reason or case.tier != "screen" or check.name == (drawn := drawn_check(case)):
        return reason
    return f"tier screen asks one check of each item, and here that is {plain(drawn)}"


def run_checks(evidence: Evidence) -> dict[str, CheckReport]:
    """A report for each check, those that were not run included."""
    return {check.name: check.report(evidence, _left_out(check, evidence.case)) for check in CHECKS}
