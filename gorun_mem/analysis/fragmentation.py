"""Fragmentation, by every common measure.

Each measure is a function of numbers, with its formula and where it is from; `Fragmentation` feeds
them from a log. f_1 ... f_k are the sizes of the free blocks, F their sum, L the largest, n the
bytes that a request needs.

What the measures are good for differs: external fragmentation says how much of the free memory a
request can *not* have in one piece; Sawicki's sees whether the rest is in a few large blocks or in
dust; Linux's two answer for one size, and the second tells why a request failed; the four ratios of
Johnstone and Wilson weigh what the heap takes against what the program had in use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gorun_mem.analysis.accumulator import ByFields, Handler
from gorun_mem.analysis.blocks import FreeBlocks
from gorun_mem.analysis.callbooks import FragmentationBook, external, sawicki
from gorun_mem.analysis.exact import FOLD_AT, Series, share
from gorun_mem.events.types import LogEvent, MemReturn, RunStart
from gorun_mem.runtime.mutex.statistics import Distribution

FAILURES_KEPT = 100
_UNSEEN = (0, 0, 0, 0, 0, 0)
"""What a stretch of time has until it ends."""


def unusable(sizes: Iterable[int], need: int) -> float:
    """Linux's unusable free space index: the part of the free memory that is of no use to requests
    of `need` bytes: (F - S) / F, S being what such requests could get out of the blocks, that is
    `need` times the sum of floor(f_i / need); 1 where nothing is free.

    Source: mm/vmstat.c, unusable_free_index, where a request has 2^order pages and the blocks are
    buddies, so that a block of a higher order holds a whole number of requests.

    Args:
        sizes: bytes of the free blocks.
        need: bytes of the request, more than 0.
    """
    free = suitable = 0
    for size in sizes:
        free += size
        suitable += size // need
    return share(free - suitable * need, free, 1.0)


def fragmentation_index(sizes: Iterable[int], need: int) -> float:
    """Linux's fragmentation index, for a request that failed: towards 0 it failed for lack of
    memory, towards 1 for fragmentation: 1 - (1 + F/n) / k; -1 where a block is large enough, and 0
    where nothing is free.

    Source: mm/vmstat.c, __fragmentation_index, in thousandths there.

    Args:
        sizes: bytes of the free blocks.
        need: bytes of the request (n), more than 0.
    """
    count = free = 0
    for size in sizes:
        if size >= need:
            return -1.0
        count += 1
        free += size
    if not count:
        return 0.0
    return 1.0 - (1.0 + share(free, need)) / count


@dataclass(frozen=True, slots=True)
class WilsonRatios:
    """What the heap took over what was in use, four ways; 1.0 is no fragmentation.

    Johnstone and Wilson write them as percentages above 1. "Heap" is what lies above the program's
    static data in memory that was got from the system, live bytes are as they were asked for, and
    points in time are returns of the OS layer's calls.

    Source: M. S. Johnstone, P. R. Wilson, "The Memory Fragmentation Problem: Solved?", ISMM 1998.

    Args:
        average: 1, the heap over live bytes, averaged over all points with something live.
        at_peak_live: 2, the heap over live bytes at the point of most live bytes.
        at_peak_heap: 3, the greatest heap over the live bytes at the first point that had it.
        peak_over_peak: 4, the greatest heap over the most live bytes, wherever each was.
    """

    average: float = 1.0
    at_peak_live: float = 1.0
    at_peak_heap: float = 1.0
    peak_over_peak: float = 1.0


@dataclass(frozen=True, slots=True)
class FailedRequest:
    """A call that did not get its memory.

    Args:
        seq: its mem.return.
        t_ns: when.
        m: who.
        fn: the Go function.
        purpose: what for.
        need: bytes in one piece that the free list would have had to have.
        free: bytes free on the list.
        largest: the largest block.
        blocks: how many.
        slack: bytes between bloc and bloc_max, which sbrk would have used first.
        unusable: Linux's unusable free space index, None where the blocks are not known.
        index: Linux's fragmentation index, None where the blocks are not known.
    """

    seq: int
    t_ns: int
    m: int
    fn: str
    purpose: str
    need: int
    free: int
    largest: int
    blocks: int
    slack: int
    unusable: float | None
    index: float | None

    @property
    def verdict(self) -> str:
        """Why it failed: "fragmentation" where as much was free but in pieces, else "memory"."""
        return verdict(self.need, self.free, self.slack)


def verdict(need: int, free: int, slack: int) -> str:
    """Whether `need` bytes are missing for "fragmentation" or for want of "memory".

    Args:
        need: bytes asked for.
        free: bytes on the free list.
        slack: bytes between bloc and bloc_max.
    """
    return "fragmentation" if free + slack >= need else "memory"


@dataclass(frozen=True, slots=True)
class FreeListPoint:
    """The free list after a call.

    Args:
        free: bytes.
        largest: bytes of the largest block.
        blocks: how many.
        squares: sum of the squares of the sizes, -1 where the blocks are not known.
        search_steps: headers looked at in that call.
    """

    free: int
    largest: int
    blocks: int
    squares: int
    search_steps: int

    @property
    def external(self) -> float:
        """External fragmentation."""
        return external(self.free, self.largest)

    @property
    def sawicki(self) -> float | None:
        """Sawicki's measure, None where the blocks are not known."""
        return sawicki(self.free, self.squares) if self.squares >= 0 else None


class Fragmentation(FragmentationBook):
    """Reads returns of the OS layer's calls.

    `free` must come before this among the accumulators.

    Args:
        free: the blocks.

    Attributes:
        ratios: the four ratios of Johnstone and Wilson, once finished.
        over_time: ns, and the free list after the last call in each stretch of time.
        blocks_max: most free blocks after a call.
        external_max: the greatest external fragmentation, with the time of its first.
        sawicki_max: the same of Sawicki's measure; None where the blocks are not known.
        failures: calls that got nothing for want of memory, at most `FAILURES_KEPT`.
        failures_seen: how many there were.
        rounding_bytes: bytes above what was asked for, by rounding to pages, over all calls.
        asked_bytes: what was asked for, over all calls that got it.
    """

    def __init__(self, free: FreeBlocks) -> None:
        super().__init__(free)
        self.ratios = WilsonRatios()
        self.over_time: Series[tuple[int, int, int, int, int, int]] = Series()
        self.failures: list[FailedRequest] = []
        self.failures_seen = 0

    def handlers(self) -> Mapping[type[LogEvent], Handler]:
        """run.start for the page size, and every return."""
        return {RunStart: self._start, MemReturn: ByFields(self._return)}

    @property
    def search_steps(self) -> Distribution:
        """Headers looked at by each call that searched the list."""
        return self._steps.distribution()

    @property
    def last(self) -> FreeListPoint:
        """The free list at the end."""
        last = self.over_time.last
        return FreeListPoint(*last[1:]) if last is not None else FreeListPoint(0, 0, 0, 0, 0)

    def points(self) -> list[tuple[int, FreeListPoint]]:
        """(ns, the free list) after the last call in each stretch of time."""
        return [(row[0], FreeListPoint(*row[1:])) for _, row in self.over_time]

    def _start(self, event: RunStart) -> None:
        self._page = max(1, event.phys_page_size)
        self._wasm = not event.platform.startswith("plan9")
        self._static = -(-event.data_end // self._page) * self._page

    def _see(self) -> None:
        if self._last is not None:
            self.over_time.last = self._row(self._last)

    def _turn(self, now: int) -> None:
        self._see()
        self.over_time.put(now, _UNSEEN)
        self._until = self.over_time.until

    def _row(self, event: MemReturn) -> tuple[int, int, int, int, int, int]:
        return (
            event.t_ns, event.free_bytes, event.free_largest, event.free_blocks, self._squares,
            event.search_steps,
        )  # fmt: skip

    def _fail(self, event: MemReturn) -> None:
        self.failures_seen += 1
        if len(self.failures) >= FAILURES_KEPT or event.n <= 0:
            return
        need = -(-event.n // self._page) * self._page + event.align
        known = self.free.known or not event.free_blocks
        sizes = list(self.free.blocks.values()) if known else None
        purpose = event.purpose
        self.failures.append(
            FailedRequest(
                seq=event.seq,
                t_ns=event.t_ns,
                m=event.m,
                fn=event.fn,
                purpose=purpose if isinstance(purpose, str) else "",
                need=need,
                free=event.free_bytes,
                largest=event.free_largest,
                blocks=event.free_blocks,
                slack=max(0, event.bloc_max - event.bloc),
                unusable=None if sizes is None else unusable(sizes, need),
                index=None if sizes is None else fragmentation_index(sizes, need),
            )
        )

    def tidy(self) -> None:
        """Count what has collected."""
        self._steps.fold(FOLD_AT)

    def finish(self) -> None:
        """Work out the ratios."""
        self._see()
        if self.sawicki_max is None and (self.free.known or not self.blocks_max):
            self.sawicki_max = (0.0, 0)
        self.ratios = WilsonRatios(
            average=share(self._sum, self._points, 1.0),
            at_peak_live=share(self._heap_at_live_max, self._live_max, 1.0),
            at_peak_heap=share(self._heap_max, self._live_at_heap_max, float("inf"))
            if self._heap_max
            else 1.0,
            peak_over_peak=share(self._heap_max, self._live_max, 1.0),
        )
