"""The commands over many images: rows on stdout or in a file, the rest on stderr."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from faithful_decide import BackendError, Journal, read_rows
from faithful_decide.testing import ScriptedBackend, registered, reply_text


@pytest.fixture
def call(call, monkeypatch, tmp_path):
    """Runs the program in a folder of its own; returns its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    return call


@pytest.fixture
def model(monkeypatch):
    """A model that says yes to everything, under the spec `scripted/x`."""
    backend = ScriptedBackend(lambda _: reply_text("yes"), name="scripted/x")
    monkeypatch.setenv("FAITHFUL_DECIDE_MODEL", "scripted/x")
    with registered("scripted", lambda _: backend):
        yield backend


@pytest.fixture
def images(tmp_path, picture_of):
    """Six pictures, three with a label in a table."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.png").write_bytes(picture_of(number))
    (tmp_path / "labels.csv").write_text(
        "image,label\nimages/0.png,yes\nimages/1.png,no\nimages/2.png,yes\n"
    )
    return folder


def test_rows_on_stdout(call, model, images):
    """One object a line, and on stderr what became of them; nothing moves without a terminal."""
    code, out, err = call("batch", images, "-q", "Is it red?", "-q", "Is it blue?")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [(row["id"], row["question"]) for row in rows[:3]] == [
        ("0.png", "Is it red?"),
        ("0.png", "Is it blue?"),
        ("1.png", "Is it red?"),
    ]
    assert err == "12 rows (12 yes); 12 new replies, 0 from the journal\n"
    assert call("batch", images, "-q", "Is it red?")[2] == (
        "6 rows (6 yes); 0 new replies, 6 from the journal\n"
    )
    assert len(model.requests) == 12


def test_a_row_with_an_error_makes_the_exit_code(call, model, images):
    """The others are there all the same, in the file, which replaces the old one."""
    (images / "0.png").write_bytes(b"no image")
    code, out, err = call("batch", images, "-q", "Is it red?", "--out", "rows.csv")
    assert (code, out) == (1, "")
    assert "6 rows (5 yes, 1 ImageError)" in err
    assert call("batch", images, "-q", "Is it red?", "--out", "rows.csv", "--limit", 1)[0] == 1


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (("--out", "labels.csv"), "this command reads"),
        (("--out", "./images/../labels.csv"), "this command reads"),
        (("--out", "hard.csv"), "this command reads"),
        (("--out", "images/metadata.csv"), "this command reads"),
        (("--out", "x.jsonl", "--journal", "x.jsonl"), "this command reads"),
        (("--html", "x.journal", "--journal", "x.journal"), "this command reads"),
        (("--html", "x.csv", "--out", "x.csv"), "--out writes"),
        (("--queue", "labels.csv", "--review", "0.5"), "this command reads"),
        (("--queue", "x.csv", "--review", "0.5", "--out", "x.csv"), "--out writes"),
        (("--out", "nowhere/x.csv"), "No such file"),
        (("--html", "nowhere/x.html"), "No such file"),
        (("--html", "."), "Is a directory"),
    ],
)
def test_what_is_written_replaces_nothing_that_is_needed(call, model, images, written, why):
    """It is found before anything is asked, and nothing is left behind."""
    images.joinpath("metadata.csv").write_text("file_name\n0.png\n")
    os.link("labels.csv", "hard.csv")
    before = sorted(Path().rglob("*"))
    code, out, err = call("batch", "labels.csv", "images", "-q", "Is it red?", *written)
    assert (code, out, model.requests) == (2, "", [])
    assert f"error: {written[0]} " in err
    assert why in err
    assert sorted(Path().rglob("*")) == before
    assert Path("labels.csv").read_text().startswith("image,label")


def test_a_dry_run_asks_nothing(call, model, images):
    """It counts, with what the journal knows."""
    code, out, _ = call("batch", images, "-q", "Is it red?", "--dry-run")
    assert code == 0
    assert "items      6" in out
    assert "requests   6 (0 replies" in out
    assert "rule of thumb" in out
    assert model.requests == []
    call("batch", images, "-q", "Is it red?", "--limit", 2)
    assert "requests   4 (2 replies" in call("batch", images, "-q", "Is it red?", "--dry-run")[1]
    assert len(model.requests) == 2


def test_a_dry_run_counts_what_the_run_asks(call, model, images):
    """Nothing about what is no image, with a journal and without one."""
    (images / "0.png").write_bytes(b"no image")
    for journal in ("none.journal", "made.journal"):
        if journal == "made.journal":
            call("batch", images, "-q", "Is it red?", "--limit", 3, "--journal", journal)
        before = len(model.requests)
        said = call("batch", images, "-q", "Is it red?", "--dry-run", "--journal", journal)[1]
        assert len(model.requests) == before
        call("batch", images, "-q", "Is it red?", "--journal", journal)
        assert f"requests   {len(model.requests) - before} (" in said


@pytest.mark.parametrize(
    "wrong",
    [
        ("nowhere", "-q", "Is it?"),
        ("images", "-q", ""),
        ("images", "-q", "a", "-q", "a"),
        ("images", "-q", "Is it?", "--out", "x.xlsx"),
        ("images", "-q", "Is it?", "--max-cost", "-1"),
        ("images", "-q", "Is it?", "--max-cost", "nan"),
        ("images", "-q", "Is it?", "--concurrency", "0"),
        ("images",),
        ("-", "-q", "Is it?", "--deferred"),
    ],
)
def test_wrong_use_is_said_before_anything_is_asked(call, model, images, wrong):
    """With the code for it, and what to do."""
    code, out, err = call("batch", *wrong)
    assert (code, out) == (2, "")
    assert err
    assert model.requests == []


def test_a_limit_of_cost_needs_a_price(call, model, images):
    """A model without one is refused."""
    code, _, err = call("batch", images, "-q", "Is it?", "--max-cost", "1")
    assert (code, model.requests) == (3, [])
    assert "no known price" in err


def test_a_second_run_on_the_same_journal(call, model, images):
    """Is refused while the first one goes on."""
    with Journal("faithful-decide.journal") as journal, journal.alone():
        code, _, err = call("batch", images, "-q", "Is it red?")
    assert code == 2
    assert "another run" in err


def test_compare(call, model, images):
    """Two questions, as text and as JSON; the labels of the table are used."""
    asked = ("compare", "labels.csv", "-q", "Is it red?", "--against-question", "Is it green?")
    code, out, _ = call(*asked)
    assert code == 0
    assert "3 of 3 items; 3 agree" in out
    assert "right          0.667" in out
    assert "p = 1 (exact" in out
    assert json.loads(call(*asked, "--json")[1])["what"] == "right"
    assert len(model.requests) == 6
    code, out, _ = call(*asked, "--against-verdict-first")
    assert code == 2
    out = call("compare", "images", "-q", "Is it red?", "--against-verdict-first")[1]
    assert "6 OrderError" in out  # the scripted model knows one order only
    out = call("compare", "images", "-q", "Is it red?", "--against-model", "scripted/x")[1]
    assert "6 of 6 items; 6 agree" in out


def test_ctrl_c_says_how_to_go_on(images):
    """It ends soon, without a traceback, and what was finished is in the journal."""
    pytest.importorskip("xllamacpp")
    program = [sys.executable, "-m", "faithful_decide", "batch", "-", "-q", "Is it red?"]
    # If the tests run in the background, they ignore it, and so would what they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [*program, "--model", "embedded"],
        cwd=images.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    process.stdin.write("images/0.png\nimages/1.png\n")
    process.stdin.flush()
    killer = threading.Timer(60, process.kill)
    killer.start()
    assert json.loads(process.stdout.readline())["id"] == "images/0.png"
    assert json.loads(process.stdout.readline())["id"] == "images/1.png"
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    killer.cancel()
    assert time.monotonic() - started < 10  # 2 seconds on a quiet machine: a benchmark says so
    assert process.returncode == 1
    assert "Traceback" not in said
    assert "run the same command again" in said
    with Journal(images.parent / "faithful-decide.journal") as journal:
        assert len(list(journal.keys("replies"))) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_a_terminal_is_shown_how_far_it_is(images):
    """Rows of how many, how fast, how long still, and errors; on stderr only."""
    pytest.importorskip("xllamacpp")
    import fcntl
    import pty
    import struct
    import termios

    (images / "3.png").write_bytes(b"no image")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    done = subprocess.run(
        [sys.executable, "-m", "faithful_decide", "batch", "images", "-q", "Is it red?"],
        cwd=images.parent,
        stdout=subprocess.PIPE,
        stderr=theirs,
        check=False,
    )
    os.close(theirs)
    shown = os.read(ours, 2**16).decode()
    os.close(ours)
    assert "6/6" in shown
    assert "rows/s" in shown
    assert "1 failed" in shown
    assert len(done.stdout.splitlines()) == 6


def test_a_dry_run_needs_no_key(call, images, monkeypatch):
    """Nothing is sent, so nobody has to be let in; nor is a journal made."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    asked = ("batch", images, "-q", "Is it?", "--model", "openai/gpt-5")
    code, out, _ = call(*asked, "--dry-run")
    assert (code, out.split()[:2]) == (0, ["items", "6"])
    assert call(*asked)[0] == 3
    code, out, _ = call(
        "compare",
        images,
        "-q",
        "a",
        "--against-model",
        "azure/x",
        "--dry-run",
        "--model",
        "openai/gpt-5",
        "--against-option",
        "base_url=https://a.b/",
    )
    assert code == 0


def test_numbers_that_are_small_are_called_so(capsys):
    """A p-value of thirty digits is no news."""
    from faithful_decide._batch.compare import Comparison, Estimated
    from faithful_decide._cli.batch import _show

    rate = Estimated(value=0.5, low=0.4, high=0.6)
    for p, shown in ((6.3e-31, "p < 0.0001"), (0.03125, "p = 0.0312"), (1.0, "p = 1 ")):
        _show(
            Comparison(
                sides=("a", "b\x1b"),
                what="right",
                items=9,
                pairs=9,
                errors=({}, {}),
                abstained=(0, 0),
                agreed=0,
                verdicts={},
                only_first=9,
                only_second=0,
                rates=(rate, rate),
                difference=rate,
                p_value=p,
            )
        )
        out = capsys.readouterr().out
        assert shown in out
        assert "\x1b" not in out


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_name_that_is_not_utf8(call, model, images, kind):
    """Goes into every file and document, as an escape, with all other rows."""
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    with open(os.fsencode(images) + b"/caf\xe9.png", "wb") as file:  # noqa: PTH123 - bytes
        file.write((images / "0.png").read_bytes())
    code, _, err = call("batch", images, "-q", "Is it red?", "--out", f"o.{kind}")
    assert (code, "7 rows (7 yes)" in err) == (0, True)
    assert r"caf\udce9.png" in [row.id for row in read_rows(f"o.{kind}")]
    tier = ("--tier", "screen", "--json", "--limit", 9)
    code, out, _ = call("audit-dataset", images, "-q", "Is it red?", *tier)
    assert code == 0
    assert r"caf\\udce9.png" in out


def test_what_is_left_out_is_told(call, model, images):
    """Once, on stderr, and on the page."""
    for name in ("notes.txt", ".hidden.png", "film.mp4"):
        (images / name).write_text("no image")
    code, _, err = call("batch", images, "-q", "Is it red?", "--out", "o.csv", "--html", "o.html")
    assert code == 0
    assert err.count("left out: ") == 1
    assert "1 hidden files" in err
    assert "1 hidden files" in re.sub("<[^>]*>", "", Path("o.html").read_text(encoding="utf-8"))


def test_results_in_the_same_folder_are_not_left_out(call, model, images):
    """They were never meant to be read, and are being written while the folder is."""
    code, _, err = call("batch", images, "-q", "Is it red?", "--out", images / "o.csv")
    assert (code, "left out" in err) == (0, False)


def test_a_server_that_fails_ends_the_run_and_keeps_the_rows(call, images, picture_of):
    """With its error and what to do; a run that has decided nothing leaves the old file."""
    for number in range(6, 30):
        (images / f"{number:02}.png").write_bytes(picture_of(number))
    count = itertools.count()

    def line(_):
        fails = BackendError("there is no model x", hint="name another model")
        return reply_text("yes") if next(count) < 3 else fails

    backend = ScriptedBackend(line, name="failing/x")
    asked = ("batch", images, "-q", "Is it red?", "--model", "failing/x", "--out", "o.csv")
    with registered("failing", lambda _: backend):
        code, _, err = call(*asked)
        assert code == 1
        assert "10 rows in a row had the same error: there is no model x" in err
        assert "name another model" in err
        rows = [row.verdict for row in read_rows("o.csv")]
        assert rows == ["yes"] * 3 + [None] * 10
        call(*asked, "--journal", "another.journal")
        assert [row.verdict for row in read_rows("o.csv")] == rows


def test_most_verdicts_that_are_none_say_why(call, images):
    """On stderr, by question where there are several, and on the page."""
    backend = ScriptedBackend(
        lambda request: reply_text(
            "cannot_tell" if "red" in request.text else "yes", observations=[("it", "all fog")]
        )
    )
    with registered("foggy", lambda _: backend):
        asked = ("batch", images, "--model", "foggy/x", "--out", "o.csv", "-q", "Is it red?")
        why = "most verdicts are cannot_tell: 6 of 6, all of them with the observation"
        assert f"\nnote: {why} 'it: all fog'; " in call(*asked, "--html", "o.html")[2]
        assert f"\nnote: Is it red?: {why}" in call(*asked, "-q", "Is it blue?")[2]
    page = re.sub("<[^>]*>", "", Path("o.html").read_text(encoding="utf-8"))
    assert f"M{why[1:]}" in page


def test_a_dry_run_with_a_model_in_this_process_says_that_it_costs_nothing(call, images):
    """Nobody bills it, which is not the same as a price that nobody knows."""
    out = call("batch", images, "-q", "Is it red?", "--model", "embedded", "--dry-run")[1]
    assert "cost       none: the model runs in this process" in out


def test_the_page_of_a_batch_knows_whether_the_model_is_billed(call, images, tmp_path):
    """By the kind of the model, and not by a price that was found."""
    page = tmp_path / "page.html"
    asked = ("batch", images, "-q", "Is it red?", "--limit", 1, "--html", page, "--model")
    for kind, billed in (("scripted/x", True), ("embedded", False)):
        with registered(
            "scripted", lambda _: ScriptedBackend([reply_text("yes")], name="scripted/x")
        ):
            assert call(*asked, kind)[0] == 0
        assert ("the model runs in this process" in page.read_text()) != billed
