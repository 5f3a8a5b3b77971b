"""Two sides over the same items: paired, tested exactly, and the wrong order well fenced."""

import json
import random

import pytest

from faithful_decide import ContractError, Item, Question, QuestionError, UsageError
from faithful_decide._asking.options import Options
from faithful_decide._asking.verdict_first import KEYS, SYSTEM, verdict_first_plan
from faithful_decide._batch.compare import Side, _difference, compare, mcnemar
from faithful_decide._batch.journaled import journaled
from faithful_decide._batch.runner import Job
from faithful_decide._core.contract import verify
from faithful_decide.backends import Reply
from faithful_decide.testing import ScriptedBackend, reply_text

QUESTION = Question("Is it red?")


def backend_of(verdicts, picture_of):
    """Replies with the verdict of each picture; None is a refusal."""
    known = {picture_of(number): verdict for number, verdict in enumerate(verdicts)}

    def line(request):
        verdict = known[request.images[0].data]
        if verdict is None:
            return Reply("no", "refusal")
        if request.system == SYSTEM:
            values = json.loads(reply_text(verdict))
            ordered = {"conclusion": values.pop("verdict"), **values}
            return json.dumps(ordered)
        return reply_text(verdict)

    return ScriptedBackend(line)


def side(name, backend, question=QUESTION, **options):
    return Side(name, Job(journaled(backend), Options(), **options), question)


@pytest.fixture
def both(picture_of):
    """Compares two lists of verdicts, with labels or without."""

    def run(first, second, labels=None, **options):
        items = [
            Item(str(n), picture_of(n), {"label": labels[n]} if labels else {})
            for n in range(len(first))
        ]
        sides = (
            side("a", backend_of(first, picture_of)),
            side("b", backend_of(second, picture_of), **options),
        )
        return compare(*sides, items)

    return run


def test_only_the_items_on_which_they_differ_count(both):
    """With labels, being right is what is compared; 6 against 1 of 20 is p = 0.125."""
    truth = ["yes"] * 20
    first = ["yes"] * 13 + ["no"] * 7
    second = ["yes"] * 12 + ["no"] + ["yes"] * 6 + ["no"]
    found = both(first, second, truth)
    assert (found.what, found.pairs, found.only_first, found.only_second) == ("right", 20, 1, 6)
    assert found.p_value == pytest.approx(0.125)
    assert found.difference.value == pytest.approx(0.25)
    assert found.difference.low < 0.25 < found.difference.high
    assert [rate.value for rate in found.rates] == [0.65, 0.9]
    assert found.verdicts == {"yes": {"yes": 12, "no": 1}, "no": {"yes": 6, "no": 1}}
    assert found.agreed == 13


def test_errors_are_in_no_pair_and_abstentions_are_not_right(both):
    """Both are counted for each side."""
    found = both(["yes", None, "cannot_tell", "yes"], ["yes", "yes", "yes", None], ["yes"] * 4)
    assert (found.items, found.pairs) == (4, 2)
    assert found.errors == ({"RefusedError": 1}, {"RefusedError": 1})
    assert found.abstained == (1, 0)
    assert (found.only_first, found.only_second) == (0, 1)


def test_without_labels_the_first_verdict_is_compared(both):
    """How often each side says yes."""
    found = both(["yes", "no", "no"], ["yes", "yes", "no"])
    assert found.what == "first verdict"
    assert [rate.value for rate in found.rates] == pytest.approx([1 / 3, 2 / 3])
    with pytest.raises(QuestionError):
        both(["yes"], ["left"], question=Question("Where?", ("left", "right")))


def test_sides_that_do_the_same_differ_by_chance_only():
    """Of 2000 comparisons of equals with 25 pairs, 95 % of the intervals hold 0."""
    rng = random.Random(1)
    held = 0
    for _ in range(2000):
        draws = [(rng.random() < 0.5, rng.random() < 0.5) for _ in range(25)]
        found = _difference(sum(a > b for a, b in draws), sum(b > a for a, b in draws), 25)
        held += found.low <= 0 <= found.high
    assert 0.93 <= held / 2000 <= 0.98


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [(0, 0, 1.0), (1, 6, 0.125), (6, 1, 0.125), (5, 5, 1.0), (0, 10, 2**-9), (3, 12, 0.03515625)],
)
def test_the_p_value_is_exact(first, second, p):
    """Worked out by hand: twice the tail of a fair coin."""
    assert mcnemar(first, second) == p


def test_the_p_value_is_that_of_scipy():
    """Also with more pairs than a float has room for."""
    binomtest = pytest.importorskip("scipy.stats").binomtest
    for first, second in [(0, 1), (2, 9), (17, 40), (500, 570), (9_000, 9_500)]:
        expected = binomtest(first, first + second).pvalue
        assert mcnemar(first, second) == pytest.approx(expected, rel=1e-9)
    assert 0 < mcnemar(0, 1000) < 1e-300


def test_the_other_order(both, picture_of):
    """It is asked for by its own contract, and read as strictly."""
    found = both(["yes", "no"], ["no", "no"], ["yes", "no"], instead=verdict_first_plan)
    assert (found.only_first, found.only_second) == (1, 0)
    assert list(KEYS) == sorted(KEYS)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (reply_text("yes"), "OrderError"),
        (reply_text("yes").replace('"verdict"', '"conclusion"'), "OrderError"),
        ('{"conclusion": "maybe"}', "OrderError"),
        ("nonsense", "ContractError"),
        (
            '{"conclusion": "maybe", "observations": [], "reasoning": "", "relies_on": []}',
            "ContractError",
        ),
        (Reply('{"conclusion": "yes"', "length"), "TruncatedError"),
        (Reply("", "refusal"), "RefusedError"),
    ],
)
def test_replies_in_the_other_order_are_checked(text, error, picture_of):
    """What would be no decision is no verdict here either."""
    backend = ScriptedBackend([text, reply_text("yes")])
    items = [Item("a", picture_of(0))]
    sides = (
        side("a", backend, instead=verdict_first_plan),
        side("b", ScriptedBackend([reply_text("yes")])),
    )
    assert compare(*sides, items).errors[0] == {error: 1}


def test_the_other_order_is_never_a_decision(picture_of):
    """Not by the contract, and not in a row."""
    from faithful_decide._batch.runner import stream

    seen = [{"about": "a", "n": 1, "seen": "b"}]
    body = {"conclusion": "yes", "observations": seen, "reasoning": "long enough"}
    text = json.dumps({**body, "relies_on": [1]})
    with pytest.raises(ContractError):
        verify(Reply(text, "stop"), ("yes", "no"))
    job = Job(journaled(ScriptedBackend([text])), Options(), instead=verdict_first_plan)
    (row,) = stream(job, [(Item("a", picture_of(0)), {"q": QUESTION})])
    assert (row.decision, row.verdict, row.extra) == (None, None, {"verdict_first": "yes"})


def test_orders_are_compared_by_single_replies(picture_of):
    """A vote, or two steps, would be something else."""
    job = Job(journaled(ScriptedBackend([])), Options(samples=3), instead=verdict_first_plan)
    sides = (Side("a", job, QUESTION), side("b", ScriptedBackend([reply_text("yes")])))
    with pytest.raises(UsageError):
        compare(*sides, [Item("a", picture_of(0))])
