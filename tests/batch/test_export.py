"""Rows go out in three forms, whole or not at all, and come back as they were."""

import csv
import json
import os
import re
import stat
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faithful_decide import Decider, RefusedError, Row, StorageError, UsageError, verify_stored
from faithful_decide._batch.export import _from_safe, _safe, exporting, read_rows, write_rows
from faithful_decide._batch.row import OWN_COLUMNS
from faithful_decide.backends import Reply, Usage
from faithful_decide.testing import ScriptedBackend, reply_text

KINDS = ["jsonl", "csv", "parquet"]


@pytest.fixture
def rows(png):
    """A decision, an error, and columns that a spreadsheet or a table could trip over."""
    backend = ScriptedBackend(
        lambda _: reply_text("no", reasoning='=1+1 is what "they"\nsay, \x1b[31m \u00e9')
    )
    with Decider(backend, samples=2) as decider:
        decision = decider.decide(png, "Is it red?")
    return [
        Row("=cmd()", "red", decision=decision, columns={"label": "-1", "verdict": "'=x"}),
        Row("b", "red", error=RefusedError("it declined", hint="reword"), columns={"late": "1"}),
    ]


def export(rows, path):
    assert write_rows(iter(rows), path) == len(rows)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_come_back(rows, tmp_path, kind):
    """The decision with its proof, the error with its type, the columns of the sample."""
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"out.{kind}"
    export(rows, path)
    first, second = read_rows(path)
    assert first.decision == rows[0].decision
    assert verify_stored(first.decision.model_dump_json()) == rows[0].decision
    assert (first.id, first.question) == ("=cmd()", "red")
    assert first.columns == {"label": "-1", "verdict_": "'=x"}
    assert (type(second.error), str(second.error), second.error.hint) == (
        RefusedError,
        "it declined",
        "reword",
    )
    assert (second.verdict, second.columns) == (None, {"late": "1"})


def test_no_cell_of_csv_is_a_formula(rows, tmp_path):
    """Not the text of the model, not an id, not a column of the sample, not a header."""
    rows.append(Row("x", "red", error=RefusedError("@SUM(1)"), columns={"+head": "\tx"}))
    export(rows, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as file:
        cells = [cell for line in csv.reader(file) for cell in line]
    assert "'=cmd()" in cells
    assert "'+head" in cells
    begins = {"=", "+", "-", "@", "\t", "\r", "\n"}
    assert [cell for cell in cells if cell[:1] in begins] == ["-1"]  # a number is no formula


@pytest.mark.parametrize("number", ["-1", "+1", "-73.98", "1e-5", "-1,5", "+2%", "-.5"])
def test_numbers_stay_as_they_are(tmp_path, number):
    """Whoever joins the file with theirs by a longitude finds it."""
    export([Row("a", number, error=RefusedError("no"), columns={"n": number})], tmp_path / "o.csv")
    with (tmp_path / "o.csv").open(newline="") as file:
        (line,) = csv.DictReader(file)
    assert (line["question"], line["n"]) == (number, number)


FORMULAS = [
    "x;=1+1",
    "a\n=1",
    "\uff1d1+1",
    "\ufe66cmd",
    "\x00=1",
    "\ufeff@x",
    "x\t+cmd|' /C calc'!A0",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_part_of_a_cell_becomes_a_formula(tmp_path, text):
    """Not where a spreadsheet splits lines at something else, and not at full width."""
    export([Row(text, "q", error=RefusedError("no"))], tmp_path / "o.csv")
    raw = (tmp_path / "o.csv").read_text(encoding="utf-8")
    body = raw.partition("\n")[2]
    pieces = re.split("[;,\t\r\n]", body.replace('"', ""))
    signs = ("=", "+", "@", "\uff1d", "\ufe66", "\x00", "\ufeff")
    assert not [piece for piece in pieces if piece.startswith(signs)]
    assert [row.id for row in read_rows(tmp_path / "o.csv")] == [text]


@given(st.text(alphabet="'=+-@;\t\r\n1ax,\"\uff1d\x00\ufeff "))
def test_what_is_made_safe_comes_back(text):
    """Every text, whatever it has of quotes and signs."""
    assert _from_safe(str(_safe(text))) == text


def test_rows_that_are_not_there_are_not_a_full_disk(tmp_path):
    """What is told of reading is about reading."""
    with pytest.raises(StorageError, match="cannot be read: No such file") as caught:
        list(read_rows(tmp_path / "o.csv"))
    assert caught.value.hint == "name a file that a batch has written"


SURROGATE = "caf\udce9 \ud83d"


@pytest.mark.parametrize("kind", KINDS)
def test_what_utf8_cannot_hold_is_escaped(rows, tmp_path, kind):
    """In an id, a column, its name, an error, and what an audit has added; all rows are there."""
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    odd = Row(
        SURROGATE,
        SURROGATE,
        error=RefusedError(SURROGATE, hint=SURROGATE),
        columns={SURROGATE: SURROGATE},
        extra={"why": [SURROGATE, {"a": SURROGATE}], "n": 3, "big": 10**30, "set": {1}},
    )
    path = tmp_path / f"o.{kind}"
    export([*rows, odd], path)
    *_, back = read_rows(path)
    escaped = r"caf\udce9 \ud83d"
    assert (back.id, back.question, str(back.error), back.error.hint) == (escaped,) * 4
    assert back.columns[escaped] == escaped
    assert json.loads(back.columns["why"]) == [escaped, {"a": escaped}]
    assert (back.columns["n"], back.columns["big"]) == ("3", str(10**30))


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_that_is_written_can_be_read(tmp_path, kind, png):
    """Without an id, with tokens that no database holds, and with lists in what was found out."""
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    reply = Reply(reply_text("yes"), "stop", usage=Usage(10**30, None, 0))
    decision = Decider(ScriptedBackend([reply])).decide(png, "Is it?")
    rows = [
        Row("", "", decision=decision, extra={"audit_flags": ["a", {"b": None}]}),
        Row("x", "q", error=RefusedError("no"), columns={"more": "m", "status": "s"}),
    ]
    export(rows, tmp_path / f"o.{kind}")
    first, second = read_rows(tmp_path / f"o.{kind}")
    assert (first.id, first.question, first.decision) == ("", "", decision)
    assert json.loads(first.columns["audit_flags"]) == ["a", {"b": None}]
    assert second.columns == {"more_": "m", "status_": "s"}


@pytest.mark.parametrize("kind", KINDS)
def test_two_runs_with_one_file(rows, tmp_path, kind):
    """The second is refused before it has asked anything; the first ends well."""
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"o.{kind}"
    with exporting(path) as add:
        add(rows[0])
        with pytest.raises(StorageError, match="another run"):
            export(rows, path)
        add(rows[1])
    assert len(list(read_rows(path))) == 2
    export(rows[:1], path)
    assert len(list(read_rows(path))) == 1
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_part_that_was_left_behind_is_overwritten(rows, tmp_path):
    """By a process that was killed; nobody holds it."""
    (tmp_path / ".o.csv.part").write_text("half a row" * 10_000)
    export(rows, tmp_path / "o.csv")
    assert len(list(read_rows(tmp_path / "o.csv"))) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["o.csv"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such files here")
def test_what_is_no_file_is_written_and_not_replaced(rows, tmp_path):
    """A device or a pipe stays what it is, whoever may replace it."""
    pipe = tmp_path / "o.jsonl"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    export(rows, pipe)
    assert len(os.read(reader, 2**20).splitlines()) == len(rows)
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert [file.name for file in tmp_path.iterdir()] == ["o.jsonl"]


def test_json_lines_are_safe_to_show(rows, tmp_path):
    """Only ASCII, no control characters; the decision is an object."""
    export(rows, tmp_path / "out.jsonl")
    text = (tmp_path / "out.jsonl").read_text()
    assert all(line.isascii() and line.isprintable() for line in text.splitlines())
    assert json.loads(text.splitlines()[0])["decision"]["verdict"] == "no"


def test_parquet_has_its_types(rows, tmp_path):
    """Also where the first rows have nothing in a column."""
    pq = pytest.importorskip("pyarrow.parquet")
    export(rows[1:] * 600 + rows[:1], tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.num_rows == 601
    assert str(table.schema.field("probability").type) == "double"
    assert table.column_names[: len(OWN_COLUMNS)] == list(OWN_COLUMNS)
    # What only a later sample has is not lost.
    assert json.loads(table["more"][-1].as_py()) == {"label": "-1", "verdict_": "'=x"}


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_that_fails_leaves_the_old_file(rows, tmp_path, kind):
    """And no part of a new one."""
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"out.{kind}"
    export(rows, path)
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), exporting(path) as add:  # noqa: PT012 - in the middle
        add(rows[0])
        raise KeyboardInterrupt
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", KINDS)
def test_no_rows_are_a_file_too(tmp_path, kind):
    """With its columns."""
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    export([], tmp_path / f"out.{kind}")
    assert list(read_rows(tmp_path / f"out.{kind}")) == []


def test_what_cannot_be_written_is_a_typed_error(rows, tmp_path):
    """An unknown ending before anything is done; a folder that is not there; a full disk."""
    with pytest.raises(UsageError):
        export(rows, tmp_path / "out.xlsx")
    with pytest.raises(StorageError):
        export(rows, tmp_path / "no" / "out.csv")
    code = """
import resource, signal, sys
from faithful_decide import Row, RefusedError, StorageError
from faithful_decide._batch.export import exporting
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
try:
    with exporting(sys.argv[1]) as add:
        for _ in range(1000):
            add(Row("x", "q", error=RefusedError("y" * 100)))
except StorageError as error:
    print(error.hint)
"""
    path = tmp_path / "out.csv"
    path.write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    assert "room" in done.stdout
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize("text", ["", "{}", "[]", "3", '{"id": "a", "status": "decided"}', "{"])
def test_what_is_no_export_is_refused(tmp_path, text):
    """A row without a decision or an error is not made up."""
    path = tmp_path / "x.jsonl"
    path.write_text(text + "\n")
    with pytest.raises(UsageError):
        list(read_rows(path))


def test_rows_make_a_table(rows):
    """Of plain values, which are the same in every form."""
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(row.to_dict() for row in rows)
    assert list(table["status"]) == ["decided", "failed"]
    assert table["observations"][0][0]["about"]
    assert table["decision"][0]["receipt"]["order"] == rows[0].decision.receipt.order
    assert table["error"][1] == "RefusedError"
