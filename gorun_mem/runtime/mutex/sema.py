"""The mutex of semaphore platforms, Plan 9 among them, up to 1.23: lock_sema.go.

`key` holds bit 0, locked, and the address of the M that joined last; the Ms are chained through
`nextwaitm`, so the last to come is the first to be woken. An M that finds the lock taken spins
(4 times 30 procyields, only with more than one CPU), yields once, then joins the chain and sleeps.
A release with nobody in the chain clears the word; otherwise it takes the head off, which frees the
lock too, and wakes it. The woken M competes with everybody else.

In 1.24 the same algorithm lived on in lock_sema_tristate.go, chosen by GOEXPERIMENT=nospinbitmutex,
with `mWaitList.next` for `nextwaitm`; since 1.25 it is gone. From 1.22 Go samples how long Ms
waited (lockTimer); that touches no word of the lock and is left out.

Unlocking an unlocked lock follows the nil address of an M, a fault and not a throw, before anything
is changed: `nextwaitm` is read once the word is.
"""

from __future__ import annotations

from typing import ClassVar, Final

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.m import m_address, m_number
from gorun_mem.runtime.mutex.base import PASSIVE_SPIN, StateMutex
from gorun_mem.runtime.mutex.machine import CPU, SEMA, WAKEE, LockOp, UnlockOp, state
from gorun_mem.runtime.mutex.semaphore import sema_acquire, sema_wakeup
from gorun_mem.runtime.mutex.settings import LockSettings
from gorun_mem.runtime.op import PARKED, MLike

LOCKED: Final = 1


@mypyc_attr(allow_interpreted_subclasses=True)
class SemaLock(LockOp):
    """lock2 of lock_sema.go."""

    __slots__ = ("i", "v")
    FIRST = "grab"
    REGISTERS = ("v", "i")

    v: int
    """The word as last read."""
    i: int
    """How often it went round; not counted further than the last comparison with it."""

    @state("atomic.cas")
    def grab(self, m: MLike) -> object:
        """Try for the lock as if nobody wanted it."""
        mutex: SemaMutex = self.mutex
        if mutex.key == 0:
            mutex.key = LOCKED
            mutex.acquired(m, self)
            return None
        mutex.ms[m.id] = m
        mutex.waits(m, self)
        self.v = self.i = 0
        return self.goto(m, "look")

    @state("atomic.load")
    def look(self, m: MLike) -> object:
        """Read the word and decide between trying and waiting."""
        self.v = v = self.mutex.key
        if not v & LOCKED:
            return self.goto(m, "take")
        return self.wait(m)

    @state("atomic.cas")
    def take(self, m: MLike) -> object:
        """Try for the lock that was seen free, leaving the chain as it is."""
        mutex: SemaMutex = self.mutex
        if mutex.key == self.v:
            mutex.key = self.v | LOCKED
            mutex.acquired(m, self)
            return None
        self.i = 0
        return self.wait(m)

    def wait(self, m: MLike) -> object:
        """Choose how to wait: spin, yield, or join the chain."""
        spin = self.mutex.spin_limit(m)
        if self.i < spin:
            return self.goto(m, "spin_on")
        if self.i < spin + PASSIVE_SPIN:
            return self.goto(m, "yield_on")
        return self.goto(m, "join")

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
        return self.goto(m, "look")

    @state("atomic.cas")
    def join(self, m: MLike) -> object:
        """Put this M before the head of the chain."""
        mutex: SemaMutex = self.mutex
        m.go.nextwaitm = self.v & ~LOCKED
        if mutex.key == self.v:
            mutex.key = m_address(m.id) | LOCKED
            return self.goto(m, "sleep")
        return self.goto(m, "look_again")

    @state("atomic.load")
    def look_again(self, m: MLike) -> object:
        """Read the word after joining failed; start over if the lock is free now."""
        self.v = v = self.mutex.key
        return self.goto(m, "join" if v & LOCKED else "look")

    @state("semasleep", SEMA)
    def sleep(self, m: MLike) -> object:
        """Sleep until a release has taken this M off the chain."""
        if not sema_acquire(m):
            self.sleeps += 1
            return PARKED
        self.i = 1
        return self.goto(m, "look")


@mypyc_attr(allow_interpreted_subclasses=True)
class SemaUnlock(UnlockOp):
    """unlock2 of lock_sema.go."""

    __slots__ = ("after", "v", "wakem")
    FIRST = "look"
    REGISTERS = ("v", "wakem", "after")

    v: int
    """The word as last read."""
    wakem: int
    """Address of the M to wake."""
    after: int
    """Address of the M behind it in the chain."""

    @state("atomic.load")
    def look(self, m: MLike) -> object:
        """Begin, and read the word."""
        return self.look_once_more(m)

    @state("atomic.cas")
    def free(self, m: MLike) -> object:
        """Clear the word, unless somebody has joined."""
        mutex: SemaMutex = self.mutex
        if mutex.key != LOCKED:
            return self.goto(m, "look_once_more")
        mutex.key = 0
        mutex.released(m, self)
        return None

    @state("atomic.load")
    def look_once_more(self, m: MLike) -> object:
        """Read the word: free it, or follow the head of the chain to take it off."""
        mutex: SemaMutex = self.mutex
        self.v = v = mutex.key
        self.wakem = wakem = v & ~LOCKED
        self.after = 0
        if v == LOCKED:
            return self.goto(m, "free")
        if not wakem:
            raise mutex.fault(self, "nil M", 0, "unlock of an unlocked lock: no M to wake")
        self.after = mutex.ms[m_number(wakem)].go.nextwaitm
        return self.goto(m, "take_off")

    @state("atomic.cas")
    def take_off(self, m: MLike) -> object:
        """Take the head off the chain; the word loses the locked bit with it."""
        mutex: SemaMutex = self.mutex
        if mutex.key != self.v:
            return self.goto(m, "look_once_more")
        mutex.key = self.after
        mutex.released(m, self, m_number(self.wakem))
        return self.goto(m, "wake")

    @state("semawakeup", WAKEE)
    def wake(self, m: MLike) -> object:
        """Wake the M taken off."""
        mutex: SemaMutex = self.mutex
        number = m_number(self.wakem)
        mutex.woke(number, self)
        sema_wakeup(m, mutex.ms[number])
        return None


@mypyc_attr(allow_interpreted_subclasses=True)
class SemaMutex(StateMutex):
    """Go's mutex on Plan 9 up to 1.23."""

    __slots__ = ("ms",)
    algorithm = "sema"
    source = "lock_sema.go, up to 1.23"
    platforms = "Plan 9"
    lock_op = SemaLock
    unlock_op = SemaUnlock
    bits: ClassVar[dict[str, int]] = {"locked": LOCKED}

    def prepare(self, settings: LockSettings) -> None:
        """Nobody has waited."""
        self.ms: dict[int, MLike] = {}
        """The Ms that have waited, by number: what an address leads to."""

    def forget(self, m: int) -> None:
        """No address leads to it any more."""
        self.ms.pop(m, None)

    def snapshot(self) -> tuple[object, ...]:
        """The word; the links are with the Ms."""
        return (self.key,)
