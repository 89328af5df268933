"""The digests of a whole memory, made piece by piece: hashing gigabytes takes seconds.

Between two pieces the caller may do something else, or be interrupted. Where others go on with the
memory meanwhile, the pieces are of a copy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from gorun_mem.runtime import fnv
from gorun_mem.runtime.behaviour import WASM_PAGE
from gorun_mem.runtime.linear_memory import LinearMemory

_ZEROS: Final = bytes(1 << 20)
PIECE_BYTES: Final = 1 << (20 if fnv.COMPILED else 13)
"""Hashed at once, some milliseconds' worth: the interpreter's FNV-1a is a hundred times slower."""


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
            self._written = iter([(base, bytes(frame)) for base, frame in self._written])
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
