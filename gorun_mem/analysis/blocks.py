"""The free list's blocks at any moment, rebuilt from what was put and taken.

Every freelist.put says which block came of it and which neighbours it swallowed, every
freelist.take which block it cut; so the list can be kept without its memory. Snapshots are held
against it. Where events are missing, or the emulated list was corrupt, the two disagree: that is
counted, and a snapshot puts it right.

Bound: one entry a free block, as the run itself had.
"""

from __future__ import annotations

from collections.abc import Mapping

from gorun_mem.analysis.stream import Accumulator, Handler
from gorun_mem.events.types import Event, FreelistPut, FreelistSnapshot, FreelistTake


class FreeBlocks(Accumulator):
    """Rebuilds the free list.

    Attributes:
        blocks: address -> bytes, in no order.
        total: free bytes.
        squares: sum of the squares of the blocks' bytes.
        known: whether the log has these events at all.
        mismatches: events that do not go with what was known.
        mismatch: the first of them, in words.
        puts: cause -> how often.
        put_bytes: cause -> bytes.
        takes: ranges taken; exact_takes: those that were a whole block.
    """

    def __init__(self) -> None:
        self.blocks: dict[int, int] = {}
        self.total = 0
        self.squares = 0
        self.known = False
        self.mismatches = 0
        self.mismatch = ""
        self.puts: dict[str, int] = {}
        self.put_bytes: dict[str, int] = {}
        self.takes = self.exact_takes = 0

    def handlers(self) -> Mapping[type[Event], Handler]:
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
        self.takes += 1
        addr, size = event.block_addr, event.block_size
        had = self.blocks.get(addr)
        if had != size:
            self._disagree(event.seq, f"a block of {size} bytes at {addr:#x} was taken from", had)
        left = size - event.size
        had = had or 0
        if event.exact or left <= 0:
            self.exact_takes += 1
            self.blocks.pop(addr, None)
            left = 0
        else:
            self.blocks[addr] = left
        self.total += left - had
        self.squares += left * left - had * had

    def _put(self, event: FreelistPut) -> None:
        self.known = True
        addr, size = event.addr, event.size
        cause = event.cause
        puts = self.puts
        puts[cause] = puts.get(cause, 0) + 1
        self.put_bytes[cause] = self.put_bytes.get(cause, 0) + size
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

    def _disagree(self, seq: int, fact: str, had: int | None) -> None:
        self.mismatches += 1
        if not self.mismatch:
            known = "none" if had is None else str(had)
            self.mismatch = f"event {seq}: {fact} where {known} was known"
