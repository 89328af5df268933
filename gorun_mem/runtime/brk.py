"""The break: initBloc of mem_sbrk.go and sbrk of mem_wasm.go and mem_plan9.go, by generation.

`bloc` is the runtime's sense of the break, `bloc_max` the system's. What the generations make of
the two differs more than their code does:

    wasm 1.21 to 1.23   sbrk grows by what is asked and returns the old end of memory. bloc and
                        bloc_max stay where initBloc put them, so the memory between bloc and the
                        first growth is never handed out and nothing is ever freed "at the end".
    wasm from 1.24      sbrk hands out [bloc, bloc_max) first and grows by the rest.
    Plan 9              as wasm from 1.24, through brk_.

All arithmetic is modulo the platform's word, as uintptr is in Go.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from gorun_mem.runtime.behaviour import PLAN9_PAGE, Platform, Release, WasmBreak
from gorun_mem.runtime.call import Call
from gorun_mem.runtime.linear_memory import LinearMemory
from gorun_mem.runtime.memory import Plan9Segment, WasmMemory
from gorun_mem.runtime.pages import PAGE
from gorun_mem.runtime.sink import Sink

_INT32: Final = 0xFFFF_FFFF


class SbrkProbe(Protocol):
    """Who wants to see every sbrk as it returns."""

    def sbrked(self, n: int, p: int) -> None:
        """sbrk(n) answered `p`."""


def align_up(n: int, a: int, mask: int) -> int:
    """alignUp of stubs.go: `n` rounded up to a multiple of the power of two `a`, modulo a word.

    With a = 0, which is physPageSize before osinit has read it, the answer is 0.
    """
    return (n + a - 1) & ~(a - 1) & mask


class Break:
    """bloc, blocMax and sbrk.

    Args:
        platform: gives the width of a word.
        round_constant: what memRound rounds to whatever physPageSize is, or 0.

    Attributes:
        bloc: the runtime's sense of the break.
        bloc_max: the break of the system, the high-water mark of bloc.
        phys_page_size: 0 until osinit has read it.
    """

    __slots__ = (
        "_below",
        "_mask",
        "_page_size",
        "_round_constant",
        "_whole",
        "bloc",
        "bloc_max",
        "probe",
        "sink",
    )

    def __init__(self, platform: Platform, round_constant: int = 0) -> None:
        self.bloc = 0
        self.bloc_max = 0
        self.sink: Sink | None = None
        self.probe: SbrkProbe | None = None
        self._mask = platform.word_mask
        self._round_constant = round_constant
        self.phys_page_size = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} bloc={self.bloc:#x} bloc_max={self.bloc_max:#x}>"

    @property
    def memory(self) -> LinearMemory:
        """What the break lies in."""
        raise NotImplementedError

    @property
    def pages(self) -> int:
        """Size of the memory in pages of 64 KiB; 0 on Plan 9, where the break tells."""
        return 0

    @property
    def phys_page_size(self) -> int:
        """0 until osinit has read it."""
        return self._page_size

    @phys_page_size.setter
    def phys_page_size(self, size: int) -> None:
        self._page_size = size
        self._below = (self._round_constant or size) - 1
        self._whole = ~self._below & self._mask

    def mem_round(self, n: int) -> int:
        """memRound: `n` rounded up to a page, modulo a word."""
        return (n + self._below) & self._whole

    def init_bloc(self, end: int) -> None:
        """initBloc: the break starts at the page above the end of the program's data."""
        self.bloc = self.bloc_max = self.mem_round(end)

    def sbrk(self, n: int, call: Call | None = None) -> int:
        """Move the break up by `n` bytes, rounded to pages.

        memlock must be held.

        Args:
            n: bytes.
            call: takes how many pages the memory grew by.

        Returns:
            The address of the new memory, or 0 where the system refused; then nothing changed.
        """
        p = self._sbrk(n, call)
        if self.probe is not None:
            self.probe.sbrked(n, p)
        return p

    def _sbrk(self, n: int, call: Call | None) -> int:
        bl = self.bloc
        n = self.mem_round(n)
        top = (bl + n) & self._mask
        was = self.bloc_max
        if top > was:
            if not self._raise_system_break(top, was, call):
                return 0
            self.bloc_max = top
        self.bloc = top
        if self.sink is not None:
            self._report(bl, top, "sbrk")
        return bl

    def _raise_system_break(self, top: int, was: int, call: Call | None) -> bool:
        """Get memory up to `top`; `was` is bloc_max as it was seen."""
        raise NotImplementedError

    def lower(self, n: int) -> None:
        """Take `n` bytes off bloc: the end of memory was freed. bloc_max stays."""
        before = self.bloc
        self.bloc = after = (before - n) & self._mask
        if self.sink is not None:
            self._report(before, after, "free")

    def _raise_by_multiple(self, n: int, step: int, call: Call | None) -> None:
        """Get memory for `n` bytes by a multiple of `step`, if the system gives as much.

        Go's own layer never does: it asks for what it lacks.
        """
        was = self.bloc_max
        lacking = self.bloc + self.mem_round(n) - was
        top = was + -(-lacking // step) * step
        if lacking > 0 and self._raise_system_break(top, was, call):
            self.bloc_max = top

    def skip_to(self, top: int) -> None:
        """Go on at `top`, where the memory ends: what lies below has another owner.

        Go's own layer never does.
        """
        before, self.bloc, self.bloc_max = self.bloc, top, top
        if self.sink is not None:
            self._report(before, top, "sbrk")

    def _report(self, before: int, after: int, cause: str) -> None:
        """Tell the sink that bloc has moved."""
        assert self.sink is not None
        self.sink.brk_move(before, after, self.bloc_max, cause)


class WasmBlocMaxBreak(Break):
    """sbrk of mem_wasm.go from 1.24."""

    __slots__ = ("_memory",)

    def __init__(self, platform: Platform, memory: WasmMemory) -> None:
        super().__init__(platform)
        self._memory = memory

    @property
    def memory(self) -> WasmMemory:
        """What the break lies in."""
        return self._memory

    @property
    def pages(self) -> int:
        """Size of the memory in pages of 64 KiB."""
        return self._memory.pages

    def _raise_system_break(self, top: int, was: int, call: Call | None) -> bool:
        # Go reads blocMax once more, which counts where accesses are steps.
        grow = ((top - self.bloc_max) & self._mask) // self.phys_page_size
        if self._grow(grow, call) < 0:
            return False
        self._memory.reset_data_view()
        return True

    def _grow(self, pages: int, call: Call | None) -> int:
        """growMemory(int32(pages))."""
        memory = self._memory
        before = memory.pages
        result = memory.grow(_as_int32(pages))
        if call is not None and result >= 0:
            call.grown_pages += memory.pages - before
        if self.sink is not None:
            self.sink.mem_grow(
                (pages & _INT32) * PAGE, before * PAGE, memory.size, result >= 0,
                memory.max_pages * PAGE, memory.grows,
            )  # fmt: skip
        return result


class WasmGrowAlwaysBreak(WasmBlocMaxBreak):
    """sbrk of mem_wasm.go from 1.21 to 1.23, and of mem_js.go in the seed commit."""

    __slots__ = ()

    def _sbrk(self, n: int, call: Call | None) -> int:
        page = self.phys_page_size
        size = self._grow(((n + page - 1) & self._mask) // page, call)
        if size < 0:
            return 0
        self._memory.reset_data_view()
        return size * page


class Plan9Break(Break):
    """sbrk of mem_plan9.go."""

    __slots__ = ("_segment",)

    def __init__(self, platform: Platform, segment: Plan9Segment, round_constant: int) -> None:
        super().__init__(platform, round_constant)
        self._segment = segment

    @property
    def memory(self) -> Plan9Segment:
        """What the break lies in."""
        return self._segment

    def _raise_system_break(self, top: int, was: int, call: Call | None) -> bool:
        segment = self._segment
        before = segment.size
        ok = segment.brk(top) == 0
        if call is not None:
            call.grown_pages += (segment.size - before) // PLAN9_PAGE
        if self.sink is not None:
            self.sink.mem_grow(
                top - was, was, top if ok else was, ok, segment.brk_max, segment.grows
            )
        return ok


class BreakClasses(NamedTuple):
    """The class of each generation."""

    bloc_max: type[WasmBlocMaxBreak] = WasmBlocMaxBreak
    grow_always: type[WasmGrowAlwaysBreak] = WasmGrowAlwaysBreak
    plan9: type[Plan9Break] = Plan9Break


PLAIN_BREAKS: Final = BreakClasses()


def make_break(
    release: Release,
    platform: Platform,
    memory: LinearMemory,
    classes: BreakClasses = PLAIN_BREAKS,
) -> Break:
    """The break of `release` on `platform`.

    Args:
        release: gives the generation.
        platform: one that the release has.
        memory: what the break lies in.
        classes: of which one is made.

    Raises:
        ValueError: wasm up to 1.20 has no sbrk (see `mem_js`).
    """
    behaviour = release.behaviour
    if isinstance(memory, Plan9Segment):
        return classes.plan9(platform, memory, PLAN9_PAGE if behaviour.plan9_round_constant else 0)
    assert isinstance(memory, WasmMemory)
    if behaviour.wasm_break is WasmBreak.BLOC_MAX:
        return classes.bloc_max(platform, memory)
    if behaviour.wasm_break is WasmBreak.GROW_ALWAYS:
        return classes.grow_always(platform, memory)
    raise ValueError(f"{release.name} on {platform.name} has no sbrk")


def _as_int32(n: int) -> int:
    n &= _INT32
    return n - (1 << 32) if n >> 31 else n
