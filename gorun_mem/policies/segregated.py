"""Segregated fits with boundary tags (Wilson et al., Dynamic Storage Allocation, 1995, 3.6)."""

from __future__ import annotations

from gorun_mem.policies.base import Policy


class Segregated(Policy):
    """A list for each power of two, newest first; the first list that has one that fits."""

    def __init__(self) -> None:
        super().__init__()
        self._lists: dict[int, dict[int, None]] = {}
        self._sizes: dict[int, int] = {}
        self._ends: dict[int, int] = {}

    def take(self, size: int) -> int:
        """From the list of that size upwards; a block gives its end."""
        for order in range(size.bit_length(), max(self._lists, default=0) + 1):
            for start in reversed(self._lists.get(order, {})):
                self.steps += 1
                have = self._sizes[start]
                if have >= size:
                    self._remove(start)
                    if have > size:
                        self._insert(start, have - size)
                    return start + have - size
        return 0

    def put(self, addr: int, size: int) -> None:
        """Merge with both neighbours, then into the list of its size."""
        if addr + size in self._sizes:
            size += self._remove(addr + size)
        if addr in self._ends:
            addr = self._ends[addr]
            size += self._remove(addr)
        self._insert(addr, size)

    def blocks(self) -> list[tuple[int, int]]:
        """(address, size) of every block."""
        return sorted(self._sizes.items())

    def take_ending_at(self, end: int) -> int:
        """Take out the block that ends there."""
        return self._remove(self._ends[end]) if end in self._ends else 0

    def _insert(self, start: int, size: int) -> None:
        self._sizes[start] = size
        self._ends[start + size] = start
        self._lists.setdefault(size.bit_length(), {})[start] = None

    def _remove(self, start: int) -> int:
        size = self._sizes.pop(start)
        del self._ends[start + size]
        order = size.bit_length()
        del self._lists[order][start]
        if not self._lists[order]:
            del self._lists[order]
        return size
