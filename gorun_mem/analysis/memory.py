"""Where the memory is: at the end, at the peak, and why it does not go back.

The memory up to its top (pages x 64 KiB; on Plan 9 bloc_max) is divided without remainder:

    static      the program's data, up to the lowest address that was handed out of it
    handed out  by purpose: arenas, and metadata as it was named by its caller; "unnamed" else
    free        the free list; `hole_bytes` of it are left from aligning something
    slack       between bloc and bloc_max: the break came down, or was never up there
    never_used  initial pages that sbrk of 1.21 to 1.23 passes over: it always grows
    host        what the host has grown the memory by and Go has not handed out
    lost        nothing can use it again: frees up to 1.20, which do nothing; remainders

Sizes are as Go rounds them, so a purpose's bytes are what it takes and not what it asked for.
"Live bytes" are those asked for, as run.end has them.

From a log at level canonical all of this is exact but for holes, the causes of growths that a call
made several of, hints, the host's pages, which count as lost, and what discarding could give back:
those need debug's events, and are None or empty. A log at level info has none of it.

Bounds: an entry for each range that is handed out; `GROWTHS_KEPT` growths, `HINTS_KEPT` hint
misses, series of 1024 points.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gorun_mem.analysis.blocks import FreeBlocks
from gorun_mem.analysis.exact import Series
from gorun_mem.analysis.fragmentation import verdict
from gorun_mem.analysis.stream import Accumulator, Handler
from gorun_mem.events.types import (
    HOST_SITE,
    ArenaHintMiss,
    ArenaHintNew,
    ArenaReserve,
    Event,
    MemGrow,
    MemReturn,
    RunEnd,
    RunStart,
)
from gorun_mem.runtime.behaviour import PLAN9_PAGE
from gorun_mem.runtime.pages import PAGE, pages_of, top_of
from gorun_mem.runtime.purposes import ARENAS, in_reports

GROWTHS_KEPT: Final = 1 << 16
HINTS_KEPT: Final = 1000
HINTS_ACTIVE_MAX: Final = 1 << 12
HEADER_BYTES: Final = 16
TOP_MAX: Final = 1 << 32
"""No memory is larger, in bytes, and no budget lets through what asks for more."""
_UNASKED_MIN: Final = 64


@dataclass(frozen=True, slots=True)
class CallRef:
    """A call of the OS layer, to point at.

    Args:
        seq: its mem.return.
        t_ns: when it returned.
        m: who called.
        op: its number, 0 where the log does not say.
        fn: the Go function.
        purpose: what for, "" where nobody said.
        n: bytes asked for.
        p: the answer.
        path: how it came about.
    """

    seq: int
    t_ns: int
    m: int
    op: int
    fn: str
    purpose: str
    n: int
    p: int
    path: str

    @classmethod
    def of(cls, event: MemReturn) -> CallRef:
        """The call that returned."""
        op, purpose = event.op, event.purpose
        return cls(
            event.seq, event.t_ns, event.m, op if isinstance(op, int) else 0, event.fn,
            purpose if isinstance(purpose, str) else "", event.n, event.p, event.path,
        )  # fmt: skip

    def __str__(self) -> str:
        purpose = f" for {self.purpose}" if self.purpose else ""
        return f"{self.fn}({self.n}){purpose} by M{self.m}, event {self.seq}"


@dataclass(frozen=True, slots=True)
class Growth:
    """The memory was asked to grow.

    Args:
        seq: the event.
        t_ns: when.
        before: the memory's top before, in bytes.
        after: its top after; with a refusal what it would have been.
        ok: whether it was granted.
        cause: the call in which, None where it never returned.
        need: bytes in one piece that the call needed.
        free: bytes on the free list before the call.
        largest: the largest free block then.
        slack: bytes between bloc and bloc_max before.
        live: live bytes before the call.
        limited: it was refused for want of pages, and not by somebody who makes growths fail.
    """

    seq: int
    t_ns: int
    before: int
    after: int
    ok: bool
    cause: CallRef | None
    need: int = 0
    free: int = 0
    largest: int = 0
    slack: int = 0
    live: int = 0
    limited: bool = False

    @property
    def may_be_granted(self) -> bool:
        """Whether there is a number of pages at which it is granted."""
        return self.ok or (self.limited and self.after <= TOP_MAX)

    @property
    def verdict(self) -> str:
        """Why it was needed: "fragmentation" where as much was free in pieces, else "memory"."""
        return verdict(self.need, self.free, self.slack)


@dataclass(frozen=True, slots=True)
class GrowthCause:
    """Growths by what they were for.

    Args:
        fn: the Go function.
        purpose: what for.
        count: growths granted.
        bytes: by how much.
        refused: growths refused.
    """

    fn: str
    purpose: str
    count: int
    bytes: int
    refused: int


@dataclass(frozen=True, slots=True)
class HintMiss:
    """A hint that was tried in vain.

    Args:
        seq: the event.
        t_ns: when.
        hint_addr: where the arena should have gone.
        down: a hint that grows downwards.
        bloc: where the break was.
        gap_bytes: how far apart they are.
        taken_by: the call that took the hinted address, None where none did.
        why: in words.
    """

    seq: int
    t_ns: int
    hint_addr: int
    down: bool
    bloc: int
    gap_bytes: int
    taken_by: CallRef | None
    why: str


@dataclass(frozen=True, slots=True)
class Layout:
    """Where every byte up to the top is, at one moment.

    Args:
        seq: the event after which.
        t_ns: when.
        top: all of it.
        static: the program's data.
        held: purpose -> bytes handed out, rounded.
        free: on the free list.
        free_blocks: in how many blocks.
        free_largest: the largest.
        hole_bytes: of the free ones, left by aligning; None where the log does not say.
        slack: between bloc and bloc_max.
        never_used: initial pages never handed out.
        host: the host's, and not handed out.
        live: bytes asked for and not given back.
    """

    seq: int = 0
    t_ns: int = 0
    top: int = 0
    static: int = 0
    held: Mapping[str, int] = field(default_factory=dict)
    free: int = 0
    free_blocks: int = 0
    free_largest: int = 0
    hole_bytes: int | None = None
    slack: int = 0
    never_used: int = 0
    host: int = 0
    live: int = 0

    @property
    def held_bytes(self) -> int:
        """Handed out for whatever purpose."""
        return sum(self.held.values())

    @property
    def arena_bytes(self) -> int:
        """Handed out for heap arenas."""
        return self.held.get(ARENAS, 0)

    @property
    def metadata_bytes(self) -> int:
        """Handed out for anything else."""
        return self.held_bytes - self.arena_bytes

    @property
    def lost(self) -> int:
        """What is none of all this."""
        parts = self.static + self.held_bytes + self.free + self.slack + self.never_used
        return self.top - parts - self.host

    @property
    def rounding(self) -> int:
        """Handed out above what was asked for."""
        return self.held_bytes - self.live

    @property
    def pages(self) -> int:
        """Pages of 64 KiB up to the top."""
        return pages_of(self.top)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why some memory does not go back.

    Args:
        code: a short name.
        bytes: how much it is about, 0 where it is not about an amount.
        text: in a sentence.
    """

    code: str
    bytes: int
    text: str


@dataclass(frozen=True, slots=True)
class Discard:
    """What discarding whole pages (WebAssembly's proposed `memory.discard`) could give back.

    The first page of a free block stays, because the block's header lies in it.

    Args:
        free_pages: whole pages within free blocks.
        slack_pages: whole pages between bloc and bloc_max, or never handed out.
    """

    free_pages: int
    slack_pages: int

    @property
    def pages(self) -> int:
        """Pages of 64 KiB altogether."""
        return self.free_pages + self.slack_pages


@dataclass(frozen=True, slots=True)
class Budget:
    """Whether the run fits into a number of pages.

    Args:
        pages: of 64 KiB.
        fits: whether they allow what it had and each growth that it asked for.
        needed: the least pages that do.
        failure: the first growth that the pages do not allow; None if it fits.
        verdict: "fragmentation" where as much was free in pieces then, "memory" where it was not,
            "start" where the pages do not even hold what the memory starts with, so that it cannot
            be instantiated, "host" where the host's growth does not fit, "" if it fits.
        unknown: the first growth that the run was refused and these pages allow: what a run in
            which it is granted does after it, no log knows. None where there is none.
        start_pages: what the memory starts with.
        exact: False where growths were too many to keep, and the first failure is one among the
            first kept.
    """

    pages: int
    fits: bool
    needed: int
    failure: Growth | None = None
    verdict: str = ""
    exact: bool = True
    unknown: Growth | None = None
    start_pages: int = 0


class MemoryUse(Accumulator):
    """Reads calls, growths, arenas and hints.

    `free` must come before this among the accumulators.

    Args:
        free: the free list's blocks.

    Attributes:
        end: where everything is at the end, once finished.
        peak: the same when most bytes were live.
        growths: growths in order, refused ones too, at most `GROWTHS_KEPT`.
        growths_seen: how many there were.
        refused: growths refused.
        peak_live: most live bytes.
        peak_top: the greatest top.
        hint_hits: hints that gave the address asked for.
        hint_misses: the first `HINTS_KEPT` of those tried in vain.
        hint_misses_seen: how many there were.
        unknown_frees: frees of what was not known to be handed out.
        end_frees: frees that lowered the break, and end_free_bytes: by how much.
        unrounded_end_frees: frees at the end of memory that went to the list because their size was
            not rounded, and unrounded_end_bytes.
        noop_bytes: freed up to 1.20, where a free does nothing.
        over_time: (ns, top, bloc, bloc_max, free bytes, live bytes) after the last call in each
            stretch of time.
        most_free: most bytes on the free list after a call, with the time of the first such.
    """

    def __init__(self, free: FreeBlocks) -> None:
        self.free = free
        self.start: RunStart | None = None
        self.end = Layout()
        self.peak = Layout()
        self.growths: list[Growth] = []
        self.growths_seen = self.refused = 0
        self.peak_live = self.peak_top = 0
        self.hint_hits = self.hint_misses_seen = 0
        self.hint_misses: list[HintMiss] = []
        self.unknown_frees = 0
        self.end_frees = self.end_free_bytes = 0
        self.unrounded_end_frees = self.unrounded_end_bytes = 0
        self.noop_bytes = 0
        self.over_time: Series[tuple[int, int, int, int, int, int]] = Series()
        self.most_free = (0, 0)
        self.ended: RunEnd | None = None
        self._live: dict[int, tuple[int, str]] = {}
        self._order: list[int] | None = None  # addresses of _live, while parts of ranges are freed
        self._unasked = 0  # changes of it since it was made or looked at
        self._held: dict[str, int] = {}
        self._asked = 0
        self._last: MemReturn | None = None
        self._page = PAGE
        self._wasm = True
        self._static = self._initial = self._top = self._first_top = 0
        self._bloc = self._bloc_max = 0
        self._rising = False
        self._hosts: list[tuple[int, int]] = []  # the host's, as far as it is not handed out
        self._host_top = 0
        self._pending: list[MemGrow] = []
        self._causes: dict[tuple[str, str], list[int]] = {}
        self._hints: dict[int, CallRef | None] = {}
        self._bloc_mover: CallRef | None = None

    def handlers(self) -> Mapping[type[Event], Handler]:
        """Everything about memory but the calls' beginnings."""
        return {
            RunStart: self._on_start,
            MemReturn: self._on_return,
            MemGrow: self._on_grow,
            ArenaReserve: self._on_arena,
            ArenaHintNew: self._on_hint,
            ArenaHintMiss: self._on_miss,
            RunEnd: self._on_end,
        }

    def keep_ranges_in(self, ranges: dict[int, tuple[int, str]]) -> None:
        """Keep address -> (bytes, purpose) in `ranges`, which sees each change."""
        self._live = ranges

    def ranges(self) -> list[tuple[int, int, str]]:
        """(address, bytes, purpose) of what is handed out, by address."""
        return [(p, size, purpose) for p, (size, purpose) in sorted(self._live.items())]

    # Events.

    def _on_start(self, event: RunStart) -> None:
        if self.start is not None:
            return
        self.start = event
        self._page = page = max(1, event.phys_page_size)
        self._wasm = not event.platform.startswith("plan9")
        self._static = -(-event.data_end // page) * page
        self._initial = max(0, event.initial_pages) * PAGE if self._wasm else 0
        self._bloc = self._bloc_max = start_of_break(event)
        self._top = self.peak_top = top_of(event.initial_pages, self._bloc_max, self._wasm)
        self._first_top = self._top
        state = (event.t_ns, self._top, self._bloc, self._bloc_max, 0, 0)
        self.over_time.put(event.t_ns, state)

    def _on_return(self, event: MemReturn) -> None:
        top = top_of(event.pages, event.bloc_max, self._wasm)
        if self._pending or top > self._top:
            self._grew(event, top)
        bloc = event.bloc
        if bloc != self._bloc:
            self._bloc_mover = CallRef.of(event)
        if event.ok and event.n <= max(top, 1):  # a size that wrapped is nothing that there is
            if event.fn == "sysFreeOS":
                self._freed(event)
            else:
                self._handed_out(event)
        self._top = top
        if top > self.peak_top:
            self.peak_top = top
        self._bloc, self._bloc_max = bloc, event.bloc_max
        self._last = event
        series, now, free = self.over_time, event.t_ns, event.free_bytes
        if free > self.most_free[0]:
            self.most_free = (free, now)
        if now < series.until:
            series.last = (now, top, bloc, event.bloc_max, free, self._asked)
        else:
            series.put(now, (now, top, bloc, event.bloc_max, free, self._asked))

    def _handed_out(self, event: MemReturn) -> None:
        n, p = event.n, event.p
        aligned = event.align != 0
        size = event.size if aligned else -(-n // self._page) * self._page
        purpose = in_reports(event.purpose, aligned)
        if size > 0:
            self._hold(p, size, purpose)
            if p < self._static:  # the break began below the data's end: osinit's wrong order
                self._static = p
        self._asked = asked = self._asked + n
        if asked > self.peak_live:
            self.peak_live = asked
            self._rising = True
        if p in self._hints and event.path != "hint" and self._hints[p] is None:
            self._hints[p] = CallRef.of(event)

    def _hold(self, p: int, size: int, purpose: str) -> None:
        if self._hosts:
            self._hosts = [
                part
                for low, high in self._hosts
                for part in ((low, min(high, p)), (max(low, p + size), high))
                if part[0] < part[1]
            ]
        old = self._live.get(p)
        if old is not None:  # handed out twice: the free is missing from the log
            self._held[old[1]] -= old[0]
        elif self._order is not None:
            self._reorder(p, True)
        self._live[p] = (size, purpose)
        self._held[purpose] = self._held.get(purpose, 0) + size

    def _freed(self, event: MemReturn) -> None:
        if self._rising:
            self._keep_peak()
        v, n = event.v, event.n
        self._asked -= n
        size = -(-n // self._page) * self._page
        if event.path == "end_of_memory":
            self.end_frees += 1
            self.end_free_bytes += n
            size = n
        elif not event.free_blocks and n > 0:
            self.noop_bytes += size
        elif size != n and v + size == event.bloc:
            self.unrounded_end_frees += 1
            self.unrounded_end_bytes += size
        entry = self._live.get(v)
        if entry is not None and entry[0] == size:
            del self._live[v]
            self._held[entry[1]] -= size
            if self._order is not None:
                self._reorder(v, False)
        elif size > 0:
            self._free_part(v, v + size)

    def _free_part(self, low: int, high: int) -> None:
        """A free of what is not one whole range: a trim, or several ranges at once."""
        if self._order is None:
            self._order = sorted(self._live)
        self._unasked = 0
        order = self._order
        first = max(0, bisect_right(order, low) - 1)
        freed = 0
        for p in order[first : bisect_left(order, high)]:
            size, purpose = self._live[p]
            end = p + size
            cut_low, cut_high = max(p, low), min(end, high)
            if cut_low >= cut_high:
                continue
            freed += cut_high - cut_low
            self._held[purpose] -= size
            del self._live[p]
            del order[bisect_left(order, p)]
            for part_low, part_high in ((p, cut_low), (cut_high, end)):
                if part_low < part_high:
                    self._hold(part_low, part_high - part_low, purpose)
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

    def _on_grow(self, event: MemGrow) -> None:
        if event.site == HOST_SITE:
            self._on_host(event)
            return
        self._pending.append(event)
        if len(self._pending) > 1000:  # returns are missing: nobody claims these
            self._settle_growths(None)

    def _on_host(self, event: MemGrow) -> None:
        """The host grew the memory, which no call of Go's asked for."""
        if event.ok and event.pages_after > event.pages_before:
            self._top = self._host_top = event.pages_after * PAGE
            self.peak_top = max(self.peak_top, self._top)
            self._hosts.append((event.pages_before * PAGE, self._top))

    def _grew(self, event: MemReturn, top: int) -> None:
        if self._pending:
            self._settle_growths(event)
        else:  # a log without mem.grow
            self._note_growth(event.seq, self._top, top, True, event)

    def _settle_growths(self, event: MemReturn | None) -> None:
        for grow in self._pending:
            before, delta, after = self._grown(grow)
            after = after if grow.ok else before + delta
            limited = not grow.ok and after > grow.max_pages * PAGE
            self._note_growth(grow.seq, before, after, grow.ok, event, grow.t_ns, limited)
        self._pending.clear()

    def _grown(self, grow: MemGrow) -> tuple[int, int, int]:
        """Bytes before, asked for and after."""
        before, delta, after = grow.bytes_before, grow.delta_bytes, grow.bytes_after
        if isinstance(before, int) and isinstance(delta, int) and isinstance(after, int):
            return before, delta, after
        # A log from before events said bytes; what it calls pages are those of the system.
        unit = PAGE if self._wasm else PLAN9_PAGE
        return grow.pages_before * unit, grow.delta_pages * unit, grow.pages_after * unit

    def _note_growth(
        self,
        seq: int,
        before: int,
        after: int,
        ok: bool,
        event: MemReturn | None,
        t_ns: int | None = None,
        limited: bool = False,
    ) -> None:
        self.growths_seen += 1
        self.refused += not ok
        call = CallRef.of(event) if event is not None else None
        key = (call.fn, call.purpose) if call is not None else ("", "")
        sums = self._causes.setdefault(key, [0, 0, 0])
        sums[0] += ok
        sums[1] += after - before if ok else 0
        sums[2] += not ok
        if len(self.growths) >= GROWTHS_KEPT:
            return
        if event is None:
            self.growths.append(Growth(seq, t_ns or 0, before, after, ok, None, limited=limited))
            return
        need = -(-event.n // self._page) * self._page + event.align
        last = self._last  # the call before: this one may have put what it skipped on the list
        free, largest = (last.free_bytes, last.free_largest) if last is not None else (0, 0)
        self.growths.append(
            Growth(
                seq, event.t_ns if t_ns is None else t_ns, before, after, ok, call, need, free,
                largest, self._slack(), self._asked, limited,
            )
        )  # fmt: skip

    def _on_arena(self, event: ArenaReserve) -> None:
        if event.via != "hint" or not event.addr:  # Go takes nil at a hint of 0 for a hit
            return
        self.hint_hits += 1
        self._hints.pop(event.addr, None)
        self._hints.pop(event.addr + event.size, None)  # a down hint, by its upper end
        if len(self._hints) < HINTS_ACTIVE_MAX:
            self._hints[event.addr + event.size] = None

    def _on_hint(self, event: ArenaHintNew) -> None:
        if not event.down and len(self._hints) < HINTS_ACTIVE_MAX:
            self._hints[event.addr] = None

    def _on_miss(self, event: ArenaHintMiss) -> None:
        self.hint_misses_seen += 1
        taken_by = None if event.down else self._hints.pop(event.hint_addr, None)
        if len(self.hint_misses) >= HINTS_KEPT:
            return
        if event.down:
            why = "it grows downwards and the break is above it"
        elif not event.gap_bytes:
            why = "the break was there, and the memory could not grow"
        elif taken_by is not None:
            why = f"{taken_by} had taken that address"
        elif self._bloc_mover is None:
            why = "the break never moves in this release, and a hint must be where it is"
        elif event.bloc < event.hint_addr:
            why = "a free had lowered the break"
        else:
            taken_by = self._bloc_mover
            why = f"{taken_by} had moved the break"
        self.hint_misses.append(
            HintMiss(
                event.seq, event.t_ns, event.hint_addr, event.down, event.bloc, event.gap_bytes,
                taken_by, why,
            )
        )  # fmt: skip

    def _on_end(self, event: RunEnd) -> None:
        self.ended = event

    # What it comes to.

    def finish(self) -> None:
        """Take stock."""
        if self._pending:
            self._settle_growths(None)
        if self._rising:
            self._keep_peak()
        self.end = self._layout()

    def _keep_peak(self) -> None:
        """Live bytes are about to fall from their highest: keep where everything is."""
        self._rising = False
        self.peak = self._layout()

    def _layout(self) -> Layout:
        last = self._last
        never = 0
        if self._wasm and self._bloc_max < self._initial:
            never = self._initial - self._bloc_max
        return Layout(
            seq=last.seq if last is not None else 0,
            t_ns=last.t_ns if last is not None else 0,
            top=self._top,
            static=self._static,
            held={purpose: size for purpose, size in sorted(self._held.items()) if size},
            free=last.free_bytes if last is not None else 0,
            free_blocks=last.free_blocks if last is not None else 0,
            free_largest=last.free_largest if last is not None else 0,
            hole_bytes=self._hole_bytes(last),
            slack=self._slack(),
            never_used=never,
            host=sum(high - low for low, high in self._hosts),
            live=self._asked,
        )

    def _slack(self) -> int:
        """Between bloc and bloc_max, of what is there: a size that wrapped takes both anywhere."""
        top = max(self._top, self._static)
        return max(0, min(self._bloc_max, top) - self._bloc)

    def _hole_bytes(self, last: MemReturn | None) -> int | None:
        if not self.free.known and last is not None and last.free_blocks:
            return None
        return sum(end - start for start, end in self.free.holes)

    @property
    def causes(self) -> tuple[GrowthCause, ...]:
        """Growths by what they were for, the most bytes first."""
        found = [GrowthCause(fn, purpose, *sums) for (fn, purpose), sums in self._causes.items()]
        return tuple(sorted(found, key=lambda one: (-one.bytes, -one.refused, one.fn, one.purpose)))

    def reasons(self) -> tuple[Reason, ...]:
        """Why what is not in use at the end does not go back, the most bytes first."""
        end = self.end
        found = []
        if end.free:
            found.append(self._free_list_reason(end))
        if end.slack:
            found.append(
                Reason(
                    "slack", end.slack,
                    f"{end.slack} bytes above the break are kept: frees at the end of memory lower "
                    "bloc, and nothing ever lowers bloc_max or shrinks the memory",
                )
            )  # fmt: skip
        if end.never_used:
            found.append(
                Reason(
                    "never_used", end.never_used,
                    f"{end.never_used} bytes of the initial memory were never handed out: sbrk of "
                    "this release always grows",
                )
            )  # fmt: skip
        if self.noop_bytes:
            found.append(
                Reason(
                    "noop_free", self.noop_bytes,
                    f"{self.noop_bytes} bytes were freed, and sysFreeOS of this release does "
                    "nothing",
                )
            )  # fmt: skip
        if self.unrounded_end_frees:
            found.append(
                Reason(
                    "unrounded_end", self.unrounded_end_bytes,
                    f"{self.unrounded_end_frees} frees at the end of memory went to the free list: "
                    "sysFreeOS compares the size before it is rounded",
                )
            )  # fmt: skip
        return tuple(sorted(found, key=lambda one: -one.bytes))

    def _free_list_reason(self, end: Layout) -> Reason:
        pin = self.top_range()
        behind = ""
        if pin is not None:
            start, size, purpose = pin
            behind = f"; the highest range in use, {size} bytes at {start:#x} ({purpose}), is above"
        return Reason(
            "free_list",
            end.free,
            f"{end.free} bytes in {end.free_blocks} blocks lie on the free list, from where only "
            f"allocations take them{behind}",
        )

    def top_range(self) -> tuple[int, int, str] | None:
        """(address, bytes, purpose) of the highest range that is handed out, None without one."""
        if not self._live:
            return None
        p = max(self._live)
        return p, *self._live[p]

    def discard(self) -> Discard | None:
        """What `memory.discard` could give back at the end; None where blocks are not known."""
        if not self.free.known and self.end.free:
            return None
        free_pages = sum(
            whole_pages(addr + HEADER_BYTES, addr + size) for addr, size in self.free.blocks.items()
        )
        slack_pages = whole_pages(self._bloc, self._bloc_max)
        slack_pages += whole_pages(max(self._bloc, self._bloc_max), self._initial)
        return Discard(free_pages, slack_pages)

    def budget(self, pages: int) -> Budget:
        """Whether the run would fit into `pages` pages of 64 KiB.

        The run itself is taken as it was: with less memory Go might collect garbage more often.
        """
        limit = pages * PAGE
        asked = [growth for growth in self.growths if growth.may_be_granted]
        top = max([self.peak_top, *[growth.after for growth in asked]])
        needed = pages_of(top)
        exact = self.growths_seen <= len(self.growths)
        if self._first_top > limit:
            start_pages = pages_of(self._first_top)
            return Budget(pages, False, needed, None, "start", exact, None, start_pages)
        for growth in asked:
            if growth.after > limit:
                return Budget(pages, False, needed, growth, growth.verdict, exact)
        if self._host_top > limit:
            return Budget(pages, False, needed, None, "host", exact)
        unknown = next((growth for growth in asked if not growth.ok), None)
        return Budget(pages, self.peak_top <= limit, needed, None, "", exact, unknown)


def start_of_break(event: RunStart) -> int:
    """bloc and bloc_max before the first call."""
    page = max(1, event.phys_page_size)
    if event.wrong_order is True and event.initial_pages == 0:
        return 0  # initBloc rounded by a page size that was not known yet
    return -(-event.data_end // page) * page


def whole_pages(low: int, high: int) -> int:
    """Pages of 64 KiB that lie in [low, high) as a whole."""
    return max(0, high // PAGE - pages_of(low))
