"""Kernels: the smallest programs with the bugs that concurrent allocators and locks have.

Each is an `async def main(world)` and has a twin without the bug. They are what strategies and
detectors are measured by (`gorun-mem bench kernels`), and what to read to see what a bug looks like
here. Most fail by themselves; `sees` names the detector of the others. A file has several of a
sort, and its `KERNELS` say of each what there is to say; the lessons are made of that.
"""

from __future__ import annotations

from types import ModuleType
from typing import Final

from gorun_mem.explore.kernels.entry import Kernel
from gorun_mem.runtime.by_file import ByFile

__all__ = ["KERNELS", "Kernel"]


def _kernels_in(name: str, module: ModuleType) -> tuple[Kernel, ...] | None:
    """What a module says of its kernels; None where it only helps."""
    found: tuple[Kernel, ...] | None = getattr(module, "KERNELS", None)
    return found


def _by_name(kernels: list[Kernel]) -> dict[str, Kernel]:
    """By number.

    Raises:
        ValueError: two have one name.
    """
    found: dict[str, Kernel] = {}
    for kernel in sorted(kernels, key=lambda one: one.number):
        if kernel.name in found:
            raise ValueError(f"two kernels are called {kernel.name}: give one another name")
        found[kernel.name] = kernel
    return found


_FILES: Final = ByFile(__name__, _kernels_in, lambda name: r"^KERNELS\b")
KERNELS: Final = _by_name([kernel for file in _FILES.values() for kernel in file])
"""Name -> kernel, by number."""
