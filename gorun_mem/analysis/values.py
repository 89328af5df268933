"""Counts of values, in bounded memory.

Virtual times take few distinct values, so counting each is exact and cheap. A log may be any
length, though: beyond `DISTINCT_MAX` distinct values they are rounded down to 11 significant bits,
an error below 0.05 %, and `exact` says so. Percentiles are those of
`gorun_mem.runtime.mutex.statistics.Distribution`: nearest rank.

Rejected: sampling, whose percentiles differ from run to run; a sketch (t-digest and its like),
which is inexact from the start.
"""

from __future__ import annotations

from typing import Final

from gorun_mem.runtime.mutex.statistics import Distribution

DISTINCT_MAX: Final = 1 << 16
BITS: Final = 11
"""Significant bits that are kept where there are too many distinct values."""


class Values:
    """A multiset of times in ns.

    Attributes:
        count: how many.
        total: their sum, exact.
        max: the greatest, exact; 0 where there is none.
        exact: whether each value was counted as it is.
    """

    __slots__ = ("_counts", "_distinct_max", "count", "exact", "max", "total")

    def __init__(self, distinct_max: int = DISTINCT_MAX) -> None:
        self._counts: dict[int, int] = {}
        self._distinct_max = distinct_max
        self.count = 0
        self.total = 0
        self.max = 0
        self.exact = True

    def add(self, value: int) -> None:
        """Count `value`, which is not negative."""
        self.count += 1
        self.total += value
        if value > self.max:
            self.max = value
        counts = self._counts
        if value in counts:
            counts[value] += 1
        else:
            self._add_new(value)

    def _add_new(self, value: int) -> None:
        counts = self._counts
        if self.exact and len(counts) >= self._distinct_max:
            self.exact = False
            rounded: dict[int, int] = {}
            for old, times in counts.items():
                key = _rounded(old)
                rounded[key] = rounded.get(key, 0) + times
            self._counts = counts = rounded
        if not self.exact:
            value = _rounded(value)
        counts[value] = counts.get(value, 0) + 1

    def distribution(self) -> Distribution:
        """The values as they were counted."""
        return Distribution.of(self._counts)

    def figures(self) -> dict[str, int]:
        """p50, p90, p99 and max, as the metrics name them."""
        found = self.distribution()
        return {"p50": found.p50, "p90": found.p90, "p99": found.p99, "max": self.max}

    def __repr__(self) -> str:
        return f"<Values {self.count} up to {self.max}>"


def _rounded(value: int) -> int:
    """`value` with its highest bits only."""
    drop = max(0, value.bit_length() - BITS)
    return value >> drop << drop
