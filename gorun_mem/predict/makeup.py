"""What the pages of a recorded program are made of over time, and why they do not go back.

The recorded release is simulated under its own recording, which gives its own pages, and looked at
whenever the memory has grown. Linear memory cannot shrink: what is free stays the program's, and a
host could at best take the content of whole pages back (memory.discard of the wasm proposal).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gorun_mem.predict.pages import GO_PAGE
from gorun_mem.predict.program import SPAN_KINDS, Program, ProgramStep
from gorun_mem.predict.span import MarkPhase, SpanHeap, SpanRun
from gorun_mem.runtime.behaviour import WASM_PAGE

PARTS: Final = {
    "static": "the program's data",
    "in_use": "spans in use",
    "heap_free": "free pages of the heap",
    "reserved": "of the newest arena, not used yet",
    "metadata": "metadata",
    "free": "free blocks of the OS layer",
    "slack": "slack between bloc and blocMax",
    "unused": "initial pages and holes that nothing uses",
}
_WHO: Final = {
    ProgramStep.PERSISTENT: "runtime.persistentalloc1",
    ProgramStep.SUMMARIES: "runtime.(*pageAlloc).sysInit",
    ProgramStep.RESERVE: "runtime.sysReserve",
    ProgramStep.USER_ARENA: "runtime.(*mheap).allocUserArenaChunk",
}


@dataclass(frozen=True, slots=True)
class PageSample:
    """The memory after it has grown, or at the end.

    Args:
        seq: number of the event.
        pages: size of the memory.
        parts: bytes by `PARTS`; they add up to it.
    """

    seq: int
    pages: int
    parts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Asker:
    """What spans a stack of the program's asked for.

    A span of small objects is charged to who needed the first of them.

    Args:
        stack: the function that called the runtime first.
        spans: how many.
        asked: their bytes.
        in_use: bytes of those that are in use at the end.
        grown_pages: pages of 64 KiB by which they grew the memory.
    """

    stack: tuple[str, ...]
    spans: int
    asked: int
    in_use: int
    grown_pages: int


@dataclass(frozen=True, slots=True)
class Makeup:
    """What the memory is made of.

    Args:
        samples: after each growth, in order.
        end: at the end.
        grown_by: pages by who asked for what grew the memory, most first.
        askers: who asked for spans, where the recording has it; what grew the memory most first.
        reclaimable: bytes that a host could take back, by part: whole pages of 64 KiB only.
        peak_live: most bytes of spans in use at once.
        peak_seq: the event at which that was.
        collections: mark phases.
        marks: those that ran away.
    """

    samples: tuple[PageSample, ...]
    end: PageSample
    grown_by: dict[str, int]
    askers: tuple[Asker, ...]
    reclaimable: dict[str, int]
    peak_live: int
    peak_seq: int
    collections: int
    marks: tuple[MarkPhase, ...]


def makeup(program: Program) -> Makeup:
    """Simulate the recorded release and look at its memory.

    Args:
        program: from `load`.
    """
    header = program.header
    heap = SpanHeap(program.release, program, header.end, program.initial_pages, header.max_pages)
    run = _WatchedHeap(program, heap)
    run.all()
    end = run.sample(program.seqs[-1] if program.seqs else 0)
    return Makeup(
        samples=tuple(run.samples),
        end=end,
        grown_by=dict(sorted(run.grown_by.items(), key=lambda item: -item[1])),
        askers=run.askers(),
        reclaimable=_reclaimable(heap, end),
        peak_live=run.peak * GO_PAGE,
        peak_seq=run.peak_seq,
        collections=run.collections,
        marks=tuple(run.marks),
    )


class _WatchedHeap(SpanRun):
    """A run that notes who grew the memory."""

    def __init__(self, program: Program, heap: SpanHeap) -> None:
        super().__init__(program, heap)
        self.samples: list[PageSample] = []
        self.grown_by: dict[str, int] = {}
        self._grown: dict[int, int] = {}
        self._pages = heap.os.pages

    def step(self, i: int, kind: ProgramStep, a: int) -> bool:
        """One step; where it grew the memory, who asked for it."""
        lives = super().step(i, kind, a)
        pages = self.heap.os.pages
        if pages != self._pages:
            who = self._who(i, kind)
            self.grown_by[who] = self.grown_by.get(who, 0) + pages - self._pages
            place = self.program.asked.get(i, -1)
            self._grown[place] = self._grown.get(place, 0) + pages - self._pages
            self._pages = pages
            self.samples.append(self.sample(self.program.seqs[i]))
        return lives

    def askers(self) -> tuple[Asker, ...]:
        """What each stack asked for, once all steps are done."""
        program = self.program
        n = len(program.stacks)
        spans, asked, in_use = [0] * n, [0] * n, [0] * n
        for i, place in program.asked.items():
            spans[place] += 1
            asked[place] += program.a[i] * GO_PAGE
            if i in self.places:
                in_use[place] += program.a[i] * GO_PAGE
        found = [
            Asker(stack, spans[at], asked[at], in_use[at], self._grown.get(at, 0))
            for at, stack in enumerate(program.stacks)
        ]
        return tuple(sorted(found, key=lambda a: (-a.grown_pages, -a.asked, a.stack)))

    def sample(self, seq: int) -> PageSample:
        """The memory as it is."""
        heap = self.heap
        parts = heap.parts()
        free = (heap.pages.free_pages + heap.cache.pages.count(1)) * GO_PAGE
        in_use = self.live * GO_PAGE
        arenas = parts.pop("arenas")
        known = {"in_use": in_use, "heap_free": free, "reserved": arenas - in_use - free}
        return PageSample(seq, heap.os.pages, {name: (parts | known)[name] for name in PARTS})

    def _who(self, i: int, kind: ProgramStep) -> str:
        b = self.program.b[i]
        if asker := self.program.asker(i):
            return asker
        if kind <= ProgramStep.SPAN_CACHED:
            return SPAN_KINDS[b] if b < len(SPAN_KINDS) else f"spans of kind {b}"
        if kind is ProgramStep.ALLOC:
            return self.program.names[b]
        return _WHO.get(kind, kind.name.lower())


def _reclaimable(heap: SpanHeap, end: PageSample) -> dict[str, int]:
    """Whole pages of what nobody uses. Free blocks and slack are whole pages, but each block's
    header stays."""
    blocks = heap.os.freelist.count if heap.os.freelist is not None else 0
    return {
        "heap_free": heap.pages.whole(WASM_PAGE // GO_PAGE) * WASM_PAGE,
        "reserved": heap.reserved,
        "free": max(end.parts["free"] - blocks * WASM_PAGE, 0),
        "slack": end.parts["slack"],
        "unused": end.parts["unused"] // WASM_PAGE * WASM_PAGE,
    }
