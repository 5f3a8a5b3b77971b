"""The option that somebody meant who named one that does not exist.

Whoever writes `temprature` has mistyped; whoever writes `labels` comes from another library, where
verdicts are called so. The first is found by its letters, the second is in the list below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["nearest", "unknown"]

_CALLED = {
    "verdicts": "labels classes choices answers categories candidate_labels options",
    "abstain": "allow_abstain cannot_tell abstention",
    "samples": "n votes num_samples n_samples",
    "seed": "random_state",
    "max_tokens": "max_new_tokens max_output_tokens max_completion_tokens num_predict",
    "retries": "max_retries retry attempts",
    "timeout": "timeout_s deadline",
    "allow_urls": "urls",
    "journal": "cache log",
    "concurrency": "at_once n_jobs max_concurrency max_concurrent",
    "items": "sources samples images inputs",
    "question": "prompt text",
    "questions": "question prompt prompts",
    "model": "backend engine llm",
    "base_url": "api_base url endpoint host server",
    "api_key": "key token",
    "n_threads": "threads num_threads",
    "n_ctx": "num_ctx context context_length",
    "extra": "extra_body kwargs",
}
"""What an option is called elsewhere."""


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """The options that may have been meant, the likeliest first."""
    from difflib import get_close_matches  # noqa: PLC0415 - after a mistake only

    meant: dict[str, str] = {}
    for option in known:
        meant |= {other: option for other in _CALLED.get(option, "").split() if other not in meant}
        meant[option] = option
    close = get_close_matches(name.lower().replace("-", "_").strip("_"), meant, n=3)
    return list(dict.fromkeys(meant[match] for match in close))


def unknown(name: str, known: Iterable[str]) -> str:
    """The hint for an option that does not exist."""
    known = list(known)
    meant = " or ".join(f"{option}=" for option in nearest(name, known))
    return f"did you mean {meant}" if meant else f"there are: {', '.join(known) or 'none'}"
