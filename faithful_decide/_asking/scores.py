"""How probable each verdict was at the place where one was written.

The numbers come from the tokens of the reply itself: at the position of the verdict the backend
has listed the likely tokens with their log-probabilities. At each step only tokens that continue
some label are legal; their probabilities are divided by their sum. That is the distribution the
constrained decoder drew the verdict from, and it is the same whether the backend reports numbers
from before or after its grammar removed the illegal tokens.

Labels may span several tokens ("cat_happy", "cat_sad"). The walk follows a token only while more
than one label is still possible. Where the reply itself does not show the next position, it is
asked for: one token after a forced prefix. If that is impossible, there are no scores; a number
that is partly guessed would look like the others.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from faithful_decide._core.types import Reply, Scores, Span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from faithful_decide._asking.plans import Plan
    from faithful_decide.backends.base import Request

__all__ = ["TOP", "score_verdicts"]

TOP = 20
"""Alternatives asked for per token of a reply: the most that hosted servers give."""
_TOP_PROBE = 1000
"""Alternatives asked for when only one token is read."""
_NEGLIGIBLE = 1e-4
"""Probability that may stay unresolved: below what any of these estimates can tell."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A position inside the verdict: what was written of it, and what may come next."""

    written: bytes
    top: Mapping[bytes, float]


def score_verdicts(
    reply: Reply, verdict: Span, labels: Sequence[str], request: Request, *, prefix: bool
) -> Plan[Scores | None]:
    """Plan the reading of the verdict distribution of a verified reply.

    Args:
        reply: The reply, with tokens.
        verdict: Where the verdict stands in its raw text, quotes included.
        labels: The verdicts it could have had.
        request: The request it answers; probes are made from it.
        prefix: Whether the backend can continue a forced prefix.

    Returns:
        The probabilities, or None if they cannot be read without guessing.
    """
    places = _places(reply, verdict, len(request.prefix.encode()))
    head = reply.text.encode()[: verdict.start + 1]
    endings = {label: json.dumps(label, ensure_ascii=False)[1:].encode() for label in labels}
    found = dict.fromkeys(labels, 0.0)
    open_nodes = [(b"", 1.0)]
    while open_nodes:
        written, mass = open_nodes.pop()
        top = places.get(written)
        steps = _steps(top, written, endings) if top is not None else None
        if steps is None:
            probe = _probe(request, head + written) if prefix else None
            if probe is None:
                return None
            (answer,) = yield (probe,)
            steps = _steps(answer.tokens[0].top, written, endings) if answer.tokens else None
            if steps is None:
                return None
        for text, share in steps.items():
            possible = [label for label, ending in endings.items() if _agree(ending, text)]
            if len(possible) == 1:
                found[possible[0]] += mass * share
            elif mass * share > _NEGLIGIBLE:
                open_nodes.append((text, mass * share))
    total = math.fsum(found.values())
    if total <= 0:
        return None
    probabilities = {label: value / total for label, value in found.items()}
    return Scores(source="token_logprobs", probabilities=probabilities)


def _places(reply: Reply, verdict: Span, generated_from: int) -> dict[bytes, Mapping[bytes, float]]:
    """The positions inside the verdict that the reply itself shows, by what was written of it."""
    raw = reply.text.encode()
    tokens = reply.tokens or ()
    if b"".join(token.data for token in tokens) != raw[generated_from:]:
        # The backend has edited the text (a fence removed, perhaps): positions mean nothing.
        return {}
    first = verdict.start + 1
    places: dict[bytes, Mapping[bytes, float]] = {}
    at = generated_from
    for token in tokens:
        end = at + len(token.data)
        if at <= first < end:
            lead = raw[at:first]
            places[b""] = {
                text[len(lead) :]: logprob
                for text, logprob in token.top.items()
                if text.startswith(lead) and len(text) > len(lead)
            }
        elif first < at < verdict.end:
            places[raw[first:at]] = token.top
        at = end
    return places


def _agree(ending: bytes, text: bytes) -> bool:
    """Whether a text is the start of a label, or a label and what follows it."""
    return ending.startswith(text) or text.startswith(ending)


def _steps(
    top: Mapping[bytes, float], written: bytes, endings: Mapping[str, bytes]
) -> dict[bytes, float] | None:
    """The legal ways to go on with their shares, or None if too much of them is out of view."""
    legal: dict[bytes, float] = {}
    for token, logprob in top.items():
        text = written + token
        if token and any(_agree(ending, text) for ending in endings.values()):
            legal[text] = legal.get(text, 0.0) + math.exp(logprob)
    mass = math.fsum(legal.values())
    if mass <= 0:
        return None
    alive = [ending for ending in endings.values() if ending.startswith(written)]
    unseen = sum(not any(_agree(ending, text) for text in legal) for ending in alive)
    # A token that is not listed is at most as likely as the last one that is.
    if unseen * math.exp(min(top.values())) > _NEGLIGIBLE * mass:
        return None
    return {text: probability / mass for text, probability in legal.items()}


def _probe(request: Request, start: bytes) -> Request | None:
    """The request that shows which token follows a given start of the reply."""
    try:
        prefix = start.decode()
    except UnicodeDecodeError:
        # The labels part in the middle of a character; no text ends there.
        return None
    # The schema stays: a server that lists what its grammar leaves would otherwise list anything.
    return replace(request, prefix=prefix, max_tokens=1, temperature=0.0, top_logprobs=_TOP_PROBE)
