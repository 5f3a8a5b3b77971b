"""The seam between deciding and running a model.

A backend makes one call: `Request` in, `Reply` out. It does not retry, does not judge the text and
does not know what a verdict is; all of that lives above it, once, for every backend. What it can
and cannot do it says in `Capabilities`, so that a caller who asks too much is told before any call.

To write a backend, read this module and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeGuard, runtime_checkable

from faithful_decide._core.types import (
    Constraint,
    Enforcement,
    Finish,
    Observation,
    Question,
    Reply,
    Token,
    Usage,
)
from faithful_decide._images.prepare import ImageLimits
from faithful_decide._nearest import hinting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from faithful_decide._images.prepare import PreparedImage

__all__ = [
    "MANY_IMAGES",
    "AsyncBackend",
    "Backend",
    "Capabilities",
    "Constraint",
    "Finish",
    "Hidden",
    "ImageLimits",
    "Purpose",
    "Reply",
    "Request",
    "Role",
    "Token",
    "Usage",
    "Wrapper",
    "innermost",
    "is_awaitable",
]


MANY_IMAGES = 16
"""What backends promise whose models take several images; most would take more."""


@hinting
@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do. The defaults promise only what every model can do."""

    enforcement: Enforcement = "prompt"
    """How the schema of a request is enforced."""
    order: bool = False
    """Whether the enforcement also fixes the order of the keys."""
    proven: bool = True
    """Whether there is evidence that the enforcement is in force: it happens in this process, the
    provider documents it for its own service, or a probe of this very address held. Without any, a
    receipt says that the order was requested."""
    prefix: bool = False
    """Whether a reply can be forced to start with `Request.prefix`."""
    knockout: bool = False
    """Whether a reply can be continued without looking at `Request.hidden`."""
    logprobs: Literal["none", "pre_mask", "post_mask", "unknown"] = "none"
    """Whether `Reply.tokens` can be had, and if its numbers are from before or after the grammar
    removed illegal tokens."""
    thinking: Literal["none", "hidden", "unknown"] = "unknown"
    """Whether the model may reason out of sight before the reply."""
    schema_in_prompt: bool = False
    """Whether the model is shown the schema, and with it any constant in it."""
    decoder: Literal["autoregressive", "diffusion", "unknown"] = "unknown"
    """The order of keys proves something only if text is generated left to right."""
    two_steps: bool = False
    """Whether a reply of this model was seen to break the order, so that the verdict is asked for
    in a second call, on top of the reasoning."""
    findings: bool = True
    """Whether the model can report typed findings; one that was trained for observations alone
    cannot, although a grammar would make it write something of their form."""
    images: int = 1
    """How many images a request may have."""
    regions: bool = True
    """Whether the model can say where in an image a thing is; a small one may not."""
    instructions: bool = True
    """Whether the model follows what a question says besides: definitions of verdicts, context."""
    image_limits: ImageLimits | None = None
    """The images that are sent unchanged; others are made to fit. None means the usual limits."""
    model: str = ""
    """The model that every reply has to name, in one of its spellings; empty where any may."""

    @property
    def one_reply_proves_order(self) -> bool:
        """Whether what stands first in a reply was also written first.

        Where it does not, a decision takes two steps: reasons first, the verdict in a second call.
        """
        return self.decoder == "autoregressive" and not self.two_steps


@hinting
@dataclass(frozen=True, slots=True)
class Hidden:
    """What the rest of a reply may not look at.

    The bytes from `start` to `end` of the forced prefix are written as ever, and looking at
    everything before them. What comes after `end` is then read and written without looking at them
    (`what="prefix"`), or else at as many tokens of the prompt's words (`"text"`) or the tokens of
    the image (`"image"`). At `end` the prefix has to go on.
    """

    start: int
    end: int
    what: Literal["prefix", "text", "image"] = "prefix"


Kind = Literal[
    "decide", "second_step", "forced", "forced_first", "read", "claims", "cue", "neutral",
    "negated", "no_image", "other_image", "edit", "donor", "paraphrase", "reader", "judge",
    "imagine", "obedience", "early", "knockout", "probe", "mask", "witness",
]  # fmt: skip
"""What a request can be for."""
Role = Literal["model", "reader", "judge", "witness"]
"""Who answers a request: the model in question, or one of those that look at what it said."""


@hinting
@dataclass(frozen=True, slots=True)
class Purpose:
    """What a request is for. It is never sent, and two requests that differ only here are the same.

    Logs, the journal and tests go by it, so that nobody has to parse a prompt.

    Args:
        kind: What is asked, such as `decide`, `forced` or `reader`.
        question: The question that it is about.
        verdict: The verdict that the request speaks of, where it does: told, suggested, imagined.
        observations: The observations that it shows or starts with.
        claims: The statements that it asks about.
    """

    kind: Kind
    question: Question
    verdict: str = ""
    observations: tuple[Observation, ...] = ()
    claims: tuple[str, ...] = ()

    @property
    def role(self) -> Role:
        """Who is to answer."""
        return self.kind if self.kind in {"reader", "judge", "witness"} else "model"


@hinting
@dataclass(frozen=True, slots=True)
class Request:
    """One call of a model: instructions, images, a text after them, and the shape of the reply.

    The user's turn is the images in their order, then `text`. `schema` is an ordered JSON schema,
    and the reply must have its keys in that order; None leaves it free. With a `prefix` the reply
    starts with exactly that text and the schema describes the whole, prefix included; `hidden` is
    what its continuation may not look at. `top_logprobs` asks for that many alternatives per
    generated token in `Reply.tokens`. Temperature 0 is greedy.

    The rest is not sent, and two requests that differ only there are the same. After `timeout_s`
    seconds the reply is of no more use, and a backend that can gives up. `purpose` is for logs and
    for doubles. The others are for what stands in front of a backend: `nth` counts the equal
    requests before this one in a plan, which wants as many replies; an `optional` one may be
    answered by an error, and its plan goes on without the reply; after `deadline`, on the clock of
    `time.monotonic`, the whole plan is given up.
    """

    system: str
    images: tuple[PreparedImage, ...]
    text: str
    schema: Mapping[str, Any] | None
    max_tokens: int
    prefix: str = ""
    temperature: float = 0.0
    seed: int | None = None
    top_logprobs: int = 0
    hidden: Hidden | None = None
    timeout_s: float | None = field(default=None, compare=False)
    purpose: Purpose | None = field(default=None, compare=False)
    nth: int = field(default=0, compare=False)
    optional: bool = field(default=False, compare=False)
    deadline: float | None = field(default=None, compare=False)


@runtime_checkable
class Backend(Protocol):
    """Runs a model. Safe to call from several threads at once."""

    @property
    def name(self) -> str:
        """The model spec that names this backend, for receipts: `embedded`, `openai/...`."""
        ...

    @property
    def identity(self) -> object:
        """What tells this backend from others as far as replies depend on it.

        Any value that JSON can hold, the same in every process: the weights (a hash of them), the
        address, options that change what is replied. A journal answers a request with what was
        replied to it before by a backend of the same identity. Two that may reply otherwise need
        different ones, even if they have one name; what only makes a reply faster is left out.
        """
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this backend can do; constant over its life."""
        ...

    def generate(self, request: Request) -> Reply:
        """Make one call, without retry.

        Args:
            request: What to send. Never more than `capabilities` promises.

        Returns:
            The reply as it came, whatever it says: a refusal is a `Reply` too.

        Raises:
            BackendError: If no reply came back.
        """
        ...

    def close(self) -> None:
        """Release the model. May be called twice."""
        ...


@runtime_checkable
class AsyncBackend(Backend, Protocol):
    """A backend whose own client is asynchronous; others are run in a thread."""

    async def agenerate(self, request: Request) -> Reply:
        """Do what `generate` does, awaited; result and errors are the same."""
        ...


def is_awaitable(backend: object) -> TypeGuard[AsyncBackend]:
    """Whether a backend can be awaited.

    Asked for each call, so it is not `isinstance`, which looks at all members of a protocol.
    """
    return hasattr(backend, "agenerate")


class Wrapper:
    """A backend in front of another one: it is the other in all but what it adds.

    So whatever can be done about calls in general, such as waiting for a turn, trying again or
    keeping replies, is a backend itself, and those who ask do not know of it. A wrapper can be
    awaited if its backend can, and not otherwise: by that it is told who waits for a server.
    """

    def __init__(self, backend: Backend) -> None:
        """Keep the backend; it is closed by whoever made it."""
        self.backend = backend

    @property
    def name(self) -> str:
        """The name of the backend."""
        return self.backend.name

    @property
    def identity(self) -> object:
        """What tells the backend from others."""
        return self.backend.identity

    @property
    def capabilities(self) -> Capabilities:
        """What the backend can do."""
        return self.backend.capabilities

    def generate(self, request: Request) -> Reply:
        """Ask the backend."""
        return self.backend.generate(request)

    def close(self) -> None:
        """Do nothing: whoever made the backend closes it."""


def innermost(backend: object) -> object:
    """What stands behind all wrappers."""
    while isinstance(backend, Wrapper):
        backend = backend.backend
    return backend
