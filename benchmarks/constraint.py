"""What the constraint of an in-process model costs: to compile, and at each token."""

from __future__ import annotations

import statistics
import time
from random import Random
from typing import TYPE_CHECKING, Any

import llguidance
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from benchmarks._rows import Options, Row, run
from faithful_decide._core.contract import Content, render
from faithful_decide._core.schema import filled, schema
from faithful_decide._core.types import Observation
from faithful_decide.backends._grammar import regex_of_rest

if TYPE_CHECKING:
    from collections.abc import Iterator

VOCABULARY = 150_000
LABELS = (3, 100, 1000)
ROUNDS = 15
LETTERS = "etaoinshrdlucmfwypvbgkjqxz"
TEXT = "the image shows a small brown dog that wears a top hat and rides on something quite odd"
WORDS = TEXT.split()


def tokenizer(rng: Random) -> Any:  # noqa: ANN401 - comes without types
    """A byte-level vocabulary of the size that large models have, of made-up words.

    No model's own vocabulary is used, so that the benchmark runs without a download. What a mask
    costs depends on the number of tokens and how they branch, not on what they mean.
    """
    tokens = dict.fromkeys(
        [*pre_tokenizers.ByteLevel.alphabet(), *WORDS, *(f"Ġ{w}" for w in WORDS)]
    )
    marks = ["", "Ġ", "Ġ", '"', ",", '":', "}", "."]
    while len(tokens) < VOCABULARY:
        word = "".join(rng.choices(LETTERS, range(len(LETTERS), 0, -1), k=rng.randint(2, 9)))
        tokens[rng.choice(marks) + rng.choice((word, word, word, word.capitalize()))] = None
    made = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(["<|end|>"])
    return llguidance.LLTokenizer(made.to_str(), eos_token=VOCABULARY)


def labels(rng: Random, count: int) -> list[str]:
    """Verdicts of one to three words."""
    found: dict[str, None] = {}
    while len(found) < count:
        words = (
            "".join(rng.choices(LETTERS, k=rng.randint(3, 9))) for _ in range(rng.randint(1, 3))
        )
        found[" ".join(words)] = None
    return list(found)


def reply(rng: Random, verdict: str) -> str:
    """A reply of the usual length."""
    seen = [Observation(about="the dog", seen=" ".join(rng.choices(WORDS, k=6))) for _ in range(4)]
    return render(Content(tuple(seen), " ".join(rng.choices(WORDS, k=25)), verdict))


def measure(tokens: Any, verdicts: list[str], text: str) -> tuple[float, list[float]]:  # noqa: ANN401
    """Seconds of processor time until the first mask, and of every mask after it."""
    mask = allocate_token_bitmask(1, tokens.vocab_size)
    started = time.process_time()
    pattern = regex_of_rest(filled(schema(verdicts)))
    matcher = llguidance.LLMatcher(tokens, llguidance.grammar_from("regex", pattern))
    fill_next_token_bitmask(matcher, mask, 0)
    cold, times = time.process_time() - started, []
    for token in tokens.tokenize_str(text):
        matcher.consume_token(token)
        started = time.process_time()
        fill_next_token_bitmask(matcher, mask, 0)
        times.append(time.process_time() - started)
    if matcher.get_error() or not matcher.is_accepting():
        msg = f"the reply was not accepted: {matcher.get_error()}"
        raise RuntimeError(msg)
    return cold, times


def constraint(options: Options) -> Iterator[Row]:
    """Compile for each number of labels, and walk replies."""
    rng = Random(options.seed)
    tokens = tokenizer(rng)
    for count in LABELS:
        colds, means = [], []
        for _ in range(3 if options.quick else ROUNDS):
            # New labels every time: what was compiled before must not help.
            verdicts = labels(rng, count)
            cold, times = measure(tokens, verdicts, reply(rng, rng.choice(verdicts)))
            colds.append(cold)
            means.append(statistics.fmean(times))
        ready, mask = 1e3 * statistics.median(colds), 1e6 * statistics.median(means)
        yield Row(f"ready, {count} labels (ms of CPU)", ready, "<=", 5, len(colds))
        yield Row(f"mask, mean, {count} labels (us of CPU)", mask, "<=", 200, len(colds))


if __name__ == "__main__":
    run(constraint)
