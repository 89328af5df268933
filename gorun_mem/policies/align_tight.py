"""Go's own search; an aligned reservation skips no more than it must."""

from __future__ import annotations

from bisect import bisect_left

from gorun_mem.policies.first_fit import FirstFit


class AlignTight(FirstFit):
    """Aligned memory comes out of any block that it fits into; at the break, out of the last too.

    Go asks for a block of size and alignment together, and skips from the break to the next
    multiple though what lies below the break may be free.
    """

    aligns_in_last = True

    def take_aligned(self, size: int, align: int) -> int:
        """Out of the lowest block that has `size` bytes from a multiple of `align` on."""
        for start in self.starts:
            self.steps += 1
            first = -(-start // align) * align
            if first + size <= start + self.sizes[start]:
                return self._cut(start, first, size)
        return 0

    def _cut(self, start: int, first: int, size: int) -> int:
        """Take [first, first+size) out of the block at `start`."""
        end = start + self.sizes[start]
        if first > start:
            self.sizes[start] = first - start
        else:
            del self.starts[bisect_left(self.starts, start)], self.sizes[start]
        if first + size < end:
            self.put(first + size, end - first - size)
        return first
