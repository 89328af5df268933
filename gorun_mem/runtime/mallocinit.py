"""What boot reserves before the heap grows: mallocinit of malloc.go, sysInit of mpagealloc_*.go.

In order: the page size is checked; a chunk for persistentalloc is got for the list of ranges in
use; the page allocator reserves its summaries, one reservation where the platform has 32 bits of
heap addresses (wasm too) and one a level where it has 48, and there also the scavenger's index; the
first mcache is made; then come the first arena hints.

    wasm, plan9/amd64   to 1.23: 128 hints from 0x00c0 << 32 up, 1 << 40 apart; from 1.20 the upper
                        half of them for user arenas. From 1.24: none.
    plan9/386           heapArena metadata for the whole address space is reserved, then 512, 256
                        and 128 MiB are tried above the program until one is had, then one hint to
                        each list. From 1.24 none of this. sbrk0 is 0 outside Linux.

Simplified: an mcache is taken to fill its piece of persistentalloc to the last byte. What else boot
allocates from persistentalloc (profile buckets, spans) is not modelled.
"""

from __future__ import annotations

from typing import Final

from gorun_mem.runtime.behaviour import HeapSizes, KiB, MiB, Platform, Release
from gorun_mem.runtime.errors import Throw
from gorun_mem.runtime.mfixalloc import FIX_ALLOC_CHUNK
from gorun_mem.runtime.mheap import MHeap
from gorun_mem.runtime.purposes import HEAP_RESERVATION

PHYS_PAGE_MIN: Final = 4096
PHYS_PAGE_MAX: Final = 512 * KiB
_SUMMARY_BYTES: Final = 8
"""pallocSumBytes."""
_LEVEL_BITS: Final = 3
"""summaryLevelBits: each level divides an entry of the one above by 8."""
_RANGES_CAP: Final = 16
"""How many ranges the first array of addrRanges holds."""
_ARENA_SIZES_386: Final = (512 * MiB, 256 * MiB, 128 * MiB)


def page_summary_sizes(sizes: HeapSizes, platform: Platform) -> tuple[int, ...]:
    """What pageAlloc.sysInit reserves for its summaries, in order, in bytes.

    The leaf level has an entry for each palloc chunk of the address space, and each level above it
    an eighth of that: four levels together in one reservation, or five of one each.

    Args:
        sizes: gives the chunk.
        platform: gives address bits and page size.
    """
    leaf = (1 << platform.heap_addr_bits) // sizes.palloc_chunk
    in_one = platform.heap_addr_bits == 32
    levels = 4 if in_one else 5
    entries = [leaf >> (_LEVEL_BITS * up) for up in reversed(range(levels))]
    if in_one:
        return (_page_up(sum(entries) * _SUMMARY_BYTES, platform.page_size),)
    return tuple(_page_up(n * _SUMMARY_BYTES, platform.page_size) for n in entries)


def check_phys_page_size(size: int) -> None:
    """mallocinit's tests of physPageSize.

    Raises:
        Throw: the size is 0, too small, too large or no power of two, with what Go prints.
    """
    if size == 0:
        raise Throw("failed to get system page size")
    if size > PHYS_PAGE_MAX:
        bad = f"system page size ({size}) is larger than maximum page size ({PHYS_PAGE_MAX})"
    elif size < PHYS_PAGE_MIN:
        bad = f"system page size ({size}) is smaller than minimum page size ({PHYS_PAGE_MIN})"
    elif size & (size - 1):
        bad = f"system page size ({size}) must be a power of 2"
    else:
        return
    raise Throw("bad system page size", bad, phys_page_size=size)


async def mallocinit(heap: MHeap, end: int) -> None:
    """mallocinit, as far as it reaches the OS layer.

    Args:
        heap: a heap without arenas.
        end: end of the program's data in bytes, firstmoduledata.end.

    Raises:
        Throw: the page size is unusable, or there is no memory.
    """
    check_phys_page_size(heap.phys_page_size)
    await init_pages(heap)
    stats = heap.mem.stats
    await heap.persistent.alloc(FIX_ALLOC_CHUNK, 0, stats.mcache_sys)
    await init_hints(heap, end)


async def init_pages(heap: MHeap) -> None:
    """pageAlloc.init: the list of ranges in use, the summaries, the scavenger's index."""
    mem = heap.mem
    os = mem.os
    sizes = os.release.heap_sizes(os.platform)
    ranges = 2 * os.platform.word_size * _RANGES_CAP
    await heap.persistent.alloc(ranges, os.platform.word_size, mem.stats.gc_misc_sys)
    summaries = page_summary_sizes(sizes, os.platform)
    for n in summaries:
        mem.os.forget_refusal()
        p = await mem.sys_reserve(0, n, "page summary")
        if p == 0:
            raise mem.os.out_of_memory("failed to reserve page summary memory", n)
        if len(summaries) == 1:
            mem.sys_map(p, n, mem.stats.gc_misc_sys)
            mem.sys_used(p, n, n)
    if sizes.scavenge_index:
        await mem.sys_reserve(0, sizes.scavenge_index, "scavenge index")


def reserves_at_boot(release: Release, platform: Platform) -> bool:
    """Whether mallocinit reserves memory for the heap: on 386, up to 1.23."""
    return platform.word_size == 4 and not release.behaviour.is_sbrk_platform


async def init_hints(heap: MHeap, end: int) -> None:
    """The first arena hints.

    Args:
        heap: a heap without hints.
        end: end of the program's data in bytes.
    """
    os = heap.mem.os
    behaviour = os.release.behaviour
    if behaviour.is_sbrk_platform:
        return
    if reserves_at_boot(os.release, os.platform):
        await _init_386(heap, end)
        return
    for i in range(0x7F, -1, -1):
        user = behaviour.has_user_arenas and i > 0x3F
        await heap.push_hint(i << 40 | 0xC0 << 32, user=user)


async def _init_386(heap: MHeap, end: int) -> None:
    mem = heap.mem
    metadata = heap.arena_count_max * heap.arena_metadata_bytes
    base = await mem.sys_reserve(0, metadata, "arena metadata")
    if base:
        heap.heap_arena_alloc.init(base, metadata, True)
    sbrk0 = 0
    p = max(end, sbrk0)
    if heap.heap_arena_alloc.next <= p < heap.heap_arena_alloc.end:
        p = heap.heap_arena_alloc.end
    p = _page_up(p + 256 * KiB, heap.arena_bytes) & mem.os.platform.word_mask
    for n in _ARENA_SIZES_386:
        v, size = await mem.sys_reserve_aligned(p, n, heap.arena_bytes, HEAP_RESERVATION)
        if v:
            heap.arena.init(v, size, False)
            p = heap.arena.end
            break
    await heap.push_hint(p)
    if mem.os.release.behaviour.has_user_arenas:
        await heap.push_hint(p, user=True)


def _page_up(n: int, page: int) -> int:
    return (n + page - 1) & ~(page - 1)
