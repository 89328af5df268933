"""Takes gzip and zstd apart in pieces of bounded size, told by their first bytes.

What is cut is given out as far as it goes. What unpacks to far more than any log or recording does
is a bomb, and refused before it has taken time or memory.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK_BYTES: Final = 32 * 1024
"""Read at a time: what is decoded of it stays in a core's own cache, on a busy machine too."""
PIECE_BYTES: Final = 1024
"""Unpacked at a time: bounds what is in memory at once, and what is lost to damage."""
RATIO_MAX: Final = 400
"""Bytes out of one; logs and recordings come to 10 to 60."""
FREE_BYTES: Final = 4 << 20
"""Unpacked before the ratio is looked at."""

GZIP: Final = b"\x1f\x8b"
ZSTD: Final = b"\x28\xb5\x2f\xfd"


class Damaged(Exception):
    """The bytes cannot be unpacked from here on.

    Args:
        reason: why, in words.
        truncated: they are good as far as they go, and then just end.
    """

    def __init__(self, reason: str, *, truncated: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.truncated = truncated


class _Stream(Protocol):
    """What zlib's and zstandard's decompressors have in common."""

    @property
    def eof(self) -> bool:
        """The member or frame is over."""

    @property
    def unused_data(self) -> bytes:
        """What came behind its end."""

    def decompress(self, data: bytes, /) -> bytes:
        """All that `data` decompresses to."""


def unpacked(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """The bytes of a plain, gzip or zstd file, in pieces that are not empty.

    Args:
        read: gives up to so many bytes, b"" at the end.

    Raises:
        Damaged: the rest is lost.
        OSError: `read` did.
    """
    blocks = _blocks(read)
    head = next(blocks, b"")
    if head.startswith(GZIP):
        yield from _members(lambda: zlib.decompressobj(31), zlib.error, "gzip", head, blocks)
    elif head.startswith(ZSTD):
        import zstandard  # only what is in zstd needs it

        make = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj
        yield from _members(make, zstandard.ZstdError, "zstd", head, blocks)
    elif head:
        yield from chain((head,), blocks)


def _blocks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """The file's bytes; the first block has the four of the magic number if the file has."""
    head = read(BLOCK_BYTES)
    while 0 < len(head) < len(ZSTD) and _may_be_packed(head) and (more := read(BLOCK_BYTES)):
        head += more
    while head:
        yield head
        head = read(BLOCK_BYTES)


def _may_be_packed(head: bytes) -> bool:
    return GZIP.startswith(head[:2]) or ZSTD.startswith(head)


def _members(
    make: Callable[[], _Stream],
    damaged: type[Exception],
    what: str,
    head: bytes,
    blocks: Iterator[bytes],
) -> Iterator[bytes]:
    """Members one after another; a cut one as far as it goes. Zeros between them are padding."""
    stream, fresh = make(), True
    taken = given = 0
    for block in chain((head,), blocks):
        for start in range(0, len(block), PIECE_BYTES):
            piece = block[start : start + PIECE_BYTES]
            taken += len(piece)
            while piece:
                if fresh and taken > len(piece):
                    piece = piece.lstrip(b"\0")
                    if not piece:
                        break
                try:
                    out = stream.decompress(piece)
                except damaged:
                    raise Damaged(f"the {what} data is damaged: the rest is lost") from None
                fresh = False
                given += len(out)
                if given > FREE_BYTES and given > RATIO_MAX * taken:
                    raise Damaged(
                        f"the {what} data unpacks to more than {RATIO_MAX} times its size, as no "
                        "log or recording does: the rest is not read"
                    )
                if out:
                    yield out
                piece = stream.unused_data if stream.eof else b""
                if stream.eof:
                    stream, fresh = make(), True
    if not fresh:
        raise Damaged(f"the {what} data is cut off", truncated=True)


class UnpackedFile(io.RawIOBase):
    """The same as a file to read from; what is damaged is raised where it is reached.

    Args:
        read: as `unpacked` takes it.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        super().__init__()
        self._pieces = unpacked(read)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill `buffer`, or the beginning of it."""
        if not self._left:
            self._left = memoryview(next(self._pieces, b""))
        room = memoryview(buffer).cast("B")
        n = min(len(room), len(self._left))
        room[:n] = self._left[:n]
        self._left = self._left[n:]
        return n
