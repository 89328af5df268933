"""What the kernels are made of beside the kit: any code as a step, and free blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gorun_mem.machine.world import World
from gorun_mem.runtime.op import MLike, Op
from gorun_mem.sync import Lock

PAGE: Final = 1 << 12
"""Bytes of a page of Plan 9, where the kernels run."""
FREE_LIST: Final = "memFreelist"
"""The object of every step that goes at the free list past memlock."""


class _Step(Op):
    """One access with an effect."""

    __slots__ = ("_effect", "reads_only")

    def __init__(self, kind: str, obj: str, reads: bool, effect: Callable[[MLike], object]) -> None:
        self.kind = kind
        self.obj = obj
        self.reads_only = reads
        self._effect = effect

    def step(self, m: MLike) -> object:
        """Make it."""
        return self._effect(m)


class holding:
    """Hold a lock in the block of an `async with`.

    Args:
        lock: which.
        really: False does nothing, for the program whose bug is that it takes no lock.
    """

    __slots__ = ("_lock", "_really")

    def __init__(self, lock: Lock, really: bool = True) -> None:
        self._lock = lock
        self._really = really

    async def __aenter__(self) -> None:
        if self._really:
            await self._lock.acquire()

    async def __aexit__(self, kind: object, error: object, traceback: object) -> None:
        if self._really and error is None:
            await self._lock.release()


def free_block(world: World, pages: int, used: int = 0) -> int:
    """Put a block of `pages` on the free list, with `used` pages handed out behind it.

    For the start of a kernel: nothing of it is a step.

    Returns:
        The block's address.
    """
    os: Any = world.runtime.os
    start: int = os.brk.sbrk((pages + used) * PAGE)
    os.ledger.handed_out(start, (pages + used) * PAGE, "setup", 0)
    os.freelist.mem_free(start, pages * PAGE)
    os.ledger.freed(start, pages * PAGE, "setup", 0)
    return start


def load_header(world: World, addr: int) -> Op:
    """Read the size in a free block's header as a step of its own."""
    memory = world.runtime.memory
    at = addr + world.runtime.platform.word_size
    return _Step("atomic.load", FREE_LIST, True, lambda m: memory.load_word(at))


def store_header(world: World, addr: int, size: int) -> Op:
    """Write the size in a free block's header as a step of its own."""
    memory = world.runtime.memory
    at = addr + world.runtime.platform.word_size
    return _Step("atomic.store", FREE_LIST, False, lambda m: memory.store_word(at, size))


def step_of(kind: str, obj: str, effect: Callable[[], object]) -> Op:
    """Any code of the kernel's as one step that changes `obj`."""
    return _Step(kind, obj, False, lambda m: effect())
