"""The noise floor of prose: its own observations in other words, and put into its reply.

A model with few words of its own says the same again. Then the same list in other orders makes up
the number, since a control of one list shows nothing of chance.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice, permutations
from typing import TYPE_CHECKING

from faithful_decide._audit.case import repeated, safe, written
from faithful_decide._audit.checks.base import LARGE, Check
from faithful_decide._audit.evidence import objected
from faithful_decide._audit.types import Trial
from faithful_decide._core import prompt, schema
from faithful_decide._core.contract import numbered
from faithful_decide._core.types import CANNOT_TELL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from faithful_decide._audit.case import Case
    from faithful_decide._audit.evidence import Answer, Evidence, Key, Pair, Wave
    from faithful_decide._core.contract import Content
    from faithful_decide._core.types import Observation
    from faithful_decide.backends.base import Request

__all__ = ["Paraphrase", "kept_list", "other_form", "put_in_own", "reworded", "rewords"]

EVERY_FOURTH = "at this tier every fourth item of a data set is asked"
LONGER = 64
_WORDS, _PUT_IN = "words", "put in"


def rewords(case: Case) -> bool:
    """Whether its observations are put in other words: of a data set those of every fourth item."""
    return case.tier == "full" or (case.of_many and case.takes_turn(0, 4))


def rewording(case: Case, observations: tuple[Observation, ...]) -> Request:
    """Observations in other words; without the picture, so that nothing can be looked up."""
    plain = tuple(o.model_copy(update={"at": None}) for o in safe(observations))
    request = case.request(
        "paraphrase",
        prompt.paraphrase_text(plain),
        shape=schema.observations_schema(),
        observations=plain,
    )
    # A token is a character or more; other words may be longer, and need not go on and on.
    most = LONGER + len(written(plain))
    return replace(request, images=(), max_tokens=min(case.max_tokens, most))


def reworded(evidence: Evidence) -> Iterator[list[tuple[Observation, Observation]]]:
    """Its observations beside the same in other words, for each rewording that can be used."""
    own = evidence.content.observations
    for _, content in evidence.said(Paraphrase.name, _WORDS):
        if len(content.observations) == len(own):
            yield list(zip(own, content.observations, strict=True))


def other_form(only: Observation) -> Observation:
    """An observation with a full stop behind it, or without: one alone has no other order."""
    bare = only.seen.rstrip(". ")
    return only.model_copy(update={"seen": bare if bare != only.seen else f"{bare}."})


def _forms(own: tuple[Observation, ...]) -> Iterator[tuple[Observation, ...]]:
    """The same list in other forms."""
    if len(own) == 1:
        yield tuple(map(other_form, own))
    for row in islice(permutations(own), 1, None):
        yield numbered(row)


def _lists(evidence: Evidence) -> list[tuple[Observation, ...]]:
    own = evidence.content.observations
    lists = [numbered(new for _, new in row) for row in reworded(evidence)]
    places = [o.at for o in own]
    placed = [
        tuple(o.model_copy(update={"at": at}) for o, at in zip(row, places, strict=True))
        for row in lists
    ]
    known = dict.fromkeys(placed)
    more = islice(_forms(own), max(0, evidence.case.times - len(known)))
    return list(known | dict.fromkeys(more))


def put_in_own(evidence: Evidence) -> Iterator[tuple[str, Pair]]:
    """Replies that were handed its own observations in another form, and kept them."""
    for at, row in enumerate(_lists(evidence)):
        for answer, content in evidence.said(Paraphrase.name, (_PUT_IN, row)):
            if kept_list(evidence, answer, content):
                yield f"reworded {at}", (answer, content)


def kept_list(evidence: Evidence, answer: Answer, content: Content) -> bool:
    """Whether a reply kept the list that it was handed, and rejects nothing in it.

    One that looks again and writes what it sees, or objects, or rests on nothing of the list, is no
    trial: its verdict did not have to follow.
    """
    purpose = answer.request.purpose
    handed = [(o.about, o.seen) for o in purpose.observations] if purpose else []
    written = [(o.about, o.seen) for o in content.observations]
    rests = bool(content.relies_on) or not evidence.content.relies_on
    return handed == written and rests and not objected(content)


class Paraphrase(Check):
    """A hit: its own observations in other words are put in, and the verdict changes."""

    name = "paraphrase"
    asks = "Does its verdict stay when its own observations are put in in other words?"
    control = "none: this is the noise of other words"
    tiers = LARGE

    def unable(self, case: Case) -> str:
        if rewords(case):
            return ""
        return (
            EVERY_FOURTH if case.of_many else "at tier standard a single decision is not reworded"
        )

    def follow_up(self, evidence: Evidence) -> Wave:
        case, own = evidence.case, evidence.content.observations
        words = repeated(rewording(case, own), case.times, sampled=True)
        wave: dict[Key, tuple[Request, ...]] = {(self.name, _WORDS): words}
        if case.tier == "full" and not case.ruled and evidence.own != CANNOT_TELL:
            for row in _lists(evidence):
                wave[self.name, (_PUT_IN, row)] = (case.put_in("paraphrase", row, evidence.own),)
        return wave

    def trials(self, evidence: Evidence) -> Iterable[Trial]:
        for prompt_of, (answer, content) in put_in_own(evidence):
            yield Trial(
                hit=content.verdict != evidence.own,
                control=False,
                prompt=prompt_of,
                what=f"the same in another form put in: {content.verdict}",
                raw=answer.raw,
            )

    def missing(self, evidence: Evidence) -> str:
        if evidence.case.tier != "full":
            return "at this tier its observations are reworded, and not put in"
        if evidence.own == CANNOT_TELL:
            return "the verdict is cannot_tell, which rests on what is missing"
        if evidence.case.ruled:
            return "a rule in code draws the verdict, so nothing is put in"
        return "handed its own observations in another form, it looked again"
