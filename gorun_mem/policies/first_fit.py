"""Go's own: memAllocNoGrow and memFree of mem_sbrk.go."""

from __future__ import annotations

from gorun_mem.policies.base import AddressOrdered


class FirstFit(AddressOrdered):
    """The lowest block that is large enough gives its end."""

    def choose(self, size: int) -> int:
        """Walk from the lowest."""
        for at, start in enumerate(self.starts):
            self.steps += 1
            if self.sizes[start] >= size:
                return at
        return -1
