"""A policy in the place of memFreelist, under the OS layer of mem_sbrk.go.

What it answers is checked: it hands out free memory only, and it keeps all that it was given.

Simplified: the blocks are kept beside the memory, so a policy costs no headers in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gorun_mem.policies.base import Policy
from gorun_mem.runtime import fnv
from gorun_mem.runtime.boot import Parts
from gorun_mem.runtime.brk import BreakClasses, WasmBlocMaxBreak
from gorun_mem.runtime.call import Call
from gorun_mem.runtime.freelist import FreeList
from gorun_mem.runtime.linear_memory import LinearMemory
from gorun_mem.runtime.mem_sbrk import SbrkLayer
from gorun_mem.runtime.rangemap import RangeMap

_FREE: Final = True


class PolicyError(Exception):
    """A policy handed out what is not free, or lost what is; the message says what."""


class PolicyFreeList(FreeList):
    """The free list's calls, answered by a policy and checked.

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

    def __repr__(self) -> str:
        return f"<PolicyFreeList {type(self.policy).__name__} {self._total} free>"

    @property
    def indexed(self) -> bool:
        """No walk over it hangs."""
        return True

    @property
    def count(self) -> int:
        """Free blocks."""
        return len(self.policy.blocks())

    @property
    def total_bytes(self) -> int:
        """Free bytes."""
        return self._total

    @property
    def largest(self) -> int:
        """Size of the largest block, 0 where there is none."""
        return max((size for _, size in self.policy.blocks()), default=0)

    def blocks(self, function: str = "memFreelist") -> list[tuple[int, int]]:
        """(address, size) of every block."""
        return self.policy.blocks()

    def fnv(self, function: str = "memFreelist") -> int:
        """FNV-1a 64 over (address, size) of every block."""
        return fnv.fnv1a(fnv.OFFSET, *(word for block in self.blocks() for word in block))

    def note_write(self, addr: int, n: int) -> None:
        """Nothing of it lies in the memory."""

    def mem_check(self) -> None:
        """Nothing of it lies in the memory."""

    def mem_alloc_no_grow(self, n: int, call: Call | None = None) -> int:
        """What the policy answers; nothing for no bytes.

        Raises:
            PolicyError: it is not free.
        """
        n = self._round(n)
        before = self.policy.steps
        p = self.policy.take(n) if n else 0
        if call is not None:
            call.search_steps = self.policy.steps - before
        if p:
            self._took(p, n)
        return p

    def mem_free(self, ap: int, n: int, cause: str = "mid_free", call: Call | None = None) -> None:
        """Clear [ap, ap+n) and give it to the policy.

        Raises:
            PolicyError: some of it is free already.
        """
        n = self._round(n)
        if not n:
            return
        if self._free.overlapping(ap, ap + n):
            raise PolicyError(f"free of [{ap:#x}, {ap + n:#x}), of which some is free already")
        self._memory.clear(ap, n)
        if call is not None:
            call.cleared_bytes += n
        self._free.assign(ap, ap + n, _FREE)
        self._total += n
        self.policy.put(ap, n)

    def give_back(self, end: int) -> int:
        """Take out the block that ends at `end`; its size, 0 where there is none."""
        n = self.policy.take_ending_at(end)
        if n:
            self._took(end - n, n)
        return n

    def audit(self) -> None:
        """Whether the policy has every free byte, once.

        Raises:
            PolicyError: it has not.
        """
        end = total = 0
        for addr, size in self.policy.blocks():
            if addr < end or size <= 0 or not self._free.covers(addr, addr + size):
                raise PolicyError(
                    f"{type(self.policy).__name__} lists [{addr:#x}, {addr + size:#x}), "
                    "which is not free, or not once"
                )
            end, total = addr + size, total + size
        if total != self._total:
            raise PolicyError(
                f"{type(self.policy).__name__} lists {total:,} free bytes of {self._total:,}: "
                "put must keep all that it is given"
            )

    def _took(self, p: int, n: int) -> None:
        if p != self._round(p) or not self._free.covers(p, p + n):
            raise PolicyError(
                f"{type(self.policy).__name__} answered {p:#x} for {n:,} bytes, "
                "which are not free or do not begin a page"
            )
        self._free.erase(p, p + n)
        self._total -= n


class _MergingLayer(SbrkLayer):
    """Gives what is free below the break back to it."""

    async def sys_free_os(self, v: int, n: int, purpose: str = "") -> None:
        """sysFreeOS, and then the break goes down to the end of what is in use."""
        await super().sys_free_os(v, n, purpose)
        assert isinstance(self.freelist, PolicyFreeList)
        size = self.freelist.give_back(self.brk.bloc)
        if size:
            self.brk.lower(size)


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

    class InSteps(WasmBlocMaxBreak):
        __slots__ = ()

        def _sbrk(self, n: int, call: Call | None) -> int:
            lacking = self.bloc + self.mem_round(n) - self.bloc_max
            if lacking > 0:
                step = policy.grow_pages * self.phys_page_size
                pages = -(-lacking // step) * policy.grow_pages
                if self._grow(pages, call) >= 0:
                    self._memory.reset_data_view()
                    self.bloc_max += pages * self.phys_page_size
            return super()._sbrk(n, call)

    return Parts(
        breaks=BreakClasses(bloc_max=InSteps) if policy.grow_pages > 1 else BreakClasses(),
        freelist=OfThis,
        sbrk_layer=_MergingLayer if policy.merges_with_break else SbrkLayer,
        reserve_end_layer=None,
    )
