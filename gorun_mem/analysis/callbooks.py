"""What each return of a call changes: sums over the calls, and the halves of `MemoryUse` and of
`Fragmentation` that see every one. Compiled, with little in it that is done once.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt, sqrt
from typing import Final

from mypy_extensions import mypyc_attr

from gorun_mem.analysis.accumulator import Accumulator, ByFields, Fields, Handler, place
from gorun_mem.analysis.arithmetic import product, ratio, rest, rounded_up
from gorun_mem.analysis.blocks import FreeBlocks, HandedOut
from gorun_mem.analysis.exact import ExactValues, share
from gorun_mem.events.types import LogEvent, MemGrow, MemReturn
from gorun_mem.runtime.pages import PAGE
from gorun_mem.runtime.purposes import in_reports

_T_NS: Final = place(MemReturn, "t_ns")
_FN: Final = place(MemReturn, "fn")
_V: Final = place(MemReturn, "v")
_N: Final = place(MemReturn, "n")
_ALIGN: Final = place(MemReturn, "align")
_P: Final = place(MemReturn, "p")
_SIZE: Final = place(MemReturn, "size")
_OK: Final = place(MemReturn, "ok")
_PATH: Final = place(MemReturn, "path")
_SEARCH_STEPS: Final = place(MemReturn, "search_steps")
_CLEARED_BYTES: Final = place(MemReturn, "cleared_bytes")
_PAGES: Final = place(MemReturn, "pages")
_BLOC: Final = place(MemReturn, "bloc")
_BLOC_MAX: Final = place(MemReturn, "bloc_max")
_FREE_BYTES: Final = place(MemReturn, "free_bytes")
_FREE_BLOCKS: Final = place(MemReturn, "free_blocks")
_FREE_LARGEST: Final = place(MemReturn, "free_largest")
_PURPOSE: Final = place(MemReturn, "purpose")


class Calls:
    """The calls of one function that returned.

    Attributes:
        failed: those that did not give what was asked for.
        bytes: sum of the sizes asked for.
        paths: how the answers came about -> how often.
    """

    __slots__ = ("bytes", "failed", "paths")

    def __init__(self) -> None:
        self.failed = 0
        self.bytes = 0
        self.paths: dict[str, int] = {}

    @property
    def count(self) -> int:
        """How many."""
        return sum(self.paths.values())


class CallSums(Accumulator):
    """Sums over the calls that returned.

    Attributes:
        by_fn: by function.
        last: the last return, None before the first.
        search_steps: free-list headers looked at.
        cleared_bytes: bytes set to zero.
        free_bytes_max: most bytes on the free list after a call.
        free_blocks_max: most blocks on it after a call.
    """

    def __init__(self) -> None:
        self.by_fn: dict[str, Calls] = {}
        self.last: MemReturn | None = None
        self.search_steps = self.cleared_bytes = 0
        self.free_bytes_max = self.free_blocks_max = 0

    def handlers(self) -> Mapping[type[LogEvent], Handler]:
        """Every return."""
        return {MemReturn: ByFields(self.add)}

    def add(self, event: MemReturn, fields: Fields) -> None:
        """Take in one return."""
        fn: str = fields[_FN]
        calls = self.by_fn.get(fn)
        if calls is None:
            calls = self.by_fn[fn] = Calls()
        path: str = fields[_PATH]
        paths = calls.paths
        paths[path] = paths.get(path, 0) + 1
        n: int = fields[_N]
        calls.bytes += n
        if not fields[_OK]:
            calls.failed += 1
        steps: int = fields[_SEARCH_STEPS]
        cleared: int = fields[_CLEARED_BYTES]
        free: int = fields[_FREE_BYTES]
        blocks: int = fields[_FREE_BLOCKS]
        self.search_steps += steps
        self.cleared_bytes += cleared
        if free > self.free_bytes_max:
            self.free_bytes_max = free
        if blocks > self.free_blocks_max:
            self.free_blocks_max = blocks
        self.last = event

    def took(self, path: str) -> int:
        """Calls whose answer came about by `path`."""
        return sum(calls.paths.get(path, 0) for calls in self.by_fn.values())


@mypyc_attr(allow_interpreted_subclasses=True)
class MemoryBook(Accumulator):
    """What `MemoryUse` keeps of the calls that returned; it says what the attributes are.

    Args:
        free: the free list's blocks.
        pending: growths whose call has not returned.
    """

    def __init__(self, free: FreeBlocks, pending: list[MemGrow]) -> None:
        self.free = free
        self.peak_live = self.peak_top = 0
        self.end_frees = self.end_free_bytes = 0
        self.unrounded_end_frees = self.unrounded_end_bytes = 0
        self.noop_bytes = 0
        self.most_free = (0, 0)
        self._pending = pending
        self._handed_out = HandedOut()
        self._asked = 0
        self._last: MemReturn | None = None
        self._page = PAGE
        self._wasm = True
        self._static = self._top = 0
        self._bloc = self._bloc_max = 0
        self._rising = False
        self._until = 0  # where the stretch of time ends that is open
        self._hints: dict[int, MemReturn | None] = {}  # and what has taken it
        self._bloc_mover: MemReturn | None = None
        # As the events say them -> as reports call them; unaligned, aligned.
        self._purposes: list[dict[object, str]] = [{}, {}]

    def _on_return(self, event: MemReturn, fields: Fields) -> None:
        now: int = fields[_T_NS]
        bloc: int = fields[_BLOC]
        bloc_max: int = fields[_BLOC_MAX]
        n: int = fields[_N]
        if now >= self._until:
            self._turn(now)
        top = product(fields[_PAGES], PAGE) if self._wasm else bloc_max
        if top > self._top or self._pending:
            self._grew(event, top)
        if bloc != self._bloc:
            self._bloc_mover = event
        if (n <= top or n <= 1) and fields[_OK]:  # a size that wrapped is nothing that there is
            fn: str = fields[_FN]
            if fn == "sysFreeOS":
                _freed(self, fields, n)
            else:
                _took(self, event, fields, n)
        self._top = top
        if top > self.peak_top:
            self.peak_top = top
        self._bloc = bloc
        self._bloc_max = bloc_max
        self._last = event
        free: int = fields[_FREE_BYTES]
        if free > self.most_free[0]:
            self.most_free = (free, now)

    def _turn(self, now: int) -> None:
        """A stretch of time ends, of which the last call is seen, and another begins at `now`."""
        raise NotImplementedError

    def _grew(self, event: MemReturn, top: int) -> None:
        """The memory has grown, or was asked to, and this call is what for."""
        raise NotImplementedError

    def _keep_peak(self) -> None:
        """Live bytes are about to fall from their highest."""
        raise NotImplementedError


def _took(book: MemoryBook, event: MemReturn, fields: Fields, n: int) -> None:
    """A call got `n` bytes."""
    p: int = fields[_P]
    align: int = fields[_ALIGN]
    aligned = align != 0
    size: int = fields[_SIZE] if aligned else rounded_up(n, book._page)
    if size > 0:
        names = book._purposes[aligned]
        said: object = fields[_PURPOSE]
        purpose = names.get(said)
        if purpose is None:
            purpose = names[said] = in_reports(said, aligned)
        book._handed_out.hold(p, size, purpose)
        if p < book._static:  # the break began below the data's end: osinit's wrong order
            book._static = p
    asked = book._asked + n
    book._asked = asked
    if asked > book.peak_live:
        book.peak_live = asked
        book._rising = True
    hints = book._hints
    if hints and p in hints and event.path != "hint" and hints[p] is None:
        hints[p] = event


def _freed(book: MemoryBook, fields: Fields, n: int) -> None:
    """A call gave `n` bytes back."""
    if book._rising:
        book._keep_peak()
    v: int = fields[_V]
    path: str = fields[_PATH]
    bloc: int = fields[_BLOC]
    book._asked -= n
    size = rounded_up(n, book._page)
    if path == "end_of_memory":
        book.end_frees += 1
        book.end_free_bytes += n
        size = n
    elif n > 0 and not fields[_FREE_BLOCKS]:
        book.noop_bytes += size
    elif size != n and v + size == bloc:
        book.unrounded_end_frees += 1
        book.unrounded_end_bytes += size
    book._handed_out.give_back(v, size)


def external(free: int, largest: int) -> float:
    """External fragmentation: 1 - L/F; 0 where nothing is free.

    Args:
        free: F in bytes.
        largest: L in bytes.
    """
    try:
        return 1.0 - ratio(largest, free)
    except (OverflowError, ZeroDivisionError):
        return 0.0


def sawicki(free: int, squares: int) -> float:
    """Sawicki's measure: 1 - sqrt(f_1^2 + ... + f_k^2) / F; 0 where nothing is free.

    0 for one block; 1 - 1/sqrt(k) for k blocks alike.

    Args:
        free: F in bytes.
        squares: the sum of the squares of the blocks' bytes.
    """
    if free <= 0:
        return 0.0
    try:
        return 1.0 - sqrt(float(squares)) / free
    except (OverflowError, ValueError):
        return 1.0 - share(isqrt(max(squares, 0)), free)


@mypyc_attr(allow_interpreted_subclasses=True)
class FragmentationBook(Accumulator):
    """What `Fragmentation` keeps of the calls that returned; it says what the attributes are.

    Args:
        free: the free list's blocks.
    """

    def __init__(self, free: FreeBlocks) -> None:
        self.free = free
        self.blocks_max = 0
        self.external_max = (0.0, 0)
        self.sawicki_max: tuple[float, int] | None = None
        self.rounding_bytes = 0
        self.asked_bytes = 0
        self._steps = ExactValues()
        self._fresh_steps = self._steps.fresh
        self._last: MemReturn | None = None
        self._squares = -1  # at that return
        self._page = PAGE
        self._wasm = True
        self._static = 0
        self._live = self._live_max = self._heap_at_live_max = 0
        self._heap_max = self._live_at_heap_max = 0
        self._sum = 0.0
        self._points = 0
        self._until = 0  # where the stretch of time ends that is open

    def _return(self, event: MemReturn, fields: Fields) -> None:
        now: int = fields[_T_NS]
        if now >= self._until:
            self._turn(now)
        free: int = fields[_FREE_BYTES]
        blocks: int = fields[_FREE_BLOCKS]
        largest: int = fields[_FREE_LARGEST]
        if blocks > self.blocks_max:
            self.blocks_max = blocks
        known = self.free
        self._squares = squares = known.squares if known.known or not blocks else -1
        self._last = event
        if largest < free:
            _see_pieces(self, now, free, largest, squares)
        top: int = product(fields[_PAGES], PAGE) if self._wasm else fields[_BLOC_MAX]
        n: int = fields[_N]
        fn: str = fields[_FN]
        live = self._live
        if fn != "sysFreeOS":
            self._fresh_steps.append(fields[_SEARCH_STEPS])
            if n <= top and fields[_OK]:
                p: int = fields[_P]
                if n > 0 and p < self._static:  # see MemoryBook
                    self._static = p
                live += n
                self.asked_bytes += n
                beyond = rest(n, self._page)
                if beyond:
                    self.rounding_bytes += self._page - beyond
            elif fields[_PATH] == "fail":
                self._fail(event)
        elif n <= top and fields[_OK]:
            live -= n
        self._live = live
        heap = top - self._static
        if live > self._live_max:
            self._live_max = live
            self._heap_at_live_max = heap
        if heap > self._heap_max:
            self._heap_max = heap
            self._live_at_heap_max = live
        if live > 0:
            try:
                self._sum += ratio(heap, live)
            except OverflowError:
                pass  # numbers of a damaged log
            self._points += 1

    def _turn(self, now: int) -> None:
        """A stretch of time ends, of which the last call is seen, and another begins at `now`."""
        raise NotImplementedError

    def _fail(self, event: MemReturn) -> None:
        """A call got nothing for want of memory."""
        raise NotImplementedError


def _see_pieces(book: FragmentationBook, now: int, free: int, largest: int, squares: int) -> None:
    found = external(free, largest)
    if found > book.external_max[0]:
        book.external_max = (found, now)
    if squares >= 0:
        found = sawicki(free, squares)
        most = book.sawicki_max
        if most is None or found > most[0]:
            book.sawicki_max = (found, now)
