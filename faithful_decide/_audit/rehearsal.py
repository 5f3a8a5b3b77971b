"""A dry run: the audit's own plan, played to stand-ins instead of models, so nothing is sent.

How much an audit asks can depend on what the model says. So the plan is played twice: to somebody
whose replies make it ask most, and to somebody whose replies make it ask least. Where both are
asked as often, that is how often a model will be; else the larger number is never exceeded.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from math import log
from typing import TYPE_CHECKING, Any, cast

from faithful_decide._audit.case import Other
from faithful_decide._audit.gathering import audit_plan, rest_plan
from faithful_decide._core.contract import numbered, written
from faithful_decide._core.types import Observation, Region, Reply, Token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from faithful_decide._asking.plans import Plan
    from faithful_decide._audit.case import Case
    from faithful_decide._core.types import Decision
    from faithful_decide.backends.base import Request

__all__ = ["Forecast", "rehearse"]

_TURNS = 4
"""Items of a data set after which it is asked the same again."""
_FOREIGN = "z"
_DENIED = ("c: ", f"{_FOREIGN}: ")
_VERDICT = '"verdict": "'


@dataclass(frozen=True, slots=True)
class Forecast:
    """What an audit would ask of the model and the reader; a judge comes on top.

    `exact` says whether the number does not depend on what the model says; else it is the most.
    """

    requests: tuple[Request, ...]
    exact: bool

    @property
    def calls(self) -> int:
        """How many calls."""
        return len(self.requests)


def rehearse(case: Case, given: Decision | None = None, *, many: bool = False) -> Forecast:
    """Play the audit of a case to two stand-ins; of its findings nothing is known before.

    Of `many` it is the item of a data set that is asked most, since not all are asked the same.
    """
    question = case.question
    if given is None:
        case = replace(case, question=replace(question, findings=None, rule=None))
    cases = [replace(case, place=place) for place in range(_TURNS)] if many else [case]
    played = [_played(one, given, model) for one in cases for model in (_says_much, _says_little)]
    lengths = set(map(len, played))
    return Forecast(max(played, key=len), exact=len(lengths) == 1)


def _played(
    case: Case, given: Decision | None, model: Callable[[Request], Reply]
) -> tuple[Request, ...]:
    plan = _whole(case, given)
    asked: list[Request] = []
    try:
        requests = next(plan)
        while True:
            asked += requests
            requests = plan.send(tuple(map(model, requests)))
    except StopIteration:
        return tuple(asked)


def _whole(case: Case, given: Decision | None) -> Plan[None]:
    evidence = yield from audit_plan(case, given)
    if case.of_many:
        other = next(verdict for verdict in case.question.verdicts if verdict != evidence.own)
        seen = (Observation(about=_FOREIGN, seen="of another picture"),)
        evidence.case = replace(evidence.case, other=Other(case.blank, other, seen))
    yield from rest_plan(evidence)


def _says_little(request: Request) -> Reply:
    """Decides, on nothing that could be changed, and says no more that can be used."""
    purpose = request.purpose
    if purpose is not None and list((request.schema or {})["properties"]) == ["verdict"]:
        return Reply(json.dumps({"verdict": purpose.question.labels[-1]}), "stop")
    if purpose is None or purpose.kind not in {"decide", "second_step"} or request.temperature:
        return Reply("", "length")
    return _reply(request, (("the image", "something"),), purpose.question.labels[-1], ())


def _says_much(request: Request) -> Reply:
    """Sees other things each time, sticks to its verdict, and can imagine anything."""
    purpose = request.purpose
    if purpose is None:
        return Reply("", "length")
    if request.max_tokens == 1:
        return _torn(request, purpose.question.labels)
    if purpose.claims:
        return _claims(purpose.claims)
    new = f"{purpose.kind} {purpose.verdict} {request.seed} {not request.images}"
    seen = [("a", new), ("b", f"{new}, differently"), ("c", "much")]
    if purpose.kind == "imagine":
        seen = [(_FOREIGN, new)]
    told = purpose.verdict if purpose.kind in {"forced", "forced_first"} else ""
    return _reply(request, seen, told or purpose.question.verdicts[0], (1, 2))


def _reply(
    request: Request,
    seen: Iterable[tuple[str, str]],
    verdict: str,
    relies_on: tuple[int, ...],
) -> Reply:
    place = Region(bottom=100, left=0, right=100, top=0)
    keys = cast("Mapping[str, Any]", request.schema)["properties"]
    listed = keys.get("observations", {}).get("items", {}).get("properties", {})
    at = place if "at" in listed else None
    rows = numbered(Observation(about=about, at=at, seen=saw) for about, saw in seen)
    parts: Mapping[str, Any] = {
        "observations": written(rows),
        "reasoning": "as it is",
        "relies_on": relies_on,
        "reservation": {"level": "none", "why": ""},
        "verdict": verdict,
    }
    text = json.dumps({key: parts[key] for key in keys}, ensure_ascii=False)
    return Reply(text, "stop", tokens=() if request.top_logprobs else None)


def _claims(claims: tuple[str, ...]) -> Reply:
    """Stands by what it relies on, and not by all, so that whatever rests on either is asked."""
    said = [
        {"n": n, "seen": "nothing", "value": "false" if claim.startswith(_DENIED) else "true"}
        for n, claim in enumerate(claims, 1)
    ]
    return Reply(json.dumps({"claims": said}), "stop")


def _torn(request: Request, labels: tuple[str, ...]) -> Reply:
    """Any letter that continues a label is as likely as the others."""
    written = request.prefix.rpartition(_VERDICT)[2]
    endings = [json.dumps(label, ensure_ascii=False)[1:] for label in labels]
    left = [ending[len(written) :] for ending in endings if ending.startswith(written)]
    letters = {rest[0].encode() for rest in left if rest}
    top = dict.fromkeys(sorted(letters), -log(len(letters) or 1))
    token = Token(next(iter(top), b'"'), top)
    return Reply(request.prefix, "length", tokens=(token,))
