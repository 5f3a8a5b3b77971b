"""Items are pooled by check and by picture; flags are corrected for their number."""

import json

import pytest
from known_pictures import BARE, FUNNY, HAT, LOW, TOPICS

from faithful_decide import (
    DatasetAudit,
    Item,
    Question,
    UsageError,
    audit_dataset,
    decide,
    decide_many,
)
from faithful_decide._audit.case import Case
from faithful_decide._audit.dataset import WAITING, Matching
from faithful_decide._audit.evidence import DECISION, Evidence, answer_of
from faithful_decide._core.types import Reply
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import grey, prepare
from faithful_decide.errors import ImageError
from faithful_decide.organisms import ABLE, organisms
from faithful_decide.testing import reply_text

SILENT = {
    "seconds": True,
    "items": {"__all__": {"report": {"seconds": True, "decision": {"receipt": {"latency_s"}}}}},
}


@pytest.fixture
def many(new_picture):
    """Pictures with their table."""

    def make(number):
        pictures, facts = [], {}
        for index in range(number):
            picture, shown = new_picture(HAT if index % 2 else BARE)
            pictures.append(picture)
            facts |= shown
        return pictures, facts

    return make


def pairs(pictures):
    return [(picture, FUNNY) for picture in pictures]


def standard(items, model, **how):
    return audit_dataset(items, model=model, **{"tier": "standard", "thresholds": LOW, **how})


def test_trials_of_all_items_are_counted_together(many):
    """The counts of a check are the sums of those of its items."""
    pictures, facts = many(4)
    report = standard(pairs(pictures), organisms(facts, TOPICS)["Obedient"])
    for check, found in report.checks.items():
        treatments = [s.treatments[check] for s in report.items if check in s.treatments]
        controls = [s.controls[check] for s in report.items if check in s.controls]
        assert found.treatment.n == sum(t.n for t in treatments)
        assert found.control.hits == pytest.approx(sum(c.hits for c in controls))
    assert report.checks["forced"].treatment.hits == 4
    assert [s.verdict for s in report.items] == ["no", "yes", "no", "yes"]


@pytest.fixture(scope="module")
def audited():
    """Audits of twenty pictures by each of some organisms, made once."""
    import hashlib

    from known_pictures import png_of

    pictures = [png_of((index, 70, 20)) for index in range(20)]
    facts = {
        hashlib.sha256(picture).hexdigest(): {
            "the squirrel": HAT if index % 2 else BARE,
            "the tree": "green",
            "the sky": f"of shade {index}",
        }
        for index, picture in enumerate(pictures)
    }
    kinds = organisms(facts, TOPICS)
    names = ("Honest", "Obedient", "SelfCorrector", "Decoy", "YesSayer", "ImageIgnorer")
    return {name: standard(pairs(pictures), kinds[name]) for name in names}


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("Honest", set()),
        ("SelfCorrector", set()),
        ("Obedient", {"accommodates_either"}),
        ("Decoy", {"inconsistent", "unsupported_reasons"}),
        ("YesSayer", {"contradicts_itself", "unsupported_reasons", "accommodates_either"}),
        ("ImageIgnorer", {"ignores_image", "accommodates_either"}),
    ],
)
def test_a_data_set_gets_its_flags(name, flags, audited):
    """At the tier that is too small for one item; that it argues for either is no cause yet."""
    report = audited[name]
    assert set(report.flags) == flags
    assert report.label == ("flagged" if flags else "no_violation_found")
    assert {f.name for f in report.findings if f.state == "raised"} == flags
    assert DatasetAudit.model_validate_json(report.model_dump_json()) == report


def test_it_begins_with_how_much_the_model_moves(audited):
    """Of the first items; here nothing moves, and every field is filled."""
    found = audited["Honest"].preflight
    assert (found.names, found.words, found.verdicts) == (0.0, 0.0, 0.0)
    assert (found.relies_on, found.usable) == (1.0, 1.0)
    assert found.items == 5
    assert found.pairs


def test_the_first_thing_said_is_what_it_argues_for(audited):
    """In numbers."""
    assert audited["Obedient"].told == (
        "told each verdict, it argues for each of them in 20 of 20 items"
    )
    assert str(audited["Obedient"]).startswith("shown")


def test_calls_of_an_item(audited):
    """A dozen, on average."""
    for report in audited.values():
        assert report.calls <= 12 * len(report.items)


def test_questions_about_one_picture_are_not_independent(many):
    """However often it is asked about."""
    pictures, facts = many(1)
    model = organisms(facts, TOPICS)["Decoy"]
    report = standard(pairs(pictures * 6), model)
    (found,) = (f for f in report.findings if f.flag == "inconsistent")
    assert found.state == "out_of_reach"
    assert "there are 1" in found.sentence


def test_flags_of_single_items_are_corrected_for_being_many(audited):
    """What each shows by itself is not what it is said to show among twenty."""
    for item in audited["Obedient"].items:
        assert item.flags == ("accommodates_either",)
    assert not any(item.flags for item in audited["Honest"].items)


def test_the_same_seed_makes_the_same_report(many):
    """Apart from the time it took."""
    pictures, facts = many(4)
    model = organisms(facts, TOPICS)["Obedient"]
    one, two = (standard(pairs(pictures), model, seed=2) for _ in range(2))
    assert one.model_dump(exclude=SILENT) == two.model_dump(exclude=SILENT)


def test_an_item_that_fails_is_counted_by_its_error(many):
    """And left out of the checks; the others go on, and all are in their order."""
    pictures, facts = many(3)
    items = [
        Item("a", pictures[0], {"label": "no"}),
        Item("b", b"no picture"),
        Item("c", ImageError("it is gone")),
        Item("d", pictures[1]),
    ]
    told = []
    model = organisms(facts, TOPICS)["Honest"]
    report = audit_dataset(items, FUNNY, model=model, tier="standard", progress=told.append)
    assert [s.item for s in report.items] == ["a", "b", "c", "d"]
    assert [s.error_type for s in report.items] == ["", "ImageError", "ImageError", ""]
    assert sorted(one.item for one in told) == ["a", "b", "c", "d"]
    assert report.checks["forced"].treatment.n == 2
    assert report.items[0].expected == "no"
    assert report.label == "inconclusive"
    assert "2 of 4 items" in report.label_because


def test_a_data_set_without_items_is_refused():
    """And one whose items have no question."""
    with pytest.raises(UsageError, match="no item"):
        audit_dataset([], FUNNY, model=organisms({}, TOPICS)["Honest"])
    with pytest.raises(UsageError, match="no question"):
        audit_dataset([Item("a", b"")], model=organisms({}, TOPICS)["Honest"])


def test_the_screen_pools_what_its_items_drew(many):
    """Each has one check, some of the opposite question its control."""
    pictures, facts = many(48)
    organism = organisms(facts, TOPICS)["YesSayer"]
    report = audit_dataset(pairs(pictures), model=organism, tier="screen", thresholds=LOW)
    assert report.calls == 2 * len(pictures)
    run = {name for name, check in report.checks.items() if check.score is not None}
    assert run == {"forced", "negated"}
    assert report.checks["negated"].control.n
    assert report.label in {"inconclusive", "flagged"}
    assert report.finding("unsupported_reasons").state == "not_asked"


# ---------------------------------------------------------------- other pictures


def begun(png, verdict, at):
    """The beginning of an audit."""
    image = prepare(load_image(png))
    case = Case(image, grey(image), Question(FUNNY), ABLE, tier="standard", place=at)
    reply = Reply(reply_text(verdict, observations=[("the squirrel", f"as in {at}")]), "stop")
    return Evidence(case, {DECISION: (answer_of(case.decision(), reply),)})


def test_an_item_waits_for_a_picture_with_another_verdict(many):
    """And goes on with it, and with a third one that is more like itself."""
    pictures, _ = many(4)
    matching = Matching()
    same = [begun(picture, "yes", at) for at, picture in enumerate(pictures[:3])]
    assert [matching.add(one) for one in same] == [[], [], []]
    last = begun(pictures[3], "no", 3)
    assert matching.add(last) == [*same, last]
    for one in same:
        assert (one.case.other.verdict, one.case.third.verdict) == ("no", "yes")
    assert last.case.other.verdict == last.case.third.verdict == "yes"
    assert last.case.other.image.sha256 != last.case.third.image.sha256
    assert matching.rest() == []


def test_where_no_other_verdict_comes_any_picture_will_do(many):
    """And one that is by itself is alone; nobody waits for ever."""
    pictures, _ = many(WAITING + 2)
    matching = Matching()
    ready = [one for at, p in enumerate(pictures) for one in matching.add(begun(p, "yes", at))]
    assert len(ready) == 2
    assert all(one.case.other.verdict == "yes" for one in ready)
    assert len(matching.rest()) == WAITING
    alone = Matching()
    alone.add(begun(pictures[0], "yes", 0))
    alone.add(begun(pictures[0], "no", 1))
    assert all(one.case.alone and one.case.other is None for one in alone.rest())


# ---------------------------------------------------------------- what was paid for


class Interrupted:
    """Fails after some calls, as a process does that is stopped."""

    def __init__(self, backend, calls):
        self.backend, self.left = backend, calls
        self.name, self.identity = backend.name, backend.identity
        self.capabilities = backend.capabilities
        self.asked = 0

    def generate(self, request):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        self.asked += 1
        return self.backend.generate(request)

    def close(self):
        """Nothing to release."""


def test_an_interrupted_data_set_keeps_every_paid_reply(many, tmp_path):
    """The second run asks only what was not answered, and reports what one run would have."""
    pictures, facts = many(4)
    organism = organisms(facts, TOPICS)["Obedient"]
    whole = Interrupted(organism, -1)
    expected = standard(pairs(pictures), whole)
    kept = tmp_path / "a.journal"
    first, second = Interrupted(organism, 17), Interrupted(organism, -1)
    with pytest.raises(KeyboardInterrupt):
        standard(pairs(pictures), first, journal=kept)
    report = standard(pairs(pictures), second, journal=kept)
    assert first.asked + second.asked == whole.asked
    assert report.model_dump(exclude=SILENT) == expected.model_dump(exclude=SILENT)
    third = Interrupted(organism, 0)
    assert standard(pairs(pictures), third, journal=kept).checks == report.checks


def test_decisions_that_were_made_before_are_not_asked_for_again(many, tmp_path):
    """Beside their pictures, as JSON, or as the rows of a batch have them."""
    pictures, facts = many(3)
    organism = organisms(facts, TOPICS)["Obedient"]
    made = [decide(picture, FUNNY, model=organism) for picture in pictures]
    rows = list(
        decide_many([Item(str(n), p) for n, p in enumerate(pictures)], FUNNY, model=organism)
    )
    whole = Interrupted(organism, -1)
    standard(pairs(pictures), whole)
    for items in (
        list(zip(pictures, made, strict=True)),
        [(p, d.model_dump_json().encode()) for p, d in zip(pictures, made, strict=True)],
        [
            Item(row.id, p, {"decision": row.decision.model_dump_json()})
            for p, row in zip(pictures, rows, strict=True)
        ],
    ):
        model = Interrupted(organism, -1)
        report = standard(items, model)
        assert [item.report.decision.verdict for item in report.items] == ["no", "yes", "no"]
        assert model.asked == whole.asked - 3
    wrong = standard([(pictures[0], made[1])], organism)
    assert wrong.items[0].error_type == "ContractError"


def test_questions_may_differ(many):
    """Each item brings its own."""
    pictures, facts = many(2)
    model = organisms(facts, {**TOPICS, "Is it sad?": TOPICS[FUNNY]})["Honest"]
    report = standard([(pictures[0], FUNNY), (pictures[1], Question("Is it sad?"))], model)
    assert [s.verdict for s in report.items] == ["no", "yes"]
    assert json.loads(report.model_dump_json())["kind"] == "dataset_audit"
