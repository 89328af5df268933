"""The heap of a release under the spans of a recorded program: mheap.allocSpan and mheap.grow.

What was recorded is what the program asked for; everything below that is done as the release does
it, by the layer that stands: pages found first fit, a page cache for the P, growth by palloc chunks
out of the current arena, arenas by mheap.sysAlloc, metadata by persistentalloc with the P's own
chunk once there is a P, all over the emulated OS layer and its memory. A release predicted from its
own recording gives the pages that were recorded; that is tested.

Simplified: what the program itself would do differently on another release (when it collects, what
its libraries allocate) is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gorun_mem.policies import PolicyError
from gorun_mem.predict.pages import CACHED_MAX, GO_PAGE, PageAlloc, PageCache
from gorun_mem.predict.program import Program, ProgramStep, load
from gorun_mem.runtime.behaviour import PERSISTENT_CHUNK, Release
from gorun_mem.runtime.boot import MAX_PAGES, PLAIN, BootOptions, Parts, boot
from gorun_mem.runtime.errors import EmulatedFailure, Throw
from gorun_mem.runtime.mallocinit import init_hints, page_summary_sizes
from gorun_mem.runtime.mutex import make
from gorun_mem.runtime.oslayer import OSLayer
from gorun_mem.runtime.pages import PAGE, pages_of
from gorun_mem.step.solo import SoloM, solo

_PALLOC_CHUNK_DATA: Final = 128
"""Bytes that the page allocator keeps for 512 pages; in all releases 131,072 for 4 GiB."""
_CHUNK_MAP: Final = (1 << 32) // (512 * GO_PAGE) * _PALLOC_CHUNK_DATA
_PAGES_MAX: Final = (1 << 32) // GO_PAGE
RUNAWAY: Final = 2.0
"""In use at the end of a mark phase over in use at its start: above this, marking ran away."""
RUNAWAY_PAGES: Final = 1 << 20 >> 4
"""Bytes in use at the start below which a ratio says nothing."""


@dataclass(frozen=True, slots=True)
class MarkPhase:
    """A mark phase.

    Args:
        seq: the event at which it began.
        before: bytes in use at its start.
        after: bytes in use at its end.
    """

    seq: int
    before: int
    after: int

    @property
    def ratio(self) -> float:
        """In use at the end over in use at the start."""
        return self.after / self.before if self.before else 0.0

    @property
    def ran_away(self) -> bool:
        """Whether the heap grew without bound while it was marked."""
        return self.ratio > RUNAWAY and self.before >= RUNAWAY_PAGES


@dataclass(frozen=True, slots=True)
class Death:
    """The call that Go would have died of.

    Args:
        seq: number of the event in the recording.
        call: number of the step.
        asked: bytes asked for.
        what: a span, metadata, an arena.
        by: the Go function of the program's that asked; "" where the recording does not say.
    """

    seq: int
    call: int
    asked: int
    what: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class Simulated:
    """What a program took under a release.

    Args:
        pages: size of the memory at the end.
        initial_pages: at the start.
        grows: growths asked for.
        parts: bytes by what they are for; they add up to the memory.
        peak_live: most bytes of spans in use at once.
        peak_seq: the event at which that was.
        collections: mark phases.
        marks: those that ran away.
        death: where the memory's limit killed it; None where it lived.
        over_time: (event, pages) at the start and after each step that grew the memory.
    """

    pages: int
    initial_pages: int
    grows: int
    parts: dict[str, int]
    peak_live: int
    peak_seq: int
    collections: int
    marks: tuple[MarkPhase, ...]
    death: Death | None
    over_time: tuple[tuple[int, int], ...]


class SpanHeap:
    """The heap of one release.

    Args:
        release: whose.
        program: gives the platform.
        end: end of the data.
        initial_pages: pages at the start.
        max_pages: pages that there may be.
        parts: the classes that its runtime is made of.
    """

    def __init__(
        self,
        release: Release,
        program: Program,
        end: int,
        initial_pages: int,
        max_pages: int = MAX_PAGES,
        parts: Parts = PLAIN,
    ) -> None:
        platform = release.platform(program.header.platform_name)
        self._end = end
        self._m = SoloM()
        self.runtime = boot(
            release,
            platform,
            BootOptions(end=end, initial_pages=initial_pages, max_pages=max_pages, faithful=True),
            memlock=make("none", release),
            parts=parts,
        )
        self.os: OSLayer = self.runtime.os
        self.heap = self.runtime.mheap
        self.sizes = release.heap_sizes(platform)
        self.pages = PageAlloc()
        self.cache = PageCache(0, bytearray())
        self.p = 0
        self.metadata = 0
        self._arena_base = self._arena_end = 0
        self._hints_made = False
        self._chunk_map = False

    def span(self, npages: int, cached: bool) -> int:
        """allocSpan, as far as it finds pages; 0 where there is no memory.

        Args:
            npages: pages of 8 KiB.
            cached: the caller has a P.
        """
        self._make_hints()
        if npages > _PAGES_MAX:
            return 0
        if cached:
            self.p = 1
            if npages < CACHED_MAX:
                if self.cache.empty:
                    self.cache = self.pages.to_cache()
                base = self.cache.alloc(npages)
                if base:
                    return base
        base = self.pages.alloc(npages)
        if base == 0 and self._grow(npages):
            base = self.pages.alloc(npages)
        return base

    def flush(self) -> None:
        """The P's page cache is given back."""
        self.pages.flush(self.cache)
        self.cache = PageCache(0, bytearray())

    def persistent(self, n: int, align: int) -> None:
        """persistentalloc, by the P once there is one.

        Raises:
            Throw: there is no memory.
        """
        stat = self.runtime.mem.stats.other_sys
        if solo(self.heap.persistent.alloc(n, align, stat, self.p), self._m) == 0:
            raise Throw("runtime: cannot allocate memory", n=n)

    def alloc(self, n: int) -> int:
        """sysAllocOS for metadata.

        Raises:
            Throw: there is no memory.
        """
        p = solo(self.os.sys_alloc_os(n), self._m)
        if p == 0:
            raise Throw("runtime: cannot allocate memory", n=n)
        self.metadata += _page_up(n)
        return p

    def free(self, v: int, n: int) -> None:
        """sysFreeOS of metadata."""
        solo(self.os.sys_free_os(v, n), self._m)
        self.metadata -= _page_up(n)

    def summaries(self) -> None:
        """What pageAlloc.sysInit reserves."""
        for n in page_summary_sizes(self.sizes, self.os.platform):
            self.reserve(n)

    def reserve(self, n: int) -> None:
        """sysReserveOS anywhere."""
        if solo(self.os.sys_reserve_os(0, n), self._m) == 0:
            raise Throw("failed to reserve page summary memory", n=n)
        self.metadata += _page_up(n)

    def user_arena(self, n: int) -> None:
        """mheap.sysAlloc for user arenas; none where the release has none."""
        if self.os.release.behaviour.has_user_arenas:
            solo(self.heap.sys_alloc(n, user=True, p=self.p), self._m)

    def _make_hints(self) -> None:
        """The hints of mallocinit, before the first span."""
        if not self._hints_made:
            self._hints_made = True
            solo(init_hints(self.heap, self._end), self._m)

    def _grow(self, npages: int) -> bool:
        """mheap.grow: whole palloc chunks out of the current arena, or out of a new one."""
        chunk = self.sizes.palloc_chunk
        ask = -(-npages * GO_PAGE // chunk) * chunk
        page = PAGE
        new_base = -(-(self._arena_base + ask) // page) * page
        if new_base > self._arena_end:
            v, size = solo(self.heap.sys_alloc(ask, p=self.p), self._m)
            if size == 0 or v == 0:
                return False
            if v == self._arena_end:
                self._arena_end = v + size
            else:
                if self._arena_end > self._arena_base:
                    self._add(self._arena_base, self._arena_end - self._arena_base)
                self._arena_base, self._arena_end = v, v + size
            new_base = -(-(self._arena_base + ask) // page) * page
        v, self._arena_base = self._arena_base, new_base
        self._add(v, new_base - v)
        return True

    def _add(self, base: int, size: int) -> None:
        """pageAlloc.grow; the first makes the map of chunks."""
        if not self._chunk_map:
            self._chunk_map = True
            self.alloc(_CHUNK_MAP)
        self.pages.grow(base, size)

    @property
    def reserved(self) -> int:
        """Bytes of the current arena that the page allocator does not have yet."""
        return self._arena_end - self._arena_base

    def parts(self) -> dict[str, int]:
        """What the memory is for, in bytes; they add up to all of it."""
        os = self.os
        size = os.pages * PAGE
        arenas = self.heap.statistics().arena_bytes
        persistent = len(self.heap.persistent.chunks) * PERSISTENT_CHUNK
        l2 = _page_up(self.heap.arena_count_max * 8) if self.heap.l2 else 0
        free = os.freelist.total_bytes if os.freelist is not None else 0
        slack = max(os.bloc_max - os.bloc, 0)
        known = {
            "static": _page_up(self._end),
            "arenas": arenas,
            "metadata": persistent + self.metadata + l2,
            "free": free,
            "slack": slack,
        }
        return {**known, "unused": size - sum(known.values())}


def simulate(
    program: Program, release: Release, end: int, initial_pages: int, max_pages: int = MAX_PAGES
) -> Simulated:
    """Ask a release for everything that a program asked for.

    Args:
        program: from `load`.
        release: to be asked.
        end: where the data of the program built by it ends.
        initial_pages: with how many pages it starts.
        max_pages: how many there may be.
    """
    run = SpanRun(program, SpanHeap(release, program, end, initial_pages, max_pages))
    run.all()
    heap = run.heap
    return Simulated(
        pages=heap.os.pages,
        initial_pages=initial_pages,
        grows=heap.os.memory.grows,
        parts=heap.parts(),
        peak_live=run.peak * GO_PAGE,
        peak_seq=run.peak_seq,
        collections=run.collections,
        marks=tuple(run.marks),
        death=run.death,
        over_time=tuple(run.over_time),
    )


class SpanRun:
    """A program on its way through a heap.

    Args:
        program: what is asked for.
        heap: of whom.

    Attributes:
        live: pages of spans in use.
        peak: most of them at once.
        peak_seq: the event at which that was.
        collections: mark phases that ended.
        marks: those that ran away.
        death: the step that there was no memory for.
        over_time: (event, pages) at the start and after each step that grew the memory.
        places: step -> what is live of it: address, and pages of 8 KiB or bytes.
    """

    def __init__(self, program: Program, heap: SpanHeap) -> None:
        self.program = program
        self.heap = heap
        self.live = self.peak = self.peak_seq = self.collections = 0
        self.marks: list[MarkPhase] = []
        self.death: Death | None = None
        self.over_time = [(0, heap.os.pages)]
        self._mark_from = (-1, 0)
        self.places: dict[int, tuple[int, int]] = {}

    def all(self) -> None:
        """Every step, or as far as the memory lasts."""
        program, heap = self.program, self.heap
        pages = heap.os.pages
        for i, kind in enumerate(program.kinds):
            a = program.a[i]
            try:
                lives = self.step(i, ProgramStep(kind), a)
            except PolicyError:
                raise
            except EmulatedFailure:
                lives = False
            if heap.os.pages != pages:
                pages = heap.os.pages
                self.over_time.append((program.seqs[i], pages))
            if not lives:
                spans = kind <= ProgramStep.SPAN_CACHED
                what = "a span" if spans else "metadata"
                asked, by = a * GO_PAGE if spans else a, program.asker(i)
                self.death = Death(program.seqs[i], i, asked, what, by)
                return

    def step(self, i: int, kind: ProgramStep, a: int) -> bool:
        """One step; False where there is no memory for it."""
        heap = self.heap
        if kind <= ProgramStep.SPAN_CACHED:
            base = heap.span(a, kind is ProgramStep.SPAN_CACHED)
            if base == 0:
                return False
            self.places[i] = (base, a)
            self.live += a
            if self.live > self.peak:
                self.peak, self.peak_seq = self.live, self.program.seqs[i]
        elif kind is ProgramStep.FREE_SPAN:
            if a in self.places:
                base, npages = self.places.pop(a)
                heap.pages.free(base, npages)
                self.live -= npages
        elif kind is ProgramStep.FLUSH:
            heap.flush()
        elif kind is ProgramStep.GC_START or kind is ProgramStep.GC_END:
            self._collect(i, kind)
        else:
            self._metadata(i, kind, a)
        return True

    def _metadata(self, i: int, kind: ProgramStep, a: int) -> None:
        heap = self.heap
        if kind is ProgramStep.PERSISTENT:
            heap.persistent(a, self.program.b[i])
        elif kind is ProgramStep.ALLOC:
            self.places[i] = (heap.alloc(a), a)
        elif kind is ProgramStep.FREE:
            if a in self.places:
                heap.free(*self.places.pop(a))
        elif kind is ProgramStep.SUMMARIES:
            heap.summaries()
        elif kind is ProgramStep.RESERVE:
            heap.reserve(a)
        elif kind is ProgramStep.USER_ARENA:
            heap.user_arena(a)

    def _collect(self, i: int, kind: ProgramStep) -> None:
        if kind is ProgramStep.GC_START:
            self._mark_from = (self.program.seqs[i], self.live * GO_PAGE)
            return
        seq, before = self._mark_from
        self.collections += 1
        mark = MarkPhase(seq, before, self.live * GO_PAGE)
        if seq >= 0 and mark.ran_away:
            self.marks.append(mark)


def predict_own(path: Path | str) -> int:
    """Pages of the recorded release, predicted from its own recording.

    Raises:
        RecordingError: the recording is bad or not of level span.
    """
    program = load(path)
    header = program.header
    found = simulate(program, program.release, header.end, program.initial_pages, header.max_pages)
    return found.pages


def _page_up(n: int) -> int:
    return pages_of(n) * PAGE
