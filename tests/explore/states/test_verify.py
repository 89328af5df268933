"""`verify` on what the package has."""

from __future__ import annotations

from typing import Any

import pytest

from gorun_mem import verify
from gorun_mem.explore.states.again import make_again
from gorun_mem.explore.states.bounds import SUBJECTS
from gorun_mem.explore.states.examine import Examination
from gorun_mem.explore.states.found import schedule_of
from gorun_mem.explore.states.notes import NoteModel
from gorun_mem.runtime.mutex import MUTEXES
from gorun_mem.runtime.mutex.base import StateMutex
from gorun_mem.runtime.mutex.machine import LockOp, TryLockOp, UnlockOp, state
from gorun_mem.runtime.mutex.note_futex import FutexNote, FutexNoteSleep
from gorun_mem.runtime.op import MLike


@pytest.mark.parametrize("mutex", [*[name for name in MUTEXES if name != "none"], *SUBJECTS])
def test_all_that_the_package_has_holds(mutex: str) -> None:
    """Each lock, note and kernel word, small; with limits and spurious wakeups where it has any."""
    assert verify(mutex).verdict == "holds"
    if mutex in SUBJECTS and mutex not in ("note-js", "note-wasip1"):
        assert verify(mutex, timeouts=True, spurious=True).verdict == "holds"


@pytest.mark.parametrize(
    ("mutex", "bounds", "states"),
    [
        ("spinbit", {"ms": 3, "release": "go1.24"}, 84_852),
        ("sema", {"ms": 3, "cpus": 1, "release": "go1.23"}, 6_948),
        ("queue", {"ms": 4}, 175),
    ],
)
def test_the_number_of_states_is_known(mutex: str, bounds: dict[str, Any], states: int) -> None:
    """As the searches before it, with tables made by hand, had it."""
    assert verify(mutex, **bounds).states == states


class AlwaysLate(FutexNoteSleep):
    """Says that its time was up, whatever came."""

    __slots__ = ()

    @state("atomic.load")
    def look_last(self, m: MLike) -> object:
        return False


class StaysListed(FutexNoteSleep):
    """Leaves an M whose time is up on the kernel's list."""

    __slots__ = ()

    @state("futexsleep")
    def wake_up(self, m: MLike) -> object:
        return self.look_again(m)


@pytest.mark.parametrize(
    ("sleep", "wrong"),
    [
        (AlwaysLate, "says that its time is up, and the note is woken"),
        (StaysListed, "the kernel's list still has it"),
    ],
)
def test_a_note_that_is_wrong_about_time(sleep: type[FutexNoteSleep], wrong: str) -> None:
    """Found, with the accesses that lead to it; the right one is not."""

    class Broken(FutexNote):
        def tsleep(self, ns: int) -> FutexNoteSleep:
            op = sleep(self)
            op.ns, op.has_result = ns, True
            return op

    def found(note: FutexNote) -> str:
        model = NoteModel(note, timeouts=True, spurious=False, cpus=4)
        return Examination(model, 2).run().wrong

    assert wrong in found(Broken())
    assert found(FutexNote()) == ""


class FlagLock(LockOp):
    """Spins until a swap finds 0."""

    __slots__ = ()
    FIRST = "swap"

    @state("atomic.xchg")
    def swap(self, m: MLike) -> object:
        """Try once."""
        before, self.mutex.key = self.mutex.key, 1
        if before:
            self.mutex.waits(m, self)
            return self.goto(m, "again")
        self.mutex.acquired(m, self)
        return None

    @state("atomic.xchg")
    def again(self, m: MLike) -> object:
        """Try again."""
        before, self.mutex.key = self.mutex.key, 1
        if before:
            return self.goto(m, "again")
        self.mutex.acquired(m, self)
        return None


class FlagTry(TryLockOp):
    """Tries once."""

    __slots__ = ()
    FIRST = "swap"

    @state("atomic.xchg")
    def swap(self, m: MLike) -> object:
        """Try."""
        before, self.mutex.key = self.mutex.key, 1
        if before:
            return False
        self.mutex.acquired(m, self)
        return True


class WrongTry(FlagTry):
    """Says yes whatever it finds."""

    __slots__ = ()

    @state("atomic.xchg")
    def swap(self, m: MLike) -> object:
        """Try."""
        self.mutex.key = 1
        self.mutex.acquired(m, self)
        return True


class FlagUnlock(UnlockOp):
    """Clears it."""

    __slots__ = ()
    FIRST = "clear"

    @state("atomic.xchg")
    def clear(self, m: MLike) -> object:
        """Clear."""
        before, self.mutex.key = self.mutex.key, 0
        if not before:
            raise self.mutex.throw(m, self, "unlock of unlocked lock")
        self.mutex.released(m, self)
        return None


class FlagMutex(StateMutex):
    """A lock that can be tried."""

    __slots__ = ()
    lock_op = FlagLock
    try_op = FlagTry
    unlock_op = FlagUnlock


class WrongTryMutex(FlagMutex):
    """One that lets everybody in that tries."""

    __slots__ = ()
    try_op = WrongTry


class LaxUnlock(FlagUnlock):
    """Asks nobody whether it was locked."""

    __slots__ = ()

    @state("atomic.xchg")
    def clear(self, m: MLike) -> object:
        """Clear."""
        self.mutex.key = 0
        if self.mutex.owner is not None:
            self.mutex.released(m, self)
        return None


class LaxMutex(FlagMutex):
    """One that takes an unlock of the unlocked."""

    __slots__ = ()
    unlock_op = LaxUnlock


def test_tries() -> None:
    """A try is verified with the rest, where it is asked for."""
    assert verify(FlagMutex, ms=3, try_locks=True).verdict == "holds"
    assert verify(FlagMutex, ms=3, try_locks=True).steps > verify(FlagMutex, ms=3).steps
    assert "got the lock that" in verify(WrongTryMutex, try_locks=True).wrong
    assert verify(WrongTryMutex).verdict == "holds"


def test_an_unlock_of_the_unlocked_is_refused() -> None:
    """By the lock's own code, which is asked in every state at rest."""
    assert "nobody holds" in verify(LaxMutex).wrong


def test_a_counterexample_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made again without any reduction, step by step, it goes wrong as it was said to."""
    found = verify("js", ms=2)
    again = make_again(schedule_of(found))
    assert (again.divergence, again.found.wrong) == ("", found.wrong)
    assert len(again.found.trace) == len(found.trace) == 2
