"""Families of models: each is asked as it wants to be asked, and the receipt says how that was."""

import logging
import sys

import pytest

from faithful_decide import Decider, Decision
from faithful_decide._cli.main import code_of
from faithful_decide._cli.main import run as run_main
from faithful_decide.backends import load_backend
from faithful_decide.backends._openai.adapting import Learned
from faithful_decide.errors import (
    AuthError,
    BackendError,
    ContractError,
    RefusedError,
    UnsupportedError,
    UsageError,
)
from tests.support.families import FAMILIES, Family, FamilyServer, openai_error, unsupported
from tests.support.faulty import FaultyServer, good

QUESTION = "Is there a red circle?"
IDS = [f"{family.spec}-{family.name}" for family in FAMILIES]


@pytest.fixture(autouse=True)
def _nothing_learned_or_probed(monkeypatch, tmp_path):
    monkeypatch.setattr(Learned, "_all", {})
    monkeypatch.setenv("FAITHFUL_DECIDE_CACHE", str(tmp_path))
    for name in ("AZURE_OPENAI_API_KEY", "OPENROUTER_API_KEY"):
        monkeypatch.setenv(name, "a-key-of-this-test")


@pytest.fixture
def by_cli(monkeypatch, capsys, tmp_path, picture):
    """Ask a server on the command line, with its defaults: the exit code and what is printed."""
    (tmp_path / "picture.png").write_bytes(picture)

    def run(server, *more, model=""):
        command = ["faithful-decide", "decide", str(tmp_path / "picture.png"), QUESTION, "--json"]
        model = model or f"{server.family.spec}/{server.family.name}"
        where = ["--model", model, "--base-url", server.address, *more]
        monkeypatch.setattr(sys, "argv", [*command, *where])
        code = run_main()
        return code, *capsys.readouterr()

    return run


def opened(server, **options):
    family = server.family
    return Decider(f"{family.spec}/{family.name}", base_url=server.address, **options)


@pytest.mark.parametrize("family", FAMILIES, ids=IDS)
def test_every_family_is_decided_with_the_defaults(family, by_cli, caplog):
    """In two requests the first time and in one after; what was left out is said and logged."""
    caplog.set_level(logging.WARNING, "faithful_decide")
    with FamilyServer(family) as server:
        code, printed, said = by_cli(server)
        assert len(server.bodies) == family.first
        if family.blocked:
            assert code == code_of(RefusedError("it"))
            assert f"is {family.finish!r}" in said
            return
        assert code == 0, said
        first = Decision.model_validate_json(printed)
        _, printed, _ = by_cli(server)
        assert len(server.bodies) == family.first + 1
    assert first.verdict == "yes"
    second = Decision.model_validate_json(printed)
    last = server.bodies[-1]
    assert not family.left_out & last.keys()
    for what, note in (("temperature", "no temperature"), ("logprobs", "no log-probabilities")):
        if what in family.left_out:
            assert note in " ".join(first.receipt.notes)
            assert note in " ".join(second.receipt.notes)
    # What carries the contract is in every request.
    for body in server.bodies:
        assert (body.get("messages") or body["input"])[-1]["content"][0]["type"].endswith(
            ("image_url", "image")
        )
    if family.first > 1:
        told = [record for record in caplog.records if "from now on" in record.message]
        assert len(told) == 1


def test_a_server_without_schemas_is_told_in_the_receipt(picture):
    """It is asked for any object, or for no form, and nothing is said to be enforced."""
    wanted = {"deepseek-vl": "json_object", "llava": "json_object", "an-old-one": None}
    for family in FAMILIES:
        if family.name not in wanted:
            continue
        with FamilyServer(family) as server, opened(server) as decider:
            receipt = decider.decide(picture, QUESTION).receipt
        form = server.bodies[-1].get("response_format", {}).get("type")
        assert form == wanted[family.name]
        assert (receipt.order, receipt.enforcement) == ("verified", "prompt")
        assert receipt.constraint == "none"
        assert "takes no schema" in " ".join(receipt.notes)


CARRIED = (
    unsupported("messages"),
    unsupported("image_url", "Image inputs are not supported by this model."),
    openai_error("Invalid schema for response_format 'decision': 'temperature' is not permitted",
                 "response_format"),
    openai_error("Invalid schema for response_format 'decision': In context=('properties', "
                 "'seed'), extra keys are not allowed", None),
    openai_error("unknown model", "model"),
)  # fmt: skip


@pytest.mark.parametrize("refusal", CARRIED, ids=range(len(CARRIED)))
def test_what_carries_the_contract_is_never_left_out(refusal, picture):
    """The error is raised, after one request."""
    with FamilyServer(Family("m", lambda _: refusal)) as server, opened(server) as decider:
        with pytest.raises(BackendError):
            decider.decide(picture, QUESTION)
        assert len(server.bodies) == 1


@pytest.mark.parametrize("spec", ["vllm", "sglang", "openrouter"])
def test_a_promised_schema_is_not_given_up(spec, picture):
    """A server whose documentation promises to keep it is not asked without."""
    refusal = openai_error("Unrecognized request argument supplied: response_format", None)
    family = Family("m", lambda _: refusal, spec=spec)
    with FamilyServer(family) as server, opened(server) as decider:
        with pytest.raises(BackendError, match="response_format"):
            decider.decide(picture, QUESTION)
        assert len(server.bodies) == 1


def test_a_refusal_that_goes_on_is_not_remembered(picture):
    """Nothing is learned from a request that was refused whatever it had."""
    refusal = unsupported("temperature")
    with FamilyServer(Family("m", lambda _: refusal)) as server, opened(server) as decider:
        with pytest.raises(BackendError):
            decider.decide(picture, QUESTION)
        assert len(server.bodies) == 2
        assert not Learned._all


def test_names_that_are_refused_in_turn_are_tried_once(picture):
    """A limit that is wrong under either name is not sent back and forth."""

    def refuses(body):
        return unsupported(next(name for name in body if name.startswith("max_")))

    with FamilyServer(Family("m", refuses)) as server, opened(server) as decider:
        with pytest.raises(BackendError, match="max_"):
            decider.decide(picture, QUESTION)
        assert len(server.bodies) <= 3


def test_a_refusal_in_any_language_is_understood(picture):
    """By its status, and by the name of the parameter."""

    def refuses(body):
        return (400, {"error": "\u4e0d\u652f\u6301\u53c2\u6570 seed"}) if "seed" in body else None

    with FamilyServer(Family("m", refuses)) as server, opened(server, seed=3) as decider:
        assert "no seed was sent" in decider.decide(picture, QUESTION).receipt.notes
        assert len(server.bodies) == 2


@pytest.mark.parametrize("name", ["top_k", "min_p", "repetition_penalty"])
def test_a_server_that_does_not_know_plain_sampling_keeps_its_own(name, picture):
    """It is asked without, and the receipt says whose limits applied."""

    def refuses(body):
        said = f"{name}: Extra inputs are not permitted"
        return unsupported(name, said) if name in body else None

    with FamilyServer(Family("m", refuses, spec="vllm")) as server, opened(server) as decider:
        for _ in range(2):
            notes = decider.decide(picture, QUESTION).receipt.notes
            assert "the server's own penalties and limits of sampling applied" in notes
        assert len(server.bodies) == 3
        assert not {"top_k", "top_p", "min_p", "repetition_penalty"} & server.bodies[-1].keys()


def test_what_was_learned_leaves_room_for_more_effort(picture):
    """A model has been learned with the effort that it was asked with, and no other."""
    refuses = lambda body: unsupported("temperature") if "temperature" in body else None  # noqa: E731
    with FamilyServer(Family("m", refuses)) as server:
        for options in ({}, {"effort": "max"}):
            with opened(server, **options) as decider:
                decider.decide(picture, QUESTION)
        assert server.bodies[-1]["max_tokens"] == 512 + 32_768


def test_what_was_learned_outlives_a_busy_server(picture):
    """The request was taken as it was then; only the time was wrong."""
    busy = iter([(429, {"error": {"message": "slow down"}})])

    def refuses(body):
        return unsupported("temperature") if "temperature" in body else next(busy, None)

    with FamilyServer(Family("m", refuses)) as server, opened(server) as decider:
        assert decider.decide(picture, QUESTION)
        assert ["temperature" in body for body in server.bodies] == [True, False, False]


def test_an_effort_that_a_model_does_not_take_is_the_callers(picture):
    """It is not ours to leave out; the error says what to do."""
    words = "Unsupported value: 'none' is not supported with this model. Supported values: 'low'."
    refusal = openai_error(words, "reasoning_effort", "unsupported_value")
    with FamilyServer(Family("m", lambda _: refusal)) as server:
        with opened(server, effort="none") as decider, pytest.raises(BackendError) as caught:
            decider.decide(picture, QUESTION)
        assert len(server.bodies) == 1
    assert "effort" in caught.value.hint


def test_two_models_at_one_address_learn_apart(picture):
    """And so does one model at two addresses."""
    astra = FAMILIES[0]
    with FamilyServer(astra) as one, FamilyServer(astra) as two:
        for server, name in ((one, "a"), (one, "b"), (two, "a")):
            before = len(server.bodies)
            with Decider(f"openai/{name}", base_url=server.address) as decider:
                assert decider.decide(picture, QUESTION)
            assert len(server.bodies) == before + 2


def test_all_that_was_paid_is_counted(picture):
    """A reply that was all thinking is paid for too."""
    family = Family("quiet", thinks=700)
    with FamilyServer(family) as server, opened(server) as decider:
        first, second = (decider.decide(picture, QUESTION).receipt for _ in range(2))
    assert first.usage.completion_tokens == 512 + 760
    assert first.usage.prompt_tokens == 1000
    assert "asked 2 times" in " ".join(first.notes)
    assert second.usage.completion_tokens == 760
    assert second.hidden_thinking_tokens == 700


# ------------------------------------------------------------------------------ options

SAID = {
    "openai": {"reasoning_effort": "low"},
    "azure": {"reasoning": {"effort": "low"}},
    "litellm": {"reasoning_effort": "low"},
    "openrouter": {"reasoning": {"effort": "low"}},
    "vllm": {
        "reasoning_effort": "low",
        "chat_template_kwargs": {
            "enable_thinking": True,
            "thinking": True,
            "reasoning_effort": "low",
        },
    },
    "ollama": {"think": "low"},
}


@pytest.mark.parametrize("spec", SAID)
def test_effort_is_one_word(spec, picture):
    """It is sent as each kind of server wants it, with room for what it costs."""
    with FamilyServer(Family("m", spec=spec)) as server:
        address = server.address.removesuffix("/v1") if spec == "ollama" else server.address
        backend = load_backend(f"{spec}/m", base_url=address, api_key="k", effort="low")
        body = backend._wire.body(request_of(), "m", backend._preset)
        backend.close()
    assert SAID[spec].items() <= body.items()
    limit = body.get("options", {}).get("num_predict") or body.get("max_output_tokens")
    assert (limit or body.get("max_tokens")) == 512 + 4096


def request_of(**changes):
    from faithful_decide._core.schema import schema
    from faithful_decide.backends import Request

    values = {"max_tokens": 512, "schema": schema(("yes", "no"))} | changes
    return Request("s", (), "t", **values)


def test_a_forced_start_gets_no_room():
    """One token is one token."""
    backend = load_backend("vllm/m-Thinking", base_url="http://127.0.0.1:9/v1")
    request = request_of(prefix='{"', max_tokens=1)
    assert backend._wire.body(request, "m", backend._preset)["max_tokens"] == 1
    backend.close()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"effort": "much"}, UsageError),
        ({"effort": "low", "extra": {"reasoning_effort": "low"}}, UsageError),
        ({"api_key_env": "NO_SUCH_VARIABLE"}, AuthError),
        ({"api_key": "k", "api_key_env": "PATH"}, UsageError),
        ({"api_key_env": 5}, UsageError),
        ({"effort": ["low"]}, UsageError),
    ],
)
def test_options_that_cannot_be(options, error):
    """Are refused before anything is sent, with a next step."""
    with pytest.raises(error) as caught:
        load_backend("openai/m", base_url="http://127.0.0.1:9/v1", **options)
    assert caught.value.hint


def test_a_key_in_the_place_of_its_variable_is_not_shown(by_cli):
    """Whoever passes the key where its name belongs does not find it in a log."""
    with FamilyServer(Family("m")) as server:
        for option in ("api_key_env=", "api_key=env:"):
            for key in (
                "sk-planted-0123456789",
                "AKIA0123456789ABCDEF",
                "0a1b2c3d4e5f0a1b2c3d4e5f",
            ):
                code, printed, said = by_cli(server, "-o", f"{option}{key}")
                assert code
                assert "no key in the environment variable" in said
                assert key not in printed + said


def test_a_key_for_any_gateway(by_cli, monkeypatch):
    """By the name of the variable that holds it, in Python and on the command line."""
    monkeypatch.setenv("MY_GATEWAY_KEY", "sk-gateway-0123456789")
    with FaultyServer(lambda *_: "") as server:
        server.keep_bodies = True
        server.always = good("yes")
        for spec in ("openai/faulty", "litellm/m"):
            assert by_cli(server, "-o", "api_key_env=MY_GATEWAY_KEY", model=spec)[0] == 0
        assert all("Bearer sk-gateway-0123456789" in body["head"] for body in server.bodies)


@pytest.mark.parametrize(
    ("verdicts", "words"),
    [
        ([f"v{n}" for n in range(1200)], "1,000 values"),
        ([f"{n} {'long ' * 12}end" for n in range(400)], "15,000 characters"),
    ],
)
def test_limits_of_a_provider_are_known_before_the_call(verdicts, words, picture, monkeypatch):
    """A typed error says which, and nothing is sent."""
    for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    with (
        FamilyServer(Family("m", spec="azure")) as server,
        Decider("azure/m", base_url=server.address, verdicts=verdicts) as azure,
        Decider("openai/m", api_key="k", verdicts=verdicts) as openai,
    ):
        for decider in (azure, openai):
            with pytest.raises(UnsupportedError, match=words):
                decider.decide(picture, QUESTION)
        assert not server.bodies
    with FamilyServer(Family("m", spec="vllm")) as server:
        with opened(server, verdicts=verdicts) as decider, pytest.raises(ContractError):
            decider.decide(picture, QUESTION)  # it says yes, which is no verdict there
        assert len(server.bodies) == 1
