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

Bounds: those of `MemoryBook` and `Growths`, `HINTS_KEPT` hint misses, series of 1024 points.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gorun_mem.analysis.accumulator import ByFields, Handler
from gorun_mem.analysis.blocks import FreeBlocks
from gorun_mem.analysis.callbooks import MemoryBook
from gorun_mem.analysis.exact import Series
from gorun_mem.analysis.growths import Growths, Standing
from gorun_mem.analysis.memoryreport import (
    Budget,
    CallRef,
    Discard,
    Growth,
    GrowthCause,
    HintMiss,
    Layout,
    Reason,
)
from gorun_mem.events.types import (
    HOST_SITE,
    ArenaHintMiss,
    ArenaHintNew,
    ArenaReserve,
    LogEvent,
    MemGrow,
    MemReturn,
    RunEnd,
    RunStart,
)
from gorun_mem.runtime.pages import PAGE, pages_of, top_of

HINTS_KEPT: Final = 1000
HINTS_ACTIVE_MAX: Final = 1 << 12
HEADER_BYTES: Final = 16
_UNSEEN: Final = (0, 0, 0, 0, 0, 0)
"""What a stretch of time has until it ends."""


class MemoryUse(MemoryBook):
    """Reads calls, growths, arenas and hints.

    `free` must come before this among the accumulators.

    Args:
        free: the free list's blocks.

    Attributes:
        end: where everything is at the end, once finished.
        peak: the same when most bytes were live.
        peak_live: most live bytes.
        peak_top: the greatest top.
        hint_hits: hints that gave the address asked for.
        hint_misses: the first `HINTS_KEPT` of those tried in vain.
        hint_misses_seen: how many there were.
        end_frees: frees that lowered the break, and end_free_bytes: by how much.
        unrounded_end_frees: frees at the end of memory that went to the list because their size was
            not rounded, and unrounded_end_bytes.
        noop_bytes: freed up to 1.20, where a free does nothing.
        over_time: (ns, top, bloc, bloc_max, free bytes, live bytes) after the last call in each
            stretch of time.
        most_free: most bytes on the free list after a call, with the time of the first such.
    """

    def __init__(self, free: FreeBlocks) -> None:
        self._growths = Growths(self._standing)
        super().__init__(free, self._growths.pending)
        self.start: RunStart | None = None
        self.end = Layout()
        self.peak = Layout()
        self.hint_hits = self.hint_misses_seen = 0
        self.hint_misses: list[HintMiss] = []
        self.over_time: Series[tuple[int, int, int, int, int, int]] = Series()
        self.ended: RunEnd | None = None
        self._initial = self._first_top = 0
        self._host_top = 0

    def handlers(self) -> Mapping[type[LogEvent], Handler]:
        """Everything about memory but the calls' beginnings."""
        return {
            RunStart: self._on_start,
            MemReturn: ByFields(self._on_return),
            MemGrow: self._on_grow,
            ArenaReserve: self._on_arena,
            ArenaHintNew: self._on_hint,
            ArenaHintMiss: self._on_miss,
            RunEnd: self._on_end,
        }

    def keep_ranges_in(self, ranges: dict[int, tuple[int, str]]) -> None:
        """Keep address -> (bytes, purpose) in `ranges`, which sees each change."""
        self._handed_out.ranges = ranges

    def ranges(self) -> list[tuple[int, int, str]]:
        """(address, bytes, purpose) of what is handed out, by address."""
        return [
            (p, size, purpose) for p, (size, purpose) in sorted(self._handed_out.ranges.items())
        ]

    # Events.

    def _on_start(self, event: RunStart) -> None:
        if self.start is not None:
            return
        self.start = event
        self._page = self._growths.page = page = max(1, event.phys_page_size)
        self._wasm = self._growths.is_wasm = not event.platform.startswith("plan9")
        self._static = -(-event.data_end // page) * page
        self._initial = max(0, event.initial_pages) * PAGE if self._wasm else 0
        self._bloc = self._bloc_max = start_of_break(event)
        self._top = self.peak_top = top_of(event.initial_pages, self._bloc_max, self._wasm)
        self._first_top = self._top
        state = (event.t_ns, self._top, self._bloc, self._bloc_max, 0, 0)
        self.over_time.put(event.t_ns, state)
        self._until = self.over_time.until

    def _see(self) -> None:
        if self._last is not None:
            self.over_time.last = self._row(self._last)

    def _turn(self, now: int) -> None:
        self._see()
        self.over_time.put(now, _UNSEEN)
        self._until = self.over_time.until

    def _row(self, event: MemReturn) -> tuple[int, int, int, int, int, int]:
        top = top_of(event.pages, event.bloc_max, self._wasm)
        return (event.t_ns, top, event.bloc, event.bloc_max, event.free_bytes, self._asked)

    def _on_grow(self, event: MemGrow) -> None:
        if event.site == HOST_SITE:
            self._on_host(event)
        else:
            self._growths.ask(event)

    def _on_host(self, event: MemGrow) -> None:
        """The host grew the memory, which no call of Go's asked for."""
        if event.ok and event.pages_after > event.pages_before:
            self._top = self._host_top = event.pages_after * PAGE
            self.peak_top = max(self.peak_top, self._top)
            self._handed_out.hosts.append((event.pages_before * PAGE, self._top))

    def _grew(self, event: MemReturn, top: int) -> None:
        if self._growths.pending:
            self._growths.settle(event)
        else:
            self._growths.note_unsaid(event, self._top, top)

    def _standing(self) -> Standing:
        """Before the call that returns now; it may have put what it skipped on the free list."""
        last = self._last
        free, largest = (last.free_bytes, last.free_largest) if last is not None else (0, 0)
        return Standing(free, largest, self._slack(), self._asked)

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
        taker = None if event.down else self._hints.pop(event.hint_addr, None)
        taken_by = CallRef.of(taker) if taker is not None else None
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
            taken_by = CallRef.of(self._bloc_mover)
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
        self._see()
        self._growths.settle(None)
        if self._rising:
            self._keep_peak()
        self.end = self._layout()

    def _keep_peak(self) -> None:
        # Keep where everything is.
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
            held={purpose: size for purpose, size in sorted(self._handed_out.held.items()) if size},
            free=last.free_bytes if last is not None else 0,
            free_blocks=last.free_blocks if last is not None else 0,
            free_largest=last.free_largest if last is not None else 0,
            hole_bytes=self._hole_bytes(last),
            slack=self._slack(),
            never_used=never,
            host=self._handed_out.host_bytes,
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
    def growths(self) -> list[Growth]:
        """Growths in order, refused ones too, at most `GROWTHS_KEPT`."""
        return self._growths.kept

    @property
    def growths_seen(self) -> int:
        """How many there were."""
        return self._growths.seen

    @property
    def refused(self) -> int:
        """Growths refused."""
        return self._growths.refused

    @property
    def causes(self) -> tuple[GrowthCause, ...]:
        """Growths by what they were for, the most bytes first."""
        return self._growths.causes

    @property
    def unknown_frees(self) -> int:
        """Frees of what was not known to be handed out."""
        return self._handed_out.unknown_frees

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
        return self._handed_out.highest

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
        return self._growths.budget(pages, self._first_top, self.peak_top, self._host_top)


def start_of_break(event: RunStart) -> int:
    """bloc and bloc_max before the first call."""
    page = max(1, event.phys_page_size)
    if event.wrong_order is True and event.initial_pages == 0:
        return 0  # initBloc rounded by a page size that was not known yet
    return -(-event.data_end // page) * page


def whole_pages(low: int, high: int) -> int:
    """Pages of 64 KiB that lie in [low, high) as a whole."""
    return max(0, high // PAGE - pages_of(low))
