"""What a log says of one lock, short: fed while a run goes on, in memory that does not grow.

Waits and holds that have not ended count as long as they have lasted, at least (`as_of`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gorun_mem.analysis.metrics import PERCENTILES, Metrics
from gorun_mem.analysis.queues import WaitQueue
from gorun_mem.analysis.values import Values
from gorun_mem.analysis.waiting import (
    NOTHING,
    ReleaseQueue,
    Unended,
)
from gorun_mem.events.types import LockAcquire, LockRelease, LockWait
from gorun_mem.runtime.mutex.book import QueueFigures
from gorun_mem.runtime.mutex.statistics import jain

SLOWEST: Final = 5
"""Waits that are named."""

M_DISTINCT_MAX: Final = 1 << 12
"""Distinct waits counted of one M: there may be thousands of Ms."""


@dataclass(frozen=True, slots=True)
class Wait:
    """One wait for a lock.

    Args:
        wait_ns: how long it was; at least, where it has not ended.
        since_ns: when it began.
        m: who waited.
        lock: for what.
        site: the Go function that asked for it.
        seq: the line of the log that says so.
        ended: whether the M got the lock.
    """

    wait_ns: int
    since_ns: int
    m: int
    lock: str
    site: str
    seq: int
    ended: bool = True


class SlowestWaits:
    """The longest waits for locks.

    Attributes:
        waits: longest first, the earlier of equal ones first; at most `SLOWEST`.
        least_ns: a wait that is not longer is none of them.
    """

    def __init__(self) -> None:
        self.waits: list[Wait] = []
        self.least_ns = 0

    def note(self, event: LockRelease, site: str) -> None:
        """Keep the wait that `event` tells of, which was longer than `least_ns`.

        Args:
            event: a release.
            site: the Go function that took the lock.
        """
        since_ns = event.t_ns - event.hold_ns - event.wait_ns
        self.add(Wait(event.wait_ns, since_ns, event.m, event.lock, site, event.seq))

    def add(self, wait: Wait) -> None:
        """Keep `wait` if it is one of the longest."""
        waits = self.waits
        waits.append(wait)
        waits.sort(key=lambda wait: (-wait.wait_ns, wait.since_ns, wait.seq))
        del waits[SLOWEST:]
        if len(waits) == SLOWEST:
            self.least_ns = waits[-1].wait_ns

    def with_open(self, locks: Iterable[LockSummary]) -> Sequence[Wait]:
        """The longest, those among them that have not ended and those of open holds."""
        found = SlowestWaits()
        found.waits = list(self.waits)
        for lock in locks:
            open_ = lock.open
            for one in open_.waits:
                if one.ns:
                    found.add(
                        Wait(one.ns, one.since_ns, one.m, lock.name, one.site, one.seq, False)
                    )
            hold = open_.hold
            if hold is not None and hold.taken.wait_ns:
                wait_ns, since_ns = hold.taken.wait_ns, hold.since_ns - hold.taken.wait_ns
                found.add(Wait(wait_ns, since_ns, hold.m, lock.name, hold.site, hold.taken.seq))
        return found.waits


class SummaryShare:
    """What one M had of a lock.

    Args:
        waits: of all its acquisitions, and the one that has not ended.
        contended: how many of these had to wait.
        hold_ns: how long it held, summed.

    Attributes:
        waiting: 1 where it waits still, or else 0.
    """

    __slots__ = ("contended", "hold_ns", "waiting", "waits")

    def __init__(self, waits: Values | None = None, contended: int = 0, hold_ns: int = 0) -> None:
        self.waits = Values(M_DISTINCT_MAX) if waits is None else waits
        self.contended = contended
        self.hold_ns = hold_ns
        self.waiting = 0

    def copy(self) -> SummaryShare:
        """The same, to add to."""
        return SummaryShare(self.waits.copy(), self.contended, self.hold_ns)

    @property
    def acquisitions(self) -> int:
        """Holds, one that has not ended among them."""
        return self.waits.count - self.waiting


class LockSummary:
    """What the log says of one lock, short.

    Fed with events, it counts holds as they end; `as_of` adds what is open.

    Attributes:
        name: the lock's.
        waits: of all acquisitions; one that did not wait counts 0. Waits that have not ended too.
        holds: how long it was held.
        contended, spins, sleeps, blocked_ns: sums.
        shares: by M.
        line: who waits; None where the log has neither waits nor acquisitions.
        releases: the same as far as the releases tell; looked at only then.
        taken: the acquisition of whoever holds it.
        overlapped: by M, acquisitions that another followed before their release: that is missing,
            or it is the mutex that lets in everybody.
        open: what had not ended and is counted all the same.
        now: when that was.
    """

    __slots__ = (
        "blocked_ns", "contended", "holds", "line", "name", "now", "open", "overlapped",
        "releases", "shares", "sleeps", "spins", "taken", "waits",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.waits = Values()
        self.holds = Values()
        self.contended = self.spins = self.sleeps = self.blocked_ns = 0
        self.shares: dict[int, SummaryShare] = {}
        self.line: WaitQueue | None = None
        self.releases = ReleaseQueue()
        self.taken: LockAcquire | None = None
        self.overlapped: dict[int, LockAcquire] = {}
        self.open: Unended = NOTHING
        self.now = 0

    @property
    def acquisitions(self) -> int:
        """Holds, one that has not ended among them."""
        return self.waits.count - len(self.open.waits)

    def wait(self, event: LockWait) -> None:
        """Take in that an M begins to wait."""
        line = self.line
        if line is None:
            line = self.line = WaitQueue()
        line.wait(event)

    def acquire(self, event: LockAcquire) -> None:
        """Take in what an acquisition says of the queue; the rest is told by its release."""
        line = self.line
        if line is None:
            line = self.line = WaitQueue()
        if line.waiting:
            line.acquire(event.m, event.t_ns, event.contended, event.bypassed)
        if self.taken is not None:
            self.overlapped[self.taken.m] = self.taken
        self.taken = event

    def release(self, event: LockRelease) -> None:
        """Take in one release, and the acquisition before it."""
        taken = self.taken
        if taken is not None and taken.m == event.m:
            self.taken = None
        elif self.overlapped:
            self.overlapped.pop(event.m, None)
        hold_ns = event.hold_ns
        self.holds.add(hold_ns)
        self._take(event).hold_ns += hold_ns
        if event.waiters:
            self.blocked_ns += event.blocked_ns
        if self.line is None and (event.contended or event.waiters or self.releases.waiting):
            self.releases.release(event)

    def _take(self, event: LockAcquire | LockRelease) -> SummaryShare:
        """Count the acquisition that `event` tells of."""
        m, wait_ns = event.m, event.wait_ns
        self.waits.add(wait_ns)
        share = self.shares.get(m)
        if share is None:
            share = self.shares[m] = SummaryShare()
        share.waits.add(wait_ns)
        if event.contended:
            self.contended += 1
            self.spins += event.spins
            self.sleeps += event.sleeps
            share.contended += 1
        return share

    def as_of(self, now: int) -> LockSummary:
        """The same with what has not ended by `now`: itself where there is nothing."""
        self.now = now
        if self.open:
            return self
        line = self.line
        open_ = line.unended(now, self.taken) if line is not None else self.releases.unended()
        if not open_ and not self.overlapped:
            return self
        found = LockSummary(self.name)
        found.waits, found.holds = self.waits.copy(), self.holds.copy()
        found.contended, found.blocked_ns = self.contended, self.blocked_ns
        found.spins, found.sleeps = self.spins, self.sleeps
        found.shares = {m: share.copy() for m, share in self.shares.items()}
        found.line, found.releases, found.now = self.line, self.releases, now
        for taken in self.overlapped.values():
            found._take(taken)
        found._count_open(open_)
        return found

    def _count_open(self, open_: Unended) -> None:
        self.open = open_
        hold = open_.hold
        if hold is not None:
            self.holds.add(hold.ns)
            self._take(hold.taken).hold_ns += hold.ns
            self.blocked_ns += open_.blocked_ns
        for one in open_.waits:
            self.waits.add(one.ns)
            self.contended += 1
            share = self.shares.setdefault(one.m, SummaryShare())
            share.waits.add(one.ns)
            share.contended += 1
            share.waiting = 1

    @property
    def queue(self) -> QueueFigures:
        """Who waited: how many, how long without a break, passed by how often."""
        return self.line.figures(self.now) if self.line is not None else self.releases.figures()

    def bypasses_max(self, m: int) -> int:
        """Most acquisitions by later comers during one wait of `m` that has ended."""
        return (self.line or self.releases).bypasses_of.get(m, 0)

    @property
    def fairness(self) -> float:
        """Jain's index over the Ms' acquisitions."""
        return jain(share.acquisitions for share in self.shares.values())

    @property
    def fairness_waits(self) -> float:
        """Jain's index over the Ms' waits."""
        return jain(share.waits.total for share in self.shares.values())

    def metrics(self) -> Metrics:
        """By name without the lock's."""
        found: Metrics = {
            "acquisitions": self.acquisitions,
            "contended": self.contended,
            "wait_ns": self.waits.total,
            "hold_ns": self.holds.total,
            "blocked_ns": self.blocked_ns,
            "spins": self.spins,
            "sleeps": self.sleeps,
            **self.queue._asdict(),
            "waiting": len(self.open.waits),
            "held": int(self.open.hold is not None),
            "fairness": round(self.fairness, 6),
            "fairness_waits": round(self.fairness_waits, 6),
        }
        found |= {f"wait_ns.{name}": value for name, value in self.waits.figures().items()}
        found |= {f"hold_ns.{name}": value for name, value in self.holds.figures().items()}
        return found

    def at_least(self) -> list[str]:
        """The metrics that what has not ended makes lower bounds of."""
        found: list[str] = []
        if self.open.waits:
            found += ["wait_ns", *(f"wait_ns.{p}" for p in PERCENTILES), "busy_longest_ns"]
            if self.queue.convoys:
                found.append("convoy_longest_ns")
        if self.open.hold is not None:
            found += ["hold_ns", *(f"hold_ns.{p}" for p in PERCENTILES)]
            if self.open.waits:
                found.append("blocked_ns")
        return found
