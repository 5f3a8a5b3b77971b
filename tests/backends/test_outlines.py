"""Hugging Face models through Outlines: the embedded weights in that form, and what is refused."""

import json
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest

pytest.importorskip("outlines")
pytest.importorskip("torch")

from contract import REPLY, BackendContract

from faithful_decide import Decider, decide
from faithful_decide._backend import Request
from faithful_decide._contract import schema
from faithful_decide._image import load_image, prepare
from faithful_decide._prompt import SYSTEM
from faithful_decide.backends import load_backend
from faithful_decide.errors import BackendError, UnsupportedError, UsageError

# PyTorch announces the end of one of its own parts whenever a prompt's cache is used.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")

FOLDER = Path(str(resources.files("faithful_decide") / "embedded"))


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """The embedded weights as a folder of Hugging Face's."""
    from training.to_hf import convert

    out = tmp_path_factory.mktemp("hf")
    convert(FOLDER, out)
    return out


@pytest.fixture(scope="module")
def backend(converted):
    """The model in that folder."""
    loaded = load_backend(f"outlines/{converted}", device="cpu")
    yield loaded
    loaded.close()


@pytest.fixture
def fresh(converted):
    """Another one, to be closed."""
    return load_backend(f"outlines/{converted}", device="cpu")


class TestOutlines(BackendContract):
    """The embedded weights through Outlines keep the contract of backends."""


@pytest.fixture
def request_(backend, picture):
    """A request about the picture."""
    image = prepare(load_image(picture), backend.capabilities.image_limits)
    return Request(SYSTEM, image, "Question: ?", schema(("yes", "no")), 60)


def test_both_engines_reply_alike(backend, picture):
    """The same weights give the same bytes here and in llama.cpp, and the same probabilities."""
    pytest.importorskip("xllamacpp")
    here = decide(picture, "Is there a red circle?", model=backend)
    there = decide(picture, "Is there a red circle?", model="embedded")
    assert here.receipt.raw == there.receipt.raw
    assert here.scores.probabilities == pytest.approx(there.scores.probabilities, abs=0.01)


def test_an_image_is_read_once(backend, converted, request_):
    """The second question uses what was computed for the first, and nothing changes by it."""
    backend.generate(request_)
    second = replace(request_, text="Question: Is there a dog?")
    reply = backend.generate(second)
    assert reply.usage.cached_tokens > 60
    alone = load_backend(f"outlines/{converted}", device="cpu", reuse=False)
    assert alone.generate(second).text == reply.text
    assert alone.generate(second).usage.cached_tokens == 0


def test_a_live_model_is_a_model(converted, picture):
    """What Outlines made is taken as it is."""
    import outlines
    from transformers import AutoProcessor, LlavaForConditionalGeneration

    model = outlines.from_transformers(
        LlavaForConditionalGeneration.from_pretrained(converted),
        AutoProcessor.from_pretrained(converted),
    )
    with Decider(model) as decider:
        assert decider.decide(picture, "Is there a dog?").receipt.order == "enforced"


def test_the_slow_engine_is_never_used(backend, request_, monkeypatch):
    """Outlines' default takes most of a minute for some schemas."""
    from outlines.backends import outlines_core

    def never(*_, **__):
        pytest.fail("outlines_core was chosen")

    monkeypatch.setattr(outlines_core.OutlinesCoreBackend, "__init__", never)
    backend.generate(replace(request_, prefix=REPLY[:-5]))


def test_logprobs_are_from_before_the_constraint(backend, request_):
    """A word that the constraint forbids is among the likely ones."""
    words = {"type": "object", "properties": {"w": {"type": "string", "enum": ["zephyr"]}}}
    shape = {**words, "required": ["w"], "additionalProperties": False}
    reply = backend.generate(replace(request_, schema=shape, top_logprobs=5))
    assert json.loads(reply.text) == {"w": "zephyr"}
    assert any(token.data not in token.top for token in reply.tokens)


@pytest.mark.parametrize(
    ("spec", "error"), [("outlines/", UsageError), ("outlines//nowhere/at/all", BackendError)]
)
def test_what_cannot_be_loaded(spec, error):
    """It is said in one sentence."""
    with pytest.raises(error):
        load_backend(spec)


def test_a_model_that_sees_nothing_is_refused():
    """Only vision models of Transformers."""
    from faithful_decide.backends.outlines import OutlinesBackend

    with pytest.raises(UnsupportedError):
        OutlinesBackend(object())
