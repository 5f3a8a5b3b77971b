"""Splitting a GGUF file into parts, as llama.cpp's own tool does."""

from __future__ import annotations

import struct

_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9


class _Cursor:
    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def take(self, form: str) -> int:
        (value,) = struct.unpack_from(f"<{form}", self.data, self.place)
        self.place += struct.calcsize(form)
        return int(value)

    def string(self) -> bytes:
        size = self.take("Q")
        self.place += size
        return self.data[self.place - size : self.place]

    def skip(self, kind: int) -> None:
        if kind == _STRING:
            self.string()
        elif kind == _ARRAY:
            inner, count = self.take("I"), self.take("Q")
            for _ in range(count):
                self.skip(inner)
        else:
            self.place += _SIZES[kind]


def split(data: bytes, count: int) -> list[bytes]:
    """The parts: the first has all that is said about the model, each has some of its tensors."""
    cursor = _Cursor(data)
    magic, version = data[:4], struct.unpack_from("<I", data, 4)[0]
    cursor.place = 8
    tensors, pairs = cursor.take("Q"), cursor.take("Q")
    start = cursor.place
    align = 32
    for _ in range(pairs):
        key, kind = cursor.string(), cursor.take("I")
        if key == b"general.alignment":
            align = struct.unpack_from("<I", data, cursor.place)[0]
        cursor.skip(kind)
    about = data[start : cursor.place]
    infos = []
    for _ in range(tensors):
        begin = cursor.place
        cursor.string()
        dimensions = cursor.take("I")
        cursor.place += 8 * dimensions + 4
        infos.append((data[begin : cursor.place], cursor.take("Q")))
    body = data[-(-cursor.place // align) * align :]
    ends = [*sorted(offset for _, offset in infos)[1:], len(body)]
    end_of = dict(zip(sorted(offset for _, offset in infos), ends, strict=True))
    share = -(-len(infos) // count)
    parts = []
    for number in range(count):
        mine = infos[number * share : (number + 1) * share]
        own = b"".join(
            struct.pack("<Q", len(key)) + key + struct.pack("<I", kind) + struct.pack(form, value)
            for key, kind, form, value in (
                (b"split.no", 2, "<H", number),
                (b"split.count", 2, "<H", count),
                (b"split.tensors.count", 5, "<i", tensors),
            )
        )
        said = (about if number == 0 else b"") + own
        head, written = b"", b""
        for info, offset in mine:
            written += bytes(-len(written) % align)
            head += info + struct.pack("<Q", len(written))
            written += body[offset : end_of[offset]]
        whole = magic + struct.pack("<IQQ", version, len(mine), (pairs if number == 0 else 0) + 3)
        whole += said + head
        parts.append(whole + bytes(-len(whole) % align) + written)
    return parts
