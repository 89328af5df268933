"""Go's own search; what is free below the break goes back to it."""

from __future__ import annotations

from gorun_mem.policies.first_fit import FirstFit


class MergeBreak(FirstFit):
    """A free block that ends at the break lowers it, so that a growth may begin in the block."""

    merges_with_break = True
