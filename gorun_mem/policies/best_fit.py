"""Best fit (Knuth, The Art of Computer Programming 1, 2.5)."""

from __future__ import annotations

from gorun_mem.policies.base import AddressOrdered


class BestFit(AddressOrdered):
    """The smallest block that is large enough, the lowest of several."""

    def choose(self, size: int) -> int:
        """Walk over all, or to one of just that size."""
        best, found = 0, -1
        for at, start in enumerate(self.starts):
            self.steps += 1
            have = self.sizes[start]
            if have >= size and (found < 0 or have < best):
                best, found = have, at
                if have == size:
                    break
        return found
