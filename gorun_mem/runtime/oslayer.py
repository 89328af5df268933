"""The OS layer: what its callers need of it, and what all its generations share.

In Go the layer is the set of functions sysAllocOS, sysFreeOS and so on of one platform's file. Here
it is a class with those methods: `SbrkLayer` follows mem_sbrk.go, `ReserveEndLayer` the mem_js.go
of releases up to 1.20. Calls that take memlock are coroutines, for they may have to wait.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from gorun_mem.runtime.behaviour import Platform, Release
from gorun_mem.runtime.call import Call, LayerState
from gorun_mem.runtime.errors import IllegalUse, OutOfMemory, Refusal
from gorun_mem.runtime.freelist import FreeList
from gorun_mem.runtime.ledger import Ledger
from gorun_mem.runtime.linear_memory import LinearMemory
from gorun_mem.runtime.memory import WasmMemory
from gorun_mem.runtime.op import Op
from gorun_mem.runtime.pages import PAGE, pages_of, top_of
from gorun_mem.runtime.sink import Sink

HOSTS_PAGES: Final = "gorun_mem: the host's memory is handed out"
SHORT: Final = "gorun_mem: an allocation is shorter than was asked for"
NOT_ZERO: Final = "gorun_mem: memory that is taken for zero is not"
HOST_GROW: Final = "memory.grow by the host"


class RuntimeLock(Protocol):
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
        ledger: who owns what, by which an illegal call is refused; None does what Go does with it.

    Attributes:
        whoami: tells the id of the M that is calling.
        calls: calls of the layer so far; the number of the last one.
        checks_zero: look whether what is handed out is zero, as Go takes it to be. Nothing but a
            write past the ledger can make it otherwise: a host's, or a script's fill.
        refusals: id of an M -> its last call that the memory could not serve.
    """

    def __init__(
        self,
        release: Release,
        platform: Platform,
        memory: LinearMemory,
        memlock: RuntimeLock,
        ledger: Ledger | None = None,
    ) -> None:
        self.release = release
        self.platform = platform
        self._is_wasm = platform.is_wasm
        self.memory = memory
        self.memlock = memlock
        self.ledger = ledger
        self.whoami: Callable[[], int] = _first_m
        self.calls = 0
        self.checks_zero = False
        self.refusals: dict[int, Refusal] = {}
        self._size_seen = memory.size
        self._charge: Callable[[str, int], None] | None = None
        self._sink: Sink | None = None
        self._watched = ledger is not None

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
        return top_of(self.pages, self.bloc_max, self._is_wasm)

    @property
    def freelist(self) -> FreeList | None:
        """The free list, where the release has one."""
        return None

    def state(self) -> LayerState:
        """The six figures that every call's return is logged with."""
        return LayerState(pages_of(self.top), self.bloc, self.bloc_max, *self._free_figures())

    def _free_figures(self) -> tuple[int, int, int]:
        """Free bytes, free blocks and the largest; zeros where they cannot be told."""
        return 0, 0, 0

    def _enter(self, fn: str, v: int, n: int, align: int, purpose: str) -> Call:
        """A call begins."""
        call = Call(fn, v, n, align, purpose)
        call.number = self.calls = self.calls + 1
        if self._sink is not None:
            self._sink.mem_call(call)
        return call

    # The limit.

    def _note_refusal(self, call: Call) -> None:
        """The memory could not serve the call: keep what its caller may die of.

        Of several refusals in a row the least limit counts: with that, the first had been served.
        """
        memory = self.memory
        state = self.state()
        before = self.refusals.get(self.whoami())
        needed = memory.needed if before is None else min(before.needed, memory.needed)
        self.refusals[self.whoami()] = Refusal(
            call.number, call.fn, call.n, state.free_bytes, state.free_largest,
            max(0, min(state.bloc_max, memory.size) - state.bloc),
            pages_of(memory.size), memory.limit_pages, needed,
        )  # fmt: skip

    def forget_refusal(self) -> None:
        """The M that is calling begins something that it may die of."""
        if self.refusals:
            self.refusals.pop(self.whoami(), None)

    def out_of_memory(self, message: str, asked: int, **context: int | str) -> OutOfMemory:
        """What Go throws where a caller cannot do without what it did not get.

        Whoever raises it says so of one place in Go's sources. sysAllocOS, sysReserveOS and
        sysReserveAlignedSbrk themselves answer nil, and whoever calls them sees that.

        Args:
            message: Go's constant text.
            asked: bytes that the caller wanted.
        """
        return OutOfMemory(message, asked, self.refusals.get(self.whoami()), **context)

    # The host.

    def host_grow(self, pages: int) -> int:
        """memory.grow by the host, which owns what it gets; no Go code runs.

        Args:
            pages: of 64 KiB, from 0.

        Returns:
            The size before in pages, or -1 where the limit does not allow it.

        Raises:
            IllegalUse: there is no host but on wasm.
        """
        memory = self.memory
        if not isinstance(memory, WasmMemory):
            raise IllegalUse(
                f"the host cannot grow memory on {self.platform.name}: only wasm memory has a host"
            )
        self._see_size()
        before = memory.pages
        result = memory.host_grow(pages)
        if result >= 0:
            self._give_host(before * PAGE)
        if self._sink is not None:
            self._sink.host_grow(
                pages * PAGE, before * PAGE, memory.size, result >= 0, memory.limit_pages * PAGE
            )
        return result

    # What Go's answers are worth.

    def _got(self, p: int, asked: int, rounded: int) -> int:
        """How many of the bytes asked for there are at `p`: all, unless a size wrapped on the way.

        Args:
            p: an answer that is not 0.
            asked: bytes asked for.
            rounded: bytes that Go has set apart for them.
        """
        if p + asked <= self.memory.size:
            return asked
        return max(0, min(rounded, self.memory.size - p))

    def _see_size(self) -> None:
        """What memory has grown by since the last call, nobody here asked for: it is the host's.

        Plan 9 has no host.
        """
        memory = self.memory
        if memory.size > self._size_seen and isinstance(memory, WasmMemory):
            self._give_host(self._size_seen)

    def _give_host(self, start: int) -> None:
        """Book the memory from `start` on as the host's."""
        size = self._size_seen = self.memory.size
        if self.ledger is not None and size > start:
            self.ledger.host_took(start, size - start, HOST_GROW)
            self.checks_zero = True

    def _hand_out(self, fn: str, p: int, asked: int, rounded: int) -> None:
        """Book what a call answered, and find what is wrong with it for the caller.

        Args:
            fn: the Go function.
            p: its answer, not 0.
            asked: bytes asked for.
            rounded: bytes that Go has set apart for them.
        """
        ledger = self.ledger
        assert ledger is not None
        m = self.whoami()
        self._size_seen = self.memory.size
        got = self._got(p, asked, rounded)
        if got < asked:
            self.found_short(fn, p, asked, got)
            rounded = got
        if ledger.has_host:
            self._look_for_host(fn, p, rounded)
        if self.checks_zero and rounded:
            dirty = self.memory.first_nonzero(p, rounded)
            if dirty is not None:
                call = ledger.calls + 1
                self._find(
                    NOT_ZERO,
                    f"{fn} handed [{p:#x}, {p + rounded:#x}) to M{m} in call {call}, and the byte "
                    f"at {dirty:#x} is {self.memory.read(dirty, 1)[0]:#04x}",
                    dirty, 1,
                )  # fmt: skip
        ledger.handed_out(p, rounded, fn, m)

    def found_short(self, fn: str, p: int, asked: int, got: int) -> None:
        """Keep that `fn` answered [p, p+got) to who had asked for more."""
        if self.ledger is not None:
            self._find(
                SHORT,
                f"{fn} was asked for {asked} bytes by M{self.whoami()} in call "
                f"{self.ledger.calls + 1} and has {got} at {p:#x}: the size wrapped",
                p, got,
            )  # fmt: skip

    def _look_for_host(self, fn: str, p: int, n: int) -> None:
        """Find a part of [p, p+n) that is the host's, before it has another owner."""
        ledger = self.ledger
        if ledger is None:
            return
        found = ledger.host_range(p, p + n)
        if found is not None:
            low, high, owner = found
            self._find(
                HOSTS_PAGES,
                f"{fn} took [{p:#x}, {p + n:#x}) for M{self.whoami()} in call {ledger.calls + 1}, "
                f"and [{low:#x}, {high:#x}) is {owner}",
                low, high - low,
            )  # fmt: skip

    def _find(self, what: str, text: str, addr: int, size: int) -> None:
        assert self.ledger is not None
        if self.ledger.find(what, text, addr, size) and self._sink is not None:
            self._sink.mem_check(False, f"{what}: {text}", addr)

    # The calls.

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
