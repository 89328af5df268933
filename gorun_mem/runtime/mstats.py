"""Bytes got from the OS by what they are for: sysMemStat and some of memstats, of mstats.go.

What of gcController (mgcpacer.go) mem.go's callers name is counted here too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gorun_mem.runtime.errors import Throw

UINT64: Final = (1 << 64) - 1
_SIGN64: Final = 1 << 63


def int64(n: int) -> int:
    """int64(n) of a uintptr."""
    return n - (1 << 64) if n & _SIGN64 else n


class SysMemStat:
    """One statistic of bytes got from the OS; sysMemStat of mstats.go.

    Args:
        name: its name in mstats.go or gcController, in lower case with underscores.
    """

    __slots__ = ("name", "value")

    def __init__(self, name: str) -> None:
        self.name = name
        self.value = 0

    def __repr__(self) -> str:
        return f"<{self.name} {self.value}>"

    def load(self) -> int:
        """The value, as an unsigned 64-bit number."""
        return self.value

    def add(self, n: int) -> None:
        """Add `n` bytes, which may be negative; (*sysMemStat).add.

        Raises:
            Throw: the sum left [0, 2**63); the value has changed all the same, as in Go.
        """
        value = self.value = (self.value + n) & UINT64
        if (n > 0 and int64(value) < n) or (n < 0 and int64((value + n) & UINT64) < n):
            raise Throw(
                "sysMemStat overflow", f"runtime: val={value} n={n}", statistic=self.name, n=n
            )


class MemStats:
    """The statistics that this layer's callers name, as in memstats and gcController."""

    __slots__ = (
        "buckhash_sys",
        "gc_misc_sys",
        "heap_free",
        "heap_in_use",
        "heap_released",
        "mcache_sys",
        "mspan_sys",
        "other_sys",
        "stacks_sys",
    )

    def __init__(self) -> None:
        self.buckhash_sys = SysMemStat("buckhash_sys")
        self.gc_misc_sys = SysMemStat("gc_misc_sys")
        self.heap_free = SysMemStat("heap_free")
        self.heap_in_use = SysMemStat("heap_in_use")
        self.heap_released = SysMemStat("heap_released")
        self.mcache_sys = SysMemStat("mcache_sys")
        self.mspan_sys = SysMemStat("mspan_sys")
        self.other_sys = SysMemStat("other_sys")
        self.stacks_sys = SysMemStat("stacks_sys")

    def __getitem__(self, name: str) -> SysMemStat:
        """The statistic called `name`."""
        stat: SysMemStat = getattr(self, name)
        return stat


@dataclass(frozen=True, slots=True)
class MemStatistics:
    """What mem.go has accounted for, in bytes.

    Args:
        heap_sys: heap_in_use, heap_free and heap_released together, as MemStats.HeapSys.
        mapped_ready: gcController.mappedReady, memory in state Ready.
        reserved_bytes: address space in state Reserved; 0 when the layer is faithful.
        prepared_bytes: likewise Prepared.
        ready_bytes: likewise Ready.
    """

    buckhash_sys: int
    gc_misc_sys: int
    heap_free: int
    heap_in_use: int
    heap_released: int
    heap_sys: int
    mcache_sys: int
    mspan_sys: int
    other_sys: int
    stacks_sys: int
    mapped_ready: int
    reserved_bytes: int
    prepared_bytes: int
    ready_bytes: int
