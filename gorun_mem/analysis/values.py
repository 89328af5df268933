"""Counts of values, in bounded memory.

Virtual times take few distinct values, so counting each is exact and cheap. A log may be any
length, though: beyond `DISTINCT_MAX` distinct values they are rounded down to 11 significant bits,
an error below 0.05 %, and `exact` says so. Percentiles are those of
`gorun_mem.runtime.mutex.statistics.Distribution`: nearest rank.

Rejected: sampling, whose percentiles differ from run to run; a sketch (t-digest and its like),
which is inexact from the start.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
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
    """

    __slots__ = ("_counts", "_distinct_max", "_exact", "_max", "count", "total")

    def __init__(self, distinct_max: int = DISTINCT_MAX) -> None:
        self._counts: dict[int, int] = {}
        self._distinct_max = distinct_max
        self.count = 0
        self.total = 0
        self._max = 0
        self._exact = True

    @property
    def counts(self) -> dict[int, int]:
        """Value -> how often, rounded ones where not `exact`."""
        return self._counts

    @property
    def max(self) -> int:
        """The greatest, exact; 0 where there is none."""
        return self._max

    @property
    def exact(self) -> bool:
        """Whether each value was counted as it is."""
        return self._exact

    def add(self, value: int) -> None:
        """Count `value`, which is not negative."""
        self.count += 1
        self.total += value
        if value > self._max:
            self._max = value
        counts = self._counts
        if value in counts:
            counts[value] += 1
        else:
            self._add_new(value)

    def _add_new(self, value: int) -> None:
        counts = self._counts
        if self._exact and len(counts) >= self._distinct_max:
            self._exact = False
            self._counts = counts = rounded_counts(counts.items())
        if not self._exact:
            value = rounded(value)
        counts[value] = counts.get(value, 0) + 1

    def copy(self) -> Values:
        """The same values, to add others to."""
        found = Values(self._distinct_max)
        found._counts = dict(self.counts)
        found.count, found.total, found._max = self.count, self.total, self.max
        found._exact = self.exact
        return found

    def distribution(self) -> Distribution:
        """The values as they were counted."""
        return ascending(self.counts)

    def percentiles(self, percents: Iterable[int]) -> list[int]:
        """Several of `Distribution.percentile` at once; see `percentiles`."""
        return percentiles(self.counts, percents)

    def figures(self) -> dict[str, int]:
        """p50, p90, p99 and max, as the metrics name them."""
        p50, p90, p99 = self.percentiles((50, 90, 99))
        return {"p50": p50, "p90": p90, "p99": p99, "max": self.max}

    def __repr__(self) -> str:
        return f"<Values {self.count} up to {self.max}>"


def ascending(counts: Mapping[int, int]) -> Distribution:
    """`Distribution.of`, in a third of the time.

    Args:
        counts: value -> how often, which is never 0.
    """
    values = sorted(counts)
    return Distribution(tuple(zip(values, map(counts.__getitem__, values), strict=True)))


def percentiles(counts: Mapping[int, int], percents: Iterable[int]) -> list[int]:
    """Several of `Distribution.percentile` at once, and without the distribution.

    Args:
        counts: value -> how often; 0 is the answer to all where there is none.
        percents: whole numbers from 0 to 100.
    """
    values = sorted(counts)
    if not values:
        return [0 for _ in percents]
    ranks = list(accumulate(map(counts.__getitem__, values)))
    return [values[bisect_left(ranks, rank_of(percent, ranks[-1]))] for percent in percents]


def percentiles_over(parts: Iterable[Values], percents: Sequence[int]) -> list[int]:
    """Several percentiles over all values of several."""
    counted = [part for part in parts if part.count]
    if len(counted) == 1:
        return counted[0].percentiles(percents)
    counts = Counter[int]()
    for part in counted:
        counts.update(part.counts)
    return percentiles(counts, percents)


def rank_of(percent: int, count: int) -> int:
    """Which of `count` values, from 1, is a percentile: the nearest rank."""
    return max(1, -(-count * percent // 100))


def rounded(value: int) -> int:
    """`value` with its highest bits only."""
    drop = max(0, value.bit_length() - BITS)
    return value >> drop << drop


def rounded_counts(counts: Iterable[tuple[int, int]]) -> dict[int, int]:
    """(value, how often) with the values rounded."""
    found: dict[int, int] = {}
    for value, times in counts:
        drop = value.bit_length() - BITS
        if drop > 0:
            value = value >> drop << drop
        found[value] = found.get(value, 0) + times
    return found
