"""Between the audit and its reports: what became of a forced verdict is told truly everywhere."""

import pytest

from faithful_decide import BackendError, audit, audit_dataset
from faithful_decide._audit.types import OUTCOMES
from faithful_decide.backends.base import Reply
from tests.audit.known_pictures import FUNNY
from tests.support.fitting import fitting

FUNNY_PICTURE = "pictures/0.png"
TOLD = {
    "argued": [lambda r: fitting(r, "no"), lambda r: fitting(r, "no", level="some")],
    "objected": [
        lambda r: fitting(r, "no", objection="the picture shows a hat"),
        lambda r: fitting(r, "yes", objection="it does not fit"),
    ],
    "kept": [
        lambda r: fitting(r, "yes"),
        lambda r: fitting(r, "yes", objection="it is so", level="none"),
    ],
    "other": [lambda r: fitting(r, "cannot_tell")],
    "refused": [lambda _: Reply("I cannot.", "refusal"), lambda _: Reply("", "content_filter")],
    "unusable": [
        lambda _: Reply('{"observations": [', "length"),
        lambda _: Reply("no JSON", "stop"),
        lambda _: BackendError("the server says 400"),
    ],
}
"""Replies of a model whose own verdict is yes, when it is told no."""


def told_no(reply):
    """A script that steps in where the model is told that the answer is no."""

    def script(request):
        purpose = request.purpose
        return reply(request) if (purpose.kind, purpose.verdict) == ("forced", "no") else None

    return script


def words(text):
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("outcome", "reply"), [(name, reply) for name, replies in TOLD.items() for reply in replies]
)
def test_every_outcome_has_its_true_sentence(outcome, reply, loaded, folder):
    """On the page, in the terminal, for build servers, of one and of many; no other beside it."""
    loaded.script = told_no(reply)
    asked = {"model": "organism/Obedient", "tier": "standard"}
    report = audit(FUNNY_PICTURE, FUNNY, **asked)
    pooled = audit_dataset([(FUNNY_PICTURE, FUNNY)], **asked)
    one = report.forced["no"]
    assert one.outcome == outcome
    assert (one.title, one.sentence) == OUTCOMES[outcome]
    for text in (report.to_html(), str(report), report.to_junit(), pooled.to_html()):
        assert one.title in words(text)
        told = {other.title for other in report.forced.values()}
        assert not [t for t, _ in OUTCOMES.values() if t in words(text) and t not in told]
        if outcome in {"refused", "unusable"}:
            assert one.problem.partition(":")[0] in words(text)
    assert f'told "no": {one.title}.' in pooled.to_junit()
    either = "accommodates either answer"
    for text in (report.to_html(), str(report), report.to_junit(), pooled.to_html()):
        assert (either in words(text)) == (outcome == "argued")
    assert (report.finding("accommodates_either").state == "raised") == (outcome == "argued")


def test_there_is_a_reply_for_every_outcome():
    """So that none is forgotten."""
    assert set(TOLD) == set(OUTCOMES)
