"""First fit in order of address, from the end."""

from __future__ import annotations

from gorun_mem.policies.base import AddressOrdered


class LastFit(AddressOrdered):
    """The highest block that is large enough."""

    def choose(self, size: int) -> int:
        """Walk from the highest."""
        for at in range(len(self.starts) - 1, -1, -1):
            self.steps += 1
            if self.sizes[self.starts[at]] >= size:
                return at
        return -1
