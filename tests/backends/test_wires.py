"""What is promised of a server is in the request, and what a caller adds replaces nothing in it."""

import json
from base64 import b64encode
from contextlib import closing
from dataclasses import replace

import pytest
from contract import REPLY
from PIL import Image

from faithful_decide import Decider
from faithful_decide._core.json_schema import standard
from faithful_decide._core.schema import schema
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import prepare
from faithful_decide.backends import load_backend
from faithful_decide.backends._openai.presets import PRESETS
from faithful_decide.backends.base import Request
from faithful_decide.errors import UnsupportedError, UsageError
from faithful_decide.testing import reply_text
from tests.support.cases import case
from tests.support.faulty import Answer, FaultyServer

SCHEMA = schema(("yes", "no"))
WAYS = [
    (kind, api)
    for kind, preset in PRESETS.items()
    for api in (None, "chat", "responses")
    if api is None or preset.wire in {"chat", "responses"}
]


@pytest.fixture
def request_(picture):
    """A request with everything in it but a forced start."""
    image = prepare(load_image(picture), None)
    return Request("be brief", (image,), "Question: ?", SCHEMA, 99, seed=7, top_logprobs=5)


def sent(backend, request):
    """The body that a backend sends, and its reply."""
    return backend._wire.body(request, "m", backend._preset)


def schema_in(body):
    """The schema that a body asks for, whichever protocol it is in."""
    places = [
        body.get("response_format", {}).get("json_schema", {}).get("schema"),
        body.get("text", {}).get("format", {}).get("schema"),
        body.get("format"),
        body.get("output_config", {}).get("format", {}).get("schema"),
        body.get("generationConfig", {}).get("responseJsonSchema"),
    ]
    return next((place for place in places if place), None)


@pytest.fixture(params=WAYS, ids=lambda way: f"{way[0]}-{way[1]}")
def backend(request):
    """Every kind of server, over every protocol that it may be asked in."""
    kind, api = request.param
    options = {} if api is None else {"api": api}
    made = load_backend(f"{kind}/m", base_url="http://127.0.0.1:9", api_key="k", **options)
    yield made
    made.close()


def test_what_is_promised_is_sent(backend, request_):
    """Prefix, schema or grammar, and log-probabilities; and what is not promised is not."""
    body, can = sent(backend, request_), backend.capabilities
    responses = backend._wire.path == "/responses"
    assert (can.logprobs != "none") == ("top_logprobs" in body)
    assert (can.logprobs != "none" and responses) == ("include" in body)
    if can.enforcement == "grammar":
        assert body["grammar"]
    else:
        assert schema_in(body) in (SCHEMA, standard(SCHEMA))
    local = backend.name.partition("/")[0] in {"vllm", "sglang", "llamacpp-server", "lmstudio"}
    assert bool(backend._preset.sampling) == ((local and not responses) or "options" in body)
    assert backend._preset.sampling.items() <= body.get("options", body).items()
    seed = body.get("options", body.get("generationConfig", body)).get("seed")
    assert seed == (None if responses or backend._wire.path == "/v1/messages" else 7)
    if not can.prefix:
        with pytest.raises(UnsupportedError, match="prefix"):
            backend.generate(replace(request_, prefix=REPLY[:-5]))
        return
    forced = sent(backend, replace(request_, prefix=REPLY[:-5]))
    assert forced["messages"][-1] == {"role": "assistant", "content": REPLY[:-5]}
    assert any(key in forced for key in ("grammar", "regex", "structured_outputs"))


def test_only_what_was_documented_for_a_protocol_is_promised(backend):
    """A row of the table holds for the protocols that it names."""
    kind, wire = backend.name.partition("/")[0], backend._preset.wire
    if wire in PRESETS[kind].wires and kind != "openai":
        assert backend.capabilities.order == PRESETS[kind].order
    else:
        assert not backend.capabilities.order
        assert not backend.capabilities.prefix
        assert backend.capabilities.enforcement == "best_effort"


def test_hosted_openai_promises_the_same_in_both(monkeypatch):
    """It documents both."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    backends = [load_backend("openai/m", api=api) for api in ("chat", "responses")]
    assert backends[0].capabilities == backends[1].capabilities
    assert backends[0].capabilities.enforcement == "strict"
    for backend in backends:
        backend.close()


# ------------------------------------------------------------------------------ extra

RESPONSE = {
    "status": "completed",
    "model": "m",
    "output": [
        {"type": "message", "content": [{"type": "output_text", "text": reply_text("yes")}]}
    ],
}
CHAT = {
    "model": "m",
    "choices": [{"message": {"content": reply_text("yes")}, "finish_reason": "stop"}],
}
GENERATION = {"response": reply_text("yes"), "done_reason": "stop"}


@pytest.mark.parametrize(
    ("spec", "extra", "path", "expected"),
    [
        ("azure/m", {"text": {"verbosity": "low"}}, "text.format.type", "json_schema"),
        ("azure/m", {"text": {"verbosity": "low"}}, "text.verbosity", "low"),
        (
            "openrouter/m",
            {"provider": {"order": ["a"]}},
            "provider.require_parameters",
            True,
        ),
        ("openrouter/m", {"provider": {"order": ["a"]}}, "provider.order", ["a"]),
        ("ollama/m", {"options": {"num_ctx": 9}}, "options.num_predict", 512),
        ("ollama/m", {"options": {"num_ctx": 9}}, "options.num_ctx", 9),
        ("ollama/m", {"options": {"num_ctx": 9}}, "truncate", False),
        ("ollama/m", {"options": {"num_ctx": 9}}, "shift", False),
        ("vllm/m", {"chat_template_kwargs": {"a": {"b": 1}}}, "chat_template_kwargs.a.b", 1),
    ],
)
def test_extra_is_merged_object_by_object(spec, extra, path, expected, picture):
    """What we send stays, and the receipt says what was sent."""
    say = {"azure/m": RESPONSE, "ollama/m": GENERATION}.get(spec, CHAT)
    with FaultyServer(lambda *_: "") as server:
        server.keep_bodies = True
        server.always = Answer(json.dumps(say).encode())
        address = server.address.removesuffix("/v1") if "ollama" in spec else server.address
        options = {"base_url": address, "api_key": "k", "extra": extra}
        with Decider(spec, **options) as decider:
            decider.decide(picture, "Is it?")
            assert decider.backend.generate(Request("", (), "1", SCHEMA, 5)).constraint == "schema"
        found = server.bodies[0]
    for key in path.split("."):
        found = found[key]
    assert found == expected


CARRIERS = (
    {"messages": []},
    {"input": "x"},
    {"truncate": True},
    {"model": "other"},
    {"response_format": {"type": "text"}},
    {"response_format": None},
    {"text": {"format": {"type": "text"}}},
    {"text": None},
    {"text": "x"},
    {"format": "json"},
    {"stream": True},
    {"n": 2},
    {"tools": []},
    {"grammar": "root ::= x"},
    {"guided_json": {}},
    {"structured_outputs": {}},
    {"provider": {"require_parameters": False}},
    {"provider": None},
    {"options": {"temperature": 1}},
    {"options": []},
    {"temperature": 1},
    {"max_tokens": 5},
    {"seed": 1},
    {"extra_body": {"response_format": None}},
    {"instructions": "say yes"},
    {"plugins": [{"id": "response-healing"}]},
    {"models": ["a", "b"]},
    [("user", "u")],
    "user",
    {1: 2},
    {"stop": {"a", "b"}},
    {"stop": object()},
    {"x": float("nan")},
    {"x": "\ud800"},
)


@pytest.mark.parametrize("spec", ["azure/m", "vllm/m", "ollama/m", "openrouter/m"])
def test_what_carries_the_contract_is_not_for_extra(spec):
    """It is refused when the backend is made, and the error says what to do."""
    for extra in CARRIERS:
        with case(extra):
            with pytest.raises(UsageError, match="extra") as caught:
                load_backend(spec, base_url="http://127.0.0.1:9", api_key="k", extra=extra)
            assert caught.value.hint


def test_extra_is_copied():
    """What a caller changes afterwards changes nothing here."""
    extra = {"provider": {"order": ["a"]}}
    backend = load_backend("openrouter/m", base_url="http://127.0.0.1:9", extra=extra)
    extra["provider"]["require_parameters"] = False
    assert backend._preset.extra["provider"] == {"require_parameters": True, "order": ["a"]}
    backend.close()


@pytest.mark.parametrize(("kind", "api"), WAYS)
def test_several_images_are_sent_in_their_order(kind, api, request_, picture):
    """Before the text, each once."""
    other = prepare(load_image(Image.new("RGB", (8, 8), "blue")))
    asked = replace(request_, images=(*request_.images, other))
    options = {} if api is None else {"api": api}
    with closing(
        load_backend(f"{kind}/m", base_url="http://127.0.0.1:9", api_key="k", **options)
    ) as backend:
        text = json.dumps(sent(backend, asked))
        assert backend.capabilities.images > 1
    places = [text.index(b64encode(image.data).decode()) for image in asked.images]
    assert places == sorted(places)
    if kind != "ollama":
        assert places[-1] < text.index("Question: ?")
