"""The figures of memory, worked out from raw events as plainly as can be, to hold the analysis to.

Nothing here is shared with the package: pages are sets, ranges are lists, and each figure is looked
up by going through all events again.
"""

from __future__ import annotations

import math
from typing import Any

UNIT = 4096
PAGE = 65536


def units(low: int, high: int) -> range:
    """The pages of 4 KiB in a range, which must be whole ones."""
    assert low % UNIT == high % UNIT == 0, (low, high)
    return range(low // UNIT, high // UNIT)


def purpose_of(event: Any) -> str:
    said = event.purpose if isinstance(event.purpose, str) else ""
    if said in ("heap", "heap reservation"):
        return "arenas"
    return said or ("arenas" if event.align else "unnamed")


class Raw:
    """All that follows from the events of one run.

    Attributes:
        states: for each mem.return (t_ns, top, bloc, bloc_max, free, live) after it.
    """

    def __init__(self, events: list[Any]) -> None:
        self.events = events
        self.start = next(e for e in events if e.name == "run.start")
        self.page = self.start.phys_page_size
        self.wasm = "wasm" in self.start.platform
        self.returns = [e for e in events if e.name == "mem.return"]
        self.grows = [e for e in events if e.name == "mem.grow"]
        self.data_end = self.rounded(self.start.data_end)
        self.static = min(
            [self.data_end, *(e.p for e in self.returns if e.fn != "sysFreeOS" and e.ok and e.n)]
        )
        self.states: list[tuple[int, ...]] = []
        self.blocks_after: list[dict[int, int]] = []
        self.held_after: list[dict[str, int]] = []
        self.holes = 0
        self.noop = 0
        self._go_through()

    def rounded(self, n: int) -> int:
        whole: int = math.ceil(n / self.page) * self.page
        return whole

    def top(self, event: Any) -> int:
        top: int = event.pages * PAGE if self.wasm else event.bloc_max
        return top

    def first_top(self) -> int:
        if self.wasm:
            first: int = self.start.initial_pages * PAGE
            return first
        return self.grows[0].bytes_before if self.grows else self.data_end

    def _go_through(self) -> None:
        owner: dict[int, str] = {}
        sums: dict[str, int] = {}
        blocks: dict[int, int] = {}
        holes: set[int] = set()
        live = 0

        def give(low: int, high: int) -> None:
            for unit in units(low, high):
                had = owner.pop(unit, None)
                if had is not None:
                    sums[had] -= UNIT

        for e in self.events:
            if e.name == "freelist.take":
                holes -= set(units(e.addr, e.addr + e.size))
                left = blocks.pop(e.block_addr) - e.size
                if left:
                    blocks[e.block_addr] = left
            elif e.name == "freelist.put":
                span = set(units(e.addr, e.addr + e.size))
                holes = holes - span if e.cause == "mid_free" else holes | span
                end = e.result_addr + e.result_size
                blocks = {a: s for a, s in blocks.items() if not e.result_addr <= a < end}
                blocks[e.result_addr] = e.result_size
            elif e.name == "mem.return":
                if e.ok and e.fn == "sysFreeOS":
                    live -= e.n
                    give(e.v, e.v + self.rounded(e.n))
                    if e.path == "memfree" and not e.free_blocks:
                        self.noop += self.rounded(e.n)
                elif e.ok:
                    live += e.n
                    size = e.size if e.align else self.rounded(e.n)
                    give(e.p, e.p + size)
                    for unit in units(e.p, e.p + size):
                        owner[unit] = purpose_of(e)
                    sums[purpose_of(e)] = sums.get(purpose_of(e), 0) + size
                state = (e.t_ns, self.top(e), e.bloc, e.bloc_max, e.free_bytes, live)
                self.states.append(state)
                self.blocks_after.append(dict(blocks))
                self.held_after.append({name: size for name, size in sums.items() if size})
        self.holes = len(holes) * UNIT

    # Figures.

    def peak_live(self) -> tuple[int, int]:
        """(bytes, index of the first return that had them)."""
        most = max([0, *(state[5] for state in self.states)])
        return most, next((i for i, s in enumerate(self.states) if s[5] == most), -1)

    def peak_top(self) -> int:
        return max([self.first_top(), *(state[1] for state in self.states)])

    def asked_tops(self) -> list[int]:
        """Where the memory would have ended after each growth that a limit alone refused."""
        return [
            grow.bytes_before + grow.delta_bytes
            for grow in self.grows
            if not grow.ok
            and grow.max_pages * PAGE < grow.bytes_before + grow.delta_bytes <= 1 << 32
        ]

    def causes(self) -> dict[tuple[str, str], tuple[int, int, int]]:
        """(fn, purpose) -> growths granted, by how much, refused; by the number of the call."""
        found: dict[tuple[str, str], tuple[int, int, int]] = {}
        for grow in self.grows:
            call = next(e for e in self.returns if e.op == grow.op and e.seq > grow.seq)
            key = (call.fn, call.purpose if isinstance(call.purpose, str) else "")
            n, size, refused = found.get(key, (0, 0, 0))
            by = grow.bytes_after - grow.bytes_before
            found[key] = n + grow.ok, size + by * grow.ok, refused + (not grow.ok)
        return found

    def before(self, seq: int) -> Any:
        """The last return before an event."""
        return next((e for e in reversed(self.returns) if e.seq < seq), None)

    def live_before(self, seq: int) -> int:
        live = 0
        for e in self.returns:
            if e.seq < seq and e.ok:
                live += -e.n if e.fn == "sysFreeOS" else e.n
        return live

    def external_max(self) -> float:
        most: float = max(
            [0.0, *(1 - e.free_largest / e.free_bytes for e in self.returns if e.free_bytes)]
        )
        return most

    def sawicki_max(self) -> float:
        most = 0.0
        for blocks in self.blocks_after:
            total = sum(blocks.values())
            if total:
                squares = sum(size * size for size in blocks.values())
                most = max(most, 1 - math.sqrt(squares) / total)
        return most

    def wilson(self) -> tuple[float, float, float, float]:
        """Johnstone and Wilson's four ratios, by their definitions."""
        points = []
        static = self.data_end
        for e, state in zip(self.returns, self.states, strict=True):
            if e.ok and e.fn != "sysFreeOS" and e.n > 0:
                static = min(static, e.p)
            points.append((state[1] - static, state[5]))
        heaps, lives = [h for h, _ in points], [v for _, v in points]
        ratios = [h / v for h, v in points if v > 0]
        at_live = points[lives.index(max(lives))]
        at_heap = points[heaps.index(max(heaps))]
        return (
            sum(ratios) / len(ratios),
            at_live[0] / at_live[1],
            at_heap[0] / at_heap[1] if at_heap[1] else math.inf,
            max(heaps) / max(lives),
        )

    def discard_pages(self) -> tuple[int, int]:
        """Pages of 64 KiB that lie whole in free blocks, headers left, and above the break."""
        last = self.returns[-1]
        free = sum(
            sum(1 for p in range(a // PAGE, (a + s) // PAGE) if p * PAGE >= a + 16)
            for a, s in self.blocks_after[-1].items()
        )
        end = max(last.bloc_max, self.start.initial_pages * PAGE if self.wasm else 0)
        first = next(p for p in range(last.bloc // PAGE, end // PAGE + 2) if p * PAGE >= last.bloc)
        return free, max(0, end // PAGE - first)
