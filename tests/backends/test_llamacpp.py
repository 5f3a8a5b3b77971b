"""llama.cpp in process: the embedded model, and what can be wrong with a GGUF file."""

import gc
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest
from contract import REPLY, BackendContract
from hypothesis import assume, given
from hypothesis import strategies as st

from faithful_decide import Decider
from faithful_decide._core.contract import Content, render
from faithful_decide._core.schema import LEVELS, filled, schema
from faithful_decide._core.types import Observation, Reservation
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import PreparedImage, prepare
from faithful_decide.backends import load_backend
from faithful_decide.backends._digest import digest
from faithful_decide.backends._grammar import regex_of_rest
from faithful_decide.backends._llamacpp.gguf import find_pair, parts_of
from faithful_decide.backends.base import Request
from faithful_decide.backends.llamacpp import LlamaCppBackend
from faithful_decide.errors import (
    BackendError,
    MissingExtraError,
    UnsupportedError,
    UsageError,
)

pytest.importorskip("xllamacpp")

FOLDER = Path(str(resources.files("faithful_decide") / "embedded"))
LABELS = ("yes", "no", "cannot_tell")


@pytest.fixture(scope="module")
def backend():
    """The embedded model."""
    with_model = load_backend("embedded")
    yield with_model
    with_model.close()


@pytest.fixture(scope="module")
def gguf():
    """The same pair, loaded by its path and remembering nothing."""
    spec = f"gguf/{FOLDER / 'model.gguf'}"
    loaded = load_backend(spec, n_ctx=1024, n_threads=1, reuse=False)
    yield loaded
    loaded.close()


@pytest.fixture
def fresh():
    """Another one, to be closed."""
    return load_backend("embedded")


@pytest.fixture
def image(backend, picture):
    """The picture as the model sees it."""
    return prepare(load_image(picture), backend.capabilities.image_limits)


@pytest.fixture
def pair(tmp_path):
    """A folder with copies of the two files."""
    for file in ("model.gguf", "mmproj.gguf"):
        shutil.copy(FOLDER / file, tmp_path)
    return tmp_path


class TestEmbedded(BackendContract):
    """The embedded model keeps the contract of backends."""


class TestGguf(BackendContract):
    """So does the same pair as somebody's GGUF files, each request computed afresh."""

    @pytest.fixture
    def backend(self, gguf):
        """The pair by its path."""
        return gguf


# ------------------------------------------------------------------------------ grammar

words = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
contents = st.builds(
    Content,
    st.lists(st.builds(Observation, about=words, seen=words), min_size=1, max_size=3).map(tuple),
    words,
    st.sampled_from(LABELS),
    st.lists(st.integers(0, 20), max_size=3).map(tuple),
    st.none() | st.builds(Reservation, level=st.sampled_from(LEVELS), why=words),
)


def rest(form, prefix=""):
    """The expression for what may follow a prefix, to match with."""
    return re.compile(regex_of_rest(form, prefix))


@given(contents, st.data())
def test_rest_of_a_reply_is_what_the_grammar_allows(content, data):
    """Cut anywhere, the rest fits the grammar for the rest; with a blank more it does not."""
    objecting = content.reservation is not None
    reply, form = render(content), schema(LABELS, reservation=objecting)
    cut = data.draw(st.integers(0, len(reply) - 1))
    allowed = rest(form, reply[:cut])
    assert allowed.fullmatch(reply[cut:])
    assert not allowed.fullmatch(reply[cut:] + " ")
    assert not allowed.fullmatch(reply[cut:-1])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"observations": ', '"observations":'),
        ("}, {", "},{"),
        (', "verdict"', ',  "verdict"'),
        ('"yes"', '"Yes"'),
        ('"yes"', '"maybe"'),
        ("}], ", "}],\n"),
        ('"n": 2', '"n": 2.0'),
        ("[1]", "[ 1]"),
        ("the dog is", "the dog\nis"),
        ("the dog is", "\\ud800"),
        ("the dog is", "\\x"),
        ('"about": "the dog", ', ""),
    ],
)
def test_grammar_allows_one_layout(old, new):
    """Other blanks, other verdicts, bad escapes and missing keys are not allowed."""
    whole = rest(schema(LABELS))
    assert whole.fullmatch(REPLY)
    assert old in REPLY
    assert not whole.fullmatch(REPLY.replace(old, new, 1))


@given(
    st.lists(st.text(st.sampled_from('ab(|)*"\\\n\0\1/.ü'), max_size=3), min_size=1, unique=True),
    st.text(st.sampled_from('ab(|)*"\\\n\0\1/.ü'), max_size=3),
    st.data(),
)
def test_grammar_allows_the_labels_and_no_other(labels, other, data):
    """Also where one begins another, is empty, or is full of signs that mean something."""
    ways = [json.dumps(label, ensure_ascii=False) for label in labels]
    way = json.dumps(data.draw(st.sampled_from([*labels, other])), ensure_ascii=False)
    cut = data.draw(st.integers(0, len(way)))
    if data.draw(st.booleans()):
        labels = [*labels, *(f"x{i}" for i in range(40))]  # so many are written in another way
    begun = [start for start in ways if start.startswith(way[:cut])]
    assume(begun)
    allowed = rest({"enum": labels}, way[:cut])
    assert bool(allowed.fullmatch(way[cut:])) == (way in ways)
    assert all(allowed.fullmatch(start[cut:]) for start in begun)


def test_grammar_keeps_the_order_of_the_keys():
    """The same object with its keys in another order is not allowed."""
    whole = rest(schema(LABELS))
    keys = json.loads(REPLY)
    turned = json.dumps(dict(reversed(keys.items())), ensure_ascii=False)
    assert whole.fullmatch(json.dumps(keys, ensure_ascii=False))
    assert not whole.fullmatch(turned)


@pytest.mark.parametrize("prefix", ["nope", '{"verdict": "yes"', REPLY + " ", '{"observations":['])
def test_prefix_that_fits_no_reply(backend, image, prefix):
    """A prefix that no reply can start with is refused before the model is called."""
    request = Request("", (image,), "x", schema(LABELS), 5, prefix=prefix)
    with pytest.raises(UsageError, match="prefix"):
        backend.generate(request)


@pytest.mark.parametrize(
    "form",
    [
        {"type": "string", "maxLength": 3},
        {"type": "number"},
        {"type": ["string", "null"]},
        {"anyOf": [{"type": "string"}]},
        {"$ref": "#"},
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": []},
        {"type": "array", "items": {"type": "string"}, "maxItems": 2},
    ],
)
def test_schema_that_cannot_be_kept(form):
    """What the grammar cannot express is refused, never ignored."""
    with pytest.raises(UnsupportedError):
        regex_of_rest(form)


def test_finished_prefix_leaves_nothing(backend, image):
    """A prefix that is a whole reply comes back as it is."""
    request = Request("", (image,), "x", schema(LABELS), 5, prefix=REPLY)
    reply = backend.generate(request)
    assert (reply.text, reply.finish) == (REPLY, "stop")


def test_labels_of_any_script(backend, image):
    """Labels with quotes, slashes and other scripts are offered letter by letter."""
    labels = ('a "b"/c\\d', "日本 ü 🐶", "(x|y)*+?")
    request = Request("", (image,), "x", schema(labels), 60, prefix=REPLY[:-5])
    for label in labels:
        forced = replace(request, schema=schema((label, label)))
        assert json.loads(backend.generate(forced).text)["verdict"] == label


@pytest.mark.parametrize("cut", [0, 40, len(REPLY) - 5])
def test_random_words_are_kept_to_the_grammar(backend, image, cut):
    """Where the model writes at random, all that stops it is the engine's reading of the grammar.

    What it wrote can be continued to a reply: the language of the rest is not empty.
    """
    labels = ("yes", "no", 'a "b"/c\\d', "日本 ü", "(x|y)*+?", *(f"label {i}" for i in range(40)))
    form = schema(labels)
    request = Request("", (image,), "x", form, 60, prefix=REPLY[:cut], temperature=40.0)
    written = [backend.generate(replace(request, seed=seed)).text for seed in range(24)]
    assert len(set(written)) > 6
    for text in written:
        # The limit may have cut a character of several bytes.
        regex_of_rest(filled(form), text.rstrip("\ufffd"))


# ------------------------------------------------------------------------------ scores


def test_log_probabilities_are_those_of_the_model(backend, image):
    """They are the same under a grammar that leaves one verdict and under none."""
    request = Request("", (image,), "x", None, 1, prefix=REPLY[:-5], top_logprobs=2000)
    (free,) = backend.generate(request).tokens
    (forced,) = backend.generate(replace(request, schema=schema(("no",)))).tokens
    assert forced.data in {b"n", b"no"}
    assert forced.top == free.top
    assert len(free.top) > 1000


def test_prefix_may_end_inside_a_label(backend, image):
    """Labels that share their beginning can be told apart from where it ends."""
    start = REPLY[:-5] + "le"
    form = schema(("left side", "left edge", "le", "right"))
    reply = backend.generate(Request("", (image,), "x", form, 40, prefix=start, top_logprobs=20))
    assert json.loads(reply.text)["verdict"] in {"left side", "left edge", "le"}
    assert start.encode() + b"".join(token.data for token in reply.tokens) == reply.text.encode()


def test_no_reuse_means_none(gguf, image):
    """Without reuse nothing is taken over, not even from the same request."""
    for _ in range(2):
        reply = gguf.generate(Request("", (image,), "x", None, 1))
        assert reply.usage.cached_tokens == 0


# ------------------------------------------------------------------------------ reuse and text


def test_second_question_reuses_the_image(backend, image):
    """What was computed of an image is taken over, also after another image."""
    other = replace(image, data=image.data + b"\0")
    for picture_, text in ((image, "a"), (image, "b"), (other, "a"), (image, "c")):
        reply = backend.generate(Request("", (picture_,), f"Question: {text}?", None, 1))
    assert reply.usage.cached_tokens >= 65


def test_reply_does_not_depend_on_what_was_cached(image):
    """Log-probabilities are the same to the last bit, however much of the request was at hand."""
    differing = []
    with closing(load_backend("embedded")) as backend:
        for cut in range(1, len(REPLY) - 3, 3):
            request = Request("", (image,), "Is it?", None, 1, prefix=REPLY[:cut], top_logprobs=50)
            found = set()
            for before in ("", REPLY[: cut // 2], REPLY[: cut - 1], REPLY[:cut], REPLY[: cut + 3]):
                backend.generate(replace(request, prefix=before, top_logprobs=0))
                reply = backend.generate(request)
                found.add(str(reply.tokens))
            if len(found) > 1:
                differing.append(cut)
    assert not differing
    assert reply.usage.cached_tokens > 65


@pytest.mark.parametrize(
    "marker", ["<__media__>", "<image>", "<|image|>", "[IMG]", "<__media_1__>"]
)
def test_text_cannot_add_an_image(backend, image, marker):
    """Words that look like the place of an image are words."""
    plain, marked = (
        backend.generate(Request("", (image,), f"Question: {text}?", None, 1)).usage.prompt_tokens
        for text in ("x", f"x{marker}")
    )
    assert marked - plain < 30


def test_embedded_model_needs_no_system_message(backend, image):
    """Its template drops the system message, which it was never trained with."""
    sizes = {
        backend.generate(Request(system, (image,), "x", None, 1)).usage.prompt_tokens
        for system in ("", "You decide a question about an image.")
    }
    assert len(sizes) == 1


# ------------------------------------------------------------------------------ failures


def test_context_overflow(backend, gguf, image):
    """The caller is told how long the request is and what can be done; the next one works."""
    for model, can_be_larger in ((backend, False), (gguf, True)):
        with pytest.raises(
            UsageError, match=r"\d{4} tokens long, and the context holds 1024"
        ) as caught:
            model.generate(Request("", (image,), "word " * 3000, None, 5))
        assert ("n_ctx" in caught.value.hint) == can_be_larger
        assert model.generate(Request("", (image,), "x", None, 2)).text


def test_image_that_cannot_be_decoded(backend):
    """Bytes that are no image are named as the cause."""
    broken = PreparedImage(b"not an image", "image/png", 128, 128, "")
    with pytest.raises(BackendError, match="image"):
        backend.generate(Request("", (broken,), "x", None, 5))


def test_files_that_are_missing_or_wrong(pair):
    """Each wrong file is named before an engine is started."""
    model = pair / "model.gguf"
    (pair / "text.gguf").write_text("hello")
    for spec, match in (
        ("", "path"),
        (f"{pair}/none.gguf", "none.gguf"),
        (f"{pair}", str(pair)),
        (f"{pair}/text.gguf", "not a GGUF file"),
        (f"{model}#{pair}/none.gguf", "none.gguf"),
        (f"{model}#text.gguf", "not a GGUF file"),
    ):
        with pytest.raises(UsageError, match=re.escape(match)):
            load_backend(f"gguf/{spec}")


def test_projector_is_found_beside_the_model(pair):
    """One projector beside the model is used; none or several are an error that names the cure."""
    model = pair / "model.gguf"
    load_backend(f"gguf/{model}", n_ctx=256).close()
    load_backend(f"gguf/{model}#mmproj.gguf", n_ctx=256).close()
    shutil.copy(pair / "mmproj.gguf", pair / "other-mmproj.gguf")
    with pytest.raises(UsageError, match="2 projectors") as caught:
        load_backend(f"gguf/{model}")
    assert "#MMPROJ" in caught.value.hint
    (pair / "other-mmproj.gguf").rename(pair / "mmproj-model.gguf")
    load_backend(f"gguf/{model}", n_ctx=256).close()
    for file in pair.glob("*mmproj*"):
        file.unlink()
    with pytest.raises(UsageError, match="no projector") as caught:
        load_backend(f"gguf/{model}")
    assert "#MMPROJ" in caught.value.hint


def test_a_path_may_have_the_sign_that_cuts_it(pair, tmp_path):
    """It is cut where a file ends."""
    folder = tmp_path / "a#b.gguf"
    folder.mkdir()
    for file in ("model.gguf", "mmproj.gguf"):
        shutil.copy(pair / file, folder / f"c#{file}")
    model, projector = folder / "c#model.gguf", folder / "c#mmproj.gguf"
    for spec in (f"{model}", f"{model}#{projector}", f"{model}#c#mmproj.gguf"):
        assert find_pair(spec) == (model, projector)
    for spec, named in (("x#y.gguf#z", "x#y.gguf"), ("none.gguf#z.gguf", "none.gguf")):
        with pytest.raises(UsageError, match=re.escape(repr(named))):
            find_pair(spec)


def test_other_weights_are_another_model(pair, png):
    """Wherever they differ, and in each part of a model that was split; a copy is the same."""
    model = pair / "model.gguf"

    def known(spec=f"gguf/{model}"):
        with closing(load_backend(spec, n_ctx=256)) as loaded:
            return loaded.identity

    first = known()
    assert known() == first
    copy = pair / "copy.gguf"
    shutil.copy(model, copy)
    assert known(f"gguf/{copy}#mmproj.gguf") == first
    for file in (model, pair / "mmproj.gguf"):
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
        assert known() != first
    parts = [pair / f"m-0000{number}-of-00002.gguf" for number in (1, 2)]
    assert parts_of(parts[0]) == parts_of(parts[1]) == parts
    assert parts_of(model) == [model]


def test_no_byte_of_a_large_file_is_left_out(tmp_path, monkeypatch):
    """It is hashed in parts."""
    monkeypatch.setattr("faithful_decide.backends._digest._PART", 1000)
    file, seen = tmp_path / "file", set()
    for place in (None, 0, 999, 1000, 1500, 3455):
        data = bytearray(3456)
        if place is not None:
            data[place] = 1
        file.write_bytes(data)
        seen.add(digest([file]))
    assert len(seen) == 6


def test_the_journal_does_not_mix_them_up(pair, png):
    """A reply of one set of weights is no reply of another."""
    spec, path = f"gguf/{pair / 'model.gguf'}", pair / "journal"
    asked = ("Is it red?",)
    with Decider(spec, journal=path, n_ctx=1024) as decider:
        decider.decide(png, *asked)
        assert (decider.backend.paid, decider.backend.recalled) == (1, 0)
    data = bytearray((pair / "mmproj.gguf").read_bytes())
    data[len(data) // 2] ^= 1
    (pair / "mmproj.gguf").write_bytes(data)
    with Decider(spec, journal=path, n_ctx=1024) as decider:
        decider.decide(png, *asked)
        assert (decider.backend.paid, decider.backend.recalled) == (1, 0)


@pytest.mark.parametrize("damage", ["cut", "swapped"])
def test_files_that_cannot_be_loaded(pair, damage):
    """A damaged model, or the two files exchanged, is an error and not the end of the process."""
    model, mmproj = pair / "model.gguf", pair / "mmproj.gguf"
    if damage == "cut":
        model.write_bytes(model.read_bytes()[:100_000])
    else:
        model, mmproj = mmproj, model
    with pytest.raises(BackendError, match="cannot load") as caught:
        load_backend(f"gguf/{model}#{mmproj}")
    assert caught.value.hint


@pytest.mark.parametrize("option", [{"n_ctx": 0}, {"n_threads": 0}, {"n_threads": "2"}])
def test_numbers_that_cannot_be_used(option):
    """Sizes and counts are checked by their names."""
    with pytest.raises(UsageError, match=next(iter(option))):
        load_backend(f"gguf/{FOLDER / 'model.gguf'}", **option)


def test_embedded_takes_no_name():
    """There is one embedded model."""
    with pytest.raises(UnsupportedError):
        load_backend("embedded/large")


def test_missing_engine(monkeypatch):
    """Without the engine the error prints the line that installs it."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(MissingExtraError) as caught:
        load_backend("embedded")
    assert "[embedded]" in caught.value.hint


# ------------------------------------------------------------------------------ the listener


def sockets(pid):
    """The sockets of a process, by the tables of the kernel, whose lines change all the time."""
    files = Path(f"/proc/{pid}/fd").iterdir()
    links = (str(file.readlink()) for file in files if file.is_symlink())
    own = {link[len("socket:[") : -1] for link in links if link.startswith("socket:")}
    return {
        (kind, inode)
        for kind in ("tcp", "tcp6", "unix")
        for line in Path(f"/proc/{pid}/net/{kind}").read_text().splitlines()
        for inode in own.intersection(line.split())
    }


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("folder", [None, "x" * 120, "not/there"])
def test_nobody_can_connect_to_the_engine(monkeypatch, tmp_path, folder):
    """It listens on no port, and on a socket whose name is gone; wherever temporary files lie."""
    if folder is not None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / folder))
        if "/" not in folder:
            (tmp_path / folder).mkdir()
    before = sockets(os.getpid())
    with closing(load_backend("embedded")) as backend:
        opened = sockets(os.getpid()) - before
        assert {kind for kind, _ in opened} == {"unix"}
        address = Path(backend._engine._server.get().listening_address.removeprefix("unix://"))
        assert not address.parent.exists()
        assert backend.generate(Request("", (), "Question: Is there a dog?", None, 2)).text
    assert sockets(os.getpid()) <= before


def status_of(url, key=None, body=None):
    """What a route answers."""
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_where_there_are_no_such_sockets(monkeypatch, capfd):
    """It is on this machine only, wants a key on every route, and the key is kept nowhere."""
    monkeypatch.delattr(socket, "AF_UNIX")
    known = "k" * 43
    monkeypatch.setattr(secrets, "token_urlsafe", lambda _: known)
    backend = load_backend("embedded")
    server = backend._engine._server.get()
    monkeypatch.undo()
    address = server.listening_address
    assert address.startswith("http://127.0.0.1:")
    chat = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
    posts = {
        "/v1/chat/completions": chat,
        "/chat/completions": chat,
        "/completion": {"prompt": "hi", "n_predict": 1},
        "/v1/completions": {"prompt": "hi", "max_tokens": 1},
        "/tokenize": {"content": "hi"},
        "/infill": {"input_prefix": "a", "input_suffix": "b"},
        "/v1/messages": chat,
        "/v1/responses": {"input": "hi"},
        "/v1/embeddings": {"input": "hi"},
        "/apply-template": chat,
        "/props": {"a": 1},
        "/slots/0?action=erase": {"a": 1},
    }
    for route, body in posts.items():
        assert status_of(address + route, body=body) == 401, route
        assert status_of(address + route, key="wrong", body=body) == 401, route
    for route in ("/v1/models", "/props", "/slots", "/metrics", "/lora-adapters"):
        assert status_of(address + route) == 401, route
    assert status_of(address + "/v1/chat/completions", key=known, body=chat) == 200
    for kept in (backend, backend._engine, server):
        assert known not in repr(kept)
        assert known not in str(getattr(kept, "__dict__", ""))
    del server
    backend.close()
    assert capfd.readouterr() == ("", "")


def test_keys_are_random(monkeypatch):
    """Each engine draws its own key, of full length."""
    drawn = []
    draw = secrets.token_urlsafe
    monkeypatch.setattr(secrets, "token_urlsafe", lambda n: drawn.append(draw(n)) or drawn[-1])
    for _ in range(2):
        load_backend("embedded").close()
    assert len(set(drawn)) == 2
    assert min(map(len, drawn)) >= 32


# ------------------------------------------------------------------------------ shutdown


def run_python(code):
    """Run a program on its own, for a minute at most."""
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


LOAD = """
from faithful_decide.backends import load_backend
for _ in range(20):
    load_backend("embedded").close()
"""


def test_engine_may_end_at_once():
    """A backend that is closed before it was asked anything is closed, every time."""
    done = run_python(LOAD)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_close_while_calls_are_running(fresh):
    """Calls that had begun are answered, later ones are told, and nothing waits for ever."""
    request = Request("", (), "Question: Is there a dog?", None, 30)

    def work(_):
        outcomes = []
        for _ in range(50):
            try:
                outcomes.append(fresh.generate(request).text)
            except UsageError as error:
                outcomes.append(str(error))
        return outcomes

    with ThreadPoolExecutor(4) as pool:
        results = pool.map(work, range(4))
        fresh.generate(request)
        fresh.close()
        outcomes = {outcome for found in results for outcome in found}
    assert "this model is closed" in outcomes
    assert len(outcomes) <= 2


ASK = """
import os, sys, threading, time
from faithful_decide.backends.base import Request
from faithful_decide.backends.llamacpp import LlamaCppBackend
from faithful_decide.backends import load_backend
backend = load_backend("embedded")
request = Request("", (), "Question: Is there a dog?", None, 4)
backend.generate(request)

def endless():
    while True:
        backend.generate(request)

"""


@pytest.mark.parametrize(
    "end",
    [
        "",
        "backend.close()",
        "backend.close(); backend.close()",
        "del backend",
        "sys.modules['kept'] = backend",
        "backend.cycle = backend; del backend",
        "sys.exit(0)",
        "threading.Thread(target=lambda: [backend.generate(request) for _ in range(20)]).start()",
        "for _ in range(4): threading.Thread(target=endless, daemon=True).start()",
    ],
)
def test_process_ends_quietly(end):
    """However a program ends, it ends, and without a word."""
    done = run_python(ASK + end)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_last_reference_releases_the_engine(picture):
    """One that nobody holds any more ends at once, without waiting for garbage to be collected."""
    gc.disable()
    try:
        decider = Decider("embedded")
        decider.decide(picture, "Is there a dog?")
        backend = decider.backend
        while not isinstance(backend, LlamaCppBackend):
            backend = backend.backend
        engine, server = weakref.ref(backend._engine), backend._engine._server
        del decider, backend
        assert engine() is None
        assert server.get() is None
    finally:
        gc.enable()


def test_engines_that_only_garbage_holds_do_not_pile_up():
    """The next one to be loaded collects them."""
    engines = []
    for _ in range(3):
        backend = load_backend("embedded")
        backend.cycle = backend
        engines.append(weakref.ref(backend._engine))
        del backend
    load_backend("embedded").close()
    assert [engine() for engine in engines] == [None] * 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_forked_child_is_told():
    """A child that uses its parent's engine gets an error, may drop it, and both come to an end."""
    done = run_python(
        ASK
        + """
import multiprocessing, warnings
from faithful_decide.errors import UsageError
warnings.simplefilter("ignore")

def work():
    global backend
    try:
        backend.generate(request)
    except UsageError as error:
        print(error, flush=True)
    backend.close()
    del backend

child = multiprocessing.get_context("fork").Process(target=work)
child.start()
child.join()
print(child.exitcode, bool(backend.generate(request).text))
"""
    )
    assert "forked" in done.stdout
    assert done.stdout.endswith("\n0 True\n")
    assert (done.returncode, done.stderr) == (0, "")


POOL = """
import multiprocessing, warnings
warnings.simplefilter("ignore")

def work(_):
    load_backend("embedded").close()
    return "loaded"

with multiprocessing.get_context("fork").Pool(2) as pool:
    try:
        print(pool.map_async(work, range(4)).get(30))
    except Exception as error:
        print(type(error).__name__, error, error.hint)
"""
PLAIN = """
if os.fork() == 0:
    load_backend("embedded")
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_forked_child_of_an_open_model_cannot_load_another():
    """It would crash when that is closed. It is told what to do, and comes to an end."""
    done = run_python(ASK + POOL)
    assert done.stdout.startswith(
        "UsageError a model cannot be loaded in a process that was forked"
    )
    assert "spawn" in done.stdout
    assert (done.returncode, done.stderr) == (0, "")
    done = run_python(ASK + "backend.close()" + POOL)
    assert (done.returncode, done.stdout) == (0, "['loaded', 'loaded', 'loaded', 'loaded']\n")
    if sys.platform == "linux":
        done = run_python(ASK + PLAIN)
        assert (done.returncode, done.stdout) == (0, "1\n")
        assert "forked while one was open" in done.stderr


def test_grammar_leaves_nothing_empty():
    """No list without an observation, no empty text where the contract wants one."""
    allowed = rest(filled(schema(LABELS)))
    seen = '{"about": "a", "n": 1, "seen": "b"}'
    whole = '{{"observations": [{}], "reasoning": "{}", "relies_on": [], "verdict": "yes"}}'
    assert allowed.fullmatch(whole.format(seen, "a b c"))
    assert not allowed.fullmatch(whole.format("", "a b c"))
    assert not allowed.fullmatch(whole.format(seen.replace("b", ""), "a b c"))
    assert not allowed.fullmatch(whole.format(seen, "a b "))
