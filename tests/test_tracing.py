"""Spans: one for each decision, one below it for each call, and nothing in them that is secret."""

import asyncio
from importlib.resources import files

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from faithful_decide import Decider, ReplyError, adecide, audit, decide
from faithful_decide.testing import ScriptedBackend, reply_text
from faithful_decide.tracing import instrument, uninstrument
from tests.support.faulty import FaultyServer

SAMPLE = files("faithful_decide.embedded") / "sample.png"


@pytest.fixture
def spans():
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrument(provider)
    yield exporter.get_finished_spans
    uninstrument()
    provider.shutdown()


def test_a_decision_is_a_span_with_its_explanation(spans, png):
    """Its calls are below it; the explanation is its event; the image is nowhere."""
    decision = decide(png, "Is it red?", model=ScriptedBackend([reply_text("yes")]))
    call, whole = spans()
    assert (whole.name, call.name) == ("decide", "chat scripted")
    assert call.parent.span_id == whole.context.span_id
    assert call.kind == SpanKind.INTERNAL
    assert call.attributes["gen_ai.operation.name"] == "chat"
    assert call.attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert call.attributes["faithful_decide.purpose"] == "decide"
    (event,) = whole.events
    assert event.attributes["faithful_decide.verdict"] == "yes"
    assert event.attributes["faithful_decide.reasoning"] == decision.reasoning
    assert event.attributes["faithful_decide.question"] == "Is it red?"
    text = call.to_json() + whole.to_json()
    assert "base64" not in text
    assert decision.receipt.images[0].sent_sha256 not in text


def test_a_failure_is_an_error_of_its_span(spans, png):
    """With its type, as OpenTelemetry has it."""
    with pytest.raises(ReplyError):
        decide(png, "Is it red?", model=ScriptedBackend(["no JSON"]))
    whole = spans()[-1]
    assert whole.status.status_code == StatusCode.ERROR
    assert not [event for event in whole.events if event.name == "faithful_decide.explanation"]


def test_calls_of_other_threads_are_below_their_decision(spans, png):
    """Side by side over a server, awaited or not, and no key in any of them."""
    with FaultyServer(lambda *_: "") as server:
        options = {"base_url": server.address, "api_key": "sk-0123456789abcdef", "samples": 3}
        with Decider("openai/faulty", seed=1, **options) as decider:
            decider.decide(png, "Is 3 odd?")
        asyncio.run(adecide(png, "Is 3 odd?", model="openai/faulty", seed=2, **options))
    wholes = [span for span in spans() if span.name == "decide"]
    assert len(wholes) == 2
    for whole in wholes:
        calls = [s for s in spans() if s.parent and s.parent.span_id == whole.context.span_id]
        assert len(calls) == 3
        assert {call.kind for call in calls} == {SpanKind.CLIENT}
        assert {call.attributes["gen_ai.provider.name"] for call in calls} == {"openai"}
    assert "0123456789" not in "".join(span.to_json() for span in spans())


def test_an_audit_is_traced(spans):
    """What each call of it is for is told."""
    report = audit(SAMPLE, "Does this image show anything funny?")
    whole = next(span for span in spans() if span.parent is None)
    assert whole.name == "ask"
    calls = [span for span in spans() if span.parent]
    assert len(calls) == report.calls
    assert {"decide", "forced"} <= {call.attributes["faithful_decide.purpose"] for call in calls}


def test_nobody_watches_without_being_asked(spans, png):
    """And no more after the end."""
    uninstrument()
    decide(png, "Is it red?", model=ScriptedBackend([reply_text("yes")]))
    assert not spans()
