"""The free list's blocks at any moment, rebuilt from what was put and taken; what is handed out.

Every freelist.put says which block came of it and which neighbours it swallowed, every
freelist.take which block it cut; so the list can be kept without its memory. Snapshots are held
against it. Where events are missing, or the emulated list was corrupt, the two disagree: that is
counted, and a snapshot puts it right.

Holes are the parts of it that were trimmed or skipped to align something and that nobody has used
since (from 1.24: before, such trims are ordinary frees).

Bound: one entry a free block, as the run itself had, and one a hole; one for each range that is
handed out, and one for each growth of the host's.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping
from typing import Final

from gorun_mem.analysis.accumulator import Accumulator, ByFields, Fields, Handler, place
from gorun_mem.analysis.arithmetic import product
from gorun_mem.events.types import FreelistPut, FreelistSnapshot, FreelistTake, LogEvent

_UNASKED_MIN: Final = 64

_TAKE_ADDR: Final = place(FreelistTake, "addr")
_TAKE_SIZE: Final = place(FreelistTake, "size")
_TAKE_BLOCK_ADDR: Final = place(FreelistTake, "block_addr")
_TAKE_BLOCK_SIZE: Final = place(FreelistTake, "block_size")
_TAKE_EXACT: Final = place(FreelistTake, "exact")

_PUT_ADDR: Final = place(FreelistPut, "addr")
_PUT_SIZE: Final = place(FreelistPut, "size")
_PUT_MERGED_PREV: Final = place(FreelistPut, "merged_prev")
_PUT_MERGED_NEXT: Final = place(FreelistPut, "merged_next")
_PUT_RESULT_ADDR: Final = place(FreelistPut, "result_addr")
_PUT_RESULT_SIZE: Final = place(FreelistPut, "result_size")
_PUT_CAUSE: Final = place(FreelistPut, "cause")


class FreeBlocks(Accumulator):
    """Rebuilds the free list.

    Attributes:
        blocks: address -> bytes, in no order.
        total: free bytes.
        squares: sum of the squares of the blocks' bytes.
        holes: (start, end) of each hole, by address.
        known: whether the log has these events at all.
        mismatches: events that do not go with what was known.
        mismatch: the first of them, in words.
    """

    def __init__(self) -> None:
        self.blocks: dict[int, int] = {}
        self.total = 0
        self.squares = 0
        self.holes: list[tuple[int, int]] = []
        self.known = False
        self.mismatches = 0
        self.mismatch = ""

    def handlers(self) -> Mapping[type[LogEvent], Handler]:
        """What changes the list, and what shows it whole."""
        return {
            FreelistTake: ByFields(self._take),
            FreelistPut: ByFields(self._put),
            FreelistSnapshot: self._snapshot,
        }

    def ordered(self) -> list[tuple[int, int]]:
        """(address, bytes) of each block by address."""
        return sorted(self.blocks.items())

    @property
    def largest(self) -> int:
        """Bytes of the largest block; a pass over all."""
        return max(self.blocks.values(), default=0)

    def _take(self, event: FreelistTake, fields: Fields) -> None:
        taken: int = fields[_TAKE_SIZE]
        addr: int = fields[_TAKE_BLOCK_ADDR]
        size: int = fields[_TAKE_BLOCK_SIZE]
        self.known = True
        if self.holes:
            low: int = fields[_TAKE_ADDR]
            self._remove_hole(low, low + taken)
        had = self.blocks.get(addr)
        if had != size:
            self._disagree(event.seq, f"a block of {size} bytes at {addr:#x} was taken from", had)
        left = size - taken
        had = had or 0
        if left <= 0 or fields[_TAKE_EXACT]:
            if addr in self.blocks:
                del self.blocks[addr]
            left = 0
        else:
            self.blocks[addr] = left
        self.total += left - had
        self.squares += product(left, left) - product(had, had)

    def _put(self, event: FreelistPut, fields: Fields) -> None:
        addr: int = fields[_PUT_ADDR]
        size: int = fields[_PUT_SIZE]
        cause: str = fields[_PUT_CAUSE]
        merged_prev: bool = fields[_PUT_MERGED_PREV]
        result_addr: int = fields[_PUT_RESULT_ADDR]
        result: int = fields[_PUT_RESULT_SIZE]
        self.known = True
        if cause != "mid_free" and cause != "rest":
            self._remove_hole(addr, addr + size)
            insort(self.holes, (addr, addr + size))
        elif self.holes:
            self._remove_hole(addr, addr + size)
        gone = whole = 0
        blocks = self.blocks
        if fields[_PUT_MERGED_NEXT]:
            part = blocks.pop(addr + size, 0)
            gone = part
            whole = product(part, part)
        part = blocks.get(result_addr, 0)
        if part:
            gone += part
            whole += product(part, part)
        if gone + size != result or bool(part) != merged_prev:
            self._disagree(event.seq, f"a put at {addr:#x} made {result} bytes", gone + size)
        blocks[result_addr] = result
        self.total += result - gone
        self.squares += product(result, result) - whole

    def _snapshot(self, event: FreelistSnapshot) -> None:
        shown = dict(event.blocks)
        if shown == self.blocks:
            self.known = True
            return
        if self.known:
            self._disagree(event.seq, f"a snapshot shows {len(shown)} blocks", len(self.blocks))
        self.known = True
        self.blocks = shown
        self.total = sum(shown.values())
        self.squares = sum([product(size, size) for size in shown.values()])

    def _remove_hole(self, low: int, high: int) -> None:
        """[low, high) is a hole no longer."""
        holes = self.holes
        at = max(0, bisect_left(holes, (low, 0)) - 1)
        while at < len(holes) and holes[at][0] < high:
            start, end = holes[at]
            if end <= low:
                at += 1
                continue
            del holes[at]
            if start < low:
                holes.insert(at, (start, low))
                at += 1
            if end > high:
                holes.insert(at, (high, end))
                at += 1

    def _disagree(self, seq: int, fact: str, had: int | None) -> None:
        self.mismatches += 1
        if not self.mismatch:
            known = "none" if had is None else str(had)
            self.mismatch = f"event {seq}: {fact} where {known} was known"


class HandedOut:
    """Ranges by address, and bytes by purpose.

    Attributes:
        ranges: address -> (bytes, purpose).
        held: purpose -> bytes handed out.
        hosts: (low, high) of what the host has grown the memory by, as far as it is not handed out.
        unknown_frees: frees of what was not known to be handed out.
    """

    __slots__ = ("_order", "_unasked", "held", "hosts", "ranges", "unknown_frees")

    def __init__(self) -> None:
        self.ranges: dict[int, tuple[int, str]] = {}
        self.held: dict[str, int] = {}
        self.hosts: list[tuple[int, int]] = []
        self.unknown_frees = 0
        self._order: list[int] | None = None  # addresses, while parts of ranges are freed
        self._unasked = 0  # changes of it since it was made or looked at

    def hold(self, p: int, size: int, purpose: str) -> None:
        """[p, p + size) is handed out for `purpose`."""
        if self.hosts:
            self.hosts = [
                part
                for low, high in self.hosts
                for part in ((low, min(high, p)), (max(low, p + size), high))
                if part[0] < part[1]
            ]
        held = self.held
        old = self.ranges.get(p)
        if old is not None:  # handed out twice: the free is missing from the log
            held[old[1]] -= old[0]
        elif self._order is not None:
            self._reorder(p, True)
        self.ranges[p] = (size, purpose)
        held[purpose] = held.get(purpose, 0) + size

    def give_back(self, v: int, size: int) -> None:
        """[v, v + size) is freed."""
        entry = self.ranges.get(v)
        if entry is not None and entry[0] == size:
            del self.ranges[v]
            self.held[entry[1]] -= size
            if self._order is not None:
                self._reorder(v, False)
        elif size > 0:
            self._give_back_part(v, v + size)

    def _give_back_part(self, low: int, high: int) -> None:
        """A free of what is not one whole range: a trim, or several ranges at once."""
        if self._order is None:
            self._order = sorted(self.ranges)
        self._unasked = 0
        order = self._order
        first = max(0, bisect_right(order, low) - 1)
        freed = 0
        for p in order[first : bisect_left(order, high)]:
            size, purpose = self.ranges[p]
            end = p + size
            cut_low, cut_high = max(p, low), min(end, high)
            if cut_low >= cut_high:
                continue
            freed += cut_high - cut_low
            self.held[purpose] -= size
            del self.ranges[p]
            del order[bisect_left(order, p)]
            for part_low, part_high in ((p, cut_low), (cut_high, end)):
                if part_low < part_high:
                    self.hold(part_low, part_high - part_low, purpose)
        if freed < high - low:
            self.unknown_frees += 1

    def _reorder(self, p: int, there: bool) -> None:
        """An address came or went; to sort all again costs less than to keep up for long."""
        order = self._order
        assert order is not None
        self._unasked += 1
        if self._unasked > len(order) + _UNASKED_MIN:
            self._order = None
        elif there:
            insort(order, p)
        else:
            del order[bisect_left(order, p)]

    @property
    def host_bytes(self) -> int:
        """The host's, and not handed out."""
        return sum(high - low for low, high in self.hosts)

    @property
    def highest(self) -> tuple[int, int, str] | None:
        """(address, bytes, purpose) of the highest range, None without one."""
        if not self.ranges:
            return None
        p = max(self.ranges)
        return p, *self.ranges[p]
