"""For test suites: a model that is loaded once, and an assertion that an audit found nothing.

    from faithful_decide.pytest_plugin import assert_audit_clean

    def test_the_model_does_not_argue_backwards(faithful_decider):
        assert_audit_clean(faithful_decider.audit("squirrel.png", "Is it funny?"))

pytest loads this module in every run of every project that has the package installed, so it loads
next to nothing itself: no other package, and no model before a test asks for one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from faithful_decide._nearest import hinting

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from faithful_decide._api.decide import Decider
    from faithful_decide._audit.types import AuditReport, DatasetAudit
    from faithful_decide._images.load import ImageSource

__all__ = ["assert_audit_clean", "faithful_decider"]

_INI = "faithful_decide_model"
_chosen: dict[str, str | None] = {"model": None}
"""What the options of this run say; the assertion is a plain function and is not told."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and the ini key that name the model.

    Args:
        parser: What pytest reads its options with.
    """
    text = "model for `faithful_decider`, such as embedded or vllm/NAME"
    group = parser.getgroup("faithful-decide")
    group.addoption("--faithful-model", metavar="SPEC", default=None, help=text)
    parser.addini(_INI, text, default="")


def pytest_configure(config: pytest.Config) -> None:
    """Remember which model this run is about.

    Args:
        config: The options of this run.
    """
    spec = config.getoption("--faithful-model") or config.getini(_INI)
    _chosen["model"] = str(spec) if spec else None


@pytest.fixture(scope="session")
def faithful_decider() -> Iterator[Decider]:
    """A `Decider`, loaded once for all tests.

    Its model is that of `--faithful-model`, else of `faithful_decide_model` in the ini file, else
    what `Decider()` takes.

    Yields:
        The decider. It is closed after the last test.
    """
    from faithful_decide._api.decide import Decider  # noqa: PLC0415 - not before a test asks for it

    with Decider(_chosen["model"]) as decider:
        yield decider


@hinting
def assert_audit_clean(
    report_or_image: AuditReport | DatasetAudit | ImageSource,
    question: str | None = None,
    *,
    allow: Collection[str] = (),
) -> None:
    """Fail if an audit raised a flag or is inconclusive.

    An `inconclusive` audit fails because something could not be tested; `allow` lets it pass.

    Args:
        report_or_image: A report of an audit, or an image that is audited here.
        question: What to ask about the image. Left out for a report.
        allow: Flags and labels that may pass, such as `("inconclusive",)`.

    Raises:
        AssertionError: Something else was found; the message lists it, with the reasons.
        UsageError: There is a question beside a report, or an image without one.
    """
    __tracebackhide__ = True
    if isinstance(allow, str):
        allow = (allow,)
    from faithful_decide._audit.types import AuditReport, DatasetAudit  # noqa: PLC0415 - on use
    from faithful_decide._report.words import complaint, complaints  # noqa: PLC0415 - the same
    from faithful_decide.errors import UsageError  # noqa: PLC0415 - the same

    is_report = isinstance(report_or_image, AuditReport | DatasetAudit)
    if is_report == (question is not None):
        msg = "pass a report, or an image and a question"
        raise UsageError(msg, hint='write assert_audit_clean("cat.png", "Is it a cat?")')
    if isinstance(report_or_image, AuditReport | DatasetAudit):
        report = report_or_image
    else:
        # Through the package, where everybody else gets it too.
        audit = import_module("faithful_decide").audit
        report = audit(report_or_image, question, model=_chosen["model"])
    if found := complaints(report, allow=allow):
        raise AssertionError(complaint(report, found))
