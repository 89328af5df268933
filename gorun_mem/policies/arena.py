"""Go's own search under arenas of another size, whatever the release has."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gorun_mem.policies.first_fit import FirstFit
from gorun_mem.runtime.behaviour import Behaviour, HeapSizes, KiB, MiB

_CHUNK_MIN: Final = 512 * KiB
"""What a P's page cache covers: a palloc chunk holds whole caches (pallocChunkPages, mpagecache.go)
in every release."""
_SIZES: Final = (64 * KiB, 64 * MiB)


class Arena(FirstFit):
    """Arenas of `size`, metadata in proportion; palloc chunks no larger than an arena.

    go1.26 has 512 KiB on wasm, releases before it 4 MiB.

    Args:
        size: bytes.

    Raises:
        ValueError: no such size can be.
    """

    def __init__(self, size: int = 512 * KiB) -> None:
        super().__init__()
        if size & (size - 1) or not _SIZES[0] <= size <= _SIZES[1]:
            raise ValueError("it is to be a power of two from 64KiB to 64MiB")
        self.size = size

    def behaviour(self, own: Behaviour) -> Behaviour:
        """The release's, with other sizes."""
        return replace(own, heap={arch: self._resized(has) for arch, has in own.heap.items()})

    def _resized(self, has: HeapSizes) -> HeapSizes:
        return replace(
            has,
            arena=self.size,
            arena_metadata=max(1, has.arena_metadata * self.size // has.arena),
            palloc_chunk=min(has.palloc_chunk, max(self.size, _CHUNK_MIN)),
        )
