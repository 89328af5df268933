"""The free list's blocks at any moment, rebuilt from what was put and taken.

Every freelist.put says which block came of it and which neighbours it swallowed, every
freelist.take which block it cut; so the list can be kept without its memory. Snapshots are held
against it. Where events are missing, or the emulated list was corrupt, the two disagree: that is
counted, and a snapshot puts it right.

Holes are the parts of it that were trimmed or skipped to align something and that nobody has used
since (from 1.24: before, such trims are ordinary frees).

Bound: one entry a free block, as the run itself had, and one a hole.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping

from gorun_mem.analysis.accumulator import Accumulator, Handler
from gorun_mem.events.types import FreelistPut, FreelistSnapshot, FreelistTake, LogEvent


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
            FreelistTake: self._take,
            FreelistPut: self._put,
            FreelistSnapshot: self._snapshot,
        }

    def ordered(self) -> list[tuple[int, int]]:
        """(address, bytes) of each block by address."""
        return sorted(self.blocks.items())

    @property
    def largest(self) -> int:
        """Bytes of the largest block; a pass over all."""
        return max(self.blocks.values(), default=0)

    def _take(self, event: FreelistTake) -> None:
        self.known = True
        if self.holes:
            self._remove_hole(event.addr, event.addr + event.size)
        addr, size = event.block_addr, event.block_size
        had = self.blocks.get(addr)
        if had != size:
            self._disagree(event.seq, f"a block of {size} bytes at {addr:#x} was taken from", had)
        left = size - event.size
        had = had or 0
        if event.exact or left <= 0:
            self.blocks.pop(addr, None)
            left = 0
        else:
            self.blocks[addr] = left
        self.total += left - had
        self.squares += left * left - had * had

    def _put(self, event: FreelistPut) -> None:
        self.known = True
        addr, size = event.addr, event.size
        if event.cause not in ("mid_free", "rest"):
            self._remove_hole(addr, addr + size)
            insort(self.holes, (addr, addr + size))
        elif self.holes:
            self._remove_hole(addr, addr + size)
        gone = whole = 0
        blocks = self.blocks
        if event.merged_next:
            part = blocks.pop(addr + size, 0)
            gone, whole = part, part * part
        part = blocks.pop(event.result_addr, 0)
        result = event.result_size
        if part:
            gone += part
            whole += part * part
        if gone + size != result or bool(part) != event.merged_prev:
            self._disagree(event.seq, f"a put at {addr:#x} made {result} bytes", gone + size)
        blocks[event.result_addr] = result
        self.total += result - gone
        self.squares += result * result - whole

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
        self.squares = sum(size * size for size in shown.values())

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
