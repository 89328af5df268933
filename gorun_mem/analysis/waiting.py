"""Who waits for a lock: how many, passed by how often, and for how long without a break.

One definition for every reader of a log, and it is the mutexes' own (runtime/mutex/base.py): an M
waits from its lock.wait to its lock.acquire; a convoy lasts from the first M that comes to wait
until nobody waits; an acquisition by an M that came later is a bypass. `WaitQueue` is fed these
events and is exact. `ReleaseQueue` is for logs at level canonical, which have lock.release only: an
M that begins to wait between a release and the next acquisition, which Go's sema mutex allows, is
seen one release later, so what it finds may be less.
"""

from __future__ import annotations

from typing import NamedTuple

from gorun_mem.events.types import LockAcquire, LockRelease


class QueueFigures(NamedTuple):
    """What the metrics of a lock say of its queue; see `gorun_mem.analysis.metrics`."""

    bypasses_max: int = 0
    queue_depth_max: int = 0
    convoys: int = 0
    convoy_longest_ns: int = 0
    convoy_longest_acquisitions: int = 0


class WaitQueue:
    """The Ms that wait for a lock, in the order they came.

    Attributes:
        waiting: M -> when it came, how many were there before it, acquisitions before.
        acquired: acquisitions while somebody waited.
        depth_max: most Ms waiting at once.
        convoys: how often the first came.
        bypasses_max: most bypasses of an M that got the lock.
        bypasses_of: the same by M, where there were some.
    """

    __slots__ = (
        "_longest", "_since", "acquired", "bypasses_max", "bypasses_of", "convoys", "depth_max",
        "waiting",
    )  # fmt: skip

    def __init__(self) -> None:
        self.waiting: dict[int, tuple[int, int, int]] = {}
        self.acquired = self.depth_max = self.convoys = self.bypasses_max = 0
        self.bypasses_of: dict[int, int] = {}
        self._longest = (0, 0)
        self._since = (0, 0)

    def wait(self, m: int, now: int) -> None:
        """`m` begins to wait."""
        waiting = self.waiting
        if not waiting:
            self.convoys += 1
            self._since = (now, self.acquired)
        waiting[m] = (now, len(waiting), self.acquired)
        if len(waiting) > self.depth_max:
            self.depth_max = len(waiting)

    def acquire(self, event: LockAcquire) -> None:
        """An M has the lock: one that waited, or another while some wait."""
        self.acquired += 1
        if not event.contended:
            return
        m, bypassed = event.m, event.bypassed
        if bypassed:
            self.bypasses_max = max(self.bypasses_max, bypassed)
            self.bypasses_of[m] = max(self.bypasses_of.get(m, 0), bypassed)
        if self.waiting.pop(m, None) is not None and not self.waiting:
            since_ns, before = self._since
            self._longest = max(self._longest, (event.t_ns - since_ns, self.acquired - before))

    def figures(self) -> QueueFigures:
        """As of now; the longest convoy is one that has ended."""
        bypasses = max([self.bypasses_max, *self._bypasses_of_waiting()])
        return QueueFigures(bypasses, self.depth_max, self.convoys, *self._longest)

    def _bypasses_of_waiting(self) -> list[int]:
        """How often those who wait still were passed by.

        All acquisitions since an M came are by Ms that came later, but for those of the Ms that
        waited before it and have the lock by now.
        """
        return [
            self.acquired - acquired_before - (ahead - earlier)
            for earlier, (_, ahead, acquired_before) in enumerate(self.waiting.values())
        ]


class ReleaseQueue:
    """The same, as far as the releases tell.

    Attributes:
        waiting: Ms that waited at the last release, in the order they came.
        bypasses_of: M -> most bypasses, where there were some.
    """

    __slots__ = (
        "_acquisitions", "_bypassed", "_convoys", "_depth_max", "_longest", "_since_ns",
        "bypasses_of", "waiting",
    )  # fmt: skip

    def __init__(self) -> None:
        self.waiting: tuple[int, ...] = ()
        self.bypasses_of: dict[int, int] = {}
        self._bypassed: dict[int, int] = {}
        self._since_ns = -1  # -1: nobody waits
        self._acquisitions = self._convoys = self._depth_max = 0
        self._longest = (0, 0)

    def release(self, event: LockRelease) -> None:
        """Take in a release, and the acquisition before it, where somebody waited or waits."""
        if event.contended or self.waiting:
            self._acquired(event)
        self.waiting = waiting = event.waiters
        if len(waiting) > self._depth_max:
            self._depth_max = len(waiting)

    def _acquired(self, event: LockRelease) -> None:
        m, waiting, bypassed = event.m, self.waiting, self._bypassed
        acquired_ns = event.t_ns - event.hold_ns
        for other in waiting:
            if other == m:
                break
            bypassed[other] = bypassed.get(other, 0) + 1
        if event.contended:
            bypasses = bypassed.pop(m, 0)
            if bypasses:
                self.bypasses_of[m] = max(self.bypasses_of.get(m, 0), bypasses)
            since_ns = acquired_ns - event.wait_ns
            if self._since_ns < 0 or since_ns < self._since_ns:
                self._since_ns = since_ns
        self._acquisitions += 1
        if len(waiting) == (m in waiting):
            self._convoys += 1
            found = (acquired_ns - self._since_ns, self._acquisitions)
            self._longest = max(self._longest, found)
            self._since_ns = -1
            self._acquisitions = 0

    def figures(self) -> QueueFigures:
        """As of the last release; a convoy that has not ended counts as one."""
        bypasses = max([0, *self.bypasses_of.values(), *self._bypassed.values()])
        convoys = self._convoys + bool(self.waiting)
        return QueueFigures(bypasses, self._depth_max, convoys, *self._longest)
