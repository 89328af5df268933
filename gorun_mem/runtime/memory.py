"""The memory itself: an instance on wasm (sys_wasm.s) and a segment on Plan 9 (sys_plan9_*.s).

Both are a `LinearMemory`, and differ in how they grow.
"""

from __future__ import annotations

from typing import Final

from gorun_mem.runtime.behaviour import PLAN9_PAGE, WASM_PAGE
from gorun_mem.runtime.errors import NotInstantiable
from gorun_mem.runtime.linear_memory import LinearMemory
from gorun_mem.runtime.pages import pages_of

_WASM_PAGES_MAX: Final = 65536


class WasmMemory(LinearMemory):
    """A WebAssembly memory instance, in pages of 64 KiB.

    Args:
        initial_pages: size at instantiation.
        max_pages: the instance's maximum; never more than 65,536.

    Attributes:
        pages: currentMemory.
        data_view_resets: how often resetMemoryDataView was called, as JavaScript must be told that
            the memory's buffer was replaced.

    Raises:
        NotInstantiable: it starts with more pages than its maximum.
    """

    __slots__ = ("data_view_resets", "max_pages", "pages")

    def __init__(self, initial_pages: int, max_pages: int = _WASM_PAGES_MAX) -> None:
        if initial_pages > max_pages:
            raise NotInstantiable(initial_pages, max_pages)
        super().__init__(initial_pages * WASM_PAGE)
        self.pages = initial_pages
        self.max_pages = max_pages
        self.data_view_resets = 0

    def limit(self, pages: int) -> None:
        """Refuse, from now on, growth beyond `pages` of 64 KiB."""
        self.max_pages = pages

    @property
    def limit_pages(self) -> int:
        """Pages of 64 KiB beyond which there is no growth."""
        return min(self.max_pages, _WASM_PAGES_MAX)

    def host_grow(self, pages: int) -> int:
        """memory.grow by the host: Go's code has no part in it, nor have its figures.

        Args:
            pages: how many to add, from 0.

        Returns:
            The size before in pages, or -1 where the limit does not allow it.
        """
        before = self.pages
        if pages and before + pages > self.limit_pages:
            return -1
        self.pages = before + pages
        self.size = self.pages * WASM_PAGE
        return before

    def grow(self, pages: int) -> int:
        """growMemory of sys_wasm.s: memory.grow.

        Args:
            pages: how many to add, an int32; memory.grow reads its 32 bits unsigned.

        Returns:
            The size before in pages, or -1 where the growth was refused. Growing by nothing
            succeeds whatever the maximum.
        """
        before = self.pages
        delta = pages & 0xFFFF_FFFF
        self.grows += 1
        after = before + delta
        room = (after <= self.max_pages and after <= _WASM_PAGES_MAX) or delta == 0
        if self._injected_failure() or not room:
            self.fails += 1
            self.needed = after
            result = -1
        else:
            self.pages = after
            self.size = after * WASM_PAGE
            result = before
        if self.probe is not None:
            self.probe.grew(pages, result, before)
        return result

    def reset_data_view(self) -> None:
        """resetMemoryDataView."""
        self.data_view_resets += 1


class Plan9Segment(LinearMemory):
    """The data and bss segment of a Plan 9 process, as far as the break reaches.

    The kernel never takes memory back from a shared segment, and the runtime never asks it to. A
    break below the end, which only an osinit in the wrong order asks for, succeeds and changes
    nothing: the address lies in the data segment.

    Args:
        end: end of the program's data; the break starts at the page above.
        brk_max: the highest break that the kernel grants, in bytes.
        word_size: 8, or 4 on 386.

    Raises:
        NotInstantiable: the data does not lie below `brk_max`.
    """

    __slots__ = ("brk_max",)

    def __init__(self, end: int, brk_max: int, word_size: int = 8) -> None:
        if end > brk_max:
            raise NotInstantiable(pages_of(end), brk_max // WASM_PAGE)
        super().__init__(_page_up(end), word_size)
        self.brk_max = brk_max

    def limit(self, pages: int) -> None:
        """Refuse, from now on, a break above `pages` x 64 KiB."""
        self.brk_max = pages * WASM_PAGE

    @property
    def limit_pages(self) -> int:
        """Pages of 64 KiB that lie below the highest break."""
        return self.brk_max // WASM_PAGE

    def bound(self, brk_max: int) -> None:
        """Refuse a break above `brk_max` too, in bytes; a limit is never raised by this."""
        self.brk_max = min(self.brk_max, brk_max)

    def brk(self, addr: int) -> int:
        """brk_ of sys_plan9_*.s: 0, or -1 where the break was refused."""
        before = self.size // PLAN9_PAGE
        self.grows += 1
        if self._injected_failure() or addr > self.brk_max:
            self.fails += 1
            self.needed = pages_of(addr)
            result = -1
        else:
            self.size = max(self.size, _page_up(addr))
            result = 0
        if self.probe is not None:
            self.probe.grew(addr, result, before)
        return result


def _page_up(addr: int) -> int:
    return (addr + PLAN9_PAGE - 1) & -PLAN9_PAGE
