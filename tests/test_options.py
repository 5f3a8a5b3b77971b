"""One table of options: every door takes what it says, and what nobody knows is not ignored."""

import asyncio
import importlib.util
import inspect

import numpy as np
import pytest

from faithful_decide import (
    Decider,
    UsageError,
    aaudit,
    adecide,
    audit,
    audit_dataset,
    decide,
    decide_many,
    load_backend,
)
from faithful_decide._asking.options import Options, table
from faithful_decide.testing import ScriptedBackend, registered, reply_text
from tests.support.cases import case

ROWS = {row.name: row for row in table()}


def test_decide_is_the_table():
    """The one signature that is written out has its names, its order and its defaults."""
    shown = inspect.signature(decide).parameters
    assert [name for name in shown if name in ROWS] == list(ROWS)
    assert {name: shown[name].default for name in ROWS} == {n: r.default for n, r in ROWS.items()}
    assert all(f"\n        {name}: " in decide.__doc__ for name in ROWS)
    assert all(row.metadata["help"].endswith(".") for row in ROWS.values())


@pytest.mark.parametrize(
    ("door", "without"),
    [
        (adecide, ()),
        (Decider, ()),
        (decide_many, ()),
        (audit, ("samples", "retries")),
        (aaudit, ("samples", "retries")),
        (audit_dataset, ("samples", "retries")),
    ],
)
def test_the_other_doors_show_the_same(door, without):
    """Whoever asks `help` sees every option with its default."""
    shown, original = inspect.signature(door).parameters, inspect.signature(decide).parameters
    assert not set(without) & set(shown)
    for name in ROWS.keys() - set(without):
        assert (shown[name].default, shown[name].kind) == (
            original[name].default,
            original[name].kind,
        )
    assert list(shown)[-1] == "options"


def ways():
    """Every way to ask, as a function of an image and options."""

    def with_decider(image, model, **options):
        with Decider(model, **options) as decider:
            return decider.decide(image, "Is it?")

    yield lambda image, model, **options: decide(image, "Is it?", model=model, **options)
    yield lambda image, model, **options: asyncio.run(
        adecide(image, "Is it?", model=model, **options)
    )
    yield with_decider
    yield lambda image, model, **options: next(
        decide_many([image], "Is it?", model=model, **options)
    )


WRONG = (
    ({"samples": 0}, "samples="),
    ({"samples": True}, "samples="),
    ({"samples": 2.0}, "samples="),
    ({"seed": -1}, "seed="),
    ({"max_tokens": "9"}, "max_tokens="),
    ({"retries": None}, "retries="),
    ({"timeout": "30"}, "timeout="),
    ({"timeout": 0}, "timeout="),
    ({"timeout": float("nan")}, "timeout="),
    ({"labels": ("a", "b")}, "verdicts="),
    ({"max_token": 3}, "max_tokens="),
    ({"time_out": 3}, "timeout="),
    ({"audited": True}, ""),
)


@pytest.mark.parametrize("way", list(ways()))
def test_what_cannot_be_is_said_with_the_option(way, png):
    """Typed, before the model is asked, with what was meant in the hint."""
    backend = ScriptedBackend([])
    for wrong, named in WRONG:
        with case(wrong):
            with pytest.raises(UsageError) as caught:
                way(png, backend, **wrong)
            assert named in caught.value.hint
            assert backend.requests == []


@pytest.mark.parametrize("way", list(ways()))
def test_numbers_of_numpy_are_numbers(way, png):
    """A seed comes out of an array as often as not."""
    backend = ScriptedBackend(lambda _: reply_text("yes"))
    way(png, backend, seed=np.int64(3), samples=np.uint8(1), timeout=np.float32(9))
    assert {type(request.seed) for request in backend.requests} == {int}


def test_the_backend_names_its_own_options(png):
    """A mistyped option of a backend is not taken for one of ours, nor the other way round."""

    def load(rest, *, temperature=0.0, n_threads=1):
        return ScriptedBackend([reply_text("yes")])

    with registered("scripted", load):
        for wrong, meant in (("temprature", "temperature="), ("threads", "n_threads=")):
            with pytest.raises(UsageError) as caught:
                decide(png, "Is it?", model="scripted/x", **{wrong: 1})
            assert caught.value.hint == f"did you mean {meant}"
            with pytest.raises(UsageError) as caught:
                load_backend("scripted/x", **{wrong: 1})
            assert caught.value.hint == f"did you mean {meant}"
        with pytest.raises(UsageError) as caught:
            decide(png, "Is it?", model="scripted/x", xyzzy=1)
    assert "verdicts" in caught.value.hint
    assert "n_threads" in caught.value.hint


def test_samples_in_a_journal_have_a_seed():
    """Without one nobody could find them again."""
    assert Options(samples=3, journal="x").seed == 0
    assert Options(samples=3).seed is None
    assert Options(samples=3, journal="x", seed=4).seed == 4


def test_an_option_of_a_decision_is_not_dropped_by_an_audit(png):
    """It has none of these, and says so."""
    for call in (audit, lambda *a, **k: asyncio.run(aaudit(*a, **k))):
        with pytest.raises(UsageError, match="samples"):
            call(png, "Is it?", model=ScriptedBackend([]), samples=3)


def test_the_doors_for_large_tables_show_the_table():
    """Where what they need is installed."""
    pytest.importorskip("pyarrow")
    from faithful_decide.ray import DecideBatch

    doors = [DecideBatch]
    if importlib.util.find_spec("daft"):
        from faithful_decide.daft import decide_udf

        doors.append(decide_udf)
    for door in doors:
        shown = inspect.signature(door).parameters
        assert {name: shown[name].default for name in ROWS} == {
            name: row.default for name, row in ROWS.items()
        }
