"""mem_js.go up to 1.20: memory on wasm before free lists.

The break is `reserveEnd`, which starts at the page above the program's data and only rises. Memory
grows when reserveEnd passes its end. An address that is asked for is never given, a free does
nothing, and there is no lock, for wasm has one M; the mutex here makes it safe in a world of more.

reserveEnd rises *before* growMemory is asked and stays there when it fails, so after one refusal
every later call fails too.
"""

from __future__ import annotations

from gorun_mem.runtime.behaviour import WASM_PAGE, Platform, Release
from gorun_mem.runtime.brk import align_up
from gorun_mem.runtime.call import Call
from gorun_mem.runtime.ledger import Ledger
from gorun_mem.runtime.memory import WasmMemory
from gorun_mem.runtime.oslayer import OSLayer, RuntimeLock
from gorun_mem.runtime.pages import PAGE

_INT32_SIGN = 1 << 31


class ReserveEndLayer(OSLayer):
    """reserveEnd and the memory.

    Args:
        release: up to 1.20.
        platform: js/wasm.
        memory: the memory instance.
        end: end of the program's data in bytes, lastmoduledatap.end.
        memlock: no Go release has it here; pass a mutex of one M for the real thing.
        ledger: who owns what, by which an illegal free is refused; None does what Go does with it,
            which is nothing.
    """

    def __init__(
        self,
        release: Release,
        platform: Platform,
        memory: WasmMemory,
        end: int,
        memlock: RuntimeLock,
        ledger: Ledger | None = None,
    ) -> None:
        super().__init__(release, platform, memory, memlock, ledger)
        self.wasm = memory
        self.reserve_end = 0
        self._data_end = end

    def __repr__(self) -> str:
        return f"<ReserveEndLayer {self.release.name} reserve_end={self.reserve_end:#x}>"

    @property
    def bloc(self) -> int:
        """reserveEnd; 0 until the first call."""
        return self.reserve_end

    @property
    def bloc_max(self) -> int:
        """The end of memory."""
        return self.memory.size

    @property
    def pages(self) -> int:
        """Size of the memory in pages of 64 KiB."""
        return self.wasm.pages

    async def sys_alloc_os(self, n: int, purpose: str = "") -> int:
        """sysAllocOS: sysReserveOS(nil, n), which is mapped already."""
        return await self._reserve("sysAllocOS", 0, n, purpose)

    async def sys_reserve_os(self, v: int, n: int, purpose: str = "") -> int:
        """sysReserveOS: the next `n` bytes, rounded up to pages; 0 for any hint."""
        return await self._reserve("sysReserveOS", v, n, purpose)

    async def sys_free_os(self, v: int, n: int, purpose: str = "") -> None:
        """sysFreeOS: nothing; the memory is lost.

        Raises:
            IllegalUse: not faithful, and the range is not the caller's to free.
        """
        call = self._enter("sysFreeOS", v, n, 0, purpose)
        await self.memlock.lock("runtime.sysFreeOS")
        refusal = None
        if self.ledger is not None:
            rounded = self._round(n)
            refusal = self.ledger.refusal(v, rounded, f"free of [{v:#x}, {v + n:#x})")
            if refusal is None:
                self.ledger.freed(v, rounded, "sysFreeOS", self.whoami())
        call.path = "memfree"
        self._report(call, 0, refusal is None)
        await self.memlock.unlock("runtime.sysFreeOS")
        if refusal is not None:
            raise refusal

    async def _reserve(self, fn: str, v: int, n: int, purpose: str) -> int:
        call = self._enter(fn, v, n, 0, purpose)
        site = f"runtime.{fn}"
        await self.memlock.lock(site)
        self._see_size()
        p = 0 if v else self._raise_reserve_end(n)
        if not p and not v:
            self._note_refusal(call)
        if self.ledger is not None and p:
            self._hand_out(fn, p, n, self._round(n))
        call.path = "hint_miss" if v else "sbrk" if p else "fail"
        self._report(call, p, p != 0)
        await self.memlock.unlock(site)
        return p

    def _raise_reserve_end(self, n: int) -> int:
        p = max(self.reserve_end, self._round(self._data_end))
        self.reserve_end = (p + self._round(n)) & self.platform.word_mask
        if self._sink is not None:
            self._sink.brk_move(p, self.reserve_end, self.memory.size, "sbrk")
        needed = _int32(self.reserve_end // WASM_PAGE)
        if self.wasm.pages < needed and not self._grow(needed - self.wasm.pages):
            return 0
        return p

    def _grow(self, pages: int) -> bool:
        memory = self.wasm
        before = memory.pages
        ok = memory.grow(pages) >= 0
        if ok:
            memory.reset_data_view()
            if self._charge is not None:
                self._charge("grow", pages)
        if self._sink is not None:
            self._sink.mem_grow(
                pages * PAGE, before * PAGE, memory.size, ok, memory.max_pages * PAGE, memory.grows
            )
        return ok

    def _round(self, n: int) -> int:
        return align_up(n, WASM_PAGE, self.platform.word_mask)

    def _report(self, call: Call, p: int, ok: bool) -> None:
        if self._sink is not None:
            call.p, call.size, call.ok = p, call.n, ok
            if p and p + call.n > self.memory.size:
                call.ok, call.size = False, self._got(p, call.n, self._round(call.n))
            self._sink.mem_return(call, self.state())


def _int32(n: int) -> int:
    n &= 0xFFFF_FFFF
    return n - (1 << 32) if n & _INT32_SIGN else n
