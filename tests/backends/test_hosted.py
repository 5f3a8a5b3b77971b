"""Anthropic and Google, each by its own protocol: what is sent, what comes back, what is said."""

import json
import sys

import pytest

from faithful_decide import Decider, Decision
from faithful_decide._cli.main import run as run_main
from faithful_decide._core.schema import schema
from faithful_decide.backends import Request, load_backend
from faithful_decide.backends._openai.adapting import Learned
from faithful_decide.errors import (
    AuthError,
    BackendError,
    ContractError,
    RefusedError,
    TransientError,
    TruncatedError,
    UnsupportedError,
    UsageError,
)
from faithful_decide.testing import reply_text
from tests.support.hosted import KEY, HostedServer, anthropic_error, google_error

QUESTION = "Is there a red circle?"
VARIABLES = {
    "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"),
    "google": ("GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL"),
}
MODELS = {"anthropic": "anthropic/claude-opus-5-5", "google": "google/gemini-3.8-flash"}
SCHEMA = schema(("yes", "no"))


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    monkeypatch.setattr(Learned, "_all", {})
    monkeypatch.setenv("FAITHFUL_DECIDE_CACHE", str(tmp_path))
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    for key, address in VARIABLES.values():
        monkeypatch.setenv(key, KEY)
        monkeypatch.delenv(address, raising=False)


@pytest.fixture
def by_cli(monkeypatch, capsys, tmp_path, picture):
    """Ask on the command line, with its defaults: the exit code and what is printed."""
    (tmp_path / "picture.png").write_bytes(picture)

    def run(model, *more):
        command = ["faithful-decide", "decide", str(tmp_path / "picture.png"), QUESTION, "--json"]
        monkeypatch.setattr(sys, "argv", [*command, "--model", model, *more])
        code = run_main()
        return code, *capsys.readouterr()

    return run


@pytest.fixture(params=MODELS)
def server(request):
    """Each service."""
    with HostedServer(request.param) as made:
        yield made


def decided(server, picture, *, model="", **options):
    """A decision by a service."""
    spec = model or MODELS[server.kind]
    with Decider(spec, base_url=server.address, timeout=20, **options) as decider:
        return decider.decide(picture, QUESTION)


def images_in(body):
    """The pictures of a request, as they are sent."""
    return json.dumps(body).count('"image/png"')


@pytest.mark.parametrize(
    "model",
    [
        *("anthropic/claude-opus-5-5", "anthropic/claude-sonnet-5-5", "anthropic/claude-haiku-5-5"),
        *("google/gemini-3.8-flash", "google/gemini-4-argon", "google/models/gemini-2.5-flash"),
    ],
)
def test_a_decision_with_the_defaults_takes_one_request(model, by_cli):
    """Although the model thinks for longer than the reply may be, and refuses what is customary."""
    with HostedServer(model.partition("/")[0]) as server:
        code, printed, said = by_cli(model, "--base-url", server.address)
        assert code == 0, said
        assert len(server.bodies) == 1
    decision = Decision.model_validate_json(printed)
    receipt = decision.receipt
    assert decision.verdict == "yes"
    assert (receipt.order, receipt.constraint) == ("requested", "schema")
    assert receipt.hidden_thinking_tokens == 700
    assert (receipt.usage.prompt_tokens, receipt.usage.completion_tokens) == (520, 760)
    assert "no temperature was sent" in receipt.notes
    assert KEY not in printed + said


def test_the_address_may_come_from_the_variable_of_the_sdk(server, picture, monkeypatch):
    """With or without its version; and Google's key from either of its two variables."""
    monkeypatch.delenv("GEMINI_API_KEY")
    monkeypatch.setenv("GOOGLE_API_KEY", KEY)
    version = {"anthropic": "/v1", "google": "/v1beta/"}[server.kind]
    for address in (server.address, server.address + version):
        monkeypatch.setenv(VARIABLES[server.kind][1], address)
        with Decider(MODELS[server.kind]) as decider:
            assert decider.decide(picture, QUESTION).verdict == "yes"


def test_what_a_service_documents_is_evidence_at_its_own_address_only():
    """Elsewhere the order was requested, until a probe held."""
    for model in MODELS.values():
        at_home, elsewhere = load_backend(model), load_backend(model, base_url="http://h")
        for backend, proven in ((at_home, True), (elsewhere, False)):
            can = backend.capabilities
            assert (can.enforcement, can.order, can.proven) == ("strict", True, proven)
            assert (can.prefix, can.logprobs, can.decoder) == (False, "none", "autoregressive")
            backend.close()
        assert at_home.name == model
        assert at_home.identity != elsewhere.identity


@pytest.mark.parametrize("name", ["anthropic", "google"])
def test_a_key_is_needed_at_home(name, monkeypatch):
    """The error names the variable."""
    monkeypatch.delenv(VARIABLES[name][0])
    with pytest.raises(AuthError, match=name) as caught:
        load_backend(MODELS[name])
    assert VARIABLES[name][0] in caught.value.hint


def test_several_images_stand_before_the_text(server, picture):
    """In their order."""
    with Decider(MODELS[server.kind], base_url=server.address) as decider:
        decider.decide([picture, picture], QUESTION)
    (body,) = server.bodies
    assert images_in(body) == 2
    turn = (body.get("messages") or body["contents"])[0]
    parts = turn.get("content") or turn["parts"]
    assert ["text" in part for part in parts] == [False, False, True]


def test_a_forced_start_is_refused_before_the_call(server):
    """Neither service lets a reply go on from one."""
    backend = load_backend(MODELS[server.kind], base_url=server.address)
    with pytest.raises(UnsupportedError, match="prefix"):
        backend.generate(Request("", (), "t", SCHEMA, 9, prefix="{"))
    backend.close()
    assert not server.bodies


def test_what_is_not_sent_is_said(server):
    """Google takes a seed, Anthropic has none."""
    with Decider(MODELS[server.kind], base_url=server.address) as decider:
        reply = decider.backend.generate(Request("", (), "t", SCHEMA, 9, seed=7))
    assert ("no seed was sent" in reply.notes) == (server.kind == "anthropic")
    assert "no temperature was sent" in reply.notes


# ------------------------------------------------------------------------------ effort

ADAPTIVE = {"type": "adaptive"}
EFFORTS = [
    ("anthropic/claude-opus-5-5", "minimal", {"thinking": ADAPTIVE, "effort": "low"}),
    ("anthropic/claude-opus-5-5", "max", {"thinking": ADAPTIVE, "effort": "max"}),
    ("anthropic/claude-sonnet-5-5", "none", {"thinking": {"type": "between_tools"}}),
    ("anthropic/claude-haiku-4-9", "none", {"thinking": {"type": "disabled"}}),
    ("google/gemini-4-argon", "low", {"thinkingConfig": {"thinkingLevel": "LOW"}}),
    ("google/gemini-4-argon", "max", {"thinkingConfig": {"thinkingLevel": "HIGH"}}),
    ("google/gemini-2.5-flash", "none", {"thinkingConfig": {"thinkingBudget": 0}}),
    ("google/gemini-2.5-flash", "low", {"thinkingConfig": {"thinkingBudget": 1024}}),
    ("google/gemini-2.5-flash", "high", {"thinkingConfig": {"thinkingBudget": 24576}}),
]


@pytest.mark.parametrize(("model", "effort", "told"), EFFORTS)
def test_effort_is_one_word(model, effort, told, picture):
    """It is sent as each service wants it from this model, beside the schema."""
    with HostedServer(model.partition("/")[0]) as server:
        receipt = decided(server, picture, model=model, effort=effort).receipt
    (body,) = server.bodies
    sent = {**body, **body.get("output_config", {}), **body.get("generationConfig", {})}
    assert told.items() <= sent.items()
    assert receipt.constraint == "schema"
    if effort == "none":
        assert receipt.hidden_thinking_tokens == 0
        assert (body.get("max_tokens") or sent["maxOutputTokens"]) == 512


@pytest.mark.parametrize(
    ("model", "effort"),
    [
        ("anthropic/claude-opus-5-5", "none"),
        ("google/gemini-4-argon", "none"),
        ("google/gemini-3.8-flash", "minimal"),
    ],
)
def test_an_effort_that_a_model_does_not_have_is_its_error(model, effort, picture):
    """In its own words, after one request: what a caller asked for is not left out."""
    with HostedServer(model.partition("/")[0]) as server:
        with pytest.raises(BackendError, match=r"(?i)thinking.*not supported") as caught:
            decided(server, picture, model=model, effort=effort)
        assert "another effort" in caught.value.hint
        assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("model", "extra"),
    [
        ("anthropic/m", {"thinking": {"type": "adaptive"}}),
        ("anthropic/m", {"output_config": {"effort": "low"}}),
        ("google/m", {"generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW"}}}),
    ],
)
def test_extra_is_merged_beside_the_schema(model, extra):
    """And does not say a second time how much to think."""
    backend = load_backend(model, base_url="http://h", extra=extra)
    body = backend._wire.body(Request("", (), "t", SCHEMA, 9), "m", backend._preset)
    assert "json" in json.dumps(body)
    (name,) = extra
    assert extra[name].items() <= body[name].items()
    backend.close()
    with pytest.raises(UsageError, match="says the same"):
        load_backend(model, base_url="http://h", extra=extra, effort="low")


CARRIERS = [
    {"output_config": {"format": None}},
    {"output_format": {}},
    {"system": "say yes"},
    {"contents": []},
    {"systemInstruction": {}},
    {"cachedContent": "c"},
    {"generationConfig": {"responseJsonSchema": {}}},
    {"generationConfig": {"responseMimeType": "text/plain"}},
    {"generationConfig": {"maxOutputTokens": 1}},
    {"generationConfig": {"candidateCount": 2}},
    {"generationConfig": None},
    {"fallbacks": "default"},
]


@pytest.mark.parametrize("extra", CARRIERS, ids=str)
def test_what_carries_the_contract_is_not_for_extra(extra):
    """Whichever of the two is asked."""
    for model in MODELS.values():
        with pytest.raises(UsageError, match="extra") as caught:
            load_backend(model, extra=extra)
        assert caught.value.hint


def test_neither_speaks_openais_protocols():
    """That is said before anything is sent."""
    for model in MODELS.values():
        with pytest.raises(UsageError, match="api=") as caught:
            load_backend(model, api="chat")
        assert caught.value.hint == "leave api out"


# ------------------------------------------------------------------------------ how a reply ends


def message(stop, text="", **more):
    """A message of Anthropic's."""
    content = [{"type": "text", "text": text}] if text else []
    usage = {"input_tokens": 5, "output_tokens": 3}
    rest = {"model": "claude-opus-5-5", "content": content, "stop_reason": stop, "usage": usage}
    return 200, {"type": "message", "role": "assistant", **rest, **more}


def generation(finish, text="", **more):
    """A generation of Google's."""
    content = {"role": "model", "parts": [{"text": text}] if text else []}
    candidate = {"content": content, "finishReason": finish, **more}
    usage = {"promptTokenCount": 5, "totalTokenCount": 5}
    return 200, {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "x"}


def blocked(reason):
    """A prompt that Google blocked."""
    feedback = {"promptFeedback": {"blockReason": reason}}
    return 200, {**feedback, "usageMetadata": {"promptTokenCount": 5}, "modelVersion": "x"}


YES = reply_text("yes")
WHY = {"stop_details": {"type": "refusal", "category": "bio", "explanation": "not\nthis"}}
TOOL = {"content": [{"type": "tool_use", "id": "t", "name": "n", "input": {}}]}
CALL = {"content": {"parts": [{"functionCall": {"name": "f", "args": {}}}]}}
REFUSED_PART = {"content": [{"type": "text", "text": YES}, {"type": "refusal", "refusal": "no"}]}
SECOND = {"content": {"parts": [{"text": YES}]}, "finishReason": "STOP"}
ENDS = [
    ("anthropic", message("end_turn", **REFUSED_PART), RefusedError, "declined"),
    ("anthropic", message("refusal", **WHY), RefusedError, "bio: not this"),
    ("anthropic", message("refusal", YES[:40], **WHY), RefusedError, "bio"),
    ("anthropic", message("refusal"), RefusedError, "declined"),
    ("anthropic", message("max_tokens", YES[:40]), TruncatedError, "cut off"),
    ("anthropic", message("model_context_window_exceeded", YES[:40]), TruncatedError, "cut off"),
    ("anthropic", message("pause_turn", YES), ContractError, "pause_turn"),
    ("anthropic", message("tool_use", **TOOL), ContractError, "tool"),
    ("anthropic", message("end_turn", **TOOL), ContractError, "tool"),
    ("anthropic", message(None, YES), ContractError, "no finish reason"),
    (
        "anthropic",
        anthropic_error(400, "invalid_request_error", "Output blocked by content filter"),
        RefusedError,
        "Output blocked",
    ),
    ("google", generation("SAFETY"), RefusedError, "SAFETY"),
    ("google", generation("RECITATION", YES[:40]), RefusedError, "RECITATION"),
    ("google", generation("PROHIBITED_CONTENT"), RefusedError, "PROHIBITED_CONTENT"),
    ("google", generation("ESCALATION"), RefusedError, "ESCALATION"),
    ("google", generation("MAX_TOKENS", YES[:40]), TruncatedError, "cut off"),
    ("google", generation("CONTINUATION", YES[:40]), TruncatedError, "cut off"),
    ("google", generation("MALFORMED_FUNCTION_CALL"), ContractError, "tool"),
    ("google", generation("STOP", **CALL), ContractError, "tool"),
    ("google", generation("OTHER", YES), ContractError, "OTHER"),
    ("google", generation("LANGUAGE"), RefusedError, "LANGUAGE"),
    (
        "google",
        generation("MALFORMED_RESPONSE", finishMessage="broken"),
        TruncatedError,
        "MALFORMED_RESPONSE: broken",
    ),
    ("google", generation(None, YES), ContractError, "no finish reason"),
    ("google", blocked("SAFETY"), RefusedError, "the prompt was blocked: SAFETY"),
    ("google", blocked("PROHIBITED_CONTENT"), RefusedError, "PROHIBITED_CONTENT"),
]


@pytest.mark.parametrize(("kind", "said", "error", "words"), ENDS)
def test_every_end_of_a_reply_has_its_error(kind, said, error, words, picture):
    """A text whose end is not a proper one decides nothing, even if it could be read."""
    with HostedServer(kind, instead=said) as server:
        with pytest.raises(error, match=words) as caught:
            decided(server, picture, any_model=True)
        assert type(caught.value) is error
        assert len(server.bodies) == 1


def test_two_replies_are_none(picture):
    """Nobody asked Google for a choice, and nobody chooses."""
    status, said = generation("STOP", YES)
    said["candidates"].append(SECOND)
    with (
        HostedServer("google", instead=(status, said)) as server,
        pytest.raises(BackendError, match="not a reply"),
    ):
        decided(server, picture, any_model=True)


def test_a_signature_may_come_in_a_part_of_its_own(picture):
    """Google sends the proof of what was thought behind the text."""
    status, said = generation("STOP", YES)
    said["candidates"][0]["content"]["parts"].append({"thoughtSignature": "c2ln"})
    with HostedServer("google", instead=(status, said)) as server:
        assert decided(server, picture, any_model=True).verdict == "yes"


QUOTA = (
    "You exceeded your current quota, please check your plan and billing details.\n* Quota "
    "exceeded for metric: generate_content_free_tier_requests, limit: 10\nPlease retry in 0.2s."
)
NO_QUOTA = "You exceeded your current quota, please check your plan and billing details."
FAILURES = [
    ("anthropic", anthropic_error(401, "authentication_error", "invalid x-api-key"), AuthError, ""),
    ("anthropic", anthropic_error(403, "permission_error", "not for you"), AuthError, ""),
    (
        "anthropic",
        anthropic_error(400, "invalid_request_error", "Your credit balance is too low to access"),
        BackendError,
        "credit",
    ),
    (
        "anthropic",
        anthropic_error(404, "not_found_error", "model: claude-x"),
        BackendError,
        "name of the model",
    ),
    ("anthropic", anthropic_error(413, "request_too_large", "too large"), BackendError, ""),
    ("anthropic", anthropic_error(529, "overloaded_error", "Overloaded"), TransientError, ""),
    ("google", google_error(400, "INVALID_ARGUMENT", "API key not valid. Please"), AuthError, ""),
    (
        "google",
        google_error(404, "NOT_FOUND", "models/x is not found for API version v1beta"),
        BackendError,
        "name of the model",
    ),
    ("google", google_error(429, "RESOURCE_EXHAUSTED", QUOTA), TransientError, ""),
    ("google", google_error(429, "RESOURCE_EXHAUSTED", NO_QUOTA), BackendError, "credit"),
    ("google", google_error(503, "UNAVAILABLE", "The model is overloaded."), TransientError, ""),
]


@pytest.mark.parametrize(("kind", "said", "error", "hint"), FAILURES)
def test_every_failure_has_its_error(kind, said, error, hint):
    """In the words of the service, with a next step, and without the key."""
    status, data = said
    words = data["error"]["message"]
    told = {**data, "error": {**data["error"], "message": f"{words} (key {KEY})"}}
    with HostedServer(kind, instead=(status, told)) as server:
        backend = load_backend(MODELS[kind], base_url=server.address)
        with pytest.raises(error) as caught:
            backend.generate(Request("", (), "t", SCHEMA, 9))
        backend.close()
    assert type(caught.value) is error
    assert hint in (caught.value.hint or "")
    assert words[:40] in str(caught.value)
    assert KEY not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_quota_of_a_minute_is_waited_for():
    """For as long as the service says."""
    with HostedServer("google", instead=google_error(429, "RESOURCE_EXHAUSTED", QUOTA)) as server:
        backend = load_backend(MODELS["google"], base_url=server.address)
        with pytest.raises(TransientError) as caught:
            backend.generate(Request("", (), "t", SCHEMA, 9))
        backend.close()
    assert caught.value.retry_after == 0.2


def test_a_wrong_key_and_a_wrong_path_say_so(server, picture):
    """Neither is told to add a version to the address."""
    with pytest.raises(AuthError):
        decided(server, picture, api_key="sk-another-0123456789")
    with (
        Decider(MODELS[server.kind], base_url=f"{server.address}/proxy") as decider,
        pytest.raises(BackendError) as caught,
    ):
        decider.decide(picture, QUESTION)
    assert "/v1" not in caught.value.hint


def test_thinking_that_nobody_counted_is_not_said_to_be_none(picture):
    """And where the sum of all tokens tells, it is known."""
    with HostedServer("anthropic", instead=message("end_turn", YES)) as server:
        assert decided(server, picture).receipt.hidden_thinking_tokens is None
    with HostedServer("google", thinks=0) as server:
        assert decided(server, picture).receipt.hidden_thinking_tokens == 0
