"""Ask a vision-language model a closed question about an image, and get a verdict with its reasons.

    from faithful_decide import decide

    decision = decide("squirrel.png", "Does this image show anything funny?")
    decision.verdict, decision.observations, decision.reasoning, decision.receipt

The imports below are the list of public names, for type checkers and for `__getattr__` alike. Each
is loaded on first use, so that importing the package costs nothing: no SDK, no numpy, no Pillow.
"""

from __future__ import annotations

import sys

# Type checkers know this name; importing it from typing would double the cost of the import.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from faithful_decide._api.audit import aaudit as aaudit
    from faithful_decide._api.audit import audit as audit
    from faithful_decide._api.audit import audit_dataset as audit_dataset
    from faithful_decide._api.decide import Decider as Decider
    from faithful_decide._api.decide import adecide as adecide
    from faithful_decide._api.decide import decide as decide
    from faithful_decide._api.judge_check import JudgeCheck as JudgeCheck
    from faithful_decide._api.judge_check import check_judge as check_judge
    from faithful_decide._api.many import decide_many as decide_many
    from faithful_decide._api.probe import probe as probe
    from faithful_decide._api.stored import verify_stored as verify_stored
    from faithful_decide._audit.types import AuditReport as AuditReport
    from faithful_decide._audit.types import DatasetAudit as DatasetAudit
    from faithful_decide._batch.export import read_rows as read_rows
    from faithful_decide._batch.export import write_rows as write_rows
    from faithful_decide._batch.journal import Journal as Journal
    from faithful_decide._batch.price import price_usd as price_usd
    from faithful_decide._batch.row import Item as Item
    from faithful_decide._batch.row import Row as Row
    from faithful_decide._core.types import CANNOT_TELL as CANNOT_TELL
    from faithful_decide._core.types import Decision as Decision
    from faithful_decide._core.types import Derived as Derived
    from faithful_decide._core.types import Observation as Observation
    from faithful_decide._core.types import Question as Question
    from faithful_decide._core.types import Receipt as Receipt
    from faithful_decide._core.types import Region as Region
    from faithful_decide._core.types import Scores as Scores
    from faithful_decide._version import __version__ as __version__
    from faithful_decide.backends.probe_report import ProbeReport as ProbeReport
    from faithful_decide.backends.registry import load_backend as load_backend
    from faithful_decide.backends.registry import register_backend as register_backend
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


if not TYPE_CHECKING:
    _OF_THIS_MODULE = sys._getframe().f_code  # noqa: SLF001 - no loader has to know its source

    def _homes() -> dict[str, str]:
        """Find which module each public name comes from, in the compiled imports above."""
        from dis import get_instructions  # noqa: PLC0415 - not paid by the import

        homes, home = {}, ""
        for step in get_instructions(_OF_THIS_MODULE):
            if step.opname == "IMPORT_NAME":
                home = step.argval
            elif step.opname == "IMPORT_FROM" and home.startswith(f"{__name__}."):
                homes[step.argval] = home
        return homes

    def __getattr__(name: str) -> object:
        """Load a public name from its module, on first use."""
        from importlib import import_module  # noqa: PLC0415 - not paid by the import

        homes = _homes()
        if name == "__all__":
            value: object = sorted(homes)
        elif name in homes:
            value = getattr(import_module(homes[name]), name)
        else:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        """List the public names, loaded or not."""
        return sorted(_homes())
