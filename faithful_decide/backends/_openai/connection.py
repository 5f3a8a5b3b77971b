"""The connection to one server: what it answers, or a typed error that names the very thing.

The SDK does what it is good at: connections, keys, addresses. Its retries are off, because they
would happen unseen, each caller for himself, and its models of a reply are not used: what is
missing stays missing. Its errors hold the request, key and picture included, so none of them gets
out of here, not even as the context of ours.
"""

from __future__ import annotations

import json
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2
import openai

from faithful_decide._core.types import Reply
from faithful_decide.backends._openai.environment import (
    http_client,
    proxy_variable,
    unwanted_headers,
)
from faithful_decide.backends._openai.reading import one_line
from faithful_decide.backends._openai.status import said_in_bytes, sorted_by_status
from faithful_decide.errors import BackendError, TransientError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from faithful_decide.backends._openai.address import Server
    from faithful_decide.backends._openai.keys import Key
    from faithful_decide.backends._openai.presets import Preset
    from faithful_decide.backends._openai.status import Said
    from faithful_decide.backends._openai.wire import Wire
    from faithful_decide.backends.base import Request

__all__ = ["Answer", "Connection"]

CONNECT_S = 5.0
"""Seconds to find a server in; how long it may then take to reply is another matter."""
OK = 200
_SERVER_FAILED, _NOT_THERE = 500, 501
_REQUEST = "check the name of the model, and whether it takes images and a JSON schema"
_NO_REPLY = "look at what answers at {}, and whether it speaks this protocol"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever its status."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Connection:
    """One server, reached through the SDK. It lives on the event loop that it is used on."""

    def __init__(
        self, server: Server, key: Key, wire: Wire, *, name: str, kind: str, variable: str
    ) -> None:
        """Make a client; nothing is sent yet."""
        self._server, self._key, self._name, self._variable = server, key, name, variable
        self._versioned = wire.versioned
        self._proxy = proxy_variable(server)
        ours = kind == "openai" and server.is_openai
        own = wire.headers(key.value)
        self._headers: Mapping[str, Any] = {"Authorization": openai.Omit(), **own} if own else {}
        self._client = openai.AsyncOpenAI(
            base_url=server.url,
            # The SDK wants a key even where the server does not.
            api_key=key.value or "none",
            max_retries=0,
            # The time of a call is measured as a whole; this only bounds finding the server.
            timeout=openai.Timeout(None, connect=CONNECT_S),
            default_headers=None if ours else unwanted_headers(),
            http_client=http_client(server),
        )
        if not ours:
            # What the SDK takes from the environment is for OpenAI alone.
            self._client.organization = self._client.project = None

    async def post(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        within_s: float | None = None,
        **more: Any,  # noqa: ANN401 - what the SDK takes
    ) -> Answer:
        """Send a body, and wait for what comes back."""
        options: dict[str, Any] = {"headers": more.pop("headers", {})}
        if within_s is not None and within_s < CONNECT_S:
            # A server that cannot be found is said to be that, and not to be slow.
            options["timeout"] = openai.Timeout(None, connect=0.9 * within_s)
        return await self._sent("post", path, options, body=body, **more)

    async def get(self, path: str) -> Answer:
        """Ask for something."""
        return await self._sent("get", path, {})

    async def _sent(
        self,
        method: str,
        path: str,
        options: dict[str, Any],
        **more: Any,  # noqa: ANN401 - what the SDK takes
    ) -> Answer:
        # A redirect would carry the picture to a host that nobody named.
        options |= {"follow_redirects": False}
        options["headers"] = {**self._headers, **options.get("headers", {})}
        send = getattr(self._client, method)
        outcome: httpx2.Response | BackendError
        try:
            outcome = await send(path, cast_to=httpx2.Response, options=options, **more)
        except openai.APIStatusError as error:
            outcome = error.response
        except openai.APIConnectionError as error:
            outcome = self._unreachable(error)
        if isinstance(outcome, BackendError):
            # Out here, so that the SDK's error, which knows the key, is no context of ours.
            raise outcome
        return Answer(outcome.status_code, outcome.headers, outcome.content)

    def clean(self, words: str, limit: int = 300) -> str:
        """A server's words as a part of ours: without the key, in one line."""
        # Blotted out first: of a key that was cut in two, one half would stay.
        return one_line(self._key.blot(words[:100_000]), limit)

    def read(self, answer: Answer, wire: Wire, request: Request, preset: Preset) -> Reply | Said:
        """The reply in an answer, or what was said instead; a blocked prompt is a reply."""
        data = _json(answer.content) if answer.status == OK else None
        said = wire.read(data, request, preset) if data is not None else _said_by(answer)
        if isinstance(said, Reply):
            return self._key.blotted(said)
        if said.blocked:
            return Reply("", "content_filter", remark=self.clean(said.words))
        return said

    def refused(self, said: Said, answer: Answer, hint: str = "") -> BackendError:
        """The error that an answer stands for."""
        words = self.clean(said.words)
        if answer.status == OK and not said.page and _json(answer.content) is None:
            msg = f"{self._name} replied with something that is not JSON"
            return TransientError(msg, hint=f"look at what answers at {self._server.shown}")
        if answer.status != OK:
            msg = f"{self._name} replied with status {answer.status}: {words}"
        elif words:
            msg = f"{self._name} sent an error instead of a reply: {words}"
        else:
            msg = f"{self._name} sent something that is not a reply in the protocol it was asked in"
        where = self._server.shown
        if said.page and (answer.status < _SERVER_FAILED or answer.status == _NOT_THERE):
            way = f"{self._proxy} may have answered instead, or " if self._proxy else ""
            hint = f"{way}what answers at {where} is no server of this kind; check port and path"
            return BackendError(msg, hint=hint)
        if 300 <= answer.status < 400:  # noqa: PLR2004 - a redirect
            hint = "pass the address it points to as base_url="
        elif answer.status in {404, 405}:
            hint = self._missing(said)
        elif "HTTPS port" in words or "HTTPS server" in words:
            hint = f"write https:// instead of http:// in {self._source}"
        elif b"effort" in answer.content or b"hinking" in answer.content:
            hint = "pass another effort=, or leave it out; the server says which it takes"
        return sorted_by_status(
            said,
            msg,
            answer.headers,
            key_hint=f"check the key ({self._variable}), and what it may use",
            request_hint=hint or (_REQUEST if words else _NO_REPLY.format(where)),
        )

    @property
    def _source(self) -> str:
        return self._server.named_by or "base_url="

    def _missing(self, said: Said) -> str:
        """What to do where nothing is at an address, or the server says that no model is."""
        if "model" in said.words.casefold() or "deployment" in said.words.casefold():
            return "check the name of the model: the server has none of that name"
        path = self._server.parts.path
        if not self._versioned:
            return f"check {self._source}, and the name of the model"
        if "/v1" not in path:
            return f"add /v1 to {self._source}: {self._server.shown}/v1"
        if path.count("/v1") > 1:
            return f"{self._source} has /v1 in it twice"
        return f"check the path of {self._source}, {path}, and the name of the model"

    def _unreachable(self, error: Exception) -> BackendError:
        """What kept a call from its server, and what to check."""
        where, name = self._server.shown, self._name
        causes = list(_causes(error))
        kinds = {type(cause).__name__ for cause in causes}
        certificate = next((c for c in causes if isinstance(c, ssl.SSLCertVerificationError)), None)
        msg = f"{name} could not be reached at {where}"
        if self._proxy and kinds & {"ConnectError", "ConnectTimeout", "ProxyError"}:
            return TransientError(
                f"{msg} through the proxy in {self._proxy}",
                hint=f"check {self._proxy}, or name {self._server.parts.hostname} in NO_PROXY",
                unreachable=True,
            )
        if certificate is not None:
            return BackendError(
                f"{msg}: its certificate is not trusted ({certificate.verify_message})",
                hint="name the file of your authority in SSL_CERT_FILE, or check the address",
            )
        if any(isinstance(cause, ssl.SSLError) for cause in causes):
            hint = f"write http:// instead of https:// in {self._source}, or check the port"
            return BackendError(f"{msg}: what answers there does not speak TLS", hint=hint)
        if any(isinstance(cause, socket.gaierror) for cause in causes):
            why, hint = "its name is not known", f"check the host in {self._source}"
        elif any(isinstance(cause, ConnectionRefusedError) for cause in causes):
            why, hint = "nobody listens there", f"start the server, or correct {self._source}"
        elif "ConnectTimeout" in kinds:
            why = "nothing answers there"
            hint = f"check {self._source}, a firewall on the way, and that the server is up"
        elif "ConnectError" in kinds:
            why, hint = "there is no way there", f"check {self._source} and the network"
        elif any("illegal" in str(cause) for cause in causes):
            return BackendError(
                f"{msg}: what answers there does not speak HTTP",
                hint=f"check the port in {self._source}",
            )
        else:
            why = f"the connection broke ({type(causes[-1]).__name__})"
            return TransientError(f"{msg}: {why}", hint="look into the log of the server")
        return TransientError(f"{msg}: {why}", hint=hint, unreachable=True)

    async def close(self) -> None:
        """Close what is open."""
        await self._client.close()


def _json(content: bytes) -> object:
    """What is written there as JSON, infinities included; None where it is no JSON."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _said_by(answer: Answer) -> Said:
    """The words of an answer that is no reply."""
    return said_in_bytes(answer.content, status=0 if answer.status == OK else answer.status)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all that led to it, those of groups too; the SDK's own words are left out."""
    seen: set[int] = set()
    waiting = [error.__cause__ or error] if error else []
    while waiting:
        cause = waiting.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting += [inner for inner in (cause.__cause__, cause.__context__) if inner is not None]
        waiting += list(getattr(cause, "exceptions", ()))
