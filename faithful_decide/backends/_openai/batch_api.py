"""OpenAI's batch API, and that of servers that copied it: many requests in a file, replies later.

    POST /files       a file of requests, one per line
    POST /batches     begin
    GET  /batches/ID  how far it is
    GET  /files/ID/content   the replies, in any order, each with the name of its request

Its requests are chat completions, whichever protocol the same server is otherwise asked in: that is
what OpenAI, Azure and those who copied them take. Azure reads a file before a batch may use it, and
names the endpoint without a version. It was written from the documentation of both (as it was in
November 2026) and the types of OpenAI's SDK. No such service was reached.

What a model refuses of ours (`adapting`) is found out a batch late: its requests come back refused,
and go out once more in the next batch, without it.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO

from faithful_decide.backends._openai.adapting import Learned, after_refusal, notes_on
from faithful_decide.backends._openai.chat import CHAT
from faithful_decide.backends._openai.connection import OK, Answer
from faithful_decide.backends._openai.reading import mapping
from faithful_decide.backends._openai.status import said_in, said_in_bytes
from faithful_decide.backends._sent import constraint_of
from faithful_decide.backends.base import Reply, Request
from faithful_decide.errors import BackendError, FaithfulDecideError, TransientError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from faithful_decide.backends._loop import Loop
    from faithful_decide.backends._openai.connection import Connection
    from faithful_decide.backends._openai.presets import Preset

__all__ = ["Deferred", "Failed"]

_ENDPOINT, _AZURES_ENDPOINT = "/v1/chat/completions", "/chat/completions"
_IS_READ = frozenset({"pending", "running", "uploading"})
"""States of a file that is not ready to be used; OpenAI's are ready at once."""
_READING_S, _READ_POLL_S = 600.0, 2.0
_OVER = {"completed", "failed", "expired", "cancelled"}
_NOT_BEGUN = {"batch_expired", "batch_cancelled", "request_timeout"}
"""Why a request may be left over that nothing is wrong with."""
_LOOKED_AT = 100
_REQUEST = Request("", (), "", {"type": "object"}, 1, top_logprobs=1)
"""Stands for every request when replies are read: all have a schema, and none a forced start."""
_STAYS = frozenset({400, 404, 405, 413, 415, 422})
"""Statuses of requests that would be refused again, word for word as they are."""
_NO_API = "this server may have no batch API; run without it"


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a request of a batch has no reply."""

    error: FaithfulDecideError
    stays: bool
    """Whether the same request would be refused again."""
    adapted: bool = False
    """Whether it goes out again, in this run, without what was refused of it."""


class Deferred:
    """The batch API of one server and model."""

    def __init__(
        self,
        connection: Connection,
        loop: Loop,
        preset: Preset,
        model: str,
        *,
        name: str,
        learned: Learned,
        azure: bool,
    ) -> None:
        """Use the connection of a backend, on the loop where that runs."""
        self._connection, self._loop = connection, loop
        self._row, self._model, self._name = replace(preset, wires=("chat",)), model, name
        self._learned = learned
        self._endpoint = _AZURES_ENDPOINT if azure else _ENDPOINT

    def line(self, name: str, request: Request) -> bytes:
        """A request as a line of the file; its reply comes under the name it is given."""
        body = CHAT.body(request, self._model, self._learned.of(self._row))
        line = {"custom_id": name, "method": "POST", "url": self._endpoint, "body": body}
        return json.dumps(line, separators=(",", ":")).encode() + b"\n"

    def upload(self, file: BinaryIO) -> str:
        """Send a file of requests; what the server calls it."""
        sent = self._object(
            self._connection.post(
                "/files",
                {"purpose": "batch"},
                files=[("file", ("requests.jsonl", file, "application/jsonl"))],
                headers={"Content-Type": "multipart/form-data"},
            )
        )
        name, began = self._name_in(sent), time.monotonic()
        while sent.get("status") in _IS_READ:
            if time.monotonic() - began > _READING_S:
                msg = f"{self._name} has not read the file of requests in {_READING_S:.0f} s"
                raise TransientError(msg, hint="run the same command again")
            time.sleep(_READ_POLL_S)
            sent = self._object(self._connection.get(f"/files/{name}"))
        if sent.get("status") == "error":
            why = self._connection.clean(str(sent.get("status_details") or "no reason given"))
            msg = f"{self._name} cannot use the file of requests: {why}"
            raise BackendError(msg, hint="correct what it names, and run again")
        return name

    def begin(self, file: str) -> str:
        """Have the requests of a file answered; what the server calls the batch."""
        body = {"input_file_id": file, "endpoint": self._endpoint, "completion_window": "24h"}
        return self._name_in(self._object(self._connection.post("/batches", body)))

    def find(self, file: str) -> str | None:
        """The batch of a file, begun perhaps before this process was killed."""
        listed = self._object(self._connection.get(f"/batches?limit={_LOOKED_AT}")).get("data")
        batches = listed if isinstance(listed, list) else []
        ours = (b for b in map(mapping, batches) if b.get("input_file_id") == file)
        return next(map(self._name_in, ours), None)

    def ended(self, batch: str) -> tuple[str, ...] | None:
        """The files that hold what came of a batch, or None if it is not over.

        A BackendError if the server gave the batch up as a whole.
        """
        state = self._object(self._connection.get(f"/batches/{batch}"))
        if state.get("status") not in _OVER:
            return None
        named = (state.get("output_file_id"), state.get("error_file_id"))
        files = tuple(str(file) for file in named if file)
        if state["status"] == "failed" and not files:
            errors = state.get("errors")
            why = self._connection.clean(said_in(mapping(errors).get("data", errors)).words)
            msg = f"{self._name} refused the batch {batch}: {why or 'no reason given'}"
            raise BackendError(msg, hint="correct what it names, and run again")
        return files

    def replies(self, files: Iterable[str]) -> Iterator[tuple[str, Reply | Failed]]:
        """What came of the requests of a batch: a name, and the reply or why there is none."""
        preset = self._learned.of(self._row)  # as they were sent, whatever is learned on the way
        for file in files:
            for line in self._content(self._connection.get(f"/files/{file}/content")).splitlines():
                try:
                    entry = json.loads(line)
                    name, response = entry["custom_id"], entry.get("response") or {}
                except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                    continue
                if isinstance(name, str) and isinstance(response, dict):
                    yield name, self._read(response, entry.get("error"), preset)

    def _read(self, response: dict[str, Any], error: object, preset: Preset) -> Reply | Failed:
        said = said_in(error)
        if not response and any(code in said.words for code in _NOT_BEGUN):
            why = self._connection.clean(said.words)
            return Failed(
                TransientError(f"{self._name} did not reply within the batch: {why}"), stays=False
            )
        status = response.get("status_code")
        status = status if type(status) is int else OK
        content = json.dumps(response.get("body") or {"error": error}).encode()
        answer = Answer(status, {}, content)
        try:
            outcome = self._connection.read(answer, CHAT, _REQUEST, preset)
        except FaithfulDecideError as broken:
            return Failed(broken, stays=status in _STAYS)
        if isinstance(outcome, Reply):
            body = CHAT.body(_REQUEST, self._model, preset)
            notes = notes_on(preset, _REQUEST, body)
            return replace(outcome, constraint=constraint_of(body, _REQUEST), notes=notes)
        now = after_refusal(outcome, content, preset, _REQUEST, self._model)
        if now is not None:
            self._learned.keep(self._row, now, self._connection.clean(outcome.words, 200))
        refused = self._connection.refused(outcome, answer)
        return Failed(refused, stays=now is None and status in _STAYS, adapted=now is not None)

    def _object(self, work: Any) -> dict[str, Any]:  # noqa: ANN401 - a coroutine
        try:
            made = json.loads(self._content(work))
        except (ValueError, RecursionError):
            made = None
        if not isinstance(made, dict):
            msg = f"{self._name} replied with something that is not a JSON object"
            raise TransientError(msg, hint="look at what stands between you and the server")
        return made

    def _content(self, work: Any) -> bytes:  # noqa: ANN401 - a coroutine
        answer: Answer = self._loop.run(work)
        if answer.status == OK:
            return answer.content
        said = said_in_bytes(answer.content, status=answer.status)
        raise self._connection.refused(said, answer, _NO_API)

    def _name_in(self, made: Mapping[str, Any]) -> str:
        if not isinstance(made.get("id"), str):
            msg = f"{self._name} did not say what it calls what it was sent"
            raise BackendError(msg, hint=_NO_API)
        return str(made["id"])
