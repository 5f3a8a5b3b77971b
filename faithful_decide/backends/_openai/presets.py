"""What is known of each kind of server.

Most of them speak OpenAI's protocol. They agree on the shape of a request and on little else: who
enforces a schema and keeps the order of its keys, how a reply can be made to go on from a forced
start, what the log-probabilities mean. This table is all that the backend knows of them. What a row
says was read in documentation and source; `benchmarks.servers` runs some of them. `probe` finds out
what one server does, and what a server refuses to be sent is found out while it is asked
(`adapting`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from faithful_decide.backends._openai.anthropic import anthropic_effort
from faithful_decide.backends._openai.extra import merged
from faithful_decide.backends._openai.google import google_effort
from faithful_decide.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from faithful_decide._core.types import Enforcement
    from faithful_decide.backends import _effort
    from faithful_decide.backends.base import Request

__all__ = ["PRESETS", "Preset", "effort_in", "preset_of"]

Prefix = Literal["none", "regex", "structured_outputs", "gbnf"]
"""How a reply goes on from a forced start: not at all, or under a grammar for the rest, given as
SGLang's `regex`, as vLLM's `structured_outputs`, or as llama.cpp's `grammar`."""
Protocol = Literal["chat", "responses", "ollama", "anthropic", "google"]
Shape = Literal["schema", "regex", "json_object", "none"]
"""How a server is told the form of a reply where no start is forced: by the schema; by the regular
expression of the only layout there is, where its grammar would let white space run on; or, where it
knows no schema, as any object of JSON, or not at all."""
Effort = Literal["reasoning_effort", "reasoning", "template", "think", "anthropic", "google"]
"""How a server is told how much to think: in OpenAI's parameter, in OpenRouter's object, by the
switches of a chat template, in Ollama's parameter, or as Anthropic and Google have it."""


@dataclass(frozen=True, slots=True)
class Preset:
    """One kind of server."""

    base_url: str | None
    """Where it listens by default; None where the caller has to say."""
    key_variable: str
    """The environment variable of its key."""
    needs_key: bool = False
    """Whether it cannot be used without one."""
    wires: tuple[Protocol, ...] = ("chat",)
    """The protocols for which the rest of the row holds; the first of them is spoken."""
    enforcement: Enforcement = "strict"
    """What makes the model keep to the schema."""
    order: bool = True
    """Whether that keeps the order of the keys."""
    documented: bool = False
    """Whether the provider's documentation says so of its own service."""
    shape: Shape = "schema"
    """How the form of a reply is asked for."""
    prefix: Prefix = "none"
    """How a forced start is continued."""
    echoes_prefix: Literal["never", "maybe", "always"] = "never"
    """Whether the reply repeats the forced start. Who always does and did not has not continued it,
    as far as anybody can tell."""
    logprobs: Literal["none", "pre_mask", "post_mask", "unknown"] = "unknown"
    """From before or after the grammar removed illegal tokens."""
    schema_in_prompt: bool = False
    """Whether the model is shown the schema."""
    lenient: bool = True
    """Whether keywords that it does not know may stand in the schema."""
    length_limit: str = "max_tokens"
    """The name of the parameter that limits the reply."""
    temperature: bool = True
    """Whether it is told one; models that reason refuse any, 0 included."""
    seed: bool = True
    """Whether it is told one."""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """What it is told so that nothing but the temperature bends what the model would say. Servers
    and the files of models have penalties for repetition, which a form that repeats itself earns at
    every step, and cut off what is rare, so that samples are all alike."""
    plain: bool = True
    """Whether it is told that."""
    room: int = 0
    """Tokens that a reply may have beyond its limit, because the model thinks first."""
    effort: Effort = "reasoning_effort"
    """How it is told how much to think."""
    max_image_bytes: int = 15_000_000
    """The largest file of an image that it takes."""
    same_model: bool = True
    """Whether the reply names the model that was asked for."""
    batches: bool = False
    """Whether there is a batch API, which takes chat completions."""
    extra: Mapping[str, Any] | None = None
    """What else is sent with every request."""

    def limit_of(self, request: Request) -> int:
        """The limit that is sent: that of the reply, and room for thinking before it."""
        return request.max_tokens + (0 if request.prefix else self.room)

    @property
    def told_sampling(self) -> Mapping[str, Any]:
        """What is sent of that: nothing where it was refused."""
        return self.sampling if self.plain else {}

    @property
    def takes_regex(self) -> bool:
        """Whether a regular expression can stand in the place of the schema."""
        return self.prefix in {"regex", "structured_outputs"}

    @property
    def wire(self) -> Protocol:
        """The protocol that is spoken."""
        return self.wires[0]


_OPENAI = Preset(
    None,
    "OPENAI_API_KEY",
    needs_key=True,
    wires=("responses", "chat"),
    schema_in_prompt=True,
    documented=True,
    lenient=False,
    length_limit="max_completion_tokens",
    batches=True,
)
_HOSTED = Preset(
    None,
    "",
    needs_key=True,
    schema_in_prompt=True,
    documented=True,
    logprobs="none",
    temperature=False,
    max_image_bytes=3_500_000,
)
_VLLM = {"top_k": -1, "top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0}
_LLAMACPP = {"top_k": 0, "top_p": 1.0, "min_p": 0.0, "repeat_penalty": 1.0}
PRESETS: Mapping[str, Preset] = {
    "openai": _OPENAI,
    "azure": replace(
        _OPENAI,
        key_variable="AZURE_OPENAI_API_KEY",
        same_model=False,  # a deployment has a name of its own
    ),
    "vllm": Preset(
        "http://127.0.0.1:8000/v1",
        "VLLM_API_KEY",
        prefix="structured_outputs",
        logprobs="post_mask",
        effort="template",
        sampling=_VLLM,
    ),
    "sglang": Preset(
        "http://127.0.0.1:30000/v1",
        "SGLANG_API_KEY",
        prefix="regex",
        logprobs="post_mask",
        effort="template",
        sampling=_VLLM,
    ),
    "llamacpp-server": Preset(
        "http://127.0.0.1:8080/v1",
        "LLAMA_API_KEY",
        enforcement="grammar",
        prefix="gbnf",
        echoes_prefix="always",
        logprobs="pre_mask",
        effort="template",
        sampling=_LLAMACPP,
        same_model=False,  # it names its file
    ),
    "ollama": Preset(
        "http://127.0.0.1:11434",
        "OLLAMA_API_KEY",
        wires=("ollama",),
        enforcement="best_effort",  # a model that thinks may be let off the schema
        order=False,
        effort="think",
        sampling=_LLAMACPP,
        same_model=False,  # it adds a tag
    ),
    "lmstudio": Preset(
        "http://127.0.0.1:1234/v1",
        "LM_API_TOKEN",
        logprobs="none",
        sampling=_LLAMACPP,
        same_model=False,
    ),
    "litellm": Preset(
        "http://127.0.0.1:4000/v1",
        "LITELLM_PROXY_API_KEY",
        enforcement="best_effort",  # as good as what stands behind it
        order=False,
        same_model=False,  # it names what stands behind it
    ),
    "openrouter": Preset(
        "https://openrouter.ai/api/v1",
        "OPENROUTER_API_KEY",
        needs_key=True,
        logprobs="none",  # asking for them would leave few providers
        schema_in_prompt=True,
        effort="reasoning",
        # Without this, a provider that does not know json_schema is sent the request without it.
        extra={"provider": {"require_parameters": True}},
    ),
    "anthropic": replace(
        _HOSTED,
        base_url="https://api.anthropic.com",
        key_variable="ANTHROPIC_API_KEY",
        wires=("anthropic",),
        lenient=False,
        seed=False,
        effort="anthropic",
    ),
    "google": replace(
        _HOSTED,
        base_url="https://generativelanguage.googleapis.com",
        key_variable="GEMINI_API_KEY",
        wires=("google",),
        length_limit="maxOutputTokens",
        effort="google",
    ),
}


_OWN_PROTOCOLS = frozenset({"ollama", "anthropic", "google"})


def preset_of(
    kind: str,
    *,
    foreign: bool,
    api: Literal["chat", "responses"] | None,
    **changes: Any,  # noqa: ANN401 - fields of a preset
) -> Preset:
    """A row of the table, with what a caller knows better.

    Of a `foreign` server, named `openai` for its protocol only, nothing is known; nor is it of one
    that is asked over a protocol for which its row was not written.
    """
    preset = replace(PRESETS[kind], **changes)
    if foreign:
        preset = replace(
            preset,
            wires=("chat",),
            enforcement="best_effort",
            order=False,
            documented=False,
            lenient=True,
            length_limit="max_tokens",
        )
    if api is None:
        return preset
    if api not in {"chat", "responses"} or preset.wire in _OWN_PROTOCOLS:
        msg = f"a server of the kind {kind!r} cannot be asked with api={api!r}"
        choice = "" if preset.wire in _OWN_PROTOCOLS else 'pass api="chat" or api="responses", or '
        raise UsageError(msg, hint=f"{choice}leave api out")
    if api in preset.wires:
        return replace(preset, wires=(api,))
    return replace(
        preset,
        wires=(api,),
        enforcement="best_effort",
        order=False,
        documented=False,
        prefix="none",
        sampling={},
        logprobs="none" if preset.logprobs == "none" else "unknown",
    )


_LEVELS = frozenset({"none", "low", "medium", "high"})


def effort_in(
    preset: Preset, extra: Mapping[str, Any], effort: _effort.Effort | None, model: str
) -> dict[str, Any]:
    """What a caller adds to every request, and in it how much to think, as this server wants it."""
    if effort is None:
        return dict(extra)
    if given := _told_in(extra):
        msg = f"effort is given, and {given!r} in extra, which says the same thing"
        raise UsageError(msg, hint="leave out one of the two")
    told: dict[str, Any] = {"reasoning_effort": effort}
    match preset.effort:
        case "reasoning":
            told = {"reasoning": {"effort": effort}}
        case "anthropic":
            told = anthropic_effort(effort, model)
        case "google":
            told = google_effort(effort, model)
        case "think":
            level = effort if effort in _LEVELS else "low" if effort == "minimal" else "high"
            told = {"think": False if effort == "none" else level}
        case "template":
            # Templates have a switch of one name or the other, and leave alone what they lack.
            on = effort != "none"
            switches = {"enable_thinking": on, "thinking": on, "reasoning_effort": effort}
            told = {"chat_template_kwargs": switches}
            if effort in _LEVELS:
                told["reasoning_effort"] = effort
    return merged(told, extra)


def _told_in(extra: Mapping[str, Any]) -> str:
    """Where a caller says how much to think in words of the server; nothing if they do not."""
    for place in _THINKING:
        value: object = extra
        for key in place:
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            return ".".join(place)
    return ""


_THINKING = (
    *(("reasoning_effort",), ("reasoning",), ("think",), ("thinking",)),
    *(("output_config", "effort"), ("generationConfig", "thinkingConfig")),
)
