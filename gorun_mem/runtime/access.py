"""The allocator taken apart: every access that it makes is a step at which another M may go.

In Go the code between lock and unlock is plain code, and here too: `SbrkLayer`, `FreeList` and
`Break` run it in one go. To see what memlock is there for, the Ms of a runtime that was booted with
`PARTS` meet at every access to what they share: each header word of the free list and its `head`,
each page of a clear and of memCheck's reading, `bloc` and `bloc_max`, and the memory's growth.

There is one copy of the allocator's source. An M's call runs in a greenlet of its own; an access
leaves it with an operation, which the M's coroutine then awaits as any other:

    M's coroutine             greenlet of the call
    await sys_alloc_os -----> lock, search ... load_word
    awaits the access <------ switch
    ...                       (other Ms)
    its value --------------> ... search goes on

So hosts, strategies, tapes and tokens know nothing of it. Nothing of this is in the ordinary path:
the classes below are subclasses of those that a runtime is made of otherwise, and `boot` takes the
ones or the others. The free list walks here, for an index would hide its accesses.

Simplified: a word is read and written at once, and every M sees memory in one order. Objects are
pages, so that a clear and a header word in it count as the same: two Ms on different words of a
page are taken for dependent, which costs a search time and loses it nothing.

Rejected: a second version of the source made by putting an await before each access. Every function
on the way would have to be a coroutine, which the ordinary path would pay for, or be there twice.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from itertools import pairwise
from typing import Any, Final, TypeVar

from greenlet import getcurrent, greenlet

from gorun_mem.runtime.boot import Parts
from gorun_mem.runtime.brk import (
    Break,
    BreakClasses,
    Plan9Break,
    WasmBlocMaxBreak,
    WasmGrowAlwaysBreak,
)
from gorun_mem.runtime.call import Call
from gorun_mem.runtime.errors import EmulatedFailure, Throw
from gorun_mem.runtime.freelist import FreeList
from gorun_mem.runtime.ledger import Ledger, Ranges
from gorun_mem.runtime.linear_memory import FRAME, LinearMemory
from gorun_mem.runtime.mem_sbrk import SbrkLayer
from gorun_mem.runtime.memory import Plan9Segment, WasmMemory
from gorun_mem.runtime.op import MLike, Op

T = TypeVar("T")

HANDED_OUT_TWICE: Final = "gorun_mem: memory is handed out twice"


class Point(Op):
    """One access of the allocator's.

    Args:
        kind: such as "load.next".
        obj: what it is made to.
        reads: whether it changes nothing.
        effect: makes it; its value is the operation's result.
    """

    __slots__ = ("_effect", "reads_only")

    def __init__(self, kind: str, obj: str, reads: bool, effect: Callable[[], object]) -> None:
        self.kind = kind
        self.obj = obj
        self.reads_only = reads
        self._effect = effect

    def step(self, m: MLike) -> object:
        """Make the access."""
        return self._effect()


class _Section(greenlet):
    """One call of an M into the OS layer.

    Attributes:
        quiet: accesses are made at once, for they serve the log and not the allocator.
    """

    def __init__(self, coro: Coroutine[Op, Any, Any]) -> None:
        super().__init__(self._drive)
        self.quiet = False
        self._coro = coro

    def _drive(self) -> Any:
        """Run the call; what it awaits leaves by a switch, as its accesses do."""
        value: Any = None
        error: BaseException | None = None
        while True:
            try:
                op = self._coro.send(value) if error is None else self._coro.throw(error)
            except StopIteration as stop:
                return stop.value
            value = error = None
            try:
                value = self.leave(op)
            except BaseException as thrown:
                error = thrown

    def leave(self, op: Op) -> Any:
        """Let the M await `op`; its result."""
        assert self.parent is not None
        op.awaited = True
        return self.parent.switch(op)


@types.coroutine
def _in_section(coro: Coroutine[Op, Any, T]) -> Generator[Op, Any, T]:
    """Run a call of the layer's in a greenlet and await what it comes upon."""
    section = _Section(coro)
    came: Any = section.switch()
    while not section.dead:
        try:
            value = yield came
        except BaseException as error:
            came = section.throw(error)
        else:
            came = section.switch(value)
    result: T = came
    return result


def _point(kind: str, obj: str, reads: bool, effect: Callable[[], T]) -> T:
    """Make an access: as a step of the M's where a call is under way, else at once."""
    section = getcurrent()
    if not isinstance(section, _Section) or section.quiet:
        return effect()
    result: T = section.leave(Point(kind, obj, reads, effect))
    return result


def place(addr: int) -> str:
    """The object of an access to `addr`: its page."""
    return f"mem:{addr & -FRAME:#x}"


class _Shared:
    """An attribute whose every load and store is an access.

    Its value lies in its owner's slot of that name after "raw_".

    Args:
        obj: the object of the access.
    """

    def __init__(self, obj: str) -> None:
        self._obj = obj
        self._raw = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._raw = f"raw_{name}"

    def __get__(self, owner: Any, cls: type | None = None) -> Any:
        if owner is None:
            return self
        return _point("load", self._obj, True, partial(getattr, owner, self._raw))

    def __set__(self, owner: Any, value: Any) -> None:
        _point("store", self._obj, False, partial(setattr, owner, self._raw, value))


class _MemoryPoints(LinearMemory):
    """The free list's accesses to the memory; everybody else's are steps of the M's own."""

    __slots__ = ()

    def load_word(self, addr: int) -> int:
        """A word."""
        return _point(self._kind("load", addr), place(addr), True, partial(super().load_word, addr))

    def load_header(self, addr: int) -> tuple[int, int]:
        """Two words, one after the other."""
        return self.load_word(addr), self.load_word(addr + self.word_size)

    def put_word(self, addr: int, value: int) -> None:
        """A word."""
        effect = partial(super().put_word, addr, value)
        _point(self._kind("store", addr), place(addr), False, effect)

    def put_header(self, addr: int, next_: int, size: int) -> None:
        """Two words, one after the other."""
        self.put_word(addr, next_)
        self.put_word(addr + self.word_size, size)

    def wipe(self, addr: int, n: int) -> None:
        """A range, page by page."""
        for low, high in _pages(addr, n):
            _point("clear", place(low), False, partial(super().wipe, low, high - low))

    def first_nonzero(self, addr: int, n: int) -> int | None:
        """memCheck's reading of a range, page by page."""
        for low, high in _pages(addr, n):
            effect = partial(super().first_nonzero, low, high - low)
            found = _point("load", place(low), True, effect)
            if found is not None:
                return found
        return None

    def _kind(self, verb: str, addr: int) -> str:
        """Blocks start at pages, so the first two words of one are a header's."""
        word = (addr & (FRAME - 1)) // self.word_size
        return f"{verb}.{('next', 'size')[word]}" if word < 2 else verb


class _WasmPoints(_MemoryPoints, WasmMemory):
    __slots__ = ()

    def grow(self, pages: int) -> int:
        """memory.grow, one step."""
        return _point("memory.grow", "memory", False, partial(super().grow, pages))


class _Plan9Points(_MemoryPoints, Plan9Segment):
    __slots__ = ()

    def brk(self, addr: int) -> int:
        """The system call, one step."""
        return _point("brk", "memory", False, partial(super().brk, addr))


class _FreeListPoints(FreeList):
    """The free list with its head in the open; it walks always."""

    __slots__ = ("raw_head",)
    head: Any = _Shared("memFreelist")

    def __init__(
        self,
        memory: LinearMemory,
        mem_round: Callable[[int], int],
        *,
        search_function: str = "memAllocNoGrow",
        mem_debug: bool = False,
        use_index: bool = False,
    ) -> None:
        super().__init__(
            memory,
            mem_round,
            search_function=search_function,
            mem_debug=mem_debug,
            use_index=False,
        )

    @property
    def count(self) -> int:
        """Free blocks, as far as the list can be walked."""
        return len(self._reached())

    @property
    def total_bytes(self) -> int:
        """Free bytes, as far as the list can be walked."""
        return sum(size for _, size in self._reached()) & self._word_mask

    @property
    def largest(self) -> int:
        """The largest block, as far as the list can be walked."""
        return max((size for _, size in self._reached()), default=0)

    def _reached(self) -> list[tuple[int, int]]:
        """Blocks up to where the list breaks off: another M may be half way through a change."""
        blocks: list[tuple[int, int]] = []
        try:
            for block in self._walk("memFreelist"):
                blocks.append(block)  # noqa: PERF402  what was reached counts when it breaks off
        except EmulatedFailure:
            pass
        return blocks


class _BreakPoints(Break):
    """The break with its two words in the open."""

    __slots__ = ()
    bloc: Any = _Shared("bloc")
    bloc_max: Any = _Shared("bloc_max")

    def _report(self, before: int, after: int, cause: str) -> None:
        with _Quiet():
            super()._report(before, after, cause)


class _Plan9BreakPoints(_BreakPoints, Plan9Break):
    __slots__ = ("raw_bloc", "raw_bloc_max")


class _BlocMaxBreakPoints(_BreakPoints, WasmBlocMaxBreak):
    __slots__ = ("raw_bloc", "raw_bloc_max")


class _GrowAlwaysBreakPoints(_BreakPoints, WasmGrowAlwaysBreak):
    __slots__ = ("raw_bloc", "raw_bloc_max")


class _WatchfulLedger(Ledger):
    """A ledger that throws where memory is handed out that somebody has."""

    __slots__ = ()

    def handed_out(self, addr: int, n: int, function: str, m: int) -> Ranges:
        """Note that [addr, addr+n) now belongs to M `m`.

        Raises:
            Throw: a part of it belongs to somebody already.
        """
        for low, high, owner in self.overlapping(addr, addr + n):
            if owner.live:
                raise Throw(
                    HANDED_OUT_TWICE,
                    f"[{low:#x}, {high:#x}) is {owner}, and M{m} gets it from {function}",
                    addr=low,
                    size=high - low,
                )
        return super().handed_out(addr, n, function, m)


class _LayerPoints(SbrkLayer):
    """The layer's calls, each in a greenlet of its own."""

    async def sys_alloc_os(self, n: int, purpose: str = "") -> int:
        """sysAllocOS."""
        return await _in_section(super().sys_alloc_os(n, purpose))

    async def sys_free_os(self, v: int, n: int, purpose: str = "") -> None:
        """sysFreeOS."""
        await _in_section(super().sys_free_os(v, n, purpose))

    async def sys_reserve_os(self, v: int, n: int, purpose: str = "") -> int:
        """sysReserveOS."""
        return await _in_section(super().sys_reserve_os(v, n, purpose))

    async def sys_reserve_aligned_sbrk(
        self, size: int, align: int, purpose: str = ""
    ) -> tuple[int, int]:
        """sysReserveAlignedSbrk."""
        return await _in_section(super().sys_reserve_aligned_sbrk(size, align, purpose))

    def _settle(self, call: Call, p: int, size: int, ok: bool, *, exact: bool = False) -> None:
        with _Quiet():
            super()._settle(call, p, size, ok, exact=exact)

    def _see_size(self) -> None:
        """Nothing: the memory may have grown in a call of another M that is under way."""

    def _note_refusal(self, call: Call) -> None:
        with _Quiet():
            super()._note_refusal(call)


class _Quiet:
    """What is read in here is read for the log or the ledger."""

    def __enter__(self) -> None:
        self._section = getcurrent()
        if isinstance(self._section, _Section):
            self._section.quiet = True

    def __exit__(self, *raised: object) -> None:
        if isinstance(self._section, _Section):
            self._section.quiet = False


PARTS: Final = Parts(
    wasm_memory=_WasmPoints,
    plan9_segment=_Plan9Points,
    breaks=BreakClasses(_BlocMaxBreakPoints, _GrowAlwaysBreakPoints, _Plan9BreakPoints),
    freelist=_FreeListPoints,
    ledger=_WatchfulLedger,
    sbrk_layer=_LayerPoints,
    reserve_end_layer=None,
)
"""What `boot` makes a runtime of whose Ms meet at every access of the allocator."""


def _pages(addr: int, n: int) -> list[tuple[int, int]]:
    """[addr, addr+n) cut at pages."""
    end = addr + n
    cuts = [addr, *range((addr | (FRAME - 1)) + 1, end, FRAME), end]
    return list(pairwise(cuts)) if n > 0 else []
