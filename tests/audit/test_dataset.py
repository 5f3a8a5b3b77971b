"""Samples are pooled by check and drawn by image; flags are corrected for their number."""

import json

import pytest
from known_pictures import BARE, FUNNY, HAT, LOW, TOPICS

from faithful_decide import DatasetAudit, Item, Question, UsageError, audit, audit_dataset
from faithful_decide._audit.dataset import item_of, pooled_report
from faithful_decide._audit.flags import Thresholds
from faithful_decide.errors import ImageError
from faithful_decide.organisms import organisms

SILENT = {"seconds": True, "items": {"__all__": {"report": {"seconds"}}}}


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


def test_trials_of_all_samples_are_counted_together(many):
    """The counts of a check are the sums of those of its samples."""
    pictures, facts = many(4)
    report = audit_dataset(pairs(pictures), model=organisms(facts, TOPICS)["Obedient"])
    for check, found in report.checks.items():
        assert found.treatment.n == sum(
            s.treatments[check].n for s in report.items if check in s.treatments
        )
        assert found.control.hits == sum(
            s.controls[check].hits for s in report.items if check in s.controls
        )
    assert report.checks["forced"].treatment.hits == 4
    assert [s.verdict for s in report.items] == ["no", "yes", "no", "yes"]


def pairs(pictures):
    return [(picture, FUNNY) for picture in pictures]


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("Decoy", "inconsistent"),
        ("YesSayer", "contradicts_itself"),
        ("Obedient", ""),
        ("Honest", ""),
    ],
)
def test_a_data_set_gets_its_flag(name, flag, many):
    """At the tier that is too small for one sample; obedience alone is none."""
    pictures, facts = many(12)
    model = organisms(facts, TOPICS)[name]
    report = audit_dataset(pairs(pictures), model=model, thresholds=LOW)
    raised = {f.name for f in report.flags if f.raised}
    assert flag in raised if flag else not raised
    assert report.label == ("" if flag else "no_violation_found")
    assert DatasetAudit.model_validate_json(report.model_dump_json()) == report


def sampled(many, count, of_one_image):
    """Audits of an image ignorer that is hit on half of the samples, on one or on many images."""
    pictures, facts = many(count)
    models = organisms(facts, TOPICS)
    done = []
    for index, picture in enumerate(pictures):
        model = models["ImageIgnorer" if index < count // 2 else "Honest"]
        report = audit(picture, FUNNY, model=model)
        sample = item_of(str(index), "", report)
        done.append(sample.model_copy(update={"cluster": str(index // (count // of_one_image))}))
    return pooled(done)


def pooled(done, seed=0):
    return pooled_report(
        done, "standard", Thresholds.read(LOW), model="m", reader="r", seed=seed, seconds=0.0
    )


def test_samples_of_one_image_are_not_independent(many):
    """The same counts from fewer images leave a wider interval."""
    widths = []
    for images in (12, 4):
        low, high = sampled(many, 12, images).checks["no_image"].interval
        widths.append(high - low)
    assert widths[1] > 1.2 * widths[0]


def test_one_image_proves_nothing(many):
    """However often it is asked about."""
    pictures, facts = many(1)
    model = organisms(facts, TOPICS)["ImageIgnorer"]
    report = audit_dataset(pairs(pictures * 6), model=model, thresholds=LOW)
    assert not any(flag.raised for flag in report.flags)


def test_p_values_are_corrected_for_their_number(many):
    """By Holm: the smallest of six is six times what it was; at 2000 draws, that is no less."""
    report = sampled(many, 12, 12)
    values = {flag.name: flag.p for flag in report.flags}
    assert min(values.values()) >= len(values) / 2001
    assert all(0 < p <= 1 for p in values.values())
    raised = [flag for flag in report.flags if flag.raised]
    assert all(flag.p < 0.05 for flag in raised)
    assert {flag.name for flag in raised} == {"ignores_image"}


def test_the_bootstrap_belongs_to_its_seed(many):
    """The same seed draws the same."""
    pictures, facts = many(6)
    model = organisms(facts, TOPICS)["Obedient"]
    one, two = (audit_dataset(pairs(pictures), model=model, seed=2) for _ in range(2))
    assert one.model_dump(exclude=SILENT) == two.model_dump(exclude=SILENT)


def test_a_sample_that_fails_is_counted_by_its_error(many):
    """And left out of the checks; the others go on."""
    pictures, facts = many(3)
    samples = [
        Item("a", pictures[0], {"label": "no"}),
        Item("b", b"no picture"),
        Item("c", ImageError("it is gone")),
        Item("d", pictures[1]),
    ]
    seen = []
    report = audit_dataset(
        samples, FUNNY, model=organisms(facts, TOPICS)["Honest"], progress=seen.append
    )
    assert [s.error_type for s in report.items] == ["", "ImageError", "ImageError", ""]
    assert list(report.items) == seen
    assert report.checks["no_image"].treatment.n == 2
    assert report.items[0].expected == "no"


def test_a_data_set_without_samples_is_refused():
    """And one whose samples have no question."""
    with pytest.raises(UsageError, match="no item"):
        audit_dataset([], FUNNY, model=organisms({}, TOPICS)["Honest"])
    with pytest.raises(UsageError, match="no question"):
        audit_dataset([Item("a", b"")], model=organisms({}, TOPICS)["Honest"])


def test_the_screen_pools_what_its_samples_drew(many):
    """Each sample has one check, some of forcing its control; the obedient are not flagged."""
    pictures, facts = many(48)
    organism = organisms(facts, TOPICS)["ImageIgnorer"]
    report = audit_dataset(pairs(pictures), model=organism, tier="screen", thresholds=LOW)
    assert report.calls == 2 * len(pictures)
    assert {s.check for s in report.items} == {"forced", "blind", "no_image", "negated"}
    trials = [check.treatment.n + check.control.n for check in report.checks.values()]
    assert sum(trials) == len(pictures)
    assert report.checks["forced"].control.n
    assert "ignores_image" in {flag.name for flag in report.flags if flag.raised}


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
    expected = audit_dataset(pairs(pictures), model=whole)
    kept = tmp_path / "a.journal"
    first, second = Interrupted(organism, 17), Interrupted(organism, -1)
    with pytest.raises(KeyboardInterrupt):
        audit_dataset(pairs(pictures), model=first, journal=kept)
    report = audit_dataset(pairs(pictures), model=second, journal=kept)
    assert first.asked + second.asked == whole.asked
    assert report.model_dump(exclude=SILENT) == expected.model_dump(exclude=SILENT)
    third = Interrupted(organism, 0)
    assert audit_dataset(pairs(pictures), model=third, journal=kept).checks == report.checks


def test_questions_may_differ(many):
    """Each sample brings its own."""
    pictures, facts = many(2)
    model = organisms(facts, {**TOPICS, "Is it sad?": TOPICS[FUNNY]})["Honest"]
    report = audit_dataset(
        [(pictures[0], FUNNY), (pictures[1], Question("Is it sad?"))], model=model
    )
    assert [s.verdict for s in report.items] == ["no", "yes"]
    assert json.loads(report.model_dump_json())["kind"] == "dataset_audit"
