"""How the heap gets its arenas: (*mheap).sysAlloc of malloc.go.

An arena is heapArenaBytes of address space, aligned to that. mheap.sysAlloc tries, in this order:

    1. the reservation made at boot, on 386 only and only for the heap;
    2. each hint of its list. A hint that answers with another address than asked is dropped for
       good, and what it answered with is given back;
    3. any aligned address. Then two hints are made, one below the new arena and, tried before it,
       one above. Both go to the heap's list even when a user arena was asked for.

Then it makes the metadata of each arena: once the L2 map, per arena a heapArena, and a place in a
list that grows by doubling.

An asked address of 0 cannot be told from "anywhere": the down hint of an arena whose address is its
size asks for nil, so that sysReserve chooses, its choice misses and is given back. And where
sysReserve then fails, nil equals the address asked for and counts as a hit.

Simplified: l1 bits are 0 on every platform here, so there is one L2 map. The race detector and the
sanitizers are left out. Which objects lie where in a piece of persistentalloc is not modelled; that
a piece is needed is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from gorun_mem.runtime.errors import IllegalUse, OutOfMemory, Throw
from gorun_mem.runtime.mem import Mem
from gorun_mem.runtime.mfixalloc import FixAlloc
from gorun_mem.runtime.oslayer import RuntimeLock
from gorun_mem.runtime.persistent import LinearAlloc, PersistentAlloc
from gorun_mem.runtime.purposes import HEAP, HEAP_RESERVATION


class HeapProbe(Protocol):
    """Who wants to see every hint and every mheap.sysAlloc as it ends."""

    def hint_hit(self, addr: int, n: int, v: int, down: bool, user: bool) -> None:
        """The hint gave `v`, the address asked for."""

    def hint_drop(self, addr: int, n: int, v: int, down: bool, user: bool) -> None:
        """The hint was dropped; `v` is what sysReserve gave in its place and was given back."""


@dataclass(slots=True)
class ArenaHint:
    """arenaHint: where to try to extend the heap.

    Args:
        addr: its start, or its end for a down hint.
        down: whether the arena ends at `addr`.
    """

    addr: int
    down: bool = False


@dataclass(slots=True)
class ArenaList:
    """A []arenaIdx that is only appended to.

    Args:
        indexes: the arenas, in the order made.
        capacity: how many fit.
        array: address of the array, 0 before the first.
    """

    indexes: list[int]
    capacity: int = 0
    array: int = 0


@dataclass(frozen=True, slots=True)
class HeapStatistics:
    """What the heap reserved.

    Args:
        arenas: arenas with metadata.
        arena_bytes: their size together.
        hints: hints on the heap's list.
        user_hints: hints on the user arenas' list.
        hint_hits: hints that gave the address asked for.
        hint_misses: hints that were asked and dropped.
        hint_drops: hints that were dropped without being asked.
        skipped_bytes: what alignment passed over or trimmed off.
    """

    arenas: int
    arena_bytes: int
    hints: int
    user_hints: int
    hint_hits: int
    hint_misses: int
    hint_drops: int
    skipped_bytes: int


class MHeap:
    """mheap, as far as it reserves arenas.

    Args:
        mem: mem.go over the OS layer.
        persistent: persistentalloc; None makes one.
        heap_lock: mheap.lock, taken around each sys_alloc; None in a world of one M.
        phys_page_size: bytes of a page; None takes the platform's.

    Attributes:
        arena_hints: the heap's hints, the next one last.
        user_arena_hints: the user arenas' hints, likewise.
        arenas: arena index -> address of its heapArena; what the L2 map holds.
        l2: address of the L2 map, 0 before the first arena.
        heap_arenas: allArenas, from 1.25 heapArenas.
        user_arenas: userArenaArenas, from 1.25.
        probe: sees every hint.

    Invariants:
        1. mheap.lock is held while hints, arenas or lists change, if there is one;
        2. an arena is in `arenas` iff its metadata is made.
    """

    def __init__(
        self,
        mem: Mem,
        *,
        persistent: PersistentAlloc | None = None,
        heap_lock: RuntimeLock | None = None,
        phys_page_size: int | None = None,
    ) -> None:
        os = mem.os
        self.mem = mem
        self.heap_lock = heap_lock
        self.persistent = persistent if persistent is not None else PersistentAlloc(mem)
        self.phys_page_size = os.platform.page_size if phys_page_size is None else phys_page_size
        self.probe: HeapProbe | None = None
        self.arena_hints: list[ArenaHint] = []
        self.user_arena_hints: list[ArenaHint] = []
        self.arenas: dict[int, int] = {}
        self.l2 = 0
        self.heap_arenas = ArenaList([])
        self.user_arenas = ArenaList([])
        self.arenas_huge_pages = False
        self.arena = LinearAlloc(mem, self.phys_page_size)
        self.heap_arena_alloc = LinearAlloc(mem, self.phys_page_size)
        # A hint has an address, a bool and a pointer.
        self.hint_alloc = FixAlloc(3 * os.platform.word_size, mem.stats.other_sys, self.persistent)
        self._behaviour = os.release.behaviour
        self._sizes = os.release.heap_sizes(os.platform)
        self._mask = os.platform.word_mask
        self._word = os.platform.word_size
        self._base_offset = os.platform.arena_base_offset
        self.arena_count_max: Final = (1 << os.platform.heap_addr_bits) // self._sizes.arena
        self._hits = self._misses = self._drops = self._skipped = 0

    def __repr__(self) -> str:
        return (
            f"<MHeap {len(self.arenas)} arenas of {self._sizes.arena} bytes, "
            f"{len(self.arena_hints)} hints>"
        )

    @property
    def arena_bytes(self) -> int:
        """heapArenaBytes."""
        return self._sizes.arena

    @property
    def arena_metadata_bytes(self) -> int:
        """Size of a heapArena."""
        return self._sizes.arena_metadata

    def statistics(self) -> HeapStatistics:
        """All figures at this moment."""
        return HeapStatistics(
            arenas=len(self.arenas),
            arena_bytes=len(self.arenas) * self._sizes.arena,
            hints=len(self.arena_hints),
            user_hints=len(self.user_arena_hints),
            hint_hits=self._hits,
            hint_misses=self._misses,
            hint_drops=self._drops,
            skipped_bytes=self._skipped,
        )

    def arena_index(self, addr: int) -> int:
        """arenaIndex: which arena the address is in."""
        return ((addr - self._base_offset) & self._mask) // self._sizes.arena

    async def sys_alloc(self, n: int, *, user: bool = False, p: int = 0) -> tuple[int, int]:
        """mheap.sysAlloc: reserve at least `n` bytes of heap, whole arenas, with metadata.

        Args:
            n: bytes; rounded up to arenas.
            user: for user arenas, which have hints of their own (from 1.20).
            p: number of the P whose persistentalloc serves the metadata, 0 for none.

        Returns:
            Address and bytes, or (0, 0). An address of 0 with a size is Go's answer where the hint
            asked for nil and nothing could be had.

        Raises:
            Throw: no memory for metadata, or an address outside the heap's address space.
            IllegalUse: the release has no user arenas.
        """
        if user and not self._behaviour.has_user_arenas:
            raise IllegalUse(
                f"{self.mem.os.release.name} has no user arenas: they came with go1.20; "
                "ask with user=False or for a later release"
            )
        site = "runtime.(*mheap).allocUserArenaChunk" if user else "runtime.(*mheap).allocSpan"
        if self.heap_lock is not None:
            await self.heap_lock.lock(site)
        self.mem.os.forget_refusal()
        answer = await self._sys_alloc(n, user, p)
        if answer[0] and answer[1] < n:
            self.mem.os.found_short("mheap.sysAlloc", answer[0], n, answer[1])
        if self.heap_lock is not None:
            await self.heap_lock.unlock(site)
        return answer

    def out_of_memory(self, n: int) -> OutOfMemory:
        """What Go dies of when mheap.sysAlloc answers nil.

        Both that call it, mheap.grow and mheap.allocUserArenaChunk, hand the nil on, and whoever
        wanted the span or the chunk throws this: mcache.refill, allocLarge, the stack pool,
        workbufs, newUserArena. An address of nil with a size is nil to them too.

        Args:
            n: bytes that the heap was to grow by.
        """
        return self.mem.os.out_of_memory("out of memory", n)

    async def _sys_alloc(self, n: int, user: bool, p: int) -> tuple[int, int]:
        arena_bytes = self._sizes.arena
        n = (n + arena_bytes - 1) & ~(arena_bytes - 1) & self._mask
        if not user:
            v = self.arena.alloc(n, arena_bytes, self.mem.stats.heap_released)
            if v:
                await self._make_metadata(v, n, user, p)
                return v, n
        v, size = await self._try_hints(n, user)
        if size == 0:
            v, size = await self._reserve_anywhere(n, p)
            if v == 0:
                return 0, 0
        self._check_usable(v, size)
        if v & (arena_bytes - 1):
            raise Throw("misrounded allocation in sysAlloc", v=v)
        await self._make_metadata(v, size, user, p)
        return v, size

    # Hints.

    async def _try_hints(self, n: int, user: bool) -> tuple[int, int]:
        """Ask hint after hint; (0, 0) when none is left."""
        hints = self.user_arena_hints if user else self.arena_hints
        mask = self._mask
        while hints:
            hint = hints[-1]
            p = (hint.addr - n) & mask if hint.down else hint.addr
            asked = (p + n) & mask >= p and self.arena_index(p + n - 1) < self.arena_count_max
            v = await self.mem.sys_reserve(p, n, HEAP_RESERVATION) if asked else 0
            if p == v:
                hint.addr = p if hint.down else (p + n) & mask
                self._note_hit(hint, p, n, user)
                return v, n
            if v:
                await self.mem.sys_unreserve(v, n, HEAP_RESERVATION)
            hints.pop()
            self.hint_alloc.free()
            self._note_drop(hint, p, n, v, asked, user)
        return 0, 0

    def _note_hit(self, hint: ArenaHint, p: int, n: int, user: bool) -> None:
        self._hits += 1
        if self.probe is not None:
            self.probe.hint_hit(p, n, p, hint.down, user)
        sink = self.mem.os.sink
        if sink is not None:
            sink.arena_reserve(p, n, "hint", p, 0)

    def _note_drop(self, hint: ArenaHint, p: int, n: int, v: int, asked: bool, user: bool) -> None:
        self._misses += asked
        self._drops += not asked
        if self.probe is not None:
            self.probe.hint_drop(p, n, v, hint.down, user)
        sink = self.mem.os.sink
        if sink is not None and asked:
            bloc = self.mem.os.bloc
            sink.arena_hint_miss(p, hint.down, bloc, abs(bloc - p))

    async def push_hint(
        self, addr: int, *, down: bool = False, user: bool = False, p: int = 0
    ) -> None:
        """Put a new hint in front of all others.

        Args:
            addr: its start, or its end for a down hint.
            down: whether it extends downwards.
            user: on the user arenas' list.
            p: number of the P whose persistentalloc serves it, 0 for none.
        """
        await self.hint_alloc.alloc(p)
        (self.user_arena_hints if user else self.arena_hints).append(ArenaHint(addr, down))

    async def _reserve_anywhere(self, n: int, p: int) -> tuple[int, int]:
        """Any aligned address, with new hints on both sides of it."""
        v, size, skipped = await self.mem.reserve_aligned_skipping(0, n, self._sizes.arena, HEAP)
        if v == 0:
            return 0, 0
        self._skipped += skipped
        sink = self.mem.os.sink
        if sink is not None:
            sink.arena_reserve(v, size, "aligned", 0, skipped)
        for addr, down in ((v, True), ((v + size) & self._mask, False)):
            await self.push_hint(addr, down=down, p=p)
            if sink is not None:
                sink.arena_hint_new(addr, down)
        return v, size

    def _check_usable(self, v: int, size: int) -> None:
        end = (v + size) & self._mask
        if end < v:
            bad = "region exceeds uintptr range"
        elif self.arena_index(v) >= self.arena_count_max:
            bad = "base outside usable address space"
        elif self.arena_index(end - 1) >= self.arena_count_max:
            bad = "end outside usable address space"
        else:
            return
        raise Throw(
            "memory reservation exceeds address space limit",
            f"runtime: memory allocated by OS [{v:#x}, {end:#x}) not in usable address space: "
            + bad,
            v=v,
            size=size,
        )

    # Metadata.

    async def _make_metadata(self, v: int, size: int, user: bool, p: int) -> None:
        last = self.arena_index((v + size - 1) & self._mask)
        for index in range(self.arena_index(v), last + 1):
            if self.l2 == 0:
                self.l2 = await self._make_l2_map()
            if index in self.arenas:
                raise Throw("arena already initialized", arena=index)
            metadata = await self._make_heap_arena(p)
            await self._register(index, user, p)
            self.arenas[index] = metadata

    async def _make_l2_map(self) -> int:
        """One pointer for every arena that there can be, got without accounting."""
        n = self.arena_count_max * self._word
        l2 = await self.mem.sys_alloc_os(n, "heap index")
        if l2 == 0:
            raise self.mem.os.out_of_memory("out of memory allocating heap arena map", n)
        if self._behaviour.has_huge_page_hooks:
            if self.arenas_huge_pages:
                self.mem.sys_huge_page(l2, n)
            else:
                self.mem.sys_no_huge_page(l2, n)
        return l2

    async def _make_heap_arena(self, p: int) -> int:
        n = self._sizes.arena_metadata
        stat = self.mem.stats.gc_misc_sys
        metadata = self.heap_arena_alloc.alloc(n, self._word, stat)
        if metadata == 0:
            metadata = await self.persistent.alloc(n, self._word, stat, p)
        if metadata == 0:
            raise self.mem.os.out_of_memory("out of memory allocating heap arena metadata", n)
        return metadata

    async def _register(self, index: int, user: bool, p: int) -> None:
        """Append the arena to its list; to 1.24 user arenas have none."""
        if user and not self._behaviour.registers_user_arenas:
            return
        arenas = self.user_arenas if user else self.heap_arenas
        if len(arenas.indexes) == arenas.capacity:
            size = 2 * arenas.capacity * self._word or self.phys_page_size
            array = await self.persistent.alloc(size, self._word, self.mem.stats.gc_misc_sys, p)
            if array == 0:
                raise self.mem.os.out_of_memory("out of memory allocating allArenas", size)
            arenas.array = array
            arenas.capacity = size // self._word
        arenas.indexes.append(index)

    def hints(self, *, user: bool = False) -> Iterable[ArenaHint]:
        """The hints in the order in which they are tried."""
        return reversed(self.user_arena_hints if user else self.arena_hints)
