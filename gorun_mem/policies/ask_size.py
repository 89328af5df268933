"""Go's own search; sbrk asks the memory for its size, as it did to go1.23."""

from __future__ import annotations

from gorun_mem.policies.first_fit import FirstFit


class AskSize(FirstFit):
    """What a host has grown the memory by stays the host's: the break goes on behind it.

    What was left below the old end of memory goes to the free list, so nothing else is lost.
    """

    asks_size = True
