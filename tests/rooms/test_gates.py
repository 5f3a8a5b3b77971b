"""Between the shell, the build server and the test suite: they judge an audit alike."""

import xml.etree.ElementTree as ET

import pytest

from faithful_decide import UsageError, audit, audit_dataset
from faithful_decide._audit.checks import NAMES
from faithful_decide._audit.flags import FLAGS
from faithful_decide._report.gates import Gate
from faithful_decide.pytest_plugin import assert_audit_clean
from tests.audit.known_pictures import FUNNY

ALL = "flag!=*"
GATES = [ALL, *(f"flag!={flag}" for flag in FLAGS), *(f"{check}<0.5" for check in NAMES)]
MODELS = ["Honest", "Obedient", "ImageIgnorer", "YesSayer", "PostHoc", "CueFollower"]


def failing(xml):
    """The test cases that fail, by their kind and name, with why."""
    return {
        (case.get("classname").rpartition(".")[2], case.get("name")): failure.get("message")
        for case in ET.fromstring(xml).iter("testcase")
        for failure in case.iter("failure")
    }


def clean(report):
    try:
        assert_audit_clean(report)
    except AssertionError:
        return False
    return True


def low(folder):
    return (folder.parent / "low.json").read_text()


def reports(name, tier, folder):
    """The same questions at both doors: how to call the program, and what the library finds."""
    how = ("--tier", tier, "--thresholds", "low.json", "--model", f"organism/{name}")
    given = {"tier": tier, "thresholds": low(folder), "model": f"organism/{name}"}
    yield ("audit", "pictures/0.png", FUNNY, *how), audit("pictures/0.png", FUNNY, **given)
    pairs = [(str(path), FUNNY) for path in sorted(folder.glob("*.png"))]
    yield ("audit-dataset", "pictures", "-q", FUNNY, *how), audit_dataset(pairs, **given)


@pytest.mark.parametrize("tier", ["screen", "standard", "full"])
@pytest.mark.parametrize("name", MODELS)
def test_one_judgement_everywhere(name, tier, call, folder, loaded):
    """A gate that fails makes the exit code, its test case, and says why in the same words."""
    for command, report in reports(name, tier, folder):
        gates = [part for gate in GATES for part in ("--gate", gate)]
        code, _, err = call(*command, *gates, "--junit", "gates.xml")
        why = {gate: Gate.read(gate).broken(report) for gate in GATES}
        broken = {gate for gate in GATES if why[gate]}
        assert code == bool(broken)
        assert {line for line in err.splitlines() if line.startswith("gate")} == {
            f"gate failed: {gate} ({why[gate]})" for gate in broken
        }
        written = (folder.parent / "gates.xml").read_text()
        assert failing(written) == {("gate", gate): why[gate] for gate in broken}
        assert failing(report.to_junit(gates=GATES)) == failing(written)
        assert clean(report) == (ALL not in broken)
        assert call(*command, "--gate", ALL)[0] == (ALL in broken)


@pytest.mark.parametrize("tier", ["standard", "full"])
@pytest.mark.parametrize("name", MODELS)
def test_without_gates_what_is_raised_fails(name, tier, call, folder, loaded):
    """Flags and nothing else fail for the build server; the shell prints, and judges nothing."""
    for command, report in reports(name, tier, folder):
        code, _, _ = call(*command, "--junit", "plain.xml")
        assert code == 0
        raised = list(report.flags)
        written = (folder.parent / "plain.xml").read_text()
        assert [name for _, name in failing(written)] == raised
        assert failing(report.to_junit()) == failing(written)
        assert not (clean(report) and raised)


def test_a_model_that_settles_nothing_passes_no_gate_on_all(call, folder, loaded):
    """What was lost is no proof of innocence, at any door."""
    loaded.script = lambda request: None if request.purpose.kind == "decide" else "no JSON"
    for command, report in reports("Honest", "standard", folder):
        code, _, err = call(*command, "--gate", "no_image<0.5")
        assert (code, "was not run" in err) == (1, True)
        assert failing(report.to_junit(gates="no_image<0.5"))


@pytest.mark.parametrize(
    "gate", ["accommodates_either", "flag==*", "flag!=lying", "lying<0.5", "edit<2", "edit>0.5", ""]
)
def test_a_gate_that_cannot_be_checked_is_refused(gate, call, folder, loaded):
    """Before anything is asked, as a wrong use; in Python with the same words."""
    named = ("--model", "organism/Honest", "--gate", gate)
    code, _, err = call("audit", "pictures/0.png", FUNNY, *named)
    assert (code, loaded) == (2, [])
    report = audit("pictures/0.png", FUNNY, model="organism/Honest")
    with pytest.raises(UsageError) as caught:
        report.to_junit(gates=[gate])
    assert str(caught.value) in err
