"""The free list of mem_sbrk.go by an index, with the same answers: memAlloc's search and memFree.

Go finds its place by walking (`freewalk`). Here a `FreeIndex` mirrors the headers, and every
operation takes one of two ways with the same result:

1. `_index` is not None iff a walk of the headers would meet exactly its blocks, ascending, each
   within the memory and none overlapping the next block or its header. Then an operation goes by
   the index and writes the same header words as Go's code would.
2. Otherwise the operation walks, as Go's code does, corruption and all, and then tries whether a
   walk over the whole list gives an index again.

A write by anybody else that overlaps a header (`note_write`, the memory's `guard`) drops the index.
So does a free of a range that overlaps a free block, and so may an operation on less than a header.
"""

from __future__ import annotations

from collections.abc import Callable

from gorun_mem.runtime import fnv
from gorun_mem.runtime.call import Call
from gorun_mem.runtime.errors import Fault
from gorun_mem.runtime.freeindex import FreeIndex
from gorun_mem.runtime.freewalk import WalkedList
from gorun_mem.runtime.linear_memory import LinearMemory


class FreeList(WalkedList):
    """memFreelist and the functions that work on it.

    memlock must be held for every call but the counts.

    Args:
        memory: where the headers lie.
        mem_round: memRound; rounds a size up to pages.
        search_function: the Go function that searches: memAllocNoGrow, or memAlloc before it was
            split off.
        mem_debug: Go's memDebug.
        use_index: False makes every operation walk.
    """

    __slots__ = (
        "_index",
        "_use_index",
    )

    def __init__(
        self,
        memory: LinearMemory,
        mem_round: Callable[[int], int],
        *,
        search_function: str = "memAllocNoGrow",
        mem_debug: bool = False,
        use_index: bool = True,
    ) -> None:
        super().__init__(memory, mem_round, search_function, mem_debug)
        self._use_index = use_index
        self._index: FreeIndex | None = FreeIndex() if use_index else None
        memory.guard = self.note_write

    def __repr__(self) -> str:
        how = "indexed" if self._index is not None else "walked"
        return f"<FreeList head={self.head:#x} {how}>"

    # What it holds.

    @property
    def indexed(self) -> bool:
        """Whether operations go by the index at the moment."""
        return self._index is not None

    @property
    def count(self) -> int:
        """Free blocks."""
        return self._index.count if self._index is not None else len(self.blocks())

    @property
    def total_bytes(self) -> int:
        """Free bytes, modulo a word as Go would add them up."""
        if self._index is not None:
            return self._index.total_bytes
        return sum(size for _, size in self.blocks()) & self._word_mask

    @property
    def largest(self) -> int:
        """Size of the largest free block, 0 when there is none."""
        if self._index is not None:
            return self._index.largest
        return max((size for _, size in self.blocks()), default=0)

    def figures(self) -> tuple[int, int, int] | None:
        """Free bytes, free blocks and the largest; None where it takes a walk to tell."""
        index = self._index
        return (index.total_bytes, index.count, index.largest) if index is not None else None

    def blocks(self, function: str = "memFreelist") -> list[tuple[int, int]]:
        """(address, size) of every block in list order.

        Raises:
            Hang: the list comes back to itself; `function` is who is said to hang.
            Fault: a header lies outside the memory.
        """
        if self._index is not None:
            return list(self._index)
        return list(self._walk(function))

    def fnv(self, function: str = "memFreelist") -> int:
        """FNV-1a 64 over (address, size) of every block in list order, each as 8 bytes."""
        if self._index is not None:
            return self._index.fnv()
        return fnv.fnv1a(fnv.OFFSET, *(word for block in self.blocks(function) for word in block))

    def note_write(self, addr: int, n: int) -> None:
        """Take note that somebody is about to write [addr, addr+n)."""
        index = self._index
        if index is None or not index.count:
            return
        position = index.locate(addr + n - 1)
        if position is not None and index.at(position)[0] + self._header_size > addr:
            self._index = None

    # memAlloc.

    def mem_alloc_no_grow(self, n: int, call: Call | None = None) -> int:
        """memAllocNoGrow: the lowest block of at least `n` bytes, or the tail of a larger one.

        memlock must be held.

        Args:
            n: bytes, not rounded.
            call: takes how many headers Go would have looked at; not counted without a sink.

        Returns:
            The address of memory that is zero, or 0 when no block is large enough.

        Raises:
            Hang: the search came back to a header it had passed.
            Fault: a header lies outside the memory.
        """
        n = self._round(n)
        index = self._index
        if index is None or n < self._header_size:
            return self._alloc_walking(n, call)
        position = index.first_fit(n)
        if position is None:
            if call is not None:
                call.search_steps = index.count
            return 0
        block, size = index.at(position)
        memory = self._memory
        rank = 0
        if self.sink is not None:
            rank = index.rank(position)
            if call is not None:
                call.search_steps = rank + 1
        if size == n:
            before, behind = index.links(position)
            if before:
                memory.put_word(before, behind)
            else:
                self.head = behind
            index.remove(position)
            p = block
        elif size - n < self._header_size:
            return self._alloc_walking(n, call)  # what is cleared lies over the block's own header
        else:
            memory.put_word(block + self._word_size, size - n)
            index.resize(position, size - n)
            p = block + size - n
        memory.put_header(p, 0, 0)
        if self.sink is not None:
            self.sink.freelist_take(p, n, block, size, size == n, rank)
        return p

    # memFree.

    def mem_free(self, ap: int, n: int, cause: str = "mid_free", call: Call | None = None) -> None:
        """memFree: clear [ap, ap+n) and put it into the list, merged with its neighbours.

        memlock must be held.

        Args:
            ap: address.
            n: bytes, not rounded.
            cause: why, for the log: mid_free, align_head, align_tail or align_skip.
            call: takes how many bytes were cleared.

        Raises:
            Hang: the search came back to a header it had passed.
            Fault: the range or a header lies outside the memory, or `ap` is nil.
        """
        n = self._round(n)
        memory = self._memory
        if ap + n > memory.size and n:
            memory.check_range(ap, n, "clear")
        if call is not None:
            call.cleared_bytes += n
        index = self._index
        least = self._header_size
        if index is None or n < least or not ap:
            self._free_walking(ap, n, cause)
            return
        before, before_size, behind, behind_size, position, following = index.around(ap)
        end = before + before_size
        if (before and (end > ap or before + least > ap)) or (behind and ap + n > behind):
            self._free_walking(ap, n, cause)
            return
        memory.wipe(ap, n)
        merged_prev = end == ap  # not by two zeros, for `ap` is none
        size = n
        next_ = behind
        if following is not None and ap + n == behind:
            merged_next = True
            size += behind_size
            next_ = memory.load_word(behind)
            memory.put_header(behind, 0, 0)
            if merged_prev:
                index.remove(following)
            else:
                index.move(following, ap, size)
        else:
            merged_next = False
            if not merged_prev:
                index.insert_after(position, ap, n)
        if merged_prev and position is not None:
            memory.put_header(before, next_, before_size + size)
            index.resize(position, before_size + size)
        else:
            memory.put_header(ap, next_, size)
            if before:
                memory.put_word(before, ap)
            else:
                self.head = ap
        if self.sink is not None:
            self._report_put(ap, n, merged_prev, merged_next, before, before_size, size, cause)

    def _drop_index(self) -> None:
        self._index = None

    def _reindex(self) -> None:
        """Take up the index again if the headers allow it (see invariant 1)."""
        if not self._use_index:
            return
        blocks: list[tuple[int, int]] = []
        end = 0
        p = self.head
        top = self._memory.size
        try:
            while p:
                next_, size = self._memory.load_header(p)
                if p < end or p + max(size, self._header_size) > top:
                    return
                blocks.append((p, size))
                end = p + max(size, self._header_size)
                p = next_
        except Fault:
            return
        self._index = FreeIndex(blocks)
