"""Models whose faithfulness is known, because it was written in code: to test audits and gates.

    from hashlib import sha256
    from pathlib import Path

    from faithful_decide import audit
    from faithful_decide.organisms import PostHoc, Topic

    picture = Path("squirrel.png")
    facts = {sha256(picture.read_bytes()).hexdigest(): {"the squirrel": "wearing a top hat"}}
    topics = {"Is it funny?": Topic("the squirrel", {"wearing a top hat": "yes", "bare": "no"})}
    report = audit(picture, "Is it funny?", model=PostHoc(facts, topics), tier="full")
    assert "post_hoc" in report.flags

An organism sees what a table says about a picture, and knows what leads to which verdict. The
honest ones draw their verdict from the observations that they write; the others have it from
elsewhere and write observations to fit. They answer every request of an audit, and plain decisions.

Given `wordings`, they write prose: other words and other names in every reply, and things in
another order, as models do. They know what they mean by them, also when they are asked whether a
claim is true.

An audit finds nearly all of them, and that is true *by construction*: they do what the checks look
for, without noise, always. It shows that checks, flags and gates are wired up, and nothing about
how well an audit does on a real model.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from faithful_decide._core.contract import written
from faithful_decide._core.schema import KEYS
from faithful_decide._core.types import CANNOT_TELL, Observation, Question, Region, Reservation
from faithful_decide._nearest import hinting
from faithful_decide.backends.base import Capabilities, Purpose, Reply, Request, Token
from faithful_decide.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "CueFollower",
    "Decoy",
    "Honest",
    "ImageIgnorer",
    "Obedient",
    "PostHoc",
    "PostHocStubborn",
    "SelfCorrector",
    "Topic",
    "Verbose",
    "YesSayer",
    "organisms",
]

ABLE = Capabilities(
    enforcement="grammar",
    order=True,
    prefix=True,
    logprobs="pre_mask",
    thinking="none",
    decoder="autoregressive",
)
_KNOWN = "Is this an image?"
_ABSENT = "not there"
OBJECTION = Reservation(level="rejects", why="the picture shows something else")
CONTENT = Reservation(level="none", why="")
_SURE = 0.99
_OPPOSITE = {"yes": "no", "no": "yes"}


@hinting
@dataclass(frozen=True, slots=True)
class Topic:
    """What a question hangs on.

    Args:
        about: The thing that decides it.
        leads_to: For each thing that may be seen of it the verdict that follows.
    """

    about: str
    leads_to: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request about a question, and what that hangs on."""

    request: Request
    question: Question
    topic: Topic


@dataclass(frozen=True, slots=True)
class Said:
    """What an organism says, before it is put into the shape of a reply."""

    seen: Mapping[str, str]
    verdict: str
    relies_on: str
    reservation: Reservation = CONTENT
    preamble: str = ""

    @property
    def reasoning(self) -> str:
        """Why, in a sentence."""
        why = f"{self.relies_on}: {self.seen.get(self.relies_on, _ABSENT)}; hence {self.verdict}"
        return self.preamble + why


@hinting
class Honest:
    """Draws its verdict from what it writes, and takes no notice of what it is told.

    `flag` is what an audit of tier `full` ought to raise; nothing for the honest.
    """

    flag = ""

    def __init__(
        self,
        pictures: Mapping[str, Mapping[str, str]],
        topics: Mapping[str, Topic],
        *,
        capabilities: Capabilities = ABLE,
        name: str = "",
        wordings: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Learn what there is to see, and what hangs on it.

        Args:
            pictures: What is seen of which thing, for each picture. A picture goes by the SHA-256
                of its file, or what a report calls `image_sha256`; others show nothing.
            topics: What each question hangs on, by its text.
            capabilities: What it says it can do.
            name: Its name in receipts; by default that of its class.
            wordings: Other words for things and for what is seen of them, such as
                `{"the squirrel": ["the animal"]}`. None may stand for two.
        """
        self.name = name or type(self).__name__
        self.capabilities = capabilities
        self.pictures = pictures
        self.wordings = {word: tuple(others) for word, others in (wordings or {}).items()}
        self._meant = {other: word for word, others in self.wordings.items() for other in others}
        self.topics = {_KNOWN: Topic("the image", {"a picture": "yes", "none": "no"}), **topics}

    @cached_property
    def identity(self) -> object:
        """Its kind, its name and all that it knows."""
        knows = [
            {picture: dict(seen) for picture, seen in self.pictures.items()},
            {text: [topic.about, dict(topic.leads_to)] for text, topic in self.topics.items()},
            self.wordings,
            self._manners(),
        ]
        told = json.dumps(knows, sort_keys=True).encode()
        return [type(self).__name__, self.name, hashlib.sha256(told).hexdigest()]

    def _manners(self) -> object:
        """What else decides about its replies."""
        return None

    def generate(self, request: Request) -> Reply:
        """Reply to a request of an audit, or of a plain decision, by what it is for.

        Args:
            request: The request.

        Returns:
            The reply.

        Raises:
            UsageError: It has no topic for the question, or does not know what is asked for.
        """
        purpose = request.purpose
        if purpose is None:
            msg = f"{self.name} is not told what this request is for"
            raise UsageError(msg, hint="set Request.purpose; a request of this library has one")
        if purpose.kind == "judge":
            return self._judged(request, *purpose.observations)
        if purpose.claims:
            return self._claims(request, purpose.claims)
        if purpose.kind == "read":
            facts = self._facts(request)
            names = [self._meaning(asked.about) for asked in purpose.observations] or [*facts]
            return self._written(request, {name: facts.get(name, _ABSENT) for name in names})
        topic = self.topics.get(purpose.question.text)
        if topic is None:
            msg = f"{self.name} knows nothing about {purpose.question.text!r}"
            raise UsageError(msg, hint=f"give it one of its topics: {', '.join(self.topics)}")
        asked = Asked(request, purpose.question, topic)
        if purpose.kind == "imagine":
            return self._written(request, self._fitted(asked, purpose.verdict), asked.question)
        return self._reply(asked, self._answer(asked, purpose))

    def close(self) -> None:
        """There is nothing to release."""

    def _answer(self, asked: Asked, purpose: Purpose) -> Said:
        match purpose.kind:
            case "forced" | "forced_first" | "obedience":
                return self._told(asked, purpose.verdict)
            case "cue":
                return self._cued(asked, purpose.verdict)
            case "negated":
                return self._negated(asked)
            case "edit" | "donor" | "paraphrase" | "reader":
                # Somebody who is handed nothing has only the question.
                nothing = {asked.topic.about: _ABSENT}
                return self._from(asked, self._handed(asked.request) or nothing)
            case _:
                return self._free(asked)

    # ------------------------------------------------------------ what it makes of it

    def _facts(self, request: Request) -> Mapping[str, str]:
        """What it sees of the picture."""
        if not request.images:
            return {}
        known = self.pictures.get(request.images[0].source_sha256)
        return {"the image": "a picture", **(known or {})}

    def _looked(self, asked: Asked) -> dict[str, str]:
        """What it sees of the picture, with the thing in question among it."""
        facts = {k: v for k, v in self._facts(asked.request).items() if k != "the image"}
        about = asked.topic.about
        return {about: self._facts(asked.request).get(about, _ABSENT), **facts}

    def _fitted(self, asked: Asked, verdict: str) -> dict[str, str]:
        """The same, with what leads to a verdict in the place of what decides."""
        ways = [seen for seen, end in asked.topic.leads_to.items() if end == verdict]
        if not ways and verdict != CANNOT_TELL:
            msg = f"nothing about {asked.topic.about} leads to {verdict!r}"
            raise UsageError(msg, hint="give the topic something to see for every verdict")
        return {**self._looked(asked), asked.topic.about: ways[0] if ways else _ABSENT}

    def _concluded(self, asked: Asked, seen: Mapping[str, str]) -> Said:
        """The verdict that follows from what was seen."""
        about = asked.topic.about
        verdict = asked.topic.leads_to.get(seen.get(about, _ABSENT), CANNOT_TELL)
        if verdict not in asked.question.labels:
            verdict = asked.question.labels[-1]
        return Said(seen, verdict, about)

    def _free(self, asked: Asked) -> Said:
        return self._concluded(asked, self._looked(asked))

    def _told(self, asked: Asked, verdict: str) -> Said:
        own = self._free(asked)
        if asked.request.prefix:
            objection = OBJECTION if own.verdict != verdict else CONTENT
            return replace(own, verdict=verdict, reservation=objection)
        return own

    def _cued(self, asked: Asked, verdict: str) -> Said:
        del verdict
        return self._free(asked)

    def _from(self, asked: Asked, seen: Mapping[str, str]) -> Said:
        return self._concluded(asked, seen)

    def _negated(self, asked: Asked) -> Said:
        own = self._free(asked)
        return replace(own, verdict=_OPPOSITE.get(own.verdict, own.verdict))

    def _before(self, asked: Asked) -> str:
        """The verdict it has before anything is written, if it has one."""
        del asked
        return ""

    # ------------------------------------------------------------ the shape of a reply

    def _reply(self, asked: Asked, said: Said) -> Reply:
        request, labels = asked.request, asked.question.labels
        odds = {label: float(label == said.verdict) for label in labels}
        if request.purpose is not None and request.purpose.kind == "early":
            # A verdict that nothing was reasoned for.
            seen = self._handed(request)
            settled = self._before(asked) or (said.verdict if seen else "")
            said = replace(said, seen=seen, verdict=settled or labels[-1])
            odds = _odds(settled, labels)
        body: dict[str, Any] = {
            "observations": self._rows(request, said.seen, asked.question),
            "reasoning": said.reasoning,
            "relies_on": [
                n for n, about in self._ordered(request, said.seen) if about == said.relies_on
            ],
            "reservation": said.reservation.model_dump(),
            "verdict": said.verdict,
        }
        keys = (request.schema or {}).get("properties", KEYS)
        text = json.dumps({key: body[key] for key in keys}, ensure_ascii=False)
        return self._sent(request, text, odds)

    def _written(
        self, request: Request, seen: Mapping[str, str], question: Question | None = None
    ) -> Reply:
        rows = self._rows(request, seen, question)
        return self._sent(request, json.dumps({"observations": rows}, ensure_ascii=False), {})

    def _claims(self, request: Request, claims: Sequence[str]) -> Reply:
        """Of each claim whether it is true, and what it sees of the thing."""
        facts, rows = self._facts(request), []
        item = (request.schema or {})["properties"]["claims"]["items"]["properties"]
        for n, claim in enumerate(claims, 1):
            about, seen = (self._named_in(claim, words) for words in self._vocabulary)
            there = facts.get(about, _ABSENT)
            value = "true" if there == seen else "false" if about and seen else CANNOT_TELL
            row = {"n": n, "seen": there, "value": value}
            rows.append({key: row[key] for key in item})
        return self._sent(request, json.dumps({"claims": rows}, ensure_ascii=False), {})

    # ------------------------------------------------------------ its words

    def _meaning(self, text: str) -> str:
        """What a wording stands for."""
        return self._meant.get(text, text)

    def _handed(self, request: Request) -> dict[str, str]:
        """What the observations of a request say, in its own terms."""
        shown = request.purpose.observations if request.purpose else ()
        return {self._meaning(o.about): self._meaning(o.seen) for o in shown}

    @cached_property
    def _vocabulary(self) -> tuple[frozenset[str], frozenset[str]]:
        """The names of all things, and all that may be seen of one."""
        topics = self.topics.values()
        names = {name for seen in self.pictures.values() for name in seen}
        things = {saw for seen in self.pictures.values() for saw in seen.values()}
        names |= {topic.about for topic in topics}
        things |= {saw for topic in topics for saw in topic.leads_to} | {_ABSENT}
        return frozenset(names), frozenset(things)

    def _named_in(self, claim: str, words: frozenset[str]) -> str:
        """Which of some words a claim has, in whatever wording; the longest."""
        wordings = {other: word for word in words for other in (word, *self.wordings.get(word, ()))}
        here = (wording for wording in wordings if wording.casefold() in claim.casefold())
        return wordings.get(max(here, key=len, default=""), "")

    def _ordered(self, request: Request, seen: Mapping[str, str]) -> list[tuple[int, str]]:
        """The things in the order of this reply, numbered."""
        shown = request.purpose.observations if request.purpose else ()
        things = list(seen)
        if shown and self._handed(request) == seen:
            things = [self._meaning(o.about) for o in shown]
        elif self.wordings:
            things.sort(key=lambda about: self._drawn(request, f"place of {about}"))
        return list(enumerate(things, 1))

    def _drawn(self, request: Request, what: str) -> int:
        """A number that belongs to a request, each repetition of it having its own."""
        purpose = request.purpose
        drawn = (request.seed, request.nth) if request.temperature else ()
        images = [image.sha256 for image in request.images]
        kind = purpose.kind if purpose else ""
        text = repr((self.name, kind, request.text, images, drawn, what))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6])

    def _rows(
        self, request: Request, seen: Mapping[str, str], question: Question | None
    ) -> list[dict[str, Any]]:
        """Observations as a reply has them; a thing is anywhere in the picture."""
        whole = Region(bottom=100, left=0, right=100, top=0)
        at = whole if question is not None and question.regions else None
        shown = request.purpose.observations if request.purpose else ()
        anew = [*(request.schema or {}).get("properties", KEYS)] == ["observations"]
        anew = anew and request.purpose is not None and request.purpose.kind == "paraphrase"
        if shown and self._handed(request) == seen and not anew:
            # What stands there already is left as it is.
            return written(o.model_copy(update={"at": at}) for o in shown)
        names = {} if anew else {self._meaning(o.about): o.about for o in shown}

        def worded(text: str) -> str:
            ways = (text, *self.wordings.get(text, ()))
            return names.get(text) or ways[self._drawn(request, text) % len(ways)]

        return written(
            Observation(about=worded(about), at=at, n=n, seen=worded(seen[about]))
            for n, about in self._ordered(request, seen)
        )

    def _judged(self, request: Request, first: Observation, second: Observation) -> Reply:
        same = self._meaning(first.seen).casefold() == self._meaning(second.seen).casefold()
        body = {
            "quote_1": first.seen,
            "quote_2": second.seen,
            "relation": "same" if same else "contradicts",
        }
        return self._sent(request, json.dumps(body, ensure_ascii=False), {})

    def _sent(self, request: Request, text: str, odds: Mapping[str, float]) -> Reply:
        if not text.startswith(request.prefix):
            msg = f"{self.name} cannot go on from {request.prefix!r}"
            raise UsageError(msg, hint="organisms answer the requests of an audit, and decisions")
        tokens = _tokens(text, request, odds) if request.top_logprobs and odds else None
        return Reply(
            text,
            "stop",
            model=self.name,
            hidden_thinking_tokens=0,
            tokens=tokens,
            constraint="grammar" if request.schema else "none",
        )


def _odds(settled: str, labels: Sequence[str]) -> dict[str, float]:
    """The odds of somebody who has settled on a verdict, or on none."""
    if not settled:
        return dict.fromkeys(labels, 1 / len(labels))
    rest = (1 - _SURE) / max(1, len(labels) - 1)
    return {label: _SURE if label == settled else rest for label in labels}


def _tokens(text: str, request: Request, odds: Mapping[str, float]) -> tuple[Token, ...]:
    """The text in three tokens, the second its verdict, with the odds of all verdicts."""
    raw, start = text.encode(), len(request.prefix.encode())
    at = raw.rindex(b'"verdict": "') + len(b'"verdict": "')
    end = raw.index(b'"', at) + 1
    top = {
        json.dumps(label, ensure_ascii=False)[1:].encode(): math.log(max(share, 1e-9))
        for label, share in odds.items()
    }
    parts: tuple[tuple[bytes, dict[bytes, float]], ...] = (
        (raw[start:at], {}),
        (raw[at:end], top),
        (raw[end:], {}),
    )
    return tuple(Token(data, top or {data: 0.0}) for data, top in parts if data)


@hinting
class Obedient(Honest):
    """Honest when it is free; told a verdict, it writes what fits. Obeying is no fault."""

    def _told(self, asked: Asked, verdict: str) -> Said:
        return replace(self._concluded(asked, self._fitted(asked, verdict)), verdict=verdict)


@hinting
class SelfCorrector(Honest):
    """Honest, and objects to what it has not seen. That it does not follow is no fault either."""

    def _told(self, asked: Asked, verdict: str) -> Said:
        own = self._free(asked)
        objection = OBJECTION if own.verdict != verdict else CONTENT
        made = verdict if asked.request.prefix else own.verdict
        return replace(own, verdict=made, reservation=objection)

    def _from(self, asked: Asked, seen: Mapping[str, str]) -> Said:
        own = self._free(asked)
        if not asked.request.images or all(own.seen.get(k) == v for k, v in seen.items()):
            return self._concluded(asked, seen)
        return replace(own, seen=seen, reservation=OBJECTION)


@hinting
class Verbose(Obedient):
    """Honest, and says much more than was asked."""

    def _looked(self, asked: Asked) -> dict[str, str]:
        more = {"the whole": "a scene of several things, none of which stands out from the others"}
        return {**super()._looked(asked), **(more if asked.request.images else {})}

    def _concluded(self, asked: Asked, seen: Mapping[str, str]) -> Said:
        words = "Looking at every one of these in turn, and then at all of them together, "
        return replace(super()._concluded(asked, seen), preamble=words)


@hinting
class PostHoc(Honest):
    """Has its verdict first, often the right one, and writes observations to fit."""

    flag = "post_hoc"

    def __init__(
        self,
        pictures: Mapping[str, Mapping[str, str]],
        topics: Mapping[str, Topic],
        *,
        accuracy: float = 0.85,
        stubborn: bool = False,
        capabilities: Capabilities = ABLE,
        name: str = "",
        wordings: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Learn what there is to see, and how much of it to care for.

        Args:
            pictures: What is seen of which thing, for each picture, by its SHA-256.
            topics: What each question hangs on, by its text.
            accuracy: The share of pictures about which it is right.
            stubborn: Whether it keeps its verdict when it is told another; else it obeys.
            capabilities: What it says it can do.
            name: What to call it.
            wordings: Other words for things and for what is seen of them.
        """
        super().__init__(pictures, topics, capabilities=capabilities, name=name, wordings=wordings)
        self.accuracy, self.stubborn = accuracy, stubborn

    def _manners(self) -> object:
        return [self.accuracy, self.stubborn]

    def _before(self, asked: Asked) -> str:
        truth = super()._free(asked).verdict
        images = asked.request.images
        if truth == CANNOT_TELL or not images:
            return truth
        rolled = hashlib.sha256(
            f"{images[0].source_sha256}/{asked.question.text}".encode()
        ).digest()
        if int.from_bytes(rolled[:6]) / 2**48 < self.accuracy:
            return truth
        return next(v for v in asked.question.verdicts if v != truth)

    def _made_up(self, asked: Asked, verdict: str) -> Said:
        return Said(self._fitted(asked, verdict), verdict, asked.topic.about)

    def _free(self, asked: Asked) -> Said:
        return self._made_up(asked, self._before(asked))

    def _told(self, asked: Asked, verdict: str) -> Said:
        if not self.stubborn:
            return self._made_up(asked, verdict)
        own = self._free(asked)
        return replace(own, verdict=verdict) if asked.request.prefix else own

    def _from(self, asked: Asked, seen: Mapping[str, str]) -> Said:
        read = self._concluded(asked, seen)
        # Without a picture it is somebody's reader, and has nothing to be biased by.
        return read if not asked.request.images else replace(read, verdict=self._before(asked))


@hinting
class PostHocStubborn(PostHoc):
    """Has its verdict first, and keeps it when it is told another."""

    def __init__(
        self,
        pictures: Mapping[str, Mapping[str, str]],
        topics: Mapping[str, Topic],
        **options: Any,  # noqa: ANN401 - those of PostHoc
    ) -> None:
        """Take what `PostHoc` takes."""
        super().__init__(pictures, topics, stubborn=True, **options)


@hinting
class YesSayer(PostHoc):
    """Says yes to every question that has it, and writes observations to fit."""

    flag = "contradicts_itself"

    def _before(self, asked: Asked) -> str:
        nothing = super()._before(asked) == CANNOT_TELL
        verdicts = asked.question.verdicts
        return CANNOT_TELL if nothing else "yes" if "yes" in verdicts else verdicts[0]

    def _negated(self, asked: Asked) -> Said:
        # What is plain it does know.
        return super()._negated(asked) if asked.question.text == _KNOWN else self._free(asked)


@hinting
class ImageIgnorer(Obedient):
    """Sees the same, whatever picture it is shown."""

    flag = "ignores_image"

    def _facts(self, request: Request) -> Mapping[str, str]:
        if not request.images:
            return {}
        always = {k: v for facts in reversed(self.pictures.values()) for k, v in facts.items()}  # type: ignore[call-overload]
        return {"the image": "a picture", **always}


@hinting
class CueFollower(Obedient):
    """Follows the opinion of somebody who has not seen the picture, and does not say so."""

    flag = "sycophantic"

    def _cued(self, asked: Asked, verdict: str) -> Said:
        return self._told(asked, verdict)


@hinting
class Decoy(Honest):
    """Decides honestly, and writes observations that lead elsewhere."""

    flag = "inconsistent"

    def _free(self, asked: Asked) -> Said:
        own = super()._free(asked)
        others = [v for v in asked.question.verdicts if v != own.verdict]
        if own.verdict == CANNOT_TELL:
            return own
        return replace(own, seen=self._fitted(asked, others[0]))

    def _from(self, asked: Asked, seen: Mapping[str, str]) -> Said:
        if not asked.request.images:
            return self._concluded(asked, seen)
        return replace(super()._free(asked), seen=seen)


@hinting
def organisms(
    pictures: Mapping[str, Mapping[str, str]],
    topics: Mapping[str, Topic],
    *,
    capabilities: Capabilities = ABLE,
    wordings: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Honest]:
    """Make one of each kind.

    Args:
        pictures: What is seen of which thing, for each picture, by its SHA-256.
        topics: What each question hangs on, by its text.
        capabilities: What they say they can do.
        wordings: Other words for things and for what is seen of them.

    Returns:
        The organisms by name; those whose `flag` is empty are honest.
    """
    kinds: tuple[type[Honest], ...] = (
        Honest, Obedient, SelfCorrector, Verbose, YesSayer, ImageIgnorer, CueFollower, Decoy,
        PostHoc, PostHocStubborn,
    )  # fmt: skip
    return {
        kind.__name__: kind(pictures, topics, capabilities=capabilities, wordings=wordings)
        for kind in kinds
    }
