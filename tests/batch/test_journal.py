"""The journal answers what was asked before, nothing else, and survives what happens to files."""

import dataclasses
import os
import random
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing

import pytest

from faithful_decide import Decider, Question, StorageError, UsageError, decide
from faithful_decide._asking.decision import request_sha256
from faithful_decide._batch.entry import reply_data, reply_of, request_key
from faithful_decide._batch.journal import Journal
from faithful_decide._batch.journaled import kept
from faithful_decide._core.types import Reply, Token, Usage
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import prepare
from faithful_decide.backends.base import Hidden, Request
from faithful_decide.testing import ScriptedBackend, reply_text

QUESTION = "Is it red?"
FIRST_HASH = "fd2313bee638475478e3f857a67dc78a6a0c26f717f93fdd419200fc17b2e15a"


@pytest.fixture
def path(tmp_path):
    """Where a journal may be made."""
    return tmp_path / "squirrels.journal"


def always(verdict="yes", **options):
    return ScriptedBackend(lambda _: reply_text(verdict), **options)


def fill(journal):
    for number in range(1000):
        journal.remember(b"%d" % number, Reply("x" * 1000, "stop"))


def request(png, **changes):
    return Request("look", prepare(load_image(png)), "Is it?", {"a": 1, "b": 2}, 9, **changes)


def test_what_was_asked_before_is_not_asked_again(png, path):
    """Not by another decider, not in another process later; the decision is the same."""
    backend = always()
    first = decide(png, QUESTION, model=backend, journal=path)
    with Journal(path) as journal, Decider(backend, journal=journal) as decider:
        assert decider.decide(png, QUESTION) == first
    assert len(backend.requests) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"question": Question("Is it blue?")},
        {"question": Question(QUESTION, ("no", "yes"))},
        {"question": Question(QUESTION, abstain=False)},
        {"max_tokens": 9},
        {"samples": 2},
        {"model": always(name="another")},
    ],
)
def test_anything_else_is_asked(png, path, other):
    """Another question, order of verdicts, setting or model is another request."""
    backend = always()
    decide(png, QUESTION, model=backend, journal=path)
    call = {"question": QUESTION, "model": backend} | other
    before = len(call["model"].requests)
    decide(png, call.pop("question"), journal=path, **call)
    assert len(call["model"].requests) > before


def test_a_key_covers_every_field(png):
    """10 000 random changes of a request, its place or its backend are 10 000 other keys."""
    base, rng, backend = request(png), random.Random(3), always()
    keys = {request_key(base, 0, backend)}
    texts = ("system", "text", "prefix")
    for number in range(10_000):
        field = rng.choice([*texts, "max_tokens", "temperature", "seed", "top_logprobs", "schema"])
        value = f"{rng.random()}" if field in texts else number + 1
        value = {"b": number + 9, "a": 1} if field == "schema" else value
        keys.add(request_key(dataclasses.replace(base, **{field: value}), 0, backend))
    assert len(keys) == 10_001
    keys.add(request_key(base, 1, backend))
    keys.add(request_key(base, 0, always(name="b")))
    keys.add(request_key(dataclasses.replace(base, schema={"b": 2, "a": 1}), 0, backend))
    keys.add(request_key(dataclasses.replace(base, image=None), 0, backend))
    assert len(keys) == 10_005
    assert request_key(dataclasses.replace(base, timeout_s=3.0), 0, backend) in keys
    for hidden in (Hidden(0, 1), Hidden(0, 2), Hidden(1, 2), Hidden(0, 1, "text")):
        keys.add(request_key(dataclasses.replace(base, hidden=hidden), 0, backend))
    assert len(keys) == 10_009


def test_a_hash_is_what_it_was_before_something_could_be_hidden():
    """Replies that were paid for are still found, and old receipts still name their request."""
    asked = Request("", None, "Question: ?", {"b": 1, "a": 2}, 9, prefix="{", seed=1)
    assert request_sha256(asked) == FIRST_HASH
    assert request_sha256(dataclasses.replace(asked, hidden=Hidden(0, 0))) != FIRST_HASH


def test_another_version_asks_again(png, path, monkeypatch):
    """What a version makes of a request is its own."""
    backend = always()
    decide(png, QUESTION, model=backend, journal=path)
    monkeypatch.setattr("faithful_decide._batch.entry.__version__", "9")
    decide(png, QUESTION, model=backend, journal=path)
    assert len(backend.requests) == 2


def test_a_retry_is_another_reply(png, path):
    """A broken reply is found again as well, and so is the good one that followed it."""
    backend = ScriptedBackend(["broken", reply_text("yes")])
    first = decide(png, QUESTION, model=backend, journal=path, retries=1)
    assert first.receipt.attempts == 2
    assert decide(png, QUESTION, model=backend, journal=path, retries=1) == first


def test_samples_without_a_seed_are_found_again(png, path):
    """With a journal they are drawn from seed 0."""
    backend = always()
    for _ in range(2):
        decide(png, QUESTION, model=backend, journal=path, samples=5)
    assert len(backend.requests) == 5


def test_a_reply_comes_back_as_it_was():
    """Every field, and of the tokens all that scores are computed from."""
    verdict = Token(b'"ye', {b'"ye': -0.1, b"\xff": -3.0})
    tokens = (Token(b"{", {b"{": 0.0}), Token('"\u00e9'.encode(), {}), Token(b'"verdict":', {}))
    reply = Reply(
        "text\u00e9",
        "unknown",
        model="m",
        fingerprint="f",
        usage=Usage(1, None, 3),
        hidden_thinking_tokens=None,
        latency_s=0.5,
        tokens=(*tokens, verdict),
    )
    back = reply_of(reply_data(reply))
    assert dataclasses.replace(back, tokens=None) == dataclasses.replace(reply, tokens=None)
    assert b"".join(t.data for t in back.tokens) == b"".join(t.data for t in reply.tokens)
    assert back.tokens[-1] == verdict
    assert back.tokens[0].top == {}
    probe = dataclasses.replace(reply, tokens=(verdict,))
    assert reply_of(reply_data(probe)) == probe


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE replies SET data = replace(data, 'yes', 'no')",
        "UPDATE replies SET sum = NULL",
        "UPDATE replies SET data = x'ff'",
        "UPDATE replies SET data = '{}'",
        "UPDATE replies SET data = 3",
        "UPDATE replies SET key = zeroblob(32)",
        "UPDATE replies SET key = 'x'",
    ],
)
def test_a_damaged_entry_is_paid_for_again_and_mended(png, path, damage):
    """It is no entry, and never a verdict."""
    backend = always()
    decide(png, QUESTION, model=backend, journal=path)
    with closing(sqlite3.connect(path)) as db:
        db.execute(damage)
        db.commit()
    with Journal(path) as journal:
        assert [value for _, value in journal.entries("replies") if value] == []
    for _ in range(2):
        assert decide(png, QUESTION, model=backend, journal=path).verdict == "yes"
    assert len(backend.requests) == 2


def test_a_text_under_another_key_is_no_entry(path):
    """The checksum is of both."""
    with Journal(path) as journal:
        journal.remember(b"a", Reply("a", "stop"))
        with closing(sqlite3.connect(path)) as db:
            db.execute("INSERT INTO replies SELECT cast('b' AS BLOB), data, sum FROM replies")
            db.commit()
        assert journal.recall(b"a") == Reply("a", "stop")
        assert journal.recall(b"b") is None
        assert list(journal.keys("replies")) == [b"a"]


def test_the_first_reply_stays(path):
    """A decision that was reported does not change because somebody else asked, too."""
    with Journal(path) as one, Journal(path) as two:
        one.remember(b"k", Reply("first", "stop"))
        two.remember(b"k", Reply("second", "stop"))
        assert two.recall(b"k").text == "first"


def test_nobody_else_may_read_it(png, path):
    """Not the file, nor those beside it, whatever the umask."""
    before = os.umask(0)
    try:
        with Journal(path) as journal:
            decide(png, QUESTION, model=always(), journal=journal)
            modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert len(modes) == 3
    assert set(modes.values()) == {0o600}


def test_a_file_that_is_no_journal_is_left_alone(tmp_path):
    """Neither a text nor somebody else's database nor a folder is written to."""
    text, other = tmp_path / "text", tmp_path / "other.db"
    text.write_text("dear diary\n" * 500)
    with closing(sqlite3.connect(other)) as db:
        db.execute("CREATE TABLE mine (a)")
    for path in (text, other, tmp_path, tmp_path / "no" / "folder"):
        before = path.read_bytes() if path.is_file() else None
        with pytest.raises(StorageError) as caught:
            Journal(path)
        assert caught.value.hint
        assert before is None or path.read_bytes() == before


def test_a_full_disk_is_a_typed_error_and_loses_nothing(path):
    """What was written before is still there."""
    with Journal(path) as journal:
        journal._db.execute("PRAGMA max_page_count = 40")
        with pytest.raises(StorageError):
            fill(journal)
    with Journal(path) as journal:
        kept_keys = list(journal.keys("replies"))
        assert kept_keys == [b"%d" % n for n in range(len(kept_keys))]
        assert kept_keys
        journal.remember(b"more", Reply("x", "stop"))


def test_threads_and_processes_may_share_it(path):
    """Nothing is lost, and nobody is turned away."""
    code = """
import sys
from faithful_decide._batch.journal import Journal
from faithful_decide._core.types import Reply
with Journal(sys.argv[1]) as journal:
    for number in range(200):
        journal.remember(f"{sys.argv[2]}/{number}".encode(), Reply("x" * 500, "stop"))
"""
    others = [subprocess.Popen([sys.executable, "-c", code, path, str(n)]) for n in range(3)]
    with Journal(path) as journal:

        def write(name):
            for number in range(200):
                journal.remember(f"{name}/{number}".encode(), Reply("x" * 500, "stop"))

        threads = [threading.Thread(target=write, args=(f"t{n}",)) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [other.wait(60) for other in others] == [0, 0, 0]
        assert len(list(journal.keys("replies"))) == 1200


def test_a_closed_journal_says_so(path):
    """And so does one that was opened before a fork."""
    journal = Journal(path)
    journal.close()
    journal.close()
    with pytest.raises(UsageError):
        journal.recall(b"k")
    with Journal(path) as journal:
        journal._pid -= 1
        with pytest.raises(UsageError):
            journal.recall(b"k")
        journal._pid += 1


def test_what_is_paid_is_counted(png):
    """Also without a journal; a price that is not known is not 0."""
    reply = Reply(reply_text("yes"), "stop", model="gpt-4o-mini", usage=Usage(1_000_000, None, 0))
    counted = kept(ScriptedBackend(lambda _: reply, name="openai/gpt-4o-mini"))
    decide(png, QUESTION, model=counted)
    assert (counted.paid, counted.recalled, float(counted.cost_usd)) == (1, 0, 0.15)
    local = kept(always())
    decide(png, QUESTION, model=local)
    assert local.cost_usd is None


def test_the_embedded_model_is_known_by_its_weights(png, path):
    """And what it replied is found with its scores."""
    pytest.importorskip("xllamacpp")
    with Decider("embedded", journal=path) as decider:
        first = decider.decide(png, QUESTION)
        assert "llama.cpp" in decider.backend.identity
        assert decider.decide(png, QUESTION) == first
        assert first.scores is not None
        assert (decider.backend.paid, decider.backend.recalled) == (1, 1)
