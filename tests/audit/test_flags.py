"""Of every flag it is said what is known: raised, not raised, out of reach, or not asked for."""

import json

import pytest

from faithful_decide import UsageError
from faithful_decide._audit.checks.base import scored
from faithful_decide._audit.counting import counts_of, nets_of
from faithful_decide._audit.flags import (
    ELSEWHERE,
    FLAGS,
    FORMAT,
    RULES,
    Looked,
    Thresholds,
    findings_of,
    flag_scores,
    label_of,
)
from faithful_decide._audit.statistics import Net
from faithful_decide._audit.types import CheckReport, Trial

PARTS = {ELSEWHERE: ("no_image", "other_image")}
NEEDED = sorted(
    {
        part
        for every, some in RULES.values()
        for name in every | some
        for part in PARTS.get(name, (name,))
    }
)


def limits(value=0.0, **changed):
    every = {flag: dict.fromkeys(a | b, value) for flag, (a, b) in RULES.items()} | changed
    return Thresholds({"format": FORMAT, "thresholds": {"audit": every, "dataset": every}})


def trials(hits, n, other=0, control=None):
    """So many hits, and as many trials of the control unless said otherwise; each of a prompt."""
    sides = ((hits, n, False), (other, n if control is None else control, True))
    return tuple(
        Trial(hit=i < k, control=side, prompt=f"prompt {i}", what="it is so")
        for k, count, side in sides
        for i in range(count)
    )


def looked(found=(), *, pictures=20, kind="dataset", tier="full", thresholds=None, **more):
    """What was looked at: for each check its hits, in as many pictures or of as many prompts."""
    counts = dict.fromkeys(NEEDED, (0, pictures)) | dict(found)
    per_picture = []
    for at in range(pictures if kind == "dataset" else 1):
        checks = {}
        for name, (hits, n, *rest) in counts.items():
            bare = CheckReport(check=name, asks="?")
            other, control = (*rest, *(0, n)[len(rest) :])
            if kind == "dataset":
                mine = trials(int(at < hits), int(at < n), int(at < other), int(at < control))
            else:
                mine = trials(hits, n, other, control)
            net = Net.of(*counts_of(mine, "one"))
            checks[name] = scored(bare, mine, net) if mine else bare
        per_picture.append((f"picture {at}", checks))
    nets = nets_of(per_picture)
    pooled = {
        name: scored(
            CheckReport(check=name, asks="?"),
            tuple(t for _, checks in per_picture for t in checks[name].trials),
            nets[name],
        )
        if name in nets
        else CheckReport(check=name, asks="?", not_run="it was not run")
        for name in counts
    }
    given = {
        "kind": kind, "tier": tier, "checks": pooled, "nets": nets,
        "thresholds": thresholds or limits(), "pictures": pictures, "items": pictures,
        "audited": pictures, "accommodates": (False,) * pictures,
    }  # fmt: skip
    return Looked(**{**given, **more})


def states(what):
    return {found.flag: found.state for found in findings_of(what)}


def raised(what):
    return {flag for flag, state in states(what).items() if state == "raised"}


def hit(*names, n=20):
    parts = [part for name in names for part in PARTS.get(name, (name,))]
    return dict.fromkeys(parts, (n, n))


@pytest.mark.parametrize("flag", RULES)
def test_a_flag_needs_all_its_checks(flag):
    """And one of those that do alone; the sentence names them with their numbers."""
    every, some = RULES[flag]
    needed = [*sorted(every), *sorted(some)[:1]]
    (found,) = (f for f in findings_of(looked(hit(*needed))) if f.flag == flag)
    assert found.state == "raised"
    assert set(found.checks) == {part for name in needed for part in PARTS.get(name, (name,))}
    assert "20 of 20" in found.sentence
    for left_out in needed:
        fewer = [name for name in needed if name != left_out]
        assert flag not in raised(looked(hit(*fewer)))


@pytest.mark.parametrize("flag", RULES)
def test_the_score_has_to_pass_the_threshold_and_the_difference_chance(flag):
    """Twelve of twenty score 0.6; three of twenty could be chance."""
    every, some = RULES[flag]
    needed = [*sorted(every), *sorted(some)[:1]]
    parts = [part for name in needed for part in PARTS.get(name, (name,))]
    often = dict.fromkeys(parts, (12, 20))
    assert flag in raised(looked(often, thresholds=limits(0.59)))
    assert flag not in raised(looked(often, thresholds=limits(0.61)))
    assert flag not in raised(looked(dict.fromkeys(parts, (3, 20))))


def test_a_control_that_is_hit_as_often_takes_a_flag_back():
    """What happens anyway was not done by the treatment; hit always, it leaves no room."""
    many = looked({"claims": (4, 100, 4)}, pictures=100)
    assert states(many)["unsupported_reasons"] == "not_raised"
    assert states(looked({"claims": (20, 20, 20)}))["unsupported_reasons"] == "out_of_reach"


def test_what_could_not_have_been_raised_is_out_of_reach():
    """For want of pictures, of trials, of a control, or of an instrument that works."""
    assert set(states(looked(pictures=12)).values()) == {"not_raised", "out_of_reach"}
    assert "needs 20 pictures" in sentence(looked(pictures=12), "unsupported_reasons")
    assert "no trial" in sentence(looked({"claims": (0, 0)}), "unsupported_reasons")
    assert states(looked({"claims": (20, 20, 0, 0)}))["unsupported_reasons"] == "out_of_reach"
    deaf = looked()
    reports = dict(deaf.checks)
    reports["claims"] = reports["claims"].model_copy(update={"dead": "it affirms everything"})
    deaf = looked(checks=reports)
    assert states(deaf)["unsupported_reasons"] == "out_of_reach"
    assert "it affirms everything" in sentence(deaf, "unsupported_reasons")


def sentence(what, flag):
    return next(found.sentence for found in findings_of(what) if found.flag == flag)


def test_what_a_tier_does_not_ask_is_not_asked():
    """And it is said which tier does."""
    found = states(looked(tier="standard"))
    assert found["post_hoc"] == found["sycophantic"] == "not_asked"
    assert found["unsupported_reasons"] == "not_raised"
    assert sentence(looked(tier="standard"), "post_hoc").endswith("tier full does")
    screened = looked(tier="screen", accommodates=())
    assert {f for f, state in states(screened).items() if state != "not_asked"} == {
        "contradicts_itself"
    }


def test_one_picture_is_in_reach_at_the_largest_tier_alone():
    """There its prompts are the units; at tier `standard` the sentence says what to do."""
    assert states(looked(hit("claims", n=8), kind="audit", pictures=8))[
        "unsupported_reasons"
    ] == "raised"  # fmt: skip
    small = looked(hit("claims", n=8), kind="audit", pictures=8, tier="standard")
    assert states(small)["unsupported_reasons"] == "out_of_reach"
    assert "use tier full" in sentence(small, "unsupported_reasons")


def test_one_trial_of_early_answering_raises_nothing():
    """One picture has one of it."""
    sure = hit("edit", "trajectory", n=8)
    assert "post_hoc" not in raised(looked(sure, kind="audit", pictures=8))
    assert "post_hoc" in raised(looked(hit("edit", "trajectory")))


@pytest.mark.parametrize(
    ("accommodates", "kind", "state"),
    [
        ((True,), "audit", "raised"),
        ((False,), "audit", "not_raised"),
        ((None,), "audit", "out_of_reach"),
        ((), "audit", "out_of_reach"),
        ((True,) * 20, "dataset", "raised"),
        ((True,) * 6 + (False,) * 14, "dataset", "raised"),
        ((True, *(False,) * 19), "dataset", "not_raised"),
        ((True, None), "dataset", "out_of_reach"),
    ],
)
def test_arguing_for_either_is_flagged_at_sight(accommodates, kind, state):
    """It rests on the forced calls alone; what it shows, and what not, stands beside it."""
    what = looked(accommodates=accommodates, kind=kind, tier="standard", told="it argues for both")
    assert states(what)["accommodates_either"] == state
    if state == "raised":
        assert "does not show why" in sentence(what, "accommodates_either")


def test_a_cue_that_was_not_mentioned():
    """The name says so, and the flag is the same."""
    for undisclosed, name in ((False, "sycophantic"), (True, "sycophantic:undisclosed")):
        what = looked(hit("cue"), undisclosed=undisclosed)
        (found,) = (f for f in findings_of(what) if f.flag == "sycophantic")
        assert (found.name, found.state) == (name, "raised")


def test_code_that_comes_to_another_verdict():
    """Whatever a reader says: of one decision at once, of many if it is not rare."""
    one = {"kind": "audit", "pictures": 8}
    assert "inconsistent" in raised(looked(**one, differs=(1, 1)))
    assert "inconsistent" in raised(looked(differs=(10, 20)))
    assert "inconsistent" not in raised(looked(differs=(1, 20)))


def labelled(what):
    return label_of(what, findings_of(what))


@pytest.mark.parametrize(
    ("what", "label"),
    [
        (looked(hit("claims")), "flagged"),
        (looked(hit("claims"), hidden=True), "flagged"),
        (looked(), "no_violation_found"),
        (looked(pictures=80), "faithful_as_far_as_tested"),
        (looked(pictures=80, tier="standard"), "no_violation_found"),
        (looked(pictures=80, hidden=True), "inconclusive"),
        (looked(tier="standard"), "no_violation_found"),
        (looked(pictures=12), "inconclusive"),
        (looked({"claims": (0, 0)}), "inconclusive"),
        (looked(audited=17), "inconclusive"),
        (looked(audited=18), "no_violation_found"),
        (looked(tier="screen", accommodates=()), "inconclusive"),
    ],
    ids=[
        "raised", "raised, though it may think", "in reach", "next to nothing", "of a smaller tier",
        "thinks out of sight", "of its tier", "too few", "a check is missing", "too many lost",
        "some lost", "screened",
    ],
)  # fmt: skip
def test_labels(what, label):
    """Nothing is green unless everything of the tier was in reach."""
    name, because = labelled(what)
    assert name == label
    assert because


def test_an_inconclusive_label_names_what_was_out_of_reach():
    """And why."""
    _, because = labelled(looked({"reader": (0, 0)}))
    assert "inconsistent: reader has no trial" in because
    assert "17 of 20 items" in labelled(looked(audited=17))[1]


def test_flags_are_corrected_for_their_number():
    """By Holm; what could not have been so small does not count."""
    seven = looked({"claims": (7, 20)})
    assert "unsupported_reasons" in raised(seven)
    noisy = {"claims": (5, 20), "reader": (10, 20, 10), "negated": (9, 20, 10)}
    noisy |= {"cue": (10, 20, 9), "edit": (10, 20, 10), "donor": (10, 20, 10)}
    (found,) = (f for f in findings_of(looked(noisy)) if f.flag == "unsupported_reasons")
    assert found.p >= 2**-5


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[]",
        "{}",
        json.dumps({"format": FORMAT, "thresholds": []}),
        json.dumps({"format": FORMAT - 1, "thresholds": dict(limits().values)}),
        json.dumps({"format": FORMAT, "thresholds": {"audit": limits().values["audit"]}}),
        json.dumps({"format": FORMAT, "thresholds": {"audit": {}, "dataset": {}}}),
    ],
)
def test_thresholds_of_another_version_are_refused(text):
    """And the hint says how to make new ones."""
    with pytest.raises(UsageError) as caught:
        Thresholds.read(text)
    assert "benchmarks.audit" in caught.value.hint


def test_the_shipped_thresholds_can_be_used():
    """They are of this version, and their digest is of their content, not of its layout."""
    shipped = Thresholds.shipped()
    assert len(shipped.digest) == 12
    assert all(set(kind) == set(RULES) for kind in shipped.values.values())
    assert limits(0.5).digest == limits(0.5).digest != limits(0.4).digest
    assert set(FLAGS) == {"accommodates_either", *RULES}


def test_a_threshold_that_is_missing_can_not_be_passed():
    """A check without one raises nothing."""
    assert "sycophantic" not in raised(looked(hit("cue"), thresholds=limits(sycophantic={})))


def test_the_score_of_a_flag_is_that_of_its_weakest_check():
    """Or of the strongest of those that do alone; without one of them there is none."""
    found = {"claims": (5, 20), "mask": (10, 20), "edit": (20, 20), "donor": (4, 20)}
    scores = flag_scores(looked(found).nets)
    assert scores["unsupported_reasons"] == 0.25
    assert scores["ignores_image"] == 0.5
    assert scores["post_hoc"] == 0.2
    assert "post_hoc" not in flag_scores({"edit": looked(found).nets["edit"]})
