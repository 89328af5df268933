"""What is never given back: persistentalloc and linearAlloc of malloc.go.

    persistentalloc   memory that is never freed, from chunks of 256 KiB; 64 KiB and more go to
                      sysAlloc as they are
    linearAlloc       a reservation handed out from its start, on 386

Go has a persistentalloc for each P and one, under a lock, for who has no P. Here likewise, by the
number of the P.
"""

from __future__ import annotations

from typing import Final

from gorun_mem.runtime.behaviour import PERSISTENT_CHUNK, KiB
from gorun_mem.runtime.errors import Throw
from gorun_mem.runtime.mem import Mem
from gorun_mem.runtime.mstats import SysMemStat
from gorun_mem.runtime.oslayer import RuntimeLock

MAX_BLOCK: Final = 64 * KiB
"""maxBlock of persistentalloc1: from here on sysAlloc is asked directly."""
PAGE_SIZE: Final = 8 * KiB
"""pageSize of malloc.go, the Go heap's page, not the platform's."""


class _Palloc:
    """persistentAlloc of malloc.go: what is left of one chunk."""

    __slots__ = ("base", "off")

    def __init__(self) -> None:
        self.base = 0
        self.off = 0


class PersistentAlloc:
    """persistentalloc.

    Args:
        mem: where chunks come from.
        global_lock: globalAlloc.mutex, around allocations without a P; None in a world of one M.

    Attributes:
        chunks: address of every chunk, oldest first; persistentChunks.
    """

    __slots__ = ("_global_lock", "_mem", "_pallocs", "chunks")

    def __init__(self, mem: Mem, global_lock: RuntimeLock | None = None) -> None:
        self.chunks: list[int] = []
        self._mem = mem
        self._global_lock = global_lock
        self._pallocs: dict[int, _Palloc] = {}

    def __repr__(self) -> str:
        return f"<PersistentAlloc {len(self.chunks)} chunks>"

    async def alloc(self, size: int, align: int, sys_stat: SysMemStat, p: int = 0) -> int:
        """persistentalloc1: `size` zeroed bytes for ever.

        Args:
            size: bytes, at least 1.
            align: a power of two up to 8 KiB, or 0 for 8.
            sys_stat: what to account them to.
            p: number of the P that asks, 0 for none.

        Returns:
            The address; 0 only for 64 KiB and more.

        Raises:
            Throw: a bad size or alignment, or no memory for a chunk.
        """
        if size == 0:
            raise Throw("persistentalloc: size == 0")
        if align & (align - 1):
            raise Throw("persistentalloc: align is not a power of 2", align=align)
        if align > PAGE_SIZE:
            raise Throw("persistentalloc: align is too large", align=align)
        if size >= MAX_BLOCK:
            return await self._mem.sys_alloc(size, sys_stat, "immortal metadata")
        addr = await self._locked_small(size, align or 8, p)
        other_sys = self._mem.stats.other_sys
        if sys_stat is not other_sys:
            sys_stat.add(size)
            other_sys.add(-size)
        return addr

    def contains(self, addr: int) -> bool:
        """inPersistentAlloc: whether `addr` lies in a chunk."""
        return any(base <= addr < base + PERSISTENT_CHUNK for base in self.chunks)

    async def _locked_small(self, size: int, align: int, p: int) -> int:
        lock = None if p else self._global_lock
        if lock is not None:
            await lock.lock("runtime.persistentalloc1")
        addr = await self._small(size, align, p)
        if lock is not None:
            await lock.unlock("runtime.persistentalloc1")
        if addr == 0:
            raise self._mem.os.out_of_memory("runtime: cannot allocate memory", PERSISTENT_CHUNK)
        return addr

    async def _small(self, size: int, align: int, p: int) -> int:
        """Fewer than 64 KiB from the chunk of P `p`; 0 when there is no memory for another."""
        palloc = self._pallocs.setdefault(p, _Palloc())
        palloc.off = _align_up(palloc.off, align)
        if palloc.off + size > PERSISTENT_CHUNK or not palloc.base:
            palloc.base = await self._chunk()
            if palloc.base == 0:
                return 0
            palloc.off = _align_up(self._mem.os.platform.word_size, align)
        addr = palloc.base + palloc.off
        palloc.off += size
        return addr

    async def _chunk(self) -> int:
        """Another chunk, whose first word links it to the one before; 0 when there is none."""
        mem = self._mem
        mem.os.forget_refusal()
        base = await mem.sys_alloc(PERSISTENT_CHUNK, mem.stats.other_sys, "immortal metadata")
        if base:
            mem.os.memory.store_word(base, self.chunks[-1] if self.chunks else 0)
            self.chunks.append(base)
        return base


class LinearAlloc:
    """linearAlloc: one reservation handed out from its start. Empty until `init`.

    Args:
        mem: maps what is handed out.
        phys_page_size: bytes of a page.
    """

    __slots__ = ("_map_memory", "_mapped", "_mem", "_phys_page_size", "end", "next")

    def __init__(self, mem: Mem, phys_page_size: int) -> None:
        self.next = 0
        self.end = 0
        self._mapped = 0
        self._map_memory = False
        self._mem = mem
        self._phys_page_size = phys_page_size

    def __repr__(self) -> str:
        return f"<LinearAlloc [{self.next:#x}, {self.end:#x})>"

    def init(self, base: int, size: int, map_memory: bool) -> None:
        """Hand out [base, base+size) from now on.

        Args:
            base: a Reserved address.
            size: its bytes.
            map_memory: make Ready what is handed out.
        """
        if base + size > self._mem.os.platform.word_mask:
            size -= 1  # as Go does: an end past the last address would be 0
        self.next = self._mapped = base
        self.end = base + size
        self._map_memory = map_memory

    def alloc(self, size: int, align: int, sys_stat: SysMemStat) -> int:
        """The next `size` bytes at a multiple of `align`, or 0 when there are none left."""
        mask = self._mem.os.platform.word_mask
        p = _align_up(self.next, align) & mask
        if (p + size) & mask > self.end:
            return 0
        self.next = p + size
        page_end = _align_up((self.next - 1) & mask, self._phys_page_size) & mask
        if page_end > self._mapped:
            if self._map_memory:
                n = page_end - self._mapped
                self._mem.sys_map(self._mapped, n, sys_stat)
                self._mem.sys_used(self._mapped, n, n)
            self._mapped = page_end
        return p


def _align_up(n: int, a: int) -> int:
    return (n + a - 1) & ~(a - 1)
