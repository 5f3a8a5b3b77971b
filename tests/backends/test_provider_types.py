"""Every kind of request, held against the types of the provider's own SDK.

The types are those of the SDKs that are installed. They are made strict first: an SDK lets pass
what it does not know, a service need not.
"""

import json
import sys
from contextlib import closing
from dataclasses import replace
from functools import cache

import pytest
from PIL import Image
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from typing_extensions import is_typeddict

from faithful_decide._core.schema import claims_schema, schema
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import prepare
from faithful_decide.backends import Request, load_backend

LABELS = ("yes", "no", "cannot_tell")


class Damage(BaseModel):
    """Typed findings."""

    cracks: int
    where: list[str]
    dented: bool


PICTURES = tuple(
    prepare(load_image(Image.new("RGB", (8, 8), colour))) for colour in ("red", "blue")
)
PLAIN = Request("be brief", PICTURES[:1], "Question: ?", schema(LABELS), 512)
KINDS = {
    "decide": PLAIN,
    "two images": replace(PLAIN, images=PICTURES, schema=schema(LABELS, images=2)),
    "regions": replace(PLAIN, schema=schema(LABELS, regions=True)),
    "findings": replace(PLAIN, schema=schema(LABELS, findings=Damage)),
    "forced": replace(PLAIN, schema=schema(LABELS, reservation=True)),
    "claims": replace(PLAIN, schema=claims_schema(2)),
    "scored": replace(PLAIN, top_logprobs=20, temperature=1.0, seed=7),
}
EFFORTS = (None, "none", "low", "max")


def _openai(body, api):
    from openai.types import chat, responses

    kind = {
        "chat": chat.completion_create_params.CompletionCreateParamsNonStreaming,
        "responses": responses.response_create_params.ResponseCreateParamsNonStreaming,
    }[api]
    strictly("openai.types", kind, body)


def _azure(body, _):
    _openai(body, "responses")


def _openrouter(body, _):
    # These two are its own, and documented by it.
    own = {name: body.pop(name) for name in ("provider", "reasoning") if name in body}
    assert own["provider"] == {"require_parameters": True}
    assert own.get("reasoning", {}).keys() <= {"effort"}
    _openai(body, "chat")


def _anthropic(body, _):
    params = pytest.importorskip("anthropic").types.message_create_params
    strictly("anthropic.types", params.MessageCreateParamsNonStreaming, body)


def _google(body, _):
    types = pytest.importorskip("google.genai").types
    assert body.keys() <= {"contents", "systemInstruction", "generationConfig"}
    for content in (*body["contents"], body["systemInstruction"]):
        types.Content.model_validate_json(json.dumps(content))
    config = types.GenerateContentConfig.model_validate_json(json.dumps(body["generationConfig"]))
    told = config.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert told == body["generationConfig"]


PROVIDERS = {
    ("openai", "responses"): _openai,
    ("openai", "chat"): _openai,
    ("azure", None): _azure,
    ("openrouter", None): _openrouter,
    ("anthropic", None): _anthropic,
    ("google", None): _google,
}


STRICT = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


@cache
def strict(package, kind):
    """A type of an SDK in which nothing is allowed that it does not name, at any depth."""
    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name.startswith(package):
                # What is in an iterable would be looked at only by whoever reads it.
                patch.setattr(module, "Iterable", list, raising=False)
                for made in list(vars(module).values()):
                    if is_typeddict(made):
                        patch.setattr(made, "__pydantic_config__", STRICT, raising=False)
        return TypeAdapter(kind)


def strictly(package, kind, value):
    """Hold a value against such a type."""
    strict(package, kind).validate_python(value)


def body_of(provider, request, **options):
    """The body that is sent, as the server reads it."""
    kind, api = provider
    if api:
        options["api"] = api
    if kind == "azure":
        options["base_url"] = "https://a.openai.azure.com"
    with closing(load_backend(f"{kind}/m", api_key="k", **options)) as backend:
        return json.loads(json.dumps(backend._wire.body(request, "m", backend._preset)))


@pytest.fixture(autouse=True)
def _usual_addresses(monkeypatch):
    for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda p: "-".join(filter(None, p)))
def test_what_is_sent_is_of_the_providers_own_type(provider, kind):
    """Whatever the effort."""
    for effort in EFFORTS:
        PROVIDERS[provider](body_of(provider, KINDS[kind], effort=effort), provider[1])


WRONG = (
    lambda body: body.update(no_such_parameter=1),
    lambda body: body.get("messages", body.get("input", body.get("contents")))[0].update(x=1),
    lambda body: (body.get("messages") or body.get("input") or body["contents"])[-1].update(
        {"content": [{"type": "photograph"}], "parts": [{"photograph": 1}]}
    ),
)


@pytest.mark.parametrize("change", WRONG, ids=range(len(WRONG)))
@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda p: "-".join(filter(None, p)))
def test_the_types_would_notice(provider, change):
    """A parameter, a field of a turn or a part that nobody documents is found, at any depth."""
    body = body_of(provider, PLAIN)
    change(body)
    with pytest.raises((ValidationError, AssertionError)):
        PROVIDERS[provider](body, provider[1])


KEYWORDS = {
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "enum",
    "description",
}
FOR_SOME = {"propertyOrdering", "minItems", "maxItems"}
EXACTING = {
    ("anthropic", None): ("output_config", "format", "schema"),
    ("openai", "responses"): ("text", "format", "schema"),
    ("openai", "chat"): ("response_format", "json_schema", "schema"),
}


def keywords(value):
    """The keywords of a schema, and not the names of properties."""
    if not isinstance(value, dict):
        return set()
    inner = [value.get("items"), *value.get("properties", {}).values()]
    return set(value) | set().union(*map(keywords, inner))


@pytest.mark.parametrize("kind", KINDS)
def test_schemas_are_of_keywords_that_all_of_them_document(kind):
    """What some of them would refuse is in no schema that is sent to those."""
    assert keywords(KINDS[kind].schema) <= KEYWORDS | FOR_SOME
    for provider, way in EXACTING.items():
        sent = body_of(provider, KINDS[kind])
        for step in way:
            sent = sent[step]
        assert keywords(sent) <= KEYWORDS
