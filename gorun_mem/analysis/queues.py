"""The queue of a lock while a log is read: who waits, and how many at what time.

What an M that waits, a bypass and a convoy are is said in `gorun_mem.analysis.waiting`.
"""

from __future__ import annotations

from gorun_mem.analysis.arithmetic import product, quotient
from gorun_mem.analysis.exact import share
from gorun_mem.analysis.waiting import NOTHING, OpenHold, OpenWait, Unended, site_of
from gorun_mem.events.types import LockAcquire, LockWait
from gorun_mem.runtime.mutex.book import LockQueue, QueueFigures


class Peaks:
    """The greatest of a step function in each stretch of time, and how long it had each value.

    Args:
        points: stretches at most.

    Attributes:
        value: the function now.
        until: end of the stretch that is open; a fall before that may just set `value`.
        ns_at: value -> ns for which it was had; kept by who feeds it.
    """

    __slots__ = ("_index", "_peak", "_peaks", "_points", "_width", "ns_at", "until", "value")

    def __init__(self, points: int = 1024) -> None:
        self.value = 0
        self.until = 1
        self.ns_at: dict[int, int] = {}
        self._points = points
        self._peaks: dict[int, int] = {}
        self._width = 1
        self._index = 0
        self._peak = 0

    def step(self, t_ns: int, value: int) -> None:
        """The function is `value` from `t_ns` on."""
        if t_ns >= self.until:
            self._turn(t_ns)
        self.value = value
        if value > self._peak:
            self._peak = value

    def _turn(self, t_ns: int) -> None:
        """Open the stretch of `t_ns`; the value carries over into it."""
        self._keep()
        while t_ns >= product(self._width, self._points):
            self._width += self._width
            joined: dict[int, int] = {}
            for index, peak in self._peaks.items():
                joined[index >> 1] = max(peak, joined.get(index >> 1, 0))
            self._peaks = joined
        self._index = quotient(t_ns, self._width)
        self.until = product(self._index + 1, self._width)
        self._peak = max(self.value, self._peaks.get(self._index, 0))

    def _keep(self) -> None:
        self._peaks[self._index] = max(self._peak, self._peaks.get(self._index, 0))

    def rows(self) -> list[tuple[int, int]]:
        """(start of the stretch in ns, the greatest value in it), where something was seen."""
        self._keep()
        return [(product(index, self._width), peak) for index, peak in sorted(self._peaks.items())]

    @property
    def max(self) -> int:
        """The greatest value of all."""
        return max(self._peak, max(self._peaks.values(), default=0))

    @property
    def mean(self) -> float:
        """The mean over time."""
        total = sum(self.ns_at.values())
        return share(sum([product(value, ns) for value, ns in self.ns_at.items()]), total)


class WaitQueue(LockQueue[LockWait]):
    """The Ms that wait for a lock, as the events tell; what waits is a lock.wait.

    Attributes:
        bypasses_of: by M, the most bypasses of those that got the lock, where there were some.
    """

    __slots__ = ("bypasses_of",)

    def __init__(self) -> None:
        super().__init__()
        self.bypasses_of: dict[int, int] = {}

    def wait(self, event: LockWait) -> None:
        """An M begins to wait."""
        self.enqueue(event.m, event, event.t_ns, event.owner_m != 0)

    def acquire(self, m: int, now_ns: int, contended: bool, bypassed: int) -> None:
        """An M has the lock: one that waited, or another while some wait."""
        if not contended:
            self.acquired += 1
            return
        if bypassed:
            self.bypasses_of[m] = max(self.bypasses_of.get(m, 0), bypassed)
        self.dequeue(m, now_ns)

    def figures(self, now: int) -> QueueFigures:
        """As of `now`; what has not ended lasts until then."""
        return self.figures_at(now, max(self.bypasses_of.values(), default=0))

    def unended(self, now: int, taken: LockAcquire | None) -> Unended:
        """What has not ended by `now`.

        Args:
            now: in ns.
            taken: the acquisition of whoever holds the lock, None for nobody.
        """
        if not self.waiting and taken is None:
            return NOTHING
        waits = tuple(
            OpenWait(m, site_of(event), event.t_ns, max(0, now - event.t_ns), event.seq)
            for m, (event, _, _) in self.waiting.items()
        )
        if taken is None:
            return Unended(waits)
        ns = max(0, now - taken.t_ns)
        return Unended(waits, OpenHold(taken.m, site_of(taken), taken.t_ns, ns, taken))
