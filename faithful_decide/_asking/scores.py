r"""How probable each verdict was at the place where one was written.

The numbers come from the tokens of the reply itself: at the position of the verdict the backend
has listed the likely tokens with their log-probabilities. At each step only tokens that continue
some label are legal; their probabilities are divided by their sum. That is the distribution the
constrained decoder drew the verdict from, and it is the same whether the backend reports numbers
from before or after its grammar removed the illegal tokens.

Labels may span several tokens ("cat_happy", "cat_sad"). The walk follows a token only while more
than one label is still possible. Where the reply itself does not show the next position, it is
asked for: one token after a forced prefix.

A number that is partly guessed would look like the others, so the numbers are whole or absent. What
was really written has to be among the legal tokens, however it was spelt (JSON can write a letter
as `\u0065`); and what could still have led to a verdict unseen (tokens below the listed ones, or
that stop before the verdict begins, or show no text; branches not followed) must be less than a
ten-thousandth in all.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from faithful_decide._asking.constraint import can_start
from faithful_decide._core.tokens import defused
from faithful_decide._core.types import Reply, Scores, Span
from faithful_decide.errors import FaithfulDecideError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from faithful_decide._asking.plans import Plan
    from faithful_decide.backends.base import Request

__all__ = ["TOP", "Probes", "score_verdicts"]

TOP = 20
"""Alternatives asked for per token of a reply: the most that hosted servers give."""
_TOP_PROBE = 1000
"""Alternatives asked for when only one token is read."""
_NEGLIGIBLE = 1e-4
"""Probability that may stay unexamined: below what any of these estimates can tell."""
_EARLY = 1e-3
"""A list of alternatives whose last is likelier than this may leave another spelling out."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A position inside the verdict: how probable the likely tokens are, by what they add to it.

    `astray` is the probability of tokens that lead to it by another way, or show no text; `left` is
    what all that are listed leave to others, each of which has `least` at most. `written` is what
    the reply itself adds, where it is known.
    """

    top: Mapping[bytes, float]
    astray: float
    left: float
    least: float
    written: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Steps:
    """The legal ways to go on with their shares, and the share of what is out of view."""

    shares: Mapping[bytes, float]
    unseen: float


@dataclass(slots=True)
class Probes:
    """What reading the scores has cost beside the reply, and why there are none."""

    replies: list[Reply] = field(default_factory=list)
    failed: str = ""


def score_verdicts(
    reply: Reply,
    verdict: Span,
    labels: Sequence[str],
    request: Request,
    *,
    prefix: bool,
    probes: Probes | None = None,
) -> Plan[Scores | None]:
    """Plan the reading of the verdict distribution of a verified reply.

    The verdict stands, quotes included, at a span of the reply's raw text; probes are made from the
    request, if the backend can continue a forced prefix, and noted down. None if it cannot be read
    whole. A probe that fails costs the scores, and never the reply, which is verified and paid for.
    """
    probes = Probes() if probes is None else probes
    # Our grammar has one layout and one spelling of a label; else blanks and escapes are free.
    fixed = reply.constraint == "grammar"
    places = _places(reply, verdict, len(request.prefix.encode()), fixed=fixed)
    spellings = _Spellings(labels, escapes=not fixed)
    masses = dict.fromkeys(labels, 0.0)
    branches = {b"": 1.0}
    unexamined = 0.0
    while math.fsum(branches.values()) + unexamined > _NEGLIGIBLE and branches:
        written = max(branches, key=lambda start: branches[start])
        mass = branches.pop(written)
        steps = spellings.steps(places.get(written), written)
        if steps is None or unexamined + mass * steps.unseen > _NEGLIGIBLE:
            probe = _probe(request, _head(reply, verdict) + written) if prefix else None
            if probe is None:
                return None
            (answer,) = yield (probe,)
            # An optional request may be answered by an error.
            outcome: Reply | FaithfulDecideError = answer
            if isinstance(outcome, FaithfulDecideError):
                probes.failed = str(outcome)
                return None
            probes.replies.append(answer)
            top = answer.tokens[0].top if answer.tokens else {}
            steps = spellings.steps(_place(top, b"", fixed=fixed), written)
            if steps is None or unexamined + mass * steps.unseen > _NEGLIGIBLE:
                return None
        unexamined += mass * steps.unseen
        for text, share in steps.shares.items():
            possible = spellings.labels_from(text)
            if len(possible) == 1:
                masses[possible[0]] += mass * share
            else:
                branches[text] = branches.get(text, 0.0) + mass * share
    total = math.fsum(masses.values())
    if total <= 0:
        return None
    probabilities = {label: min(1.0, value / total) for label, value in masses.items()}
    return Scores(source="token_logprobs", probabilities=probabilities)


def _head(reply: Reply, verdict: Span) -> bytes:
    """What a reply says before its verdict, its words made safe as any that go into a prefix."""
    return defused(reply.text.encode()[: verdict.start + 1].decode()).encode()


def _places(
    reply: Reply, verdict: Span, generated_from: int, *, fixed: bool
) -> dict[bytes, _Place]:
    """The positions inside the verdict that the reply itself shows, by what was written of it."""
    raw = reply.text.encode()
    tokens = reply.tokens or ()
    if b"".join(token.data for token in tokens) != raw[generated_from:]:
        # The backend has edited the text (a fence removed, perhaps): positions mean nothing.
        return {}
    first = verdict.start + 1
    places: dict[bytes, _Place] = {}
    at = generated_from
    for token in tokens:
        end = at + len(token.data)
        if at <= first < end:
            lead = raw[at:first]
            places[b""] = replace(_place(token.top, lead, fixed=fixed), written=raw[first:end])
        elif first < at < verdict.end:
            places[raw[first:at]] = replace(_place(token.top, b"", fixed=fixed), written=token.data)
        at = end
    return places


def _place(top: Mapping[bytes, float], lead: bytes, *, fixed: bool) -> _Place:
    """The alternatives after a lead, which is what a token has of the text before the verdict."""
    listed = {text: math.exp(logprob) for text, logprob in top.items()}
    after: dict[bytes, float] = {}
    astray = 0.0
    for text, probability in listed.items():
        if text.startswith(lead) and len(text) > len(lead):
            after[text[len(lead) :]] = probability
        elif _could_lead(text, lead, fixed=fixed):
            astray += probability
    left = max(0.0, 1.0 - math.fsum(listed.values()))
    return _Place(after, astray, left, min(listed.values(), default=1.0))


def _could_lead(text: bytes, lead: bytes, *, fixed: bool) -> bool:
    """Whether a token that does not begin with the lead may be another way to the same place.

    It may if it stops short of it, or, in a free layout, differs from it in blanks or shows nothing
    at all. Under our grammar what shows nothing is a control token, which is never legal.
    """
    if fixed:
        return bool(text) and lead.startswith(text)
    bare, wanted = (b"".join(part.split()) for part in (text, lead))
    return wanted.startswith(bare) or (bool(lead) and bare.startswith(wanted))


class _Spellings:
    """The ways in which the labels can be written inside a JSON string."""

    def __init__(self, labels: Sequence[str], *, escapes: bool) -> None:
        self._endings = {
            label: json.dumps(label, ensure_ascii=False)[1:].encode() for label in labels
        }
        self._escapes = escapes

    def labels_from(self, text: bytes) -> list[str]:
        """The labels that a text is a start of, or that are whole in it."""
        return [label for label in self._endings if self._agrees(label, text)]

    def steps(self, place: _Place | None, written: bytes) -> _Steps | None:
        """The legal ways to go on from what was written; None if they cannot be read."""
        if place is None or not place.top:
            return None
        legal: dict[bytes, float] = {}
        for token, probability in place.top.items():
            if self.labels_from(written + token):
                legal[written + token] = probability
        mass = math.fsum(legal.values())
        took = None if place.written is None else written + place.written
        if mass <= 0 or (took is not None and took not in legal):
            return None
        unseen = (place.astray + self._below(place, written, legal)) / mass
        return _Steps({text: share / mass for text, share in legal.items()}, unseen)

    def _below(self, place: _Place, written: bytes, legal: Mapping[bytes, float]) -> float:
        """How probable legal tokens below the listed ones can be, at most.

        Each is at most as likely as the last that is listed. A label of which no token is listed
        may begin with any of them, whatever the listed leave: some servers write down a token that
        was forced as if it had been certain. Of a label that is listed only another spelling can
        hide there, which matters where the list ends early.
        """
        hidden = sum(
            not any(self._agrees(label, text) for text in legal)
            for label in self.labels_from(written)
        )
        respelt = min(place.left, place.least) if place.least > _EARLY else 0.0
        return hidden * place.least + respelt

    def _agrees(self, label: str, text: bytes) -> bool:
        if _agree(self._endings[label], text):
            return True
        return self._escapes and b"\\" in text and _spells(label, text)


def _agree(ending: bytes, text: bytes) -> bool:
    """Whether a text is the start of a label, or a label and what follows it."""
    return ending.startswith(text) or text.startswith(ending)


_SHORT = dict(zip(b'"\\/bfnrt', '"\\/\b\f\n\r\t', strict=True))
_UNIT = 6
"""Bytes of an escape such as `\\u00e9`, which writes one unit of UTF-16."""


def _spells(label: str, text: bytes) -> bool:
    """Whether a text is a start of the label in some spelling of JSON, or all of it and more."""
    units = [int.from_bytes(pair) for pair in _pairs(label.encode("utf-16-be"))]
    at, unit = 0, 0
    while at < len(text):
        rest = text[at:]
        if rest[:1] == b'"':
            return unit == len(units)
        if unit == len(units):
            return False
        if rest[:2] == b"\\u":
            digits = f"{units[unit]:04x}".encode()
            if not digits.startswith(rest[2:_UNIT].lower()):
                return False
            at, unit = at + _UNIT, unit + 1
        elif rest[:1] == b"\\":
            # Where the text ends with it, any character may be written as an escape.
            if len(rest) > 1 and ord(_SHORT.get(rest[1], "\0")) != units[unit]:
                return False
            at, unit = at + 2, unit + 1
        else:
            left = b"".join(u.to_bytes(2) for u in units[unit:]).decode("utf-16-be", "replace")
            written = left[0].encode()
            if not written.startswith(rest[: len(written)]):
                return False
            at, unit = at + len(written), unit + len(left[0].encode("utf-16-be")) // 2
    return True


def _pairs(data: bytes) -> list[bytes]:
    return [data[i : i + 2] for i in range(0, len(data), 2)]


def _probe(request: Request, start: bytes) -> Request | None:
    """The request that shows which token follows a given start of the reply, if one can."""
    try:
        prefix = start.decode()
    except UnicodeDecodeError:
        # The labels part in the middle of a character; no text ends there.
        return None
    if not can_start(request.schema, prefix):
        return None
    purpose = None if request.purpose is None else replace(request.purpose, kind="probe")
    # The schema stays: a server that lists what its grammar leaves would otherwise list anything.
    return replace(
        request,
        prefix=prefix,
        max_tokens=1,
        temperature=0.0,
        top_logprobs=_TOP_PROBE,
        optional=True,
        purpose=purpose,
    )
