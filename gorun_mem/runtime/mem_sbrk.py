"""mem_sbrk.go: the OS layer of wasm from 1.21 and of Plan 9 in every release.

Every call takes memlock, works on the free list and the break, and gives memlock back. What is held
under memlock is plain synchronous code, as in Go, where it runs on the system stack.

Differences between releases, all from the release table: 1.24.0 to 1.24.4 return from
sysReserveAlignedSbrk's free-list path with memlock held; from 1.27 sysFreeOS(nil) does nothing.
"""

from __future__ import annotations

from gorun_mem.runtime.behaviour import Platform, Release
from gorun_mem.runtime.brk import Break, align_up
from gorun_mem.runtime.call import Call, LayerState
from gorun_mem.runtime.errors import EmulatedFailure, IllegalUse
from gorun_mem.runtime.freelist import FreeList
from gorun_mem.runtime.ledger import Ledger
from gorun_mem.runtime.oslayer import OSLayer, RuntimeLock
from gorun_mem.runtime.pages import pages_of
from gorun_mem.runtime.sink import Sink


class SbrkLayer(OSLayer):
    """The free list, the break and memlock, as one OS layer.

    Args:
        release: gives the behaviour.
        platform: gives word and page size.
        brk: the break, with the memory that it lies in.
        freelist: the free list in the same memory.
        memlock: the mutex around everything.
        ledger: who owns what, by which an illegal free is refused; None does what Go does with it.
    """

    def __init__(
        self,
        release: Release,
        platform: Platform,
        brk: Break,
        freelist: FreeList,
        memlock: RuntimeLock,
        ledger: Ledger | None = None,
    ) -> None:
        super().__init__(release, platform, brk.memory, memlock, ledger)
        self.brk = brk
        self._freelist = freelist
        self._mask = platform.word_mask
        # memAlloc is one function to 1.23 and rounds its own n; from 1.24 a callee rounds a copy.
        self._rounds_first = not release.behaviour.is_sbrk_platform

    def __repr__(self) -> str:
        return f"<SbrkLayer {self.release.name} {self.platform.name} {self.brk!r}>"

    @property
    def sink(self) -> Sink | None:
        """Who is told what happens; None costs nothing."""
        return self._sink

    @sink.setter
    def sink(self, sink: Sink | None) -> None:
        self._sink = self.brk.sink = self._freelist.sink = sink
        self._note_watchers()

    @property
    def bloc(self) -> int:
        """The runtime's break."""
        return self.brk.bloc

    @property
    def bloc_max(self) -> int:
        """The system's break."""
        return self.brk.bloc_max

    @property
    def pages(self) -> int:
        """Size of the memory in pages of 64 KiB; 0 on Plan 9."""
        return self.brk.pages

    @property
    def freelist(self) -> FreeList:
        """The free list."""
        return self._freelist

    # The calls.

    async def sys_alloc_os(self, n: int, purpose: str = "") -> int:
        """sysAllocOS: `n` bytes of zeroed memory.

        Args:
            n: bytes; rounded up to pages.
            purpose: what for, for the log.

        Returns:
            The address, or 0 where memory could not grow.
        """
        call = self._enter("sysAllocOS", 0, n, 0, purpose)
        await self.memlock.lock("runtime.sysAllocOS")
        if self._is_wasm:
            self._see_size()
        p = self._mem_alloc(call)
        self._freelist.mem_check()
        if not p:
            self._note_refusal(call)
        if self._watched:
            self._settle(call, p, n, p != 0)
        await self.memlock.unlock("runtime.sysAllocOS")
        return p

    async def sys_free_os(self, v: int, n: int, purpose: str = "") -> None:
        """sysFreeOS: give back [v, v+n).

        At the end of memory, which is told by v+n as it is, not rounded, the break is lowered; any
        other range goes to the free list, rounded up to pages.

        Args:
            v: address.
            n: bytes.
            purpose: what for, for the log.

        Raises:
            IllegalUse: not faithful, and the range is not the caller's to free; nothing changed.
        """
        call = self._enter("sysFreeOS", v, n, 0, purpose)
        if v == 0 and self.release.behaviour.nil_free_is_noop:
            call.path = "nil"
            self._settle(call, 0, n, True)
            return
        await self.memlock.lock("runtime.sysFreeOS")
        at_end = (v + n) & self._mask == self.brk.bloc
        ledger = self.ledger
        if ledger is not None:
            given = n if at_end else self.brk.mem_round(n)
            if not (v and n and ledger.is_one(v, given)):
                refusal = self._free_refusal(v, n, given)
                if refusal is not None:
                    await self._refuse(call, refusal)
            self._free(call, at_end=at_end)
            ledger.freed(v, given, "sysFreeOS", self.whoami())
        else:
            self._free(call, at_end=at_end)
        if self._watched:
            self._settle(call, 0, n, True)
        await self.memlock.unlock("runtime.sysFreeOS")

    async def sys_reserve_os(self, v: int, n: int, purpose: str = "") -> int:
        """sysReserveOS: `n` bytes, at `v` unless that is nil.

        A hint is honoured only where it is the break itself; otherwise the answer is 0, and neither
        the free list nor the break is tried.

        Args:
            v: the address asked for, or 0 for anywhere.
            n: bytes; rounded up to pages.
            purpose: what for, for the log.

        Returns:
            The address, or 0. On wasm from 1.21 to 1.23 a hint at the break gives another address.
        """
        call = self._enter("sysReserveOS", v, n, 0, purpose)
        await self.memlock.lock("runtime.sysReserveOS")
        if self._is_wasm:
            self._see_size()
        p = 0
        call.path = "hint_miss"
        if v == self.brk.bloc:
            p = self.brk.sbrk(n, call)
            call.path = "hint" if p else "fail"
        if p == 0 and v == 0:
            p = self._mem_alloc(call)
            self._freelist.mem_check()
        if not p and call.path == "fail":
            self._note_refusal(call)
        if self._watched:
            self._settle(call, p, n, p != 0)
        await self.memlock.unlock("runtime.sysReserveOS")
        return p

    async def sys_reserve_aligned_sbrk(
        self, size: int, align: int, purpose: str = ""
    ) -> tuple[int, int]:
        """sysReserveAlignedSbrk: `size` bytes at a multiple of `align`.

        From the free list where a block of size+align is free, both ends going back to it;
        otherwise the break is rounded up and what is skipped goes to the free list.

        Args:
            size: bytes.
            align: a power of two.
            purpose: what they are for, for the log.

        Returns:
            (address, size), or (0, 0) where memory could not grow.
        """
        behaviour = self.release.behaviour
        if not behaviour.is_sbrk_platform:
            return await super().sys_reserve_aligned_sbrk(size, align, purpose)
        call = self._enter("sysReserveAlignedSbrk", 0, size, align, purpose)
        await self.memlock.lock("runtime.sysReserveAlignedSbrk")
        if self._is_wasm:
            self._see_size()
        found = self._aligned_from_free(call)
        leaked = found is not None and behaviour.leaks_memlock
        p = self._sbrk_aligned(call) if found is None else found
        got = size if call.path != "fail" else 0
        if not p:
            self._note_refusal(call)
        self._settle(call, p, got, p != 0, exact=True)
        if not leaked:
            await self.memlock.unlock("runtime.sysReserveAlignedSbrk")
        return p, got

    # Under memlock.

    def _mem_alloc(self, call: Call) -> int:
        """memAlloc: from the free list, or else from the break."""
        n = call.n
        p = self._freelist.mem_alloc_no_grow(n, call)
        if p:
            call.path = "freelist"
            return p
        p = self.brk.sbrk(self.brk.mem_round(n) if self._rounds_first else n, call)
        call.path = "sbrk" if p else "fail"
        return p

    def _free(self, call: Call, *, at_end: bool) -> None:
        """Lower the break by what is freed at the end, or give it to the free list."""
        v, n = call.v, call.n
        if at_end:
            call.path = "end_of_memory"
            self.memory.clear(v, n)
            call.cleared_bytes = n
            self.brk.lower(n)
        else:
            call.path = "memfree"
            self._freelist.mem_free(v, n, "mid_free", call)
            self._freelist.mem_check()

    def _aligned_from_free(self, call: Call) -> int | None:
        """From a block of size+align bytes, whose ends go back; None where there is none."""
        mask, size, align = self._mask, call.n, call.align
        base = self._freelist.mem_alloc_no_grow((size + align) & mask, call)
        if not base:
            return None
        call.path = "aligned_freelist"
        start = align_up(base, align, mask)
        before = (start - base) & mask
        if before > 0:
            self._freelist.mem_free(base, before, "align_head", call)
        end = (start + size) & mask
        behind = (base + size + align - end) & mask
        if behind > 0:
            self._freelist.mem_free(end, behind, "align_tail", call)
        self._freelist.mem_check()
        return start

    def _sbrk_aligned(self, call: Call) -> int:
        """From the break; 0 where memory could not grow."""
        mask = self._mask
        p = align_up(self.brk.bloc, call.align, mask)
        got = self.brk.sbrk((p + call.n - self.brk.bloc) & mask, call)
        if got == 0:
            return 0
        call.path = "aligned_sbrk"
        if p != got:
            if self.ledger is not None and self.ledger.has_host:
                self._look_for_host(call.fn, got, (p - got) & mask)
            self._freelist.mem_free(got, (p - got) & mask, "align_skip", call)
            self._freelist.mem_check()
        return p

    # The ledger, the log and the clock.

    def _free_refusal(self, v: int, n: int, changed: int) -> IllegalUse | None:
        assert self.ledger is not None
        what = f"free of [{v:#x}, {v + n:#x})"
        if v == 0:
            return IllegalUse(
                f"{what} refused: freeing nil faults in every release before go1.27 "
                f"(this is {self.release.name}); free only what an allocation returned"
            )
        if n == 0:
            return IllegalUse(
                f"{what} refused: Go would put a header of {2 * self.platform.word_size} bytes "
                "into memory that stays in use; free at least one byte"
            )
        return self.ledger.refusal(v, changed, what)

    async def _refuse(self, call: Call, refusal: IllegalUse) -> None:
        self._settle(call, 0, call.n, False)
        await self.memlock.unlock(f"runtime.{call.fn}")
        raise refusal

    def _settle(self, call: Call, p: int, size: int, ok: bool, *, exact: bool = False) -> None:
        """What every call does before it gives memlock back: book, charge and report.

        Args:
            call: the call.
            p: its answer.
            size: bytes answered, which a free has asked for.
            ok: whether the caller got what it asked for.
            exact: no more than `size` was set apart for it.
        """
        if p and size and self.ledger is not None:
            self._hand_out(call.fn, p, size, size if exact else self.brk.mem_round(size))
        if self._charge is not None:
            if call.cleared_bytes:
                self._charge("clear", call.cleared_bytes)
            if call.grown_pages:
                self._charge("grow", call.grown_pages)
        if self._sink is not None:
            if p and p + size > self.memory.size:
                ok, size = False, self._got(p, size, size if exact else self.brk.mem_round(size))
            call.p, call.size, call.ok = p, size, ok
            self._sink.mem_return(call, self.state())

    def state(self) -> LayerState:
        """The six figures that every call's return is logged with."""
        brk = self.brk
        bloc_max = brk.bloc_max
        pages = brk.pages if self._is_wasm else pages_of(bloc_max)
        return LayerState(pages, brk.bloc, bloc_max, *self._free_figures())

    def _free_figures(self) -> tuple[int, int, int]:
        """Free bytes, blocks and the largest; zeros where the list has no end.

        Go does not walk the list here, so a list that hangs a walk must not hang the log.
        """
        found = self._freelist.figures()
        if found is not None:
            return found
        try:
            sizes = [size for _, size in self._freelist.blocks()]
        except EmulatedFailure:
            return 0, 0, 0
        return sum(sizes) & self._mask, len(sizes), max(sizes, default=0)
