"""Architectures that people run in llama.cpp, with small random weights: form, never content."""

import io
from contextlib import closing
from dataclasses import replace

import pytest

pytest.importorskip("xllamacpp")
pytest.importorskip("gguf")

from contract import REPLY
from PIL import Image, ImageDraw

from faithful_decide._core.contract import verify
from faithful_decide._core.prompt import SYSTEM
from faithful_decide._core.schema import filled, schema
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import prepare
from faithful_decide.backends import load_backend
from faithful_decide.backends._grammar import regex_of_rest
from faithful_decide.backends.base import Request
from tests.support.architectures import KINDS, pair

LABELS = ("yes", "no")
FORM = schema(LABELS)


@pytest.fixture(scope="module", params=KINDS)
def backend(request, tmp_path_factory):
    """A model of each."""
    path = pair(tmp_path_factory.mktemp(request.param), request.param)
    with closing(load_backend(f"gguf/{path}", n_ctx=8192, n_threads=1)) as loaded:
        yield loaded


def painted(size, colour="red"):
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).ellipse((2, 2, size[0] // 2, size[1] // 2), fill=colour)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def asked(backend, *pictures, prefix="", tokens=120):
    limits = backend.capabilities.image_limits
    images = tuple(prepare(load_image(picture), limits) for picture in pictures)
    return Request(SYSTEM, images, "Question: Is it?", FORM, tokens, prefix=prefix)


@pytest.mark.parametrize("size", [(60, 60), (300, 80), (640, 480)])
def test_what_is_written_at_random_is_within_the_grammar(backend, size):
    """However the engine cuts a picture of this size up."""
    request = replace(asked(backend, painted(size)), temperature=2.0)
    for seed in range(3):
        reply = backend.generate(replace(request, seed=seed))
        regex_of_rest(filled(FORM), reply.text.rstrip("\ufffd"))
        assert reply.usage.completion_tokens <= 120


@pytest.mark.parametrize("cut", [1, 40, 90, len(REPLY) - 5, len(REPLY)])
def test_a_forced_start_is_continued(backend, cut):
    """Byte for byte; where only the verdict is left, it is one of those asked for."""
    reply = backend.generate(asked(backend, painted((200, 160)), prefix=REPLY[:cut]))
    assert reply.text.startswith(REPLY[:cut])
    if cut >= len(REPLY) - 5:
        assert verify(reply, LABELS).content.verdict in LABELS


def test_scores_are_those_before_the_grammar(backend):
    """The same whatever verdicts a grammar leaves, and those of all tokens there are."""
    request = replace(
        asked(backend, painted((200, 160)), prefix=REPLY[:-5], tokens=1), top_logprobs=1000
    )
    (free,) = backend.generate(replace(request, schema=schema(("yes", "maybe")))).tokens
    (forced,) = backend.generate(replace(request, schema=schema(("no",)))).tokens
    assert forced.data == b"n"
    assert forced.top == pytest.approx(free.top, abs=1e-3)
    assert len(free.top) > 250


def test_the_picture_is_seen(backend):
    """Another one gives other scores; two are read one after the other."""
    tops, sizes = [], []
    for pictures in (
        [painted((200, 160), "red")],
        [painted((200, 160), "blue")],
        [painted((200, 160), "red"), painted((200, 160), "blue")],
    ):
        request = asked(backend, *pictures, prefix=REPLY[:-5], tokens=1)
        reply = backend.generate(replace(request, top_logprobs=9))
        tops.append(reply.tokens[0].top)
        sizes.append(reply.usage.prompt_tokens)
    assert tops[0] != tops[1] != tops[2]
    assert sizes[0] == sizes[1] < sizes[2]
