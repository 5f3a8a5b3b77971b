"""Raw replies against the contract: each verifies and round-trips, or raises the right error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks._rows import Options, Row, run
from faithful_decide import ReplyError
from faithful_decide._core.contract import render, verify
from faithful_decide.backends import Reply
from tests.support.replies import HAND_WRITTEN, LABELS, Case, generate

if TYPE_CHECKING:
    from collections.abc import Iterator


def outcome(case: Case) -> str:
    """Verify a case, and read it back if it passes.

    Args:
        case: The raw reply.

    Returns:
        "ok", the name of the error, or what did not come back the same.
    """
    try:
        verified = verify(Reply(case.raw, case.finish), LABELS)
    except ReplyError as error:
        return type(error).__name__
    raw = case.raw.encode()
    reasoning = raw[verified.reasoning_span.start : verified.reasoning_span.end]
    verdict = raw[verified.verdict_span.start : verified.verdict_span.end]
    said = (json.loads(reasoning), json.loads(verdict))
    if said != (verified.content.reasoning, verified.content.verdict):
        return "spans do not hold what was read"
    again = verify(Reply(render(verified.content), "stop"), LABELS)
    return "ok" if again.content == verified.content else "does not round-trip"


def verdict_first(raw: str) -> bool:
    """Whether anything follows the verdict, found out without any code of the library.

    Args:
        raw: A raw reply.

    Returns:
        True if a verdict stands anywhere but at the end of an object.
    """
    keys: list[str] = []

    def note(pairs: list[tuple[str, object]]) -> None:
        keys[:] = [key for key, _ in pairs]  # the outermost object is finished last

    json.loads(raw, object_pairs_hook=note)
    return "verdict" in keys[:-1]


def contract(options: Options) -> Iterator[Row]:
    """Judge hand-written and generated replies."""
    count = 20_000
    for name, cases in (
        ("hand-written", HAND_WRITTEN),
        ("generated", tuple(generate(options.seed, count // 10 if options.quick else count))),
    ):
        outcomes = [outcome(case) for case in cases]
        wrong = sum(got != case.expected for got, case in zip(outcomes, cases, strict=True))
        first = sum(
            got == "ok" and verdict_first(case.raw)
            for got, case in zip(outcomes, cases, strict=True)
        )
        yield Row(f"{name} replies with the wrong outcome", wrong, "<=", 0, len(cases))
        yield Row(f"{name} replies accepted with the verdict first", first, "<=", 0, len(cases))


if __name__ == "__main__":
    run(contract)
