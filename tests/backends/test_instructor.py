"""Clients of instructor: what is sent, what comes back, and that nothing is asked twice."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from contract import BackendContract

from faithful_decide import Decider, decide
from faithful_decide._core.schema import schema
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import prepare
from faithful_decide.backends import load_backend
from faithful_decide.backends.base import Request
from faithful_decide.errors import (
    AuthError,
    BackendError,
    OrderError,
    RefusedError,
    TransientError,
    UnsupportedError,
    UsageError,
)
from faithful_decide.testing import reply_text

pytest.importorskip("instructor")

KEY = "sk-planted-0123456789abcdef"
YES = reply_text("yes")
KEYS = ["observations", "reasoning", "relies_on", "verdict"]


class Recorder:
    """A server that keeps what it is sent and says what it is told."""

    def __init__(self):
        self.sent, self.say, self.status = [], None, 200
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                recorder.sent.append((self.path, dict(self.headers), body))
                data = json.dumps(recorder.say).encode()
                self.send_response(recorder.status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def recorder():
    """A fresh one."""
    made = Recorder()
    yield made
    made.server.shutdown()
    made.server.server_close()


def chat(text, finish="stop", **message):
    choice = {"message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
    choices = [{"index": 0, **choice}]
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": choices}


def claude(text, stop="end_turn"):
    content = [{"type": "text", "text": text}]
    usage = {"input_tokens": 9, "output_tokens": 7}
    top = {"id": "m", "type": "message", "role": "assistant", "model": "claude-x"}
    return {**top, "content": content, "stop_reason": stop, "stop_sequence": None, "usage": usage}


def gemini(text, finish="STOP"):
    parts = {"role": "model", "parts": [{"text": text}]}
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 7, "thoughtsTokenCount": 3}
    candidates = [{"content": parts, "finishReason": finish}]
    return {"candidates": candidates, "usageMetadata": usage, "modelVersion": "gemini-x"}


def openai_client(url, key="k", **options):
    import instructor
    import openai

    client = openai.OpenAI(base_url=url, api_key=key, max_retries=0)
    return instructor.from_openai(client, **{"model": "m", **options})


def anthropic_client(url):
    import instructor

    anthropic = pytest.importorskip("anthropic")
    client = anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0)
    return instructor.from_anthropic(client, model="claude-x")


def google_client(url):
    import instructor

    genai = pytest.importorskip("google.genai")
    options = genai.types.HttpOptions(base_url=url)
    return instructor.from_genai(genai.Client(api_key=KEY, http_options=options), model="gemini-x")


CLIENTS = {
    "openai": (openai_client, chat),
    "anthropic": (anthropic_client, claude),
    "google": (google_client, gemini),
}


@pytest.fixture(params=CLIENTS)
def provider(request, recorder):
    """A client of each provider, and the shape of its replies."""
    make, shape = CLIENTS[request.param]
    return make(recorder.url + ("/v1" if request.param == "openai" else "")), shape


@pytest.fixture(scope="module")
def served():
    """llama.cpp's server with the embedded model."""
    pytest.importorskip("xllamacpp")
    from tests.support.llama_server import llamacpp_server

    with llamacpp_server() as address_and_key:
        yield address_and_key


@pytest.fixture(scope="module")
def backend(served):
    """That server through instructor."""
    from faithful_decide.backends.instructor import InstructorBackend

    return InstructorBackend(openai_client(*served))


class TestThroughInstructor(BackendContract):
    """A real server through instructor keeps the contract of backends."""

    @pytest.mark.skip(reason="a client of the caller's is not closed")
    def test_close_twice(self):
        """See the reason."""


def test_a_live_client_is_a_model(provider, recorder, picture):
    """It is asked once, and its raw text is verified."""
    client, shape = provider
    recorder.say = shape(YES)
    decision = decide(picture, "Is it?", model=client)
    assert decision.verdict == "yes"
    assert decision.receipt.raw == YES
    assert decision.receipt.backend.startswith("instructor/")
    assert len(recorder.sent) == 1


def test_a_reply_out_of_order_is_not_asked_again(provider, recorder, picture):
    """Nor is a verdict read from it, which instructor itself would do."""
    client, shape = provider
    recorder.say = shape(json.dumps(dict(reversed(json.loads(YES).items()))))
    with pytest.raises(OrderError):
        decide(picture, "Is it?", model=client)
    assert len(recorder.sent) == 1


@pytest.mark.parametrize(
    ("name", "say"),
    [
        ("openai", chat(None, refusal="no")),
        ("openai", chat(YES, finish="content_filter")),
        ("anthropic", claude(YES, stop="refusal")),
        ("google", gemini(YES, finish="SAFETY")),
        ("google", {"promptFeedback": {"blockReason": "SAFETY"}}),
    ],
)
def test_a_refusal_is_a_refusal(name, say, recorder, picture):
    """In each provider's own words."""
    recorder.say = say
    client = CLIENTS[name][0](recorder.url + ("/v1" if name == "openai" else ""))
    with pytest.raises(RefusedError):
        decide(picture, "Is it?", model=client)


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, AuthError), (429, TransientError), (500, TransientError), (404, BackendError)],
)
def test_errors_are_sorted_by_their_status(status, error, provider, recorder, picture):
    """Whichever SDK is inside, and without a word of the key."""
    client, _ = provider
    recorder.status, recorder.say = status, {"error": {"message": f"bad {KEY}", "code": status}}
    # What passes is tried until the time is up; the rest has time, on a busy machine too.
    timeout = 0.3 if error is TransientError else 30.0
    with Decider(client, timeout=timeout) as decider, pytest.raises(error) as caught:
        decider.decide(picture, "Is it?")
    assert KEY not in str(caught.value) + repr(decider.backend)


@pytest.fixture
def request_(picture):
    """A request as `decide` makes it."""
    image = prepare(load_image(picture), None)
    return Request("be brief", (image,), "Question: ?", schema(("yes", "no")), 99)


def sent(client, recorder, shape, request_):
    from faithful_decide.backends.instructor import InstructorBackend

    recorder.say = shape(YES)
    InstructorBackend(client).generate(request_)
    return recorder.sent[-1]


def test_openai_on_the_wire(recorder, request_):
    """`strict` is really sent, and no tool."""
    _, _, body = sent(openai_client(recorder.url + "/v1"), recorder, chat, request_)
    described = body["response_format"]["json_schema"]
    assert described["strict"] is True
    assert list(described["schema"]["properties"]) == KEYS
    assert "tools" not in body


def test_anthropic_on_the_wire(recorder, request_):
    """The schema in `output_config`, the image before the text."""
    path, _, body = sent(anthropic_client(recorder.url), recorder, claude, request_)
    assert path == "/v1/messages"
    shape = body["output_config"]["format"]
    assert shape["type"] == "json_schema"
    assert list(shape["schema"]["properties"]) == KEYS
    assert "propertyOrdering" not in json.dumps(shape)
    assert [part["type"] for part in body["messages"][0]["content"]] == ["image", "text"]
    assert (body["system"], body["max_tokens"]) == ("be brief", 99)


def test_google_on_the_wire(recorder, request_):
    """The schema as JSON schema, with the order of its keys said as well."""
    path, _, body = sent(google_client(recorder.url), recorder, gemini, request_)
    assert path.endswith("models/gemini-x:generateContent")
    config = body["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert list(config["responseJsonSchema"]["properties"]) == KEYS
    assert config["responseJsonSchema"]["propertyOrdering"] == KEYS
    assert "inlineData" in body["contents"][0]["parts"][0]


def test_thinking_is_counted_where_it_is_said(recorder, request_):
    """Google counts thoughts; Anthropic's reply without a count leaves it unknown."""
    from faithful_decide.backends.instructor import InstructorBackend

    recorder.say = gemini(YES)
    backend = InstructorBackend(google_client(recorder.url))
    assert backend.generate(request_).hidden_thinking_tokens == 3
    recorder.say = claude(YES)
    backend = InstructorBackend(anthropic_client(recorder.url))
    assert backend.generate(request_).hidden_thinking_tokens is None


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ("instructor/openai", UsageError),
        ("instructor/nobody/x", UsageError),
        ("instructor/openai/x", AuthError),
        ("instructor/mistral/x", UsageError),
    ],
)
def test_what_cannot_be_made(spec, error, monkeypatch):
    """It is said before anything is sent."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(error):
        load_backend(spec)


def test_an_awaited_client_is_refused(recorder):
    """This library awaits by itself."""
    import instructor
    import openai

    client = instructor.from_openai(openai.AsyncOpenAI(base_url=recorder.url, api_key="k"))
    with pytest.raises(UnsupportedError):
        Decider(client)


def test_a_gateway_in_front_of_a_provider_is_not_vouched_for():
    """The provider documents what its own service does."""
    anthropic = pytest.importorskip("anthropic")
    import instructor

    from faithful_decide.backends.instructor import InstructorBackend

    for address, proven in ((None, True), ("http://127.0.0.1:9", False)):
        client = anthropic.Anthropic(api_key="k", base_url=address)
        backend = InstructorBackend(instructor.from_anthropic(client, model="claude-x"))
        assert backend.capabilities.proven is proven
