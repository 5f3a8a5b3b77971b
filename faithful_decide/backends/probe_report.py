"""What a probe found, kept for the receipts of later decisions.

A report is a small JSON file in the user's cache folder (`$FAITHFUL_DECIDE_CACHE`, else
`$XDG_CACHE_HOME/faithful-decide`, else `~/.cache/faithful-decide`), under the hash of the backend's
name and address. It holds no key, no question and no picture. Deleting it forgets the probe.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from faithful_decide._core.escaped import visible
from faithful_decide._core.files import written_whole
from faithful_decide._core.types import Frozen
from faithful_decide._nearest import hinting
from faithful_decide._public import public

if TYPE_CHECKING:
    from faithful_decide.backends.base import Capabilities

__all__ = ["Check", "ProbeReport", "corrected", "holds", "recall", "remember"]


class Check(Frozen):
    """One thing that was looked at: whether it holds, and what was seen."""

    holds: Literal["yes", "no", "unknown"]
    seen: str


@public
@hinting
class ProbeReport(Frozen):
    """What a probe found.

    `checks` are `order`, `grammar`, `logprobs`, `thinking`, `image` and `prefix`, and `whitespace`
    where the schema was seen to let white space run on; `requests` is how many requests it took.
    """

    backend: str
    model: str = ""
    fingerprint: str | None = None
    requests: int
    checks: dict[str, Check]

    def __str__(self) -> str:
        """One line for each check."""
        rows = self.checks.items()
        return "\n".join(
            visible(f"{name:<10}  {check.holds:<7}  {check.seen}", keep="") for name, check in rows
        )


def remember(report: ProbeReport, *, who: str) -> None:
    """Keep a report.

    Args:
        report: The report.
        who: The name and address of the backend.
    """
    path = _path(who)
    # The report is in the caller's hands already; a full disk must not take it away.
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with written_whole(path) as file:
            file.write(report.model_dump_json(indent=2).encode())
        # What is asked where is nobody else's business.
        path.chmod(0o600)


def recall(who: str) -> ProbeReport | None:
    """Find the report that was kept.

    Args:
        who: The name and address of the backend.

    Returns:
        The report, or None if there is none that can be read.
    """
    try:
        return ProbeReport.model_validate_json(_path(who).read_text(encoding="utf-8"))
    except (OSError, ValueError, ValidationError):
        return None


def corrected(promised: Capabilities, report: ProbeReport) -> Capabilities:
    """Take back the promises that did not hold, and prove those that did.

    Where the grammar left only words that nobody would say, against the wish of the prompt, and
    the keys came in the order of the schema, the enforcement of this address was seen to work.

    Args:
        promised: What is known of servers of this kind.
        report: What was found of this one.

    Returns:
        The capabilities; a check that was not made changes nothing.
    """
    known = promised
    if holds(report, "grammar") == "no":
        known = replace(known, enforcement="prompt", order=False)
    if holds(report, "order") == "no":
        # Sorted keys do no harm: those of the contract are in alphabetical order.
        harmless = "(sorted)" in report.checks["order"].seen
        known = replace(known, order=False, two_steps=not harmless)
    if (
        holds(report, "grammar") == holds(report, "order") == "yes"
        and known.enforcement != "prompt"
    ):
        strength = "grammar" if known.enforcement == "grammar" else "strict"
        known = replace(known, enforcement=strength, order=True, proven=True)  # type: ignore[arg-type] # one of the two
    if known.logprobs != "none" and "logprobs" in report.checks:
        seen = report.checks["logprobs"].seen
        if seen == "absent":
            known = replace(known, logprobs="none")
        elif seen in {"pre_mask", "post_mask"}:
            known = replace(known, logprobs=seen)  # type: ignore[arg-type] # one of the two
    if holds(report, "prefix") == "no":
        known = replace(known, prefix=False)
    if (thinking := holds(report, "thinking")) in {"yes", "no"}:
        known = replace(known, thinking="hidden" if thinking == "yes" else "none")
    return known


def holds(report: ProbeReport | None, name: str) -> Literal["yes", "no", "unknown"]:
    """What a report says of one check, if there is one."""
    check = report.checks.get(name) if report else None
    return check.holds if check else "unknown"


def _path(who: str) -> Path:
    digest = hashlib.sha256(who.encode()).hexdigest()[:32]
    return _cache() / "probes" / f"{digest}.json"


def _cache() -> Path:
    if own := os.environ.get("FAITHFUL_DECIDE_CACHE"):
        return Path(own)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "faithful-decide"
    try:
        return Path.home() / ".cache" / "faithful-decide"
    except RuntimeError:
        # Nobody's home. What cannot be written is not kept, and what cannot be read was not.
        return Path(os.devnull)
