"""Exact distributions of any number of values, and series over time of a fixed size.

`ExactValues` counts each distinct value where virtual times take few; where they do not, and beyond
`DISTINCT_MAX` of them, it keeps the values themselves, 8 bytes each. So percentiles are exact
whatever the log is like: two million acquisitions with waits that are all different take 16 MB.
(`gorun_mem.analysis.values` has the same for a run under way, with a bound that is fixed and
percentiles that may be off by 0.05 %.)

`Series` divides a run of unknown length into at most `points` stretches of equal length: when the
last one is full, neighbours are joined and the stretches become twice as long.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, Generic, TypeAlias, TypeVar

from gorun_mem.analysis.ranks import ranked
from gorun_mem.analysis.values import ascending
from gorun_mem.runtime.mutex.statistics import Distribution

DISTINCT_MAX: Final = 1 << 15
FOLD_AT: Final = 1 << 14


class ExactValues:
    """A multiset of ints.

    Attributes:
        fresh: append a value here; `fold` puts them where they take less.
    """

    __slots__ = ("_counted", "_counts", "_distinct_max", "_many", "_summed", "_total", "fresh")

    def __init__(self, distinct_max: int = DISTINCT_MAX) -> None:
        self.fresh: list[int] = []
        self._total = 0  # of what is folded, and of the first `_summed` fresh ones
        self._summed = 0
        self._counted = 0  # how many of these are in `_counts`
        self._counts: Counter[int] = Counter()
        self._many: array[int] = array("q")
        self._distinct_max = distinct_max

    def fold(self, at: int = 1) -> None:
        """Count the fresh values if there are at least `at`; keep them where few are alike."""
        fresh = self.fresh
        if len(fresh) < at:
            return
        alike = 2 * len(set(fresh)) <= len(fresh) and len(self._counts) < self._distinct_max
        try:
            kept = array("q", () if alike else fresh)
        except OverflowError:  # numbers that no clock shows: from a damaged log
            alike, kept = True, array("q")
        self._total = self.total
        self._summed = 0
        if alike:
            self._counted += len(fresh)
            self._counts.update(fresh)
        self._many += kept
        fresh.clear()

    @property
    def count(self) -> int:
        """How many values there are."""
        return len(self.fresh) + len(self._many) + self._counted

    @property
    def total(self) -> int:
        """Their sum."""
        fresh = self.fresh
        if len(fresh) > self._summed:
            self._total += sum(islice(fresh, self._summed, None))
            self._summed = len(fresh)
        return self._total

    @property
    def max(self) -> int:
        """The greatest, 0 where there is none."""
        return max([0, *self.fresh, *self._many, *self._counts])

    def distribution(self) -> Distribution:
        """All values, as the mutexes' own statistics give them."""
        return Gathered((self,)).distribution()

    def __repr__(self) -> str:
        return f"<ExactValues of {self.count}>"


class Gathered:
    """The values of several multisets together, sorted when that is first asked for.

    Attributes:
        count: how many.
        total: their sum.
    """

    __slots__ = ("_at_rank", "_counted", "_is_sorted", "_parts", "_single", "count", "total")

    def __init__(self, parts: Iterable[ExactValues]) -> None:
        self._parts = list(parts)
        self.count = sum([part.count for part in self._parts])
        self.total = sum([part.total for part in self._parts])
        self._single: list[int] = []
        self._counted: Counter[int] = Counter()
        self._at_rank: dict[int, int] = {}
        self._is_sorted = False

    @property
    def single(self) -> list[int]:
        """Those that are kept one by one, ascending."""
        self._gather()
        if not self._is_sorted:
            self._is_sorted = True
            self._single.sort()
        return self._single

    @property
    def counted(self) -> Counter[int]:
        """The others: value -> how often."""
        self._gather()
        return self._counted

    def _gather(self) -> None:
        for part in self._parts:
            self._single += part.fresh
            self._single += part._many
            self._counted.update(part._counts)
        self._parts = []

    def at_ranks(self, ranks: Sequence[int]) -> list[int] | None:
        """Those at some ranks, counted from 0, in a third of the time that sorting takes.

        Returns:
            A value for each rank; None where some are counted, or below 0.
        """
        if self.counted:
            return None
        known = self._at_rank
        unknown = [rank for rank in ranks if rank not in known]
        if unknown:
            found = ranked(self._single, unknown)
            if found is None:
                return None
            known.update(zip(unknown, found, strict=True))
        return [known[rank] for rank in ranks]

    def distribution(self) -> Distribution:
        """All of them."""
        counts = Counter(self.single)  # ascending
        if not self.counted:
            return Distribution(tuple(counts.items()))
        counts.update(self.counted)
        return ascending(counts)


T = TypeVar("T")


class Series(Generic[T]):
    """What was last seen in each stretch of time.

    Args:
        points: stretches at most; at least 2.

    Attributes:
        until: end of the stretch that is open; a time below it replaces what the stretch has.
        last: what was seen last.
    """

    __slots__ = ("_open", "_points", "_rows", "_start", "_width", "last", "until")

    def __init__(self, points: int = 1024) -> None:
        self._points = points
        self._rows: list[tuple[int, T]] = []
        self._start = 0
        self._width = 1
        self._open = 0
        self.until = 0
        self.last: T | None = None

    def put(self, t_ns: int, value: T) -> None:
        """See `value` at `t_ns`; times go up, and one that does not counts as the latest."""
        if t_ns < self.until:
            self.last = value
            return
        self._close()
        while t_ns - self._start >= self._width * self._points:
            self._widen()
        self._open = (t_ns - self._start) // self._width
        self.until = self._start + (self._open + 1) * self._width
        self.last = value

    def _close(self) -> None:
        if self.last is not None:
            self._rows.append((self._open, self.last))
            self.last = None

    def _widen(self) -> None:
        """Double the stretches; of two that become one the later stays."""
        self._width *= 2
        joined: dict[int, T] = {}
        for index, value in self._rows:
            joined[index // 2] = value
        self._rows = list(joined.items())
        self._open //= 2

    def __iter__(self) -> Iterator[tuple[int, T]]:
        """(start of the stretch in ns, what was seen last in it), in order of time."""
        rows = list(self._rows)
        if self.last is not None:
            rows.append((self._open, self.last))
        merged = dict(rows)
        for index in sorted(merged):
            yield self._start + index * self._width, merged[index]

    def __len__(self) -> int:
        return sum(1 for _ in self)


Number: TypeAlias = int | float
"""Said in full: an int of any size is not to become a float where it is passed on (as in mypyc)."""


def share(part: Number, whole: Number, otherwise: float = 0.0) -> float:
    """`part / whole`; `otherwise` where there is no whole, or where numbers are beyond floats."""
    try:
        return part / whole if whole else otherwise
    except OverflowError:
        return otherwise
