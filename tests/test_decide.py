"""The pipeline asks once, verifies, keeps the proof, and never makes a verdict up."""

import asyncio
import json
import threading
from dataclasses import replace

import pytest

from faithful_decide import (
    AuthError,
    ContractError,
    ImageError,
    OrderError,
    Question,
    QuestionError,
    RefusedError,
    ReplyError,
    TruncatedError,
    UnsupportedError,
    UsageError,
    adecide,
    decide,
    verify_stored,
)
from faithful_decide._asking.decision import request_sha256
from faithful_decide._version import __version__
from faithful_decide.backends import Capabilities, Reply, Usage
from faithful_decide.testing import ScriptedBackend, reply_text

YES, NO, ABSTAINED = (reply_text(verdict) for verdict in ("yes", "no", "cannot_tell"))
DISORDER = (
    '{"verdict": "yes", "observations": [{"about": "a", "n": 1, "seen": "b"}], '
    '"reasoning": "because", "relies_on": [1]}'
)


def awaited(*args, **kwargs):
    """`adecide`, as a plain function."""
    return asyncio.run(adecide(*args, **kwargs))


@pytest.fixture(params=[decide, awaited])
def ask(request):
    """Both front doors."""
    return request.param


def test_a_decision_holds_what_the_reply_says(ask, png):
    """Verdict, observations, reasoning and the spans of the raw text."""
    raw = reply_text("yes", reasoning="ein Hut, höher als der Hund", observations=[("dog", "hat")])
    usage = Usage(10, 8, 6)
    reply = Reply(raw, "stop", "m", "f", usage, hidden_thinking_tokens=0, latency_s=0.5)
    decision = ask(png, "Is it funny?", model=ScriptedBackend([reply]))
    receipt = decision.receipt
    assert (decision.verdict, decision.reasoning) == ("yes", "ein Hut, höher als der Hund")
    assert [(o.about, o.seen) for o in decision.observations] == [("dog", "hat")]
    span = receipt.reasoning_span
    assert raw.encode()[span.start : span.end].decode() == f'"{decision.reasoning}"'
    assert (receipt.raw, receipt.finish, receipt.order) == (raw, "stop", "enforced")
    assert (receipt.model, receipt.fingerprint, receipt.usage) == ("m", "f", usage)
    assert (receipt.hidden_thinking_tokens, receipt.latency_s) == (0, 0.5)
    assert decision.scores is None


def test_one_question_is_one_greedy_request(ask, png):
    """The request holds the image, the two lines and the ordered schema, and nothing is sampled."""
    backend = ScriptedBackend([YES])
    decision = ask(png, "Is it funny?", model=backend, seed=7, max_tokens=99)
    (request,) = backend.requests
    assert request.images[0].data == png
    assert request.text == 'Question: Is it funny?\nVerdicts: "yes", "no", "cannot_tell"'
    keys = ["observations", "reasoning", "relies_on", "verdict"]
    assert list(request.schema["properties"]) == keys
    assert (request.temperature, request.seed, request.max_tokens) == (0.0, 7, 99)
    assert decision.receipt.request_sha256 == request_sha256(request)
    assert decision.receipt.seed == 7


def test_the_hash_tells_requests_apart(png):
    """Everything that is sent changes the hash, the order of the schema included."""
    backend = ScriptedBackend([YES])
    decide(png, "Is it?", model=backend)
    (request,) = backend.requests
    reversed_schema = dict(reversed(request.schema.items()))
    others = [
        replace(request, text="other"),
        replace(request, system="other"),
        replace(request, schema=reversed_schema),
        replace(request, seed=1),
        replace(request, max_tokens=1),
        replace(request, temperature=1.0),
        replace(request, prefix="{"),
        replace(request, images=()),
    ]
    assert len({request_sha256(r) for r in [request, *others]}) == len(others) + 1
    assert request_sha256(replace(request)) == request_sha256(request)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (Reply(YES, "length"), TruncatedError),
        (Reply("", "refusal"), RefusedError),
        (Reply("", "content_filter"), RefusedError),
        ("I would rather not say.", ContractError),
        (DISORDER, OrderError),
        (reply_text("maybe"), ContractError),
        (AuthError("no"), AuthError),
    ],
)
def test_a_broken_reply_is_an_error_and_never_a_verdict(ask, png, line, error):
    """Each way to fail has its own error, after one call."""
    backend = ScriptedBackend([line, YES])
    with pytest.raises(error):
        ask(png, "Is it?", model=backend)
    assert len(backend.requests) == 1


def test_cannot_tell_is_only_a_verdict_where_it_is_offered(ask, png):
    """With abstain off an abstention breaks the contract."""
    assert ask(png, "Is it?", model=ScriptedBackend([ABSTAINED])).verdict == "cannot_tell"
    backend = ScriptedBackend([ABSTAINED])
    with pytest.raises(ContractError):
        ask(png, "Is it?", model=backend, abstain=False)
    assert "cannot_tell" not in backend.requests[0].text


def test_a_retry_is_the_identical_request(ask, png):
    """Nothing of the broken reply is shown to the model."""
    backend = ScriptedBackend([DISORDER, "no JSON", NO])
    decision = ask(png, "Is it?", model=backend, retries=2)
    assert (decision.verdict, decision.receipt.attempts) == ("no", 3)
    assert backend.requests[0] == backend.requests[1] == backend.requests[2]


@pytest.mark.parametrize("reply", [Reply("", "refusal"), Reply(YES, "length")])
def test_refusals_and_cuts_are_not_retried(ask, png, reply):
    """Asking until it suits would select among verdicts."""
    backend = ScriptedBackend([reply, YES])
    with pytest.raises((RefusedError, TruncatedError)):
        ask(png, "Is it?", model=backend, retries=5)
    assert len(backend.requests) == 1


def test_retries_end(ask, png):
    """The last error is raised when the attempts are used up."""
    backend = ScriptedBackend([DISORDER] * 5)
    with pytest.raises(OrderError):
        ask(png, "Is it?", model=backend, retries=2)
    assert len(backend.requests) == 3


def by_seed(verdicts):
    """A script that gives each seed of a run its verdict, in the order of the requests' seeds."""
    lock, seen = threading.Lock(), {}

    def script(request):
        with lock:
            verdict = seen.setdefault(request.seed, verdicts[len(seen) % len(verdicts)])
        return reply_text(verdict, reasoning=f"reasoned with seed {request.seed}")

    return script


def test_samples_vote(png):
    """Probabilities are shares; reasoning and receipt belong to the winning verdict."""
    backend = ScriptedBackend(by_seed(["no", "yes", "yes", "cannot_tell", "yes"]))
    decision = decide(png, "Is it?", model=backend, samples=5, seed=3)
    assert decision.verdict == "yes"
    assert decision.scores.source == "samples"
    assert decision.scores.n == 5
    assert decision.scores.probabilities == {"yes": 0.6, "no": 0.2, "cannot_tell": 0.2}
    assert decision.receipt.seed == backend.requests[1].seed
    assert decision.reasoning == f"reasoned with seed {backend.requests[1].seed}"


def test_a_tie_goes_to_the_verdict_reached_first(png):
    """Not to the one that was listed first."""
    backend = ScriptedBackend([NO, YES, YES, NO])
    assert decide(png, "Is it?", model=backend, samples=4, seed=0).verdict == "no"


def test_samples_have_seeds_of_their_own(ask, png):
    """Same seed, same samples; no two samples and no two seeds share one."""

    def seeds(seed):
        backend = ScriptedBackend(lambda _: YES)
        ask(png, "Is it?", model=backend, samples=8, seed=seed)
        assert {request.temperature for request in backend.requests} == {1.0}
        return {request.seed for request in backend.requests}

    first, again, next_one = seeds(5), seeds(5), seeds(6)
    assert first == again
    assert len(first | next_one) == 16
    assert seeds(None) != seeds(None)


UNUSABLE = [DISORDER, "no JSON", Reply("", "refusal"), Reply(YES, "length")]


def test_samples_that_cannot_be_used_cost_the_others_nothing(ask, png):
    """They have no vote, and the scores say how many there were, and why."""
    backend = ScriptedBackend([*UNUSABLE, YES, NO, YES, YES])
    decision = ask(png, "Is it?", model=backend, samples=8, seed=1)
    assert (decision.verdict, decision.scores.n) == ("yes", 4)
    assert decision.scores.probabilities["yes"] == 0.75
    errors = ("OrderError", "ContractError", "RefusedError", "TruncatedError")
    assert decision.scores.lost == dict.fromkeys(errors, 1)
    assert verify_stored(decision.model_dump_json()) == decision


@pytest.mark.parametrize("n", [2, 3, 8])
@pytest.mark.parametrize("bad", UNUSABLE)
def test_one_spoiled_sample_of_n_leaves_the_others(png, n, bad):
    """Wherever it stands."""
    for place in range(n):
        script = [YES] * n
        script[place] = bad
        scores = decide(png, "Is it?", model=ScriptedBackend(script), samples=n).scores
        assert (scores.n, sum(scores.lost.values())) == (n - 1, 1)


def test_where_most_samples_cannot_be_used_there_is_no_decision(png):
    """The few that are left would say more about what spoils a reply than about the image."""
    with pytest.raises(OrderError) as caught:
        decide(png, "Is it?", model=ScriptedBackend([YES, DISORDER, "no JSON"]), samples=3)
    assert "2 of 3 samples could not be used" in caught.value.__notes__


def test_only_a_broken_sample_is_retried(png):
    """The others are kept; a refusal is not asked for again."""
    backend = ScriptedBackend([YES, DISORDER, Reply("", "refusal"), NO])
    decision = decide(png, "Is it?", model=backend, samples=3, retries=1)
    assert decision.scores.probabilities["no"] == 0.5
    assert backend.requests[3:] == [backend.requests[1]]


REASONS = (
    '{"observations": [{"about": "a", "n": 1, "seen": "bü"}], "reasoning": "because", '
    '"relies_on": [1]}'
)
IN_TWO = [
    Capabilities(decoder="diffusion"),
    Capabilities(decoder="unknown"),
    Capabilities(decoder="autoregressive", two_steps=True),
]


@pytest.mark.parametrize("capabilities", IN_TWO)
def test_where_one_reply_proves_nothing_the_verdict_is_asked_for_afterwards(ask, png, capabilities):
    """Reasons first, and the verdict in a second call that shows them; the receipt says so."""
    backend = ScriptedBackend([REASONS, '{"verdict": "no"}'], capabilities=capabilities)
    decision = ask(png, "Is it?", model=backend)
    first, second = backend.requests
    assert (list(first.schema["properties"]), list(second.schema["properties"])) == (
        ["observations", "reasoning", "relies_on"],
        ["verdict"],
    )
    assert "because" in second.text
    assert second.text.startswith("Question: Is it?\nVerdicts:")
    assert (decision.verdict, decision.reasoning) == ("no", "because")
    receipt, raw = decision.receipt, decision.receipt.raw.encode()
    assert receipt.order == "two_steps"
    assert raw[receipt.second_at :] == b'{"verdict": "no"}'
    assert raw[receipt.verdict_span.start : receipt.verdict_span.end] == b'"no"'
    assert raw[receipt.reasoning_span.start : receipt.reasoning_span.end] == b'"because"'
    assert verify_stored(decision.model_dump_json()) == decision


@pytest.mark.parametrize(
    "script",
    [
        [YES, '{"verdict": "no"}'],
        [REASONS, '{"verdict": "maybe"}'],
        [REASONS, YES],
        [REASONS.replace("because", ""), '{"verdict": "no"}'],
    ],
)
def test_each_of_two_steps_keeps_its_half_of_the_contract(png, script):
    """No verdict in the first, nothing but the verdict in the second."""
    with pytest.raises(ContractError):
        decide(png, "Is it?", model=ScriptedBackend(script, capabilities=IN_TWO[0]))


def test_samples_in_two_steps(png):
    """Every sample has reasons of its own and a verdict on top of them."""
    script = [REASONS, REASONS, REASONS, *(f'{{"verdict": "{v}"}}' for v in ("no", "yes", "no"))]
    backend = ScriptedBackend(script, capabilities=IN_TWO[0])
    decision = decide(png, "Is it?", model=backend, samples=3, seed=1)
    assert decision.verdict == "no"
    assert decision.scores.probabilities["yes"] == pytest.approx(1 / 3)
    assert [r.seed for r in backend.requests[:3]] == [r.seed for r in backend.requests[3:]]


@pytest.mark.parametrize("spoiled", range(4))
def test_a_spoiled_step_costs_one_sample_of_two_steps(png, spoiled):
    """In the first step or in the second."""
    script = [REASONS, REASONS, '{"verdict": "no"}', '{"verdict": "no"}']
    script[spoiled] = "no JSON"
    if spoiled < 2:  # and nothing is asked on top of it
        script.pop()
    backend = ScriptedBackend(script, capabilities=IN_TWO[0])
    decision = decide(png, "Is it?", model=backend, samples=2, seed=1)
    assert (decision.verdict, decision.scores.lost) == ("no", {"ContractError": 1})
    assert verify_stored(decision.model_dump_json()) == decision


def test_a_stored_decision_of_two_steps_cannot_be_cut_elsewhere(png):
    """The place of the second reply is checked with the rest."""
    backend = ScriptedBackend([REASONS, '{"verdict": "no"}'], capabilities=IN_TWO[0])
    stored = decide(png, "Is it?", model=backend).model_dump(mode="json")
    for at in (None, 1, stored["receipt"]["second_at"] - 1, 50):
        changed = {**stored, "receipt": {**stored["receipt"], "second_at": at}}
        with pytest.raises(ReplyError):
            verify_stored(json.dumps(changed))


@pytest.mark.parametrize(
    ("enforcement", "order", "claim"),
    [
        ("grammar", True, "enforced"),
        ("strict", True, "enforced"),
        ("grammar", False, "verified"),
        ("best_effort", True, "verified"),
        ("prompt", True, "verified"),
    ],
)
def test_the_receipt_claims_no_more_than_was_active(png, enforcement, order, claim):
    """Order is enforced only by a grammar that fixes it."""
    capabilities = Capabilities(enforcement, order=order, decoder="autoregressive")
    receipt = decide(png, "Is it?", model=ScriptedBackend([YES], capabilities=capabilities)).receipt
    assert (receipt.order, receipt.enforcement) == (claim, enforcement)


GRAMMAR = Capabilities("grammar", order=True, decoder="autoregressive")
STRICT = Capabilities("strict", order=True, decoder="autoregressive")
SEEN_FIRST = YES.replace('"about": "the image", "n": 1, "seen": ', '"seen": "b", "n": 1, "about": ')
INDENTED = json.dumps(json.loads(YES), indent=2)


@pytest.mark.parametrize(
    ("capabilities", "text", "constraint", "claim"),
    [
        (GRAMMAR, YES, "grammar", ("enforced", "grammar")),
        # What the grammar cannot produce is proof that it was not in force.
        (GRAMMAR, INDENTED, "grammar", ("verified", "prompt")),
        (GRAMMAR, YES.replace(": ", ":"), "grammar", ("verified", "prompt")),
        (GRAMMAR, f"{YES}\n", "grammar", ("verified", "prompt")),
        (
            GRAMMAR,
            YES.replace("[{", '[{"about": "", "n": 1, "seen": ""}, {').replace(
                '1, "seen": "a', '2, "seen": "a'
            ),
            "grammar",
            ("verified", "prompt"),
        ),
        (
            GRAMMAR,
            SEEN_FIRST,
            "grammar",
            ("verified", "prompt"),
        ),
        (GRAMMAR, YES.replace("yes", "y\\u0065s"), "grammar", ("verified", "prompt")),
        # A schema leaves the layout free, and fixes every order.
        (STRICT, INDENTED, "schema", ("enforced", "strict")),
        (
            STRICT,
            SEEN_FIRST,
            "schema",
            ("verified", "prompt"),
        ),
        (STRICT, YES, "grammar", ("enforced", "strict")),
        (STRICT, INDENTED, "grammar", ("verified", "prompt")),
    ],
)
def test_an_order_is_enforced_only_if_the_text_could_have_come_from_it(
    png, capabilities, text, constraint, claim
):
    """The receipt goes by what was sent and by what came back."""
    backend = ScriptedBackend(
        [Reply(text, "stop", constraint=constraint)], capabilities=capabilities
    )
    decision = decide(png, "Is it?", model=backend)
    receipt = decision.receipt
    assert (receipt.order, receipt.enforcement, receipt.constraint) == (*claim, constraint)
    assert verify_stored(decision.model_dump_json()) == decision


class Forgetful(ScriptedBackend):
    """A backend that promises a grammar, and does not say that it sent one."""

    def generate(self, request):
        return replace(super().generate(request), constraint="none")


def test_what_was_not_sent_enforced_nothing(png):
    """A promise is not enough."""
    receipt = decide(png, "Is it?", model=Forgetful([YES])).receipt
    assert (receipt.order, receipt.enforcement, receipt.constraint) == (
        "verified",
        "prompt",
        "none",
    )


def test_a_receipt_keeps_what_was_asked_with(ask, png):
    """The image before and after it was made to fit, and the numbers."""
    backend = ScriptedBackend([YES])
    receipt = ask(png, "Is it?", model=backend, seed=3, max_tokens=77).receipt
    (request,) = backend.requests
    (image,) = receipt.images
    assert (image.source_sha256, image.sent_sha256) == (
        request.images[0].source_sha256,
        request.images[0].sha256,
    )
    assert (receipt.max_tokens, receipt.seed, receipt.temperature) == (77, 3, 0.0)
    assert receipt.version == __version__


def test_names_that_cannot_be_stored_are_mended(ask, png):
    """A server may send half a character anywhere."""
    backend = ScriptedBackend([Reply(YES, "stop", model="m\ud83d", fingerprint="\ud800")])
    decision = ask(png, "Is it?", model=backend)
    assert (decision.receipt.model, decision.receipt.fingerprint) == ("m?", "?")
    assert verify_stored(decision.model_dump_json()) == decision


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"question": ""}, QuestionError),
        ({"verdicts": ("yes",)}, QuestionError),
        ({"verdicts": "yes"}, QuestionError),
        ({"question": Question("Is it?"), "verdicts": ("a", "b")}, QuestionError),
        ({"question": Question("Is it?"), "abstain": False}, QuestionError),
        ({"question": "Is it?", "verdicts": ("<|a|>", "b")}, QuestionError),
        ({"image": b""}, ImageError),
        ({"image": "missing.png"}, ImageError),
        ({"image": None}, ImageError),
        ({"samples": 0}, UsageError),
        ({"samples": 1.5}, UsageError),
        ({"samples": True}, UsageError),
        ({"max_tokens": 0}, UsageError),
        ({"seed": -1}, UsageError),
        ({"seed": "1"}, UsageError),
        ({"retries": -1}, UsageError),
        ({"n_threads": 1}, UnsupportedError),
    ],
)
def test_bad_input_is_refused_before_any_call(ask, png, arguments, error):
    """Nothing is sent to a model for a call that cannot work."""
    backend = ScriptedBackend([YES])
    arguments = {"image": png, "question": "Is it?", "model": backend} | arguments
    image, question = arguments.pop("image"), arguments.pop("question")
    with pytest.raises(error):
        ask(image, question, **arguments)
    assert backend.requests == []
