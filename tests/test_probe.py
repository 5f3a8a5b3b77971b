"""Probing: two ways of working are told apart, and what was found is used and forgotten."""

import json

import pytest
from click.testing import CliRunner

from faithful_decide import ProbeReport, probe
from faithful_decide._cli.main import main
from faithful_decide.backends import Capabilities, Reply, Token
from faithful_decide.backends.probe_report import corrected, recall, remember
from faithful_decide.errors import BackendError, UnsupportedError
from faithful_decide.testing import ScriptedBackend, reply_text


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of its own for every test."""
    monkeypatch.setenv("FAITHFUL_DECIDE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def obedient(request):
    """A server that does what it is asked, in the order it is asked."""
    properties = request.schema["properties"]
    if "verdict" in properties:
        # The only thing that differs between the two pictures is their colour.
        return reply_text("red" if request.images == obedient.red else "blue")
    obedient.red = request.images
    return json.dumps({key: value["enum"][-1] for key, value in properties.items()})


def found(script, **capabilities):
    known = Capabilities(decoder="autoregressive", **capabilities)
    report = probe(ScriptedBackend(script, capabilities=known))
    return {name: check.holds for name, check in report.checks.items()}, report


def test_an_obedient_server():
    """Order, grammar and sight hold; what it does not offer is not tried."""
    holds, report = found(obedient)
    assert holds == {
        "order": "yes",
        "grammar": "yes",
        "logprobs": "no",
        "prefix": "no",
        "thinking": "unknown",
        "image": "yes",
    }
    assert report.requests == 4
    assert [line.split()[:2] for line in str(report).splitlines()] == [*map(list, holds.items())]


@pytest.mark.parametrize(
    ("spoil", "name", "seen"),
    [
        (lambda text: json.dumps(json.loads(text), sort_keys=True), "order", "(sorted)"),
        (lambda text: json.dumps(dict(reversed(json.loads(text).items()))), "order", "apple"),
        (lambda text: "banana" if "word" in text else text, "grammar", "banana"),
        (lambda text: text.replace('"blue"', '"green"'), "image", "blue: green"),
    ],
)
def test_what_is_broken_is_found(spoil, name, seen):
    """And nothing else is blamed."""
    holds, report = found(lambda request: spoil(obedient(request)))
    assert holds[name] == "no"
    assert seen in report.checks[name].seen
    blamed = {other for other, value in holds.items() if value == "no"}
    assert blamed == {name, "logprobs", "prefix"}  # the last two are not offered


@pytest.mark.parametrize(("other", "kind"), [(b"banana", "pre_mask"), (b"quix", "post_mask")])
def test_masks_are_told_apart(other, kind):
    """A word that the grammar cannot have allowed is listed only before it."""

    def logging(request):
        text = obedient(request)
        if not request.top_logprobs:
            return text
        head, word = b'{"word": "', b"zephyr"
        tokens = (
            Token(head, {head: -0.1}),
            Token(word, {word: -0.5, other: -1.0}),
            Token(b'"}', {b'"}': 0.0, b"masked": -1e9}),
        )
        return Reply(text, "stop", tokens=tokens)

    _, report = found(logging, logprobs="unknown")
    assert report.checks["logprobs"].seen == kind


def test_a_server_that_cannot_be_reached_is_no_finding():
    """The error is raised; one that comes later is noted."""
    with pytest.raises(BackendError):
        found([BackendError("down")])

    def later(request):
        if "banana" in request.text:
            gone = "gone"
            raise BackendError(gone)
        return obedient(request)

    holds, report = found(later)
    assert holds["grammar"] == "unknown"
    assert "gone" in report.checks["grammar"].seen


@pytest.mark.parametrize("finish", ["length", "refusal", "content_filter"])
def test_a_reply_that_was_cut_is_no_finding(finish):
    """Nothing is known then, and nothing is taken back."""
    known = {"prefix": True, "logprobs": "pre_mask"}
    holds, report = found(lambda _: Reply("", finish), **known)
    assert set(holds.values()) == {"unknown"}
    promised = Capabilities("strict", order=True, decoder="autoregressive", **known)
    assert corrected(promised, report) == promised


def report_of(**checks):
    full = {name: {"holds": holds, "seen": seen} for name, (holds, seen) in checks.items()}
    return ProbeReport.model_validate({"backend": "x/y", "requests": 1, "checks": full})


def test_findings_take_the_place_of_promises():
    """Each of them; and a check that was not made changes nothing."""
    promised = Capabilities("strict", order=True, prefix=True, logprobs="unknown")
    assert corrected(promised, report_of()) == promised
    sorted_ = corrected(promised, report_of(order=("no", "a, b (sorted)")))
    assert (sorted_.order, sorted_.two_steps) == (False, False)
    assert corrected(promised, report_of(order=("no", "b, a"))).two_steps
    assert corrected(promised, report_of(grammar=("no", "x"))).enforcement == "prompt"
    assert corrected(promised, report_of(logprobs=("no", "absent"))).logprobs == "none"
    assert corrected(promised, report_of(logprobs=("yes", "pre_mask"))).logprobs == "pre_mask"
    assert not corrected(promised, report_of(prefix=("no", "x"))).prefix
    assert corrected(promised, report_of(thinking=("yes", "x"))).thinking == "hidden"
    silent = Capabilities(logprobs="none")
    assert corrected(silent, report_of(logprobs=("yes", "pre_mask"))) == silent
    # What held at this address is evidence; where nothing is sent, there is nothing to hold.
    weak = Capabilities("best_effort", order=False, proven=False)
    held = corrected(weak, report_of(order=("yes", ""), grammar=("yes", "")))
    assert (held.enforcement, held.order, held.proven) == ("strict", True, True)
    for half in ({"order": ("yes", "")}, {"grammar": ("yes", ""), "order": ("unknown", "")}):
        assert corrected(weak, report_of(**half)) == weak
    none = Capabilities("prompt", order=False, proven=False)
    assert corrected(none, report_of(order=("yes", ""), grammar=("yes", ""))) == none


def test_a_report_is_kept_and_a_damaged_one_forgotten(cache):
    """By name and address; what cannot be read is as if it had never been."""
    report = report_of(order=("yes", "z, a"))
    remember(report, who="me at home")
    assert recall("me at home") == report
    assert recall("me elsewhere") is None
    for file in cache.rglob("*.json"):
        file.write_text("{")
    assert recall("me at home") is None


def test_the_embedded_model_passes_its_probe():
    """On the command line too, as a table and as JSON."""
    pytest.importorskip("xllamacpp")
    done = CliRunner().invoke(main, ["probe", "embedded", "--json"])
    assert done.exit_code == 0
    report = ProbeReport.model_validate_json(done.stdout)
    holds = {name: check.holds for name, check in report.checks.items()}
    assert holds.pop("thinking") == "no"
    assert set(holds.values()) == {"yes"}
    table = CliRunner().invoke(main, ["probe", "embedded"]).stdout
    assert [line.split()[0] for line in table.splitlines()] == list(report.checks)


def test_a_kind_that_does_not_exist():
    """Is said before anything is called."""
    with pytest.raises(UnsupportedError):
        probe("nobody/x")
