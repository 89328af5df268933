"""The spinbit mutex: lock_spinbit.go, all threaded platforms from 1.24 on.

    key:  M that joined last ............ | stack-locked | spinning | 000000 sleeping locked
          bits 10 and up                    bit 9          bit 8      bits 7..2  1     0

The fast paths swap the low byte and so leave the upper bits alone; `sleeping` is a hint that such a
swap may wipe and others put back. `spinning` lets one waiting M spin; the others go to sleep at
once, on a stack chained through `mWaitList.next`. A release that found the hint decides whether to
wake somebody: if nobody spins, or, 1 time in 16, so that the bottom of the stack does not starve.
To take an M off the stack it holds `stack-locked`, and where another release holds that it leaves
the work to it. Woken from the bottom, an M may spin without the bit.

After a release has taken stack-locked by a compare-and-swap, Go goes on with the word as it was
before, so its first try to take an M off always fails and it reads again; kept as it is, for it
decides what is seen in between.

By release: 1.24 as above. From 1.25 a release that is sampled for the mutex profile trades the lock
for stack-locked, so that nobody can release before it has looked at the waiters; it blames itself
for the mean of the longest and shortest wait times the number of waiters. From 1.27 `locks` counts
in 16s.

Simplified: Go keeps the profile's pending record on the M and may lose some; here every sample
counts (`SpinbitMutex.profile`). The sampled waits for /sync/mutex/wait/total are left out, and
so is 1.24's lockTimer: neither touches the lock. The walk down the stack is one step: its links
belong to the holder of stack-locked.
"""

from __future__ import annotations

from typing import ClassVar, Final

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.errors import Hang
from gorun_mem.runtime.m import m_address, m_number
from gorun_mem.runtime.mutex.base import PASSIVE_SPIN, StateMutex
from gorun_mem.runtime.mutex.machine import (
    CPU,
    PROFILE_RATE,
    SEMA,
    WAKEE,
    LockOp,
    MutexOp,
    UnlockOp,
    link,
    state,
)
from gorun_mem.runtime.mutex.semaphore import sema_acquire, sema_wakeup
from gorun_mem.runtime.mutex.settings import LockSettings
from gorun_mem.runtime.op import PARKED, MLike
from gorun_mem.runtime.wide import times

LOCKED: Final = 0x001
SLEEPING: Final = 0x002
SPINNING: Final = 0x100
STACK_LOCKED: Final = 0x200
FLAGS: Final = 0x3FF
"""mutexMMask: what is not the M."""
LOW_BYTE: Final = 0xFF
TAIL_WAKE_PERIOD: Final = 16
"""mutexTailWakePeriod: 1 release in so many wakes the M at the bottom."""
LOTS: Final = frozenset({"spinbit.tail_wake", "spinbit.sample"})
"""What it draws, of which Go asks only whether it is 0: two values stand for all."""
LOW_LATENCY: Final = "sched.lock"
"""The one lock for which all who wait may spin (mutexPreferLowLatency)."""


@mypyc_attr(allow_interpreted_subclasses=True)
class SpinbitLock(LockOp):
    """lock2 of lock_spinbit.go."""

    __slots__ = ("at_tail", "have_timers", "i", "v", "we_spin")
    FIRST = "grab"
    REGISTERS = ("v", "i", "we_spin", "at_tail", "have_timers")

    v: int
    """The word as last read."""
    i: int
    """How often it went round; not counted further than the last comparison with it."""
    we_spin: bool
    """This M holds the spinning bit."""
    at_tail: bool
    """This M was woken from the bottom of the stack and may spin without the bit."""
    have_timers: bool
    """The time when it first tried to sleep is noted, for sampled releases."""

    def claims(self) -> int:
        """The spinning bit, where this M has it."""
        return SPINNING if self.pc not in ("grab", "restore_hint") and self.we_spin else 0

    @state("atomic.xchg8")
    def grab(self, m: MLike) -> object:
        """Swap LOCKED into the low byte as if nobody wanted the lock."""
        mutex: SpinbitMutex = self.mutex
        before = mutex.key
        mutex.key = before & ~LOW_BYTE | LOCKED
        if not before & LOCKED:
            mutex.acquired(m, self)
            if before & SLEEPING:
                return self.goto(m, "restore_hint")
            return None
        mutex.ms[m.id] = m
        mutex.waits(m, self)
        self.v, self.i = 0, -1
        self.we_spin = self.at_tail = self.have_timers = False
        return self.goto(m, "look")

    @state("atomic.or8")
    def restore_hint(self, m: MLike) -> object:
        """Put back the hint that the swap has wiped; the lock is ours already."""
        self.mutex.key |= SLEEPING
        return None

    @state("atomic.load")
    def look(self, m: MLike) -> object:
        """Read the word and go round again."""
        self.v = v = self.mutex.key
        self.i = min(self.i + 1, self.mutex.spin_limit(m) + PASSIVE_SPIN)
        if not v & LOCKED:
            return self.goto(m, "take_spinning" if self.we_spin else "take")
        if not self.we_spin and not v & SPINNING:
            return self.goto(m, "claim_spin")
        return self.wait(m)

    @state("atomic.cas")
    def take_spinning(self, m: MLike) -> object:
        """Try for the lock and give the spinning bit back, both at once."""
        mutex: SpinbitMutex = self.mutex
        after = self.v & ~SPINNING | SLEEPING | LOCKED
        if not after & ~FLAGS:  # nobody on the stack: the hint would be wrong
            after &= ~SLEEPING
        if mutex.key == self.v:
            mutex.key = after
            mutex.acquired(m, self)
            return None
        return self.goto(m, "look")

    @state("atomic.xchg8")
    def take(self, m: MLike) -> object:
        """Try for the lock by a swap; the hint is set in case somebody sleeps."""
        mutex: SpinbitMutex = self.mutex
        before = mutex.key
        mutex.key = before & ~LOW_BYTE | LOCKED | SLEEPING
        if not before & LOCKED:
            mutex.acquired(m, self)
            return None
        return self.goto(m, "look")

    @state("atomic.cas")
    def claim_spin(self, m: MLike) -> object:
        """Try for the permission to spin."""
        mutex: SpinbitMutex = self.mutex
        if mutex.key == self.v:
            self.v |= SPINNING
            mutex.key = self.v
            self.we_spin = True
        return self.wait(m)

    def wait(self, m: MLike) -> object:
        """Choose how to wait: spin and yield, with permission, or join the stack."""
        mutex: SpinbitMutex = self.mutex
        if self.we_spin or self.at_tail or mutex.low_latency:
            spin = mutex.spin_limit(m)
            if self.i < spin:
                return self.goto(m, "spin_on")
            if self.i < spin + PASSIVE_SPIN:
                return self.goto(m, "yield_on")
        return self.goto(m, "join")

    @state("procyield", CPU)
    def spin_on(self, m: MLike) -> object:
        """Burn 30 procyields."""
        self.spins += 1
        return self.goto(m, "look")

    @state("osyield", CPU)
    def yield_on(self, m: MLike) -> object:
        """Let another thread have the CPU."""
        self.spins += 1
        return self.goto(m, "look")

    @state("atomic.cas")
    def join(self, m: MLike) -> object:
        """Put this M on top of the stack, giving up the spinning bit."""
        mutex: SpinbitMutex = self.mutex
        v = self.v
        if not v & LOCKED:
            text = "runtime·lock: sleeping while lock is available"
            raise mutex.throw(m, self, text)
        if mutex.samples and not self.have_timers:
            m.go.start_ticks = m.sched.now_ns
            self.have_timers = True
        m.go.nextwaitm = v & ~FLAGS
        after = m_address(m.id) | v & FLAGS | SLEEPING
        if self.we_spin:
            after &= ~SPINNING
        if mutex.key == v:
            mutex.key = after
            self.we_spin = False
            return self.goto(m, "sleep")
        m.go.nextwaitm = 0
        return self.goto(m, "look")

    @state("semasleep", SEMA)
    def sleep(self, m: MLike) -> object:
        """Sleep until a release has taken this M off the stack."""
        if not sema_acquire(m):
            self.sleeps += 1
            return PARKED
        self.at_tail = m.go.nextwaitm == 0
        self.i = 0
        link(m, m, 0)
        return self.goto(m, "look")


@mypyc_attr(allow_interpreted_subclasses=True)
class SpinbitUnlock(UnlockOp):
    """unlock2 and unlock2Wake of lock_spinbit.go."""

    __slots__ = ("anti_starve", "committed", "end_ticks", "have_stack_lock", "v", "wakem")
    FIRST = "give_back"
    REGISTERS = ("v", "anti_starve", "wakem", "committed", "end_ticks", "have_stack_lock")

    v: int
    """The word as last read."""
    anti_starve: bool
    """This release wakes the bottom of the stack."""
    wakem: int
    """Address of the M to wake."""
    committed: int
    """Address of the M taken from within the stack, which must be woken now."""
    end_ticks: int
    """When a sampled release first saw somebody wait, 0 before."""
    have_stack_lock: bool
    """A sampled release came with the stack lock."""

    def claims(self) -> int:
        """The stack lock, where this M has it."""
        pc = self.pc
        if pc == "look":
            return STACK_LOCKED if self.have_stack_lock else 0
        return STACK_LOCKED if pc in ("walk", "pop", "look_for_pop", "blame") else 0

    @state("atomic.xchg8")
    def give_back(self, m: MLike) -> object:
        """Swap 0 into the low byte."""
        mutex: SpinbitMutex = self.mutex
        before = mutex.key
        mutex.key = before & ~LOW_BYTE
        if before & LOW_BYTE != LOCKED:
            return self.after_swap(m, before)
        mutex.released(m, self)
        return None

    @state("atomic.xchg8")
    def swap(self, m: MLike) -> object:
        """Swap 0 into the low byte, having found that there is nothing to sample."""
        before = self.mutex.key
        self.mutex.key = before & ~LOW_BYTE
        return self.after_swap(m, before)

    def after_swap(self, m: MLike, before: int) -> object:
        """Was it locked, and does somebody sleep?"""
        mutex: SpinbitMutex = self.mutex
        if not before & LOCKED:
            raise mutex.throw(m, self, "unlock of unlocked lock")
        mutex.released(m, self)
        if before & SLEEPING:
            return self.prepare_wake(m)
        return self.done(m)

    def prepare_wake(self, m: MLike) -> object:
        """Enter unlock2Wake."""
        self.v = self.wakem = self.committed = 0
        self.anti_starve = self.have_stack_lock = False
        self.end_ticks = 0
        return self.goto(m, "look")

    @state("atomic.load")
    def look(self, m: MLike) -> object:
        """Read the word, draw the lot, and decide whether anybody is to be woken."""
        mutex: SpinbitMutex = self.mutex
        self.v = v = mutex.key
        self.anti_starve = m.sched.choice(m, TAIL_WAKE_PERIOD, "spinbit.tail_wake") == 0
        if self.have_stack_lock:
            return self.goto(m, "blame")
        if not (self.anti_starve or not v & SPINNING or mutex.low_latency):
            return self.done(m)
        return self.seek(m)

    def done(self, m: MLike) -> object:
        """Leave unlock2."""
        return None

    def seek(self, m: MLike) -> object:
        """Go for the stack lock, unless nobody sleeps or another release has it."""
        if not self.v & ~FLAGS or self.v & STACK_LOCKED:
            return self.done(m)
        return self.goto(m, "lock_stack")

    @state("atomic.cas")
    def lock_stack(self, m: MLike) -> object:
        """Try for the stack lock."""
        mutex: SpinbitMutex = self.mutex
        if mutex.key == self.v:
            mutex.key = self.v | STACK_LOCKED  # and v stays as it was, as in Go
            return self.pick(m)
        return self.goto(m, "look_again")

    @state("atomic.load")
    def look_again(self, m: MLike) -> object:
        """Read the word after the stack lock was missed."""
        self.v = self.mutex.key
        return self.seek(m)

    def pick(self, m: MLike) -> object:
        """Choose whom to wake: the one promised, the bottom, the top, or nobody."""
        mutex: SpinbitMutex = self.mutex
        top = self.v & ~FLAGS
        self.wakem = self.committed
        if not self.committed:
            if not self.v & SPINNING or mutex.low_latency:
                self.wakem = top
            if self.anti_starve:
                return self.goto(m, "walk")
        return self.goto(m, "pop")

    @state("stack.walk")
    def walk(self, m: MLike) -> object:
        """Take the M at the bottom off the stack, unless it is the top too."""
        mutex: SpinbitMutex = self.mutex
        links = mutex.links(self, self.v & ~FLAGS)
        bottom = links[-1]
        self.wakem = bottom
        m.sched.charge("stack.walk", len(links) - 1)
        if len(links) > 1:
            self.committed = bottom
            before, last = mutex.ms[m_number(links[-2])], mutex.ms[m_number(bottom)].go
            link(m, before, last.nextwaitm)
            if mutex.samples:
                before.go.start_ticks = last.start_ticks
        return self.goto(m, "pop")

    @state("atomic.cas")
    def pop(self, m: MLike) -> object:
        """Give the stack lock back, and take the top off if that is whom to wake."""
        mutex: SpinbitMutex = self.mutex
        top = self.v & ~FLAGS
        after = self.v & FLAGS & ~STACK_LOCKED
        if self.wakem == top:
            after |= mutex.m_at(self, top).go.nextwaitm & ~FLAGS
        else:
            after |= top
        if mutex.key != self.v:
            return self.goto(m, "look_for_pop")
        mutex.key = after
        return self.goto(m, "wake") if self.wakem else self.done(m)

    @state("atomic.load")
    def look_for_pop(self, m: MLike) -> object:
        """Read the word after it changed under the stack lock."""
        self.v = self.mutex.key
        return self.pick(m)

    @state("semawakeup", WAKEE)
    def wake(self, m: MLike) -> object:
        """Wake the M taken off."""
        mutex: SpinbitMutex = self.mutex
        number = m_number(self.wakem)
        mutex.woke(number, self)
        sema_wakeup(m, mutex.ms[number])
        return self.done(m)

    @state("stack.walk")
    def blame(self, m: MLike) -> object:
        """Record the sample: the mean of the top's and the bottom's wait, times the waiters."""
        mutex: SpinbitMutex = self.mutex
        links = mutex.links(self, self.v & ~FLAGS)
        top, bottom = mutex.ms[m_number(links[0])].go, mutex.ms[m_number(links[-1])].go
        m.sched.charge("stack.walk", len(links) - 1)
        # Go's division cuts towards zero, and recordUnlock takes less than nothing for nothing.
        total = (self.end_ticks - top.start_ticks) + (self.end_ticks - bottom.start_ticks)
        top.start_ticks = bottom.start_ticks = self.end_ticks
        mutex.blame(self.site, times(max(total, 0) // 2, len(links)))
        return self.pick(m)


@mypyc_attr(allow_interpreted_subclasses=True)
class SampledUnlock(SpinbitUnlock):
    """unlock2 from 1.25 on where the mutex profile is on."""

    __slots__ = ()
    FIRST = "draw_sample"

    @state("atomic.load", PROFILE_RATE)
    def draw_sample(self, m: MLike) -> object:
        """Read the rate and draw whether this release is sampled."""
        mutex: SpinbitMutex = self.mutex
        if m.sched.choice(m, mutex.profile_rate, "spinbit.sample"):
            return self.goto(m, "swap")
        self.prepare_wake(m)
        return self.goto(m, "look_for_waiters")

    @state("atomic.load")
    def look_for_waiters(self, m: MLike) -> object:
        """Read the word: is there anybody to be blamed for?"""
        self.v = v = self.mutex.key
        if not v & ~FLAGS or v & STACK_LOCKED:
            return self.goto(m, "swap")
        if not self.end_ticks:
            self.end_ticks = m.sched.now_ns
        return self.goto(m, "trade")

    @state("atomic.cas")
    def trade(self, m: MLike) -> object:
        """Trade the lock for the stack lock."""
        mutex: SpinbitMutex = self.mutex
        if mutex.key != self.v:
            return self.goto(m, "look_for_waiters")
        mutex.key = (self.v | STACK_LOCKED) & ~(LOCKED | SLEEPING)
        if not self.v & LOCKED:
            raise mutex.throw(m, self, "unlock of unlocked lock")
        self.have_stack_lock = True
        mutex.released(m, self)
        return self.goto(m, "look")


@mypyc_attr(allow_interpreted_subclasses=True)
class SpinbitMutex(StateMutex):
    """Go's mutex on Plan 9 from 1.24 on."""

    __slots__ = ("low_latency", "ms", "profile", "profile_rate", "samples")
    algorithm = "spinbit"
    source = "lock_spinbit.go, from 1.24"
    platforms = "all with several Ms"
    lock_op = SpinbitLock
    unlock_op = SpinbitUnlock
    bits: ClassVar[dict[str, int]] = {
        "stack-locked": STACK_LOCKED, "spinning": SPINNING, "sleeping": SLEEPING, "locked": LOCKED,
    }  # fmt: skip
    claimed = SPINNING | STACK_LOCKED

    def prepare(self, settings: LockSettings) -> None:
        """Nobody has waited; the name and the settings say how it spins and samples."""
        self.ms: dict[int, MLike] = {}
        """The Ms that have waited, by number: what an address leads to."""
        self.low_latency = self.name == LOW_LATENCY
        self.profile_rate = settings.profile_rate
        """1 in how many releases is sampled for the mutex profile, 0 for none."""
        self.samples = settings.behaviour.trades_for_stack_lock and self.profile_rate > 0
        """Whether releases may be sampled so that it concerns the lock."""
        if self.samples:
            self.new_unlock = SampledUnlock
        self.profile: dict[str, tuple[int, int]] = {}
        """What the mutex profile got: site -> (samples, ns), not scaled by the rate."""

    def forget(self, m: int) -> None:
        """No address leads to it any more."""
        self.ms.pop(m, None)

    def snapshot(self) -> tuple[object, ...]:
        """The word; the links are with the Ms."""
        return (self.key,)

    def m_at(self, op: MutexOp, address: int) -> MLike:
        """The M at an address of the stack; the stack lock is held.

        Raises:
            Fault: there is none at 0, where who takes one off an empty stack looks.
        """
        if not address:
            raise self.fault(op, "nil M", 0, "took an M off an empty stack")
        return self.ms[m_number(address)]

    def links(self, op: MutexOp, top: int) -> list[int]:
        """The addresses on the stack from `top` to the bottom; the stack lock is held.

        Raises:
            Fault: it is empty.
            Hang: it has no bottom.
        """
        links = [top]
        while below := self.m_at(op, links[-1]).go.nextwaitm:
            if below in links:
                raise Hang("runtime.unlock2Wake", below)
            links.append(below)
        return links

    def blame(self, site: str, ns: int) -> None:
        """Note a sample of the mutex profile."""
        samples, total = self.profile.get(site, (0, 0))
        self.profile[site] = (samples + 1, total + ns)
