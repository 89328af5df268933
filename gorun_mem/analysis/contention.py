"""Who waited for which runtime lock, how long, and because of whom.

What it says of a lock agrees with what the lock's own statistics say at the end of the run, and
goes further: the queue over time, busy periods and convoys with their causes, blame, the longest
holds, the order in which locks are taken, and the critical path. Go itself offers a sampled mutex
profile that charges waits to unlocks (mprof.go, `mutexevent`); here nothing is sampled.

Blame: while n Ms wait, each ns that passes is n ns of waiting. It is charged to the end of the
chain of waits: to the hold that is under way; where its M waits for another lock, to the hold of
that one, and so on. Where the lock at the end is free (a wakeup is on its way) it is charged to the
hold that ended last, as `handoff_ns`; where the M at the end sleeps or has lost its CPU, as
`off_cpu_ns`; where the chain comes back to itself, to the least M of that circle, as `circle_ns`.
So blame sums to the waits exactly, those that did not end included. `LockReport.direct` stops at
the first link. `gorun_mem.analysis.chains` follows the chains.

Waits, holds and busy periods that the log does not end count up to its end.

From a log at level canonical, which has lock.release only, distributions, shares and blame for held
time are exact too; what needs the beginnings of waits is not there, and `detail` says so.

Bounds: a cell for each (lock, M, site), and a charge for each culprit beyond another lock, at most
`CELLS_MAX` of either; 8 bytes a value where values are all different (`ExactValues`);
`BUSY_KEPT` busy periods a lock; `HOLDS_KEPT` holds; series of 1024 points; on the critical path one
node for each handoff that is on some M's path, at most `PATH_MAX`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import UnsetType

from gorun_mem.analysis.accumulator import Accumulator, ByFields, Fields, Handler, place
from gorun_mem.analysis.cells import (
    CELLS_MAX,
    OTHERS,
    Busy,
    LockHistory,
    LockUse,
    tidy,
)
from gorun_mem.analysis.chains import Chains
from gorun_mem.analysis.criticalpath import CriticalPath, critical_path
from gorun_mem.analysis.exact import FOLD_AT
from gorun_mem.analysis.holds import LongestHolds, LongHold
from gorun_mem.analysis.lockorder import Cycle, OrderEdge, OrderGraph
from gorun_mem.analysis.lockreport import Reporter
from gorun_mem.analysis.locks import LockReport
from gorun_mem.analysis.locksummary import LockSummary, SlowestWaits
from gorun_mem.analysis.path import PathFinder
from gorun_mem.analysis.window import Window
from gorun_mem.events.types import (
    LockAcquire,
    LockRelease,
    LockThrow,
    LockWait,
    LogEvent,
    MExit,
    MPark,
    MStart,
    MUnpark,
    RunEnd,
)
from gorun_mem.runtime.op import OFF_CPU

_WAIT_SEQ: Final = place(LockWait, "seq")
_WAIT_NOW: Final = place(LockWait, "t_ns")
_WAIT_M: Final = place(LockWait, "m")
_WAIT_LOCK: Final = place(LockWait, "lock")
_WAIT_OWNER: Final = place(LockWait, "owner_m")
_WAIT_HELD: Final = place(LockWait, "held_locks")

_ACQUIRE_NOW: Final = place(LockAcquire, "t_ns")
_ACQUIRE_M: Final = place(LockAcquire, "m")
_ACQUIRE_LOCK: Final = place(LockAcquire, "lock")
_ACQUIRE_CONTENDED: Final = place(LockAcquire, "contended")
_ACQUIRE_WAIT_NS: Final = place(LockAcquire, "wait_ns")
_ACQUIRE_BYPASSED: Final = place(LockAcquire, "bypassed")
_ACQUIRE_SITE: Final = place(LockAcquire, "site")

_RELEASE_NOW: Final = place(LockRelease, "t_ns")
_RELEASE_M: Final = place(LockRelease, "m")
_RELEASE_LOCK: Final = place(LockRelease, "lock")
_RELEASE_HOLD_NS: Final = place(LockRelease, "hold_ns")
_RELEASE_WAIT_NS: Final = place(LockRelease, "wait_ns")
_RELEASE_CONTENDED: Final = place(LockRelease, "contended")
_RELEASE_SPINS: Final = place(LockRelease, "spins")
_RELEASE_SLEEPS: Final = place(LockRelease, "sleeps")
_RELEASE_BLOCKED_NS: Final = place(LockRelease, "blocked_ns")
_RELEASE_WAITERS: Final = place(LockRelease, "waiters")
_RELEASE_NEXT_M: Final = place(LockRelease, "next_m")


class Contention(Accumulator):
    """Reads lock events; `locks`, `order` and `path` hold what they say.

    Attributes:
        locks: reports by name, once finished.
        summaries: what the summary says of each lock, by name, once finished.
        slowest: the longest waits.
        holds: the longest holds.
        order: which locks are taken while which are held.
        end_ns: the last time in the log.

    Args:
        window: what of the run's time is looked at; None for all of it.
    """

    def __init__(self, window: Window | None = None) -> None:
        self.locks: dict[str, LockReport] = {}
        self.summaries: dict[str, LockSummary] = {}
        self.slowest = SlowestWaits()
        self.holds = LongestHolds()
        self.end_ns = 0
        self.order = OrderGraph()
        self._window = window or Window()
        self._paths = PathFinder(self._window.from_ns)
        self._locks: dict[str, LockHistory] = {}
        self._ms = self._paths.ms
        self._waits_on: dict[int, LockHistory] = {}
        self._chains = Chains(self._locks, self._ms)
        self._stalls = self._chains.stalls
        self._path: CriticalPath | None = None
        self._cells = 0
        self._latest: LockHistory | None = None
        # As `slowest` and `holds` have it.
        self._slowest_least_ns = self._holds_least_ns = 0

    def handlers(self) -> Mapping[type[LogEvent], Handler]:
        """Lock events, and those that begin, stop, wake and end Ms."""
        return {
            LockWait: ByFields(self._wait),
            LockAcquire: ByFields(self._acquire),
            LockRelease: ByFields(self._release),
            LockThrow: self._throw,
            MPark: self._park,
            MUnpark: self._unpark,
            MStart: self._paths.start,
            MExit: self._paths.exit,
            RunEnd: self._end,
        }

    # Events.

    def _wait(self, event: LockWait, fields: Fields) -> None:
        name: str = fields[_WAIT_LOCK]
        now: int = fields[_WAIT_NOW]
        m: int = fields[_WAIT_M]
        owner_m: int = fields[_WAIT_OWNER]
        lock = self._lock_of(name)
        line = lock.line
        busy = lock.busy
        if busy is not None:
            self._chains.charge(lock, busy, now)
        else:
            lock.last_ns = now
            holder = lock.holder
            began_with = (holder or lock.previous).key
            seq: int = fields[_WAIT_SEQ]
            lock.busy = busy = Busy(now, seq, began_with, line.acquired, holder is not None)
        state = self._ms.get(m)
        if state is not None and state.locks:
            self._chains.stall(state, m, lock, now)
        line.enqueue(m, event, now, owner_m != 0)
        depth = len(line.waiting)
        if depth > busy.depth:
            busy.depth = depth
        lock.queue.step(now, depth)
        self._waits_on[m] = lock
        if fields[_WAIT_HELD]:
            self.order.wanted(event.held_locks, event)

    def _acquire(self, event: LockAcquire, fields: Fields) -> None:
        name: str = fields[_ACQUIRE_LOCK]
        now: int = fields[_ACQUIRE_NOW]
        m: int = fields[_ACQUIRE_M]
        contended: bool = fields[_ACQUIRE_CONTENDED]
        site: Any = fields[_ACQUIRE_SITE]
        lock = self._lock_of(name)
        key: Any = (fields[_ACQUIRE_M], site)
        cell = lock.cells.get(key) or self._new_cell(lock, key)
        state = self._ms.get(m) or self._paths.state(m)
        busy = lock.busy
        if busy is not None:
            self._chains.charge(lock, busy, now)
            if self._stalls:
                self._chains.before_it_changes(lock, m, now)
            bypassed: int = fields[_ACQUIRE_BYPASSED]
            lock.line.acquire(m, now, contended, bypassed)
        elif self._stalls:
            self._chains.before_it_changes(lock, m, now)
        if contended:
            cell.new_bypasses.append(fields[_ACQUIRE_BYPASSED])
            if lock.woken == m:
                lock.handoffs += 1
                lock.chain += 1
            elif lock.chain:
                lock.end_chain()
            wait_ns: int = fields[_ACQUIRE_WAIT_NS]
            self._paths.waited(state, m, now, wait_ns, name, site, lock.released)
            if busy is not None:
                self._waits_on.pop(m, None)
                depth = len(lock.line.waiting)
                queue = lock.queue
                if now >= queue.until:
                    queue.step(now, depth)
                else:
                    queue.value = depth
                if not depth:
                    lock.end_busy(busy, now, True)
        elif lock.chain:
            lock.end_chain()
        lock.woken = 0
        if lock.holder is not None:
            lock.overlap()
        lock.holder = cell
        lock.holder_m = m
        lock.taken = event
        held = state.locks
        if held:
            self.order.acquired(held, event)
        else:  # what is on the path is how long the M held any lock
            state.since_ns = now
        held.append(name)

    def _release(self, event: LockRelease, fields: Fields) -> None:
        name: str = fields[_RELEASE_LOCK]
        now: int = fields[_RELEASE_NOW]
        m: int = fields[_RELEASE_M]
        hold_ns: int = fields[_RELEASE_HOLD_NS]
        lock = self._lock_of(name)
        cell = lock.holder
        busy = lock.busy
        if busy is not None:
            self._chains.charge(lock, busy, now)
            if busy.formed_ns < 0:
                busy.formed_ns = now
        if self._chains.is_chained:
            self._chains.before_it_changes(lock, m, now)
        if cell is None or lock.holder_m != m:
            cell = self._release_only(lock, event)
        else:
            lock.holder = None
            next_m: int = fields[_RELEASE_NEXT_M]
            lock.woken = next_m
        if busy is not None:
            if cell.busy is not busy:
                cell.join(busy)
            cell.waited_holds += 1
        cell.new_holds.append(fields[_RELEASE_HOLD_NS])
        if fields[_RELEASE_CONTENDED]:
            self._count_wait(cell, event, fields)
        if fields[_RELEASE_WAITERS]:
            blocked_ns: int = fields[_RELEASE_BLOCKED_NS]
            lock.blocked_ns += blocked_ns
        if hold_ns > self._holds_least_ns:
            self._note_hold(lock, cell, event)
        if self._chains.is_chained:
            lock.split_hold(cell)
        lock.previous = cell
        state = self._ms.get(m) or self._paths.state(m)
        state.last_ns = now
        held = state.locks
        held_ns = state.held_ns
        if held:
            held_ns += now - state.since_ns
            if held[-1] == name:
                held.pop()
            elif name in held:
                held.remove(name)
            if not held:
                state.held_ns = held_ns
        lock.released_ns = now
        lock.released_node = state.node
        lock.released_held_ns = held_ns
        lock.released_site = cell.key[1]

    def _count_wait(self, cell: LockUse, event: LockRelease, fields: Fields) -> None:
        """Count the wait before the hold that has ended."""
        wait_ns: int = fields[_RELEASE_WAIT_NS]
        sleeps: int = fields[_RELEASE_SLEEPS]
        cell.new_waits.append(fields[_RELEASE_WAIT_NS])
        cell.new_spins.append(fields[_RELEASE_SPINS])
        cell.sleeps += sleeps
        if wait_ns > self._slowest_least_ns:
            self.slowest.note(event, cell.key[1])
            self._slowest_least_ns = self.slowest.least_ns

    def _release_only(self, lock: LockHistory, event: LockRelease) -> LockUse:
        """A release whose acquisition is not in the log, or is not the last."""
        overlapped = lock.overlapped.pop(event.m, None)
        if overlapped is not None:
            return overlapped[0]
        key: Any = (event.m, event.site)
        cell = lock.cells.get(key) or self._new_cell(lock, key)
        if not lock.is_full:
            lock.releases.release(event)
            if event.blocked_ns:
                cell.held_ns += event.blocked_ns
                cell.waited_holds += 1
        return cell

    def _note_hold(self, lock: LockHistory, cell: LockUse, event: LockRelease) -> None:
        self.holds.add(
            LongHold(
                event.hold_ns, event.t_ns - event.hold_ns, lock.name, event.m, cell.key[1],
                lock.hold_blocked_ns, lock.hold_off_cpu_ns, event.blocked_ns, event.seq,
                split=lock.is_full,
            )
        )  # fmt: skip
        self._holds_least_ns = self.holds.least_ns

    def _park(self, event: MPark) -> None:
        """A holder sleeps, or has lost its CPU."""
        m = event.m
        state = self._ms.get(m)
        if state is not None and state.locks and m not in self._waits_on:
            self._chains.stall(state, m, None, event.t_ns)

    def _unpark(self, event: MUnpark) -> None:
        """A waiter was woken: a handoff if it has the lock next. Or a holder goes on."""
        m = event.m
        lock = self._waits_on.get(m)
        if lock is None:
            if m in self._stalls:
                self._chains.go_on(m, event.t_ns)
        elif lock.holder is None and event.reason != OFF_CPU:
            lock.woken = m

    def _throw(self, event: LockThrow) -> None:
        lock = self._lock_of(event.lock)
        lock.throws[event.error_type] = lock.throws.get(event.error_type, 0) + 1

    def _end(self, event: RunEnd) -> None:
        self.end_ns = event.t_ns

    # Books.

    def _lock_of(self, name: str) -> LockHistory:
        """The lock of that name, most often the one before."""
        lock = self._latest
        if lock is None or lock.name != name:
            self._latest = lock = self._locks.get(name) or self._new_lock(name)
        return lock

    def _new_lock(self, name: str) -> LockHistory:
        if len(self._locks) >= CELLS_MAX:
            name = OTHERS
        return self._locks.setdefault(name, LockHistory(name))

    def _new_cell(self, lock: LockHistory, key: tuple[int, str | UnsetType]) -> LockUse:
        """The cell of an M and a site; where that is not said, it is what the M is for."""
        m, site = key
        if self._cells >= CELLS_MAX:
            m, site = 0, OTHERS
        known = (m, site if isinstance(site, str) else self._paths.name(m))
        if known in lock.cells:
            return lock.cells[known]
        self._cells += 1
        return lock.cells.setdefault(known, LockUse(lock.name, known))

    def tidy(self) -> None:
        """Count what has collected."""
        for lock in self._locks.values():
            tidy(lock.cells.values(), FOLD_AT)

    def finish(self) -> None:
        """Make the reports."""
        for lock in self._locks.values():
            if lock.holder is not None and lock.taken is not None:
                self._paths.see(lock.taken.m, lock.taken.t_ns)
        last = max((lock.last_ns for lock in self._locks.values()), default=0)
        end = max(self.end_ns, self.last_ns, last, self._paths.last_ns)
        if self._window.to_ns is not None:
            end = min(end, self._window.to_ns)
        self.end_ns = end
        for lock in self._locks.values():
            if lock.busy is not None:
                self._chains.charge(lock, lock.busy, end)
        self._chains.end(end)
        reporter = Reporter(self._window.from_ns, end, self.holds, self._new_cell)
        for name, lock in self._locks.items():
            self.summaries[name], self.locks[name] = reporter.report(lock)

    @property
    def path(self) -> CriticalPath:
        """The critical path through the run, put together when it is first asked for."""
        if self._path is None:
            self._path = critical_path(self._paths)
        return self._path

    def cycles(self) -> tuple[Cycle, ...]:
        """Circles in the order in which locks are taken: each can end in deadlock."""
        return self.order.cycles()

    def edges(self) -> tuple[OrderEdge, ...]:
        """Which locks are taken while which are held."""
        return self.order.edges()
