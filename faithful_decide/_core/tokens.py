"""Control tokens and turn marks: what may not be left standing in the words of others.

A tokenizer reads `<|im_end|>` or `[INST]` in a question as the control token of the same spelling,
and models whose turns are marked in plain words read `USER:` as the beginning of one. The words of
a question, and those that a model copied from a picture, are data; so a space is put where such a
mark would hold together. Text without marks stays as it is, to the byte.

Marks are looked for in the text as tokenizers that normalise it would see it, full-width letters
and all. `neutralise` also folds line breaks, for words that stand in a line of a prompt; `defused`
does its work inside the strings of a JSON text, for what is put into the mouth of a model.
"""

from __future__ import annotations

import json
import re
import unicodedata

from faithful_decide.errors import QuestionError

__all__ = ["check_words", "defused", "neutralise"]

_LINE = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_MARKS = (
    # Nearly all families: <|im_start|>, <start_of_turn>, <think>, [INST], [gMASK]; and Kimi's.
    re.compile(r"([<\[\u25c1])(?=\S)"),
    # Vicuna, LLaVA, DeepSeek-VL, OpenChat: turns in plain words.
    re.compile(r"(USER|User|ASSISTANT|Assistant|SYSTEM|System|HUMAN|Human)(?=:)"),
    re.compile(
        rf"(?i)(?:\A|[{_LINE}])\s*(user|assistant|system|human|model|bot|ai|\u95ee|\u7b54)(?=:)"
    ),
    # Alpaca and MiniGPT-4: ### Response:
    re.compile(r"(##+\s?\w+(?: \w+)?)(?=:)"),
    # Fuyu's |ENDOFTEXT|, Falcon's >>ANSWER<<, Qwen's ✿FUNCTION✿.
    re.compile(r"([|\u273f])(?=[A-Z_]{2,}[|\u273f])"),
    re.compile(r"(>)(?=>[A-Z_]{2,}<)"),
)
_CLOSED = re.compile(r"[<\u25c1]\S*[>\u25b7]|\[\S*\]")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def neutralise(text: str) -> str:
    """Make a text safe to stand inside a chat template, in one line."""
    return " ".join(_unmarked(text).split())


def defused(json_text: str) -> str:
    """Make the strings of a JSON text safe, and leave everything else of it as it is."""
    return _STRING.sub(_defused_string, json_text)


def _defused_string(match: re.Match[str]) -> str:
    try:
        text = json.loads(match[0], strict=False)
    except ValueError:
        return match[0]
    safe = _unmarked(text)
    return match[0] if safe == text else json.dumps(safe, ensure_ascii=False)


def check_words(text: str, what: str) -> None:
    """Refuse words that a model has to copy to the letter, so that they cannot be made harmless."""
    folded = _folded(text)
    if _CLOSED.search(folded) or any(mark.search(folded) for mark in _MARKS[1:]):
        msg = f"{what} {text!r} looks like a control token of a chat template"
        raise QuestionError(msg, hint="write it without <...>, [...] and turn marks such as USER:")


def _unmarked(text: str) -> str:
    folded = _folded(text)
    places = sorted({match.end(1) for mark in _MARKS for match in mark.finditer(folded)})
    starts = [0, *places]
    return " ".join(text[start:end] for start, end in zip(starts, [*places, None], strict=True))


def _folded(text: str) -> str:
    """The text as a normalising tokenizer sees it, each character in its place."""
    return text if text.isascii() else "".join(map(_folded_character, text))


def _folded_character(character: str) -> str:
    folded = unicodedata.normalize("NFKC", character)
    return folded if len(folded) == 1 else character
