"""A server that answers every chat completion alike, and counts what it is asked."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from hashlib import sha256
from typing import Self

from tests.support.faulty import completion, written

_BODY = json.dumps(completion(written("yes"))).encode()
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(_BODY),
    _BODY,
)


class CountingServer:
    """Runs in a thread, on a port of this machine."""

    def __init__(self, delay: float = 0.02) -> None:
        """Prepare; it starts with the `with` statement.

        Args:
            delay: Seconds that a reply takes.
        """
        self.delay = delay
        self.asked: Counter[bytes] = Counter()
        """How often each request came, by the hash of its body."""
        self.address = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()

    @property
    def requests(self) -> int:
        """How many requests came."""
        return self.asked.total()

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
            asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024, limit=2**24)
        )
        self.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        self._ready.set()
        self._loop.run_forever()
        rest = asyncio.all_tasks(self._loop)
        for task in rest:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
                self.asked[sha256(await reader.readexactly(length)).digest()] += 1
                await asyncio.sleep(self.delay)
                writer.write(_ANSWER)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
