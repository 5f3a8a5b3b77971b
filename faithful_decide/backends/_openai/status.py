"""What a server said instead of a reply, sorted by its HTTP status.

Only three things matter to a caller: does waiting help, is it the key, or is it the request.
"""

from __future__ import annotations

import email.utils
import time
from typing import TYPE_CHECKING

from faithful_decide.errors import AuthError, BackendError, TransientError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["sorted_by_status"]

_TOO_MANY = frozenset({429, 503, 529})
_REFUSED_KEY = frozenset({401, 403})
_PASSING = frozenset({408, 409, 425})
_LONGEST_PAUSE_S = 24 * 3600.0


def sorted_by_status(
    status: int, message: str, headers: Mapping[str, str], *, key_hint: str, request_hint: str
) -> BackendError:
    """Make the error that a status stands for.

    Args:
        status: The HTTP status.
        message: What went wrong, without any key in it.
        headers: Those of the response, read without regard to case.
        key_hint: What to do if the key was refused.
        request_hint: What to do if it is the request.

    Returns:
        The error, to be raised.
    """
    if status in _REFUSED_KEY:
        return AuthError(message, hint=key_hint)
    if status in _TOO_MANY:
        return TransientError(message, retry_after=_retry_after(headers))
    if status >= 500 or status in _PASSING:  # noqa: PLR2004 - the server's own failures
        return TransientError(message)
    return BackendError(message, hint=request_hint)


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that the server asks to be left alone; 0.0 where it does not say."""
    for header, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            asked = float(headers.get(header, "")) / unit
        except ValueError:
            continue
        # Not a number, or for ever: as if it had not been said.
        return max(0.0, asked) if asked < _LONGEST_PAUSE_S else 0.0
    try:
        date = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
        return min(max(0.0, date.timestamp() - time.time()), _LONGEST_PAUSE_S)
    except (ValueError, OverflowError):
        return 0.0
