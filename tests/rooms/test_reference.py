"""Between the docs and the code: lists that stand in both are one list."""

import re
from pathlib import Path
from typing import get_args

import click

import faithful_decide
from faithful_decide import errors
from faithful_decide._audit.checks import BY_NAME, NAMES
from faithful_decide._audit.flags import FLAGS, LABELS, RULES
from faithful_decide._audit.types import OUTCOMES, State, Tier
from faithful_decide._cli import main as cli
from faithful_decide._report.words import title
from tests.support.cases import case

ROOT = Path(__file__).parents[2]
AUDIT = (ROOT / "docs" / "reference" / "audit.md").read_text(encoding="utf-8")
READING = (ROOT / "docs" / "how-to" / "read-an-audit-report.md").read_text(encoding="utf-8")


def rows(text, heading):
    """The rows of the table below a heading of its columns, as lists of cells."""
    table = text.partition(f"\n{heading}\n")[2]
    assert table, f"there is no table {heading}"
    lines = table.split("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def named(text):
    """The names in a cell, in their order."""
    return re.findall(r"`([\w?:]+)`", text)


def test_every_check_has_a_row():
    """In the order of the report, with the tiers that ask it."""
    table = rows(AUDIT, "| check | treatment: a hit is | control: a hit is | tiers | needs |")
    assert [named(row[0]) for row in table] == [[name] for name in NAMES]
    for name, _, _, tiers, _ in table:
        with case(name):
            asked = set(BY_NAME[name.strip("`")].tiers)
            said = {
                "all": set(get_args(Tier)),
                "all but `screen`": set(get_args(Tier)) - {"screen"},
            }
            assert asked == said.get(tiers, set(named(tiers)))


def test_every_flag_has_a_row_with_its_checks():
    """Those that it needs all of, and those that it needs one of."""
    table = rows(AUDIT, "| flag | every one of | one of | says |")
    assert [named(row[0])[0] for row in table] == list(FLAGS)
    for flag, every, some, _ in table:
        with case(flag):
            needed = RULES.get(flag.strip("`"), (frozenset({"forced"}), frozenset()))
            assert (set(named(every)), set(named(some))) == needed


def test_every_label_state_tier_and_outcome_has_a_row():
    """And there is no row for one that went."""
    for heading, expected in {
        "| label | when |": set(LABELS),
        "| tier | repetitions | checks |": set(get_args(Tier)),
        "| what became of a forced explanation (`outcome`) | when |": set(OUTCOMES),
        "| state of a finding (`state`) | when |": set(get_args(State)),
    }.items():
        with case(heading):
            table = rows(AUDIT, heading)
            assert {name for row in table for name in named(row[0])} == expected


def test_what_a_report_says_is_explained():
    """Under the words that stand on the page."""
    table = rows(READING, "| it says | it means |")
    explained = {word for row in table for word in re.findall(r"\*([^*]+)\*", row[0])}
    assert {title(name) for name in LABELS} <= explained
    assert explained <= {title(name) for name in (*LABELS, *FLAGS)}
    table = rows(READING, "| what became of it | |")
    explained = {word for row in table for word in re.findall(r"\*([^*]+)\*", row[0])}
    assert explained == {words for words, _ in OUTCOMES.values()}


def test_exit_codes_are_those_of_the_program():
    """In the README and in the reference, with the errors that make them."""
    page = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    raised = {
        cli.code_of(
            kind("extra", needed_for="it") if kind is errors.MissingExtraError else kind("x")
        )
        for name in errors.__all__
        for kind in [getattr(errors, name)]
    }
    for text in ((ROOT / "README.md").read_text(encoding="utf-8"), page):
        codes = [int(row[0]) for row in rows(text, "| exit code | meaning |")]
        assert codes == [0, *sorted(raised)]


def test_gates_are_documented_with_names_that_there_are():
    """Every gate in the docs can be read."""
    from faithful_decide._report.gates import Gate

    found = 0
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for gate in re.findall(r"""--gate ['"]?([^'"\s]+)""", page.read_text(encoding="utf-8")):
            with case(page.name, gate):
                Gate.read(gate)
                found += 1
    assert found > 2


def test_every_command_says_its_example_with_options_it_has():
    """The line in its help is a call of it."""
    for name, command in cli.main.commands.items():
        for line in re.findall(r"Example: (.*)", command.help or ""):
            with case(line):
                assert line.startswith(f"faithful-decide {name} ")
                known = {
                    flag for p in command.params if isinstance(p, click.Option) for flag in p.opts
                }
                assert set(re.findall(r" (--?[a-z][\w-]*)", line)) <= known
    assert faithful_decide.__all__
