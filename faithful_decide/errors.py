"""Everything this library raises on purpose, and when.

FaithfulDecideError (.hint)
+ UsageError                 the caller's mistake, found before any model is called
| - QuestionError            blank, fewer than two verdicts, verdicts that look alike
| - ImageError               unreadable, unsupported, too large
| - UnsupportedError         this backend cannot do what was asked
| - MissingExtraError        an optional dependency is missing; prints the install line
+ BackendError               the engine or the server failed
| - TransientError           timeout, 429, 5xx: the only error that waiting can cure
| - AuthError                no key, or a key that was refused
+ StorageError               a journal or a file of results cannot be read or written
+ ReplyError (.reply)        the model replied, but not with a verdict that can be used
  - TruncatedError           stopped before the reply was complete
  - RefusedError             the model or a content filter declined
  - ContractError            the text is not the one JSON object that was asked for
  - OrderError               complete, but the verdict was not written last

A verdict is never guessed from a broken reply: what does not verify is raised, with the
reply attached, so that the text can still be looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from faithful_decide._public import public

if TYPE_CHECKING:
    from faithful_decide._core.types import Reply

__all__ = [
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
]


@public
class FaithfulDecideError(Exception):
    """The root of the hierarchy; `hint` says what to do next."""

    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        """Keep the hint as an attribute and as a note, so that a traceback shows it.

        Args:
            message: What went wrong, in one sentence.
            hint: What to do next; the class has a general one where this is left out.
        """
        super().__init__(message)
        self.hint = hint or self.default_hint
        if self.hint:
            self.add_note(f"hint: {self.hint}")


@public
class UsageError(FaithfulDecideError):
    """The call cannot work as written; no model was called."""


@public
class QuestionError(UsageError):
    """The question or its verdicts cannot be asked."""


@public
class ImageError(UsageError):
    """The image cannot be read."""


@public
class UnsupportedError(UsageError):
    """The backend cannot do what was asked of it."""


@public
class MissingExtraError(UsageError):
    """An optional dependency is not installed."""

    def __init__(self, extra: str, *, needed_for: str) -> None:
        """Build the install line from the name of the extra.

        Args:
            extra: The name of the extra, as in `pyproject.toml`.
            needed_for: What the caller wanted to do, as a noun phrase.
        """
        hint = f"install it with: {_install(extra)}"
        if extra == "embedded":
            hint += "; or name another model with model= or $FAITHFUL_DECIDE_MODEL"
        super().__init__(
            f"{needed_for} needs an optional dependency that is not installed", hint=hint
        )
        self.extra = extra
        self.needed_for = needed_for

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by the arguments of this class, not by the message."""
        return _missing_extra, (self.extra, self.needed_for)


def _install(extra: str) -> str:
    """A command that installs an extra, whether this is a clone or an installed package."""
    from importlib import metadata  # noqa: PLC0415 - after this error only
    from pathlib import Path  # noqa: PLC0415 - the same

    clone = Path(__file__).resolve().parents[1]
    if (clone / "pyproject.toml").is_file():
        return f'pip install -e "{clone}[{extra}]"'
    try:
        needed = metadata.requires("faithful-decide") or []
    except metadata.PackageNotFoundError:
        needed = []
    mark = f'extra == "{extra}"'
    wanted = [line.partition(";")[0].strip() for line in needed if mark in line.replace("'", '"')]
    if not wanted:
        return f"the packages of the extra {extra!r} in pyproject.toml"
    return " ".join(["pip install", *(f'"{name}"' for name in wanted)])


def _missing_extra(extra: str, needed_for: str) -> MissingExtraError:
    return MissingExtraError(extra, needed_for=needed_for)


@public
class BackendError(FaithfulDecideError):
    """The engine or the server failed."""


@public
class TransientError(BackendError):
    """A failure that may pass by itself: a timeout, too many requests, a server error."""

    default_hint = "send the same request again after a pause"

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        retry_after: float | None = None,
        unreachable: bool = False,
        broken: bool = False,
    ) -> None:
        """Keep how long the server asked to be left alone, and whether there was a server at all.

        Args:
            message: What went wrong.
            hint: What to do next.
            retry_after: Seconds before which it is no use to ask again, where the server said so.
            unreachable: Whether no connection came about: nobody listens, or nothing gets there.
            broken: Whether the server says that it failed, and not that it has no time: one that
                never replied well and goes on saying so is not waited for.
        """
        super().__init__(message, hint=hint)
        self.retry_after = retry_after
        self.unreachable = unreachable
        self.broken = broken


@public
class AuthError(BackendError):
    """The server wants a key, or refused the one it was given."""


@public
class StorageError(FaithfulDecideError):
    """A journal or a file of results cannot be read or written: no room, no permission, damaged."""


@public
class ReplyError(FaithfulDecideError):
    """The model replied, but the reply holds no verdict that can be used."""

    def __init__(self, message: str, *, reply: Reply | None = None, hint: str = "") -> None:
        """Attach the reply that failed.

        Args:
            message: What is wrong with the reply.
            reply: The reply itself; its `text` is the raw text of the model.
            hint: What to do next.
        """
        super().__init__(message, hint=hint)
        self.reply = reply


@public
class TruncatedError(ReplyError):
    """The reply stopped before it was complete."""

    default_hint = "raise max_tokens=, or ask a narrower question"


@public
class RefusedError(ReplyError):
    """The model, or a filter in front of it, declined to reply."""

    default_hint = (
        "a refusal is not a verdict; read the reply, and reword the question if it is fair"
    )


@public
class ContractError(ReplyError):
    """The text is not the one JSON object that was asked for."""

    default_hint = (
        "look at the reply; a backend that enforces a grammar does not produce such replies"
    )


@public
class OrderError(ReplyError):
    """The verdict stands before its reasons, so they cannot have influenced it."""

    default_hint = (
        "do not use this verdict: something between you and the model sorted or ignored the schema"
    )
