"""A model spec names a backend, or the error says which ones there are."""

import pytest

from faithful_decide import UnsupportedError, load_backend
from faithful_decide.backends import _LOADERS, split_spec


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


@pytest.mark.parametrize("spec", ["", "/", ":", "nonsense", "nobody/gpt", "EMBEDDED", "gguf#x"])
def test_an_unknown_kind_names_the_known_ones(spec):
    """The hint lists what can be written instead."""
    with pytest.raises(UnsupportedError) as caught:
        load_backend(spec)
    assert all(kind in caught.value.hint for kind in _LOADERS)


@pytest.mark.parametrize("kind", _LOADERS)
def test_an_unknown_option_names_the_known_ones(kind):
    """Options are checked against the loader, before it loads anything."""
    with pytest.raises(UnsupportedError) as caught:
        load_backend(f"{kind}/x", no_such_option=1)
    assert "no_such_option" in str(caught.value)
    assert any(name in caught.value.hint for name in ("n_threads", "api_key", "device"))


def test_every_kind_of_server_has_a_row():
    """The names of the kinds are written twice, so that naming one loads no table."""
    from faithful_decide.backends import _SERVERS
    from faithful_decide.backends._openai.presets import PRESETS

    assert set(_SERVERS) == set(PRESETS)
