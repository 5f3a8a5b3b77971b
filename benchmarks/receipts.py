"""Stored decisions that were tampered with, in more ways than sixty: none may verify."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks._rows import Options, Row, run
from faithful_decide import ReplyError, verify_stored
from tests.support.tampered import IMAGES, KEY, QUESTIONS, STORED, TAMPERED, Tampering

if TYPE_CHECKING:
    from collections.abc import Iterator


def noticed(tampering: Tampering) -> bool:
    """Whether verification refuses what was tampered with, by an error of a reply and no other."""
    try:
        verify_stored(tampering.data(), **tampering.arguments())
    except ReplyError:
        return True
    return False


def refused(name: str) -> bool:
    """Whether an honest decision is refused, with all that can be known of it."""
    try:
        verify_stored(
            STORED[name],
            image=IMAGES[name],
            question=QUESTIONS[name],
            hmac_key=KEY if name == "signed" else None,
        )
    except ReplyError:
        return True
    return False


def receipts(options: Options) -> Iterator[Row]:
    """Tamper with stored decisions, and verify honest ones."""
    del options
    passed = sum(not noticed(tampering) for tampering in TAMPERED)
    yield Row("tampered decisions that verify", passed, "<=", 0, len(TAMPERED))
    yield Row("honest decisions that do not", sum(map(refused, STORED)), "<=", 0, len(STORED))


if __name__ == "__main__":
    run(receipts)
