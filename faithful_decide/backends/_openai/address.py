"""Where a server is: who says so, and what is wrong with an address, before anything is sent to it.

A picture goes to the server that was named, and to no other. It is named by `base_url`, or else by
the variable in which the makers of that server have it written (`OPENAI_BASE_URL`,
`AZURE_OPENAI_ENDPOINT`, `OLLAMA_HOST`), or else it is the usual one of its kind.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from faithful_decide.backends._openai.keys import BLOT
from faithful_decide.errors import UsageError

if TYPE_CHECKING:
    from faithful_decide.backends._openai.presets import Preset

__all__ = ["Server", "server_of"]

_VARIABLES = {
    "openai": ("OPENAI_BASE_URL", "OPENAI_API_BASE"),
    "azure": ("AZURE_OPENAI_ENDPOINT",),
    "ollama": ("OLLAMA_HOST",),
    "litellm": ("LITELLM_PROXY_API_BASE",),
    "anthropic": ("ANTHROPIC_BASE_URL",),
    "google": ("GOOGLE_GEMINI_BASE_URL",),
}
_OPENAI = "https://api.openai.com/v1"
_OTHERS_OWN = re.compile(
    r"api\.anthropic\.com|(generativelanguage|([\w-]+-)?aiplatform)\.googleapis\.com"
)
_AZURE = re.compile(
    r"\.(openai|cognitiveservices|services\.ai)\.azure\.(com|us|cn)$", re.IGNORECASE
)
_ADDED = re.compile(
    r"/(chat/completions|completions|responses|models|batches|files|api/generate|api/chat|messages)/*$"
)
_SECRET = re.compile(r"(sk|pk|key|api|token)[-_].+|.{17,}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Server:
    """An address, and who named it."""

    url: str
    named_by: str = ""
    """`base_url`, a variable of the environment, or nothing where it is the usual address."""

    @property
    def parts(self) -> SplitResult:
        """The address, taken apart."""
        return urlsplit(self.url)

    @property
    def shown(self) -> str:
        """The address as it may be printed: what looks like a secret in its path is left out."""
        folders = self.parts.path.split("/")
        path = "/".join(BLOT if _SECRET.fullmatch(folder) else folder for folder in folders)
        return f"{self.parts.scheme}://{self.parts.netloc}{path}"

    @property
    def is_openai(self) -> bool:
        """Whether it is OpenAI's own."""
        host = self.parts.hostname or ""
        return self.parts.scheme == "https" and (
            host == "api.openai.com" or host.endswith(".api.openai.com")
        )

    @property
    def is_azure(self) -> bool:
        """Whether it is one of Azure's own."""
        host = self.parts.hostname or ""
        return self.parts.scheme == "https" and bool(_AZURE.search(host))

    @property
    def is_hosted(self) -> bool:
        """Whether a provider answers there itself, and so keeps what it documents."""
        own = _OTHERS_OWN.fullmatch(self.parts.hostname or "")
        return (self.parts.scheme == "https" and bool(own)) or self.is_openai or self.is_azure

    @property
    def is_this_machine(self) -> bool:
        """Whether it is a loopback address, in any of the ways in which one can be written."""
        host = (self.parts.hostname or "").rstrip(".")
        if host == "localhost" or host.endswith(".localhost"):
            return True
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            try:
                address = ipaddress.ip_address(socket.inet_aton(host))
            except (OSError, ValueError):
                return False
        inner = getattr(address, "ipv4_mapped", None) or address
        return bool(inner.is_loopback or inner.is_unspecified)


def server_of(kind: str, preset: Preset, base_url: str | None) -> Server:
    """The server that is meant, or a UsageError that says what is wrong with its address."""
    if base_url is not None:
        return Server(_usable(kind, base_url, "base_url"), "base_url")
    for variable in _VARIABLES.get(kind, ()):
        if value := os.environ.get(variable, "").strip():
            value = _host(value) if kind == "ollama" else value
            return Server(_usable(kind, value, variable), variable)
    if kind == "openai":
        return Server(_OPENAI)
    if preset.base_url is None:
        msg = f"a model of the kind {kind!r} needs an address"
        variables = "".join(f", or set {name}" for name in _VARIABLES.get(kind, ()))
        raise UsageError(msg, hint=f'pass base_url="https://..."{variables}')
    return Server(preset.base_url)


def _host(value: str) -> str:
    """`OLLAMA_HOST` as Ollama's own client reads it: `host`, `:port`, or a whole address."""
    scheme, _, rest = value.rpartition("://")
    place, slash, path = rest.partition("/")
    host, colon, port = place.rpartition(":") if re.search(r":\d*$", place) else (place, "", "")
    usual = {"": "11434", "http": "80", "https": "443"}.get(scheme, "")
    # Where a server listens at every address, a client asks this machine.
    host = "127.0.0.1" if host in {"", "0.0.0.0"} else "[::1]" if host == "[::]" else host  # noqa: S104
    return f"{scheme or 'http'}://{host}:{(colon and port) or usual}{slash}{path}".rstrip("/")


def _usable(kind: str, address: object, source: str) -> str:
    """The address, made whole where only one thing can be meant; what is wrong is not repeated."""
    if not isinstance(address, str):
        msg = f"{source} is a text, not {type(address).__name__}"
        raise UsageError(msg, hint=_write(source, "http://host:port/v1"))
    if "api-version" in address:
        msg = f"{source} has an api-version in it, which belongs to an older protocol of Azure"
        raise UsageError(msg, hint=_write(source, "https://NAME.openai.azure.com/openai/v1"))
    if "@" in address or "?" in address or "#" in address:
        msg = f"{source} has a name, a password, a query or a fragment in it"
        raise UsageError(msg, hint="leave it out, and pass a key as api_key=")
    try:
        parts = urlsplit(address)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
        usable = usable and (parts.port or 1) > 0 and address.isprintable() and " " not in address
    except ValueError:
        usable = False
    if not usable:
        msg = f"{source} is not an http(s) address"
        raise UsageError(msg, hint=_write(source, "http://host:port/v1"))
    address = address.rstrip("/")
    if added := _ADDED.search(address):
        right = Server(address[: added.start()]).shown
        msg = f"{source} ends in {added[0]}, which is added to it for each request"
        raise UsageError(msg, hint=_write(source, right))
    if kind == "ollama" and (more := re.search(r"/(v1|api)$", address)):
        right = Server(address[: more.start()]).shown
        msg = f"{source} ends in {more[0]}; Ollama is asked by its own protocol, which has no such"
        raise UsageError(msg, hint=_write(source, right))
    if kind in {"anthropic", "google"}:  # the version is a part of each path
        return re.sub(r"/v1(beta)?$", "", address)
    return _azure(address, source) if kind == "azure" else address


def _write(source: str, address: str) -> str:
    return f'write base_url="{address}"' if source == "base_url" else f"set {source} to {address}"


def _azure(address: str, source: str) -> str:
    """An address of Azure with its path, which is written with and without it."""
    path = urlsplit(address).path
    if "/deployments/" in path or path.count("/openai") > 1:
        right = Server(address[: address.index("/openai")]).shown
        msg = f"{source} has a path that is not the one of Azure's present protocol"
        raise UsageError(msg, hint=_write(source, f"{right}/openai/v1"))
    if path == "":
        return f"{address}/openai/v1"
    return f"{address}/v1" if path.endswith("/openai") else address
