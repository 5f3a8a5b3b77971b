"""OpenAI's responses: what is sent, compared with the types of the SDK, and what is read."""

import json
from dataclasses import replace

import pytest
from openai.types.responses import Response
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import TypeAdapter

from faithful_decide import decide
from faithful_decide._core.schema import schema
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import prepare
from faithful_decide.backends import load_backend
from faithful_decide.backends._openai.chat import CHAT, chat_body
from faithful_decide.backends._openai.presets import PRESETS
from faithful_decide.backends._openai.responses import RESPONSES, responses_body
from faithful_decide.backends.base import Request
from faithful_decide.errors import (
    BackendError,
    ContractError,
    OrderError,
    RefusedError,
    TransientError,
    TruncatedError,
    UsageError,
)
from tests.support.faulty import FAULTS, Answer, FaultyServer, other, truth, written

RIGHT, WRONG = written(truth(8)), written(other(truth(8)))
SHAPE = TypeAdapter(ResponseCreateParamsNonStreaming)


@pytest.fixture
def request_(picture):
    """A request with everything in it."""
    image = prepare(load_image(picture), None)
    labels = ("yes", "no")
    return Request("be brief", (image,), "Question: ?", schema(labels), 99, seed=7, top_logprobs=50)


def text_part(text, **more):
    return {"type": "output_text", "text": text, "annotations": [], **more}


def message(*parts, status="completed"):
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": list(parts),
    }


def response(*output, status="completed", **more):
    """A response as it is documented; what the SDK's own type refuses is no test of ours."""
    made = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1.0,
        "model": "faulty-2026-01-01",
        "status": status,
        "error": None,
        "incomplete_details": None,
        "output": list(output),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 90,
            "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 0},
            "output_tokens": 40,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 130,
        },
        **more,
    }
    Response.model_validate(made)
    return made


def ask(server, picture, **options):
    return decide(
        picture,
        "Is this an even number: 8?",
        model="openai/faulty",
        base_url=server.address,
        api="responses",
        **({"timeout": 0.9} | options),
    )


def told(picture, made, **options):
    """Decide with a server that sends this."""
    with FaultyServer(lambda *_: "") as server:
        server.always = Answer(json.dumps(made).encode())
        return ask(server, picture, **options)


# ------------------------------------------------------------------------------ on the wire


@pytest.mark.parametrize("kind", ["openai", "azure"])
def test_the_body_is_as_documented(kind, request_):
    """The SDK's own type takes it, and it holds nothing that the type does not know."""
    body = json.loads(json.dumps(responses_body(request_, "m", PRESETS[kind])))
    SHAPE.validate_python(body, strict=True)
    assert body.keys() <= ResponseCreateParamsNonStreaming.__annotations__.keys() | {
        key for base in ResponseCreateParamsNonStreaming.__orig_bases__ for key in keys_of(base)
    }
    shape = body["text"]["format"]
    assert (shape["type"], shape["strict"]) == ("json_schema", True)
    assert list(shape["schema"]["properties"]) == [
        "observations",
        "reasoning",
        "relies_on",
        "verdict",
    ]
    assert shape["schema"]["required"] == ["observations", "reasoning", "relies_on", "verdict"]
    assert body["include"] == ["message.output_text.logprobs"]
    assert (body["top_logprobs"], body["max_output_tokens"], body["store"]) == (20, 99, False)
    (turn,) = body["input"]
    assert [part["type"] for part in turn["content"]] == ["input_image", "input_text"]
    assert turn["content"][0]["image_url"].startswith("data:image/")
    assert body["instructions"] == "be brief"


def keys_of(kind):
    """The keys of a typed dictionary and those it builds on."""
    own = set(getattr(kind, "__annotations__", {}))
    return own.union(*map(keys_of, getattr(kind, "__orig_bases__", ())))


@pytest.mark.parametrize("write", [responses_body, chat_body])
@pytest.mark.parametrize("kind", ["openai", "azure"])
def test_only_standard_keywords_are_sent_to_strict_servers(write, kind, request_):
    """They refuse a schema with a keyword that they do not know."""
    assert "propertyOrdering" not in json.dumps(write(request_, "m", PRESETS[kind]))
    assert "propertyOrdering" in json.dumps(chat_body(request_, "m", PRESETS["vllm"]))


def test_what_was_not_asked_for_is_not_sent(request_):
    """No log-probabilities, no schema, no temperature, no instructions."""
    bare = replace(request_, top_logprobs=0, schema=None, system="", images=())
    preset = replace(PRESETS["openai"], temperature=False)
    assert responses_body(bare, "m", preset).keys() == {
        "model",
        "input",
        "max_output_tokens",
        "store",
    }


def test_reasoning_effort_has_one_name(request_):
    """Callers say it as chat completions do."""
    extra = {"reasoning_effort": "none", "reasoning": {"summary": "auto"}, "user": "u"}
    preset = replace(PRESETS["openai"], extra=extra)
    body = RESPONSES.body(request_, "m", preset)
    assert (body["reasoning"], body["user"]) == ({"summary": "auto", "effort": "none"}, "u")
    assert "reasoning_effort" not in body
    assert CHAT.body(request_, "m", preset)["reasoning_effort"] == "none"


@pytest.mark.parametrize(
    ("kind", "options", "path"),
    [
        ("openai", {}, "/v1/chat/completions"),
        ("openai", {"api": "responses"}, "/v1/responses"),
        ("azure", {"api_key": "k"}, "/v1/responses"),
        ("azure", {"api_key": "k", "api": "chat"}, "/v1/chat/completions"),
        ("vllm", {}, "/v1/chat/completions"),
        ("openrouter", {"api_key": "k"}, "/v1/chat/completions"),
    ],
)
def test_who_is_asked_how(kind, options, path, request_):
    """Responses where they are documented, chat completions elsewhere, and what the caller says."""
    with FaultyServer(lambda *_: "") as server:
        server.keep_bodies = True
        server.always = Answer(b"{}")
        backend = load_backend(f"{kind}/m", base_url=server.address, **options)
        with pytest.raises(BackendError):
            backend.generate(replace(request_, text="Question: 1\nVerdicts"))
        backend.close()
        assert server.bodies[0]["head"].startswith(f"POST {path} ")


def test_openai_itself_is_asked_for_responses(monkeypatch):
    """Without an address of one's own."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    backend = load_backend("openai/gpt-5.1")
    assert backend._preset.wire == "responses"
    backend.close()


@pytest.mark.parametrize(("kind", "api"), [("ollama", "chat"), ("vllm", "completions")])
def test_what_is_not_spoken(kind, api):
    """It is said before anything is sent."""
    with pytest.raises(UsageError, match="api="):
        load_backend(f"{kind}/m", api=api)


# ------------------------------------------------------------------------------ what is read

REASONING = {"id": "rs_1", "type": "reasoning", "summary": []}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": WRONG}


def spelt(text, **more):
    """Tokens, of one letter each where a text is given."""
    return [
        {"token": t, "bytes": list(t.encode()), "logprob": -0.5, "top_logprobs": [], **more}
        for t in text
    ]


def test_a_response_becomes_a_decision(picture):
    """With what it cost, what was cached, and the model's own name."""
    decision = told(picture, response(message(text_part(RIGHT))))
    assert decision.verdict == truth(8)
    receipt = decision.receipt
    assert receipt.model == "faulty-2026-01-01"
    usage = receipt.usage
    assert (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens) == (90, 60, 40)
    assert receipt.hidden_thinking_tokens == 0


@pytest.mark.parametrize(("counted", "expected"), [(17, 17), (0, None)])
def test_thinking_is_counted_or_unknown(counted, expected, picture):
    """A model that thought and counts nothing of it has not counted."""
    made = response(REASONING, message(text_part(RIGHT)))
    made["usage"]["output_tokens_details"]["reasoning_tokens"] = counted
    assert told(picture, made).receipt.hidden_thinking_tokens == expected


def test_missing_usage_is_unknown(picture):
    """And not nothing."""
    receipt = told(picture, response(message(text_part(RIGHT)), usage=None)).receipt
    assert receipt.usage.prompt_tokens is receipt.hidden_thinking_tokens is None


def test_log_probabilities_are_read_where_the_verdict_stands(picture):
    """They come with each part of the text."""
    before, label, after = RIGHT.rpartition(truth(8))
    tops = spelt(["yes"], logprob=-0.1) + spelt(["no"], logprob=-2.4) + spelt(["c"], logprob=-9.0)
    tokens = spelt(before) + spelt([label], top_logprobs=tops) + spelt(after)
    scores = told(picture, response(message(text_part(RIGHT, logprobs=tokens)))).scores
    assert scores.source == "token_logprobs"
    assert scores.probabilities["yes"] > scores.probabilities["no"] > 0


@pytest.mark.parametrize("nonsense", [None, [], "a", [None], [{"token": 1}]])
def test_log_probabilities_that_are_none(nonsense, picture):
    """Are absent, and nothing is made up for them."""
    made = response(message(text_part(RIGHT)))
    made["output"][0]["content"][0]["logprobs"] = nonsense
    assert told(picture, made).scores is None


INCOMPLETE = {"status": "incomplete"}
POLICY = {"code": "image_content_policy_violation", "message": "no"}


@pytest.mark.parametrize(
    ("made", "error"),
    [
        (response(message({"type": "refusal", "refusal": f"I cannot: {WRONG}"})), RefusedError),
        (
            response(message(text_part(WRONG), {"type": "refusal", "refusal": "no"})),
            RefusedError,
        ),
        (
            response(
                message(text_part(WRONG), status="incomplete"),
                incomplete_details={"reason": "max_output_tokens"},
                **INCOMPLETE,
            ),
            TruncatedError,
        ),
        (
            response(
                message(text_part(WRONG)),
                incomplete_details={"reason": "content_filter"},
                **INCOMPLETE,
            ),
            RefusedError,
        ),
        (response(message(text_part(WRONG)), **INCOMPLETE), ContractError),
        (response(message(text_part(WRONG[:50])), **INCOMPLETE), TruncatedError),
        (response(message(text_part(WRONG)), status="in_progress"), ContractError),
        (response(CALL), ContractError),
        (response(message(text_part(WRONG)), CALL), ContractError),
        (response(message(text_part(WRONG)), message(text_part(WRONG))), ContractError),
        (response(message(text_part(WRONG), text_part(WRONG))), ContractError),
        (response(), ContractError),
        (response(REASONING), ContractError),
        (response(message()), ContractError),
        (
            response(status="failed", error={"code": "server_error", "message": "x"}),
            TransientError,
        ),
        (
            response(status="failed", error={"code": "rate_limit_exceeded", "message": "x"}),
            TransientError,
        ),
        (
            response(status="failed", error={"code": "invalid_image", "message": "x"}),
            BackendError,
        ),
        (response(status="failed", error=POLICY), RefusedError),
        (response(message(text_part(WRONG)), error=POLICY), RefusedError),
        (response(message(text_part(WRONG)), model="someone-else-7b"), BackendError),
        ({"output": []}, BackendError),
        ({"status": "completed", "output": "yes"}, BackendError),
        ({"status": "completed", "output": [None, 3, {"type": "message"}]}, ContractError),
        ({"status": "completed", "output": [{"type": "message", "content": 7}]}, ContractError),
    ],
)
def test_no_verdict_is_read_from_a_fault(made, error, picture):
    """Each shape of failure is an error of its type."""
    with pytest.raises(error) as caught:
        told(picture, made)
    assert caught.type is error


def test_a_reply_in_another_order_is_an_order_error(picture):
    """The text is verified here as anywhere."""
    turned = json.dumps(dict(reversed(json.loads(WRONG).items())))
    with pytest.raises(OrderError):
        told(picture, response(message(text_part(turned))))


@pytest.mark.parametrize(
    "fault",
    ["429 with seconds", "500", "garbage, status 200", "content filter, status 400", "null"],
)
def test_faults_of_the_server_are_those_of_chat_completions(fault, picture):
    """Below the format, it is the same connection."""
    assert fault in FAULTS
    with FaultyServer(lambda *_: fault) as server, pytest.raises((RefusedError, TransientError)):
        ask(server, picture)
