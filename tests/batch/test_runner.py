"""Every sample becomes a row, whatever happens to it; what was paid for is never paid for twice."""

import itertools
import json
import threading
import time
from decimal import Decimal

import pytest

from faithful_decide import (
    AuthError,
    BackendError,
    Decider,
    Item,
    Journal,
    Question,
    StorageError,
    TransientError,
    UnsupportedError,
    UsageError,
    decide_many,
)
from faithful_decide.backends import Reply, Usage
from faithful_decide.backends.base import innermost
from faithful_decide.testing import ScriptedBackend, reply_text

QUESTION = "Is it red?"


class AsyncScripted(ScriptedBackend):
    """A scripted backend that waits, as one behind a server does."""

    delay = 0.005
    busy = most = begun = 0

    async def agenerate(self, request):
        import asyncio

        self.begun += 1
        self.busy += 1
        self.most = max(self.most, self.busy)
        try:
            await asyncio.sleep(self.delay)
            return self.generate(request)
        finally:
            self.busy -= 1


def yes(_):
    return reply_text("yes")


@pytest.fixture
def many(tmp_path, picture_of):
    """A folder of 40 images that all differ."""
    for number in range(40):
        (tmp_path / f"{number:03}.png").write_bytes(picture_of(number))
    return tmp_path


@pytest.mark.parametrize("kind", [ScriptedBackend, AsyncScripted])
@pytest.mark.parametrize("concurrency", [1, 7])
def test_rows_come_in_the_order_of_the_items(many, kind, concurrency):
    """With several at once as well."""
    rows = list(decide_many(many, QUESTION, model=kind(yes), concurrency=concurrency))
    assert [row.id for row in rows] == [f"{n:03}.png" for n in range(40)]
    assert {row.verdict for row in rows} == {"yes"}


def test_a_row_is_printed_on_one_line(png):
    """Whoever loops over rows prints them; what a model or a path says cannot break the line."""
    model = ScriptedBackend(lambda _: reply_text("yes"))
    decided, failed = decide_many([png, Item("a\nb.png", "no.png")], QUESTION, model=model)
    assert str(decided) == f"{decided.id}: yes"
    assert str(failed) == "a\\nb.png: ImageError: there is no file 'no.png'"


def test_rows_as_they_are_done(many):
    """One that waits for all others does not keep them back."""
    import asyncio

    others, slow = asyncio.Event(), (many / "000.png").read_bytes()

    class Waiting(AsyncScripted):
        async def agenerate(self, request):
            reply = await super().agenerate(request)
            if len(self.requests) == 40:
                others.set()
            if request.images[0].data == slow:
                await others.wait()
            return reply

    rows = [
        row.id
        for row in decide_many(many, QUESTION, model=Waiting(yes), concurrency=4, ordered=False)
    ]
    assert rows[-1] == "000.png"
    assert sorted(rows) == [f"{n:03}.png" for n in range(40)]


def test_no_more_at_once_than_was_said(many):
    """Neither fewer: 40 samples, 5 at a time."""
    backend = AsyncScripted(yes)
    list(decide_many(many, QUESTION, model=backend, concurrency=5, journal=many / "j"))
    # The gate lets more through with every success, from two on.
    assert 3 <= backend.most <= 5


def test_every_question_about_one_image_before_the_next(many, monkeypatch):
    """One after the other, and the image is prepared once."""
    from faithful_decide._batch import runner

    prepared = []
    made = runner.prepare_all
    monkeypatch.setattr(runner, "prepare_all", lambda *a: prepared.append(1) or made(*a))
    backend = ScriptedBackend(yes)
    questions = {"red": QUESTION, "which": Question("Which?", ("yes", "b")), "blue": "Is it blue?"}
    rows = list(decide_many(many, questions, model=backend, limit=3))
    assert [row.question for row in rows] == ["red", "which", "blue"] * 3
    assert len(prepared) == 3
    images = [request.images[0].sha256 for request in backend.requests]
    assert [len(list(group)) for _, group in itertools.groupby(images)] == [3, 3, 3]


def test_what_is_wrong_with_one_row_is_that_row(many, png):
    """Bad images, refusals, timeouts: an error with a type, no verdict, and the run goes on."""
    (many / "001.png").write_bytes(b"no image")
    (many / "002.png").write_bytes(png[:50])
    script = {
        3: Reply("no", "refusal"),
        4: reply_text("maybe"),
        5: TransientError("the server had its time", retry_after=1e9),
    }
    count = itertools.count()

    def line(_):
        number = next(count)
        return script.get(number + 2 if number else 0, reply_text("yes"))

    backend = ScriptedBackend(line, name="a busy one")
    rows = list(decide_many(many, QUESTION, model=backend, limit=8, timeout=0.2))
    kinds = [row.error_type or row.verdict for row in rows]
    assert kinds == [
        "yes",
        "ImageError",
        "ImageError",
        "RefusedError",
        "ContractError",
        "TransientError",
        "TransientError",  # the gate in front of that server stays shut
        "TransientError",
    ]
    assert all((row.verdict is None) == (row.error is not None) for row in rows)


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("error", [AuthError("no"), StorageError("full"), UsageError("x")])
def test_what_is_wrong_with_all_rows_ends_the_run(many, concurrency, error):
    """It would be the same for a million of them."""
    backend = AsyncScripted(lambda _: error)
    with pytest.raises(type(error)):
        list(decide_many(many, QUESTION, model=backend, concurrency=concurrency))
    assert len(backend.requests) <= concurrency


@pytest.mark.parametrize("kind", [ScriptedBackend, AsyncScripted])
@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("error", [BackendError("no model", hint="look there")])
def test_the_same_error_ten_times_in_a_row_ends_the_run(many, kind, concurrency, error):
    """The rows before it come, then the error, with its type and its hint; little more is asked."""
    count = itertools.count()

    def line(_):
        return reply_text("yes") if next(count) < 5 else error

    backend = kind(line, name=f"an unknown one, {concurrency} {kind} {error}")
    made = decide_many(many, QUESTION, model=backend, concurrency=concurrency)
    rows = []
    with pytest.raises(type(error), match=f"10 rows in a row.*{error}") as caught:
        rows.extend(made)
    assert caught.value.hint == "look there"
    assert sum(row.verdict == "yes" for row in rows) == 5
    assert 15 <= len(rows) <= 14 + concurrency
    assert next(count) <= 15 + 2 * concurrency


def test_a_server_that_is_not_there_ends_the_run(many):
    """Each row waits its time; ten of them are enough."""
    backend = ScriptedBackend(lambda _: TransientError("no server"), name="one that is off")
    rows = decide_many(many, QUESTION, model=backend, timeout=0.5)
    assert [next(rows).error_type for _ in range(10)] == ["TransientError"] * 10
    with pytest.raises(TransientError, match="no server"):
        next(rows)


def test_errors_that_differ_do_not_end_the_run(many):
    """Nor ten refusals, nor ten of one kind with a reply in between."""
    count = itertools.count()

    def line(_):
        number = next(count)
        if number < 12:
            return Reply("no", "refusal")
        if number < 24:
            return BackendError(f"image {number} is too large")
        return reply_text("yes") if number % 9 == 0 else BackendError("busy")

    rows = list(decide_many(many, QUESTION, model=ScriptedBackend(line, name="moody")))
    assert len(rows) == 40


def test_half_an_emoji_is_one_row(many, tmp_path):
    """A reply that UTF-8 cannot hold is a ContractError; the run goes on, and resumes for free."""
    count = itertools.count()

    def line(_):
        return reply_text("yes", reasoning="a brown dog" + "\ud83d" * (next(count) == 2))

    backend = ScriptedBackend(line)
    for _ in range(2):
        rows = decide_many(many, QUESTION, model=backend, journal=tmp_path / "journal", limit=6)
        kinds = [row.error_type for row in rows]
        assert kinds == [None, None, "ContractError", None, None, None]
    assert len(backend.requests) == 6


def test_running_again_costs_nothing(many):
    """Nor does renaming the folder; a new image costs one, another question all."""
    backend, journal = AsyncScripted(yes), many.parent / f"{many.name}.journal"
    first = list(decide_many(many, QUESTION, model=backend, journal=journal))
    assert list(decide_many(many, QUESTION, model=backend, journal=journal)) == first
    moved = many.rename(many.parent / f"{many.name}-moved")
    list(decide_many(moved, QUESTION, model=backend, journal=journal))
    assert len(backend.requests) == 40
    (moved / "new.png").write_bytes((moved / "000.png").read_bytes() + b"changed")
    list(decide_many(moved, QUESTION, model=backend, journal=journal))
    assert len(backend.requests) == 41
    list(decide_many(moved, "Is it blue?", model=backend, journal=journal))
    assert len(backend.requests) == 82


def test_an_early_end_keeps_what_was_on_its_way(many):
    """Replies that were asked for are in the journal, although nobody waited for their rows."""
    backend, path = AsyncScripted(yes), many / "j"
    backend.delay = 0.1
    rows = decide_many(many, QUESTION, model=backend, journal=path, concurrency=4)
    next(rows)
    started = time.monotonic()
    rows.close()
    assert time.monotonic() - started < 2
    with Journal(path) as journal:
        assert len(list(journal.keys("replies"))) == backend.begun > 1


def test_a_second_run_on_the_same_journal_is_refused(many):
    """It would pay for the same rows; whoever shares the open journal may."""
    path = many / "j"
    rows = decide_many(many, QUESTION, model=ScriptedBackend(yes), journal=path)
    next(rows)
    with pytest.raises(UsageError, match="another run"):
        next(decide_many(many, QUESTION, model=ScriptedBackend(yes), journal=path))
    with Journal(path) as journal, Decider(ScriptedBackend(yes), journal=journal) as decider:
        assert decider.decide(many / "000.png", QUESTION).verdict == "yes"
    rows.close()
    list(decide_many(many, QUESTION, model=ScriptedBackend(yes), journal=path, limit=1))


def test_the_limit_of_cost(many):
    """No sample is begun that would go beyond it, and what was begun is finished."""
    reply = Reply(reply_text("yes"), "stop", model="gpt-4o-mini", usage=Usage(1_000_000, None, 0))
    backend = AsyncScripted(lambda _: reply, name="openai/gpt-4o-mini")
    rows = list(decide_many(many, QUESTION, model=backend, concurrency=4, max_cost=Decimal("1.50")))
    # 15 cents each.
    assert 7 <= len(rows) <= 10
    assert len(backend.requests) == len(rows)


def test_a_limit_that_cannot_be_kept_is_refused(many):
    """Where the price is not known, before anything is asked."""
    backend = ScriptedBackend(yes)
    with pytest.raises(UnsupportedError):
        list(decide_many(many, QUESTION, model=backend, max_cost=Decimal(1)))
    assert backend.requests == []


def test_a_plan_beyond_the_decision(many):
    """Its requests go through the same journal, and what it returns are columns."""
    from dataclasses import replace

    from faithful_decide._asking.options import Options
    from faithful_decide._batch.journaled import journaled
    from faithful_decide._batch.runner import Job, stream

    def screen(image, decision, backend):
        (reply,) = yield (replace(innermost(backend).requests[-1], prefix="{"),)
        return {"audit_flags": [reply.finish, decision.verdict]}

    backend = ScriptedBackend(yes)
    with Journal(many / "j") as journal:
        for _ in range(2):
            job = Job(journaled(backend, journal), Options(), beyond=screen)
            sample = Item("a", many / "000.png", {"label": "yes"})
            (row,) = stream(job, [(sample, {"q": Question(QUESTION)})])
            assert row.extra == {"audit_flags": ["stop", "yes"]}
    assert len(backend.requests) == 2


def test_decide_many_of_a_decider_is_the_same(many):
    """Rows in order, side by side; what is wrong with one image is the error of its row."""
    backend = AsyncScripted(yes)
    paths = [many / f"{n:03}.png" for n in range(12)]
    with Decider(backend) as decider:
        rows = list(decider.decide_many([*paths, b"no image"], QUESTION, concurrency=4))
    assert [row.error_type for row in rows] == [None] * 12 + ["ImageError"]
    assert backend.most > 1
    ours = list(decide_many([*paths, b"no image"], QUESTION, model=AsyncScripted(yes)))
    assert [(r.id, r.question, r.verdict) for r in ours] == [
        (r.id, r.question, r.verdict) for r in rows
    ]


def test_it_works_inside_a_running_loop(many):
    """As in a notebook."""
    import asyncio

    async def inside():
        return list(decide_many(many, QUESTION, model=AsyncScripted(yes), limit=3))

    assert len(asyncio.run(inside())) == 3


def test_no_thread_is_left(many):
    """Of the runner's own; the pool of the interpreter may stay."""
    list(decide_many(many, QUESTION, model=AsyncScripted(yes), limit=3))
    assert not [thread for thread in threading.enumerate() if thread.name == "backend"]


@pytest.mark.parametrize("questions", [1, 2])
def test_workers(many, questions):
    """Two processes with the embedded model decide what one does.

    With one question a sample, where the next waits at each worker, and with several.
    """
    pytest.importorskip("xllamacpp")
    asked = dict.fromkeys("ab"[:questions], QUESTION)
    both = [
        [
            json.loads(row.decision.model_dump_json(exclude={"receipt"}))
            for row in decide_many(many, asked, model="embedded", limit=4, workers=count)
        ]
        for count in (1, 2)
    ]
    assert len(both[0]) == 4 * questions
    assert both[0] == both[1]


def test_workers_need_a_spec(many):
    """A loaded model cannot be loaded again; an unknown one is a typed error."""
    with pytest.raises(UnsupportedError):
        list(decide_many(many, QUESTION, model=ScriptedBackend(yes), workers=2))
    with pytest.raises(UnsupportedError):
        list(decide_many(many, QUESTION, model="nonsense", workers=2))
