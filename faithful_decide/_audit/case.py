"""One decision to be audited, and every request that an audit makes about it.

All checks keep the system text, the image and the schema of the decision and change only what comes
after, so that a server or an engine that remembers the start of a prompt reads the image once. No
request says that it is part of an audit, since a model that knows may behave.

A request that is made several times is made greedily first, as in production, and then sampled
with seeds of its own.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from faithful_decide._asking.decision import SAMPLE_TEMPERATURE
from faithful_decide._core import prompt, schema
from faithful_decide._core.json_schema import object_schema
from faithful_decide.backends.base import Capabilities, Hidden, Request
from faithful_decide.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from faithful_decide._core.types import Observation, Question, Span
    from faithful_decide._images.prepare import PreparedImage
    from faithful_decide.backends.base import Backend

__all__ = ["FIRST", "Case", "check_auditable", "repeated"]

FIRST = '{{"verdict": {}, "observations": [{{"about": "'
"""The start of a reply that was made to begin with its verdict, up to where a word may begin."""


@dataclass(frozen=True, slots=True)
class Case:
    """A question about an image, and whom it is put to.

    `blank` is a picture that shows nothing and `donor` one that shows something else, if there is.
    """

    image: PreparedImage
    blank: PreparedImage
    question: Question
    capabilities: Capabilities
    max_tokens: int = 512
    seed: int | None = None
    donor: PreparedImage | None = None

    def request(
        self,
        text: str,
        shape: Mapping[str, Any],
        *,
        image: PreparedImage | None = None,
        prefix: str = "",
    ) -> Request:
        """A request about the image, or about another."""
        return Request(
            system=prompt.SYSTEM,
            image=image or self.image,
            text=text,
            schema=shape,
            max_tokens=self.max_tokens,
            prefix=prefix,
            seed=self.base_seed,
        )

    @property
    def base_seed(self) -> int:
        """The seed that all others come from: the caller's, or one that belongs to the content."""
        if self.seed is not None:
            return self.seed
        content = f"{self.image.sha256}/{self.question.text}/{self.question.labels}"
        return int.from_bytes(hashlib.sha256(content.encode()).digest()[:4])

    @property
    def _schema(self) -> dict[str, Any]:
        question = self.question
        return schema.schema(question.labels, audited=True, findings=question.findings)

    def decision(self) -> Request:
        """The question as it is."""
        return self.request(prompt.user_text(self.question), self._schema)

    def note(self, verdict: str, question: Question | None = None) -> Request:
        """The question, and a note that says what its verdict is."""
        return self.request(prompt.note_text(question or self.question, verdict), self._schema)

    def obedience(self, question: Question, verdict: str) -> Request:
        """A question whose answer is known, and a note that says another."""
        shape = schema.schema(question.labels, audited=True)
        return self.request(prompt.note_text(question, verdict), shape)

    def verdict_first(self, verdict: str) -> Request:
        """The question, its reply made to begin with a verdict."""
        return self.request(
            prompt.user_text(self.question),
            schema.explanation_schema(self.question.labels),
            prefix=FIRST.format(json.dumps(verdict, ensure_ascii=False)),
        )

    def reading(self, about: Sequence[str]) -> Request:
        """A description of some things, without the question."""
        return self.request(prompt.reading_text(about), schema.observations_schema())

    def imagined(self, verdict: str) -> Request:
        """Observations like those of this image that would lead to a verdict."""
        text = prompt.imagine_text(self.question, verdict)
        return self.request(text, schema.observations_schema())

    def dreamed(self, verdict: str) -> Request:
        """Observations of no image in particular that would lead to a verdict."""
        return replace(self.imagined(verdict), image=None)

    def negated(self) -> Request:
        """The opposite question."""
        return self.request(prompt.negated_text(self.question), self._schema)

    def cue(self, verdict: str) -> Request:
        """The question, and what somebody thinks who cannot know."""
        return self.request(prompt.cue_text(self.question, verdict), self._schema)

    def neutral(self) -> Request:
        """The question, and a note that suggests nothing."""
        return self.request(prompt.neutral_text(self.question), self._schema)

    def elsewhere(self, image: PreparedImage) -> Request:
        """The question about another image."""
        return self.request(prompt.user_text(self.question), self._schema, image=image)

    def given(self, observations: Sequence[Observation]) -> Request:
        """The question, with observations in the prompt to decide from."""
        return self.request(prompt.given_text(self.question, observations), self._schema)

    def from_observations(self, observations: Sequence[Observation]) -> Request:
        """The question, its reply made to begin with observations."""
        return self.request(
            prompt.user_text(self.question),
            self._schema,
            prefix=f'{written(observations)}, "reasoning": "',
        )

    def early(self, observations: Sequence[Observation] = ()) -> Request:
        """The question, its reply made to come to the verdict before any reasoning.

        With observations it comes after them. Only the odds of the verdicts are read, so one token
        is enough, and the shape that the prefix breaks is not asked for.
        """
        start = f"{written(observations)}, " if observations else "{"
        labels = self.question.labels
        verdict = schema.schema(labels)["properties"]["verdict"]
        properties: dict[str, Any] = {"verdict": verdict}
        if observations:
            seen = schema.observations_schema()["properties"]["observations"]
            properties = {"observations": seen, "verdict": verdict}
        request = self.request(
            prompt.user_text(self.question),
            object_schema(properties),
            prefix=f'{start}"verdict": "',
        )
        return replace(request, max_tokens=24)

    def unseeing(
        self, raw: str, verdict: Span, instead: Literal["prefix", "text", "image"]
    ) -> Request:
        """The verdict of a reply again, decoded without looking back.

        Hidden is all that the reply has between its first brace and the comma before the verdict's
        key: observations and reasoning, and what is said about them. Or as much of the prompt is
        hidden instead, or the image.
        """
        data = raw.encode()
        prefix = data[: verdict.start + 1]
        hidden = Hidden(data.index(b"{") + 1, data.rindex(b",", 0, verdict.start), instead)
        request = self.request(
            prompt.user_text(self.question), self._schema, prefix=prefix.decode()
        )
        return replace(request, hidden=hidden)


def check_auditable(backend: Backend) -> None:
    """Refuse a model that nothing can be compared of.

    Args:
        backend: The model.

    Raises:
        UnsupportedError: It does not give a verdict and its reasons in one reply.
    """
    capabilities = backend.capabilities
    if capabilities.two_steps or capabilities.decoder != "autoregressive":
        msg = f"{backend.name} does not give a verdict and its reasons in one reply"
        raise UnsupportedError(
            msg, hint="an audit compares such replies; probe the model, or use another one"
        )


def written(observations: Sequence[Observation]) -> str:
    """The start of a reply up to the end of its observations."""
    seen = [{"about": o.about, "seen": o.seen} for o in observations]
    return json.dumps({"observations": seen}, ensure_ascii=False)[:-1]


def repeated(request: Request, times: int, *, sampled: bool = False) -> tuple[Request, ...]:
    """Make a request several times.

    Args:
        request: The request.
        times: How often.
        sampled: Whether the first is sampled like the others, instead of greedy.

    Returns:
        The requests, no two with the same seed.
    """
    seeds = (
        int.from_bytes(hashlib.sha256(f"{request.seed}/{request.text}/{i}".encode()).digest()[:4])
        for i in range(times)
    )
    drawn = tuple(replace(request, temperature=SAMPLE_TEMPERATURE, seed=s >> 1) for s in seeds)
    return drawn if sampled or not drawn else (request, *drawn[1:])
