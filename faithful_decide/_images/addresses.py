"""Which URLs and addresses may be connected to: the guard in front of `_fetch`.

Two questions, asked one after the other. Is the URL written in a way that every program reads the
same (`parse_url`)? And is an address one that anybody could reach, so that connecting to it gives
away nothing (`is_public`)?
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from urllib.parse import quote, urlsplit

from faithful_decide.errors import ImageError

if TYPE_CHECKING:
    Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

DEFAULT_PORTS = {"http": 80, "https": 443}
PASS_BYTES = "download the image yourself and pass its bytes"  # noqa: S105  # a hint, not a password

_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_.])?")
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")

# Written out rather than taken from `ipaddress.is_global`, whose answers changed between releases
# of Python and which lets multicast and several translated ranges through.
_CLOSED_V4 = tuple(
    ipaddress.IPv4Network(net)
    for net in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade translation, and one cloud's metadata service
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a cloud's metadata service at a public-looking address
        "169.254.0.0/16",  # link-local, and most clouds' metadata services
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
# IPv6 the other way round: all of it is closed, except what is handed out as global unicast.
_OPEN_V6 = ipaddress.IPv6Network("2000::/3")
_CLOSED_V6 = tuple(
    ipaddress.IPv6Network(net)
    for net in (
        "2001::/23",  # protocol assignments, among them Teredo, which hides an IPv4 address
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which hides an IPv4 address
        "3fff::/20",  # documentation
    )
)
_TRANSLATED_V4 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: Address) -> bool:
    """Whether an address is one that anybody on the internet could connect to.

    Private, loopback, link-local, multicast, reserved and special addresses are not; an IPv4
    address inside an IPv6 one counts as what it stands for.
    """
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _TRANSLATED_V4:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        return address in _OPEN_V6 and not any(address in net for net in _CLOSED_V6)
    return not any(address in net for net in _CLOSED_V4)


class Target(NamedTuple):
    """A URL taken apart: where to connect, and what to ask for."""

    scheme: str
    host: str
    port: int
    path: str


def parse_url(url: str) -> Target:
    """Take a URL apart, refusing every form that two programs might read differently.

    The host comes back in ASCII and the path percent-encoded.
    """
    if _UNSAFE.search(url):
        msg = "the URL holds spaces, control characters or backslashes"
        raise refused(msg, "percent-encode them")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        msg = "the URL is malformed"
        raise refused(msg, "check its host and port") from error
    if parts.scheme not in DEFAULT_PORTS:
        msg = f"URLs of the kind {parts.scheme[:20]}: are not fetched"
        raise refused(msg, "use http or https")
    if "@" in parts.netloc:
        msg = "the URL holds a user name or password"
        raise refused(msg, PASS_BYTES)
    try:
        host = _plain_host(host)
    except ValueError as error:
        msg = "the host of the URL is not valid"
        raise refused(msg, "write a name or an address") from error
    path = quote(parts.path or "/", safe="/%:=&+!$,;'@()*~")
    if parts.query:
        path += "?" + quote(parts.query, safe="/%:=&+!$,;'@()*~?[]")
    default = DEFAULT_PORTS[parts.scheme]
    return Target(parts.scheme, host, default if port is None else port, path)


def _plain_host(host: str) -> str:
    """Return the one way to write a host, or raise ValueError if there is none."""
    if ":" in host:
        address = ipaddress.IPv6Address(host)
        if address.scope_id is not None:
            msg = "names a network interface"
            raise ValueError(msg)
        return str(address)
    host = host.encode("idna").decode("ascii").lower()
    last = host.rstrip(".").rpartition(".")[2]
    # 127.1, 2130706433, 0x7f000001 and 0177.0.0.1 are addresses to some programs.
    if last.isdigit() or last.startswith("0x"):
        return str(ipaddress.IPv4Address(host))
    if not _HOST.fullmatch(host):
        msg = "holds characters that are not used in names"
        raise ValueError(msg)
    return host


def refused(message: str, hint: str) -> ImageError:
    """Build the error for a URL that is not fetched; the URL, perhaps with secrets, stays out."""
    return ImageError(message, hint=hint)
