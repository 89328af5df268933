"""What memory is asked for, and which of that is heap arenas: one place for who asks and who reads.

A caller of the OS layer says a purpose in its own words. Go's heap says `HEAP` and
`HEAP_RESERVATION`; everything else is metadata, under the name that it has. A recording has the Go
function that called, by which its reservations are told apart: mheap's own, and those that are to
be aligned, are for arenas; those of mallocinit and of the page allocator are not.
"""

from __future__ import annotations

from typing import Final

HEAP: Final = "heap"
HEAP_RESERVATION: Final = "heap reservation"
ARENAS: Final = "arenas"
"""What reports call memory of either purpose."""
UNNAMED: Final = "unnamed"
"""What they call memory for which nobody said a purpose."""

OF_ARENAS: Final = frozenset({HEAP, HEAP_RESERVATION})


def in_reports(said: object, aligned: bool) -> str:
    """What reports call a purpose.

    Args:
        said: the purpose, no text where nobody said one.
        aligned: by sysReserveAlignedSbrk, which Go calls for arenas only.
    """
    if isinstance(said, str) and said:
        return ARENAS if said in OF_ARENAS else said
    return ARENAS if aligned else UNNAMED


def of_recorded(fn: str, by: str) -> str:
    """The purpose of a recorded call.

    Args:
        fn: the function of the OS layer, such as "sysReserveOS".
        by: the Go function that called it, with its package.
    """
    if fn == "sysReserveAlignedSbrk":
        return HEAP
    of_heap = by.startswith("runtime.(*mheap).") or by == "runtime.sysReserveAligned"
    return HEAP_RESERVATION if fn == "sysReserveOS" and of_heap else by
