"""What a server said instead of a reply, sorted by its HTTP status, and inside a 200 by its words.

Only four things matter to a caller: was the prompt or the reply blocked (that is a refusal, not a
failure), does waiting help, is it the key, or is it the request. What never passes is asked once.
"""

from __future__ import annotations

import email.utils
import json
import math
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from faithful_decide.backends._openai.reading import one_line
from faithful_decide.errors import AuthError, BackendError, TransientError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Said", "said_in", "said_in_bytes", "sorted_by_status"]

_BAD_REQUEST, _FAILED = 400, 500
_TOO_MANY = frozenset({429, 503, 529})
_REFUSED_KEY = frozenset({401, 403})
_PASSING = frozenset({408, 409, 425})
_NEVER = frozenset({501, 505})
_ERRORS = range(400, 600)
_LONGEST_PAUSE_S = 24 * 3600.0

_CODES = ("code", "type", "status", "status_code", "statusCode", "error_code", "error_type")
_WORDS = (
    *("message", "msg", "error_message", "error_msg", "errorMessage", "status_msg", "faultstring"),
    *("description", "reason", "title", "raw"),
)
_NESTED = (
    *("error", "errors", "detail", "details", "innererror", "fault", "base_resp", "metadata"),
)

_BLOCKED = re.compile(
    r"content.?filter|content.?policy|content management policy|policy.?violation|ResponsibleAI"
    r"|data_inspection_failed|prohibited.?content|safety system|blocked by|flagged|moderation",
    re.IGNORECASE,
)
_NO_CREDIT = re.compile(
    r"insufficient.?(quota|credit|balance|funds)|\bcredits?\b|billing|payment|\bbalance\b",
    re.IGNORECASE,
)
_QUOTA = re.compile(r"quota", re.IGNORECASE)
_NOT_ABLE = re.compile(
    r"not supported|unsupported|does not support|mmproj|literal_error|maximum context"
    r"|exceeds? (the )?(n_ctx|context)",
    re.IGNORECASE,
)
"""What no waiting helps against, in words that come with a status of 500."""
_KEY = re.compile(r"api.?key|unauthori[sz]ed|authentication|permission", re.IGNORECASE)
_EMPTY = re.compile(r"credit balance is too low", re.IGNORECASE)
"""How Anthropic says it, with a status of 400; and so does Google say what is wrong with a key."""
_BAD_KEY = re.compile(r"api.?key (is )?(not valid|invalid|expired|not found)", re.IGNORECASE)
_RETRY_IN = re.compile(r"retry (?:in|after) (\d+(?:\.\d+)?) ?(ms|s)", re.IGNORECASE)
"""A limit per minute that calls itself a quota, and is over soon."""
_BUSY = re.compile(r"rate.?limit|too many|overload|throttl|exhausted|capacity|busy", re.IGNORECASE)
_MAY_PASS = re.compile(
    r"try again|retry (after|in|later)|temporar|unavailable|time.?out|timed out|loading"
    r"|server.?error|internal.?error|bad gateway",
    re.IGNORECASE,
)
_DEPTH = 6
_Kind: TypeAlias = Literal["credit", "key", "busy", "passing", "request"]
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Said:
    """An error in a server's own words; `status` is 0 where it does not say."""

    status: int
    words: str
    page: bool = False
    """Whether it is a page for people, so that what answers there is another kind of server."""

    @property
    def blocked(self) -> bool:
        """Whether a filter stopped the prompt or the reply."""
        return bool(_BLOCKED.search(self.words)) and self.status not in {401, 429}


def said_in(data: object, *, status: int = 0) -> Said:
    """The error that an answer holds, whatever its shape."""
    codes, words = _gathered(data)
    numbers = [int(code) for code in codes if code.isdecimal() and len(code) == 3]  # noqa: PLR2004
    inside = next((number for number in numbers if number in _ERRORS), 0)
    told = [code for code in codes if not code.isdecimal()]
    if not status and inside:
        told.insert(0, str(inside))
    return Said(status or inside, " ".join(dict.fromkeys([*told, *words])))


def said_in_bytes(content: bytes, *, status: int) -> Said:
    """The same for a body that need not be JSON."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        text = content[:100_000].decode(errors="replace")
        if text.lstrip()[:14].casefold().startswith(("<!doctype html", "<html")):
            title = _TITLE.search(text)
            about = f" titled {one_line(title[1], 80)!r}" if title else ""
            return Said(status, f"a page for people{about}", page=True)
        return Said(status, text)
    if (said := said_in(data, status=status)).words:
        return said
    return Said(status, content[:2000].decode(errors="replace"))


def _gathered(value: object, depth: int = _DEPTH) -> tuple[list[str], list[str]]:
    """Codes and words, those of outer objects first."""
    if isinstance(value, str):
        return [], [value]
    codes: list[str] = []
    words: list[str] = []
    inner: list[object] = []
    if isinstance(value, list):
        inner = value[:3]
    elif isinstance(value, dict):
        words = [value[key] for key in _WORDS if isinstance(value.get(key), str)]
        # What stands outermost may be any object: that it has a status makes it no error.
        types = {str, int} if words or depth < _DEPTH else {int}
        codes = [str(value[key]) for key in _CODES if type(value.get(key)) in types]
        inner = [
            value[key] for key in (*_NESTED, *_WORDS) if isinstance(value.get(key), list | dict)
        ]
        inner += [value[key] for key in _NESTED if isinstance(value.get(key), str)]
    for one in inner if depth else ():
        more_codes, more_words = _gathered(one, depth - 1)
        codes, words = codes + more_codes, words + more_words
    return codes, words


def sorted_by_status(
    said: Said,
    message: str,
    headers: Mapping[str, str],
    *,
    key_hint: str,
    request_hint: str,
) -> BackendError:
    """The error that an answer stands for; the message has no key in it any more."""
    match _kind(said):
        case "credit":
            return BackendError(message, hint="the account has no credit left; add some")
        case "key":
            return AuthError(message, hint=key_hint)
        case "busy":
            return TransientError(message, retry_after=_retry_after(headers, said.words))
        case "passing":
            broken = said.status == _FAILED
            hint = "look into the log of the server, which says why it failed" if broken else ""
            return TransientError(message, hint=hint, broken=broken)
    return BackendError(message, hint=request_hint)


def _kind(said: Said) -> _Kind:
    status, words = said.status, said.words
    soon = status in _TOO_MANY and _RETRY_IN.search(words)
    if not soon and (status in {0, 402, 403, 429} and _NO_CREDIT.search(words)):
        return "credit"
    if not status:
        return _kind_by_words(words)
    if status == _BAD_REQUEST and (_EMPTY.search(words) or _BAD_KEY.search(words)):
        return "credit" if _EMPTY.search(words) else "key"
    if status in _REFUSED_KEY or status in _TOO_MANY:
        return "key" if status in _REFUSED_KEY else "busy"
    passing = status in _PASSING or (status >= 500 and status not in _NEVER)  # noqa: PLR2004
    return "passing" if passing and not _NOT_ABLE.search(words) else "request"


def _kind_by_words(words: str) -> _Kind:
    """Where no status tells, inside a 200."""
    patterns: tuple[tuple[_Kind, re.Pattern[str]], ...] = (
        ("credit", _QUOTA),
        ("busy", _BUSY),
        ("passing", _MAY_PASS),
        ("key", _KEY),
    )
    return next((kind for kind, pattern in patterns if pattern.search(words)), "request")


def _retry_after(headers: Mapping[str, str], words: str) -> float:
    """Seconds that the server asks to be left alone; 0.0 where it does not say."""
    for header, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            pause = float(headers.get(header, "")) / unit
        except ValueError:
            continue
        # Not a number, or for ever: as if it had not been said.
        return min(max(0.0, pause), _LONGEST_PAUSE_S) if math.isfinite(pause) else 0.0
    if told := _RETRY_IN.search(words):
        return min(float(told[1]) / (1000 if told[2] == "ms" else 1), _LONGEST_PAUSE_S)
    try:
        date = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
        return min(max(0.0, date.timestamp() - time.time()), _LONGEST_PAUSE_S)
    except (ValueError, OverflowError):
        return 0.0
