"""A server that takes JSON and answers with JSON; what it says, whoever derives from it decides."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

Answered = tuple[int, Any]
"""A status, and what is sent with it."""


@dataclass(kw_only=True)
class JsonServer:
    """Answers every request on a port of this machine, and keeps what it was asked."""

    mount: ClassVar[str] = ""
    """What its address ends in."""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    address: str = ""

    def answer(self, body: dict[str, Any], headers: Mapping[str, str], path: str) -> Answered:
        """What is said to a request, whose headers have lower-case names."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Start."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            wbufsize = -1

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_POST(self) -> None:
                """Answer a request."""
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.bodies.append(body)
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, data = outer.answer(body, headers, self.path)
                sent = json.dumps(data).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self._server.server_port}{self.mount}"
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
