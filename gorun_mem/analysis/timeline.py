"""What was where in memory, and what each M did, over time, in tables of a fixed size.

Both tables divide time as `gorun_mem.analysis.exact.Series` does: stretches of equal length, which
become twice as long when there are too many. Addresses are divided in the same way, so a map of a
run that ends with 4 GiB takes no more than that of one which ends with 4 MiB.

`AddressMap` draws the ranges that `MemoryUse` keeps, at the moment that it changes them; it has no
books of its own, so the map agrees with the layout at the end to the byte. `Lanes` needs releases
only: each says how long its M had waited and held. So both are whole at level canonical too.

Rejected: a picture of the ranges taken at the end of each stretch, because a free list in dust
makes each of these a pass over thousands of blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from gorun_mem.analysis.accumulator import Accumulator, Handler
from gorun_mem.analysis.contention import Contention
from gorun_mem.analysis.memory import MemoryUse, start_of_break
from gorun_mem.events.types import LockAcquire, LockRelease, LogEvent, MemReturn, RunStart
from gorun_mem.runtime.pages import PAGE, top_of
from gorun_mem.runtime.purposes import ARENAS

ROWS: Final = 192
COLUMNS: Final = 320
LANE_COLUMNS: Final = 480
MS_MAX: Final = 64
LOCKS_MAX: Final = 64
OTHER_MS: Final = -1
"""Stands for all Ms beyond the first `MS_MAX`."""
OTHER_LOCKS: Final = "(others)"
"""Stands for all locks beyond the first `LOCKS_MAX`."""

HANDOFFS_MAX: Final = 1 << 14


class Column(NamedTuple):
    """The memory at the end of a stretch of time.

    Args:
        start_ns: when the stretch began.
        bloc: where the break was.
        bloc_max: the highest that it had been.
        top: bytes of memory.
        arenas: for each stretch of addresses, bytes in it that are handed out for arenas.
        others: the same for anything else.
    """

    start_ns: int
    bloc: int
    bloc_max: int
    top: int
    arenas: list[int]
    others: list[int]


class _Ranges(dict[int, tuple[int, str]]):
    """Address -> (bytes, purpose) of what is handed out; draws each change."""

    __slots__ = ("_draw",)

    def __init__(self, owner: AddressMap) -> None:
        self._draw = owner.draw

    def __setitem__(self, p: int, value: tuple[int, str]) -> None:
        old = self.get(p)
        if old is not None:
            self._draw(p, old[0], old[1], -1)
        super().__setitem__(p, value)
        self._draw(p, value[0], value[1], 1)

    def __delitem__(self, p: int) -> None:
        size, purpose = self[p]
        super().__delitem__(p)
        self._draw(p, size, purpose, -1)


class AddressMap(Accumulator):
    """Draws the linear memory over time.

    Must come before `memory` among the accumulators, because what an event changes belongs to its
    own stretch of time and not to the one before.

    Args:
        memory: knows what is handed out.

    Attributes:
        row_bytes: addresses in a row.
        width_ns: time in a column.
        static: end of the program's data, or the lowest address handed out of it.
    """

    def __init__(self, memory: MemoryUse) -> None:
        memory.keep_ranges_in(_Ranges(self))
        self.row_bytes = PAGE
        self.width_ns = 1
        self.static = 0
        self._frees: dict[int, dict[int, int]] = {}  # column -> row -> frees that began there
        self._freed: dict[int, int] = {}  # in the column that is open
        self._arenas = [0] * ROWS
        self._others = [0] * ROWS
        self._columns: dict[int, Column] = {}
        self._column = 0
        self._until = 1
        self._bloc = self._bloc_max = self._top = 0
        self._wasm = True

    def handlers(self) -> Mapping[type[LogEvent], Handler]:
        """run.start for where it all begins, and every return."""
        return {RunStart: self._start, MemReturn: self._return}

    def _start(self, event: RunStart) -> None:
        page = max(1, event.phys_page_size)
        self._wasm = not event.platform.startswith("plan9")
        self.static = -(-event.data_end // page) * page
        self._bloc = self._bloc_max = start_of_break(event)
        self._top = top_of(max(0, event.initial_pages), self._bloc_max, self._wasm)
        self._reach(max(self.static, self._top))

    def _return(self, event: MemReturn) -> None:
        if event.t_ns >= self._until:
            self._turn(event.t_ns)
        self._bloc, self._bloc_max = event.bloc, event.bloc_max
        self._top = top = top_of(event.pages, event.bloc_max, self._wasm)
        if top > ROWS * self.row_bytes:
            self._reach(top)
        v = event.v
        if event.fn == "sysFreeOS" and event.ok and v >= 0:
            if v >= ROWS * self.row_bytes:
                self._reach(v + 1)
            row = v // self.row_bytes
            self._freed[row] = self._freed.get(row, 0) + 1

    def draw(self, p: int, size: int, purpose: str, sign: int) -> None:
        """Add [p, p + size) to what is handed out, or take it away."""
        if size <= 0 or p < 0:
            return
        if p < self.static:
            self.static = p
        end = p + size
        if end > ROWS * self.row_bytes:
            self._reach(end)
        rows = self._arenas if purpose == ARENAS else self._others
        unit = self.row_bytes
        first, last = p // unit, (end - 1) // unit
        if first == last:
            rows[first] += sign * size
            return
        rows[first] += sign * ((first + 1) * unit - p)
        for row in range(first + 1, last):
            rows[row] += sign * unit
        rows[last] += sign * (end - last * unit)

    def _reach(self, end: int) -> None:
        """Make rows as large as it takes to show `end`."""
        while end > ROWS * self.row_bytes:
            self.row_bytes *= 2
            self._arenas, self._others = _halved(self._arenas), _halved(self._others)
            self._columns = {
                index: one._replace(arenas=_halved(one.arenas), others=_halved(one.others))
                for index, one in self._columns.items()
            }
            self._freed = _halved_rows(self._freed)
            self._frees = {index: _halved_rows(rows) for index, rows in self._frees.items()}

    def _turn(self, t_ns: int) -> None:
        """Keep the column that ends and open that of `t_ns`."""
        self._keep()
        while t_ns >= self.width_ns * COLUMNS:
            self.width_ns *= 2
            joined: dict[int, Column] = {}
            for index, column in self._columns.items():  # the later of two stays
                joined[index // 2] = column
            self._columns = joined
            frees: dict[int, dict[int, int]] = {}
            for index, rows in self._frees.items():
                _add_rows(frees.setdefault(index // 2, {}), rows)
            self._frees = frees
        self._column = t_ns // self.width_ns
        self._until = (self._column + 1) * self.width_ns

    def _keep(self) -> None:
        self._columns[self._column] = Column(
            0, self._bloc, self._bloc_max, self._top, self._arenas.copy(), self._others.copy()
        )
        if self._freed:
            _add_rows(self._frees.setdefault(self._column, {}), self._freed)
            self._freed = {}

    def finish(self) -> None:
        """Keep the last column."""
        self._keep()

    def frees(self) -> list[tuple[int, int, int]]:
        """(column, row, how many) frees that began in a row, in order of time."""
        columns = sorted(self._frees.items())
        return [(index, row, n) for index, rows in columns for row, n in sorted(rows.items())]

    def columns(self) -> Iterator[Column]:
        """The columns in which something happened, in order of time."""
        for index, column in sorted(self._columns.items()):
            yield column._replace(start_ns=index * self.width_ns)


def _add_rows(rows: dict[int, int], more: Mapping[int, int]) -> None:
    for row, times in more.items():
        rows[row] = rows.get(row, 0) + times


def _halved_rows(rows: Mapping[int, int]) -> dict[int, int]:
    """The same counts by rows of twice the size."""
    halved: dict[int, int] = {}
    for row, times in rows.items():
        halved[row // 2] = halved.get(row // 2, 0) + times
    return halved


def _halved(values: list[int]) -> list[int]:
    """Sums of neighbours, and zeros behind."""
    sums = [values[i] + values[i + 1] for i in range(0, len(values), 2)]
    return sums + [0] * (len(values) - len(sums))


class Lane(NamedTuple):
    """What one M did.

    Args:
        waits: column -> ns that it waited for locks.
        holds: column -> ns that it held locks, each lock counted.
    """

    waits: list[int]
    holds: list[int]


class Lanes(Accumulator):
    """Who waited and who held when, for which lock, and who got locks from whom.

    Args:
        contention: knows what is under way at the end; must come before this.

    Attributes:
        width_ns: time in a column.
        lanes: by M; `OTHER_MS` for those beyond the first `MS_MAX`.
        queues: lock -> column -> ns that Ms waited for it, each M counted; `OTHER_LOCKS` for those
            beyond the first `LOCKS_MAX`.
        handoffs: (column, from M, to M) -> contended acquisitions that came after the release of
            that other M; one that takes its own lock again is handed nothing.
        pairs: (from M, to M) -> the same over the whole run.
        handoffs_left_out: those that `handoffs` had no room for.
    """

    def __init__(self, contention: Contention) -> None:
        self.width_ns = 1
        self.lanes: dict[int, Lane] = {}
        self.queues: dict[str, list[int]] = {}
        self.handoffs: dict[tuple[int, int, int], int] = {}
        self.pairs: dict[tuple[int, int], int] = {}
        self.handoffs_left_out = 0
        self._contention = contention
        self._end_ns = 0
        self._gave: dict[str, int] = {}
        self._waited: dict[str, LockAcquire] = {}
        self._limit = LANE_COLUMNS

    def handlers(self) -> Mapping[type[LogEvent], Handler]:
        """Releases, and acquisitions for the one that no release follows."""
        return {LockRelease: self._release, LockAcquire: self._acquire}

    def _acquire(self, event: LockAcquire) -> None:
        if event.contended:
            self._waited[event.lock] = event

    def _release(self, event: LockRelease) -> None:
        now, m = event.t_ns, event.m
        if now > self._end_ns:
            self._end_ns = now
            if now > self._limit:
                self._widen(now)  # which makes new lanes
        lane = self.lanes.get(m) or self._new_lane(m)
        held_ns = max(0, event.hold_ns)  # damaged logs have anything
        acquired = now - held_ns
        column = acquired // self.width_ns
        if held_ns > 0 and (now - 1) // self.width_ns == column >= 0:
            lane.holds[column] += held_ns  # nearly all, once columns are wide
        else:
            self._add(lane.holds, acquired, now)
        if event.contended:
            self._waits(lane, event.lock, acquired - event.wait_ns, acquired)
            giver = self._gave.get(event.lock)
            if giver is not None:
                self._hand(acquired, giver, m)
        self._gave[event.lock] = m

    def _waits(self, lane: Lane, lock: str, start: int, end: int) -> None:
        self._add(lane.waits, start, end)
        queue = self.queues.get(lock)
        if queue is None:
            name = lock if len(self.queues) < LOCKS_MAX else OTHER_LOCKS
            queue = self.queues.setdefault(name, [0] * LANE_COLUMNS)
        self._add(queue, start, end)

    def _new_lane(self, m: int) -> Lane:
        if len(self.lanes) >= MS_MAX:
            m = OTHER_MS
        return self.lanes.setdefault(m, Lane([0] * LANE_COLUMNS, [0] * LANE_COLUMNS))

    def _hand(self, t_ns: int, giver: int, taker: int) -> None:
        if giver == taker:
            return
        giver = giver if giver in self.lanes else OTHER_MS
        taker = taker if taker in self.lanes else OTHER_MS
        pair = (giver, taker)
        self.pairs[pair] = self.pairs.get(pair, 0) + 1
        key = (max(0, t_ns) // self.width_ns, giver, taker)
        if key in self.handoffs or len(self.handoffs) < HANDOFFS_MAX:
            self.handoffs[key] = self.handoffs.get(key, 0) + 1
        else:
            self.handoffs_left_out += 1

    def _add(self, cells: list[int], start: int, end: int) -> None:
        """Share out [start, end) among the columns."""
        width = self.width_ns
        start = max(0, start)
        if end <= start:
            return
        first, last = start // width, (end - 1) // width
        if first == last:
            cells[first] += end - start
            return
        cells[first] += (first + 1) * width - start
        for column in range(first + 1, last):
            cells[column] += width
        cells[last] += end - last * width

    def _widen(self, end: int) -> None:
        """Make columns as wide as it takes to show `end`."""
        while end > self._limit:
            self.width_ns *= 2
            self._limit *= 2
            for m, lane in self.lanes.items():
                self.lanes[m] = Lane(_halved(lane.waits), _halved(lane.holds))
            for name, queue in self.queues.items():
                self.queues[name] = _halved(queue)
            joined: dict[tuple[int, int, int], int] = {}
            for (column, giver, taker), times in self.handoffs.items():
                key = (column // 2, giver, taker)
                joined[key] = joined.get(key, 0) + times
            self.handoffs = joined

    def finish(self) -> None:
        """Add the waits and holds that the log does not end."""
        end = max(self._end_ns, self._contention.end_ns)
        self._widen(end)
        for lock in self._contention.locks.values():
            for one in lock.open.waits:
                lane = self.lanes.get(one.m) or self._new_lane(one.m)
                self._waits(lane, lock.name, one.since_ns, one.since_ns + one.ns)
            if lock.holding is not None:
                who, since = lock.holding
                lane = self.lanes.get(who.m) or self._new_lane(who.m)
                self._add(lane.holds, since, end)
                waited = self._waited.get(lock.name)
                if waited is not None and (waited.m, waited.t_ns) == (who.m, since):
                    self._waits(lane, lock.name, since - waited.wait_ns, since)
                    if lock.name in self._gave:
                        self._hand(since, self._gave[lock.name], who.m)
