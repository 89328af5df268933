"""The free list of mem_sbrk.go by Go's own steps: memAlloc's search, memFree and memCheck, walked.

A free block begins with a header of two words, the address of the next block and the block's own
size, which lies in the block itself. The list is in ascending address order and starts at `head`.
All of it is zero but the headers, for memFree clears what it takes; so what memAlloc hands out is
zero once the header is.

The steps here are Go's, one by one, on whatever the headers say, corruption and all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from gorun_mem.runtime.call import Call
from gorun_mem.runtime.errors import Fault, Hang, Throw
from gorun_mem.runtime.linear_memory import LinearMemory
from gorun_mem.runtime.sink import Sink

UNINITIALISED: Final = "mem: uninitialised memory"


class WalkedList:
    """memFreelist, walked.

    Args:
        memory: where the headers lie.
        mem_round: memRound; rounds a size up to pages.
        search_function: the Go function that searches: memAllocNoGrow, or memAlloc before it was
            split off.
        mem_debug: Go's memDebug.

    Attributes:
        head: address of the first block, 0 when the list is empty.
        mem_debug: whether `mem_check` does anything.
        sink: who is told what happens.
    """

    __slots__ = (
        "_header_size",
        "_memory",
        "_round",
        "_search_function",
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
        search_function: str,
        mem_debug: bool,
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

    def _drop_index(self) -> None:
        """What is known of the list besides its headers may be wrong from now on."""

    def _reindex(self) -> None:
        """An operation is done; the headers may be sound again."""

    # memAlloc and memFree.

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
        self._drop_index()
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

    def _free_walking(self, ap: int, n: int, cause: str) -> None:
        """Go's steps one by one, on whatever the headers say."""
        memory = self._memory
        mask = self._word_mask
        self._drop_index()
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
