"""Kernels 1 to 8: what goes wrong in an allocator without memlock, or with too little of it.

The free list, the memory and the ledger are the emulated runtime's own. What is planted is the gap:
a lock given back too early, or never taken.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from gorun_mem.explore.kernels.entry import Kernel
from gorun_mem.explore.kernels.parts import (
    FREE_LIST,
    PAGE,
    free_block,
    holding,
    load_header,
    step_of,
    store_header,
)
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.sync import Cell, Lock, Word

# 1


async def _sbrk_twice(world: World, fixed: bool) -> None:
    bloc = Cell("bloc", 0)
    memlock = Lock("memlock")

    async def sbrk(m: M) -> None:
        async with holding(memlock, fixed):
            before = await bloc.load()
            await bloc.store(before + PAGE)

    async with world.open_ms() as ms:
        ms.start_soon(sbrk)
        ms.start_soon(sbrk)
    if bloc.value != 2 * PAGE:
        raise AssertionError("an update of bloc was lost")


async def lost_update(world: World) -> None:
    """Two sbrk read bloc before either has moved it."""
    await _sbrk_twice(world, False)


async def lost_update_fixed(world: World) -> None:
    """The same under memlock."""
    await _sbrk_twice(world, True)


# 2


async def _grow_twice(world: World, fixed: bool) -> None:
    bloc, bloc_max, memory = Word("bloc"), Cell("blocMax"), Word("pages")
    memlock = Lock("memlock")

    async def sbrk(m: M) -> None:
        top = await bloc.add(1)
        async with holding(memlock, fixed):
            have = await bloc_max.load()
            if top > have:
                await memory.add(top - have)
                await bloc_max.store(top)

    async with world.open_ms() as ms:
        ms.start_soon(sbrk)
        ms.start_soon(sbrk)
    if not memory.value == bloc_max.value == 2:
        raise AssertionError("memory and blocMax have come apart")


async def check_then_grow(world: World) -> None:
    """Two Ms find bloc above blocMax and both grow memory by what was missing."""
    await _grow_twice(world, False)


async def check_then_grow_fixed(world: World) -> None:
    """Check and growth are one critical section."""
    await _grow_twice(world, True)


# 3


async def _find_and_unlink(world: World, fixed: bool) -> None:
    free_block(world, 1, used=1)
    os: Any = world.runtime.os
    memlock = Lock("memlock")
    got: list[int] = []

    async def alloc(m: M) -> None:
        await memlock.acquire()
        blocks = os.freelist.blocks()
        found = blocks[0][0] if blocks else os.brk.sbrk(PAGE)
        if not fixed:
            await memlock.release()
            await memlock.acquire()
        if any(addr == found for addr, _ in os.freelist.blocks()):
            os.freelist.mem_alloc_no_grow(PAGE)
        os.ledger.handed_out(found, PAGE, "memAlloc", m.id)
        await memlock.release()
        got.append(found)

    async with world.open_ms() as ms:
        ms.start_soon(alloc)
        ms.start_soon(alloc)
    if len(set(got)) != 2:
        raise AssertionError("one block was handed out twice")


async def double_allocation(world: World) -> None:
    """memlock is given back between finding a block and unlinking it."""
    await _find_and_unlink(world, False)


async def double_allocation_fixed(world: World) -> None:
    """One critical section finds and unlinks."""
    await _find_and_unlink(world, True)


# 4


async def _split_and_coalesce(world: World, fixed: bool) -> None:
    block = free_block(world, 2, used=2)
    os: Any = world.runtime.os
    neighbour = block + 2 * PAGE
    memlock = Lock("memlock")

    async def split(m: M) -> None:
        async with holding(memlock, fixed):
            size = await load_header(world, block)
            await store_header(world, block, size - PAGE)
            os.ledger.handed_out(block + size - PAGE, PAGE, "memAlloc", m.id)

    async def coalesce(m: M) -> None:
        async with holding(memlock, fixed):
            size = await load_header(world, block)
            if block + size == neighbour:
                await store_header(world, block, size + PAGE)
            else:
                merge = partial(os.freelist.mem_free, neighbour, PAGE)
                await step_of("memfree", FREE_LIST, merge)
            os.ledger.freed(neighbour, PAGE, "memFree", m.id)

    async with world.open_ms() as ms:
        ms.start_soon(split)
        ms.start_soon(coalesce)
    free = sum(size for _, size in os.freelist.blocks())
    if free != 2 * PAGE:
        raise AssertionError("the free list has lost or gained a page")
    world.check()


async def split_while_coalescing(world: World) -> None:
    """A block is split at one end while a neighbour is merged at the other."""
    await _split_and_coalesce(world, False)


async def split_while_coalescing_fixed(world: World) -> None:
    """Both under memlock."""
    await _split_and_coalesce(world, True)


# 5


async def _pop_and_push(world: World, tagged: bool) -> None:
    """A free list as a stack with a compare-and-swap on its head: (address, version)."""
    head = Word("head", ("a", 0))
    next_of = {"a": Word("a.next", "b"), "b": Word("b.next", "c"), "c": Word("c.next", "")}
    owned: dict[str, int] = {}

    async def pop(m: M) -> str:
        while True:
            top, version = await head.load()
            if not top:
                return ""
            behind = await next_of[top].load()
            if await head.cas((top, version), (behind, version + tagged)):
                if top in owned:
                    raise AssertionError(f"M{m.id} took a block that M{owned[top]} has")
                owned[top] = m.id
                return str(top)

    async def push(m: M, block: str) -> None:
        del owned[block]
        while True:
            top, version = await head.load()
            await next_of[block].store(top)
            if await head.cas((top, version), (block, version + tagged)):
                return

    async def two_pops(m: M) -> None:
        await pop(m)
        await pop(m)

    async def pop_two_push_first(m: M) -> None:
        first = await pop(m)
        await pop(m)
        if first:
            await push(m, first)

    async with world.open_ms() as ms:
        ms.start_soon(two_pops)
        ms.start_soon(pop_two_push_first)


async def free_list_aba(world: World) -> None:
    """The head is what it was, and its next is not."""
    await _pop_and_push(world, False)


async def free_list_aba_fixed(world: World) -> None:
    """The head has a version that every change raises."""
    await _pop_and_push(world, True)


# 6


async def _late_write(world: World, fixed: bool) -> None:
    m0 = world.main
    block = await m0.sys_alloc_os(PAGE)
    await m0.sys_alloc_os(PAGE)
    other = await m0.sys_alloc_os(PAGE)
    await m0.sys_alloc_os(PAGE)
    await m0.sys_free_os(other, PAGE)
    use = Lock("use of the block")
    freed = Word("freed", False)

    async def write(m: M) -> None:
        async with holding(use, fixed):
            if not await freed.load():
                await m.store(block + 64, 7)

    async def free(m: M) -> None:
        async with holding(use, fixed):
            await freed.store(True)
            await m.sys_free_os(block, PAGE)

    async with world.open_ms() as ms:
        ms.start_soon(write)
        ms.start_soon(free)
    world.runtime.os.freelist.check()  # type: ignore[union-attr]


async def write_after_free(world: World) -> None:
    """An M writes to a block that was freed since it looked; memCheck's zero check sees it."""
    await _late_write(world, False)


async def write_after_free_fixed(world: World) -> None:
    """Look and write under the lock under which the block is freed."""
    await _late_write(world, True)


# 7


async def _free_once(world: World, fixed: bool) -> None:
    block = await world.main.sys_alloc_os(PAGE)
    await world.main.sys_alloc_os(PAGE)
    freed = Word("freed", False)

    async def close(m: M) -> None:
        if fixed:
            mine = await freed.cas(False, True)
        else:
            mine = not await freed.load()
            if mine:
                await freed.store(True)
        if mine:
            await m.sys_free_os(block, PAGE)

    async with world.open_ms() as ms:
        ms.start_soon(close)
        ms.start_soon(close)


async def double_free(world: World) -> None:
    """Two Ms find a block not freed yet, and both free it."""
    await _free_once(world, False)


async def double_free_fixed(world: World) -> None:
    """A compare-and-swap says who frees."""
    await _free_once(world, True)


# 8


async def _trim_and_free(world: World, fixed: bool) -> None:
    block = await world.main.sys_alloc_os(2 * PAGE)
    await world.main.sys_alloc_os(PAGE)
    pages = Word("pages of the block", 2)
    lock = Lock("block")

    async def trim(m: M) -> None:
        async with holding(lock, fixed):
            if await pages.load() == 2:
                await pages.store(1)
                await m.sys_free_os(block + PAGE, PAGE)

    async def free(m: M) -> None:
        async with holding(lock, fixed):
            n = await pages.load()
            await pages.store(0)
            await m.sys_free_os(block, n * PAGE)

    async with world.open_ms() as ms:
        ms.start_soon(trim)
        ms.start_soon(free)


async def overlapping_free(world: World) -> None:
    """One M frees the tail of a block and another all of it, by a size that is out of date."""
    await _trim_and_free(world, False)


async def overlapping_free_fixed(world: World) -> None:
    """Size and free are one critical section."""
    await _trim_and_free(world, True)


KERNELS: Final = (
    Kernel(
        1, "lost-update", lost_update, lost_update_fixed,
        shows="an update of bloc is lost",
        look_for="two loads of bloc with no store between: the second is old",
        source="mem_sbrk.go without memlock", kind="AssertionError",
    ),
    Kernel(
        2, "check-then-grow", check_then_grow, check_then_grow_fixed,
        shows="memory grows twice for one blocMax",
        look_for="both Ms' looks at bloc_max before either has grown",
        source="mem_sbrk.go without memlock", kind="AssertionError",
    ),
    Kernel(
        3, "double-allocation", double_allocation, double_allocation_fixed,
        shows="a block is handed out twice",
        look_for="two finds of one block before the first unlink", source="memAlloc split in two",
        kind="AssertionError",
    ),
    Kernel(
        4, "split-coalesce", split_while_coalescing, split_while_coalescing_fixed,
        shows="a page is lost from the free list",
        look_for="the other M's steps between reading and writing a size",
        source="memAlloc and memFree without memlock", kind="AssertionError",
    ),
    Kernel(
        5, "free-list-aba", free_list_aba, free_list_aba_fixed,
        shows="a block is popped while somebody has it",
        look_for="a head that was changed and changed back under a swap",
        source="IBM System/370 Principles of Operation", kind="AssertionError",
    ),
    Kernel(
        6, "write-after-free", write_after_free, write_after_free_fixed,
        shows="memCheck finds a free block that is not zero",
        look_for="the store after the free, and who finds it", source="Go's runtime",
        kind="throw", config=Config(ms=2, faithful=True),
    ),
    Kernel(
        7, "double-free", double_free, double_free_fixed,
        shows="a block is freed twice", look_for="two Ms that both saw the last reference",
        source="reference counts", kind="illegal_use",
    ),
    Kernel(
        8, "overlapping-free", overlapping_free, overlapping_free_fixed,
        shows="a page is freed as the tail of a block and as part of it",
        look_for="two frees whose ranges share a page", source="mem.go's callers",
        kind="illegal_use",
    ),
)  # fmt: skip
