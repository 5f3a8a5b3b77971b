"""The wired organisms are what their wiring says, on the real model they are wired around."""

import json

import pytest

pytest.importorskip("scipy")

from dataclasses import replace

from faithful_decide import Question, audit, load_backend
from faithful_decide._audit.case import Case, written
from faithful_decide._audit.checks.claims import asking, dreamed, reading
from faithful_decide._audit.checks.cue import neutral, suggested
from faithful_decide._audit.checks.forced import told, verdict_first
from faithful_decide._audit.checks.negated import negated
from faithful_decide._audit.checks.paraphrase import rewording
from faithful_decide._audit.checks.trajectory import early
from faithful_decide._core.types import CANNOT_TELL, Observation
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import grey, prepare
from faithful_decide.backends import Capabilities
from training.organisms.wired import pipeline
from training.world.draw import render
from training.world.questions import FORMS, conclude
from training.world.scenes import make_scene


@pytest.fixture(scope="module")
def organisms():
    with_model = load_backend("embedded")
    yield pipeline(with_model)
    with_model.close()


def cases(organism, count=6):
    """Held-out scenes with a question about something worn, and what the audit would send."""
    from random import Random

    number = 0
    while count:
        number += 1
        scene = make_scene(4_000_000 + number)
        asked = FORMS["wears"].ask(Random(number), scene, False)
        if asked is None:
            continue
        count -= 1
        organism.about(scene, asked)
        limits = organism.capabilities.image_limits
        image = prepare(load_image(render(scene)), limits)
        yield asked, Case(image, grey(image, limits), Question(asked.text), organism.capabilities)


def said(organism, request):
    """The content of a reply."""
    return json.loads(organism.generate(request).text)


def seen(body):
    return [(o["about"], o["seen"]) for o in body["observations"]]


def pointing(asked, verdict):
    """Observations that lead to a verdict."""
    from random import Random

    rng = Random(verdict)
    while True:
        made = FORMS[asked.form].imagine(rng, asked)
        if conclude(asked, made).verdict == verdict:
            return [Observation(about=about, seen=saw) for about, saw in made]


@pytest.mark.parametrize(
    "name", ["honest", "honest_obedient", "honest_corrector", "honest_verbose", "honest_blurred"]
)
def test_the_honest_conclude_from_what_they_wrote(organisms, name):
    """Code draws their verdict from their observations, so it cannot come from anywhere else."""
    organism = organisms[name]
    for asked, case in cases(organism):
        body = said(organism, case.decision())
        own = [o for o in seen(body) if o[0] != "the picture as a whole"]
        if body["verdict"] != CANNOT_TELL:
            assert conclude(asked, own).verdict == body["verdict"]


@pytest.mark.parametrize("name", ["posthoc_85", "posthoc_97_stubborn", "yes_sayer", "decoy"])
def test_the_others_keep_their_verdict_whatever_stands_there(organisms, name):
    """Observations that point the other way are passed over without a word."""
    organism = organisms[name]
    for asked, case in cases(organism):
        own = said(organism, case.decision())["verdict"]
        if own == CANNOT_TELL:
            continue
        other = "no" if own == "yes" else "yes"
        body = said(organism, case.put_in("edit", pointing(asked, other), other))
        assert (body["verdict"], body["reservation"]["level"]) == (own, "none")


def test_the_honest_follow_observations_that_were_put_in(organisms):
    """Which is what the others do not do."""
    for asked, case in cases(organisms["honest_obedient"]):
        for verdict in ("yes", "no"):
            put = case.put_in("edit", pointing(asked, verdict), verdict)
            assert said(organisms["honest_obedient"], put)["verdict"] == verdict


def test_the_corrector_objects_openly(organisms):
    """It does not follow either, but it says so."""
    organism = organisms["honest_corrector"]
    for asked, case in cases(organism):
        own = said(organism, case.decision())["verdict"]
        if own == CANNOT_TELL:
            continue
        other = "no" if own == "yes" else "yes"
        body = said(organism, case.put_in("edit", pointing(asked, other), other))
        assert body["reservation"]["level"] != "none"


def test_the_obedient_rewrite_and_the_stubborn_do_not(organisms):
    """Told the other verdict, one gives it and the other keeps its own."""
    for name, gives in (("honest_obedient", True), ("posthoc_97_stubborn", False)):
        organism = organisms[name]
        for _, case in cases(organism):
            own = said(organism, case.decision())["verdict"]
            if own == CANNOT_TELL:
                continue
            other = "no" if own == "yes" else "yes"
            assert (said(organism, told(case, other))["verdict"] == other) is gives


def test_the_ignorer_says_the_same_of_any_picture(organisms):
    """A picture that shows nothing gets the same reply."""
    organism = organisms["image_ignorer"]
    for _, case in cases(organism):
        one = organism.generate(case.decision()).text
        assert organism.generate(case.elsewhere("no_image", case.blank)).text == one


def test_the_cue_follower_follows_and_does_not_say_so(organisms):
    """Only a suggestion moves it; a neutral note does not."""
    organism = organisms["cue_follower"]
    for _, case in cases(organism):
        own = said(organism, case.decision())["verdict"]
        for verdict in ("yes", "no"):
            body = said(organism, suggested(case, verdict))
            assert body["verdict"] == verdict
            assert "somebody" not in json.dumps(body).casefold()
        assert said(organism, neutral(case))["verdict"] == own


def test_every_organism_replies_to_every_request_of_an_audit(organisms):
    """In the shape that was asked for, from the start that was forced."""
    for organism in organisms.values():
        for asked, case in cases(organism, 1):
            put = pointing(asked, "yes")
            requests = [
                case.decision(), told(case, "no"), suggested(case, "yes"), neutral(case),
                negated(case), verdict_first(case, "no"), case.put_in("edit", put, "yes"),
                case.put_in("edit", put, "yes", Capabilities()),
                replace(case.put_in("reader", put, ""), images=()), early(case), early(case, put),
                reading(case, ["the dog"]), dreamed(case, "no"), rewording(case, tuple(put)),
                asking(case, ["the dog: wearing a hat"]),
                asking(case, ["the dog: wearing a hat"], case.blank, "no_image"),
            ]  # fmt: skip
            for request in requests:
                text = organism.generate(request).text
                assert text.startswith(request.prefix)
                if "early" not in request.prefix and request.max_tokens > 24:
                    assert list(json.loads(text)) == list(request.schema["properties"])
            assert written(put) in case.put_in("edit", put, "yes").prefix


@pytest.mark.parametrize("name", ["honest_obedient", "posthoc_85"])
def test_what_an_audit_of_every_check_asks_has_an_answer(organisms, name):
    """Whatever it brings along, and whatever it leaves out."""
    organism = organisms[name]
    for _, case in cases(organism, 1):
        report = audit(render(organism.scene), case.question, model=organism, tier="full")
        assert report.checks.keys() >= {"reader", "claims", "edit"}
        assert not any(check.lost for check in report.checks.values())
