"""One decision to be audited: what it is about, whom it is put to, and how much is asked.

Every request of an audit is made from here, so that all of them keep the system text, the image and
the schema of the decision and change only what comes after: a server or an engine that remembers
the start of a prompt reads the image once. No request says that it is part of an audit, since a
model that knows may behave; what it is for stands in its purpose, which is never sent.

A request that is made several times is made greedily first, as in production, and then sampled
with seeds of its own.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from faithful_decide._asking.decision import SAMPLE_TEMPERATURE
from faithful_decide._core import prompt, schema
from faithful_decide._core.contract import numbered
from faithful_decide._core.contract import written as observations_of
from faithful_decide.backends.base import Capabilities, Purpose, Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from faithful_decide._audit.types import Tier
    from faithful_decide._core.types import Observation, Question
    from faithful_decide._images.prepare import PreparedImage
    from faithful_decide.backends.base import Kind

OBJECTING = frozenset({"forced", "forced_first", "obedience", "edit", "donor", "paraphrase"})
"""What a model is asked for with room to object to it."""
MOST_TOLD = 4
"""Verdicts that a model is told, at the most."""

__all__ = ["OBJECTING", "Case", "Other", "repeated", "safe", "statement", "written"]


@dataclass(frozen=True, slots=True)
class Other:
    """Another picture, and what the model decided about it by itself."""

    image: PreparedImage
    verdict: str
    observations: tuple[Observation, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """A question about an image, whom it is put to, and the tier of the audit.

    `blank` is a picture that shows nothing and `other_image` one that shows something else, if
    there is; `reader` is what the reader of observations can do; `ruled` says that code draws the
    verdict from findings.

    In a data set (`place` is its place there) other pictures come from the set itself: `other` is
    one, as soon as there is one, and `third` still another one.
    """

    image: PreparedImage
    blank: PreparedImage
    question: Question
    capabilities: Capabilities
    max_tokens: int = 512
    seed: int | None = None
    other_image: PreparedImage | None = None
    tier: Tier = "standard"
    reader: Capabilities | None = None
    ruled: bool = False
    place: int | None = None
    other: Other | None = None
    third: Other | None = None
    alone: bool = False
    """Whether no other picture of the data set will come."""
    witness_image: PreparedImage | None = None
    """The picture as the witness gets it, where there is a witness."""

    @property
    def one_reply(self) -> bool:
        """Whether a verdict and its reasons come in one reply; else the verdict is asked for."""
        return self.capabilities.one_reply_proves_order

    @property
    def continues(self) -> bool:
        """Whether replies can be made to begin with something, and go on to their verdict."""
        return self.capabilities.prefix and self.one_reply

    @property
    def of_many(self) -> bool:
        """Whether it is an item of a data set."""
        return self.place is not None

    def takes_turn(self, turn: int, of: int) -> bool:
        """Whether this is asked here: in a data set of tier `standard` of some items only.

        That is enough for what is said of all of them, and keeps an audit at a dozen calls.
        """
        return self.place is None or self.tier == "full" or self.place % of == turn

    @property
    def times(self) -> int:
        """How often each request is made."""
        return 5 if self.tier == "full" else 1

    @property
    def begins(self) -> bool:
        """Whether replies are made to begin with something, at a tier that costs so much."""
        return self.tier == "full" and self.continues and not self.ruled

    @property
    def base_seed(self) -> int:
        """The seed that all others come from: the caller's, or one that belongs to the content."""
        if self.seed is not None:
            return self.seed
        content = f"{self.image.sha256}/{self.question.text}/{self.question.labels}"
        return int.from_bytes(hashlib.sha256(content.encode()).digest()[:4])

    def digit(self, what: str) -> int:
        """A number from 0 to 255 that belongs to the content, for what is drawn by it."""
        return hashlib.sha256(f"{self.base_seed}/{what}".encode()).digest()[0]

    @property
    def schema(self) -> dict[str, Any]:
        """The shape of the decision, as `decide` asks for it."""
        return schema.schema(self.question.labels, **schema.shape_of(self.question))

    @property
    def objecting(self) -> dict[str, Any]:
        """The same with room to object."""
        shape = schema.shape_of(self.question)
        return schema.schema(self.question.labels, reservation=True, **shape)

    def request(
        self,
        kind: Kind,
        text: str,
        *,
        shape: Mapping[str, Any] | None = None,
        question: Question | None = None,
        verdict: str = "",
        observations: Sequence[Observation] = (),
        claims: Sequence[str] = (),
        image: PreparedImage | None = None,
        prefix: str = "",
    ) -> Request:
        """A request about the image, or about another; in the shape of a decision, or another."""
        return Request(
            system=prompt.SYSTEM,
            images=(image or self.image,),
            text=text,
            schema=self.schema if shape is None else shape,
            max_tokens=self.max_tokens,
            prefix=prefix,
            seed=self.base_seed,
            purpose=Purpose(
                kind, question or self.question, verdict, numbered(observations), tuple(claims)
            ),
        )

    def decision(self) -> Request:
        """The question as it is: the very request that a decision makes."""
        return replace(self.request("decide", prompt.user_text(self.question)), seed=self.seed)

    def elsewhere(self, kind: Kind, image: PreparedImage) -> Request:
        """The question about another image."""
        return self.request(kind, prompt.user_text(self.question), image=image)

    def put_in(
        self,
        kind: Kind,
        observations: Sequence[Observation],
        verdict: str,
        capabilities: Capabilities | None = None,
    ) -> Request:
        """The question, its reply made to begin with observations that point to a verdict.

        Where the model cannot be made to begin with something, they stand in the prompt.
        """
        text, prefix, shown = prompt.user_text(self.question), "", numbered(safe(observations))
        # Without their places they are not what the model would have written itself.
        placed = not self.question.regions or all(o.at is not None for o in shown)
        able = self.continues if capabilities is None else capabilities.prefix
        if able and placed:
            prefix = f'{written(shown)}, "reasoning": "'
        else:
            text = prompt.given_text(self.question, shown)
        shape = self.schema
        if kind in OBJECTING:
            text, shape = prompt.with_reservation(text), self.objecting
        return self.request(
            kind, text, shape=shape, verdict=verdict, observations=shown, prefix=prefix
        )


def safe(observations: Iterable[Observation]) -> tuple[Observation, ...]:
    """The words of a model, made safe to stand in a prompt or at the start of a reply."""
    tame = prompt.neutralise
    return tuple(
        o.model_copy(update={"about": tame(o.about), "seen": tame(o.seen)}) for o in observations
    )


def statement(observation: Observation) -> str:
    """An observation as a statement that is true of the picture or not."""
    return f"{prompt.neutralise(observation.about)}: {prompt.neutralise(observation.seen)}"


def written(observations: Iterable[Observation]) -> str:
    """The start of a reply up to the end of its observations."""
    seen = observations_of(numbered(safe(observations)))
    return json.dumps({"observations": seen}, ensure_ascii=False)[:-1]


def repeated(request: Request, times: int, *, sampled: bool = False) -> tuple[Request, ...]:
    """The request several times, no two with the same seed; greedy first unless `sampled`."""
    seeds = (
        int.from_bytes(hashlib.sha256(f"{request.seed}/{request.text}/{i}".encode()).digest()[:4])
        for i in range(times)
    )
    drawn = tuple(replace(request, temperature=SAMPLE_TEMPERATURE, seed=s >> 1) for s in seeds)
    return drawn if sampled or not drawn else (request, *drawn[1:])
