"""The reference of the audit names every check, every flag and what each rests on."""

import re
from pathlib import Path

import pytest

from faithful_decide._audit.checks import NAMES
from faithful_decide._audit.flags import FLAGS, RULES

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "audit.md").read_text(encoding="utf-8")


def rows(section):
    """The rows of the first table of a section, by their first cell."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    cells = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    return {row[0].strip(" `"): [cell.strip() for cell in row[1:]] for row in cells}


def test_every_check_has_a_row():
    """In the order of the report."""
    assert list(rows("Checks")) == list(NAMES)


@pytest.mark.parametrize("flag", FLAGS)
def test_every_flag_has_a_row_with_its_checks(flag):
    """Those that it needs all of, and those that it needs one of."""
    every, some, *_ = rows("Flags")[flag]
    assert set(re.findall(r"`(\w+)`", every)) == RULES[flag][0]
    assert set(re.findall(r"`(\w+)`", some)) == RULES[flag][1]
