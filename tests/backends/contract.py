"""What every backend must do: subclass `BackendContract`, give it a `backend`, and run pytest.

The suite asks for form only, so it holds for any model. What a backend says it cannot do is
skipped.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from faithful_decide import Question
from faithful_decide._core.contract import verify
from faithful_decide._core.prompt import SYSTEM, user_text
from faithful_decide._core.schema import schema
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import prepare
from faithful_decide.backends.base import Backend, Hidden, Request
from faithful_decide.errors import ContractError, UnsupportedError, UsageError

QUESTION = Question("Does this image show anything funny?")
REPLY = (
    '{"observations": [{"about": "the dog", "n": 1, "seen": "wearing a \\"top\\" hat, ü"}, '
    '{"about": "the \\\\ cat", "n": 2, "seen": "not there"}], '
    '"reasoning": "the dog is odd, so it is funny", "relies_on": [1], "verdict": "yes"}'
)


def unlike(reply):
    """What of a reply does not depend on when it was asked for."""
    return reply.text, reply.finish, reply.tokens


class BackendContract:
    """Tests of one backend; `backend` is a fixture of the subclass, `fresh` makes another."""

    ends = True
    """Whether it comes to an end by itself, which a model of random weights may not."""
    counts = True
    """Whether its grammar counts what was observed, so that nothing else can be relied on."""

    @pytest.fixture
    def request_(self, backend, picture):
        """A request as `decide` makes it."""
        return Request(
            system=SYSTEM,
            images=(prepare(load_image(picture), backend.capabilities.image_limits),),
            text=user_text(QUESTION),
            schema=schema(QUESTION.labels),
            max_tokens=300,
        )

    def test_is_a_backend(self, backend):
        """It has what the protocol asks for, and its capabilities do not change."""
        assert isinstance(backend, Backend)
        assert backend.name
        assert backend.capabilities == backend.capabilities

    def test_reply_keeps_the_contract(self, backend, request_):
        """A free reply verifies: one object, keys in order, a verdict from the list."""
        reply = backend.generate(request_)
        if reply.finish == "length" and not self.ends:
            assert reply.text.startswith('{"observations": [')
            return
        assert verify(reply, QUESTION.labels).content.verdict in QUESTION.labels

    def test_reply_says_what_it_cost(self, backend, request_):
        """Tokens and time are counted, and nothing is hidden where that is promised."""
        reply = backend.generate(request_)
        assert reply.latency_s > 0
        assert reply.model
        assert reply.usage.prompt_tokens is None or reply.usage.prompt_tokens > 0
        if backend.capabilities.thinking == "none":
            assert reply.hidden_thinking_tokens == 0

    def test_token_limit_is_reported(self, backend, request_):
        """A reply that is cut off says so."""
        assert backend.generate(replace(request_, max_tokens=2)).finish == "length"

    def test_order_of_the_schema_is_the_order_of_the_reply(self, backend, request_):
        """With the keys the other way round, the reply has them the other way round."""
        if not backend.capabilities.order:
            pytest.skip("does not enforce the order")
        word = {"type": "string", "enum": ["red", "green"]}
        for keys in (("z", "a"), ("a", "z")):
            properties = dict.fromkeys(keys, word)
            flat = {"type": "object", "properties": properties, "required": ["a", "z"]}
            flat["additionalProperties"] = False
            reply = backend.generate(replace(request_, schema=flat, max_tokens=40))
            assert reply.finish == "stop"
            assert tuple(json.loads(reply.text)) == keys

    # Before the first key, inside strings and an escape, between keys, before and in the verdict.
    @pytest.mark.parametrize(
        "cut", [1, 5, 17, 34, 61, 62, 63, 76, 100, 120, 145, 178, -16, -8, -6, -3]
    )
    def test_prefix_is_continued(self, backend, request_, cut):
        """A forced prefix stands in the reply once, and the whole keeps the contract."""
        if not backend.capabilities.prefix:
            pytest.skip("cannot continue a prefix")
        prefix = REPLY[:cut]
        reply = backend.generate(replace(request_, prefix=prefix))
        assert reply.text.startswith(prefix)
        assert not reply.text.startswith(prefix + prefix)
        if reply.finish == "stop":
            try:
                verify(reply, QUESTION.labels)
            except ContractError as error:
                if self.counts or "relies_on" not in str(error):
                    raise

    def test_forced_verdict_prefix_leads_to_a_verdict(self, backend, request_):
        """After everything but the verdict, only a verdict can follow."""
        if not backend.capabilities.prefix:
            pytest.skip("cannot continue a prefix")
        start = REPLY[:-5]
        reply = backend.generate(replace(request_, prefix=start, max_tokens=40))
        assert reply.text in {f'{start}{label}"}}' for label in QUESTION.labels}

    def test_what_cannot_be_hidden_is_refused(self, backend, request_):
        """And where it can be, the reply has the same form."""
        start = REPLY[:-5]
        end = start.rindex(",")
        asked = replace(
            request_, prefix=start, max_tokens=40, hidden=Hidden(1, len(start[:end].encode()))
        )
        if not backend.capabilities.knockout:
            with pytest.raises(UnsupportedError) as caught:
                backend.generate(asked)
            assert caught.value.hint
            return
        reply = backend.generate(asked)
        assert reply.text in {f'{start}{label}"}}' for label in QUESTION.labels}

    def test_tokens_spell_the_reply(self, backend, request_):
        """The bytes of the tokens are the text after the prefix, each with likely alternatives."""
        if backend.capabilities.logprobs == "none":
            pytest.skip("reports no log-probabilities")
        prefix = REPLY[:-16] if backend.capabilities.prefix else ""
        reply = backend.generate(replace(request_, prefix=prefix, top_logprobs=5))
        spelt = prefix.encode() + b"".join(token.data for token in reply.tokens)
        assert spelt == reply.text.encode()
        for token in reply.tokens:
            assert 1 <= len(token.top) <= 5
            assert all(logprob <= 1e-6 for logprob in token.top.values())
        assert backend.generate(replace(request_, max_tokens=3)).tokens is None

    def test_greedy_replies_are_the_same(self, backend, request_):
        """The same request gives the same bytes, whatever was asked in between."""
        first = backend.generate(replace(request_, top_logprobs=3))
        for text in ("Question: Is there a dog?", "Question: Does this image show", "x"):
            backend.generate(replace(request_, text=text, max_tokens=9))
            assert unlike(backend.generate(replace(request_, top_logprobs=3))) == unlike(first)

    def test_seed_fixes_a_sample(self, backend, request_):
        """At a temperature, a seed gives one reply, and seeds differ."""
        # Of what it does not understand, a model is not sure.
        sampled = replace(request_, text="x", temperature=2.0, schema=None, max_tokens=30)
        seeds = (1, *range(1, 9))
        texts = [backend.generate(replace(sampled, seed=seed)).text for seed in seeds]
        assert texts[0] == texts[1]
        assert len(set(texts)) > 1

    def test_threads_get_their_own_replies(self, backend, request_):
        """Calls from several threads at once give what calls in turn give."""
        words = ("cat", "dog", "hat", "tree")
        asked = [
            replace(request_, text=f"Question: Is there a {word}?", max_tokens=12) for word in words
        ]
        expected = [unlike(backend.generate(request)) for request in asked]
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(backend.generate, asked * 8))
        assert [unlike(reply) for reply in found] == expected * 8

    def test_close_twice(self, fresh):
        """Closing again does nothing, and a closed backend says that it is closed."""
        fresh.close()
        fresh.close()
        request = Request("", (), "hello", None, 1)
        with pytest.raises(UsageError, match="closed"):
            fresh.generate(request)
