"""mem_sbrk.go: the OS layer of wasm from 1.21 and of Plan 9 in every release.

Every call takes memlock, works on the free list and the break, and gives memlock back. What is held
under memlock is plain synchronous code, as in Go, where it runs on the system stack.

Differences between releases, all from the release table: 1.24.0 to 1.24.4 return from
sysReserveAlignedSbrk's free-list path with memlock held; from 1.27 sysFreeOS(nil) does nothing.
"""

from __future__ import annotations

from gorun_mem.runtime.behaviour import Platform, Release
from gorun_mem.runtime.brk import Break, align_up
from gorun_mem.runtime.errors import EmulatedFailure, IllegalUse
from gorun_mem.runtime.freelist import FreeList
from gorun_mem.runtime.oslayer import Lock, OSLayer
from gorun_mem.runtime.pages import pages_of
from gorun_mem.runtime.sink import Sink


class SbrkLayer(OSLayer):
    """The free list, the break and memlock, as one OS layer.

    Args:
        release: gives the behaviour.
        platform: gives word and page size.
        brk: the break, with the memory that it lies in.
        memlock: the mutex around everything.
        mem_debug: Go's memDebug; memCheck runs after each change.
        faithful: True does what Go does with an illegal free, False refuses it.
        use_index: False makes the free list walk as Go does.
    """

    def __init__(
        self,
        release: Release,
        platform: Platform,
        brk: Break,
        memlock: Lock,
        *,
        mem_debug: bool = False,
        faithful: bool = False,
        use_index: bool = True,
    ) -> None:
        super().__init__(release, platform, brk.memory, memlock, faithful=faithful)
        self.brk = brk
        self._freelist = FreeList(
            brk.memory,
            brk.mem_round,
            search_function=(
                "memAllocNoGrow" if release.behaviour.is_sbrk_platform else "memAlloc"
            ),
            mem_debug=mem_debug,
            use_index=use_index,
        )
        self._mask = platform.word_mask
        self._path = ""
        self._cleared_before = 0
        self._grown_before = 0

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

    def _note_watchers(self) -> None:
        """What was done before anybody watched is not part of the next call's work."""
        super()._note_watchers()
        self._cleared_before = self._freelist.cleared_bytes
        self._grown_before = self.brk.grown_pages
        self._freelist.search_steps = 0

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
        self.calls = call = self.calls + 1
        if self._sink is not None:
            self._sink.mem_call("sysAllocOS", 0, n, 0, purpose)
        await self.memlock.lock("runtime.sysAllocOS")
        self._see_size()
        p = self._mem_alloc(n)
        self._freelist.mem_check()
        if not p:
            self._note_refusal(call, "sysAllocOS", n)
        if self._watched:
            self._settle("sysAllocOS", 0, n, 0, purpose, p, n, p != 0, handed=n)
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
        self.calls += 1
        if self._sink is not None:
            self._sink.mem_call("sysFreeOS", v, n, 0, purpose)
        if v == 0 and self.release.behaviour.nil_free_is_noop:
            self._path = "nil"
            self._settle("sysFreeOS", v, n, 0, purpose, 0, n, True)
            return
        await self.memlock.lock("runtime.sysFreeOS")
        at_end = (v + n) & self._mask == self.brk.bloc
        if self.ledger is not None:
            refusal = self._free_refusal(v, n, n if at_end else self.brk.mem_round(n))
            if refusal is not None:
                await self._refuse("sysFreeOS", v, n, purpose, refusal)
        if at_end:
            self._path = "end_of_memory"
            self.memory.clear(v, n)
            self._freelist.cleared_bytes += n
            self.brk.lower(n)
        else:
            self._path = "memfree"
            self._freelist.mem_free(v, n)
            self._freelist.mem_check()
        if self.ledger is not None:
            given = n if at_end else self.brk.mem_round(n)
            self.ledger.freed(v, given, "sysFreeOS", self.whoami())
        if self._watched:
            self._settle("sysFreeOS", v, n, 0, purpose, 0, n, True)
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
        self.calls = call = self.calls + 1
        if self._sink is not None:
            self._sink.mem_call("sysReserveOS", v, n, 0, purpose)
        await self.memlock.lock("runtime.sysReserveOS")
        self._see_size()
        p = 0
        self._path = "hint_miss"
        if v == self.brk.bloc:
            p = self.brk.sbrk(n)
            self._path = "hint" if p else "fail"
        if p == 0 and v == 0:
            p = self._mem_alloc(n)
            self._freelist.mem_check()
        if not p and self._path == "fail":
            self._note_refusal(call, "sysReserveOS", n)
        if self._watched:
            self._settle("sysReserveOS", v, n, 0, purpose, p, n, p != 0, handed=n)
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
        self.calls = call = self.calls + 1
        if self._sink is not None:
            self._sink.mem_call("sysReserveAlignedSbrk", 0, size, align, purpose)
        await self.memlock.lock("runtime.sysReserveAlignedSbrk")
        self._see_size()
        mask = self._mask
        leaked = False
        base = self._freelist.mem_alloc_no_grow((size + align) & mask)
        if base:
            p, got = self._trim(base, size, align), size
            self._path = "aligned_freelist"
            leaked = behaviour.leaks_memlock
        else:
            p, got = self._sbrk_aligned(size, align)
        if not p:
            self._note_refusal(call, "sysReserveAlignedSbrk", size)
        self._settle(
            "sysReserveAlignedSbrk", 0, size, align, purpose, p, got, p != 0,
            handed=got, exact=True,
        )  # fmt: skip
        if not leaked:
            await self.memlock.unlock("runtime.sysReserveAlignedSbrk")
        return p, got

    # Under memlock.

    def _mem_alloc(self, n: int) -> int:
        """memAlloc: from the free list, or else from the break."""
        p = self._freelist.mem_alloc_no_grow(n)
        if p:
            self._path = "freelist"
            return p
        # One function to 1.23, which rounded its own n first; from 1.24 a callee rounds a copy.
        in_one = not self.release.behaviour.is_sbrk_platform
        p = self.brk.sbrk(self.brk.mem_round(n) if in_one else n)
        self._path = "sbrk" if p else "fail"
        return p

    def _trim(self, base: int, size: int, align: int) -> int:
        mask = self._mask
        start = align_up(base, align, mask)
        before = (start - base) & mask
        if before > 0:
            self._freelist.mem_free(base, before, "align_head")
        end = (start + size) & mask
        behind = (base + size + align - end) & mask
        if behind > 0:
            self._freelist.mem_free(end, behind, "align_tail")
        self._freelist.mem_check()
        return start

    def _sbrk_aligned(self, size: int, align: int) -> tuple[int, int]:
        mask = self._mask
        p = align_up(self.brk.bloc, align, mask)
        got = self.brk.sbrk((p + size - self.brk.bloc) & mask)
        self._path = "aligned_sbrk"
        if got == 0:
            self._path = "fail"
            return 0, 0
        if p != got:
            if self.ledger is not None and self.ledger.has_host:
                self._look_for_host("sysReserveAlignedSbrk", got, (p - got) & mask)
            self._freelist.mem_free(got, (p - got) & mask, "align_skip")
            self._freelist.mem_check()
        return p, size

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

    async def _refuse(self, fn: str, v: int, n: int, purpose: str, refusal: IllegalUse) -> None:
        self._path = "fail"
        self._settle(fn, v, n, 0, purpose, 0, n, False)
        await self.memlock.unlock(f"runtime.{fn}")
        raise refusal

    def _settle(
        self,
        fn: str,
        v: int,
        n: int,
        align: int,
        purpose: str,
        p: int,
        size: int,
        ok: bool,
        *,
        handed: int = 0,
        exact: bool = False,
    ) -> None:
        """What every call does before it gives memlock back: book, charge and report."""
        if self.ledger is not None and handed and p:
            self._hand_out(fn, p, handed, handed if exact else self.brk.mem_round(handed))
        if self._charge is None and self._sink is None:
            return
        freelist = self._freelist
        cleared = freelist.cleared_bytes - self._cleared_before
        grown = self.brk.grown_pages - self._grown_before
        self._cleared_before += cleared
        self._grown_before += grown
        if self._charge is not None:
            if cleared:
                self._charge("clear", cleared)
            if grown:
                self._charge("grow", grown)
        if self._sink is not None:
            if p and p + size > self.memory.size:
                ok, size = False, self._got(p, size, size if exact else self.brk.mem_round(size))
            self._sink.mem_return(
                fn, v, n, align, purpose, p, size, ok, self._path, freelist.search_steps, cleared,
                pages_of(self.top), self.brk.bloc, self.brk.bloc_max, *self._free_figures(),
            )  # fmt: skip
            freelist.search_steps = 0

    def _free_figures(self) -> tuple[int, int, int]:
        """Free bytes, blocks and the largest, for the log; zeros where the list has no end.

        Go does not walk the list here, so a list that hangs a walk must not hang the log.
        """
        freelist = self._freelist
        if freelist.indexed:
            return freelist.total_bytes, freelist.count, freelist.largest
        try:
            sizes = [size for _, size in freelist.blocks()]
        except EmulatedFailure:
            return 0, 0, 0
        return sum(sizes) & self._mask, len(sizes), max(sizes, default=0)
