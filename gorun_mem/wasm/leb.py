"""LEB128 and vectors: how the wasm binary format writes numbers, names and lists.

Every read is bounded by the section that it lies in, and every count by the bytes that are left, so
that a count that lies costs nothing. Rejected: wasm-tob and wasm-tools of PyPI, which take seconds
to a minute for a Go binary because they decode every instruction.
"""

from __future__ import annotations

from typing import Final

from gorun_mem.wasm.errors import WasmError

_U32_BYTES: Final = 5
_U32_MAX: Final = (1 << 32) - 1
NAME_MAX: Final = 1 << 16
"""Bytes in the longest name that is read."""


class Reader:
    """A place in a range of bytes.

    Args:
        data: the whole binary.
        at: where to start.
        end: where the range ends.
        what: what is being read, for messages.
    """

    __slots__ = ("at", "data", "end", "what")

    def __init__(self, data: memoryview, at: int, end: int, what: str) -> None:
        self.data = data
        self.at = at
        self.end = end
        self.what = what

    def __repr__(self) -> str:
        return f"<Reader {self.what} at {self.at} of {self.end}>"

    def error(self, reason: str) -> WasmError:
        """A WasmError at this place."""
        return WasmError(f"{self.what}: {reason}", self.at)

    def byte(self) -> int:
        """The next byte."""
        at = self.at
        if at >= self.end:
            raise self.error("it ends in the middle of an entry")
        self.at = at + 1
        return self.data[at]

    def u32(self) -> int:
        """An unsigned LEB128 number of at most 32 bits."""
        data, at, end = self.data, self.at, self.end
        result = shift = 0
        for _ in range(_U32_BYTES):
            if at >= end:
                raise self.error("it ends in the middle of a number")
            byte = data[at]
            at += 1
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                if result > _U32_MAX:
                    break
                self.at = at
                return result
            shift += 7
        raise self.error("a number of more than 32 bits")

    def i64(self) -> int:
        """A signed LEB128 number of at most 64 bits."""
        result = shift = 0
        while shift < 70:
            byte = self.byte()
            result |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return result - (1 << shift) if byte & 0x40 else result
        raise self.error("a number of more than 64 bits")

    def count(self, least_bytes: int = 1) -> int:
        """How many entries follow.

        Args:
            least_bytes: bytes of the shortest entry that there can be.
        """
        n = self.u32()
        if n * least_bytes > self.end - self.at:
            raise self.error(f"{n} entries in {self.end - self.at} bytes")
        return n

    def take(self, n: int) -> memoryview:
        """The next `n` bytes."""
        at = self.at
        if n > self.end - at:
            raise self.error(f"{n} bytes where {self.end - at} are left")
        self.at = at + n
        return self.data[at : at + n]

    def name(self) -> str:
        """A name; bytes that are not UTF-8 are replaced."""
        n = self.u32()
        if n > NAME_MAX:
            raise self.error(f"a name of {n} bytes")
        return bytes(self.take(n)).decode("utf-8", "replace")


def uleb(n: int) -> bytes:
    """`n` as unsigned LEB128."""
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def sleb(n: int) -> bytes:
    """`n` as signed LEB128."""
    out = bytearray()
    while not -0x40 <= n < 0x40:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n & 0x7F)
    return bytes(out)
