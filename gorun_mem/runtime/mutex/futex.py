"""The mutex of futex platforms (Linux, FreeBSD, DragonFly) up to 1.23: lock_futex.go.

`key` is 0 unlocked, 1 locked, 2 locked and perhaps somebody sleeps. The first access swaps 1 in,
which may overwrite a 2; so an M that then has to wait remembers what it overwrote and puts that in
when it gets the lock. Before it sleeps it swaps 2 in. A release swaps 0 in and wakes one sleeper if
it found a 2.

In 1.24 the same algorithm lived on in lock_futex_tristate.go, chosen by GOEXPERIMENT=
nospinbitmutex; since 1.25 it is gone. None of this memory layer's platforms ever had it: it is here
to compare with. Go's sampling of wait times from 1.22 is left out, as in sema.py.
"""

from __future__ import annotations

from typing import ClassVar, Final

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.mutex.base import PASSIVE_SPIN, StateMutex
from gorun_mem.runtime.mutex.futex_queue import FutexQueue
from gorun_mem.runtime.mutex.machine import CPU, LockOp, UnlockOp, state
from gorun_mem.runtime.mutex.settings import LockSettings
from gorun_mem.runtime.op import PARKED, MLike

UNLOCKED: Final = 0
LOCKED: Final = 1
SLEEPING: Final = 2


@mypyc_attr(allow_interpreted_subclasses=True)
class FutexLock(LockOp):
    """lock2 of lock_futex.go."""

    __slots__ = ("i", "wait")
    FIRST = "grab"
    REGISTERS = ("wait", "i")

    wait: int
    """What to put in on getting the lock: 2 if somebody may sleep."""
    i: int
    """How often it went round since the last sleep."""

    @state("atomic.xchg")
    def grab(self, m: MLike) -> object:
        """Swap LOCKED in as if nobody wanted the lock."""
        mutex: FutexMutex = self.mutex
        before = mutex.key
        mutex.key = LOCKED
        if before == UNLOCKED:
            mutex.acquired(m, self)
            return None
        mutex.waits(m, self)
        self.wait = before
        self.i = 0
        return self.goto(m, "look")

    @state("atomic.load")
    def look(self, m: MLike) -> object:
        """Read the word; while the lock is taken, spin, then yield."""
        if self.mutex.key == UNLOCKED:
            return self.goto(m, "take")
        return self.goto(m, "spin_on" if self.i < self.mutex.spin_limit(m) else "yield_on")

    @state("atomic.cas")
    def take(self, m: MLike) -> object:
        """Try for the lock that was seen free."""
        mutex: FutexMutex = self.mutex
        if mutex.key == UNLOCKED:
            mutex.key = self.wait
            mutex.acquired(m, self)
            return None
        return self.goto(m, "look")

    @state("procyield", CPU)
    def spin_on(self, m: MLike) -> object:
        """Burn 30 procyields."""
        self.spins += 1
        self.i += 1
        return self.goto(m, "look")

    @state("osyield", CPU)
    def yield_on(self, m: MLike) -> object:
        """Let another thread have the CPU."""
        self.spins += 1
        self.i += 1
        done = self.i >= self.mutex.spin_limit(m) + PASSIVE_SPIN
        return self.goto(m, "announce" if done else "look")

    @state("atomic.xchg")
    def announce(self, m: MLike) -> object:
        """Swap SLEEPING in before going to sleep; the lock may turn out to be free."""
        mutex: FutexMutex = self.mutex
        before = mutex.key
        mutex.key = SLEEPING
        if before == UNLOCKED:
            mutex.acquired(m, self)
            return None
        self.wait = SLEEPING
        return self.goto(m, "sleep")

    @state("futexsleep")
    def sleep(self, m: MLike) -> object:
        """Sleep, if the word still says that somebody does."""
        mutex: FutexMutex = self.mutex
        self.i = 0
        if not mutex.word.sleep(m, mutex.key, SLEEPING):
            return self.goto(m, "look")
        self.sleeps += 1
        self.goto(m, "wake_up")
        return PARKED

    @state("futexsleep", reads=True)
    def wake_up(self, m: MLike) -> object:
        """Come back from the kernel, and read the word."""
        return self.look(m)


@mypyc_attr(allow_interpreted_subclasses=True)
class FutexUnlock(UnlockOp):
    """unlock2 of lock_futex.go."""

    __slots__ = ()
    FIRST = "give_back"

    @state("atomic.xchg")
    def give_back(self, m: MLike) -> object:
        """Swap UNLOCKED in."""
        mutex: FutexMutex = self.mutex
        before = mutex.key
        mutex.key = UNLOCKED
        if before == UNLOCKED:
            raise mutex.throw(m, self, "unlock of unlocked lock")
        mutex.released(m, self)
        if before == SLEEPING:
            return self.goto(m, "wake")
        return None

    @state("futexwakeup")
    def wake(self, m: MLike) -> object:
        """Wake the M that has slept longest."""
        mutex: FutexMutex = self.mutex
        for woken in mutex.word.wakeup(m, 1):
            mutex.woke(woken.id, self)
        return None


@mypyc_attr(allow_interpreted_subclasses=True)
class FutexMutex(StateMutex):
    """Go's mutex on Linux up to 1.23."""

    __slots__ = ("word",)
    algorithm = "futex"
    source = "lock_futex.go, up to 1.23"
    platforms = "Linux, FreeBSD and DragonFly; here to compare with"
    lock_op = FutexLock
    unlock_op = FutexUnlock
    values: ClassVar[dict[int, str]] = {
        UNLOCKED: "unlocked", LOCKED: "locked", SLEEPING: "sleeping",
    }  # fmt: skip

    def prepare(self, settings: LockSettings) -> None:
        """Nobody sleeps; sleeps may end for no reason where the settings say so."""
        self.word = FutexQueue()
        self.word.spurious = settings.spurious

    def snapshot(self) -> tuple[object, ...]:
        """The word and the Ms that sleep on it."""
        return (self.key, *self.word.sleepers)

    def restore(self, snapshot: tuple[object, ...]) -> None:
        """Go back to what `snapshot` returned."""
        self.key, *self.word.sleepers = snapshot  # type: ignore[assignment]
