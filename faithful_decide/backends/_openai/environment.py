"""What the environment of a process says about connections: proxies, certificates, headers.

Proxies are used as everywhere, but never on the way to this machine itself: a picture for 127.0.0.1
has no business at another host. A variable that makes connecting impossible is named.
"""

from __future__ import annotations

import os
import ssl
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2
import openai

from faithful_decide.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from faithful_decide.backends._openai.address import Server

__all__ = ["http_client", "proxy_variable", "unwanted_headers"]

_CERTIFICATES: Mapping[str, Callable[[str], object]] = {
    "SSL_CERT_FILE": lambda path: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(
        cafile=path
    ),
    "SSL_CERT_DIR": os.listdir,
    "SSLKEYLOGFILE": lambda path: Path(path).open("ab").close(),
}
"""Variables that every connection reads, and how to find out whether one can be read."""


def unwanted_headers() -> Mapping[str, Any]:
    """Leave out the headers that the environment adds for OpenAI."""
    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").splitlines()
    return {line.partition(":")[0].strip(): openai.Omit() for line in lines if ":" in line}


def proxy_variable(server: Server) -> str:
    """The variable whose proxy is on the way to a server; nothing if there is none."""
    if server.is_this_machine or proxy_bypass(server.parts.hostname or ""):
        return ""
    proxies = getproxies()
    scheme = next((name for name in (server.parts.scheme, "all") if proxies.get(name)), "")
    return next(
        (n for n in (f"{scheme}_proxy", f"{scheme}_proxy".upper()) if os.environ.get(n)),
        "the settings of the system" if scheme else "",
    )


def http_client(server: Server) -> httpx2.AsyncClient:
    """A client that goes the way the environment says; a UsageError names what is wrong in it."""
    proxied = bool(proxy_variable(server))
    # Where no TLS is spoken, no certificates are read either.
    verify: Any = server.parts.scheme == "https"
    try:
        if verify and (os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")):
            verify = ssl.create_default_context(
                cafile=os.environ.get("SSL_CERT_FILE") or None,
                capath=os.environ.get("SSL_CERT_DIR") or None,
            )
        return openai.DefaultAsyncHttpxClient(trust_env=proxied, verify=verify)
    except Exception as error:  # noqa: BLE001 - of whichever library reads the environment
        problem = _environment_error(error)
    raise problem


def _environment_error(error: Exception) -> UsageError:
    """Which variable makes it impossible to connect to anything. A proxy's address stays unsaid."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            value = os.environ.get(variable, "")
            scheme = urlsplit(value).scheme if "://" in value else "http"
            if scheme in {"socks5", "socks5h"} and find_spec("socksio") is None:
                msg = f"the proxy in {variable} speaks SOCKS, for which a package is missing"
                hint = f"pip install socksio, unset {variable}, or name the server in NO_PROXY"
                return UsageError(msg, hint=hint)
            if value and not _is_proxy(value, scheme):
                msg = f"{variable} does not hold the address of a proxy that can be used"
                hint = f"write http://host:port, unset {variable}, or name the server in NO_PROXY"
                return UsageError(msg, hint=hint)
    for variable, load in _CERTIFICATES.items():
        path = os.environ.get(variable)
        try:
            if path:
                load(path)
        except (OSError, ValueError):
            msg = f"{variable} names a file that cannot be used"
            return UsageError(msg, hint=f"correct {variable}, or unset it")
    msg = f"no connection can be prepared here: {type(error).__name__}"
    return UsageError(msg, hint="look at the variables for proxies and certificates")


def _is_proxy(value: str, scheme: str) -> bool:
    try:
        host = httpx2.URL(value if "://" in value else f"http://{value}").host
    except (httpx2.InvalidURL, ValueError):
        return False
    return bool(host) and scheme in {"http", "https", "socks5", "socks5h"}
