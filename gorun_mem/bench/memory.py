"""`bench memory`: what a call of the memory layer costs, and how little the free blocks matter.

Three patterns over 4, 1,000 and 30,000 free blocks of one page, each between used pages:

    head      alloc of a page, which the first block is, and its free: at the list's head
    miss      alloc of two pages, which no block has: from the break; then the free at the end
    random    in a random place free the used page between two free ones (merging all three),
              alloc the three again, and free the first and the last: merge, alloc, two frees

Figures are us for one call. "list" is memAlloc and memFree alone, as Go's figures are; "call" is
sysAllocOS and sysFreeOS with memlock, driven for a lone M, which adds the coroutine and the lock.
"cleared" writes to every page first, so that the free has 64 KiB (4 KiB) to clear; without it there
is nothing that the lazy memory must clear. Beside each figure stands our own walk of the headers
(`use_index=False`), measured in the same process by turns, and for the record Go's, measured
natively on another machine.

Then the memory: a process with 4 GiB and 30,000 free blocks in it, at its peak.
"""

from __future__ import annotations

import gc
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from gorun_mem.bench import Row
from gorun_mem.runtime.behaviour import NEWEST, MiB, release
from gorun_mem.runtime.boot import BootOptions, boot
from gorun_mem.runtime.mem_sbrk import SbrkLayer
from gorun_mem.runtime.mutex import make
from gorun_mem.step.solo import SoloM, solo

BLOCKS: Final = (4, 1_000, 30_000)
PATTERNS: Final = ("head", "miss", "random")
WAYS: Final = ("list", "cleared", "call", "walk")
PLATFORMS: Final = {"64 KiB": "js/wasm", "4 KiB": "plan9/amd64"}
RATIO_MAX: Final = 3.0
US_MAX: Final = 4.0
RSS_MAX: Final = 400 * MiB

# us a call of Go's own code, native, on one machine: (pages, pattern) -> by number of free blocks.
_GO_US: Final = {
    ("64 KiB", "head"): (0.340, 0.330, 0.385),
    ("64 KiB", "miss"): (0.670, 3.190, 150.0),
    ("64 KiB", "random"): (0.535, 5.490, 221.0),
    ("4 KiB", "head"): (0.026, 0.032, 0.023),
    ("4 KiB", "miss"): (0.045, 2.130, 166.0),
    ("4 KiB", "random"): (0.042, 2.000, 162.0),
}


def run(*, quick: bool = False) -> list[Row]:
    """Measure.

    Args:
        quick: fewer rounds; the figures are then rough.
    """
    rows = []
    for pages in PLATFORMS:
        for pattern in PATTERNS:
            rows += _pattern(pages, pattern, quick)
    return [*rows, _resident()]


def _pattern(pages: str, pattern: str, quick: bool) -> list[Row]:
    """A figure a number of blocks, and what the numbers make of it."""
    best: dict[tuple[str, int], float] = {}
    for blocks in BLOCKS:
        indexed = _Subject(pages, blocks, use_index=True)
        walked = _Subject(pages, blocks, use_index=False)
        few = max(2, (20_000 if quick else 60_000) // blocks)
        for _ in range(2 if quick else 7):
            for way in WAYS:
                subject = walked if way == "walk" else indexed
                cycles = few if subject is walked and pattern != "head" else 2_000
                us = subject.measure(pattern, way, min(cycles, 300 if quick else 2_000))
                best[way, blocks] = min(us, best.get((way, blocks), us))
    rows = []
    for blocks, go in zip(BLOCKS, _GO_US[pages, pattern], strict=True):
        name = f"{pages} pages, {pattern}, {blocks} free"
        first, walk = blocks == BLOCKS[0], best["walk", blocks]
        rows.append(_beside_walk(f"{name}: list", best["list", blocks], walk, first))
        rows.append(_beside_walk(f"{name}: call", best["call", blocks], walk, False))
        rows.append(_beside_go(f"{name}: list, cleared", best["cleared", blocks], go))
    for way in WAYS[:-1]:
        ours, walk = (best[w, BLOCKS[-1]] / best[w, BLOCKS[0]] for w in (way, "walk"))
        rows.append(_growth(f"{pages} pages, {pattern}: {way}", ours, walk))
    return rows


def _beside_walk(name: str, figure: float, walk: float, bounded: bool) -> Row:
    return Row(
        name=name,
        figure=figure,
        unit="us/call",
        peer="our walk",
        peer_figure=walk,
        ratio=walk / figure,
        target=f"at most {US_MAX:g} us" if bounded else "",
        ok=figure <= US_MAX if bounded else None,
    )


def _beside_go(name: str, figure: float, go: float) -> Row:
    return Row(
        name=name,
        figure=figure,
        unit="us/call",
        peer="Go, native, elsewhere",
        peer_figure=go,
        ratio=go / figure,
    )


def _growth(name: str, figure: float, walk: float) -> Row:
    return Row(
        name=f"{name}, {BLOCKS[-1]} free over {BLOCKS[0]}",
        figure=figure,
        unit="times",
        peer="our walk",
        peer_figure=walk,
        ratio=walk / figure,
        target=f"at most {RATIO_MAX:g} times",
        ok=figure <= RATIO_MAX,
    )


@dataclass(slots=True)
class _Work:
    """The calls that a pattern is made of, and a clock around them alone."""

    alloc: Callable[[int], Any]
    free: Callable[[int, int], Any]
    fill: Callable[[int, int], None]


class _Subject:
    """A layer with so many free blocks of one page, and a used page before and behind each.

    Args:
        pages: "64 KiB" or "4 KiB".
        blocks: free blocks.
        use_index: False walks.
    """

    def __init__(self, pages: str, blocks: int, *, use_index: bool) -> None:
        known = release(NEWEST)
        platform = known.platform(PLATFORMS[pages])
        runtime = boot(
            known,
            platform,
            BootOptions(faithful=True, use_index=use_index),
            memlock=make("js", known),
        )
        assert isinstance(runtime.os, SbrkLayer)
        self.os = runtime.os
        self.page = page = platform.page_size
        self.m = SoloM()
        self.blocks = blocks
        self.base = solo(self.os.sys_alloc_os((2 * blocks + 1) * page), self.m)
        for i in reversed(range(blocks)):  # downwards, which a walk does at the head
            self.os.freelist.mem_free(self.base + (2 * i + 1) * page, page)

    def measure(self, pattern: str, way: str, cycles: int) -> float:
        """us a call, over `cycles` of the pattern."""
        work = self._calls() if way == "call" else self._list(pattern)
        rng = random.Random(1)
        places = [rng.randrange(max(1, self.blocks - 1)) for _ in range(cycles)]
        fill = work.fill if way == "cleared" else None
        cycle = {"head": self._head, "miss": self._miss, "random": self._random}[pattern]
        gc.collect()
        gc.disable()
        try:
            seconds, calls = cycle(work, places, fill)
        finally:
            gc.enable()
        return seconds * 1e6 / calls

    def _list(self, pattern: str) -> _Work:
        freelist, brk, memory = self.os.freelist, self.os.brk, self.os.memory

        def alloc(n: int) -> int:
            return freelist.mem_alloc_no_grow(n) or brk.sbrk(n)

        def free_end(v: int, n: int) -> None:
            memory.clear(v, n)
            brk.lower(n)

        if pattern == "miss":
            return _Work(alloc, free_end, self._fill)
        return _Work(freelist.mem_alloc_no_grow, freelist.mem_free, self._fill)

    def _calls(self) -> _Work:
        os, m = self.os, self.m
        return _Work(
            lambda n: solo(os.sys_alloc_os(n), m), lambda v, n: solo(os.sys_free_os(v, n), m),
            self._fill,
        )  # fmt: skip

    def _fill(self, v: int, n: int) -> None:
        self.os.memory.fill(v, n, 0xA5)

    def _head(self, work: _Work, places: list[int], fill: Any) -> tuple[float, int]:
        page, alloc, free, clock = self.page, work.alloc, work.free, time.perf_counter
        spent = 0.0
        for _ in places:
            start = clock()
            p = alloc(page)
            spent += clock() - start
            if fill is not None:
                fill(p, page)
            start = clock()
            free(p, page)
            spent += clock() - start
        return spent, 2 * len(places)

    def _miss(self, work: _Work, places: list[int], fill: Any) -> tuple[float, int]:
        size, alloc, free, clock = 2 * self.page, work.alloc, work.free, time.perf_counter
        spent = 0.0
        for _ in places:
            start = clock()
            p = alloc(size)
            spent += clock() - start
            if fill is not None:
                fill(p, size)
            start = clock()
            free(p, size)
            spent += clock() - start
        return spent, 2 * len(places)

    def _random(self, work: _Work, places: list[int], fill: Any) -> tuple[float, int]:
        page, alloc, free, clock = self.page, work.alloc, work.free, time.perf_counter
        spent = 0.0
        for i in places:
            used = self.base + (2 * i + 2) * page
            if fill is not None:
                fill(used, page)
            start = clock()
            free(used, page)
            p = alloc(3 * page)
            spent += clock() - start
            if fill is not None:
                fill(p, page)
                fill(p + 2 * page, page)
            start = clock()
            free(p, page)
            free(p + 2 * page, page)
            spent += clock() - start
        return spent, 4 * len(places)


_FRAGMENTED: Final = """
from gorun_mem.runtime.boot import boot
from gorun_mem.runtime.mutex import make
from gorun_mem.step.solo import SoloM, solo
from gorun_mem.runtime.behaviour import NEWEST, release
known = release(NEWEST)
os = boot(known, known.platform("js/wasm"), memlock=make("js", known)).os
m = SoloM()
base = solo(os.sys_alloc_os(65_000 * 65536), m)
for i in range(30_000):
    solo(os.sys_free_os(base + 2 * i * 65536, 65536), m)
assert os.freelist.count == 30_000
try:
    with open("/proc/self/status") as status:
        print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
except OSError:
    import resource
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
# getrusage comes second: on Linux it starts at what the parent had when it forked.


def _resident() -> Row:
    """Peak resident set of a process of its own, so that ours does not count."""
    done = subprocess.run(
        [sys.executable, "-c", _FRAGMENTED], capture_output=True, text=True, check=True
    )
    peak = int(done.stdout) * 1024
    return Row(
        name="resident with 4 GiB and 30,000 free blocks",
        figure=peak / MiB,
        unit="MiB",
        target=f"below {RSS_MAX // MiB} MiB",
        ok=peak < RSS_MAX,
    )
