"""Kernels 13 to 20 and 22 to 24: locks taken twice, by the wrong M, in the wrong order, or kept."""

from __future__ import annotations

from typing import Final

from gorun_mem.explore.kernels.courtois import CourtoisLock
from gorun_mem.explore.kernels.entry import Kernel
from gorun_mem.explore.kernels.parts import PAGE, free_block, holding
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.sync import Cell, Lock, RWLock, Word

# 13


async def _error_path(world: World, fixed: bool) -> None:
    mutex = world.mutex("lock")
    busy = Word("busy", False)

    async def work(m: M) -> None:
        await m.lock(mutex)
        failed = await busy.load()
        await m.unlock(mutex)
        if failed and not fixed:
            await m.unlock(mutex)

    async def other(m: M) -> None:
        await busy.store(True)
        await busy.store(False)

    async with world.open_ms() as ms:
        ms.start_soon(work)
        ms.start_soon(other)


async def double_unlock(world: World) -> None:
    """An error path gives a lock back that the ordinary path has given back already."""
    await _error_path(world, False)


async def double_unlock_fixed(world: World) -> None:
    """It does not."""
    await _error_path(world, True)


# 14


async def _release_always(world: World, fixed: bool) -> None:
    lock = Lock("lock")
    taken = Word("taken", False)

    async def owner(m: M) -> None:
        await lock.acquire()
        await taken.store(True)
        await taken.store(False)
        await lock.release()

    async def passer(m: M) -> None:
        mine = not await taken.load()
        if mine:
            await lock.acquire()
        if mine or not fixed:
            await lock.release()

    async with world.open_ms() as ms:
        ms.start_soon(owner)
        ms.start_soon(passer)


async def foreign_unlock(world: World) -> None:
    """An M that found the lock taken goes on without it, and gives it back in the end."""
    await _release_always(world, False)


async def foreign_unlock_fixed(world: World) -> None:
    """Only who has taken it gives it back."""
    await _release_always(world, True)


# 15


async def _refill(world: World, fixed: bool) -> None:
    memlock = Lock("memlock")
    stock = Cell("stock", 1)

    async def alloc(m: M) -> None:
        await memlock.acquire()
        if await stock.load() == 0:
            async with holding(memlock, not fixed):  # the refill takes memlock by itself
                await stock.store(1)
        await stock.store(await stock.load() - 1)
        await memlock.release()

    async def borrow(m: M) -> None:
        for change in (-1, 1):
            async with holding(memlock):
                left = await stock.load() + change
                if left >= 0:
                    await stock.store(left)

    async with world.open_ms() as ms:
        ms.start_soon(alloc)
        ms.start_soon(borrow)


async def self_deadlock(world: World) -> None:
    """A refill under memlock takes memlock, but only where the stock is empty."""
    await _refill(world, False)


async def self_deadlock_fixed(world: World) -> None:
    """The refill is told that the lock is held."""
    await _refill(world, True)


# 16 and 17


async def _take_pairs(world: World, pairs: list[tuple[str, str]]) -> None:
    locks = {name: Lock(name) for pair in pairs for name in pair}

    async def take(m: M, first: str, second: str) -> None:
        async with holding(locks[first]), holding(locks[second]):
            pass

    async with world.open_ms() as ms:
        for first, second in pairs:
            ms.start_soon(take, first, second)


async def ab_ba(world: World) -> None:
    """Two Ms take two locks in opposite orders."""
    await _take_pairs(world, [("a", "b"), ("b", "a")])


async def ab_ba_fixed(world: World) -> None:
    """In the same order."""
    await _take_pairs(world, [("a", "b"), ("a", "b")])


async def lock_cycle(world: World) -> None:
    """Four Ms, each with its own lock, want that of the next."""
    await _take_pairs(world, [("a", "b"), ("b", "c"), ("c", "d"), ("d", "a")])


async def lock_cycle_fixed(world: World) -> None:
    """The last takes them by their order."""
    await _take_pairs(world, [("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")])


# 18


async def _heap_and_memlock(world: World, fixed: bool) -> None:
    heap, memlock = world.mutexes["mheap"], world.memlock
    low = Word("low on memory", False)

    async def scavenge(m: M) -> None:
        wrong = await low.load() and not fixed
        first, second = (memlock, heap) if wrong else (heap, memlock)
        await m.lock(first)
        await m.lock(second)
        await m.unlock(second)
        await m.unlock(first)

    async def notice(m: M) -> None:
        await low.store(True)
        await low.store(False)

    async with world.open_ms() as ms:
        ms.start_soon(scavenge)
        ms.start_soon(notice)


async def rank_inversion(world: World) -> None:
    """mheap.lock is taken under memlock, which is a leaf; nobody else takes both: no deadlock."""
    await _heap_and_memlock(world, False)


async def rank_inversion_fixed(world: World) -> None:
    """memlock under mheap.lock, as mheap.sysAlloc does."""
    await _heap_and_memlock(world, True)


# 19


async def _read_twice(world: World, fixed: bool) -> None:
    lock = RWLock("rwmutex")

    async def reader(m: M) -> None:
        async with lock.reading():
            if not fixed:
                async with lock.reading():
                    pass

    async def writer(m: M) -> None:
        await lock.acquire_write()
        await lock.release_write()

    async with world.open_ms() as ms:
        ms.start_soon(reader)
        ms.start_soon(writer)


async def recursive_read(world: World) -> None:
    """A reader goes in again while a writer waits, which waits for the reader to go out."""
    await _read_twice(world, False)


async def recursive_read_fixed(world: World) -> None:
    """It goes in once."""
    await _read_twice(world, True)


# 20

PASSES_MAX: Final = 3
"""More readers must not pass a writer that waits."""


async def _readers_and_writer(world: World, fixed: bool) -> None:
    lock = CourtoisLock("rwmutex", writers_first=fixed)

    async def reader(m: M) -> None:
        for _ in range(3):
            await lock.entry("rlock")
            if lock.passes >= PASSES_MAX:
                raise AssertionError("the writer starves: readers keep going in past it")
            await lock.leave()

    async def writer(m: M) -> None:
        await lock.announce()
        await lock.entry("lock")
        await lock.leave()

    async with world.open_ms() as ms:
        ms.start_soon(reader)
        ms.start_soon(reader)
        ms.start_soon(writer)


async def writer_starvation(world: World) -> None:
    """Readers go in to readers while a writer waits."""
    await _readers_and_writer(world, False)


async def writer_starvation_fixed(world: World) -> None:
    """A writer that waits keeps new readers out."""
    await _readers_and_writer(world, True)


# 22: the releases differ, the program does not.


async def leaked_lock(world: World) -> None:
    """sysReserveAlignedSbrk returns by its free-list path with memlock held (1.24.0 to 1.24.4)."""
    free_block(world, 4, used=1)

    async def reserve(m: M) -> None:
        await m.sys_reserve_aligned_sbrk(2 * PAGE, 2 * PAGE)

    async def alloc(m: M) -> None:
        await m.sys_alloc_os(PAGE)

    async with world.open_ms() as ms:
        ms.start_soon(reserve)
        ms.start_soon(alloc)


# 23


async def _count_under(world: World, names: tuple[str, str]) -> None:
    locks = {name: Lock(name) for name in names}
    in_use = Cell("in use")

    async def add(m: M, lock: Lock) -> None:
        async with holding(lock):
            await in_use.store(await in_use.load() + 1)

    async with world.open_ms() as ms:
        for name in names:
            ms.start_soon(add, locks[name])
    if in_use.value != 2:
        raise AssertionError("an addition was lost")


async def wrong_lock(world: World) -> None:
    """Two Ms guard the same data by two locks."""
    await _count_under(world, ("mheap", "memlock"))


async def wrong_lock_fixed(world: World) -> None:
    """By one."""
    await _count_under(world, ("mheap", "mheap"))


# 24


async def _two_stages(world: World, fixed: bool) -> None:
    first, second, both = Lock("first"), Lock("second"), Lock("both")
    a, b = Cell("a"), Cell("b")

    async def write(m: M) -> None:
        async with holding(both, fixed):
            async with holding(first):
                await a.store(1)
            async with holding(second):
                await b.store(2)

    async def read(m: M) -> None:
        async with holding(both, fixed):
            async with holding(first):
                seen = await a.load()
            async with holding(second):
                then = await b.load()
        if seen and then != seen + 1:
            raise AssertionError("a was set and b, which goes with it, was not")

    async with world.open_ms() as ms:
        ms.start_soon(write)
        ms.start_soon(read)


async def two_stage(world: World) -> None:
    """Two variables that belong together, each under a lock of its own."""
    await _two_stages(world, False)


async def two_stage_fixed(world: World) -> None:
    """A lock over both."""
    await _two_stages(world, True)


KERNELS: Final = (
    Kernel(
        13, "double-unlock", double_unlock, double_unlock_fixed,
        shows="an unlocked lock is unlocked",
        look_for="the way out that unlocks what was unlocked before", source="error paths",
        kind="throw",
    ),
    Kernel(
        14, "foreign-unlock", foreign_unlock, foreign_unlock_fixed,
        shows="a lock is given back by an M that does not hold it",
        look_for="who holds the lock when another gives it back", source="error paths",
        kind="illegal_use",
    ),
    Kernel(
        15, "self-deadlock", self_deadlock, self_deadlock_fixed,
        shows="an M waits for itself", look_for="one M, twice, in the list of who waits for whom",
        source="allocators that allocate", kind="deadlock",
    ),
    Kernel(
        16, "ab-ba", ab_ba, ab_ba_fixed,
        shows="two Ms wait for each other",
        look_for="two holders that each want what the other has", source="Havelund, SPIN 2000",
        kind="deadlock",
    ),
    Kernel(
        17, "lock-cycle", lock_cycle, lock_cycle_fixed,
        shows="four Ms wait in a circle",
        look_for="the circle: each M holds a lock and waits for the next",
        source="Dijkstra's philosophers", kind="deadlock",
    ),
    Kernel(
        18, "rank-inversion", rank_inversion, rank_inversion_fixed,
        shows="a lock is taken under a leaf",
        look_for="a lock taken under memlock, though nothing hangs", source="lockrank.go",
        kind="lock.rank", sees="lock_ranks",
    ),
    Kernel(
        19, "recursive-read", recursive_read, recursive_read_fixed,
        shows="a reader waits for a writer that waits for it",
        look_for="the writer that comes between two reads of one M",
        source="sync.RWMutex's contract", kind="deadlock",
    ),
    Kernel(
        20, "writer-starvation", writer_starvation, writer_starvation_fixed,
        shows="readers keep passing a writer that waits",
        look_for="readers that go in after the writer is announced",
        source="Courtois et al., CACM 1971", kind="AssertionError",
    ),
    Kernel(
        22, "leaked-lock", leaked_lock, leaked_lock,
        shows="memlock is never given back",
        look_for="the call that returned with memlock held, before the hang",
        source="golang/go#74346", kind="deadlock",
        config=Config(ms=2, release="go1.24.3", mutex="sema"),
        fixed_config=Config(ms=2, release="go1.24.11", mutex="sema"),
    ),
    Kernel(
        23, "wrong-lock", wrong_lock, wrong_lock_fixed,
        shows="data is guarded by two locks",
        look_for="two locks, each held, around one variable",
        source="lock sets (Eraser, SOSP 1997)", kind="AssertionError",
    ),
    Kernel(
        24, "two-stage", two_stage, two_stage_fixed,
        shows="an invariant over two locks is seen broken",
        look_for="the look between the first store and the second", source="SCTBench",
        kind="AssertionError",
    ),
)  # fmt: skip
