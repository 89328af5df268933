"""The longest holds of runtime locks, and what their Ms did meanwhile.

A hold is split by what its M does: it runs, it is blocked (it waits for another lock), or it is off
its CPU (asleep, or preempted: from m.park to m.unpark). What is neither is running, so an M that is
ready and has no CPU counts as running where the log does not say that it lost its CPU.

Bound: `HOLDS_KEPT` holds.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Final

HOLDS_KEPT: Final = 50


@dataclass(frozen=True, slots=True)
class LongHold:
    """One hold of a lock.

    Args:
        hold_ns: how long; at least, where it has not ended.
        since_ns: when it began.
        lock: of what.
        m: by whom.
        site: the Go function that took the lock.
        blocked_ns: of it, its M waited for another lock.
        off_cpu_ns: of it, its M slept or had lost its CPU.
        waited_ns: what others waited for it, summed.
        seq: the event that ended it, or began one that has not ended.
        ended: whether it has.
        split: whether the log says what its M did meanwhile.
    """

    hold_ns: int
    since_ns: int
    lock: str
    m: int
    site: str
    blocked_ns: int
    off_cpu_ns: int
    waited_ns: int
    seq: int
    ended: bool = True
    split: bool = True

    @property
    def running_ns(self) -> int:
        """Of it, its M ran."""
        return self.hold_ns - self.blocked_ns - self.off_cpu_ns


class LongestHolds:
    """Keeps the longest.

    Attributes:
        least_ns: a hold that is not longer is none of them.
    """

    __slots__ = ("_kept", "least_ns")

    def __init__(self) -> None:
        self._kept: list[tuple[int, int, LongHold]] = []
        self.least_ns = 0

    def add(self, hold: LongHold) -> None:
        """Keep `hold` if it is one of the longest."""
        entry = (hold.hold_ns, -hold.seq, hold)
        if len(self._kept) < HOLDS_KEPT:
            heapq.heappush(self._kept, entry)
        else:
            heapq.heappushpop(self._kept, entry)
        if len(self._kept) == HOLDS_KEPT:
            self.least_ns = self._kept[0][0]

    def found(self) -> tuple[LongHold, ...]:
        """The longest first, the earlier of equal ones first."""
        return tuple(entry[2] for entry in sorted(self._kept, reverse=True))
