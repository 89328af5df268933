"""A mutex's counts in bounded memory, for a World that does not end.

Go keeps a sampled total of its locks' waits. `LockTally`, which books have otherwise, keeps every
distinct record, so that its percentiles are exact; under contention nearly every wait is distinct,
and a server would grow by gigabytes a day. Here sums and extremes stay exact, and times go into
histograms of which each bucket is at most 1/16 wide: a percentile is at most that much too low.

What the Ms that have ended had of the lock is kept in one sum, under M 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from gorun_mem.runtime.mutex.book import LockTally, Summed
from gorun_mem.runtime.mutex.statistics import Distribution, Share

_BITS: Final = 5
"""Leading bits of a time that are kept."""


def bucket(ns: int) -> int:
    """The least time of the bucket that `ns` falls into."""
    low = ns.bit_length() - _BITS
    return ns >> low << low if low > 0 else ns


class BoundedTally(LockTally):
    """Counts acquisitions and holds; its size depends on the Ms and sites there are now."""

    __slots__ = ("_by", "_bypassed_max", "_hold_times", "_sleeps", "_spins", "_wait_times")

    def __init__(self) -> None:
        super().__init__()
        self._by: dict[tuple[int, str], list[int]] = {}
        self._hold_times: Counter[int] = Counter()
        self._wait_times: Counter[int] = Counter()
        self._spins = self._sleeps = self._bypassed_max = 0

    def fold(self) -> None:
        """Move the fresh records into the sums."""
        by = self._by
        for (m, site, hold_ns), n in Counter(self.fresh_holds).items():
            sums = by.setdefault((m, site), [0, 0, 0, 0])
            sums[0] += n
            sums[3] += hold_ns * n
            self._hold_times[bucket(hold_ns)] += n
        self.fresh_holds.clear()
        for m, site, wait_ns, spins, sleeps, bypassed in self.fresh_waits:
            sums = by.setdefault((m, site), [0, 0, 0, 0])
            sums[1] += 1
            sums[2] += wait_ns
            self._wait_times[bucket(wait_ns)] += 1
            self._spins += spins
            self._sleeps += sleeps
            self._bypassed_max = max(self._bypassed_max, bypassed)
        self.fresh_waits.clear()

    def forget(self, m: int) -> None:
        """M `m` has ended: add what it had to M 0."""
        self.fold()
        for key in [key for key in self._by if key[0] == m]:
            gone = self._by.pop(key)
            sums = self._by.setdefault((0, key[1]), [0, 0, 0, 0])
            for i, amount in enumerate(gone):
                sums[i] += amount

    def summary(self, running: Iterable[tuple[int, str]]) -> Summed:
        """Waits over all, waits over contended, holds, shares by M and by site."""
        self.fold()
        by_m: dict[int, list[int]] = {}
        by_site: dict[str, list[int]] = {}
        running_one = [(key, [1, 0, 0, 0]) for key in running]
        for (m, site), sums in [*self._by.items(), *running_one]:
            for total in (by_m.setdefault(m, [0] * 4), by_site.setdefault(site, [0] * 4)):
                for i, amount in enumerate(sums):
                    total[i] += amount
        waits = Counter(self._wait_times)
        contended = sum(waits.values())
        waits[0] += sum(sums[0] for sums in by_m.values()) - contended
        return (
            Distribution.of(waits),
            Distribution.of(self._wait_times),
            Distribution.of(self._hold_times),
            {m: Share(*sums) for m, sums in sorted(by_m.items())},
            {site: Share(*sums) for site, sums in sorted(by_site.items())},
        )

    def totals(self) -> tuple[int, int, int]:
        """Spins and sleeps of all who got the lock, and the most bypasses that one suffered."""
        self.fold()
        return self._spins, self._sleeps, self._bypassed_max

    def waits(self) -> Counter[int]:
        """Contended waits so far, by the least time of their bucket."""
        self.fold()
        return Counter(self._wait_times)

    def counts(self) -> tuple[int, int]:
        """Acquisitions that have ended, and contended ones."""
        self.fold()
        holds = sum(self._hold_times.values())
        return holds, sum(self._wait_times.values())
