"""Which weights a model has: a hash of its files, to the last byte.

Replies are kept under it. A fine-tune may differ from its base anywhere in a file of the same size,
so nothing is left out. A file is hashed in parts, side by side, and not again while it is the same:
the file of a large model takes about as long as reading it does.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["digest"]

_PART = 2**25
_known: dict[tuple[object, ...], bytes] = {}


def digest(paths: Iterable[Path]) -> str:
    """Sixteen hexadecimal digits that tell these files, in this order, from any others."""
    return hashlib.sha256(b"".join(map(_digest, paths))).hexdigest()[:16]


def _digest(path: Path) -> bytes:
    status = path.stat()
    size = status.st_size
    key = (os.path.realpath(path), size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    if key not in _known:
        with ThreadPoolExecutor() as threads:
            parts = threads.map(partial(_part, path), range(0, size, _PART))
            _known[key] = hashlib.sha256(b"".join(parts)).digest()
    return _known[key]


def _part(path: Path, start: int) -> bytes:
    sha256, left = hashlib.sha256(), _PART
    room = memoryview(bytearray(2**18))
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while left and (count := file.readinto(room[:left])):
            sha256.update(room[:count])
            left -= count
    return sha256.digest()
