"""Makes the reports of a lock at the end of a log: here what has not ended is added."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gorun_mem.analysis.cells import Charge, EndedBusy, LockHistory, LockUse, LongestBusy, Sums
from gorun_mem.analysis.gathered import GatheredValues, TimesOf
from gorun_mem.analysis.holds import LongestHolds, LongHold
from gorun_mem.analysis.locks import (
    Blame,
    BusyPeriod,
    LockReport,
    Part,
    Who,
    blame_table,
)
from gorun_mem.analysis.locksummary import M_DISTINCT_MAX, LockSummary, SummaryShare
from gorun_mem.analysis.waiting import Unended


class Reporter:
    """Makes reports.

    Args:
        begin_ns: where what is looked at begins.
        end_ns: where it ends.
        holds: takes holds that have not ended.
        cell_of: the cell of an M and a site, made where there is none.
    """

    def __init__(
        self,
        begin_ns: int,
        end_ns: int,
        holds: LongestHolds,
        cell_of: Callable[[LockHistory, tuple[int, Any]], LockUse],
    ) -> None:
        self._begin_ns = begin_ns
        self._end_ns = end_ns
        self._holds = holds
        self._cell_of = cell_of

    def report(self, lock: LockHistory) -> tuple[LockSummary, LockReport]:
        """What the summary says of `lock`, and all the rest; to be called once."""
        open_ = self._unended(lock)
        lock.take_overlapped()
        self._count_open(lock, open_)
        if lock.chain:
            lock.end_chain()
        if lock.busy is not None:
            lock.end_busy(lock.busy, self._end_ns, False)
        ns_at = lock.queue.ns_at
        ns_at[0] = max(0, self._end_ns - self._begin_ns - sum(ns_at.values()))
        times = TimesOf(lock.cells.values())
        by_m: dict[int, Part] = _by(lock, 0)
        return self._summary(lock, times, open_, by_m), self._whole(lock, times, open_, by_m)

    def _unended(self, lock: LockHistory) -> Unended:
        if not lock.is_full:
            return lock.releases.unended()
        return lock.line.unended(self._end_ns, lock.taken if lock.holder is not None else None)

    def _count_open(self, lock: LockHistory, open_: Unended) -> None:
        """Count what has not ended as if it ended with the log."""
        hold, cell = open_.hold, lock.holder
        if hold is not None and cell is not None:
            cell.take(hold.taken)
            cell.new_holds.append(hold.ns)
            cell.waited_holds += bool(open_.waits)
            lock.blocked_ns += open_.blocked_ns
            self._holds.add(
                LongHold(
                    hold.ns, hold.since_ns, lock.name, hold.m, cell.key[1], lock.hold_blocked_ns,
                    lock.hold_off_cpu_ns, open_.blocked_ns, hold.taken.seq, ended=False,
                )
            )  # fmt: skip
            lock.split_hold(cell)
        for one in open_.waits:
            cell = self._cell_of(lock, (one.m, one.site or None))
            cell.new_waits.append(one.ns)
            cell.waiting += 1

    def _whole(
        self, lock: LockHistory, times: TimesOf, open_: Unended, by_m: dict[int, Part]
    ) -> LockReport:
        cells = lock.cells.values()
        charges: list[Charge] = [*cells, *lock.elsewhere.values(), lock.nobody]
        queue = lock.line.figures(self._end_ns)
        bypasses = max([0, *[cell.bypasses.max for cell in cells]])
        return LockReport(
            name=lock.name,
            detail="full" if lock.is_full else "releases",
            acquisitions=sum(cell.acquisitions for cell in cells),
            contended=times.contended.count,
            times=times,
            sleeps=sum(cell.sleeps for cell in cells),
            by_m=by_m,
            by_site=_by(lock, 1),
            queue=lock.queue,
            bypasses_max=max(bypasses, queue.bypasses_max),
            handoffs=lock.handoffs,
            handoff_chain_max=max(lock.chains, default=0),
            handoff_chains=dict(sorted(lock.chains.items())),
            busy_periods=queue.busy_periods,
            busy_longest=_longest(lock.busy_longest),
            convoys=queue.convoys,
            convoys_longest=_longest(lock.convoys),
            blame=blame_table(_blame(one, one.sums()) for one in charges),
            direct=blame_table(
                Blame(*one.key, one.held_ns, one.handoff_ns, one.waited_holds, lock.name)
                for one in charges
                if isinstance(one, LockUse)
            ),
            open=open_,
            throws=lock.throws,
        )

    def _summary(
        self, lock: LockHistory, times: TimesOf, open_: Unended, by_m: dict[int, Part]
    ) -> LockSummary:
        """The same as a summary that was fed with these events."""
        cells = lock.cells.values()
        found = LockSummary(lock.name)
        found.waits = GatheredValues(times.contended, times.uncontended)
        found.holds = GatheredValues(times.holds)
        found.contended = times.contended.count
        found.spins = sum(cell.spins.total for cell in cells)
        found.sleeps = sum(cell.sleeps for cell in cells)
        found.blocked_ns = lock.blocked_ns
        found.shares = {
            m: SummaryShare(
                GatheredValues(part.times.contended, part.times.uncontended, M_DISTINCT_MAX),
                part.share.contended,
                part.share.hold_ns,
            )
            for m, part in by_m.items()
        }
        for one in open_.waits:
            share = found.shares.get(one.m)
            if share is not None:  # or it is one of the `OTHERS`
                share.waiting = 1
        found.line = lock.line if lock.is_full else None
        found.releases = lock.releases
        found.open = open_
        return found


def _blame(charge: Charge, sums: Sums) -> Blame:
    """What is charged to the root: not what the holder waited itself meanwhile."""
    held, handoff, holds, off_cpu, circle, elsewhere = sums
    running = held - off_cpu - circle - elsewhere
    if elsewhere and not running + off_cpu + circle + handoff:
        holds = 0
    return Blame(*charge.key, running, handoff, holds, charge.lock, off_cpu, circle)


def _longest(longest: LongestBusy) -> tuple[BusyPeriod, ...]:
    return tuple(_busy_period(entry[3]) for entry in sorted(longest, reverse=True))


def _busy_period(found: EndedBusy) -> BusyPeriod:
    busy = found.busy
    causes = blame_table(_blame(charge, sums) for charge, sums in found.charged)
    return BusyPeriod(
        start_ns=busy.start_ns,
        end_ns=found.end_ns,
        start_seq=busy.seq,
        acquisitions=found.acquisitions,
        depth_max=busy.depth,
        wait_ns=sum(one.total_ns for one in causes),
        ended=found.ended,
        convoy=found.convoy,
        formed_ns=busy.formed_ns if busy.formed_ns >= 0 else found.end_ns,
        began_with=Who(*busy.began_with),
        causes=causes,
    )


def _by(lock: LockHistory, column: int) -> dict[Any, Part]:
    """Parts by M (column 0) or by site (column 1)."""
    groups: dict[Any, list[LockUse]] = {}
    for key, cell in sorted(lock.cells.items()):
        groups.setdefault(key[column], []).append(cell)
    return {name: Part(cells) for name, cells in sorted(groups.items())}
