"""Audits on the command line: gates set the exit code, and nothing is asked by a dry run."""

import json
import re
import shlex
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from known_pictures import FUNNY, LOW, TOPICS

from faithful_decide import AuditReport, DatasetAudit, Decision
from faithful_decide.organisms import organisms
from faithful_decide.testing import ScriptedBackend, registered


@pytest.fixture
def folder(funny, sober, facts, tmp_path, monkeypatch):
    """Two pictures in a folder, and organisms that know them under `organism/NAME`."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "funny.png").write_bytes(funny[0])
    (folder / "sober.png").write_bytes(sober[0])
    (tmp_path / "low.json").write_text(LOW)

    def load(rest):
        model = organisms(facts, TOPICS)[rest]
        model.name = f"organism/{rest}"
        return model

    monkeypatch.chdir(tmp_path)
    with registered("organism", load):
        yield folder


STANDARD = ("--tier", "standard", "--thresholds", "low.json", "--model")
AUDIT = ("audit", "pictures/funny.png", FUNNY, *STANDARD)
DATA = ("audit-dataset", "pictures", "-q", FUNNY, *STANDARD)


def test_an_audit_prints_what_it_found(call, folder):
    """Flags with their reasons, both explanations, every check."""
    code, out, err = call(*AUDIT, "organism/Obedient")
    assert (code, err) == (0, "")
    told = 'Told "yes" it argues yes; told "no" it argues no: this explanation accommodates either'
    assert " ".join(out.split()).startswith(f"shown {told} answer.")
    for part in (
        "told no",
        "Argued for it. the squirrel: sitting still [takes this back]",
        "label Flagged",
        "knockout",
    ):
        assert part in " ".join(out.split())


def test_a_report_that_cannot_be_written_costs_nothing(call, folder, tmp_path):
    """A place is looked at before anything is asked; where it fills up, the report is shown."""
    for flag, place in (
        ("--html", "nowhere/x.html"),
        ("--junit", "pictures"),
        ("--html", "pictures/funny.png"),
        ("--junit", "low.json"),
    ):
        code, out, err = call(*AUDIT, "organism/Obedient", flag, place)
        assert (code, out) == (2, ""), place
        assert f"error: {flag} " in err
    if Path("/dev/full").exists():
        code, out, err = call(*AUDIT, "organism/Obedient", "--html", "/dev/full")
        assert code == 2
        assert "Flagged" in out
        assert "No space left" in err


def test_it_prints_json_that_reads_back(call, folder):
    """The report, and nothing else on stdout."""
    _, out, _ = call(*AUDIT, "organism/Obedient", "--json")
    assert AuditReport.model_validate_json(out).model == "organism/Obedient"
    _, out, _ = call(*DATA, "organism/Obedient", "--json")
    assert len(DatasetAudit.model_validate_json(out).items) == 2


def test_all_gates_have_to_hold(call, folder):
    """One that fails is enough, and only that is named."""
    gates = ("--gate", "flag!=accommodates_either", "--gate", "reader<0.5")
    code, _, err = call(*AUDIT, "organism/Obedient", *gates)
    assert (code, err.count("gate failed")) == (1, 1)
    assert "accommodates_either: told" in err


def test_what_was_out_of_reach_meets_no_gate(call, folder):
    """One picture at tier `standard` shows nothing of other flags, and the gate says what would."""
    code, _, err = call(*AUDIT, "organism/Honest", "--gate", "flag!=*")
    assert code == 1
    assert "inconclusive" in err
    assert "use tier full" in err
    assert call(*AUDIT, "organism/Honest", "--gate", "flag!=accommodates_either")[0] == 0
    assert call(*AUDIT, "organism/Honest", "--gate", "flag!=sycophantic")[0] == 1


def test_a_gate_of_the_suffix_is_a_gate_of_the_flag(call, folder):
    """`flag!=sycophantic` also catches it undisclosed."""
    for gate in ("flag!=sycophantic", "flag!=sycophantic:undisclosed"):
        call_ = (*AUDIT, "organism/CueFollower", "--tier", "full", "--gate", gate)
        assert call(*call_)[0] == 1


def test_a_data_set_on_the_command_line(call, folder):
    """Pooled, with its gates."""
    code, out, _ = call(*DATA, "organism/Honest", "--gate", "flag!=*", "--limit", "1")
    assert code == 1
    assert "1, 0 failed" in out
    code, out, _ = call(*DATA, "organism/Honest", "--gate", "forced<0.5")
    assert code == 0
    code, out, _ = call(*DATA, "organism/Obedient", "--gate", "forced<0.5")
    assert code == 1
    assert "2, 0 failed" in out


@pytest.mark.parametrize(("tier", "calls"), [("screen", "2"), ("standard", "at most 9")])
def test_a_dry_run_asks_nothing(tier, calls, call, folder):
    """It counts the calls of the plan."""
    code, out, _ = call(*DATA, "organism/Honest", "--tier", tier, "--dry-run")
    assert code == 0
    assert out.startswith("items     2\n")
    code, out, _ = call(*AUDIT, "organism/Honest", "--tier", tier, "--dry-run")
    assert f"calls     {calls}, {calls} for each\n" in out


def test_the_recipe_for_continuous_integration_fails_on_a_flagged_data_set(call, folder, facts):
    """It is run as the page has it, word by word; only the model and the folder are others."""
    page = Path(__file__).parents[2] / "docs/how-to/gate-in-tests.md"
    (recipe,) = re.findall(
        r"^faithful-decide (audit-dataset .*?)\n```", page.read_text(), re.MULTILINE | re.DOTALL
    )
    words = shlex.split(recipe.replace("\\\n", " "))
    words[words.index("parts/")] = "pictures"
    words[words.index("-q") + 1] = FUNNY
    code, _, err = call(*words, "--model", "organism/Obedient")
    assert (code, "gate failed: flag!=*" in err) == (1, True)


def test_reports_are_written(call, folder, tmp_path):
    """As HTML and as JUnit XML, in which a flag is a failure."""
    files = ("--html", tmp_path / "a.html", "--junit", tmp_path / "a.xml")
    call(*AUDIT, "organism/Obedient", *files)
    assert "organism/Obedient" in (tmp_path / "a.html").read_text(encoding="utf-8")
    root = ET.fromstring((tmp_path / "a.xml").read_text(encoding="utf-8"))
    assert root.findall(".//failure")
    call(*AUDIT, "organism/Honest", *files)
    root = ET.fromstring((tmp_path / "a.xml").read_text(encoding="utf-8"))
    assert not root.findall(".//failure")


def test_a_journal_goes_on(call, folder, tmp_path):
    """The same command again asks nothing."""
    journal = ("--journal", tmp_path / "a.journal", "--json")
    _, first, _ = call(*DATA, "organism/Honest", *journal)
    _, again, _ = call(*DATA, "organism/Honest", *journal)
    assert json.loads(first)["checks"] == json.loads(again)["checks"]


@pytest.mark.parametrize(
    "wrong",
    [
        ("--tier", "thorough"),
        ("--verdicts", "yes"),
        ("--reader", "organism/Honest"),
        ("--thresholds", "missing.json"),
    ],
)
def test_what_is_wrong_is_said(wrong, call, folder):
    """With exit code 2 and nothing on stdout."""
    code, out, err = call(*AUDIT, "organism/Honest", *wrong)
    assert (code, out) == (2, "")
    assert err


def test_model_text_cannot_move_the_cursor(call, folder, facts):
    """What a terminal would obey is shown, not sent."""
    for shown in facts.values():
        shown["the squirrel"] += "\x1b[2J\u202e"
    _, out, _ = call(*AUDIT, "organism/Obedient")
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "\\u001b[2J" in out


def test_a_helper_is_loaded_with_its_own_options(call, folder):
    """Each of them with those that were passed to it, and closed at the end."""
    made = []

    def load(rest: str, *, speed: int = 1):
        model = organisms({}, TOPICS)["Honest"]
        model.name = f"helper/{rest}/{speed}"
        made.append(model)
        return model

    helpers = ("--reader", "helper/r", "--reader-option", "speed=3", "--judge", "helper/j")
    with registered("helper", load):
        call(*AUDIT, "organism/Honest", *helpers, "--json")
    assert {model.name for model in made} == {"helper/r/3", "helper/j/1"}


def test_a_dry_run_needs_no_key_and_makes_no_journal(call, folder, monkeypatch, tmp_path):
    """Nothing is sent, so nobody has to be let in."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    asked = ("audit", "pictures/funny.png", FUNNY, "--model", "openai/gpt-5", "--journal", "j")
    code, out, _ = call(*asked, "--dry-run")
    assert (code, out.split()[:2]) == (0, ["items", "1"])
    assert not (tmp_path / "j").exists()
    assert call(*asked)[0] == 3


def test_a_stored_decision_is_audited_without_asking_again(call, folder, facts, tmp_path):
    """As a file, and as the rows of a batch."""
    asked = []

    def load(rest):
        organism = organisms(facts, TOPICS)["Obedient"]
        organism.name = "kept/x"
        return ScriptedBackend(
            lambda request: asked.append(request) or organism.generate(request),
            name="kept/x",
            capabilities=organism.capabilities,
        )

    model = ("--model", "kept/x")
    with registered("kept", load):
        _, stored, _ = call("decide", "pictures/funny.png", FUNNY, *model, "--json")
        (tmp_path / "d.json").write_text(stored)
        _, rows, _ = call("batch", "pictures", "-q", FUNNY, *model)
        (folder / "rows.jsonl").write_text(rows)
        asked.clear()
        given = ("--decision", "d.json", "--tier", "standard", "--json")
        code, out, _ = call("audit", "pictures/funny.png", *given, *model)
        assert code == 0
        kept = Decision.model_validate_json(stored)
        assert AuditReport.model_validate_json(out).decision == kept
        given = ("--image-column", "id", "--tier", "standard", "--json")
        code, out, err = call("audit-dataset", "pictures/rows.jsonl", *given, *model)
        assert (code, err) == (0, err)
        assert [item.error for item in DatasetAudit.model_validate_json(out).items] == ["", ""]
        assert not [r for r in asked if r.purpose.kind == "decide" and not r.temperature]
        code, _, err = call("audit", "pictures/sober.png", "--decision", "d.json", *model)
        assert code != 0
        assert "image" in err
