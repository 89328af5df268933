"""memAlloc and memFree by their histories: each call gives what a sequential free list gives."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from gorun_mem import KiB, M, World, linearizable
from gorun_mem.explore import explore
from gorun_mem.machine.config import Config
from tests.runtime.naive import Naive

RELEASE, PLATFORM, END = "go1.24.11", "plan9/amd64", 4096


class FreeListModel(Naive):
    """The dumb emulation of the layer, which knows nothing of ours; a copy is a state."""

    def state(self) -> object:
        return self.bloc, self.bloc_max, hashlib.sha256(self.mem).digest()

    def __repr__(self) -> str:
        return f"bloc={self.bloc:#x} free={[(hex(a), n) for a, n in self.free_list()]}"


def free_list(of: object) -> FreeListModel:
    return FreeListModel(
        RELEASE, PLATFORM, end=END, initial_pages=1, max_pages=65536, brk_max=1 << 32
    )


@linearizable(free_list, name="memory")
class Allocator:
    """sysAllocOS and sysFreeOS, each of which is memAlloc or memFree under memlock."""

    async def alloc(self, m: M, n: int) -> int:
        return await m.sys_alloc_os(n)

    async def free(self, m: M, addr: int, n: int) -> None:
        await m.sys_free_os(addr, n)


def pairs(plans: tuple[tuple[int, ...], ...], frees: bool = True) -> Any:
    """Each M allocates its sizes one after another, and frees them the first first."""

    async def main(world: World) -> None:
        memory = Allocator()
        # A block in the middle, so that there are splits and merges.
        below = await memory.alloc(world.main, 16 * KiB)
        await memory.alloc(world.main, 4 * KiB)
        await memory.free(world.main, below, 16 * KiB)

        async def worker(m: M, sizes: tuple[int, ...]) -> None:
            taken = [(await memory.alloc(m, size * KiB), size * KiB) for size in sizes]
            for addr, size in taken if frees else ():
                await memory.free(m, addr, size)

        async with world.open_ms() as ms:
            for sizes in plans:
                ms.start_soon(worker, sizes)

    return main


def settings(mutex: str, granularity: str = "sync") -> Config:
    return Config(
        ms=3, mutex=mutex, granularity=granularity, release=RELEASE, platform=PLATFORM,
        data_end=END, faithful=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("plans", "frees"),
    [(((4,), (8,)), True), (((4, 4), (12,)), True), (((4,), (8,), (16,)), False)],
    ids=["two Ms", "two Ms, three blocks", "three Ms that allocate"],
)
def test_memory_is_linearizable_under_memlock(
    plans: tuple[tuple[int, ...], ...], frees: bool
) -> None:
    """In every schedule: addresses, splits and merges are those of some order of the calls."""
    found = explore(pairs(plans, frees), config=settings("any"), strategy="exhaustive")
    assert found.verdict == "exhausted", found.sentence
    assert found.statistics.schedules > 20


@pytest.mark.parametrize("mutex", ["any", "spinbit"])
def test_three_ms_that_allocate_and_free(mutex: str) -> None:
    """In 600 drawn schedules (all 18,552 over `any` were run once, and are exhausted)."""
    main = pairs(((4,), (8,), (16,)))
    found = explore(main, config=settings(mutex), strategy="pos", budget=600)
    assert found.verdict == "survived", found.sentence


def test_without_memlock_it_is_not() -> None:
    """The planted bug: no lock. Two calls take one block, or a block is lost."""
    found = explore(pairs(((4,), (8,))), config=settings("none", "access"), budget=2000)
    assert found.failure is not None
    assert found.failure.signature.kind == "not_linearizable"
    assert found.failure.signature.obj == "memory"
    assert any("free=" in line for line in found.failure.history)
