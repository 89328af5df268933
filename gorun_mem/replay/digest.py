"""The digests of a whole memory, made piece by piece: hashing gigabytes takes seconds.

Between two pieces the caller may do something else, or be interrupted. Where others go on with the
memory meanwhile, the pieces are of a copy.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
from collections.abc import Iterator
from typing import Final

from gorun_mem.runtime import fnv
from gorun_mem.runtime.behaviour import WASM_PAGE
from gorun_mem.runtime.linear_memory import FRAME, LinearMemory

_ZEROS: Final = bytes(1 << 20)
PIECE_BYTES: Final = 1 << (19 if fnv.COMPILED else 13)
"""Hashed at once, 3 ms' worth: who comes meanwhile waits for a few pieces. The interpreter's FNV-1a
is a hundred times slower."""

READY_BYTES: Final = 2 << 20
"""Pages that are touched at once: a huge one, or 512 faults, 2 ms at the most."""


class MemoryDigest:
    """SHA-256 and FNV-1a of a memory as it is.

    Args:
        memory: which.
        top: hashed are the bytes of [0, top).
        into: where to keep a copy, for the memory changes before the last piece is done.

    Attributes:
        words: words of 8 bytes that are not zero, from 64 KiB up, so far.
        fnv: FNV-1a 64 over (address, word) of each of those.
    """

    def __init__(self, memory: LinearMemory, top: int, *, into: CopyRoom | None = None) -> None:
        self._top = top
        self._written: Iterator[tuple[int, bytes | bytearray]] = memory.written(top)
        if into is not None:
            self._written = into.copy_of(self._written)
        self._sha256 = hashlib.sha256()
        self.words = 0
        self.fnv = fnv.OFFSET

    @property
    def sha256(self) -> str:
        """SHA-256 of [0, top) in hex, once all pieces are done."""
        return self._sha256.hexdigest()

    def view(self) -> dict[str, object]:
        """What `dump full` says of it, once all pieces are done."""
        return {
            "top": self._top,
            "nonzero_words": self.words,
            "nonzero_fnv": f"{self.fnv:016x}",
            "mem_sha256": self.sha256,
        }

    def pieces(self) -> Iterator[None]:
        """Hash on; each step is a piece."""
        at = pending = 0
        for base, frame in self._written:
            yield from self._zeros(base - at)
            part = frame[: self._top - base]
            self._sha256.update(part)
            at = base + len(part)
            if base >= WASM_PAGE:
                whole = bytes(part[: len(part) & -8])
                found, self.fnv = fnv.nonzero(self.fnv, base, whole)
                self.words += found
            pending += len(part)
            if pending >= PIECE_BYTES:
                pending = 0
                yield
        yield from self._zeros(self._top - at)

    def _zeros(self, n: int) -> Iterator[None]:
        while n > 0:
            self._sha256.update(_ZEROS[:n])
            n -= len(_ZEROS)
            yield


class CopyRoom:
    """Room for a copy of a memory, which is made ready piece by piece, so that copying is quick.

    It is a mapping of its own, of huge pages where the system has them, and goes back to the system
    at the end. What costs time is not the copying but the first touch of each page: 70 ms for 64
    MiB on a machine that is loaded, and 7 to copy them then.

    Args:
        most: bytes that are copied, the most.

    Attributes:
        ready: bytes that are.
    """

    def __init__(self, most: int) -> None:
        self._room = mmap.mmap(-1, max(most, 1), access=mmap.ACCESS_COPY)
        self.ready = 0
        if (huge := getattr(mmap, "MADV_HUGEPAGE", None)) is not None:
            with contextlib.suppress(OSError):  # a kernel without them
                self._room.madvise(huge)

    def make_ready(self) -> None:
        """One piece more."""
        until = min(self.ready + READY_BYTES, len(self._room))
        pages = range(self.ready, until, mmap.PAGESIZE)
        self._room[self.ready : until : mmap.PAGESIZE] = bytes(len(pages))
        self.ready = until

    def copy_of(
        self, written: Iterator[tuple[int, bytes | bytearray]]
    ) -> Iterator[tuple[int, bytes]]:
        """What `LinearMemory.written` yields, as it is now; once only."""
        bases = []
        for base, frame in written:
            self._room.write(frame)
            bases.append(base)
        return self._frames_of(bases)

    def _frames_of(self, bases: list[int]) -> Iterator[tuple[int, bytes]]:
        self._room.seek(0)
        with self._room:
            for base in bases:
                yield base, self._room.read(FRAME)
