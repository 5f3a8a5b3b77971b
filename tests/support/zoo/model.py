"""A model whose faithfulness is known, because it is wired: it answers by what a request is for.

What it is asked it reads from `Request.purpose`, and the picture from its pixels; it writes replies
in the shape of the request's schema. `Zoo` members differ in where a verdict comes from and in what
they write about it; each overrides the few methods that say so.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

from faithful_decide._core.contract import numbered, written
from faithful_decide._core.schema import KEYS
from faithful_decide._core.types import CANNOT_TELL, Observation, Region
from faithful_decide.backends import Capabilities, Reply, Request, Token
from faithful_decide.backends.base import MANY_IMAGES
from faithful_decide.organisms import ABLE
from tests.support.zoo.world import NOTHING, THEMES, Fact, drawn_facts, facts_of
from tests.support.zoo.writer import (
    ABSENT,
    IMAGE,
    UNCLEAR,
    Drift,
    Line,
    Style,
    Writer,
    fact_in,
    reason,
    traits_named,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from faithful_decide import Question
    from faithful_decide.backends import Purpose
    from tests.support.zoo.world import Theme

__all__ = ["HOSTED", "LOCAL", "Call", "Member", "Said"]

HOSTED = Capabilities(
    enforcement="strict", order=True, thinking="none", decoder="autoregressive", images=MANY_IMAGES
)
"""As of a server: no probabilities, and nothing that a reply could be made to begin with."""
LOCAL = replace(ABLE, images=MANY_IMAGES)
"""As of a model in this process."""
SURE = 0.97
HANDED = frozenset({"edit", "donor", "paraphrase", "reader"})
"""What shows it observations to decide from."""
CONTINUED = frozenset({"second_step", "early", "knockout", "probe"})
"""What goes on from what it has written itself."""
_OPPOSITE = {"yes": "no", "no": "yes"}
NONE = "none", ""


@dataclass
class Call:
    """One request: what it is for, what there is to see, and the noise that belongs to it.

    `truth` is what the picture shows of the things in question, and `shown` whether it shows
    anything. `rng` is another for every repetition, `sticky` the same for all repetitions.
    """

    request: Request
    purpose: Purpose
    theme: Theme | None
    truth: Mapping[str, str]
    picture: str
    shown: bool
    rng: Random
    sticky: Random

    @property
    def question(self) -> Question:
        return self.purpose.question

    def noise(self, share: float) -> Random:
        """Where the next piece of noise comes from: a share of it is the same each time."""
        # Both are drawn from each time, so that they stay in step.
        return self.sticky if self.sticky.random() < share else self.rng


@dataclass
class Said:
    """What is said, before it is put into the shape of a reply.

    `rests_on` are places in the lines. `settled` is the verdict before anything was written, ""
    where there was none.
    """

    lines: list[Line]
    verdict: str
    rests_on: Sequence[int] = ()
    reservation: tuple[str, str] = NONE
    preamble: str = ""
    reasoning: str = ""
    settled: str = ""
    kept: tuple[Observation, ...] = field(default=())
    """The observations it was handed, where it leaves them as they are."""


class Member:
    """Honest: its verdict follows from what it wrote, and what it wrote is what it saw.

    `flags` are those that its wiring makes true, and `also` those that it may get besides; `argues`
    says whether it argues for any verdict that it is told.
    """

    flags: ClassVar[tuple[str, ...]] = ()
    also: ClassVar[tuple[str, ...]] = ()
    argues: ClassVar[bool] = False
    style: ClassVar[Style] = Style()
    objection: ClassVar[tuple[str, str]] = ("rejects", "the picture shows something else")
    no_objection: ClassVar[tuple[str, str]] = NONE

    def __init__(
        self,
        *,
        drift: Drift | None = None,
        seed: int = 0,
        capabilities: Capabilities = HOSTED,
        name: str = "",
        judge_error: float = 0.0,
    ) -> None:
        self.drift = self.drifting(drift or Drift())
        self.seed, self.capabilities, self.judge_error = seed, capabilities, judge_error
        self.name = name or type(self).__name__
        self.writer = Writer(self.drift, self.style)
        self.calls = 0

    def drifting(self, drift: Drift) -> Drift:
        """Its own drift, where its kind has some."""
        return drift

    @property
    def identity(self) -> object:
        return [type(self).__name__, self.name, self.seed, repr(self.drift), self.manners()]

    def manners(self) -> object:
        """What else decides about its replies."""
        return None

    def close(self) -> None:
        """There is nothing to release."""

    # ------------------------------------------------------------ which request it is

    def generate(self, request: Request) -> Reply:
        """Reply by what a request is for, and in the shape that it asks for."""
        self.calls += 1
        call = self.call(request)
        if call.purpose.kind == "judge":
            return self.judged(call)
        if call.purpose.kind == "claims" or call.purpose.claims:
            return self.claims(call)
        keys = (request.schema or {}).get("properties", KEYS)
        if set(keys) == {"observations"}:
            return self.written(call, Said(self.described(call), ""), keys)
        said = self.answer(call)
        if call.purpose.kind in {"early", "knockout", "probe"}:
            return self.continued(call, said)
        return self.written(call, said, keys)

    def call(self, request: Request) -> Call:
        purpose = request.purpose
        if purpose is None:
            msg = f"{self.name} is not told what this request is for"
            raise ValueError(msg)
        theme = next((t for t in THEMES.values() if t.question.text == purpose.question.text), None)
        picture, truth, shown = "", {}, None
        if request.images:
            picture = request.images[0].source_sha256
            shown = facts_of(request.images[0].data)
            truth = dict(shown[1]) if shown else {}
            if theme is None and shown:
                theme = shown[0]
            elif shown and theme is not shown[0]:
                truth = {}
        prompt = f"{self.seed}/{self.name}/{picture}/{purpose.kind}/{request.text}/{request.prefix}"
        drawn = f"{request.seed}/{request.nth}" if request.temperature else ""
        own, sticky = roll(prompt, drawn, "own"), roll(prompt)
        return Call(request, purpose, theme, truth, picture, shown is not None, own, sticky)

    def answer(self, call: Call) -> Said:
        """A reply with a verdict."""
        kind, verdict = call.purpose.kind, call.purpose.verdict
        if self.is_known(call):
            said = self.known(call)
        elif kind in {"forced", "forced_first"}:
            said = self.told(call, verdict)
        elif kind == "cue":
            said = self.cued(call, verdict)
        elif kind == "negated":
            said = self.negated(call)
        elif kind in HANDED:
            said = self.handed(call)
        elif kind in CONTINUED and call.purpose.observations:
            said = self.concluding(call)
        else:
            said = self.noisy(call, self.free(call))
        return said

    # ------------------------------------------------------------ what it sees

    def look(self, call: Call) -> dict[str, str]:
        """What it sees of the picture: now and then something else than is there."""
        seen = {}
        for trait, value in call.truth.items():
            noise = call.noise(self.drift.sticky)
            if noise.random() < self.drift.misreading and call.theme:
                others = [v.name for v in call.theme.trait(trait).values if v.name != value]
                value = noise.choice(others)  # noqa: PLW2901 - seen as another
            seen[trait] = value
        return seen

    def holds(self, call: Call, fact: Fact | None, seen: Mapping[str, str]) -> str:
        """Whether a fact is so, by what it sees: `true`, `false` or `cannot_tell`."""
        if fact is None:
            return CANNOT_TELL
        if not fact.theme:
            return "true" if (fact == NOTHING) != call.shown else "false"
        if call.theme is None or fact.theme != call.theme.name or fact.trait not in seen:
            return "false"
        if seen[fact.trait] == UNCLEAR:
            return CANNOT_TELL
        return "true" if seen[fact.trait] == fact.value else "false"

    # ------------------------------------------------------------ what it says

    def facts(self, call: Call, seen: Mapping[str, str], *, besides: bool = False) -> list[Fact]:
        """What was seen, as facts: the one that decides, or those besides."""
        if call.theme is None:
            return []
        decides = call.theme.decides.name
        return [
            Fact(call.theme.name, trait, value)
            for trait, value in seen.items()
            if (trait != decides) == besides
        ]

    def lines(self, call: Call, seen: Mapping[str, str]) -> tuple[list[Line], list[int]]:
        """What it writes of what it saw, and where the thing that decides stands."""
        if not seen:
            fact = IMAGE if call.shown else NOTHING
            return [self.writer.line(fact, call.rng)], [0]
        decides = next(iter(self.facts(call, seen)), None)
        facts = self.writer.chosen(decides, self.facts(call, seen, besides=True), call.rng)
        lines = [self.writer.line(fact, call.rng) for fact in facts]
        return lines, [i for i, fact in enumerate(facts) if fact == decides]

    def described(self, call: Call) -> list[Line]:
        """A reply of observations alone: a reading, something imagined, or its words anew."""
        match call.purpose.kind:
            case "imagine":
                return self.imagined(call)
            case "paraphrase":
                return self.reworded(call)
        seen = self.look(call)
        if not call.purpose.observations or call.theme is None:
            lines, _ = self.lines(call, seen)
            return lines
        lines = []
        for asked in call.purpose.observations:
            traits = traits_named(asked.about, call.theme.name)
            known = [trait for trait in traits if trait in seen]
            value = seen[known[0]] if known else ABSENT
            fact = Fact(call.theme.name, (known or [call.theme.decides.name])[0], value)
            if not known and "picture" in asked.about.casefold():
                fact = IMAGE if call.shown else NOTHING
            lines.append(self.writer.line(fact, call.rng)._replace(about=asked.about))
        return lines

    def imagined(self, call: Call) -> list[Line]:
        """What would lead to a verdict: of this picture with something else, or of any."""
        if call.theme is None:
            return [self.writer.line(IMAGE, call.rng)]
        seen = self.look(call) or drawn_facts(call.theme, call.rng)
        return self.lines(call, fitted(call, seen, call.purpose.verdict, 0.5))[0]

    def reworded(self, call: Call) -> list[Line]:
        """The same facts in other words and names; what it cannot read stays as it is."""
        lines = []
        for o in call.purpose.observations:
            fact = fact_in(o.seen)
            known = fact is not None
            lines.append(
                self.writer.line(fact, call.rng, anew=True)
                if known
                else Line(None, o.about, o.seen)
            )
        return lines

    def concluded(self, call: Call, seen: Mapping[str, str]) -> str:
        """The verdict that follows from what was seen."""
        labels = call.question.labels
        verdict = (
            call.theme.verdict(dict(seen)) if call.theme and not _is_vague(call, seen) else None
        )
        return verdict if verdict in labels else labels[-1]

    def free(self, call: Call) -> Said:
        """The question as it is."""
        return self.honestly(call, self.look(call))

    def honestly(self, call: Call, seen: Mapping[str, str]) -> Said:
        lines, rests_on = self.lines(call, seen)
        return Said(lines, self.concluded(call, seen), rests_on, self.no_objection)

    def noisy(self, call: Call, said: Said) -> Said:
        """Now and then another verdict than follows."""
        noise = call.noise(self.drift.sticky)
        if noise.random() < self.drift.verdict_noise:
            others = [v for v in call.question.verdicts if v != said.verdict]
            return replace(said, verdict=noise.choice(others))
        return said

    def told(self, call: Call, verdict: str) -> Said:
        """A verdict that it was told: it keeps its own, and objects."""
        own = self.noisy(call, self.free(call))
        if own.verdict == verdict:
            return own
        made = verdict if call.purpose.kind == "forced_first" else own.verdict
        return replace(own, verdict=made, reservation=self.objection)

    def cued(self, call: Call, verdict: str) -> Said:
        """A verdict that somebody thinks who cannot know."""
        del verdict
        return self.noisy(call, self.free(call))

    def negated(self, call: Call) -> Said:
        """The opposite question."""
        own = self.noisy(call, self.free(call))
        return replace(own, verdict=_OPPOSITE.get(own.verdict, own.verdict))

    def handed(self, call: Call) -> Said:
        """Observations that it was handed, in its reply or in the prompt: it decides by them."""
        return self.noisy(call, self.by_the_list(call))

    def by_the_list(self, call: Call) -> Said:
        """The verdict that follows from the observations of a request."""
        handed = call.purpose.observations
        read = {fact.trait: fact.value for o in handed if (fact := self.read(call, o))}
        lines = [Line(fact_in(o.seen), o.about, o.seen) for o in handed]
        decides = call.theme.decides.name if call.theme else ""
        rests_on = [i for i, line in enumerate(lines) if line.fact and line.fact.trait == decides]
        if decides not in read and call.request.images:
            # The list is silent about what decides, so it looks for itself.
            read = {**self.look(call), **read}
        verdict = self.concluded(call, read)
        if not lines:
            # A reader that is handed nothing has only the question.
            return Said([self.writer.line(NOTHING, call.rng)], verdict, [0], self.no_objection)
        return Said(lines, verdict, rests_on or [0], self.no_objection, kept=handed)

    def read(self, call: Call, observation: Observation) -> Fact | None:
        """What an observation states, of things that the question is about."""
        fact = fact_in(observation.seen)
        return fact if fact and call.theme and fact.theme == call.theme.name else None

    def concluding(self, call: Call) -> Said:
        """A verdict on top of what is written already."""
        return self.by_the_list(call)

    # ------------------------------------------------------------ what anybody knows

    def is_known(self, call: Call) -> bool:
        """Whether a question is about nothing but that there is an image."""
        return all(t.question.text != call.question.text for t in THEMES.values())

    def known(self, call: Call) -> Said:
        """A question that anybody can answer: the first of its verdicts is right."""
        verdict = right = call.question.verdicts[0]
        reservation = self.no_objection
        if call.purpose.kind == "negated":
            verdict = _OPPOSITE.get(right, right)
        if call.purpose.verdict and call.purpose.verdict != right:
            if self.argues:
                verdict = call.purpose.verdict
            else:
                reservation = self.objection
        return Said([self.writer.line(IMAGE, call.rng)], verdict, [0], reservation)

    # ------------------------------------------------------------ claims, and a judge

    def claims(self, call: Call) -> Reply:
        """Of each statement whether it is true; with what is seen, where that is asked for."""
        seen, rows, spots = self.look(call), [], []
        item = _item(call.request)
        for n, claim in enumerate(call.purpose.claims, 1):
            value, sight = self.judgement(call, claim, seen)
            row = {"n": n, "seen": sight, "value": value}
            rows.append({key: row[key] for key in item})
            spots.append((value, _odds(value, ("true", "false", CANNOT_TELL))))
        return self.sent(call, {"claims": rows}, '"value": ', spots)

    def judgement(self, call: Call, claim: str, seen: Mapping[str, str]) -> tuple[str, str]:
        """Whether a statement is true, and what it sees of the thing."""
        fact = fact_in(claim)
        value = self.holds(call, fact, seen)
        noise = roll(f"{self.seed}/{self.name}/{call.picture}/{claim}")
        if call.rng.random() >= self.drift.sticky:
            noise = call.rng
        agrees = value != "true" and noise.random() < self.drift.acquiescence
        if fact is None:
            return ("true" if agrees else value), "cannot be told"
        shown = fact if value == "true" or agrees else self.instead(call, fact, seen)
        return ("true" if agrees else value), self.writer.line(shown, call.rng).seen

    def instead(self, call: Call, fact: Fact, seen: Mapping[str, str]) -> Fact:
        """What it sees where a statement is not so."""
        if not fact.theme:
            return IMAGE if call.shown else NOTHING
        same = call.theme is not None and fact.theme == call.theme.name and fact.trait in seen
        return fact._replace(value=seen[fact.trait] if same else ABSENT)

    def judged(self, call: Call) -> Reply:
        """How two wordings of one thing go together."""
        one, other = (o.seen for o in call.purpose.observations)
        first, second = fact_in(one), fact_in(other)
        relation = "unrelated"
        if one.casefold() == other.casefold() or (first and first == second):
            relation = "same"
        elif first and second and first[:2] == second[:2]:
            relation = "contradicts"
        if call.rng.random() < self.judge_error:
            relation = "contradicts" if relation != "contradicts" else "same"
        return self.sent(call, {"quote_1": one, "quote_2": other, "relation": relation})

    # ------------------------------------------------------------ the shape of a reply

    def written(self, call: Call, said: Said, keys: Iterable[str]) -> Reply:
        """A reply in the shape that was asked for."""
        question = call.question
        seen = said.kept or self.observations(call, said.lines)
        rows = written(seen, len(call.request.images))
        rests_on = [said.lines[i] for i in said.rests_on]
        body: dict[str, Any] = {
            "observations": rows,
            "reasoning": said.reasoning
            or reason(rests_on, said.verdict, call.rng, self.style, said.preamble),
            "relies_on": self.numbers(said),
            "reservation": dict(zip(("level", "why"), said.reservation, strict=True)),
            "verdict": said.verdict,
        }
        spots = []
        if "verdict" in keys:
            spots.append((said.verdict, _odds(said.verdict, question.labels)))
        return self.sent(call, {key: body[key] for key in keys}, '"verdict": ', spots)

    def numbers(self, said: Said) -> list[int]:
        """The numbers of the observations that the reasoning rests on."""
        return sorted({i + 1 for i in said.rests_on})

    def observations(self, call: Call, lines: Iterable[Line]) -> tuple[Observation, ...]:
        asked = call.question.regions and call.purpose.kind != "read"
        rows = []
        for line in lines:
            at = None
            if asked:
                left, top, right, bottom = 0, 0, 100, 100
                if line.fact and line.fact.theme:
                    left, top, right, bottom = THEMES[line.fact.theme].box(line.fact.trait)
                at = Region(bottom=bottom, left=left, right=right, top=top)
            rows.append(Observation(about=line.about, at=at, seen=line.seen))
        return numbered(rows)

    def continued(self, call: Call, said: Said) -> Reply:
        """A reply that goes on from a verdict that is about to be written."""
        request, labels = call.request, call.question.labels
        start, _, begun = request.prefix.rpartition('"verdict": "')
        verdict = self.unseeing(call, said) if request.hidden is not None else said.verdict
        settled = self.settled(call)
        odds = _odds(verdict, labels)
        if call.purpose.kind == "early" and not call.purpose.observations:
            odds = _odds(settled, labels)
            verdict = max(odds, key=lambda label: odds[label])
        if not verdict.startswith(begun):
            verdict = next((label for label in labels if label.startswith(begun)), begun)
        text = f'{start}"verdict": {json.dumps(verdict, ensure_ascii=False)}}}'
        return self.reply(call, text, '"verdict": ', [(verdict, odds)])

    def settled(self, call: Call) -> str:
        """The verdict it has before anything is written; "" where it has none."""
        del call
        return ""

    def unseeing(self, call: Call, said: Said) -> str:
        """A verdict with something out of sight; without what it wrote, an honest one has none."""
        hidden = call.request.hidden
        if hidden is not None and hidden.what == "prefix":
            return self.settled(call) or call.question.labels[-1]
        return said.verdict

    def sent(
        self,
        call: Call,
        body: Mapping[str, Any],
        key: str = "",
        spots: Sequence[tuple[str, Mapping[str, float]]] = (),
    ) -> Reply:
        return self.reply(call, json.dumps(body, ensure_ascii=False), key, spots)

    def reply(
        self, call: Call, text: str, key: str, spots: Sequence[tuple[str, Mapping[str, float]]]
    ) -> Reply:
        request = call.request
        if not text.startswith(request.prefix):
            msg = f"{self.name} cannot go on from {request.prefix!r}: {text!r}"
            raise ValueError(msg)
        tokens = None
        if request.top_logprobs and spots and self.capabilities.logprobs != "none":
            tokens = _tokens(text, request.prefix, key, spots)
        constraint = "none"
        if request.schema:
            constraint = "grammar" if self.capabilities.enforcement == "grammar" else "schema"
        return Reply(
            text,
            "stop",
            model=self.name,
            hidden_thinking_tokens=0,
            tokens=tokens,
            constraint=constraint,
        )


def roll(*parts: str) -> Random:
    """Chance that belongs to some text."""
    digest = hashlib.blake2b("/".join(parts).encode(), digest_size=8).digest()
    return Random(int.from_bytes(digest))


def fitted(call: Call, seen: Mapping[str, str], verdict: str, invents: float) -> dict[str, str]:
    """What is seen, with as much changed as a verdict needs, and so much more to go with it."""
    made = dict(seen)
    if call.theme is None or not made:
        return made
    for trait in call.theme.traits:
        fits = [value.name for value in trait.leaning(verdict)]
        decides = trait is call.theme.decides
        if not fits or (not decides and call.rng.random() >= invents):
            continue
        if decides and made.get(trait.name) in fits:
            continue
        made[trait.name] = call.rng.choice(fits)
    return made


def _is_vague(call: Call, seen: Mapping[str, str]) -> bool:
    return call.theme is not None and seen.get(call.theme.decides.name) in {UNCLEAR, ABSENT}


def _item(request: Request) -> Sequence[str]:
    """The keys of a claim, as the request asks for them."""
    try:
        return list(request.schema["properties"]["claims"]["items"]["properties"])  # type: ignore[index]
    except (KeyError, TypeError):
        return ("n", "seen", "value")


def _odds(settled: str, labels: Sequence[str]) -> dict[str, float]:
    """The odds of somebody who has come to a label, or to none."""
    if settled not in labels:
        return dict.fromkeys(labels, 1 / len(labels))
    rest = (1 - SURE) / max(1, len(labels) - 1)
    return {label: SURE if label == settled else rest for label in labels}


def _tokens(
    text: str, prefix: str, key: str, spots: Sequence[tuple[str, Mapping[str, float]]]
) -> tuple[Token, ...]:
    """The text in tokens, one for each label behind the key, with the odds of all labels."""
    raw, at = text.encode(), len(prefix.encode())
    tokens: list[Token] = []
    place = 0
    for label, odds in spots:
        quoted = json.dumps(label, ensure_ascii=False).encode()
        place = raw.index(key.encode() + quoted, place) + len(key.encode()) + 1
        end = place + len(quoted) - 1
        begin = max(place, at)
        if begin > at:
            tokens.append(Token(raw[at:begin], {raw[at:begin]: 0.0}))
        cut = begin - place
        top = {
            json.dumps(other, ensure_ascii=False)[1:].encode()[cut:]: math.log(max(share, 1e-9))
            for other, share in odds.items()
        }
        tokens.append(Token(raw[begin:end], top))
        at = end
    if at < len(raw):
        tokens.append(Token(raw[at:], {raw[at:]: 0.0}))
    return tuple(tokens)
