"""A URL is fetched from public addresses only, however it is written and wherever it leads.

The servers here are real and listen on loopback, which the guard must block. Tests of what happens
behind the guard let loopback through by passing another predicate, the one argument made for that.
"""

from __future__ import annotations

import http.server
import ipaddress
import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from faithful_decide._images.addresses import is_public, parse_url
from faithful_decide._images.fetch import fetch
from faithful_decide._images.load import load_image
from faithful_decide.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PIXEL = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\x00\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00"
    b"\x00\x02\x02D\x01\x00;"
)


@contextmanager
def case(*what: object) -> Iterator[None]:
    """Let a failure in a loop name its case."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"in the case {what!r}"[:300])
        raise


def anywhere(_: object) -> bool:
    """Let every address through."""
    return True


class Server:
    """A real HTTP server that answers by functions of the request and counts connections."""

    def __init__(self) -> None:
        """Listen on a free port of loopback."""
        self.answers: dict[str, Callable[[http.server.BaseHTTPRequestHandler], None]] = {}
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.connections = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                outer.connections += 1
                super().setup()

            def do_GET(self) -> None:
                outer.headers.append(dict(self.headers))
                outer.paths.append(self.path)
                outer.answers[self.path.partition("?")[0]](self)
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # clients here hang up on purpose
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, path: str = "/a.gif", host: str = "127.0.0.1") -> str:
        """The URL of a path on this server."""
        return f"http://{host}:{self.port}{path}"


def answer(
    body: bytes = PIXEL, status: int = 200, length: int | None = None, **headers: str
) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    """Send a body."""

    def send(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return send


def redirect(to: str, status: int = 302) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    """Send the client elsewhere."""
    return answer(b"", status, Location=to)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that serves a picture at /a.gif."""
    running = Server()
    running.answers["/a.gif"] = answer()
    yield running
    running.server.shutdown()
    running.server.server_close()


# --- which addresses ------------------------------------------------------------------------------

CLOSED = """
0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.254 168.63.129.16
169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.192 192.0.2.1 192.88.99.1
192.168.1.1 198.18.0.1 198.51.100.1 203.0.113.9 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255
:: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1
64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::7f00:1 100::1 2001::1 2001:0:7f00:1::1 2001:db8::1
2002:7f00:1:: 2002:a9fe:a9fe::1 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fe80::1%1 fec0::1
ff02::1 ff0e::1
""".split()  # noqa: SIM905  # a list would take a page
OPEN = """
1.1.1.1 8.8.8.8 93.184.215.14 100.63.255.255 100.128.0.0 172.15.255.255 172.32.0.0 192.167.255.255
223.255.255.255 2606:4700::1111 2001:4860:4860::8888 2a00:1450::1 ::ffff:8.8.8.8 64:ff9b::808:808
""".split()  # noqa: SIM905  # a list would take a page


def test_closed_addresses() -> None:
    """Private, loopback, link-local, multicast, reserved and disguised addresses are not public.

    Neither is a harmless name that resolves to one, alone or among public addresses.
    """
    for text in CLOSED:
        with case(text):
            assert not is_public(ipaddress.ip_address(text))
            for found in ([text], ["8.8.8.8", text]):
                with pytest.raises(ImageError, match="not a public address") as caught:
                    fetch("http://cat.example/a.png", resolver=lambda *_, found=found: found)
                assert caught.value.hint


def test_open_addresses() -> None:
    """Public addresses are, also right beside the closed ranges."""
    for text in OPEN:
        with case(text):
            assert is_public(ipaddress.ip_address(text))


def test_nothing_is_open_that_the_standard_library_calls_private() -> None:
    """Over a spread of all IPv4 addresses, this guard is never the more generous one."""
    for number in range(0, 2**32, 262_139):
        address = ipaddress.IPv4Address(number)
        if is_public(address):
            assert address.is_global
            assert not address.is_multicast
            assert not address.is_reserved


# --- which URLs -----------------------------------------------------------------------------------

HOSTS = """
127.0.0.1 127.1 127.0.1 2130706433 0x7f000001 0x7f.0.0.1 0177.0.0.1 017700000001 127.0.0.01
127.000.000.001 0 0.0.0.0 127.0.0.1. 127.1. localhost LOCALHOST localhost. [::1] [::]
[::ffff:127.0.0.1] [0:0:0:0:0:0:0:1] [::ffff:7f00:1] [0:0:0:0:0:ffff:127.0.0.1] 127.0.0.1%2f
%31%32%37.0.0.1 127。0。0。1 １２７.０.０.１ ①②⑦.⓪.⓪.① user@127.0.0.1 user:pass@localhost
example.com@127.0.0.1 127.0.0.1#@example.com 127.0.0.1?@example.com 127.0.0.1\\@example.com
[fe80::1%25lo] [::1%25lo] 127.0.0.1:80:80 [::1]x 256.1.1.1 1.2.3 0x7f.1 .. - -a.example a..b
[v1.x] {x} a"b a<b
""".split()  # noqa: RUF001, SIM905  # look-alike digits are the point; a list would take a page
WHOLE = [
    "http://",
    "http:///a.png",
    "http://:80/a.png",
    "http:127.0.0.1",
    "http://127.0.0.1\n.example.com/",
    "http://127.0.0.1\t/",
    " http://127.0.0.1/",
    "http://127.0.0.1 .example.com/",
    "http://a\0b/",
    "http://h:99999/",
    "http://h:-1/",
    "http://h:x/",
    "http://[::1/",
    "file:///etc/passwd",
    "gopher://127.0.0.1/",
    "ftp://127.0.0.1/",
    "dict://127.0.0.1/",
    "unix:///x",
    "javascript:1",
    "//127.0.0.1/",
    "/etc/passwd",
    "",
    "http://" + "a" * 70 + ".example/",
    "http://h/" + "\\",
]


def test_every_spelling_of_loopback_is_blocked(server: Server) -> None:
    """However loopback is written, no connection reaches the server."""
    for host in HOSTS:
        with case(host):
            bare, mark, rest = host.partition("#") if "#" in host else host.partition("?")
            url = (
                f"http://{bare}:{server.port}/a.gif{mark}{rest}" if mark else server.url(host=host)
            )
            with pytest.raises(ImageError) as caught:
                fetch(url)
            assert caught.value.hint
            assert server.connections == 0


def test_malformed_and_foreign_urls() -> None:
    """What is not plainly an http URL is refused before any name is looked up."""
    for url in WHOLE:
        with case(url):
            with pytest.raises(ImageError) as caught:
                fetch(url, resolver=lambda *_: pytest.fail("looked up"))
            assert caught.value.hint


AMBIGUOUS = """
127.1 2130706433 0x7f000001 0x7f.1 0177.0.0.1 017700000001 127.0.0.01 127.1. %31%32%37.0.0.1
user@h.example user:pass@h.example @h.example 127.0.0.1@h.example [fe80::1%25lo] [::1%lo] a..b
""".split()  # noqa: SIM905  # a list would take a page


def test_hosts_that_programs_read_differently() -> None:
    """They are refused as written, even if every address were allowed."""
    for host in AMBIGUOUS:
        with case(host), pytest.raises(ImageError):
            fetch(f"http://{host}/", allowed=anywhere, resolver=lambda *_: pytest.fail("looked up"))


def test_parts_of_a_good_url() -> None:
    """Names are normalised, paths encoded, ports filled in, fragments left out."""
    assert parse_url("HTTP://Example.ORG")[:] == ("http", "example.org", 80, "/")
    assert parse_url("https://bücher.example/ä b.png".replace(" ", "%20"))[:] == (
        ("https", "xn--bcher-kva.example", 443, "/%C3%A4%20b.png")
    )
    assert parse_url("http://[2606:4700::1111]:8080/x?a=[1]&b=%20#f")[:] == (
        ("http", "2606:4700::1111", 8080, "/x?a=[1]&b=%20")
    )


def test_secrets_in_a_url_stay_out_of_the_error() -> None:
    """Neither user name, password nor query appear in message or hint."""
    for url in ("http://canary:canary@h/x", "http://localhost/canary?key=canary"):
        with pytest.raises(ImageError) as caught:
            fetch(url)
        assert "canary" not in str(caught.value) + caught.value.hint


# --- pinning and redirects ------------------------------------------------------------------------


def test_guard_is_on_by_default(server: Server) -> None:
    """allow_urls alone does not reach loopback, where the server of the next tests is."""
    with pytest.raises(ImageError, match="not a public address"):
        load_image(server.url(), allow_urls=True)
    assert server.connections == 0


def test_fetching_through_the_public_door(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """With allow_urls, the bytes of the server are the image."""
    defaults = {**fetch.__kwdefaults__, "allowed": anywhere}
    monkeypatch.setattr(fetch, "__kwdefaults__", defaults)
    assert load_image(server.url(), allow_urls=True).content == PIXEL


def test_request_that_is_sent(server: Server) -> None:
    """One plain request with the right host; no cookie, no credentials, no proxy."""
    assert fetch(server.url("/a.gif?x=1"), allowed=anywhere) == PIXEL
    assert server.paths == ["/a.gif?x=1"]
    assert set(server.headers[0]) == {
        "Host",
        "User-Agent",
        "Accept",
        "Accept-Encoding",
        "Connection",
    }
    assert server.headers[0]["Host"] == f"127.0.0.1:{server.port}"


def test_proxy_settings_are_not_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would resolve the name again, so it is never asked."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, server.url(""))
    with pytest.raises(ImageError):
        fetch("http://h.example/a.gif", resolver=lambda *_: ["203.0.113.1"])
    assert server.connections == 0


def test_connection_goes_to_the_address_that_was_checked(server: Server) -> None:
    """The name is resolved once and connected to by address, with the name in the Host header."""
    lookups: list[str] = []

    def once(host: str, _: int) -> list[str]:
        lookups.append(host)
        return ["127.0.0.1"]

    assert fetch(server.url(host="pinned.test"), allowed=anywhere, resolver=once) == PIXEL
    assert lookups == ["pinned.test"]
    assert server.headers[0]["Host"] == f"pinned.test:{server.port}"


def test_rebinding_resolver_gains_nothing(server: Server) -> None:
    """A name that is public when checked and loopback a moment later never leads to loopback."""
    answers = iter([["192.0.2.1"], ["127.0.0.1"], ["127.0.0.1"]])
    with pytest.raises(ImageError):
        fetch(
            server.url(host="rebind.test"),
            allowed=lambda address: not address.is_loopback,
            resolver=lambda *_: next(answers),
            timeout=1,
        )
    assert server.connections == 0
    assert next(answers) == ["127.0.0.1"]


def test_next_address_is_tried(server: Server) -> None:
    """If the first address does not accept, the second checked one is used."""
    found = ["127.0.0.2", "127.0.0.1"]
    with socket.socket() as closed:
        closed.bind(("127.0.0.2", server.port))
        data = fetch(server.url(host="two.test"), allowed=anywhere, resolver=lambda *_: found)
    assert data == PIXEL


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(server: Server, status: int) -> None:
    """Absolute and relative redirects lead to the image."""
    server.answers["/one"] = redirect(server.url("/two"), status)
    server.answers["/two"] = redirect("a.gif", status)
    assert fetch(server.url("/one"), allowed=anywhere) == PIXEL
    assert server.paths == ["/one", "/two", "/a.gif"]


def test_every_redirect_passes_the_guard(server: Server) -> None:
    """A permitted host that redirects to a closed one gets no further, however it is written."""
    inside = Server()
    inside.answers["/a.gif"] = answer()
    names = {"outside.test": "127.0.0.1", "inside.test": "127.0.0.2"}
    targets = [
        f"http://{host}:{inside.port}/a.gif"
        for host in (
            "inside.test",
            "127.0.0.2",
            "0x7f.2",
            "2130706434",
            "[::ffff:127.0.0.2]",
            "[::1]",
        )
    ]
    targets += [
        f"//127.0.0.2:{inside.port}/a.gif",
        "file:///etc/passwd",
        "http://u:p@outside.test/",
    ]
    targets += ["http://127.0.0.2\\@outside.test/", "gopher://127.0.0.2/", "http://[", ""]
    for target in targets:
        server.answers["/go"] = redirect(target)
        with pytest.raises(ImageError) as caught:
            fetch(
                server.url("/go", host="outside.test"),
                allowed=lambda address: str(address) == "127.0.0.1",
                resolver=lambda host, _: [names.get(host, host)],
            )
        assert caught.value.hint
    assert inside.connections == 0
    assert server.connections == len(targets)
    inside.server.shutdown()
    inside.server.server_close()


def test_redirect_loop_ends(server: Server) -> None:
    """Endless redirects end after a handful."""
    server.answers["/loop"] = redirect("/loop")
    with pytest.raises(ImageError, match="redirected more than 5 times"):
        fetch(server.url("/loop"), allowed=anywhere)
    assert server.connections == 6


# --- limits and answers ---------------------------------------------------------------------------


def raw(data: bytes) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    """Send exactly these bytes, whatever they are."""
    return lambda handler: handler.wfile.write(data) and None


def chunked(body: bytes, *, finish: bool = True) -> bytes:
    """A response in chunks, perhaps without the last one."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"%x\r\n%b\r\n" % (len(body), body) + (b"0\r\n\r\n" if finish else b"")


BAD_ANSWERS = {
    "not found": answer(b"no", 404),
    "error": answer(b"no", 500),
    "no content": answer(b"", 204),
    "partial": answer(PIXEL, 206),
    "page": answer(b"<html>", Content_Type="text/html; charset=utf-8"),
    "compressed": answer(b"x", Content_Encoding="gzip"),
    "announced too large": answer(b"", length=2**40),
    "sent too large": raw(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(5000)),
    "chunks too large": raw(chunked(bytes(5000))),
    "cut short": answer(PIXEL, length=len(PIXEL) + 5),
    "chunks cut short": raw(chunked(PIXEL, finish=False)),
    "nothing": raw(b""),
    "not http": raw(b"SSH-2.0-OpenSSH\r\n"),
    "bad status": raw(b"HTTP/1.1 abc\r\n\r\n"),
    "long line": raw(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n"),
    "many headers": raw(b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 200 + b"\r\n"),
    "redirect to nowhere": answer(b"", 302),
}


def test_bad_answers(server: Server) -> None:
    """Whatever the server sends, it is an image or an ImageError with a hint."""
    for name, bad in BAD_ANSWERS.items():
        with case(name):
            server.answers["/bad"] = bad
            with pytest.raises(ImageError) as caught:
                fetch(server.url("/bad"), allowed=anywhere, max_bytes=4000, timeout=5)
            assert caught.value.hint


def test_good_answers_of_every_form(server: Server) -> None:
    """With a length, in chunks, until the end, of exactly the limit, and after a 100 Continue."""
    server.answers |= {
        "/chunks": raw(chunked(PIXEL)),
        "/open": raw(b"HTTP/1.0 200 OK\r\n\r\n" + PIXEL),
        "/typed": answer(Content_Type="image/gif"),
        "/untyped": answer(Content_Type="application/octet-stream"),
        "/continue": raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" + PIXEL),
    }
    for path in server.answers:
        assert fetch(server.url(path), allowed=anywhere, max_bytes=len(PIXEL)) == PIXEL


def drip(head: bytes, piece: bytes) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    """Send a start, then one piece ten times a second, for ever."""

    def send(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.wfile.write(head)
        for _ in range(200):
            handler.wfile.write(piece)
            handler.wfile.flush()
            time.sleep(0.1)

    return send


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"", b""),
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"a"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"a"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_slow_servers_are_left_at_the_deadline(server: Server, head: bytes, piece: bytes) -> None:
    """A server that keeps sending a little, anywhere in its answer, is cut off in time."""
    server.answers["/slow"] = drip(head, piece)
    started = time.monotonic()
    with pytest.raises(ImageError, match="took too long") as caught:
        fetch(server.url("/slow"), allowed=anywhere, timeout=0.5)
    assert time.monotonic() - started < 5
    assert caught.value.hint


def test_slow_names_and_slow_redirects_count_too(server: Server) -> None:
    """The limit covers the resolver, and all redirects together."""
    with pytest.raises(ImageError, match="took too long"):
        fetch("http://slow.test/", resolver=lambda *_: time.sleep(3) or [], timeout=0.3)

    def slowly(handler: http.server.BaseHTTPRequestHandler) -> None:
        time.sleep(0.3)
        redirect("/slowly")(handler)

    server.answers["/slowly"] = slowly
    with pytest.raises(ImageError, match="took too long"):
        fetch(server.url("/slowly"), allowed=anywhere, timeout=0.5)


def test_names_that_do_not_resolve() -> None:
    """A failing resolver, an empty answer and nonsense are ImageErrors."""

    def fail(*_: object) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    for resolver in (fail, lambda *_: [], lambda *_: ["nonsense"]):
        with pytest.raises(ImageError) as caught:
            fetch("http://nowhere.test/", resolver=resolver)
        assert caught.value.hint


def test_nobody_listens(server: Server) -> None:
    """A refused connection is an ImageError."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(ImageError, match="could not be fetched"):
            fetch(f"http://127.0.0.1:{port}/", allowed=anywhere)


# --- https ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for secure.test, with its key, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    both = folder / "both.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=secure.test"
    command += f" -addext subjectAltName=DNS:secure.test -keyout {folder}/key -out {folder}/crt"
    try:
        subprocess.run(command.split(), check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the openssl program to make a certificate")
    both.write_bytes((folder / "key").read_bytes() + (folder / "crt").read_bytes())
    return both


@pytest.fixture
def secure(server: Server, certificate: Path) -> Server:
    """The server, behind TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.server.socket = context.wrap_socket(server.server.socket, server_side=True)
    return server


def test_https_checks_the_certificate_against_the_name(
    secure: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trusted certificate for the name works; an untrusted or another's does not."""

    def get(name: str) -> bytes:
        url = f"https://{name}:{secure.port}/a.gif"
        return fetch(url, allowed=anywhere, resolver=lambda *_: ["127.0.0.1"], timeout=5)

    with pytest.raises(ImageError, match="certificate verify failed"):
        get("secure.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert get("secure.test") == PIXEL
    with pytest.raises(ImageError, match="certificate verify failed"):
        get("other.test")


def test_https_is_not_left_for_http(
    secure: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redirect from https to http is refused; a slow server behind TLS is cut off as well."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    secure.answers["/down"] = redirect("http://secure.test/a.gif")
    secure.answers["/slow"] = drip(b"HTTP/1.1 200 OK\r\nX: ", b"a")
    for path, words in (("/down", "redirected from https"), ("/slow", "took too long")):
        with pytest.raises(ImageError, match=words):
            fetch(
                f"https://secure.test:{secure.port}{path}",
                allowed=anywhere,
                resolver=lambda *_: ["127.0.0.1"],
                timeout=1,
            )


def test_silent_server_during_the_handshake() -> None:
    """A server that accepts and says nothing is left at the deadline."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(ImageError, match="took too long"):
            fetch(f"https://127.0.0.1:{port}/", allowed=anywhere, timeout=0.4)
