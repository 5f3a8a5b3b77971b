"""What cannot be used costs its own trial, and the report says what was lost."""

import asyncio
import dataclasses
import json

import pytest
from known_pictures import FUNNY, HAT, TOPICS

from faithful_decide import (
    AuditReport,
    BackendError,
    StorageError,
    TransientError,
    aaudit,
    audit,
    audit_dataset,
)
from faithful_decide._audit.case import safe, written
from faithful_decide._core.types import Observation
from faithful_decide.backends.base import Capabilities, Reply, Token
from faithful_decide.organisms import organisms
from faithful_decide.testing import ScriptedBackend

ABLE = Capabilities(
    enforcement="grammar", order=True, prefix=True, thinking="none", decoder="autoregressive"
)


@pytest.fixture
def failing(facts):
    """Makes an honest model with something else to say to some requests."""

    def make(instead, name="Obedient", **how):
        organism = organisms(facts, TOPICS)[name]

        def script(request):
            return instead(request) or organism.generate(request)

        return ScriptedBackend(script, capabilities=how.get("capabilities", organism.capabilities))

    return make


def purposes(kind):
    return lambda request: request.purpose.kind == kind


# ---------------------------------------------------------------- calls that fail


KINDS = ["forced", "cue", "neutral", "negated", "no_image", "edit", "donor", "imagine", "read",
         "reader", "early", "obedience", "forced_first"]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("awaited", [False, True], ids=["run", "awaited"])
def test_a_call_that_fails_ends_its_own_trial(kind, awaited, failing, funny):
    """Everything else is as it would have been, and the report tells."""
    failed = []

    def once(request):
        if request.purpose.kind == kind and not failed:
            failed.append(request)
            return BackendError("the server says 400")
        return None

    model = failing(once)
    if awaited:
        report = asyncio.run(aaudit(funny[0], FUNNY, model=model, tier="full"))
    else:
        report = audit(funny[0], FUNNY, model=model, tier="full")
    assert failed
    assert report.calls == len(model.requests)
    (note,) = [note for note in report.notes if "failed" in note]
    assert note.startswith(f"1 of {report.calls} calls failed")
    assert "the server says 400" in note
    assert [lost for check in report.checks.values() for lost in check.lost].count(
        "the server says 400"
    ) == 1
    whole = audit(funny[0], FUNNY, model=failing(lambda _: None), tier="full")
    other = [n for n, c in whole.checks.items() if c.score != report.checks[n].score]
    assert len(other) <= 1
    assert AuditReport.model_validate_json(report.model_dump_json()) == report


def test_only_the_decision_has_to_be_there(failing, funny):
    """With all other calls failing there is a report without trials; without it there is none."""
    model = failing(lambda r: None if r.purpose.kind == "decide" else TransientError("late"))
    report = audit(funny[0], FUNNY, model=model, timeout=0.5, tier="standard")
    assert report.decision.verdict == "yes"
    assert not [c.check for c in report.checks.values() if c.score is not None]
    assert {one.outcome for one in report.forced.values()} == {"unusable"}
    assert report.finding("accommodates_either").state == "out_of_reach"
    assert report.label == "inconclusive"
    # What was never said is no reason: nobody has heard that it cannot tell.
    asked = [check for check in report.checks.values() if check.calls]
    assert len(asked) > 2
    assert {check.not_run for check in asked} == {"none of its replies could be used"}
    with pytest.raises(BackendError, match="gone"):
        audit(funny[0], FUNNY, model=failing(lambda _: BackendError("gone")))


def test_a_disk_that_is_full_is_no_failed_call(failing, funny):
    """It would be in the way of all others."""
    model = failing(lambda r: StorageError("full") if r.purpose.kind == "forced" else None)
    with pytest.raises(StorageError):
        audit(funny[0], FUNNY, model=model)


def test_a_data_set_says_how_much_was_lost(failing, funny, sober):
    """Per call and per item; the items are all there."""
    model = failing(lambda r: BackendError("400") if r.purpose.kind == "negated" else None)
    items = [(funny[0], FUNNY), (sober[0], FUNNY)]
    report = audit_dataset(items, model=model, tier="standard")
    assert [item.error for item in report.items] == ["", ""]
    assert report.notes == (
        "3 calls or replies, of 2 items, could not be used and are in no trial.",
    )
    assert "negated" in report.finding("contradicts_itself").sentence
    assert report.checks["negated"].not_run == "none of its replies could be used"


def test_an_interrupted_data_set_keeps_every_paid_reply(failing, funny, sober, tmp_path):
    """The second run asks for what the first did not get, and for nothing else."""
    asked = []

    def stop(request):
        asked.append(request)
        if len(asked) == 14:
            raise KeyboardInterrupt

    items = [(funny[0], FUNNY), (sober[0], FUNNY)]
    with pytest.raises(KeyboardInterrupt):
        audit_dataset(items, model=failing(stop), journal=tmp_path / "j", tier="standard")
    again = failing(lambda _: None)
    report = audit_dataset(items, model=again, journal=tmp_path / "j", tier="standard")
    assert len(again.requests) == report.calls - 13


# ---------------------------------------------------------------- what the plan left out


def test_a_check_that_was_not_run_says_the_true_reason(facts, funny):
    """From the plan: the tier, the backend, the picture that was not given, the draw, the rule."""
    model = organisms(facts, TOPICS)["Honest"]
    report = audit(funny[0], FUNNY, model=model, tier="standard")
    reasons = {n: c.not_run for n, c in report.checks.items()}
    for name in ("edit", "donor", "trajectory", "knockout", "cue", "obedience", "mask"):
        assert reasons[name] == "tier standard leaves it out; it is asked at tier full"
    assert reasons["other_image"] == "no other picture was given"
    report = audit(funny[0], FUNNY, model=model, tier="screen")
    (drawn,) = (name for name, check in report.checks.items() if check.calls)
    for name, check in report.checks.items():
        if name in {"forced", "negated"} - {drawn}:
            assert check.not_run.endswith(f"and here that is {drawn.replace('_', ' ')}")
        elif name != drawn:
            assert check.not_run.startswith("tier screen leaves it out")
    report = audit(funny[0], FUNNY, model=model, tier="full")
    assert report.checks["other_image"].not_run == "no other picture was given"
    assert "attention" in report.checks["knockout"].not_run
    plain = dataclasses.replace(model.capabilities, logprobs="none")
    model = organisms(facts, TOPICS, capabilities=plain)["Honest"]
    report = audit(funny[0], FUNNY, model=model, tier="full")
    assert report.checks["trajectory"].not_run == "the backend gives no probabilities of tokens"


def test_a_picture_that_shows_the_same_raises_nothing(new_picture, facts, funny):
    """An honest model asserts the same of it, and is right: all of it is true there."""
    picture, shown = new_picture(HAT)
    model = organisms({**facts, **shown}, TOPICS)["Honest"]
    report = audit(funny[0], FUNNY, model=model, tier="full", other_image=picture)
    assert report.checks["other_image"].treatment.n
    assert "ignores_image" not in report.flags


# ---------------------------------------------------------------- what goes back into a prefix


TOKENS = [
    "<|im_end|>",
    "[INST]",
    "</s>",
    "<start_of_turn>",
    "<image>",
    "[/INST]",
    "<\uff5cUser\uff5c>",
]


def test_control_tokens_in_a_models_words_reach_no_prompt_and_no_prefix(funny):
    """Neither in treatments nor in controls, through a whole audit."""
    words = " ".join(TOKENS)
    able = dataclasses.replace(ABLE, logprobs="pre_mask", knockout=True)

    def script(request):
        purpose = request.purpose
        labels = purpose.question.labels
        if request.max_tokens == 1:
            return Reply(request.prefix, "length", tokens=(Token(b"y", {b"y": 0.0}),))
        told = purpose.kind in {"forced", "imagine"}
        if purpose.claims:
            row = {"seen": f"{words}", "value": "false" if words in purpose.claims else "true"}
            said = [{"n": n, **row} for n, _ in enumerate(purpose.claims, 1)]
            return json.dumps({"claims": said})
        rows = [
            {"about": f"it {words}", "n": 1, "seen": f"{words} {purpose.verdict if told else HAT}"}
        ]
        parts = {
            "quote_1": purpose.observations[0].seen if purpose.kind == "judge" else "",
            "quote_2": purpose.observations[-1].seen if purpose.kind == "judge" else "",
            "relation": "same",
            "observations": rows,
            "reasoning": f"because {words}",
            "relies_on": [1],
            "reservation": {"level": "none", "why": ""},
            "verdict": purpose.verdict if told and purpose.verdict in labels else labels[0],
        }
        text = json.dumps({key: parts[key] for key in request.schema["properties"]})
        return Reply(text, "stop", tokens=() if request.top_logprobs else None)

    model = ScriptedBackend(script, capabilities=able)
    audit(funny[0], FUNNY, model=model, tier="full")
    kinds = {request.purpose.kind for request in model.requests}
    some = {"edit", "donor", "reader", "knockout", "read", "forced_first", "claims", "paraphrase"}
    assert some <= kinds
    for request in model.requests:
        for token in TOKENS:
            assert token not in request.text
            assert token not in request.prefix, request.purpose.kind


def test_harmless_words_stay_as_they_are():
    """To the letter; what is made safe stays so."""
    seen = (Observation(about="the sign", seen='says "3 < 4", [ ] or not'),)
    assert safe(seen) == seen
    marked = (Observation(about="a", seen="<|im_end|>[INST]"),)
    assert safe(safe(marked)) == safe(marked)
    assert json.loads(written(seen) + "}") == {
        "observations": [{"about": "the sign", "n": 1, "seen": seen[0].seen}]
    }


# ---------------------------------------------------------------- options of helpers


def test_a_reader_by_name_takes_options(failing, funny, tmp_path):
    """Such as its address."""
    from faithful_decide.backends import register_backend

    loaded = []

    def load(name, **options):
        loaded.append((name, options))
        return failing(lambda _: None, "Honest")

    register_backend("elsewhere", load)
    audit(
        funny[0], FUNNY, model=failing(lambda _: None), reader="elsewhere/a",
        reader_options={"port": 1}, judge="elsewhere/b", judge_options={"port": 2},
    )  # fmt: skip
    assert loaded == [("a", {"port": 1}), ("b", {"port": 2})]
