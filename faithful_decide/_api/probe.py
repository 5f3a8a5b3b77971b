"""What a model and its server really do, found out with a few small calls.

Documentation says what a server ought to do. On the way stand routers that sort the keys of a
schema, parsers that let a thinking model off the grammar, servers that drop what they do not know.
`probe` looks: each check sends a request whose reply tells two ways of working apart.

- **order**: the keys asked for are not in alphabetical order. Kept, sorted, or neither?
- **grammar**: the only values allowed are words that nobody would say by himself.
- **logprobs**: where the grammar allows two words, are others listed? Then the numbers are from
  before the grammar (`pre_mask`), else from after it (`post_mask`).
- **thinking**: were tokens generated that the reply does not show?
- **image**: are two pictures, which differ in the colour of a circle, told apart?
- **prefix**: is a reply continued that was forced to start in an unlikely way? The grammar alone
  brings that about, also where the server begins a new message after the forced start. So the
  model is given one half of each of its two replies, too: it writes the other half again.
- **whitespace**, where it was seen to run on under the schema until the reply was cut.

A check that could not be made says so. What holds is evidence that the enforcement of this address
works, which receipts need to say that an order was enforced. It proves nothing about later calls: a
server may be many machines. It is why every reply is verified all the same.
"""

from __future__ import annotations

import io
import json
import re
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from faithful_decide._asking.options import named_in
from faithful_decide._asking.plans import run
from faithful_decide._asking.retrying import patient
from faithful_decide._asking.scores import TOP
from faithful_decide._core import contract, schema
from faithful_decide._core.json_schema import object_schema
from faithful_decide._core.prompt import SYSTEM, user_text
from faithful_decide._core.types import Question
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import prepare
from faithful_decide._nearest import hinting
from faithful_decide._public import public
from faithful_decide.backends._openai.adapting import runs_on
from faithful_decide.backends._openai.presets import PRESETS
from faithful_decide.backends.base import Request
from faithful_decide.backends.probe_report import Check, ProbeReport, remember
from faithful_decide.backends.registry import check_options, load_backend, split_spec
from faithful_decide.errors import (
    AuthError,
    BackendError,
    ContractError,
    FaithfulDecideError,
    ReplyError,
    TransientError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from faithful_decide._asking.plans import Plan
    from faithful_decide._images.prepare import PreparedImage
    from faithful_decide.backends.base import Backend, Reply

__all__ = ["probe"]

_COLOURS = ("red", "green", "blue")
_WORDS = ("quixotic", "zephyr")
_TOKENS = 200
"""What every reply here fits into, so that one that does not end is no long wait."""
_WITH_THOUGHT = 4000
"""The same with room for thinking that nobody announced."""
_THOUGHT = 3
"""Tokens generated per token shown, from which on something else must have been written."""
_SOON = 24
"""Characters after which a tie that went another way may have led a model to something else."""
_BETWEEN = re.compile(r"(?<=\w)(?= \w)")
_MASKED = -50.0
"""Log-probabilities below this are those of tokens that a grammar removed."""


@public
@hinting
def probe(model: Backend | str, *, timeout: float = 120.0, **options: Any) -> ProbeReport:  # noqa: ANN401 - each backend has its own
    """Find out what a model and its server do, and remember it for their receipts.

    Args:
        model: A model spec or a loaded backend.
        timeout: Seconds for each check.
        **options: Options of the backend that a spec names.

    Returns:
        The report. A check that failed to run is `unknown` in it, and says why.

    Raises:
        UsageError: The model cannot be used like this.
        BackendError: Not even the simplest request was answered.
    """
    if not isinstance(model, str):
        return _probe(model, timeout)
    check_options(model, options, named_in(probe))
    if server := split_spec(model)[0] in PRESETS:
        # What was found last time must not decide what is looked at this time.
        options = {"probed": False, **options}
    with closing(load_backend(model, **options)) as backend:
        report = _probe(backend, timeout)
        if server:
            remember(report, who=str(backend.identity))
    return report


def _probe(backend: Backend, timeout: float) -> ProbeReport:
    found: dict[str, Check] = {}
    replies: list[Reply] = []
    forced: list[Reply] = []
    own: list[tuple[Request, str]] = []
    image = {colour: _picture(colour, backend) for colour in ("red", "blue")}
    # Where tokens are listed, it can be told whether others were written.
    listed = 0 if backend.capabilities.logprobs == "none" else TOP
    base = Request("", (image["red"],), "", None, _TOKENS, top_logprobs=listed)
    checks: dict[str, Callable[[], Plan[Check]]] = {
        "order": lambda: _order(base, replies),
        "grammar": lambda: _grammar(base, replies),
        "logprobs": lambda: _logprobs(base, backend, replies),
        "thinking": lambda: _thinking(replies),
        "image": lambda: _image(image, base, replies, own),
        "prefix": lambda: _prefix(base, backend, forced, own),
    }
    first: FaithfulDecideError | None = None
    for name, plan in checks.items():
        try:
            found[name] = run(plan(), patient(backend), timeout)
        except (BackendError, UsageError, ReplyError) as error:
            if not replies and (first or _is_final(error)):
                # Nothing was ever answered: whatever is wrong, it is not a finding.
                raise first or error from None
            first = first or error
            found[name] = Check(holds="unknown", seen=str(error))
    if any(_ran_on(reply, backend) for reply in replies):
        found["whitespace"] = Check(holds="no", seen="it runs on under the schema")
    return ProbeReport(
        backend=backend.name,
        model=replies[0].model,
        fingerprint=replies[0].fingerprint,
        requests=len(replies) + len(forced),
        checks=found,
    )


def _ran_on(reply: Reply, backend: Backend) -> bool:
    """Whether white space had no end, or would have had none if the schema had been sent."""
    exact = reply.constraint == "grammar" and backend.capabilities.enforcement != "grammar"
    return runs_on(reply.text) or exact


def _is_final(error: FaithfulDecideError) -> bool:
    """Whether no other check can fare better: no server, no key, no such option."""
    unreachable = isinstance(error, TransientError) and error.unreachable
    return unreachable or isinstance(error, AuthError | UsageError)


def _picture(colour: str, backend: Backend) -> PreparedImage:
    """A circle in one colour, as the backend takes images."""
    from PIL import Image, ImageDraw  # noqa: PLC0415 - slow to load

    canvas = Image.new("RGB", (256, 256), "#e8e8e0")
    ImageDraw.Draw(canvas).ellipse((90, 90, 170, 170), fill=colour)
    file = io.BytesIO()
    canvas.save(file, "PNG")
    return prepare(load_image(file.getvalue()), backend.capabilities.image_limits)


def _words(**properties: tuple[str, ...]) -> dict[str, Any]:
    """The schema of an object whose values are words to choose from."""
    return object_schema(
        {key: {"type": "string", "enum": list(words)} for key, words in properties.items()}
    )


def _read(reply: Reply) -> Mapping[str, Any] | None:
    try:
        value = json.loads(reply.text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _asked(request: Request, replies: list[Reply]) -> Plan[Reply]:
    """Ask, and keep the reply; of one that was cut or refused nothing can be said."""
    (reply,) = yield (request,)
    replies.append(reply)
    if reply.finish == "length" and not runs_on(reply.text):
        (reply,) = yield (replace(request, max_tokens=_WITH_THOUGHT),)
        replies.append(reply)
    if reply.finish != "stop":
        msg = f"the reply ended with {reply.finish!r}"
        raise ContractError(msg, reply=reply)
    return reply


def _order(base: Request, replies: list[Reply]) -> Plan[Check]:
    shape = _words(zebra=_COLOURS, mango=_COLOURS, apple=_COLOURS)
    # Another order than the schema's: obeying the text is not keeping the schema.
    text = "Name the colour of the circle three times, as JSON with the keys mango, apple, zebra."
    reply = yield from _asked(replace(base, text=text, schema=shape), replies)
    value = _read(reply)
    if value is None:
        return Check(holds="no", seen=f"not an object: {reply.text[:80]!r}")
    keys = tuple(value)
    seen = ", ".join(keys)
    if sorted(keys) != sorted(shape["properties"]):
        return Check(holds="no", seen=f"other keys: {seen[:80]!r}")
    if keys == tuple(shape["properties"]):
        return Check(holds="yes", seen=seen)
    return Check(holds="no", seen=f"{seen}{' (sorted)' if list(keys) == sorted(keys) else ''}")


def _grammar(base: Request, replies: list[Reply]) -> Plan[Check]:
    text = 'Reply with the single word "banana" and nothing else.'
    reply = yield from _asked(replace(base, text=text, schema=_words(word=_WORDS)), replies)
    value = _read(reply)
    kept = value is not None and list(value) == ["word"] and value["word"] in _WORDS
    return Check(holds="yes" if kept else "no", seen=repr(reply.text[:80]))


def _logprobs(base: Request, backend: Backend, replies: list[Reply]) -> Plan[Check]:
    if backend.capabilities.logprobs == "none":
        return Check(holds="no", seen="not asked for: the backend says there are none")
    asked = replace(base, text="Say a word.", schema=_words(word=_WORDS))
    reply = yield from _asked(asked, replies)
    if not reply.tokens:
        return Check(holds="no", seen="absent")
    return Check(holds="yes", seen=_mask(reply))


def _mask(reply: Reply) -> str:
    """Whether tokens are listed that the grammar cannot have allowed."""
    legal = [f'{{"word":"{word}"}}'.encode() for word in _WORDS]
    written = b""
    for token in reply.tokens or ():
        if b"".join(written.split()) in legal:
            break  # what stands there ends the turn
        likely = [data for data, value in token.top.items() if value > _MASKED]
        if any(not _begins(written + data, legal) for data in likely):
            return "pre_mask"
        written += token.data
    return "post_mask"


def _begins(text: bytes, legal: list[bytes]) -> bool:
    # White space between the parts is the server's own business.
    bare = b"".join(text.split())
    return any(whole.startswith(bare) for whole in legal)


def _prefix(
    base: Request, backend: Backend, replies: list[Reply], own: list[tuple[Request, str]]
) -> Plan[Check]:
    if not backend.capabilities.prefix:
        return Check(holds="no", seen="not tried: the backend cannot force one")
    start = '{"word": "zep'
    asked = replace(base, text="Say a word.", schema=_words(word=_WORDS), prefix=start)
    reply = yield from _asked(asked, replies)
    seen = repr(reply.text[:80])
    if reply.text != f'{start}hyr"}}':
        return Check(holds="no", seen=seen)
    halves = [(replace(one, prefix=text[:cut]), text) for one, text in own if (cut := _cut(text))]
    for asked, text in halves:
        reply = yield from _asked(asked, replies)
        rest, there = (whole[len(asked.prefix) :][:_SOON] for whole in (reply.text, text))
        if rest != there:
            other = f"after one half of its own reply it goes on with {rest!r}, not {there!r}"
            return Check(holds="no", seen=other)
    if not halves:
        return Check(holds="unknown", seen="there is no reply of its own to cut in two")
    return Check(holds="yes", seen=seen)


def _cut(text: str) -> int:
    """Where to cut a reply: between two words, as near to its middle as can be; 0 for nowhere."""
    between = [match.start() for match in _BETWEEN.finditer(text)]
    return min(between, key=lambda place: abs(2 * place - len(text)), default=0)


def _thinking(replies: list[Reply]) -> Plan[Check]:
    """Read off the replies there are; asks nothing."""
    yield from ()
    counted = [reply.hidden_thinking_tokens for reply in replies]
    if any(counted):
        return Check(holds="yes", seen=f"{max(count or 0 for count in counted)} tokens counted")
    # No tokenizer needs more tokens than there are bytes. One may be of a reply that was cut first.
    many = [r for r in replies if _made(r) > _THOUGHT * max(8, len(r.text.encode()))]
    if len(many) > 1:
        seen = f"{_made(many[-1])} tokens for {len(many[-1].text)} characters"
        return Check(holds="yes", seen=seen)
    if all(count == 0 for count in counted):
        return Check(holds="no", seen="0 tokens counted")
    return Check(holds="unknown", seen="not counted")


def _made(reply: Reply) -> int:
    """Tokens that were generated beside those known to be no thinking."""
    return 0 if reply.hidden_thinking_tokens == 0 else reply.usage.completion_tokens or 0


def _image(
    image: Mapping[str, PreparedImage],
    base: Request,
    replies: list[Reply],
    own: list[tuple[Request, str]],
) -> Plan[Check]:
    question = Question("What colour is the circle?", _COLOURS)
    asked = tuple(
        replace(
            base,
            system=SYSTEM,
            images=(picture,),
            text=user_text(question),
            schema=schema.schema(question.labels),
            max_tokens=512,
        )
        for picture in image.values()
    )
    answers = yield asked
    replies += answers
    whole = zip(asked, answers, strict=True)
    own += [(request, reply.text) for request, reply in whole if reply.finish == "stop"]
    verdicts = [contract.verify(reply, question.labels).content.verdict for reply in answers]
    seen = ", ".join(f"{there}: {said}" for there, said in zip(image, verdicts, strict=True))
    return Check(holds="yes" if verdicts == list(image) else "no", seen=seen)
