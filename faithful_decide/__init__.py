"""Ask a vision-language model a closed question about an image, and get a verdict with its reasons.

    from faithful_decide import decide

    decision = decide("squirrel.png", "Does this image show anything funny?")
    decision.verdict, decision.observations, decision.reasoning, decision.receipt

The names below are the public surface. Each is loaded on first use, so that importing the package
costs nothing: no SDK, no numpy, no Pillow.
"""

from __future__ import annotations

# Type checkers know this name; importing it from typing would double the cost of the import.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from faithful_decide._audit._types import AuditReport as AuditReport
    from faithful_decide._audit._types import DatasetAudit as DatasetAudit
    from faithful_decide._auditor import aaudit as aaudit
    from faithful_decide._auditor import audit as audit
    from faithful_decide._auditor import audit_dataset as audit_dataset
    from faithful_decide._backend import AsyncBackend as AsyncBackend
    from faithful_decide._backend import Backend as Backend
    from faithful_decide._backend import Capabilities as Capabilities
    from faithful_decide._backend import Request as Request
    from faithful_decide._batch._export import read_rows as read_rows
    from faithful_decide._batch._journal import Journal as Journal
    from faithful_decide._batch._row import Row as Row
    from faithful_decide._batch._row import Sample as Sample
    from faithful_decide._calibration import Bin as Bin
    from faithful_decide._calibration import Reliability as Reliability
    from faithful_decide._calibration import calibration_svg as calibration_svg
    from faithful_decide._calibration import reliability as reliability
    from faithful_decide._decider import Decider as Decider
    from faithful_decide._decider import adecide as adecide
    from faithful_decide._decider import decide as decide
    from faithful_decide._image import ImageLimits as ImageLimits
    from faithful_decide._judged import JudgeCheck as JudgeCheck
    from faithful_decide._judged import check_judge as check_judge
    from faithful_decide._many import decide_many as decide_many
    from faithful_decide._pipeline import VerdictPipeline as VerdictPipeline
    from faithful_decide._pipeline import as_pipeline as as_pipeline
    from faithful_decide._price import price_usd as price_usd
    from faithful_decide._probe import probe as probe
    from faithful_decide._probed import Check as Check
    from faithful_decide._probed import ProbeReport as ProbeReport
    from faithful_decide._report import junit_xml as junit_xml
    from faithful_decide._report import render_html as render_html
    from faithful_decide._report import write_html as write_html
    from faithful_decide._report import write_junit as write_junit
    from faithful_decide._stored import verify_stored as verify_stored
    from faithful_decide._types import CANNOT_TELL as CANNOT_TELL
    from faithful_decide._types import Decision as Decision
    from faithful_decide._types import Derived as Derived
    from faithful_decide._types import Observation as Observation
    from faithful_decide._types import Question as Question
    from faithful_decide._types import Receipt as Receipt
    from faithful_decide._types import Reply as Reply
    from faithful_decide._types import Scores as Scores
    from faithful_decide._types import Token as Token
    from faithful_decide._types import Usage as Usage
    from faithful_decide._version import __version__ as __version__
    from faithful_decide.backends import load_backend as load_backend
    from faithful_decide.errors import AuthError as AuthError
    from faithful_decide.errors import BackendError as BackendError
    from faithful_decide.errors import ContractError as ContractError
    from faithful_decide.errors import FaithfulDecideError as FaithfulDecideError
    from faithful_decide.errors import ImageError as ImageError
    from faithful_decide.errors import MissingExtraError as MissingExtraError
    from faithful_decide.errors import OrderError as OrderError
    from faithful_decide.errors import QuestionError as QuestionError
    from faithful_decide.errors import RefusedError as RefusedError
    from faithful_decide.errors import ReplyError as ReplyError
    from faithful_decide.errors import StorageError as StorageError
    from faithful_decide.errors import TransientError as TransientError
    from faithful_decide.errors import TruncatedError as TruncatedError
    from faithful_decide.errors import UnsupportedError as UnsupportedError
    from faithful_decide.errors import UsageError as UsageError

_HOMES = {
    "_audit._types": ("AuditReport", "DatasetAudit"),
    "_auditor": ("aaudit", "audit", "audit_dataset"),
    "_backend": ("AsyncBackend", "Backend", "Capabilities", "Request"),
    "_batch._export": ("read_rows",),
    "_batch._journal": ("Journal",),
    "_batch._row": ("Row", "Sample"),
    "_calibration": ("Bin", "Reliability", "calibration_svg", "reliability"),
    "_decider": ("Decider", "adecide", "decide"),
    "_image": ("ImageLimits",),
    "_judged": ("JudgeCheck", "check_judge"),
    "_many": ("decide_many",),
    "_pipeline": ("VerdictPipeline", "as_pipeline"),
    "_price": ("price_usd",),
    "_probe": ("probe",),
    "_probed": ("Check", "ProbeReport"),
    "_report": ("junit_xml", "render_html", "write_html", "write_junit"),
    "_stored": ("verify_stored",),
    "_types": (
        "CANNOT_TELL",
        "Decision",
        "Derived",
        "Observation",
        "Question",
        "Receipt",
        "Reply",
        "Scores",
        "Token",
        "Usage",
    ),
    "_version": ("__version__",),
    "backends": ("load_backend",),
    "errors": (
        "AuthError",
        "BackendError",
        "ContractError",
        "FaithfulDecideError",
        "ImageError",
        "MissingExtraError",
        "OrderError",
        "QuestionError",
        "RefusedError",
        "ReplyError",
        "StorageError",
        "TransientError",
        "TruncatedError",
        "UnsupportedError",
        "UsageError",
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605 - computed from the one table above


def __getattr__(name: str) -> object:
    """Load a public name from its module, on first use."""
    if name not in _HOME_OF:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module  # noqa: PLC0415 - not paid by the import

    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return __all__
