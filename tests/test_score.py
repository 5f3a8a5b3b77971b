"""Verdict probabilities are read where the verdict was written, against a slow reference."""

import io
import json
import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from faithful_decide import Question, decide
from faithful_decide.backends import Capabilities, Reply, Token
from faithful_decide.testing import ScriptedBackend, reply_text

CAPABILITIES = {
    "enforcement": "grammar",
    "order": True,
    "logprobs": "pre_mask",
    "decoder": "autoregressive",
}


class Toy:
    """A model that knows the probability of every text after the opening quote of the verdict.

    `tree` maps what was written so far to the next tokens and their probabilities. Tokens that are
    not labels take some of the probability, as in raw log-probabilities.
    """

    def __init__(self, tree, path):
        self.tree, self.path = tree, path

    def __call__(self, request):
        if request.prefix:
            written = json_tail(request.prefix)
            return Reply(request.prefix, "length", tokens=(Token(b"", self.top(written.encode())),))
        verdict = b"".join(self.path).decode().split('"')[0]
        text = reply_text(json.loads(f'"{verdict}"'))
        head, _, tail = text.rpartition('"' + verdict + '"')
        tokens, written = [Token((head + '"').encode(), {})], b""
        for data in self.path:
            tokens.append(Token(data, self.top(written)))
            written += data
        rest = (verdict + '"' + tail).encode()[len(written) :]
        tokens.append(Token(rest, {rest: 0.0}))
        return Reply(text, "stop", tokens=tuple(t for t in tokens if t.data))

    def top(self, written):
        return {token: math.log(p) for token, p in self.tree[written].items()}


def json_tail(prefix):
    """What was written of the verdict."""
    return prefix.rpartition('"verdict": "')[2]


def scores(png, tree, path, verdicts, *, prefix=True):
    backend = ScriptedBackend(
        Toy(tree, path), capabilities=Capabilities(**CAPABILITIES, prefix=prefix)
    )
    decision = decide(png, Question("Which?", verdicts, abstain=False), model=backend)
    return decision.scores, backend


def test_single_tokens_are_read_from_the_reply_itself(png):
    """Labels that part at their first token cost no further call, and noise is left out."""
    tree = {b"": {b"yes": 0.6, b"no": 0.2, b"maybe": 0.15, b"\n": 0.05}}
    found, backend = scores(png, tree, [b"yes"], ("yes", "no"))
    assert found.source == "token_logprobs"
    assert found.probabilities == pytest.approx({"yes": 0.75, "no": 0.25})
    assert len(backend.requests) == 1
    assert backend.requests[0].top_logprobs == 20


def test_labels_that_share_a_token_are_walked(png):
    """The written branch is read from the reply, the other one is asked for once."""
    tree = {
        b"": {b"cat": 0.5, b"dog": 0.4, b"x": 0.1},
        b"cat": {b" happy": 0.3, b" sad": 0.6, b"s": 0.1},
        b"dog": {b' big"': 0.2, b" sma": 0.6, b"x": 0.2},
    }
    found, backend = scores(
        png, tree, [b"cat", b" sad"], ("cat happy", "cat sad", "dog big", "dog small")
    )
    cat, dog = 5 / 9, 4 / 9
    assert found.probabilities == pytest.approx(
        {"cat happy": cat / 3, "cat sad": cat * 2 / 3, "dog big": dog / 4, "dog small": dog * 3 / 4}
    )
    assert [json_tail(r.prefix) for r in backend.requests[1:]] == ["dog"]
    assert backend.requests[1].max_tokens == 1


def test_a_label_that_begins_another_one_ends_at_its_quote(png):
    """`cat` and `cats` part at the closing quote, also if that token holds the brace too."""
    tree = {b"": {b"cat": 1.0}, b"cat": {b'"}': 0.3, b's"': 0.6, b"x": 0.1}}
    found, _ = scores(png, tree, [b"cat"], ("cat", "cats"))
    assert found.probabilities == pytest.approx({"cat": 1 / 3, "cats": 2 / 3})


def test_different_tokens_for_one_label_add_up(png):
    """A label can be spelt in several tokens; each spelling counts."""
    tree = {b"": {b"y": 0.2, b"yes": 0.3, b"no": 0.5}}
    found, _ = scores(png, tree, [b"yes"], ("yes", "no"))
    assert found.probabilities == pytest.approx({"yes": 0.5, "no": 0.5})


def test_a_label_in_several_bytes_is_matched_by_bytes(png):
    """A token may end inside a character."""
    first, second = "é".encode()[:1], "é".encode()[1:]
    tree = {b"": {first: 0.75, b"no": 0.25}, first: {second: 1.0}}
    found, _ = scores(png, tree, [first, second], ("é", "no"))
    assert found.probabilities == pytest.approx({"é": 0.75, "no": 0.25})


def test_a_verdict_token_may_hold_its_opening_quote(png):
    """Where the quote and the label share a token, only tokens with that quote are alternatives."""
    top = {b'"yes': math.log(0.6), b'"no': math.log(0.2), b" yes": math.log(0.2)}
    head, verdict, tail = reply_text("yes").rpartition('"yes')
    tokens = (Token(head.encode(), {}), Token(verdict.encode(), top), Token(tail.encode(), {}))
    backend = ScriptedBackend(
        [Reply(head + verdict + tail, "stop", tokens=tokens)],
        capabilities=Capabilities(**CAPABILITIES),
    )
    decision = decide(png, "Is it?", abstain=False, model=backend)
    assert decision.scores.probabilities == pytest.approx({"yes": 0.75, "no": 0.25})


def test_no_scores_rather_than_guessed_ones(png):
    """Without a way to look into the other branch there are no numbers at all."""
    tree = {
        b"": {b"cat": 0.5, b"dog": 0.5},
        b"cat": {b" happy": 0.5, b" sad": 0.5},
    }
    labels = ("cat happy", "cat sad", "dog big", "dog small")
    assert scores(png, tree, [b"cat", b" sad"], labels, prefix=False)[0] is None


def test_a_label_that_may_hide_below_the_listed_tokens_is_asked_for(png):
    """If an unlisted label could matter, a longer list is asked for."""

    class Short(Toy):
        def __call__(self, request):
            reply = super().__call__(request)
            if request.prefix:
                return reply
            cut = {b"yes": math.log(0.5), b"x": math.log(0.3)}
            tokens = tuple(Token(t.data, cut if b"no" in t.top else t.top) for t in reply.tokens)
            return Reply(reply.text, "stop", tokens=tokens)

    tree = {b"": {b"yes": 0.5, b"x": 0.3, b"no": 0.2}}
    backend = ScriptedBackend(
        Short(tree, [b"yes"]), capabilities=Capabilities(**CAPABILITIES, prefix=True)
    )
    decision = decide(png, "Is it?", abstain=False, model=backend)
    assert decision.scores.probabilities == pytest.approx({"yes": 5 / 7, "no": 2 / 7})
    assert len(backend.requests) == 2


def test_tokens_that_do_not_spell_the_reply_are_not_trusted(png):
    """A backend that edits its text has no positions; the place is asked for instead."""
    toy = Toy({b"": {b"yes": 0.5, b"no": 0.5}}, [b"yes"])

    def edited(request):
        reply = toy(request)
        if request.prefix:
            return reply
        head, *rest = reply.tokens
        misread = Token(rest[0].data, {b"yes": 0.0, b"no": -9.0})
        return replace(reply, tokens=(Token(b"?" * len(head.data), {}), misread, *rest[1:]))

    backend = ScriptedBackend(edited, capabilities=Capabilities(**CAPABILITIES, prefix=True))
    decision = decide(png, "Is it?", abstain=False, model=backend)
    assert decision.scores.probabilities == pytest.approx({"yes": 0.5, "no": 0.5})
    assert len(backend.requests) == 2


LABELS = ("a", "ab", "abc", "b", "ba", "bb")


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.sampled_from(LABELS))
def test_the_walk_agrees_with_summing_over_all_spellings(seed, verdict):
    """For random models over one-letter tokens, the walk finds what brute force finds."""
    rng = random.Random(seed)
    tree = {
        label[:i].encode(): {t: rng.random() + 0.1 for t in (b"a", b"b", b"c", b'"')}
        for label in LABELS
        for i in range(len(label) + 1)
    }
    tree = {k: {t: p / sum(v.values()) for t, p in v.items()} for k, v in tree.items()}
    expected = {label: brute(tree, label) for label in LABELS}
    path = [bytes([b]) for b in verdict.encode()]
    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, "PNG")
    found, _ = scores(file.getvalue(), tree, path, LABELS)
    assert found.probabilities == pytest.approx(expected, rel=1e-3, abs=1e-3)


def brute(tree, label):
    """The probability of a label, each step renormalised over what some label allows."""
    ended = [f'{other}"'.encode() for other in LABELS]
    mass, target = 1.0, f'{label}"'.encode()
    for i in range(len(target)):
        legal = {
            t: p
            for t, p in tree.get(target[:i], {b'"': 1.0}).items()
            if any(e.startswith(target[:i] + t) for e in ended)
        }
        mass *= legal[target[i : i + 1]] / sum(legal.values())
    return mass


# ------------------------------------------------------------- numbers are whole or absent

HEAD = reply_text("yes").rpartition('"yes"')[0]


def read(png, question, *tokens, constraint="schema", prefix=False):
    """The scores of a reply that ends in these tokens, each with its alternatives."""
    listed = [Token(HEAD.encode(), {})]
    listed += [
        Token(data, {other: math.log(p) for other, p in top.items()}) for data, top in tokens
    ]
    text = b"".join(token.data for token in listed).decode()
    reply = Reply(text, "stop", tokens=tuple(listed), constraint=constraint)
    backend = ScriptedBackend(
        lambda request: replace(reply, finish="length") if request.prefix else reply,
        capabilities=Capabilities(**CAPABILITIES, prefix=prefix),
    )
    decision = decide(png, question, model=backend)
    return decision.scores and decision.scores.probabilities


YES_NO = Question("Q?", ("yes", "no"), abstain=False)


@pytest.mark.parametrize(
    "first",
    [
        {b'"yes': 0.05, b'"no': 0.01, b'"': 0.94},  # stops before the verdict begins
        {b'"yes': 0.9, b'"no': 0.09, b' "no': 0.01},  # another layout
        {b'"yes': 0.9, b'"no': 0.09, b"": 0.01},  # shows nothing
        {b'"no': 0.9, b'"x': 0.1},  # what was written is not listed
        {b'"yes': 0.6, b'"no': 0.2},  # the rest is not listed
    ],
)
def test_mass_that_was_not_looked_at_leaves_no_scores(png, first):
    """More than a ten-thousandth out of view is no score, rather than a wrong one."""
    assert read(png, YES_NO, (b'"yes', first), (b'"}', {})) is None


@pytest.mark.parametrize("stray", [b'"', b' "no', b""])
def test_less_than_a_ten_thousandth_may_stay_out_of_view(png, stray):
    """It could not change what an estimate can tell."""
    first = {b'"yes': 0.9, b'"no': 0.09999, stray: 0.00001}
    found = read(png, YES_NO, (b'"yes', first), (b'"}', {}))
    assert found == pytest.approx({"yes": 0.9, "no": 0.1}, abs=1e-4)


def test_under_our_grammar_there_is_one_layout(png):
    """There, blanks in other places and tokens without text are illegal, and not out of view."""
    first = {b'"yes': 0.5, b'"no': 0.3, b' "no': 0.1, b"": 0.1}
    found = read(png, YES_NO, (b'"yes', first), (b'"}', {}), constraint="grammar")
    assert found == pytest.approx({"yes": 0.625, "no": 0.375})


@pytest.mark.parametrize(
    ("labels", "tokens", "expected"),
    [
        (
            ("😀", "no"),
            [(b'"', {}), (b"\\ud", {b"\\ud": 0.98, b"no": 0.02}), (b"83d\\ude00", {}), (b'"}', {})],
            {"😀": 0.98, "no": 0.02},
        ),
        (
            ("n/a", "none", "yes"),
            [
                (b'"', {}),
                (b"n", {b"n": 0.95, b"yes": 0.05}),
                (b"\\/", {b"\\/": 0.98, b"/a": 0.01, b"one": 0.01}),
                (b"a", {}),
                (b'"}', {}),
            ],
            {"n/a": 0.95 * 0.99, "none": 0.95 * 0.01, "yes": 0.05},
        ),
        (
            ("né", "no"),
            [
                (b'"', {}),
                (b"n", {b"n": 1.0}),
                (b"\\u00e", {b"\\u00e": 0.5, b"\xc3": 0.25, b"o": 0.25}),
                (b"9", {}),
                (b'"}', {}),
            ],
            {"né": 0.75, "no": 0.25},
        ),
    ],
)
def test_a_label_is_known_in_every_spelling(png, labels, tokens, expected):
    """JSON can write a letter as an escape; what was really written is always counted."""
    found = read(png, Question("Q?", labels, abstain=False), *tokens)
    assert found == pytest.approx(expected)


def test_many_small_branches_are_not_left_out_together(png):
    """Each below the limit, all above it: they are followed, or there are no scores."""
    labels = [f"{letter}{end}" for letter in "abcdefgh" for end in "xy"]
    first = {b"ax": 0.9996} | {letter.encode(): 0.00005 for letter in "bcdefgh"}
    first[b"ay"] = 1 - sum(first.values())
    question = Question("Q?", labels, abstain=False)
    assert read(png, question, (b'"', {}), (b"ax", first), (b'"}', {})) is None


def test_a_probe_that_the_grammar_would_refuse_is_not_sent(png):
    """A reply in another layout cannot be continued under ours; it has no scores, and no error."""
    spaced = reply_text("yes").replace(": ", ":  ")
    head, _, tail = spaced.rpartition('"yes"')
    tokens = (
        Token(f'{head}"'.encode(), {}),
        Token(b"yes", {b"yes": -0.5, b"x": -1.0}),
        Token(f'"{tail}'.encode(), {}),
    )
    backend = ScriptedBackend(
        [Reply(spaced, "stop", tokens=tokens)],
        capabilities=Capabilities(**CAPABILITIES, prefix=True),
    )
    assert decide(png, YES_NO, model=backend).scores is None
