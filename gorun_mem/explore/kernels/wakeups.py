"""Kernels 9 to 12 and 21: wakeups that get lost, and a semaphore that lets too many in.

The futex mutex is the runtime's own but for the state that is planted.
"""

from __future__ import annotations

from typing import Final

from gorun_mem.explore.kernels.entry import Kernel
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.runtime.mutex import make_note
from gorun_mem.runtime.mutex.base import StateMutex
from gorun_mem.runtime.mutex.futex import (
    LOCKED,
    SLEEPING,
    UNLOCKED,
    FutexLock,
    FutexMutex,
    FutexUnlock,
)
from gorun_mem.runtime.mutex.machine import state
from gorun_mem.runtime.op import MLike
from gorun_mem.sync import Cell, Cond, Lock, Word

# 9


async def _clear_and_sleep(world: World, fixed: bool) -> None:
    note = make_note("sema", "note")

    async def sleeper(m: M) -> None:
        if not fixed:
            await note.clear()
        await note.sleep()

    async def waker(m: M) -> None:
        await note.wakeup()

    if fixed:
        await note.clear()
    async with world.open_ms() as ms:
        ms.start_soon(sleeper)
        ms.start_soon(waker)


async def missed_note_wakeup(world: World) -> None:
    """noteclear right before notesleep wipes a wakeup that has come."""
    await _clear_and_sleep(world, False)


async def missed_note_wakeup_fixed(world: World) -> None:
    """The note is cleared before anybody can wake it."""
    await _clear_and_sleep(world, True)


# 10 and 11


class StoringLock(FutexLock):
    """A futex lock that stores SLEEPING and does not look what was there."""

    __slots__ = ()

    @state("atomic.store")
    def announce(self, m: MLike) -> object:
        """Store SLEEPING: if the lock is free by now nobody will wake this M."""
        self.mutex.key = SLEEPING
        self.wait = SLEEPING
        return self.goto(m, "sleep")


class StoringMutex(FutexMutex):
    """A futex mutex with `StoringLock`."""

    __slots__ = ()
    lock_op = StoringLock


class LookingUnlock(FutexUnlock):
    """A futex unlock that looks whether anybody sleeps, and then stores UNLOCKED."""

    __slots__ = ("seen",)
    FIRST = "look"
    REGISTERS = ("seen",)
    seen: int

    @state("atomic.load")
    def look(self, m: MLike) -> object:
        """Read the word; it may change before it is written."""
        self.seen = self.mutex.key
        return self.goto(m, "give_back")

    @state("atomic.store")
    def give_back(self, m: MLike) -> object:
        """Store UNLOCKED; wake if the word said SLEEPING then."""
        mutex: FutexMutex = self.mutex
        mutex.key = UNLOCKED
        mutex.released(m, self)
        if self.seen != LOCKED:
            return self.goto(m, "wake")
        return None


class LookingMutex(FutexMutex):
    """A futex mutex with `LookingUnlock`."""

    __slots__ = ()
    unlock_op = LookingUnlock


async def _two_take(world: World, mutex: StateMutex) -> None:
    world.driver.mutexes[mutex.name] = mutex
    shared = Cell("shared")

    async def work(m: M) -> None:
        await m.lock(mutex)
        await shared.store(await shared.load() + 1)
        await m.unlock(mutex)

    async with world.open_ms() as ms:
        ms.start_soon(work)
        ms.start_soon(work)


async def sleeping_stored(world: World) -> None:
    """The slow path stores SLEEPING instead of swapping it in."""
    await _two_take(world, StoringMutex("futex lock"))


async def unlock_skips_wake(world: World) -> None:
    """unlock saw LOCKED, and somebody went to sleep before it wrote."""
    await _two_take(world, LookingMutex("futex lock"))


async def futex_fixed(world: World) -> None:
    """Go's futex mutex: both are one swap."""
    await _two_take(world, FutexMutex("futex lock"))


# 12


async def _wait_for_ready(world: World, fixed: bool) -> None:
    lock = Lock("lock")
    ready = Cell("ready", False)
    cond = Cond("waiters", lock)

    async def wait(m: M) -> None:
        async with lock:
            while not await ready.load():
                await cond.wait()

    async def announce(m: M) -> None:
        async with lock:
            await ready.store(True)
        await (cond.broadcast() if fixed else cond.signal())

    async with world.open_ms() as ms:
        ms.start_soon(announce)
        ms.start_soon(wait)
        ms.start_soon(wait)


async def wake_one(world: World) -> None:
    """Two Ms wait for the same, and one is woken."""
    await _wait_for_ready(world, False)


async def wake_one_fixed(world: World) -> None:
    """All are woken."""
    await _wait_for_ready(world, True)


# 21


async def _enter_if_permitted(world: World, fixed: bool) -> None:
    permits, inside = Word("permits", 1), Word("inside", 0)

    async def work(m: M) -> None:
        n = await permits.load()
        if n < 1:
            return
        if fixed:
            if not await permits.cas(n, n - 1):
                return
        else:
            await permits.store(n - 1)
        now = await inside.add(1)
        if now > 1:
            raise AssertionError("more Ms inside than permits")
        await inside.add(-1)
        await permits.add(1)

    async with world.open_ms() as ms:
        ms.start_soon(work)
        ms.start_soon(work)


async def over_admission(world: World) -> None:
    """A semaphore's count is read, compared and written in three steps."""
    await _enter_if_permitted(world, False)


async def over_admission_fixed(world: World) -> None:
    """A compare-and-swap takes the permit."""
    await _enter_if_permitted(world, True)


KERNELS: Final = (
    Kernel(
        9, "missed-note-wakeup", missed_note_wakeup, missed_note_wakeup_fixed,
        shows="a note is cleared after it was woken",
        look_for="the clear that comes after the wakeup", source="lock_sema.go's contract",
        kind="deadlock",
    ),
    Kernel(
        10, "sleeping-stored", sleeping_stored, futex_fixed,
        shows="an M sleeps for a lock that is free",
        look_for="the store of SLEEPING over what the unlock had written",
        source="lock_futex.go with a store for a swap", kind="deadlock",
        config=Config(ms=2, cpus=1), lesson="lost_wakeup",
    ),
    Kernel(
        11, "unlock-skips-wake", unlock_skips_wake, futex_fixed,
        shows="an M sleeps for a lock that is free",
        look_for="the look at the word before the waiter's swap",
        source="lock_futex.go with a load and a store", kind="deadlock",
        config=Config(ms=2, cpus=1),
    ),
    Kernel(
        12, "wake-one", wake_one, wake_one_fixed,
        shows="the second of two waiters is not woken", look_for="two that sleep, and one wakeup",
        source="sync.Cond, Signal for Broadcast", kind="deadlock",
    ),
    Kernel(
        21, "over-admission", over_admission, over_admission_fixed,
        shows="two Ms are where one may be",
        look_for="two Ms whose looks at the count both allow them in",
        source="semaphores without compare-and-swap", kind="AssertionError",
    ),
)  # fmt: skip
