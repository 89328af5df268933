"""Each detector finds a planted bug, says what and where, and is silent on the twin."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from gorun_mem.explore.detectors.deadlocks import Deadlocks
from gorun_mem.explore.detectors.leaked_locks import LeakedLocks
from gorun_mem.explore.detectors.leaked_memory import LeakedMemory
from gorun_mem.explore.detectors.lock_order import LockOrder
from gorun_mem.explore.detectors.lock_ranks import LockRanks
from gorun_mem.explore.detectors.lost_wakeups import LostWakeups
from gorun_mem.explore.detectors.memory_safety import MemorySafety
from gorun_mem.explore.detectors.races import Races
from gorun_mem.explore.drive import Execution, run_once
from gorun_mem.explore.failure import Detector, Finding
from gorun_mem.explore.kernels import KERNELS
from gorun_mem.explore.kernels.parts import holding
from gorun_mem.explore.target import Target
from gorun_mem.machine.config import Config
from gorun_mem.step.strategies.pos import Pos
from gorun_mem.step.strategies.run_to_block import RunToBlock
from gorun_mem.step.strategies.searching import Profile
from gorun_mem.sync import Cell, Event, Lock, Word

PAGE = 1 << 12


def look(program: Any, *detectors: Detector, config: Config | None = None) -> tuple[Finding, ...]:
    """What is found in the plainest run."""
    target = program if isinstance(program, Target) else Target.of(program, config)
    return run_once(target, RunToBlock(0), detectors=detectors).findings


def search(target: Target, *detectors: Detector, runs: int = 150) -> list[Execution]:
    """Runs by POS."""
    pos, random = Pos(), Random(5)
    done = []
    for _ in range(runs):
        pos.begin(random, Profile())
        done.append(run_once(target, pos, detectors=detectors))
    return done


def findings(name: str, detector: Detector, *, twin: bool = False) -> list[Finding]:
    """What `detector` finds in 150 runs of a kernel, or of its twin."""
    kernel = KERNELS[name]
    runs = search(kernel.twin() if twin else kernel.target(), detector)
    return [finding for done in runs for finding in done.findings]


PLANTED = [
    ("lost-update", Races, "race"),
    ("check-then-grow", Races, "race"),
    ("wrong-lock", Races, "race"),
    ("ab-ba", LockOrder, "lock.order"),
    ("lock-cycle", LockOrder, "lock.order"),
    ("rank-inversion", LockRanks, "lock.rank"),
    ("leaked-lock", LeakedLocks, "lock.leaked"),
    ("double-allocation", MemorySafety, "memory.double_alloc"),
    ("double-free", MemorySafety, "memory.double_free"),
    ("overlapping-free", MemorySafety, "memory.overlap"),
    ("missed-note-wakeup", LostWakeups, "wakeup.lost"),
    ("sleeping-stored", LostWakeups, "wakeup.lost"),
    ("unlock-skips-wake", LostWakeups, "wakeup.lost"),
    ("wake-one", LostWakeups, "wakeup.lost"),
    ("self-deadlock", Deadlocks, "deadlock"),
    ("ab-ba", Deadlocks, "deadlock"),
    ("lock-cycle", Deadlocks, "deadlock"),
    ("leaked-lock", Deadlocks, "deadlock"),
]


@pytest.mark.parametrize(("name", "make", "kind"), PLANTED)
def test_planted(name: str, make: Any, kind: str) -> None:
    """The detector finds the kernel's bug, and nothing in 150 runs of its twin."""
    kinds = {finding.kind for finding in findings(name, make())}
    # A tail that is freed after all of its block is a double free; the other way round, an overlap.
    assert kinds == ({kind, "memory.double_free"} if kind == "memory.overlap" else {kind})
    assert findings(name, make(), twin=True) == []


# Races


async def read_and_write(world: Any) -> None:
    """One M writes, another reads, and nothing orders them."""
    cell = Cell("cell")

    async def write(m: Any) -> None:
        await cell.store(1)

    async def read(m: Any) -> None:
        await cell.load()

    async with world.open_ms() as ms:
        ms.start_soon(write)
        ms.start_soon(read)


def test_race_says_who_where_and_when() -> None:
    """Both accesses are named with M, line and step, in a run in which nothing went wrong."""
    (race,) = look(read_and_write, Races())
    assert (race.kind, race.obj, race.ms) == ("race", "cell", (1, 2))
    line = read_and_write.__code__.co_firstlineno
    here = "test_detectors.py"
    assert set(race.site.split(" and ")) == {f"{here}:{line + 5}", f"{here}:{line + 8}"}
    assert f"the read by M2 at {here}:{line + 8} (step 4)" in race.text
    assert f"the write by M1 at {here}:{line + 5} (step 2)" in race.text


async def two_readers(world: Any) -> None:
    """Two Ms read, then one writes after both were waited for, then two read again."""
    cell = Cell("cell")

    async def read(m: Any) -> None:
        await cell.load()

    for value in (1, 2):
        async with world.open_ms() as ms:
            ms.start_soon(read)
            ms.start_soon(read)
        await cell.store(value)


def test_start_and_join_order() -> None:
    """What comes before a start and after a join is ordered, and reads do not race."""
    assert look(two_readers, Races()) == ()


async def write_after_two_reads(world: Any) -> None:
    """A write that comes after one of two reads only."""
    cell, event = Cell("cell"), Event("event")

    async def read(m: Any) -> None:
        await cell.load()
        await event.set()

    async def read_alone(m: Any) -> None:
        await cell.load()

    async def write(m: Any) -> None:
        await event.wait()
        await cell.store(1)

    async with world.open_ms() as ms:
        ms.start_soon(read_alone)
        ms.start_soon(read)
        ms.start_soon(write)


def test_reads_are_kept_for_each_m() -> None:
    """A later read by another M does not hide an earlier one that a write races with."""
    (race,) = look(write_after_two_reads, Races())
    assert race.ms == (1, 3)


def _handed_over(flag: Any) -> Any:
    async def program(world: Any) -> None:
        cell = Cell("cell")

        async def give(m: Any) -> None:
            await cell.store(1)
            await flag.store(1)

        async def take(m: Any) -> None:
            if await flag.load():
                await cell.store(2)

        async with world.open_ms() as ms:
            ms.start_soon(give)
            ms.start_soon(take)

    return program


def test_atomics_order_and_do_not_race() -> None:
    """An atomic flag hands a variable over; a plain one is a race, and so is the variable."""
    assert look(_handed_over(Word("flag")), Races()) == ()
    assert {race.obj for race in look(_handed_over(Cell("flag")), Races())} == {"flag", "cell"}


def _in_turns(make: Any) -> Any:
    async def program(world: Any) -> None:
        lock = make(world)
        cell = Cell("cell")

        async def add(m: Any) -> None:
            await m.lock(lock)
            await cell.store(await cell.load() + 1)
            await m.unlock(lock)

        async with world.open_ms() as ms:
            for _ in range(3):
                ms.start_soon(add)

    return program


@pytest.mark.parametrize("mutex", ["sema", "spinbit", "futex", "queue"])
def test_every_mutex_orders(mutex: str) -> None:
    """No schedule of 60 has a race under a mutex that excludes, whatever its way to wait."""
    target = Target.of(_in_turns(lambda w: w.mutex("lock")), Config(ms=3, mutex=mutex))
    assert not any(done.findings for done in search(target, Races(), runs=60))


def test_no_mutex_orders_nothing() -> None:
    """Under mutex none the same program races in the plainest run."""
    config = Config(ms=3, mutex="none")
    assert look(_in_turns(lambda w: w.mutex("lock")), Races(), config=config)


async def two_allocs(world: Any) -> None:
    """Two Ms call the memory layer."""

    async def alloc(m: Any) -> None:
        await m.sys_alloc_os(PAGE)

    async with world.open_ms() as ms:
        ms.start_soon(alloc)
        ms.start_soon(alloc)


def test_layer_without_memlock() -> None:
    """The layer's free list and break race without memlock, and do not with it."""
    races = look(two_allocs, Races(), config=Config(ms=2, mutex="none"))
    assert {race.obj for race in races} == {"free list", "bloc"}
    assert races[0].site == "runtime.sysAllocOS and runtime.sysAllocOS"
    assert look(two_allocs, Races(), config=Config(ms=2)) == ()


def _two_users(addr: list[int], again: bool) -> Any:
    async def program(world: Any) -> None:
        block = await world.main.sys_alloc_os(PAGE)
        done = Word("done", False)
        addr[:] = [block]

        async def first(m: Any) -> None:
            await m.store(block, 1)
            if again:
                await m.sys_free_os(block, PAGE)
            done.value = True  # orders nothing: it is no operation

        async def second(m: Any) -> None:
            while not done.value:
                await m.pause()
            mine = await m.sys_alloc_os(PAGE) if again else block
            assert mine == block
            await m.store(mine, 2)

        async with world.open_ms() as ms:
            ms.start_soon(first)
            ms.start_soon(second)

    return program


def test_user_memory() -> None:
    """Two stores to one word race; a word that was freed and handed out anew has no past."""
    addr: list[int] = []
    (race,) = look(_two_users(addr, False), Races())
    assert race.obj == "user memory"
    assert f"word {addr[0]:#x}" in race.text
    assert look(_two_users(addr, True), Races()) == ()


# Locks


async def gated(world: Any) -> None:
    """AB-BA under a lock over both."""
    gate, a, b = Lock("gate"), Lock("a"), Lock("b")

    async def take(m: Any, first: Lock, second: Lock) -> None:
        async with holding(gate), holding(first), holding(second):
            pass

    async with world.open_ms() as ms:
        ms.start_soon(take, a, b)
        ms.start_soon(take, b, a)


async def alone(world: Any) -> None:
    """One M takes two locks in both orders."""
    a, b = Lock("a"), Lock("b")

    async def take(m: Any) -> None:
        for first, second in ((a, b), (b, a)):
            async with holding(first), holding(second):
                pass

    async with world.open_ms() as ms:
        ms.start_soon(take)


@pytest.mark.parametrize("program", [gated, alone])
def test_lock_order_that_cannot_deadlock(program: Any) -> None:
    """A gate over both orders, or one M alone, is no cycle."""
    assert look(program, LockOrder()) == ()


@pytest.mark.parametrize("name", ["ab-ba", "lock-cycle"])
def test_lock_order_without_deadlock(name: str) -> None:
    """The cycle is found in the plainest run, which ends well, and each lock's taker is named."""
    done = run_once(KERNELS[name].target(), RunToBlock(0), detectors=[LockOrder()])
    assert done.world.failure is None
    (cycle,) = done.findings
    locks = "a -> b -> a" if name == "ab-ba" else "a -> b -> c -> d -> a"
    assert cycle.obj == locks
    assert len(cycle.ms) == locks.count("->")
    assert "M1 took b while it held a, at locks.py:" in cycle.text


async def keep(world: Any) -> None:
    """An M ends with a lock of each sort."""
    lock, mutex = Lock("lock"), world.mutex("mutex")

    async def take(m: Any) -> None:
        await lock.acquire()
        await m.lock(mutex)

    async with world.open_ms() as ms:
        ms.start_soon(take)


def test_leaked_locks_of_either_sort() -> None:
    """Runtime mutexes and programs' locks are told of, with where they were taken."""
    found = look(keep, LeakedLocks())
    assert [(f.kind, f.obj) for f in found] == [("lock.leaked", "lock"), ("lock.leaked", "mutex")]
    line = keep.__code__.co_firstlineno
    assert found[0].site == f"test_detectors.py:{line + 5}"


def test_leaked_memory() -> None:
    """What was not given back is told of by who took it; nothing, where all was."""
    (one, two) = look(two_allocs, LeakedMemory())
    assert (one.ms, two.ms) == ((1,), (2,))
    assert "4,096 bytes that M1 took by sysAllocOS" in one.text

    async def give_back(world: Any) -> None:
        block = await world.main.sys_alloc_os(PAGE)
        await world.main.sys_free_os(block, PAGE)

    assert look(give_back, LeakedMemory()) == ()


def test_deadlock_says_who_holds_what() -> None:
    """The circle names Ms, locks, lines and steps."""
    (name,) = {f.obj for f in findings("ab-ba", Deadlocks())}
    assert name == "a -> b"
    text = findings("ab-ba", Deadlocks())[0].text
    assert "M1 (take) waits for b since" in text
    assert " ns at locks.py:" in text
    assert "held by M2 since" in text
    assert "taken at locks.py:" in text
