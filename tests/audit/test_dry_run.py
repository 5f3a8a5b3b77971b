"""A dry run says what the run will do: exactly, or at most where the model has a say in it."""

import dataclasses
import itertools
import json
import random

import pytest
from known_pictures import FUNNY, TOPICS, png_of
from pydantic import BaseModel

from faithful_decide import Question, ReplyError, audit, decide
from faithful_decide._api.audit import estimate_audit
from faithful_decide.backends.base import Capabilities, Reply
from faithful_decide.organisms import organisms
from faithful_decide.testing import ScriptedBackend

PLAIN = Capabilities(enforcement="strict", order=True, thinking="none", decoder="autoregressive")
KINDS = [
    dataclasses.replace(PLAIN, prefix=prefix, logprobs=logprobs, knockout=knockout)
    for prefix, logprobs, knockout in itertools.product(
        (False, True), ("none", "pre_mask"), (False, True)
    )
]
NAMES = list(organisms({}, TOPICS))


def scripted(organism, name="", capabilities=None):
    """An organism behind a backend that counts; what is hidden from its verdict changes nothing."""

    def answer(request):
        if request.hidden is not None:
            return f'{request.prefix}yes"}}'
        return organism.generate(request)

    capabilities = capabilities or organism.capabilities
    return ScriptedBackend(answer, name=name or organism.name, capabilities=capabilities)


def held(estimate, made):
    return made == estimate.calls if estimate.exact else made <= estimate.calls


@pytest.mark.parametrize("tier", ["screen", "standard", "full"])
@pytest.mark.parametrize(
    "capabilities", KINDS, ids=lambda c: f"{c.prefix} {c.logprobs} {c.knockout}"
)
def test_calls_predicted_and_made(tier, capabilities, facts, funny, sober):
    """Whatever the backend can do, and whoever the model is; all calls are in the report."""
    kinds = organisms(facts, TOPICS, capabilities=capabilities)
    questions = [FUNNY, Question(FUNNY, abstain=False)]
    if capabilities.prefix:  # so that each organism is asked both, of one kind or another
        questions.reverse()
    # What a judge compares comes on top; this one says nothing, and is not counted.
    silent = ScriptedBackend(lambda _: "no JSON", name="silent")
    names = NAMES if tier != "full" else NAMES[KINDS.index(capabilities) :: len(KINDS) // 2]
    for name, question in zip(names, itertools.cycle(questions), strict=False):
        model = scripted(kinds[name])
        how = {"model": model, "tier": tier, "other_image": sober[0], "judge": silent}
        estimate = estimate_audit(funny[0], question, **how)
        assert not model.requests
        report = audit(funny[0], question, **how)
        assert report.calls == len(model.requests) + len(silent.requests)
        made = len(model.requests)
        assert held(estimate, made), (name, estimate.calls, made)
        silent.requests.clear()
        assert estimate.exact == (tier == "screen")
        assert sum(check.calls for check in report.checks.values()) <= report.calls


def at_random(rng, request):
    """Anything that keeps the contract, and now and then something that does not."""
    if rng.random() < 0.1:
        return Reply("I", rng.choice(["length", "refusal"]))
    numbers = range(1, rng.randint(1, 4) + 1)
    rows = [{"about": str(n), "n": n, "seen": str(rng.random())} for n in numbers]
    parts = {
        "observations": rows,
        "reasoning": "it is so",
        "relies_on": rng.sample(numbers, rng.randint(0, len(rows))),
        "reservation": {"level": rng.choice(["none", "none", "some"]), "why": "but no"},
        "verdict": rng.choice(request.purpose.question.labels),
        "claims": [
            {"n": n, "seen": "that", "value": rng.choice(["true", "false", "cannot_tell"])}
            for n, _ in enumerate(request.purpose.claims, 1)
        ],
        "quote_1": "a",
        "quote_2": "b",
        "relation": rng.choice(["same", "contradicts"]),
    }
    return json.dumps({key: parts[key] for key in request.schema["properties"]})


@pytest.mark.parametrize("question", [FUNNY, Question("Which?", ("a", "b", "c"))], ids=str)
def test_no_model_makes_an_audit_ask_more(question, funny):
    """Whatever it says."""
    rng = random.Random(4)
    made = []
    for _ in range(12):
        model = ScriptedBackend(lambda asked: at_random(rng, asked), capabilities=KINDS[-3])
        estimate = estimate_audit(funny[0], question, model=model, tier="full")
        try:
            made.append(audit(funny[0], question, model=model, tier="full").calls)
        except ReplyError:
            continue
        judged = sum(request.purpose.kind == "judge" for request in model.requests)
        assert len(model.requests) == made[-1] <= estimate.calls + judged
    assert len(set(made)) > 3


@pytest.mark.parametrize("tier", ["standard", "full"])
def test_a_reader_and_a_judge_are_counted(tier, facts, funny):
    """The reader within the number; a judge, whose calls nobody can bound, beside it."""
    kinds = organisms(facts, TOPICS)
    model, reader, judge = (scripted(kinds[n]) for n in ("Obedient", "Honest", "Verbose"))
    for capabilities in KINDS[:1] + KINDS[-1:]:
        reader = scripted(kinds["Honest"], capabilities=capabilities)
        estimate = estimate_audit(funny[0], FUNNY, model=model, reader=reader, tier=tier)
        assert estimate.judged == (tier == "full")
        for backend in (model, reader, judge):
            backend.requests.clear()
        report = audit(funny[0], FUNNY, model=model, reader=reader, judge=judge, tier=tier)
        assert reader.requests
        assert judge.requests
        assert len(model.requests) + len(reader.requests) <= estimate.calls
        made = sum(len(backend.requests) for backend in (model, reader, judge))
        assert report.calls == made
        known = sum(tally.n for tally in report.judge_errors.values())
        assert len(report.judgements) + known == len(judge.requests)
    assert estimate_audit(funny[0], FUNNY, model=model, judge=judge).judged


def test_a_rule_in_code_leaves_less_to_ask(facts, funny):
    """What is about the way from observations to verdict is known, and not asked."""

    class Hat(BaseModel):
        hat: bool

    question = Question(FUNNY, findings=Hat, rule=lambda found: found.hat)
    backend = ScriptedBackend([], capabilities=PLAIN)
    plain = estimate_audit(funny[0], FUNNY, model=backend, tier="full")
    ruled = estimate_audit(funny[0], question, model=backend, tier="full")
    assert ruled.calls < plain.calls


def test_a_decision_that_was_made_before_costs_nothing(facts, funny):
    """It is one call less."""
    model = scripted(organisms(facts, TOPICS, capabilities=PLAIN)["Obedient"])
    made = decide(funny[0], FUNNY, model=model)
    model.requests.clear()
    how = {"model": model, "tier": "standard"}
    whole = estimate_audit(funny[0], FUNNY, **how)
    rest = estimate_audit(funny[0], decision=made, **how)
    assert not model.requests
    assert rest.calls == whole.calls - 1


def test_an_audit_of_tier_standard_makes_a_dozen_calls(facts, funny):
    """On a server, yes or no; an item of a data set no more than two besides."""
    backend = ScriptedBackend([], capabilities=PLAIN)
    asked = {"model": backend, "tier": "standard"}
    assert estimate_audit(funny[0], FUNNY, **asked).calls <= 12
    assert estimate_audit(funny[0], FUNNY, many=True, **asked).calls <= 14


def test_a_dry_run_leaves_nothing_behind(facts, funny, tmp_path):
    """No journal either."""
    model = scripted(organisms(facts, TOPICS)["Honest"])
    estimate_audit(funny[0], FUNNY, model=model, journal=tmp_path / "j")
    assert not list(tmp_path.iterdir())


def test_the_number_of_probes_is_bounded(funny):
    """Verdicts that begin alike are told apart letter by letter, at the worst."""
    labels = Question("Which?", ("cat_happy", "cat_sad", "cat"))
    able = dataclasses.replace(PLAIN, prefix=True, logprobs="pre_mask")
    backend = ScriptedBackend([], capabilities=able)
    estimate = estimate_audit(funny[0], labels, model=backend, tier="full")
    plain = dataclasses.replace(able, logprobs="none")
    without = estimate_audit(
        funny[0], labels, model=ScriptedBackend([], capabilities=plain), tier="full"
    )
    shared = ["", "c", "ca", "cat", "cat_"]  # "cannot_tell" begins like them, too
    assert estimate.calls - without.calls >= 3 * len(shared) + 2


@pytest.mark.parametrize("tier", ["screen", "standard", "full"])
def test_tokens_grow_with_what_is_asked(tier, facts, funny):
    """They are of the same plan."""
    model = scripted(organisms(facts, TOPICS)["Honest"])
    small = estimate_audit(funny[0], FUNNY, model=model, tier=tier, seed=1)
    long = f"{FUNNY} {'word ' * 100}"
    large = estimate_audit(png_of((1, 2, 3)), long, model=model, tier=tier, seed=1)
    assert small.prompt_tokens < large.prompt_tokens
    assert 0 < small.completion_tokens == large.completion_tokens
    assert small.calls == large.calls
