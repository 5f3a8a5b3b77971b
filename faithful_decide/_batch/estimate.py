"""What a run would ask, and what that would cost, before anything is asked.

Items are counted as they are read. With a journal their images are read as well, to see which
replies are there already; those cost nothing. How long a request and a reply are is taken from such
replies if there are any, and otherwise from rules of thumb: four characters to a token of text, 750
pixels to a token of an image (of the first hundred), and a reply of 200 tokens. An estimate says
which of the two it rests on. Where earlier decisions needed requests for their scores, the others
will need as many.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from faithful_decide._asking.decision import decision_plan
from faithful_decide._asking.plans import Numbering
from faithful_decide._batch.entry import request_key
from faithful_decide._batch.price import price_of
from faithful_decide._batch.runner import row_plan
from faithful_decide._core.types import Usage
from faithful_decide.errors import FaithfulDecideError, MissingExtraError, ReplyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from decimal import Decimal

    from faithful_decide._batch.row import Item
    from faithful_decide._batch.runner import Images, Job
    from faithful_decide._core.types import Question, Reply

__all__ = ["Estimate", "estimate"]

_LOOKED_AT = 100
_CHARACTERS, _PIXELS, _REPLY = 4, 750, 200


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run would do. Retries come on top."""

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
    """Estimate a run that asks these questions about each of the items."""
    backend = job.backend
    steps = 1 if backend.capabilities.one_reply_proves_order else 2
    each = len(questions) * (job.settings.samples * steps + (job.beyond is not None))
    count = requests = known = pixels = looked = scored = probes = 0
    earlier: list[Reply] = []
    text = _text(job, questions)
    for item in items:
        count += 1
        if backend.journal is None and looked == _LOOKED_AT:
            requests += each * (not isinstance(item.image, FaithfulDecideError))
            continue
        images = job.images_of(item, fetch=False)
        if isinstance(images, FaithfulDecideError):
            # It becomes a row with an error, and nothing is asked about it.
            continue
        if looked < _LOOKED_AT:
            looked += 1
            pixels += sum(image.width * image.height for image in images)
        recalled = [_recalled(job, images, question) for question in questions.values()]
        replies = [reply for part in recalled for reply in part.replies]
        known += len(replies)
        scored += sum(part.done for part in recalled)
        probes += sum(part.probes for part in recalled if part.done)
        alone = each // len(questions)
        requests += sum(part.missing(alone) for part in recalled)
        earlier += replies[: _LOOKED_AT - len(earlier)]
    if scored:
        requests += round(probes / scored * requests / (each / len(questions)))
    prompt, completion, model = text + _mean(pixels, looked * _PIXELS), _REPLY, ""
    if earlier:
        prompt = _mean(sum(r.usage.prompt_tokens or 0 for r in earlier), len(earlier)) or prompt
        written = sum(r.usage.completion_tokens or 0 for r in earlier)
        completion = _mean(written, len(earlier)) or _REPLY
        model = earlier[-1].model
    usage = Usage(prompt * requests, None, completion * requests)
    cost = None
    with suppress(MissingExtraError):
        cost = price_of(backend.name, model or backend.name.partition("/")[2], usage)
    return Estimate(
        count, requests, known, prompt * requests, completion * requests, cost, bool(earlier)
    )


@dataclass(slots=True)
class _Recalled:
    """What is in the journal of the requests of one plan."""

    replies: list[Reply] = field(default_factory=list)
    probes: int = 0
    """How many of the replies are for scores."""
    waiting: int = 0
    """Requests for scores that the journal does not know."""
    done: bool = False
    """Whether the plan came to its end."""

    def missing(self, each: int) -> int:
        """How many requests would be made; a plan has so many, and some for scores."""
        own = len(self.replies) - self.probes
        return 0 if self.done else max(0, each - own) + self.waiting


def _recalled(job: Job, images: Images, question: Question) -> _Recalled:
    """The replies that are in the journal, as far as the plan can be followed by them."""
    journal = job.backend.journal
    recalled = _Recalled()
    if journal is None:
        return recalled
    plan = row_plan(job, images, question)
    numbered = Numbering()
    try:
        requests = next(plan)
        while True:
            keys = [request_key(request, job.backend) for request in map(numbered, requests)]
            replies = [reply for key in keys if (reply := journal.recall(key)) is not None]
            recalled.replies += replies
            # What a plan can do without is what it asks for the scores.
            if all(request.optional for request in requests):
                recalled.probes += len(replies)
                recalled.waiting = len(requests) - len(replies)
            if len(replies) < len(requests):
                return recalled
            requests = plan.send(tuple(replies))
    except (StopIteration, ReplyError):
        recalled.done = True
        return recalled


def _text(job: Job, questions: Mapping[str, Question]) -> int:
    """Tokens of the text of a request, on average."""
    total = 0
    for question in questions.values():
        plan = decision_plan((), question, job.settings, job.backend)
        request, *_ = next(plan)
        total += len(request.system) + len(request.text) + len(json.dumps(request.schema))
    return _mean(total, len(questions) * _CHARACTERS)


def _mean(total: int, count: int) -> int:
    return round(total / count) if count else 0
