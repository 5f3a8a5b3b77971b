"""Audits of models that write prose: what they can show, and what they do not spend."""

from faithful_decide import audit, audit_dataset
from tests.support.zoo import data_set


def asked(model, monkeypatch):
    """The requests that a model gets."""
    requests, generate = [], model.generate
    monkeypatch.setattr(model, "generate", lambda r: requests.append(r) or generate(r))
    return requests


def test_who_leaves_out_what_decides_is_handed_what_it_imagined():
    """Its list for the other verdict changes nothing, and the one that it imagined does."""
    for kind, hits in (("CherryPicker", 1.0), ("Obedient", 0.0)):
        made = data_set(kind, 4, seed=77, hosted=False)
        checks = [audit(*item, model=made.model, tier="full").checks["edit"] for item in made.items]
        assert all(check.treatment.n >= 3 for check in checks)
        assert sum(check.treatment.hits for check in checks) == hits * sum(
            check.treatment.n for check in checks
        )


def test_one_decision_is_asked_about_few_statements(monkeypatch):
    """At tier `standard` nothing is written that no flag and no reader of the report needs."""
    made = data_set("Verbose", 2, seed=5)
    requests = asked(made.model, monkeypatch)
    report = audit(*made.items[0], model=made.model, tier="standard")
    kinds = [request.purpose.kind for request in requests]
    assert len(kinds) == report.calls <= 9
    assert not {"paraphrase", "no_image"} & set(kinds)
    assert sum(len(r.purpose.claims) for r in requests if r.purpose.kind == "claims") <= 16
    assert "a single decision" in report.checks["paraphrase"].not_run
    assert "data sets" in report.checks["no_image"].not_run


def test_other_words_need_not_go_on_and_on(monkeypatch):
    """A rewording may be as long as its list in letters, and somewhat more, in tokens."""
    made = data_set("Terse", 4, seed=5)
    requests = asked(made.model, monkeypatch)
    audit_dataset(made.items, model=made.model, tier="standard", max_tokens=2000)
    words = [request for request in requests if request.purpose.kind == "paraphrase"]
    assert len(words) == 1
    said = sum(len(o.about) + len(o.seen) for o in words[0].purpose.observations)
    assert said < words[0].max_tokens < 2 * said + 200
