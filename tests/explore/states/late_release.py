"""Locks whose release is a plain store before a look at who sleeps, each with its fixed twin."""

from __future__ import annotations

from typing import Any, ClassVar

from gorun_mem.locks import LockOp, Mutex, StateMutex, UnlockOp, state
from gorun_mem.runtime.mutex.futex_queue import FutexQueue
from gorun_mem.runtime.mutex.settings import LockSettings
from gorun_mem.runtime.op import PARKED, MLike
from gorun_mem.sync import FutexWord, Word


class LateRelease(Mutex):
    """A lock word and a count of sleepers: the release may be late, and then the count is stale."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.key = FutexWord("key")
        self.sleepers = Word("sleepers")

    async def lock(self, m: Any) -> None:
        """Take it, or sleep."""
        while not await self.key.cas(0, 1):
            await self.sleepers.add(1)
            await self.key.wait(1)
            await self.sleepers.add(-1)

    async def unlock(self, m: Any) -> None:
        """Give it back; wake somebody, if the count says so."""
        await self.release()
        if await self.sleepers.load():
            await self.key.wake(1)

    async def release(self) -> None:
        """The store that the look at the count may overtake."""
        await self.key.store_release(0)


class FencedRelease(LateRelease):
    """The same with an exchange."""

    async def release(self) -> None:
        """A store that is a fence."""
        await self.key.store(0)


class LateOp(LockOp):
    """Takes the lock, or counts itself and sleeps."""

    __slots__ = ()
    FIRST = "take"

    @state("atomic.cas")
    def take(self, m: MLike) -> object:
        """Try."""
        if not self.mutex.key:
            self.mutex.key = 1
            self.mutex.acquired(m, self)
            return None
        self.mutex.waits(m, self)
        return self.goto(m, "count")

    @state("atomic.add")
    def count(self, m: MLike) -> object:
        """One sleeper more."""
        self.mutex.sleepers += 1
        return self.goto(m, "sleep")

    @state("futexsleep")
    def sleep(self, m: MLike) -> object:
        """Sleep if it is taken."""
        if self.mutex.key:
            self.mutex.queue.sleep(m, 0, 0)
            self.goto(m, "wake")
            return PARKED
        return self.goto(m, "uncount")

    @state("atomic.add")
    def wake(self, m: MLike) -> object:
        """One sleeper fewer."""
        self.mutex.sleepers -= 1
        return self.goto(m, "again")

    @state("atomic.add")
    def uncount(self, m: MLike) -> object:
        """One sleeper fewer, which never slept."""
        self.mutex.sleepers -= 1
        return self.goto(m, "again")

    @state("atomic.cas")
    def again(self, m: MLike) -> object:
        """Try."""
        if not self.mutex.key:
            self.mutex.key = 1
            self.mutex.acquired(m, self)
            return None
        return self.goto(m, "count")


class LateGive(UnlockOp):
    """Gives it back by a plain store, and looks who sleeps."""

    __slots__ = ()
    FIRST = "give"

    @state("atomic.store_release")
    def give(self, m: MLike) -> object:
        """Free, late where memory is TSO."""
        if not self.mutex.key:
            raise self.mutex.throw(m, self, "unlock of unlocked lock")
        self.mutex.released(m, self)
        self.store(m, "key", 0)
        return self.goto(m, "look")

    @state("atomic.load")
    def look(self, m: MLike) -> object:
        """Does somebody sleep?"""
        return self.goto(m, "rouse") if self.mutex.sleepers else None

    @state("futexwakeup")
    def rouse(self, m: MLike) -> object:
        """Wake one."""
        self.mutex.queue.wakeup(m, 1)
        return None


class FencedGive(LateGive):
    """The same with an exchange."""

    __slots__ = ()

    @state("atomic.xchg")
    def give(self, m: MLike) -> object:
        """Free."""
        if not self.mutex.key:
            raise self.mutex.throw(m, self, "unlock of unlocked lock")
        self.mutex.released(m, self)
        self.mutex.key = 0
        return self.goto(m, "look")


class LateMutex(StateMutex):
    """The late release as a lock made of states."""

    algorithm = "late"
    lock_op = LateOp
    unlock_op: ClassVar[type[UnlockOp]] = LateGive
    sleepers: int
    queue: FutexQueue

    def prepare(self, settings: LockSettings) -> None:
        """Nobody sleeps."""
        self.sleepers = 0
        self.queue = FutexQueue()

    def snapshot(self) -> tuple[object, ...]:
        """Key, count, who sleeps."""
        return (self.key, self.sleepers, *self.queue.sleepers)

    def restore(self, snapshot: tuple[object, ...]) -> None:
        """Go back."""
        self.key, self.sleepers, *self.queue.sleepers = snapshot  # type: ignore[assignment]


class FencedMutex(LateMutex):
    """Its fixed twin."""

    algorithm = "fenced"
    unlock_op = FencedGive
