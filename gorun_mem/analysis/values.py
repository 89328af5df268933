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
from collections.abc import Iterable, Mapping
from itertools import accumulate, starmap
from operator import itemgetter, mul
from typing import Final

from gorun_mem.runtime.mutex.statistics import Distribution

DISTINCT_MAX: Final = 1 << 16
BITS: Final = 11
"""Significant bits that are kept where there are too many distinct values."""

_times_of = itemgetter(1)


class Values:
    """A multiset of times in ns.

    Attributes:
        counts: value -> how often, rounded ones where not `exact`.
        count: how many.
        total: their sum, exact.
        max: the greatest, exact; 0 where there is none.
        exact: whether each value was counted as it is.
    """

    __slots__ = ("_distinct_max", "count", "counts", "exact", "max", "total")

    def __init__(self, distinct_max: int = DISTINCT_MAX) -> None:
        self.counts: dict[int, int] = {}
        self._distinct_max = distinct_max
        self.count = 0
        self.total = 0
        self.max = 0
        self.exact = True

    @classmethod
    def of(cls, distribution: Distribution, distinct_max: int = DISTINCT_MAX) -> Values:
        """The same multiset as one that was given these values one by one."""
        found = cls(distinct_max)
        values = distribution.values
        found.count = sum(map(_times_of, values))
        found.total = sum(starmap(mul, values))
        found.max = max(0, distribution.max)
        found.exact = len(values) <= distinct_max
        found.counts = dict(values) if found.exact else _rounded_counts(values)
        return found

    def add(self, value: int) -> None:
        """Count `value`, which is not negative."""
        self.count += 1
        self.total += value
        if value > self.max:
            self.max = value
        counts = self.counts
        if value in counts:
            counts[value] += 1
        else:
            self._add_new(value)

    def _add_new(self, value: int) -> None:
        counts = self.counts
        if self.exact and len(counts) >= self._distinct_max:
            self.exact = False
            self.counts = counts = _rounded_counts(counts.items())
        if not self.exact:
            value = _rounded(value)
        counts[value] = counts.get(value, 0) + 1

    def copy(self) -> Values:
        """The same values, to add others to."""
        found = Values(self._distinct_max)
        found.counts = dict(self.counts)
        found.count, found.total, found.max = self.count, self.total, self.max
        found.exact = self.exact
        return found

    def distribution(self) -> Distribution:
        """The values as they were counted."""
        return ascending(self.counts)

    def figures(self) -> dict[str, int]:
        """p50, p90, p99 and max, as the metrics name them."""
        p50, p90, p99 = percentiles(self.counts, (50, 90, 99))
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
    wanted = [max(1, -(-ranks[-1] * percent // 100)) for percent in percents]
    return [values[bisect_left(ranks, rank)] for rank in wanted]


def _rounded(value: int) -> int:
    """`value` with its highest bits only."""
    drop = max(0, value.bit_length() - BITS)
    return value >> drop << drop


def _rounded_counts(counts: Iterable[tuple[int, int]]) -> dict[int, int]:
    """(value, how often) with the values rounded."""
    rounded: dict[int, int] = {}
    for value, times in counts:
        drop = value.bit_length() - BITS
        if drop > 0:
            value = value >> drop << drop
        rounded[value] = rounded.get(value, 0) + times
    return rounded
