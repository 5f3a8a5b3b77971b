"""What a caller may add to every request, and what not.

`extra` is merged into the body, object by object. What carries the contract is not for it: the
question, the picture, the model, the schema or grammar, how many replies there are and in what form
they come. Otherwise a receipt would speak of a request that was never sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from faithful_decide.errors import UsageError

__all__ = ["checked", "merged"]

_INSTEAD = {
    "model": "name the model in the model spec",
    **dict.fromkeys(
        (
            "max_tokens",
            "max_completion_tokens",
            "max_output_tokens",
            "num_predict",
            "maxOutputTokens",
        ),
        "pass max_tokens=",
    ),
    "temperature": "pass temperature=False to send none",
    "seed": "pass seed=",
    **dict.fromkeys(("logprobs", "top_logprobs"), "pass logprobs=False to ask for none"),
    **dict.fromkeys(
        ("extra_body", "extra_headers", "extra_query"), "write what is in it into extra itself"
    ),
}
"""What has an option of its own, or is written in another way."""
_CONTRACT = {
    "the question and the picture": """
        messages input instructions prompt system images suffix template chat_template raw context
        echo conversation previous_response_id transforms truncation truncate_prompt_tokens
        truncate shift
        contents systemInstruction system_instruction cachedContent cached_content""",
    "who replies, and whether at all": """
        models route fallbacks mock_response mock_testing_fallbacks drop_params
        additional_drop_params allowed_openai_params""",
    "how a reply comes": """
        stream stream_options n best_of background modalities audio include plugins""",
    "the form of a reply": """
        response_format format json_schema json_object grammar regex ebnf structural_tag
        structured_outputs guided_json guided_regex guided_choice guided_grammar guided_json_object
        guided_decoding_backend guided_whitespace_pattern continue_final_message
        add_generation_prompt tools tool_choice parallel_tool_calls functions function_call
        output_format toolConfig tool_config mcp_servers continuationToken""",
}
_CARRIES = {name: what for what, names in _CONTRACT.items() for name in names.split()}
_INSIDE = {
    "text": ("format",),
    "provider": ("require_parameters",),
    "options": ("num_predict", "temperature", "seed"),
    "output_config": ("format",),
    "generationConfig": (
        *("maxOutputTokens", "temperature", "seed", "candidateCount", "responseModalities"),
        *("responseMimeType", "responseSchema", "responseJsonSchema", "responseLogprobs"),
    ),
}
"""Objects that others may add to, and what in them is not theirs."""


def checked(extra: object) -> dict[str, Any]:
    """A copy of what a caller adds, or a UsageError that says what is wrong with it."""
    if not isinstance(extra, Mapping) or not all(isinstance(key, str) for key in extra):
        msg = f"extra is a mapping of names to values, not {type(extra).__name__}"
        raise UsageError(msg, hint='write extra={"reasoning_effort": "low"}')
    try:
        text = json.dumps(dict(extra), allow_nan=False, ensure_ascii=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"extra cannot be written as JSON: {error}"
        problem = UsageError(msg, hint="use strings, numbers, true and false, lists and mappings")
    else:
        copy: dict[str, Any] = json.loads(text)
        for key, value in copy.items():
            _check(key, value)
        return copy
    raise problem


def _check(key: str, value: object) -> None:
    if key in _INSTEAD:
        msg = f"{key!r} cannot be in extra"
        raise UsageError(msg, hint=_INSTEAD[key])
    if key in _CARRIES:
        msg = f"{key!r} cannot be in extra: it carries {_CARRIES[key]}, which a receipt vouches for"
        raise UsageError(msg, hint=f"leave out {key!r}")
    if key not in _INSIDE:
        return
    if not isinstance(value, dict):
        msg = f"extra[{key!r}] has to be a mapping: more is sent under that name"
        raise UsageError(msg, hint=f'write extra={{"{key}": {{...}}}}')
    if inner := next((name for name in _INSIDE[key] if name in value), ""):
        msg = f"'{key}.{inner}' cannot be in extra: it is a part of the contract"
        raise UsageError(msg, hint=_INSTEAD.get(inner, f"leave out {inner!r}"))


def merged(body: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Both, and where both have an object under a name, both of these."""
    whole = dict(body)
    for key, value in more.items():
        mine = whole.get(key)
        both = isinstance(mine, Mapping) and isinstance(value, Mapping)
        whole[key] = merged(mine, value) if both else value  # type: ignore[arg-type]
    return whole
