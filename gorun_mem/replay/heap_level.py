"""mheap.sysAlloc of a recording, predicted; see `recordings`."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET

from gorun_mem.replay.compare import Comparison
from gorun_mem.replay.recording import RecordedEvent, Recording
from gorun_mem.runtime.behaviour import PERSISTENT_CHUNK
from gorun_mem.runtime.errors import Throw
from gorun_mem.runtime.mallocinit import init_hints, reserves_at_boot
from gorun_mem.runtime.mem import Mem
from gorun_mem.runtime.mheap import MHeap
from gorun_mem.runtime.mstats import SysMemStat
from gorun_mem.runtime.oslayer import OSLayer
from gorun_mem.runtime.persistent import MAX_BLOCK, PersistentAlloc
from gorun_mem.step.solo import SoloM, solo

_CHUNK_CALLER: Final = "runtime.persistentalloc1"
_BOOT: Final = "runtime.mallocinit"
_BOOT_TRIES: Final = "runtime.sysReserveAligned"
_RESERVES: Final = ("sysReserveOS", "sysFreeOS")


class HeapReplay:
    """The emulated heap over the emulated OS layer, watched from between the two.

    Args:
        recording: gives the platform.
        layer: the OS layer.
        comparison: what the recording says.
        m: who calls.

    On plan9/386 up to 1.23 mallocinit makes no hints before it has reserved memory, so what it
    reserves is predicted too, where the recording has it.
    """

    def __init__(
        self, recording: Recording, layer: OSLayer, comparison: Comparison, m: SoloM
    ) -> None:
        self._comparison = comparison
        self._end = recording.header.end
        self._m = m
        mem = Mem(WatchedLayer(layer, comparison))
        self.heap = MHeap(mem, persistent=GivenChunks(mem, comparison))
        self._boot: list[RecordedEvent] = []
        self._boot_line = 0
        self._reserves_at_boot = reserves_at_boot(layer.release, layer.platform)
        if not self._reserves_at_boot:
            solo(init_hints(self.heap, self._end), m)
        if not recording.header.level:  # what `record` made has no hints to compare with
            self.heap.probe = comparison

    def is_boot(self, group: list[RecordedEvent], line: int) -> bool:
        """Whether `group` is one of mallocinit's reservations, which are kept until all are there.

        The first group behind them has them predicted and compared.

        Args:
            group: an outermost call, last, after the events nested in it.
            line: line of the first of them.

        Raises:
            EmulatedFailure: a call did not return.
        """
        if not self._reserves_at_boot:
            return False
        event = group[-1]
        if event.by == (_BOOT_TRIES if self._boot else _BOOT) and event.ev in _RESERVES:
            self._boot_line = self._boot_line or line
            self._boot += group
            return True
        if self._boot:
            self._reserves_at_boot = False
            self._comparison.begin(self._boot, self._boot_line)
            solo(init_hints(self.heap, self._end), self._m)
            self._comparison.end()
        return False

    def unfinished_boot(self) -> tuple[list[RecordedEvent], int]:
        """mallocinit's reservations and their line, where the recording ends amid them."""
        return (self._boot if self._reserves_at_boot else []), self._boot_line

    def sys_alloc(self, group: list[RecordedEvent], line: int) -> None:
        """Issue one mheap.sysAlloc and compare all that it does.

        Args:
            group: the call, last, after the events nested in it.
            line: line of the first of them.

        Raises:
            EmulatedFailure: the call did not return.
        """
        event = group[-1]
        user = event.user == 1
        comparison = self._comparison
        comparison.begin(group, line)
        assert event.n is not UNSET
        v, size = solo(self.heap.sys_alloc(event.n, user=user), self._m)
        comparison.saw("mheap.sysAlloc", ("n", event.n), ("v", v), ("size", size))
        comparison.end()


class WatchedLayer(OSLayer):
    """An OS layer whose every call is compared as it returns.

    Args:
        inner: the layer that does the work.
        comparison: what the recording says.
    """

    def __init__(self, inner: OSLayer, comparison: Comparison) -> None:
        super().__init__(inner.release, inner.platform, inner.memory, inner.memlock)
        self._inner = inner
        self._saw = comparison.saw

    @property
    def bloc(self) -> int:
        """The inner layer's."""
        return self._inner.bloc

    @property
    def bloc_max(self) -> int:
        """The inner layer's."""
        return self._inner.bloc_max

    @property
    def pages(self) -> int:
        """The inner layer's."""
        return self._inner.pages

    async def sys_alloc_os(self, n: int, purpose: str = "") -> int:
        """sysAllocOS; without a free list it is a sysReserveOS, which Go recorded too."""
        p = await self._inner.sys_alloc_os(n, purpose)
        if self._inner.freelist is None:
            self._saw("sysReserveOS", ("v", 0), ("n", n), ("p", p))
        self._saw("sysAllocOS", ("n", n), ("p", p))
        return p

    async def sys_free_os(self, v: int, n: int, purpose: str = "") -> None:
        """sysFreeOS."""
        await self._inner.sys_free_os(v, n, purpose)
        self._saw("sysFreeOS", ("v", v), ("n", n))

    async def sys_reserve_os(self, v: int, n: int, purpose: str = "") -> int:
        """sysReserveOS."""
        p = await self._inner.sys_reserve_os(v, n, purpose)
        self._saw("sysReserveOS", ("v", v), ("n", n), ("p", p))
        return p

    async def sys_reserve_aligned_sbrk(
        self, size: int, align: int, purpose: str = ""
    ) -> tuple[int, int]:
        """sysReserveAlignedSbrk."""
        p, got = await self._inner.sys_reserve_aligned_sbrk(size, align, purpose)
        self._saw(
            "sysReserveAlignedSbrk", ("size", size), ("align", align), ("p", p), ("rsize", got)
        )
        return p, got


class GivenChunks(PersistentAlloc):
    """persistentalloc whose chunks come where the recording has them.

    Who else allocates from a chunk is not recorded, so where in it a small piece lies is not known:
    any address that is not nil stands for it.
    """

    __slots__ = ("_comparison",)

    def __init__(self, mem: Mem, comparison: Comparison) -> None:
        super().__init__(mem)
        self._comparison = comparison

    async def alloc(self, size: int, align: int, sys_stat: SysMemStat, p: int = 0) -> int:
        """persistentalloc; a small piece is not accounted for, as its chunk may not be."""
        if size >= MAX_BLOCK:
            return await super().alloc(size, align, sys_stat, p)
        if self._chunk_is_next() and await self._chunk() == 0:
            raise Throw("runtime: cannot allocate memory", n=PERSISTENT_CHUNK)
        return self.chunks[-1] if self.chunks else PERSISTENT_CHUNK

    def _chunk_is_next(self) -> bool:
        """Whether the next recorded call from outside is persistentalloc's for a chunk."""
        for event in self._comparison.peek():
            if event.top == 1 or event.ev not in ("sbrk", "growMemory", "sysReserveOS"):
                return (
                    event.ev == "sysAllocOS"
                    and event.n == PERSISTENT_CHUNK
                    and event.by == _CHUNK_CALLER
                )
        return False
