"""Models behind servers, hosted or your own, most of which speak OpenAI's protocol.

    openai/gpt-5.1                       OpenAI, with OPENAI_API_KEY
    anthropic/claude-sonnet-5-5          Anthropic, with ANTHROPIC_API_KEY
    google/gemini-3.8-flash              Google, with GEMINI_API_KEY
    vllm/Qwen/Qwen3-VL-8B-Instruct       a server of yours, with base_url= where it is elsewhere
    openai/my-model, base_url="..."      any other server

What is known of each kind of server is in `_openai.presets`, and what each protocol makes of a
request and of a reply in a module of its own. What is promised follows from both; what `probe`
found not to hold of a server is taken back, and what a model refuses to be sent is left out
(`_openai.adapting`).

An image leaves this machine only for the server that the caller named. Keys are read from the
variable of that server, never from another one's, and are kept by the SDK alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from faithful_decide._images.prepare import ImageLimits
from faithful_decide._nearest import hinting
from faithful_decide.backends._effort import checked_effort, room_for, thinks
from faithful_decide.backends._knockout import refuse_hidden
from faithful_decide.backends._loop import Loop
from faithful_decide.backends._openai.adapting import (
    Learned,
    after_cut,
    after_refusal,
    notes_on,
)
from faithful_decide.backends._openai.address import server_of
from faithful_decide.backends._openai.anthropic import ANTHROPIC
from faithful_decide.backends._openai.batch_api import Deferred
from faithful_decide.backends._openai.chat import CHAT, NotRepeated
from faithful_decide.backends._openai.connection import Connection
from faithful_decide.backends._openai.extra import checked, merged
from faithful_decide.backends._openai.google import GOOGLE
from faithful_decide.backends._openai.keys import Key
from faithful_decide.backends._openai.limits import check_schema
from faithful_decide.backends._openai.ollama import OLLAMA
from faithful_decide.backends._openai.presets import PRESETS, effort_in, preset_of
from faithful_decide.backends._openai.responses import RESPONSES
from faithful_decide.backends._openai.unread import Unread
from faithful_decide.backends._sent import constraint_of
from faithful_decide.backends.base import MANY_IMAGES, Capabilities, Reply, Request, Usage
from faithful_decide.backends.probe_report import corrected, holds, recall
from faithful_decide.errors import (
    AuthError,
    BackendError,
    TransientError,
    UnsupportedError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from faithful_decide.backends._openai.presets import Preset
    from faithful_decide.backends._openai.wire import Wire

__all__ = ["OpenAIBackend"]

_TRIES = 4
"""Requests for one reply: the one that is meant, and what is learned on the way."""
_WIRES: Mapping[str, Wire] = {
    "chat": CHAT,
    "responses": RESPONSES,
    "ollama": OLLAMA,
    "anthropic": ANTHROPIC,
    "google": GOOGLE,
}


@hinting
class OpenAIBackend:
    """A model behind a server. Safe to call from several threads and event loops at once."""

    def __init__(
        self,
        model: str,
        *,
        kind: str = "openai",
        base_url: str | None = None,
        api_key: str | None = None,
        api_key_env: str | None = None,
        effort: str | None = None,
        decoder: Literal["autoregressive", "diffusion", "unknown"] = "autoregressive",
        logprobs: bool = True,
        temperature: bool = True,
        any_model: bool = False,
        api: Literal["chat", "responses"] | None = None,
        probed: bool = True,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """Prepare a client; nothing is sent yet.

        Args:
            model: The name that the server knows the model by.
            kind: What kind of server it is, a key of `PRESETS`.
            base_url: Where it is, where neither the variable of its kind nor its usual address
                says so.
            api_key: Its key; by default that of the variable of its kind.
            api_key_env: The variable of the environment that holds its key instead.
            effort: How much the model is to think before it replies, in one word: `none`,
                `minimal`, `low`, `medium`, `high`, `xhigh` or `max`. It is sent as this kind of
                server wants it, and a reply may be longer by what that takes.
            decoder: `diffusion` for a model that does not write left to right.
            logprobs: Whether to ask for log-probabilities. A model that refuses them is not asked
                for them again.
            temperature: Whether to send one. A model that refuses it is sent none from then on.
                Without one, replies are not greedy.
            any_model: Whether a reply may name another model than the one asked for. Some servers
                name a file.
            api: Which of OpenAI's two protocols to speak, chat completions or responses; by default
                the one that is documented for this kind of server.
            probed: Whether to use what an earlier probe of this server found, and to want one where
                a reply leaves open whether a forced start was continued.
            extra: What else to send with every request, such as `reasoning_effort`; it is merged
                into the request, and cannot replace what carries the contract.

        Raises:
            UsageError: There is no address, or one that cannot be used; `extra` holds what it may
                not; or the environment makes it impossible to connect.
            AuthError: There is no key, and this kind of server wants one, or a variable was named.
        """
        if decoder not in {"autoregressive", "diffusion", "unknown"}:
            msg = f"a decoder is autoregressive, diffusion or unknown, not {decoder!r}"
            raise UsageError(msg)
        if not model or not model.isprintable():
            msg = f"the model spec {kind!r} does not say which model"
            raise UsageError(msg, hint=f'write model="{kind}/NAME"')
        usual = PRESETS[kind]
        wanted = checked_effort(effort)
        more = effort_in(usual, {} if extra is None else checked(extra), wanted, model)
        server = server_of(kind, usual, base_url)
        foreign = kind == "openai" and not server.is_openai
        # The key of OpenAI is not for whoever happens to speak its protocol.
        variable = "" if foreign and server.named_by == "base_url" else usual.key_variable
        key = Key.find(api_key, variable, kind=kind, named=api_key_env)
        if usual.needs_key and not key.value and not foreign and server.named_by != "base_url":
            msg = f"there is no key for {kind}"
            raise AuthError(msg, hint=f"set {usual.key_variable}, or pass api_key=")
        self._model, self._server = model, server
        # Two servers of one kind are two models to whoever reads a receipt, or waits at a gate.
        elsewhere = server.named_by and not server.is_openai and kind != "azure"
        elsewhere = elsewhere or server.named_by == "base_url"
        self._name = f"{kind}/{model}" + (f"@{server.parts.netloc}" if elsewhere else "")
        self._kind = kind if server.is_openai or kind == "azure" else ""
        self._preset = preset_of(
            kind,
            foreign=foreign,
            api=api,
            extra=merged(usual.extra or {}, more),
            same_model=usual.same_model and not any_model,
            temperature=usual.temperature and temperature,
            room=room_for(wanted, thinks=thinks(model)),
            **({} if logprobs else {"logprobs": "none"}),
        )
        self._wire = _WIRES[self._preset.wire]
        # What a probe finds holds for one address, asked in one way. There may be a secret in it.
        asked = [self._name, server.url, self._preset.wire, more, temperature]
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        self.identity = f"{self._name} {digest}"
        self._capabilities = self._promised(decoder)
        report = recall(self.identity) if probed else None
        if report is not None:
            self._capabilities = corrected(self._capabilities, report)
            if "whitespace" in report.checks and self._preset.takes_regex:
                self._preset = replace(self._preset, shape="regex")
        if self._preset.echoes_prefix == "always" and (
            not probed or holds(report, "prefix") == "yes"
        ):
            self._preset = replace(self._preset, echoes_prefix="maybe")
        # With another effort a model may take what it refuses with this one, or want more room.
        self._learned = Learned(self._name, self.identity, self._preset.wire)
        self._connection = Connection(
            server,
            key,
            self._wire,
            name=self._name,
            kind=kind,
            variable=api_key_env or variable or "api_key=",
        )
        self._continues = True
        self._unread = Unread(self.identity, self._name)
        self._sees_nothing = holds(report, "image") == "no"
        self._loop = Loop(self._connection.close)

    def _promised(self, decoder: Literal["autoregressive", "diffusion", "unknown"]) -> Capabilities:
        """What this server can do when it is asked over this protocol."""
        preset = self._preset
        return Capabilities(
            enforcement=preset.enforcement,
            order=preset.order,
            proven=preset.documented and self._server.is_hosted,
            prefix=preset.prefix != "none",
            logprobs=preset.logprobs,
            thinking="unknown",
            schema_in_prompt=preset.schema_in_prompt,
            decoder=decoder,
            images=MANY_IMAGES,
            image_limits=ImageLimits(
                media_types=frozenset({"image/jpeg", "image/png", "image/webp"}),
                max_side=2048,
                max_bytes=preset.max_image_bytes,
            ),
            model=self._model if preset.same_model else "",
        )

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
        if not hasattr(self, "_name"):
            return f"<{type(self).__name__}, not loaded>"
        return f"{type(self).__name__}({self._name!r}, base_url={self._server.shown!r})"

    def generate(self, request: Request) -> Reply:
        """Make one call. It is repeated only without a part of the request that the model refuses.

        Args:
            request: What to send.

        Returns:
            The reply as it came.

        Raises:
            UsageError: The backend is closed or was inherited by `fork`.
            AuthError: The server refused the key.
            TransientError: The server is busy, failed, or did not reply in time.
            BackendError: The server refused the request, or replied with something else.
            ContractError: The reply contains the key.
        """
        return self._loop.run(self._call(request))

    async def agenerate(self, request: Request) -> Reply:
        """Do what `generate` does, awaited; arguments, result and errors are the same."""
        return await self._loop.arun(self._call(request))

    def deferred(self) -> Deferred:
        """Reach the batch API of this server, which takes chat completions.

        Raises:
            UnsupportedError: This kind of server has none.
        """
        if not self._preset.batches:
            msg = f"{self.name} has no batch API"
            raise UnsupportedError(msg, hint="use openai/ or azure/, or ask without it")
        return Deferred(
            self._connection,
            self._loop,
            self._preset,
            self._model,
            name=self._name,
            learned=Learned(self._name, self.identity, "chat"),
            azure=self._kind == "azure",
        )

    async def _call(self, request: Request) -> Reply:
        if request.prefix and not self._capabilities.prefix:
            msg = f"{self.name} cannot continue a forced prefix"
            hint = "use one that can, over chat completions: vllm, sglang, llamacpp-server"
            raise UnsupportedError(msg, hint=hint)
        if request.prefix and not self._continues:
            raise self._not_continued()
        refuse_hidden(request, self.name)
        if request.schema is not None:
            check_schema(self._kind, request.schema, self.name)
        started = time.perf_counter()
        reply = None
        try:
            async with asyncio.timeout(request.timeout_s):
                reply = await self._adapted(request)
        except TimeoutError:
            pass
        except NotRepeated:
            # One reply is enough to see it by; nobody pays for another.
            self._continues = False
            raise self._not_continued() from None
        if reply is None:
            msg = f"{self.name} did not reply in time at {self._server.shown}"
            raise TransientError(msg)
        return replace(reply, latency_s=time.perf_counter() - started)

    def _not_continued(self) -> BackendError:
        msg = f"{self.name} does not repeat a forced start, and may not have gone on from it"
        return BackendError(msg, hint="run a probe, which finds out whether it goes on")

    async def _adapted(self, request: Request) -> Reply:
        """The reply to a request, asked for in the way in which this model can be asked."""
        preset = self._learned.of(self._preset)
        path = self._wire.path_for(self._model)
        spent: list[Usage] = []
        tried = [preset]
        why = ""
        for left in reversed(range(_TRIES)):
            body = self._wire.body(request, self._model, preset)
            answer = await self._connection.post(path, body, within_s=request.timeout_s)
            outcome = self._connection.read(answer, self._wire, request, preset)
            if isinstance(outcome, Reply):
                now = after_cut(outcome, preset, request) if left else None
                if now is None:
                    self._learned.keep(self._preset, preset, why)
                    return self._noted(outcome, request, body, preset, spent)
                spent.append(outcome.usage)
                why = why or "a reply was cut before it had said anything"
            else:
                said = answer.content
                now = after_refusal(outcome, said, preset, request, self._model) if left else None
                if now is None or now in tried:
                    error = self._connection.refused(outcome, answer)
                    if isinstance(error, TransientError):
                        # It was taken as it is now, and will be when the server has time again.
                        self._learned.keep(self._preset, preset, why)
                    raise error
                why = self._connection.clean(outcome.words, 200)
            preset = now
            tried.append(now)
        raise AssertionError  # the last of the tries returns or raises

    def _noted(
        self,
        reply: Reply,
        request: Request,
        body: Mapping[str, Any],
        preset: Preset,
        spent: list[Usage],
    ) -> Reply:
        """A reply with what a receipt has to know of how it came about."""
        notes = notes_on(preset, request, body) + self._unread.note_on(request, reply)
        if request.images and self._sees_nothing:
            notes += ("a probe of this server found that it does not tell two pictures apart",)
        if spent:
            notes += (f"asked {len(spent) + 1} times, because a reply was cut; all are counted",)
        return replace(
            reply,
            constraint=constraint_of(body, request),
            notes=notes,
            usage=Usage.of([*spent, reply.usage]) if spent else reply.usage,
        )

    def close(self) -> None:
        """Close the connections. May be called twice."""
        self._loop.close()
