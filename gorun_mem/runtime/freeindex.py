"""An index of the free list: first fit, neighbours and the list's hash without a walk.

Go walks its list. Here the blocks stand twice: as headers in the memory, which are the truth, and
in this index, which is a cache of them (see `freelist`). Blocks are kept in address order in chunks
of at most `LOAD`; `_prefix_max[i]` is the largest block in chunks 0 to i, which only rises, so the
first chunk that holds a fit is found by bisection and the block in it by a short scan.

Rejected: a balanced tree (each of its steps costs Python as much as a bisection costs altogether)
and one flat list (an insertion moves 30,000 entries).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import Final

LOAD: Final = 96
FNV_OFFSET: Final = 0xCBF29CE484222325
_FNV_PRIME: Final = 0x100000001B3
_MASK: Final = (1 << 64) - 1


def fnv1a(state: int, *words: int) -> int:
    """FNV-1a 64 continued over `words`, each as 8 little-endian bytes."""
    for word in words:
        for byte in word.to_bytes(8, "little"):
            state = (state ^ byte) * _FNV_PRIME & _MASK
    return state


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

    A position is (chunk number, place in the chunk); it holds until the next change.

    Args:
        blocks: (address, size) pairs in ascending order.
    """

    __slots__ = ("_chunks", "_firsts", "_prefix_max", "count", "total_bytes")

    def __init__(self, blocks: Iterable[tuple[int, int]] = ()) -> None:
        ordered = list(blocks)
        half = LOAD // 2
        self._chunks = [
            _Chunk([a for a, _ in part], [s for _, s in part])
            for part in (ordered[i : i + half] for i in range(0, len(ordered), half))
        ]
        self._firsts = [chunk.addrs[0] for chunk in self._chunks]
        self._prefix_max: list[int] = [0] * len(self._chunks)
        self.count = len(ordered)
        self.total_bytes = sum(size for _, size in ordered)
        self._rebuild_prefix_max()

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for chunk in self._chunks:
            yield from zip(chunk.addrs, chunk.sizes, strict=True)

    def __repr__(self) -> str:
        return f"<FreeIndex {self.count} blocks, {self.total_bytes} bytes>"

    @property
    def largest(self) -> int:
        """Size of the largest block, 0 when there is none."""
        return self._prefix_max[-1] if self._prefix_max else 0

    # Finding.

    def first_fit(self, n: int) -> tuple[int, int] | None:
        """The position of the lowest block of at least `n` bytes."""
        c = bisect_left(self._prefix_max, n)
        if c == len(self._prefix_max):
            return None
        i = 0
        for size in self._chunks[c].sizes:
            if size >= n:
                return c, i
            i += 1
        raise AssertionError("prefix maxima out of step with the chunks")

    def locate(self, addr: int) -> tuple[int, int] | None:
        """The position of the last block at or below `addr`."""
        c = bisect_right(self._firsts, addr) - 1
        if c < 0:
            return None
        return c, bisect_right(self._chunks[c].addrs, addr) - 1

    def at(self, position: tuple[int, int]) -> tuple[int, int]:
        """(address, size) of the block at `position`."""
        c, i = position
        chunk = self._chunks[c]
        return chunk.addrs[i], chunk.sizes[i]

    def addr_before(self, position: tuple[int, int]) -> int:
        """Address of the block before `position`, 0 when there is none."""
        c, i = position
        if i:
            return self._chunks[c].addrs[i - 1]
        return self._chunks[c - 1].addrs[-1] if c else 0

    def after(self, position: tuple[int, int] | None) -> tuple[int, int] | None:
        """The position of the block after `position`; of the first block after None."""
        if position is None:
            return (0, 0) if self._chunks else None
        c, i = position
        if i + 1 < len(self._chunks[c].addrs):
            return c, i + 1
        return (c + 1, 0) if c + 1 < len(self._chunks) else None

    def rank(self, position: tuple[int, int]) -> int:
        """How many blocks stand before `position`."""
        c, i = position
        return sum(len(chunk.addrs) for chunk in self._chunks[:c]) + i

    # Changing.

    def resize(self, position: tuple[int, int], size: int) -> None:
        """Give the block at `position` another size."""
        c, i = position
        chunk = self._chunks[c]
        old = chunk.sizes[i]
        chunk.sizes[i] = size
        del chunk.hashes[i:]
        self.total_bytes += size - old
        self._largest_changed(c, old, size)

    def move(self, position: tuple[int, int], addr: int, size: int) -> None:
        """Let the block at `position` begin elsewhere, between its neighbours still."""
        c, i = position
        self._chunks[c].addrs[i] = addr
        if i == 0:
            self._firsts[c] = addr
        self.resize(position, size)

    def remove(self, position: tuple[int, int]) -> None:
        """Drop the block at `position`."""
        c, i = position
        chunk = self._chunks[c]
        old = chunk.sizes[i]
        self.count -= 1
        self.total_bytes -= old
        if len(chunk.addrs) == 1:
            del self._chunks[c], self._firsts[c], self._prefix_max[c]
            self._rebuild_prefix_max(c)
            return
        del chunk.addrs[i], chunk.sizes[i], chunk.hashes[i:]
        if i == 0:
            self._firsts[c] = chunk.addrs[0]
        self._largest_changed(c, old, 0)

    def insert_after(self, position: tuple[int, int] | None, addr: int, size: int) -> None:
        """Add a block after `position`, or as the first after None."""
        self.count += 1
        self.total_bytes += size
        if not self._chunks:
            self._chunks = [_Chunk([addr], [size])]
            self._firsts = [addr]
            self._prefix_max = [size]
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
        self._prefix_max.insert(c + 1, 0)
        self._rebuild_prefix_max(c)

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
        prefix_max = self._prefix_max
        running = prefix_max[c - 1] if c else 0
        for i in range(c, len(prefix_max)):
            running = max(running, self._chunks[i].largest)
            if prefix_max[i] == running:
                return
            prefix_max[i] = running

    def _rebuild_prefix_max(self, c: int = 0) -> None:
        prefix_max = self._prefix_max
        running = prefix_max[c - 1] if c else 0
        for i in range(c, len(prefix_max)):
            running = prefix_max[i] = max(running, self._chunks[i].largest)

    # The hash.

    def fnv(self) -> int:
        """FNV-1a 64 over (address, size) of every block in order, each as 8 bytes.

        What comes before the first block changed since the last call is not computed again.
        """
        state = FNV_OFFSET
        for chunk in self._chunks:
            hashes = chunk.hashes
            if chunk.hash_in != state:
                hashes.clear()
                chunk.hash_in = state
            done = len(hashes)
            if done:
                state = hashes[-1]
            if done < len(chunk.addrs):
                for addr, size in zip(chunk.addrs[done:], chunk.sizes[done:], strict=True):
                    for byte in (addr | size << 64).to_bytes(16, "little"):
                        state = (state ^ byte) * _FNV_PRIME & _MASK
                    hashes.append(state)
        return state
