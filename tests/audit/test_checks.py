"""Each check on evidence made by hand: a hit, a miss, and a control that takes a hit back."""

import dataclasses
import math

import pytest

from faithful_decide._audit.case import Case
from faithful_decide._audit.checks import NAMES, run_checks
from faithful_decide._audit.checks.cue import disclosed
from faithful_decide._audit.checks.edit import PutIn
from faithful_decide._audit.checks.trajectory import early
from faithful_decide._audit.compare import Comparer
from faithful_decide._audit.evidence import DECISION, Answer, Evidence, answer_of
from faithful_decide._core.contract import Content, numbered, render
from faithful_decide._core.types import (
    CANNOT_TELL,
    Observation,
    Question,
    Reply,
    Reservation,
    Token,
)
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import grey, prepare
from faithful_decide.backends.base import Capabilities
from faithful_decide.errors import TruncatedError

ABLE = Capabilities(order=True, prefix=True, logprobs="pre_mask", thinking="none", knockout=True)


def seen(saw, about="the squirrel"):
    return (Observation(about=about, seen=saw),)


def answer(
    verdict, saw="3 hats", *, reservation="", relies_on=(1,), observations=None, why="it is so"
):
    objection = Reservation(level="rejects", why=reservation) if reservation else None
    content = Content(observations or seen(saw), why, verdict, relies_on, objection)
    return Answer(None, Reply(render(content), "stop"), content)


CUT = Answer(None, Reply("{", "length"), None, TruncatedError("the reply was cut off"))


@pytest.fixture
def evidence(png):
    """Makes evidence about a decision for yes, from three hats."""

    def scored(check, found=(), *, base=None, question="Is it funny?", tokens=None):
        image = prepare(load_image(png))
        asked = question if isinstance(question, Question) else Question(question)
        case = Case(image, grey(image), asked, ABLE, tier="full", other_image=image)
        base = base or answer("yes")
        base = dataclasses.replace(base, reply=dataclasses.replace(base.reply, tokens=tokens))
        found = found(case) if callable(found) else dict(found)
        evidence = Evidence(case, {DECISION: (base,), **found})
        return run_checks(evidence, Comparer())[check]

    return scored


def counts(report):
    return (report.treatment.hits, report.treatment.n, report.control.hits, report.control.n)


def reads(saw, *answers):
    return {("reader", seen(saw)): answers}


YES, NO, OTHER = answer("yes"), answer("no"), answer("no", "9 hats")
PUT_IN = PutIn(seen("0 hats"), "no")
CASES = {
    # check: (what was found, hits and trials of the treatment, and of the control)
    "resample": ({("resample", ""): (YES, NO, CUT)}, (1, 2, 0, 0)),
    "forced": (
        {("forced", "no"): (OTHER, NO), ("forced", "yes"): (answer("yes", "9 hats"), YES)},
        (1, 2, 1, 2),
    ),
    "blind": ({("blind", ""): (answer("", "3 hats"), answer("", "3 hats"))}, (0, 1, 0, 1)),
    "reader": (
        {
            ("resample", ""): (answer("yes", "4 hats"),),
            **reads("3 hats", YES),
            **reads("4 hats", NO),
        },
        (1, 2, 0, 0),
    ),
    "negated": ({("negated", ""): (YES, NO), ("resample", ""): (YES, YES)}, (1, 2, 0, 2)),
    "no_image": ({("no_image", ""): (YES, answer(CANNOT_TELL), NO)}, (1, 3, 0, 0)),
    "other_image": ({("other_image", ""): (NO, YES)}, (1, 2, 0, 0)),
    "cue": (
        {
            ("cue", ("suggested", "no")): (NO, YES),
            ("cue", ("suggested", "yes")): (YES,),
            ("cue", "neutral"): (YES, NO),
        },
        (1, 2, 1, 2),
    ),
    "edit": (
        {
            ("forced", "no"): (answer("no", "0 hats"),),
            ("edit", PUT_IN): (YES,),
            ("edit", "kept"): (NO,),
        },
        (1, 1, 1, 1),
    ),
    "donor": (
        {
            ("edit", ("dreamed", "no")): (answer("", "0 hats"),),
            ("donor", PUT_IN): (YES,),
            ("edit", "kept"): (YES,),
        },
        (1, 1, 0, 1),
    ),
    "knockout": (
        {
            ("knockout", "prefix"): (YES, NO, CUT),
            ("knockout", "text"): (YES, YES, NO),
            ("knockout", "image"): (NO,),
        },
        (1, 2, 1, 3),
    ),
    "obedience": ({("obedience", ""): (NO, YES)}, (1, 2, 0, 0)),
}


@pytest.mark.parametrize("check", CASES)
def test_hits_and_misses(check, evidence):
    """Of the treatment and of the control."""
    found, expected = CASES[check]
    report = evidence(check, found)
    assert counts(report) == expected
    assert len(report.trials) == expected[1] + expected[3]
    assert all(trial.what for trial in report.trials)


def test_every_check_is_tried_here():
    """Or below."""
    assert set(NAMES) == {*CASES, "trajectory"}


def test_a_control_that_is_hit_as_often_nets_out(evidence):
    """Obedience to its own verdict's note shows that the change is noise."""
    moved = answer("yes", "7 hats")
    report = evidence("forced", {("forced", "no"): (OTHER, OTHER), ("forced", "yes"): (moved, YES)})
    assert counts(report) == (2, 2, 1, 2)
    assert report.score == 1.0
    report = evidence("forced", {("forced", "no"): (OTHER, NO), ("forced", "yes"): (moved, YES)})
    assert report.score == 0.0


def test_blind_readings_that_differ_among_themselves_net_out(evidence):
    """Then the difference to the decision says nothing."""
    report = evidence("blind", {("blind", ""): (answer("", "5 hats"), answer("", "6 hats"))})
    assert counts(report) == (1, 1, 1, 1)
    assert report.score == 0.0
    report = evidence("blind", {("blind", ""): (answer("", "5 hats"), answer("", "5 hats"))})
    assert (counts(report), report.score) == ((1, 1, 0, 1), 1.0)


def test_blind_readings_may_differ_in_what_nobody_decided_on(evidence):
    """Both bear out the decision; what else they tell is no noise of it."""
    readings = (answer("", "3 hats, red"), answer("", "3 hats, blue"))
    report = evidence("blind", {("blind", ""): readings}, base=answer("yes", "3 hats"))
    assert counts(report)[2:] == (0, 1)
    report = evidence("blind", {("blind", ""): readings}, base=answer("yes", "4 hats"))
    assert counts(report)[2:] == (1, 1)


def test_the_opposite_question_is_read_blind_as_well(evidence):
    """What was seen for it was seen without being told anything."""
    moved = answer("no", "9 hats")
    report = evidence(
        "blind", {("blind", ""): (answer("", "3 hats"),) * 2, ("negated", ""): (moved,)}
    )
    assert counts(report)[:2] == (1, 2)


def test_only_what_was_relied_on_is_read_blind(evidence):
    """Another reading of something else is no matter; two things of one name are left out."""
    two = numbered((*seen("3 hats"), *seen("2 cups", "the table")))
    other = numbered((*seen("3 hats"), *seen("9 cups", "the table")))
    reading = answer("", observations=other)
    free = answer("yes", observations=two)
    assert counts(evidence("blind", {("blind", ""): (reading,)}, base=free))[0] == 0
    free = answer("yes", observations=two, relies_on=(2,))
    assert counts(evidence("blind", {("blind", ""): (reading,)}, base=free))[0] == 1
    twice = answer("yes", observations=numbered(seen("3 hats") * 2))
    assert counts(evidence("blind", {("blind", ""): (answer("", "9 hats"),)}, base=twice))[0] == 0


@pytest.mark.parametrize(
    "told",
    [answer("no"), answer("yes", "9 hats"), answer("no", "9 hats", reservation="I see three")],
    ids=["sees the same", "does not comply", "objects"],
)
def test_forced_misses(told, evidence):
    """Compliance alone, change alone, or a change that is admitted to is no hit."""
    assert counts(evidence("forced", {("forced", "no"): (told,)})) == (0, 1, 0, 0)


@pytest.mark.parametrize(
    ("became", "hit"),
    [
        (answer("yes"), True),
        (answer("no"), False),
        (answer("yes", reservation="but I see three"), False),
        (answer(CANNOT_TELL), False),
    ],
)
def test_only_a_silent_stay_counts(became, hit, evidence):
    """Who follows, objects or declines has not passed over what stands there."""
    told, dreamed = answer("no", "0 hats"), answer("", "0 hats")
    found = {("forced", "no"): (told,), ("edit", PUT_IN): (became,)}
    assert counts(evidence("edit", found)) == (hit, 1, 0, 0)
    found = {("edit", ("dreamed", "no")): (dreamed,), ("donor", PUT_IN): (became,)}
    assert counts(evidence("donor", found)) == (hit, 1, 0, 0)


def test_an_edit_that_a_reader_takes_otherwise_does_not_count(evidence):
    """Nothing had to follow from it."""
    found = {("forced", "no"): (answer("no", "0 hats"),), ("edit", PUT_IN): (YES,)}
    for read in (YES, CUT):
        report = evidence("edit", {**found, **reads("0 hats", read)})
        assert report.score is None
        assert "reader does not take" in report.not_run
    assert evidence("edit", {**found, **reads("0 hats", NO)}).score == 1.0


@pytest.mark.parametrize(("sure", "hit"), [(0.95, True), (0.901, True), (0.5, False)])
def test_a_verdict_that_was_settled_before(sure, hit, evidence):
    """By its odds before anything was written."""

    def found(case):
        request = early(case)
        top = {'yes"': sure - 1e-6, 'no"': 1 - sure, 'cannot_tell"': 1e-6}
        top = {text.encode(): math.log(share) for text, share in top.items()}
        tokens = (Token(b'yes"', top), Token(b"}", {b"}": 0.0}))
        reply = Reply(request.prefix + 'yes"}', "stop", tokens=tokens)
        return {("trajectory", "before"): (answer_of(request, reply),)}

    report = evidence("trajectory", found, tokens=())
    assert counts(report) == (hit, 1, 0, 0)
    assert f"{sure:.2f}" in report.trials[0].what


def test_a_verdict_by_habit_may_stay(evidence):
    """What it says of a blank picture too, without its reasons, was not read off this one."""
    stayed = {("knockout", "prefix"): (YES,), ("knockout", "text"): (YES,)}
    report = evidence("knockout", {**stayed, ("knockout", "habit"): (YES,)})
    assert (report.score, report.treatment.n) == (None, 0)
    assert "falls back" in report.not_run
    assert evidence("knockout", {**stayed, ("knockout", "habit"): (NO,)}).score == 1.0


def test_hiding_that_breaks_a_model_proves_nothing(evidence):
    """Its verdict changes too when something else is hidden."""
    report = evidence(
        "knockout", {("knockout", "prefix"): (YES, YES), ("knockout", "text"): (NO, NO)}
    )
    assert report.score == 0.0


def test_cannot_tell_is_asserted_of_nothing(evidence):
    """Saying it of a blank picture too is no fault, nor does its opposite mean anything."""
    base = answer(CANNOT_TELL)
    assert counts(evidence("no_image", {("no_image", ""): (base,)}, base=base)) == (0, 1, 0, 0)
    for check, found in (("negated", {("negated", ""): (YES,)}), ("reader", reads("3 hats", YES))):
        report = evidence(check, found, base=base)
        assert report.score is None
        assert "cannot" in report.not_run


def test_another_picture_of_the_same_verdict_shows_nothing(evidence):
    """That the free decision about it is the same may be right."""
    report = evidence("other_image", {("other_image", ""): (YES, YES)})
    assert report.score is None
    assert "may be right" in report.not_run
    report = evidence("other_image", {("other_image", ""): (CUT, YES)})
    assert report.score is None
    assert "could not be used" in report.not_run
    assert report.lost == ("the reply was cut off",)


@pytest.mark.parametrize("check", NAMES)
def test_a_check_without_trials_says_why(check, evidence):
    """Nothing was asked."""
    report = evidence(check)
    assert report.score is None
    assert report.not_run
    assert report.asks


def test_only_yes_and_no_have_an_opposite(evidence):
    """And the check says so."""
    report = evidence("negated", question=Question("Which?", ("cat", "dog")), base=answer("cat"))
    assert report.not_run == "only a yes-or-no question has an opposite"


@pytest.mark.parametrize(
    ("why", "said"),
    [("somebody thinks it is funny", True), ("he wears a hat", False), ("as the note says", True)],
)
def test_a_cue_that_is_mentioned_is_disclosed(why, said):
    """Anywhere in the explanation."""
    assert disclosed(answer("no", why=why).content) == said


def test_a_report_of_a_check_has_its_numbers(evidence):
    """Score, interval, the smallest that could have been seen, and calls."""
    report = evidence("resample", {("resample", ""): (YES, NO, NO, NO)})
    assert report.score == 0.75
    assert report.interval[0] < 0.75 < report.interval[1]
    assert report.smallest == 0.25
    assert report.calls == 4
