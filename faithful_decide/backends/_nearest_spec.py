"""The model spec that was meant by what is none: a bare name, or the word of another library.

A name says who hosts it (`gpt-5.1`, `claude-...`) or what runs it (`llava:13b`, `...-GGUF`). A kind
may be what LiteLLM, Pydantic AI or llama.cpp call the same thing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["nearest_spec"]

_ELSEWHERE = {
    "anthropic": "claude",
    "azure": "azure_openai azure_ai",
    "google": "gemini google_genai google_gla google_vertex models vertex vertex_ai vertexai",
    "gguf": "file local path",
    "llamacpp-server": "llama_cpp llamacpp llama_server llamafile",
    "openai": "chatgpt gpt open_ai openai_chat openai_compatible openai_responses",
    "openrouter": "open_router",
    "outlines": "hf_local huggingface transformers",
    "vllm": "hosted_vllm vllm_server",
}
"""Kinds, and what they are called elsewhere, with `_` for `-` and `.`."""
_PROVIDERS = "bedrock cerebras cohere deepseek fireworks groq mistral perplexity xai"
"""Hosts that only instructor knows."""
_KINDS = {provider: f"instructor/{provider}" for provider in _PROVIDERS.split()} | {
    name: kind for kind, names in _ELSEWHERE.items() for name in names.split()
}
_OPEN = (
    "aya|bakllava|deepseek-(vl|ocr)|gemma|gpt-oss|granite|internvl|kimi-vl|llama|llava|minicpm|molmo|"
    "moondream|paligemma|phi-?[34]|qwen|smolvlm"
)
"""How the names of models begin that anybody can run."""
_ADDRESS = r"https?:|localhost\b|\d+\.\d+\.\d+\.\d+"
"""How an address begins, which is no name of a model."""
_BY_NAME = {
    r"(us\.|eu\.|global\.)?(anthropic|amazon|meta|qwen)\.": "instructor/bedrock/",
    r"(gpt-?\d|chatgpt|o\d(-|$))": "openai/",
    r"claude": "anthropic/",
    r"gemini": "google/",
    r"(mistral|ministral|pixtral|magistral)-": "instructor/mistral/",
    r"grok": "instructor/xai/",
    r"x-ai/": "openrouter/",
    r"hf[:/]": "gguf/hf:",
    r"[\w.-]+/[\w.-]+-gguf(:|$)": "gguf/hf:",
    rf"({_OPEN})[\w.-]*:\w": "ollama/",
}
"""How a spec begins that is a name only, and what is missing before it."""


def nearest_spec(spec: str, kinds: Sequence[str]) -> str:
    """The spec that was meant, or several with what each is for; empty where nobody can tell."""
    kind, separator, rest = _cut(spec)
    if re.match(_ADDRESS, spec):
        return "openai/NAME, with the address as base_url="
    if spec.lower().endswith(".gguf"):
        return f"gguf:{spec}"
    if host := _KINDS.get(re.sub("[-.]", "_", kind.lower())):
        return f"{host}/{rest or 'NAME'}"
    for beginning, missing in _BY_NAME.items():
        if re.match(beginning, spec, re.IGNORECASE):
            return missing + re.sub("^hf[:/]", "", spec)
    from faithful_decide._nearest import nearest  # noqa: PLC0415 - after a mistake

    # A bare `llava` is the name of a model, although it looks like `ollama`.
    close = nearest(kind, kinds) if separator or not re.match(_OPEN, spec, re.IGNORECASE) else []
    if not close:
        return _by_what_runs_it(spec, separator)
    return close[0] if close[0] == "embedded" else f"{close[0]}/{rest or 'NAME'}"


def _cut(spec: str) -> tuple[str, str, str]:
    separator = re.search("[/:]", spec)
    return spec.partition(separator.group()) if separator else (spec, "", "")


def _by_what_runs_it(spec: str, separator: str) -> str:
    if separator == "/" and not spec.startswith("/"):
        return (
            f"outlines/{spec} for a model in this process, or vllm/{spec} for one behind a server"
        )
    if re.match(_OPEN, spec, re.IGNORECASE):
        return f"ollama/{spec}, vllm/OWNER/{spec} or gguf/hf:OWNER/{spec}-GGUF, by what runs it"
    return ""
