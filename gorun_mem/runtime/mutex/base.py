"""What all runtime mutexes share: the book of who had the lock.

An algorithm's file holds its states and nothing else. Everything that the log and the statistics
need is told to `Mutex` by four calls: `_waits`, `_acquired`, `_released` and `_woke`. They are no
part of the algorithm and change nothing of it. Times come from `m.sched.now_ns`.

A lock that is got at the first access and wanted by nobody else pays for a tuple in a list, and its
operations are used again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.errors import Fault, Throw
from gorun_mem.runtime.mutex.machine import MutexOp
from gorun_mem.runtime.mutex.statistics import (
    FOLD_AT,
    BusyPeriod,
    LockStatistics,
    Open,
    Tally,
    with_open,
)
from gorun_mem.runtime.op import MLike
from gorun_mem.runtime.sink import Waited

if TYPE_CHECKING:
    from gorun_mem.runtime.mutex.rank import RankChecks
    from gorun_mem.runtime.sink import Sink

ACTIVE_SPIN: Final = 4
"""active_spin, mutexActiveSpinCount: procyields before the osyield, the same in every release."""
PASSIVE_SPIN: Final = 1
"""passive_spin, mutexPassiveSpinCount: osyields before sleeping."""


@mypyc_attr(allow_interpreted_subclasses=True)
class LockOp(MutexOp):
    """Go's `lock2`."""

    __slots__ = ("bypassed", "m_id", "sleeps", "spins", "wait_since_ns")

    # Set by Mutex._waits, not before: a lock that is free needs none of it.
    m_id: int
    wait_since_ns: int
    spins: int
    sleeps: int
    bypassed: int  # less what the mutex had in `_barged` when the wait began
    LOCK_COUNT: ClassVar = "runtime·lock: lock count"

    def check(self, m: MLike) -> None:
        """What lock and lock2 check first, called only where it may matter: the order of locks,
        where it is checked, and the M's count.

        Raises:
            Throw: the M's count is negative, or the order of locks is wrong.
        """
        mutex = self.mutex
        if mutex.ranks is not None:
            mutex.ranks.before_lock(m, mutex, self)
        if m.locks < 0:
            raise mutex._throw(m, self, self.LOCK_COUNT)


@mypyc_attr(allow_interpreted_subclasses=True)
class UnlockOp(MutexOp):
    """Go's `unlock2`."""

    __slots__ = ()
    LOCK_COUNT: ClassVar = "runtime·unlock: lock count"

    def count_unlock(self, m: MLike) -> None:
        """The end of unlock2: one lock fewer.

        Raises:
            Throw: there was none.
        """
        m.locks = locks = m.locks - self.mutex.locks_delta
        if locks < 0:
            raise self.mutex._throw(m, self, self.LOCK_COUNT)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock.

    Args:
        m: number of the M.
        site: the Go function that took it.
        since_ns: when.
    """

    m: int
    site: str
    since_ns: int


@dataclass(frozen=True, slots=True)
class Waiter:
    """Who waits for a lock.

    Args:
        m: number of the M.
        site: the Go function that wants it.
        since_ns: since when.
        state: where in the algorithm the M is, such as "sleep".
        spins: procyields and osyields so far.
        sleeps: sleeps so far.
        bypassed: how many Ms that came later got the lock first.
    """

    m: int
    site: str
    since_ns: int
    state: str
    spins: int
    sleeps: int
    bypassed: int


@mypyc_attr(allow_interpreted_subclasses=True)
class Mutex:
    """A runtime mutex; the base of all algorithms.

    Args:
        name: the lock's name in the log, such as "memlock".
        rank: its rank's name in `rank.py`; "LEAF" is what Go gives a lock that has none.
        sink: where events go, None for nowhere.
        locks_delta: what a lock adds to `m.locks`: 1, and 16 from 1.27.
        ranks: checks the order of locks, None for no check as in an ordinary build of Go.
    """

    __slots__ = (
        "_barged",
        "_busy_acquisitions",
        "_busy_longest",
        "_busy_periods",
        "_busy_since_ns",
        "_convoy_longest",
        "_convoys",
        "_fresh_holds",
        "_handoffs",
        "_hold",
        "_is_convoy",
        "_lock_ops",
        "_new_unlock",
        "_queue_depth_max",
        "_releaser",
        "_tally",
        "_unlock_ops",
        "_waiting",
        "_woken",
        "key",
        "key_obj",
        "locks_delta",
        "name",
        "owner",
        "owner_site",
        "prev_owner_m",
        "rank",
        "ranks",
        "since_ns",
        "sink",
    )

    algorithm: ClassVar[str]
    lock_op: ClassVar[type[LockOp]]
    unlock_op: ClassVar[type[UnlockOp]]

    def __init__(
        self,
        name: str = "memlock",
        rank: str = "LEAF",
        sink: Sink | None = None,
        *,
        locks_delta: int = 1,
        ranks: RankChecks | None = None,
    ) -> None:
        self.name = name
        self.rank = rank
        self.sink = sink
        self.locks_delta = locks_delta
        self.ranks = ranks
        self._lock_ops: list[LockOp] = []  # through and in their first state: to use again
        self._unlock_ops: list[UnlockOp] = []
        self._new_unlock: type[UnlockOp] = self.unlock_op
        self.key = 0
        self.key_obj = f"{name}.key"
        self.owner: MLike | None = None
        """Who holds it, None where nobody does."""
        self.owner_site = ""
        """The Go function that took it."""
        self.since_ns = 0
        """When the owner got it."""
        self.prev_owner_m = 0
        self._waiting: dict[int, LockOp] = {}  # by M, in the order they came
        self._hold: LockOp | None = None  # the owner's operation, if it had to wait
        self._woken = 0  # the M that the latest release woke, until somebody has the lock again
        self._releaser: UnlockOp | None = None  # that release, until then
        self._tally = Tally()
        self._fresh_holds = self._tally.fresh_holds
        self._barged = 0  # how often one got the lock that never waited: past all who did
        self._queue_depth_max = 0
        self._handoffs = 0
        self._busy_periods = 0
        self._busy_since_ns = 0
        self._busy_acquisitions = 0
        self._busy_longest = BusyPeriod()
        self._is_convoy = False  # an M came to wait after the hold that formed the queue
        self._convoys = 0
        self._convoy_longest = BusyPeriod()

    def configure(self, minor: int, *, profile_rate: int, spurious: bool) -> None:
        """Take the behaviour of Go 1.`minor`; see `gorun_mem.runtime.mutex.make`."""

    # What the memory layer calls

    def lock(self, site: str = "") -> LockOp:
        """The operation of taking the lock; Go's `lock`.

        Args:
            site: the Go function that calls, such as "runtime.sysAllocOS".
        """
        pool = self._lock_ops
        op = pool.pop() if pool else self.lock_op(self)
        op.awaited = False
        op.site = site
        return op

    def unlock(self, site: str = "") -> UnlockOp:
        """The operation of giving it back; Go's `unlock`."""
        pool = self._unlock_ops
        op = pool.pop() if pool else self._new_unlock(self)
        op.awaited = False
        op.site = site
        return op

    # What anyone may ask

    @property
    def holder(self) -> Holder | None:
        """Who holds the lock, where and since when; None where nobody does."""
        owner = self.owner
        return None if owner is None else Holder(owner.id, self.owner_site, self.since_ns)

    @property
    def waiters(self) -> tuple[Waiter, ...]:
        """Who waits and since when, in the order they came."""
        return tuple(
            Waiter(m, op.site, op.wait_since_ns, op.pc, op.spins, op.sleeps, self._bypassed(op))
            for m, op in self._waiting.items()
        )

    def statistics(self, now_ns: int = -1) -> LockStatistics:
        """What was counted so far; costs a pass over the distinct records.

        Args:
            now_ns: up to when waits and holds count that have not ended; -1 is the time of whoever
                holds the lock, or that of the last event of the lock.
        """
        now = self._now(now_ns)
        tally = self._tally
        running = self._running()
        waits, contended, held, by_m, by_site = with_open(
            tally.summary(running), self._open_holds(now), self.open_waits(now)
        )
        spins, sleeps, bypasses = tally.totals()
        busy_longest, convoy_longest = self._busy_longest, self._convoy_longest
        if self._waiting:
            busy_longest, convoy_longest = self._longest_at(now)
        return LockStatistics(
            name=self.name,
            mutex=self.algorithm,
            acquisitions=held.count,
            contended=contended.count,
            wait_ns=waits,
            contended_wait_ns=contended,
            hold_ns=held,
            spins=spins,
            sleeps=sleeps,
            bypasses_max=max([bypasses, *map(self._bypassed, self._waiting.values())]),
            queue_depth_max=self._queue_depth_max,
            busy_periods=self._busy_periods,
            busy_longest=busy_longest,
            convoys=self._convoys,
            convoy_longest=convoy_longest,
            handoffs=self._handoffs,
            waiting=len(self._waiting),
            held=bool(running),
            by_m=by_m,
            by_site=by_site,
        )

    def open_waits(self, now_ns: int) -> list[Open]:
        """(m, site, how long in ns so far) of those who wait."""
        return [(m, op.site, max(0, now_ns - op.wait_since_ns)) for m, op in self._waiting.items()]

    def unlogged_wait_ns(self, now_ns: int) -> int:
        """What was waited of which no release has told: by who waits, and before a hold of now."""
        hold = self._hold
        before = self.since_ns - hold.wait_since_ns if hold is not None else 0
        return before + sum([ns for _, _, ns in self.open_waits(now_ns)])

    def _now(self, now_ns: int) -> int:
        if now_ns >= 0:
            return now_ns
        if self.owner is not None:
            return self.owner.sched.now_ns
        return max([self.since_ns, *(op.wait_since_ns for op in self._waiting.values())])

    def count_with(self, tally: Tally) -> None:
        """Count with `tally` from here on, for example one of bounded size."""
        self._tally = tally
        self._fresh_holds = tally.fresh_holds

    def snapshot(self) -> tuple[object, ...]:
        """The words that Ms share; hashable."""
        return (self.key,)

    def restore(self, snapshot: tuple[object, ...]) -> None:
        """Go back to what `snapshot` returned."""
        (self.key,) = snapshot  # type: ignore[assignment]

    def __repr__(self) -> str:
        holder = self.holder
        held = f"held by M{holder.m} since {holder.since_ns} ns" if holder else "free"
        return f"<{self.algorithm} mutex {self.name}: {held}, {len(self._waiting)} waiting>"

    # What the algorithms ask

    def spin_limit(self, m: MLike) -> int:
        """How often a waiting M spins before it yields: not at all on a uniprocessor."""
        return ACTIVE_SPIN if m.sched.cpus > 1 else 0

    # What the algorithms tell

    def _waits(self, m: MLike, op: LockOp) -> None:
        """`m` found the lock taken and begins to wait."""
        now = m.sched.now_ns
        op.m_id = m.id
        op.site = op.site or m.name
        op.wait_since_ns = now
        op.spins = op.sleeps = 0
        op.bypassed = -self._barged
        waiting = self._waiting
        if self.sink is not None:
            owner = self.owner
            self.sink.lock_wait(
                self.name,
                op.site,
                owner.id if owner else 0,
                owner.go.op_id if owner else 0,
                len(waiting),
                tuple(waiting),
                tuple([lock.name for lock in m.go.held]),
            )
        if not waiting:
            self._busy_periods += 1
            self._busy_since_ns = now
            self._busy_acquisitions = 0
            self._is_convoy = False
        elif not self._is_convoy and (self._busy_acquisitions or self.owner is None):
            self._is_convoy = True  # the hold that the first ran into has ended
            self._convoys += 1
        waiting[m.id] = op
        if len(waiting) > self._queue_depth_max:
            self._queue_depth_max = len(waiting)

    def _acquired(self, m: MLike, op: LockOp) -> None:
        """`m` has the lock from this access on."""
        self.owner = m
        self.owner_site = op.site = op.site or m.name
        self.since_ns = m.sched.now_ns
        m.go.held.append(self)
        waiting = self._waiting
        waited = bool(waiting) and waiting.get(m.id) is op
        if waited or self.sink is not None:
            self._acquired_among_others(m, op, waited)
        elif waiting:
            self._barged += 1
            self._woken = 0
            self._releaser = None
            self._busy_acquisitions += 1

    def _acquired_among_others(self, m: MLike, op: LockOp, contended: bool) -> None:
        """The rest of `_acquired` for one that has waited, or where somebody listens."""
        waiting = self._waiting
        wait_ns = spins = sleeps = bypassed = 0
        if contended:
            wait_ns = self.since_ns - op.wait_since_ns
            spins, sleeps, bypassed = op.spins, op.sleeps, self._bypassed(op)
            self._pass_by(op)
            del waiting[m.id]
            self._hold = op
            self._tally.fresh_waits.append((m.id, op.site, wait_ns, spins, sleeps, bypassed))
            self._handoffs += self._woken == m.id
        else:
            self._barged += 1
        self._woken = 0
        self._releaser = None
        if waiting or contended:
            self._busy_acquisitions += 1
            if not waiting:
                self._busy_longest, self._convoy_longest = self._longest_at(self.since_ns)
        if self.sink is not None:
            self.sink.lock_acquire(
                self.name,
                op.site,
                Waited(contended, wait_ns, spins, sleeps),
                bypassed,
                len(waiting),
                self.prev_owner_m,
            )

    def _bypassed(self, op: LockOp) -> int:
        """How many Ms that came later than `op`, which waits, got the lock first."""
        return op.bypassed + self._barged

    def _pass_by(self, winner: LockOp) -> None:
        """Count a bypass for all who came before `winner`."""
        for op in self._waiting.values():
            if op is winner:
                return
            op.bypassed += 1

    def _longest_at(self, now_ns: int) -> tuple[BusyPeriod, BusyPeriod]:
        """The longest busy period and convoy, with the one that ends now."""
        longest, convoy = self._busy_longest, self._convoy_longest
        ns, acquisitions = now_ns - self._busy_since_ns, self._busy_acquisitions
        found = BusyPeriod(ns, acquisitions)
        if (ns, acquisitions) > (longest.length_ns, longest.acquisitions):
            longest = found
        if self._is_convoy and (ns, acquisitions) > (convoy.length_ns, convoy.acquisitions):
            convoy = found
        return longest, convoy

    def _released(self, m: MLike, op: UnlockOp, next_m: int = 0) -> None:
        """`m` gave the lock back with this access.

        Args:
            m: who.
            op: its unlock.
            next_m: the M that it wakes, where this access decides that; 0: none or not known yet.
        """
        owner = self.owner
        if owner is None:  # unlock of an unlocked lock: Go's code throws or faults by itself
            return
        held = owner.go.held
        if held[-1] is self:
            held.pop()
        else:
            held.remove(self)
        hold_ns = m.sched.now_ns - self.since_ns
        self.prev_owner_m = number = owner.id
        fresh = self._fresh_holds
        fresh.append((number, self.owner_site, hold_ns))
        if len(fresh) >= FOLD_AT:
            self._tally.fold()
        if self.sink is not None:
            self._log_release(m, op, hold_ns, next_m)
        waited = self._hold
        if waited is not None:
            self._hold = None
            waited.reset()
            self._lock_ops.append(waited)
        self.owner = None
        self._releaser = op

    def _log_release(self, m: MLike, op: UnlockOp, hold_ns: int, next_m: int) -> None:
        hold, since, now = self._hold, self.since_ns, m.sched.now_ns
        blocked_ns = sum([now - max(w.wait_since_ns, since) for w in self._waiting.values()])
        assert self.sink is not None
        self.sink.lock_release(
            self.name,
            op.site or self.owner_site,
            hold_ns,
            Waited(True, since - hold.wait_since_ns, hold.spins, hold.sleeps)
            if hold
            else Waited(False, 0, 0, 0),
            blocked_ns,
            tuple(self._waiting),
            next_m,
        )

    def _woke(self, m_id: int, op: UnlockOp) -> None:
        """The release `op` wakes M `m_id`; no handoff any more if somebody was faster."""
        if self._releaser is op:
            self._woken = m_id

    def _running(self) -> list[tuple[int, str]]:
        """(m, site) of holds that have not ended."""
        return [] if self.owner is None else [(self.owner.id, self.owner_site)]

    def _open_holds(self, now_ns: int) -> list[Open]:
        """The same, with how long they last so far."""
        return [(m, site, max(0, now_ns - self.since_ns)) for m, site in self._running()]

    def _throw(
        self, m: MLike, op: MutexOp, text: str, *printed: str, error_type: str = ""
    ) -> Throw:
        """Go's `throw(text)`, logged; the caller raises it.

        Args:
            m: whose call it is.
            op: the call.
            text: Go's text.
            printed: lines that Go prints before.
            error_type: what the log calls it; the text if empty.
        """
        owner_m, owner_site = self._log_throw(op, error_type or text)
        context: dict[str, int | str] = {"lock": self.name, "m": m.id, "site": op.site}
        if owner_m:
            context |= {"owner_m": owner_m, "owner_site": owner_site, "since_ns": self.since_ns}
        return Throw(text, *printed, **context)

    def _fault(self, op: MutexOp, error_type: str, address: int, detail: str) -> Fault:
        """A stray access of the lock's code, logged; the caller raises it."""
        self._log_throw(op, error_type)
        return Fault(address, detail)

    def _log_throw(self, op: MutexOp, error_type: str) -> tuple[int, str]:
        owner = self.owner
        who = (owner.id, self.owner_site) if owner else (0, "")
        if self.sink is not None:
            self.sink.lock_throw(self.name, op.site, error_type, *who)
        return who
