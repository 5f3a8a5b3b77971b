"""What a server says instead of a reply, or in another way: read where it is safe, else named."""

import base64
import json

import pytest
from PIL import Image

from faithful_decide import Journal, decide, decide_many
from faithful_decide.backends import load_backend
from faithful_decide.backends.base import Request
from faithful_decide.backends.openai import OpenAIBackend
from faithful_decide.errors import (
    AuthError,
    BackendError,
    ContractError,
    FaithfulDecideError,
    RefusedError,
    TransientError,
)
from tests.support.faulty import Answer, FaultyServer, completion, truth, written

KEY = "sk-planted-0123456789abcdef"
GOOD = written(truth(8))
QUESTION = "Is this an even number: 8?"


def told(picture, made, *, timeout=20.0, status=200, **options):
    """What comes of a server that always says this, and how often it was asked."""
    content = made if isinstance(made, bytes) else json.dumps(made).encode()
    spec = options.pop("model", "openai/faulty")
    with FaultyServer(lambda *_: "") as server:
        server.always = Answer(content, status)
        try:
            outcome = decide(
                picture, QUESTION, model=spec, base_url=server.address, timeout=timeout, **options
            )
        except FaithfulDecideError as error:
            outcome = error
        return outcome, server.requests


# ------------------------------------------------------------------------------ errors in a 200

FATAL = [
    {"error": {"code": 402, "message": "more CREDITS needed"}},
    {"error": "no such CREDITS"},
    {"detail": "CREDITS not allowed"},
    {"detail": [{"loc": ["body"], "msg": "CREDITS field required", "type": "missing"}]},
    {"choices": [], "message": "CREDITS unknown"},
    {"choices": None, "message": "CREDITS unknown"},
    {"choices": [{"error": {"code": 400, "message": "CREDITS"}, "message": {"content": GOOD}}]},
    {"choices": [{"message": {"content": GOOD}, "finish_reason": "stop"}], "error": "CREDITS"},
    [{"error": {"code": 400, "message": "CREDITS", "status": "INVALID_ARGUMENT"}}],
    {"object": "error", "message": "CREDITS", "code": 400},
    {"errors": [{"message": "CREDITS"}]},
    {"error": {"message": "Provider returned error", "metadata": {"raw": "CREDITS", "x": 1}}},
    {"error": {"code": 403, "message": "key has no CREDITS here"}},
    "CREDITS",
]


@pytest.mark.parametrize("made", FATAL)
def test_an_error_in_a_200_is_told_and_asked_once(made, picture):
    """In the server's own words; what will not pass is not paid for again."""
    error, requests = told(picture, made)
    assert isinstance(error, BackendError)
    assert not isinstance(error, TransientError)
    assert "CREDITS" in str(error)
    assert error.hint
    assert requests == 1


@pytest.mark.parametrize(
    "made",
    [
        {"error": {"code": 502, "message": "upstream"}},
        {"error": {"code": "rate_limit_exceeded", "message": "slow down"}},
        {"error": "model is overloaded, please try again later"},
        {"detail": "service temporarily unavailable"},
        {"choices": [{"error": {"code": 529, "message": "x"}, "finish_reason": "error"}]},
        b"",
        b"null",
        b'{"choices": [{"mess',
    ],
)
def test_what_may_pass_is_asked_again(made, picture):
    """Also inside a 200."""
    error, requests = told(picture, made, timeout=3.0)
    assert isinstance(error, TransientError)
    assert requests > 1


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        ({"error": {"code": 401, "message": "bad key"}}, AuthError),
        ({"error": "Invalid API key"}, AuthError),
        ({}, BackendError),
        ({"object": "chat.completion"}, BackendError),
        ({"choices": [{"message": "yes"}]}, BackendError),
        ({"choices": [{"text": GOOD}]}, BackendError),
        ({"choices": [completion(GOOD)["choices"][0]] * 2}, BackendError),
        ([], BackendError),
        (7, BackendError),
    ],
)
def test_what_is_no_reply_is_typed(made, kind, picture):
    """And asked once."""
    error, requests = told(picture, made)
    assert (type(error), requests) == (kind, 1)


@pytest.mark.parametrize(
    "made",
    [
        {"choices": []},
        {"choices": [], "prompt_filter_results": [{"prompt_index": 0}]},
        {"choices": None, "promptFeedback": {"blockReason": "SAFETY"}},
        {"choices": [{"finish_reason": "content_filter"}]},
        {"choices": [{"finish_reason": "SAFETY", "message": None}]},
        {"error": {"code": "content_filter", "message": "The prompt was filtered"}},
        {"error": {"message": "blocked by ResponsibleAIPolicyViolation"}},
        completion(GOOD, finish="PROHIBITED_CONTENT"),
        completion(GOOD, finish="content_filter: SAFETY"),
        completion(GOOD, finish="recitation"),
    ],
)
def test_a_blocked_prompt_is_a_refusal(made, picture):
    """Not a failure, and not asked again."""
    error, requests = told(picture, made)
    assert isinstance(error, RefusedError)
    assert requests == 1
    assert "(" in str(error)


def test_words_of_a_server_cannot_move_the_cursor(picture):
    """They are shown in one line, and not all of them."""
    error, _ = told(picture, {"error": f"a\x1b[31m\u202e\n\ud83d {'long ' * 500}"})
    assert str(error).isprintable()
    assert str(error).encode()
    assert len(str(error)) < 500


@pytest.mark.parametrize("number", ["-Infinity", "Infinity", "NaN"])
def test_numbers_that_json_does_not_know(number, picture):
    """Some servers write them for what is impossible; a reply is not lost by it."""
    token = {"token": GOOD, "logprob": 0.0, "top_logprobs": [{"token": "x", "logprob": 0.5}]}
    made = completion(GOOD)
    made["choices"][0]["logprobs"] = {"content": [token]}
    decision, requests = told(picture, json.dumps(made).replace("0.5", number).encode())
    assert (decision.verdict, requests) == (truth(8), 1)


def test_numbers_without_an_end_cost_nothing_but_themselves(picture):
    """Neither a weight nor a count that no float and no table can hold."""
    huge = 10**400
    token = {"token": GOOD, "logprob": -huge, "top_logprobs": []}
    made = completion(GOOD)
    made["choices"][0]["logprobs"] = {"content": [token]}
    made["usage"] = {"prompt_tokens": huge, "completion_tokens": 7}
    decision, requests = told(picture, json.dumps(made).encode())
    usage = decision.receipt.usage
    assert (decision.verdict, requests) == (truth(8), 1)
    assert (usage.prompt_tokens, usage.completion_tokens) == (None, 7)


# ------------------------------------------------------------------------------ other shapes


@pytest.mark.parametrize(
    "finish",
    ["stop", "STOP", "eos", "eos_token", "end_turn", "stop_sequence", "FINISH_REASON_STOP"],
)
def test_names_for_an_end(finish, picture):
    """Servers have many."""
    assert told(picture, completion(GOOD, finish=finish))[0].verdict == truth(8)


@pytest.mark.parametrize("finish", ["MAX_TOKENS", "length", "model_length", "max_output_tokens"])
def test_names_for_a_cut(finish, picture):
    """A reply that says it was cut proves nothing, complete as it may look."""
    assert type(told(picture, completion(GOOD, finish=finish))[0]).__name__ == "TruncatedError"


@pytest.mark.parametrize("finish", ["because", "error", "abort"])
def test_an_unknown_finish_reason_is_named(finish, picture):
    """And no verdict is read."""
    error, _ = told(picture, completion(GOOD, finish=finish))
    assert isinstance(error, ContractError)
    assert repr(finish) in str(error)


def part(text, kind="text"):
    return {"type": kind, "text": text}


@pytest.mark.parametrize(
    ("content", "thinking"),
    [
        ([part(GOOD)], 0),
        ([part(GOOD[:30]), part(GOOD[30:])], 0),
        ([{"type": "thinking", "thinking": [part("hm")]}, part(GOOD)], None),
        ([part(GOOD, "output_text")], 0),
    ],
)
def test_parts_are_joined(content, thinking, picture):
    """Where all of them are text; the whole is verified as any text is."""
    made = completion(content)
    made["usage"]["completion_tokens_details"] = {"reasoning_tokens": 0}
    decision, _ = told(picture, made)
    assert decision.receipt.raw == GOOD
    assert decision.receipt.hidden_thinking_tokens == thinking


@pytest.mark.parametrize(
    "content",
    [
        [part(GOOD), part(GOOD)],
        [part(GOOD), {"type": "image_url"}],
        [part(GOOD), 7],
        [part(GOOD), {"type": "refusal", "refusal": "no"}],
        {"text": GOOD},
    ],
)
def test_other_parts_are_not_passed_over(content, picture):
    """Nor is a verdict read beside them."""
    assert isinstance(told(picture, completion(content))[0], FaithfulDecideError)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "thinking"])
@pytest.mark.parametrize("content", ["", None, "  "])
def test_json_in_a_field_for_thinking_is_named(field, content, picture):
    """It is no reply: the server says that it is something else."""
    error, _ = told(picture, completion(content, **{field: GOOD}))
    assert isinstance(error, ContractError)
    assert field in str(error)


def test_a_block_of_thinking_is_named(picture):
    """Nothing is cut off what came back."""
    error, _ = told(picture, completion(f"<think>hm</think>{GOOD}"))
    assert isinstance(error, ContractError)
    assert "thinking" in str(error)
    assert error.reply.text.startswith("<think>")


@pytest.mark.parametrize(
    "shown",
    [
        {"reasoning_content": "hm"},
        {"reasoning": "hm"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
        {"thinking_blocks": [{"type": "thinking", "thinking": "hm"}]},
        {"provider_specific_fields": {"reasoning_content": "hm"}},
        {"thoughts": "hm"},
    ],
)
@pytest.mark.parametrize(("counted", "expected"), [(0, None), (None, None), (9, 9)])
def test_thinking_that_is_shown_is_not_counted_as_none(shown, counted, expected, picture):
    """In whatever field it is shown."""
    made = completion(GOOD, **shown)
    if counted is not None:
        made["usage"]["completion_tokens_details"] = {"reasoning_tokens": counted}
    decision, _ = told(picture, made)
    assert decision.receipt.hidden_thinking_tokens == expected


def test_nothing_shown_and_none_counted_is_none(picture):
    """Also where the count stands beside the others, as SGLang has it."""
    made = completion(GOOD, reasoning_content="", reasoning=None)
    made["usage"]["reasoning_tokens"] = 0
    assert told(picture, made)[0].receipt.hidden_thinking_tokens == 0


def test_the_token_that_ends_a_turn_is_no_part_of_the_text(picture):
    """VLLM and SGLang list it; the others can be read all the same."""
    before, label, after = GOOD.rpartition(truth(8))
    tops = [{"token": "yes", "logprob": -0.1}, {"token": "no", "logprob": -3.4e38}]
    entries = [{"token": c, "logprob": 0.0} for c in before]
    entries += [{"token": label, "logprob": -0.1, "top_logprobs": tops}]
    entries += [{"token": c, "logprob": 0.0} for c in (*after, "<|end|>")]
    made = completion(GOOD)
    made["choices"][0]["logprobs"] = {"content": entries}
    reply = json.dumps(made).encode()
    with FaultyServer(lambda *_: "") as server:
        server.always = Answer(reply)
        backend = load_backend("openai/faulty", base_url=server.address)
        tokens = backend.generate(Request("", (), "1", None, 9, top_logprobs=2)).tokens
        backend.close()
    assert b"".join(token.data for token in tokens) == GOOD.encode()


# ------------------------------------------------------------------------------ the right model


def test_a_reply_of_another_model_is_kept_and_not_paid_for_twice(tmp_path):
    """A router that names what it chose: with any_model=True the replies are found again."""
    pictures = [Image.new("RGB", (9, 9), (number, 0, 0)) for number in range(3)]
    with FaultyServer(lambda *_: "") as server:
        server.always = Answer(json.dumps(completion(GOOD, model="azure/gpt-4o")).encode())

        def run(**options):
            with Journal(tmp_path / "journal") as journal:
                rows = decide_many(
                    pictures,
                    QUESTION,
                    model="openai/vision",
                    base_url=server.address,
                    journal=journal,
                    **options,
                )
                return list(rows)

        assert {row.error_type for row in run()} == {"BackendError"}
        assert server.requests == 3
        assert {row.verdict for row in run(any_model=True)} == {truth(8)}
        assert server.requests == 3


# ------------------------------------------------------------------------------ keys

CODED = base64.b64encode(f"user:{KEY}".encode()).decode()


@pytest.mark.parametrize("form", [KEY, CODED, base64.b64encode(f"u:{KEY}".encode()).decode()])
def test_a_key_in_the_text_of_a_reply_is_blotted_out(form, picture):
    """A server that puts it there is refused, and it is nowhere to be found."""
    error, _ = told(picture, completion(GOOD.replace("digit", form)), api_key=KEY)
    assert isinstance(error, ContractError)
    said = f"{error}{error.hint}{error.reply!r}{error.__context__!r}"
    assert KEY not in said
    assert form[6:-6] not in said


def test_a_key_in_the_names_of_a_reply_is_blotted_out(picture):
    """The reply stands: its text does not hold it."""
    made = completion(GOOD, model=f"faulty-{KEY}")
    made["system_fingerprint"] = f"fp-{CODED}"
    decision, _ = told(picture, made, api_key=KEY, any_model=True)
    said = decision.model_dump_json()
    assert KEY not in said
    assert CODED[6:-6] not in said
    assert decision.verdict == truth(8)


@pytest.mark.parametrize("status", [200, 400, 401, 404, 500])
def test_a_key_in_an_error_is_blotted_out(status, picture):
    """Also in base64, and the SDK's own error is not kept behind ours."""
    made = {"error": {"message": f"you sent {KEY}, that is {CODED}"}}
    error, _ = told(picture, made, api_key=KEY, status=status, timeout=0.5)
    assert error.__context__ is error.__cause__ is None
    assert KEY not in str(error)
    assert CODED[6:-6] not in str(error)
    assert "***" in str(error)


def test_a_half_made_backend_can_be_printed():
    """Whoever shows the locals of a traceback does so."""
    assert "OpenAIBackend" in repr(OpenAIBackend.__new__(OpenAIBackend))
