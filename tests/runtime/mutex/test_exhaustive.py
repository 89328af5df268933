"""Every interleaving of a few Ms through Go's mutexes, and mutexes with a planted bug."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from gorun_mem.explore.states.examine import Reductions
from gorun_mem.runtime.m import m_number
from gorun_mem.runtime.mutex.base import StateMutex
from gorun_mem.runtime.mutex.futex import SLEEPING, UNLOCKED, FutexLock, FutexMutex, FutexUnlock
from gorun_mem.runtime.mutex.machine import LockOp, state, states_of
from gorun_mem.runtime.mutex.queue import QueueMutex
from gorun_mem.runtime.mutex.sema import SemaLock, SemaMutex, SemaUnlock
from gorun_mem.runtime.mutex.semaphore import sema_acquire, sema_wakeup
from gorun_mem.runtime.mutex.spinbit import (
    LOCKED,
    LOW_BYTE,
    SPINNING,
    SampledUnlock,
    SpinbitLock,
    SpinbitMutex,
    SpinbitUnlock,
)
from gorun_mem.runtime.op import MORE, PARKED, MLike
from tests.explore.states.planted import NONE, ends_of, exhaust
from tests.runtime.mutex.mutex_explorer import explore

SAMPLED = {"profile_rate": 2}
VARIANTS: dict[str, tuple[type[StateMutex], dict[str, Any]]] = {
    "sema": (SemaMutex, {}),
    "futex": (FutexMutex, {}),
    "spurious": (FutexMutex, {"spurious": True}),
    "spinbit-1.24": (SpinbitMutex, {}),
    "spinbit-1.25": (SpinbitMutex, {"minor": 25} | SAMPLED),
    "spinbit-1.27": (SpinbitMutex, {"minor": 27} | SAMPLED),
    "low-latency": (SpinbitMutex, {"low_latency": True}),
    "low-latency-1.27": (SpinbitMutex, {"minor": 27, "low_latency": True} | SAMPLED),
}
"""A mutex by release and option; without the mutex profile, 1.25 and later release as 1.24 does."""
GRID = [
    (variant, ms, pairs, cpus)
    for ms, pairs in ((3, 3), (3, 2), (3, 1), (2, 3), (2, 2), (2, 1))
    for variant in VARIANTS
    for cpus in (4, 1)
]


@pytest.mark.parametrize(("variant", "ms", "pairs", "cpus"), GRID)
def test_all_states(variant: str, ms: int, pairs: int, cpus: int) -> None:
    """In every state: exclusion, no deadlock, an end within reach; at each end, all words 0."""
    cls, config = VARIANTS[variant]
    found = exhaust(cls, ms, pairs, cpus=cpus, **config)
    assert (found.wrong, found.trace, found.complete) == ("", [], True)
    assert found.ends
    assert found.guesses.symmetry


SMALL = [
    (variant, ms, pairs, cpus)
    for variant in VARIANTS
    for ms, pairs in ((2, 1), (2, 2), (3, 1))
    for cpus in (1, 4)
    if (ms, cpus) != (3, 4) or VARIANTS[variant][0] is not SpinbitMutex
]


@pytest.mark.parametrize(("variant", "ms", "pairs", "cpus"), SMALL)
def test_reductions(variant: str, ms: int, pairs: int, cpus: int) -> None:
    """No reduction, each alone and all together reach the ends that the plain search reaches."""
    cls, config = VARIANTS[variant]
    plain = explore(cls, *[pairs] * ms, cpus=cpus, **config)
    states = []
    for reductions in (
        NONE,
        *[replace(NONE, **{only: True}) for only in ("local", "dead", "symmetry")],
        Reductions(),
    ):
        found = exhaust(cls, ms, pairs, cpus=cpus, reductions=reductions, **config)
        assert (found.wrong or "ok", ends_of(found)) == (plain.verdict, plain.ends)
        states.append(found.states)
    if not config.get("profile_rate"):  # there the plain search keeps what an M left in registers
        assert states[0] == plain.states
    assert max(states[1:-1]) <= states[0]
    assert states[-1] < min(states[:-1])


@pytest.mark.parametrize("cpus", [1, 4])
@pytest.mark.parametrize("pairs", [(1, 1), (3, 3), (3, 3, 3)])
def test_queue(pairs: tuple[int, ...], cpus: int) -> None:
    """The queue, which has no address to renumber, by the plain search."""
    result = explore(QueueMutex, *pairs, cpus=cpus)
    assert (result.verdict, result.trace) == ("ok", [])


@pytest.mark.parametrize(
    ("cls", "pairs", "cpus"),
    [
        (SemaMutex, (2, 2, 1), 1),
        (FutexMutex, (2, 2, 1), 4),
        (SpinbitMutex, (2, 1, 1), 1),
    ],
)
def test_unlike_ms(cls: type[StateMutex], pairs: tuple[int, ...], cpus: int) -> None:
    """Ms that do not lock equally often, by the plain search: the same holds."""
    result = explore(cls, *pairs, cpus=cpus)
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
        return None


class DropsWakeFutex(FutexUnlock):
    """Gives back without waking, as if LOCKED had been found."""

    __slots__ = ()

    def wake(self, m: MLike) -> object:
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
        self.mutex.acquired(m, self)
        return None


class PopsUnlocked(SpinbitUnlock):
    """Takes Ms off the stack without the stack lock."""

    __slots__ = ()

    def lock_stack(self, m: MLike) -> object:
        return self.pick(m) if self.mutex.key == self.v else self.goto(m, "look_again")


class TrustsWake(LockOp):
    """Takes being woken for having the lock; mixed in before a lock that sleeps on a semaphore."""

    __slots__ = ()

    def sleep(self, m: MLike) -> object:
        if not sema_acquire(m):
            return PARKED
        self.mutex.acquired(m, self)
        return None


class TrustsWakeSema(TrustsWake, SemaLock):
    """On Plan 9 up to 1.23."""

    __slots__ = ()


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
        self.mutex.acquired(m, self)
        return None


class StoresSema(SemaLock):
    """Stores the word after a look, where a compare-and-swap would have told it came too late."""

    __slots__ = ()

    def take(self, m: MLike) -> object:
        self.mutex.key = self.v | LOCKED
        self.mutex.acquired(m, self)
        return None


class TakesOffBlindly(SemaUnlock):
    """Takes the head off the chain by a store, whoever has joined since the look."""

    __slots__ = ()

    def take_off(self, m: MLike) -> object:
        self.mutex.key = self.v
        return super().take_off(m)


class TrustsWakeSpinbit(TrustsWake, SpinbitLock):
    """From 1.24 on."""

    __slots__ = ()


class WakesFirstSema(SemaUnlock):
    """Wakes the head of the chain and only then takes it off and gives the lock back."""

    __slots__ = ()

    def look_once_more(self, m: MLike) -> object:
        result = super().look_once_more(m)
        return result if self.v == LOCKED else self.goto(m, "wake")

    def wake(self, m: MLike) -> object:
        sema_wakeup(m, self.mutex.ms[m_number(self.wakem)])
        return self.goto(m, "give_back")

    @state("atomic.store")
    def give_back(self, m: MLike) -> object:
        self.mutex.key = self.mutex.ms[m_number(self.wakem)].go.nextwaitm
        self.mutex.released(m, self)
        return None


class WakesFirstSpinbit(SpinbitUnlock):
    """Looks for somebody to wake and only then gives the lock back."""

    __slots__ = ()
    FIRST = "first_look"

    @state("atomic.load")
    def first_look(self, m: MLike) -> object:
        self.prepare_wake(m)
        return MORE if self.mutex.key & SLEEPING else self.goto(m, "free")

    def done(self, m: MLike) -> object:
        return self.goto(m, "free")

    @state("atomic.xchg8")
    def free(self, m: MLike) -> object:
        self.mutex.key &= ~LOW_BYTE
        self.mutex.released(m, self)
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
        self.mutex.released(m, self)
        return None


class ForgetsHint(SpinbitLock):
    """Takes the lock from the spinning bit without saying again that somebody sleeps."""

    __slots__ = ()

    def take_spinning(self, m: MLike) -> object:
        mutex = self.mutex
        if mutex.key != self.v:
            return self.goto(m, "look")
        mutex.key = self.v & ~SPINNING | LOCKED
        mutex.acquired(m, self)
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
        (SemaMutex, TrustsWakeSema, (2, 1), 1, f"fault 0|{SHARED}"),
        (FutexMutex, TrustsWakeFutex, (2, 1), 1, SHARED),
        (SpinbitMutex, StaleUnlock, (1, 1), 1, "no progress"),
        (FutexMutex, WakesFirst, (1, 1), 1, LOST),
        (SemaMutex, StoresSema, (1, 1, 1), 1, SHARED),
        (SemaMutex, TakesOffBlindly, (1, 1, 1), 1, LOST),
        (SemaMutex, WakesFirstSema, (1, 1), 1, LOST),
        (SpinbitMutex, TrustsWakeSpinbit, (2, 1), 1, f"unlock of unlocked|{SHARED}"),
        (SpinbitMutex, WakesFirstSpinbit, (1, 1), 1, LOST),
        (SpinbitMutex, ForgetsHint, (1, 1, 1), 1, LOST),
        (FutexMutex, ForgetsWait, (1, 1, 1), 1, LOST),
    ],
)
def test_planted_bug_is_found(
    base: type[StateMutex], part: type, pairs: tuple[int, ...], cpus: int, verdict: str
) -> None:
    """One wrong state in a machine is found, with the accesses that lead to it."""
    slot = "lock_op" if issubclass(part, base.lock_op) else "unlock_op"
    broken = type(part.__name__, (base,), {"__slots__": (), slot: part})
    assert explore(base, *pairs, cpus=cpus).verdict == "ok"
    result = explore(broken, *pairs, cpus=cpus)
    assert re.search(verdict, result.verdict)
    assert result.trace
    found = exhaust(broken, len(pairs), max(pairs), cpus=cpus)
    assert re.search(f"{verdict}|believes it is its own", found.wrong)
    assert found.trace
    assert exhaust(base, len(pairs), max(pairs), cpus=cpus).wrong == ""
