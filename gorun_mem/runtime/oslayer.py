"""What mem.go and mheap need of the OS layer, and what all its generations share.

In Go the layer is the set of functions sysAllocOS, sysFreeOS and so on of one platform's file. Here
it is a class with those methods: `SbrkLayer` follows mem_sbrk.go, `ReserveEndLayer` the mem_js.go
of releases up to 1.20. Calls that take memlock are coroutines, for they may have to wait.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gorun_mem.runtime.errors import IllegalUse
from gorun_mem.runtime.freelist import FreeList
from gorun_mem.runtime.ledger import Ledger
from gorun_mem.runtime.memory import LinearMemory
from gorun_mem.runtime.op import Op
from gorun_mem.runtime.pages import top_of
from gorun_mem.runtime.releases import Platform, Release
from gorun_mem.runtime.sink import Sink


class Lock(Protocol):
    """A runtime mutex, as its callers see it."""

    def lock(self, site: str = "") -> Op:
        """lock(&l), to be awaited; `site` is the Go function that asks."""

    def unlock(self, site: str = "") -> Op:
        """unlock(&l), to be awaited."""


class OSLayer:
    """The base of both generations.

    Args:
        release: gives the behaviour.
        platform: gives word and page size.
        memory: the linear memory.
        memlock: the mutex around everything.
        faithful: True does what Go does with an illegal call, False refuses it.

    Attributes:
        ledger: who owns what; None when faithful.
        whoami: tells the id of the M that is calling.
    """

    def __init__(
        self,
        release: Release,
        platform: Platform,
        memory: LinearMemory,
        memlock: Lock,
        *,
        faithful: bool = False,
    ) -> None:
        self.release = release
        self.platform = platform
        self.memory = memory
        self.memlock = memlock
        self.ledger = None if faithful else Ledger()
        self.whoami: Callable[[], int] = _first_m
        self._charge: Callable[[str, int], None] | None = None
        self._sink: Sink | None = None
        self._watched = not faithful

    @property
    def sink(self) -> Sink | None:
        """Who is told what happens; None costs nothing."""
        return self._sink

    @sink.setter
    def sink(self, sink: Sink | None) -> None:
        self._sink = sink
        self._note_watchers()

    @property
    def charge(self) -> Callable[[str, int], None] | None:
        """Told of work that costs virtual time, as `charge(kind, units)`."""
        return self._charge

    @charge.setter
    def charge(self, charge: Callable[[str, int], None] | None) -> None:
        self._charge = charge
        self._note_watchers()

    def _note_watchers(self) -> None:
        """Keep `_watched`: whether anybody wants to know how a call ended."""
        watchers = (self.ledger, self._sink, self._charge)
        self._watched = any(watcher is not None for watcher in watchers)

    @property
    def bloc(self) -> int:
        """The runtime's break; up to 1.20 on wasm, reserveEnd."""
        raise NotImplementedError

    @property
    def bloc_max(self) -> int:
        """The system's break; up to 1.20 on wasm, the end of memory."""
        raise NotImplementedError

    @property
    def pages(self) -> int:
        """Size of the memory in pages of 64 KiB; 0 on Plan 9."""
        raise NotImplementedError

    @property
    def top(self) -> int:
        """Where the memory ends, in bytes."""
        return top_of(self.pages, self.bloc_max, self.platform.is_wasm)

    @property
    def freelist(self) -> FreeList | None:
        """The free list, where the release has one."""
        return None

    async def sys_alloc_os(self, n: int, purpose: str = "") -> int:
        """sysAllocOS: `n` bytes of zeroed memory; 0 when there are none."""
        raise NotImplementedError

    async def sys_free_os(self, v: int, n: int, purpose: str = "") -> None:
        """sysFreeOS: give back [v, v+n)."""
        raise NotImplementedError

    async def sys_reserve_os(self, v: int, n: int, purpose: str = "") -> int:
        """sysReserveOS: `n` bytes, at `v` unless that is nil; 0 when they cannot be had."""
        raise NotImplementedError

    async def sys_reserve_aligned_sbrk(
        self, size: int, align: int, purpose: str = ""
    ) -> tuple[int, int]:
        """sysReserveAlignedSbrk, from 1.24: (address, size), or (0, 0)."""
        raise NotImplementedError(f"{self.release.name} has no sysReserveAlignedSbrk")

    # Hooks that do nothing where memory has no protection and no huge pages. Up to 1.20 there are
    # five; sysNoHugePageOS and sysHugePageCollapseOS came with 1.21.

    def sys_unused_os(self, v: int, n: int) -> None:
        """sysUnusedOS: nothing."""

    def sys_used_os(self, v: int, n: int) -> None:
        """sysUsedOS: nothing."""

    def sys_huge_page_os(self, v: int, n: int) -> None:
        """sysHugePageOS: nothing."""

    def sys_map_os(self, v: int, n: int) -> None:
        """sysMapOS: nothing."""

    def sys_fault_os(self, v: int, n: int) -> None:
        """sysFaultOS: nothing."""

    def sys_no_huge_page_os(self, v: int, n: int) -> None:
        """sysNoHugePageOS, from 1.21: nothing."""
        self._needs_huge_page_hooks("sysNoHugePageOS")

    def sys_huge_page_collapse_os(self, v: int, n: int) -> None:
        """sysHugePageCollapseOS, from 1.21: nothing."""
        self._needs_huge_page_hooks("sysHugePageCollapseOS")

    def _needs_huge_page_hooks(self, name: str) -> None:
        if not self.release.behaviour.has_huge_page_hooks:
            raise IllegalUse(f"{self.release.name} has no {name}: it came with go1.21")


def _first_m() -> int:
    return 1
