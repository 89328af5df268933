"""What Go's callers make of nil: which of them the program dies of.

The OS layer answers nil where memory cannot grow; whether that is the end is its caller's to say.
Read off mheap.go, malloc.go, mpagealloc*.go, mgcmark_greenteagc.go, mprof.go, stack.go, debuglog.go
and the trace buffers of go1.19 to go1.27: nearly every caller throws. Those that go on:

    mheap.sysAlloc      tries a hint, drops it when it misses, and asks anywhere
    mallocinit          on 386 reserves less, or nothing
    printDebugLogImpl   says so and returns; the program is about to die of something else

Two callers do not look: newSpanSPMC and scavengeIndex.sysInit take nil for an array. What is
written through it is no memory of theirs, so a program is taken to end there.
"""

from __future__ import annotations

import re
from typing import Final

OUT_OF_MEMORY: Final = "out of memory"
CANNOT_ALLOCATE: Final = "runtime: cannot allocate memory"
NIL_IS_USED: Final = "gorun_mem: nil is used as memory"

_DIES: Final = {
    "(*mheap).sysAlloc": "out of memory allocating heap arena map",
    "(*pageAlloc).grow": "pageAlloc: out of memory",
    "(*pageAlloc).sysInit": "failed to reserve page summary memory",
    "(*scavengeIndex).sysInit": NIL_IS_USED,
    "(*traceAlloc).alloc": "trace: out of memory",
    "(*traceRegionAlloc).alloc": "traceRegion: out of memory",
    "newArenaMayUnlock": CANNOT_ALLOCATE,
    "newSpanSPMC": NIL_IS_USED,
    "persistentalloc1": CANNOT_ALLOCATE,
    "recordspan": CANNOT_ALLOCATE,
    "stackalloc": "out of memory (stackalloc)",
    "stkbucket": CANNOT_ALLOCATE,
    "traceFlush": "trace: out of memory",
    "traceWriter.refill": "trace: out of memory",
}
"""Go function -> its throw."""
_LIVES: Final = frozenset({"mallocinit", "printDebugLog", "printDebugLogImpl"})
_MORE: Final = re.compile(r"^runtime\.|(?<=\.)ora_|(\.func\d+)+$")
"""What a name may have around it: a closure's number, and what a recorder puts before the name."""
HINTING: Final = "(*mheap).sysAlloc"
"""The function that asks for an address and lives without it."""


def plain_name(by: str) -> str:
    """The Go function behind a name in a recording: "(*mheap).sysAlloc"."""
    return _MORE.sub("", by)


def last_words(by: str, *, hinted: bool = False) -> str:
    """Go's throw text where `by` gets nil from the OS layer; "" where it goes on, or who knows.

    Args:
        by: the Go function that called, as a recording names it: "runtime.recordspan"; "" where
            that is not recorded.
        hinted: an address was asked for.
    """
    name = plain_name(by)
    if not name or hinted or name in _LIVES:
        return ""
    return _DIES.get(name, OUT_OF_MEMORY)
