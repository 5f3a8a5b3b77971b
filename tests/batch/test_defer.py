"""The batch API, on the wire: the same rows, found again after any restart, and paid for once."""

import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

import pytest
from click.testing import CliRunner

from faithful_decide import (
    BackendError,
    Item,
    Journal,
    Question,
    TransientError,
    UnsupportedError,
    decide_many,
    load_backend,
)
from faithful_decide._asking.options import Options
from faithful_decide._batch.deferred import fill
from faithful_decide._batch.journaled import journaled
from faithful_decide._batch.runner import Job, stream
from faithful_decide._cli.main import main
from faithful_decide.backends._openai import batch_api
from faithful_decide.backends._openai.adapting import Learned
from faithful_decide.backends._openai.address import Server
from faithful_decide.testing import ScriptedBackend, reply_text

QUESTIONS = {"red": Question("Is it red?"), "blue": Question("Is it blue?")}


class Provider:
    """A small server with a batch API, which remembers what it was sent."""

    def __init__(self):
        self.files, self.batches, self.answered = {}, {}, []
        self.names = (f"{n:04}" for n in count())
        self.polls = 1  # how often a batch is looked at before it is over
        self.fault = ""
        self.spoil = {}  # from the number of a line to what comes back for it
        self.heads = []
        self.refuses = ()  # parameters that the model does not take
        self.endpoint = "/v1/chat/completions"
        self.states = []  # of a file that was sent, the next one first

    def handle(self, method, path, head, body):  # noqa: PLR0911 - one for each address
        self.heads.append(head)
        if self.fault and self.fault in f"{method} {path}":
            return 503, b'{"error": {"message": "busy"}}'
        if (method, path) == ("POST", "/v1/files"):
            boundary = re.search(r"boundary=(\S+)", head["content-type"])[1].encode()
            parts = body.split(b"--" + boundary)
            assert any(b'name="purpose"\r\n\r\nbatch' in part for part in parts)
            content = next(part for part in parts if b"filename=" in part)
            name = f"file-{next(self.names)}"
            self.files[name] = content.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
            state = self.states.pop(0) if self.states else "processed"
            return 200, json.dumps({"id": name, "purpose": "batch", "status": state}).encode()
        if (method, path) == ("POST", "/v1/batches"):
            asked = json.loads(body)
            assert asked["endpoint"] == self.endpoint
            assert not self.states
            name = f"batch_{next(self.names)}"
            self.batches[name] = {"id": name, "status": "in_progress", "left": self.polls, **asked}
            if self.fault == "reset after the batch":
                return None
            return 200, json.dumps(self.batches[name]).encode()
        if path.startswith("/v1/batches?"):
            return 200, json.dumps({"data": [None, *self.batches.values()]}).encode()
        if path.startswith("/v1/batches/"):
            batch = self.batches[path.rpartition("/")[2]]
            batch["left"] -= 1
            if batch["left"] < 0 and batch["status"] == "in_progress":
                self.answer(batch)
            return 200, json.dumps(batch).encode()
        if path.endswith("/content"):
            return 200, self.files[path.split("/")[3]]
        if path.startswith("/v1/files/"):
            state = {"status": self.states.pop(0), "status_details": "line 2 is no JSON"}
            return 200, json.dumps({"id": path.split("/")[3], **state}).encode()
        return 404, b"{}"

    def answer(self, batch):
        lines, out, bad = self.files[batch["input_file_id"]].splitlines(), [], []
        for number, line in enumerate(lines):
            entry = json.loads(line)
            self.answered.append(entry)
            done = {"id": "x", "custom_id": entry["custom_id"], "error": None}
            assert entry["url"] == self.endpoint
            text = self.spoil.get(number, reply_text("yes"))
            if refused := [name for name in self.refuses if name in entry["body"]]:
                words = f"Unsupported parameter: '{refused[0]}' is not supported with this model."
                wrong = {"error": {"message": words, "param": refused[0]}}
                text = {"response": {"status_code": 400, "body": wrong}}
            if isinstance(text, dict):
                bad.append(done | text)
                continue
            if isinstance(text, int):
                done["response"] = {"status_code": text, "body": {"error": {"message": "no"}}}
                bad.append(done)
                continue
            message = {"role": "assistant", "content": text}
            body = {
                "model": "gpt-4o-mini",
                "choices": [{"message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 0},
            }
            done["response"] = {"status_code": 200, "body": body}
            out.insert(0, done)  # in another order
        for key, found in (("output_file_id", out), ("error_file_id", bad)):
            name = f"file-{next(self.names)}"
            self.files[name] = b"".join(json.dumps(one).encode() + b"\n" for one in found)
            batch[key] = name if found else None
        batch["status"] = "completed"


@contextmanager
def serving(provider):
    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            length = int(self.headers.get("content-length") or 0)
            head = {key.lower(): value for key, value in self.headers.items()}
            found = provider.handle(self.command, self.path, head, self.rfile.read(length))
            if found is None:
                self.connection.close()
                return
            self.send_response(found[0])
            self.send_header("content-length", str(len(found[1])))
            self.end_headers()
            self.wfile.write(found[1])

        do_GET = do_POST = answer  # noqa: N815 - names of the standard library

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def provider():
    return Provider()


@pytest.fixture
def run(provider, tmp_path, picture_of):
    """Runs two questions about four pictures through the batch API, with a new process's eyes."""
    samples = [Item(str(n), picture_of(n)) for n in range(4)]
    with serving(provider) as address:

        def go(settings=None, said=None):
            backend = load_backend("openai/gpt-4o-mini", base_url=address, api_key="secret")
            try:
                with Journal(tmp_path / "journal") as journal:
                    job = Job(journaled(backend, journal), settings or Options(), concurrency=2)
                    asked = [(sample, QUESTIONS) for sample in samples]
                    say = (said if said is not None else []).append
                    job = fill(job, lambda: iter(asked), poll_s=0.01, say=say)
                    return list(stream(job, asked)), job.backend
            finally:
                backend.close()

        yield go


def test_the_rows_are_those_of_an_ordinary_run(run, provider, picture_of):
    """Same order, same verdicts, each request once, and what was sent is what is sent otherwise."""
    said = []
    rows, backend = run(said=said)
    other = ScriptedBackend(lambda _: reply_text("yes"))
    plain = decide_many([Item(str(n), picture_of(n)) for n in range(4)], QUESTIONS, model=other)
    assert [(r.id, r.question, r.verdict) for r in rows] == [
        (r.id, r.question, r.verdict) for r in plain
    ]
    assert len(provider.answered) == len({e["custom_id"] for e in provider.answered}) == 8
    body = provider.answered[0]["body"]
    assert provider.answered[0]["url"] == "/v1/chat/completions"
    assert body["model"] == "gpt-4o-mini"
    assert body["response_format"]["json_schema"]["strict"] is True
    assert len(provider.batches) == 1
    assert (backend.paid, len(said)) == (8, 2)
    assert run()[1].paid == 0
    assert len(provider.batches) == 1


def test_a_process_that_was_killed_while_waiting(run, provider, monkeypatch):
    """The next one waits for the same batch."""
    from faithful_decide._batch import deferred

    provider.polls = 3

    def killed(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(deferred.time, "sleep", killed)
        with pytest.raises(KeyboardInterrupt):
            run()
    rows, _ = run()
    assert {row.verdict for row in rows} == {"yes"}
    assert len(provider.answered) == 8


@pytest.mark.parametrize("fault", ["reset after the batch", "POST /v1/batches"])
def test_a_process_that_was_killed_while_beginning(run, provider, fault):
    """Whether or not the server has begun: the file is found, and answered once."""
    provider.fault = fault
    with pytest.raises(BackendError):
        run()
    provider.fault = ""
    rows, _ = run()
    assert {row.verdict for row in rows} == {"yes"}
    assert (len(provider.answered), len(provider.batches)) == (8, 1)


def test_a_request_without_a_reply_is_an_error_of_its_row(run, provider):
    """It is not asked at the full price; the next run sends it again, and nothing else."""
    provider.spoil = {1: 500, 2: "nonsense"}
    said = []
    rows, _ = run(said=said)
    assert [row.error_type for row in rows] == [None, "BackendError", "ContractError"] + [None] * 5
    assert "status 500: no" in str(rows[1].error)
    assert any("1 without a reply" in line and "500: no" in line for line in said)
    provider.spoil = {}
    rows, _ = run()
    assert [row.error_type for row in rows] == [None, None, "ContractError"] + [None] * 5
    assert len(provider.answered) == 9


@pytest.mark.parametrize("run_through", ["a new process", "the same"])
def test_what_would_be_refused_again_is_not_sent_again(run, provider, run_through):
    """The reason that the provider gave stays the error of its row."""
    provider.spoil = {1: 400, 3: 422}
    for _ in range(3):
        rows, _ = run()
        wrong = [row for row in rows if row.error_type]
        assert [row.error_type for row in wrong] == ["BackendError"] * 2
        assert "400: no" in str(wrong[0].error)
        assert len(provider.answered) == 8
        if run_through == "the same":
            break
    assert len(provider.batches) == 1


def test_a_request_that_was_left_over_is_sent_by_the_next_run(run, provider):
    """A batch may run out of time; nothing is wrong with what it left."""
    left = {"code": "batch_expired", "message": "could not be executed in time"}
    provider.spoil = {2: {"response": None, "error": left}}
    rows, _ = run()
    assert "could not be executed in time" in str(rows[2].error)
    provider.spoil = {}
    rows, _ = run()
    assert {row.verdict for row in rows} == {"yes"}
    assert len(provider.answered) == 9


def test_a_blocked_request_is_a_refusal(run, provider):
    """It is a reply like any other, and kept."""
    blocked = {"error": {"code": "content_filter", "message": "filtered"}}
    provider.spoil = {0: {"response": {"status_code": 400, "body": blocked}, "error": None}}
    for _ in range(2):
        assert run()[0][0].error_type == "RefusedError"
    assert len(provider.answered) == 8


@pytest.mark.parametrize("kind", ["openai", "azure"])
def test_the_provider_it_is_for(kind, provider, tmp_path, picture_of, monkeypatch):
    """Asked for responses otherwise, in a batch for chat completions, from the command line."""
    (tmp_path / "a.png").write_bytes(picture_of(1))
    monkeypatch.chdir(tmp_path)
    provider.polls = 0
    if kind == "azure":
        # It reads a file before it may be used, and its endpoint has no version.
        provider.endpoint, provider.states = (
            "/chat/completions",
            ["pending", "running", "processed"],
        )
        monkeypatch.setattr(batch_api, "_READ_POLL_S", 0.01)
    with serving(provider) as address:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai-1234")
        monkeypatch.setenv("AZURE_OPENAI_API_KEY", "sk-of-azure-1234")
        # What listens there is this machine; whose it is said to be is the point.
        monkeypatch.setattr(Server, "is_openai", kind == "openai")
        option = ("--base-url", address)
        command = (
            "batch",
            "a.png",
            "-q",
            "Is it red?",
            "--model",
            f"{kind}/gpt-4o-mini",
            "--deferred",
        )
        result = CliRunner().invoke(main, [*command, *option, "--out", "rows.jsonl"])
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "rows.jsonl").read_text())["verdict"] == "yes"
    (line,) = provider.answered
    assert "response_format" in line["body"]
    assert "max_completion_tokens" in line["body"]
    assert "input" not in line["body"]
    assert provider.heads[0]["authorization"] == f"Bearer sk-of-{kind}-1234"


def test_a_file_that_the_provider_cannot_read(run, provider, monkeypatch):
    """Says why, and begins nothing; the next run sends another."""
    monkeypatch.setattr(batch_api, "_READ_POLL_S", 0.01)
    provider.states = ["pending", "error"]
    with pytest.raises(BackendError, match="line 2 is no JSON"):
        run()
    assert provider.batches == {}
    assert {row.verdict for row in run()[0]} == {"yes"}


def test_a_file_that_is_read_for_ever(run, provider, monkeypatch):
    """Is given up, as something that may pass."""
    monkeypatch.setattr(batch_api, "_READ_POLL_S", 0.01)
    monkeypatch.setattr(batch_api, "_READING_S", 0.05)
    provider.states = ["pending"] * 1000
    with pytest.raises(TransientError, match="has not read the file"):
        run()
    assert provider.batches == {}


@pytest.mark.parametrize("refuses", [("temperature",), ("temperature", "top_logprobs", "logprobs")])
def test_what_a_model_refuses_of_ours_is_left_out_in_the_next_batch(
    refuses, run, provider, monkeypatch
):
    """All requests go out again in the same run without it, and the receipts say so."""
    monkeypatch.setattr(Learned, "_all", {})
    provider.refuses = refuses
    rows, backend = run()
    assert {row.verdict for row in rows} == {"yes"}
    assert (len(provider.batches), len(provider.answered), backend.paid) == (2, 16, 8)
    assert all("no temperature was sent" in row.decision.receipt.notes for row in rows)
    assert run()[1].paid == 0
    assert len(provider.batches) == 2


def test_what_a_model_refuses_for_ever_ends(run, provider, monkeypatch):
    """After a few batches, with the reason as the error of each row."""
    monkeypatch.setattr(Learned, "_all", {})
    provider.refuses = ("max_completion_tokens", "max_tokens")
    rows, _ = run()
    assert {row.error_type for row in rows} == {"BackendError"}
    assert "Unsupported parameter" in str(rows[0].error)
    assert len(provider.batches) <= 5


def test_what_depends_on_replies_is_sent_in_rounds(run, provider):
    """A retry of a broken reply, in a second batch."""
    provider.spoil = {0: "nonsense"}

    def mended(batch, answer=provider.answer):
        answer(batch)
        provider.spoil = {}

    provider.answer = mended
    rows, _ = run(Options(retries=1))
    assert {row.verdict for row in rows} == {"yes"}
    assert [len(batch) for batch in (provider.batches, provider.answered)] == [2, 9]


def test_a_busy_server_is_waited_for(run, provider, monkeypatch):
    """While a batch is under way a 503 is only said."""
    from faithful_decide._batch import deferred

    sleep = deferred.time.sleep

    def mend(seconds):
        provider.fault = ""
        sleep(seconds)

    monkeypatch.setattr(deferred.time, "sleep", mend)
    provider.fault = "GET /v1/batches/"
    said = []
    rows, _ = run(said=said)
    assert {row.verdict for row in rows} == {"yes"}
    assert any("503" in line for line in said)


def test_half_the_price(run, provider, monkeypatch):
    """Of the list price, where there is one."""
    from faithful_decide._batch import journaled

    priced = lambda name, model, usage: journaled.Decimal("0.15")  # noqa: E731 - the address hides it
    monkeypatch.setattr(journaled, "price_of", priced)
    assert float(run()[1].cost_usd) == pytest.approx(8 * 0.15 / 2)


@pytest.mark.parametrize("shape", [lambda said: {"data": said}, lambda said: said], ids=range(2))
def test_a_batch_that_is_refused_says_why(run, provider, shape):
    """As a whole, by the server."""

    def refuse(batch):
        batch |= {"status": "failed", "errors": shape([{"message": "line 3 is too long"}])}

    answer, provider.answer = provider.answer, refuse
    with pytest.raises(BackendError, match="line 3 is too long"):
        run()
    provider.answer = answer
    assert {row.verdict for row in run()[0]} == {"yes"}


def test_what_was_learned_holds_in_batches_too():
    """Where both speak one protocol, a model is not asked twice what it takes."""
    backend = load_backend("openai/m", base_url="http://127.0.0.1:9/v1", api="chat", api_key="k")
    assert backend._learned._who == backend.deferred()._learned._who
    backend.close()


def test_only_where_there_is_such_an_api(tmp_path):
    """Not for a model in this process, not without a journal."""
    with Journal(tmp_path / "j") as journal:
        for backend in (journaled(ScriptedBackend([]), journal), journaled(ScriptedBackend([]))):
            with pytest.raises(UnsupportedError):
                fill(Job(backend, Options()), lambda: iter(()))


def test_the_key_stays_in_the_header(run, provider, tmp_path):
    """Not in the journal."""
    run()
    assert all(head["authorization"] == "Bearer secret" for head in provider.heads)
    assert b"secret" not in (tmp_path / "journal").read_bytes()
