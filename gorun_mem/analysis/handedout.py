"""Which ranges of memory are handed out, and for what: the book that `MemoryUse` keeps of a log.

Bound: an entry for each range that is handed out, and one for each growth of the host's.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import Final

_UNASKED_MIN: Final = 64


class HandedOut:
    """Ranges by address, and bytes by purpose.

    Attributes:
        ranges: address -> (bytes, purpose).
        held: purpose -> bytes handed out.
        hosts: (low, high) of what the host has grown the memory by, as far as it is not handed out.
        unknown_frees: frees of what was not known to be handed out.
    """

    __slots__ = ("_order", "_unasked", "held", "hosts", "ranges", "unknown_frees")

    def __init__(self) -> None:
        self.ranges: dict[int, tuple[int, str]] = {}
        self.held: dict[str, int] = {}
        self.hosts: list[tuple[int, int]] = []
        self.unknown_frees = 0
        self._order: list[int] | None = None  # addresses, while parts of ranges are freed
        self._unasked = 0  # changes of it since it was made or looked at

    def hold(self, p: int, size: int, purpose: str) -> None:
        """[p, p + size) is handed out for `purpose`."""
        if self.hosts:
            self.hosts = [
                part
                for low, high in self.hosts
                for part in ((low, min(high, p)), (max(low, p + size), high))
                if part[0] < part[1]
            ]
        held = self.held
        old = self.ranges.get(p)
        if old is not None:  # handed out twice: the free is missing from the log
            held[old[1]] -= old[0]
        elif self._order is not None:
            self._reorder(p, True)
        self.ranges[p] = (size, purpose)
        held[purpose] = held.get(purpose, 0) + size

    def give_back(self, v: int, size: int) -> None:
        """[v, v + size) is freed."""
        entry = self.ranges.get(v)
        if entry is not None and entry[0] == size:
            del self.ranges[v]
            self.held[entry[1]] -= size
            if self._order is not None:
                self._reorder(v, False)
        elif size > 0:
            self._give_back_part(v, v + size)

    def _give_back_part(self, low: int, high: int) -> None:
        """A free of what is not one whole range: a trim, or several ranges at once."""
        if self._order is None:
            self._order = sorted(self.ranges)
        self._unasked = 0
        order = self._order
        first = max(0, bisect_right(order, low) - 1)
        freed = 0
        for p in order[first : bisect_left(order, high)]:
            size, purpose = self.ranges[p]
            end = p + size
            cut_low, cut_high = max(p, low), min(end, high)
            if cut_low >= cut_high:
                continue
            freed += cut_high - cut_low
            self.held[purpose] -= size
            del self.ranges[p]
            del order[bisect_left(order, p)]
            for part_low, part_high in ((p, cut_low), (cut_high, end)):
                if part_low < part_high:
                    self.hold(part_low, part_high - part_low, purpose)
        if freed < high - low:
            self.unknown_frees += 1

    def _reorder(self, p: int, there: bool) -> None:
        """An address came or went; to sort all again costs less than to keep up for long."""
        order = self._order
        assert order is not None
        self._unasked += 1
        if self._unasked > len(order) + _UNASKED_MIN:
            self._order = None
        elif there:
            insort(order, p)
        else:
            del order[bisect_left(order, p)]

    @property
    def host_bytes(self) -> int:
        """The host's, and not handed out."""
        return sum(high - low for low, high in self.hosts)

    @property
    def highest(self) -> tuple[int, int, str] | None:
        """(address, bytes, purpose) of the highest range, None without one."""
        if not self.ranges:
            return None
        p = max(self.ranges)
        return p, *self.ranges[p]
