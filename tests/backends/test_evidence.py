"""Promised, sent and seen are one: scores, thinking, probes and the words of a receipt."""

import io
import json
import sys

import pytest
from click.testing import CliRunner
from PIL import Image

from faithful_decide import Decider, ProbeReport, probe
from faithful_decide._cli.main import main
from faithful_decide._cli.main import run as run_main
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import prepare
from faithful_decide.backends import load_backend
from faithful_decide.backends._openai.adapting import Learned
from faithful_decide.backends._openai.unread import Unread
from faithful_decide.backends.base import Request
from faithful_decide.errors import BackendError, UnsupportedError
from tests.support.constrained import ConstrainedServer
from tests.support.families import Family, unsupported

QUESTION = "Is there a red circle?"


@pytest.fixture(autouse=True)
def _nothing_learned_or_probed(monkeypatch, tmp_path):
    monkeypatch.setattr(Learned, "_all", {})
    monkeypatch.setattr(Unread, "_all", {})
    monkeypatch.setattr(Unread, "_told", set())
    monkeypatch.setenv("FAITHFUL_DECIDE_CACHE", str(tmp_path))


def decided(server, picture, kind="vllm", **options):
    with Decider(f"{kind}/m", base_url=server.address, **options) as decider:
        return decider.decide(picture, QUESTION)


def seen(server, kind="vllm", **options):
    report = probe(f"{kind}/m", base_url=server.address, **options)
    return {name: check.holds for name, check in report.checks.items()}, report


# ------------------------------------------------------------------------------ scores, thinking


@pytest.mark.parametrize("kind", ["vllm", "sglang", "openai", "litellm"])
def test_a_scored_decision_is_one_request(kind, picture):
    """A token that ends the turn and masked ones of every size are no obstacle."""
    with ConstrainedServer() as server:
        decision = decided(server, picture, kind)
        assert len(server.bodies) == 1
    assert decision.scores.probabilities["yes"] == pytest.approx(0.9)
    assert decision.receipt.usage.completion_tokens > 0


@pytest.mark.parametrize(("thinks", "hidden"), [(0, 0), (30, None)])
def test_nothing_hidden_is_proven_by_counting(thinks, hidden, picture):
    """As many tokens were counted as are listed, or nobody knows what the others were."""
    with ConstrainedServer(thinks=thinks) as server:
        assert decided(server, picture).receipt.hidden_thinking_tokens == hidden
    with ConstrainedServer(thinks=thinks, lists="none") as server:
        assert decided(server, picture).receipt.hidden_thinking_tokens is None


@pytest.mark.parametrize(("status", "requests"), [(400, 1), (500, 3), (404, 1)])
def test_a_failed_probe_for_scores_costs_only_these(status, requests, picture):
    """The decision was verified and paid for; why it has no scores is said."""
    with ConstrainedServer(only=("yes",), forced=status) as server:
        decision = decided(server, picture)
        assert len(server.bodies) == 1 + requests
    assert decision.verdict == "yes"
    assert decision.scores is None
    assert "continue_final_message is out of order" in " ".join(decision.receipt.notes)


def test_a_probe_for_scores_is_counted(picture):
    """Its tokens were paid for like all others."""
    with ConstrainedServer(only=("yes",)) as server:
        decision = decided(server, picture)
        assert len(server.bodies) == 2
        assert server.bodies[1]["max_tokens"] == 1
    assert decision.scores is not None
    assert decision.receipt.usage.prompt_tokens == 160
    with ConstrainedServer() as server:
        alone = decided(server, picture).receipt.usage.completion_tokens
    assert decision.receipt.usage.completion_tokens == alone + 1


def test_requests_for_scores_are_in_an_estimate(picture, tmp_path, monkeypatch, capsys):
    """As many for the others as earlier decisions needed, and none of a decision that is done."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "0.png").write_bytes(picture)
    command = ["faithful-decide", "batch", folder, "-q", QUESTION, "--model", "vllm/m"]

    def batch(server, *more):
        journal = ["--journal", tmp_path / "j.sqlite", "-o", f"base_url={server.address}"]
        monkeypatch.setattr(sys, "argv", [str(word) for word in (*command, *journal, *more)])
        assert run_main() == 0
        return capsys.readouterr().out

    with ConstrainedServer(only=("yes",)) as server:
        batch(server)
        assert len(server.bodies) == 2
        assert "requests   0 (2 replies" in batch(server, "--dry-run")
        (folder / "1.png").write_bytes(other_picture())
        (folder / "2.png").write_bytes(other_picture("green"))
        assert "requests   4 (2 replies" in batch(server, "--dry-run")
        batch(server)
        assert len(server.bodies) == 6


def other_picture(colour="blue"):
    file = io.BytesIO()
    Image.new("RGB", (60, 60), colour).save(file, "PNG")
    return file.getvalue()


# ------------------------------------------------------------------------------ evidence


@pytest.mark.parametrize("kind", ["vllm", "sglang", "openai", "litellm", "lmstudio"])
def test_enforced_is_said_after_a_probe_of_this_address(kind, picture):
    """Before, it was requested at most; and what held at one address says nothing of another."""
    with ConstrainedServer() as server, ConstrainedServer() as other:
        before = decided(server, picture, kind).receipt
        assert before.order in {"requested", "verified"}
        holds, _ = seen(server, kind)
        assert (holds["order"], holds["grammar"]) == ("yes", "yes")
        assert decided(server, picture, kind).receipt.order == "enforced"
        assert decided(other, picture, kind).receipt.order == before.order


@pytest.mark.parametrize("kind", ["vllm", "sglang", "openai", "litellm", "lmstudio", "azure"])
def test_a_gateway_that_drops_the_grammar_is_never_vouched_for(kind, picture, monkeypatch):
    """Neither before a probe nor after it, though each reply happens to keep the contract."""
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "k")
    options = {"api": "chat"} if kind == "azure" else {}
    with ConstrainedServer(keeps=False) as server:
        assert decided(server, picture, kind, **options).receipt.order in {"requested", "verified"}
        holds, _ = seen(server, kind, **options)
        assert (holds["order"], holds["grammar"]) == ("no", "no")
        receipt = decided(server, picture, kind, **options).receipt
        assert (receipt.order, receipt.enforcement) == ("two_steps", "prompt")


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
def test_a_new_message_under_the_grammar_continues_nothing(kind):
    """A gateway keeps the grammar of the rest, and drops the word that asks to continue."""
    with ConstrainedServer(continues=False) as server:
        holds, report = seen(server, kind)
        assert holds == {**seen_of_a_good_server(kind), "prefix": "no"}
        assert "something else" in report.checks["prefix"].seen
        backend = load_backend(f"{kind}/m", base_url=server.address)
        assert not backend.capabilities.prefix
        backend.close()


def seen_of_a_good_server(kind):
    with ConstrainedServer() as server:
        return seen(server, kind)[0]


def test_hosted_services_are_vouched_for_by_their_documentation(monkeypatch):
    """Those themselves, and nobody who speaks their protocol."""
    for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE", "AZURE_OPENAI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    here = "http://127.0.0.1:9/v1"
    proven = {
        ("openai", None): True,
        ("openai", here): False,
        ("azure", "https://me.openai.azure.com"): True,
        ("azure", "https://me.services.ai.azure.com"): True,
        ("azure", here): False,
        ("azure", "https://openai.azure.com.example.org/openai/v1"): False,
        ("openrouter", None): False,
        ("vllm", here): False,
        ("llamacpp-server", here): False,
    }
    for (kind, address), expected in proven.items():
        backend = load_backend(f"{kind}/m", base_url=address, api_key="k")
        assert backend.capabilities.proven is expected, (kind, address)
        backend.close()


@pytest.mark.parametrize("kind", ["vllm", "sglang", "llamacpp-server"])
def test_a_wire_without_a_forced_start_promises_none(kind):
    """It is refused before the call, and nothing is sent."""
    with ConstrainedServer(family=Family("m", spec=kind)) as server:
        backend = load_backend(f"{kind}/m", base_url=server.address, api="responses")
        assert not backend.capabilities.prefix
        from tests.backends.test_families import request_of

        with pytest.raises(UnsupportedError, match="forced prefix"):
            backend.generate(request_of(prefix='{"'))
        backend.close()
        assert not server.bodies


# ------------------------------------------------------------------------------ unread pictures


@pytest.mark.parametrize("kind", ["vllm", "openai", "litellm"])
@pytest.mark.parametrize("reads", [True, False])
def test_a_server_that_drops_pictures_is_noticed(kind, reads, picture, caplog):
    """By probabilities that are the same for two of them, at the second decision."""
    with ConstrainedServer(reads=reads) as server:
        notes = [
            " ".join(decided(server, one, kind).receipt.notes)
            for one in (picture, picture, other_picture(), other_picture(), picture)
        ]
    found = ["to the last digit" in note for note in notes]
    assert found == ([False] * 5 if reads else [False, False, True, False, True])
    assert len([r for r in caplog.records if "does not read" in r.message]) == (not reads)


def test_a_server_that_reads_the_first_picture_only_is_noticed(picture):
    """Of several, each has to count."""
    first, *others = (
        prepare(load_image(one), None)
        for one in (picture, other_picture("blue"), other_picture("green"))
    )
    with ConstrainedServer() as server:
        backend = load_backend("vllm/m", base_url=server.address)
        notes = [
            backend.generate(Request("", (first, other), "t", None, 99, top_logprobs=2)).notes
            for other in others
        ]
        backend.close()
    assert ["to the last digit" in " ".join(note) for note in notes] == [False, True]


def test_a_probe_that_told_no_pictures_apart_is_in_every_receipt(picture):
    """Nobody else would learn that the verdict is about nothing."""
    with ConstrainedServer(reads=False) as server:
        assert seen(server)[0]["image"] == "no"
        for _ in range(2):
            assert "two pictures apart" in " ".join(decided(server, picture).receipt.notes)


# ------------------------------------------------------------------------------ white space


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
def test_white_space_without_end_is_answered_by_the_only_layout(kind, picture):
    """After a cut in the same decision, and from then on at once."""
    with ConstrainedServer(runs_on=True) as server:
        first = decided(server, picture, kind).receipt
        assert len(server.bodies) == 2
        second = decided(server, picture, kind).receipt
        assert len(server.bodies) == 3
    for receipt in (first, second):
        assert receipt.constraint == "grammar"
        assert "regular expression" in " ".join(receipt.notes)


def test_a_probe_finds_white_space_and_the_next_process_knows(picture, monkeypatch):
    """All checks are right, none of them takes long, and a decision is one request."""
    with ConstrainedServer(runs_on=True) as server:
        holds, report = seen(server)
        assert holds.pop("whitespace") == "no"
        assert holds.pop("thinking") == "no"
        assert set(holds.values()) == {"yes"}
        assert max(body["max_tokens"] for body in server.bodies) <= 512
        monkeypatch.setattr(Learned, "_all", {})  # as in another process
        before = len(server.bodies)
        assert decided(server, picture).receipt.order == "enforced"
        assert len(server.bodies) == before + 1
    assert report.requests <= len(server.bodies)


def test_white_space_where_no_expression_is_taken_is_said(picture):
    """Nothing else can be sent there; the reply was cut."""
    from faithful_decide import TruncatedError

    with ConstrainedServer(runs_on=True) as server:
        with pytest.raises(TruncatedError):
            decided(server, picture, "openai")
        assert len(server.bodies) == 1
        _, report = seen(server, "openai")
        assert report.checks["whitespace"].holds == "no"


# ------------------------------------------------------------------------------ the probe


@pytest.mark.parametrize("lists", ["post_mask", "pre_mask"])
def test_a_probe_of_a_server_in_order(lists, picture):
    """Every check is right, with the token that ends a turn among the listed."""
    with ConstrainedServer(lists=lists) as server:
        holds, report = seen(server)
    assert holds.pop("thinking") == "no"
    assert set(holds.values()) == {"yes"}
    assert report.checks["logprobs"].seen == lists
    assert "whitespace" not in report.checks
    assert report.requests == len(server.bodies)


@pytest.mark.parametrize("word", ["zebra", "banana"])
def test_one_check_that_fails_is_one_check(word):
    """The others are made all the same, the first of all included."""
    with ConstrainedServer(slow=frozenset({word})) as server:
        holds, _ = seen(server, timeout=1.5)
    broken = {"zebra": "order", "banana": "grammar"}[word]
    assert holds.pop(broken) == "unknown"
    assert "unknown" not in {holds["prefix"], holds["logprobs"], holds["image"]}


def test_a_server_that_answers_nothing_is_no_finding():
    """After two checks the error of the first is raised."""
    with (
        ConstrainedServer(slow=frozenset({"e"})) as server,
        pytest.raises(BackendError, match="the engine died"),
    ):
        seen(server, timeout=2)


def test_a_probe_takes_the_options_of_a_backend():
    """And a model that thinks and refuses a temperature is probed like any other."""
    family = Family("m", lambda body: unsupported("temperature") if "temperature" in body else None)
    with ConstrainedServer(family=family, thinks=300) as server:
        command = ["probe", "openai/m", "--base-url", server.address, "--json", "-o", "effort=low"]
        done = CliRunner().invoke(main, command)
        report = ProbeReport.model_validate_json(done.stdout)
        assert report.checks["order"].holds == report.checks["image"].holds == "yes"
        assert report.checks["thinking"].holds == "yes"
        assert json.dumps(server.bodies[-1]).count('"reasoning_effort": "low"') == 1
