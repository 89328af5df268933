"""The layer between the runtime and the OS calls: mem.go, and sysReserveAligned of malloc.go.

Every range of addresses is in one of four states, None, Reserved, Prepared or Ready, and each
function here stands for one transition and the statistics that go with it:

            sysReserve              sysMap               sysUsed
    None ---------------> Reserved --------> Prepared <----------> Ready
      ^ <----- sysUnreserve -+  ^                        sysUnused  |  |
      |                         +------------- sysFault ------------+  |
      +------------------------------- sysFree ------------------------+   (None to Ready: sysAlloc)

Go only documents the states, for the OS does not check them on these platforms. Here they are kept
beside the memory and a transition that the documentation forbids is refused, unless the layer is
faithful: then a wrong call does what Go's would.

sysReserveAligned moved here from malloc.go with 1.26.3, and sysUnreserve came with it; before, the
same place called sysFreeOS. What Go reports to sanitizers is left out, and so is Windows.

Rejected: checking states inside the OS layer. Direct callers of sysAllocOS and sysFreeOS, which Go
has too, are bound by ownership (`ledger`), not by these states.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from gorun_mem.runtime.errors import EmulatedFailure, IllegalUse, Throw
from gorun_mem.runtime.mstats import UINT64, MemStatistics, MemStats, SysMemStat, int64
from gorun_mem.runtime.oslayer import OSLayer
from gorun_mem.runtime.rangemap import RangeMap


class RegionState(Enum):
    """What a range of addresses is to the runtime, as the opening of mem.go has it."""

    NONE = "None"
    RESERVED = "Reserved"
    PREPARED = "Prepared"
    READY = "Ready"


class Region(NamedTuple):
    """A state and the Go function whose call made it so."""

    state: RegionState
    since: str


_NONE: Final = RegionState.NONE
_RESERVED: Final = RegionState.RESERVED
_PREPARED: Final = RegionState.PREPARED
_READY: Final = RegionState.READY
_OWNED: Final = (_RESERVED, _PREPARED, _READY)


class Mem:
    """mem.go over one OS layer.

    Args:
        os: the OS layer. Where it is faithful, so is this: an illegal transition does what it does
            in Go; otherwise it is refused.

    Attributes:
        stats: the statistics to account to.
        mapped_ready: gcController.mappedReady in bytes.
        regions: the state of every address; None when faithful.

    Invariants:
        1. `regions` covers all addresses, unless it is None;
        2. a range leaves its state before the OS call that gives it away and enters a new one
           after the OS call that got it, so another M never finds its own memory in an old state.
    """

    __slots__ = ("_behaviour", "_mask", "_origins", "mapped_ready", "os", "regions", "stats")

    def __init__(self, os: OSLayer) -> None:
        self.os = os
        self.stats = MemStats()
        self.mapped_ready = 0
        self.regions: RangeMap[Region] | None = None
        self._behaviour = os.release.behaviour
        self._mask = os.platform.word_mask
        # Where each allocation or reservation began and its size: from 1.26.3 only a whole one may
        # be given back.
        self._origins: dict[int, int] = {}
        if os.ledger is not None:
            self.regions = RangeMap()
            self.regions.assign(0, self._mask + 1, Region(_NONE, "the start"))

    def __repr__(self) -> str:
        return f"<Mem mapped_ready={self.mapped_ready} over {self.os!r}>"

    def statistics(self) -> MemStatistics:
        """All statistics at this moment."""
        totals = dict.fromkeys(RegionState, 0)
        for lo, hi, region in self.regions or ():
            totals[region.state] += hi - lo
        stats = self.stats
        return MemStatistics(
            buckhash_sys=stats.buckhash_sys.value,
            gc_misc_sys=stats.gc_misc_sys.value,
            heap_free=stats.heap_free.value,
            heap_in_use=stats.heap_in_use.value,
            heap_released=stats.heap_released.value,
            heap_sys=stats.heap_in_use.value + stats.heap_free.value + stats.heap_released.value,
            mcache_sys=stats.mcache_sys.value,
            mspan_sys=stats.mspan_sys.value,
            other_sys=stats.other_sys.value,
            stacks_sys=stats.stacks_sys.value,
            mapped_ready=self.mapped_ready,
            reserved_bytes=totals[_RESERVED],
            prepared_bytes=totals[_PREPARED],
            ready_bytes=totals[_READY],
        )

    # None to Ready and back.

    async def sys_alloc(self, n: int, sys_stat: SysMemStat, purpose: str = "") -> int:
        """sysAlloc: `n` bytes of zeroed memory, Ready.

        The bytes are accounted for even where there are none to be had, as in Go.

        Args:
            n: bytes.
            sys_stat: what to account them to.
            purpose: what they are for, for the log.

        Returns:
            The address, or 0.

        Raises:
            Throw: the statistic overflowed, or what sysAllocOS throws.
        """
        size = int64(n)
        sys_stat.add(size)
        self._add_mapped_ready(size)
        p = await self.os.sys_alloc_os(n, purpose)
        self._begin(p, n, _READY, "sysAlloc")
        return p

    async def sys_free(self, v: int, n: int, sys_stat: SysMemStat, purpose: str = "") -> None:
        """sysFree: [v, v+n) to None; up to 1.26 from any state, from 1.27 from Ready.

        Args:
            v: start of what an allocation or reservation returned.
            n: its bytes; from 1.26.3 all of them.
            sys_stat: what they were accounted to.
            purpose: what they were for, for the log.

        Raises:
            IllegalUse: the range is not in such a state, or from 1.26.3 is not a whole region.
            Throw: the statistic fell below 0, or what sysFreeOS throws.
        """
        allowed = (_READY,) if self._behaviour.nil_free_is_noop else _OWNED
        size = int64(-n & UINT64)
        if self.regions is not None:
            self._check(v, n, allowed, "sysFree", whole=self._behaviour.has_sys_unreserve)
        sys_stat.add(size)
        self._add_mapped_ready(size)
        try:
            await self._give_back(v, n, "sysFree", purpose)
        except IllegalUse:
            sys_stat.value = (sys_stat.value - size) & UINT64
            self._add_mapped_ready(-size)
            raise

    # None to Reserved and back.

    async def sys_reserve(self, v: int, n: int, purpose: str = "") -> int:
        """sysReserve: `n` bytes of address space, Reserved, at `v` if that can be had.

        Args:
            v: where, or 0 for anywhere.
            n: bytes.
            purpose: what they are for, for the log.

        Returns:
            The address, which may be another than `v`, or 0.
        """
        p = await self.os.sys_reserve_os(v, n, purpose)
        self._begin(p, n, _RESERVED, "sysReserve")
        return p

    async def sys_reserve_aligned(
        self, v: int, size: int, align: int, purpose: str = ""
    ) -> tuple[int, int]:
        """sysReserveAligned: like sysReserve, at a multiple of `align`.

        Args:
            v: where, or 0 for anywhere.
            size: bytes.
            align: a power of two, in bytes.
            purpose: what they are for, for the log.

        Returns:
            The address and the bytes reserved, which are size + align where that happened to be
            aligned; (0, 0) when they cannot be had.

        Raises:
            Throw: from 1.24, `v` is not nil.
        """
        p, size, _ = await self.reserve_aligned_skipping(v, size, align, purpose)
        return p, size

    async def reserve_aligned_skipping(
        self, v: int, size: int, align: int, purpose: str = ""
    ) -> tuple[int, int, int]:
        """sys_reserve_aligned, which also tells how many bytes alignment passed over."""
        if self._behaviour.is_sbrk_platform:
            if v:
                raise Throw("unexpected heap arena hint on sbrk platform", v=v)
            before = self.os.bloc
            p, size = await self.os.sys_reserve_aligned_sbrk(size, align, purpose)
            self._begin(p, size, _RESERVED, "sysReserveAligned")
            return p, size, max(p - before, 0)
        mask = self._mask
        whole = (size + align) & mask
        p = await self.sys_reserve(v, whole, purpose)
        if p == 0:
            return 0, 0, 0
        if whole < size:
            self.os.found_short("sysReserveAligned", p, size, whole)
        if not p & (align - 1):
            return p, whole, 0
        return await self._trim(p, size, align)

    async def _trim(self, p: int, size: int, align: int) -> tuple[int, int, int]:
        """Give back both ends of [p, p+size+align) so that an aligned `size` bytes remain."""
        mask = self._mask
        aligned = (p + align - 1) & ~(align - 1) & mask
        end = (aligned + size) & mask
        rest = (p + size + align - end) & mask
        await self._give_back(p, aligned - p, "sysReserveAligned", "alignment")
        if rest:
            await self._give_back(end, rest, "sysReserveAligned", "alignment")
        self._note_origin(aligned, size)
        return aligned, size, aligned - p + rest

    async def sys_unreserve(self, v: int, n: int, purpose: str = "") -> None:
        """sysUnreserve, from 1.26.3: [v, v+n), a whole reservation, from Reserved to None.

        In earlier releases the same callers use sysFreeOS, and so does this.

        Args:
            v: start of what a reservation returned.
            n: its bytes.
            purpose: what they were for, for the log.

        Raises:
            IllegalUse: the range is not Reserved, or not a whole reservation.
        """
        if not self._behaviour.has_sys_unreserve:
            await self.sys_free_os(v, n, purpose)
            return
        if self.regions is not None:
            self._check(v, n, (_RESERVED,), "sysUnreserve", whole=True)
        await self._give_back(v, n, "sysUnreserve", purpose)

    # The states between. No OS here does anything in them.

    def sys_map(self, v: int, n: int, sys_stat: SysMemStat) -> None:
        """sysMap: [v, v+n) from Reserved to Prepared, accounted to `sys_stat`.

        Raises:
            IllegalUse: the range is not Reserved.
            Throw: the statistic overflowed.
        """
        if self.regions is not None:
            self._check(v, n, (_RESERVED,), "sysMap")
        sys_stat.add(int64(n))
        self.os.sys_map_os(v, n)
        self._become(v, n, _PREPARED, "sysMap")

    def sys_used(self, v: int, n: int, prepared: int) -> None:
        """sysUsed: [v, v+n) from Prepared to Ready; parts of it may be Ready already.

        Args:
            v: start of the range.
            n: its bytes.
            prepared: how many of them are Prepared, for the accounting.

        Raises:
            IllegalUse: a part is neither, or `prepared` is not what the range has.
        """
        if self.regions is not None:
            self._check(v, n, (_PREPARED, _READY), "sysUsed")
            self._check_prepared(v, n, prepared)
        self._add_mapped_ready(int64(prepared))
        self.os.sys_used_os(v, n)
        self._become(v, n, _READY, "sysUsed")

    def sys_unused(self, v: int, n: int) -> None:
        """sysUnused: [v, v+n) from Ready to Prepared; its contents are forfeit.

        Raises:
            IllegalUse: the range is not Ready.
        """
        if self.regions is not None:
            self._check(v, n, (_READY,), "sysUnused")
        self._add_mapped_ready(-int64(n))
        self.os.sys_unused_os(v, n)
        self._become(v, n, _PREPARED, "sysUnused")

    def sys_fault(self, v: int, n: int) -> None:
        """sysFault: [v, v+n) from Ready to Reserved.

        Raises:
            IllegalUse: the range is not Ready.
        """
        if self.regions is not None:
            self._check(v, n, (_READY,), "sysFault")
        self._add_mapped_ready(-int64(n))
        self.os.sys_fault_os(v, n)
        self._become(v, n, _RESERVED, "sysFault")

    def sys_huge_page(self, v: int, n: int) -> None:
        """sysHugePage: a hint, no transition."""
        self.os.sys_huge_page_os(v, n)

    def sys_no_huge_page(self, v: int, n: int) -> None:
        """sysNoHugePage, from 1.21: a hint, no transition."""
        self.os.sys_no_huge_page_os(v, n)

    def sys_huge_page_collapse(self, v: int, n: int) -> None:
        """sysHugePageCollapse, from 1.21: a hint, no transition."""
        self.os.sys_huge_page_collapse_os(v, n)

    # The OS calls that Go's callers make without mem.go: nothing is accounted for.

    async def sys_alloc_os(self, n: int, purpose: str = "") -> int:
        """sysAllocOS, with the state of the range kept."""
        p = await self.os.sys_alloc_os(n, purpose)
        self._begin(p, n, _READY, "sysAllocOS")
        return p

    async def sys_free_os(self, v: int, n: int, purpose: str = "") -> None:
        """sysFreeOS, with the state of the range kept; any part of a region may be freed.

        Raises:
            IllegalUse: a part of the range is None.
        """
        if self.regions is not None:
            self._check(v, n, _OWNED, "sysFreeOS")
        await self._give_back(v, n, "sysFreeOS", purpose)

    # Keeping the states.

    def _add_mapped_ready(self, n: int) -> None:
        self.mapped_ready = (self.mapped_ready + n) & UINT64

    def _note_origin(self, p: int, n: int) -> None:
        if self.regions is not None and p and n:
            self._origins[p] = n

    def _begin(self, p: int, n: int, state: RegionState, call: str) -> None:
        """Note what the OS handed out, as far as there is memory; `p` 0 means it had none."""
        if self.regions is not None and p and n:
            n = max(0, min(n, self.os.memory.size - p))
            self._note_origin(p, n)
            self._become(p, n, state, call)

    def _become(self, v: int, n: int, state: RegionState, call: str) -> None:
        if self.regions is not None and n:
            self.regions.assign(v, v + n, Region(state, call))

    async def _give_back(self, v: int, n: int, call: str, purpose: str) -> None:
        """sysFreeOS, the range being None before; a refused call leaves the states as they were."""
        regions = self.regions
        if regions is None:
            await self.os.sys_free_os(v, n, purpose)
            return
        before = regions.overlapping(v, v + n)
        origin = self._origins.pop(v, None)
        self._become(v, n, _NONE, call)
        try:
            await self.os.sys_free_os(v, n, purpose)
        except EmulatedFailure:
            for piece in before:
                regions.assign(max(piece.lo, v), min(piece.hi, v + n), piece.value)
            if origin is not None:
                self._origins[v] = origin
            raise

    def _check(
        self, v: int, n: int, allowed: tuple[RegionState, ...], call: str, *, whole: bool = False
    ) -> None:
        """Refuse `call` on [v, v+n) where a part of it is in none of the `allowed` states.

        A nil pointer and an empty range are the OS layer's to judge.
        """
        if v == 0 or n == 0:
            return
        assert self.regions is not None
        end = v + n
        if end > self._mask + 1:
            raise IllegalUse(
                f"{call}({v:#x}, {n}) refused: the range passes the end of the address space; "
                "give the size that the allocation returned"
            )
        for lo, hi, region in self.regions.overlapping(v, end):
            if region.state not in allowed:
                raise IllegalUse(
                    f"{call}({v:#x}, {n}) refused: [{max(lo, v):#x}, {min(hi, end):#x}) is "
                    f"{region.state.value} since {region.since}, and {call} needs "
                    + " or ".join(state.value for state in allowed)
                )
        if whole and self._origins.get(v) != n:
            self._refuse_part(v, n, call)

    def _refuse_part(self, v: int, n: int, call: str) -> None:
        size = self._origins.get(v)
        known = (
            f"the region that begins there has {size} bytes" if size else "no region begins there"
        )
        raise IllegalUse(
            f"{call}({v:#x}, {n}) refused: {known}, and from go1.26.3 only a whole region may be "
            "given back; give the address and size that the allocation returned"
        )

    def _check_prepared(self, v: int, n: int, prepared: int) -> None:
        assert self.regions is not None
        found = sum(
            min(hi, v + n) - max(lo, v)
            for lo, hi, region in self.regions.overlapping(v, v + n)
            if region.state is _PREPARED
        )
        if found != prepared:
            raise IllegalUse(
                f"sysUsed({v:#x}, {n}, {prepared}) refused: {found} bytes of the range are "
                "Prepared; the third argument must be exactly that"
            )
