"""LLaVA-like and SmolVLM-like models through Outlines, with random weights: form, then content."""

import io
import warnings
from dataclasses import replace

import pytest

pytest.importorskip("outlines")
pytest.importorskip("torch")

import outlines
import tiny
import torch
from contract import REPLY, BackendContract
from PIL import Image

from faithful_decide._core.prompt import SYSTEM
from faithful_decide._core.schema import schema
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import prepare
from faithful_decide.backends.base import Hidden, Request
from faithful_decide.backends.outlines import OutlinesBackend, _device

# PyTorch announces the end of one of its own parts whenever a prompt's cache is used.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")


def wrapped(maker, *, dtype="float32"):
    """A backend around a new model."""
    model, processor = getattr(tiny, maker)(getattr(torch, dtype))
    return OutlinesBackend(outlines.from_transformers(model, processor))


@pytest.fixture(scope="module", params=["llava", "idefics3", "smolvlm"])
def maker(request):
    """Each architecture."""
    return request.param


@pytest.fixture(scope="module")
def backend(maker):
    """A model of it."""
    made = wrapped(maker)
    yield made
    made.close()


@pytest.fixture
def fresh(maker):
    """Another one, to be closed."""
    return wrapped(maker)


def asked(backend, picture, text="Question: ?"):
    """A request about a picture."""
    image = prepare(load_image(picture), backend.capabilities.image_limits)
    return Request(SYSTEM, (image,), text, schema(("yes", "no")), 300)


def painted(*, corner, size=(400, 100)):
    """A wide white picture with one corner in another colour."""
    image = Image.new("RGB", size, "white")
    image.paste(corner, (0, 0, size[0] // 10, size[1]))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


class TestArchitectures(BackendContract):
    """Each keeps the contract of backends."""

    ends = False
    counts = False


def test_log_probabilities_are_those_of_the_bare_model(backend, picture):
    """What is reported while generating, from a cache, is what one pass over the whole gives."""
    request = replace(asked(backend, picture), top_logprobs=5)
    backend.generate(replace(request, text="Question: another?", max_tokens=3))
    reply = backend.generate(request)
    assert reply.usage.cached_tokens > 0
    whole = backend._inputs(replace(request, prefix=reply.text))
    count = len(reply.tokens)
    with torch.inference_mode():
        scores = backend._model(**whole).logits[0, -count - 1 : -1].float().log_softmax(-1)
    ids = whole["input_ids"][0, -count:].tolist()
    if b"".join(map(backend._bytes, ids)) != reply.text.encode():
        pytest.fail("the reply was not tokenised as it was written")
    for place, (token, row) in enumerate(zip(reply.tokens, scores, strict=True)):
        best = row.topk(1)
        assert max(token.top.values()) == pytest.approx(float(best.values), abs=1e-3), place
        assert backend._bytes(int(best.indices)) in token.top


@pytest.mark.parametrize("place", ["first", "second"])
def test_nothing_depends_on_what_was_kept(backend, picture, place):
    """A backend that keeps nothing replies the same, byte by byte and token by token."""
    request = replace(asked(backend, picture), top_logprobs=3)
    if place == "second":
        backend.generate(replace(request, text="Question: another?", max_tokens=3))
    same = outlines.from_transformers(backend._model, backend._processor)
    kept = backend.generate(request)
    alone = OutlinesBackend(same, reuse=False).generate(request)
    assert alone.usage.cached_tokens == 0
    assert kept.text == alone.text
    for mine, theirs in zip(kept.tokens, alone.tokens, strict=True):
        assert mine.top == pytest.approx(theirs.top, abs=1e-3)


def test_nothing_of_what_is_hidden_comes_through(backend, picture):
    """Not even by the tokens between it and the verdict, of which there are many here."""
    request = replace(asked(backend, picture), max_tokens=9, top_logprobs=9)
    texts = [REPLY[:-5].replace("odd", word) for word in ("odd", "sad")]
    end = len(texts[0][: texts[0].rindex(",")].encode())
    for hidden, same in ((None, False), (Hidden(1, end), True), (Hidden(1, end, "text"), False)):
        one, other = (
            [t.top for t in backend.generate(replace(request, prefix=t, hidden=hidden)).tokens]
            for t in texts
        )
        assert (one == other) == same


def test_the_edge_of_a_picture_is_seen(backend):
    """Processors that crop to the middle are given a picture of which nothing is cropped."""
    seen = []
    for corner in ("black", "white"):
        request = asked(backend, painted(corner=corner))
        seen.append(backend._inputs(request)["pixel_values"])
    assert not torch.equal(*seen)


def test_another_picture_is_not_taken_for_the_kept_one(backend):
    """The same question about two pictures gives two sets of log-probabilities."""
    tops = []
    for corner in ("black", "white"):
        request = replace(asked(backend, painted(corner=corner)), prefix=REPLY[:-5], top_logprobs=9)
        tops.append(backend.generate(request).tokens[0].top)
    assert tops[0] != tops[1]


def test_half_precision(maker, picture):
    """Pixels are given to a model in the numbers that it computes with."""
    backend = wrapped(maker, dtype="bfloat16")
    request = asked(backend, picture)
    assert backend._inputs(request)["pixel_values"].dtype == torch.bfloat16
    assert backend.generate(request).text.startswith('{"observations": [')


# ------------------------------------------------------------------------------ devices


def test_everything_is_put_where_the_model_is(maker, picture):
    """Tested with the device that stands for any other: it computes nothing, and is not the CPU."""
    backend = wrapped(maker)
    backend._model.to("meta")
    inputs = backend._inputs(asked(backend, picture))
    assert {value.device.type for value in inputs.values()} == {"meta"}


@pytest.mark.parametrize(("cuda", "wanted"), [(True, "cuda"), (False, "cpu")])
def test_a_gpu_is_used_where_there_is_one(cuda, wanted, monkeypatch):
    """Unless the caller says otherwise."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    assert _device(None, torch) == wanted
    assert _device("cuda:1", torch) == "cuda:1"


def test_only_the_state_of_the_models_own_device_is_kept(backend, picture, monkeypatch):
    """With several GPUs, PyTorch warns about anybody who keeps that of all."""
    kept = []
    fork = torch.random.fork_rng

    def noted(devices=None, **options):
        kept.append(devices)
        return fork(devices, **options)

    monkeypatch.setattr(torch.random, "fork_rng", noted)
    before = torch.random.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        backend.generate(replace(asked(backend, picture), temperature=1.0, seed=3, max_tokens=3))
    assert kept == [[]]
    assert torch.equal(before, torch.random.get_rng_state())
