"""A tar archive, member by member, as a stream: damage is told, and what is behind it is read.

`tarfile` takes a damaged header, a cut and a missing end mark for the end, keeps every header that
it has seen, and reads an extended header of any size into memory. So it only reads one header at a
time here, and the walk is ours: after a damaged header the next sound one is looked for, block by
block, and no size that an archive claims is believed further than the bytes are there.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import tarfile
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from faithful_decide._batch.damage import Damage

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["Member", "members"]

_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 2**20
_MOST_HEADER = 2**20
"""An extended header holds a name; a longer one is damaged, or made to fill the memory."""
_MOST_SIZE = 2**50
_COMPRESSED = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open))
_BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError)
_LINK_OR_DEVICE = {
    *(tarfile.LNKTYPE, tarfile.SYMTYPE),
    *(tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE),
}
_PAX_RECORD = re.compile(rb"(\d{1,9}) ([^=\n]+)=")


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive; its content, if it was wanted."""

    name: str
    size: int
    content: bytes | None


def members(
    path: Path, wanted: Callable[[str, int], bool], left_out: Counter[str]
) -> Iterator[Member | Damage]:
    """Walk an archive; the content is read of members that are wanted by their name and size."""
    with path.open("rb") as file:
        magic = file.read(6)
    opened = next((way for start, way in _COMPRESSED if magic.startswith(start)), open)
    with opened(path, "rb") as stream:
        yield from _Walk(stream, wanted, left_out).members()  # type: ignore[arg-type] # binary


class _Walk:
    """Where the walk is, and what an extended header has said of the next member."""

    def __init__(
        self, stream: IO[bytes], wanted: Callable[[str, int], bool], left_out: Counter[str]
    ) -> None:
        self._stream, self._wanted, self._left_out = stream, wanted, left_out
        self._at = 0
        self._said: dict[str, str] = {}

    def members(self) -> Iterator[Member | Damage]:
        lost = ended = False
        try:
            while len(block := self._stream.read(_BLOCK)) == _BLOCK:
                self._at += _BLOCK
                if not block.strip(b"\0"):
                    ended = True
                    continue
                header = _header(block)
                if header is None:
                    # The blocks behind a damaged header are its data: one stretch, told once.
                    if not lost:
                        yield Damage("the header of a member is damaged", self._at - _BLOCK)
                    lost = True
                    continue
                lost = ended = False
                if (member := self._member(header)) is not None:
                    yield member
        except _BROKEN as error:
            yield Damage(f"it is damaged or cut off after this place: {error}", self._at)
            return
        if block or not ended:
            yield Damage("it was cut off here: it has no end mark", self._at)

    def _member(self, header: tarfile.TarInfo) -> Member | None:
        """The member that a header begins; None if it is no file, or says something of the next."""
        size = header.size
        if header.type in {tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE}:
            data = self._data("an extended header", size, size <= _MOST_HEADER) or b""
            if header.type == tarfile.GNUTYPE_LONGNAME:
                self._said["path"] = _text(data.rstrip(b"\0"))
            else:
                self._said |= _pax(data)
            return None
        if header.type in {tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE}:
            self._data("an extended header", size, wanted=False)
            return None
        said, self._said = self._said, {}
        name = said.get("path", header.name)
        if header.type in _LINK_OR_DEVICE:
            self._left_out["links and devices"] += 1
        if header.type in {tarfile.DIRTYPE, *_LINK_OR_DEVICE}:
            # Whatever size they claim, nothing of it is there.
            return None
        if said.get("size", "").isdecimal():
            size = min(int(said["size"]), _MOST_SIZE)
        if header.type not in tarfile.REGULAR_TYPES or any("sparse" in key for key in said):
            self._left_out["members of an unknown kind"] += 1
            self._data(name, size, wanted=False)
            return None
        return Member(name, size, self._data(name, size, self._wanted(name, size)))

    def _data(self, name: str, size: int, wanted: bool) -> bytes | None:
        """Read the data of a member, or pass over it."""
        kept: list[bytes] = []
        rest = -(-size // _BLOCK) * _BLOCK
        while rest:
            chunk = self._stream.read(min(rest, _CHUNK))
            if not chunk:
                msg = f"the data of {name} end early"
                raise EOFError(msg)
            rest -= len(chunk)
            self._at += len(chunk)
            if wanted:
                kept.append(chunk)
        return b"".join(kept)[:size] if wanted else None


def _header(block: bytes) -> tarfile.TarInfo | None:
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return None
    return header if 0 <= header.size <= _MOST_SIZE else None


def _pax(data: bytes) -> dict[str, str]:
    """The records of an extended header, as far as they can be read."""
    records: dict[str, str] = {}
    at = 0
    while record := _PAX_RECORD.match(data, at):
        end = at + int(record[1])
        if end <= record.end() or end > len(data):
            break
        records[_text(record[2])] = _text(data[record.end() : end - 1])
        at = end
    return records


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
