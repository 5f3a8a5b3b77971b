"""Spans for OpenTelemetry: what was decided, why, and by which calls of which model.

Call `instrument()` once, at the start of a program that exports spans, and everything that decides
or audits in this process is traced. A decision is a span named `decide`, the questions of an audit
are one named `ask`, and below them is a span for each call of a model, with the attributes of the
semantic conventions for generative AI. The explanation is an event of the decision's span:
observations, reasoning and verdict, with the order that its receipt proves.

No image and no key is ever in a span; the question and the explanation are.
"""

from __future__ import annotations

import json
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from faithful_decide._asking.plans import watch
from faithful_decide._batch.row import encodable
from faithful_decide._core.types import Decision
from faithful_decide._nearest import hinting
from faithful_decide._public import public
from faithful_decide._version import __version__
from faithful_decide.backends.base import AsyncBackend
from faithful_decide.errors import MissingExtraError

try:
    from opentelemetry import trace as otel
except ImportError:
    extra = "tracing"
    raise MissingExtraError(extra, needed_for="Spans for OpenTelemetry") from None

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.trace import Span, Tracer, TracerProvider

    from faithful_decide.backends.base import Backend, Reply, Request

__all__ = ["instrument", "uninstrument"]


@public
@hinting
def instrument(tracer_provider: TracerProvider | None = None) -> None:
    """Trace every decision and audit of this process from now on.

    Args:
        tracer_provider: Where spans go; without it the global provider of OpenTelemetry.

    Raises:
        MissingExtraError: OpenTelemetry is not installed.
    """
    tracer = otel.get_tracer("faithful_decide", __version__, tracer_provider)

    @contextmanager
    def begin() -> Iterator[_Spans]:
        with tracer.start_as_current_span("ask") as span:
            yield _Spans(tracer, span)

    watch.begin = begin


@public
@hinting
def uninstrument() -> None:
    """Stop tracing."""
    watch.begin = nullcontext


class _Spans:
    """The span of one plan, and those of its calls below it."""

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer, self._span = tracer, span
        # Calls may be made in other threads, where no span is current.
        self._context = otel.set_span_in_context(span)

    @contextmanager
    def call(self, backend: Backend, request: Request) -> Iterator[Callable[[Reply], object]]:
        """A call of a model."""
        provider, _, model = backend.name.partition("/")
        purpose = request.purpose.kind if request.purpose else ""
        served = isinstance(backend, AsyncBackend)
        sent = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": model or provider,
            "gen_ai.request.max_tokens": request.max_tokens,
            "gen_ai.request.temperature": request.temperature,
            "gen_ai.request.seed": request.seed,
            "faithful_decide.purpose": purpose,
        }
        with self._tracer.start_as_current_span(
            f"chat {model or provider}",
            context=self._context,
            kind=otel.SpanKind.CLIENT if served else otel.SpanKind.INTERNAL,
            attributes=_given(sent),
        ) as span:
            yield lambda reply: span.set_attributes(_replied(reply))

    def end(self, result: object) -> None:
        """What came of the plan: a decision is told with its explanation."""
        if isinstance(result, Decision):
            self._span.update_name("decide")
            self._span.add_event("faithful_decide.explanation", _explained(result))


def _given(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}


def _replied(reply: Reply) -> dict[str, Any]:
    usage = reply.usage
    return _given(
        {
            "gen_ai.response.model": encodable(reply.model) or None,
            "gen_ai.response.finish_reasons": (reply.finish,),
            "gen_ai.usage.input_tokens": usage.prompt_tokens,
            "gen_ai.usage.output_tokens": usage.completion_tokens,
        }
    )


def _explained(decision: Decision) -> dict[str, Any]:
    observations = [o.model_dump(exclude_none=True) for o in decision.observations]
    return {
        "faithful_decide.question": decision.question.text,
        "faithful_decide.observations": json.dumps(observations, ensure_ascii=False),
        "faithful_decide.reasoning": decision.reasoning,
        "faithful_decide.relies_on": decision.relies_on,
        "faithful_decide.verdict": decision.verdict,
        "faithful_decide.order": decision.receipt.order,
    }
