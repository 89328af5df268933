"""A policy in the place of memFreelist, under the OS layer of mem_sbrk.go.

What it answers is checked: it hands out free memory only, and it keeps all that it was given.

Simplified: the blocks are kept beside the memory, so a policy costs no headers in it, and a page
that was freed without having been written to is still untouched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from gorun_mem.policies.base import Policy
from gorun_mem.runtime import fnv
from gorun_mem.runtime.behaviour import Platform, Release, WasmBreak
from gorun_mem.runtime.boot import Parts
from gorun_mem.runtime.brk import (
    PLAIN_BREAKS,
    Break,
    BreakClasses,
    Plan9Break,
    WasmBlocMaxBreak,
    align_up,
)
from gorun_mem.runtime.call import Call
from gorun_mem.runtime.errors import EmulatedFailure, said
from gorun_mem.runtime.freelist import FreeList
from gorun_mem.runtime.ledger import Ledger
from gorun_mem.runtime.linear_memory import LinearMemory
from gorun_mem.runtime.mem_sbrk import SbrkLayer
from gorun_mem.runtime.oslayer import RuntimeLock
from gorun_mem.runtime.pages import PAGE
from gorun_mem.runtime.rangemap import RangeMap
from gorun_mem.scripts import line_of
from gorun_mem.scripts.classes import file_of

T = TypeVar("T")

_FREE: Final = True


class PolicyError(EmulatedFailure):
    """A policy that does not do what it must.

    Args:
        what: what it did, in words that hold for every such case.
        text: the same with its figures.
    """

    error_type = "policy"

    def __init__(self, what: str, text: str) -> None:
        super().__init__(text)
        self.what = what


class PolicyFreeList(FreeList):
    """The free list's calls, answered by a policy and checked.

    What it says of blocks, to the log too, is of what is free, neighbours as one; how the policy
    divides it is the policy's own affair.

    Args:
        memory: what is cleared.
        mem_round: memRound.
        policy: keeps the blocks.
    """

    def __init__(
        self, memory: LinearMemory, mem_round: Callable[[int], int], policy: Policy
    ) -> None:
        super().__init__(memory, mem_round, use_index=False)
        self.policy = policy
        self._free: RangeMap[bool] = RangeMap(coalesce=True)
        self._total = 0
        self._called = type(policy).__name__

    def __repr__(self) -> str:
        return f"<PolicyFreeList {type(self.policy).__name__} {self._total} free>"

    @property
    def indexed(self) -> bool:
        """No walk over it hangs."""
        return True

    @property
    def count(self) -> int:
        """Free blocks."""
        return len(self._free)

    @property
    def total_bytes(self) -> int:
        """Free bytes."""
        return self._total

    @property
    def largest(self) -> int:
        """Size of the largest block, 0 where there is none."""
        return max((hi - lo for lo, hi, _ in self._free), default=0)

    def figures(self) -> tuple[int, int, int]:
        """Free bytes, free blocks and the largest."""
        return self.total_bytes, self.count, self.largest

    def blocks(self, function: str = "memFreelist") -> list[tuple[int, int]]:
        """(address, size) of every block."""
        return [(lo, hi - lo) for lo, hi, _ in self._free]

    def fnv(self, function: str = "memFreelist") -> int:
        """FNV-1a 64 over (address, size) of every block."""
        return fnv.fnv1a(fnv.OFFSET, *(word for block in self.blocks() for word in block))

    def note_write(self, addr: int, n: int) -> None:
        """Nothing of it lies in the memory."""

    def mem_check(self) -> None:
        """Whether the policy still has all that is free: after every call, for it costs little.

        Raises:
            PolicyError: it has not.
        """
        self.audit()

    def check(self) -> None:
        """The same, when it is asked for.

        Raises:
            PolicyError: it has not.
        """
        self.audit()
        if self.sink is not None:
            self.sink.mem_check(True, "", 0)

    def mem_alloc_no_grow(self, n: int, call: Call | None = None) -> int:
        """What the policy answers; nothing for no bytes.

        Raises:
            PolicyError: it is not free, or the policy failed.
        """
        n = self._round(n)
        return self._take(n, partial(self.policy.take, n), call) if n else 0

    def mem_alloc_aligned(self, n: int, align: int, call: Call | None = None) -> int:
        """What the policy answers to who wants `n` bytes at a multiple of `align`, rounded.

        Raises:
            PolicyError: it is not free or not aligned, or the policy failed.
        """
        n = self._round(n)
        p = self._take(n, partial(self.policy.take_aligned, n, align), call) if n else 0
        if p % align:
            raise PolicyError(
                "answered what is not aligned", f"{self._called} answered {p:#x}, which is no "
                f"multiple of {align:,}"
            )  # fmt: skip
        return p

    def mem_free(self, ap: int, n: int, cause: str = "mid_free", call: Call | None = None) -> None:
        """Clear [ap, ap+n) and give it to the policy.

        Raises:
            PolicyError: some of it is free already, or the policy failed.
        """
        n = self._round(n)
        if not n:
            return
        if self._free.overlapping(ap, ap + n):
            raise PolicyError(
                "free of what is free", f"free of [{ap:#x}, {ap + n:#x}), of which some is free"
            )
        self._memory.clear(ap, n)
        if call is not None:
            call.cleared_bytes += n
        self._gave(ap, n, cause)
        self._asked(partial(self.policy.put, ap, n))

    def give_back(self, end: int) -> int:
        """Take out the block that ends at `end`; its size, 0 where there is none.

        Raises:
            PolicyError: it is not free, or the policy failed.
        """
        n = self._asked(partial(self.policy.take_ending_at, end))
        if n:
            self._took(end - n, n)
        return n

    def audit(self) -> None:
        """Whether the policy has every free byte, once.

        Raises:
            PolicyError: it has not.
        """
        end = total = 0
        for addr, size in self._asked(self.policy.blocks):
            if addr < end or size <= 0 or not self._free.covers(addr, addr + size):
                raise PolicyError(
                    "lists what is not free",
                    f"{self._called} lists [{addr:#x}, {addr + size:#x}), which is not free, or "
                    "not once",
                )
            end, total = addr + size, total + size
        if total != self._total:
            raise PolicyError(
                "lost what is free",
                f"{self._called} lists {total:,} free bytes of {self._total:,}: put must keep all "
                "that it is given",
            )

    def _take(self, n: int, take: Callable[[], int], call: Call | None) -> int:
        before = self.policy.steps
        p = self._asked(take)
        if call is not None:
            call.search_steps = self.policy.steps - before
        if p:
            self._took(p, n)
        return p

    def _asked(self, ask: Callable[[], T]) -> T:
        """What the policy answers.

        Raises:
            PolicyError: it raised something.
        """
        try:
            return ask()
        except Exception as error:
            file = Path(file_of(type(self.policy))).resolve()
            line = line_of(file, error)
            at = f", {file.name}, line {line}" if line else ""
            told = f"{type(error).__name__}: {said(error)}"
            raise PolicyError(f"raised {type(error).__name__}{at}",
                              f"{self._called} raised {told}{at}") from error  # fmt: skip

    def _took(self, p: int, n: int) -> None:
        """[p, p+n) left what is free, where it lay in one piece."""
        piece = self._free.at(p)
        if piece is None or p != self._round(p) or p + n > piece.hi:
            raise PolicyError(
                "answered what is not free",
                f"{self._called} answered {p:#x} for {n:,} bytes, which are not free or do not "
                "begin a page",
            )
        sink = self.sink
        if sink is not None:
            # The log knows blocks that give their ends: what lies behind goes back by itself.
            low, high, _ = piece
            before = sum(1 for other in self._free if other.lo < low)
            sink.freelist_take(p, high - p, low, high - low, p == low, before)
            if high > p + n:
                rest = high - p - n
                sink.freelist_put(p + n, rest, False, False, p + n, rest, "rest")
        self._free.erase(p, p + n)
        self._total -= n

    def _gave(self, p: int, n: int, cause: str) -> None:
        """[p, p+n) is free."""
        self._free.assign(p, p + n, _FREE)
        self._total += n
        if self.sink is not None:
            whole = self._free.at(p)
            assert whole is not None
            low, high, _ = whole
            self.sink.freelist_put(p, n, low < p, high > p + n, low, high - low, cause)


class _PolicyLayer(SbrkLayer):
    """The layer over a policy, which may also say how the break is moved."""

    def __init__(
        self,
        release: Release,
        platform: Platform,
        brk: Break,
        freelist: FreeList,
        memlock: RuntimeLock,
        ledger: Ledger | None = None,
    ) -> None:
        super().__init__(release, platform, brk, freelist, memlock, ledger)
        assert isinstance(freelist, PolicyFreeList)
        self._blocks = freelist
        self._policy = freelist.policy
        # To go1.23 wasm hands out nothing between the breaks, and they stay where they are.
        self._moves = not (
            platform.is_wasm and release.behaviour.wasm_break is WasmBreak.GROW_ALWAYS
        )

    def _free(self, call: Call, *, at_end: bool) -> None:
        """sysFreeOS, and then the break goes down to the end of what is in use."""
        super()._free(call, at_end=at_end)
        if self._policy.merges_with_break:
            size = self._blocks.give_back(self.brk.bloc)
            if size:
                self.brk.lower(size)

    def _see_size(self) -> None:
        """What the host has got; where the policy asks for it, the break goes on behind that."""
        super()._see_size()
        brk, size = self.brk, self.memory.size
        if self._policy.asks_size and self._moves and size > brk.bloc_max and brk.pages:
            left, start = brk.bloc_max - brk.bloc, brk.bloc
            brk.skip_to(size)
            if left:
                self._blocks.mem_free(start, left, "rest")

    def _aligned_from_free(self, call: Call) -> int | None:
        """As the policy aligns."""
        p = self._blocks.mem_alloc_aligned(call.n, call.align, call)
        if not p:
            return None
        call.path = "aligned_freelist"
        self._blocks.mem_check()
        return p

    def _sbrk_aligned(self, call: Call) -> int:
        """From the break, or from within the block that ends there."""
        below = 0
        if self._policy.aligns_in_last and self._moves:
            below = self._blocks.give_back(self.brk.bloc)
        if not below:
            return super()._sbrk_aligned(call)
        bloc = self.brk.bloc
        start = bloc - below
        p = align_up(start, call.align, self._mask)
        got = self.brk.sbrk(max(p + call.n - bloc, 0), call)
        end = p if got else bloc
        if end > start:
            self._blocks.mem_free(start, end - start, "align_skip")
        self._blocks.mem_check()
        if not got:
            return 0
        call.path = "aligned_sbrk"
        return p


def _breaks(pages: int) -> BreakClasses:
    """Breaks that ask for a multiple of so many pages of 64 KiB first."""
    if pages <= 1:
        return PLAIN_BREAKS

    class WasmInSteps(WasmBlocMaxBreak):
        __slots__ = ()

        def _sbrk(self, n: int, call: Call | None) -> int:
            self._raise_by_multiple(n, pages * PAGE, call)
            return super()._sbrk(n, call)

    class Plan9InSteps(Plan9Break):
        __slots__ = ()

        def _sbrk(self, n: int, call: Call | None) -> int:
            self._raise_by_multiple(n, pages * PAGE, call)
            return super()._sbrk(n, call)

    return BreakClasses(bloc_max=WasmInSteps, plan9=Plan9InSteps)


def policy_release(policy: Policy, release: Release) -> Release:
    """A release as a policy would have it."""
    return replace(release, behaviour=policy.behaviour(release.behaviour))


def policy_parts(policy: Policy) -> Parts:
    """The parts of a runtime whose free list is `policy`'s, for `boot`.

    Args:
        policy: of this runtime alone.
    """

    class OfThis(PolicyFreeList):
        def __init__(
            self,
            memory: LinearMemory,
            mem_round: Callable[[int], int],
            *,
            search_function: str = "",
            mem_debug: bool = False,
            use_index: bool = True,
        ) -> None:
            super().__init__(memory, mem_round, policy)

    return Parts(
        breaks=_breaks(policy.grow_pages),
        freelist=OfThis,
        sbrk_layer=_PolicyLayer,
        reserve_end_layer=None,
    )
