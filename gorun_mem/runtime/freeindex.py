"""An index of the free list: first fit, neighbours and the list's hash without a walk.

Go walks its list. Here the blocks stand twice: as headers in the memory, which are the truth, and
in this index, which is a cache of them (see `freelist`). Blocks are kept in address order in chunks
of at most `LOAD`. A tournament tree over the chunks holds the largest block of each and of each
pair, so the first chunk with a fit is found in a few steps down, and the block in it by a short
scan.

Rejected: a balanced tree of blocks (every level costs Python as much as a bisection costs
altogether), one flat list (an insertion moves 30,000 entries), and prefix maxima over the chunks
(a large block that comes and goes changes all that follow it).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from gorun_mem.runtime.fnv import OFFSET, after_each

LOAD: Final = 96

Place: TypeAlias = tuple[int, int]
"""A block's position: (chunk number, place in the chunk). It holds until the next change."""


class _Chunk:
    """A run of neighbouring blocks.

    `hashes[i]` is the list's hash up to and with block i, given that it was `hash_in` before the
    chunk; entries from the first changed block on are dropped.
    """

    __slots__ = ("addrs", "hash_in", "hashes", "largest", "sizes")

    def __init__(self, addrs: list[int], sizes: list[int]) -> None:
        self.addrs = addrs
        self.sizes = sizes
        self.largest = max(sizes)
        self.hash_in = 0
        self.hashes: list[int] = []


class FreeIndex:
    """The free list's blocks in address order.

    Args:
        blocks: (address, size) pairs in ascending order.
    """

    __slots__ = ("_chunks", "_firsts", "_leaves", "_tree", "count", "total_bytes")

    def __init__(self, blocks: Iterable[tuple[int, int]] = ()) -> None:
        ordered = list(blocks)
        half = LOAD // 2
        self._chunks = [
            _Chunk([a for a, _ in part], [s for _, s in part])
            for part in (ordered[i : i + half] for i in range(0, len(ordered), half))
        ]
        self._firsts = [chunk.addrs[0] for chunk in self._chunks]
        self.count = len(ordered)
        self.total_bytes = sum(size for _, size in ordered)
        self._rebuild_tree()

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for chunk in self._chunks:
            yield from zip(chunk.addrs, chunk.sizes, strict=True)

    def __repr__(self) -> str:
        return f"<FreeIndex {self.count} blocks, {self.total_bytes} bytes>"

    @property
    def largest(self) -> int:
        """Size of the largest block, 0 when there is none."""
        return self._tree[1]

    # Finding.

    def first_fit(self, n: int) -> Place | None:
        """The position of the lowest block of at least `n` bytes."""
        tree = self._tree
        if tree[1] < n:
            return None
        node = 1
        leaves = self._leaves
        while node < leaves:
            node += node
            if tree[node] < n:
                node += 1
        c = node - leaves
        for i, size in enumerate(self._chunks[c].sizes):
            if size >= n:
                return c, i
        raise AssertionError("the tournament tree is out of step with the chunks")

    def locate(self, addr: int) -> Place | None:
        """The position of the last block at or below `addr`."""
        c = bisect_right(self._firsts, addr) - 1
        if c < 0:
            return None
        return c, bisect_right(self._chunks[c].addrs, addr) - 1

    def at(self, position: Place) -> tuple[int, int]:
        """(address, size) of the block at `position`."""
        c, i = position
        chunk = self._chunks[c]
        return chunk.addrs[i], chunk.sizes[i]

    def around(self, addr: int) -> tuple[int, int, int, int, Place | None, Place | None]:
        """The neighbours of `addr`.

        Returns:
            Address and size of the last block at or below `addr`, address and size of the block
            behind it, and the two positions; zeros and None where there is no such block.
        """
        firsts = self._firsts
        c = bisect_right(firsts, addr) - 1
        if c < 0:
            if not firsts:
                return 0, 0, 0, 0, None, None
            chunk = self._chunks[0]
            return 0, 0, chunk.addrs[0], chunk.sizes[0], None, (0, 0)
        chunk = self._chunks[c]
        addrs = chunk.addrs
        i = bisect_right(addrs, addr) - 1
        j = i + 1
        if j < len(addrs):
            return addrs[i], chunk.sizes[i], addrs[j], chunk.sizes[j], (c, i), (c, j)
        if c + 1 < len(firsts):
            behind = self._chunks[c + 1]
            return (
                addrs[i], chunk.sizes[i], behind.addrs[0], behind.sizes[0], (c, i), (c + 1, 0)
            )  # fmt: skip
        return addrs[i], chunk.sizes[i], 0, 0, (c, i), None

    def links(self, position: Place) -> tuple[int, int]:
        """Addresses of the blocks before and behind `position`, 0 where there is none."""
        c, i = position
        addrs = self._chunks[c].addrs
        before = addrs[i - 1] if i else (self._chunks[c - 1].addrs[-1] if c else 0)
        if i + 1 < len(addrs):
            return before, addrs[i + 1]
        return before, self._firsts[c + 1] if c + 1 < len(self._firsts) else 0

    def rank(self, position: Place) -> int:
        """How many blocks stand before `position`."""
        c, i = position
        return sum(len(chunk.addrs) for chunk in self._chunks[:c]) + i

    # Changing.

    def resize(self, position: Place, size: int) -> None:
        """Give the block at `position` another size."""
        c, i = position
        chunk = self._chunks[c]
        old = chunk.sizes[i]
        chunk.sizes[i] = size
        del chunk.hashes[i:]
        self.total_bytes += size - old
        self._largest_changed(c, old, size)

    def move(self, position: Place, addr: int, size: int) -> None:
        """Let the block at `position` begin elsewhere, between its neighbours still."""
        c, i = position
        self._chunks[c].addrs[i] = addr
        if i == 0:
            self._firsts[c] = addr
        self.resize(position, size)

    def remove(self, position: Place) -> None:
        """Drop the block at `position`."""
        c, i = position
        chunk = self._chunks[c]
        old = chunk.sizes[i]
        self.count -= 1
        self.total_bytes -= old
        if len(chunk.addrs) == 1:
            del self._chunks[c], self._firsts[c]
            self._rebuild_tree()
            return
        del chunk.addrs[i], chunk.sizes[i], chunk.hashes[i:]
        if i == 0:
            self._firsts[c] = chunk.addrs[0]
        self._largest_changed(c, old, 0)

    def insert_after(self, position: Place | None, addr: int, size: int) -> None:
        """Add a block after `position`, or as the first after None."""
        self.count += 1
        self.total_bytes += size
        if not self._chunks:
            self._chunks = [_Chunk([addr], [size])]
            self._firsts = [addr]
            self._rebuild_tree()
            return
        c, i = (0, 0) if position is None else (position[0], position[1] + 1)
        chunk = self._chunks[c]
        chunk.addrs.insert(i, addr)
        chunk.sizes.insert(i, size)
        del chunk.hashes[i:]
        if i == 0:
            self._firsts[c] = addr
        if len(chunk.addrs) > LOAD:
            self._split(c)
        else:
            self._largest_changed(c, 0, size)

    def _split(self, c: int) -> None:
        chunk = self._chunks[c]
        half = len(chunk.addrs) // 2
        right = _Chunk(chunk.addrs[half:], chunk.sizes[half:])
        del chunk.addrs[half:], chunk.sizes[half:], chunk.hashes[half:]
        chunk.largest = max(chunk.sizes)
        self._chunks.insert(c + 1, right)
        self._firsts.insert(c + 1, right.addrs[0])
        self._rebuild_tree()

    def _largest_changed(self, c: int, old: int, new: int) -> None:
        chunk = self._chunks[c]
        largest = chunk.largest
        if new >= largest:
            if new == largest:
                return
            chunk.largest = new
        elif old == largest:
            chunk.largest = max(chunk.sizes)
            if chunk.largest == largest:
                return
        else:
            return
        tree = self._tree
        node = c + self._leaves
        largest = tree[node] = chunk.largest
        while node > 1:
            sibling = tree[node ^ 1]
            node >>= 1
            if sibling > largest:
                largest = sibling
            if tree[node] == largest:
                return
            tree[node] = largest

    def _rebuild_tree(self) -> None:
        """Node 1 is the root, node i has children 2i and 2i+1, chunk c is leaf `_leaves` + c."""
        count = len(self._chunks)
        leaves = 1 << max(0, count - 1).bit_length()
        tree = [0] * leaves
        tree += [chunk.largest for chunk in self._chunks]
        tree += [0] * (2 * leaves - len(tree))
        for node in range(leaves - 1, 0, -1):
            tree[node] = max(tree[2 * node], tree[2 * node + 1])
        self._tree = tree
        self._leaves = leaves

    # The hash.

    def fnv(self) -> int:
        """FNV-1a 64 over (address, size) of every block in order, each as 8 bytes.

        What comes before the first block changed since the last call is not computed again.
        """
        state = OFFSET
        for chunk in self._chunks:
            hashes = chunk.hashes
            if chunk.hash_in != state:
                hashes.clear()
                chunk.hash_in = state
            done = len(hashes)
            if done:
                state = hashes[-1]
            if done < len(chunk.addrs):
                hashes += after_each(state, chunk.addrs[done:], chunk.sizes[done:])
                state = hashes[-1]
        return state
