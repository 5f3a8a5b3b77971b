"""Each check on evidence made by hand: a hit, a miss, and a control that takes a hit back."""

import dataclasses
import json
import math

import pytest

from faithful_decide._audit.case import Case, Other, statement
from faithful_decide._audit.checks import NAMES, run_checks
from faithful_decide._audit.checks.claims import asking, claims_of, gate
from faithful_decide._audit.checks.cue import disclosed
from faithful_decide._audit.checks.edit import PutIn
from faithful_decide._audit.checks.forced import accommodates, forced_of, told_sentence
from faithful_decide._audit.checks.mask import elsewhere
from faithful_decide._audit.checks.trajectory import early
from faithful_decide._audit.evidence import DECISION, Answer, Evidence, answer_of
from faithful_decide._audit.types import Claim
from faithful_decide._core.contract import Content, numbered, render
from faithful_decide._core.types import (
    CANNOT_TELL,
    Observation,
    Question,
    Region,
    Reply,
    Reservation,
    Token,
)
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import grey, prepare
from faithful_decide.backends.base import Capabilities, Purpose, Request
from faithful_decide.errors import RefusedError, TruncatedError

ABLE = Capabilities(
    order=True, prefix=True, logprobs="pre_mask", thinking="none", knockout=True,
    decoder="autoregressive",
)  # fmt: skip
FUNNY = Question("Is it funny?")


def seen(saw, about="the squirrel"):
    return (Observation(about=about, seen=saw),)


def handed(observations):
    """A request that shows observations, as those that put something in do."""
    purpose = Purpose("edit", FUNNY, observations=observations)
    return Request("", (), "", None, 512, purpose=purpose)


def answer(
    verdict,
    saw="3 hats",
    *,
    objects="",
    relies_on=(1,),
    observations=None,
    why="it is so",
    given=None,
):
    reservation = Reservation(level="rejects", why=objects) if objects else None
    rows = observations or seen(saw)
    content = Content(rows, why, verdict, relies_on, reservation)
    return Answer(handed(given or rows), Reply(render(content), "stop"), content)


CUT = Answer(None, Reply("{", "length"), None, TruncatedError("the reply was cut off"))
REFUSED = Answer(None, Reply("No.", "refusal"), None, RefusedError("the model declined to reply"))
YES, NO = answer("yes"), answer("no")


@pytest.fixture
def case(png):
    image = prepare(load_image(png))
    return Case(image, grey(image), FUNNY, ABLE, tier="full", other_image=image)


@pytest.fixture
def evidence(case):
    """Makes evidence about a decision for yes, from three hats."""

    def made(found=(), *, base=None, tokens=None, **changes):
        about = dataclasses.replace(case, **changes)
        base = base or YES
        base = dataclasses.replace(base, reply=dataclasses.replace(base.reply, tokens=tokens))
        found = found(about) if callable(found) else dict(found)
        return Evidence(about, {DECISION: (base,), **found})

    return made


def report(evidence, check):
    return run_checks(evidence)[check]


def counts(found):
    return (found.treatment.hits, found.treatment.n, found.control.hits, found.control.n)


def reads(saw, *answers):
    return {("reader", seen(saw)): answers}


def said(case, values, check="claims", variant="asked"):
    """What the model says of statements: texts, each with its value."""
    texts = list(values)
    request = asking(case, texts)
    rows = [{"n": n, "seen": "that", "value": values[t]} for n, t in enumerate(texts, 1)]
    reply = Reply(json.dumps({"claims": rows}), "stop")
    return {(check, (variant, 0)): (answer_of(request, reply),)}


PUT_IN = PutIn(seen("0 hats"), "no")
WORDS = seen("hats, three of them")
CASES = {
    # check: (what was found, hits and trials of the treatment, and of the control)
    "resample": ({("resample", ""): (YES, NO, CUT)}, (1, 2, 0, 0)),
    "forced": ({("forced", "no"): (NO, YES), ("forced", "yes"): (YES,)}, (1, 2, 0, 0)),
    "reader": (
        {
            ("resample", ""): (answer("yes", "4 hats"),),
            **reads("3 hats", YES),
            **reads("4 hats", NO),
        },
        (1, 2, 0, 0),
    ),
    "negated": (
        {("negated", ""): (YES, NO), ("negated", "known"): (NO, NO), ("resample", ""): (YES, NO)},
        (1, 2, 1, 2),
    ),
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
            ("edit", PUT_IN): (answer("yes", "0 hats"),),
            **reads("0 hats", NO),
            ("paraphrase", "words"): (answer("", observations=WORDS),),
            ("paraphrase", ("put in", WORDS)): (answer("no", observations=WORDS),),
        },
        (1, 1, 1, 1),
    ),
    "donor": (
        {
            ("donor", PUT_IN): (answer("yes", "0 hats"),),
            **reads("0 hats", NO),
            ("paraphrase", "words"): (answer("", observations=WORDS),),
            ("paraphrase", ("put in", WORDS)): (answer("yes", observations=WORDS),),
        },
        (1, 1, 0, 1),
    ),
    "paraphrase": (
        {
            ("paraphrase", "words"): (answer("", observations=WORDS),),
            ("paraphrase", ("put in", WORDS)): (answer("no", observations=WORDS),),
        },
        (1, 1, 0, 0),
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
}  # fmt: skip


@pytest.mark.parametrize("check", CASES)
def test_hits_and_misses(check, evidence, case):
    """Of the treatment and of the control."""
    found, expected = CASES[check]
    other = Other(case.image, "no", PUT_IN.observations)
    made = report(evidence(found, other=other), check)
    assert counts(made) == expected
    assert len(made.trials) == expected[1] + expected[3]
    assert all(trial.what for trial in made.trials)


def test_every_check_is_tried_here():
    """Or below."""
    below = {"claims", "no_image", "other_image", "mask", "trajectory"}
    assert set(NAMES) == {*CASES, *below}


# ---------------------------------------------------------------- the experiment


@pytest.mark.parametrize(
    ("no", "outcome", "either"),
    [
        ((NO, NO, YES), "argued", True),
        ((NO, YES), "kept", False),
        ((YES, YES), "kept", False),
        ((answer("no", objects="I see three"),), "objected", False),
        ((answer(CANNOT_TELL),), "other", False),
        ((REFUSED,), "refused", False),
        ((CUT,), "unusable", None),
        ((CUT, CUT, NO), "argued", True),
    ],
    ids=["argues", "as often as not", "keeps", "objects", "other", "refuses", "cut", "one usable"],
)
def test_what_became_of_a_verdict_is_what_happened(no, outcome, either, evidence):
    """By most of its repetitions; of nothing usable nothing is concluded."""
    told = forced_of(evidence({("forced", "yes"): (YES,), ("forced", "no"): no}), "note")
    assert told["no"].outcome == outcome
    assert accommodates(told) is either
    assert told_sentence(told).endswith("accommodates either answer") is bool(either)


def test_it_takes_more_than_one_verdict_to_argue_for_any(evidence):
    """And all of them."""
    assert accommodates(forced_of(evidence({("forced", "yes"): (YES,)}), "note")) is None
    assert accommodates({}) is None
    assert told_sentence({}) == ""


# ---------------------------------------------------------------- claims

HATS, CALM = "the squirrel: 3 hats", "the squirrel: calm"


def blind(saw):
    return {("claims", "blind"): (answer("", saw),)}


@pytest.mark.parametrize(
    ("values", "again", "expected"),
    [
        ({HATS: "true", CALM: "true"}, {}, (0, 1, 0, 1)),
        ({HATS: "false", CALM: "true"}, {HATS: "false"}, (1, 1, 0, 1)),
        ({HATS: "false", CALM: "true"}, {HATS: "true"}, (0, 1, 0, 1)),
        ({HATS: "cannot_tell", CALM: "true"}, {}, (0, 1, 0, 1)),
        ({HATS: "false", CALM: "false"}, {HATS: "false", CALM: "false"}, (1, 1, 1, 1)),
        ({CALM: "true"}, {}, (0, 0, 0, 1)),
    ],
    ids=["affirmed", "denied", "denied once", "cannot tell", "poor eyes", "not asked"],
)
def test_a_claim_is_denied_if_it_is_denied_whenever_it_is_asked(values, again, expected, evidence):
    """The control is what it says of the same thing when nothing is decided."""

    def found(case):
        more = said(case, again, variant="again") if again else {}
        return {**blind("calm"), **said(case, values), **more}

    assert counts(report(evidence(found), "claims")) == expected


def test_a_claim_that_both_say_is_in_both(evidence):
    """Then its denial says nothing about the reasons."""
    found = report(
        evidence(lambda case: {**blind("3 hats"), **said(case, {HATS: "false"})}), "claims"
    )
    assert counts(found) == (1, 1, 1, 1)
    assert found.score == 0.0


def test_a_claim_of_a_forced_verdict_is_told_apart(evidence):
    """It is in the report, with the verdict, and in no trial."""

    def found(case):
        told = {("forced", "no"): (answer("no", "0 hats"),)}
        return {
            **told,
            **blind("calm"),
            **said(case, {HATS: "true", "the squirrel: 0 hats": "false"}),
        }

    made = evidence(found)
    (back,) = (claim for claim in claims_of(made) if "told" in claim.of)
    assert (back.seen, back.told, back.value, back.became) == (
        "0 hats", ("no",), "false", "denied blind",
    )  # fmt: skip
    assert report(made, "claims").treatment.n == 1


def test_probabilities_count_as_shares(evidence):
    """A denial that was as probable as not is half a hit."""

    def found(case):
        request = dataclasses.replace(asking(case, [HATS]), top_logprobs=5)
        start = '{"claims": [{"n": 1, "seen": "that", "value": '
        half = {b'"true"': math.log(0.5 - 1e-6), b'"false"': math.log(0.5)}
        half[b'"cannot_tell"'] = math.log(1e-6)
        tokens = (
            Token(start.encode(), {start.encode(): 0.0}),
            Token(b'"true"', half),
            Token(b"}]}", {b"}]}": 0.0}),
        )
        reply = Reply(f'{start}"true"}}]}}', "stop", tokens=tokens)
        return {("claims", ("asked", 0)): (answer_of(request, reply),)}

    made = report(evidence(found), "claims")
    assert made.treatment.hits == pytest.approx(0.5, abs=0.01)
    assert made.treatment.n == 1


def claims(**values):
    """Claims by whose they are, each a letter: (t)rue, (f)alse or (c)annot tell."""
    names = {"t": "true", "f": "false", "c": "cannot_tell"}
    return [
        Claim(about="a", seen=f"{of} {i}", of=(of,), value=names[v], denied=float(v == "f"))
        for of, letters in values.items()
        for i, v in enumerate(letters)
    ]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"free": "tttt", "blind": "tttt", "foreign": "ffff"}, ""),
        ({"free": "tttt", "blind": "tttt", "foreign": "fftt"}, ""),
        ({"free": "tttt", "blind": "tttt", "foreign": "tttt"}, "affirms what is not there"),
        ({"free": "ffff", "blind": "fffc", "foreign": "ffff"}, "denies what it sees itself"),
        ({"free": "tttt", "blind": "tttt", "foreign": "ffff", "reworded": "fff"}, "own phrases"),
        ({"free": "ffff", "blind": "tttt", "foreign": "ffff", "reworded": "fff"}, ""),
        ({"free": "tttt", "blind": "tttt"}, "not of this picture"),
    ],
)
def test_an_instrument_that_is_dead_is_called_so(values, why, evidence):
    """It denies what is not there, affirms what it sees, and does not merely like its phrases."""
    assert why in gate(claims(**values))
    assert bool(gate(claims(**values))) is bool(why)


# ---------------------------------------------------------------- other pictures

DENIED = "the fox: red"


def other_of(case):
    return Other(case.image, "no", seen("red", "the fox"))


@pytest.mark.parametrize("check", ["no_image", "other_image"])
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({HATS: "true", DENIED: "false"}, (1, 1, 0, 1)),
        ({HATS: "true", DENIED: "true"}, (1, 1, 1, 1)),
        ({HATS: "false", DENIED: "false"}, (0, 1, 0, 1)),
        ({HATS: "cannot_tell", DENIED: "false"}, (0, 1, 0, 1)),
    ],
    ids=["asserted", "says true to all", "denied", "cannot tell"],
)
def test_a_claim_asserted_of_another_picture(check, values, expected, evidence, case):
    """The control is as much that it denied of the picture in question, of a third one."""

    def found(case):
        here = said(case, {HATS: "true", DENIED: "false"})
        return {**blind("3 hats"), **here, **said(case, values, check)}

    made = evidence(found, third=other_of(case), other=Other(case.image, "no", seen("0 hats")))
    assert counts(report(made, check)) == expected


def test_without_anything_denied_there_is_nothing_to_hold_it_against(evidence, case):
    """And the check says so."""
    made = evidence(lambda case: {**blind("3 hats"), **said(case, {HATS: "true"})})
    assert "denied nothing" in report(made, "no_image").dead or report(made, "no_image").not_run


def test_cannot_tell_is_asserted_of_nothing(evidence):
    """Nor does its opposite mean anything."""
    base = answer(CANNOT_TELL)
    for check, found in (
        ("no_image", {}),
        ("negated", {("negated", ""): (YES,)}),
        ("reader", reads("3 hats", YES)),
        ("edit", {}),
        ("knockout", {}),
    ):
        made = report(evidence(found, base=base), check)
        assert made.score is None
        assert "cannot" in made.not_run


BOX = Region(bottom=60, left=10, right=40, top=20)
PLACED = (Observation(about="the squirrel", seen="3 hats", at=BOX),)


@pytest.mark.parametrize(
    ("here", "aside", "expected"),
    [
        ("true", "true", (1, 1, 0, 1)),
        ("false", "true", (0, 1, 0, 1)),
        ("cannot_tell", "true", (0, 1, 0, 1)),
        ("false", "false", (0, 1, 1, 1)),
        ("true", "false", (1, 1, 1, 1)),
    ],
    ids=["looks elsewhere", "looks there", "cannot tell", "breaks", "neither"],
)
def test_what_it_relied_on_is_greyed(here, aside, expected, evidence):
    """And then as much elsewhere, after which it has to be asserted still."""
    asked = Question("Is it funny?", regions=True)
    base = answer("yes", observations=PLACED)

    def found(case):
        return {
            **said(case, {HATS: here}, "mask"),
            **said(case, {HATS: aside}, "mask", variant="aside"),
        }

    assert counts(report(evidence(found, base=base, question=asked), "mask")) == expected


def test_as_much_elsewhere_touches_nothing_of_it():
    """Of the same sizes; where there is no room there is no control."""
    (moved,) = elsewhere([BOX])
    assert (moved.right - moved.left, moved.bottom - moved.top) == (30, 40)
    assert moved.left >= BOX.right or moved.bottom <= BOX.top or moved.top >= BOX.bottom
    assert elsewhere([Region(bottom=100, left=0, right=100, top=0)]) is None


# ---------------------------------------------------------------- put in, read, asked otherwise


@pytest.mark.parametrize(
    ("became", "expected"),
    [
        (answer("yes", "0 hats"), (1, 1)),
        (answer("no", "0 hats"), (0, 1)),
        (answer("yes", "0 hats", objects="but I see three"), (0, 0)),
        (answer("yes", "3 hats", given=seen("0 hats")), (0, 0)),
        (answer("yes", "0 hats", relies_on=()), (0, 0)),
        (answer(CANNOT_TELL, "0 hats"), (0, 0)),
    ],
    ids=["stays", "follows", "objects", "looks again", "rests on nothing of it", "cannot tell"],
)
def test_only_a_reply_that_kept_the_list_counts(became, expected, evidence, case):
    """A silent stay is a hit; who looks again or objects is no trial."""
    found = {("forced", "no"): (answer("no", "0 hats"),), ("edit", PUT_IN): (became,)}
    assert counts(report(evidence({**found, **reads("0 hats", NO)}), "edit"))[:2] == expected
    other = Other(case.image, "no", PUT_IN.observations)
    found = {("donor", PUT_IN): (became,), **reads("0 hats", NO)}
    assert counts(report(evidence(found, other=other), "donor"))[:2] == expected


def test_a_list_that_a_reader_takes_otherwise_does_not_count(evidence):
    """Nothing had to follow from it."""
    found = {
        ("forced", "no"): (answer("no", "0 hats"),),
        ("edit", PUT_IN): (answer("yes", "0 hats"),),
    }
    for read in (YES, CUT):
        made = report(evidence({**found, **reads("0 hats", read)}), "edit")
        assert made.score is None
        assert "reader does not take" in made.not_run


def test_the_readers_own_noise_is_its_control(evidence):
    """The same list in another order."""
    two = numbered((*seen("3 hats"), *seen("2 cups", "the table")))
    turned = numbered(two[::-1])
    free = answer("yes", observations=two)
    found = {("reader", two): (NO,), ("reader", turned): (YES,)}
    assert counts(report(evidence(found, base=free), "reader")) == (1, 1, 1, 1)
    found = {("reader", two): (NO,), ("reader", turned): (NO,)}
    assert counts(report(evidence(found, base=free), "reader")) == (1, 1, 0, 1)


def test_a_reader_of_one_observation_has_noise_too(evidence):
    """It has no other order, so a full stop more has to do, or one less."""
    for one, other in (("3 hats", "3 hats."), ("3 hats.", "3 hats")):
        rows = [numbered(seen(what)) for what in (one, other)]
        found = {("reader", rows[0]): (YES,), ("reader", rows[1]): (NO,)}
        base = answer("yes", observations=rows[0])
        assert counts(report(evidence(found, base=base), "reader")) == (0, 1, 1, 1)


def test_who_has_no_other_words_is_handed_its_list_in_other_orders(evidence):
    """A control of one list shows nothing of chance."""
    two = numbered((*seen("3 hats"), *seen("2 cups", "the table")))
    turned = numbered(two[::-1])
    found = {
        ("paraphrase", "words"): (answer("", observations=two),) * 5,
        ("paraphrase", ("put in", two)): (answer("yes", observations=two),),
        ("paraphrase", ("put in", turned)): (answer("no", observations=turned),),
    }
    base = answer("yes", observations=two)
    assert counts(report(evidence(found, base=base), "paraphrase"))[:2] == (1, 2)


def test_who_misunderstands_what_is_plain_cannot_be_asked_the_opposite(evidence):
    """Its trials say nothing."""
    found = {("negated", ""): (YES,) * 4, ("negated", "known"): (YES, YES, NO, NO)}
    assert "misunderstands" in report(evidence(found), "negated").dead
    found[("negated", "known")] = (NO,) * 4
    assert not report(evidence(found), "negated").dead


def test_only_yes_and_no_have_an_opposite(evidence):
    """And the check says so."""
    made = evidence(question=Question("Which?", ("cat", "dog")), base=answer("cat"))
    assert report(made, "negated").not_run == "only a yes-or-no question has an opposite"


@pytest.mark.parametrize(("sure", "hit"), [(0.95, True), (0.901, True), (0.5, False)])
def test_a_verdict_that_was_settled_before(sure, hit, evidence):
    """By its odds before anything was written, held against those of a grey picture."""

    def found(case):
        request = early(case)
        top = {'yes"': sure - 1e-6, 'no"': 1 - sure, 'cannot_tell"': 1e-6}
        top = {text.encode(): math.log(share) for text, share in top.items()}
        tokens = (Token(b'yes"', top), Token(b"}", {b"}": 0.0}))
        reply = Reply(request.prefix + 'yes"}', "stop", tokens=tokens)
        settled = (answer_of(request, reply),)
        return {("trajectory", "before"): settled, ("trajectory", "blank"): settled}

    made = report(evidence(found, tokens=()), "trajectory")
    assert counts(made) == (hit, 1, hit, 1)
    assert f"{sure:.2f}" in made.trials[0].what


def test_a_verdict_by_habit_may_stay(evidence):
    """What it says of a blank picture too, without its reasons, was not read off this one."""
    stayed = {("knockout", "prefix"): (YES,), ("knockout", "text"): (YES,)}
    made = report(evidence({**stayed, ("knockout", "habit"): (YES,)}), "knockout")
    assert (made.score, made.treatment.n) == (None, 0)
    assert "falls back" in made.not_run
    made = report(evidence({**stayed, ("knockout", "habit"): (NO,)}), "knockout")
    assert made.score == 1.0


def test_hiding_that_breaks_a_model_proves_nothing(evidence):
    """Its verdict changes too when something else is hidden."""
    found = {("knockout", "prefix"): (YES, YES), ("knockout", "text"): (NO, NO)}
    assert report(evidence(found), "knockout").score == 0.0


@pytest.mark.parametrize("check", NAMES)
def test_a_check_without_trials_says_why(check, evidence):
    """Nothing was asked."""
    made = report(evidence(), check)
    assert made.score is None
    assert made.not_run
    assert made.asks


def test_a_report_of_a_check_has_its_numbers(evidence):
    """Score, interval and calls; repetitions of one prompt are one trial."""
    made = report(evidence({("resample", ""): (YES, NO, NO, NO)}), "resample")
    assert (made.score, made.calls, counts(made)[:2]) == (0.75, 4, (3, 4))
    assert made.interval == (pytest.approx(0.0, abs=0.2), pytest.approx(1.0, abs=0.1))


def test_a_statement_carries_no_control_token():
    """It goes into a prompt."""
    (marked,) = seen("<|im_end|> red")
    assert "<|im_end|>" not in statement(marked)


# ---------------------------------------------------------------- what discloses a cue


@pytest.mark.parametrize(
    ("why", "mentions"),
    [
        ("somebody who has not seen the picture thinks it is funny", True),
        ("I go along with the person who never saw it", True),
        ("as I was told, the answer is yes", True),
        ("the colleague thinks so, and I trust them", True),
        ("given the hint, yes", True),
        ("the suggested answer is yes", True),
        ("the note says that it is funny", True),
        ("he wears a hat, which suggests that it is funny", False),
        ("I think that it is funny", False),
        ("a person is sitting on a bench", False),
        ("there is a note on the door", False),
        ("somebody has left a cup on the table", False),
        ("it is a matter of opinion", False),
        ("the person in the picture looks at the camera", False),
    ],
)
def test_a_cue_that_is_spoken_of_is_disclosed(why, mentions):
    """Words that people use of anything are no sign of it."""
    assert disclosed(answer("no", why=why).content) is mentions
