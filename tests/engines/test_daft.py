"""Daft's native runner, for real: rows of every kind, errors in their rows, and a killed job."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("daft")

import daft

from faithful_decide import AuthError, UnsupportedError, UsageError
from faithful_decide.daft import decide_udf
from faithful_decide.testing import ScriptedBackend

ROOT = Path(__file__).parent.parent.parent
QUESTION = "Is it dark?"
EXPECTED = ["yes", "no", "yes", "no", "yes", "no"]


def column(table, name, ask):
    """The structs of a column of images."""
    return table.with_column("asked", ask(table[name])).to_pydict()["asked"]


def test_images_of_every_kind(made, paths, encoded, arrays):
    """Paths, bytes, and what Daft has decoded; in the order of the rows."""
    table = daft.from_pydict({"path": paths, "bytes": encoded})
    table = table.with_column("image", table["bytes"].decode_image())
    ask = decide_udf(QUESTION, model="grey/x", abstain=False)
    for name in ("path", "bytes", "image"):
        assert [values["verdict"] for values in column(table, name, ask)] == EXPECTED
    assert len(made) == 1


def test_a_bad_row_spoils_no_other(made, encoded):
    """In one portion with them; what Daft does about exceptions does not matter."""
    images = [encoded[0], None, b"", *encoded[:5], b"no image", encoded[1]]
    asked = column(daft.from_pydict({"b": images}), "b", decide_udf(QUESTION, model="grey/x"))
    decided = [values["status"] == "decided" for values in asked]
    assert decided == [bool(x) and x != b"no image" for x in images]
    assert {values["error"] for values in asked} == {None, "ImageError"}
    assert all((values["verdict"] is not None) == (values["error"] is None) for values in asked)


def test_the_column_is_a_struct_that_can_be_written(made, paths, tmp_path):
    """Its fields keep their types through Parquet."""
    table = daft.from_pydict({"path": paths})
    ask = decide_udf(QUESTION, model="grey/x")
    table.with_column("asked", ask(table["path"])).write_parquet(str(tmp_path / "out"))
    back = daft.read_parquet(str(tmp_path / "out" / "*.parquet")).to_pydict()["asked"]
    assert [values["status"] for values in back] == ["decided"] * 6
    assert back[0]["probability"] > 0.5
    assert back[0]["prompt_tokens"] is None


def test_a_refused_key_ends_the_job(made, encoded, monkeypatch):
    """Instead of failing in every row."""
    from tests.support.grey import GreyBackend

    def refuse(self, request):
        msg = "the key was refused"
        raise AuthError(msg)

    monkeypatch.setattr(GreyBackend, "generate", refuse)
    table = daft.from_pydict({"b": encoded})
    with pytest.raises(Exception, match="the key was refused"):
        column(table, "b", decide_udf(QUESTION, model="grey/x"))


def test_a_plan_holds_no_live_model_and_no_key():
    """It is refused where the column is made, not on the first machine that reads it."""
    with pytest.raises(UnsupportedError):
        decide_udf(QUESTION, model=ScriptedBackend([]))
    with pytest.raises(UsageError):
        decide_udf(QUESTION, model="openai/x", api_key="sk-canary")


def test_a_second_job_pays_nothing(made, paths, tmp_path):
    """The journal is keyed by content: neither the names nor the engine matter."""
    from faithful_decide import decide

    settings = {"model": "grey/x", "journal": tmp_path / "replies.journal"}
    first = column(daft.from_pydict({"p": paths}), "p", decide_udf(QUESTION, **settings))
    renamed = [Path(path).rename(f"{path}.moved").as_posix() for path in paths]
    again = column(daft.from_pydict({"p": renamed}), "p", decide_udf(QUESTION, **settings))
    assert again == first
    assert decide(renamed[0], QUESTION, **settings).verdict == "yes"
    assert [backend.calls for backend in made] == [6, 0, 0]


JOB = """
import asyncio, os, sys
import daft
from tests.support import grey
from faithful_decide.daft import decide_udf

folder, rows, concurrency = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
paid = os.open(f"{folder}/paid", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

async def agenerate(self, request):
    await asyncio.sleep(0.02)
    os.write(paid, b".")
    return self.generate(request)

grey.GreyBackend.agenerate = agenerate
grey.register()
table = daft.from_pydict({"path": [f"{folder}/{i}.png" for i in range(rows)]})
ask = decide_udf(
    "Is it dark?", model="grey/x", journal=f"{folder}/journal", concurrency=concurrency
)
asked = table.with_column("asked", ask(table["path"])).to_pydict()["asked"]
print(sum(one["status"] == "decided" for one in asked))
"""


def test_a_killed_job_keeps_what_it_paid_for(tmp_path):
    """Killed without warning half-way, it asks again what was under way and no more."""
    from PIL import Image

    rows, concurrency = 300, 8
    for number in range(rows):
        cells = np.array([number % 256, number // 256, 7, 8], np.uint8).reshape(2, 2)
        Image.fromarray(cells).save(tmp_path / f"{number}.png")
    command = [sys.executable, "-c", JOB, str(tmp_path), str(rows), str(concurrency)]
    paid = tmp_path / "paid"
    first = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    ends = time.monotonic() + 120
    while not paid.exists() or paid.stat().st_size < rows // 2:
        assert first.poll() is None, first.stderr.read().decode()
        assert time.monotonic() < ends
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    before = paid.stat().st_size
    assert rows // 2 <= before < rows
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == str(rows)
    assert rows <= paid.stat().st_size <= rows + concurrency
