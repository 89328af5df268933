"""Who waits for a lock and who has it: how many, passed by how often, and what has not ended.

One definition for every reader of a log, and it is the mutexes' own (runtime/mutex/book.py, which
says what a bypass, a busy period and a convoy are): an M waits from its lock.wait to its
lock.acquire.

What is open where the log ends, or now, is `Unended`: waits and a hold that last so long at least.
Everybody who counts waits and holds adds it from here.

`WaitQueue` (gorun_mem.analysis.queues) is fed these events and is exact. `ReleaseQueue` is for logs
at level canonical, which have lock.release only: an M that begins to wait between a release and the
next acquisition, which Go's sema mutex allows, is seen one release later, so what it finds may be
less.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gorun_mem.events.types import LockAcquire, LockRelease, LockWait
from gorun_mem.runtime.mutex.book import QueueFigures


class OpenWait(NamedTuple):
    """A wait that has not ended.

    Args:
        m: who waits.
        site: the Go function that wants the lock, "" where the log does not say.
        since_ns: since when.
        ns: how long at least.
        seq: the event that said so.
    """

    m: int
    site: str
    since_ns: int
    ns: int
    seq: int


class OpenHold(NamedTuple):
    """A hold that has not ended.

    Args:
        m: who holds.
        site: the Go function that took the lock, "" where the log does not say.
        since_ns: since when.
        ns: how long at least.
        taken: the acquisition.
    """

    m: int
    site: str
    since_ns: int
    ns: int
    taken: LockAcquire


@dataclass(frozen=True, slots=True)
class Unended:
    """What of a lock has not ended.

    Args:
        waits: in the order they began.
        hold: None where nobody holds it, or nobody known.
    """

    waits: tuple[OpenWait, ...] = ()
    hold: OpenHold | None = None

    def __bool__(self) -> bool:
        return bool(self.waits) or self.hold is not None

    @property
    def wait_ns(self) -> int:
        """All waits, summed."""
        return sum(one.ns for one in self.waits)

    @property
    def blocked_ns(self) -> int:
        """What was waited while the hold lasted so far."""
        hold = self.hold
        return 0 if hold is None else sum(min(one.ns, hold.ns) for one in self.waits)


NOTHING = Unended()


def site_of(event: LockWait | LockAcquire | LockRelease) -> str:
    """The Go function that an event names, "" for none."""
    site = event.site
    return site if isinstance(site, str) else ""


class ReleaseQueue:
    """The same, as far as the releases tell.

    Attributes:
        waiting: Ms that waited at the last release, in the order they came.
        bypasses_of: M -> most bypasses, where there were some.
    """

    __slots__ = (
        "_acquisitions", "_busy_periods", "_bypassed", "_convoys", "_depth_max", "_is_convoy",
        "_last", "_longest", "_longest_convoy", "_seen", "_since_ns", "bypasses_of", "waiting",
    )  # fmt: skip

    def __init__(self) -> None:
        self.waiting: tuple[int, ...] = ()
        self.bypasses_of: dict[int, int] = {}
        self._bypassed: dict[int, int] = {}
        self._seen: dict[int, LockRelease] = {}  # who waits -> the first release that says so
        self._last: LockRelease | None = None
        self._since_ns = -1  # -1: nobody waits
        self._is_convoy = False
        self._acquisitions = self._busy_periods = self._convoys = self._depth_max = 0
        self._longest = self._longest_convoy = (0, 0)

    def release(self, event: LockRelease) -> None:
        """Take in a release, and the acquisition before it, where somebody waited or waits."""
        if event.contended or self.waiting:
            self._acquired(event)
        if self._acquisitions and not self._is_convoy and self._came(event):
            self._is_convoy = True  # it came after the first release of these
            self._convoys += 1
        self.waiting = waiting = event.waiters
        self._last = event
        for m in waiting:
            self._seen.setdefault(m, event)
        if len(waiting) > self._depth_max:
            self._depth_max = len(waiting)

    def _came(self, event: LockRelease) -> bool:
        """Whether somebody waits who did not at the release before."""
        before = self.waiting
        return bool(before) and any(m not in before for m in event.waiters)

    def _acquired(self, event: LockRelease) -> None:
        m, waiting, bypassed = event.m, self.waiting, self._bypassed
        acquired_ns = event.t_ns - event.hold_ns
        for other in waiting:
            if other == m:
                break
            bypassed[other] = bypassed.get(other, 0) + 1
        if event.contended:
            self._seen.pop(m, None)
            bypasses = bypassed.pop(m, 0)
            if bypasses:
                self.bypasses_of[m] = max(self.bypasses_of.get(m, 0), bypasses)
            since_ns = acquired_ns - event.wait_ns
            if self._since_ns < 0 or since_ns < self._since_ns:
                self._since_ns = since_ns
        self._acquisitions += 1
        if len(waiting) == (m in waiting):
            self._busy_periods += 1
            found = (acquired_ns - self._since_ns, self._acquisitions)
            self._longest = max(self._longest, found)
            if self._is_convoy:
                self._longest_convoy = max(self._longest_convoy, found)
            self._since_ns = -1
            self._acquisitions = 0
            self._is_convoy = False

    def figures(self) -> QueueFigures:
        """As of the last release; a busy period that has not ended lasts until then."""
        bypasses = max([0, *self.bypasses_of.values(), *self._bypassed.values()])
        longest, convoy, periods = self._longest, self._longest_convoy, self._busy_periods
        if self.waiting and self._last is not None:
            periods += 1
            since_ns = min(self._seen[m].t_ns for m in self.waiting)
            if self._since_ns >= 0:
                since_ns = min(since_ns, self._since_ns)
            found = (self._last.t_ns - since_ns, self._acquisitions)
            longest = max(longest, found)
            if self._is_convoy:
                convoy = max(convoy, found)
        return QueueFigures(bypasses, self._depth_max, self._convoys, *convoy, periods, *longest)

    def unended(self) -> Unended:
        """Waits of those that waited at the last release, up to it: one may have the lock now."""
        last = self._last
        if last is None or not self.waiting:
            return NOTHING
        waits = []
        for m in self.waiting:
            seen = self._seen[m]
            waits.append(OpenWait(m, "", seen.t_ns, last.t_ns - seen.t_ns, seen.seq))
        return Unended(tuple(waits))
