"""A runtime put together and started: osinit of os_js.go (to 1.20), os_wasm.go and os_plan9.go.

The order matters. memRound rounds to physPageSize, so osinit must know the page size before
initBloc rounds the end of the program's data up to it. The seed commit made memRound depend on
physPageSize and so had to swap the two calls on Plan 9. With the old order bloc starts at 0: the
heap then lies over the program's own data. `wrong_order` starts a runtime that way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from gorun_mem.runtime.behaviour import WASM_PAGE, MiB, Platform, Release, WasmBreak
from gorun_mem.runtime.brk import PLAIN_BREAKS, BreakClasses, make_break
from gorun_mem.runtime.errors import IllegalUse
from gorun_mem.runtime.freelist import FreeList
from gorun_mem.runtime.ledger import Ledger
from gorun_mem.runtime.linear_memory import LinearMemory
from gorun_mem.runtime.mem_js import ReserveEndLayer
from gorun_mem.runtime.mem_sbrk import SbrkLayer
from gorun_mem.runtime.memory import Plan9Segment, WasmMemory
from gorun_mem.runtime.oslayer import OSLayer, RuntimeLock
from gorun_mem.runtime.sink import Sink

if TYPE_CHECKING:
    from gorun_mem.runtime.mem import Mem
    from gorun_mem.runtime.mheap import MHeap

DATA_END: Final = 1441448
"""Where the data of a small Go program ends, in bytes."""
MAX_PAGES: Final = 65536
"""The most pages of 64 KiB that a 32-bit linear memory can have."""
BRK_MAX: Final = (1 << 64) - 1
"""How far the break may go on Plan 9 unless a limit is given: through the whole address space."""


def brk_limit(max_pages: int) -> int:
    """How far the break may go on Plan 9 where a limit is given in pages, in bytes.

    Args:
        max_pages: pages of 64 KiB; MAX_PAGES, which a linear memory cannot have more of, is no
            limit here.
    """
    return BRK_MAX if max_pages >= MAX_PAGES else max_pages * WASM_PAGE


@dataclass(frozen=True, slots=True)
class BootOptions:
    """What a program starts with, and how its runtime behaves.

    Args:
        end: end of the program's data in bytes.
        initial_pages: pages of 64 KiB that the memory starts with; -1 asks
            `initial_wasm_pages`. Plan 9 has none.
        max_pages: pages of 64 KiB beyond which wasm memory does not grow.
        brk_max: byte beyond which Plan 9's break does not go; BRK_MAX for no limit.
        mem_debug: Go's memDebug.
        faithful: do what Go does with an illegal free, in place of refusing it.
        use_index: False makes the free list walk its headers as Go does.
        wrong_order: run osinit with initBloc before physPageSize is known.
    """

    end: int = DATA_END
    initial_pages: int = -1
    max_pages: int = MAX_PAGES
    brk_max: int = BRK_MAX
    mem_debug: bool = False
    faithful: bool = False
    use_index: bool = True
    wrong_order: bool = False


class Parts(NamedTuple):
    """The classes that a runtime is made of; others may stand in for them, as `access` has them.

    Args:
        reserve_end_layer: the OS layer of wasm up to 1.20; None where nothing stands in for it.
    """

    wasm_memory: type[WasmMemory] = WasmMemory
    plan9_segment: type[Plan9Segment] = Plan9Segment
    breaks: BreakClasses = PLAIN_BREAKS
    freelist: type[FreeList] = FreeList
    ledger: type[Ledger] = Ledger
    sbrk_layer: type[SbrkLayer] = SbrkLayer
    reserve_end_layer: type[ReserveEndLayer] | None = ReserveEndLayer


PLAIN: Final = Parts()


class Runtime:
    """One emulated runtime: memory, OS layer, mem.go and the heap's reservations above it.

    Args:
        release: gives the behaviour.
        platform: one that the release has.
        os: the OS layer.

    Attributes:
        phys_page_size: 0 until `osinit` has run.
        after_init_bloc: called by `osinit` right after initBloc, with nothing.
        heap_lock: mheap.lock, set before `mheap` is first used; None in a world of one M.
    """

    def __init__(self, release: Release, platform: Platform, os: OSLayer, end: int) -> None:
        self.release = release
        self.platform = platform
        self.os = os
        self.data_end = end
        self.phys_page_size = 0
        self.after_init_bloc: Callable[[], None] | None = None
        self.heap_lock: RuntimeLock | None = None

    def __repr__(self) -> str:
        return f"<Runtime {self.release.name} {self.platform.name}>"

    @property
    def memory(self) -> LinearMemory:
        """The linear memory."""
        return self.os.memory

    @cached_property
    def mem(self) -> Mem:
        """mem.go: region states and statistics over the OS layer."""
        from gorun_mem.runtime.mem import Mem

        return Mem(self.os)

    @cached_property
    def mheap(self) -> MHeap:
        """mheap.sysAlloc and what it needs of malloc.go."""
        from gorun_mem.runtime.mheap import MHeap

        return MHeap(self.mem, heap_lock=self.heap_lock)

    def osinit(self, *, wrong_order: bool = False) -> None:
        """Read the page size and start the break, in the release's order.

        Args:
            wrong_order: call initBloc before physPageSize is known.
        """
        behaviour = self.release.behaviour
        on_plan9_first = behaviour.plan9_init_bloc_first and not self.platform.is_wasm
        if wrong_order or on_plan9_first:
            self._init_bloc()
            self._set_page_size()
        else:
            self._set_page_size()
            self._init_bloc()
        if behaviour.sets_bloc_max_at_osinit and self.platform.is_wasm:
            assert isinstance(self.os, SbrkLayer)
            self.os.brk.bloc_max = self.os.pages * WASM_PAGE

    def _set_page_size(self) -> None:
        self.phys_page_size = self.platform.page_size
        if isinstance(self.os, SbrkLayer):
            self.os.brk.phys_page_size = self.platform.page_size

    def _init_bloc(self) -> None:
        if isinstance(self.os, SbrkLayer):
            self.os.brk.init_bloc(self.data_end)
            if self.after_init_bloc is not None:
                self.after_init_bloc()


def initial_wasm_pages(release: Release, end: int) -> int:
    """How many pages the wasm linker asks for.

    Up to 1.23 the linker goes by the end of the data, which `end` is not quite: the answer is then
    an approximation, to be replaced by what a recording says.

    Args:
        release: from 1.24 the linker leaves 1 MiB of room, before it 16 MiB.
        end: end of the program in bytes.
    """
    room = 1 * MiB if release.behaviour.sets_bloc_max_at_osinit else 16 * MiB
    return (end + room) // WASM_PAGE


def check_start(release: Release, platform: Platform, options: BootOptions) -> None:
    """Whether a program can start so.

    Raises:
        ValueError: an option is out of range; the message names it as it is named here.
        NotInstantiable: the program starts with more memory than there may be.
    """
    end, initial_pages, max_pages = options.end, options.initial_pages, options.max_pages
    if not 0 < end <= platform.word_mask - platform.page_size:
        raise ValueError(
            f"end {end} does not lie in the {8 * platform.word_size}-bit address space"
        )
    if not -1 <= initial_pages <= MAX_PAGES:
        raise ValueError(f"init_pages {initial_pages} is not -1 or 0 to {MAX_PAGES}")
    if not 0 <= max_pages <= MAX_PAGES:
        raise ValueError(f"max_pages {max_pages} is not 0 to {MAX_PAGES}")
    if options.brk_max < 0:
        raise ValueError(f"brk_max {options.brk_max} is negative")
    _make_memory(release, platform, options, PLAIN)


def _make_memory(
    release: Release, platform: Platform, options: BootOptions, parts: Parts
) -> WasmMemory | Plan9Segment:
    """The memory that a program starts with."""
    if not platform.is_wasm:
        return parts.plan9_segment(options.end, options.brk_max, platform.word_size)
    pages = options.initial_pages
    if pages < 0:
        pages = initial_wasm_pages(release, options.end)
    return parts.wasm_memory(pages, options.max_pages)


def assemble(
    release: Release,
    platform: Platform,
    options: BootOptions = BootOptions(),
    *,
    memlock: RuntimeLock,
    sink: Sink | None = None,
    parts: Parts = PLAIN,
) -> Runtime:
    """A runtime before osinit; see `boot`."""
    os: OSLayer
    behaviour = release.behaviour
    memory = _make_memory(release, platform, options, parts)
    ledger = None if options.faithful else parts.ledger()
    if isinstance(memory, WasmMemory) and behaviour.wasm_break is WasmBreak.RESERVE_END:
        if parts.reserve_end_layer is None:
            raise IllegalUse(f"{release.name} on {platform.name} has no free list to interleave")
        os = parts.reserve_end_layer(release, platform, memory, options.end, memlock, ledger)
    else:
        brk = make_break(release, platform, memory, parts.breaks)
        freelist = parts.freelist(
            memory,
            brk.mem_round,
            search_function="memAllocNoGrow" if behaviour.is_sbrk_platform else "memAlloc",
            mem_debug=options.mem_debug,
            use_index=options.use_index,
        )
        os = parts.sbrk_layer(release, platform, brk, freelist, memlock, ledger)
    os.sink = sink
    return Runtime(release, platform, os, options.end)


def boot(
    release: Release,
    platform: Platform,
    options: BootOptions = BootOptions(),
    *,
    memlock: RuntimeLock,
    sink: Sink | None = None,
    parts: Parts = PLAIN,
) -> Runtime:
    """A runtime that has run osinit.

    Args:
        release: from `behaviour.release`.
        platform: from `release.platform`.
        options: what the program starts with, and how the runtime behaves.
        memlock: the mutex around the OS layer.
        sink: who is told what happens.
        parts: the classes that it is made of.

    Raises:
        NotInstantiable: the program starts with more memory than there may be.
        IllegalUse: there is no such part for this release on this platform.
    """
    runtime = assemble(release, platform, options, memlock=memlock, sink=sink, parts=parts)
    runtime.osinit(wrong_order=options.wrong_order)
    return runtime
