"""The free list of mem_sbrk.go: memHdr, memAlloc's search, memFree and memCheck.

A free block begins with a header of two words, the address of the next block and the block's own
size, which lies in the block itself. The list is in ascending address order and starts at `head`.
All of it is zero but the headers, for memFree clears what it takes; so what memAlloc hands out is
zero once the header is.

Go finds its place by walking. Here a `FreeIndex` mirrors the headers, and every operation takes one
of two ways with the same result:

1. `_index` is not None iff a walk of the headers would meet exactly its blocks, ascending, each
   within the memory and none overlapping the next block or its header. Then an operation goes by
   the index and writes the same header words as Go's code would.
2. Otherwise the operation walks, as Go's code does, corruption and all, and then tries whether a
   walk over the whole list gives an index again.

A write by anybody else that overlaps a header (`note_write`, the memory's `guard`) drops the index.
So does a free of a range that overlaps a free block, and so may an operation on less than a header.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from gorun_mem.runtime.call import Call
from gorun_mem.runtime.errors import Fault, Hang, Throw
from gorun_mem.runtime.freeindex import FNV_OFFSET, FreeIndex, fnv1a
from gorun_mem.runtime.memory import LinearMemory
from gorun_mem.runtime.sink import Sink

UNINITIALISED: Final = "mem: uninitialised memory"


class FreeList:
    """memFreelist and the functions that work on it.

    memlock must be held for every call but the counts.

    Args:
        memory: where the headers lie.
        mem_round: memRound; rounds a size up to pages.
        search_function: the Go function that searches: memAllocNoGrow, or memAlloc before it was
            split off.
        use_index: False makes every operation walk.

    Attributes:
        head: address of the first block, 0 when the list is empty.
        mem_debug: Go's memDebug; whether `mem_check` does anything.
    """

    __slots__ = (
        "_header_size",
        "_index",
        "_memory",
        "_round",
        "_search_function",
        "_use_index",
        "_word_mask",
        "_word_size",
        "head",
        "mem_debug",
        "sink",
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
        self.head = 0
        self.mem_debug = mem_debug
        self.sink: Sink | None = None
        self._memory = memory
        self._round = mem_round
        self._search_function = search_function
        self._word_size = memory.word_size
        self._word_mask = (1 << (8 * memory.word_size)) - 1
        self._header_size = 2 * memory.word_size
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
        return fnv1a(FNV_OFFSET, *(word for block in self.blocks(function) for word in block))

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

    def _alloc_walking(self, n: int, call: Call | None) -> int:
        """Go's steps one by one, on whatever the headers say; the size is read first."""
        memory = self._memory
        passed: set[int] = set()
        previous = size = 0
        p = self.head
        while p:
            if p in passed:
                raise Hang(self._search_function, p)
            passed.add(p)
            size = memory.load_word((p + self._word_size) & self._word_mask)
            if size >= n:
                break
            previous, p = p, memory.load_word(p)
        if call is not None:
            call.search_steps = len(passed)
        if p:
            return self._take_walking(previous, p, size, n, len(passed) - 1)
        self._reindex()
        return 0

    def _take_walking(self, previous: int, block: int, size: int, n: int, rank: int) -> int:
        self._index = None
        if size == n:
            self._link(previous, self._memory.load_word(block))
            p = block
        else:
            self._memory.put_word(block + self._word_size, size - n)
            p = (block + size - n) & self._word_mask
        self._zero_header(p)
        self._reindex()
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

    def _free_walking(self, ap: int, n: int, cause: str) -> None:
        """Go's steps one by one, on whatever the headers say."""
        memory = self._memory
        mask = self._word_mask
        self._index = None
        memory.wipe(ap, n)
        if not ap:
            raise Fault(0, "write of a free-list header through a nil pointer")
        memory.check_range(ap + self._word_size, self._word_size, "write")
        if self.head == 0:
            memory.put_header(ap, 0, n)
            self.head = ap
            self._reindex()
            self._report_put(ap, n, False, False, 0, 0, n, cause)
            return
        memory.put_word(ap + self._word_size, n)
        first = self.head
        if ap < first:
            self.head = ap
            merged_next = (ap + n) & mask == first
            size = n
            if merged_next:
                next_, first_size = memory.load_header(first)
                size = (n + first_size) & mask
                memory.put_header(ap, next_, size)
                memory.put_header(first, 0, 0)
            else:
                memory.put_word(ap, first)
            self._reindex()
            self._report_put(ap, n, False, merged_next, 0, 0, size, cause)
            return
        p, p_next = self._find_place(ap)
        size = memory.load_word(ap + self._word_size)
        merged_next = (ap + size) & mask == p_next
        if merged_next:
            size = (size + memory.load_word(p_next + self._word_size)) & mask
            memory.put_word(ap + self._word_size, size)
            memory.put_word(ap, memory.load_word(p_next))
            self._zero_header(memory.load_word(p))
        else:
            memory.put_word(ap, memory.load_word(p))
        p_size = memory.load_word(p + self._word_size)
        merged_prev = (p + p_size) & mask == ap
        if merged_prev:
            memory.put_word(
                p + self._word_size, (p_size + memory.load_word(ap + self._word_size)) & mask
            )
            memory.put_word(p, memory.load_word(ap))
            memory.put_header(ap, 0, 0)
        else:
            memory.put_word(p, ap)
        self._reindex()
        self._report_put(ap, n, merged_prev, merged_next, p, p_size, size, cause)

    def _find_place(self, ap: int) -> tuple[int, int]:
        """The block after which memFree's walk stops, and that block's next."""
        passed: set[int] = set()
        p = self.head
        while True:
            if p in passed:
                raise Hang("memFree", p)
            passed.add(p)
            next_ = self._memory.load_word(p)
            if not next_ or p < ap < next_:
                return p, next_
            p = next_

    def _report_put(
        self,
        ap: int,
        n: int,
        merged_prev: bool,
        merged_next: bool,
        before: int,
        before_size: int,
        size: int,
        cause: str,
    ) -> None:
        if self.sink is None:
            return
        result = (before, before_size + size) if merged_prev else (ap, size)
        self.sink.freelist_put(ap, n, merged_prev, merged_next, *result, cause)

    # memCheck.

    def mem_check(self) -> None:
        """memCheck: nothing unless `mem_debug`; else `check`.

        memlock must be held.
        """
        if self.mem_debug:
            self.check()

    def check(self) -> None:
        """The checks of memCheck: order, overlap, and zeros behind the headers.

        As in Go the last block's contents are not looked at, for the loop ends there.

        Raises:
            Throw: "mem: infinite loop", "mem: unordered list", "mem: overlapping blocks" or
                "mem: uninitialised memory", with the line that Go prints before.
            Fault: a header or a block lies outside the memory.
        """
        try:
            p = self.head
            while p:
                next_ = self._memory.load_word(p)
                if not next_:
                    break
                self._check_block(p, next_)
                p = next_
        except Throw as throw:
            if self.sink is not None:
                self.sink.mem_check(False, throw.message, int(throw.context["addr"]))
            raise
        if self.sink is not None:
            self.sink.mem_check(True, "", 0)

    def _check_block(self, p: int, next_: int) -> None:
        if p == next_:
            raise Throw("mem: infinite loop", f"runtime: {p:#x} == {next_:#x}", addr=p)
        if p > next_:
            raise Throw("mem: unordered list", f"runtime: {p:#x} > {next_:#x}", addr=p)
        size = self._memory.load_word(p + self._word_size)
        end = (p + size) & self._word_mask
        if end > next_:
            raise Throw(
                "mem: overlapping blocks", f"runtime: {p:#x}+{size} > {next_:#x}", addr=p, size=size
            )
        first = p + self._header_size
        dirty = self._memory.first_nonzero(first, end - first)
        if dirty is not None:
            raise Throw(
                UNINITIALISED,
                f"runtime: value at addr {dirty:#x} with offset {dirty - p} in block {p:#x} "
                f"of size {size} is not zero",
                addr=dirty,
                block=p,
                size=size,
            )

    # Walking.

    def _walk(self, function: str) -> Iterator[tuple[int, int]]:
        """(address, size) of each block by its header.

        Raises:
            Hang: a header came up twice.
            Fault: a header lies outside the memory.
        """
        passed: set[int] = set()
        p = self.head
        while p:
            if p in passed:
                raise Hang(function, p)
            passed.add(p)
            next_, size = self._memory.load_header(p)
            yield p, size
            p = next_

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

    def _link(self, before: int, addr: int) -> None:
        if before:
            self._memory.put_word(before, addr)
        else:
            self.head = addr

    def _zero_header(self, addr: int) -> None:
        if not addr:
            raise Fault(0, "write of a free-list header through a nil pointer")
        self._memory.check_range(addr, self._header_size, "write")
        self._memory.put_header(addr, 0, 0)
