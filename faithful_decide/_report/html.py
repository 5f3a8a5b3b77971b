"""From a report to one HTML file.

Jinja escapes every text that a template prints, and `visible` is applied to each before that; a
template cannot forget either. The two exceptions, marked `safe`, are ours: the style sheet, whose
hash is the only style that the page's security policy lets through, and the drawing of the
calibration.
"""

from __future__ import annotations

import base64
import hashlib
import html
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from faithful_decide._core.display import plain
from faithful_decide._core.files import written_whole
from faithful_decide._report import picture, text, view, words
from faithful_decide.calibration import drawn, wilson
from faithful_decide.errors import UsageError

if TYPE_CHECKING:
    import os

    from jinja2 import Environment

    from faithful_decide._audit.types import AuditReport, CheckReport, Finding, ItemAudit, Trial
    from faithful_decide._core.display import Displayable
    from faithful_decide._report.types import BatchSummary

__all__ = ["framed", "render", "write_whole"]

_MANY = 500
"""Items whose thumbnails may take what a page of this many may take."""
_EVIDENCE = 2_500_000
"""Characters of forced explanations and comparisons on the page of a data set."""


def render(report: Displayable | BatchSummary) -> str:
    """Make the page of a decision, an audit, an audit of a data set, or a batch."""
    kind = getattr(report, "kind", "decision")
    return _environment().get_template(f"{kind}.html.j2").render(report=report)


def framed(report: Displayable) -> str:
    """The page as a frame of another one, such as a notebook: neither style nor script gets out."""
    page = html.escape(render(report))
    style = "width: 100%; height: 40rem; border: 0; resize: vertical"
    return f'<iframe sandbox title="faithful-decide" style="{style}" srcdoc="{page}"></iframe>'


def write_whole(path: str | os.PathLike[str], text: str) -> None:
    """Write a text such that the file is there whole, or the one that was there before."""
    try:
        with written_whole(path) as file:
            file.write(text.encode())
    except OSError as error:
        msg = f"the report cannot be written to {Path(path)}: {error.strerror}"
        raise UsageError(msg, hint="name a file in a folder that can be written to") from error


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - on use

    def finalize(value: object) -> object:
        # What has `__html__` is markup that a template made, its texts escaped already.
        is_text = isinstance(value, str) and not hasattr(value, "__html__")
        return text.visible(str(value)) if is_text else value

    environment = Environment(
        loader=PackageLoader("faithful_decide", "_report/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (resources.files("faithful_decide") / "_report/templates/style.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment.globals |= {
        "drawn": drawn,
        "evidence": _evidence,
        "experiment": words.experiment,
        "headlines": words.headlines,
        "is_label": words.is_label,
        "preflight_of": words.preflight,
        "pieces": view.pieces,
        "places": view.places,
        "sheets": view.sheets,
        "strip": view.strip,
        "state_of": words.state,
        "style": style,
        "questions": words.questions,
        "relation_of": words.relation,
        "style_hash": f"sha256-{digest}",
        "title_of": words.title,
        "wilson": wilson,
        "tone_of": words.tone,
    }
    environment.filters |= {
        "clip": text.clip,
        "one_line": text.one_line,
        "plain": plain,
        "percent": _percent,
        "number": lambda value: "n/a" if value is None else f"{value:.2f}",
        "count": lambda value: "unknown" if value is None else f"{value:,}".replace(",", "\u202f"),
        "duration": _duration,
        "picture": lambda uri: picture.embeddable(uri, side=1024, most=2_000_000),
        "thumb": _thumb,
        "worst_first": _worst_first,
        "by_state": _by_state,
        "trials": _trials,
        "was_run": _was_run,
    }
    return environment


def _percent(share: float | None) -> str:
    """A share for people; what is not quite all or nothing does not look so."""
    if share is None:
        return "n/a"
    if 0 < share < 0.01:  # noqa: PLR2004 - a hundredth
        return "<\u202f1\u202f%"
    if 0.99 < share < 1:  # noqa: PLR2004 - the same from above
        return ">\u202f99\u202f%"
    return f"{share:.0%}".replace("%", "\u202f%")


def _duration(seconds: float) -> str:
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _thumb(uri: str, items: int) -> str:
    """A picture among many: the more there are, the smaller each."""
    most = 4_100 * _MANY // max(items, _MANY)
    return picture.embeddable(uri, side=112, most=most)


def _evidence(items: int) -> int:
    """Characters that the evidence of one item may take: the more there are, the fewer."""
    return min(_EVIDENCE // max(items, 1), 40_000)


def _worst_first(items: tuple[ItemAudit, ...]) -> list[ItemAudit]:
    """Flagged ones, then those with hits, then failed ones; the others as they came."""

    def order(item: ItemAudit) -> tuple[bool, float, bool]:
        flagged = any(not words.is_label(flag) for flag in item.flags)
        return not flagged, -sum(tally.hits for tally in item.treatments.values()), not item.error

    return sorted(items, key=order)


def _by_state(findings: tuple[Finding, ...]) -> list[Finding]:
    """Flags raised first, then those that could not have been."""
    order = ("raised", "out_of_reach", "not_raised", "not_asked")
    return sorted(findings, key=lambda found: order.index(found.state))


def _trials(report: AuditReport) -> list[tuple[CheckReport, Trial]]:
    """Everything that was compared, with the check that it is of; hits first."""
    trials = [(check, trial) for check in report.checks.values() for trial in check.trials]
    return sorted(trials, key=lambda pair: not pair[1].hit)


def _was_run(checks: dict[str, CheckReport]) -> tuple[list[CheckReport], list[CheckReport]]:
    """The checks that were run, and those that were not."""
    run = [check for check in checks.values() if not check.not_run]
    return run, [check for check in checks.values() if check.not_run]
