"""Where a picture goes: which address is meant, which way leads there, and what is said if none."""

import time
from contextlib import contextmanager

import pytest

from faithful_decide import decide
from faithful_decide.backends import load_backend
from faithful_decide.backends._openai.address import Server
from faithful_decide.errors import AuthError, BackendError, TransientError, UsageError
from tests.support.faulty import Answer, FaultyServer, truth
from tests.support.nobody import deaf, pages

KEY = "sk-planted-0123456789abcdef"
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
VARIABLES = (
    *("OPENAI_BASE_URL", "OPENAI_API_BASE", "OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT"),
    *("AZURE_OPENAI_API_KEY", "OLLAMA_HOST", "VLLM_API_KEY", "SSL_CERT_FILE"),
    *PROXIES,
    *map(str.upper, PROXIES),
)


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """An environment that says nothing about servers."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@contextmanager
def loaded(spec, **options):
    backend = load_backend(spec, **options)
    try:
        yield backend
    finally:
        backend.close()


def address(spec, **options):
    """The address that a backend would ask."""
    with loaded(spec, **options) as backend:
        return backend._server.url


# ------------------------------------------------------------------------------ who names it


@pytest.mark.parametrize(
    ("spec", "variable", "value", "expected"),
    [
        ("openai/m", "OPENAI_BASE_URL", "http://gateway:4000/v1", "http://gateway:4000/v1"),
        ("openai/m", "OPENAI_API_BASE", "http://gateway:4000/v1", "http://gateway:4000/v1"),
        ("azure/m", "AZURE_OPENAI_ENDPOINT", "https://x.openai.azure.com", "/openai/v1"),
        ("azure/m", "AZURE_OPENAI_ENDPOINT", "https://x.openai.azure.com/", "/openai/v1"),
        ("azure/m", "AZURE_OPENAI_ENDPOINT", "https://x.openai.azure.com/openai", "/openai/v1"),
        (
            "azure/m",
            "AZURE_OPENAI_ENDPOINT",
            "https://x.openai.azure.com/openai/v1/",
            "m/openai/v1",
        ),
        ("ollama/m", "OLLAMA_HOST", "gpu", "http://gpu:11434"),
        ("ollama/m", "OLLAMA_HOST", "gpu:99", "http://gpu:99"),
        ("ollama/m", "OLLAMA_HOST", ":99", "http://127.0.0.1:99"),
        ("ollama/m", "OLLAMA_HOST", "0.0.0.0", "http://127.0.0.1:11434"),
        ("ollama/m", "OLLAMA_HOST", "[::1]:99", "http://[::1]:99"),
        ("ollama/m", "OLLAMA_HOST", "https://host/path", "https://host:443/path"),
    ],
)
def test_the_environment_may_name_a_server(spec, variable, value, expected, monkeypatch):
    """In the variable that the makers of that server have it written in."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    monkeypatch.setenv(variable, value)
    assert address(spec).endswith(expected)
    assert address(spec, base_url="http://named:1/v2") == "http://named:1/v2"


def test_a_gateway_gets_its_picture_and_its_key(picture, monkeypatch):
    """Nothing goes to OpenAI, and the key of the same environment is the gateway's."""
    with FaultyServer(lambda *_: "") as server:
        server.keep_bodies = True
        monkeypatch.setenv("OPENAI_BASE_URL", server.address)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        decision = decide(picture, "Is this an even number: 8?", model="openai/faulty")
        assert KEY in server.bodies[0]["head"]
    assert decision.receipt.backend.startswith("openai/faulty@127.0.0.1")
    assert decision.receipt.order == "verified"


@pytest.mark.parametrize("endpoint", ["https://eu.api.openai.com/v1", "https://api.openai.com/v1"])
def test_openai_in_a_region_is_openai(endpoint, monkeypatch):
    """With its key, and what is documented for it."""
    monkeypatch.setenv("OPENAI_BASE_URL", endpoint)
    with pytest.raises(AuthError):
        load_backend("openai/m")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with loaded("openai/m") as backend:
        assert (backend._preset.wire, backend.capabilities.order) == ("responses", True)


@pytest.mark.parametrize("name", ["http://api.openai.com/v1", "https://api.openai.com.evil.com/v1"])
def test_what_only_looks_like_openai_is_not(name, monkeypatch):
    """It is promised nothing, and gets no key."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with loaded("openai/m", base_url=name) as backend:
        assert backend._preset.wire == "chat"
        assert backend._connection._client.api_key == "none"


@pytest.mark.parametrize(
    ("spec", "wrong", "hint"),
    [
        ("vllm/m", "http://h/v1/chat/completions", 'write base_url="http://h/v1"'),
        ("vllm/m", "http://h/v1/responses/", 'write base_url="http://h/v1"'),
        ("ollama/m", "http://h:1/api/generate", 'write base_url="http://h:1"'),
        ("ollama/m", "http://h:1/v1", 'write base_url="http://h:1"'),
        ("azure/m", "https://x/openai/v1?api-version=preview", "/openai/v1"),
        ("azure/m", "https://x/openai/deployments/d", 'write base_url="https://x/openai/v1"'),
        ("azure/m", "https://x/openai/v1/openai/v1", 'write base_url="https://x/openai/v1"'),
        ("vllm/m", f"http://h/v1#{KEY}", "api_key="),
        ("vllm/m", f"http://h/v1?key={KEY}", "api_key="),
        ("vllm/m", 5, "base_url="),
        ("vllm/m", "http://h:99999/v1", "base_url="),
        ("vllm/m", "http://h /v1", "base_url="),
    ],
)
def test_a_wrong_address_is_told_before_it_is_asked(spec, wrong, hint):
    """And how it should read."""
    with pytest.raises(UsageError) as caught:
        load_backend(spec, base_url=wrong, api_key="k")
    assert hint in caught.value.hint
    assert KEY not in f"{caught.value}{caught.value.hint}"


@pytest.mark.parametrize("path", [f"/{KEY}/v1", "/0123456789abcdef0123456789/v1"])
def test_a_secret_in_the_path_stays_there(path, picture):
    """Neither the text of the backend nor an error shows it."""
    with loaded("vllm/m", base_url=f"http://127.0.0.1:9{path}") as backend:
        with pytest.raises(TransientError) as caught:
            decide(picture, "Is it?", model=backend, timeout=0.3)
        said = f"{backend!r}{backend.name}{backend.identity}{caught.value}{caught.value.hint}"
    assert path.split("/")[1] not in said


# ------------------------------------------------------------------------------ which way


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1"])
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_no_proxy_stands_before_this_machine(host, variable, picture, monkeypatch):
    """A picture for it goes nowhere else."""
    with FaultyServer(lambda *_: "") as proxy, FaultyServer(lambda *_: "") as server:
        monkeypatch.setenv(variable, proxy.address.removesuffix("/v1"))
        here = server.address.replace("127.0.0.1", host)
        question = "Is this an even number: 8?"
        assert decide(picture, question, model="vllm/faulty", base_url=here).verdict == truth(8)
        assert (proxy.requests, server.requests) == (0, 1)


@pytest.mark.parametrize(
    ("host", "here"),
    [
        *((host, True) for host in ("127.9.9.9", "[::1]", "0x7f000001", "2130706433", "0.0.0.0")),
        *(
            (host, True)
            for host in ("LOCALHOST", "a.localhost", "localhost.", "[::ffff:127.0.0.1]")
        ),
        *((host, False) for host in ("10.0.0.1", "gpu", "128.0.0.1", "localhost.example.com")),
    ],
)
def test_this_machine_has_many_names(host, here):
    """In whatever way a loopback address is written."""
    assert Server(f"http://{host}:8000/v1").is_this_machine == here


def test_elsewhere_a_proxy_is_used(picture, monkeypatch):
    """As the environment says."""
    with FaultyServer(lambda *_: "") as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.address.removesuffix("/v1"))
        far = "http://gpu.example:9/v1"
        question = "Is this an even number: 8?"
        assert decide(picture, question, model="vllm/faulty", base_url=far).verdict == truth(8)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks5://user:secret@127.0.0.1:9"),
        ("ALL_PROXY", "socks://secret:9"),
        ("https_proxy", "nonsense://secret"),
        ("SSL_CERT_FILE", "/nonexistent/secret"),
        ("SSL_CERT_FILE", "/etc/hostname"),
        ("SSLKEYLOGFILE", "/nonexistent/secret"),
    ],
)
def test_what_is_wrong_in_the_environment_is_named(variable, value, monkeypatch):
    """The variable, not its value; and it does no harm where it does not matter."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError, match=variable) as caught:
        load_backend("vllm/m", base_url="https://gpu.example/v1")
    assert variable in caught.value.hint
    assert "secret" not in f"{caught.value}{caught.value.hint}"
    with loaded("vllm/m", base_url="http://127.0.0.1:9/v1"):
        pass
    if "proxy" in variable.casefold():
        monkeypatch.setenv("NO_PROXY", "gpu.example")
        with loaded("vllm/m", base_url="https://gpu.example/v1"):
            pass


# ------------------------------------------------------------------------------ nobody there


def error_at(url, picture, timeout=2.0):
    with pytest.raises(BackendError) as caught:
        decide(picture, "Is it?", model="vllm/m", base_url=url, timeout=timeout)
    assert caught.value.hint
    assert caught.value.__context__ is caught.value.__cause__ is None
    return caught.value


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:9/v1", "nobody listens there"),
        ("http://no-such-host.invalid/v1", "its name is not known"),
    ],
)
def test_an_address_without_a_server_is_named(url, words, picture):
    """With what to check, and marked as never reached."""
    error = error_at(url, picture, timeout=5)
    assert url in str(error)
    assert words in str(error)
    assert "base_url" in error.hint
    assert error.unreachable


def test_what_does_not_answer_is_given_up_soon(picture):
    """A connection is waited for much less long than a reply."""
    with deaf() as port:
        started = time.monotonic()
        error = error_at(f"http://127.0.0.1:{port}/v1", picture, timeout=3.0)
        assert error.unreachable
        with loaded("vllm/m", base_url=f"http://127.0.0.1:{port}/v1") as backend:
            assert backend._connection._client.timeout.connect <= 5
    assert time.monotonic() - started < 6
    assert "nothing answers there" in str(error)


@pytest.mark.parametrize("status", [200, 403, 404, 501])
def test_a_page_for_people_is_no_reply(status, picture):
    """It is asked once, and its title is told."""
    with pages(status) as port:
        error = error_at(f"http://127.0.0.1:{port}/v1", picture, timeout=20)
    assert "Welcome to nginx" in str(error)
    assert f"127.0.0.1:{port}" in error.hint
    assert type(error) is BackendError


def test_tls_is_not_spoken_to_a_plain_port(picture):
    """And the hint says which letter is too many."""
    with pages() as port:
        error = error_at(f"https://127.0.0.1:{port}/v1", picture, timeout=20)
    assert "http://" in error.hint
    assert type(error) is BackendError


def test_a_dead_proxy_is_named(picture, monkeypatch):
    """And not the server behind it."""
    monkeypatch.setenv("HTTP_PROXY", "http://user:secret@127.0.0.1:9")
    error = error_at("http://gpu.example:8000/v1", picture, timeout=0.5)
    assert "HTTP_PROXY" in str(error)
    assert "NO_PROXY" in error.hint
    assert "secret" not in f"{error}{error.hint}"


@pytest.mark.parametrize(
    ("path", "words", "hint"),
    [
        ("", '{"detail": "Not Found"}', "/v1"),
        ("/v1/v1", '{"detail": "Not Found"}', "twice"),
        ("/v1", '{"error": {"message": "The model `m` does not exist"}}', "name of the model"),
    ],
)
def test_404_is_about_the_path_or_the_model(path, words, hint, picture):
    """Whichever it can be."""
    with FaultyServer(lambda *_: "") as server:
        server.always = Answer(words.encode(), 404)
        error = error_at(server.address.removesuffix("/v1") + path, picture, timeout=20)
        assert server.requests == 1
    assert hint in error.hint
