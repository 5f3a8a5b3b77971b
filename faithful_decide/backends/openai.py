"""Servers that speak OpenAI's protocol, hosted or your own, through the official SDK.

    openai/gpt-5.1                       OpenAI, with OPENAI_API_KEY
    vllm/Qwen/Qwen3-VL-8B-Instruct       a server of yours, with base_url= where it is elsewhere
    openai/my-model, base_url="..."      any other server

What is known of each kind of server is in `_presets`; what `probe` found not to hold of this one is
taken back. The SDK does what it is good at: connections, keys, addresses. Its retries are off,
because they would happen unseen, each caller for himself (`_patience` retries above all backends),
and its models of the response are not used: `_chat` and `_responses` read the JSON themselves, so
that what is missing stays missing.

An image leaves this machine only for the server that the caller named. Keys are read from the
variable of that server, never from another one's, and are kept by the SDK alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import httpx2
import openai
from openai import APIStatusError, AsyncOpenAI

from faithful_decide._images.prepare import ImageLimits
from faithful_decide.backends._knockout import refuse_hidden
from faithful_decide.backends._loop import Loop
from faithful_decide.backends._openai.batch_api import Deferred
from faithful_decide.backends._openai.chat import chat_body, read_chat
from faithful_decide.backends._openai.ollama import ollama_body, read_ollama
from faithful_decide.backends._openai.presets import PRESETS, Preset, preset_of
from faithful_decide.backends._openai.responses import read_responses, responses_body
from faithful_decide.backends._openai.status import sorted_by_status
from faithful_decide.backends.base import Capabilities, Reply, Request
from faithful_decide.backends.probe_report import corrected, recall
from faithful_decide.errors import (
    AuthError,
    BackendError,
    TransientError,
    UnsupportedError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OpenAIBackend"]

_LIMITS = ImageLimits(
    media_types=frozenset({"image/jpeg", "image/png", "image/webp"}),
    max_side=2048,
    max_bytes=15_000_000,
)
_CONNECT_S = 20.0
_WIRES = {
    "chat": ("/chat/completions", chat_body),
    "responses": ("/responses", responses_body),
    "ollama": ("/api/generate", ollama_body),
}
_VERSION = re.compile(r"[-@:_]v?(\d[\d.-]*|latest|free)")


class OpenAIBackend:
    """A model behind a server. Safe to call from several threads and event loops at once."""

    def __init__(
        self,
        model: str,
        *,
        kind: str = "openai",
        base_url: str | None = None,
        api_key: str | None = None,
        decoder: Literal["autoregressive", "diffusion", "unknown"] = "autoregressive",
        logprobs: bool = True,
        temperature: bool = True,
        any_model: bool = False,
        api: Literal["chat", "responses"] | None = None,
        probed: bool = True,
        extra: dict[str, Any] | None = None,
    ) -> None:
        """Prepare a client; nothing is sent yet.

        Args:
            model: The name that the server knows the model by.
            kind: What kind of server it is, a key of `PRESETS`.
            base_url: Where it is, where that is not its usual address.
            api_key: Its key; by default that of the variable of its kind.
            decoder: `diffusion` for a model that does not write left to right.
            logprobs: Whether to ask for log-probabilities; some models refuse a request for them.
            temperature: Whether to send one; models that reason refuse it, and then no reply is
                the most likely one.
            any_model: Whether a reply may name another model than the one asked for. Some servers
                name a file.
            api: Which of OpenAI's two protocols to speak, chat completions or responses; by default
                the one that is documented for this kind of server.
            probed: Whether to use what an earlier probe of this server found.
            extra: What else to send with every request, such as `reasoning_effort`.

        Raises:
            UsageError: There is no address, or one that cannot be used.
            AuthError: There is no key, and this kind of server wants one.
        """
        if decoder not in {"autoregressive", "diffusion", "unknown"}:
            msg = f"a decoder is autoregressive, diffusion or unknown, not {decoder!r}"
            raise UsageError(msg)
        if not model:
            msg = f"the model spec {kind!r} does not say which model"
            raise UsageError(msg, hint=f'write model="{kind}/NAME"')
        preset = PRESETS[kind]
        own = base_url is not None
        address = _address(_default_address(kind, preset) if base_url is None else base_url)
        key = api_key or os.environ.get(preset.key_variable, "")
        if key != key.strip() or not key.isascii() or not (key or "x").isprintable():
            msg = f"the key for {kind} has characters that no key has, or blanks around it"
            raise AuthError(msg, hint="copy it again")
        if own and not api_key and kind == "openai":
            # The key of OpenAI is not for whoever happens to speak its protocol.
            key = ""
        if preset.needs_key and not key and not own:
            msg = f"there is no key for {kind}"
            raise AuthError(msg, hint=f"set {preset.key_variable}, or pass api_key=")
        self._model = model
        # Two servers of one kind are two models to whoever reads a receipt, or waits at a gate.
        self._name = f"{kind}/{model}" + (f"@{urlsplit(address).netloc}" if own else "")
        self._preset = preset_of(
            kind,
            foreign=own and kind == "openai",
            api=api,
            extra={**(preset.extra or {}), **(extra or {})},
            same_model=preset.same_model and not any_model,
            temperature=temperature,
        )
        self._address, self._key = address, key
        self._capabilities = Capabilities(
            enforcement=self._preset.enforcement,
            order=self._preset.order and self._preset.wire != "ollama",
            prefix=preset.prefix != "none",
            logprobs=preset.logprobs if logprobs else "none",
            thinking="unknown",
            schema_in_prompt=preset.schema_in_prompt,
            decoder=decoder,
            image_limits=_LIMITS,
        )
        # What a probe finds holds for one address, asked in one way.
        asked = [self._name, address, self._preset.wire, extra or {}]
        asked += [] if temperature else ["no temperature"]
        self.identity = json.dumps(asked, sort_keys=True, default=str)
        if probed and (report := recall(self.identity)) is not None:
            self._capabilities = corrected(self._capabilities, report)
        # What the SDK takes from the environment is for OpenAI alone.
        elsewhere = kind != "openai" or own
        self._client = AsyncOpenAI(
            base_url=address,
            # The SDK wants a key even where the server does not.
            api_key=key or "none",
            max_retries=0,
            # The time of a call is measured as a whole; this only bounds finding the server.
            timeout=openai.Timeout(None, connect=_CONNECT_S),
            default_headers=_unwanted() if elsewhere else None,
        )
        if elsewhere:
            self._client.organization = self._client.project = None
        self._loop = Loop()

    @property
    def name(self) -> str:
        """The model spec, and the address if it is not the usual one."""
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        """What this backend can do."""
        return self._capabilities

    def __repr__(self) -> str:
        """Name the model and the address, not the key."""
        return f"{type(self).__name__}({self.name!r}, base_url={self._address!r})"

    def generate(self, request: Request) -> Reply:
        """Make one call, without retry.

        Args:
            request: What to send.

        Returns:
            The reply as it came.

        Raises:
            UsageError: The backend is closed or was inherited by `fork`.
            AuthError: The server refused the key.
            TransientError: The server is busy, failed, or did not reply in time.
            BackendError: The server refused the request.
        """
        return self._loop.run(self._call(request))

    async def agenerate(self, request: Request) -> Reply:
        """Do what `generate` does, awaited.

        Args:
            request: As in `generate`.

        Returns:
            As in `generate`.

        Raises:
            UsageError: As in `generate`.
            AuthError: As in `generate`.
            TransientError: As in `generate`.
            BackendError: As in `generate`.
        """
        return await self._loop.arun(self._call(request))

    def deferred(self) -> Deferred:
        """Reach the batch API of this server.

        Raises:
            UnsupportedError: This kind of server has another protocol.
        """
        if self._preset.wire != "chat":
            msg = f"{self.name} has no batch API"
            raise UnsupportedError(msg, hint="use a server of OpenAI's protocol")
        return Deferred(self._client, self._loop, self._preset, self._model, self._name)

    async def _call(self, request: Request) -> Reply:
        if request.prefix and not self._capabilities.prefix:
            msg = f"{self.name} cannot continue a forced prefix"
            raise UnsupportedError(msg, hint="use a server that can: vllm, sglang, llamacpp-server")
        refuse_hidden(request, self.name)
        started = time.perf_counter()
        try:
            async with asyncio.timeout(request.timeout_s):
                data = await self._post(request)
        except TimeoutError:
            msg = f"{self.name} did not reply in time at {self._address}"
            raise TransientError(msg) from None
        latency = time.perf_counter() - started
        if isinstance(data, Reply):
            return data
        reply = self._read(data, request, latency)
        self._check_model(reply)
        return reply

    async def _post(self, request: Request) -> object:
        path, write = _WIRES[self._preset.wire]
        body = write(request, self._model, self._preset)
        try:
            response = await self._client.post(
                path,
                cast_to=httpx2.Response,
                body=body,
                # A redirect would carry the picture to a host that nobody named.
                options={"follow_redirects": False},
            )
        except openai.APIStatusError as error:
            return self._status(error)
        except openai.APIConnectionError as error:
            reason = type(error.__cause__ or error).__name__
            msg = f"{self.name} could not be reached at {self._address} ({reason})"
            raise TransientError(msg, hint="check base_url, and that the server is up") from None
        try:
            return json.loads(response.content, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            msg = f"{self.name} replied with something that is not JSON"
            raise TransientError(msg, hint=f"look at what answers at {self._address}") from None

    def _read(self, data: object, request: Request, latency_s: float) -> Reply:
        match self._preset.wire:
            case "ollama":
                return read_ollama(data, request, latency_s)
            case "responses":
                return read_responses(data, request, latency_s)
        return read_chat(data, request, self._preset, latency_s)

    def _status(self, error: APIStatusError) -> Reply:
        """Sort an error by its status; a content filter before the model is a reply."""
        # Blotted out first: of a key that was cut in two, one half would stay.
        status, said = error.status_code, self._clean(_said(error))[:300]
        if "content_filter" in said or "content_policy" in said:
            return Reply("", "content_filter", model=self._model)
        msg = f"{self.name} replied with status {status}: {said}"
        if "insufficient_quota" in said:
            raise BackendError(msg, hint="the account has no credit left") from None
        hint = (
            "check the name of the model, and whether it takes images and a JSON schema; one that "
            "reasons may want logprobs=False and temperature=False"
        )
        if 300 <= status < 400:  # noqa: PLR2004 - a redirect
            hint = "pass the address it points to as base_url="
        raise sorted_by_status(
            status,
            msg,
            error.response.headers,
            key_hint=f"check the key in {self._preset.key_variable}, and what it may use",
            request_hint=hint,
        ) from None

    def _clean(self, text: str) -> str:
        """Some servers repeat the key they were sent."""
        return text.replace(self._key, "***") if self._key else text

    def _check_model(self, reply: Reply) -> None:
        ours, theirs = (name.casefold().split("/")[-1] for name in (self._model, reply.model))
        same = theirs == ours or (
            theirs.startswith(ours) and _VERSION.fullmatch(theirs[len(ours) :])
        )
        if self._preset.same_model and theirs and not same:
            msg = f"{self.name} was answered by another model, {reply.model[:80]!r}"
            raise BackendError(msg, hint="name that model if it is the one, or pass any_model=True")

    def close(self) -> None:
        """Close the connections. May be called twice."""
        self._loop.close(self._client.close())


def _default_address(kind: str, preset: Preset) -> str:
    if kind == "openai":
        return "https://api.openai.com/v1"
    if kind == "azure" and (endpoint := os.environ.get("AZURE_OPENAI_ENDPOINT")):
        return f"{endpoint.rstrip('/')}/openai/v1"
    if preset.base_url is None:
        msg = f"a model of the kind {kind!r} needs an address"
        raise UsageError(msg, hint='pass base_url="https://..."')
    return preset.base_url


def _address(base_url: str) -> str:
    # What cannot be used is not repeated: there may be a password in it.
    if "@" in base_url or "?" in base_url:
        msg = "base_url has a name, a password or a query in it"
        raise UsageError(msg, hint="pass the key as api_key=")
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        msg = "base_url is not an http(s) address"
        raise UsageError(msg, hint='write base_url="http://host:port/v1"')
    return base_url


def _said(error: APIStatusError) -> str:
    """What the server says is wrong, in one line."""
    body = error.body if isinstance(error.body, dict) else {}
    inner = body.get("innererror")
    code = inner.get("code") if isinstance(inner, dict) else None
    parts = [body.get("code"), code, body.get("type"), body.get("message")]
    said = " ".join(str(part) for part in parts if part) or error.response.text
    return " ".join(said.split())


def _unwanted() -> Mapping[str, Any]:
    """Leave out the headers that the environment adds for OpenAI."""
    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").splitlines()
    return {line.partition(":")[0].strip(): openai.Omit() for line in lines if ":" in line}


def _no_constant(name: str) -> float:
    raise ValueError(name)
