"""Every interleaving of a few Ms through Go's mutexes, and mutexes with a planted bug."""

from __future__ import annotations

import pytest
from mutex_explorer import explore

from gorun_mem.runtime.mutex.base import Mutex
from gorun_mem.runtime.mutex.futex import SLEEPING, UNLOCKED, FutexLock, FutexMutex, FutexUnlock
from gorun_mem.runtime.mutex.machine import state, states_of
from gorun_mem.runtime.mutex.queue import QueueMutex
from gorun_mem.runtime.mutex.sema import SemaLock, SemaMutex, SemaUnlock
from gorun_mem.runtime.mutex.semaphore import sema_acquire
from gorun_mem.runtime.mutex.spinbit import (
    LOCKED,
    SPINNING,
    SampledUnlock,
    SpinbitLock,
    SpinbitMutex,
    SpinbitUnlock,
)
from gorun_mem.runtime.op import MORE, PARKED, MLike

TWO = [
    (cls, pairs) for cls in (SemaMutex, FutexMutex, SpinbitMutex, QueueMutex) for pairs in (1, 3)
]


@pytest.mark.parametrize(("cls", "pairs"), TWO)
@pytest.mark.parametrize("cpus", [1, 4])
def test_two_ms(cls: type[Mutex], pairs: int, cpus: int) -> None:
    """Two Ms, 1 and 3 pairs: exclusion, no deadlock, an end from every state, all words 0."""
    result = explore(cls, pairs, pairs, cpus=cpus)
    assert (result.verdict, result.trace) == ("ok", [])
    assert result.states > 10


@pytest.mark.parametrize(
    ("cls", "pairs", "cpus"),
    [
        (SemaMutex, (1, 1, 1), 4),
        (SemaMutex, (2, 2, 1), 1),
        (FutexMutex, (2, 2, 1), 4),
        (FutexMutex, (3, 3, 3), 1),
        (SpinbitMutex, (1, 1, 1), 4),
        (SpinbitMutex, (2, 1, 1), 1),
        (QueueMutex, (3, 3, 3), 1),
    ],
)
def test_three_ms(cls: type[Mutex], pairs: tuple[int, ...], cpus: int) -> None:
    """Three Ms, so that a chain has a middle: the same holds."""
    result = explore(cls, *pairs, cpus=cpus)
    assert (result.verdict, result.trace) == ("ok", [])


@pytest.mark.parametrize(("minor", "pairs"), [(25, (2, 2)), (27, (2, 2)), (25, (1, 1, 1))])
def test_sampled_spinbit(minor: int, pairs: tuple[int, ...]) -> None:
    """From 1.25 a sampled release trades the lock for the stack lock; nothing is lost by it."""
    result = explore(SpinbitMutex, *pairs, cpus=1, minor=minor, profile_rate=2)
    plain = explore(SpinbitMutex, *pairs, cpus=1, minor=minor)
    assert (result.verdict, result.trace) == ("ok", [])
    assert result.states > plain.states


def test_low_latency_spinbit() -> None:
    """With sched.lock's rule, that all may spin and be woken, two Ms still exclude each other."""

    class SchedLock(SpinbitMutex):
        __slots__ = ()

        def configure(self, minor: int, *, profile_rate: int, spurious: bool) -> None:
            self.low_latency = True

    result = explore(SchedLock, 2, 2)
    assert (result.verdict, result.trace) == ("ok", [])


def test_futex_wakes_for_no_reason() -> None:
    """Sleeps that end by themselves add states and break nothing."""
    calm = explore(FutexMutex, 2, 2, 1, cpus=1)
    restless = explore(FutexMutex, 2, 2, 1, cpus=1, spurious=True)
    assert restless.verdict == "ok"
    assert restless.states > calm.states


def test_every_state_is_visited() -> None:
    """The searches step every state of every machine, but for one that never comes up.

    That one is lock2's repair of the sleeping hint after its first swap: a release clears the hint
    with the lock, and every access that sets it finds or sets the lock too.
    """
    for cls in (SemaMutex, FutexMutex, SpinbitMutex):
        visited = explore(cls, 1, 1, 1).visited
        missing = (states_of(cls.lock_op).keys() | states_of(cls.unlock_op).keys()) - visited
        if cls is SpinbitMutex:
            sampled = explore(cls, 1, 1, 1, cpus=1, minor=25, profile_rate=2).visited
            missing = (missing | states_of(SampledUnlock).keys()) - visited - sampled
        assert missing == ({"restore_hint"} if cls is SpinbitMutex else set())


# Planted bugs. Each is one state of a machine done wrong; its fixed twin is Go's, above.


class DropsWakeSema(SemaUnlock):
    """Takes an M off the chain and does not wake it."""

    __slots__ = ()

    def wake(self, m: MLike) -> object:
        self.count_unlock(m)
        return None


class DropsWakeFutex(FutexUnlock):
    """Gives back without waking, as if LOCKED had been found."""

    __slots__ = ()

    def wake(self, m: MLike) -> object:
        self.count_unlock(m)
        return None


class DropsWakeSpinbit(SpinbitUnlock):
    """Leaves the sleepers to a spinner even where nobody spins."""

    __slots__ = ()

    def seek(self, m: MLike) -> object:
        return self.done(m)


class StoresSleeping(FutexLock):
    """Stores SLEEPING without looking at what was there."""

    __slots__ = ()

    def announce(self, m: MLike) -> object:
        self.mutex.key = self.wait = SLEEPING
        return self.goto(m, "sleep")


class StoresLocked(SpinbitLock):
    """Writes the low byte after a look, where a swap would have told that it came too late."""

    __slots__ = ()

    def take(self, m: MLike) -> object:
        self.mutex.key |= 3
        self.mutex._acquired(m, self)
        return None


class PopsUnlocked(SpinbitUnlock):
    """Takes Ms off the stack without the stack lock."""

    __slots__ = ()

    def lock_stack(self, m: MLike) -> object:
        return self.pick(m) if self.mutex.key == self.v else self.goto(m, "look_again")


class TrustsWakeSema(SemaLock):
    """Takes being woken for having the lock."""

    __slots__ = ()

    def sleep(self, m: MLike) -> object:
        if not sema_acquire(m):
            return PARKED
        self.mutex._acquired(m, self)
        return None


class TrustsWakeFutex(FutexLock):
    """Writes after a sleep what it meant to write, without a look."""

    __slots__ = ()

    @state("futexsleep")
    def sleep(self, m: MLike) -> object:
        self.goto(m, "own")
        return PARKED if self.mutex.word.sleep(m, self.mutex.key, SLEEPING) else MORE

    @state("atomic.store")
    def own(self, m: MLike) -> object:
        self.mutex.key = SLEEPING
        self.mutex._acquired(m, self)
        return None


class StaleUnlock(SpinbitUnlock):
    """Tries again with the word as it was."""

    __slots__ = ()

    def look_for_pop(self, m: MLike) -> object:
        return self.pick(m)


class WakesFirst(FutexUnlock):
    """Wakes a sleeper and only then gives the lock back."""

    __slots__ = ()
    FIRST = "look"

    @state("atomic.load")
    def look(self, m: MLike) -> object:
        return self.goto(m, "wake" if self.mutex.key == SLEEPING else "free")

    def wake(self, m: MLike) -> object:
        self.mutex.word.wakeup(m, 1)
        return self.goto(m, "free")

    @state("atomic.store")
    def free(self, m: MLike) -> object:
        self.mutex.key = UNLOCKED
        self.mutex._released(m, self)
        self.count_unlock(m)
        return None


class ForgetsHint(SpinbitLock):
    """Takes the lock from the spinning bit without saying again that somebody sleeps."""

    __slots__ = ()

    def take_spinning(self, m: MLike) -> object:
        mutex = self.mutex
        if mutex.key != self.v:
            return self.goto(m, "look")
        mutex.key = self.v & ~SPINNING | LOCKED
        mutex._acquired(m, self)
        return None


class ForgetsWait(FutexLock):
    """Puts LOCKED in on getting the lock, though somebody may sleep."""

    __slots__ = ()

    def take(self, m: MLike) -> object:
        self.wait = 1
        return super().take(m)


LOST = "deadlock: M"
SHARED = "got the lock that M"


@pytest.mark.parametrize(
    ("base", "part", "pairs", "cpus", "verdict"),
    [
        (SemaMutex, DropsWakeSema, (1, 1), 4, LOST),
        (FutexMutex, DropsWakeFutex, (1, 1), 4, LOST),
        (SpinbitMutex, DropsWakeSpinbit, (1, 1), 4, LOST),
        (FutexMutex, StoresSleeping, (1, 1), 4, LOST),
        (SpinbitMutex, StoresLocked, (1, 1, 1), 1, SHARED),
        (SpinbitMutex, PopsUnlocked, (1, 1, 1), 1, "fault 0"),
        (SemaMutex, TrustsWakeSema, (2, 1), 1, "fault 0"),
        (FutexMutex, TrustsWakeFutex, (2, 1), 1, SHARED),
        (SpinbitMutex, StaleUnlock, (1, 1), 1, "no progress"),
        (FutexMutex, WakesFirst, (1, 1), 1, LOST),
        (SpinbitMutex, ForgetsHint, (1, 1, 1), 1, LOST),
        (FutexMutex, ForgetsWait, (1, 1, 1), 1, LOST),
    ],
)
def test_planted_bug_is_found(
    base: type[Mutex], part: type, pairs: tuple[int, ...], cpus: int, verdict: str
) -> None:
    """One wrong state in a machine is found, with the accesses that lead to it."""
    slot = "lock_op" if issubclass(part, base.lock_op) else "unlock_op"
    broken = type(part.__name__, (base,), {"__slots__": (), slot: part})
    assert explore(base, *pairs, cpus=cpus).verdict == "ok"
    result = explore(broken, *pairs, cpus=cpus)
    assert verdict in result.verdict
    assert result.trace
