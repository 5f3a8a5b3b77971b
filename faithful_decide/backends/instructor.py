"""Clients of instructor: the providers it knows, or a client that you already have.

    instructor/anthropic/claude-sonnet-5-5
    instructor/google/gemini-3.8-flash
    decide(image, question, model=instructor.from_openai(OpenAI(), model="gpt-5.1"))

Instructor's own way of asking is not used. It does not send `strict`, accepts keys in any order and
twice, and after a failed validation asks again with the failed reply in view, so that the second
reasoning is written to fit a verdict. Instead the call goes through the client untouched: no
response model, no second try, the schema in the parameter by which the provider promises to keep
it, and the raw text verified like any other.

`enforcement` says `strict` where that parameter is known to be kept (OpenAI itself, Anthropic,
Google), and `best_effort` where another server speaks OpenAI's protocol.
Retries of the SDK inside are off for a client made here; a client of yours is left as it is.
"""

from __future__ import annotations

import inspect
import json
import time
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from faithful_decide._images.prepare import ImageLimits
from faithful_decide._nearest import hinting
from faithful_decide.backends._effort import room_for, thinks
from faithful_decide.backends._knockout import refuse_hidden
from faithful_decide.backends._openai.adapting import notes_on
from faithful_decide.backends._openai.address import Server
from faithful_decide.backends._openai.anthropic import anthropic_body, read_anthropic
from faithful_decide.backends._openai.chat import chat_body, read_chat
from faithful_decide.backends._openai.google import google_body, read_google
from faithful_decide.backends._openai.keys import Key
from faithful_decide.backends._openai.presets import PRESETS
from faithful_decide.backends._openai.reading import one_line
from faithful_decide.backends._openai.status import Said, said_in, sorted_by_status
from faithful_decide.backends._sent import constraint_of
from faithful_decide.backends.base import MANY_IMAGES, Capabilities, Reply, Request
from faithful_decide.errors import (
    AuthError,
    BackendError,
    FaithfulDecideError,
    MissingExtraError,
    TransientError,
    UnsupportedError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from faithful_decide.backends._openai.presets import Preset

__all__ = ["InstructorBackend", "load_instructor"]

_LIMITS = ImageLimits(
    media_types=frozenset({"image/jpeg", "image/png", "image/webp"}),
    max_side=1568,
    max_bytes=3_500_000,
)
_REQUEST = "check the name of the model, and what it can be sent"
_ROWS = {"anthropic": "anthropic", "genai": "google"}
"""The row of the table of servers that a provider of instructor has."""


def _address_of(client: Any) -> Server:  # noqa: ANN401 - of an optional package
    """What a client reaches: a provider itself, or some gateway."""
    options = getattr(getattr(client, "_api_client", None), "_http_options", None)
    return Server(str(getattr(client, "base_url", None) or getattr(options, "base_url", None)))


class InstructorBackend:
    """A model behind a blocking client of instructor. Safe to call from several threads."""

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - of an optional package
        *,
        model: str = "",
        temperature: bool = True,
    ) -> None:
        """Wrap a client.

        Args:
            client: A blocking client, as `instructor.from_...` returns it.
            model: The model to ask, where the client does not say.
            temperature: Whether to send one; models that reason refuse it.

        Raises:
            UsageError: Nobody says which model.
            UnsupportedError: The client is not a blocking one.
        """
        kind = type(client)
        if not kind.__module__.startswith("instructor.") or kind.__name__.startswith("Async"):
            msg = f"pass a blocking client of instructor, not {kind.__name__}"
            raise UnsupportedError(msg, hint="make it with instructor.from_openai(OpenAI())")
        self._client = client
        # Only known so that it can be blotted out of what a provider says.
        self._key = Key(_key_of(client.client), kind="instructor")
        self._provider = str(getattr(client.provider, "value", client.provider))
        self._model = model or client.kwargs.get("model") or _default_model(client)
        if not self._model:
            msg = "this client of instructor does not say which model to ask"
            raise UsageError(msg, hint='make it with instructor.from_...(client, model="NAME")')
        self._ask: Callable[[Request], Reply | Said] = {
            "anthropic": self._anthropic,
            "genai": self._google,
        }.get(self._provider, self._chat)
        server = _address_of(client.client)
        self._hosted = hosted = server.is_openai
        known = self._provider in _ROWS or hosted
        usual = PRESETS[_ROWS.get(self._provider) or ("openai" if hosted else "lmstudio")]
        self._preset = replace(
            usual,
            same_model=False,
            sampling={},  # its SDK has no such parameters
            temperature=usual.temperature and temperature,
            room=room_for(None, thinks=thinks(self._model)),
        )
        self._capabilities = Capabilities(
            enforcement="strict" if known else "best_effort",
            order=known,
            proven=server.is_hosted,
            thinking="unknown",
            schema_in_prompt=True,
            decoder="autoregressive",
            images=MANY_IMAGES,
            image_limits=_LIMITS,
        )

    @property
    def name(self) -> str:
        """The model spec that names this backend."""
        return f"instructor/{self._provider}/{self._model}"

    @property
    def identity(self) -> object:
        """The name, and what else decides about a reply where it is not the usual."""
        address = str(getattr(self._client.client, "base_url", ""))
        other = [address] if address and not self._hosted else []
        other += [] if self._preset.temperature else ["no temperature"]
        return [self.name, *other] if other else self.name

    @property
    def capabilities(self) -> Capabilities:
        """What this backend can do."""
        return self._capabilities

    def __repr__(self) -> str:
        """Name the model, and nothing of the client, which knows a key."""
        if not hasattr(self, "_model"):
            return f"<{type(self).__name__}, not loaded>"
        return f"{type(self).__name__}({self.name!r})"

    def generate(self, request: Request) -> Reply:
        """Make one call, without retry and without a second question.

        Args:
            request: What to send.

        Returns:
            The reply as it came.

        Raises:
            UnsupportedError: The request forces a prefix, or hides something.
            AuthError: The provider refused the key.
            TransientError: It is busy, failed, or did not reply.
            BackendError: It refused the request.
        """
        if request.prefix:
            msg = f"{self.name} cannot continue a forced prefix"
            raise UnsupportedError(msg, hint="use a model in process, or vllm or sglang")
        refuse_hidden(request, self.name)
        outcome: Reply | Said | BackendError
        try:
            outcome = self._ask(request)
        except Exception as error:  # noqa: BLE001 - of whichever SDK is inside; sorted by its status
            outcome = self._sorted(error)
        if isinstance(outcome, Said):
            outcome = self._sorted_as(outcome, {})
        if isinstance(outcome, BackendError):
            # Out here, so that the SDK's error, which knows the key, is no context of ours.
            raise outcome
        return self._key.blotted(outcome)

    def _chat(self, request: Request) -> Reply | Said:
        body = chat_body(replace(request, top_logprobs=0), self._model, self._preset)
        return self._read(
            body,
            request,
            read_chat,
            lambda: self._client.chat.completions.create(
                response_model=None, max_retries=0, timeout=request.timeout_s, **body
            ),
        )

    def _anthropic(self, request: Request) -> Reply | Said:
        body = anthropic_body(request, self._model, self._preset)
        return self._read(
            body,
            request,
            read_anthropic,
            lambda: self._client.create(
                response_model=None, max_retries=0, timeout=request.timeout_s, **body
            ),
        )

    def _google(self, request: Request) -> Reply | Said:
        body = google_body(request, self._model, self._preset)
        # Bytes are written as text in JSON alone, so its own type has to read that.
        content = import_module("google.genai.types").Content.model_validate_json
        config = dict(body["generationConfig"])
        if "systemInstruction" in body:
            config["systemInstruction"] = body["systemInstruction"]
        if request.timeout_s is not None:
            # In milliseconds, and 0 would mean no limit.
            config["http_options"] = {"timeout": max(1, int(request.timeout_s * 1000))}
        return self._read(
            body,
            request,
            read_google,
            # Its create() rewrites messages; the client inside takes contents as they are.
            lambda: self._client.client.models.generate_content(
                model=self._model,
                contents=[content(json.dumps(turn)) for turn in body["contents"]],
                config=config,
            ),
        )

    def _read(
        self,
        body: Mapping[str, Any],
        request: Request,
        read: Callable[[object, Request, Preset], Reply | Said],
        call: Callable[[], Any],
    ) -> Reply | Said:
        """Call the SDK, and read what it answers as it came over the wire."""
        started = time.perf_counter()
        answer = call()
        latency = time.perf_counter() - started
        data = answer.model_dump(mode="json", by_alias=True, exclude_none=True)
        reply = read(data, request, self._preset)
        if isinstance(reply, Said):
            return reply
        return replace(
            reply,
            latency_s=latency,
            constraint=constraint_of(body, request),
            notes=notes_on(self._preset, request, body),
        )

    def _sorted(self, error: Exception) -> Reply | BackendError:
        """Sort an error by the status it carries, whichever SDK it comes from."""
        codes = (getattr(error, name, None) for name in ("status_code", "code"))
        status = next((code for code in codes if type(code) is int), 0)
        named = type(error).__name__
        if not status:
            msg = f"{self.name} failed: {named}"
            if "timeout" in named.casefold() or "connect" in named.casefold():
                return TransientError(msg)
            return BackendError(msg, hint=_REQUEST)
        said = said_in(getattr(error, "body", None) or getattr(error, "details", None))
        response = getattr(error, "response", None)
        return self._sorted_as(replace(said, status=status), getattr(response, "headers", None))

    def _sorted_as(self, said: Said, headers: Mapping[str, str] | None) -> Reply | BackendError:
        words = one_line(self._key.blot(said.words))
        if said.blocked:
            return Reply("", "content_filter", remark=words)
        status = f" with status {said.status}" if said.status else ""
        return sorted_by_status(
            said,
            f"{self.name} failed{status}: {words or 'it does not say why'}",
            headers or {},
            key_hint="check the key, and what it may use",
            request_hint=_REQUEST,
        )

    def close(self) -> None:
        """Do nothing: a client of yours is yours, and one made here has nothing to release."""


@hinting
def load_instructor(
    rest: str, *, api_key: str | None = None, temperature: bool = True
) -> InstructorBackend:
    """Make a client of a provider that instructor knows: `PROVIDER/NAME`, as it takes it.

    Args:
        rest: The provider, and the name of the model there.
        api_key: The key; by default the provider's SDK looks for it in its usual variable.
        temperature: Whether to send one; models that reason refuse it.
    """
    provider, _, model = rest.partition("/")
    if not model:
        msg = f"instructor wants PROVIDER/NAME, not {rest!r}"
        raise UsageError(msg, hint='write model="instructor/anthropic/NAME"')
    made = _client_of(rest, provider, {"api_key": api_key} if api_key else {})
    if isinstance(made, FaithfulDecideError):
        raise made
    client = made
    if hasattr(client.client, "max_retries"):
        client.client.max_retries = 0
    return InstructorBackend(client, model=model, temperature=temperature)


def _client_of(spec: str, provider: str, options: dict[str, str]) -> Any:  # noqa: ANN401
    """A client of an optional package, or the error to raise, without one that knows a key."""
    try:
        return import_module("instructor").from_provider(spec, **options)
    except ImportError:
        return MissingExtraError("instructor", needed_for=f"Asking {provider} through instructor")
    except Exception as error:  # noqa: BLE001 - of instructor or of whichever SDK is inside
        words = one_line(Key(options.get("api_key", ""), kind=provider).blot(str(error)))
    msg = f"instructor cannot make a client for {spec}: {words}"
    if "api_key" in words or "credentials" in words:
        return AuthError(msg, hint=f"set the key of {provider}, or pass api_key=")
    return UsageError(msg, hint="check the name of the provider, and that its SDK is there")


def _key_of(client: Any) -> str:  # noqa: ANN401 - an optional package
    """The key of an SDK's client, if it is kept where they usually keep it."""
    homes = (client, getattr(client, "_api_client", None))
    keys = (getattr(home, "api_key", None) for home in homes)
    return next((key for key in keys if isinstance(key, str)), "")


def _default_model(client: Any) -> str:  # noqa: ANN401 - an optional package
    """The model that a client was made for, which it keeps nowhere but in its own function."""
    kept = inspect.getclosurevars(client.create_fn).nonlocals
    return str(kept.get("default_model") or "")
