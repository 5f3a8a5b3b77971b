"""What runs a model: the kinds there are, and what is needed to write another.

`base` is the seam that every backend is written to; `registry` maps model specs to backends.
"""

from typing import TYPE_CHECKING

from faithful_decide.backends.base import (
    AsyncBackend,
    Backend,
    Capabilities,
    Hidden,
    ImageLimits,
    Purpose,
    Reply,
    Request,
    Token,
    Usage,
)
from faithful_decide.backends.registry import load_backend, register_backend

if TYPE_CHECKING:
    from faithful_decide.backends.probe_report import Check

__all__ = [
    "AsyncBackend",
    "Backend",
    "Capabilities",
    "Check",
    "Hidden",
    "ImageLimits",
    "Purpose",
    "Reply",
    "Request",
    "Token",
    "Usage",
    "load_backend",
    "register_backend",
]


def __getattr__(name: str) -> object:
    """Load what only reports of a probe need when it is asked for."""
    if name != "Check":
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from faithful_decide.backends.probe_report import Check  # noqa: PLC0415 - see above

    return Check
