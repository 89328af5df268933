"""Spins of Go's locks in one go: nothing is lost by it, and it is worth it."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from gorun_mem.explore.states.whole import ProgramStates
from gorun_mem.runtime.mutex.base import StateMutex
from gorun_mem.runtime.mutex.machine import CPU, LockOp, UnlockOp, state
from gorun_mem.runtime.op import MLike
from tests.explore.states import programs


def plain(by_counts: str) -> ProgramStates:
    """A search in which others may go between two spins."""
    return ProgramStates(by_counts, spins_whole=False)


def program(seed: int) -> list[Any]:
    """Two Ms that take the lock once each, and do something before or after; at times a third."""
    random = Random(seed)
    plans: list[Any] = []
    for _ in range(2):
        other = programs.draw_plan(random, ("note", "store", "load", "if", "copy"), 1)
        lock = (("memlock", 0),)
        plans.append((*lock, *other) if random.random() < 0.7 else (*other, *lock))
    if random.random() < 0.3:
        plans.append((("note", 0),))
    return plans


@pytest.mark.parametrize("mutex", ["sema", "spinbit"])
@pytest.mark.parametrize("seed", range(8))
def test_spins_in_one_go_lose_no_end(mutex: str, seed: int) -> None:
    """All that comes of a program where others may go between any two looks, and fewer states."""
    target = programs.target_of(program(seed), mutex=mutex, cpus=4)
    whole, ends = programs.visited(target)
    every, all_ends = programs.visited(target, plain)
    assert ends == all_ends
    assert (whole.complete, whole.found) == (every.complete, every.found)
    assert whole.states <= every.states


def test_it_is_worth_it() -> None:
    """On 4 CPUs nearly as few states as on one, where nobody spins."""
    plans = [(("memlock", 0), ("note", 0)), (("memlock", 0), ("note", 0))]
    states = {
        (cpus, make is plain): programs.visited(
            programs.target_of(plans, mutex="sema", cpus=cpus), make
        )[0].states
        for cpus in (1, 4)
        for make in (plain, ProgramStates)
    }
    assert states[4, False] < 0.7 * states[4, True]
    assert states[4, False] < 1.2 * states[1, True]


class SpinningLock(LockOp):
    """Test and test and set, without an end."""

    __slots__ = ()
    FIRST = "swap"

    @state("atomic.xchg")
    def swap(self, m: MLike) -> object:
        """Try."""
        before, self.mutex.key = self.mutex.key, 1
        if not before:
            self.mutex.acquired(m, self)
            return None
        if m.id not in self.mutex.book.waiting:
            self.mutex.waits(m, self)
        return self.goto(m, "spin")

    @state("procyield", CPU)
    def spin(self, m: MLike) -> object:
        """Spin."""
        return self.goto(m, "look")

    @state("atomic.load")
    def look(self, m: MLike) -> object:
        """Look."""
        return self.goto(m, "spin" if self.mutex.key else "swap")


class SpinningUnlock(UnlockOp):
    """Clear the word."""

    __slots__ = ()
    FIRST = "clear"

    @state("atomic.xchg")
    def clear(self, m: MLike) -> object:
        """Clear it."""
        self.mutex.key = 0
        self.mutex.released(m, self)
        return None


class SpinningMutex(StateMutex):
    """A lock of one's own that spins for ever."""

    __slots__ = ()
    lock_op = SpinningLock
    unlock_op = SpinningUnlock


def test_a_lock_that_spins_for_ever_is_no_trap() -> None:
    """Its spin comes back to where it began, and others go on."""
    plans = [(("memlock", 0), ("note", 0)), (("memlock", 0), ("note", 0))]
    target = programs.target_of(plans, mutex=SpinningMutex)
    batch, ends = programs.visited(target)
    every, all_ends = programs.visited(target, plain)
    assert batch.complete
    assert every.complete
    assert ends == all_ends
