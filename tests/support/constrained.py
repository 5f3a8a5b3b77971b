"""A server as vLLM, SGLang and gateways in front of them answer: with a grammar, or without one.

It lists its tokens, the one that ends a turn too, and continues a forced start. The model behind it
sees the colour of a circle, and does what the prompt says unless a grammar keeps it from that.
"""

from __future__ import annotations

import base64
import io
import json
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from zlib import crc32

from PIL import Image

from faithful_decide.testing import reply_text
from tests.support.families import Family, FamilyServer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.json_server import Answered

END = "<|end|>"
LABELS = ("yes", "no", "cannot_tell")
MASKED = -3.4028234663852886e38
_NEXT_WORD = re.compile(r"(?<=\w) \w+")
_TOKEN = re.compile(r"\w+|[^\w]")


@dataclass
class ConstrainedServer(FamilyServer):
    """One model; what is different in a server is said in a field."""

    family: Family = field(default_factory=lambda: Family("m", spec="vllm"))
    reads: bool = True
    """Whether the picture arrives; some servers without a projector drop it."""
    keeps: bool = True
    """Whether the grammar arrives and is applied; a gateway may drop it."""
    runs_on: bool = False
    """Whether white space is without bound under a schema."""
    lists: Literal["post_mask", "pre_mask", "none"] = "post_mask"
    continues: bool = True
    """Whether the forced start is continued; a gateway may drop the word that asks for it."""
    forced: int = 200
    """The status of requests with a forced start."""
    thinks: int = 0
    """Tokens thought beside the reply, listed nowhere and counted as every other."""
    slow: frozenset[str] = frozenset()
    """Words of prompts that are answered with an error of the server."""
    only: tuple[str, ...] = LABELS
    """What is listed at the place of the verdict, where no start was forced."""

    def answer(self, body: dict[str, Any], headers: Mapping[str, str], path: str) -> Answered:
        """A chat completion."""
        del headers
        assert not path.endswith("/responses")
        if refusal := self.family.refuses(body):
            return refusal
        messages = body["messages"]
        forced = messages[-1]["content"] if messages[-1]["role"] == "assistant" else ""
        if forced and self.forced != 200:
            return self.forced, {"error": {"message": "continue_final_message is out of order"}}
        user = next(m for m in reversed(messages) if m["role"] == "user")["content"]
        if any(word in user[-1]["text"] for word in self.slow):
            return 500, {"error": {"message": "the engine died"}}
        text, finish = self._written(body, user, forced), "stop"
        limit = body.get("max_tokens", 10**6)
        tokens = [*_TOKEN.findall(text), END]
        if len(tokens) > limit:
            tokens, finish = tokens[:limit], "length"
            text = "".join(tokens)
        choice: dict[str, Any] = {
            "message": {"role": "assistant", "content": text},
            "finish_reason": finish,
        }
        if "top_logprobs" in body and self.lists != "none":
            labels = LABELS if forced else self.only
            # Whatever is read moves every number, be it in the last digits.
            moved = crc32(_url(user).encode()) % 1000 * 1e-10 if self.reads else 0.0
            listed = [self._token(token, labels, moved) for token in tokens]
            choice["logprobs"] = {"content": listed}
        made = len(tokens) + self.thinks
        usage = {"prompt_tokens": 80, "completion_tokens": made}
        return 200, {"model": body["model"], "choices": [choice], "usage": usage}

    def _token(self, text: str, labels: tuple[str, ...], moved: float) -> dict[str, Any]:
        likely = labels if text in LABELS else (text,)
        top = [_listed(word, math.log(0.9 if word == text else 0.05) - moved) for word in likely]
        if self.lists == "pre_mask":
            top.append(_listed("Sure", -3.0))
        if labels == LABELS:
            top.append(_listed("masked", MASKED))
        return {**_listed(text, -0.1), "top_logprobs": top}

    def _written(self, body: Mapping[str, Any], user: list[dict[str, Any]], forced: str) -> str:
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
        regex = body.get("regex") or body.get("structured_outputs", {}).get("regex")
        prompt = user[-1]["text"]
        if not self.keeps:
            schema = regex = None
        if schema and self.runs_on:
            return "{" + "\r\n " * 3000
        colour = _colour(user) if self.reads else "blue"
        candidates = [
            json.dumps(dict.fromkeys(("zebra", "mango", "apple"), colour)),
            *(json.dumps({"word": word}) for word in ("zephyr", "quixotic")),
            reply_text(colour),
            reply_text("yes"),
        ]
        if regex:
            rest = (text.removeprefix(forced) for text in candidates if text.startswith(forced))
            fitting = next(text for text in rest if re.fullmatch(regex, text))
            if self.continues:
                return fitting
            # A new message, held to the rest of the form: other words where there is a choice.
            other = _NEXT_WORD.sub(" something else", fitting, count=1)
            return other if re.fullmatch(regex, other) else fitting
        if schema:
            keys = list(schema["properties"])
            fitting = [text for text in candidates if list(json.loads(text)) == keys]
            labels = schema["properties"].get("verdict", {}).get("enum", [])
            return fitting[-1] if "yes" in labels else fitting[0]
        return self._free(prompt, colour)

    def _free(self, prompt: str, colour: str) -> str:
        """What the model writes without a grammar: what it is told."""
        if "banana" in prompt:
            return "banana"
        if "zebra" in prompt:
            return json.dumps(dict.fromkeys(("mango", "apple", "zebra"), colour))
        if "Say a word" in prompt:
            return "hello"
        if "Write the verdict" in prompt:
            return json.dumps({"verdict": "yes"})
        text = reply_text(colour if "colour" in prompt else "yes")
        return text[: text.index(', "verdict"')] + "}" if "Stop after" in prompt else text


def _listed(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "bytes": list(text.encode()), "logprob": logprob}


def _url(user: list[dict[str, Any]]) -> str:
    """The picture as it came."""
    return next(part["image_url"]["url"] for part in user if part["type"] == "image_url")


def _colour(user: list[dict[str, Any]]) -> str:
    """The colour in the middle of the picture."""
    url = _url(user)
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as picture:
        size = picture.size
        red, _, blue = picture.convert("RGB").getpixel((size[0] // 2, size[1] // 2))  # type: ignore[misc]
    return "red" if red > blue else "blue"
