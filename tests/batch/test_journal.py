"""The journal answers what was asked before, nothing else, and survives what happens to files."""

import dataclasses
import os
import random
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from faithful_decide import Decider, Question, StorageError, UsageError, decide
from faithful_decide._asking.decision import request_sha256
from faithful_decide._batch.entry import reply_data, reply_of, request_key
from faithful_decide._batch.journal import Journal
from faithful_decide._batch.journal_entries import checksum
from faithful_decide._batch.journaled import journaled
from faithful_decide._core.types import Reply, Token, Usage
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import prepare
from faithful_decide.backends.base import Hidden, Request
from faithful_decide.testing import ScriptedBackend, reply_text

QUESTION = "Is it red?"
FIRST_HASH = "29f3019f981a83f91dd0063d0c40409b42c1008ec59c87261dca88bf26b93c4c"


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
    return Request("look", (prepare(load_image(png)),), "Is it?", {"a": 1, "b": 2}, 9, **changes)


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
    keys = {request_key(base, backend)}
    texts = ("system", "text", "prefix")
    for number in range(10_000):
        field = rng.choice([*texts, "max_tokens", "temperature", "seed", "top_logprobs", "schema"])
        value = f"{rng.random()}" if field in texts else number + 1
        value = {"b": number + 9, "a": 1} if field == "schema" else value
        keys.add(request_key(dataclasses.replace(base, **{field: value}), backend))
    assert len(keys) == 10_001
    keys.add(request_key(dataclasses.replace(base, nth=1), backend))
    keys.add(request_key(base, always(name="b")))
    keys.add(request_key(dataclasses.replace(base, schema={"b": 2, "a": 1}), backend))
    keys.add(request_key(dataclasses.replace(base, images=()), backend))
    assert len(keys) == 10_005
    assert request_key(dataclasses.replace(base, timeout_s=3.0), backend) in keys
    for hidden in (Hidden(0, 1), Hidden(0, 2), Hidden(1, 2), Hidden(0, 1, "text")):
        keys.add(request_key(dataclasses.replace(base, hidden=hidden), backend))
    assert len(keys) == 10_009


def test_a_hash_is_what_it_was_before_something_could_be_hidden():
    """Replies that were paid for are still found, and old receipts still name their request."""
    asked = Request("", (), "Question: ?", {"b": 1, "a": 2}, 9, prefix="{", seed=1)
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
    journal = Journal(path)
    journal._db.get().execute("PRAGMA max_page_count = 40")
    with pytest.raises(StorageError):
        fill(journal)
    with pytest.warns(UserWarning, match="closed without 1"):
        journal.close()
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
from faithful_decide._batch.journal_entries import checksum
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
    """It does nothing any more, and says why."""
    journal = Journal(path)
    journal.close()
    journal.close()
    with pytest.raises(UsageError, match="closed"):
        journal.recall(b"k")


# ------------------------------------------------------------------- several of them, and kills


def run_python(code, *arguments, **options):
    """Run a program on its own."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


BEGIN = """
import json, os, subprocess, sys, threading
from faithful_decide import Journal
from faithful_decide._core.types import Reply
path = sys.argv[1]
"""
TWO_IN_A_PROCESS = """
first = Journal(path)
first.remember(b"first", Reply("x", "stop"))
second = Journal(path)
another = BEGIN + 'with Journal(path) as journal: journal.remember(b"another", Reply("x", "stop"))'
subprocess.run([sys.executable, "-c", another, path], check=True)
for number in range(100):
    first.remember(b"%d" % number, Reply("x", "stop"))
os._exit(9)
"""


def test_a_second_journal_of_a_process_takes_no_lock_from_the_first(path):
    """Or another process would take itself for the last, and delete what was just written."""
    code = f"BEGIN = {BEGIN!r}{BEGIN}{TWO_IN_A_PROCESS}"
    assert run_python(code, path).returncode == 9
    with Journal(path) as journal:
        assert len(list(journal.keys("replies"))) == 102


PER_CALL = """
def work(name):
    for number in range(30):
        key = f"{name}/{number}"
        with Journal(path) as journal:
            journal.remember(key.encode(), Reply("x" * 500, "stop"))
        os.write(1, key.encode() + b"\\n")

threads = [threading.Thread(target=work, args=(f"{sys.argv[2]}/{n}",)) for n in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


@pytest.mark.parametrize("killed", [False, True])
def test_what_was_acknowledged_is_there(path, killed):
    """Three processes with four threads open it for each call, and may be killed meanwhile."""
    code = [sys.executable, "-c", BEGIN + PER_CALL, path]
    others = [
        subprocess.Popen([*code, str(n)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for n in range(3)
    ]
    if killed:
        first = [other.stdout.readline() for other in others]
        others[0].kill()
        others[1].kill()
    outcomes = [other.communicate(timeout=100) for other in others]
    said = b"".join([*(first if killed else []), *(out for out, _ in outcomes)])
    acknowledged = {line for line in said.split(b"\n") if line.count(b"/") == 2}
    assert not killed or len(acknowledged) < 360
    assert b"".join(err for _, err in outcomes) == b""
    assert others[2].returncode == 0
    with Journal(path) as journal:
        # The last line of one that was killed may be cut.
        whole = {f"{p}/{t}/{n}".encode() for p in range(3) for t in range(4) for n in range(30)}
        assert acknowledged & whole <= set(journal.keys("replies"))


FORKED = """
journal = Journal(path)
journal.remember(b"before", Reply("x", "stop"))
if os.fork() == 0:
    try:
        journal.recall(b"before")
    except Exception as error:
        print(type(error).__name__, error, flush=True)
    journal.close()
    del journal
    sys.exit(0)
os.wait()
journal.remember(b"after", Reply("x", "stop"))
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_leaves_it_alone(path):
    """It is told so, and what it frees and closes is its parent's."""
    done = run_python(BEGIN + FORKED, path)
    assert (done.stdout, done.stderr) == (
        "UsageError this journal was opened in another process\n",
        "",
    )
    with Journal(path) as journal:
        assert list(journal.keys("replies")) == [b"before", b"after"]


def test_many_may_make_it_at_the_same_moment(tmp_path):
    """None of them is turned away, or takes it for something else."""
    for number in range(20):
        path, ready, errors = tmp_path / f"{number}.journal", threading.Barrier(8), []

        def make(path=path, ready=ready, errors=errors):
            ready.wait()
            try:
                Journal(path).close()
            except StorageError as error:
                errors.append(error)

        threads = [threading.Thread(target=make) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []


# ------------------------------------------------------------------- somebody else has it locked


@pytest.fixture
def browser(path):
    """Another program that has the file open and has begun to change it."""
    Journal(path).close()
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield db


def test_a_paid_reply_waits_for_a_locked_file(path, browser, caplog):
    """In memory, where it is found; it is written with the next one. Only the first one waits."""
    with Journal(path) as journal:
        journal.remember(b"a", Reply("paid", "stop"), wait_s=0.05)
        before = time.monotonic()
        journal.remember(b"b", Reply("paid", "stop"))
        assert time.monotonic() - before < 5
        assert journal.recall(b"a") == Reply("paid", "stop")
        assert list(journal.keys("replies")) == []
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        browser.execute("ROLLBACK")
        journal.remember(b"c", Reply("paid", "stop"))
        assert list(journal.keys("replies")) == [b"a", b"b", b"c"]


def test_closing_writes_what_waited_or_counts_it(path, browser):
    """Not without a word."""
    journal = Journal(path)
    journal.remember(b"a", Reply("paid", "stop"), wait_s=0)
    with pytest.warns(UserWarning, match="closed without 1 of the replies"):
        journal.close()
    journal = Journal(path)
    journal.remember(b"b", Reply("paid", "stop"), wait_s=0)
    browser.execute("ROLLBACK")
    journal.close()
    with Journal(path) as journal:
        assert list(journal.keys("replies")) == [b"b"]


def test_a_decision_is_not_lost_with_a_lock(png, path, browser):
    """It was paid for, and is returned within its time; the same is not paid for again."""
    backend = always()
    began = time.monotonic()
    with pytest.warns(UserWarning, match="closed without 1"):
        assert decide(png, QUESTION, model=backend, journal=path, timeout=0.5).verdict == "yes"
    assert time.monotonic() - began < 10
    with Journal(path) as journal, Decider(backend, journal=journal, timeout=0.5) as decider:
        for _ in range(2):
            assert decider.decide(png, QUESTION).verdict == "yes"
        browser.execute("ROLLBACK")
    assert len(backend.requests) == 2
    with Journal(path) as journal:
        assert len(list(journal.keys("replies"))) == 1


# ------------------------------------------------------------------- what may stand in it


@pytest.mark.parametrize(
    "text", ["half \ud83d", "\ud83d\ude00 in halves", "\udcff", "a\0b", "\u2028\ufeff", ""]
)
def test_any_text_comes_back_as_it_was(path, text):
    """Also one that no encoding can hold; servers in JavaScript send halves of characters."""
    reply = Reply(text, "stop", model=text, fingerprint=text, tokens=(Token(b"\xed\xa0\xbd", {}),))
    with Journal(path) as journal:
        journal.remember(b"k", reply)
    with Journal(path) as journal:
        assert journal.recall(b"k") == reply


def flip(path, place, bit):
    data = bytearray(path.read_bytes())
    data[place] ^= 1 << bit
    path.write_bytes(data)


@pytest.mark.parametrize("bit", [0, 7])
def test_a_flipped_bit_costs_one_entry(picture_of, path, bit):
    """Also where what is left is no text."""
    backend = ScriptedBackend(lambda _: reply_text("yes", reasoning="PLAIN words are enough"))
    pictures = [picture_of(number) for number in range(3)]
    for picture in pictures:
        decide(picture, QUESTION, model=backend, journal=path)
    flip(path, path.read_bytes().index(b"PLAIN"), bit)
    for _ in range(2):
        for picture in pictures:
            assert decide(picture, QUESTION, model=backend, journal=path).verdict == "yes"
    assert len(backend.requests) == 4


def test_a_column_that_is_gone_costs_one_entry(path):
    """As where the start of a record was overwritten."""
    keys = [b"key %d" % number for number in range(3)]
    with Journal(path) as journal:
        for key in keys:
            journal.remember(key, Reply(f"text of {key}", "stop"))
    data = bytearray(path.read_bytes())
    at = data.rindex(keys[1], 0, data.index(b"text of b'key 1'"))
    data[at - 4 : at] = bytes(4)
    path.write_bytes(data)
    with Journal(path) as journal:
        assert [key for key, _ in journal.entries("replies")] == [keys[0], keys[2]]
        for key in keys:
            journal.remember(key, Reply("again", "stop"))
            assert journal.recall(key) is not None


@pytest.mark.parametrize(
    "data",
    [
        b"5",
        b"null",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"text": 5, "finish": "stop", "usage": [1, 2, 3]}',
        b'{"text": "x", "finish": "later", "usage": [1, 2, 3]}',
        b'{"text": "x", "finish": "stop", "usage": [1, 2, "3"]}',
        b'{"text": "x", "finish": "stop", "usage": 7}',
        b'{"text": "x", "finish": "stop", "usage": [1, 2, 3], "fingerprint": []}',
        b'{"text": "x", "finish": "stop", "usage": [1, 2, 3], "latency_s": "now"}',
        b'{"text": "x", "finish": "stop", "usage": [1, 2, 3], "tokens": [["a", {"b": "c"}]]}',
        b'{"text": "x", "finish": "stop", "usage": [1, 2, 3], "tokens": [["a", 1]]}',
        b'{"text": "x", "finish": "stop", "usage": [1, 2, 3], "tokens": 1}',
        b'{"text": "x", "finish": "stop", "usage": [1, 2, 3], "more": 1}',
        b'{"text": "x", "finish": "stop", "usage": [1, 2, -3]}',
        b'{"text": "x", "finish": "stop", "usage": [1, 2, true]}',
        b'{"text": "x", "finish": "stop", "usage": [1, 2, 3], "latency_s": NaN}',
        b'{"text": "x", "finish": "stop", "usage": [1, 2, 3], "latency_s": -1}',
        b'{"text": "x", "finish": "stop", "usage": [1, 2, 3], "hidden_thinking_tokens": -1}',
        b'{"text": "x", "finish": "stop", "usage": [1, 2, 3], "constraint": "magic"}',
        b'{"text": "x", "finish": "stop", "usage": [1, 2, 3], "constraint": []}',
        b'{"text": "x", "finish": "stop", "usage": [1, 2, 3], "remark": 5}',
        b'{"text": "x", "finish": "stop", "usage": [1, 2, 3], "tokens": [["a", {"a": NaN}]]}',
    ],
)
def test_a_forged_entry_is_none(png, path, data):
    """Its checksum is right, and it is no reply; it is asked again, once."""
    backend = always()
    decide(png, QUESTION, model=backend, journal=path)
    with closing(sqlite3.connect(path)) as db, db:
        (key,) = db.execute("SELECT key FROM replies").fetchone()
        db.execute(
            "UPDATE replies SET data = CAST(? AS TEXT), sum = ?", (data, checksum(key, data))
        )
    for _ in range(2):
        assert decide(png, QUESTION, model=backend, journal=path).verdict == "yes"
    assert len(backend.requests) == 2


def test_a_scan_ends_whatever_the_pages_say(path):
    """Where a page was written over the last one, the numbers of the entries go back."""
    with Journal(path) as journal:
        for number in range(60):
            journal.remember(b"%031d" % number, Reply("x" * 600, "stop"))
    data, size = bytearray(path.read_bytes()), 4096
    leaves = [at for at in range(size, len(data), size) if data[at] == 0x0D and data[at + 4]]
    texts = [at for at in leaves if data[at : at + size].count(b"xxx")]
    data[texts[-1] : texts[-1] + size] = data[texts[0] : texts[0] + size]
    path.write_bytes(data)
    with Journal(path) as journal:
        keys = list(journal.keys("replies"))
        assert len(keys) == len(set(keys)) < 60
        assert len(list(journal.entries("replies"))) == len(keys)


def test_no_damage_is_an_untyped_error_or_another_reply(path, tmp_path):
    """Bits are flipped anywhere: what is read is what was written, or nothing, or an error."""
    replies = {b"%031d" % n: Reply(f"{n} {'x' * 300} \u00fc", "stop") for n in range(40)}
    with Journal(path) as journal:
        for key, reply in replies.items():
            journal.remember(key, reply)
    whole, rng = path.read_bytes(), random.Random(5)
    for number in range(60):
        copy = tmp_path / f"{number}.journal"
        copy.write_bytes(whole)
        for _ in range(rng.choice([1, 1, 30])):
            flip(copy, rng.randrange(len(whole)), rng.randrange(8))
        with suppress(StorageError), Journal(copy) as journal:
            for key, reply in replies.items():
                assert journal.recall(key) in (None, reply)
                journal.remember(key, reply)
                assert journal.recall(key) in (None, reply)
            assert len(list(journal.keys("replies"))) <= 2 * len(replies)


# ------------------------------------------------------------------- which file it may be


@pytest.mark.parametrize(
    "path", [None, 5, b"bytes.journal", "nul\0.journal", "half\ud83d.journal", ":memory:"]
)
def test_what_is_no_path(path, tmp_path, monkeypatch):
    """Nothing is made of it."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        Journal(path)
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_paths_that_look_like_something_else(tmp_path, monkeypatch):
    """SQLite reads some names as more than a name."""
    monkeypatch.chdir(tmp_path)
    for name in ("file:x.journal", "a?mode=memory", "a#b%20", "caf\udce9.journal"):
        with Journal(name) as journal:
            journal.remember(b"k", Reply("x", "stop"))
        assert (tmp_path / name).stat().st_size
    assert {path.name.partition("-")[0] for path in tmp_path.iterdir()} == {
        "file:x.journal",
        "a?mode=memory",
        "a#b%20",
        "caf\udce9.journal",
    }


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_pipe_is_no_journal(path):
    """Nobody waits for its other end."""
    os.mkfifo(path)
    with pytest.raises(StorageError, match="no ordinary file"):
        Journal(path)


@pytest.mark.skipif(os.name != "posix", reason="files have no such permissions here")
def test_a_file_that_was_open_to_others_is_shut(path):
    """Replies could be read there, and put in."""
    path.touch()
    path.chmod(0o666)
    Journal(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.skipif(os.name != "posix", reason="files have no owners here")
@pytest.mark.parametrize("whose", ["", "-wal", "link"])
def test_what_belongs_to_others_is_refused(path, monkeypatch, whose):
    """Whoever may write to a journal may put replies into it."""
    target = path.with_suffix(".target")
    if whose == "link":
        path.symlink_to(target)
    else:
        Path(f"{path}{whose}").touch()
    real = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: real + 1)
    with pytest.raises(StorageError, match="another user"):
        Journal(path)
    assert not target.exists()


def test_a_link_of_ones_own_is_followed(path):
    """Also to where there is no file yet, which is made for nobody else."""
    target = path.with_suffix(".target")
    path.symlink_to(target)
    before = os.umask(0)
    try:
        with Journal(path) as journal:
            journal.remember(b"k", Reply("x", "stop"))
    finally:
        os.umask(before)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with Journal(target) as journal:
        assert journal.recall(b"k") is not None


@pytest.mark.skipif(not hasattr(os, "link"), reason="there are no hard links here")
def test_a_file_with_two_names_is_refused(path):
    """Each name would have a write-ahead log of its own, and one would overwrite the other."""
    with Journal(path) as journal:
        journal.remember(b"k", Reply("x", "stop"))
    other = path.with_suffix(".other")
    os.link(path, other)
    for name in (path, other):
        with pytest.raises(StorageError, match="hard link"):
            Journal(name)
    other.unlink()
    with Journal(path) as journal:
        assert journal.recall(b"k") is not None


def test_a_journal_that_has_no_room_says_so(path, monkeypatch):
    """What is there can be read, and what is new is refused for the true reason."""
    with Journal(path) as journal:
        journal.remember(b"k", Reply("x", "stop"))

    def full(*_):
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    monkeypatch.setattr("faithful_decide._batch.journal.set_up", full)
    with Journal(path) as journal:
        assert journal.recall(b"k") is not None
        with pytest.raises(StorageError, match="disk is full") as caught:
            journal.check_writable()
        assert caught.value.hint.startswith("make room")


READ = """
import io
from PIL import Image
from faithful_decide import StorageError, decide
from faithful_decide.testing import ScriptedBackend, reply_text
picture = Image.new("RGB", (8, 8))
backend = ScriptedBackend(lambda _: reply_text("yes"))
decide(picture, "Is it red?", model=backend, journal=path + "2")  # loads all that is needed
if os.geteuid() == 0:
    os.setuid(65534)
with Journal(path) as journal:
    print(journal.recall(b"k").text, list(journal.keys("replies")), flush=True)
backend = ScriptedBackend(lambda _: reply_text("yes"))
try:
    decide(picture, "Is it red?", model=backend, journal=path)
except StorageError as error:
    print(error, error.hint, len(backend.requests))
"""


@pytest.mark.skipif(os.name != "posix", reason="folders have no such permissions here")
def test_what_cannot_be_written_can_be_read(path):
    """And nothing is paid for that could not be kept."""
    with Journal(path) as journal:
        journal.remember(b"k", Reply("paid", "stop"))
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
        for folder in path.parents:
            if not folder.stat().st_mode & 0o001:
                folder.chmod(0o755)
    # Where everything may be done, somebody else does it.
    path.parent.chmod(0o755 if os.geteuid() == 0 else 0o555)
    try:
        done = run_python(BEGIN + READ, path)
    finally:
        path.parent.chmod(0o755)
    assert done.stderr == ""
    first, second = done.stdout.splitlines()
    assert first == "paid [b'k']"
    assert "is read-only" in second
    assert second.endswith("use the copy 0")


# ------------------------------------------------------------------- what was paid


def test_what_is_paid_is_counted(png):
    """Also without a journal; a price that is not known is not 0."""
    reply = Reply(reply_text("yes"), "stop", model="gpt-4o-mini", usage=Usage(1_000_000, None, 0))
    counted = journaled(ScriptedBackend(lambda _: reply, name="openai/gpt-4o-mini"))
    decide(png, QUESTION, model=counted)
    assert (counted.paid, counted.recalled, float(counted.cost_usd)) == (1, 0, 0.15)
    local = journaled(always())
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
