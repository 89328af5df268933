"""What a policy is, and the list in order of address that most of them keep."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from typing import ClassVar

from gorun_mem.runtime.behaviour import Behaviour


class Policy(ABC):
    """Keeps the free blocks of the layer and says which one serves.

    Sizes are whole pages. memlock is held for every call.

    Where a release hands out what lies below the system's break (wasm from go1.24, and Plan 9), a
    policy may also say how the break is moved.

    Attributes:
        merges_with_break: a free block that ends at the break is given back to it.
        aligns_in_last: an aligned reservation from the break begins in the free block that ends
            there, if there is one.
        asks_size: what the memory has grown by without Go is left alone, and the break goes on
            behind it.
        grow_pages: the memory grows by a multiple of so many pages of 64 KiB.
        steps: blocks, or lists of blocks, that searches have looked at.
    """

    merges_with_break: ClassVar[bool] = False
    aligns_in_last: ClassVar[bool] = False
    asks_size: ClassVar[bool] = False

    def __init__(self) -> None:
        self.grow_pages = 1
        self.steps = 0

    def behaviour(self, own: Behaviour) -> Behaviour:
        """What the release does otherwise, beside the search.

        Args:
            own: the release's; `dataclasses.replace` makes another of it.
        """
        return own

    @abstractmethod
    def take(self, size: int) -> int:
        """`size` bytes out of the free blocks: their address, or 0 where no block serves."""

    def take_aligned(self, size: int, align: int) -> int:
        """`size` bytes at a multiple of the power of two `align`, or 0 where no block serves.

        As in Go unless it is overridden: `size` + `align` bytes are taken and both ends put back.
        """
        base = self.take(size + align)
        if not base:
            return 0
        start, end = -(-base // align) * align, base + size + align
        if start > base:
            self.put(base, start - base)
        if start + size < end:
            self.put(start + size, end - start - size)
        return start

    @abstractmethod
    def put(self, addr: int, size: int) -> None:
        """[addr, addr+size) is free from now on; nothing of it was."""

    @abstractmethod
    def blocks(self) -> list[tuple[int, int]]:
        """(address, size) of every free block, ascending."""

    def take_ending_at(self, end: int) -> int:
        """Take out the block that ends at `end`; its size, or 0 where there is none."""
        return 0


class AddressOrdered(Policy):
    """A list in order of address, neighbours merged; a block gives from its end, as Go's does."""

    def __init__(self) -> None:
        super().__init__()
        self.starts: list[int] = []
        self.sizes: dict[int, int] = {}

    @abstractmethod
    def choose(self, size: int) -> int:
        """The place in `starts` of the block that serves, or -1; counts its steps."""

    def take(self, size: int) -> int:
        """The last `size` bytes of the block that `choose` names."""
        at = self.choose(size)
        if at < 0:
            return 0
        start = self.starts[at]
        left = self.sizes[start] - size
        if left:
            self.sizes[start] = left
        else:
            del self.starts[at], self.sizes[start]
        return start + left

    def put(self, addr: int, size: int) -> None:
        """Insert a block, merged with both its neighbours."""
        starts, sizes = self.starts, self.sizes
        at = bisect_left(starts, addr)
        if at < len(starts) and starts[at] == addr + size:
            size += sizes.pop(starts.pop(at))
        if at and starts[at - 1] + sizes[starts[at - 1]] == addr:
            sizes[starts[at - 1]] += size
        else:
            starts.insert(at, addr)
            sizes[addr] = size

    def blocks(self) -> list[tuple[int, int]]:
        """(address, size) of every block."""
        return [(start, self.sizes[start]) for start in self.starts]

    def take_ending_at(self, end: int) -> int:
        """Take out the last block, if it ends there."""
        if not self.starts or self.starts[-1] + self.sizes[self.starts[-1]] != end:
            return 0
        return self.sizes.pop(self.starts.pop())
