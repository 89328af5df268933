"""What a policy is, and the list in order of address that most of them keep."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from typing import ClassVar

from gorun_mem.runtime.behaviour import Behaviour


class Policy(ABC):
    """Keeps the free blocks of the layer and says which one serves.

    Sizes are whole pages. memlock is held for every call.

    Attributes:
        merges_with_break: a free block that ends at the break is given back to it.
        grow_pages: the memory grows by a multiple of so many pages, where a release hands out what
            lies below the system's break (from go1.24).
        steps: blocks, or lists of blocks, that searches have looked at.
    """

    merges_with_break: ClassVar[bool] = False
    grow_pages: ClassVar[int] = 1

    def __init__(self) -> None:
        self.steps = 0

    @classmethod
    def behaviour(cls, own: Behaviour) -> Behaviour:
        """What the release does otherwise, beside the search.

        Args:
            own: the release's; `dataclasses.replace` makes another of it.
        """
        return own

    @abstractmethod
    def take(self, size: int) -> int:
        """`size` bytes out of the free blocks: their address, or 0 where no block serves."""

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
