"""A chat-completions server that misbehaves on purpose, in every way that real ones were seen to.

Each question it is asked ends in a number. The right verdict is "yes" for an even one. A reply that
is wrong in some way also holds the *wrong* verdict, so that a client which lets it pass can be told
from one that noticed. It runs in a thread, on a port of this machine.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import math
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SEEN = [{"about": "the number", "n": 1, "seen": "as written"}]
WHY = "its last digit decides whether it is even"
PAUSE_S = 0.2
"""How long a busy server asks to be left alone."""


def number_of(body: Mapping[str, Any]) -> int:
    """The number that a request asks about."""
    text = (body.get("messages") or body["input"])[-1]["content"][-1]["text"]
    return int(re.findall(r"\d+", text.split("\nVerdicts")[0])[-1])


def truth(number: int) -> str:
    """The right verdict."""
    return "no" if number % 2 else "yes"


def other(verdict: str) -> str:
    """The wrong one."""
    return "yes" if verdict == "no" else "no"


def written(verdict: str, *, seen: object = SEEN, why: str = WHY) -> str:
    """A reply that keeps the contract."""
    values = {"observations": seen, "reasoning": why, "relies_on": [], "verdict": verdict}
    return json.dumps(values)


def completion(
    text: object, *, finish: str | None = "stop", model: str = "faulty", **message: object
) -> dict[str, Any]:
    """A chat completion around a text."""
    said = {"role": "assistant", "content": text, **message}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": model,
        "choices": [{"index": 0, "message": said, "finish_reason": finish}],
        "usage": {"prompt_tokens": 90, "completion_tokens": 40, "total_tokens": 130},
    }


@dataclass(frozen=True)
class Answer:
    """What is sent back: a response, and what happens on the way."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: str = ""  # "before" the headers, or "inside" the body
    cut: int | None = None  # bytes after which the connection is reset
    drip: float = 0.0  # seconds between two bytes


def good(verdict: str) -> Answer:
    """What a server in good health sends."""
    return Answer(json.dumps(completion(written(verdict))).encode())


def _said(text: object, **rest: Any) -> Answer:
    return Answer(json.dumps(completion(text, **rest)).encode())


def _failed(status: int, message: str, code: str = "", **headers: str) -> Answer:
    error = {"error": {"message": message, "type": "error", "code": code or None}}
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return Answer(json.dumps(error).encode(), status, named)


def _sent(body: object) -> Answer:
    return Answer(json.dumps(body).encode())


def _part(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def _choice(verdict: str) -> dict[str, Any]:
    return {"message": {"content": written(verdict)}, "finish_reason": "stop"}


def _keys(verdict: str, *keys: str) -> str:
    values = {"observations": SEEN, "reasoning": WHY, "relies_on": [1], "verdict": verdict}
    return json.dumps({key: values[key] for key in keys})


def _date() -> str:
    return email.utils.formatdate(time.time() + 1, usegmt=True)


def _logprobs(verdict: str, value: object) -> Answer:
    made = completion(written(verdict))
    made["choices"][0]["logprobs"] = value
    return Answer(json.dumps(made).encode())


def _without_usage(verdict: str) -> Answer:
    made = completion(written(verdict))
    made["usage"] = None
    return Answer(json.dumps(made).encode())


def _fingerprint(verdict: str) -> Answer:
    made = completion(written(verdict))
    made["system_fingerprint"] = "\ud800"
    return Answer(json.dumps(made).encode())


def _thinking(verdict: str) -> Answer:
    made = completion(written(verdict), reasoning_content="hm")
    made["usage"]["completion_tokens_details"] = {"reasoning_tokens": 0}
    return Answer(json.dumps(made).encode())


# Replies that no verdict may be read from. The first argument is the wrong verdict.
# After these the same request may be answered well: the server failed, or broke the contract.
PASSING: dict[str, Callable[[str, Random], Answer]] = {
    "reversed keys": lambda v, _: _said(
        _keys(v, "verdict", "relies_on", "reasoning", "observations")
    ),
    "verdict before reasoning": lambda v, _: _said(
        _keys(v, "observations", "relies_on", "verdict", "reasoning")
    ),
    "keys sorted downwards": lambda v, _: _said(
        _keys(v, "verdict", "relies_on", "observations", "reasoning")
    ),
    "verdict twice": lambda v, _: _said(written(other(v))[:-1] + f', "verdict": "{v}"}}'),
    "reasoning twice": lambda v, _: _said(f'{{"reasoning": "{WHY}", ' + written(v)[1:]),
    "fence": lambda v, _: _said(f"```json\n{written(v)}\n```"),
    "preamble": lambda v, _: _said(f"Here is the object:\n{written(v)}"),
    "postscript": lambda v, _: _said(f"{written(v)}\nI hope this helps."),
    "two objects": lambda v, _: _said(f"{written(other(v))}\n{written(v)}"),
    "list of one": lambda v, _: _said(f"[{written(v)}]"),
    "string of JSON": lambda v, _: _said(json.dumps(written(v))),
    "single quotes": lambda v, _: _said(written(v).replace('"', "'")),
    "no observations": lambda v, _: _said(written(v, seen=[])),
    "blank observations": lambda v, _: _said(
        written(v, seen=[{"about": " ", "n": 1, "seen": "\t"}])
    ),
    "empty reasoning": lambda v, _: _said(written(v, why="")),
    "blank reasoning": lambda v, _: _said(written(v, why=" " * 50)),
    "invisible reasoning": lambda v, _: _said(written(v, why="\u200b" * 50)),
    "reasoning is a list": lambda v, _: _said(written(v).replace(f'"{WHY}"', f'["{WHY}"]')),
    "missing reasoning": lambda v, _: _said(_keys(v, "observations", "relies_on", "verdict")),
    "extra key": lambda v, _: _said(written(v)[:-1] + ', "confidence": 1}'),
    "cut, but says stop": lambda v, r: _said(written(v)[: r.randrange(len(written(v)))]),
    "wrong label": lambda _, __: _said(written("maybe")),
    "label in capitals": lambda v, _: _said(written(v.upper())),
    "label with a blank": lambda v, _: _said(written(f" {v}")),
    "verdict is a boolean": lambda v, _: _said(written(v).replace(f'"{v}"', "true")),
    "refusal as text": lambda _, __: _said("I'm sorry, but I can't help with that."),
    "tool call": lambda v, _: _said(
        None, finish="tool_calls", tool_calls=[{"function": {"arguments": written(v)}}]
    ),
    "tool call that says stop": lambda v, _: _said(written(v), tool_calls=[{"function": {}}]),
    "unknown finish reason": lambda v, _: _said(written(v), finish="because"),
    "no finish reason": lambda v, _: _said(written(v), finish=None),
    "deep JSON": lambda _, __: Answer(b"[" * 200_000),
    "no content": lambda _, __: _said(None),
    "empty content": lambda _, __: _said(""),
    "garbage, status 200": lambda _, r: Answer(bytes(r.randrange(256) for _ in range(80))),
    "HTML, status 502": lambda _, __: Answer(b"<html>Bad Gateway</html>", 502),
    "error, status 200": lambda _, __: Answer(b'{"error": {"message": "overloaded"}}'),
    "empty body": lambda _, __: Answer(b""),
    "null": lambda _, __: Answer(b"null"),
    "429 with seconds": lambda _, __: _failed(429, "slow down", retry_after=str(PAUSE_S)),
    "429 with a date": lambda _, __: _failed(429, "slow down", retry_after=_date()),
    "429 without a word": lambda _, __: _failed(429, "slow down"),
    "500": lambda _, __: _failed(500, "internal error"),
    "503": lambda _, __: _failed(503, "overloaded"),
    "529": lambda _, __: _failed(529, "overloaded"),
    "hang before the reply": lambda v, _: Answer(good(v).body, hang="before"),
    "hang inside the reply": lambda v, _: Answer(good(v).body, hang="inside"),
    "slow drip": lambda v, _: Answer(good(v).body, drip=1.0),
    "reset at once": lambda v, _: Answer(good(v).body, cut=0),
    "reset inside the body": lambda v, r: Answer(good(v).body, cut=r.randrange(1, 100)),
    "half an emoji": lambda v, _: _said(written(v, why=f"{WHY} \ud83d")),
    "half an emoji as JSON has it": lambda v, _: _said(written(v).replace(WHY, r"\ud83d")),
    "block of thinking": lambda v, _: _said(f"<think>hm</think>{written(v)}"),
    "text as reasoning_content": lambda v, _: _said("", reasoning_content=written(v)),
    "text as reasoning": lambda v, _: _said(None, reasoning=written(v)),
    "parts with a picture": lambda v, _: _said([_part(written(v)), {"type": "image_url"}]),
    "the same part twice": lambda v, _: _said([_part(written(v))] * 2),
    "finish is abort": lambda v, _: _said(written(v), finish="abort"),
    "error text, status 200": lambda _, __: _sent({"error": "overloaded, try again later"}),
    "detail, status 200": lambda _, __: _sent({"detail": "temporarily unavailable"}),
    "no choices and a passing message": lambda _, __: _sent(
        {"choices": None, "message": "rate limit reached"}
    ),
    "passing error in the choice": lambda v, _: _sent(
        {"choices": [{"error": {"code": 502, "message": "upstream"}, **_choice(v)}]}
    ),
}
# After these it is not asked again: what was refused, cut or will never pass is final.
FINAL: dict[str, Callable[[str, Random], Answer]] = {
    "whitespace flood": lambda v, _: _said(written(v)[:30] + "\n" * 4000, finish="length"),
    "truncated": lambda v, r: _said(written(v)[: r.randrange(len(written(v)))], finish="length"),
    "complete, but says length": lambda v, _: _said(written(v), finish="length"),
    "refusal in its field": lambda v, _: _said(None, refusal=f"I cannot help with {v}."),
    "refusal beside a reply": lambda v, _: _said(written(v), refusal="I cannot help."),
    "finish is refusal": lambda v, _: _said(written(v), finish="refusal"),
    "content filter, status 200": lambda v, _: _said(written(v), finish="content_filter"),
    "content filter, status 400": lambda _, __: _failed(400, "filtered", "content_filter"),
    "not a number": lambda _, __: Answer(b'{"choices": NaN}'),
    "choices of the wrong kind": lambda _, __: Answer(b'{"choices": [{"message": "yes"}]}'),
    "smaller model": lambda v, _: _said(written(v), model="faulty-mini"),
    "shorter name": lambda v, _: _said(written(v), model="fau"),
    "other model": lambda v, _: _said(written(v), model="someone-else-7b"),
    "no choices": lambda _, __: Answer(b'{"object": "chat.completion", "choices": []}'),
    "HTML, status 200": lambda _, __: Answer(b"<html><body>yes</body></html>"),
    "error object that stays, status 200": lambda _, __: _sent(
        {"error": {"code": 402, "message": "Insufficient credits"}}
    ),
    "error text that stays, status 200": lambda _, __: _sent({"error": "no such model"}),
    "detail that stays, status 200": lambda _, __: _sent({"detail": [{"msg": "bad field"}]}),
    "no choices and a message": lambda _, __: _sent({"choices": [], "message": "bad picture"}),
    "error in the choice": lambda v, _: _sent(
        {"choices": [{"error": {"code": 400, "message": "bad picture"}, **_choice(v)}]}
    ),
    "error beside a reply": lambda v, _: _sent({**completion(written(v)), "error": "bad picture"}),
    "blocked prompt without a message": lambda _, __: _sent(
        {"choices": [{"finish_reason": "content_filter"}]}
    ),
    "blocked prompt with its filter": lambda _, __: _sent(
        {"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}
    ),
    "blocked prompt, status 403": lambda _, __: _failed(403, "input was flagged", "moderation"),
    "finish is SAFETY": lambda v, _: _said(written(v), finish="SAFETY"),
    "finish is MAX_TOKENS": lambda v, _: _said(written(v), finish="MAX_TOKENS"),
    "alias of a router": lambda v, _: _said(written(v), model="azure/gpt-4o"),
    "400": lambda _, __: _failed(400, "bad picture"),
    "404": lambda _, __: _failed(404, "no such model"),
    "500 that stays": lambda _, __: _failed(500, "image input is not supported"),
    "500 about the context": lambda _, __: _failed(500, "Prompt exceeds n_ctx: 2481 > 1024"),
    "500 about the form": lambda _, __: _failed(500, "[{'type': 'literal_error', 'loc': ...}]"),
}
FAULTS = PASSING | FINAL
# Replies that are odd and still good. The first argument is the right verdict.
ODD: dict[str, Callable[[str, Random], Answer]] = {
    "null log-probabilities": lambda v, _: _logprobs(v, None),
    "log-probabilities without content": lambda v, _: _logprobs(v, {"content": None}),
    "half a log-probability": lambda v, _: _logprobs(v, {"content": [{"token": "{"}]}),
    **{
        f"nonsense for log-probabilities: {str(entry)[:30]}": lambda v, _, entry=entry: _logprobs(
            v, {"content": [entry]}
        )
        for entry in (
            None,
            "a",
            {"token": 1, "logprob": -1},
            {"token": "a", "logprob": 10**400},
            {"token": "a", "logprob": 1e6},
            {"token": "a", "logprob": -1, "bytes": 50_000_000},
            {"token": "a", "logprob": -1, "bytes": [300]},
            {"token": "a", "logprob": -1, "top_logprobs": 3},
        )
    },
    "fingerprint that cannot be stored": lambda v, _: _fingerprint(v),
    "missing usage": lambda v, _: _without_usage(v),
    "hidden thinking": lambda v, _: _thinking(v),
    "dated model": lambda v, _: _said(written(v), model="faulty-2026-01-01"),
    "minus infinity": lambda v, _: _logprobs(
        v, {"content": [{"token": "{", "logprob": -math.inf}, {"token": "}", "logprob": math.nan}]}
    ),
    "text in a part": lambda v, _: _said([_part(written(v))]),
    "text in two parts": lambda v, _: _said([_part(written(v)[:9]), _part(written(v)[9:])]),
    "part of thinking before it": lambda v, _: _said(
        [{"type": "thinking", "thinking": "hm"}, _part(written(v))]
    ),
    **{
        f"finish is {word}": lambda v, _, word=word: _said(written(v), finish=word)
        for word in ("STOP", "eos_token", "end_turn", "stop_sequence")
    },
    "white space around": lambda v, _: _said(f"\n  {written(v)}\n"),
}


class FaultyServer:
    """The server. `choose` says, for every request, which fault it meets; "" for none."""

    def __init__(
        self, choose: Callable[[int, int], str], *, seed: int = 0, delay: float = 0.0
    ) -> None:
        """Prepare; it starts with the `with` statement.

        Args:
            choose: From the number asked about and how often it was asked before, to a name in
                `FAULTS` or `ODD`, or "".
            seed: Of what is random in a fault.
            delay: Seconds that a good reply takes.
        """
        self.choose, self.delay = choose, delay
        self.asked: Counter[int] = Counter()
        self.requests = 0
        self.bodies: list[dict[str, Any]] = []
        self.keep_bodies = False
        self.always: Answer | None = None
        self.open = 0
        self._random = Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()
        self.address = ""

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        )
        self.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        self._ready.set()
        self._loop.run_forever()
        rest = asyncio.all_tasks(self._loop)
        for task in rest:
            task.cancel()
        server.close()
        self._loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = int(re.search(r"content-length: *(\d+)", head, re.IGNORECASE)[1])  # type: ignore[index]
        body = json.loads(await reader.readexactly(length))
        self.requests += 1
        if self.keep_bodies:
            self.bodies.append({"head": head, **body})
        if self.always is not None:
            return await self._send(reader, writer, self.always)
        number = number_of(body)
        fault = self.choose(number, self.asked[number])
        self.asked[number] += 1
        if not fault:
            await asyncio.sleep(self.delay)
            answer = good(truth(number))
        elif fault in ODD:
            answer = ODD[fault](truth(number), self._random)
        else:
            answer = FAULTS[fault](other(truth(number)), self._random)
        return await self._send(reader, writer, answer)

    async def _send(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer
    ) -> bool:
        if answer.hang == "before":
            return bool(await reader.read(1))  # until the client goes away
        headers = {"content-type": "application/json", "content-length": str(len(answer.body))}
        lines = [
            f"HTTP/1.1 {answer.status} x",
            *(f"{k}: {v}" for k, v in (headers | dict(answer.headers)).items()),
        ]
        if answer.cut != 0:
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        if answer.hang == "inside":
            writer.write(answer.body[:20])
            await writer.drain()
            return bool(await reader.read(1))
        if answer.drip:
            for byte in answer.body:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(answer.drip)
        if answer.cut is not None:
            writer.write(answer.body[: answer.cut])
            writer.transport.abort()  # a reset, not a polite end
            return False
        writer.write(answer.body)
        await writer.drain()
        return True
