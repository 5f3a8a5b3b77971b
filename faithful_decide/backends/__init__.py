"""What runs a model: the kinds there are, and what is needed to write another.

`base` is the seam that every backend is written to; `registry` maps model specs to backends.
"""

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
from faithful_decide.backends.probe_report import Check
from faithful_decide.backends.registry import load_backend, register_backend

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
