"""Who waited for which runtime lock, how long, and because of whom.

What it says of a lock agrees with what the lock's own statistics say at the end of the run, and
goes further: the queue over time, convoys with their causes, blame, the order in which locks are
taken, and the critical path. Go itself offers a sampled mutex profile that charges waits to unlocks
(mprof.go, `mutexevent`); here nothing is sampled.

Blame: while n Ms wait, each ns that passes is n ns of waiting. It is charged to the hold that is
under way, or where the lock is free (a wakeup is on its way) to the hold that ended last, as
`handoff_ns`. So blame sums to the waits exactly, those that did not end included.

From a log at level canonical, which has lock.release only, distributions, shares and blame for held
time are exact too; what needs the beginnings of waits is not there, and `detail` says so.

Bounds: a cell for each (lock, M, site), at most `CELLS_MAX`; 8 bytes a value where values are all
different (`ExactValues`); `CONVOYS_KEPT` convoys a lock; series of 1024 points; on the critical
path one node for each handoff that is on some M's path, at most `PATH_MAX`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from msgspec import UNSET

from gorun_mem.analysis.exact import FOLD_AT, ExactValues, Peaks, share
from gorun_mem.analysis.lockorder import Cycle, Edge, LockOrder
from gorun_mem.analysis.path import CriticalPath, PathFinder
from gorun_mem.analysis.stream import Accumulator, Handler
from gorun_mem.events.types import (
    Event,
    LockAcquire,
    LockRelease,
    LockThrow,
    LockWait,
    MExit,
    MStart,
    MUnpark,
    RunEnd,
)
from gorun_mem.runtime.mutex.statistics import Distribution, Share, jain

CELLS_MAX: Final = 1 << 16
CONVOYS_KEPT: Final = 10
OTHERS: Final = "(others)"
"""Stands for locks and sites beyond `CELLS_MAX`, which no real run has."""


class Who(NamedTuple):
    """A hold's M and site.

    Args:
        m: M, 0 for nobody known.
        site: the Go function that took the lock.
    """

    m: int
    site: str


@dataclass(frozen=True, slots=True)
class Blame:
    """What one culprit made others wait.

    Args:
        m: the M that held.
        site: the Go function that took the lock.
        held_ns: waited while it held the lock, summed over those who waited.
        handoff_ns: waited after it gave the lock back, until the next had it.
        holds: holds in which somebody waited.
    """

    m: int
    site: str
    held_ns: int
    handoff_ns: int
    holds: int

    @property
    def total_ns(self) -> int:
        """All that is charged to it."""
        return self.held_ns + self.handoff_ns


@dataclass(frozen=True, slots=True)
class ConvoyReport:
    """A maximal time in which at least one M waited.

    Args:
        start_ns: when the first came.
        end_ns: when the last had the lock, or the log ended.
        start_seq: the event it began with.
        acquisitions: acquisitions in it.
        depth_max: most Ms waiting at once.
        wait_ns: what was waited in it, summed.
        ended: False where the log ends within it.
        began_with: the hold that the first ran into.
        causes: blame within it, the greatest first.
    """

    start_ns: int
    end_ns: int
    start_seq: int
    acquisitions: int
    depth_max: int
    wait_ns: int
    ended: bool
    began_with: Who
    causes: tuple[Blame, ...]

    @property
    def length_ns(self) -> int:
        """How long it lasted."""
        return self.end_ns - self.start_ns


@dataclass(frozen=True, slots=True)
class Part:
    """What one M, or one site, had of a lock.

    Args:
        share: sums, as the lock's own statistics have them.
        wait_ns: waits over all acquisitions, an uncontended one counting as 0.
        hold_ns: finished holds.
        spins: spin rounds.
        sleeps: times slept.
    """

    share: Share
    wait_ns: Distribution
    hold_ns: Distribution
    spins: int
    sleeps: int


@dataclass(frozen=True, slots=True)
class LockReport:
    """All that the log says of one lock.

    Args:
        name: the lock's name.
        detail: "full", or "releases" where the log has only lock.release.
        acquisitions: how often it was got.
        contended: how many of these had to wait.
        wait_ns: waits over all acquisitions, an uncontended one counting as 0.
        contended_wait_ns: waits over contended acquisitions.
        hold_ns: finished holds.
        spin_rounds: spins over contended acquisitions.
        sleeps: times that waiting Ms slept.
        by_m: by M.
        by_site: by the Go function that took the lock.
        queue: Ms waiting over time; `queue.ns_at` has how long each depth lasted.
        bypasses_max: most acquisitions by later Ms before one M had the lock.
        bypasses: bypasses over contended acquisitions.
        handoffs: acquisitions by the very M that the release before had woken.
        handoff_chain_max: most of these in a row.
        handoff_chains: length of a chain -> how many.
        convoys: how often the lock went from nobody waiting to somebody.
        convoys_longest: the longest, longest first.
        blame: who made others wait, the greatest first.
        unfinished_wait_ns: waited up to the end by Ms that never had the lock.
        waiting: those Ms, with when they began.
        holding: who holds it at the end and since when, None where nobody does.
        throws: error_type -> how often the lock threw.
    """

    name: str
    detail: str
    acquisitions: int
    contended: int
    wait_ns: Distribution
    contended_wait_ns: Distribution
    hold_ns: Distribution
    spin_rounds: Distribution
    sleeps: int
    by_m: Mapping[int, Part]
    by_site: Mapping[str, Part]
    queue: Peaks
    bypasses_max: int
    bypasses: Distribution
    handoffs: int
    handoff_chain_max: int
    handoff_chains: Mapping[int, int]
    convoys: int
    convoys_longest: tuple[ConvoyReport, ...]
    blame: tuple[Blame, ...]
    unfinished_wait_ns: int
    waiting: Mapping[int, int]
    holding: tuple[Who, int] | None
    throws: Mapping[str, int] = field(default_factory=dict)

    @property
    def spins(self) -> int:
        """Spin rounds of all who had the lock."""
        return self.spin_rounds.total

    @property
    def fairness_acquisitions(self) -> float:
        """Jain's index over the Ms' acquisitions."""
        return jain(part.share.acquisitions for part in self.by_m.values())

    @property
    def fairness_waits(self) -> float:
        """Jain's index over the Ms' summed waits."""
        return jain(part.share.wait_ns for part in self.by_m.values())

    @property
    def starvation(self) -> float:
        """The longest wait as a multiple of the median contended wait; 1.0 where nobody waited."""
        longest, median = self.contended_wait_ns.max, self.contended_wait_ns.p50
        if not longest:
            return 1.0
        return share(longest, median, float("inf"))


class _Cell:
    """What one M did with one lock from one site."""

    __slots__ = ("acquisitions", "bypasses", "holds", "sleeps", "spins", "waits")

    def __init__(self) -> None:
        self.acquisitions = 0
        self.holds = ExactValues()
        self.waits = ExactValues()  # contended ones
        self.spins = ExactValues()
        self.bypasses = ExactValues()
        self.sleeps = 0

    def fold(self, at: int) -> None:
        """Count what is fresh."""
        self.holds.fold(at)
        if self.waits.fresh:
            for values in (self.waits, self.spins, self.bypasses):
                values.fold(at)


_Key = tuple[int, str]


class _Waiting(NamedTuple):
    since_ns: int
    site: str
    ahead: int
    acquired_before: int


class _Convoy:
    """A convoy under way."""

    __slots__ = ("acquisitions", "began_with", "blame", "depth", "seq", "start_ns")

    def __init__(self, start_ns: int, seq: int, began_with: _Key) -> None:
        self.start_ns = start_ns
        self.seq = seq
        self.began_with = began_with
        self.acquisitions = 0
        self.depth = 0
        self.blame: dict[_Key, list[int]] = {}


class _Lock:
    """One lock while the log is read."""

    __slots__ = (
        "acquired", "blame", "cells", "chain", "chains", "convoy", "convoys", "detail", "handoffs",
        "holder", "kept", "last_ns", "name", "previous", "queue", "released", "since_ns", "throws",
        "waiting", "woken",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.cells: dict[_Key, _Cell] = {}
        self.waiting: dict[int, _Waiting] = {}
        self.holder: _Key | None = None
        self.previous: _Key = (0, "")
        self.since_ns = 0
        self.last_ns = 0
        self.acquired = 0
        self.released: tuple[int, Any] | None = None
        self.woken = 0
        self.handoffs = self.chain = 0
        self.chains: dict[int, int] = {}
        self.blame: dict[_Key, list[int]] = {}
        self.convoy: _Convoy | None = None
        self.convoys = 0
        self.kept: list[tuple[int, int, int, ConvoyReport]] = []
        self.queue = Peaks()
        self.throws: dict[str, int] = {}
        self.detail = "releases"


class Contention(Accumulator):
    """Reads lock events; `locks`, `order` and `path` hold what they say.

    Attributes:
        locks: reports by name, once finished.
        order: which locks are taken while which are held.
        path: the critical path through the run.
        end_ns: the last time in the log.
    """

    def __init__(self) -> None:
        self.locks: dict[str, LockReport] = {}
        self.end_ns = 0
        self.order = LockOrder()
        self._paths = PathFinder()
        self.path: CriticalPath = CriticalPath()
        self._locks: dict[str, _Lock] = {}
        self._waits_on: dict[int, _Lock] = {}
        self._cells = 0

    def handlers(self) -> Mapping[type[Event], Handler]:
        """Lock events, and those that begin, wake and end Ms."""
        return {
            LockWait: self._wait,
            LockAcquire: self._acquire,
            LockRelease: self._release,
            LockThrow: self._throw,
            MUnpark: self._unpark,
            MStart: self._paths.start,
            MExit: self._paths.exit,
            RunEnd: self._end,
        }

    # Events.

    def _wait(self, event: LockWait) -> None:
        lock = self._locks.get(event.lock) or self._new_lock(event.lock)
        lock.detail = "full"
        now, m = event.t_ns, event.m
        waiting = lock.waiting
        if waiting:
            self._charge(lock, now)
        else:
            lock.last_ns = now
            lock.convoys += 1
            lock.convoy = _Convoy(now, event.seq, lock.holder or lock.previous)
        site = event.site
        waiting[m] = _Waiting(now, site if site is not UNSET else "", len(waiting), lock.acquired)
        depth = len(waiting)
        convoy = lock.convoy
        if convoy is not None and depth > convoy.depth:
            convoy.depth = depth
        lock.queue.step(now, depth)
        self._waits_on[m] = lock
        if event.held_locks:
            self.order.wanted(event.held_locks, event)

    def _acquire(self, event: LockAcquire) -> None:
        lock = self._locks.get(event.lock) or self._new_lock(event.lock)
        m, now = event.m, event.t_ns
        waiting = lock.waiting
        key = (m, event.site if event.site is not UNSET else "")
        cell = lock.cells.get(key) or self._new_cell(lock, key)
        cell.acquisitions += 1
        lock.acquired += 1
        lock.detail = "full"
        if waiting:
            self._charge(lock, now)
        if event.contended:
            cell.waits.fresh.append(event.wait_ns)
            cell.spins.fresh.append(event.spins)
            cell.bypasses.fresh.append(event.bypassed)
            cell.sleeps += event.sleeps
            if waiting.pop(m, None) is not None:
                lock.queue.step(now, len(waiting))
                self._waits_on.pop(m, None)
            if lock.woken == m:
                lock.handoffs += 1
                lock.chain += 1
            elif lock.chain:
                self._end_chain(lock)
            self._paths.waited(event, lock.released)
        elif lock.chain:
            self._end_chain(lock)
        lock.woken = 0
        convoy = lock.convoy
        if convoy is not None:
            convoy.acquisitions += 1
            if not waiting:
                self._end_convoy(lock, convoy, now, True)
        lock.holder = key
        lock.since_ns = now
        self.order.acquired(m, event)
        self._paths.acquired(m, now)

    def _release(self, event: LockRelease) -> None:
        lock = self._locks.get(event.lock) or self._new_lock(event.lock)
        m, now = event.m, event.t_ns
        holder = lock.holder
        if lock.waiting:
            self._charge(lock, now)
        if holder is None:
            holder = self._release_only(lock, event)
        else:
            lock.holder = None
            lock.woken = event.next_m
        cell = lock.cells.get(holder) or self._new_cell(lock, holder)
        cell.holds.fresh.append(event.hold_ns)
        if lock.waiting:
            for blame in (lock.blame, lock.convoy.blame if lock.convoy is not None else {}):
                found = blame.get(holder)
                if found is not None:
                    found[2] += 1
                else:
                    blame[holder] = [0, 0, 1]
        lock.previous = holder
        lock.released = (now, self._paths.released(m, now))
        self.order.released(m, event.lock)

    def _release_only(self, lock: _Lock, event: LockRelease) -> _Key:
        """A release whose acquisition is not in the log: it repeats what that cost."""
        key = (event.m, event.site if event.site is not UNSET else "")
        cell = lock.cells.get(key) or self._new_cell(lock, key)
        cell.acquisitions += 1
        if event.contended:
            cell.waits.fresh.append(event.wait_ns)
            cell.spins.fresh.append(event.spins)
            cell.sleeps += event.sleeps
        if event.blocked_ns and lock.detail == "releases":
            found = lock.blame.setdefault(key, [0, 0, 0])
            found[0] += event.blocked_ns
            found[2] += 1
        return key

    def _unpark(self, event: MUnpark) -> None:
        """A waiter was woken: a handoff if it has the lock next."""
        lock = self._waits_on.get(event.m)
        if lock is not None and lock.holder is None:
            lock.woken = event.m

    def _throw(self, event: LockThrow) -> None:
        lock = self._locks.get(event.lock) or self._new_lock(event.lock)
        lock.throws[event.error_type] = lock.throws.get(event.error_type, 0) + 1

    def _end(self, event: RunEnd) -> None:
        self.end_ns = event.t_ns

    # Books.

    def _new_lock(self, name: str) -> _Lock:
        if len(self._locks) >= CELLS_MAX:
            name = OTHERS
        return self._locks.setdefault(name, _Lock(name))

    def _new_cell(self, lock: _Lock, key: _Key) -> _Cell:
        if self._cells >= CELLS_MAX:
            key = (0, OTHERS)
        self._cells += key not in lock.cells
        return lock.cells.setdefault(key, _Cell())

    def _charge(self, lock: _Lock, now: int) -> None:
        """Charge what the waiting Ms waited since the last event of this lock."""
        dt = now - lock.last_ns
        if dt <= 0:
            return
        lock.last_ns = now
        ns = dt * len(lock.waiting)
        holder = lock.holder
        if holder is not None:
            column, culprit = 0, holder
        else:
            column, culprit = 1, lock.previous
        found = lock.blame.get(culprit)
        if found is None:
            found = lock.blame[culprit] = [0, 0, 0]
        found[column] += ns
        if lock.convoy is not None:
            blame = lock.convoy.blame
            if culprit in blame:
                blame[culprit][column] += ns
            else:
                blame[culprit] = [0, 0, 0]
                blame[culprit][column] = ns

    def _end_chain(self, lock: _Lock) -> None:
        lock.chains[lock.chain] = lock.chains.get(lock.chain, 0) + 1
        lock.chain = 0

    def _end_convoy(self, lock: _Lock, convoy: _Convoy, now: int, ended: bool) -> None:
        lock.convoy = None
        rank = (now - convoy.start_ns, convoy.acquisitions, -convoy.seq)
        if len(lock.kept) >= CONVOYS_KEPT and rank <= lock.kept[0][:3]:
            return
        causes = _blame_table(convoy.blame)
        report = ConvoyReport(
            start_ns=convoy.start_ns,
            end_ns=now,
            start_seq=convoy.seq,
            acquisitions=convoy.acquisitions,
            depth_max=convoy.depth,
            wait_ns=sum(one.total_ns for one in causes),
            ended=ended,
            began_with=Who(*convoy.began_with),
            causes=causes,
        )
        entry = (*rank, report)
        if len(lock.kept) < CONVOYS_KEPT:
            heapq.heappush(lock.kept, entry)
        else:
            heapq.heapreplace(lock.kept, entry)

    def tidy(self) -> None:
        """Count what has collected."""
        for lock in self._locks.values():
            for cell in lock.cells.values():
                if len(cell.holds.fresh) >= FOLD_AT or len(cell.waits.fresh) >= FOLD_AT:
                    cell.fold(FOLD_AT)

    def finish(self) -> None:
        """Make the reports."""
        last = max((lock.last_ns for lock in self._locks.values()), default=0)
        self.end_ns = end = max(self.end_ns, last, self._paths.last_ns)
        for name, lock in self._locks.items():
            self.locks[name] = _report(self, lock, end)
        self.path = self._paths.find(end)

    def cycles(self) -> tuple[Cycle, ...]:
        """Circles in the order in which locks are taken: each can end in deadlock."""
        return self.order.cycles()

    def edges(self) -> tuple[Edge, ...]:
        """Which locks are taken while which are held."""
        return self.order.edges()


def _blame_table(blame: Mapping[_Key, list[int]]) -> tuple[Blame, ...]:
    found = [Blame(m, site, *sums) for (m, site), sums in blame.items()]
    return tuple(sorted(found, key=lambda one: (-one.total_ns, one.m, one.site)))


def _report(contention: Contention, lock: _Lock, end: int) -> LockReport:
    unfinished = sum(max(0, end - one.since_ns) for one in lock.waiting.values())
    if lock.waiting:
        contention._charge(lock, end)
    if lock.chain:
        contention._end_chain(lock)
    if lock.convoy is not None:
        contention._end_convoy(lock, lock.convoy, end, False)
    lock.queue.step(end, lock.queue.value)
    waits = _merge(cell.waits for cell in lock.cells.values())
    bypasses = _merge(cell.bypasses for cell in lock.cells.values())
    acquisitions = sum(cell.acquisitions for cell in lock.cells.values())
    contended = waits.count
    blame = {key: sums for key, sums in lock.blame.items() if any(sums)}
    return LockReport(
        name=lock.name,
        detail=lock.detail,
        acquisitions=acquisitions,
        contended=contended,
        wait_ns=_with_zeros(waits, acquisitions - contended),
        contended_wait_ns=waits,
        hold_ns=_merge(cell.holds for cell in lock.cells.values()),
        spin_rounds=_merge(cell.spins for cell in lock.cells.values()),
        sleeps=sum(cell.sleeps for cell in lock.cells.values()),
        by_m=_by(lock, 0),
        by_site=_by(lock, 1),
        queue=lock.queue,
        bypasses_max=max([bypasses.max, *_bypasses_of_waiting(lock)]),
        bypasses=bypasses,
        handoffs=lock.handoffs,
        handoff_chain_max=max(lock.chains, default=0),
        handoff_chains=dict(sorted(lock.chains.items())),
        convoys=lock.convoys,
        convoys_longest=tuple(entry[3] for entry in sorted(lock.kept, reverse=True)),
        blame=_blame_table(blame),
        unfinished_wait_ns=unfinished,
        waiting={m: one.since_ns for m, one in lock.waiting.items()},
        holding=(Who(*lock.holder), lock.since_ns) if lock.holder else None,
        throws=lock.throws,
    )


def _bypasses_of_waiting(lock: _Lock) -> Iterable[int]:
    """How often those who wait still were passed by.

    All acquisitions since an M came are by Ms that came later, but for those of the Ms that waited
    before it and have the lock by now.
    """
    for earlier, one in enumerate(lock.waiting.values()):
        yield lock.acquired - one.acquired_before - (one.ahead - earlier)


def _merge(all_values: Iterable[ExactValues]) -> Distribution:
    merged = ExactValues()
    for values in all_values:
        merged.add(values)
    return merged.distribution()


def _with_zeros(distribution: Distribution, zeros: int) -> Distribution:
    """The same with waits of 0 for acquisitions that did not have to wait."""
    if zeros <= 0:
        return distribution
    values = distribution.values
    if values and values[0][0] == 0:
        zeros += values[0][1]
        values = values[1:]
    return Distribution(((0, zeros), *values))


def _by(lock: _Lock, column: int) -> dict[Any, Part]:
    """Parts by M (column 0) or by site (column 1)."""
    groups: dict[Any, list[_Cell]] = {}
    for key, cell in sorted(lock.cells.items()):
        groups.setdefault(key[column], []).append(cell)
    return {name: _part(cells) for name, cells in sorted(groups.items())}


def _part(cells: list[_Cell]) -> Part:
    waits = _merge(cell.waits for cell in cells)
    holds = _merge(cell.holds for cell in cells)
    acquisitions = sum(cell.acquisitions for cell in cells)
    return Part(
        share=Share(acquisitions, waits.count, waits.total, holds.total),
        wait_ns=_with_zeros(waits, acquisitions - waits.count),
        hold_ns=holds,
        spins=_merge(cell.spins for cell in cells).total,
        sleeps=sum(cell.sleeps for cell in cells),
    )
