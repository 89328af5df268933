"""Binary buddies (Knowlton, A Fast Storage Allocator, 1965), what is not needed given back."""

from __future__ import annotations

from gorun_mem.policies.base import Policy


class Buddy(Policy):
    """Blocks of powers of two at multiples of their size; two halves merge into their whole.

    A request takes the beginning of a block of the next power of two; the rest of it is free at
    once, in smaller blocks. So a free range across a multiple of a power of two does not serve as
    a whole.
    """

    def __init__(self) -> None:
        super().__init__()
        self._free: dict[int, set[int]] = {}

    def take(self, size: int) -> int:
        """The lowest of the smallest blocks that are large enough."""
        for order in range((size - 1).bit_length(), max(self._free, default=0) + 1):
            self.steps += 1
            if self._free.get(order):
                addr = min(self._free[order])
                self._remove(order, addr)
                if (1 << order) > size:
                    self.put(addr + size, (1 << order) - size)
                return addr
        return 0

    def put(self, addr: int, size: int) -> None:
        """Cut into blocks, each merged with its buddy as long as that is free."""
        while size:
            order = min((addr & -addr).bit_length(), size.bit_length()) - 1
            block, k = addr, order
            while block ^ (1 << k) in self._free.get(k, ()):
                self._remove(k, block ^ (1 << k))
                block &= ~(1 << k)
                k += 1
            self._free.setdefault(k, set()).add(block)
            addr += 1 << order
            size -= 1 << order

    def blocks(self) -> list[tuple[int, int]]:
        """(address, size) of every block."""
        return sorted((addr, 1 << k) for k, addrs in self._free.items() for addr in addrs)

    def _remove(self, order: int, addr: int) -> None:
        self._free[order].remove(addr)
        if not self._free[order]:
            del self._free[order]
