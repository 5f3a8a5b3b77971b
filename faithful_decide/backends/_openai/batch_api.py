"""OpenAI's batch API, and that of servers that copied it: many requests in a file, replies later.

    POST /files       a file of requests, one per line
    POST /batches     begin
    GET  /batches/ID  how far it is
    GET  /files/ID/content   the replies, in any order, each with the name of its request

It was written from OpenAI's documentation and the types of its SDK. No such service was reached.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, BinaryIO

import httpx2
import openai

from faithful_decide.backends._openai.chat import chat_body, read_chat
from faithful_decide.backends._openai.status import sorted_by_status
from faithful_decide.backends.base import Request
from faithful_decide.errors import BackendError, FaithfulDecideError, TransientError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from faithful_decide._core.types import Reply
    from faithful_decide.backends._loop import Loop
    from faithful_decide.backends._openai.presets import Preset

__all__ = ["Deferred"]

_OVER = {"completed", "failed", "expired", "cancelled"}
_LOOKED_AT = 100
_REQUEST = Request("", None, "", None, 1, top_logprobs=1)
"""Stands for every request when replies are read: none of them has a forced prefix."""


class Deferred:
    """The batch API of one server and model."""

    def __init__(
        self, client: openai.AsyncOpenAI, loop: Loop, preset: Preset, model: str, name: str
    ) -> None:
        """Use the connections of a backend.

        Args:
            client: Its client.
            loop: Where that runs.
            preset: What is known of the server.
            model: The name that the server knows the model by.
            name: The name of the backend.
        """
        self._client, self._loop = client, loop
        self._preset, self._model, self._name = preset, model, name

    def line(self, name: str, request: Request) -> bytes:
        """Write a request as a line of the file.

        Args:
            name: What to call it; its reply comes under that name.
            request: The request.

        Returns:
            The line.
        """
        body = chat_body(request, self._model, self._preset)
        line = {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}
        return json.dumps(line, separators=(",", ":")).encode() + b"\n"

    def upload(self, file: BinaryIO) -> str:
        """Send a file of requests.

        Args:
            file: Its lines.

        Returns:
            What the server calls it.

        Raises:
            BackendError: The server refused it, or cannot be reached.
        """
        named = ("requests.jsonl", file, "application/jsonl")
        sent = self._post(
            "/files",
            {"purpose": "batch"},
            files=[("file", named)],
            headers={"Content-Type": "multipart/form-data"},
        )
        return _name_in(sent)

    def begin(self, file: str) -> str:
        """Have the requests of a file answered.

        Args:
            file: What `upload` returned.

        Returns:
            What the server calls the batch.

        Raises:
            BackendError: The server refused it, or cannot be reached.
        """
        body = {
            "input_file_id": file,
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
        }
        return _name_in(self._post("/batches", body))

    def find(self, file: str) -> str | None:
        """Find the batch of a file, which was begun perhaps before this process was killed.

        Args:
            file: What `upload` returned.

        Returns:
            What `begin` returned or would have, or None if it was not begun.

        Raises:
            BackendError: The server cannot be reached.
        """
        listed = self._get(f"/batches?limit={_LOOKED_AT}").get("data") or []
        return next((_name_in(one) for one in listed if one.get("input_file_id") == file), None)

    def ended(self, batch: str) -> tuple[str, ...] | None:
        """Look how far a batch is.

        Args:
            batch: What `begin` returned.

        Returns:
            The files that hold what came of it, or None if it is not over.

        Raises:
            BackendError: The server cannot be reached, or gave the batch up as a whole.
        """
        found = self._get(f"/batches/{batch}")
        if found.get("status") not in _OVER:
            return None
        named = (found.get("output_file_id"), found.get("error_file_id"))
        files = tuple(str(file) for file in named if file)
        if found["status"] == "failed" and not files:
            listed = (found.get("errors") or {}).get("data") or []
            why = "; ".join(str(error.get("message")) for error in listed[:3])
            msg = f"{self._name} refused the batch {batch}: {why or 'no reason given'}"
            raise BackendError(msg, hint="mend what it names, and run again")
        return files

    def replies(self, file: str) -> Iterator[tuple[str, Reply | FaithfulDecideError]]:
        """Read what came of requests.

        Args:
            file: One of what `ended` returned.

        Yields:
            The name of each request, and its reply or why there is none.

        Raises:
            BackendError: The server cannot be reached.
        """
        for line in self._raw(f"/files/{file}/content").splitlines():
            try:
                entry = json.loads(line)
                name, response = entry["custom_id"], entry.get("response") or {}
            except (ValueError, TypeError, KeyError, AttributeError):
                continue
            if isinstance(name, str) and isinstance(response, dict):
                yield name, self._read(response, entry.get("error"))

    def _read(self, response: dict[str, Any], error: object) -> Reply | FaithfulDecideError:
        if response.get("status_code") != 200:  # noqa: PLR2004 - done
            said = json.dumps(response.get("body") or error)[:300]
            return TransientError(f"{self._name} did not reply within the batch: {said}")
        try:
            return read_chat(response.get("body"), _REQUEST, self._preset, 0.0)
        except TransientError as broken:
            return broken

    def _get(self, path: str) -> dict[str, Any]:
        return self._object(self._raw(path))

    def _post(self, path: str, body: dict[str, Any], **more: Any) -> dict[str, Any]:  # noqa: ANN401
        headers, files = more.get("headers", {}), more.get("files")
        # As with single requests: no redirect may carry pictures to a host that nobody named.
        options: Any = {"follow_redirects": False, "headers": headers}
        work = self._client.post(
            path, cast_to=httpx2.Response, body=body, files=files, options=options
        )
        return self._object(self._run(work))

    def _raw(self, path: str) -> bytes:
        options: Any = {"follow_redirects": False}
        return self._run(self._client.get(path, cast_to=httpx2.Response, options=options))

    def _object(self, content: bytes) -> dict[str, Any]:
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            msg = f"{self._name} replied with something that is not a JSON object"
            raise TransientError(msg, hint="look at what stands between you and the server")
        return found

    def _run(self, work: Coroutine[Any, Any, httpx2.Response]) -> bytes:
        try:
            return self._loop.run(work).content
        except openai.APIStatusError as error:
            said = " ".join(str(error.message).split())[:300]
            raise sorted_by_status(
                error.status_code,
                f"{self._name} replied with status {error.status_code}: {said}",
                error.response.headers,
                key_hint="check the key, and whether it may use batches",
                request_hint="this server may have no batch API; run without it",
            ) from None
        except openai.APIConnectionError as error:
            msg = f"{self._name} could not be reached ({type(error.__cause__ or error).__name__})"
            raise TransientError(msg, hint="check base_url, and that the server is up") from None


def _name_in(made: dict[str, Any]) -> str:
    if not isinstance(made.get("id"), str):
        msg = "the server did not say what it calls what it was sent"
        raise BackendError(msg, hint="this server may have no batch API; run without it")
    return str(made["id"])
