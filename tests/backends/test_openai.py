"""Servers that speak OpenAI's protocol: a real one, a fake that misbehaves, and what is sent."""

import asyncio
import gc
import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from contract import REPLY, BackendContract

from faithful_decide import Decider, adecide, audit, decide, probe
from faithful_decide._core.schema import schema
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import prepare
from faithful_decide.backends import load_backend
from faithful_decide.backends._openai.chat import chat_body, read_chat
from faithful_decide.backends._openai.presets import PRESETS
from faithful_decide.backends.base import Request
from faithful_decide.embedded.scenes import draw, make_scene
from faithful_decide.errors import (
    AuthError,
    BackendError,
    FaithfulDecideError,
    RefusedError,
    ReplyError,
    TransientError,
    UnsupportedError,
    UsageError,
)
from tests.support.cases import case
from tests.support.faulty import FAULTS, ODD, PAUSE_S, Answer, FaultyServer, truth

KEY = "sk-planted-0123456789abcdef"


@pytest.fixture(scope="module")
def served():
    """llama.cpp's server with the embedded model: its address and its key."""
    pytest.importorskip("xllamacpp")
    from tests.support.llama_server import llamacpp_server

    with llamacpp_server() as address_and_key:
        yield address_and_key


def connect(served, **options):
    address, key = served
    return load_backend("llamacpp-server/embedded", base_url=address, api_key=key, **options)


@pytest.fixture(scope="module")
def backend(served):
    """A client of the server."""
    client = connect(served)
    yield client
    client.close()


@pytest.fixture
def fresh(served):
    """Another one, to be closed."""
    return connect(served)


class TestLlamaCppServer(BackendContract):
    """llama.cpp's server keeps the contract of backends, over HTTP."""


def test_a_model_goes_on_from_its_own_words(backend):
    """The grammar makes any text fit behind a prefix; only a model knows what it would say."""
    assert probe(backend).checks["prefix"].holds == "yes"


def test_server_and_process_reply_alike(served, picture, tmp_path, monkeypatch):
    """The same model gives the same bytes in this process and behind a server."""
    monkeypatch.setenv("FAITHFUL_DECIDE_CACHE", str(tmp_path))
    pixels = prepare(load_image(picture), load_backend("embedded").capabilities.image_limits).data
    here = decide(pixels, "Is there a red circle?", model="embedded")
    way = {"model": "llamacpp-server/embedded", "base_url": served[0], "api_key": served[1]}
    there = decide(pixels, "Is there a red circle?", **way)
    assert there.receipt.raw == here.receipt.raw
    # Until this address was looked at, nobody knows that it keeps to the grammar.
    assert there.receipt.order == "requested"
    assert there.receipt.hidden_thinking_tokens == 0  # as many tokens were counted as are listed
    probe(**way)
    assert decide(pixels, "Is there a red circle?", **way).receipt.order == "enforced"
    assert there.scores.probabilities == pytest.approx(here.scores.probabilities, abs=1e-4)


def test_nothing_but_the_temperature_bends_a_reply(tmp_path, monkeypatch):
    """The penalties of a server, or of a model's file, are not those of this model in process."""
    pytest.importorskip("xllamacpp")
    from tests.support.llama_server import llamacpp_server

    monkeypatch.setenv("FAITHFUL_DECIDE_CACHE", str(tmp_path))
    crowd = tmp_path / "crowd.png"
    draw(make_scene(15)).resize((128, 128)).save(crowd)
    question = "Does this image show anything funny?"
    here = decide(crowd, question, model="embedded").receipt.raw
    assert here.count("as usual") > 3  # which a penalty for repetition does not let pass
    with llamacpp_server(bends=True) as (address, key):
        way = {"model": "llamacpp-server/embedded", "base_url": address, "api_key": key}
        assert decide(crowd, question, **way).receipt.raw == here
        drawn = [decide(crowd, question, samples=3, seed=n, **way).receipt.raw for n in range(4)]
        assert len(set(drawn)) > 1
        # Whoever wants something else asks for it.
        bent = decide(crowd, question, extra={"repeat_penalty": 1.5}, **way)
        assert bent.receipt.raw != here


def test_an_audit_says_the_same_over_http(served, picture, tmp_path, monkeypatch):
    """Its tokens are counted and listed, so it is known that nothing was thought out of sight."""
    monkeypatch.setenv("FAITHFUL_DECIDE_CACHE", str(tmp_path))
    way = {"model": "llamacpp-server/embedded", "base_url": served[0], "api_key": served[1]}
    pixels = prepare(load_image(picture), load_backend("embedded").capabilities.image_limits).data
    here = audit(pixels, "Is there a red circle?", model="embedded", tier="standard")
    there = audit(pixels, "Is there a red circle?", tier="standard", **way)
    assert not there.hidden
    assert there.flags == here.flags


def test_a_forced_start_that_was_not_continued_is_no_reply(picture, tmp_path, monkeypatch):
    """The grammar makes it look like one; only that the server does not repeat it gives it away."""
    pytest.importorskip("xllamacpp")
    from tests.support.llama_server import llamacpp_server

    monkeypatch.setenv("FAITHFUL_DECIDE_CACHE", str(tmp_path))
    with llamacpp_server(continues=False) as served:
        way = {"model": "llamacpp-server/embedded", "base_url": served[0], "api_key": served[1]}
        report = audit(picture, "Is there a red circle?", tier="standard", **way)
        reader = report.checks["reader"]
        assert reader.not_run == "none of its replies could be used"
        assert all("does not repeat a forced start" in lost for lost in reader.lost)
        found = probe(**way)
        assert found.checks["prefix"].holds == "no"
        assert "one half of its own reply" in found.checks["prefix"].seen
        again = audit(picture, "Is there a red circle?", tier="standard", **way)
        # It is asked in another way then, and nothing is lost.
        assert again.checks["reader"].score == 0.0
        assert again.flags == report.flags
        client = connect(served)
        with pytest.raises(UnsupportedError, match="cannot continue"):
            client.generate(Request("", (), "t", None, 9, prefix="{"))
        client.close()


def test_nobody_pays_twice_for_a_start_that_is_not_continued(tmp_path, monkeypatch):
    """One reply shows it, and the next is not asked for."""
    monkeypatch.setenv("FAITHFUL_DECIDE_CACHE", str(tmp_path))
    with FaultyServer(lambda *_: "") as server:
        choice = {"message": {"content": "hyr"}, "finish_reason": "stop"}
        server.always = Answer(json.dumps({"choices": [choice]}).encode())
        client = load_backend("llamacpp-server/m", base_url=server.address)
        for _ in range(3):
            with pytest.raises(BackendError, match="does not repeat"):
                client.generate(Request("", (), "t", None, 9, prefix="zep"))
        assert server.requests == 1
        assert client.generate(Request("", (), "t", None, 9)).text == "hyr"
        client.close()


def test_a_wrong_key_is_an_auth_error(served, picture):
    """The server refuses it, at once."""
    with pytest.raises(AuthError):
        decide(picture, "Is it red?", model="llamacpp-server/x", base_url=served[0], api_key="no")


# ------------------------------------------------------------------------------ misbehaviour


def ask(server, picture, number=8, **options):
    settings = {"timeout": 20.0} | options
    return decide(
        picture,
        f"Is this an even number: {number}?",
        model="openai/faulty",
        base_url=server.address,
        **settings,
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_no_verdict_is_read_from_a_fault(fault, picture):
    """A reply with a fault is an error of ours, never a verdict; what is asked again is refused."""
    slow = fault in {"hang before the reply", "hang inside the reply", "slow drip"}
    for number in (8, 7):
        with FaultyServer(lambda _, before: "finish is refusal" if before else fault) as server:
            with case(number), pytest.raises((ReplyError, BackendError)):
                ask(server, picture, number, timeout=3.0 if slow else 20.0)
            assert server.requests >= 1


@pytest.mark.parametrize("odd", ODD)
def test_oddities_are_no_faults(odd, picture):
    """What is merely unusual is read, and nothing is made up for what is missing."""
    with FaultyServer(lambda *_: odd) as server:
        decision = ask(server, picture)
    assert decision.verdict == truth(8)
    assert decision.scores is None
    assert decision.receipt.hidden_thinking_tokens is None
    assert decision.receipt.order == "verified"


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.startswith("500 ")])
def test_what_never_passes_is_asked_for_once(fault, picture):
    """Some servers give a status of 500 to a request that they will never take."""
    with FaultyServer(lambda *_: fault) as server, pytest.raises(BackendError) as caught:
        ask(server, picture, timeout=5.0)
    assert not isinstance(caught.value, TransientError)
    assert server.requests == 1


@pytest.mark.parametrize("fault", ["500", "503", "429 without a word", "reset at once", "null"])
def test_what_passes_is_waited_for(fault, picture):
    """After a failure that may pass, the same request is sent again."""
    with FaultyServer(lambda _, before: fault if before == 0 else "") as server:
        server.keep_bodies = True
        assert ask(server, picture).verdict == truth(8)
        first, second = server.bodies
        assert {**first, "head": ""} == {**second, "head": ""}


@pytest.mark.parametrize("fault", ["hang before the reply", "hang inside the reply", "slow drip"])
def test_a_hung_call_leaves_time_for_another(fault, picture):
    """One call gets a part of the time, and what hangs is given up."""
    with FaultyServer(lambda _, before: fault if before == 0 else "") as server:
        assert ask(server, picture, timeout=3.0).verdict == truth(8)


def test_a_server_that_only_ever_fails_is_not_waited_for(picture):
    """It says that it is broken; one that has replied before may be so for a while."""
    with FaultyServer(lambda *_: "500") as server:
        with pytest.raises(TransientError, match="internal error") as caught:
            ask(server, picture)
        assert server.requests == 4
        assert "log of the server" in caught.value.hint
    failing = lambda number, before: "500" if number == 9 and before < 5 else ""  # noqa: E731
    spec = "openai/faulty"
    with FaultyServer(failing) as server, Decider(spec, base_url=server.address) as decider:
        assert decider.decide(picture, "Question 8?").verdict == truth(8)
        assert decider.decide(picture, "Question 9?").verdict == truth(9)


@pytest.mark.parametrize("fault", ["429 with seconds", "429 with a date"])
def test_a_server_is_left_alone_for_as_long_as_it_asks(fault, picture):
    """Both forms of Retry-After are kept, by all callers."""
    busy_until = [0.0]

    def choose(_, before):
        if not busy_until[0]:
            busy_until[0] = time.monotonic() + PAUSE_S
        return fault if time.monotonic() < busy_until[0] - 0.05 else ""

    spec = "openai/faulty"
    with FaultyServer(choose) as server, Decider(spec, base_url=server.address) as decider:
        with ThreadPoolExecutor(16) as pool:
            asked = [f"Is this an even number: {n}?" for n in range(16)]
            decisions = list(pool.map(lambda text: decider.decide(picture, text), asked))
        assert [d.verdict for d in decisions] == [truth(n) for n in range(16)]
        # Two were under way when it said so; nobody else asked before the time was up. A date has
        # whole seconds, so it may be past before it arrives, and is then asked after once more.
        assert server.requests <= 16 + (2 if fault == "429 with seconds" else 6)


def test_a_refusal_is_not_asked_again(picture):
    """Asking until it suits would select verdicts."""
    with FaultyServer(lambda *_: "refusal in its field") as server:
        with pytest.raises(RefusedError) as caught:
            ask(server, picture, retries=3)
        assert server.requests == 1
    assert "cannot help" in caught.value.reply.text


def test_a_broken_contract_is_asked_again_from_scratch(picture):
    """With retries, the identical request goes out; the failed verdict is never shown."""
    with FaultyServer(lambda _, before: "reversed keys" if before < 2 else "") as server:
        server.keep_bodies = True
        decision = ask(server, picture, retries=2)
        assert decision.receipt.attempts == 3
        assert len({json.dumps({**body, "head": ""}) for body in server.bodies}) == 1


def open_files():
    """How many files and sockets this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files as Linux does")
def test_cancelled_calls_leave_nothing(picture):
    """Cancelling closes the connections and ends the tasks."""
    with FaultyServer(lambda *_: "hang before the reply") as server:
        backend = load_backend("openai/faulty", base_url=server.address)

        async def cancel_all():
            calls = [
                asyncio.create_task(adecide(picture, f"Is this even: {n}?", model=backend))
                for n in range(20)
            ]
            await asyncio.sleep(0.3)
            for call in calls:
                call.cancel()
            ended = await asyncio.gather(*calls, return_exceptions=True)
            assert all(isinstance(end, asyncio.CancelledError) for end in ended)

        asyncio.run(cancel_all())
        before = open_files()
        asyncio.run(cancel_all())
        gc.collect()
        assert open_files() <= before
        backend.close()
        backend.close()
        with pytest.raises(UsageError, match="closed"):
            ask_once(backend)


def ask_once(backend):
    return backend.generate(Request("", (), "Question: 1\nVerdicts", None, 5))


# ------------------------------------------------------------------------------ secrets


def test_a_key_is_nowhere_to_be_found(picture, caplog):
    """Not in logs at DEBUG, exceptions, reprs, receipts, or JSON."""
    caplog.set_level(logging.DEBUG)
    said = []
    faults = ["", "500", "garbage, status 200", "content filter, status 400", "reset at once"]
    with FaultyServer(lambda n, _: faults[n]) as server:
        backend = load_backend("openai/faulty", base_url=server.address, api_key=KEY)
        said.append(repr(backend) + repr(vars(backend)["_capabilities"]))
        for number in range(len(faults)):
            try:
                decision = decide(picture, f"Is it even: {number}?", model=backend, timeout=0.5)
                said += [repr(decision), decision.model_dump_json()]
            except FaithfulDecideError as error:
                chain = error
                while chain is not None:
                    said += [str(chain), repr(chain), *getattr(chain, "__notes__", ())]
                    chain = None if chain.__suppress_context__ else chain.__context__
        backend.close()
    assert KEY not in "".join(said) + caplog.text


def test_a_key_that_the_server_repeats_is_blotted_out(served, picture, monkeypatch):
    """Some say: the key you sent, sk-..., is wrong."""
    from tests.support import faulty

    echo = {"echo": lambda *_: faulty._failed(401, f"Incorrect API key provided: {KEY}")}
    monkeypatch.setattr(faulty, "FAULTS", FAULTS | echo)
    with FaultyServer(lambda *_: "echo") as server, pytest.raises(AuthError) as caught:
        ask(server, picture, api_key=KEY)
    assert KEY not in str(caught.value)
    assert "***" in str(caught.value)


def test_a_picture_does_not_follow_a_redirect(picture):
    """It goes to the host that was named, and to no other."""
    with FaultyServer(lambda *_: "") as elsewhere:
        moved = Answer(b"{}", 307, {"location": f"{elsewhere.address}/chat/completions"})
        with FaultyServer(lambda *_: "") as server:
            server.always = moved
            with pytest.raises(BackendError, match="307"):
                ask(server, picture)
        assert elsewhere.requests == 0


@pytest.mark.parametrize(
    "name",
    [
        "OPENAI_API_KEY",
        "OPENAI_ORG_ID",
        "OPENAI_PROJECT_ID",
        "OPENAI_ADMIN_KEY",
        "OPENAI_CUSTOM_HEADERS",
    ],
)
def test_openais_secrets_are_not_sent_elsewhere(name, picture, monkeypatch):
    """What the environment holds for OpenAI is for its own server only."""
    monkeypatch.setenv(name, f"x-gateway: {KEY}" if "HEADERS" in name else KEY)
    with FaultyServer(lambda *_: "") as server:
        server.keep_bodies = True
        ask(server, picture)
        assert KEY not in json.dumps(server.bodies)


@pytest.mark.parametrize(
    ("spec", "options", "error"),
    [
        ("openai/", {}, UsageError),
        ("openai/x", {}, AuthError),
        ("openrouter/x", {}, AuthError),
        ("azure/x", {"api_key": "k"}, UsageError),
        ("vllm/x", {"base_url": "ftp://host"}, UsageError),
        ("vllm/x", {"base_url": "http://[bad"}, UsageError),
        ("vllm/x", {"base_url": "user:secret@host/v1"}, UsageError),
        ("openai/x", {"base_url": "", "api_key": "k"}, UsageError),
        ("openai/x", {"api_key": "sk-\u2019"}, AuthError),
        ("openai/x", {"api_key": "sk-1\n"}, AuthError),
        ("vllm/x", {"base_url": "http://user:secret@host/v1"}, UsageError),
        ("vllm/x", {"decoder": "backwards"}, UsageError),
        ("vllm/x", {"top_p": 1}, UnsupportedError),
    ],
)
def test_what_cannot_be_loaded(spec, options, error, monkeypatch):
    """It is said before anything is sent."""
    for preset in PRESETS.values():
        monkeypatch.delenv(preset.key_variable, raising=False)
    monkeypatch.delenv("AZURE_OPENAI_ENDPOINT", raising=False)
    with pytest.raises(error) as caught:
        load_backend(spec, **options)
    assert "secret" not in str(caught.value)


# ------------------------------------------------------------------------------ on the wire


@pytest.fixture
def request_(picture):
    """A request with everything in it."""
    image = prepare(load_image(picture), None)
    labels = ("yes", "no")
    return Request("be brief", (image,), "Question: ?", schema(labels), 99, seed=7, top_logprobs=50)


def test_order_of_the_schema_survives_the_wire(request_):
    """Properties, required and propertyOrdering have the order of the reply, down to the bytes."""
    body = json.loads(json.dumps(chat_body(request_, "m", PRESETS["vllm"])))
    sent = body["response_format"]["json_schema"]
    assert sent["strict"] is True
    keys = ["observations", "reasoning", "relies_on", "verdict"]
    assert list(sent["schema"]["properties"]) == keys
    assert sent["schema"]["required"] == sent["schema"]["propertyOrdering"] == keys
    assert body["top_logprobs"] == 20
    assert [part["type"] for part in body["messages"][1]["content"]] == ["image_url", "text"]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("vllm", {"continue_final_message": True, "add_generation_prompt": False}),
        ("sglang", {"continue_final_message": True}),
        ("llamacpp-server", {}),
    ],
)
def test_forced_start_is_the_last_message(kind, expected, request_):
    """The grammar that is sent is one for the rest, since it begins where the model does."""
    body = chat_body(replace(request_, prefix=REPLY[:-5]), "m", PRESETS[kind])
    assert body["messages"][-1] == {"role": "assistant", "content": REPLY[:-5]}
    assert expected.items() <= body.items()
    rest = json.dumps({key: body[key] for key in body.keys() - {"messages"}})
    assert "observations" not in rest
    assert "yes" in rest


@pytest.mark.parametrize("said", [REPLY, REPLY[-5:]])
def test_a_forced_start_stands_in_the_reply_once(said, request_):
    """llama.cpp's server repeats it; of one that was seen to continue, nobody wants it to."""
    answer = {"choices": [{"message": {"content": said}, "finish_reason": "stop"}]}
    forced = replace(request_, prefix=REPLY[:-5])
    seen = replace(PRESETS["llamacpp-server"], echoes_prefix="maybe")
    assert read_chat(answer, forced, seen).text == REPLY


@pytest.mark.parametrize("kind", [kind for kind, p in PRESETS.items() if p.prefix == "none"])
def test_what_cannot_be_continued_is_refused(kind, request_):
    """Before anything is sent."""
    backend = load_backend(f"{kind}/m", base_url="http://127.0.0.1:9", api_key="k")
    with pytest.raises(UnsupportedError, match="prefix"):
        backend.generate(replace(request_, prefix="{"))
    backend.close()


def test_unreachable_server_is_transient(picture):
    """It may come up; the error says where it was looked for."""
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:9"):
        decide(picture, "Is it?", model="vllm/m", base_url="http://127.0.0.1:9/v1", timeout=0.5)
