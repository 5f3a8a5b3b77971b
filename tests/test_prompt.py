"""What the user wrote stays data: it cannot add lines, turns or verdicts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faithful_decide import Question, QuestionError
from faithful_decide._core.prompt import SYSTEM, neutralise, user_text

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


@pytest.mark.parametrize("token", CONTROL_TOKENS)
def test_control_tokens_do_not_survive(token):
    """No spelling of a control token reaches the tokenizer in one piece."""
    assert token not in user_text(Question(f"Is it {token} or a{token}b?"))
    assert token not in neutralise(token * 3)


@pytest.mark.parametrize("token", CONTROL_TOKENS)
def test_a_verdict_that_is_a_control_token_is_refused(token):
    """A verdict has to be copied exactly, so it cannot be made harmless."""
    with pytest.raises(QuestionError):
        user_text(Question("Which?", ("yes", f"a{token}")))


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
