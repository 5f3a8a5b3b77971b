"""A model by its name on the hub: the right files, or a typed error; from a hub of this machine."""

import os
import re
import subprocess
import sys
import threading
import time
from contextlib import closing
from importlib import resources
from pathlib import Path

import pytest

pytest.importorskip("xllamacpp")
pytest.importorskip("huggingface_hub")

from faithful_decide import decide
from faithful_decide._cli import main as cli
from faithful_decide.backends import load_backend
from faithful_decide.backends._llamacpp.choosing import is_inside
from faithful_decide.errors import (
    AuthError,
    BackendError,
    MissingExtraError,
    StorageError,
    TransientError,
    UsageError,
)
from tests.support.hub import Repo, local_hub, named
from tests.support.split import split

FOLDER = Path(str(resources.files("faithful_decide") / "embedded"))
MODEL, MMPROJ = ((FOLDER / file).read_bytes() for file in ("model.gguf", "mmproj.gguf"))
LIBRARY = "huggingface_hub"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A hub, and the library that speaks to it, which reads its variables when it is imported."""
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_library(name)}
    home = tmp_path_factory.mktemp("hf")
    with local_hub() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", server.address)
        patch.setenv("HF_HOME", str(home))
        patch.setenv("HF_TOKEN", "hf_secret")
        patch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        for name in ("HF_HUB_OFFLINE", "HF_HUB_CACHE", "TRANSFORMERS_OFFLINE"):
            patch.delenv(name, raising=False)
        server.home = home
        yield server
    for name in [name for name in sys.modules if _is_library(name)]:
        del sys.modules[name]
    sys.modules.update(before)


def _is_library(name):
    return name == LIBRARY or name.startswith(f"{LIBRARY}.")


@pytest.fixture
def offer(hub, request):
    """Puts a repository on the hub; gives its name."""

    def put(files=None, **how):
        words = re.findall("[A-Za-z0-9]+", request.node.name)
        name = f"owner/{'-'.join(words)[:70]}-{len(hub.repos)}-GGUF"
        hub.repos[name] = Repo(files or {"m-Q8_0.gguf": MODEL, "mmproj-m.gguf": MMPROJ}, **how)
        hub.asked.clear()
        return name

    return put


@pytest.fixture
def offline(hub, monkeypatch):
    """Forbids the library to ask, as HF_HUB_OFFLINE=1 does."""
    import huggingface_hub

    def forbid():
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)

    return forbid


def load(name, rest=""):
    return closing(load_backend(f"gguf/hf:{name}{rest}", n_ctx=1024, n_threads=1))


def blobs(hub):
    return [path for path in hub.home.rglob("blobs/*") if path.is_file()]


def test_a_model_by_its_name_decides(hub, offer, png):
    """As the same files do by their path, and they are fetched once."""
    name = offer()
    with load(name) as backend:
        decision = decide(png, "Is it red?", model=backend)
        assert backend.name == f"gguf/hf:{name}"
    assert sorted(hub.fetched()) == ["m-Q8_0.gguf", "mmproj-m.gguf"]
    with closing(load_backend(f"gguf/{FOLDER / 'model.gguf'}", n_ctx=1024, n_threads=1)) as same:
        assert decide(png, "Is it red?", model=same).receipt.raw == decision.receipt.raw
        assert same.identity == backend.identity
    with load(name) as again:
        assert again.identity == backend.identity
    assert hub.fetched() == []
    assert hub.tokens >= {"Bearer hf_secret"}


MORE = MODEL + b"\0"  # other content, of the same use
LAYOUTS = {
    "one file": ({"m.gguf": MODEL, "mmproj.gguf": MMPROJ}, "", "m.gguf", "mmproj.gguf"),
    "several quants, the usual one": (
        {"m-Q8_0.gguf": MORE, "m-Q4_K_M.gguf": MODEL, "m-F16.gguf": MORE, "mmproj-m.gguf": MMPROJ},
        "",
        "m-Q4_K_M.gguf",
        "mmproj-m.gguf",
    ),
    "several quants, one named": (
        {"m-Q8_0.gguf": MODEL, "m-Q4_K_M.gguf": MORE, "m.mmproj-f16.gguf": MMPROJ},
        ":q8_0",
        "m-Q8_0.gguf",
        "m.mmproj-f16.gguf",
    ),
    "a quant in a folder": (
        {"Q5_K/m-Q5_K.gguf": MODEL, "Q5_K_M/m-Q5_K_M.gguf": MORE, "mmproj-m.gguf": MMPROJ},
        ":Q5_K",
        "m-Q5_K.gguf",
        "mmproj-m.gguf",
    ),
    "two projectors of two precisions": (
        {"m.gguf": MODEL, "mmproj-m-f16.gguf": MORE, "mmproj-m-Q8_0.gguf": MMPROJ},
        "",
        "m.gguf",
        "mmproj-m-Q8_0.gguf",
    ),
    "two projectors, one named": (
        {"m.gguf": MODEL, "mmproj-a.gguf": MORE, "mmproj-b.gguf": MMPROJ},
        ":m.gguf#mmproj-b.gguf",
        "m.gguf",
        "mmproj-b.gguf",
    ),
    "other things beside it": (
        {
            "README.md": b"# model",
            "imatrix-m.gguf": MORE,
            "m.safetensors": MORE,
            "m.gguf": MODEL,
            "mmproj.gguf": MMPROJ,
        },
        "",
        "m.gguf",
        "mmproj.gguf",
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_right_files_of_a_layout(layout, hub, offer, offline):
    """And no other is fetched; without the hub the same ones are found in the cache."""
    files, rest, model, projector = LAYOUTS[layout]
    name = offer(files)
    with load(name, rest) as backend:
        identity = backend.identity
    assert sorted(hub.fetched()) == sorted([model, projector])
    offline()
    with load(name, rest) as backend:
        assert backend.identity == identity
    assert hub.asked == []


def test_a_model_in_parts(hub, offer, png, offline):
    """All parts are fetched; named by any of them, it starts with the first."""
    parts = split(MODEL, 3)
    files = {f"Q8_0/m-Q8_0-0000{n}-of-00003.gguf": part for n, part in enumerate(parts, 1)}
    name = offer({**files, "mmproj-m.gguf": MMPROJ})
    with load(name, ":Q8_0") as backend:
        raw = decide(png, "Is it red?", model=backend).receipt.raw
    assert len(hub.fetched()) == 4
    assert decide(png, "Is it red?", model="embedded").receipt.raw == raw
    offline()
    with load(name, ":m-Q8_0-00002-of-00003.gguf") as backend:
        assert decide(png, "Is it red?", model=backend).receipt.raw == raw


WRONG = {
    "no model": ({"mmproj.gguf": MMPROJ}, "", "no GGUF file of a model", "outlines/"),
    "no projector": ({"m.gguf": MODEL}, "", "it cannot see", "faithful-decide models"),
    "no such quant": (
        {"m-Q8_0.gguf": MODEL, "mmproj.gguf": MMPROJ},
        ":Q4_K_M",
        "no model in 'Q4_K_M'",
        "m-Q8_0.gguf",
    ),
    "two of a quant": (
        {"a-Q8_0.gguf": MODEL, "b-Q8_0.gguf": MORE, "mmproj.gguf": MMPROJ},
        ":Q8_0",
        "2 models",
        "a-Q8_0.gguf, b-Q8_0.gguf",
    ),
    "none is usual": (
        {"m-Q5_0.gguf": MODEL, "m-Q6_K.gguf": MORE, "mmproj.gguf": MMPROJ},
        "",
        "2 models",
        "m-Q5_0.gguf, m-Q6_K.gguf",
    ),
    "two projectors": (
        {"m.gguf": MODEL, "mmproj-a.gguf": MMPROJ, "mmproj-b.gguf": MORE},
        "",
        "2 projectors",
        "#MMPROJ",
    ),
    "no such projector": (
        {"m.gguf": MODEL, "mmproj-a.gguf": MMPROJ},
        "#other.gguf",
        "no projector 'other.gguf'",
        "mmproj-a.gguf",
    ),
    "a part is missing": (
        {"m-00001-of-00002.gguf": MODEL, "mmproj.gguf": MMPROJ},
        "",
        "2 parts, and 1 are missing",
        "another quantisation",
    ),
}


@pytest.mark.parametrize("layout", WRONG)
def test_a_layout_that_cannot_be_used(layout, hub, offer):
    """Is told before anything is fetched, with what there is instead."""
    files, rest, said, hint = WRONG[layout]
    with pytest.raises(UsageError, match=said) as caught, load(offer(files), rest):
        pass
    assert hint in caught.value.hint
    assert hub.fetched() == []


@pytest.mark.parametrize(
    "text",
    ["", "x", "/x", "x/", "../x", "a/../b", "a/b/c", "a/b:", "a/b#", "a b/c", "a/b\\n", "-a/b"],
)
def test_what_names_no_model(text):
    """Is refused before the hub is asked."""
    with pytest.raises(UsageError, match="does not name a model") as caught:
        load_backend(f"gguf/hf:{text}")
    assert "hf:OWNER/REPO" in caught.value.hint


@pytest.mark.parametrize(
    "file",
    [
        *("../m.gguf", "/etc/m.gguf", "a/../../m.gguf", "a//m.gguf", "..\\m.gguf", "C:m.gguf"),
        *("a/./m.gguf", "a\nb.gguf", "\x1b[2Jm.gguf", "x/ ./m.gguf", "m\u202egguf.gguf"),
    ],
)
def test_a_name_that_leads_elsewhere_is_no_file(file, hub, offer):
    """It is not fetched, and nothing is written outside of the cache."""
    assert not is_inside(file)
    before = set(hub.home.parent.rglob("*"))
    with pytest.raises(UsageError), load(offer({file: MODEL, "mmproj.gguf": MMPROJ})):
        pass
    with load(offer({file: MORE, "m.gguf": MODEL, "mmproj.gguf": MMPROJ})):
        pass
    assert sorted(hub.fetched()) == ["m.gguf", "mmproj.gguf"]
    assert all(hub.home in path.parents for path in set(hub.home.parent.rglob("*")) - before)


@pytest.mark.parametrize("etag", ["../../../evil", "/tmp/evil-etag", "0" * 64])
def test_a_hash_that_is_a_path(etag, hub, offer):
    """Or another one than is listed: nothing is fetched under it."""
    name = offer(etags={"m-Q8_0.gguf": etag})
    with pytest.raises(BackendError, match="under another hash"), load(name):
        pass
    assert hub.fetched() == []
    assert not list(hub.home.parent.rglob("*evil*"))
    assert not Path("/tmp/evil-etag").exists()


def test_a_download_that_is_cut_is_resumed(hub, offer, monkeypatch):
    """From where it broke off; the file is whole in the end."""
    import huggingface_hub

    # It writes down pieces of this size, of which a small file has only one.
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    name = offer(cuts=[len(MODEL) // 3, len(MODEL) // 3])
    with load(name):
        ranges = [said for how, path, said in hub.asked if how == "GET" and "m-Q8_0" in path]
    starts = [int(said.strip("bytes=-") or 0) for said in ranges]
    assert [round(3 * start / len(MODEL)) for start in starts] == [0, 1, 2]


def test_half_a_file_is_not_used(hub, offer, monkeypatch):
    """Neither now nor by whoever asks next; nothing of it stays."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    before = blobs(hub)
    name = offer(cuts=[2000, *[0] * 9])
    with pytest.raises(TransientError, match="could not be fetched") as caught, load(name):
        pass
    assert "run again" in caught.value.hint
    assert blobs(hub) == before
    hub.repos[name].cuts.clear()
    with load(name):
        pass


def test_a_process_that_is_killed_while_it_fetches(hub, offer):
    """Leaves nothing that the next one would take for a file."""
    name = offer(hold=threading.Event())
    code = f"from faithful_decide.backends import load_backend as l; l('gguf/hf:{name}')"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    while not any(how == "GET" and path.endswith("m-Q8_0.gguf") for how, path, _ in hub.asked):
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    hub.repos[name].hold.set()
    hub.repos[name].hold = None
    hub.asked.clear()
    with load(name):
        pass
    assert "m-Q8_0.gguf" in hub.fetched()


def test_another_content_than_is_listed(hub, offer):
    """Is taken out of the cache again, and told."""
    before = blobs(hub)
    bad = bytearray(MODEL)
    bad[len(bad) // 2] ^= 1
    name = offer({"m.gguf": bytes(bad), "mmproj.gguf": MMPROJ})
    hub.repos[name].listed = {"m.gguf": MODEL, "mmproj.gguf": MMPROJ}
    with pytest.raises(BackendError, match="came from the hub damaged"), load(name):
        pass
    # The right content may be there from another repository; the wrong one is not.
    assert {named(path.read_bytes()) for path in set(blobs(hub)) - set(before)} <= {named(MMPROJ)}


@pytest.mark.parametrize("how", ["shorter", "changed"])
@pytest.mark.parametrize("reach", ["online", "offline"])
def test_a_file_that_is_spoiled_in_the_cache(how, reach, hub, offer, offline):
    """Is not used; the error says what to delete, and then it is fetched again."""
    name = offer()
    with load(name):
        pass
    (link,) = (path for path in hub.home.rglob("m-Q8_0.gguf") if name.split("/")[1] in str(path))
    whole = link.read_bytes()
    spoiled = whole[: len(whole) // 2] if how == "shorter" else whole[:-1] + bytes([whole[-1] ^ 1])
    link.resolve().write_bytes(spoiled)
    if reach == "offline":
        offline()
    with pytest.raises(BackendError, match="in the cache is damaged") as caught, load(name):
        pass
    assert str(link) in caught.value.hint
    if reach == "online":
        link.resolve().unlink()
        link.unlink()
        with load(name):
            pass


def test_what_is_not_in_the_cache_offline(hub, offer, offline):
    """Says that asking is forbidden, or what of a model is missing."""
    name = offer({"a-Q8_0.gguf": MODEL, "a-Q4_K_M.gguf": MORE, "mmproj.gguf": MMPROJ})
    offline()
    with pytest.raises(UsageError, match="HF_HUB_OFFLINE forbids"), load(name):
        pass
    assert hub.asked == []


def test_another_quant_than_is_cached_offline(hub, offer, offline):
    """Is not silently replaced by the one that is there."""
    name = offer({"a-Q8_0.gguf": MODEL, "a-Q4_K_M.gguf": MORE, "mmproj.gguf": MMPROJ})
    with load(name, ":Q8_0"):
        pass
    offline()
    with pytest.raises(UsageError, match="not complete in the cache") as caught:
        load_backend(f"gguf/hf:{name}:Q4_K_M")
    assert "a-Q8_0.gguf" in caught.value.hint


def test_a_hub_that_is_gone(hub, offer, caplog):
    """What is cached is used, and it is said; what is not is an error that says where it was."""
    name = offer()
    with load(name) as backend:
        identity = backend.identity
    hub.repos[name].status = 503
    caplog.set_level("INFO", logger="faithful_decide")
    with load(name) as backend:
        assert backend.identity == identity
    assert "taking what is in the cache" in caplog.text
    with pytest.raises(TransientError, match=hub.address), load(offer(status=503)):
        pass


REFUSALS = [
    (401, "RepoNotFound", UsageError, "there is no repository", "hf auth login"),
    (404, "RepoNotFound", UsageError, "there is no repository", "check the name"),
    (403, "GatedRepo", AuthError, "accepted its terms", "HF_TOKEN"),
    (403, "", AuthError, "refuses", "HF_TOKEN"),
    (400, "", BackendError, "refused", "run again"),
    (429, "", TransientError, "could not be fetched", "run again"),
]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_hub_that_refuses(refusal, offer):
    """Is told as what it is, with the next step and without the token."""
    status, code, kind, said, hint = refusal
    with pytest.raises(kind, match=said) as caught, load(offer(status=status, code=code)):
        pass
    assert hint in caught.value.hint
    assert "hf_secret" not in f"{caught.value}{caught.value.hint}"


def test_no_room_for_it(offer, monkeypatch):
    """Says what the system said."""
    import huggingface_hub

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", full)
    with pytest.raises(StorageError, match="No space left") as caught, load(offer()):
        pass
    assert "HF_HOME" in caught.value.hint


def test_without_the_library(monkeypatch):
    """The install line is printed, and no hub is asked."""
    monkeypatch.setitem(sys.modules, LIBRARY, None)
    with pytest.raises(MissingExtraError, match="by its name on the hub") as caught:
        load_backend("gguf/hf:owner/model")
    assert "[hub]" in caught.value.hint


def test_two_at_once_fetch_a_whole_file(hub, offer):
    """Processes that start together do not disturb each other."""
    name = offer()
    code = f"from faithful_decide.backends import load_backend as l; l('gguf/hf:{name}').close()"
    started = [
        subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(2)
    ]
    for process in started:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err


def run(*arguments, **variables):
    return subprocess.run(
        [sys.executable, "-m", "faithful_decide", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | variables,
        timeout=120,
    )


def test_on_the_command_line(hub, offer, png, tmp_path):
    """A decision by a name, with a note about what is fetched; then the list of what there is."""
    picture, name = tmp_path / "p.png", offer()
    picture.write_bytes(png)
    done = run(
        "decide", str(picture), "Is it red?", "--model", f"gguf/hf:{name}", "-o", "n_ctx=1024"
    )
    assert done.returncode == 0, done.stderr
    assert f"fetching m-Q8_0.gguf of {name}" in done.stderr
    listed = run("models")
    assert f"gguf/hf:{name}" in listed.stdout
    assert "Apache-2.0" in listed.stdout
    done = run("decide", str(picture), "Is it?", "--model", "gguf/hf:owner/nobody")
    assert done.returncode == 2
    assert "error: there is no repository owner/nobody on the hub" in done.stderr


def test_models_that_are_cached(hub, offer, monkeypatch, capsys):
    """Each quantisation that is there with a projector, as a spec that loads it, and its size."""
    name = offer({"a-Q8_0.gguf": MODEL, "a-Q6_K.gguf": MORE, "mmproj.gguf": MMPROJ})
    for quant in ("Q8_0", "Q6_K"):
        with load(name, f":{quant}"):
            pass
    monkeypatch.setattr(sys, "argv", ["faithful-decide", "models"])
    assert cli.run() == 0
    out = capsys.readouterr().out
    specs = [line.split()[0] for line in out.splitlines() if name in line]
    assert len(specs) == 2
    for spec in specs:
        load_backend(spec, n_ctx=256).close()
    megabytes = (len(MODEL) + len(MMPROJ)) / 1e6
    assert f"{megabytes:.0f} MB" in out
