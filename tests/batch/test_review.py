"""What is handed to a person, and the queue that is bound to the receipts."""

import hashlib
import json
from dataclasses import replace

import pytest

from faithful_decide import UsageError, decide_many, write_rows
from faithful_decide._batch.review import queueing
from faithful_decide._batch.row import flat, from_flat
from faithful_decide.testing import ScriptedBackend, reply_text

SCRIPT = {"sure": ["yes"] * 5, "unsure": ["yes", "yes", "yes", "no", "no"], "lost": ["maybe"] * 5,
          "declined": ["cannot_tell"] * 5}  # fmt: skip


@pytest.fixture
def rows(png, tmp_path):
    """Four images: sure, unsure, without a verdict, and one of which it cannot tell."""
    script = iter(reply_text(v) for name in SCRIPT for v in SCRIPT[name])
    names = []
    for name in SCRIPT:
        (tmp_path / f"{name}.png").write_bytes(png + name.encode())
        names.append(tmp_path / f"{name}.png")
    return list(
        decide_many(
            names, "Is it?", model=ScriptedBackend(script), samples=5, review=0.8, concurrency=1
        )
    )


def test_a_row_says_whether_it_is_for_a_person(rows):
    assert [row.extra["review"] for row in rows] == [False, True, True, True]
    assert flat(rows[1])["review"] is True
    assert from_flat(flat(rows[1])).columns["review"] == "true"


def test_the_queue_is_bound_to_the_receipts(rows, tmp_path):
    """Each line has what a person needs, and the hashes of what was asked and answered."""
    path = tmp_path / "queue.jsonl"
    with queueing(path, 0.8) as add:
        for row in rows:
            add(row)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["id"].split("/")[-1] for line in lines] == [
        "unsure.png",
        "lost.png",
        "declined.png",
    ]
    unsure, lost, declined = lines
    decision = rows[1].decision
    assert (
        unsure["decision_sha256"] == hashlib.sha256(decision.model_dump_json().encode()).hexdigest()
    )
    assert unsure["request_sha256"] == decision.receipt.request_sha256
    assert unsure["image_sha256"] == [decision.receipt.images[0].source_sha256]
    assert unsure["why"] == "its probability 0.600 is below 0.8"
    assert unsure["evidence"][0]["about"] == "the image"
    assert unsure["human_verdict"] is None
    assert lost["verdict"] is None
    assert lost["why"]
    assert declined["why"] == "the model cannot tell"


@pytest.mark.parametrize("wrong", [-0.1, 1.1, "0.8", True, float("nan")])
def test_a_threshold_is_a_probability(wrong):
    with pytest.raises(UsageError, match="review"):
        decide_many(["a.png"], "Is it?", model=ScriptedBackend([]), review=wrong)


def test_certify_says_which_rows_it_does_not_count(rows, tmp_path, call):
    """A damaged line is named and fails the command; what has no label is only counted."""
    labelled = [replace(row, columns={"label": "yes"} if n else {}) for n, row in enumerate(rows)]
    path = tmp_path / "labelled.jsonl"
    write_rows([labelled[1]] * 200 + labelled, path)
    code, out, err = call("certify", path, "--error", 0.1, "--json")
    assert (code, json.loads(out)["n"]) == (0, 201)
    assert err.splitlines() == [
        "note: 3 of 204 rows are not counted: 1 without a 'label', 1 failed, 1 cannot_tell"
    ]

    lines = path.read_text().splitlines()
    lines[2], lines[9] = lines[2][:-40], '{"somebody": "else"}'
    path.write_text("\n".join(lines))
    code, out, err = call("certify", path, "--error", 0.1)
    assert (code, "threshold" in out) == (1, True)
    places = "labelled.jsonl:3, labelled.jsonl:10"
    assert f"note: 2 of 204 rows cannot be read and are not counted: {places}\n" in err
