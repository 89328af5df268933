"""The books of one lock while a log is read: what was done, and what is charged to whom."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Final, TypeAlias

from gorun_mem.analysis.exact import ExactValues
from gorun_mem.analysis.path import Mark, PathNode
from gorun_mem.analysis.queues import Peaks, WaitQueue
from gorun_mem.analysis.waiting import ReleaseQueue
from gorun_mem.events.types import LockAcquire

BUSY_KEPT: Final = 10
CELLS_MAX: Final = 1 << 16
OTHERS: Final = "(others)"
"""Stands for locks and sites beyond `CELLS_MAX`, which no real run has."""

Key: TypeAlias = tuple[int, str]
"""An M and the Go function that took the lock."""
Sums: TypeAlias = tuple[int, int, int, int, int, int]


class Charge:
    """What the holds of one M at one site made others wait.

    What is charged within a busy period is the difference to `base`, which is taken when it is
    first charged in it.

    Attributes:
        lock: what it held.
        key: M and site.
        held_ns: while it held the lock; the three that follow are part of it.
        off_cpu_ns: while it slept or had lost its CPU.
        circle_ns: while it stood in a circle of waits.
        elsewhere_ns: while it waited itself, so that somebody else is to blame.
        handoff_ns: after it gave the lock back.
        waited_holds: holds in which somebody waited.
        taken: the hold that was last charged by way of another lock.
        busy: the busy period that `base` is of.
    """

    __slots__ = (
        "base", "busy", "circle_ns", "elsewhere_ns", "handoff_ns", "held_ns", "key", "lock",
        "off_cpu_ns", "taken", "waited_holds",
    )  # fmt: skip

    def __init__(self, lock: str, key: Key) -> None:
        self.lock = lock
        self.key = key
        self.held_ns = self.handoff_ns = self.waited_holds = 0
        self.off_cpu_ns = self.circle_ns = self.elsewhere_ns = 0
        self.taken: LockAcquire | None = None
        self.busy: Busy | None = None
        self.base: Sums = (0, 0, 0, 0, 0, 0)

    def join(self, busy: Busy) -> None:
        """From now on charges belong to `busy`."""
        self.busy = busy
        self.base = self.sums()
        busy.charges.append(self)

    def sums(self) -> Sums:
        """All that is charged to it."""
        return (
            self.held_ns, self.handoff_ns, self.waited_holds, self.off_cpu_ns, self.circle_ns,
            self.elsewhere_ns,
        )  # fmt: skip


class LockUse(Charge):
    """What one M did with one lock from one site, and what it made others wait."""

    __slots__ = (
        "blocked_ns", "bypasses", "holds", "idle_ns", "new_bypasses", "new_holds", "new_spins",
        "new_waits", "sleeps", "spins", "unreleased", "waiting", "waits",
    )  # fmt: skip

    def __init__(self, lock: str, key: Key) -> None:
        super().__init__(lock, key)
        self.unreleased = 0
        self.waiting = 0
        self.holds = ExactValues()
        self.waits = ExactValues()  # contended ones
        self.spins = ExactValues()
        self.bypasses = ExactValues()
        self.new_holds = self.holds.fresh
        self.new_waits = self.waits.fresh
        self.new_spins = self.spins.fresh
        self.new_bypasses = self.bypasses.fresh
        self.sleeps = 0
        self.blocked_ns = 0  # of its holds, waiting for another lock
        self.idle_ns = 0  # of its holds, off its CPU

    @property
    def acquisitions(self) -> int:
        """Holds, and acquisitions that no release followed."""
        return self.holds.count + self.unreleased

    @property
    def uncontended(self) -> int:
        """Acquisitions without a wait."""
        return self.acquisitions - (self.waits.count - self.waiting)

    def take(self, event: LockAcquire) -> None:
        """Count what the acquisition cost of which no release tells."""
        if event.contended:
            self.new_waits.append(event.wait_ns)
            self.new_spins.append(event.spins)
            self.sleeps += event.sleeps

    def fold(self, at: int) -> None:
        """Count what is fresh."""
        self.holds.fold(at)
        if self.waits.fresh:
            for values in (self.waits, self.spins, self.bypasses):
                values.fold(at)


class Busy:
    """A busy period under way.

    Attributes:
        formed_ns: when the hold ended that the first ran into, -1 where it has not.
    """

    __slots__ = (
        "acquired_before", "began_with", "charges", "depth", "formed_ns", "seq", "start_ns",
    )  # fmt: skip

    def __init__(
        self, now: int, seq: int, began_with: Key, acquired_before: int, held: bool
    ) -> None:
        self.start_ns = now
        self.formed_ns = -1 if held else now
        self.seq = seq
        self.began_with = began_with
        self.acquired_before = acquired_before
        self.depth = 0
        self.charges: list[Charge] = []


class EndedBusy:
    """A busy period that has ended, or that the log ends within.

    Args:
        busy: it.
        end_ns: when.
        ended: False where the log ends within it.
        convoy: whether it is one.
        acquisitions: in it.
    """

    __slots__ = ("acquisitions", "busy", "charged", "convoy", "end_ns", "ended")

    def __init__(self, busy: Busy, end_ns: int, ended: bool, convoy: bool, acquired: int) -> None:
        self.busy = busy
        self.end_ns = end_ns
        self.ended = ended
        self.convoy = convoy
        self.acquisitions = acquired
        self.charged: list[tuple[Charge, Sums]] = []

    def keep_charges(self) -> None:
        """What is charged within it, before it goes on elsewhere."""
        for charge in self.busy.charges:
            pairs = zip(charge.sums(), charge.base, strict=True)
            a, b, c, d, e, f = (now - before for now, before in pairs)
            self.charged.append((charge, (a, b, c, d, e, f)))


LongestBusy: TypeAlias = list[tuple[int, int, int, EndedBusy]]
"""A heap of the longest: ns, acquisitions, -seq."""


class LockHistory:
    """One lock while the log is read.

    Invariant: `busy` is not None iff somebody waits.
    """

    __slots__ = (
        "blocked_ns", "busy", "busy_longest", "cells", "chain", "chains", "convoys", "elsewhere",
        "handoffs", "hold_blocked_ns", "hold_off_cpu_ns", "holder", "holder_m", "last_ns", "line",
        "name", "nobody", "overlapped", "previous", "queue", "released_held_ns", "released_node",
        "released_ns", "released_site", "releases", "taken", "throws", "woken",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.cells: dict[Key, LockUse] = {}
        self.elsewhere: dict[tuple[str, int, str], Charge] = {}
        self.line = WaitQueue()
        self.releases = ReleaseQueue()
        self.holder: LockUse | None = None
        self.holder_m = 0
        self.taken: LockAcquire | None = None  # the last acquisition; that of `holder` if there is
        self.overlapped: dict[int, tuple[LockUse, LockAcquire]] = {}
        self.nobody = self.previous = LockUse(name, (0, ""))
        self.blocked_ns = 0
        self.last_ns = 0
        self.released_node: PathNode | None = None
        self.released_ns = self.released_held_ns = 0
        self.released_site = ""
        self.woken = 0
        self.handoffs = self.chain = 0
        self.chains: dict[int, int] = {}
        self.busy: Busy | None = None
        self.busy_longest: LongestBusy = []
        self.convoys: LongestBusy = []
        self.queue = Peaks()
        self.throws: dict[str, int] = {}
        # Of the hold under way, its M could not go on:
        self.hold_blocked_ns = self.hold_off_cpu_ns = 0

    @property
    def is_full(self) -> bool:
        """Whether the log has more of it than releases."""
        return self.taken is not None or self.line.busy_periods > 0

    @property
    def released(self) -> Mark | None:
        """How it was given back last, None where it was not."""
        node = self.released_node
        if node is None:
            return None
        return self.released_ns, node, self.released_held_ns, self.released_site

    def overlap(self) -> None:
        """Another M has the lock too: a release is missing, or nobody is kept out."""
        if self.holder is not None and self.taken is not None:
            self.overlapped[self.taken.m] = (self.holder, self.taken)
            self.split_hold(self.holder)

    def take_overlapped(self) -> None:
        """Count the acquisitions that no release followed."""
        for cell, taken in self.overlapped.values():
            cell.take(taken)
            cell.unreleased += 1

    def stall(self, blocked: bool, ns: int) -> None:
        """In the hold under way its M could not go on for `ns`."""
        if blocked:
            self.hold_blocked_ns += ns
        else:
            self.hold_off_cpu_ns += ns

    def split_hold(self, cell: LockUse) -> None:
        """The hold is over: its parts belong to `cell`."""
        cell.blocked_ns += self.hold_blocked_ns
        cell.idle_ns += self.hold_off_cpu_ns
        self.hold_blocked_ns = self.hold_off_cpu_ns = 0

    def end_chain(self) -> None:
        """An acquisition that is no handoff ends a row of them."""
        self.chains[self.chain] = self.chains.get(self.chain, 0) + 1
        self.chain = 0

    def end_busy(self, busy: Busy, now: int, ended: bool) -> None:
        """Nobody waits any more, or the log ends."""
        self.busy = None
        convoy = self.line.is_convoy
        length_ns = now - busy.start_ns
        # Each convoy is a busy period: one that is none of the longest convoys is neither.
        kept = self.convoys if convoy else self.busy_longest
        if len(kept) >= BUSY_KEPT and length_ns < kept[0][0]:
            return
        acquired = self.line.acquired - busy.acquired_before
        rank = (length_ns, acquired, -busy.seq)
        found = None
        for longest in (self.busy_longest, self.convoys) if convoy else (self.busy_longest,):
            if len(longest) >= BUSY_KEPT:
                least = longest[0]
                if length_ns < least[0] or rank <= least[:3]:
                    continue
            if found is None:
                found = EndedBusy(busy, now, ended, convoy, acquired)
                found.keep_charges()
            if len(longest) < BUSY_KEPT:
                heapq.heappush(longest, (*rank, found))
            else:
                heapq.heapreplace(longest, (*rank, found))


class Stall:
    """An M that holds locks and cannot go on.

    Attributes:
        lock: what it waits for, None where it sleeps or has lost its CPU.
        since_ns: since when.
    """

    __slots__ = ("lock", "since_ns")

    def __init__(self, lock: LockHistory | None, since_ns: int) -> None:
        self.lock = lock
        self.since_ns = since_ns


def holder_of(lock: LockHistory) -> tuple[int, str]:
    """Who holds it, and its name."""
    return (lock.taken.m if lock.taken is not None else 0), lock.name


def tidy(cells: Iterable[LockUse], at: int) -> None:
    """Count what has collected in cells that have much."""
    for cell in cells:
        if len(cell.holds.fresh) >= at or len(cell.waits.fresh) >= at:
            cell.fold(at)
