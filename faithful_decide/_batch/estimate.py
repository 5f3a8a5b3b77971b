"""What a run would ask, and what that would cost, before anything is asked.

Items are counted as they are read. With a journal their images are read as well, to see which
replies are there already; those cost nothing. How long a request and a reply are is taken from such
replies if there are any, and otherwise from rules of thumb: four characters to a token of text, 750
pixels to a token of an image (of the first hundred), and a reply of 200 tokens. An estimate says
which of the two it rests on.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faithful_decide._asking.decision import decision_plan
from faithful_decide._batch.entry import request_key
from faithful_decide._batch.price import price_of
from faithful_decide._core.types import Usage
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import prepare
from faithful_decide.errors import FaithfulDecideError, ImageError, MissingExtraError, ReplyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from decimal import Decimal

    from faithful_decide._batch.row import Item
    from faithful_decide._batch.runner import Job
    from faithful_decide._core.types import Question, Reply
    from faithful_decide._images.prepare import PreparedImage
    from faithful_decide.backends.base import Request

__all__ = ["Estimate", "estimate"]

_LOOKED_AT = 100
_CHARACTERS, _PIXELS, _REPLY = 4, 750, 200


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run would do. Retries, and probes for scores, come on top."""

    items: int
    requests: int
    """Replies that would have to be paid for."""
    known: int
    """Replies that are in the journal."""
    prompt_tokens: int
    completion_tokens: int
    cost_usd: Decimal | None
    """By list prices; None where there is none, or `genai-prices` is not installed."""
    measured: bool
    """Whether the tokens are those of earlier replies, and not a rule of thumb."""


def estimate(job: Job, items: Iterable[Item], questions: Mapping[str, Question]) -> Estimate:
    """Estimate a run.

    Args:
        job: What would be done.
        items: The items.
        questions: What would be asked about each.

    Returns:
        The estimate.
    """
    backend = job.backend
    capabilities = backend.capabilities
    steps = 1 if capabilities.one_reply_proves_order else 2
    each = job.settings.samples * steps + (job.beyond is not None)
    replies = len(questions) * each
    count = known = pixels = looked = 0
    seen: list[Reply] = []
    text = _text(job, questions)
    for item in items:
        count += 1
        if backend.journal is None and looked == _LOOKED_AT:
            continue
        image = _prepared(job, item)
        if image is not None and looked < _LOOKED_AT:
            looked += 1
            pixels += image.width * image.height
        if image is not None and backend.journal is not None:
            found = [r for q in questions.values() for r in _known(job, image, q)]
            known += len(found)
            seen += found[: _LOOKED_AT - len(seen)]
    requests = max(0, count * replies - known)
    prompt, completion, model = text + _mean(pixels, looked * _PIXELS), _REPLY, ""
    if seen:
        prompt = _mean(sum(r.usage.prompt_tokens or 0 for r in seen), len(seen)) or prompt
        completion = _mean(sum(r.usage.completion_tokens or 0 for r in seen), len(seen)) or _REPLY
        model = seen[-1].model
    usage = Usage(prompt * requests, None, completion * requests)
    model = model or backend.name.partition("/")[2]
    cost = None
    with suppress(MissingExtraError):
        cost = price_of(backend.name, model, usage)
    return Estimate(
        count, requests, known, prompt * requests, completion * requests, cost, bool(seen)
    )


def _known(job: Job, image: PreparedImage, question: Question) -> list[Reply]:
    """The replies to the first step of a decision, and to its audit, that are in the journal."""
    plan = decision_plan(image, question, job.settings, job.backend)
    requests = next(plan)
    found = replies = _recalled(job, requests)
    if job.beyond is None:
        return found
    try:
        while len(replies) == len(requests):
            requests = plan.send(tuple(replies))
            replies = _recalled(job, requests)
    except StopIteration as end:
        found = found + _recalled(job, next(job.beyond(image, end.value, job.backend)))
    except ReplyError:
        pass
    return found


def _recalled(job: Job, requests: tuple[Request, ...]) -> list[Reply]:
    """Those replies to the requests of one step that are in the journal."""
    journal = job.backend.journal
    asked: list[Request] = []
    found: list[Reply] = []
    for request in requests:
        key = request_key(request, asked.count(request), job.backend)
        asked.append(request)
        if journal is not None and (reply := journal.recall(key)) is not None:
            found.append(reply)
    return found


def _prepared(job: Job, item: Item) -> PreparedImage | None:
    with suppress(ImageError):
        if not isinstance(item.image, FaithfulDecideError):
            image = load_image(item.image, allow_urls=False)
            return prepare(image, job.backend.capabilities.image_limits)
    return None


def _text(job: Job, questions: Mapping[str, Question]) -> int:
    """Tokens of the text of a request, on average."""
    total = 0
    for question in questions.values():
        plan = decision_plan(None, question, job.settings, job.backend)
        request, *_ = next(plan)
        total += len(request.system) + len(request.text) + len(json.dumps(request.schema))
    return _mean(total, len(questions) * _CHARACTERS)


def _mean(total: int, count: int) -> int:
    return round(total / count) if count else 0
