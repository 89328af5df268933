"""What cells of a lock have counted, as distributions and figures that are made when asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import islice
from operator import ne
from typing import TYPE_CHECKING

from gorun_mem.analysis.exact import Gathered
from gorun_mem.analysis.values import (
    DISTINCT_MAX,
    Values,
    ascending,
    rank_of,
    rounded,
    rounded_counts,
)
from gorun_mem.runtime.mutex.statistics import Distribution

if TYPE_CHECKING:
    from gorun_mem.analysis.cells import LockUse


class TimesOf:
    """Waits and holds of some cells, an acquisition that did not wait counting as a wait of 0.

    Args:
        cells: what they counted; it is to be complete when this is made.

    Attributes:
        contended: waits that were some.
        holds: holds.
        uncontended: acquisitions without a wait.
    """

    def __init__(self, cells: Iterable[LockUse]) -> None:
        cells = list(cells)
        self._cells = cells
        self.contended = Gathered(cell.waits for cell in cells)
        self.holds = Gathered(cell.holds for cell in cells)
        self.uncontended = max(0, sum(cell.uncontended for cell in cells))

    @cached_property
    def wait_ns(self) -> Distribution:
        """Waits over all acquisitions."""
        return _with_zeros(self.contended_wait_ns, self.uncontended)

    @cached_property
    def contended_wait_ns(self) -> Distribution:
        """Waits that were some."""
        return self.contended.distribution()

    @cached_property
    def hold_ns(self) -> Distribution:
        """Holds."""
        return self.holds.distribution()

    @cached_property
    def spin_rounds(self) -> Distribution:
        """Spins over contended acquisitions."""
        return Gathered(cell.spins for cell in self._cells).distribution()

    @cached_property
    def bypasses(self) -> Distribution:
        """Bypasses over contended acquisitions."""
        return Gathered(cell.bypasses for cell in self._cells).distribution()


class GatheredValues(Values):
    """The same as `Values` that were given all of these one by one; nothing is to be added.

    Args:
        gathered: the values.
        zeros: so many of 0 besides.
        distinct_max: as many distinct values are counted as they are.
    """

    __slots__ = ("_gathered", "_is_counted", "_is_exact", "_zeros")

    def __init__(self, gathered: Gathered, zeros: int = 0, distinct_max: int = DISTINCT_MAX):
        super().__init__(distinct_max)
        self._gathered = gathered
        self._zeros = zeros
        self._is_counted = False
        self._is_exact: bool | None = True if gathered.count < distinct_max else None
        self.count = gathered.count + zeros
        self.total = gathered.total

    def _at(self, ranks: Sequence[int]) -> list[int] | None:
        """The values at some ranks, from 1; None where they are not the zeros, then the others."""
        zeros, last = self._zeros, self._gathered.count - 1
        if last < 0:
            return [0 for _ in ranks]
        # To find some all have to be looked at: the last, which `max` is, costs nothing more.
        found = self._gathered.at_ranks([*[max(0, rank - zeros - 1) for rank in ranks], last])
        if found is None:
            return None
        return [0 if rank <= zeros else value for rank, value in zip(ranks, found, strict=False)]

    @property
    def counts(self) -> dict[int, int]:
        """Value -> how often, rounded ones where not `exact`."""
        self._count()
        return self._counts

    @property
    def max(self) -> int:
        """The greatest, exact; 0 where there is none."""
        found = self._at([self.count])
        if found is None:
            self._count()
            return self._max
        return found[0]

    @property
    def exact(self) -> bool:
        """Whether each value was counted as it is."""
        if self._is_exact is None:
            greatest = self._at([self.count])
            if greatest is None:
                self._count()
            elif greatest[0] < self._distinct_max:
                self._is_exact = True  # no more than all from 0 to it
            else:
                self._is_exact = self._distinct() <= self._distinct_max
        return bool(self._is_exact)

    def _distinct(self) -> int:
        """How many distinct values there are, none of which is below 0."""
        single = self._gathered.single
        distinct: int = sum(map(ne, single, islice(single, 1, None))) + bool(single)
        return distinct + int(self._zeros > 0 and (not single or single[0] > 0))

    def percentiles(self, percents: Iterable[int]) -> list[int]:
        """Several of `Distribution.percentile` at once; see `percentiles`."""
        percents = list(percents)
        found = self._at([rank_of(percent, self.count) for percent in percents])
        if not self.count or found is None:
            return super().percentiles(percents)
        return found if self.exact else [rounded(value) for value in found]

    def _count(self) -> None:
        if self._is_counted:
            return
        self._is_counted = True
        values = _with_zeros(self._gathered.distribution(), self._zeros).values
        self._max = max(0, values[-1][0]) if values else 0
        self._is_exact = len(values) <= self._distinct_max
        self._counts = dict(values) if self._is_exact else rounded_counts(values)


def _with_zeros(distribution: Distribution, zeros: int) -> Distribution:
    """The same with waits of 0 for acquisitions that did not have to wait."""
    if zeros <= 0:
        return distribution
    values = distribution.values
    if values and values[0][0] <= 0:
        return ascending(Counter(dict(values)) + Counter({0: zeros}))
    return Distribution(((0, zeros), *values))
