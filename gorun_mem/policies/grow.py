"""Go's own search; memory grows by multiples of a size."""

from __future__ import annotations

from typing import Final

from gorun_mem.policies.first_fit import FirstFit
from gorun_mem.runtime.behaviour import GiB, MiB
from gorun_mem.runtime.pages import PAGE

_SIZE_MAX: Final = 1 * GiB


class Grow(FirstFit):
    """Fewer growths, each of a multiple of `size`; where the limit forbids that, of what it takes.

    Args:
        size: bytes, whole pages of 64 KiB.

    Raises:
        ValueError: no such size can be.
    """

    def __init__(self, size: int = 1 * MiB) -> None:
        super().__init__()
        if size % PAGE or not 0 < size <= _SIZE_MAX:
            raise ValueError("it is to be a multiple of 64 KiB, of at most 1 GiB")
        self.grow_pages = size // PAGE
