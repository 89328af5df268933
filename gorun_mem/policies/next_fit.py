"""Next fit: first fit with a roving pointer (Knuth, The Art of Computer Programming 1, 2.5)."""

from __future__ import annotations

from bisect import bisect_left

from gorun_mem.policies.base import AddressOrdered


class NextFit(AddressOrdered):
    """The search goes on at the block where the last one ended."""

    def __init__(self) -> None:
        super().__init__()
        self._rover = 0

    def choose(self, size: int) -> int:
        """Walk once around from the block that served last."""
        count = len(self.starts)
        first = bisect_left(self.starts, self._rover)
        for i in range(first, first + count):
            self.steps += 1
            at = i % count
            if self.sizes[self.starts[at]] >= size:
                self._rover = self.starts[at]
                return at
        return -1
