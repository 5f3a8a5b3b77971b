"""Hugging Face models through Outlines: the embedded weights in that form, and what is refused."""

import json
import shutil
from contextlib import closing
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest

pytest.importorskip("outlines")
pytest.importorskip("torch")

from contract import REPLY, BackendContract

from faithful_decide import Decider, decide, probe
from faithful_decide._core.prompt import SYSTEM
from faithful_decide._core.schema import schema
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import prepare
from faithful_decide.backends import load_backend
from faithful_decide.backends.base import Hidden, Request
from faithful_decide.errors import BackendError, UnsupportedError, UsageError

# PyTorch announces the end of one of its own parts whenever a prompt's cache is used.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")

FOLDER = Path(str(resources.files("faithful_decide") / "embedded"))


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """The embedded weights as a folder of Hugging Face's."""
    from training.export.huggingface import convert

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


def test_the_folder_is_as_vllm_and_transformers_want_it(converted):
    """Weights have the names of published models, and vLLM normalises no layer that is read."""
    from safetensors import safe_open
    from transformers import LlavaConfig, LlavaForConditionalGeneration

    with safe_open(converted / "model.safetensors", "pt") as weights:
        tower = [name for name in weights.keys() if name.startswith("vision_tower.")]  # noqa: SIM118
    assert tower
    assert all(name.startswith("vision_tower.vision_model.") for name in tower)
    config = LlavaConfig.from_pretrained(converted)
    assert config.vision_feature_layer < -1
    _, loading = LlavaForConditionalGeneration.from_pretrained(converted, output_loading_info=True)
    assert {kind: list(names) for kind, names in loading.items() if names} == {}


class TestOutlines(BackendContract):
    """The embedded weights through Outlines keep the contract of backends."""

    counts = False


def test_a_model_goes_on_from_its_own_words(backend):
    """The grammar makes any text fit behind a prefix; only a model knows what it would say."""
    assert probe(backend).checks["prefix"].holds == "yes"


@pytest.fixture
def request_(backend, picture):
    """A request about the picture."""
    image = prepare(load_image(picture), backend.capabilities.image_limits)
    return Request(SYSTEM, (image,), "Question: ?", schema(("yes", "no")), 60)


def test_both_engines_reply_alike(backend, picture):
    """The same weights give the same bytes here and in llama.cpp, and the same probabilities."""
    pytest.importorskip("xllamacpp")
    here = decide(picture, "Is there a red circle?", model=backend)
    there = decide(picture, "Is there a red circle?", model="embedded")
    assert here.receipt.raw == there.receipt.raw
    assert here.scores.probabilities == pytest.approx(there.scores.probabilities, abs=0.01)


def test_what_a_model_file_says_of_sampling_bends_nothing(fresh, request_):
    """Files of models have penalties for repetition, and limits that make all samples alike."""
    asked = replace(request_, temperature=1.0, max_tokens=40)
    plain = [fresh.generate(request_).text, *drawn(fresh, asked)]
    own = fresh._model.generation_config
    own.repetition_penalty, own.no_repeat_ngram_size = 1.8, 3
    own.top_k, own.top_p, own.min_p, own.num_beams = 1, 0.01, 0.9, 2
    assert [fresh.generate(request_).text, *drawn(fresh, asked)] == plain
    fresh.close()


def drawn(backend, request):
    return [backend.generate(replace(request, seed=seed)).text for seed in range(4)]


def test_an_image_is_read_once(backend, converted, request_):
    """The second question uses what was computed for the first, and nothing changes by it."""
    backend.generate(request_)
    second = replace(request_, text="Question: Is there a dog?")
    reply = backend.generate(second)
    assert reply.usage.cached_tokens > 60
    alone = load_backend(f"outlines/{converted}", device="cpu", reuse=False)
    assert alone.generate(second).text == reply.text
    assert alone.generate(second).usage.cached_tokens == 0


# ---------------------------------------------------------------- what may not be looked at


WRITTEN = (
    '{"observations": [{"about": "the red circle", "n": 1, "seen": "%s"}], "reasoning": "%s", '
    '"relies_on": [1], "verdict": "'
)
THERE = WRITTEN % ("30% across, 35% down, 20% large", "a red circle is there")
ABSENT = WRITTEN % ("not there", "no red circle is there")


def hides(prefix, what="prefix"):
    return Hidden(1, len(prefix[: prefix.rindex(",")].encode()), what)


@pytest.fixture
def odds(backend, request_):
    """The likelihood of yes against no after a prefix, and the reply."""

    def read(prefix, hidden=None, **changes):
        text = 'Question: Is there a red circle?\nVerdicts: "yes", "no", "cannot_tell"'
        asked = replace(request_, text=text, prefix=prefix, hidden=hidden, top_logprobs=1000)
        reply = backend.generate(replace(asked, **changes))
        top = reply.tokens[0].top
        return top[b"yes"] - top[b"no"], reply

    return read


def test_nothing_hidden_is_the_normal_reply(odds):
    """Read in two parts, with a mask that hides nothing, it is what it was."""
    for prefix in (THERE, ABSENT):
        normal, reply = odds(prefix)
        again, other = odds(prefix, Hidden(1, 1))
        assert again == pytest.approx(normal, abs=1e-3)
        assert other.text == reply.text


def test_the_verdict_hangs_on_what_was_written(odds):
    """Which it follows, whatever the picture shows; hidden, neither text moves it."""
    assert odds(THERE)[0] > 3
    assert odds(ABSENT)[0] < -3
    assert abs(odds(THERE, hides(THERE))[0] - odds(ABSENT, hides(ABSENT))[0]) < 3


def test_nothing_of_what_is_hidden_comes_through(odds, backend):
    """Two texts of as many tokens, one verdict: to the last digit, and in every alternative."""
    one, other = (WRITTEN % ("not there", f"no {colour} is there") for colour in ("dog", "cat"))
    lengths = {odds(text)[1].usage.prompt_tokens for text in (one, other)}
    assert len(lengths) == 1
    seen, unseen = ([odds(t, h(t))[1] for t in (one, other)] for h in (lambda _: None, hides))
    assert seen[0].tokens[0].top != seen[1].tokens[0].top
    assert [t.top for t in unseen[0].tokens] == [t.top for t in unseen[1].tokens]


def test_the_gap_stays_where_it_was(odds, backend):
    """Every token is read at its own place, as if what is hidden were still there."""
    places = []
    layer = next(m for n, m in backend._model.named_modules() if n.endswith("rotary_emb"))
    handle = layer.register_forward_pre_hook(
        lambda _, args, named: places.append(
            (named.get("position_ids") if "position_ids" in named else args[1])[0].tolist()
        ),
        with_kwargs=True,
    )
    try:
        reply = odds(THERE, hides(THERE), top_logprobs=1000)[1]
    finally:
        handle.remove()
    read = [place for step in places for place in step]
    assert read == list(range(reply.usage.prompt_tokens + reply.usage.completion_tokens - 1))


@pytest.mark.parametrize("what", ["text", "image"])
def test_other_parts_can_be_hidden_instead(odds, what):
    """That moves the odds, but what was written still carries the verdict."""
    normal = odds(ABSENT)[0]
    moved = odds(ABSENT, hides(ABSENT, what))[0]
    assert moved != pytest.approx(normal, abs=1e-3)
    assert moved < odds(ABSENT, hides(ABSENT))[0]


def test_hidden_samples_read_their_beginning_once(odds):
    """The second of several samples finds all that comes before the verdict."""
    odds(ABSENT, hides(ABSENT), temperature=1.0, seed=1)
    reply = odds(ABSENT, hides(ABSENT), temperature=1.0, seed=2)[1]
    assert reply.usage.cached_tokens >= reply.usage.prompt_tokens - 10


@pytest.mark.parametrize(
    ("hidden", "changes"),
    [
        (Hidden(0, len(THERE)), {}),
        (Hidden(5, 4), {}),
        (Hidden(-1, 4), {}),
        (Hidden(1, 9, "image"), {"images": ()}),
    ],
)
def test_what_cannot_be_hidden(odds, hidden, changes):
    """Is said, with what could be."""
    with pytest.raises(UsageError):
        odds(THERE, hidden, **changes)


def test_a_model_that_is_not_known_to_mask_hides_nothing(converted, request_):
    """Another way to compute attention might pass over the mask without a word."""
    import outlines

    from faithful_decide.backends.outlines import OutlinesBackend

    other = load_backend(f"outlines/{converted}", device="cpu")
    other._model.config._attn_implementation = "flash_attention_2"

    blind = OutlinesBackend(outlines.from_transformers(other._model, other._processor))
    assert not blind.capabilities.knockout
    with pytest.raises(UnsupportedError):
        blind.generate(replace(request_, prefix=THERE, hidden=hides(THERE)))


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


def test_other_weights_are_another_model(converted, tmp_path):
    """On a disk and in memory, also where they differ in the middle only."""
    import outlines
    import torch
    from transformers import AutoProcessor, LlavaForConditionalGeneration

    from faithful_decide.backends.outlines import OutlinesBackend

    copy = tmp_path / "copy"
    shutil.copytree(converted, copy)

    def known():
        with closing(load_backend(f"outlines/{copy}", device="cpu")) as loaded:
            return loaded.identity

    first = known()
    assert known() == first
    (weights,) = copy.glob("*.safetensors")
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    assert known() != first

    model = LlavaForConditionalGeneration.from_pretrained(converted)
    live = outlines.from_transformers(model, AutoProcessor.from_pretrained(converted))
    before = OutlinesBackend(live).identity
    assert OutlinesBackend(live).identity == before
    with torch.no_grad():
        list(model.parameters())[7].view(-1)[3] += 1
    assert OutlinesBackend(live).identity != before


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
