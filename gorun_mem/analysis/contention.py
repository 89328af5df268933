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
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple

from msgspec import UNSET, UnsetType

from gorun_mem.analysis.exact import FOLD_AT, ExactValues, Peaks, merged, share
from gorun_mem.analysis.lockorder import Cycle, Edge, LockOrder
from gorun_mem.analysis.path import CriticalPath, Mark, PathFinder
from gorun_mem.analysis.stream import Accumulator, Handler
from gorun_mem.analysis.summary import LockSummary, SlowestWaits
from gorun_mem.analysis.summary import Share as SummaryShare
from gorun_mem.analysis.values import Values, ascending
from gorun_mem.analysis.waiting import ReleaseQueue, WaitQueue
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


class Part:
    """What one M, or one site, had of a lock; distributions are put together when asked for.

    Attributes:
        share: sums, as the lock's own statistics have them.
        spins: spin rounds.
        sleeps: times slept.
    """

    __slots__ = ("_cells", "share", "sleeps", "spins")

    def __init__(self, cells: list[_Cell]) -> None:
        self._cells = cells
        self.share = Share(
            acquisitions=sum(cell.acquisitions for cell in cells),
            contended=sum(cell.waits.count for cell in cells),
            wait_ns=sum(cell.waits.total for cell in cells),
            hold_ns=sum(cell.holds.total for cell in cells),
        )
        self.spins = sum(cell.spins.total for cell in cells)
        self.sleeps = sum(cell.sleeps for cell in cells)

    @property
    def wait_ns(self) -> Distribution:
        """Waits over all acquisitions, an uncontended one counting as 0."""
        waits = merged(cell.waits for cell in self._cells)
        return _with_zeros(waits, self.share.acquisitions - waits.count)

    @property
    def hold_ns(self) -> Distribution:
        """Finished holds."""
        return merged(cell.holds for cell in self._cells)

    def __repr__(self) -> str:
        return f"<Part {self.share}>"


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
    """What one M did with one lock from one site, and what it made others wait.

    What is charged within a convoy is the difference to `base`, which is taken when the cell is
    first charged in it.
    """

    __slots__ = (
        "add_bypasses", "add_hold", "add_spins", "add_wait", "base", "bypasses", "convoy",
        "handoff_ns", "held_ns", "holds", "key", "sleeps", "spins", "unreleased", "waited_holds",
        "waits",
    )  # fmt: skip

    def __init__(self, key: _Key) -> None:
        self.key = key
        self.unreleased = 0
        self.holds = ExactValues()
        self.waits = ExactValues()  # contended ones
        self.spins = ExactValues()
        self.bypasses = ExactValues()
        self.add_hold = self.holds.fresh.append
        self.add_wait = self.waits.fresh.append
        self.add_spins = self.spins.fresh.append
        self.add_bypasses = self.bypasses.fresh.append
        self.sleeps = 0
        self.held_ns = self.handoff_ns = self.waited_holds = 0
        self.convoy: _Convoy | None = None
        self.base = (0, 0, 0)

    @property
    def acquisitions(self) -> int:
        """Holds, and acquisitions that no release followed."""
        return self.holds.count + self.unreleased

    def take(self, event: LockAcquire) -> None:
        """Count an acquisition that no release follows."""
        self.unreleased += 1
        if event.contended:
            self.add_wait(event.wait_ns)
            self.add_spins(event.spins)
            self.sleeps += event.sleeps

    def join(self, convoy: _Convoy | None) -> None:
        """From now on charges belong to `convoy`."""
        self.convoy = convoy
        self.base = (self.held_ns, self.handoff_ns, self.waited_holds)
        if convoy is not None:
            convoy.cells.append(self)

    def blame(self, base: tuple[int, int, int] = (0, 0, 0)) -> Blame:
        """What is charged to it above `base`."""
        return Blame(
            *self.key, self.held_ns - base[0], self.handoff_ns - base[1],
            self.waited_holds - base[2],
        )  # fmt: skip

    def fold(self, at: int) -> None:
        """Count what is fresh."""
        self.holds.fold(at)
        if self.waits.fresh:
            for values in (self.waits, self.spins, self.bypasses):
                values.fold(at)


_Key = tuple[int, str]


class _Convoy:
    """A convoy under way."""

    __slots__ = ("acquired_before", "began_with", "cells", "depth", "seq", "start_ns")

    def __init__(self, start_ns: int, seq: int, began_with: _Key, acquired_before: int) -> None:
        self.start_ns = start_ns
        self.seq = seq
        self.began_with = began_with
        self.acquired_before = acquired_before
        self.depth = 0
        self.cells: list[_Cell] = []


class _Lock:
    """One lock while the log is read.

    Invariant: `convoy` is not None iff somebody waits.
    """

    __slots__ = (
        "blocked_ns", "cells", "chain", "chains", "convoy", "handoffs", "holder", "kept",
        "last_ns", "line", "name", "previous", "queue", "released", "releases", "taken", "throws",
        "woken",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.cells: dict[_Key, _Cell] = {}
        self.line = WaitQueue()
        self.releases = ReleaseQueue()
        self.holder: _Cell | None = None
        self.taken: LockAcquire | None = None  # the last acquisition; that of `holder` if there is
        self.previous = _Cell((0, ""))
        self.blocked_ns = 0
        self.last_ns = 0
        self.released: Mark | None = None
        self.woken = 0
        self.handoffs = self.chain = 0
        self.chains: dict[int, int] = {}
        self.convoy: _Convoy | None = None
        self.kept: list[tuple[int, int, int, ConvoyReport]] = []
        self.queue = Peaks()
        self.throws: dict[str, int] = {}

    @property
    def is_full(self) -> bool:
        """Whether the log has more of it than releases."""
        return self.taken is not None or self.line.convoys > 0

    def take_unreleased(self) -> None:
        """Count the acquisition that no release followed."""
        if self.holder is not None and self.taken is not None:
            self.holder.take(self.taken)


class Contention(Accumulator):
    """Reads lock events; `locks`, `order` and `path` hold what they say.

    Attributes:
        locks: reports by name, once finished.
        summaries: what the summary says of each lock, by name, once finished.
        slowest: the longest waits.
        order: which locks are taken while which are held.
        end_ns: the last time in the log.
    """

    def __init__(self) -> None:
        self.locks: dict[str, LockReport] = {}
        self.summaries: dict[str, LockSummary] = {}
        self.slowest = SlowestWaits()
        self.end_ns = 0
        self.order = LockOrder()
        self._paths = PathFinder()
        self._locks: dict[str, _Lock] = {}
        self._ms = self._paths.ms
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
        now, m = event.t_ns, event.m
        line = lock.line
        convoy = lock.convoy
        if convoy is not None:
            self._charge(lock, convoy, now)
        else:
            lock.last_ns = now
            began_with = (lock.holder or lock.previous).key
            lock.convoy = convoy = _Convoy(now, event.seq, began_with, line.acquired)
        line.wait(m, now)
        depth = len(line.waiting)
        if depth > convoy.depth:
            convoy.depth = depth
        lock.queue.step(now, depth)
        self._waits_on[m] = lock
        if event.held_locks:
            self.order.wanted(event.held_locks, event)

    def _acquire(self, event: LockAcquire) -> None:
        name = event.lock
        lock = self._locks.get(name) or self._new_lock(name)
        m, now = event.m, event.t_ns
        key: Any = (m, event.site)
        cell = lock.cells.get(key) or self._new_cell(lock, key)
        state = self._ms.get(m) or self._paths.state(m)
        convoy = lock.convoy
        if convoy is not None:
            self._charge(lock, convoy, now)
            lock.line.acquire(event)
        if event.contended:
            cell.add_bypasses(event.bypassed)
            if lock.woken == m:
                lock.handoffs += 1
                lock.chain += 1
            elif lock.chain:
                self._end_chain(lock)
            self._paths.waited(state, event, lock.released)
            if convoy is not None:
                self._waits_on.pop(m, None)
                depth = len(lock.line.waiting)
                queue = lock.queue
                if now >= queue.until:
                    queue.step(now, depth)
                else:
                    queue.value = depth
                if not depth:
                    self._end_convoy(lock, convoy, now, True)
        elif lock.chain:
            self._end_chain(lock)
        lock.woken = 0
        if lock.holder is not None:  # its release is missing
            lock.take_unreleased()
        lock.holder = cell
        lock.taken = event
        held = state.locks
        if held:
            self.order.acquired(held, event)
        else:  # what is on the path is how long the M held any lock
            state.since_ns = now
        held.append(name)

    def _release(self, event: LockRelease) -> None:
        name = event.lock
        lock = self._locks.get(name) or self._new_lock(name)
        m, now = event.m, event.t_ns
        cell = lock.holder
        convoy = lock.convoy
        if convoy is not None:
            self._charge(lock, convoy, now)
        if cell is None:
            cell = self._release_only(lock, event)
        else:
            lock.holder = None
            lock.woken = event.next_m
        if convoy is not None:
            if cell.convoy is not convoy:
                cell.join(convoy)
            cell.waited_holds += 1
        cell.add_hold(event.hold_ns)
        if event.contended:
            cell.add_wait(event.wait_ns)
            cell.add_spins(event.spins)
            cell.sleeps += event.sleeps
            if event.wait_ns > self.slowest.least_ns:
                self.slowest.note(event)
        if event.waiters:
            lock.blocked_ns += event.blocked_ns
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
        lock.released = (now, state.node, held_ns)

    def _release_only(self, lock: _Lock, event: LockRelease) -> _Cell:
        """A release whose acquisition is not in the log."""
        key: Any = (event.m, event.site)
        cell = lock.cells.get(key) or self._new_cell(lock, key)
        if not lock.is_full:
            lock.releases.release(event)
            if event.blocked_ns:
                cell.held_ns += event.blocked_ns
                cell.waited_holds += 1
        return cell

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

    def _new_cell(self, lock: _Lock, key: tuple[int, str | UnsetType]) -> _Cell:
        """The cell of an M and a site, which may not be said."""
        m, site = key
        if self._cells >= CELLS_MAX:
            m, site = 0, OTHERS
        known = (m, site if site is not UNSET else "")
        if known in lock.cells:
            return lock.cells[known]
        self._cells += 1
        return lock.cells.setdefault(known, _Cell(known))

    def _charge(self, lock: _Lock, convoy: _Convoy, now: int) -> None:
        """Charge what the waiting Ms waited since the last event of this lock."""
        dt = now - lock.last_ns
        if dt <= 0:
            return
        lock.last_ns = now
        depth = len(lock.line.waiting)
        ns_at = lock.queue.ns_at
        ns_at[depth] = ns_at.get(depth, 0) + dt
        cell = lock.holder
        if cell is not None:
            if cell.convoy is not convoy:
                cell.join(convoy)
            cell.held_ns += dt * depth
        else:
            cell = lock.previous
            if cell.convoy is not convoy:
                cell.join(convoy)
            cell.handoff_ns += dt * depth

    def _end_chain(self, lock: _Lock) -> None:
        lock.chains[lock.chain] = lock.chains.get(lock.chain, 0) + 1
        lock.chain = 0

    def _end_convoy(self, lock: _Lock, convoy: _Convoy, now: int, ended: bool) -> None:
        lock.convoy = None
        acquisitions = lock.line.acquired - convoy.acquired_before
        rank = (now - convoy.start_ns, acquisitions, -convoy.seq)
        if len(lock.kept) >= CONVOYS_KEPT and rank <= lock.kept[0][:3]:
            return
        causes = _blame_table(cell.blame(cell.base) for cell in convoy.cells)
        report = ConvoyReport(
            start_ns=convoy.start_ns,
            end_ns=now,
            start_seq=convoy.seq,
            acquisitions=acquisitions,
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
        for lock in self._locks.values():
            if lock.holder is not None and lock.taken is not None:
                self._paths.see(lock.taken.m, lock.taken.t_ns)
        self.end_ns = end = max(self.end_ns, last, self._paths.last_ns)
        for name, lock in self._locks.items():
            times = _times(lock, merged(cell.holds for cell in lock.cells.values()))
            self.summaries[name] = _summary(lock, times)
            if lock.holder is not None:
                lock.take_unreleased()
                times = _times(lock, times.holds)
            self.locks[name] = _report(self, lock, end, times)

    @cached_property
    def path(self) -> CriticalPath:
        """The critical path through the run, put together when it is first asked for."""
        return self._paths.find()

    def cycles(self) -> tuple[Cycle, ...]:
        """Circles in the order in which locks are taken: each can end in deadlock."""
        return self.order.cycles()

    def edges(self) -> tuple[Edge, ...]:
        """Which locks are taken while which are held."""
        return self.order.edges()


def _blame_table(blame: Iterable[Blame]) -> tuple[Blame, ...]:
    found = (one for one in blame if one.total_ns or one.holds)
    return tuple(sorted(found, key=lambda one: (-one.total_ns, one.m, one.site)))


class _Times(NamedTuple):
    """Waits over contended acquisitions, waits over all, and holds."""

    contended: Distribution
    waits: Distribution
    holds: Distribution


def _times(lock: _Lock, holds: Distribution) -> _Times:
    cells = lock.cells.values()
    contended = merged(cell.waits for cell in cells)
    zeros = sum(cell.acquisitions - cell.waits.count for cell in cells)
    return _Times(contended, _with_zeros(contended, zeros), holds)


def _report(contention: Contention, lock: _Lock, end: int, times: _Times) -> LockReport:
    unfinished = sum(max(0, end - one[0]) for one in lock.line.waiting.values())
    if lock.convoy is not None:
        contention._charge(lock, lock.convoy, end)
    if lock.chain:
        contention._end_chain(lock)
    if lock.convoy is not None:
        contention._end_convoy(lock, lock.convoy, end, False)
    ns_at = lock.queue.ns_at
    ns_at[0] = max(0, end - sum(ns_at.values()))
    cells = [lock.previous] if lock.previous.key not in lock.cells else []
    cells += lock.cells.values()
    queue = lock.line.figures()
    bypasses = merged(cell.bypasses for cell in lock.cells.values())
    acquisitions = sum(cell.acquisitions for cell in lock.cells.values())
    return LockReport(
        name=lock.name,
        detail="full" if lock.is_full else "releases",
        acquisitions=acquisitions,
        contended=times.contended.count,
        wait_ns=times.waits,
        contended_wait_ns=times.contended,
        hold_ns=times.holds,
        spin_rounds=merged(cell.spins for cell in lock.cells.values()),
        sleeps=sum(cell.sleeps for cell in lock.cells.values()),
        by_m=_by(lock, 0),
        by_site=_by(lock, 1),
        queue=lock.queue,
        bypasses_max=max(bypasses.max, queue.bypasses_max),
        bypasses=bypasses,
        handoffs=lock.handoffs,
        handoff_chain_max=max(lock.chains, default=0),
        handoff_chains=dict(sorted(lock.chains.items())),
        convoys=queue.convoys,
        convoys_longest=tuple(entry[3] for entry in sorted(lock.kept, reverse=True)),
        blame=_blame_table(cell.blame() for cell in cells),
        unfinished_wait_ns=unfinished,
        waiting={m: one[0] for m, one in lock.line.waiting.items()},
        holding=_holding(lock),
        throws=lock.throws,
    )


def _holding(lock: _Lock) -> tuple[Who, int] | None:
    if lock.holder is None or lock.taken is None:
        return None
    return Who(*lock.holder.key), lock.taken.t_ns


def _summary(lock: _Lock, times: _Times) -> LockSummary:
    """What the releases say, and of the queue what all events do."""
    cells = lock.cells.values()
    found = LockSummary(lock.name)
    found.waits = Values.of(times.waits)
    found.holds = Values.of(times.holds)
    found.contended = times.contended.count
    found.spins = sum(cell.spins.total for cell in cells)
    found.sleeps = sum(cell.sleeps for cell in cells)
    found.blocked_ns = lock.blocked_ns
    found.shares = {
        m: SummaryShare.of(part.wait_ns, part.share.contended, part.share.hold_ns)
        for m, part in _by(lock, 0).items()
    }
    found.line = lock.line if lock.is_full else None
    found.releases = lock.releases
    return found


def _with_zeros(distribution: Distribution, zeros: int) -> Distribution:
    """The same with waits of 0 for acquisitions that did not have to wait."""
    if zeros <= 0:
        return distribution
    values = distribution.values
    if values and values[0][0] <= 0:
        return ascending(Counter(dict(values)) + Counter({0: zeros}))
    return Distribution(((0, zeros), *values))


def _by(lock: _Lock, column: int) -> dict[Any, Part]:
    """Parts by M (column 0) or by site (column 1)."""
    groups: dict[Any, list[_Cell]] = {}
    for key, cell in sorted(lock.cells.items()):
        groups.setdefault(key[column], []).append(cell)
    return {name: Part(cells) for name, cells in sorted(groups.items())}
