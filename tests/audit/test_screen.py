"""A screen beside a batch: one call more for each row, which never costs a row its decision."""

import json
import sys
from collections import Counter

import pytest
from known_pictures import BARE, FUNNY, HAT, TOPICS

from faithful_decide import (
    Question,
    TransientError,
    UsageError,
    decide_many,
    verify_stored,
)
from faithful_decide._audit.screen import Pool
from faithful_decide._cli import main as cli
from faithful_decide.backends.base import Capabilities
from faithful_decide.organisms import organisms
from faithful_decide.testing import ScriptedBackend, registered

COLUMNS = {"audit", "audit_check", "audit_trial", "audit_why"}


@pytest.fixture
def pictures(new_picture, tmp_path):
    """Forty pictures in a folder, with a table of labels; and what they show."""
    facts, lines = {}, ["image,label"]
    for number in range(40):
        picture, shown = new_picture(HAT if number % 2 else BARE)
        (tmp_path / f"{number:02}.png").write_bytes(picture)
        facts |= shown
        lines.append(f"{number:02}.png,{'yes' if number % 2 else 'no'}")
    (tmp_path / "labelled.csv").write_text("\n".join(lines) + "\n")
    return facts


@pytest.fixture
def asked(pictures):
    """A model that ignores the picture behind one that keeps what was asked of it."""

    def make(name="ImageIgnorer", fail=lambda _: False):
        organism = organisms(pictures, TOPICS)[name]

        def answer(request):
            if fail(request):
                return TransientError("late")
            return organism.generate(request)

        return ScriptedBackend(answer, capabilities=organism.capabilities, name=f"organism/{name}")

    return make


def test_it_costs_one_call_more_and_again_none(asked, tmp_path):
    """Every row has its check and what that showed; a second run asks nothing."""
    model = asked()
    journal = tmp_path / "j"
    rows = list(
        decide_many(tmp_path / "*.png", FUNNY, model=model, audit="screen", journal=journal)
    )
    assert len(rows) == 40
    assert len(model.requests) == 80
    assert all(row.extra.keys() == COLUMNS for row in rows)
    found = Counter((row.extra["audit_check"], row.extra["audit"]) for row in rows)
    assert {check for check, _ in found} == {"forced", "negated"}
    assert found["forced", "hit"]
    assert not found["forced", "no_hit"]
    assert {row.extra["audit_trial"] for row in rows} == {"treatment", "control"}
    again = list(
        decide_many(tmp_path / "*.png", FUNNY, model=model, audit="screen", journal=journal)
    )
    assert [(row.decision, row.extra) for row in again] == [(r.decision, r.extra) for r in rows]
    assert len(model.requests) == 80
    assert verify_stored(rows[0].decision.model_dump_json()) == rows[0].decision


def test_an_audit_that_fails_is_no_failed_row(asked, tmp_path):
    """The decision stands, and the columns say what was wrong with the rest."""
    decisions = {}
    model = asked(
        fail=lambda request: decisions.setdefault(request.images[0].sha256, request) != request
    )
    rows = list(decide_many(tmp_path / "*.png", FUNNY, model=model, audit="screen", timeout=0.2))
    assert all(row.verdict in {"yes", "no"} and row.error is None for row in rows)
    failed = [row.extra for row in rows if row.extra["audit"] == "failed"]
    assert failed
    assert all(extra["audit_why"].startswith("TransientError") for extra in failed)
    pool = Pool()
    for extra in failed:
        pool.add(extra)
    assert pool.checks() == {}


def test_the_pool_counts_treatments_and_controls_apart():
    """By check; what settled nothing is in none."""
    pool = Pool()
    for audit, check, trial in (
        ("hit", "forced", "treatment"),
        ("no_hit", "forced", "treatment"),
        ("no_hit", "forced", "control"),
        ("hit", "no_image", "treatment"),
        ("inconclusive", "blind", None),
    ):
        pool.add({"audit": audit, "audit_check": check, "audit_trial": trial})
    pool.add({})
    checks = pool.checks()
    assert set(checks) == {"forced", "no_image"}
    forced = checks["forced"]
    assert (forced.treatment.hits, forced.treatment.n, forced.control.n) == (1, 2, 1)
    assert (forced.score, forced.calls) == (0.5, 3)


def test_what_cannot_be_screened_is_refused(asked, tmp_path):
    """Before anything is asked."""
    model = asked()
    for wrong in ({"audit": "full"}, {"audit": "screen", "samples": 3}):
        with pytest.raises(UsageError):
            list(decide_many(tmp_path / "*.png", FUNNY, model=model, **wrong))
    assert model.requests == []


def test_a_model_of_two_steps_is_screened_too(pictures, tmp_path):
    """Its decision takes two calls, and so may the one that is asked besides."""
    able = Capabilities(enforcement="strict", order=True, decoder="autoregressive", two_steps=True)
    organism = organisms(pictures, TOPICS, capabilities=able)["Obedient"]
    model = ScriptedBackend(organism.generate, capabilities=able)
    rows = list(decide_many(tmp_path / "*.png", Question(FUNNY), model=model, audit="screen"))
    found = Counter((row.extra["audit_check"], row.extra["audit"]) for row in rows)
    assert found["forced", "hit"]
    assert len(model.requests) == 160


@pytest.fixture
def call(asked, monkeypatch, capsys, tmp_path):
    """Runs the program on the folder of the pictures."""
    model = asked()
    monkeypatch.setenv("FAITHFUL_DECIDE_MODEL", "organism/x")
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["faithful-decide", *arguments])
        code = cli.run()
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    run.model = model
    with registered("organism", lambda _: model):
        yield run


def test_on_the_command_line(call, tmp_path):
    """Columns in the rows, the pooled checks on stderr, a page; a dry run knows of both calls."""
    batch = ("batch", "labelled.csv", "-q", FUNNY, "--audit", "screen")
    assert "requests   80 (0 replies" in call(*batch, "--dry-run")[1]
    code, out, err = call(*batch, "--html", "page.html")
    assert code == 0
    rows = [json.loads(line) for line in out.splitlines()]
    assert all(row.keys() >= COLUMNS for row in rows)
    drawn = [row for row in rows if row["audit_check"] == "forced" and row["audit_trial"]]
    assert f"audit: forced {len(drawn)} hits of {len(drawn)}\n" in err
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "40</b> images" in page
    assert "Checks, pooled over the images" in page
    assert "Against the labels" in page
    assert "requests   0 (80 replies" in call(*batch, "--dry-run")[1]
    assert call(*batch)[2].startswith("40 rows")
    assert len(call.model.requests) == 80


def test_a_page_shows_one_question(call, tmp_path):
    """Two are refused before anything is asked; no row, no page."""
    code, out, err = call("batch", "labelled.csv", "-q", "a", "-q", "b", "--html", "page.html")
    assert (code, out) == (2, "")
    assert "run the command once for each" in err
    call("batch", "labelled.csv", "-q", FUNNY, "--limit", "0", "--html", "page.html")
    assert call.model.requests == []
    assert not (tmp_path / "page.html").exists()
