"""A hub on this machine that speaks what `huggingface_hub` asks: lists, heads, files and ranges.

Every repository is a dict of file names and contents, so that a test says what a hub may say; what
the hub lists or gives out can be bent on purpose, and downloads can be cut.
"""

from __future__ import annotations

import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMIT = "c0ffee" + "0" * 34
_LFS = 1000
"""Larger files are listed with their SHA-256, smaller ones as git calls them."""


@dataclass
class Repo:
    """What the hub has under one name, and how it misbehaves."""

    files: dict[str, bytes]
    listed: dict[str, bytes] | None = None
    """Contents whose hashes are listed, where they are not those that are given out."""
    etags: dict[str, str] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    """After how many bytes the next downloads are broken off."""
    hold: threading.Event | None = None
    """Is waited for in the middle of a download."""
    status: int = 0
    code: str = ""


@dataclass
class Hub:
    """The repositories, and what was asked for."""

    address: str
    repos: dict[str, Repo] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path and range of every request."""
    tokens: set[str] = field(default_factory=set)

    def fetched(self) -> list[str]:
        """The files that were given out since the last time, one entry a request."""
        names = [path.rpartition("/")[2] for how, path, _ in self.asked if how == "GET"]
        self.asked.clear()
        return [name for name in names if name.endswith(".gguf")]


def named(content: bytes) -> str:
    """What the hub calls a content."""
    if len(content) > _LFS:
        return sha256(content).hexdigest()
    return sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append((self.command, path, self.headers.get("Range", "")))
        self.hub.tokens.add(self.headers.get("Authorization", ""))
        name = path.removeprefix("/api/models/").lstrip("/").partition("/resolve/")[0]
        repo = self.hub.repos.get(name)
        file = re.sub(r"^.*?/resolve/[^/]+/", "", path)
        if repo is None:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif repo.status:
            self._send(repo.status, b"{}", {"X-Error-Code": repo.code})
        elif path.startswith("/api/models/"):
            self._send(200, json.dumps(_listing(name, repo)).encode(), {})
        elif file not in repo.files:
            self._send(404, b"{}", {"X-Error-Code": "EntryNotFound"})
        else:
            self._file(repo, file, repo.files[file])

    def _file(self, repo: Repo, file: str, content: bytes) -> None:
        etag = repo.etags.get(file) or named((repo.listed or repo.files)[file])
        headers = {
            "X-Repo-Commit": COMMIT,
            "ETag": f'"{etag}"',
            "X-Linked-Size": str(len(content)),
            "Accept-Ranges": "bytes",
        }
        start = int(re.findall(r"\d+", self.headers.get("Range", "0"))[0])
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._send(206 if start else 200, content[start:], headers, repo)

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], repo: Repo | None = None
    ) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if repo and repo.cuts:
            body, self.close_connection = body[: repo.cuts.pop(0)], True
        if repo and repo.hold:
            self.wfile.write(body[:1000])
            repo.hold.wait(60)
            self.close_connection = True
            return
        self.wfile.write(body)


@contextmanager
def local_hub() -> Iterator[Hub]:
    """Run it."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub = handler.hub = Hub(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _listing(name: str, repo: Repo) -> dict[str, Any]:
    siblings = []
    for file, content in (repo.listed or repo.files).items():
        entry: dict[str, Any] = {"rfilename": file, "size": len(content)}
        entry["blobId"] = sha1(content).hexdigest()
        if len(content) > _LFS:
            entry["lfs"] = {"sha256": named(content), "size": len(content), "pointerSize": 134}
        else:
            entry["blobId"] = named(content)
        siblings.append(entry)
    return {"id": name, "modelId": name, "sha": COMMIT, "siblings": siblings, "tags": []}
