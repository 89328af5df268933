"""What a recorded program asked of the runtime, without the answers that its release gave.

A recording of level span holds spans, metadata and collections in order. What mheap.sysAlloc and
persistentalloc made of them is left out here: another release does that its own way.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Final

from msgspec import UNSET

from gorun_mem.replay.recording import OS_CALLS, Header, RecordedEvent, Recording
from gorun_mem.runtime.behaviour import Platform, Release
from gorun_mem.runtime.boot import initial_wasm_pages

HINT_PIECE: Final = 16 * 1024 // 24 * 24
"""Bytes that the fixalloc of arena hints takes from persistentalloc at a time."""
STEPS_MAX: Final = 50_000_000


SPAN_KINDS: Final = ("heap objects", "goroutine stacks", "pointer bits", "GC work buffers")
"""What a span is for, as spanAllocType of mheap.go counts."""


class ProgramStep(IntEnum):
    """What a step asks for."""

    SPAN = 0
    """A span of `a` pages, of kind `b`; see `SPAN_KINDS`."""
    SPAN_CACHED = 1
    """Likewise, by a P that has a page cache."""
    FREE_SPAN = 2
    """The span of step `a` is freed."""
    FLUSH = 3
    """The P's page cache is given back."""
    PERSISTENT = 4
    """persistentalloc of `a` bytes at a multiple of `b`."""
    ALLOC = 5
    """sysAllocOS of `a` bytes, for metadata that may be freed one day; `b` says who asked."""
    FREE = 6
    """What step `a` got is freed."""
    SUMMARIES = 7
    """The page allocator reserves its summaries."""
    RESERVE = 8
    """sysReserveOS of `a` bytes anywhere."""
    USER_ARENA = 9
    """mheap.sysAlloc of `a` bytes for user arenas."""
    GC_START = 10
    """A mark phase begins."""
    GC_END = 11
    """It ends."""


@dataclass(frozen=True, slots=True)
class Program:
    """One recorded run, ready to be asked of any release.

    Args:
        header: of the recording.
        release: it was recorded on.
        platform: likewise.
        kinds: what each step asks for, a `Step` each.
        a: the first argument of each.
        b: the second.
        seqs: number of the event that each step comes from.
        names: the Go functions that asked for metadata; `b` of `ALLOC` counts in it.
        stacks: who asked for spans, where that was recorded: each stack once, the function that
            called the runtime first.
        asked: step -> the place in `stacks` of who asked.
        pages: size of the memory at the end.
        complete: the recording was not cut off.
    """

    header: Header
    release: Release
    platform: Platform
    kinds: bytearray = field(default_factory=bytearray)
    a: array[int] = field(default_factory=lambda: array("q"))
    b: array[int] = field(default_factory=lambda: array("q"))
    seqs: array[int] = field(default_factory=lambda: array("q"))
    names: list[str] = field(default_factory=list)
    stacks: list[tuple[str, ...]] = field(default_factory=list)
    asked: dict[int, int] = field(default_factory=dict)
    pages: int = 0

    @property
    def initial_pages(self) -> int:
        """Pages at the start; by the linker's rule where the recording does not say."""
        pages = self.header.initial_pages
        return initial_wasm_pages(self.release, self.header.end) if pages < 0 else pages

    def asker(self, step: int) -> str:
        """The Go function of the program's that asked for a step; "" where it is not known."""
        place = self.asked.get(step)
        return "" if place is None else self.stacks[place][0]

    @property
    def has_spans(self) -> bool:
        """Whether anything can be predicted from it."""
        return ProgramStep.SPAN in self.kinds or ProgramStep.SPAN_CACHED in self.kinds


def load(path: Path | str) -> Program:
    """Read a recording.

    Raises:
        RecordingError: it is damaged, cut off, or not of level span.
        OSError: it cannot be read.
    """
    with Recording(path) as recording:
        if not recording.platform.is_wasm:
            raise recording.error(
                f"recorded on {recording.header.platform_name}: only programs on wasm are predicted"
            )
        loader = _Loader(recording)
        for event in recording:
            loader.take(event)
        program = loader.finish()
    if not program.has_spans:
        raise recording.error(
            "no spans in this recording: only one of level span can be predicted from "
            "(gorun-mem record --level span, the default)"
        )
    return program


class _Loader:
    """Turns events into steps."""

    def __init__(self, recording: Recording) -> None:
        header = recording.header
        self._kinds = bytearray()
        self._a, self._b, self._seqs = array("q"), array("q"), array("q")
        self._recording = recording
        self._spans: dict[int, int] = {}
        self._names: dict[str, int] = {}
        self._stacks: dict[tuple[str, ...], int] = {}
        self._asked: dict[int, int] = {}
        self._blocks: dict[int, int] = {}
        self._has_p = False
        self._before_spans = True
        self._hint_pieces = 0 if recording.release.behaviour.is_sbrk_platform else 1
        self._pages = header.initial_pages

    def _add(self, kind: ProgramStep, a: int, b: int, seq: int) -> None:
        self._kinds.append(kind)
        self._a.append(a)
        self._b.append(b)
        self._seqs.append(seq)

    def finish(self) -> Program:
        """Everything, once the last event was taken."""
        recording = self._recording
        return Program(
            recording.header,
            recording.release,
            recording.platform,
            self._kinds,
            self._a,
            self._b,
            self._seqs,
            list(self._names),
            list(self._stacks),
            self._asked,
            self._pages,
        )

    def take(self, event: RecordedEvent) -> None:
        """The next event."""
        if len(self._kinds) > STEPS_MAX:
            raise self._recording.error(f"more than {STEPS_MAX} steps")
        ev = event.ev
        if event.pages_now is not UNSET:
            self._pages = event.pages_now
        if ev == "span.alloc":
            self._span(event)
        elif ev == "span.free":
            self._free(self._spans, ProgramStep.FREE_SPAN, _int(event.base), event.seq)
        elif ev == "cache.fill":
            self._fill()
        elif ev == "cache.flush":
            self._add(ProgramStep.FLUSH, 0, 0, event.seq)
        elif ev == "persistent":
            self._persistent(event)
        elif ev == "gc.start":
            self._add(ProgramStep.GC_START, 0, 0, event.seq)
        elif ev == "gc.mark_end":
            self._add(ProgramStep.GC_END, 0, 0, event.seq)
        elif ev == "main":
            self._has_p = True
        elif ev == "mheap.sysAlloc":
            if event.user == 1:
                self._add(ProgramStep.USER_ARENA, _int(event.n), 0, event.seq)
        elif ev in OS_CALLS and event.parent is UNSET:
            self._metadata(event)

    def _span(self, event: RecordedEvent) -> None:
        self._before_spans = False
        base = _int(event.base)
        if base:
            self._spans[base] = len(self._kinds)
        if event.stack is not UNSET and event.stack:
            place = self._stacks.setdefault(event.stack, len(self._stacks))
            self._asked[len(self._kinds)] = place
        kind = ProgramStep.SPAN_CACHED if self._has_p else ProgramStep.SPAN
        self._add(kind, _int(event.npages), _int(event.kind), event.seq)

    def _fill(self) -> None:
        """A page cache was filled, so there is a P: the span that needed it has one already."""
        if not self._has_p and self._kinds and self._kinds[-1] == ProgramStep.SPAN:
            self._kinds[-1] = ProgramStep.SPAN_CACHED
        self._has_p = True

    def _persistent(self, event: RecordedEvent) -> None:
        n = _int(event.n)
        if self._before_spans and self._hint_pieces and n == HINT_PIECE:
            self._hint_pieces -= 1  # the hints of boot, which the other release makes its own way
            return
        self._add(ProgramStep.PERSISTENT, n, _int(event.align), event.seq)

    def _metadata(self, event: RecordedEvent) -> None:
        if event.ev == "sysAllocOS":
            if event.by in ("runtime.persistentalloc1", "runtime.(*pageAlloc).grow"):
                return
            if event.p is not UNSET and event.p:
                self._blocks[event.p] = len(self._kinds)
            who = self._names.setdefault(event.by, len(self._names))
            self._add(ProgramStep.ALLOC, _int(event.n), who, event.seq)
        elif event.ev == "sysFreeOS":
            self._free(self._blocks, ProgramStep.FREE, _int(event.v), event.seq)
        elif event.ev == "sysReserveOS":
            at_boot = event.by == "runtime.(*pageAlloc).sysInit"
            kind = ProgramStep.SUMMARIES if at_boot else ProgramStep.RESERVE
            self._add(kind, _int(event.n), 0, event.seq)

    def _free(self, owners: dict[int, int], kind: ProgramStep, address: int, seq: int) -> None:
        made = owners.pop(address, None)
        if made is not None:
            self._add(kind, made, 0, seq)


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0
