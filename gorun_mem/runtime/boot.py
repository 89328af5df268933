"""A runtime put together and started: what osinit of os_js.go, os_wasip1.go and os_plan9.go do.

The order matters. memRound rounds to physPageSize, so osinit must know the page size before
initBloc rounds the end of the program's data up to it. The seed commit made memRound depend on
physPageSize and so had to swap the two calls on Plan 9. With the old order bloc starts at 0: the
heap then lies over the program's own data. `wrong_order` starts a runtime that way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Final

from gorun_mem.runtime.behaviour import WASM_PAGE, MiB, Platform, Release, WasmBreak
from gorun_mem.runtime.brk import make_break
from gorun_mem.runtime.mem_js import ReserveEndLayer
from gorun_mem.runtime.mem_sbrk import SbrkLayer
from gorun_mem.runtime.memory import LinearMemory, Plan9Segment, WasmMemory
from gorun_mem.runtime.oslayer import Lock, OSLayer
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
        self.heap_lock: Lock | None = None

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


def check_start(
    release: Release,
    platform: Platform,
    *,
    end: int,
    initial_pages: int,
    max_pages: int,
    brk_max: int,
) -> None:
    """Whether a program can start so; arguments as in `boot`.

    Raises:
        ValueError: an argument is out of range; the message names it as it is named here.
        NotInstantiable: the program starts with more memory than there may be.
    """
    if not 0 < end <= platform.word_mask - platform.page_size:
        raise ValueError(
            f"end {end} does not lie in the {8 * platform.word_size}-bit address space"
        )
    if not -1 <= initial_pages <= MAX_PAGES:
        raise ValueError(f"init_pages {initial_pages} is not -1 or 0 to {MAX_PAGES}")
    if not 0 <= max_pages <= MAX_PAGES:
        raise ValueError(f"max_pages {max_pages} is not 0 to {MAX_PAGES}")
    if brk_max < 0:
        raise ValueError(f"brk_max {brk_max} is negative")
    _make_memory(release, platform, end, initial_pages, max_pages, brk_max)


def _make_memory(
    release: Release,
    platform: Platform,
    end: int,
    initial_pages: int,
    max_pages: int,
    brk_max: int,
) -> WasmMemory | Plan9Segment:
    """The memory that a program starts with."""
    if not platform.is_wasm:
        return Plan9Segment(end, brk_max, platform.word_size)
    pages = initial_wasm_pages(release, end) if initial_pages < 0 else initial_pages
    return WasmMemory(pages, max_pages)


def assemble(
    release: Release,
    platform: Platform,
    *,
    memlock: Lock,
    end: int = DATA_END,
    initial_pages: int = -1,
    max_pages: int = MAX_PAGES,
    brk_max: int = BRK_MAX,
    mem_debug: bool = False,
    faithful: bool = False,
    use_index: bool = True,
    sink: Sink | None = None,
) -> Runtime:
    """A runtime before osinit; see `boot`."""
    os: OSLayer
    memory = _make_memory(release, platform, end, initial_pages, max_pages, brk_max)
    if isinstance(memory, WasmMemory) and release.behaviour.wasm_break is WasmBreak.RESERVE_END:
        os = ReserveEndLayer(release, platform, memory, end, memlock, faithful=faithful)
    else:
        brk = make_break(release, platform, memory)
        os = SbrkLayer(
            release,
            platform,
            brk,
            memlock,
            mem_debug=mem_debug,
            faithful=faithful,
            use_index=use_index,
        )
    os.sink = sink
    return Runtime(release, platform, os, end)


def boot(
    release: Release,
    platform: Platform,
    *,
    memlock: Lock,
    end: int = DATA_END,
    initial_pages: int = -1,
    max_pages: int = MAX_PAGES,
    brk_max: int = BRK_MAX,
    mem_debug: bool = False,
    faithful: bool = False,
    use_index: bool = True,
    sink: Sink | None = None,
    wrong_order: bool = False,
) -> Runtime:
    """A runtime that has run osinit.

    Args:
        release: from `releases.release`.
        platform: from `release.platform`.
        memlock: the mutex around the OS layer.
        end: end of the program's data in bytes.
        initial_pages: pages of 64 KiB that the memory starts with; -1 asks
            `initial_wasm_pages`. Plan 9 has none.
        max_pages: pages of 64 KiB beyond which wasm memory does not grow.
        brk_max: byte beyond which Plan 9's break does not go; BRK_MAX for no limit.
        mem_debug: Go's memDebug.
        faithful: do what Go does with an illegal free, in place of refusing it.
        use_index: False makes the free list walk its headers as Go does.
        sink: who is told what happens.
        wrong_order: run osinit with initBloc before physPageSize is known.

    Raises:
        NotInstantiable: the program starts with more memory than there may be.
    """
    runtime = assemble(
        release,
        platform,
        memlock=memlock,
        end=end,
        initial_pages=initial_pages,
        max_pages=max_pages,
        brk_max=brk_max,
        mem_debug=mem_debug,
        faithful=faithful,
        use_index=use_index,
        sink=sink,
    )
    runtime.osinit(wrong_order=wrong_order)
    return runtime
