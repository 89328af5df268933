"""A call of the OS layer, and how it leaves the layer: what is counted, charged and logged of both.

Go has nothing of the kind. A `Call` is made when an M enters the layer, lives in that M's coroutine
and goes down with it to the free list and the break, which write into it what they did for it. So
nothing of a call is kept on the layer, and calls of several Ms may be under way at a time.

Both are structs of msgspec's, which are made in a third of the time that a dataclass takes: every
call pays for one, whether or not anybody looks at it.
"""

from __future__ import annotations

from msgspec import Struct


class Call(Struct, gc=False):
    """One call of the OS layer. The fields from `p` on are known when it returns.

    Args:
        fn: Go function without package, such as sysAllocOS.
        v: address given, 0 for nil.
        n: size given, in bytes.
        align: alignment asked for, 0 where the call has none.
        purpose: who asks, in the caller's words.
        p: address answered, 0 for nil.
        size: bytes answered.
        ok: whether the caller got what it asked for.
        path: how the answer came about.
        search_steps: free-list headers that Go would have looked at.
        cleared_bytes: bytes set to zero.
        grown_pages: pages, of the platform's size, that the memory grew by.
        number: which call of the layer it is, from 1.
    """

    fn: str
    v: int
    n: int
    align: int = 0
    purpose: str = ""
    p: int = 0
    size: int = 0
    ok: bool = False
    path: str = "fail"
    search_steps: int = 0
    cleared_bytes: int = 0
    grown_pages: int = 0
    number: int = 0


class LayerState(Struct, frozen=True, gc=False):
    """The OS layer between two calls.

    Args:
        pages: pages of 64 KiB up to the top of memory.
        bloc: the break; reserveEnd on wasm up to 1.20.
        bloc_max: end of what the break may reach without growing.
        free_bytes: bytes on the free list; this and what follows are 0 where it has no end.
        free_blocks: blocks on it.
        free_largest: largest of them, in bytes.
    """

    pages: int
    bloc: int
    bloc_max: int
    free_bytes: int
    free_blocks: int
    free_largest: int
