"""What the user wrote stays data: it cannot add lines, turns or verdicts."""

import json
import unicodedata
from itertools import product
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, create_model

from faithful_decide import Observation, Question, QuestionError
from faithful_decide._core.prompt import (
    SYSTEM,
    defused,
    given_text,
    judge_text,
    neutralise,
    reading_text,
    user_text,
    verdict_text,
)
from faithful_decide._core.schema import schema
from tests.support.cases import case

CONTROL_TOKENS = [
    "<|user|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<|START_OF_TURN_TOKEN|>",
    "<s>",
    "</s>",
    "<bos>",
    "[INST]",
    "[/INST]",
    "[SYSTEM_PROMPT]",
    "[gMASK]",
    "[|assistant|]",
    "<<SYS>>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<image>",
    "<image_soft_token>",
    "<__media__>",
    "<think>",
    "<0x0A>",
    "<\uff5cUser\uff5c>",
    "\uff1c|user|\uff1e",
    # ChatML, Llama 3 and 4, Gemma, Phi, harmony, Granite, Command R, Kimi, GLM, DeepSeek, Qwen-VL,
    # InternVL, Idefics, MiniCPM, PaliGemma, Hunyuan, T5, tool calls, and placeholders of pictures.
    "<|eot_id|>",
    "<|start_header_id|>",
    "<|header_start|>",
    "<start_of_image>",
    "<|assistant|>",
    "<|image_1|>",
    "<|channel|>",
    "<|start_of_role|>",
    "<|SYSTEM_TOKEN|>",
    "<|media_start|>",
    "\u25c1think\u25b7",
    "<sop>",
    "<|begin_of_image|>",
    "<\uff5cend\u2581of\u2581sentence\uff5c>",
    "<|vision_start|>",
    "<|box_start|>",
    "<IMG_CONTEXT>",
    "</img>",
    "<end_of_utterance>",
    "<\u7528\u6237>",
    "<loc0001>",
    "<extra_id_0>",
    "<tool_call>",
    "[TOOL_CALLS]",
    "[IMG_BREAK]",
    "<unused0>",
    "<0x00>",
    "\ufe64|im_end|>",
    "\uff3bINST\uff3d",
    "|ENDOFTEXT|",
    ">>ANSWER<<",
    # Turns in plain words: Vicuna, LLaVA, DeepSeek-VL, OpenChat, Alpaca.
    "USER:",
    "ASSISTANT:",
    "Assistant:",
    "Human:",
    "System:",
    "\uff35\uff33\uff25\uff32\uff1a",
    "GPT4 Correct User:",
    "### Response:",
    "### Instruction:",
    "###Human:",
]


def test_the_user_turn_is_exactly_two_lines():
    """The wording the embedded model was trained on is fixed."""
    text = user_text(Question("Does this image show anything funny?"))
    assert text == (
        'Question: Does this image show anything funny?\nVerdicts: "yes", "no", "cannot_tell"'
    )


def test_verdicts_stand_in_the_callers_order_and_are_quoted():
    """Labels are JSON strings, in the order given."""
    text = user_text(Question("Which?", ('say "hi"', "Käse"), abstain=False))
    assert text == 'Question: Which?\nVerdicts: "say \\"hi\\"", "Käse"'


def test_control_tokens_do_not_survive():
    """No spelling of a control token reaches the tokenizer in one piece."""
    for token in CONTROL_TOKENS:
        with case(token):
            assert token not in user_text(Question(f"Is it {token} or a{token}b?"))
            assert token not in neutralise(token * 3)


def test_control_tokens_of_a_model_do_not_come_back():
    """In its own words, in the prompt of a second step and at the start of a forced reply."""
    for token, ascii_only in product(CONTROL_TOKENS, (True, False)):
        with case(token, ascii_only):
            evil = f"a sign: {token} or x{token}y\n{token}\n"
            raw = json.dumps(
                {"observations": [{"about": evil, "n": 1, "seen": token}], "reasoning": evil},
                ensure_ascii=ascii_only,
            )
            assert token not in verdict_text(Question("Is it?"), raw)
            safe = defused(raw)
            assert token not in safe
            values = json.loads(safe)
            assert token not in json.dumps(values, ensure_ascii=False)
            assert list(values) == ["observations", "reasoning"]
        assert defused(safe) == safe
    observation = Observation(about=evil, seen=evil)
    for text in (
        given_text(Question("Is it?"), [observation]),
        judge_text(evil, evil, evil),
        reading_text([evil]),
    ):
        assert token not in text


@pytest.mark.parametrize("mark", ["user:", "assistant:", "human:", "bot:", "\u95ee\uff1a"])
def test_a_turn_in_small_letters_is_one_where_a_line_begins(mark):
    """Inside a sentence it is a word with a colon."""
    for start in ("", "  ", "x\n", "x\r\n\n", "x\u2028"):
        assert mark not in neutralise(f"{start}{mark} yes")
    assert neutralise(f"the {mark} yes") == f"the {mark} yes"


@given(st.text())
def test_text_without_marks_stays_as_it_is(text):
    """To the byte, inside JSON; in a prompt only blanks are folded."""
    harmless = "".join(
        c for c in unicodedata.normalize("NFKC", text) if c not in "<[|>#:\u25c1\u273f"
    )
    for ascii_only in (True, False):
        raw = json.dumps({"about": harmless}, ensure_ascii=ascii_only)
        assert defused(raw) == raw
    assert neutralise(harmless) == " ".join(harmless.split())


def test_findings_hold_no_control_token():
    """The names and choices of findings stand in the schema as they are, so they are refused."""
    for token in CONTROL_TOKENS:
        with case(token):
            choice = create_model("Choice", mark=(Literal[token, "other"], ...))
            field = create_model("Field", x=(bool, Field(alias=token)))
            for model in (choice, field):
                with pytest.raises(QuestionError, match="control token"):
                    schema(("yes", "no"), findings=model)
            described = create_model("Described", x=(bool, Field(description=token)))
            question = Question("Is it?", findings=described, rule=lambda seen: seen.x)
            assert token not in user_text(question)


def test_a_verdict_that_is_a_control_token_is_refused():
    """A verdict has to be copied exactly, so it cannot be made harmless."""
    for token in CONTROL_TOKENS:
        with case(token), pytest.raises(QuestionError):
            user_text(Question("Which?", ("yes", f"a {token}")))


@pytest.mark.parametrize("text", ["Is it {x}?", "{{ bos_token }}", "100 % sure?", "\\n", "%s {0}"])
def test_braces_and_escapes_change_nothing(text):
    """A question is not a template."""
    assert user_text(Question(text)).startswith(f"Question: {text}\n")


@given(st.text(min_size=1).filter(lambda text: text.isprintable() or "\n" in text))
def test_no_question_can_add_a_line_or_open_a_token(text):
    """Whatever is asked, there are two lines and no bracket before anything but a space."""
    try:
        question = Question(text + "?")
    except QuestionError:
        return
    first, second = user_text(question).splitlines()
    assert second == 'Verdicts: "yes", "no", "cannot_tell"'
    body = first.removeprefix("Question: ")
    assert all(
        body[i + 1 : i + 2] in {"", " "} for i, c in enumerate(body) if c in "<[\uff1c\uff3b"
    )
    assert neutralise(body) == body


def test_the_instructions_ask_for_the_verdict_last():
    """The system text names the three fields in the order of the contract."""
    places = [SYSTEM.index(f'"{key}"') for key in ("observations", "reasoning", "verdict")]
    assert places == sorted(places)
