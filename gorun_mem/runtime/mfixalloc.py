"""Objects of one size, kept for reuse when freed: fixalloc of mfixalloc.go.

The objects that a fixalloc hands out are Python objects here: only when it needs another piece of
persistentalloc matters.
"""

from __future__ import annotations

from typing import Final

from gorun_mem.runtime.behaviour import KiB
from gorun_mem.runtime.mstats import SysMemStat
from gorun_mem.runtime.persistent import PersistentAlloc

FIX_ALLOC_CHUNK: Final = 16 * KiB
"""_FixAllocChunk of malloc.go."""


class FixAlloc:
    """fixalloc, counted: objects of one size, kept for reuse when freed.

    Args:
        size: bytes of an object.
        sys_stat: what to account its pieces to.
        persistent: where pieces come from.
    """

    __slots__ = ("_free", "_left", "_persistent", "_sys_stat", "in_use", "size")

    def __init__(self, size: int, sys_stat: SysMemStat, persistent: PersistentAlloc) -> None:
        self.size = size
        self.in_use = 0
        self._free = 0
        self._left = 0
        self._sys_stat = sys_stat
        self._persistent = persistent

    def __repr__(self) -> str:
        return f"<FixAlloc {self.in_use} objects of {self.size} bytes>"

    async def alloc(self, p: int = 0) -> None:
        """(*fixalloc).alloc: a freed object, or else the next of the piece, or of a new piece."""
        self.in_use += 1
        if self._free:
            self._free -= 1
            return
        if self._left < self.size:
            piece = FIX_ALLOC_CHUNK // self.size * self.size
            await self._persistent.alloc(piece, 0, self._sys_stat, p)
            self._left = piece
        self._left -= self.size

    def free(self) -> None:
        """(*fixalloc).free: keep an object for reuse."""
        self.in_use -= 1
        self._free += 1
