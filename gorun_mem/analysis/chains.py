"""Chains of waits: which hold is charged with what is waited for a lock.

The rules are those of `gorun_mem.analysis.contention`.
A chain changes when one of its Ms begins or ends to wait, sleeps or wakes, and when one of its
locks changes hands. Before that everything that hangs on it is charged up to now, so between two
charges of a lock its chain is the same. `stalls` has the Ms that hold locks and cannot go on;
while it is empty, which is nearly always, no chain has a second link.
"""

from __future__ import annotations

from gorun_mem.analysis.arithmetic import product
from gorun_mem.analysis.cells import (
    CELLS_MAX,
    OTHERS,
    Busy,
    Charge,
    LockHistory,
    LockUse,
    Stall,
    holder_of,
)
from gorun_mem.analysis.path import PathOfM


class Chains:
    """Charges waits to holds.

    Args:
        locks: by name; who reads lock events adds to them.
        ms: by id, with the locks that each holds; likewise.

    Attributes:
        stalls: Ms that hold locks and cannot go on.
        is_chained: whether there ever was one.
    """

    __slots__ = ("_charges", "_locks", "_ms", "is_chained", "stalls")

    def __init__(self, locks: dict[str, LockHistory], ms: dict[int, PathOfM]) -> None:
        self.stalls: dict[int, Stall] = {}
        self.is_chained = False
        self._locks = locks
        self._ms = ms
        self._charges = 0

    def charge(self, lock: LockHistory, busy: Busy, now: int) -> None:
        """Charge what the waiting Ms waited since this was last called of the lock."""
        dt = now - lock.last_ns
        if dt <= 0:
            return
        lock.last_ns = now
        depth = len(lock.line.waiting)
        ns_at = lock.queue.ns_at
        ns_at[depth] = ns_at.get(depth, 0) + dt
        waited = product(dt, depth)
        cell = lock.holder
        if cell is not None:
            if cell.busy is not busy:
                cell.join(busy)
            cell.held_ns += waited
            if self.stalls:
                self._charge_end_of_chain(lock, busy, cell, waited)
        else:
            cell = lock.previous
            if cell.busy is not busy:
                cell.join(busy)
            cell.handoff_ns += waited

    def _charge_end_of_chain(
        self, lock: LockHistory, busy: Busy, cell: LockUse, waited: int
    ) -> None:
        """Charge `waited`, which `cell` is charged with for its hold of `lock`, to the root."""
        at, seen = lock, [lock]
        off_cpu = circle = False
        while at.holder is not None and at.taken is not None:
            stall = self.stalls.get(at.taken.m)
            if stall is None:
                break
            if stall.lock is None:
                off_cpu = True
                break
            at = stall.lock
            if at in seen:
                circle = True
                at = min(seen[seen.index(at) :], key=holder_of)
                break
            seen.append(at)
        root = at.holder
        charge: Charge = cell
        if root is not cell:
            cell.elsewhere_ns += waited
            charge = self._charge_of(lock, at, root or at.previous)
            if charge.busy is not busy:
                charge.join(busy)
            if charge.taken is not at.taken:
                charge.taken = at.taken
                charge.waited_holds += 1
            if root is None:
                charge.handoff_ns += waited
                return
            charge.held_ns += waited
        if off_cpu:
            charge.off_cpu_ns += waited
        elif circle:
            charge.circle_ns += waited

    def _charge_of(self, lock: LockHistory, at: LockHistory, root: LockUse) -> Charge:
        """What waiters of `lock` charge to a hold of `at`."""
        key = (at.name, *root.key)
        found = lock.elsewhere.get(key)
        if found is None:
            if self._charges >= CELLS_MAX:
                key = (OTHERS, 0, OTHERS)
            self._charges += 1
            found = lock.elsewhere.setdefault(key, Charge(key[0], key[1:]))
        return found

    def stall(self, state: PathOfM, m: int, lock: LockHistory | None, now: int) -> None:
        """`m`, which holds locks, cannot go on: it waits for `lock`, or is off its CPU."""
        if m in self.stalls:  # what set it going again is missing
            self.go_on(m, now)
        for name in state.locks:
            self._charge_all(self._locks.get(name), now)
        self.stalls[m] = Stall(lock, now)
        self.is_chained = True

    def go_on(self, m: int, now: int) -> None:
        """`m` can go on."""
        stall = self.stalls[m]
        for name in self._ms[m].locks:
            self._charge_all(self._locks.get(name), now)
        for name in self._ms[m].locks:
            lock = self._locks.get(name)
            if lock is not None:
                lock.stall(stall.lock is not None, max(0, now - stall.since_ns))
        del self.stalls[m]

    def before_it_changes(self, lock: LockHistory, m: int, now: int) -> None:
        """Charge what hangs on `lock`, which `m` takes or gives back now."""
        for other in lock.line.waiting:
            if other in self.stalls:
                for name in self._ms[other].locks:
                    self._charge_all(self._locks.get(name), now, [lock])
        if m in self.stalls:
            self.go_on(m, now)

    def _charge_all(
        self, lock: LockHistory | None, now: int, seen: list[LockHistory] | None = None
    ) -> None:
        """Charge what waits for `lock`, and for what the Ms that wait for it hold."""
        seen = [] if seen is None else seen
        if lock is None or lock.busy is None or lock in seen:
            return
        seen.append(lock)
        self.charge(lock, lock.busy, now)
        for m in lock.line.waiting:
            if m in self.stalls:
                for name in self._ms[m].locks:
                    self._charge_all(self._locks.get(name), now, seen)

    def end(self, now: int) -> None:
        """The log ends; what has not gone on lasts until then."""
        for m in list(self.stalls):
            self.go_on(m, now)
