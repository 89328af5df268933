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


class MemoryDigest:
    """SHA-256 and FNV-1a of a memory as it is.

    Args:
        memory: which.
        top: hashed are the bytes of [0, top).
        copied: keep a copy, for the memory changes before the last piece is done.

    Attributes:
        words: words of 8 bytes that are not zero, from 64 KiB up, so far.
        fnv: FNV-1a 64 over (address, word) of each of those.
    """

    def __init__(self, memory: LinearMemory, top: int, *, copied: bool = False) -> None:
        self._top = top
        self._written: Iterator[tuple[int, bytes | bytearray]] = memory.written(top)
        if copied:
            self._written = _copy_of(memory, top)
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


def _copy_of(memory: LinearMemory, top: int) -> Iterator[tuple[int, bytes]]:
    """What `LinearMemory.written` yields, as it is now.

    The copy is a mapping of its own, of huge pages where the system has them: 64 MiB take 7 ms, in
    place of 34 where each page of 4 KiB is a fault, and go back to the system at the end.
    """
    bases = []
    copy = mmap.mmap(-1, max(memory.written_bytes, 1), access=mmap.ACCESS_COPY)
    if (huge := getattr(mmap, "MADV_HUGEPAGE", None)) is not None:
        with contextlib.suppress(OSError):  # a kernel without them
            copy.madvise(huge)
    for base, frame in memory.written(top):
        copy.write(frame)
        bases.append(base)
    return _frames_of(bases, copy)


def _frames_of(bases: list[int], copy: mmap.mmap) -> Iterator[tuple[int, bytes]]:
    copy.seek(0)
    with copy:
        for base in bases:
            yield base, copy.read(FRAME)
