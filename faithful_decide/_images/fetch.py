"""Fetching an image from a URL, without becoming somebody's door into this network.

Whoever chooses a URL chooses what this machine connects to, and this machine can often reach what
they cannot: a metadata service, a router, a database on localhost. Checking the text of the URL is
not enough, because an address can be written in many ways, a name can resolve to anything, resolve
to something else a moment later, and a public server can redirect inwards. So the check is made on
the **address**, at the last moment, and the connection goes to the very address that was checked:

1. resolve the name once, and refuse unless every address it has is public;
2. connect to one of those addresses, never to the name;
3. do the same again for every redirect, which are followed by hand and counted.

A proxy would resolve the name again by itself, so proxy settings are not used. The standard library
is enough: its HTTP client can be handed a socket that is connected already.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import queue
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urljoin

from faithful_decide._images.addresses import (
    DEFAULT_PORTS,
    PASS_BYTES,
    Target,
    is_public,
    parse_url,
    refused,
)
from faithful_decide.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from faithful_decide._images.addresses import Address

    Resolver: TypeAlias = Callable[[str, int], Sequence[str]]

MAX_BYTES = 32 * 2**20
"""The most bytes that are taken from a server."""

MAX_REDIRECTS = 5
"""How many redirects are followed."""

TIMEOUT = 20.0
"""Seconds for the whole fetch: names, connections, redirects and body together."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


def resolve(host: str, port: int) -> list[str]:
    """Return all addresses of a host, in the order in which the system prefers them."""
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))


def fetch(
    url: str,
    *,
    allowed: Callable[[Address], bool] = is_public,
    resolver: Resolver = resolve,
    max_bytes: int = MAX_BYTES,
    timeout: float = TIMEOUT,
) -> bytes:
    """Fetch a URL: the body of the response, whose address was allowed at the last moment.

    The limits of bytes and seconds are for everything together, redirects included. Tests pass
    another predicate for addresses, and their own resolver.
    """
    deadline = time.monotonic() + timeout
    for _ in range(MAX_REDIRECTS + 1):
        target = parse_url(url)
        try:
            addresses = _addresses(target, resolver, allowed, deadline)
            body, location = _get(target, addresses, max_bytes, deadline)
        except ImageError:
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            if time.monotonic() >= deadline:
                raise _too_slow(target.host) from error
            msg = f"the image could not be fetched from {target.host}: {_reason(error)}"
            raise ImageError(msg, hint=f"check the URL and try again, or {PASS_BYTES}") from error
        if location is None:
            return body
        url = _redirected(url, location)
    msg = f"the URL was redirected more than {MAX_REDIRECTS} times"
    raise ImageError(msg, hint=f"pass the final address, or {PASS_BYTES}")


def _addresses(
    target: Target, resolver: Resolver, allowed: Callable[[Address], bool], deadline: float
) -> list[str]:
    """Resolve once, and refuse the host if any of its addresses is closed to us."""
    resolved: queue.SimpleQueue[Sequence[str] | BaseException] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            resolved.put(resolver(target.host, target.port))
        except Exception as error:  # noqa: BLE001  # raised again in the thread that waits
            resolved.put(error)

    # The system's resolver takes no time limit; a thread that is not waited for gives it one.
    threading.Thread(target=look_up, daemon=True).start()
    try:
        result = resolved.get(timeout=max(0.0, deadline - time.monotonic()))
    except queue.Empty:
        raise _too_slow(target.host) from None
    if isinstance(result, BaseException):
        raise result
    if not result or not all(allowed(ipaddress.ip_address(text)) for text in result):
        msg = f"{target.host} is not a public address"
        raise refused(msg, f"URLs inside a network are never fetched: {PASS_BYTES}")
    return list(result)


def _get(
    target: Target, addresses: list[str], max_bytes: int, deadline: float
) -> tuple[bytes, str | None]:
    """Send one request; return the body, or where to go instead."""
    bracketed = f"[{target.host}]" if ":" in target.host else target.host
    default = target.port == DEFAULT_PORTS[target.scheme]
    headers = {
        "Host": bracketed if default else f"{bracketed}:{target.port}",
        "User-Agent": "faithful-decide",
        "Accept": "image/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    with _connected(target, addresses, deadline) as sock:
        connection = http.client.HTTPConnection(target.host, target.port)
        connection.sock = sock
        # Without a socket it must fail, not open one to the name by itself.
        connection.auto_open = 0
        connection.request("GET", target.path, headers=headers)
        with contextlib.closing(connection.getresponse()) as response:
            if response.status not in _REDIRECTS:
                return _body(target, response, max_bytes, deadline), None
            location = response.headers.get("Location", "")
    if not location:
        msg = "a redirect leads nowhere"
        raise refused(msg, PASS_BYTES)
    return b"", location


def _body(
    target: Target, response: http.client.HTTPResponse, max_bytes: int, deadline: float
) -> bytes:
    host = target.host
    if response.status != http.client.OK:
        msg = f"{host} replied with status {response.status}"
        raise ImageError(msg, hint=f"open the URL in a browser, or {PASS_BYTES}")
    kind = response.headers.get_content_type()
    if kind.startswith("text/") and "Content-Type" in response.headers:
        msg = f"{host} sent a page ({kind[:40]}), not an image"
        raise ImageError(msg, hint="pass the address of the image itself")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        msg = f"{host} sent compressed data that was not asked for"
        raise ImageError(msg, hint=PASS_BYTES)
    announced = response.length
    body = response.read(max_bytes + 1) if (announced or 0) <= max_bytes else b""
    if time.monotonic() >= deadline:
        raise _too_slow(host)
    if (announced or len(body)) > max_bytes:
        msg = f"the image at {host} is larger than {max_bytes / 2**20:.3g} MiB"
        raise ImageError(msg, hint="pass a smaller copy")
    if announced is not None and len(body) < announced:
        msg = f"{host} closed the connection before the image was complete"
        raise ImageError(msg, hint=f"try again, or {PASS_BYTES}")
    return body


@contextlib.contextmanager
def _connected(target: Target, addresses: list[str], deadline: float) -> Iterator[socket.socket]:
    """Connect to one of the checked addresses and hang up at the deadline, whatever happens.

    A socket's own timeout starts anew with every byte, so a server that sends one byte every few
    seconds would hold us for hours.
    """
    sock = _connect(target, addresses, deadline)
    if target.scheme == "https":
        context = ssl.create_default_context()
        sock = context.wrap_socket(sock, server_hostname=target.host, do_handshake_on_connect=False)

    def hang_up() -> None:
        with contextlib.suppress(OSError):
            # Not SSLSocket.shutdown, which would go on unencrypted.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), hang_up)
    timer.daemon = True
    timer.start()
    try:
        if isinstance(sock, ssl.SSLSocket):
            sock.do_handshake()
        yield sock
    finally:
        timer.cancel()
        sock.close()


def _connect(target: Target, addresses: list[str], deadline: float) -> socket.socket:
    failure: OSError = OSError("no address")
    for address in addresses:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        try:
            return socket.create_connection((address, target.port), timeout=left)
        except OSError as error:
            failure = error
    raise failure


def _redirected(url: str, location: str) -> str:
    try:
        following = urljoin(url, location)
    except ValueError as error:
        msg = "the URL is redirected to a malformed one"
        raise refused(msg, PASS_BYTES) from error
    if url.lower().startswith("https:") and not following.lower().startswith("https:"):
        msg = "the URL is redirected from https to something else"
        raise refused(msg, PASS_BYTES)
    return following


def _too_slow(host: str) -> ImageError:
    return ImageError(f"fetching the image from {host} took too long", hint=PASS_BYTES)


def _reason(error: BaseException) -> str:
    return (
        type(error).__name__ if isinstance(error, http.client.HTTPException) else str(error)[:120]
    )
