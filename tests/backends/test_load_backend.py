"""A model spec names a backend, or the error says which ones there are; kinds can be added."""

import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from faithful_decide import (
    UnsupportedError,
    UsageError,
    decide,
    decide_many,
    load_backend,
    register_backend,
)
from faithful_decide.backends import registry
from faithful_decide.backends._openai.presets import PRESETS
from faithful_decide.backends.registry import kinds, split_spec
from faithful_decide.testing import ScriptedBackend, registered, reply_text

SHIPPED = kinds()


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("embedded", ("embedded", "")),
        ("gguf/a/b.gguf#c.gguf", ("gguf", "a/b.gguf#c.gguf")),
        ("gguf:/a/b.gguf", ("gguf", "/a/b.gguf")),
        ("gguf//a/b.gguf", ("gguf", "/a/b.gguf")),
        ("gguf:C:\\a.gguf", ("gguf", "C:\\a.gguf")),
        (" openai/name:tag ", ("openai", "name:tag")),
    ],
)
def test_a_spec_is_cut_at_its_first_separator(spec, parts):
    """The rest belongs to the backend, whatever is in it."""
    kind, _, rest = split_spec(spec)
    assert (kind, rest) == parts


@pytest.mark.parametrize("spec", ["", "/", ":", "nonsense", "nobody/gpt"])
def test_an_unknown_kind_names_the_known_ones(spec):
    """The hint lists what can be written instead."""
    with pytest.raises(UnsupportedError) as caught:
        load_backend(spec)
    assert all(kind in caught.value.hint for kind in SHIPPED)


@pytest.mark.parametrize(
    ("spec", "meant"),
    [
        ("gpt-5.1", "openai/gpt-5.1"),
        ("o4-mini", "openai/o4-mini"),
        ("claude-sonnet-4-6", "anthropic/claude-sonnet-4-6"),
        ("Anthropic/claude-sonnet-4-6", "anthropic/claude-sonnet-4-6"),
        ("Claude/claude-sonnet-4-6", "anthropic/claude-sonnet-4-6"),
        ("gemini-3-flash", "google/gemini-3-flash"),
        ("gemini/gemini-3-flash", "google/gemini-3-flash"),
        ("Google/gemini-3-flash", "google/gemini-3-flash"),
        ("EMBEDDED", "embedded"),
        ("embeded", "embedded"),
        ("opnai/gpt-5.1", "openai/gpt-5.1"),
        ("OpenAI/gpt-5.1", "openai/gpt-5.1"),
        ("lm-studio/x", "lmstudio/x"),
        ("models/small.gguf", "gguf:models/small.gguf"),
        ("Qwen/Qwen3-VL-8B-Instruct", "vllm/Qwen/Qwen3-VL-8B-Instruct"),
        ("llava:13b", "ollama/llava:13b"),
        ("qwen2.5vl:7b", "ollama/qwen2.5vl:7b"),
        ("llama3.2-vision", "ollama/llama3.2-vision"),
        ("SmolVLM-500M-Instruct", "gguf/hf:OWNER/SmolVLM-500M-Instruct-GGUF"),
        ("ggml-org/SmolVLM-500M-Instruct-GGUF", "gguf/hf:ggml-org/SmolVLM-500M-Instruct-GGUF"),
        ("hf/ggml-org/SmolVLM-500M-GGUF", "gguf/hf:ggml-org/SmolVLM-500M-GGUF"),
        ("vertex_ai/gemini-3-pro", "google/gemini-3-pro"),
        ("models/gemini-3-pro", "google/gemini-3-pro"),
        ("google-gla:gemini-3-pro", "google/gemini-3-pro"),
        ("claude/sonnet", "anthropic/sonnet"),
        ("azure_openai/x", "azure/x"),
        ("llama.cpp/x", "llamacpp-server/x"),
        ("hosted_vllm/x", "vllm/x"),
        ("transformers/Qwen/x", "outlines/Qwen/x"),
        ("groq/llama-4", "instructor/groq/llama-4"),
        ("anthropic.claude-sonnet-4-6-v1:0", "instructor/bedrock/anthropic.claude-sonnet-4-6-v1:0"),
        ("llava", "ollama/llava, "),
        ("claude", "anthropic/NAME"),
        ("opnai", "openai/NAME"),
        ("llamacpp", "llamacpp-server/NAME"),
        ("http://localhost:8000/v1", "openai/NAME, with the address as base_url="),
        ("127.0.0.1:8000", "openai/NAME, with the address as base_url="),
        ("pixtral-12b", "instructor/mistral/pixtral-12b"),
        ("x-ai/grok-4", "openrouter/x-ai/grok-4"),
    ],
)
def test_the_spec_that_was_meant_is_named(spec, meant):
    """As it has to be written, where the model or a kind like it is known."""
    with pytest.raises(UnsupportedError) as caught:
        load_backend(spec)
    assert caught.value.hint.startswith("did you mean ")
    said = caught.value.hint.removeprefix("did you mean ")
    assert meant in said
    kind = said.partition("/")[0].partition(":")[0]
    assert kind in SHIPPED


@pytest.mark.parametrize("kind", SHIPPED)
def test_an_unknown_option_names_the_known_ones(kind):
    """Options are checked against the loader, before it loads anything."""
    with pytest.raises(UnsupportedError) as caught:
        load_backend(f"{kind}/x", no_such_option=1)
    assert "no_such_option" in str(caught.value)
    assert any(name in caught.value.hint for name in ("n_threads", "api_key", "device"))


@pytest.mark.parametrize(("given", "meant"), [("n_thread", "n_threads"), ("threads", "n_threads")])
def test_the_option_that_was_meant_is_named(given, meant):
    """By its letters, or by what it is called elsewhere."""
    with pytest.raises(UnsupportedError) as caught:
        load_backend("embedded", **{given: 1})
    assert caught.value.hint == f"did you mean {meant}="


@pytest.mark.parametrize("option", ["temprature", "api_key", "base_url", "n_ctx"])
def test_an_option_of_another_kind_is_said_to_be_one(option):
    """Whoever forgot `model=` learns what the option belongs to."""
    with pytest.raises(UnsupportedError) as caught:
        load_backend("embedded", **{option: "x"})
    assert " is an option of " in caught.value.hint
    assert caught.value.hint.endswith("embedded has: n_threads, reuse")


def test_every_kind_of_server_has_a_row():
    """The names of the kinds are written twice, so that naming one loads no table."""
    assert set(registry._SERVERS) == set(PRESETS)


# ---------------------------------------------------------------- kinds that are added


def load(rest, *, verdict="yes"):
    """As somebody else writes a loader, at the top of a module."""
    return ScriptedBackend(lambda _: reply_text(verdict), name=f"own/{rest}")


@pytest.fixture
def _own():
    with registered("own", load):
        yield


@pytest.mark.usefixtures("_own")
def test_a_registered_kind_is_a_model_spec(png):
    """Its keyword parameters are its options, and mistakes are found as for any other."""
    assert decide(png, "Is it?", model="own/x").verdict == "yes"
    assert decide(png, "Is it?", model="own:x", verdict="no").verdict == "no"
    assert load_backend("own/a/b:c").name == "own/a/b:c"
    with pytest.raises(UnsupportedError) as caught:
        decide(png, "Is it?", model="own/x", verdct="no")
    assert "verdict=" in caught.value.hint
    with pytest.raises(UnsupportedError) as caught:
        load_backend("onw/x")
    assert caught.value.hint == "did you mean own/x"


@pytest.mark.usefixtures("_own")
def test_workers_load_a_registered_kind(png):
    """They are given the loader; what they cannot import is refused with the reason."""
    rows = list(decide_many([png] * 3, "Is it?", model="own/x", verdict="no", workers=2))
    assert [row.verdict for row in rows] == ["no"] * 3
    with (
        registered("here", lambda _: ScriptedBackend([])),
        pytest.raises(UsageError, match="'here' cannot be taken to another process"),
    ):
        list(decide_many([png], "Is it?", model="here/x", workers=2))
    with pytest.raises(UsageError, match="the value of verdict cannot be taken"):
        list(decide_many([png], "Is it?", model="own/x", workers=2, verdict=lambda: "no"))


def test_a_kind_goes_with_the_test_that_registered_it():
    """`registered` is for a while, `register_backend` for good."""
    before = kinds()
    with registered("own", load):
        assert kinds() == [*before, "own"]
    assert kinds() == before


@pytest.mark.parametrize("kind", ["", "a/b", "a:b", "Own", " own", "own#x", "-own", None, 7])
def test_what_cannot_be_a_kind_is_refused(kind):
    """A spec could never name it."""
    with pytest.raises(UsageError, match="cannot be a kind"):
        register_backend(kind, load)


@pytest.mark.parametrize("kind", [*SHIPPED, "own"])
@pytest.mark.usefixtures("_own")
def test_a_kind_that_exists_is_refused(kind):
    """Whoever came first keeps it."""
    with pytest.raises(UsageError, match="already"):
        register_backend(kind, load)


@pytest.mark.parametrize("loader", [None, "module:load", lambda: None, lambda *, rest: None])
def test_a_loader_takes_the_rest_of_a_spec(loader):
    """Found where it is registered, not at the first use."""
    with pytest.raises(UsageError, match="cannot be called with the rest of a spec"):
        register_backend("own", loader)
    assert "own" not in kinds()


def test_what_a_loader_needs_and_returns_is_checked():
    """A missing option has a name, and so has what a backend lacks."""
    with registered("needs", lambda rest, *, url: ScriptedBackend([], name=rest + url)):
        with pytest.raises(UnsupportedError, match="'url'"):
            load_backend("needs/x")
        assert load_backend("needs/x", url="y").name == "xy"
    with registered("odd", lambda rest: rest), pytest.raises(UnsupportedError, match="'odd'"):
        load_backend("odd/x")


def test_an_installed_package_brings_its_kinds_along(monkeypatch):
    """Declared as entry points, they are known in every process, the command line included."""
    point = EntryPoint("brought", f"{__name__}:load", registry._GROUP)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: EntryPoints([point]))
    assert load_backend("brought/x").name == "own/x"
    assert "brought" in kinds()
    with pytest.raises(UsageError, match="already"):
        register_backend("brought", load)


def test_nothing_is_imported_before_it_is_asked_for():
    """Registering is not loading: no SDK, no engine, no numpy."""
    program = (
        "import sys; from faithful_decide import register_backend;"
        "register_backend('own', lambda rest: None);"
        "print({'openai', 'xllamacpp', 'numpy', 'PIL', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout == "set()\n"
